//go:build linux || darwin

package functions

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var built = struct {
	mu  sync.Mutex
	dir string
	at  map[string]string
}{at: map[string]string{}}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// program builds testdata/NAME once and returns where it is.
func program(t testing.TB, name string) string {
	t.Helper()
	built.mu.Lock()
	defer built.mu.Unlock()
	if at, ok := built.at[name]; ok {
		return at
	}
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "functions")
		if err != nil {
			t.Fatal(err)
		}
		built.dir = dir
	}
	at := filepath.Join(built.dir, name)
	cmd := exec.Command("go", "build", "-o", at, ".")
	cmd.Dir = filepath.Join("testdata", name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	built.at[name] = at
	return at
}

func install(t testing.TB, from, to string, mode os.FileMode) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, mode); err != nil {
		t.Fatal(err)
	}
}

// createCustom makes a provided.al2023 function of a program of testdata.
func (f *fixture) createCustom(name, from string, more ...any) string {
	f.t.Helper()
	dir := f.t.TempDir()
	install(f.t, program(f.t, from), filepath.Join(dir, "bootstrap"), 0o755)
	f.create(name, nil, append([]any{"Runtime", "provided.al2023", "Handler", "bootstrap", "Code", map[string]any{"S3Bucket": folderBucket, "S3Key": dir}}, more...)...)
	return dir
}

func TestGoFunction(t *testing.T) {
	t.Parallel()
	f := openFixture(t)
	dir := f.createCustom("echo", "goecho", "MemorySize", 256)
	if status, got, h := f.invoke("echo", `{"a":[1,"ü"]}`); status != 200 || got != `{"a":[1,"ü"]}` || h.Get("X-Amz-Function-Error") != "" {
		t.Errorf("%d %s", status, got)
	}
	if _, got, h := f.invoke("echo", `"fail"`); got != `{"errorMessage":"it failed","errorType":"errorString"}` || h.Get("X-Amz-Function-Error") != "Unhandled" {
		t.Error(got)
	}
	_, got, _ := f.invoke("echo", `"panic"`)
	if end := f.last(); !strings.Contains(got, `"errorMessage":"it panicked","errorType":"string","stackTrace":[{"path":`) || end.ErrorType != "string" {
		t.Error(got)
	}
	_, got, _ = f.invoke("echo", `"environment"`)
	var out struct {
		Environment  []string
		Arn, Version string
	}
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		t.Fatal(got)
	}
	vars := map[string]string{}
	for _, pair := range out.Environment {
		name, v, _ := strings.Cut(pair, "=")
		vars[name] = v
	}
	for name, want := range map[string]string{
		"_HANDLER": "bootstrap", "AWS_REGION": testRegion, "AWS_DEFAULT_REGION": testRegion, "AWS_LAMBDA_FUNCTION_NAME": "echo",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/echo", "LAMBDA_TASK_ROOT": dir, "TZ": ":UTC", "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
	} {
		if vars[name] != want {
			t.Errorf("%s = %q, want %q", name, vars[name], want)
		}
	}
	if v, ok := vars["AWS_EXECUTION_ENV"]; ok {
		t.Errorf("AWS_EXECUTION_ENV is %q on provided.al2023", v)
	}
	if out.Arn != "arn:aws:lambda:us-east-1:000000000000:function:echo" || out.Version != "$LATEST" {
		t.Errorf("context: %s %s", out.Arn, out.Version)
	}
}

func TestClassicGo(t *testing.T) {
	t.Parallel()
	f := openFixture(t)
	dir := t.TempDir()
	install(t, program(t, "goecho"), filepath.Join(dir, "bin", "chat"), 0o755)
	code := map[string]any{"S3Bucket": folderBucket, "S3Key": dir}
	f.create("classic", nil, "Runtime", "go1.x", "Handler", "bin/chat", "Code", code)
	if _, got, _ := f.invoke("classic", `[1]`); got != `[1]` {
		t.Error(got)
	}
	if _, got, _ := f.invoke("classic", `"environment"`); !strings.Contains(got, "AWS_EXECUTION_ENV=AWS_Lambda_go1.x") {
		t.Error(got)
	}
	f.create("absent", nil, "Runtime", "go1.x", "Handler", "main", "Code", code)
	if _, got, _ := f.invoke("absent", `1`); got != `{"errorType":"PathError","errorMessage":"fork/exec `+dir+`/main: no such file or directory"}` {
		t.Error(got)
	}
	if hint := f.last().Hint; !strings.Contains(hint, "go build -o main") {
		t.Errorf("hint %q", hint)
	}
	// A program that neither asks nor listens.
	install(t, program(t, "rawruntime"), filepath.Join(dir, "mute"), 0o755)
	f.create("mute", nil, "Runtime", "go1.x", "Handler", "mute", "Timeout", 1, "Code", code,
		"Environment", map[string]any{"Variables": map[string]string{"AT_START": "hang"}})
	f.initLimit = 100 * time.Millisecond
	if _, got, _ := f.invoke("mute", `1`); !strings.Contains(got, "Task timed out after 1.00 seconds") {
		t.Error(got)
	}
	if hint := f.last().Hint; !strings.Contains(hint, "nor answers calls at the port $_LAMBDA_SERVER_PORT") {
		t.Errorf("hint %q", hint)
	}
	// One that asks the Runtime API, whatever the variable says.
	install(t, program(t, "rawruntime"), filepath.Join(dir, "raw"), 0o755)
	f.initLimit = initLimit
	f.create("raw", nil, "Runtime", "go1.x", "Handler", "raw", "Code", code)
	if _, got, _ := f.invoke("raw", `{"do":"answer"}`); strings.Contains(got, "errorType") {
		t.Error(got)
	}
}

// What Lambda answers when a custom runtime breaks the rules, and what the
// Runtime API tells the runtime.
func TestCustomRuntimeFaults(t *testing.T) {
	t.Parallel()
	f := openFixture(t)
	f.createCustom("raw", "rawruntime", "Timeout", 20)
	tests := []struct {
		do, want string // ID stands for the request id
		kind     string // of the function error
		said     string // the Runtime API's answer to the runtime
	}{
		{do: "nothing", want: `"nothing"`},
		{do: "error", want: `{"errorType":"Own.Error","errorMessage":"no","stackTrace":["a","b"]}`, kind: "Own.Error", said: `202 {"status":"OK"}`},
		{do: "empty error", want: `{"errorType":"Own.Empty","errorMessage":""}`, kind: "Own.Empty", said: `202 {"status":"OK"}`},
		{do: "twice", want: `"first"`, said: `403 {"errorMessage":"State transition from RuntimeResponseSentState to InvocationResponse failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`},
		{do: "wrong id", want: `"right"`, said: `400 {"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`},
		{do: "wrong mode", want: `"right"`, said: `400 {"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}`},
		{do: "stream", want: `"one two"`, said: `202 {"status":"OK"}`},
		{do: "broken stream", want: `{"errorType":"Own.Stream","errorMessage":"half way"}`, kind: "Own.Stream", said: `202 {"status":"OK"}`},
		{do: "big", want: `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`,
			kind: "Function.ResponseSizeTooLarge", said: `413 {"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}`},
		{do: "next twice", want: `"403 {\"errorMessage\":\"State transition from Running to Ready failed for runtime. Error: State transition is not allowed\",\"errorType\":\"InvalidStateTransition\"}"`},
		{do: "exit", want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 3"}`, kind: "Runtime.ExitError"},
		{do: "leave", want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited without providing a reason"}`, kind: "Runtime.ExitError"},
		{do: "kill", want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: signal: killed"}`, kind: "Runtime.ExitError"},
	}
	for _, tt := range tests {
		status, got, h := f.invoke("raw", `{"Do":"`+tt.do+`"}`)
		want := strings.ReplaceAll(tt.want, "ID", h.Get("X-Amzn-Requestid"))
		if status != http.StatusOK || got != want || (h.Get("X-Amz-Function-Error") != "") != (tt.kind != "") {
			t.Errorf("%s: %d %.300s\nwant %s", tt.do, status, got, want)
		}
		if end := f.last(); end.ErrorType != tt.kind {
			t.Errorf("%s: the listener heard %q", tt.do, end.ErrorType)
		}
		if tt.said == "" {
			continue
		}
		var said string
		_, got, _ = f.invoke("raw", `{}`)
		if err := json.Unmarshal([]byte(got), &said); err != nil {
			t.Errorf("%s: %s", tt.do, got)
		}
		if diff := cmp.Diff(tt.said, said); diff != "" {
			t.Errorf("%s: the Runtime API said (-want +got):\n%s", tt.do, diff)
		}
	}
	starts := map[string]string{
		"exit":  `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 5"}`,
		"error": `{"errorType":"Own.Init","errorMessage":"not today","stackTrace":[]}`,
		"hang":  `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ID Error: Task timed out after 1.00 seconds"}`,
	}
	f.initLimit = 200_000_000
	for at, want := range starts {
		f.createCustom("start-"+at, "rawruntime", "Timeout", 1, "Environment", map[string]any{"Variables": map[string]string{"AT_START": at}})
		_, got, h := f.invoke("start-"+at, `1`)
		if want = strings.ReplaceAll(want, "ID", h.Get("X-Amzn-Requestid")); got != want || h.Get("X-Amz-Function-Error") != "Unhandled" {
			t.Errorf("%s: %s\nwant %s", at, got, want)
		}
	}
}

func TestInvalidEntrypoint(t *testing.T) {
	t.Parallel()
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	foreign := filepath.Join(t.TempDir(), "foreign")
	src := folder(t, map[string]string{"main.go": "package main\n\nfunc main() {}\n", "go.mod": "module foreign\n\ngo 1.24\n"})
	cmd := exec.Command("go", "build", "-o", foreign, ".")
	cmd.Dir, cmd.Env = src, append(os.Environ(), "GOARCH="+other, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	script := func(text string, mode os.FileMode) func(string) error {
		return func(to string) error { return os.WriteFile(to, []byte(text), mode) }
	}
	tests := []struct {
		name, message, hint string // DIR stands for the folder
		make                func(bootstrap string) error
	}{
		{name: "missing", message: "Couldn't find valid bootstrap(s): [DIR/bootstrap]", hint: "a program or script named bootstrap", make: func(string) error { return nil }},
		{name: "folder", message: "Couldn't find valid bootstrap(s): [DIR/bootstrap]", hint: "a program or script", make: func(to string) error { return os.Mkdir(to, 0o755) }},
		{name: "not executable", message: "fork/exec DIR/bootstrap: permission denied", hint: "chmod +x bootstrap", make: script("#!/bin/sh\n", 0o644)},
		{name: "no program", message: "fork/exec DIR/bootstrap: exec format error", hint: "nor a script whose first line begins with #!", make: script("echo hello\n", 0o755)},
		{name: "no interpreter", message: "fork/exec DIR/bootstrap: no such file or directory", hint: `asks for the interpreter "/no/such/shell"`, make: script("#!/no/such/shell\n", 0o755)},
		{name: "Windows line ends", message: "fork/exec DIR/bootstrap: no such file or directory", hint: "Windows line ends", make: script("#!/bin/sh\r\necho\r\n", 0o755)},
		{name: "other machine", message: "fork/exec DIR/bootstrap: exec format error", hint: "/" + other, make: func(to string) error { install(t, foreign, to, 0o755); return nil }},
	}
	f := openFixture(t)
	for i, tt := range tests {
		name := "f" + string(rune('a'+i))
		dir := f.create(name, map[string]string{"x": ""}, "Runtime", "provided.al2")
		if err := tt.make(filepath.Join(dir, "bootstrap")); err != nil {
			t.Fatal(err)
		}
		status, got, h := f.invoke(name, `{}`)
		want := `{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: ` + h.Get("X-Amzn-Requestid") + ` Error: ` + strings.ReplaceAll(tt.message, "DIR", dir) + `"}`
		if status != 200 || got != want || h.Get("X-Amz-Function-Error") != "Unhandled" {
			t.Errorf("%s: %d %s\nwant %s", tt.name, status, got, want)
		}
		if end := f.last(); end.ErrorType != "Runtime.InvalidEntrypoint" || !strings.Contains(end.Hint, tt.hint) {
			t.Errorf("%s: %s, hint %q", tt.name, end.ErrorType, end.Hint)
		}
		// Put right, it runs at once.
		os.RemoveAll(filepath.Join(dir, "bootstrap"))
		install(t, program(t, "goecho"), filepath.Join(dir, "bootstrap"), 0o755)
		if _, got, _ := f.invoke(name, `7`); got != `7` {
			t.Errorf("%s, put right: %s", tt.name, got)
		}
	}
}

// A script in an archive, and what it loads: saved files of any name are live.
func TestScriptBootstrap(t *testing.T) {
	t.Parallel()
	needPython(t)
	const loop = `import os, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
text = open(os.environ["LAMBDA_TASK_ROOT"] + "/greeting.txt").read()
while True:
    r = urllib.request.urlopen(api + "next")
    urllib.request.urlopen(api + r.headers["Lambda-Runtime-Aws-Request-Id"] + "/response", data=('"%s %s"' % (text, os.environ["_HANDLER"])).encode())
`
	f := openFixture(t)
	dir := f.create("script", map[string]string{"loop.py": loop, "greeting.txt": "hello"}, "Runtime", "provided", "Handler", "any.thing")
	if err := os.WriteFile(filepath.Join(dir, "bootstrap"), []byte("#!/bin/sh\nexec python3 $LAMBDA_TASK_ROOT/loop.py\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, got, _ := f.invoke("script", `{}`); got != `"hello any.thing"` {
		t.Error(got)
	}
	write(t, filepath.Join(dir, "greeting.txt"), "good evening")
	if _, got, _ := f.invoke("script", `{}`); got != `"good evening any.thing"` {
		t.Errorf("after saving: %s", got)
	}
}

// BenchmarkWarmGo invokes a trivial Go function that is warm, through the Lambda
// API, one after the other and from 8 callers at once.
func BenchmarkWarmGo(b *testing.B) {
	f := openFixture(b, func(c *Config) { c.Events = EventListener{} })
	f.createCustom("echo", "goecho")
	invoke := func() {
		if _, got, _ := f.invoke("echo", `{"a":1}`); got != `{"a":1}` {
			b.Error(got)
		}
	}
	invoke()
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			invoke()
		}
	})
	b.Run("eight", func(b *testing.B) {
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				invoke()
			}
		})
	})
}

// A big folder isn't looked at before each invocation, yet what was saved a
// moment ago runs.
func TestBigFolderIsLookedAtSeldom(t *testing.T) {
	f := newFixture(t)
	files := map[string]string{"index.js": "exports.handler = async () => require('./lib/0');"}
	for i := range 200 {
		files["lib/"+strconv.Itoa(i)+".js"] = "module.exports = 'old';"
	}
	dir := f.create("big", files)
	for _, want := range []string{"old", "old"} {
		if _, got, _ := f.invoke("big", "{}"); got != `"`+want+`"` {
			t.Error(got)
		}
	}
	write(t, filepath.Join(dir, "lib/0.js"), "module.exports = 'newer';")
	eventually(t, "the saved file", func() bool { _, got, _ := f.invoke("big", "{}"); return got == `"newer"` })
}
