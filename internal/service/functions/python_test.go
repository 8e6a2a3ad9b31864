//go:build linux || darwin

package functions

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// needPython skips without a Python, and returns one.
// machinePython is the python3 of the PATH that the tests began with, asked once.
var machinePython = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	return strings.TrimSpace(string(out)), err
})

func needPython(t testing.TB) string {
	t.Helper()
	python, err := machinePython()
	if err != nil {
		t.Skip("needs python3 on PATH")
	}
	return python
}

func pythonFixture(t testing.TB, change ...func(*Config)) *fixture {
	t.Helper()
	needPython(t)
	return openFixture(t, change...)
}

func (f *fixture) createPython(name string, files map[string]string, more ...any) string {
	f.t.Helper()
	return f.create(name, files, append([]any{"Runtime", "python3.12", "Handler", "app.handler"}, more...)...)
}

var pythonFiles = map[string]string{
	"app.py": `
import datetime, decimal, json, os, signal, sys, threading

def lambda_handler(event, context):
    return {"got": event}

def nothing(event, context):
    global ran
    ran = event

def number(event, context): return [decimal.Decimal("1.10"), decimal.Decimal("12345678901234567890123456789.5"), {"n": decimal.Decimal("1E+3")}]
def bytes_inside(event, context): return {"b": "ü".encode()}
def raw(event, context): return b'{"already": "JSON"}'
def thread(event, context):
    out = []
    t = threading.Thread(target=lambda: out.append("ran"))
    t.start(); t.join()
    return out
def big(event, context): return "x" * event["n"]
class Chat:
    def __call__(self, event, context): return "object"
chat = Chat()

def throws(event, context): raise ValueError("thrown")
class MyError(Exception): pass
def deeper(): raise MyError("ü", 2)
def own(event, context): deeper()
def mute(event, context):
    class Mute(Exception):
        def __str__(self): raise KeyError("x")
    raise Mute()
def date(event, context): return {"when": datetime.datetime(2026, 1, 1)}
def nan(event, context): return float("nan")
def circular(event, context):
    a = []
    a.append(a)
    return a
async def coroutine(event, context): return 1
def exit3(event, context): sys.exit(3)
def exit0(event, context): sys.exit()
def signalled(event, context): os.kill(os.getpid(), signal.SIGKILL)
not_function = 5
`,
	"src/handlers/chat.py": "from . import name\nimport src.handlers.name as same\ndef handler(event, context): return name.text + str(name is same)",
	"src/handlers/name.py": "text = 'from src '",
	"pkg/__init__.py":      "def handler(event, context): return 'package'",
	"pkg/mod.py":           "def handler(event, context): return __name__",
	"http_.py":             "import http.client\ndef handler(event, context): return http.client.__name__",
	"json.py":              "raise Exception('the standard library is hidden')",
	"broken_syntax.py":     "def handler(event, context:\n  pass",
	"broken_missing.py":    "import not_there",
	"broken_inside.py":     "import broken_missing",
	"broken_throws.py":     "def f():\n    raise RuntimeError('at load')\nf()",
	"broken_exits.py":      "import sys\nsys.exit(4)",
}

func TestPythonHandlers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		handler, event, want string
		runtime              string
	}{
		{handler: "app.lambda_handler", event: `{"a":[1,"ü",null,true,1.5]}`, want: `{"got": {"a": [1, "ü", null, true, 1.5]}}`},
		{handler: "app.lambda_handler", event: `"ü🌊"`, want: `{"got": "\u00fc\ud83c\udf0a"}`, runtime: "python3.11"},
		{handler: "app.lambda_handler", event: `"ü"`, want: `{"got": "\u00fc"}`, runtime: "python3.6"},
		{handler: "app.nothing", want: `null`, runtime: "python3.13"},
		{handler: "app.number", want: `[1.10, 12345678901234567890123456789.5, {"n": 1E+3}]`},
		{handler: "app.bytes_inside", want: `{"b": "ü"}`},
		{handler: "app.raw", want: `{"already": "JSON"}`},
		{handler: "app.thread", want: `["ran"]`},
		{handler: "app.chat", want: `"object"`},
		{handler: "src/handlers/chat.handler", want: `"from src True"`},
		{handler: "src.handlers.chat.handler", want: `"from src True"`},
		{handler: "pkg.handler", want: `"package"`},
		{handler: "pkg.mod.handler", want: `"pkg.mod"`},
		{handler: "pkg/mod.handler", want: `"pkg.mod"`},
		{handler: "http_.handler", want: `"http.client"`},
	}
	f := pythonFixture(t)
	for i, tt := range tests {
		t.Run(tt.handler, func(t *testing.T) {
			t.Parallel()
			runtime := tt.runtime
			if runtime == "" {
				runtime = "python3.12"
			}
			name := "style" + string(rune('a'+i))
			dir := f.createPython(name, pythonFiles, "Handler", tt.handler, "Runtime", runtime)
			status, got, h := f.invoke(name, tt.event)
			if status != http.StatusOK || got != tt.want || h.Get("X-Amz-Function-Error") != "" {
				t.Errorf("got %d %s (%s), want %s", status, got, h.Get("X-Amz-Function-Error"), tt.want)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*", "__pycache__")); len(left) > 0 {
				t.Errorf("left behind in the user's folder: %v", left)
			}
		})
	}
}

func TestPythonErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		handler, kind, message string // message: ID stands for the request id
		trace                  string // the whole of it, DIR stands for the folder; "-" for any
	}{
		{handler: "app.throws", kind: "ValueError", message: "thrown", trace: "  File \"DIR/app.py\", line 24, in throws\n    def throws(event, context): raise ValueError(\"thrown\")\n"},
		{handler: "app.own", kind: "MyError", message: "('ü', 2)", trace: "  File \"DIR/app.py\", line 27, in own\n    def own(event, context): deeper()\n|  File \"DIR/app.py\", line 26, in deeper\n    def deeper(): raise MyError(\"ü\", 2)\n"},
		{handler: "app.mute", kind: "Mute", message: "<the error has no text: KeyError>", trace: "-"},
		{handler: "app.date", kind: "Runtime.MarshalError", message: "Unable to marshal response: Object of type datetime is not JSON serializable"},
		{handler: "app.circular", kind: "Runtime.MarshalError", message: "Unable to marshal response: Circular reference detected"},
		{handler: "app.coroutine", kind: "Runtime.MarshalError", message: "Unable to marshal response: Object of type coroutine is not JSON serializable"},
		{handler: "app.not_function", kind: "TypeError", message: "'int' object is not callable"},
		{handler: "app.exit3", kind: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: exit status 3"},
		{handler: "app.exit0", kind: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited without providing a reason"},
		{handler: "app.signalled", kind: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: signal: killed"},
		{handler: "app.notThere", kind: "Runtime.HandlerNotFound", message: "Handler 'notThere' missing on module 'app'"},
		{handler: "handler", kind: "Runtime.MalformedHandlerName", message: "Bad handler 'handler': not enough values to unpack (expected 2, got 1)"},
		{handler: "sys.exit", kind: "Runtime.BuiltInModuleConflict", message: "Cannot use built-in module sys as a handler module"},
		{handler: "absent.handler", kind: "Runtime.ImportModuleError", message: "Unable to import module 'absent': No module named 'absent'"},
		{handler: "src/handlers/absent.handler", kind: "Runtime.ImportModuleError", message: "Unable to import module 'src/handlers/absent': No module named 'src.handlers.absent'"},
		{handler: "broken_missing.handler", kind: "Runtime.ImportModuleError", message: "Unable to import module 'broken_missing': No module named 'not_there'"},
		{handler: "broken_inside.handler", kind: "Runtime.ImportModuleError", message: "Unable to import module 'broken_inside': No module named 'not_there'"},
		{handler: "broken_throws.handler", kind: "RuntimeError", message: "at load", trace: "-"},
		{handler: "broken_exits.handler", kind: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: exit status 4"},
	}
	f := pythonFixture(t)
	for i, tt := range tests {
		t.Run(tt.handler, func(t *testing.T) {
			t.Parallel()
			name := "error" + string(rune('a'+i))
			dir := f.createPython(name, pythonFiles, "Handler", tt.handler)
			status, got, h := f.invoke(name, `{}`)
			if status != http.StatusOK || h.Get("X-Amz-Function-Error") != "Unhandled" {
				t.Fatalf("got %d %s, X-Amz-Function-Error %q", status, got, h.Get("X-Amz-Function-Error"))
			}
			var body struct {
				ErrorType, ErrorMessage string
				StackTrace              []string
			}
			if err := json.Unmarshal([]byte(got), &body); err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(tt.message, "ID", h.Get("X-Amzn-Requestid"))
			if body.ErrorType != tt.kind || body.ErrorMessage != want {
				t.Errorf("got %s: %s\nwant %s: %s", body.ErrorType, body.ErrorMessage, tt.kind, want)
			}
			trace := strings.Join(body.StackTrace, "|")
			if want := strings.ReplaceAll(tt.trace, "DIR", dir); tt.trace != "-" && trace != want {
				t.Errorf("stackTrace %q, want %q", trace, want)
			}
			if strings.Contains(trace, "bootstrap.py") {
				t.Errorf("stackTrace %q tells of our own frames", trace)
			}
		})
	}
	f.createPython("syntax", pythonFiles, "Handler", "broken_syntax.handler")
	if _, got, _ := f.invoke("syntax", `{}`); !strings.Contains(got, `"errorMessage": "Syntax error in module 'broken_syntax': `) || !strings.Contains(got, `"errorType": "Runtime.UserCodeSyntaxError"`) || !strings.Contains(got, `broken_syntax.py\" Line `) {
		t.Error(got)
	}
	f.createPython("nan", pythonFiles, "Handler", "app.nan")
	if _, got, _ := f.invoke("nan", `{}`); !strings.Contains(got, "Runtime.MarshalError") || !strings.Contains(got, "Out of range float values are not JSON compliant") {
		t.Error(got)
	}
	f.createPython("id", pythonFiles, "Handler", "app.throws")
	if _, got, h := f.invoke("id", `{}`); !strings.Contains(got, `"requestId": "`+h.Get("X-Amzn-Requestid")+`"`) {
		t.Error(got)
	}
}

func TestPythonContextAndVariables(t *testing.T) {
	t.Setenv("AWS_PROFILE", "the-users-own")
	f := pythonFixture(t)
	dir := f.createPython("env", map[string]string{"app.py": `
import os, sys
def handler(event, context):
    c = context.client_context
    return {"env": dict(os.environ), "cwd": os.getcwd(), "path": sys.path, "left": context.get_remaining_time_in_millis(),
        "context": {n: getattr(context, n) for n in ("function_name", "function_version", "memory_limit_in_mb", "log_group_name",
            "log_stream_name", "aws_request_id", "invoked_function_arn")},
        "client": [c.custom, c.env, c.client.app_title, c.client.installation_id],
        "identity": [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]}`},
		"MemorySize", 1024, "Timeout", 30, "Environment", map[string]any{"Variables": map[string]string{"TABLE": "t", "PYTHONPATH": "/own"}})
	client := base64.StdEncoding.EncodeToString([]byte(`{"custom":{"n":"ü"},"env":{"e":1},"client":{"app_title":"chat"}}`))
	_, got, h := f.invoke("arn:aws:lambda:us-east-1:000000000000:function:env", `{}`, "X-Amz-Client-Context", client)
	var out struct {
		Env              map[string]string
		Cwd              string
		Path             []string
		Left             float64
		Context          map[string]string
		Client, Identity []any
	}
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		t.Fatal(got)
	}
	stream := out.Env["AWS_LAMBDA_LOG_STREAM_NAME"]
	for name, want := range map[string]string{
		"_HANDLER": "app.handler", "AWS_REGION": testRegion, "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
		"LAMBDA_TASK_ROOT": dir, "TZ": ":UTC", "TABLE": "t", "AWS_PROFILE": "", "PYTHONPATH": "/own:" + out.Env["LAMBDA_RUNTIME_DIR"],
		"PYTHONDONTWRITEBYTECODE": "1", "NODE_PATH": "",
	} {
		if out.Env[name] != want {
			t.Errorf("%s = %q, want %q", name, out.Env[name], want)
		}
	}
	if !strings.HasPrefix(out.Env["_X_AMZN_TRACE_ID"], "Root=1-") {
		t.Errorf("trace id %q", out.Env["_X_AMZN_TRACE_ID"])
	}
	if real, _ := filepath.EvalSymlinks(dir); out.Cwd != real || out.Path[0] != dir || out.Path[1] != "/own" || out.Left <= 0 || out.Left > 30000 {
		t.Errorf("cwd %q, sys.path %q, left %v", out.Cwd, out.Path, out.Left)
	}
	want := map[string]string{
		"function_name": "env", "function_version": "$LATEST", "memory_limit_in_mb": "1024", "log_group_name": "/aws/lambda/env", "log_stream_name": stream,
		"aws_request_id": h.Get("X-Amzn-Requestid"), "invoked_function_arn": "arn:aws:lambda:us-east-1:000000000000:function:env",
	}
	if diff := cmp.Diff(want, out.Context); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
	if got := fmt.Sprint(out.Client, out.Identity); got != "[map[n:ü] map[e:1] chat <nil>] [<nil> <nil>]" {
		t.Errorf("client context and identity: %s", got)
	}
}

func TestPythonOutput(t *testing.T) {
	t.Parallel()
	f := pythonFixture(t)
	f.createPython("talks", map[string]string{"app.py": `
import logging, os, sys
print("loading")
log = logging.getLogger("chat")
logging.basicConfig(level=logging.DEBUG)  # the root has a handler, so nothing
def handler(event, context):
    print("grüße 🌊")
    print("no end", end="")
    sys.stderr.write("bad\n")
    log.warning("careful %d", 5)
    log.info("not told")
    logging.getLogger().setLevel(logging.INFO)
    log.info("told")
    os.system("echo child")
`})
	_, _, h := f.invoke("talks", `{}`)
	id := h.Get("X-Amzn-Requestid")
	f.mu.Lock()
	got := slices.Clone(f.lines)
	f.mu.Unlock()
	has := func(ok func(Output) bool) bool { return slices.ContainsFunc(got, ok) }
	for _, want := range []Output{{Line: "grüße 🌊"}, {Line: "bad", Stderr: true}, {Line: "child"}} {
		want.Function, want.RequestID = "talks", id
		if !slices.Contains(got, want) {
			t.Errorf("no line %+v in %+v", want, got)
		}
	}
	for level, text := range map[string]string{"no end[WARNING]": "careful 5", "[INFO]": "told"} {
		if !has(func(o Output) bool {
			parts := strings.Split(o.Line, "\t")
			return len(parts) == 4 && parts[0] == level && len(parts[1]) == len("2026-11-22T16:00:00.123Z") && strings.HasSuffix(parts[1], "Z") && parts[2] == id && parts[3] == text
		}) {
			t.Errorf("no line of %s %q in %+v", level, text, got)
		}
	}
	if has(func(o Output) bool { return strings.Contains(o.Line, "not told") }) {
		t.Errorf("the root's level isn't WARNING: %+v", got)
	}
}

// A line appears when it is written, not when the handler ends.
func TestPythonWritesAtOnce(t *testing.T) {
	t.Parallel()
	f := pythonFixture(t)
	file := filepath.Join(t.TempDir(), "seen")
	f.createPython("waits", map[string]string{"app.py": `
import os, time
def handler(event, context):
    print("waiting")
    while not os.path.exists(event["file"]): time.sleep(0.005)
    return "seen"`}, "Timeout", 60)
	answered := make(chan string)
	event, _ := json.Marshal(map[string]string{"file": file})
	go func() { _, got, _ := f.invoke("waits", string(event)); answered <- got }()
	eventually(t, "the line", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return slices.ContainsFunc(f.lines, func(o Output) bool { return o.Line == "waiting" })
	})
	write(t, file, "")
	if got := <-answered; got != `"seen"` {
		t.Error(got)
	}
}

func TestPythonSavedFileIsLive(t *testing.T) {
	t.Parallel()
	f := pythonFixture(t)
	dir := f.createPython("live", map[string]string{
		"app.py":          "from lib.text import text\nn = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return text + str(n)",
		"lib/__init__.py": "", "lib/text.py": "text = 'old '",
	})
	steps := []struct{ save, want string }{
		{"", `"old 1"`}, {"", `"old 2"`},
		{"text = 'new '", `"new 1"`}, {"", `"new 2"`},
		{"text = ( ", "UserCodeSyntaxError"},
		{"text = 'mended '", `"mended 1"`},
	}
	for _, step := range steps {
		if step.save != "" {
			write(t, filepath.Join(dir, "lib/text.py"), step.save)
		}
		if _, got, _ := f.invoke("live", `{}`); !strings.Contains(got, step.want) {
			t.Errorf("after saving %q: got %s, want %s", step.save, got, step.want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "__pycache__")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestPythonTimeoutKillsTheTree(t *testing.T) {
	f := pythonFixture(t)
	f.createPython("hangs", map[string]string{"app.py": `
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def handler(event, context):
    same = subprocess.Popen(["sleep", "60"])
    away = subprocess.Popen(["sleep", "60"], start_new_session=True)
    with open(event["file"], "w") as f: f.write("%d %d" % (same.pid, away.pid))
    while True: pass
`}, "Timeout", 1)
	file := filepath.Join(t.TempDir(), "pids")
	event, _ := json.Marshal(map[string]string{"file": file})
	_, got, h := f.invoke("hangs", string(event))
	if want := `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ` + h.Get("X-Amzn-Requestid") + ` Error: Task timed out after 1.00 seconds"}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	for _, pid := range readPIDs(t, file) {
		eventually(t, "the end of the handler's children", func() bool { return !alive(pid) })
	}
}

func TestPythonResponseTooLarge(t *testing.T) {
	t.Parallel()
	f := pythonFixture(t)
	f.createPython("big", pythonFiles, "Handler", "app.big", "Timeout", 20)
	if _, got, _ := f.invoke("big", fmt.Sprintf(`{"n":%d}`, maxResponse-2)); len(got) != maxResponse {
		t.Errorf("the largest response: %d bytes", len(got))
	}
	if _, got, _ := f.invoke("big", fmt.Sprintf(`{"n":%d}`, maxResponse-1)); !strings.Contains(got, "Function.ResponseSizeTooLarge") {
		t.Errorf("got %.300s", got)
	}
	if _, got, _ := f.invoke("big", `{"n":3}`); got != `"xxx"` || f.startCount() != 1 {
		t.Errorf("afterwards: %s, %d environments", got, f.startCount())
	}
}

func TestPythonRedirection(t *testing.T) {
	t.Parallel()
	addr, ca := amazonServer(t)
	f := pythonFixture(t, func(c *Config) {
		c.Redirect = func() string { return addr }
		c.Environment = func(Function) []string { return []string{"SSL_CERT_FILE=" + ca} }
	})
	f.createPython("out", map[string]string{"app.py": `
import asyncio, http.client, os, socket, ssl, urllib.request
dynamo = "dynamodb.us-east-1.amazonaws.com"

def get(url):
    with urllib.request.urlopen(url) as r: return r.read().decode()

def raw():
    s = ssl.create_default_context().wrap_socket(socket.socket(), server_hostname=dynamo)
    s.connect((dynamo, 443))
    s.sendall(b"GET /c HTTP/1.1\r\nHost: raw\r\nConnection: close\r\n\r\n")
    out = b""
    while True:
        b = s.recv(4096)
        if not b: return out.decode().split("\r\n\r\n")[1]
        out += b

async def loop():
    r, w = await asyncio.open_connection(dynamo, 443, ssl=ssl.create_default_context())
    w.write(b"GET /d HTTP/1.1\r\nHost: loop\r\nConnection: close\r\n\r\n")
    out = await r.read()
    w.close()
    return out.decode().split("\r\n\r\n")[1]

def refused():
    try: return get("https://s3.amazonaws.com/f")
    except OSError as e: return type(e.reason).__name__

def handler(event, context):
    return {"https": get("https://%s/a" % dynamo), "http": get("http://%s/b" % dynamo), "raw": raw(), "loop": asyncio.run(loop()),
        "upper": get("https://abc.execute-api.us-east-1.AMAZONAWS.com/dev/@connections/x").lower(),
        "elsewhere": get("http://%s/e" % event), "refused": refused(),
        "numbers": len(socket.getaddrinfo("127.0.0.1", 8080, socket.AF_INET, socket.SOCK_STREAM))}
`}, "Timeout", 20)
	_, got, _ := f.invoke("out", `"`+addr+`"`)
	var have map[string]any
	if err := json.Unmarshal([]byte(got), &have); err != nil {
		t.Fatal(got)
	}
	const dynamo, gate = "dynamodb.us-east-1.amazonaws.com", "abc.execute-api.us-east-1.amazonaws.com"
	want := map[string]any{
		"https": dynamo + " /a " + dynamo, "http": dynamo + " /b ", "raw": "raw /c " + dynamo, "loop": "loop /d " + dynamo,
		"upper": gate + " /dev/@connections/x " + gate, "elsewhere": addr + " /e ", "refused": "SSLCertVerificationError", "numbers": 1.0,
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// venv makes a Python that has nothing but the standard library and the modules
// given, and returns its folders of commands and of modules.
func venv(t *testing.T, modules ...string) (bin, site string) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command(needPython(t), "-m", "venv", "--without-pip", dir).CombinedOutput(); err != nil {
		t.Skipf("python3 -m venv: %v: %s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(dir, "lib", "python3.*", "site-packages"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	for _, name := range modules {
		write(t, filepath.Join(found[0], name+".py"), "name = '"+name+"'")
	}
	return filepath.Join(dir, "bin"), found[0]
}

func TestPythonFindsBoto3(t *testing.T) {
	bare, bareSite := venv(t)
	full, _ := venv(t, "boto3", "botocore")
	paths := func(dirs ...string) { t.Setenv("PATH", strings.Join(dirs, string(os.PathListSeparator))) }
	f := openFixture(t)
	where := "import sys\ndef handler(event, context): return sys.prefix"
	paths(bare, full)
	f.createPython("plain", map[string]string{"app.py": where})
	f.createPython("needs", map[string]string{"app.py": "import json, boto3\n" + where, "requirements.txt": "boto3"})
	f.createPython("part", map[string]string{"app.py": "from lib.table import where as handler", "lib/table.py": "from botocore.exceptions import X\n"})
	f.createPython("own", map[string]string{"app.py": "import boto3\n" + where, "boto3/__init__.py": ""})
	f.createPython("late", map[string]string{"app.py": "import importlib\nboto3 = importlib.import_module('bo' + 'to3')\n" + where})
	f.createPython("later", map[string]string{"app.py": "import importlib\ndef handler(event, context): return importlib.import_module('bo' + 'to3').name"})
	prefix := func(bin string) string {
		real, err := filepath.EvalSymlinks(filepath.Dir(bin))
		if err != nil {
			t.Fatal(err)
		}
		return `"` + real + `"`
	}
	for name, want := range map[string]string{"plain": prefix(bare), "needs": prefix(full), "own": prefix(bare), "late": prefix(full)} {
		if _, got, _ := f.invoke(name, `{}`); got != want {
			t.Errorf("%s ran in %s, want %s", name, got, want)
		}
	}
	// The Python is the right one, the name isn't there.
	if _, got, _ := f.invoke("part", `{}`); !strings.Contains(got, "'botocore' is not a package") {
		t.Errorf("part: %s", got)
	}
	if _, got, _ := f.invoke("later", `{}`); !strings.Contains(got, "No module named 'boto3'") {
		t.Errorf("the first time: %s", got)
	}
	if _, got, _ := f.invoke("later", `{}`); got != `"boto3"` {
		t.Errorf("the second time: %s", got)
	}

	paths(bare)
	f.createPython("lacks", map[string]string{"app.py": "import boto3\n" + where})
	_, got, _ := f.invoke("lacks", `{}`)
	if !strings.Contains(got, `"errorMessage": "Unable to import module 'app': No module named 'boto3'"`) {
		t.Errorf("got %s", got)
	}
	for _, part := range []string{"-m pip install boto3", "apt-get install python3-boto3", "-m pip install -t ", "bin/python"} {
		if h := f.last().Hint; !strings.Contains(h, part) {
			t.Errorf("the hint %q lacks %q", h, part)
		}
	}
	write(t, filepath.Join(bareSite, "boto3.py"), "")
	if _, got, _ := f.invoke("lacks", `{}`); got != prefix(bare) {
		t.Errorf("after the installation: %s", got)
	}
}

// A command on PATH that leads nowhere, as a version manager leaves it, is passed
// over; without any Python the answer says what to install.
func TestPythonOnPath(t *testing.T) {
	real := needPython(t)
	named, _ := venv(t)
	root := t.TempDir()
	// All are written before the first process starts: one that is being written
	// can't be run.
	for name, text := range map[string]string{
		"broken/python3.12": "echo 'command not found: install 3.12' >&2; exit 127",
		"broken/python3":    "echo 2 7 0 /usr/bin/python2",
		"shims/python3.12":  "echo 'command not found: install 3.12' >&2; exit 127",
		"shims/python3":     "exec '" + real + "' \"$@\"",
		"named/python3.12":  "echo a sitecustomize prints; exec '" + filepath.Join(named, "python3") + "' \"$@\"",
	} {
		write(t, filepath.Join(root, name), "#!/bin/sh\n"+text+"\n")
		if err := os.Chmod(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := func(dirs ...string) {
		for i := range dirs {
			dirs[i] = filepath.Join(root, dirs[i])
		}
		t.Setenv("PATH", strings.Join(dirs, string(os.PathListSeparator)))
	}
	path("none")
	f := openFixture(t)
	files := map[string]string{"app.py": "import sys\ndef handler(event, context): return sys.executable"}
	in := map[string]any{"FunctionName": "none", "Runtime": "python3.12", "Role": testRole, "Handler": "app.handler", "Code": map[string]any{"S3Bucket": folderBucket, "S3Key": folder(t, files)}}
	if status, out, _ := f.call("POST", "/2015-03-31/functions", in); status != 400 || !strings.Contains(fmt.Sprint(out), "there is no python3 on PATH: install Python 3.8 or later") {
		t.Errorf("without any: %d %v", status, out)
	}
	path("broken")
	f.createPython("runs", files)
	status, got, _ := f.invoke("runs", `{}`)
	if status != 500 || !strings.Contains(got, "command not found: install 3.12") || !strings.Contains(got, "is Python 2.7") {
		t.Errorf("with none that runs: %d %s", status, got)
	}
	path("shims")
	if _, got, _ := f.invoke("runs", `{}`); got != `"`+real+`"` {
		t.Errorf("got %s, want %s", got, real)
	}
	path("shims", "named")
	f.createPython("other", files)
	if _, got, _ := f.invoke("other", `{}`); !strings.Contains(got, named) {
		t.Errorf("got %s, want one in %s: the runtime's own version comes first", got, named)
	}
}

func TestPythonImports(t *testing.T) {
	tests := []struct {
		text string
		want bool
	}{
		{"import boto3", true}, {"import os, boto3 as b", true}, {"from boto3.dynamodb.conditions import Key", true}, {"\timport botocore.exceptions", true},
		{"def f():\n    from dateutil import parser", true}, {"import boto3_helper", false}, {"# import boto3", false}, {"import myboto3", false}, {"x = 'boto3'", false},
		{"import six", true}, {"from urllib import request", false},
	}
	for _, tt := range tests {
		dir := folder(t, map[string]string{"a/app.py": tt.text, "app.js": "import boto3"})
		if got := (python{}).imports(&function{codeDir: dir})["boto3"]; got != tt.want {
			t.Errorf("%q: %v, want %v", tt.text, got, tt.want)
		}
	}
}

// What pip and venv put into the user's folder is not looked at before each
// invocation; its records are.
func TestPythonSourceFiles(t *testing.T) {
	dir := folder(t, map[string]string{
		"app.py": "", "lib/mod.py": "", "lib/data.json": "", "__pycache__/app.cpython-312.pyc": "", "__pycache__/x.py": "", "six.py": "",
		"boto3/__init__.py": "", "boto3/data/a.json": "", "boto3-1.0.dist-info/RECORD": "boto3/__init__.py,sha256=x,1\nboto3/data/a.json,,\nboto3-1.0.dist-info/RECORD,,\nsix.py,,\n../bin/x,,\n",
		"boto3-1.0.dist-info/direct_url.json": "", "env/pyvenv.cfg": "", "env/lib/x.py": "", ".venv/x.py": "",
	})
	var got []string
	for _, f := range sourceFiles(dir) {
		if rel, err := filepath.Rel(dir, f.path); err == nil && f.modified != 0 {
			got = append(got, filepath.ToSlash(rel))
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"app.py", "boto3-1.0.dist-info/RECORD", "lib/data.json", "lib/mod.py", "six.py"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
