package functions

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"tidegate/internal/pattern"
)

// toolLimit bounds one run of go or make.
const toolLimit = 10 * time.Minute

// binary is the file that the function's runtime runs.
func (fn *function) binary() string {
	if fn.Runtime == "go1.x" && filepath.IsLocal(filepath.FromSlash(fn.Handler)) {
		return filepath.FromSlash(fn.Handler)
	}
	return "bootstrap"
}

// isGoSource says that the folder holds a Go program instead of what is made of
// it.
func (fn *function) isGoSource() bool {
	switch fn.language().(type) {
	case custom, golang:
	default:
		return false
	}
	if fn.Code.Build != nil && fn.Code.Build.Method == methodGo {
		return true
	}
	if isFile(filepath.Join(fn.codeDir, fn.binary())) {
		return false
	}
	sources, err := filepath.Glob(filepath.Join(escapeGlob(fn.codeDir), "*.go"))
	return err == nil && len(sources) > 0
}

var globSpecial = regexp.MustCompile(`[\\*?\[]`)

func escapeGlob(dir string) string { return globSpecial.ReplaceAllString(dir, `\$0`) }

// buildGo compiles the program in the function's folder for this machine.
func (s *Service) buildGo(ctx context.Context, fn *function, b *builder) *artifacts {
	out := &artifacts{dir: b.dir, files: goFiles(fn.codeDir)}
	program, err := exec.LookPath("go")
	if err != nil {
		out.err = &startFailure{kind: errorBuild, message: fmt.Sprintf("%s holds a Go program, and there is no go on PATH: install Go, or run sam build", shownPath(fn.codeDir))}
		return out
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(b.dir, fn.binary())), 0o700); err != nil {
		out.err = &startFailure{kind: errorBuild, message: err.Error()}
		return out
	}
	made := filepath.Join(b.dir, ".making")
	cmd := exec.Command(program, "build", "-tags", "lambda.norpc", "-o", made, ".")
	cmd.Dir = fn.codeDir
	cmd.Env = []string{"CGO_ENABLED=0", "GOOS=", "GOARCH="}
	first := b.last == nil
	began := time.Now()
	if first {
		s.cfg.Events.progress(Progress{Function: fn.Name, Text: "building it: go build"})
	}
	said, err := s.runTool(ctx, cmd, toolLimit)
	if err == nil {
		// What runs keeps its file: the name gets another.
		err = os.Rename(made, filepath.Join(b.dir, fn.binary()))
		said = ""
	}
	if err != nil {
		out.err = goError(fn.codeDir, said, err)
		return out
	}
	out.usable = true
	if first {
		s.cfg.Events.progress(Progress{Function: fn.Name, Text: fmt.Sprintf("built it: go build, %.1f s", time.Since(began).Seconds())})
	}
	return out
}

var goPlace = pattern.New(`^(?:vet: )?(\.{0,2}[^:\s]*\.go):(\d+):(\d+:)? (.*)$`)

// goError tells what the compiler said, with the files' whole names.
func goError(dir, said string, err error) *startFailure {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return &startFailure{kind: errorBuild, message: "go build: " + err.Error()}
	}
	var lines []string
	kind := errorBuild
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		if m := goPlace.FindStringSubmatch(line); m != nil {
			kind = errorSyntax
			name := m[1]
			if !filepath.IsAbs(name) {
				name = filepath.Join(dir, name)
			}
			line = fmt.Sprintf("%s:%s:%s %s", shownPath(name), m[2], m[3], m[4])
		}
		if lines = append(lines, line); len(lines) == 10 {
			break
		}
	}
	if len(lines) == 0 {
		lines = []string{err.Error()}
	}
	if kind == errorBuild {
		lines[0] = "go build: " + lines[0]
	}
	return &startFailure{kind: kind, message: strings.Join(lines, "\n")}
}

// goFiles are the files of the module that the folder is of: a program may
// embed any of them.
func goFiles(dir string) []sourceFile {
	root := dir
	for range manifestLevels {
		if isFile(filepath.Join(root, "go.mod")) {
			return everyFile(root)
		}
		root = filepath.Dir(root)
	}
	return everyFile(dir)
}

// everyFile stamps every file at and below a folder, but for those that begin
// with a dot, within bounds.
func everyFile(root string) []sourceFile {
	var files []sourceFile
	filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules"):
			if entry.IsDir() {
				return fs.SkipDir
			}
		case len(files) >= maxSourceFiles:
			return fs.SkipAll
		case entry.Type().IsRegular():
			files = append(files, stamp(name))
		case entry.IsDir():
			files = append(files, stamp(name)) // files that come and go
		}
		return nil
	})
	return files
}
