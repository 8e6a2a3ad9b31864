package stack

import (
	"errors"
	"fmt"
	"path/filepath"

	"tidegate/internal/stack/assembly"
)

// An origin is where a template comes from.
type origin struct {
	name   string // how diagnostics call the file
	path   string // of the template, absolute
	home   string // the project's folder, absolute
	files  []string
	assets assembly.Assets
}

// openOrigin finds the template that a path means, and fills in the stack's name
// when the options have none.
func openOrigin(path string, opts *Options) (*origin, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", path, err)
	}
	o := &origin{name: path, path: abs, home: filepath.Dir(abs)}
	chosen, err := assembly.Open(abs)
	switch {
	case errors.Is(err, assembly.ErrNone):
		o.files = []string{abs}
		if opts.StackName == "" {
			opts.StackName = assembly.StackName(abs)
		}
	case err != nil:
		return nil, fmt.Errorf("cloud assembly: %w", err)
	default:
		s, err := chosen.Choose(opts.StackName)
		if err != nil {
			return nil, err
		}
		o.path, o.home, o.files = s.Template, abs, chosen.Files
		if rel, err := filepath.Rel(abs, s.Template); err == nil {
			o.name = filepath.Join(path, rel)
		}
		opts.StackName = s.Name
	}
	if filepath.Base(o.home) == "cdk.out" { // `cdk synth` owns that folder
		o.home = filepath.Dir(o.home)
	}
	if opts.StackName == "" {
		opts.StackName = stackNameOf(filepath.Base(o.home))
	}
	assets, from, err := assembly.AssetsOf(o.path)
	if err != nil {
		return nil, fmt.Errorf("cloud assembly: %w", err)
	}
	if o.assets = assets; from != "" {
		o.files = append(o.files, from)
	}
	return o, nil
}

// ErrChoice says that a cloud assembly has no stack of the name that was asked
// for, or several of which one must be named.
var ErrChoice = assembly.ErrChoice

// IsAssembly reports whether a folder is one that `cdk synth` wrote, which Load
// takes as a whole.
func IsAssembly(dir string) bool { return assembly.Is(dir) }

// sources are the files that a template was read from. Their lines are counted
// on through all of them, so that a line alone tells its file, as positions of
// go/token do: whatever passes places on needs to know of one file only.
type sources []source

type source struct {
	name   string
	before int // lines counted before its first
}

func oneSource(name string) sources { return sources{{name: name}} }

// position tells the file and its own line; line 0 is the first file as a whole.
func (s sources) position(line, column int) Position {
	var p Position
	for _, f := range s {
		if p.File == "" || line > f.before {
			p = Position{File: f.name, Line: line - f.before, Column: column}
		}
	}
	return p
}
