// Package lint holds the house rules as tests: which package may import which
// (deps.rules), where third-party code may be used, and what comments, names
// and files must look like. The checks are functions over a source tree, so
// that each is also tested on a tree that breaks it.
package lint

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// A Finding is one place that breaks a rule, and what to do there.
type Finding struct {
	File    string // slash-separated, from the module's root
	Line    int    // from 1; 0 when the file as a whole is meant
	Message string
}

// String returns file:line: message.
func (f Finding) String() string {
	if f.Line == 0 {
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
}

// A Module is the parsed Go source of a module.
type Module struct {
	Path     string     // as go.mod says
	Packages []*Package // sorted by folder
}

// A Package is the non-test Go source in one folder, for every system.
type Package struct {
	Dir   string // from the module's root: internal/lint
	Name  string // the package clause's
	Files []*File
}

// A File is one parsed source file.
type File struct {
	Path string
	AST  *ast.File

	fset *token.FileSet
}

func (f *File) finding(pos token.Pos, format string, args ...any) Finding {
	return Finding{File: f.Path, Line: f.fset.Position(pos).Line, Message: fmt.Sprintf(format, args...)}
}

// Load parses the module whose root fsys is. Folders that the go command
// ignores (testdata, those that begin with '.' or '_'), node_modules, modules
// within the module and files tagged "ignore" are left out.
func Load(fsys fs.FS) (*Module, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	m := &Module{}
	for line := range strings.Lines(string(mod)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			m.Path = strings.TrimSpace(name)
		}
	}
	packages := map[string]*Package{}
	fset := token.NewFileSet()
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && skipDir(fsys, name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if ignored(file) {
			return nil
		}
		dir := path.Dir(name)
		p := packages[dir]
		if p == nil {
			p = &Package{Dir: dir, Name: file.Name.Name}
			packages[dir] = p
			m.Packages = append(m.Packages, p)
		}
		p.Files = append(p.Files, &File{Path: name, AST: file, fset: fset})
		return nil
	})
	slices.SortFunc(m.Packages, func(a, b *Package) int { return strings.Compare(a.Dir, b.Dir) })
	return m, err
}

func skipDir(fsys fs.FS, dir string) bool {
	base := path.Base(dir)
	if base[0] == '.' || base[0] == '_' || base == "testdata" || base == "node_modules" {
		return true
	}
	_, err := fs.Stat(fsys, dir+"/go.mod")
	return err == nil
}

// ignored says whether the file carries "//go:build ignore".
func ignored(file *ast.File) bool {
	for _, group := range file.Comments {
		if group.Pos() > file.Package {
			break
		}
		for _, c := range group.List {
			if expr, err := constraint.Parse(c.Text); err == nil && expr.String() == "ignore" {
				return true
			}
		}
	}
	return false
}
