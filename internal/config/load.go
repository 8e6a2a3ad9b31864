package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"tidegate/internal/nearest"
)

// Files are where a configuration lies that nobody named, in this order.
var Files = []string{"tidegate.yaml", "/etc/tidegate/tidegate.yaml"}

// Find returns the file: the one that is named, or the first of Files that is
// there.
func Find(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	for _, f := range Files {
		if _, err := os.Stat(f); err == nil {
			return f, nil
		}
	}
	return "", fmt.Errorf("there is no configuration: neither %s; name one with --config FILE, or begin with one: tidegate serve --print-config > tidegate.yaml", strings.Join(Files, " nor "))
}

// Load reads a file and what the environment (NAME=VALUE each) sets. What is
// wrong is one Mistakes, each with its place; the error holds no secret. Second
// come remarks on the environment that stop nothing.
func Load(file string, environ []string) (*Config, []string, error) {
	data, err := read(file)
	if err != nil {
		return nil, nil, err
	}
	return decode(file, data, environ)
}

// decode is Load of a file that is read already.
func decode(file string, data []byte, environ []string) (*Config, []string, error) {
	root, err := parse(file, data)
	if err != nil {
		return nil, nil, err
	}
	folder, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, nil, err
	}
	env := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	c := Default()
	c.File, c.path, c.places = file, filepath.Join(folder, filepath.Base(file)), map[string]Place{}
	d := &decoder{file: file, places: c.places, left: maxValues, expand: newExpander(folder, func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	})}
	if root != nil {
		d.value(root, "", reflect.ValueOf(c).Elem())
	}
	remarks := d.environment(c, env)
	c.check(&d.mistakes, folder)
	if err := d.mistakes.err(); err != nil {
		return nil, nil, err
	}
	return c, remarks, nil
}

// Is says that a file is a configuration rather than a template: by its name, or by
// keys that no template has.
func Is(file string) bool {
	if base := filepath.Base(file); base == "tidegate.yaml" || base == "tidegate.yml" {
		return true
	}
	data, err := read(file)
	if err != nil {
		return false
	}
	root, err := parse(file, data)
	if err != nil || root == nil || root.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(root.Content); i += 2 {
		if slices.Contains([]string{"apis", "identities", "listeners"}, root.Content[i].Value) {
			return true
		}
	}
	return false
}

// read reads the file, which may not be larger than bounds allow.
func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no configuration %s; name another with --config FILE, or begin with one: tidegate serve --print-config > tidegate.yaml", file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the configuration: %w", err)
	case len(data) > maxFile:
		return nil, fmt.Errorf("the configuration %s is larger than %d bytes", file, maxFile)
	}
	return data, nil
}

// Prefix begins the names of environment variables that set keys:
// TIDEGATE_LISTENERS_PUBLIC is listeners.public.
const Prefix = "TIDEGATE_"

// environment sets what variables name: any key with one value that doesn't
// stand in a list. An unknown variable is no mistake, since orchestrators set
// some beginning with a service's name; one near a key is remarked on.
func (d *decoder) environment(c *Config, env map[string]string) (remarks []string) {
	keys := map[string]reflect.Value{}
	paths := map[string]string{}
	scalars(reflect.ValueOf(c).Elem(), "", func(path string, v reflect.Value) {
		name := Variable(path)
		keys[name], paths[name] = v, path
	})
	var names []string
	for name := range keys {
		names = append(names, strings.TrimPrefix(name, Prefix)) // what all begin with makes none alike
	}
	for name, value := range env {
		if !strings.HasPrefix(name, Prefix) {
			continue
		}
		at := Place{Variable: name}
		if limit, ok := strings.CutPrefix(name, Prefix+"LIMITS_"); ok {
			if c.Limits == nil {
				c.Limits = map[string]Limit{}
			}
			c.Limits[strings.ToLower(limit)] = Limit{Place: at, Value: value}
			continue
		}
		v, known := keys[name]
		if !known {
			if name == Variable("apis") || name == Variable("identities") {
				remarks = append(remarks, fmt.Sprintf("the environment variable %s means nothing here: %s is a list, which stands in the file; a value in it may be {env.NAME}", name, strings.ToLower(strings.TrimPrefix(name, Prefix))))
			} else if near := nearest.Name(strings.TrimPrefix(name, Prefix), names); near != "" {
				remarks = append(remarks, fmt.Sprintf("the environment variable %s means nothing here; did you mean %s?", name, Prefix+near))
			}
			continue
		}
		expanded, err := d.expand(value)
		if err == nil {
			err = set(v, expanded, at)
		}
		if err != nil {
			d.mistakes.add(at, paths[name], "", "its value %v", err)
		}
		c.places[paths[name]] = at
	}
	slices.Sort(remarks)
	return remarks
}

// Variable is the environment variable that sets a key.
func Variable(path string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// scalars calls fn with every value below v that stands in no list or map.
func scalars(v reflect.Value, path string, fn func(path string, v reflect.Value)) {
	fields, names := fieldsOf(v)
	for _, name := range names {
		f, at := fields[name], join(path, name)
		_, addresses := f.Interface().(Addresses)
		_, duration := f.Interface().(time.Duration)
		switch {
		case f.Kind() == reflect.Struct:
			scalars(f, at, fn)
		case addresses || duration || f.Kind() == reflect.String || f.Kind() == reflect.Bool || f.Kind() == reflect.Int:
			fn(at, f)
		}
	}
}
