package stack

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// How code is built stands in a resource's Metadata, as SAM has it; sam deploy
// and CloudFormation don't look at it. Source: the SAM developer guide, "Default
// build with AWS SAM" and its pages on esbuild and custom runtimes.

// A build says how the code in a folder is made to run. It is done by the
// functions service, never by reading a template.
type build struct {
	method     string
	properties *value // esbuild's
}

// Methods that are not the name of a runtime.
const (
	buildNone     = "none" // the code runs as it lies in its folder
	buildEsbuild  = "esbuild"
	buildMakefile = "makefile"
	buildGo       = "go1.x"
)

// esbuildProperties are SAM's BuildProperties.
var esbuildProperties = map[string]property{
	"Alias":          {form: anyJSON},
	"Banner":         {form: anyJSON},
	"Charset":        textProperty,
	"Conditions":     {form: anyJSON},
	"Define":         {form: anyJSON},
	"EntryPoints":    {form: texts},
	"External":       {form: texts},
	"Footer":         {form: anyJSON},
	"Format":         oneOf("cjs", "esm", "iife"),
	"KeepNames":      booleanProperty,
	"LegalComments":  textProperty,
	"Loader":         {form: anyJSON},
	"MainFields":     {form: anyJSON},
	"Minify":         booleanProperty,
	"OutExtension":   {form: anyJSON},
	"Packages":       oneOf("bundle", "external"),
	"Sourcemap":      booleanProperty,
	"SourcesContent": booleanProperty,
	"Target":         textProperty,
	"TreeShaking":    booleanProperty,
	"Tsconfig":       textProperty,
}

// readBuild returns how the template says that the function's code is built;
// nil when that shows in the folder.
func (s *Stack) readBuild(res *resource, r *reporter) *build {
	if s.noBuild {
		return &build{method: buildNone}
	}
	m := res.metadata
	if m == nil || m.kind != object || m.get("BuildMethod") == nil {
		return nil
	}
	e := &evaluator{env: s.env, r: r}
	at := res.place().in("Metadata")
	v := e.eval(m.get("BuildMethod"), at.in("BuildMethod"))
	at = at.in("BuildMethod").at(v)
	method, ok := v.scalar()
	if !ok {
		r.errorf(at, "must be a text, not %s", kindOf(v))
		return nil
	}
	runtime, _ := res.properties.get("Runtime").scalar()
	l := languageOf(runtime)
	switch {
	case l == nil: // the runtime was reported
		return nil
	case method == buildMakefile:
		return &build{method: method}
	case method == buildGo && l.program:
		return &build{method: method}
	case method == buildEsbuild && l.prefix == "nodejs":
		return s.readEsbuild(res, m.get("BuildProperties"), e, r)
	case method == buildGo || method == buildEsbuild:
		r.errorf(at, "%s doesn't build for the runtime %s", method, clip(runtime))
	case languageOf(method) == l:
	default:
		r.report(at, "run sam build, then: tidegate up .aws-sam/build --no-build", "the build method %s is not built here; esbuild, makefile, go1.x, nodejs* and python3.* are", clip(method))
	}
	return nil
}

// readEsbuild checks esbuild's properties.
func (s *Stack) readEsbuild(res *resource, properties *value, e *evaluator, r *reporter) *build {
	b := &build{method: buildEsbuild}
	if properties == nil || properties.kind == null {
		return b
	}
	at := res.place().in("Metadata").in("BuildProperties")
	if v := e.eval(properties, at); v != nil {
		b.properties = conformObject(v, esbuildProperties, at.at(v), r).value
	}
	return b
}

// payload is the build as the functions service takes it.
func (b *build) payload(id string) map[string]any {
	m := map[string]any{"Method": b.method}
	if b.method == buildMakefile {
		m["LogicalId"] = id
	}
	if b.properties != nil {
		m["Properties"] = b.properties.plain()
	}
	return m
}

// entryEndings are tried behind an entry point's name.
var entryEndings = []string{"", ".ts", ".js", ".mts", ".cts", ".tsx"}

// makesHandler says whether building the folder makes the handler's file, or
// would if it weren't for what it reports.
func (s *Stack) makesHandler(res *resource, folder string, b *build, r *reporter) bool {
	runtime, _ := res.properties.get("Runtime").scalar()
	handler, ok := res.properties.get("Handler").scalar()
	l := languageOf(runtime)
	if l == nil || !ok {
		return false
	}
	is := func(name string) bool { return isRegular(filepath.Join(folder, filepath.FromSlash(name))) }
	at := res.place().in("Metadata")
	switch {
	case b != nil && b.method == buildNone:
		return false
	case b != nil && b.method == buildMakefile:
		if !is("Makefile") && !is("makefile") {
			r.errorf(at.in("BuildMethod"), "there is no Makefile in %s", shown(s, folder))
		}
		return true
	case l.program:
		return b != nil || slices.ContainsFunc(entries(folder), func(name string) bool { return strings.HasSuffix(name, ".go") })
	}
	module, ok := l.module(handler)
	if !ok || !filepath.IsLocal(filepath.FromSlash(module)) {
		return false
	}
	entryPoints := (*value)(nil)
	if b != nil && b.properties != nil {
		entryPoints = b.properties.get("EntryPoints")
	}
	if entryPoints == nil || len(entryPoints.items) == 0 {
		return slices.ContainsFunc(l.sources, func(ending string) bool { return is(module + ending) })
	}
	found := false
	at = at.in("BuildProperties").in("EntryPoints")
	for i, item := range entryPoints.items {
		name, _ := item.scalar()
		if !slices.ContainsFunc(entryEndings, func(ending string) bool { return is(name + ending) }) {
			dir, base := path.Split(name)
			r.report(at.index(i).at(item), didYouMean(base, entries(filepath.Join(folder, filepath.FromSlash(dir)))), "there is no file %s in %s", clip(name), shown(s, folder))
			found = true // the handler is not to blame
		}
		stem := strings.TrimSuffix(path.Clean(name), path.Ext(name))
		// Below the folder that the entry points have in common.
		found = found || stem == module || strings.HasSuffix(stem, "/"+module)
	}
	if !found {
		r.errorf(res.propertyPlace("Handler"), "handler %q is none of the EntryPoints", clip(handler))
	}
	return true
}
