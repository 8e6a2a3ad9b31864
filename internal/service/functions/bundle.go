package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/evanw/esbuild/pkg/cli"
)

// A bundle is esbuild's memory of one function's sources: what it has parsed it
// parses again only when it was saved. esbuild runs in this process.
type bundle struct {
	context api.BuildContext
	files   []sourceFile // what the last bundle was made from, as it was before
	nodes   []string     // node_modules that were brought for it
}

func (b *bundle) dispose() {
	if b != nil {
		b.context.Dispose()
	}
}

// bundleProperties are SAM's BuildProperties for esbuild, by the names that SAM
// turns into esbuild's flags. Lists of NAME=VALUE may be maps, too.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-using-build-typescript.html
type bundleProperties struct {
	EntryPoints    []string
	Minify         *bool
	Target         string
	Sourcemap      *bool
	SourcesContent *bool
	External       []string
	Format         string
	Loader         pairs
	Banner         pairs
	Footer         pairs
	Define         pairs
	Alias          pairs
	OutExtension   pairs
	MainFields     commas
	Conditions     commas
	KeepNames      *bool
	TreeShaking    *bool
	Packages       string
	Tsconfig       string
	Charset        string
	LegalComments  string
}

// pairs are NAME=VALUE, given as a list, a map or one text.
type pairs []string

// UnmarshalJSON takes any of the three.
func (p *pairs) UnmarshalJSON(b []byte) error {
	var m map[string]string
	if json.Unmarshal(b, &m) == nil {
		for name, v := range m {
			*p = append(*p, name+"="+v)
		}
		slices.Sort(*p)
		return nil
	}
	list, err := oneOrMore(b)
	for _, one := range list {
		if !strings.Contains(one, "=") {
			return fmt.Errorf("%q must be of the form NAME=VALUE", one)
		}
	}
	*p = list
	return err
}

// commas are a list of texts, given as such or as one text with commas.
type commas []string

// UnmarshalJSON takes both.
func (c *commas) UnmarshalJSON(b []byte) error {
	list, err := oneOrMore(b)
	*c = list
	return err
}

func oneOrMore(b []byte) ([]string, error) {
	var one string
	if json.Unmarshal(b, &one) == nil {
		return []string{one}, nil
	}
	var list []string
	if json.Unmarshal(b, &list) != nil {
		return nil, errors.New("must be a text, a list of texts, or a map of texts")
	}
	return list, nil
}

// parseBundleProperties reads esbuild's properties and refuses what is unknown.
func parseBundleProperties(raw json.RawMessage) (*bundleProperties, error) {
	p := &bundleProperties{}
	if len(raw) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(p); err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	_, err := p.options()
	return p, err
}

// options are esbuild's for these properties, parsed by esbuild itself.
func (p *bundleProperties) options() (api.BuildOptions, error) {
	// SAM's own, but for minifying, which changes nothing that runs and all that
	// a person reads.
	flags := []string{"--bundle", "--platform=node"}
	add := func(format, v string) {
		if v != "" {
			flags = append(flags, fmt.Sprintf(format, v))
		}
	}
	yes := func(name string, v *bool) {
		if v != nil {
			flags = append(flags, fmt.Sprintf("--%s=%t", name, *v))
		}
	}
	yes("minify", p.Minify)
	yes("sources-content", p.SourcesContent)
	yes("keep-names", p.KeepNames)
	yes("tree-shaking", p.TreeShaking)
	add("--target=%s", p.Target)
	add("--format=%s", p.Format)
	add("--packages=%s", p.Packages)
	add("--charset=%s", p.Charset)
	add("--legal-comments=%s", p.LegalComments)
	add("--tsconfig=%s", p.Tsconfig)
	add("--main-fields=%s", strings.Join(p.MainFields, ","))
	add("--conditions=%s", strings.Join(p.Conditions, ","))
	for _, name := range p.External {
		add("--external:%s", name)
	}
	for flag, list := range map[string]pairs{"loader": p.Loader, "banner": p.Banner, "footer": p.Footer, "define": p.Define, "alias": p.Alias, "out-extension": p.OutExtension} {
		for _, pair := range list {
			flags = append(flags, "--"+flag+":"+pair)
		}
	}
	return cli.ParseBuildOptions(flags)
}

// typeScriptEndings are those of sources, best first.
var typeScriptEndings = []string{".ts", ".mts", ".cts", ".tsx", "/index.ts"}

// typeScript returns the handler's source in the code's folder, slash-separated,
// when it is TypeScript and there is no JavaScript of the name; else nothing.
func (fn *function) typeScript() string {
	module := fn.handlerModule()
	if module == "" {
		return ""
	}
	in := func(ending string) bool {
		return isFile(filepath.Join(fn.codeDir, filepath.FromSlash(module+ending)))
	}
	if slices.ContainsFunc([]string{".js", ".mjs", ".cjs", "/index.js"}, in) {
		return ""
	}
	for _, ending := range typeScriptEndings {
		if in(ending) {
			return module + ending
		}
	}
	return ""
}

// buildBundle makes one file of the handler's source and what it imports.
func (s *Service) buildBundle(ctx context.Context, fn *function, b *builder) *artifacts {
	known := filesOf(fn.codeDir, bundleEndings)
	if b.bundle != nil {
		known = merge(known, b.bundle.files)
	}
	fail := func(err error) *artifacts {
		return &artifacts{err: err, files: withFolders(known)}
	}
	if b.bundle == nil {
		if err := s.openBundle(fn, b, nil); err != nil {
			return fail(err)
		}
	}
	began := time.Now()
	result := b.bundle.context.Rebuild()
	if wanted := unresolved(result.Errors); len(wanted) > 0 && ctx.Err() == nil {
		// A package that the manifest declares is brought; then once more.
		folder, err := s.packagesFor(ctx, fn, wanted)
		if err != nil {
			return fail(err)
		}
		if folder != "" && !slices.Contains(b.bundle.nodes, filepath.Join(folder, "node_modules")) {
			nodes := append(slices.Clone(b.bundle.nodes), filepath.Join(folder, "node_modules"))
			if err := s.openBundle(fn, b, nodes); err != nil {
				return fail(err)
			}
			began = time.Now()
			result = b.bundle.context.Rebuild()
		}
	}
	if len(result.Errors) > 0 {
		for _, m := range result.Errors {
			if m.Location != nil && m.Location.Namespace == "file" {
				known = merge(known, []sourceFile{stamp(filepath.Join(fn.codeDir, m.Location.File))})
			}
		}
		return fail(bundleError(fn, result.Errors))
	}
	if err := writeBundle(b.dir, result.OutputFiles); err != nil {
		return fail(&startFailure{kind: errorBuild, message: "writing what was built: " + err.Error()})
	}
	b.bundle.files = bundleInputs(fn.codeDir, result.Metafile, known, began)
	out := &artifacts{dir: b.dir, files: b.bundle.files, usable: true}
	for _, dir := range b.bundle.nodes {
		out.packages = append(out.packages, filepath.Dir(dir))
	}
	return out
}

// bundleEndings are what a bundle is made from.
var bundleEndings = map[string]bool{
	".js": true, ".mjs": true, ".cjs": true, ".jsx": true, ".json": true,
	".ts": true, ".mts": true, ".cts": true, ".tsx": true,
}

// openBundle has esbuild get ready for the function. nodes are further
// node_modules to look into.
func (s *Service) openBundle(fn *function, b *builder, nodes []string) error {
	var properties *bundleProperties
	if spec := fn.Code.Build; spec != nil && spec.Method == methodEsbuild {
		var err error
		if properties, err = parseBundleProperties(spec.Properties); err != nil {
			return &startFailure{kind: errorBuild, message: "BuildProperties: " + err.Error()}
		}
	} else {
		properties = &bundleProperties{}
	}
	options, err := properties.options()
	if err != nil {
		return &startFailure{kind: errorBuild, message: "BuildProperties: " + err.Error()}
	}
	options.AbsWorkingDir = fn.codeDir
	options.Outdir = b.dir
	options.Metafile = true
	options.LogLevel = api.LogLevelSilent
	options.LogLimit = 20
	options.NodePaths = nodes
	options.Sourcemap = api.SourceMapLinked
	options.Plugins = []api.Plugin{lambdaBrings(fn)}
	if options.Target == api.DefaultTarget && len(options.Engines) == 0 {
		options.Engines = []api.Engine{{Name: api.EngineNode, Version: fmt.Sprint(max(fn.major(), 10))}}
	}
	if options.MainFields == nil {
		options.MainFields = []string{"main", "module"}
	}
	if options.Loader == nil {
		options.Loader = map[string]api.Loader{}
	}
	if _, own := options.Loader[".node"]; !own {
		options.Loader[".node"] = api.LoaderCopy
	}
	if len(properties.EntryPoints) > 0 {
		err = fn.entryPoints(properties.EntryPoints, &options)
	} else {
		err = fn.ownEntryPoint(&options)
	}
	if err != nil {
		return err
	}
	if options.Format == api.FormatDefault {
		options.Format = api.FormatCommonJS
	}
	made, failed := api.Context(options)
	if failed != nil {
		return bundleError(fn, failed.Errors)
	}
	b.bundle.dispose()
	b.bundle = &bundle{context: made, nodes: nodes}
	return nil
}

// ownEntryPoint has the handler's own source bundled under the handler's name.
func (fn *function) ownEntryPoint(options *api.BuildOptions) error {
	source, module := fn.typeScript(), fn.handlerModule()
	if source == "" { // JavaScript, with BuildMethod esbuild
		for _, ending := range []string{".js", ".mjs", ".cjs", ".jsx", "/index.js"} {
			if isFile(filepath.Join(fn.codeDir, filepath.FromSlash(module+ending))) {
				source = module + ending
				break
			}
		}
	}
	if module == "" || source == "" {
		return &startFailure{kind: errorBuild, message: fmt.Sprintf("the handler %q has no source in %s", fn.Handler, shownPath(fn.codeDir))}
	}
	output := module
	if strings.HasSuffix(source, "/index.ts") || strings.HasSuffix(source, "/index.js") {
		output += "/index"
	}
	options.EntryPointsAdvanced = []api.EntryPoint{{InputPath: filepath.Join(fn.codeDir, filepath.FromSlash(source)), OutputPath: output}}
	esm := options.Format == api.FormatESModule
	if options.Format == api.FormatDefault && fn.isESModule(source) {
		esm = true
		options.Format = api.FormatESModule
	}
	if esm && options.OutExtension == nil {
		options.OutExtension = map[string]string{".js": ".mjs"}
		if options.Banner == nil {
			// Packages in CommonJS call require, which a module doesn't have.
			options.Banner = map[string]string{"js": `import { createRequire as tidegateRequire } from "node:module"; const require = tidegateRequire(import.meta.url);`}
		}
	}
	return nil
}

// isESModule says whether Node.js would take a source for an ES module.
func (fn *function) isESModule(source string) bool {
	switch path.Ext(source) {
	case ".mts", ".mjs":
		return true
	case ".cts", ".cjs":
		return false
	}
	manifest, ok := nearestManifest(filepath.Dir(filepath.Join(fn.codeDir, filepath.FromSlash(source))))
	return ok && manifest.Type == "module"
}

// entryPoints has what the template names bundled as sam build does, which puts
// each entry point where it lies below the folder they have in common. One that
// has the handler's whole path gets that path.
func (fn *function) entryPoints(names []string, options *api.BuildOptions) error {
	module := fn.handlerModule()
	for i, name := range names {
		full := filepath.Join(fn.codeDir, filepath.FromSlash(name))
		if !isFile(full) {
			found := ""
			for _, ending := range []string{".ts", ".js", ".mts", ".cts", ".tsx"} {
				if isFile(full + ending) {
					found = ending
					break
				}
			}
			if found == "" {
				return &startFailure{kind: errorBuild, message: fmt.Sprintf("EntryPoints: there is no file %s", shownPath(full))}
			}
			name += found
		}
		names[i] = path.Clean(name)
	}
	stem := func(name string) string { return strings.TrimSuffix(name, path.Ext(name)) }
	whole := slices.ContainsFunc(names, func(name string) bool { return stem(name) == module })
	base := "."
	if !whole {
		base = commonFolder(names)
	}
	options.Outbase = filepath.Join(fn.codeDir, filepath.FromSlash(base))
	for _, name := range names {
		options.EntryPoints = append(options.EntryPoints, filepath.Join(fn.codeDir, filepath.FromSlash(name)))
		rel := stem(name)
		if base != "." {
			rel = strings.TrimPrefix(rel, base+"/")
		}
		if rel == module {
			whole = true
		}
	}
	if !whole {
		return &startFailure{kind: errorBuild, message: fmt.Sprintf("the handler %q is none of the EntryPoints (%s): esbuild writes each below the folder that they have in common", fn.Handler, strings.Join(names, ", "))}
	}
	return nil
}

// commonFolder is the deepest folder that holds all the files, "." for the top.
func commonFolder(names []string) string {
	base := path.Dir(names[0])
	for _, name := range names[1:] {
		for base != "." && !strings.HasPrefix(name, base+"/") {
			base = path.Dir(base)
		}
	}
	return base
}

var sdkName = regexp.MustCompile(`^(aws-sdk|@aws-sdk/[a-z0-9-]+|@smithy/[a-z0-9-]+)(/.*)?$`)

// lambdaBrings leaves the SDK out of a bundle where the function's runtime
// brings it and it isn't installed.
func lambdaBrings(fn *function) api.Plugin {
	return api.Plugin{Name: "lambda", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: `^(aws-sdk|@aws-sdk/|@smithy/)`}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			m := sdkName.FindStringSubmatch(args.Path)
			if m == nil || !fn.language().brings(fn, m[1]) || resolvable(args.ResolveDir, m[1]) {
				return api.OnResolveResult{}, nil
			}
			return api.OnResolveResult{Path: args.Path, External: true}, nil
		})
	}}
}

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
