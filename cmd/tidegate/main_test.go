package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tidegate/internal/client"
)

// asTidegate makes the test binary be the program: tests run real processes of
// it, in clean directories.
const asTidegate = "TIDEGATE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asTidegate) != "" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(runTests(m))
}

// scratch is a folder of this run of the tests, for what leaves files behind or
// writes into a user's home.
var scratch string

// runTests keeps the user's certificate authority out of the tests: they have
// one of their own, new with each run. The cache is the user's, so that what was
// fetched once isn't again.
func runTests(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "tidegate-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	os.Setenv("XDG_STATE_HOME", filepath.Join(scratch, "state"))
	return m.Run()
}

// patience is how long a test waits for what must come; it is no assertion
// about speed.
const patience = 2 * time.Minute

// tidegate returns a command of the program that runs in dir.
func tidegate(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = append(cleanEnv(), asTidegate+"=1")
	return cmd
}

// cleanEnv is this process's environment without what would lead commands to
// another Tidegate or to AWS.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") && !strings.HasPrefix(kv, "TIDEGATE_") && !strings.HasPrefix(kv, "NODE_") {
			env = append(env, kv)
		}
	}
	return env
}

// output runs a command of the program and returns what it prints and its exit code.
func output(t *testing.T, dir, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := tidegate(ctx, dir, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("tidegate %s: %v", strings.Join(args, " "), err)
		}
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// A stackUnderTest is a Tidegate that runs a template.
type stackUnderTest struct {
	t       *testing.T
	dir     string
	env     []string // beside what a clean environment has
	cmd     *exec.Cmd
	log     *logBuffer
	run     client.Run
	client  *client.Client
	exited  chan struct{} // closed when the process has ended and all it said is in log
	err     error         // what its end was, once exited is closed
	stopped bool
}

// start runs `tidegate up` in dir and waits until it is ready. It ends with the
// test, and must then exit with 0.
func start(t *testing.T, dir string, args ...string) *stackUnderTest {
	t.Helper()
	s := &stackUnderTest{t: t, dir: dir, log: &logBuffer{}, exited: make(chan struct{})}
	if !slices.Contains(args, "--port") {
		args = append(args, "--port", "0")
	}
	s.launch(append([]string{"up", "--log-format", "text"}, args...)...)
	s.await("the stack to be ready", func() bool {
		select {
		case <-s.exited:
			s.stopped = true
			t.Fatalf("tidegate up ended: %v:\n%s", s.err, s.log)
		default:
		}
		run, err := client.Find("", dir)
		if err != nil || run.PID != s.cmd.Process.Pid {
			return false
		}
		resp, err := http.Get(run.Endpoint + "/_tidegate/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		s.run = run
		return resp.StatusCode == http.StatusOK
	})
	var err error
	if s.client, err = client.New(s.run); err != nil {
		t.Fatal(err)
	}
	return s
}

// launch starts the program, which ends with the test and must then exit with 0.
func (s *stackUnderTest) launch(args ...string) {
	t := s.t
	t.Helper()
	s.cmd = tidegate(context.Background(), s.dir, args...)
	s.cmd.Env = append(s.cmd.Env, s.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.WaitDelay = patience // a child that has its output must not outlive it
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.stopped {
			s.stop()
		}
		if t.Failed() {
			said := s.log.String()
			t.Logf("tidegate %s said:\n%s", args[0], said[max(0, len(said)-256<<10):]) // functions may flood it
		}
	})
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
}

// stop sends Ctrl-C and wants exit code 0 and no process left.
func (s *stackUnderTest) stop() {
	s.t.Helper()
	s.stopped = true
	children := descendants(s.t, s.cmd.Process.Pid)
	s.cmd.Process.Signal(os.Interrupt)
	s.await("tidegate up to end", s.ended)
	if s.err != nil || !strings.Contains(strings.ToLower(s.log.String()), "stopping") {
		s.t.Errorf("tidegate up did not end in good order: %v", s.err)
	}
	for _, child := range children {
		s.await(fmt.Sprintf("the process %v to end with it", child), func() bool { return !child.runs() })
	}
}

// kill ends the process as a power cut would.
func (s *stackUnderTest) kill() {
	s.stopped = true
	s.cmd.Process.Kill()
	s.await("the process to be gone", s.ended)
}

// ended says whether the process has ended.
func (s *stackUnderTest) ended() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// await waits until cond holds.
func (s *stackUnderTest) await(what string, cond func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited in vain for %s; tidegate up said:\n%s", what, s.log)
		}
	}
}

// url is that of the only stage.
func (s *stackUnderTest) url() string {
	s.t.Helper()
	stack, err := s.client.Stack(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if len(stack.APIs) != 1 || len(stack.APIs[0].Stages) != 1 {
		s.t.Fatalf("want one API with one stage, got %+v", stack.APIs)
	}
	return stack.APIs[0].Stages[0].URL
}

// httpURL is the management endpoint of the only stage.
func (s *stackUnderTest) httpURL() string { return "http" + strings.TrimPrefix(s.url(), "ws") }

// dial connects a client to the only stage.
func (s *stackUnderTest) dial() *testSocket {
	s.t.Helper()
	return s.dialURL(s.url(), client.DialOptions{})
}

// dialURL connects a client with options of its own.
func (s *stackUnderTest) dialURL(url string, o client.DialOptions) *testSocket {
	s.t.Helper()
	ws, err := client.Dial(s.t.Context(), url, o)
	if err != nil {
		s.t.Fatalf("%v; tidegate up said:\n%s", err, s.log)
	}
	sock := &testSocket{s: s, WebSocket: ws, in: make(chan string, 100)}
	go func() {
		defer close(sock.in)
		for {
			m, err := ws.Receive()
			if err != nil {
				sock.err = err
				return
			}
			sock.in <- string(m)
		}
	}()
	s.t.Cleanup(func() { ws.Close() })
	return sock
}

// connections are the ids of who is connected, oldest first.
func (s *stackUnderTest) connections() []client.Connection {
	s.t.Helper()
	all, err := s.client.Connections(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// A testSocket is a connected client.
type testSocket struct {
	*client.WebSocket
	s   *stackUnderTest
	in  chan string
	err error // why in was closed
}

// say sends a message.
func (c *testSocket) say(text string) {
	c.s.t.Helper()
	if err := c.Send([]byte(text)); err != nil {
		c.s.t.Fatal(err)
	}
}

// next is the next message.
func (c *testSocket) next() string {
	c.s.t.Helper()
	select {
	case m, open := <-c.in:
		if !open {
			c.s.t.Fatalf("the connection ended: %v; tidegate up said:\n%s", c.err, c.s.log)
		}
		return m
	case <-time.After(patience):
		c.s.t.Fatalf("no message came; tidegate up said:\n%s", c.s.log)
	}
	return ""
}

// want wants the next message to be exactly this.
func (c *testSocket) want(text string) {
	c.s.t.Helper()
	if got := c.next(); got != text {
		c.s.t.Errorf("client got %q, want %q", got, text)
	}
}

// closed waits for the end and returns its code.
func (c *testSocket) closed() int {
	c.s.t.Helper()
	for {
		select {
		case _, open := <-c.in:
			if open {
				continue
			}
			var closed client.Closed
			if errors.As(c.err, &closed) {
				return closed.Code
			}
			return 1006
		case <-time.After(patience):
			c.s.t.Fatal("the connection was not closed")
		}
	}
}

// logBuffer collects what a process prints.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// example copies a folder of examples/ into a clean directory.
func example(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", name))); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(filepath.Join(dir, ".tidegate"))
	return dir
}

// folder writes files into a clean directory named stack.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "stack")
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// need skips the test when a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

// needClients skips the test when the npm packages of testdata/clients aren't
// installed, and returns their folder.
func needClients(t *testing.T) string {
	t.Helper()
	need(t, "node")
	dir, err := filepath.Abs(filepath.Join("testdata", "clients"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "ws")); err != nil {
		t.Skip("the npm packages of cmd/tidegate/testdata/clients are not installed; run npm ci there")
	}
	return dir
}

// needBoto3 skips the test when no Python has boto3, and returns one that has.
func needBoto3(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import boto3").Run() == nil {
			return python
		}
	}
	t.Skip("no python3 with boto3 is installed")
	return ""
}

// script runs a program that talks to the stack, with the stack's keys and
// endpoint in its environment, and returns what it printed.
func (s *stackUnderTest) script(env []string, name string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(append(cleanEnv(), "AWS_ENDPOINT_URL="+s.run.Endpoint, "AWS_ACCESS_KEY_ID=tidegate", "AWS_SECRET_ACCESS_KEY=tidegate",
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true"), env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%s %s: %v\n%s%s\ntidegate up said:\n%s", name, strings.Join(args, " "), err, out.String(), errOut.String(), s.log)
	}
	return strings.TrimSpace(out.String())
}

// rows are the items of a table, by the value of a string attribute.
func (s *stackUnderTest) rows(table, attribute string) []string {
	s.t.Helper()
	header := http.Header{"X-Amz-Target": {"DynamoDB_20120810.Scan"}, "Content-Type": {"application/x-amz-json-1.0"}}
	var out []string
	for in := map[string]any{"TableName": table}; ; {
		body, _ := json.Marshal(in)
		resp, answer, err := s.client.Do(s.t.Context(), "dynamodb", http.MethodPost, "/", header, body)
		if err != nil || resp.StatusCode != http.StatusOK {
			s.t.Fatalf("scan %s: %v %s", table, err, answer)
		}
		var page struct {
			Items            []map[string]struct{ S string }
			LastEvaluatedKey json.RawMessage
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			s.t.Fatal(err)
		}
		for _, item := range page.Items {
			out = append(out, item[attribute].S)
		}
		if page.LastEvaluatedKey == nil {
			return out
		}
		in["ExclusiveStartKey"] = page.LastEvaluatedKey
	}
}

// table is the name of the table with that logical id.
func (s *stackUnderTest) table(logicalID string) string {
	s.t.Helper()
	stack, err := s.client.Stack(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := client.Named("table", stack.Tables, logicalID)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Name
}

// get fetches a URL plainly and returns status and body.
func get(t *testing.T, url string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, vs := range header {
		req.Header[k] = vs
	}
	if h := header.Get("Host"); h != "" {
		req.Host = h
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, fmt.Sprint(string(b))
}
