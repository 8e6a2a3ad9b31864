package functions

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// A layer whose folder holds what goes into it, not what /opt looks like, is
// built as a function's code is: by the first function that needs it, again when
// a file was saved, and what was built before serves while that fails.
//
// Source: the SAM developer guide, "Building Lambda layers in AWS SAM".

// checkLayerBuild refuses a build that makes no layer.
func checkLayerBuild(spec *buildSpec) error {
	if spec == nil || spec.Method == methodMakefile || layerBuilds(spec.Method) != nil {
		return nil
	}
	return invalidParameter(fmt.Sprintf("TidegateBuild.Method %q doesn't build layers: makefile, nodejs* and python3.* do.", spec.Method))
}

// A layerBuild is how layers for a language are built: into a folder of /opt's,
// with what the manifest declares installed where the runtime looks for it.
type layerBuild struct {
	inside   string // the folder of /opt's
	packages string // the folder of inside's that gets what is in the cache's folder of this name
	install  func(s *Service, ctx context.Context, fn *function, b *builder) *artifacts
}

// layerBuilds returns how a method that is the name of a runtime builds; nil when
// it doesn't.
func layerBuilds(method string) *layerBuild {
	switch languageOf(method).(type) {
	case node:
		return &layerBuild{inside: "nodejs", packages: "node_modules", install: (*Service).buildNodePackages}
	case python:
		return &layerBuild{inside: "python", install: func(s *Service, ctx context.Context, fn *function, b *builder) *artifacts {
			if !isFile(filepath.Join(fn.codeDir, "requirements.txt")) {
				return &artifacts{}
			}
			return s.buildPythonPackages(ctx, fn, b)
		}}
	}
	return nil
}

// builtLayer returns what building the layer made; nil when it is what it lies
// as. It waits for the build.
func (s *Service) builtLayer(l *layer) *artifacts {
	spec := l.Code.Build
	if spec == nil || l.Code.Folder == "" {
		return nil
	}
	// The builders know of functions; this one is never run, and its name can't be
	// a function's.
	as := &function{record: record{Name: "layer:" + l.Name, Version: strconv.Itoa(l.Version), Runtime: spec.Method, Code: l.Code}, codeDir: l.Code.Folder}
	method := s.buildByMakefile
	if how := layerBuilds(spec.Method); how != nil {
		method = func(ctx context.Context, fn *function, b *builder) *artifacts { return s.buildLayer(ctx, how, fn, b) }
	}
	return s.buildBy(as, func(ctx context.Context, fn *function, b *builder) *artifacts {
		if b.last != nil && fresh(b.last.files) {
			return b.last // another function had it built
		}
		return method(ctx, fn, b)
	})
}

// buildLayer lays the layer's own files and what they depend on out as /opt.
func (s *Service) buildLayer(ctx context.Context, how *layerBuild, fn *function, b *builder) *artifacts {
	out := &artifacts{files: withFolders(everyFile(fn.codeDir))}
	installed := how.install(s, ctx, fn, b)
	if installed.err != nil {
		out.err = installed.err
		return out
	}
	fail := func(err error) *artifacts {
		out.err = &startFailure{kind: errorBuild, message: fmt.Sprintf("laying out the layer %s: %v", shownPath(fn.codeDir), err)}
		return out
	}
	made, err := b.room()
	if err != nil {
		return fail(err)
	}
	inside := filepath.Join(made, how.inside)
	if err := copyFolder(fn.codeDir, inside); err != nil {
		return fail(err)
	}
	for _, folder := range installed.packages {
		to := filepath.Join(inside, how.packages)
		if err := os.MkdirAll(to, 0o700); err != nil {
			return fail(err)
		}
		if err := overlay(to, filepath.Join(folder, how.packages)); err != nil {
			return fail(err)
		}
	}
	out.dir, out.usable = made, true
	return out
}
