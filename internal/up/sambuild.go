package up

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// A samBuild is what `sam build` left of a template, beside it. It is a template
// of its own, whose functions lie there as they are to run.
//
// Source: the SAM developer guide, "sam build", and what it writes: the template
// last of all, and build.toml with the folders that it built from.
type samBuild struct {
	source   string   // the template that was built
	template string   // what it became
	folders  []string // the code that it was built from
}

// maxSources bounds how many files of a project are looked at.
const maxSources = 5000

// buildOf finds the build of a template; ok is false when it wasn't built, or is
// no file that sam build takes.
func buildOf(template string) (b samBuild, ok bool) {
	dir := filepath.Dir(template)
	b = samBuild{source: template, template: filepath.Join(dir, ".aws-sam", "build", "template.yaml")}
	if !strings.HasPrefix(filepath.Base(template), "template.") {
		return b, false
	}
	if info, err := os.Stat(b.template); err != nil || !info.Mode().IsRegular() {
		return b, false
	}
	type built struct {
		CodeURI string `toml:"codeuri"`
	}
	var graph struct {
		Functions map[string]built `toml:"function_build_definitions"`
		Layers    map[string]built `toml:"layer_build_definitions"`
	}
	data, err := readInput(filepath.Join(dir, ".aws-sam", "build.toml"))
	if err == nil {
		_, err = toml.Decode(string(data), &graph)
	}
	for _, all := range []map[string]built{graph.Functions, graph.Layers} {
		for _, one := range all {
			folder := filepath.FromSlash(one.CodeURI)
			if folder == "" {
				continue
			}
			if !filepath.IsAbs(folder) {
				folder = filepath.Join(dir, folder)
			}
			b.folders = append(b.folders, folder)
		}
	}
	if err != nil || len(b.folders) == 0 { // it can't be told what of the project is code
		b.folders = []string{dir}
	}
	return b, true
}

// newer reports whether the build is newer than the template and the code that
// it was made from.
func (b samBuild) newer() bool {
	info, err := os.Stat(b.template)
	if err != nil {
		return false
	}
	built := info.ModTime()
	if info, err := os.Stat(b.source); err != nil || info.ModTime().After(built) {
		return false
	}
	left := maxSources
	for _, folder := range b.folders {
		if changedSince(folder, built, &left) {
			return false
		}
	}
	return true
}

// changedSince reports whether a file of a code folder was saved after a moment.
// Installed packages, and what tools keep for themselves, aren't looked at.
func changedSince(folder string, built time.Time, left *int) bool {
	changed := false
	filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // a folder that went while we look
		}
		if *left--; *left < 0 {
			return fs.SkipAll
		}
		name := entry.Name()
		if entry.IsDir() {
			_, virtual := os.Stat(filepath.Join(path, "pyvenv.cfg"))
			if path != folder && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "__pycache__" || virtual == nil) {
				return fs.SkipDir
			}
			return nil
		}
		if info, err := entry.Info(); err == nil && info.ModTime().After(built) {
			changed = true
			return fs.SkipAll
		}
		return nil
	})
	return changed
}
