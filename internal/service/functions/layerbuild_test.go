//go:build linux || darwin

package functions

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func buildable(dir, method, id string) map[string]any {
	content := inFolder(dir)
	content["TidegateBuild"] = &buildSpec{Method: method, LogicalId: id}
	return content
}

// Layers that hold what goes into them are laid out as /opt, with what they
// depend on, and again when a file of theirs was saved.
func TestBuiltLayers(t *testing.T) {
	tool(t, "npm", depNPM)
	f := newFixture(t, func(c *Config) { c.Cache = t.TempDir() })
	code := folder(t, map[string]string{
		"package.json": `{"dependencies":{"dep":"1"}}`, "package-lock.json": "{}", "own.js": "module.exports = 'one';",
	})
	arn := f.publishLayer("words", buildable(code, "nodejs22.x", ""))
	const source = "exports.handler = async () => require('dep') + ' ' + require(process.env.OWN);"
	vars := map[string]any{"Variables": map[string]string{"OWN": "/opt/nodejs/own.js"}}
	for _, name := range []string{"first", "second"} {
		f.create(name, map[string]string{"index.js": source}, "Layers", []string{arn}, "Environment", vars)
	}
	wants := func(name, want string) {
		t.Helper()
		if _, got, _ := f.invoke(name, "{}"); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s; told %q", name, got, want, f.failures())
		}
	}
	wants("first", "required one")
	wants("second", "required one")
	write(t, filepath.Join(code, "own.js"), "module.exports = 'another';")
	wants("second", "required another")
	wants("first", "required another")
	if isFolder(filepath.Join(code, "node_modules")) {
		t.Error("it was installed into the user's folder")
	}

	// What can't be built leaves what was built before.
	write(t, filepath.Join(code, "package.json"), `{"dependencies":{"dep":"file:../dep"}}`)
	wants("first", "required another")
	if failures := f.failures(); len(failures) != 1 || !strings.Contains(failures[0], "dep: file:../dep") || !strings.Contains(failures[0], "last good build") {
		t.Errorf("told %q, want the dependency that can't be installed, once", failures)
	}
	unmade := f.publishLayer("unmade", buildable(code, "nodejs22.x", ""))
	f.create("third", map[string]string{"index.js": source}, "Layers", []string{unmade}, "Environment", vars)
	wants("third", "dep: file:../dep")
}

// What two layers depend on lies together, as Lambda lays it.
func TestBuiltLayersTogether(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("needs make on PATH")
	}
	tool(t, "npm", depNPM)
	f := newFixture(t, func(c *Config) { c.Cache = t.TempDir() })
	made := folder(t, map[string]string{
		"Makefile": "build-Words:\n\tmkdir -p $(ARTIFACTS_DIR)/nodejs/node_modules/words\n\tcp word $(ARTIFACTS_DIR)/nodejs/node_modules/words/index.js\n",
		"word":     "module.exports = 'made';",
	})
	layers := []string{
		f.publishLayer("made", buildable(made, methodMakefile, "Words")),
		f.publishLayer("installed", buildable(folder(t, map[string]string{"package.json": `{"dependencies":{"dep":"1"}}`}), "nodejs22.x", "")),
	}
	f.create("f", map[string]string{"index.js": "exports.handler = async () => require('dep') + ' ' + require('words');"}, "Layers", layers)
	if _, got, _ := f.invoke("f", "{}"); got != `"required made"` {
		t.Errorf("got %s; told %q", got, f.failures())
	}
	write(t, filepath.Join(made, "word"), "module.exports = 'made anew';")
	if _, got, _ := f.invoke("f", "{}"); got != `"required made anew"` {
		t.Errorf("got %s after saving; told %q", got, f.failures())
	}
}

func TestBuiltPythonLayer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Cache = t.TempDir() })
	needPython(t)
	code := folder(t, map[string]string{
		"requirements.txt": "./dep_of_it-1-py3-none-any.whl\n", "dep_of_it-1-py3-none-any.whl": string(wheel(t)),
		"own.py": "text = 'one'\n",
	})
	arn := f.publishLayer("words", buildable(code, "python3.12", ""))
	f.createPython("f", map[string]string{"app.py": "import brought, own\ndef handler(e, c): return brought.text + ' ' + own.text"}, "Layers", []string{arn})
	for _, want := range []string{"one", "another"} {
		write(t, filepath.Join(code, "own.py"), "text = '"+want+"'\n")
		if _, got, _ := f.invoke("f", "{}"); got != `"brought `+want+`"` {
			t.Errorf("got %s, want %s; told %q", got, want, f.failures())
		}
	}
}

func TestLayerBuildsRefused(t *testing.T) {
	f := openFixture(t)
	dir := folder(t, map[string]string{"app.ts": ""})
	for method, want := range map[string]string{
		methodEsbuild: `\"esbuild\" doesn't build layers`, methodGo: `\"go1.x\" doesn't build layers`, methodNone: `\"none\" doesn't build layers`,
		"rust-cargolambda": `\"rust-cargolambda\" doesn't build layers`, "provided.al2023": `\"provided.al2023\" doesn't build layers`,
	} {
		f.expect("POST", layers+"/l/versions", map[string]any{"Content": buildable(dir, method, "L")}, 400, want)
	}
	f.expect("POST", layers+"/l/versions", map[string]any{"Content": buildable(dir, methodMakefile, "not/one")}, 400, "must be letters and digits")
}
