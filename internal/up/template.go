package up

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tidegate/internal/server"
	"tidegate/internal/stack"
)

// ErrNoTemplate says that there is no template to run.
var ErrNoTemplate = errors.New("no template found")

// templateNames are tried in a folder, in this order; cdk.out is the folder that
// `cdk synth` writes.
var templateNames = []string{
	"template.yaml", "template.yml", "template.json",
	"serverless.yml", "serverless.yaml", "serverless.json",
	"cdk.out",
}

// programs are services written as programs, which would have to be run to know
// what they say.
var programs = []string{"serverless.ts", "serverless.js", "serverless.mjs", "serverless.cjs"}

func programError(path string) error {
	return fmt.Errorf("%w: %s is a program, and none is run to read it; run `serverless package`, then tidegate up .serverless/cloudformation-template-update-stack.json", ErrNoTemplate, path)
}

// findTemplate returns the template's path: the file itself, or the one in a
// folder; "" means this folder. also lists those that the folder has besides.
func findTemplate(path string) (template string, also []string, err error) {
	if path == "" {
		path = "."
	}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil, fmt.Errorf("%w: there is no file or folder %s", ErrNoTemplate, path)
	}
	if err != nil {
		return "", nil, err
	}
	if !info.IsDir() && slices.Contains(programs, filepath.Base(path)) {
		return "", nil, programError(path)
	}
	if !info.IsDir() || stack.IsAssembly(path) {
		return path, nil, nil
	}
	for _, name := range templateNames {
		file := filepath.Join(path, name)
		info, err := os.Stat(file)
		switch {
		case err != nil, info.IsDir() && !stack.IsAssembly(file):
		case template == "":
			template = file
		default:
			also = append(also, name)
		}
	}
	if template != "" {
		return template, also, nil
	}
	if _, err := os.Stat(filepath.Join(path, "cdk.json")); err == nil {
		return "", nil, fmt.Errorf("%w: %s is a CDK app that wasn't synthesized; run `cdk synth` first", ErrNoTemplate, path)
	}
	for _, name := range programs {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return "", nil, programError(filepath.Join(path, name))
		}
	}
	return "", nil, fmt.Errorf("%w in %s: looked for %s; give the path of another as an argument", ErrNoTemplate, path, strings.Join(templateNames, ", "))
}

// Load reads and checks the template that the options name. It runs and
// downloads nothing. What is wrong with the template is a stack.Diagnostics.
func Load(o Options) (*stack.Stack, error) {
	config, path, also, err := o.find()
	if err != nil {
		return nil, err
	}
	options, read, err := o.inputs(config, path)
	if err != nil {
		return nil, err
	}
	source := path
	if built, ok := o.build(path); ok && built.newer() {
		path, also, read = built.template, nil, append(read, source)
	}
	s, err := stack.Load(path, options)
	if err != nil {
		return nil, err
	}
	if path != source {
		s.Notes = append([]stack.Note{{Position: stack.Position{File: path}, Message: "is taken: what sam build made is newer than " + source + " and its code; they are taken again once one is saved"}}, s.Notes...)
	}
	for _, file := range read {
		if file, err := filepath.Abs(file); err == nil {
			s.Files = append(s.Files, file)
		}
	}
	if config.file != "" {
		s.Notes = append([]stack.Note{{Position: stack.Position{File: config.file}, Message: "is taken for the template's parameters"}}, s.Notes...)
	}
	if o.Stage != "" && !strings.HasPrefix(filepath.Base(path), "serverless") {
		s.Notes = append([]stack.Note{{Position: stack.Position{File: path}, Message: "names its stages itself: --stage " + o.Stage + " is for a serverless.yml, and changes nothing here"}}, s.Notes...)
	}
	if len(also) > 0 {
		s.Notes = append([]stack.Note{{Position: stack.Position{File: path}, Message: "is taken; " + strings.Join(also, ", ") + " beside it is not"}}, s.Notes...)
	}
	return s, nil
}

// Check is what Load can't see: the stack's resources of API Gateway are given to a
// control plane that serves nobody. What it refuses is a stack.Diagnostics.
func Check(ctx context.Context, s *stack.Stack) (err error) {
	plane, err := server.Rehearse(ctx, server.Options{Region: s.Region, Account: s.Account})
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, plane.Close()) }()
	d := stack.Deployer{Endpoint: plane.Endpoint(), Client: plane.Client(), Credentials: plane.Key(), Region: s.Region}
	return d.Check(ctx, s)
}

// find returns the configuration file's settings, and the template that they and
// the options name; also as findTemplate says.
func (o Options) find() (config settings, path string, also []string, err error) {
	if config, err = readSettings(o); err != nil {
		return config, "", nil, err
	}
	name := o.Template
	if config.template != "" && isFolder(name) {
		name = beside(config.file, config.template)
	}
	path, also, err = findTemplate(name)
	return config, path, also, err
}

// build finds what sam build made of the template, unless it is the template's
// file that was asked for, as for SAM itself.
func (o Options) build(path string) (samBuild, bool) {
	if !isFolder(o.Template) {
		return samBuild{}, false
	}
	return buildOf(path)
}

// buildChosen reports whether what sam build made would be taken now.
func (o Options) buildChosen() bool {
	_, path, _, err := o.find()
	if err != nil {
		return false
	}
	built, ok := o.build(path)
	return ok && built.newer()
}

// inputs are what the template at path is read with, and the files that gave it.
func (o Options) inputs(config settings, path string) (options stack.Options, read []string, err error) {
	options = stack.Options{Defaults: config.parameters, StackName: cmp.Or(o.StackName, config.stackName),
		Stage: o.Stage, Region: cmp.Or(o.Region, config.region), DefaultRegion: o.DefaultRegion, Account: o.account, Prune: o.Prune, Strict: o.Strict, NoBuild: o.NoBuild}
	read = config.read
	values, files, err := Overrides(o.Overrides, ".")
	if err != nil {
		return options, nil, UsageError("--parameter-overrides: " + err.Error())
	}
	options.Parameters, read = values, append(read, files...)
	if file := cmp.Or(o.EnvVars, beside(config.file, config.envVars)); file != "" {
		if options.Variables, err = readVariables(file); err != nil {
			return options, nil, err
		}
		read = append(read, file)
	}
	dotenv := filepath.Join(folderOf(path), ".env")
	blanks, there, err := readDotEnv(dotenv)
	if err != nil {
		return options, nil, err
	}
	if options.Blanks = blanks; there {
		read = append(read, dotenv)
	}
	return options, read, nil
}

// isFolder reports whether the path is a folder, as "" is.
func isFolder(path string) bool {
	info, err := os.Stat(cmp.Or(path, "."))
	return err == nil && info.IsDir()
}

// folderOf is the project's folder of a template, or of a cdk.out.
func folderOf(path string) string {
	if isFolder(path) {
		return filepath.Dir(filepath.Clean(path))
	}
	return stack.Project(filepath.Dir(path))
}

// beside is a path that a file names, which begins at its folder.
func beside(file, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}
