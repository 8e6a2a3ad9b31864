package lint

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// CheckComments finds packages without a package comment and exported names
// without a doc comment. A comment on a group of constants or variables, or one
// behind the name on its line, counts.
func CheckComments(m *Module) []Finding {
	var found []Finding
	for _, p := range m.Packages {
		if !slices.ContainsFunc(p.Files, func(f *File) bool { return f.AST.Doc != nil }) {
			found = append(found, p.Files[0].finding(p.Files[0].AST.Package,
				"package %s has no package comment; say in one file, above the package clause, what it is for and what it doesn't know", p.Name))
		}
		if p.Name == "main" {
			continue // exports nothing
		}
		for _, f := range p.Files {
			for _, d := range f.AST.Decls {
				found = append(found, f.checkDecl(d)...)
			}
		}
	}
	return found
}

func (f *File) checkDecl(d ast.Decl) []Finding {
	var found []Finding
	report := func(name *ast.Ident) {
		found = append(found, f.finding(name.Pos(), "%s has no doc comment; say what it is or returns, with units, bounds and errors", name.Name))
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			report(d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
					report(s.Name)
				}
			case *ast.ValueSpec:
				if s.Doc != nil || s.Comment != nil || d.Doc != nil {
					continue
				}
				for _, name := range s.Names {
					if name.IsExported() {
						report(name)
					}
				}
			}
		}
	}
	return found
}

// exportedReceiver says whether a function is none, or one of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// CheckInit finds functions called init: what a program does must be readable
// from its main function.
func CheckInit(m *Module) []Finding {
	var found []Finding
	for _, p := range m.Packages {
		for _, f := range p.Files {
			for _, d := range f.AST.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					found = append(found, f.finding(fn.Pos(), "func init runs unseen; initialize a variable where it is declared, or let the caller call"))
				}
			}
		}
	}
	return found
}

// namelessNames are package names that say nothing about what is inside.
var namelessNames = []string{"util", "utils", "common", "types", "helper", "helpers", "manager", "managers", "misc", "shared", "base", "lib"}

// CheckNames finds packages whose name or folder says nothing.
func CheckNames(m *Module) []Finding {
	var found []Finding
	for _, p := range m.Packages {
		folder := p.Dir[strings.LastIndexByte(p.Dir, '/')+1:]
		for _, name := range []string{p.Name, folder} {
			if slices.Contains(namelessNames, name) {
				found = append(found, p.Files[0].finding(p.Files[0].AST.Package, "a package called %q gathers what doesn't belong together; name it for what it wraps or does", name))
				break
			}
		}
		// A package is called what its folder is: readers look for it there.
		if p.Name != "main" && p.Name != folder {
			found = append(found, p.Files[0].finding(token.Pos(p.Files[0].AST.Package), "package %s lies in the folder %s; give both one name", p.Name, folder))
		}
	}
	return found
}
