package lint

import (
	"strconv"
	"strings"
)

// CheckImports finds packages that the rules don't name, and imports between
// the module's packages that they don't allow.
func CheckImports(m *Module, r *Rules) []Finding {
	var found []Finding
	for _, p := range m.Packages {
		if !r.Names(p.Dir) {
			found = append(found, p.Files[0].finding(p.Files[0].AST.Package,
				"internal/lint/deps.rules doesn't name %s; give it a place there, with the reason in the commit, or put the code into a package that has one", p.Dir))
			continue
		}
		eachImport(p, func(f *File, imported string, found1 func(format string, args ...any)) {
			to, ok := strings.CutPrefix(imported, m.Path+"/")
			if ok && !r.Allows(p.Dir, to) {
				found1("internal/lint/deps.rules doesn't let %s import %s; declare an interface where it is needed and bind it in internal/server", p.Dir, to)
			}
		}, &found)
	}
	return found
}

// eachImport calls fn for every import of the package.
func eachImport(p *Package, fn func(f *File, imported string, report func(format string, args ...any)), found *[]Finding) {
	for _, f := range p.Files {
		for _, spec := range f.AST.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the parser let nothing else through
			}
			fn(f, imported, func(format string, args ...any) {
				*found = append(*found, f.finding(spec.Pos(), format, args...))
			})
		}
	}
}

// A Wall says which packages may import a third-party module.
type Wall struct {
	Module   string   // an import path or the beginning of one, up to a slash
	Packages []string // folders, with all below them; none means all
}

// CheckThirdParty finds imports from outside the module and the standard
// library that no wall lets through. Tests are free.
func CheckThirdParty(m *Module, walls []Wall) []Finding {
	var found []Finding
	for _, p := range m.Packages {
		eachImport(p, func(f *File, imported string, report func(format string, args ...any)) {
			first, _, _ := strings.Cut(imported, "/")
			if within(imported, m.Path) || !strings.Contains(first, ".") {
				return // our own, or the standard library
			}
			for _, w := range walls {
				if !within(imported, w.Module) {
					continue
				}
				for _, dir := range w.Packages {
					if within(p.Dir, dir) {
						return
					}
				}
				if len(w.Packages) > 0 {
					report("%s may be imported only by %s; put an interface of ours before it", w.Module, strings.Join(w.Packages, ", "))
				}
				return
			}
			report("%s is a dependency that no wall in internal/lint names; do without it, or add a wall and say why", imported)
		}, &found)
	}
	return found
}

// within says whether a path is dir or lies below it.
func within(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, dir+"/")
}
