package up

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tidegate/internal/stack"
)

// ErrNoTemplate says that there is no template to run.
var ErrNoTemplate = errors.New("no template found")

// templateNames are tried in a folder, in this order.
var templateNames = []string{"template.yaml", "template.yml", "template.json"}

// findTemplate returns the template's path: the file itself, or the one in a
// folder; "" means this folder.
func findTemplate(path string) (string, error) {
	if path == "" {
		path = "."
	}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%w: there is no file or folder %s", ErrNoTemplate, path)
	}
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range templateNames {
		file := filepath.Join(path, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			return file, nil
		}
	}
	return "", fmt.Errorf("%w in %s: looked for %s; name one: tidegate up TEMPLATE", ErrNoTemplate, path, strings.Join(templateNames, ", "))
}

// Load reads and checks the template that the options name. It runs and
// downloads nothing. What is wrong with the template is a stack.Diagnostics.
func Load(o Options) (*stack.Stack, error) {
	path, err := findTemplate(o.Template)
	if err != nil {
		return nil, err
	}
	return stack.Load(path, stack.Options{Parameters: o.Parameters, StackName: o.StackName, Region: o.Region, Account: account,
		Prune: o.Prune, Strict: o.Strict})
}
