package functions

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

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
