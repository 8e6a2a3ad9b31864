package up

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	return "", nil, fmt.Errorf("%w in %s: looked for %s; name one: tidegate up TEMPLATE", ErrNoTemplate, path, strings.Join(templateNames, ", "))
}

// Load reads and checks the template that the options name. It runs and
// downloads nothing. What is wrong with the template is a stack.Diagnostics.
func Load(o Options) (*stack.Stack, error) {
	path, also, err := findTemplate(o.Template)
	if err != nil {
		return nil, err
	}
	s, err := stack.Load(path, stack.Options{Parameters: o.Parameters, StackName: o.StackName, Stage: o.Stage, Region: o.Region, DefaultRegion: o.DefaultRegion, Account: account,
		Prune: o.Prune, Strict: o.Strict, NoBuild: o.NoBuild})
	if err != nil {
		return nil, err
	}
	if len(also) > 0 {
		s.Notes = append([]stack.Note{{Position: stack.Position{File: path}, Message: "is taken; " + strings.Join(also, ", ") + " beside it is not"}}, s.Notes...)
	}
	return s, nil
}
