package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const misbehaveTemplate = `
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { CodeUri: ., Timeout: 4 } }
Resources:
  Fine:
    Type: AWS::Serverless::Function
    Properties: { FunctionName: fine, Runtime: nodejs22.x, Handler: app.handler, Timeout: 60 }
  Bad:
    Type: AWS::Serverless::Function
    Properties: { FunctionName: bad, Runtime: RUNTIME, Handler: HANDLER, CodeUri: CODE, Timeout: 30 }
  Hasty:
    Type: AWS::Serverless::Function
    Properties: { FunctionName: hasty, Runtime: RUNTIME, Handler: HANDLER, CodeUri: CODE, Timeout: 2 }
  Init:
    Type: AWS::Serverless::Function
    Properties: { FunctionName: init, Runtime: RUNTIME, Handler: HANDLER, CodeUri: CODE, Timeout: 30, Environment: { Variables: { THROW: "yes" } } }
`

// misbehaving is what runs a fault on each kind of runtime; each answers null
// to an event without one.
var misbehaving = []struct{ name, program, runtime, handler, code string }{
	{"node", "node", "nodejs22.x", "app.handler", "."},
	{"python", "python3", "python3.12", "app.handler", "."},
	{"custom", "go", "provided.al2023", "bootstrap", "custom"},
}

// asked are the faults, with a part of the answer and of the terminal's word.
// Lambda's own words, where it has any.
var asked = []struct {
	do, function string
	want         map[string]string // by runtime; "" for all others
	failed       bool
}{
	{do: "daemon", function: "bad", want: map[string]string{"": `"started"`}},
	{do: "temp", function: "bad", want: map[string]string{"": `"/`}},
	{do: "descriptors", function: "bad", want: map[string]string{"": "open files"}},
	{do: "flood", function: "bad", want: map[string]string{"": `"flooded"`}},
	{do: "seven", function: "bad", failed: true, want: map[string]string{"": `Function.ResponseSizeTooLarge`}},
	{do: "exit", function: "bad", failed: true, want: map[string]string{"": "Runtime exited with error: exit status 3"}},
	{do: "hangup", function: "bad", failed: true, want: map[string]string{"": "Runtime exited"}},
	{do: "twice", function: "bad", want: map[string]string{"": `"first"`}},
	{do: "never", function: "hasty", failed: true, want: map[string]string{"": "Task timed out after 2.00 seconds"}},
	{do: "spin", function: "hasty", failed: true, want: map[string]string{"": "Task timed out after 2.00 seconds"}},
	{do: "deaf", function: "hasty", want: map[string]string{"": `"deaf"`}},
	{do: "anything", function: "init", failed: true, want: map[string]string{"node": `"errorType":"RangeError","errorMessage":"not today"`, "python": `"errorMessage": "not today", "errorType": "ValueError"`, "custom": "exit status 2"}},
}

const misbehaveNode = `
const { spawn } = require("node:child_process"), fs = require("node:fs"), os = require("node:os"), path = require("node:path");
if (process.env.THROW) throw new RangeError("not today");
exports.handler = (event, context, callback) => {
  switch (event.do) {
  case "daemon":
    spawn("/bin/sh", ["-c", "(trap '' TERM HUP INT; exec sleep 3600) & exit"], { detached: true, stdio: "ignore" });
    return callback(null, "started");
  case "temp":
    fs.writeFileSync(path.join(os.tmpdir(), "much"), Buffer.alloc(32 << 20));
    return callback(null, os.tmpdir());
  case "descriptors":
    try { for (let i = 0; i < 1 << 20; i++) fs.openSync("/dev/null"); } catch (err) { return callback(null, err.code === "EMFILE" ? "too many open files" : err.code); }
    return callback(null, "no bound: open files");
  case "flood": {
    const block = "flood ".repeat(2000) + "\n";
    for (let i = 0; i < 3000; i++) fs.writeSync(1, block);
    return callback(null, "flooded");
  }
  case "seven": return callback(null, "x".repeat(7 << 20));
  case "exit": process.exit(3);
  case "hangup": {
    const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
    const c = require("node:net").connect(port, host);
    c.write("POST /2018-06-01/runtime/invocation/" + context.awsRequestId + "/response HTTP/1.1\r\nHost: " + host + ":" + port + "\r\nContent-Length: 1000\r\n\r\nhalf an answer", () => process.exit(4));
    return;
  }
  case "twice": callback(null, "first"); callback(null, "second"); return;
  case "never": setInterval(() => {}, 1000); return;
  case "spin": for (;;);
  case "deaf": process.on("SIGTERM", () => {}); return callback(null, "deaf");
  }
  callback(null, null);
};
`

const misbehavePython = `
import os, signal, subprocess, sys, time, tempfile
if os.environ.get("THROW"): raise ValueError("not today")
def handler(event, context):
    do = event.get("do")
    if do == "daemon":
        if os.fork() == 0:
            os.setsid()
            for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(s, signal.SIG_IGN)
            if os.fork(): os._exit(0)
            time.sleep(3600)
            os._exit(0)
        os.wait()
        return "started"
    if do == "temp":
        with open(os.path.join(tempfile.gettempdir(), "much"), "wb") as f: f.write(bytes(32 << 20))
        return tempfile.gettempdir()
    if do == "descriptors":
        files = []
        try:
            while len(files) < 1 << 20: files.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as e: return "too many open files" if e.errno == 24 else str(e)
        return "no bound: open files"
    if do == "flood":
        block = b"flood " * 2000 + b"\n"
        for _ in range(3000): os.write(1, block)
        return "flooded"
    if do == "seven": return "x" * (7 << 20)
    if do == "exit": os._exit(3)
    if do == "hangup":
        os.closerange(3, 64)
        return "lost"
    if do == "twice":
        import urllib.request
        api = "http://%s/2018-06-01/runtime/invocation/%s/response" % (os.environ["AWS_LAMBDA_RUNTIME_API"], context.aws_request_id)
        urllib.request.urlopen(urllib.request.Request(api, data=b'"first"', method="POST")).read()
        return "second"
    if do == "never": time.sleep(3600)
    while do == "spin": pass
    if do == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return "deaf"
`

const misbehaveGo = `package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	if os.Getenv("THROW") != "" {
		panic("not today")
	}
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		resp, err := http.Get(api + "next")
		if err != nil {
			os.Exit(1)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		var event struct{ Do string }
		json.Unmarshal(b, &event)
		id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
		answer := func(v any) {
			b, _ := json.Marshal(v)
			if resp, err := http.Post(api+id+"/response", "application/json", bytes.NewReader(b)); err == nil {
				resp.Body.Close()
			}
		}
		switch event.Do {
		case "daemon":
			cmd := exec.Command("/bin/sh", "-c", "(trap '' TERM HUP INT; exec sleep 3600) & exit")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			cmd.Run()
			answer("started")
		case "temp":
			os.WriteFile(filepath.Join(os.TempDir(), "much"), make([]byte, 32<<20), 0o600)
			answer(os.TempDir())
		case "descriptors":
			var err error
			var files []int
			for range 1 << 20 {
				var fd int
				if fd, err = syscall.Open("/dev/null", syscall.O_RDONLY, 0); err != nil {
					break
				}
				files = append(files, fd)
			}
			for _, fd := range files { // the client needs one
				syscall.Close(fd)
			}
			if errors.Is(err, syscall.EMFILE) {
				answer("too many open files")
			} else {
				answer("no bound: open files")
			}
		case "flood":
			block := []byte(strings.Repeat("flood ", 2000) + "\n")
			for range 3000 {
				os.Stdout.Write(block)
			}
			answer("flooded")
		case "seven":
			answer(strings.Repeat("x", 7<<20))
		case "exit":
			os.Exit(3)
		case "hangup":
			c, err := net.Dial("tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API"))
			if err != nil {
				os.Exit(1)
			}
			io.WriteString(c, "POST /2018-06-01/runtime/invocation/"+id+"/response HTTP/1.1\r\nHost: "+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"\r\nContent-Length: 1000\r\n\r\nhalf an answer")
			c.Close()
			os.Exit(4)
		case "twice":
			answer("first")
			answer("second")
		case "never":
			select {}
		case "spin":
			for {
			}
		case "deaf":
			signal.Ignore(syscall.SIGTERM)
			answer("deaf")
		default:
			answer(nil)
		}
	}
}
`

// TestFunctionsThatMisbehave has a function on each kind of runtime do what it
// can do wrong. Each is answered in Lambda's words, the same function goes on
// afterwards, another one's callers notice nothing, the server's memory stays
// bounded, and nothing is left, neither processes nor temporary files.
func TestFunctionsThatMisbehave(t *testing.T) {
	t.Parallel()
	need(t, "node")
	for _, kind := range misbehaving {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			need(t, kind.program)
			dir := folder(t, map[string]string{
				"template.yaml": strings.NewReplacer("RUNTIME", kind.runtime, "HANDLER", kind.handler, "CODE", kind.code).Replace(misbehaveTemplate),
				"app.js":        misbehaveNode, "app.py": misbehavePython, "custom/main.go": misbehaveGo, "custom/go.mod": "module custom\n\ngo 1.22\n",
			})
			s := start(t, dir)
			done, neighbour := make(chan struct{}), sync.WaitGroup{}
			neighbour.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if got, failed := s.invokeNow("fine", ""); got != "null" || failed {
						t.Errorf("another function: %s", got)
						return
					}
				}
			})
			temp := ""
			for _, a := range asked {
				got, failed := s.invokeNow(a.function, a.do)
				want, own := a.want[kind.name]
				if !own {
					want = a.want[""]
				}
				if failed != a.failed || !strings.Contains(got, want) {
					t.Errorf("%s: %.200s, failed %v; want %s, %v", a.do, got, failed, want, a.failed)
				}
				if a.do == "temp" {
					json.Unmarshal([]byte(got), &temp)
				}
				if a.function == "bad" {
					if got, failed := s.invokeNow(a.function, ""); got != "null" || failed {
						t.Errorf("after %s: %.200s, failed %v", a.do, got, failed)
					}
				}
			}
			close(done)
			neighbour.Wait()
			mb := s.peak()
			t.Logf("the server's most memory: %d MB", mb)
			if mb > 256 {
				t.Errorf("the server took %d MB", mb)
			}
			if !strings.HasPrefix(temp, filepath.Join(dir, ".tidegate")) {
				t.Errorf("the temporary folder is %q", temp)
			}
			s.stop()
			s.await("daemons to end", func() bool { return !mentioned(dir) })
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(temp), "*")); err != nil || len(left) != 0 {
				t.Errorf("temporary files are left: %v, %v", left, err)
			}
		})
	}
}

// invokeNow calls a function and returns its answer and whether that is a
// function error.
func (s *stackUnderTest) invokeNow(function, do string) (answer string, failed bool) {
	s.t.Helper()
	resp, body, err := s.client.Do(s.t.Context(), "lambda", http.MethodPost, "/2015-03-31/functions/"+function+"/invocations", http.Header{}, fmt.Appendf(nil, `{"do":%q}`, do))
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Errorf("%s: %v %s", function, err, body)
		return "", true
	}
	return string(body), resp.Header.Get("X-Amz-Function-Error") != ""
}

// peak is the most memory that the server has used, in MB.
func (s *stackUnderTest) peak() int {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(b, []byte("VmHWM:"))
	kb, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	if err != nil {
		s.t.Fatal(err)
	}
	return kb >> 10
}

// mentioned says whether a process has the folder in its environment.
func mentioned(dir string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && bytes.Contains(b, []byte(dir+"/.tidegate")) {
			return true
		}
	}
	return false
}
