package functions

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// createIn creates a function whose code lies in a folder.
func (f *fixture) createIn(name, dir string, build *buildSpec, settings ...string) {
	f.t.Helper()
	status, body := f.tryCreateIn(name, dir, build, settings...)
	if status != http.StatusCreated {
		f.t.Fatalf("CreateFunction: %d %v", status, body)
	}
}

func (f *fixture) tryCreateIn(name, dir string, build *buildSpec, settings ...string) (int, map[string]any) {
	f.t.Helper()
	code := map[string]any{"S3Bucket": folderBucket, "S3Key": dir}
	if build != nil {
		code["TidegateBuild"] = build
	}
	in := map[string]any{"FunctionName": name, "Runtime": "nodejs20.x", "Role": testRole, "Handler": "app.handler", "Code": code, "Timeout": 20}
	for i := 0; i < len(settings); i += 2 {
		in[settings[i]] = settings[i+1]
	}
	status, body, _ := f.call("POST", "/2015-03-31/functions", in)
	return status, body
}

// failures returns what was told of failed builds.
func (f *fixture) failures() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, p := range f.said {
		if p.Err != nil {
			out = append(out, p.String())
		}
	}
	return out
}

func TestTypeScript(t *testing.T) {
	const handler = "import { text } from './lib/text';\nexport const handler = async (e: { name?: string }): Promise<string> => text(e.name);\n"
	const text = "export const text = (name?: string): string => `hello ${name ?? 'you'}`;\n"
	esbuild := func(properties string) *buildSpec {
		return &buildSpec{Method: methodEsbuild, Properties: json.RawMessage(properties)}
	}
	tests := []struct {
		name, handler string
		files         map[string]string
		build         *buildSpec
		want          string
	}{
		{name: "beside", files: map[string]string{"app.ts": handler, "lib/text.ts": text}, want: `"hello you"`},
		{name: "below", handler: "src/app.handler", files: map[string]string{"src/app.ts": handler, "src/lib/text.ts": text}, want: `"hello you"`},
		{name: "module", files: map[string]string{"app.mts": "import { text } from './lib/text.js';\nexport const handler = async () => text() + typeof require;", "lib/text.ts": text}, want: `"hello youfunction"`},
		{name: "typed", files: map[string]string{"package.json": `{"type":"module"}`, "app.ts": "export const handler = async () => import.meta.url.slice(-8);"}, want: `"/app.mjs"`},
		{name: "common", files: map[string]string{"package.json": `{"type":"module"}`, "app.cts": "export const handler = async () => typeof module;"}, want: `"object"`},
		{name: "index", files: map[string]string{"app/index.ts": "export const handler = async () => 'index';"}, want: `"index"`},
		{name: "tsconfig", files: map[string]string{"tsconfig.json": `{"compilerOptions":{"paths":{"@lib/*":["./lib/*"]}}}`, "lib/text.ts": text,
			"app.ts": "import { text } from '@lib/text';\nexport const handler = async () => text('paths');"}, want: `"hello paths"`},
		{name: "package", files: map[string]string{"node_modules/left/package.json": `{"main":"left.js"}`, "node_modules/left/left.js": "module.exports = 'left';",
			"app.ts": "import left from 'left';\nexport const handler = async () => left;"}, want: `"left"`},
		{name: "compiled", files: map[string]string{"app.ts": "no", "app.js": "exports.handler = async () => 'the JavaScript';"}, want: `"the JavaScript"`},
		{name: "entry", files: map[string]string{"app.ts": handler, "lib/text.ts": text}, build: esbuild(`{"EntryPoints":["app.ts"],"Minify":true,"Target":"es2020","Sourcemap":true}`), want: `"hello you"`},
		{name: "entryBelow", files: map[string]string{"src/app.ts": handler, "src/lib/text.ts": text}, build: esbuild(`{"EntryPoints":["src/app.ts"]}`), want: `"hello you"`},
		{name: "entryWhole", handler: "src/app.handler", files: map[string]string{"src/app.ts": handler, "src/lib/text.ts": text}, build: esbuild(`{"EntryPoints":["src/app"]}`), want: `"hello you"`},
		{name: "entries", handler: "b.handler", files: map[string]string{"src/a.ts": "", "src/b.ts": handler, "src/lib/text.ts": text}, build: esbuild(`{"EntryPoints":["src/a.ts","src/b.ts"]}`), want: `"hello you"`},
		{name: "noEntry", files: map[string]string{"app.ts": handler, "lib/text.ts": text}, build: esbuild(`{}`), want: `"hello you"`},
		{name: "esm", files: map[string]string{"app.ts": "export const handler = async () => typeof module;"},
			build: esbuild(`{"EntryPoints":["app.ts"],"Format":"esm","OutExtension":[".js=.mjs"]}`), want: `"undefined"`},
		{name: "properties", files: map[string]string{"app.ts": "import t from './t.txt'; import alias from 'other';\ndeclare const WORD: string;\nexport const handler = async () => [t, alias, WORD, (globalThis as any).banner];", "here.ts": "export default 'alias';", "t.txt": "text"},
			build: esbuild(`{"Loader":[".txt=text"],"Banner":{"js":"globalThis.banner = 1;"},"Define":["WORD=\"word\""],"Alias":{"other":"./here.ts"},"External":["not-there"],"KeepNames":true,"TreeShaking":true,"MainFields":"module,main","Conditions":["node"],"SourcesContent":false,"Footer":{"js":"//"}}`),
			want:  `["text","alias","word",1]`},
		{name: "javascript", files: map[string]string{"app.js": "import { x } from './x.js';\nexport const handler = async () => x;", "x.js": "export const x = 'bundled';"}, build: esbuild(`{"EntryPoints":["app.js"]}`), want: `"bundled"`},
	}
	f := newFixture(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			handler := tt.handler
			if handler == "" {
				handler = "app.handler"
			}
			f.createIn(tt.name, folder(t, tt.files), tt.build, "Handler", handler)
			if status, got, h := f.invoke(tt.name, `{}`); status != http.StatusOK || got != tt.want || h.Get("X-Amz-Function-Error") != "" {
				t.Errorf("got %d %s, want %s", status, got, tt.want)
			}
		})
	}
}

// A saved source is what the next invocation runs; one that can't be built is
// told once, with its place, and what ran before keeps running.
func TestTypeScriptEdits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	dir := folder(t, map[string]string{"src/app.ts": "import { n } from './n';\nexport const handler = async () => n;\n", "src/n.ts": "export const n: number = 1;\n"})
	f.createIn("edited", dir, nil, "Handler", "src/app.handler")
	want := func(want string) {
		t.Helper()
		if _, got, _ := f.invoke("edited", `{}`); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	want("1")
	write(t, filepath.Join(dir, "src/n.ts"), "export const n: number = 22;\n")
	want("22")
	write(t, filepath.Join(dir, "src/n.ts"), "export const n: number = ;\n")
	want("22")
	want("22")
	failures := f.failures()
	if place := filepath.Join(dir, "src", "n.ts") + ":1:26: Unexpected \";\""; len(failures) != 1 || !strings.Contains(failures[0], place) || !strings.Contains(failures[0], "keeps serving") {
		t.Errorf("told: %q, want one with %q", failures, place)
	}
	write(t, filepath.Join(dir, "src/n.ts"), "import { m } from './m';\nexport const n: number = m;\n")
	want("22")
	write(t, filepath.Join(dir, "src/m.ts"), "export const m = 333;\n") // the file that was missing
	want("333")
	if err := os.Remove(filepath.Join(dir, "src/m.ts")); err != nil {
		t.Fatal(err)
	}
	want("333")
}

func TestTypeScriptThatNeverWasBuilt(t *testing.T) {
	f := newFixture(t)
	tests := []struct {
		name       string
		files      map[string]string
		build      *buildSpec
		kind, want string
	}{
		{name: "syntax", files: map[string]string{"app.ts": "export const handler = async () => {\n  const x: = 1;\n};\n"}, kind: errorSyntax, want: "app.ts:2:12: Unexpected \"=\""},
		{name: "missing", files: map[string]string{"app.ts": "import x from 'not-there';\nexport const handler = async () => x;\n"}, kind: "Runtime.ImportModuleError", want: "app.ts:1:15: Could not resolve \"not-there\" (package.json doesn't declare it: run \"npm install not-there\" in "},
		{name: "entry", files: map[string]string{"app.ts": ""}, build: &buildSpec{Method: methodEsbuild, Properties: json.RawMessage(`{"EntryPoints":["main.ts"]}`)}, kind: errorBuild, want: "EntryPoints: there is no file "},
		{name: "handler", files: map[string]string{"src/other.ts": ""}, build: &buildSpec{Method: methodEsbuild, Properties: json.RawMessage(`{"EntryPoints":["src/other.ts"]}`)}, kind: errorBuild, want: `the handler "app.handler" is none of the EntryPoints (src/other.ts)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.createIn(tt.name, folder(t, tt.files), tt.build)
			status, got, h := f.invoke(tt.name, `{}`)
			var body struct{ ErrorType, ErrorMessage string }
			if err := json.Unmarshal([]byte(got), &body); err != nil || status != http.StatusOK || h.Get("X-Amz-Function-Error") != "Unhandled" {
				t.Fatalf("got %d %s %v", status, got, err)
			}
			if body.ErrorType != tt.kind || !strings.Contains(body.ErrorMessage, tt.want) {
				t.Errorf("got %s: %s\nwant %s: %s", body.ErrorType, body.ErrorMessage, tt.kind, tt.want)
			}
		})
	}
}

// Traces name the user's own file and line, of bundles made here and of those
// that came with a source map.
func TestSourceMaps(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	dir := folder(t, map[string]string{"src/app.ts": "interface Long {\n  name: string;\n}\n\nfunction fails(e: Long): never {\n  throw new TypeError(e.name);\n}\nexport const handler = async (e: Long) => fails(e);\n"})
	f.createIn("mapped", dir, nil, "Handler", "src/app.handler")
	_, got, _ := f.invoke("mapped", `{"name":"here"}`)
	if want := filepath.Join(dir, "src", "app.ts") + ":6:9"; !strings.Contains(got, want) {
		t.Errorf("the trace lacks %s: %s", want, got)
	}
	// As CDK leaves it: index.js and index.js.map in a folder of their own.
	out := filepath.Join(f.cfg.Dir, "build", "mapped", "src")
	js, err := os.ReadFile(filepath.Join(out, "app.js"))
	if err != nil {
		t.Fatal(err)
	}
	sourceMap, err := os.ReadFile(filepath.Join(out, "app.js.map"))
	if err != nil {
		t.Fatal(err)
	}
	asset := folder(t, map[string]string{"index.js": strings.ReplaceAll(string(js), "app.js.map", "index.js.map"), "index.js.map": string(sourceMap)})
	f.createIn("asset", asset, nil, "Handler", "index.handler")
	_, got, _ = f.invoke("asset", `{"name":"here"}`)
	if want := "app.ts:6:9"; !strings.Contains(got, want) {
		t.Errorf("the asset's trace lacks %s: %s", want, got)
	}
}

func TestBuildsThatAreRefused(t *testing.T) {
	f := newFixture(t)
	dir := folder(t, map[string]string{"app.ts": "", "app.js": ""})
	tests := []struct {
		build buildSpec
		want  string
	}{
		{buildSpec{Method: "rust-cargolambda"}, `TidegateBuild.Method "rust-cargolambda" is unknown`},
		{buildSpec{Method: methodEsbuild, Properties: json.RawMessage(`{"Minfy":true}`)}, `unknown field "Minfy"`},
		{buildSpec{Method: methodEsbuild, Properties: json.RawMessage(`{"Target":"moon3"}`)}, `moon3`},
		{buildSpec{Method: methodEsbuild, Properties: json.RawMessage(`{"Loader":["text"]}`)}, `"text" must be of the form NAME=VALUE`},
		{buildSpec{Method: methodMakefile, LogicalId: "-j 8"}, `must be letters and digits`},
		{buildSpec{Method: methodMakefile, LogicalId: "A", Properties: json.RawMessage(`{"X":1}`)}, `has none`},
	}
	for i, tt := range tests {
		status, body := f.tryCreateIn(fmt.Sprint("refused", i), dir, &tt.build)
		if text := fmt.Sprint(body["message"], body["Message"]); status != http.StatusBadRequest || !strings.Contains(text, tt.want) {
			t.Errorf("%+v: got %d %v, want %s", tt.build, status, body, tt.want)
		}
	}
	if status, _, _ := f.call("POST", "/2015-03-31/functions", map[string]any{"FunctionName": "zip", "Runtime": "nodejs20.x", "Role": testRole, "Handler": "app.handler",
		"Code": map[string]any{"ZipFile": zipped(t, map[string]string{"app.js": ""}), "TidegateBuild": map[string]any{"Method": "makefile"}}}); status != http.StatusBadRequest {
		t.Errorf("a build of an archive: got %d", status)
	}
}

// BenchmarkSavedTypeScript is the time from a saved .ts file to the answer of
// the code in it.
func BenchmarkSavedTypeScript(b *testing.B) {
	f := newFixture(b)
	dir := folder(b, map[string]string{"app.ts": "import { n } from './n';\nexport const handler = async (): Promise<number> => n;\n", "n.ts": "export const n = 0;\n"})
	f.createIn("saved", dir, nil)
	if _, got, _ := f.invoke("saved", `{}`); got != "0" {
		b.Fatal(got)
	}
	n := 0
	for b.Loop() {
		n++
		write(b, filepath.Join(dir, "n.ts"), fmt.Sprintf("export const n = %d;\n", n))
		if _, got, _ := f.invoke("saved", `{}`); got != fmt.Sprint(n) {
			b.Fatalf("got %s, want %d", got, n)
		}
	}
}
