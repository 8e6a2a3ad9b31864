//go:build linux || darwin

package functions

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A handler that leaves a tree of processes behind: a child in its group, and
// one that left it. It tells their ids and hangs.
const hangs = `
const { spawn } = require('child_process');
exports.handler = async (event) => {
  const same = spawn('sleep', ['60'], { stdio: 'ignore' });
  const away = spawn('sleep', ['60'], { stdio: 'ignore', detached: true });
  away.unref();
  require('fs').writeFileSync(event.file, same.pid + ' ' + away.pid);
  if (event.answer) return 'done';
  for (;;) {}
};`

func alive(pid int) bool {
	// A zombie has no environment left; nobody else may reap it in a container.
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return runtime.GOOS != "linux"
	}
	return !bytes.Contains(stat, []byte(") Z "))
}

func readPIDs(t *testing.T, file string) []int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, text := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if runtime.GOOS != "linux" {
		pids = pids[:1] // one that left its group is out of reach there
	}
	return pids
}

func TestTimeoutKillsTheTree(t *testing.T) {
	f := newFixture(t)
	f.create("hangs", map[string]string{"index.js": hangs}, "Timeout", 1)
	file := filepath.Join(t.TempDir(), "pids")
	event, _ := json.Marshal(map[string]string{"file": file})
	status, got, h := f.invoke("hangs", string(event))
	want := `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ` + h.Get("X-Amzn-Requestid") + ` Error: Task timed out after 1.00 seconds"}`
	if status != http.StatusOK || got != want || h.Get("X-Amz-Function-Error") != "Unhandled" {
		t.Errorf("got %d %s\nwant %s", status, got, want)
	}
	for _, pid := range readPIDs(t, file) {
		eventually(t, "the end of the handler's children", func() bool { return !alive(pid) })
	}
	eventually(t, "the environment's end", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.exits) == 1 })
	if got := f.exits[0].Reason; got != exitTimedOut {
		t.Errorf("exit reason %q", got)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	f := newFixture(t)
	f.create("leaves", map[string]string{"index.js": hangs})
	file := filepath.Join(t.TempDir(), "pids")
	event, _ := json.Marshal(map[string]any{"file": file, "answer": true})
	if _, got, _ := f.invoke("leaves", string(event)); got != `"done"` {
		t.Fatal(got)
	}
	if err := f.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, pid := range append(readPIDs(t, file), f.starts[0].PID) {
		if alive(pid) {
			eventually(t, "the end of the handler's children", func() bool { return !alive(pid) })
		}
	}
	if status, got, _ := f.invoke("leaves", `{}`); status != http.StatusServiceUnavailable {
		t.Errorf("after Close: %d %s", status, got)
	}
}

func TestWarmReuseAndConcurrency(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("count", map[string]string{"index.js": `
let n = 0;
exports.handler = async (event) => { if (event.wait) await new Promise((r) => setTimeout(r, event.wait)); return [process.pid, ++n]; };`})
	var pids []int
	for i := range 5 {
		_, got, _ := f.invoke("count", `{}`)
		var v [2]int
		if err := json.Unmarshal([]byte(got), &v); err != nil {
			t.Fatal(got)
		}
		if v[1] != i+1 {
			t.Errorf("invocation %d ran in an environment that had run %d", i, v[1]-1)
		}
		pids = append(pids, v[0])
	}
	if len(slices.Compact(pids)) != 1 || f.startCount() != 1 {
		t.Errorf("pids %v, %d starts; want one environment", pids, f.startCount())
	}
	seen := make(chan string, 4)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_, got, _ := f.invoke("count", `{"wait":400}`)
			seen <- got
		})
	}
	wg.Wait()
	close(seen)
	used := map[string]bool{}
	for got := range seen {
		used[strings.Split(got, ",")[0]] = true
	}
	if len(used) != 4 {
		t.Errorf("4 invocations at a time ran in %d environments", len(used))
	}
}

// A handler that computes on after its answer doesn't hold up the next
// invocation, and its environment is used again afterwards.
func TestBusyAfterItsAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.readyGrace = 20 * time.Millisecond
	f.create("busy", map[string]string{"index.js": `
exports.handler = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  callback(null, process.pid);
  while (event.until && !require('fs').existsSync(event.until));
};`})
	done := filepath.Join(t.TempDir(), "done")
	event, _ := json.Marshal(map[string]string{"until": done})
	_, first, _ := f.invoke("busy", string(event))
	_, second, _ := f.invoke("busy", `{}`)
	if first == second {
		t.Errorf("both ran in process %s", first)
	}
	write(t, done, "")
	eventually(t, "two idle environments", func() bool {
		f.Service.mu.Lock()
		defer f.Service.mu.Unlock()
		return len(f.pools["busy"].idle) == 2
	})
}

func TestMachineBound(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxEnvironments = 2 })
	code := map[string]string{"index.js": `exports.handler = async () => { await new Promise((r) => setTimeout(r, 50)); return process.pid; };`}
	f.create("one", code)
	f.create("two", code)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if status, got, _ := f.invoke([]string{"one", "two"}[i%2], `{}`); status != 200 {
				t.Errorf("%d %s", status, got)
			}
		})
	}
	wg.Wait()
	eventually(t, "two places taken at most", func() bool {
		f.Service.mu.Lock()
		defer f.Service.mu.Unlock()
		return f.alive >= 0 && f.alive <= 2
	})
}

func TestSavedFileIsLive(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	dir := f.create("live", map[string]string{
		"index.js":    `const { text } = require('./lib/text'); let n = 0; exports.handler = async () => text + ++n;`,
		"lib/text.js": `exports.text = 'old ';`,
	})
	steps := []struct{ save, want string }{
		{"", `"old 1"`}, {"", `"old 2"`},
		{`exports.text = 'new ';`, `"new 1"`}, {"", `"new 2"`},
		{`exports.text = ( `, "UserCodeSyntaxError"},
		{`exports.text = 'mended ';`, `"mended 1"`},
	}
	for _, step := range steps {
		if step.save != "" {
			write(t, filepath.Join(dir, "lib/text.js"), step.save)
		}
		if _, got, _ := f.invoke("live", `{}`); !strings.Contains(got, step.want) {
			t.Errorf("after saving %q: got %s, want %s", step.save, got, step.want)
		}
	}
	// A watcher's word retires an idle environment at once.
	write(t, filepath.Join(dir, "index.js"), `exports.handler = async () => 'watched';`)
	f.Changed(filepath.Join(dir, "index.js"))
	eventually(t, "the stale environment's end", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.exits) > 0 && f.exits[len(f.exits)-1].Reason == exitStale && len(f.exits) == len(f.starts)
	})
	if _, got, _ := f.invoke("live", `{}`); got != `"watched"` {
		t.Error(got)
	}
}

func TestAResponseInFlightSurvivesASave(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	dir := f.create("slow", map[string]string{"index.js": `exports.handler = async () => { await new Promise((r) => setTimeout(r, 300)); return 'old'; };`})
	old := make(chan string)
	go func() { _, got, _ := f.invoke("slow", `{}`); old <- got }()
	eventually(t, "the start", func() bool { return f.startCount() == 1 })
	write(t, filepath.Join(dir, "index.js"), `exports.handler = async () => 'new';`)
	f.Changed(dir)
	_, fresh, _ := f.invoke("slow", `{}`)
	if got := <-old; got != `"old"` && got != `"new"` { // the save may come before node reads the file
		t.Errorf("in flight: %s", got)
	}
	if fresh != `"new"` {
		t.Errorf("after the save: %s", fresh)
	}
}

func TestContextAndVariables(t *testing.T) {
	t.Setenv("AWS_PROFILE", "the-users-own")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "the-users-own")
	t.Setenv("MY_SHELL_SECRET", "the-users-own")
	f := newFixture(t, func(c *Config) {
		c.Environment = func(fn Function) []string {
			return []string{"AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:1", "FROM_SERVER=" + fn.Name, "OVERRIDDEN=server"}
		}
	})
	dir := f.create("env", map[string]string{"index.js": `
exports.handler = async (event, context) => ({ env: process.env, cwd: process.cwd(), context, left: context.getRemainingTimeInMillis(), zone: new Date(0).getTimezoneOffset() });`},
		"MemorySize", 1024, "Timeout", 30, "Environment", map[string]any{"Variables": map[string]string{"TABLE": "t", "OVERRIDDEN": "function"}})
	context := base64.StdEncoding.EncodeToString([]byte("{\"client\":\n{\"n\":\"ü\"}}"))
	_, got, h := f.invoke("arn:aws:lambda:us-east-1:000000000000:function:env", `{}`, "X-Amz-Client-Context", context)
	var out struct {
		Env     map[string]string
		Cwd     string
		Context map[string]any
		Left    float64
		Zone    int
	}
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		t.Fatal(got)
	}
	real, _ := filepath.EvalSymlinks(dir)
	stream := out.Env["AWS_LAMBDA_LOG_STREAM_NAME"]
	for name, want := range map[string]string{
		"_HANDLER": "index.handler", "AWS_REGION": testRegion, "AWS_DEFAULT_REGION": testRegion,
		"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x", "AWS_LAMBDA_FUNCTION_NAME": "env", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
		"AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/env", "LAMBDA_TASK_ROOT": dir, "TZ": ":UTC", "TABLE": "t",
		"FROM_SERVER": "env", "OVERRIDDEN": "function", "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1",
		"AWS_PROFILE": "", "AWS_SECRET_ACCESS_KEY": "", "MY_SHELL_SECRET": "",
	} {
		if out.Env[name] != want {
			t.Errorf("%s = %q, want %q", name, out.Env[name], want)
		}
	}
	if !strings.Contains(stream, "/[$LATEST]") || len(stream) != len("2026/11/22/[$LATEST]")+32 {
		t.Errorf("log stream %q", stream)
	}
	if !strings.HasPrefix(out.Env["_X_AMZN_TRACE_ID"], "Root=1-") {
		t.Errorf("trace id %q", out.Env["_X_AMZN_TRACE_ID"])
	}
	if out.Cwd != real || out.Zone != 0 || out.Left <= 0 || out.Left > 30000 {
		t.Errorf("cwd %q zone %d left %v", out.Cwd, out.Zone, out.Left)
	}
	for name, want := range map[string]any{
		"functionName": "env", "functionVersion": "$LATEST", "memoryLimitInMB": "1024", "logGroupName": "/aws/lambda/env",
		"logStreamName": stream, "awsRequestId": h.Get("X-Amzn-Requestid"), "callbackWaitsForEmptyEventLoop": true,
		"invokedFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:env",
	} {
		if out.Context[name] != want {
			t.Errorf("context.%s = %v, want %v", name, out.Context[name], want)
		}
	}
	if n := out.Context["clientContext"].(map[string]any)["client"].(map[string]any)["n"]; n != "ü" {
		t.Errorf("client context %v", out.Context["clientContext"])
	}
}

func TestOutputAndLogTail(t *testing.T) {
	f := newFixture(t)
	f.create("talks", map[string]string{"index.js": `
console.log('loading');
exports.handler = async (event) => { console.log('one\ntwo'); console.error('bad'); process.stdout.write('no end'); if (event.long) console.log('x'.repeat(300 << 10)); };`})
	_, _, h := f.invoke("talks", `{}`, "X-Amz-Log-Type", "Tail")
	id := h.Get("X-Amzn-Requestid")
	want := []Output{
		{Function: "talks", Line: "loading"},
		{Function: "talks", RequestID: id, Line: "one"}, {Function: "talks", RequestID: id, Line: "two"},
		{Function: "talks", RequestID: id, Line: "no end"}, {Function: "talks", RequestID: id, Stderr: true, Line: "bad"},
	}
	f.mu.Lock()
	got := slices.Clone(f.lines)
	f.mu.Unlock()
	// The two streams have no order among them, and the line of the load may be
	// read once the invocation has begun.
	for _, o := range want {
		if !slices.ContainsFunc(got, func(g Output) bool {
			return g.Line == o.Line && g.Stderr == o.Stderr && (g.RequestID == o.RequestID || o.Line == "loading")
		}) {
			t.Errorf("no line %+v in %+v", o, got)
		}
	}
	log, _ := base64.StdEncoding.DecodeString(h.Get("X-Amz-Log-Result"))
	for _, part := range []string{"START RequestId: " + id + " Version: $LATEST\n", "one\ntwo\n", "bad\n", "no end\n", "END RequestId: " + id + "\nREPORT RequestId: " + id + "\tDuration: ", " ms\tBilled Duration: ", "\tMemory Size: 128 MB\t", "\tInit Duration: "} {
		if !strings.Contains(string(log), part) {
			t.Errorf("the log tail lacks %q:\n%s", part, log)
		}
	}
	_, _, h = f.invoke("talks", `{"long":true}`, "X-Amz-Log-Type", "Tail")
	log, _ = base64.StdEncoding.DecodeString(h.Get("X-Amz-Log-Result"))
	if len(log) != maxTail {
		t.Errorf("a long log's tail has %d bytes", len(log))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	pieces := 0
	for _, o := range f.lines {
		if len(o.Line) > maxLine {
			t.Errorf("a line of %d bytes", len(o.Line))
		}
		if strings.Contains(o.Line, "xxxx") {
			pieces++
		}
	}
	if pieces != 2 {
		t.Errorf("300 KB came in %d pieces, want 2", pieces)
	}
}

func TestResponseTooLarge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("big", styles, "Handler", "index.big", "Timeout", 20)
	// Two quotes make the JSON string.
	if _, got, h := f.invoke("big", fmt.Sprintf(`{"n":%d}`, maxResponse-2)); len(got) != maxResponse || h.Get("X-Amz-Function-Error") != "" {
		t.Errorf("the largest response: %d bytes, %s", len(got), h.Get("X-Amz-Function-Error"))
	}
	_, got, h := f.invoke("big", fmt.Sprintf(`{"n":%d}`, maxResponse-1))
	want := `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`
	if got != want || h.Get("X-Amz-Function-Error") != "Unhandled" {
		t.Errorf("got %.300s", got)
	}
	if _, got, _ := f.invoke("big", `{"n":3}`); got != `"xxx"` || f.startCount() != 1 {
		t.Errorf("afterwards: %s, %d environments", got, f.startCount())
	}
}

func TestInitThatHangsIsStartedAgainWithinTheTimeout(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.initLimit = 300 * time.Millisecond
	f.create("hangs", map[string]string{"index.js": `for (;;) {}`}, "Timeout", 1)
	_, got, _ := f.invoke("hangs", `{}`)
	if !strings.Contains(got, `"Sandbox.Timedout"`) || !strings.Contains(got, "after 1.00 seconds") || f.startCount() != 2 {
		t.Errorf("got %s after %d starts", got, f.startCount())
	}
}

func TestInitErrorIsTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	flag := filepath.Join(t.TempDir(), "flag")
	f.create("flaky", map[string]string{"index.js": `if (!require('fs').existsSync('` + flag + `')) throw new Error('not yet'); exports.handler = async () => 'now';`})
	if _, got, _ := f.invoke("flaky", `{}`); !strings.Contains(got, "not yet") {
		t.Error(got)
	}
	write(t, flag, "")
	if _, got, _ := f.invoke("flaky", `{}`); got != `"now"` {
		t.Error(got)
	}
}

// rawRuntime talks to an environment's Runtime API in place of Node.js.
func TestRuntimeAPI(t *testing.T) {
	e := &environment{
		s: &Service{}, fn: &function{arn: "arn:x"}, takers: make(chan *taker, maxTakers), ready: make(chan struct{}),
		failed: make(chan struct{}), ended: make(chan struct{}), state: stateStarted, out: newOutput(&EventListener{}, &function{record: record{Name: "f"}}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.host = l.Addr().String()
	srv := newRuntimeServer(e, l)
	go srv.serve()
	defer srv.close()
	do := func(method, path, body string, headers ...string) (int, string, http.Header) {
		t.Helper()
		req, _ := http.NewRequest(method, "http://"+e.host+"/2018-06-01/runtime"+path, strings.NewReader(body))
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		if h := req.Header.Get("Host"); h != "" {
			req.Host = h
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		b.ReadFrom(resp.Body)
		return resp.StatusCode, b.String(), resp.Header
	}
	check := func(what string, status int, body string, wantStatus int, want string) {
		t.Helper()
		if status != wantStatus || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %d %s", what, status, body, wantStatus, want)
		}
	}
	status, body, _ := do("POST", "/invocation/x/response", "1")
	check("a response before next", status, body, 400, `"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"`)
	for _, h := range [][]string{{"Origin", "https://evil.example"}, {"Host", "evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		status, body, _ = do("GET", "/invocation/next", "", h...)
		check("a web page: "+h[0], status, body, 403, "Forbidden")
	}
	for _, c := range [][3]string{{"GET", "/nothing", "NotFound"}, {"GET", "/restore/next", "SnapStart"}, {"POST", "/invocation/next", "NotFound"}} {
		status, body, _ = do(c[0], c[1], "")
		check(c[1], status, body, 404, c[2])
	}

	inv := &invocation{requestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", payload: []byte(`{"a":1}`), traceID: "Root=1-a", clientContext: `{"c":1}`, deadline: time.UnixMilli(4102444800000), answer: make(chan answer, 1)}
	go func() { e.give(<-e.takers, inv) }()
	status, body, h := do("GET", "/invocation/next", "")
	check("next", status, body, 200, `{"a":1}`)
	for name, want := range map[string]string{
		"Lambda-Runtime-Aws-Request-Id": inv.requestID, "Lambda-Runtime-Deadline-Ms": "4102444800000",
		"Lambda-Runtime-Invoked-Function-Arn": "arn:x", "Lambda-Runtime-Trace-Id": "Root=1-a",
		"Lambda-Runtime-Client-Context": `{"c":1}`, "Content-Type": "application/json",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q", name, h.Get(name))
		}
	}
	status, body, _ = do("GET", "/invocation/next", "")
	check("next while one runs", status, body, 403, "State transition from Running to Ready failed")
	status, body, _ = do("POST", "/invocation/other/response", "1")
	check("another id", status, body, 400, `"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"`)
	status, body, _ = do("POST", "/invocation/"+inv.requestID+"/response", "1", "Lambda-Runtime-Function-Response-Mode", "odd")
	check("an unknown mode", status, body, 400, `"errorType":"InvalidFunctionResponseMode"`)
	status, body, _ = do("POST", "/init/error", "{}")
	check("init error while one runs", status, body, 403, "InvalidStateTransition")
	status, body, _ = do("POST", "/invocation/"+inv.requestID+"/response", strings.Repeat("x", maxResponse+1))
	check("too large", status, body, 413, `"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"`)
	if a := <-inv.answer; !a.failed || !strings.Contains(string(a.payload), "Function.ResponseSizeTooLarge") {
		t.Errorf("answer %s", a.payload)
	}
	status, body, _ = do("POST", "/invocation/"+inv.requestID+"/response", "1")
	check("a second response", status, body, 403, "State transition from RuntimeResponseSentState to InvocationResponse failed")

	status, body, _ = do("POST", "/invocation/other/response", "1")
	check("another id after the response", status, body, 400, "InvalidRequestID")

	second := &invocation{requestID: "two", payload: []byte(`1`), answer: make(chan answer, 1)}
	go func() { e.give(<-e.takers, second) }()
	do("GET", "/invocation/next", "")
	status, body, _ = do("POST", "/invocation/"+inv.requestID+"/response", "1")
	check("a response to the invocation before", status, body, 400, "InvalidRequestID")
	status, body, _ = do("POST", "/invocation/two/error", `{"errorType":"E"}`, "Lambda-Runtime-Function-Error-Type", "E")
	check("error", status, body, 202, `{"status":"OK"}`)
	if a := <-second.answer; !a.failed || string(a.payload) != `{"errorType":"E"}` {
		t.Errorf("answer %+v", a)
	}
}

func BenchmarkWarmInvoke(b *testing.B) {
	f := newFixture(b)
	f.create("empty", map[string]string{"index.js": `exports.handler = async () => null;`})
	f.invoke("empty", `{}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, got, _ := f.invoke("empty", `{}`); got != "null" {
			b.Fatal(got)
		}
	}
}

func BenchmarkColdInvoke(b *testing.B) {
	f := newFixture(b)
	dir := f.create("cold", map[string]string{"index.js": `exports.handler = async () => null;`})
	n := 0
	for b.Loop() {
		n++
		write(b, filepath.Join(dir, "index.js"), `exports.handler = async () => null;`+strings.Repeat(" ", n))
		if _, got, _ := f.invoke("cold", `{}`); got != "null" {
			b.Fatal(got)
		}
	}
}

// BenchmarkFreshness is the look at a folder of 200 source files before an
// environment is used again.
func BenchmarkFreshness(b *testing.B) {
	dir := b.TempDir()
	for i := range 200 {
		write(b, filepath.Join(dir, fmt.Sprintf("f%d.js", i)), "")
	}
	e := &environment{files: sourceFiles(dir)}
	b.ReportAllocs()
	for b.Loop() {
		if !e.fresh() {
			b.Fatal("stale")
		}
	}
}
