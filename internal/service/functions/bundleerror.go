package functions

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

var unresolvedPattern = regexp.MustCompile(`^Could not resolve "([^"]+)"`)

// unresolved returns the packages that a bundle lacks.
func unresolved(messages []api.Message) []string {
	var names []string
	for _, m := range messages {
		found := unresolvedPattern.FindStringSubmatch(m.Text)
		if found == nil {
			continue
		}
		if name := packageName(found[1]); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// packageName is the package that an import names; empty for a file.
func packageName(specifier string) string {
	if strings.HasPrefix(specifier, ".") || strings.HasPrefix(specifier, "/") || strings.Contains(specifier, ":") {
		return ""
	}
	parts := strings.SplitN(specifier, "/", 3)
	if strings.HasPrefix(specifier, "@") && len(parts) > 1 {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

// maxBundleErrors is how many of esbuild's errors are told.
const maxBundleErrors = 5

// bundleError tells what esbuild found, each with its place in the user's file.
func bundleError(fn *function, messages []api.Message) *startFailure {
	var lines []string
	kind := errorSyntax
	for i, m := range messages {
		if i == maxBundleErrors {
			lines = append(lines, fmt.Sprintf("and %d more", len(messages)-i))
			break
		}
		text := m.Text
		if l := m.Location; l != nil {
			text = fmt.Sprintf("%s:%d:%d: %s", shownPath(filepath.Join(fn.codeDir, l.File)), l.Line, l.Column+1, text)
		}
		if found := unresolvedPattern.FindStringSubmatch(m.Text); found != nil {
			kind = "Runtime.ImportModuleError"
			if name := packageName(found[1]); name != "" {
				text += fmt.Sprintf(" (package.json doesn't declare it: run \"npm install %s\" in %s)", name, shownPath(fn.codeDir))
			}
		}
		lines = append(lines, text)
	}
	return &startFailure{kind: kind, message: strings.Join(lines, "\n")}
}
