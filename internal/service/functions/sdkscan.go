package functions

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Bounds of the scan.
const (
	maxScanned    = 500     // files
	maxScannedOne = 4 << 20 // bytes of a file
	maxScannedAll = 32 << 20
)

var (
	importPattern  = regexp.MustCompile(`(?:\brequire\s*\(\s*|\bfrom\s*|\bimport\s*\(?\s*)["'\x60](aws-sdk|@aws-sdk/[a-z0-9-]+|@smithy/[a-z0-9-]+)(?:/[^"'\x60]*)?["'\x60]`)
	missingPattern = regexp.MustCompile(`Cannot find (?:module|package) '(aws-sdk|@aws-sdk/[a-z0-9-]+|@smithy/[a-z0-9-]+)(?:/[^']*)?'`)
)

// missingModule returns the package of an SDK that a function error says is
// missing, or nothing.
func missingModule(payload []byte) string {
	if m := missingPattern.FindSubmatch(payload[:min(len(payload), 16<<10)]); m != nil {
		return string(m[1])
	}
	return ""
}

// missingPackages returns the packages of an SDK that the JavaScript in a
// folder imports and that are not installed for it.
func missingPackages(root string) map[string]bool {
	found := map[string]bool{}
	scanSources(root, []string{".js", ".mjs", ".cjs"}, func(path string) {
		for _, name := range importedPackages(path) {
			if !found[name] && !resolvable(filepath.Dir(path), name) {
				found[name] = true
			}
		}
	})
	return found
}

// scanSources calls visit with each file of a folder's code that has one of the
// endings, within bounds.
func scanSources(root string, endings []string, visit func(path string)) {
	left := int64(maxScannedAll)
	scanned := 0
	for _, f := range sourceFiles(root) {
		if !slices.Contains(endings, filepath.Ext(f.path)) {
			continue
		}
		if f.size > maxScannedOne || f.size > left || scanned == maxScanned {
			continue
		}
		scanned++
		left -= f.size
		visit(f.path)
	}
}

// readSource returns at most maxScannedOne bytes of a file, nothing when it
// can't be read.
func readSource(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxScannedOne))
	if err != nil {
		return ""
	}
	return string(b)
}

func importedPackages(path string) []string {
	// The pattern is slow on big files that never name an SDK.
	text := readSource(path)
	if !strings.Contains(text, "aws-sdk") && !strings.Contains(text, "@smithy/") {
		return nil
	}
	var names []string
	for _, m := range importPattern.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// resolvable says whether Node.js finds the package from the folder.
func resolvable(dir, name string) bool {
	for {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", filepath.FromSlash(name))); err == nil {
			return true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false
		}
		dir = parent
	}
}
