package functions

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/evanw/esbuild/pkg/api"
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
