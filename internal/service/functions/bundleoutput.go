package functions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/evanw/esbuild/pkg/api"
)

// maxBundle bounds what a bundle writes, in bytes; Lambda's bound on code.
const maxBundle = maxUnzipped

// writeBundle puts the files in place, each in one step, and leaves those that
// are the same.
func writeBundle(dir string, files []api.OutputFile) error {
	size := 0
	for _, f := range files {
		if size += len(f.Contents); size > maxBundle {
			return fmt.Errorf("the bundle has more than %d bytes", maxBundle)
		}
		if !within(dir, f.Path) {
			return fmt.Errorf("the bundle has a file outside of its folder: %s", f.Path)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Without it, a package.json further up would decide what a .js file is.
	files = append(files, api.OutputFile{Path: filepath.Join(dir, "package.json"), Contents: []byte("{}\n")})
	for _, f := range files {
		if old, err := os.ReadFile(f.Path); err == nil && bytes.Equal(old, f.Contents) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
			return err
		}
		if err := writeFile(f.Path, f.Contents, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// bundleInputs returns what a bundle was made from, but for installed packages,
// which show in their lock file. A file that was not known before the build
// gets a stamp that never fits when it may have been saved since.
func bundleInputs(dir, metafile string, known []sourceFile, began time.Time) []sourceFile {
	var meta struct {
		Inputs map[string]json.RawMessage `json:"inputs"`
	}
	if json.Unmarshal([]byte(metafile), &meta) != nil {
		return known
	}
	before := map[string]sourceFile{}
	for _, f := range known {
		before[f.path] = f
	}
	var files []sourceFile
	add := func(name string) {
		f, ok := before[name]
		if !ok {
			// The file system's clock may be a tick behind ours.
			if f = stamp(name); f.modified >= began.Add(-10*time.Millisecond).UnixNano() {
				f.modified = -1
			}
		}
		files = append(files, f)
	}
	for _, name := range []string{"package.json", "tsconfig.json", "package-lock.json", filepath.Join("node_modules", ".package-lock.json")} {
		add(filepath.Join(dir, name))
	}
	for name := range meta.Inputs {
		full := filepath.FromSlash(name)
		if !filepath.IsAbs(full) {
			full = filepath.Join(dir, full)
		}
		if len(files) < maxSourceFiles && !strings.Contains(name, "node_modules/") && isFile(full) {
			add(full)
		}
	}
	return files
}

// merge returns a with the files of b that it lacks.
func merge(a, b []sourceFile) []sourceFile {
	seen := map[string]bool{}
	for _, f := range a {
		seen[f.path] = true
	}
	for _, f := range b {
		if !seen[f.path] {
			a = append(a, stamp(f.path))
		}
	}
	return a
}
