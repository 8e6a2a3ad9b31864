package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tidegate/internal/pattern"
)

// placeholder is {env.NAME} or {file.PATH}; \{ leaves it as it is.
var placeholder = pattern.New(`\\?\{(env|file)\.([^{}\s]+)\}`)

// maxSecret bounds what {file.PATH} takes in.
const maxSecret = 64 << 10

// newExpander returns what fills in placeholders: from the environment, and from
// files named relative to the folder of the configuration file. Errors don't hold
// what was filled in.
func newExpander(folder string, lookup func(name string) (string, bool)) func(string) (string, error) {
	return func(text string) (string, error) {
		if !strings.Contains(text, "{") {
			return text, nil
		}
		var missing error
		expanded := placeholder.ReplaceAllStringFunc(text, func(found string) string {
			if rest, escaped := strings.CutPrefix(found, `\`); escaped {
				return rest
			}
			kind, name, _ := strings.Cut(strings.Trim(found, "{}"), ".")
			value, err := "", error(nil)
			if kind == "env" {
				var ok bool
				if value, ok = lookup(name); !ok {
					err = fmt.Errorf("%s: the environment has no variable %s", found, name)
				}
			} else {
				value, err = readSecret(folder, name)
			}
			if err != nil && missing == nil {
				missing = err
			}
			return value
		})
		return expanded, missing
	}
}

// readSecret is a file's text without the line's end that editors leave.
func readSecret(folder, name string) (string, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(folder, name)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", fmt.Errorf("{file.…}: %w", err)
	case info.IsDir() || info.Size() > maxSecret:
		return "", fmt.Errorf("{file.…}: %s is a folder, or larger than %d bytes", name, maxSecret)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("{file.…}: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}
