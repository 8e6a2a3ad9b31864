package stack

import (
	"path"
	"slices"
	"strings"
)

// A language is how a family of runtimes names handlers and finds their files.
type language struct {
	prefix string   // of the runtimes' names
	only   []string // the names that there are, when the prefix isn't enough
	inline string   // the file that inline code lies in; empty when there is no such
	// module is the handler's file without its ending, slash-separated; ok is false
	// when the handler isn't of the form.
	module func(handler string) (module string, ok bool)
	form   string // what a handler must be, with an example
	// files are what a module may lie in, behind its path; the first one is what
	// people expect.
	files []string
	// sources are the endings of what a module is built from.
	sources []string
	// notBuilt are endings of sources that a folder must not hold instead when
	// nothing is built, and hint is what to do about them.
	notBuilt         []string
	notBuiltAs, hint string
	// program says that the handler's file is a program, which may come from a layer.
	program bool
}

var languages = []*language{
	{
		prefix: "nodejs", inline: "index.js",
		module: nodeModule, form: "a file without its extension, a dot, and an exported function, such as app.handler",
		files:    []string{".js", ".mjs", ".cjs", "/index.js"},
		sources:  []string{".ts", ".mts", ".cts", ".tsx", "/index.ts"},
		notBuilt: []string{".ts", ".mts", ".cts", ".tsx"}, notBuiltAs: "TypeScript", hint: "point CodeUri at the compiled JavaScript",
	},
	{
		prefix: "python3.", inline: "index.py",
		module: pythonModule, form: "a module, a dot, and a function, such as app.lambda_handler",
		files: []string{".py", "/__init__.py"},
	},
	{
		prefix: "provided", only: []string{"provided", "provided.al2", "provided.al2023"},
		module: func(string) (string, bool) { return "bootstrap", true }, files: []string{""}, program: true,
	},
	{
		prefix: "go1.x", only: []string{"go1.x"},
		module: func(handler string) (string, bool) { return path.Clean(handler), true }, files: []string{""}, program: true,
	},
}

// languageOf returns the runtime's, nil when it isn't built.
func languageOf(runtime string) *language {
	for _, l := range languages {
		if strings.HasPrefix(runtime, l.prefix) && (l.only == nil || slices.Contains(l.only, runtime)) {
			return l
		}
	}
	return nil
}

// nodeModule: src/chat.send is the export send of src/chat; what follows the
// first dot is a path of exports.
func nodeModule(handler string) (string, bool) {
	dir, base := path.Split(handler)
	file, function, dotted := strings.Cut(base, ".")
	if !dotted || file == "" || function == "" {
		return "", false
	}
	return path.Join(dir, file), true
}

// pythonModule: src/chat.send and src.chat.send are the name send of the module
// src.chat; what follows the last dot is the name.
func pythonModule(handler string) (string, bool) {
	if strings.HasPrefix(handler, "../") {
		return handler, true
	}
	dot := strings.LastIndexByte(handler, '.')
	if dot < 0 || dot == len(handler)-1 {
		return "", false
	}
	parts := strings.Split(strings.ReplaceAll(handler[:dot], "/", "."), ".")
	for _, part := range parts {
		if part == "" {
			return "", false
		}
	}
	return strings.Join(parts, "/"), true
}
