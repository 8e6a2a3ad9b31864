package functions

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goRuntime is the least that speaks the Runtime API: each invocation is
// answered with what the constant says.
const goRuntime = `package main

import (
	"net/http"
	"os"
	"strings"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		r, err := http.Get(api + "next")
		if err != nil {
			return
		}
		r.Body.Close()
		http.Post(api+r.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", strings.NewReader(text()))
	}
}
`

func TestGoSources(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs go on PATH")
	}
	f := openFixture(t)
	dir := folder(t, map[string]string{
		"go.mod": "module hello\n\ngo 1.21\n", "main.go": goRuntime,
		"text.go": "package main\n\nfunc text() string { return `\"one\"` }\n",
	})
	f.createIn("golang", dir, nil, "Runtime", "provided.al2023", "Handler", "bootstrap")
	want := func(want string) {
		t.Helper()
		if status, got, _ := f.invoke("golang", `{}`); status != http.StatusOK || !strings.Contains(got, want) {
			t.Errorf("got %d %s, want %s", status, got, want)
		}
	}
	want(`"one"`)
	write(t, filepath.Join(dir, "text.go"), "package main\n\nfunc text() string { return `\"second\"` }\n")
	want(`"second"`)
	write(t, filepath.Join(dir, "text.go"), "package main\n\nfunc text() string { return 3 }\n")
	want(`"second"`)
	place := filepath.Join(dir, "text.go") + ":3:29: cannot use 3"
	if failures := f.failures(); len(failures) != 1 || !strings.Contains(failures[0], place) {
		t.Errorf("told: %q, want one with %s", failures, place)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("the user's folder has %v, %v", entries, err)
	}
	bad := folder(t, map[string]string{"go.mod": "module hello\n\ngo 1.21\n", "main.go": "package main\n\nfunc main() { nothing() }\n"})
	f.createIn("bad", bad, nil, "Runtime", "provided.al2023", "Handler", "bootstrap")
	if _, got, h := f.invoke("bad", `{}`); h.Get("X-Amz-Function-Error") == "" || !strings.Contains(got, "main.go:3:15: undefined: nothing") {
		t.Errorf("got %s", got)
	}
}

func TestMakefile(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("needs make on PATH")
	}
	f := newFixture(t)
	dir := folder(t, map[string]string{
		"Makefile": "build-Made:\n\techo 'exports.handler = async () => \"'`cat word`'\";' > left-behind\n\tcp left-behind $(ARTIFACTS_DIR)/app.js\n",
		"word":     "one",
	})
	build := &buildSpec{Method: methodMakefile, LogicalId: "Made"}
	f.createIn("made", dir, build)
	for _, word := range []string{"one", "three"} {
		if word != "one" { // which lies there: written again in the same tick of the file system's clock, it would look untouched
			write(t, filepath.Join(dir, "word"), word)
		}
		if _, got, _ := f.invoke("made", `{}`); got != `"`+word+`"` {
			t.Errorf("got %s, want %s", got, word)
		}
	}
	if isFile(filepath.Join(dir, "left-behind")) {
		t.Error("make ran in the user's folder")
	}
	f.createIn("unmade", dir, &buildSpec{Method: methodMakefile, LogicalId: "Other"})
	if _, got, _ := f.invoke("unmade", `{}`); !strings.Contains(got, "make build-Other: exit status 2") || !strings.Contains(got, "No rule to make target") {
		t.Errorf("got %s", got)
	}
	status, _, _ := f.call("DELETE", "/2015-03-31/functions/made", nil)
	if status != http.StatusNoContent || isFolder(filepath.Join(f.cfg.Dir, "build", "made")) {
		t.Errorf("deleting it: %d, and what was built is still there: %v", status, isFolder(filepath.Join(f.cfg.Dir, "build", "made")))
	}
}

// tool puts a program that stands in for npm or pip's index on PATH; the tests
// that install from the real ones are those of the command.
func tool(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// depNPM installs the package dep, says that it ran, and fails when there is a
// file fail beside it.
const depNPM = `here=$(dirname "$0")
echo "$*" >> "$here/ran"
if [ -e "$here/fail" ]; then echo "npm error code ENOTFOUND" >&2; echo "npm error network request failed" >&2; exit 1; fi
mkdir -p node_modules/dep
echo '{"main":"dep.js","exports":{"import":"./dep.mjs","require":"./dep.js"}}' > node_modules/dep/package.json
echo 'module.exports = "required";' > node_modules/dep/dep.js
echo 'export default "imported";' > node_modules/dep/dep.mjs
`

func TestNodePackages(t *testing.T) {
	tool(t, "npm", depNPM)
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Fatal(err)
	}
	ran := func() []string {
		b, _ := os.ReadFile(filepath.Join(filepath.Dir(npm), "ran"))
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	const manifest = `{"dependencies":{"dep":"1.0.0"},"devDependencies":{"other":"1"}}`
	f := newFixture(t, func(c *Config) { c.Cache = t.TempDir() })
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"required", map[string]string{"package.json": manifest, "app.js": "exports.handler = async () => require('dep');"}, `"required"`},
		{"shared", map[string]string{"package.json": manifest, "app.js": "exports.handler = async () => 'and ' + require('dep');"}, `"and required"`},
		{"imported", map[string]string{"package.json": manifest, "app.mjs": "import dep from 'dep';\nexport const handler = async () => dep;"}, `"imported"`},
		{"bundled", map[string]string{"package.json": manifest, "app.ts": "import dep from 'dep';\nexport const handler = async () => dep;"}, `"imported"`},
		{"locked", map[string]string{"package.json": manifest, "package-lock.json": "{}", "app.js": "exports.handler = async () => require('dep');"}, `"required"`},
		{"there", map[string]string{"package.json": manifest, "node_modules/dep/index.js": "module.exports = 'mine';", "app.js": "exports.handler = async () => require('dep');"}, `"mine"`},
		{"unused", map[string]string{"package.json": manifest, "app.ts": "export const handler = async () => 1;"}, `1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, tt.files)
			f.createIn(tt.name, dir, nil)
			if _, got, _ := f.invoke(tt.name, `{}`); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if tt.name != "there" && isFolder(filepath.Join(dir, "node_modules")) {
				t.Error("it was installed into the user's folder")
			}
		})
	}
	got := ran()
	if len(got) != 2 || !strings.HasPrefix(got[0], "install --ignore-scripts") || !strings.HasPrefix(got[1], "ci --ignore-scripts") {
		t.Errorf("npm ran as %q, want install once, then ci", got)
	}
	t.Run("offline", func(t *testing.T) {
		write(t, filepath.Join(filepath.Dir(npm), "fail"), "")
		f.createIn("offline", folder(t, map[string]string{"package.json": `{"dependencies":{"dep":"2"}}`, "app.js": "exports.handler = async () => require('dep');"}), nil)
		if _, got, _ := f.invoke("offline", `{}`); !strings.Contains(got, "Cannot find module 'dep'") {
			t.Errorf("got %s", got)
		}
		want := "its dependencies could not be installed: npm install: exit status 1: code ENOTFOUND; network request failed; run \"npm install\" in "
		if failures := f.failures(); len(failures) != 1 || !strings.Contains(failures[0], want) {
			t.Errorf("told %q, want %q", failures, want)
		}
	})
	t.Run("beside", func(t *testing.T) {
		f.createIn("beside", folder(t, map[string]string{"package.json": `{"dependencies":{"dep":"file:../dep"}}`, "app.js": "exports.handler = async () => 1;"}), nil)
		if _, got, _ := f.invoke("beside", `{}`); got != "1" {
			t.Errorf("got %s", got)
		}
		if failures := f.failures(); !strings.Contains(fmt.Sprint(failures), "dep: file:../dep, which can't be installed apart from it") {
			t.Errorf("told %q", failures)
		}
	})
}

// wheel is one of the package brought.
func wheel(t *testing.T) []byte {
	return zipped(t, map[string]string{
		"brought.py":                     "text = 'brought'\n",
		"dep_of_it-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: dep-of-it\nVersion: 1\n",
		"dep_of_it-1.dist-info/WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"dep_of_it-1.dist-info/RECORD":   "brought.py,,\ndep_of_it-1.dist-info/METADATA,,\ndep_of_it-1.dist-info/WHEEL,,\ndep_of_it-1.dist-info/RECORD,,\n",
	})
}

// A requirement that is a wheel beside it needs no network, and the real pip.
func TestPythonPackages(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("python3", "-c", "import pip").CombinedOutput(); err != nil {
		t.Skipf("needs python3 with pip: %s", out)
	}
	f := openFixture(t, func(c *Config) { c.Cache = t.TempDir() })
	dir := folder(t, map[string]string{
		"requirements.txt": "./dep_of_it-1-py3-none-any.whl\n", "dep_of_it-1-py3-none-any.whl": string(wheel(t)),
		"app.py": "import brought\ndef handler(event, context):\n    return brought.text\n",
	})
	f.createIn("packages", dir, nil, "Runtime", "python3.12")
	if _, got, _ := f.invoke("packages", `{}`); got != `"brought"` {
		t.Errorf("got %s; told %q", got, f.failures())
	}
	f.createIn("none", folder(t, map[string]string{"requirements.txt": "pip\n# nothing else\n", "app.py": "def handler(event, context):\n    return 1\n"}), nil, "Runtime", "python3.12")
	if _, got, _ := f.invoke("none", `{}`); got != "1" {
		t.Errorf("got %s", got)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.said {
		if p.Function == "none" {
			t.Errorf("told %s although pip is there", p)
		}
	}
}
