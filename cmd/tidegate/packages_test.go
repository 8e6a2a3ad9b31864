package main

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// packagesTemplate has a function NAME for each folder.
func packagesTemplate(runtime string, names ...string) string {
	text := "Transform: AWS::Serverless-2016-10-31\nResources:\n"
	for _, name := range names {
		text += fmt.Sprintf("  %s: {Type: AWS::Serverless::Function, Properties: {CodeUri: %[1]s, Handler: app.handler, Runtime: %s}}\n", name, runtime)
	}
	return text
}

// ownCache has a test's Tidegate install what other tests, and the user, have
// installed before.
func ownCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	return dir
}

// TestNPM has the real npm install a small package from the registry that it is
// configured for, as a lock file says and without one.
func TestNPM(t *testing.T) {
	need(t, "node", "npm")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "npm", "view", "--fetch-retries=0", "ms@2.1.3", "version").CombinedOutput(); err != nil {
		t.Skipf("npm doesn't reach its registry: %v\n%s", err, out)
	}
	ownCache(t)
	const code = `exports.handler = async () => require('ms')('2 days') + ' ' + require('ms/package.json').version;`
	dir := folder(t, map[string]string{
		"template.yaml": packagesTemplate("nodejs22.x", "Locked", "Unlocked", "Forged"),
		"Locked/app.js": code, "Locked/package.json": `{"dependencies": {"ms": "^2.0.0"}}`,
		// 2.1.2, which isn't what npm install would choose.
		"Locked/package-lock.json": `{"lockfileVersion": 3, "requires": true, "packages": {"": {"dependencies": {"ms": "^2.0.0"}}, "node_modules/ms": {"version": "2.1.2",
			"integrity": "sha512-sGkPx+VjMtmA6MX27oA4FBFELFCZZ4S4XqeGOXCv68tT+jb3vk/RyaKWP0PTKyWtmLSM0b+adUTEvbs1PEaH2w=="}}}`,
		"Unlocked/app.js": code, "Unlocked/package.json": `{"dependencies": {"ms": "2.1.3"}}`,
		"Forged/app.js": code, "Forged/package.json": `{"dependencies": {"ms": "2.1.3"}}`,
		"Forged/package-lock.json": `{"lockfileVersion": 3, "requires": true, "packages": {"": {"dependencies": {"ms": "2.1.3"}}, "node_modules/ms": {"version": "2.1.3",
			"integrity": "sha512-sGkPx+VjMtmA6MX27oA4FBFELFCZZ4S4XqeGOXCv68tT+jb3vk/RyaKWP0PTKyWtmLSM0b+adUTEvbs1PEaH2w=="}}}`,
	})
	s := start(t, dir)
	for name, want := range map[string]string{"Locked": "172800000 2.1.2", "Unlocked": "172800000 2.1.3", "Forged": "Cannot find module 'ms'"} {
		if out, stderr, _ := output(t, dir, "", "invoke", name); !strings.Contains(out+stderr, want) {
			t.Errorf("%s: got %s%s, want %s", name, out, stderr, want)
		}
		if _, err := os.Stat(filepath.Join(dir, name, "node_modules")); err == nil {
			t.Errorf("%s: npm wrote into the user's folder", name)
		}
	}
	for _, want := range []string{"installed dependencies: npm ci", "installed dependencies: npm install", "EINTEGRITY"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("%q isn't told", want)
		}
	}
}

// TestPip has the real pip install from a package index, one of this machine.
func TestPip(t *testing.T) {
	need(t, "python3")
	if out, err := exec.Command("python3", "-m", "pip", "--version").CombinedOutput(); err != nil {
		t.Skipf("python3 has no pip: %s", out)
	}
	const file = "brought_by_index-1.0-py3-none-any.whl"
	wheel := wheelOf(t, "brought_by_index-1.0", map[string]string{"brought_by_index.py": "text = 'from the index'\n"})
	index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/simple/brought-by-index/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<!DOCTYPE html><a href="/%s">%[1]s</a>`, file)
		case "/" + file:
			w.Write(wheel)
		default:
			http.NotFound(w, r)
		}
	}))
	defer index.Close()
	t.Setenv("PIP_INDEX_URL", index.URL+"/simple/")
	t.Setenv("PIP_CONFIG_FILE", os.DevNull)
	ownCache(t)
	dir := folder(t, map[string]string{
		"template.yaml": packagesTemplate("python3.12", "Listed", "Missing"),
		"Listed/app.py": "import brought_by_index\ndef handler(event, context): return brought_by_index.text\n", "Listed/requirements.txt": "brought-by-index==1.0  # small\n",
		"Missing/app.py": "import not_there\ndef handler(event, context): return 1\n", "Missing/requirements.txt": "not-there==1.0\n",
	})
	s := start(t, dir)
	for name, want := range map[string]string{"Listed": "from the index", "Missing": "No module named 'not_there'"} {
		if out, stderr, _ := output(t, dir, "", "invoke", name); !strings.Contains(out+stderr, want) {
			t.Errorf("%s: got %s%s, want %s", name, out, stderr, want)
		}
	}
	for _, want := range []string{"installed dependencies: pip install --target", "No matching distribution found for not-there==1.0"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("%q isn't told", want)
		}
	}
}

// wheelOf is a wheel of pure Python.
func wheelOf(t *testing.T, name string, files map[string]string) []byte {
	t.Helper()
	project, version, _ := strings.Cut(name, "-")
	info := name + ".dist-info/"
	files[info+"METADATA"] = "Metadata-Version: 2.1\nName: " + project + "\nVersion: " + version + "\n"
	files[info+"WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
	record := info + "RECORD,,\n"
	for file := range files {
		record += file + ",,\n"
	}
	files[info+"RECORD"] = record
	return zipped(t, files)
}

// zipped is a zip file with files.
func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for file, content := range files {
		w, err := z.Create(file)
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestInterruptedBuild presses Ctrl-C while npm waits for a registry that never
// answers, and while make waits for what it started: nothing is left, neither
// processes nor half a folder of packages.
func TestInterruptedBuild(t *testing.T) {
	need(t, "node", "npm", "make")
	asked := make(chan struct{}, 100)
	done := make(chan struct{})
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-done
	}))
	defer registry.Close()
	defer close(done)
	cache := ownCache(t)
	text := strings.Replace(packagesTemplate("nodejs22.x", "Waits", "Makes"), "Makes: {", "Makes: {Metadata: {BuildMethod: makefile}, ", 1)
	dir := folder(t, map[string]string{
		"template.yaml": text,
		"Waits/app.js":  "exports.handler = async () => require('ms');", "Waits/package.json": `{"dependencies": {"ms": "2.1.3"}}`, "Waits/.npmrc": "registry=" + registry.URL + "\n",
		"Makes/Makefile": "build-Makes:\n\tsleep 600 & sleep 601 & touch $(STARTED); wait\n",
	})
	started := filepath.Join(t.TempDir(), "started")
	t.Setenv("STARTED", started)
	s := &stackUnderTest{t: t, dir: dir, log: &logBuffer{}, exited: make(chan struct{})}
	s.cmd = tidegate(context.Background(), dir, "up", "--port", "0", "--log-format", "text")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill() })
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	s.await("npm to have asked", func() bool { return len(asked) > 0 })
	s.await("make to have started others", func() bool { _, err := os.Stat(started); return err == nil })
	if tree := descendants(t, s.cmd.Process.Pid); runtime.GOOS == "linux" && len(tree) < 4 {
		t.Errorf("Tidegate has %v below it, want npm, make and two sleeps", tree)
	}
	s.stop() // which wants each of them ended
	// Without the dot, or with it: what is there would be taken for installed, or
	// was left behind. The lock stays.
	for _, pattern := range []string{"[^.]*", ".filling-*"} {
		left, err := filepath.Glob(filepath.Join(cache, "tidegate", "npm", pattern))
		if err != nil || len(left) > 0 {
			t.Errorf("the cache holds %v, %v", left, err)
		}
	}
}
