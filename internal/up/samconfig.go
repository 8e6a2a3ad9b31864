package up

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v4"

	"tidegate/internal/stack"
)

// settings are what a SAM configuration file says, as far as it means something
// here.
type settings struct {
	file       string // "" without one
	template   string
	stackName  string
	region     string
	envVars    string
	parameters map[string]string
	read       []string // the files that it was made of
}

// configNames are tried beside the template, in this order, as SAM does.
var configNames = []string{"samconfig.toml", "samconfig.yaml", "samconfig.yml"}

// configCommands are the tables that are read, each over the one before: what is
// for all of SAM's commands, then what says how the stack is built, deployed and
// run on this machine.
var configCommands = []string{"global", "build", "deploy", "local_invoke", "local_start_lambda", "local_start_api"}

const defaultConfigEnv = "default"

// readSettings reads the configuration file that the options name, or the one
// beside the template.
func readSettings(o Options) (settings, error) {
	dir := o.Template
	if dir == "" {
		dir = "."
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	dir = stack.Project(dir)
	path := o.ConfigFile
	if path == "" {
		for _, name := range configNames {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				path = filepath.Join(dir, name)
				break
			}
		}
	}
	if path == "" {
		if o.ConfigEnv != "" {
			return settings{}, UsageError(fmt.Sprintf("--config-env %s: there is no %s in %s", o.ConfigEnv, strings.Join(configNames, ", "), dir))
		}
		return settings{}, nil
	}
	data, err := readInput(path)
	if err != nil {
		return settings{}, fmt.Errorf("configuration file: %w", err)
	}
	content, err := decodeConfig(path, data)
	if err != nil {
		return settings{}, err
	}
	s := settings{file: path, parameters: map[string]string{}, read: []string{path}}
	return s, s.take(content, o.ConfigEnv)
}

// decodeConfig parses TOML, or YAML by the file's name.
func decodeConfig(path string, data []byte) (map[string]any, error) {
	content := map[string]any{}
	at := stack.Position{File: path, Line: 1, Column: 1}
	if ext := filepath.Ext(path); ext == ".yaml" || ext == ".yml" {
		err := yaml.Unmarshal(data, &content)
		if err == nil {
			return content, nil
		}
		message := err.Error()
		var load *yaml.LoadError
		if errors.As(err, &load) {
			at.Line, at.Column, message = max(load.Mark.Line, 1), max(load.Mark.Column, 1), load.Message
		}
		return nil, stack.Diagnostics{{Position: at, Message: "not valid YAML: " + message}}
	}
	_, err := toml.Decode(string(data), &content)
	if err == nil {
		return content, nil
	}
	message := err.Error()
	var parse toml.ParseError
	if errors.As(err, &parse) {
		message = parse.Message
		at.Line, at.Column = placeOf(data, int64(parse.Position.Start)+1)
	}
	return nil, stack.Diagnostics{{Position: at, Message: "not valid TOML: " + message}}
}

// take reads one environment of the file.
func (s *settings) take(content map[string]any, env string) error {
	wrong := func(where, want string) error {
		return stack.Diagnostics{{Position: stack.Position{File: s.file}, Message: where + " must be " + want}}
	}
	named := env
	if env == "" {
		env = defaultConfigEnv
	}
	table, ok := content[env].(map[string]any)
	if !ok {
		if named == "" {
			return nil
		}
		return UsageError(fmt.Sprintf("--config-env %s: %s has no such environment", named, s.file))
	}
	for _, command := range configCommands {
		section, ok := table[command].(map[string]any)
		if !ok {
			continue
		}
		parameters, ok := section["parameters"].(map[string]any)
		if !ok {
			continue
		}
		where := env + "." + command + ".parameters."
		for key, into := range map[string]*string{"template_file": &s.template, "template": &s.template, "stack_name": &s.stackName, "region": &s.region, "env_vars": &s.envVars} {
			v, given := parameters[key]
			if !given {
				continue
			}
			text, ok := v.(string)
			if !ok {
				return wrong(where+key, "a text")
			}
			*into = text
		}
		if v, given := parameters["parameter_overrides"]; given {
			if err := s.override(v); err != nil {
				return stack.Diagnostics{{Position: stack.Position{File: s.file}, Message: where + "parameter_overrides: " + err.Error()}}
			}
		}
	}
	return nil
}

// override reads parameter_overrides: a text, a list of texts, or a map.
func (s *settings) override(v any) error {
	var texts []string
	switch v := v.(type) {
	case string:
		texts = []string{v}
	case []any:
		for _, x := range v {
			if t, ok := x.(string); ok {
				texts = append(texts, t)
			} else if err := addOverrides(x, s.parameters); err != nil {
				return err
			}
		}
	default:
		return addOverrides(v, s.parameters)
	}
	values, read, err := Overrides(texts, filepath.Dir(s.file))
	for k, x := range values {
		s.parameters[k] = x
	}
	s.read = append(s.read, read...)
	return err
}
