package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestServeExample runs examples/serve as its README says: the backend of Node.js,
// two ws clients, and a push with boto3.
func TestServeExample(t *testing.T) {
	t.Parallel()
	clients, python := needClients(t), needBoto3(t)
	dir := example(t, "serve")
	management := freeAddress(t)
	secrets := []string{"BACKEND_TOKEN=0123456789abcdef01234567", "ANNOUNCER_SECRET=" + serveSecret, "WEBHOOK_SECRET=whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "GATEWAY=http://" + management + "/prod"}

	backend := command(t, dir, append(secrets, "PORT=0"), "node", "backend.mjs")
	address := strings.TrimPrefix(backend.line(), "listening on ")
	s := &serveUnderTest{stackUnderTest: &stackUnderTest{t: t, dir: dir, log: &logBuffer{}, exited: make(chan struct{}), env: append(secrets,
		"BACKEND="+address, "TIDEGATE_LISTENERS_PUBLIC=127.0.0.1:0", "TIDEGATE_LISTENERS_MANAGEMENT="+management, "TIDEGATE_LISTENERS_ADMIN=off")}}
	s.launch("serve")
	s.ready()

	room := command(t, dir, nil, "node", clients+"/room.mjs", s.URLs[0])
	var got struct{ A, B []string }
	if err := json.Unmarshal([]byte(room.line()), &got); err != nil {
		t.Fatal(err)
	}
	who := regexp.MustCompile(`^you are (\S+); send`)
	if len(got.A) != 2 || len(got.B) != 2 || got.A[0] != `{"text":"grüße 🌊"}` || got.B[0] != got.A[0] || got.B[1] != `{"pong": true}` || !who.MatchString(got.A[1]) {
		t.Fatalf("the clients got %+v", got)
	}
	announce := command(t, dir, secrets, python, "announce.py", who.FindStringSubmatch(got.A[1])[1], "from boto3")
	if err := announce.Wait(); err != nil {
		t.Fatalf("announce.py: %v", err)
	}
	if text := room.line(); text != "from boto3" {
		t.Errorf("the client got %q from boto3", text)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if ends := room.line(); ends != `[[1001,"Going away"],[1001,"Going away"]]` {
		t.Errorf("the clients were closed with %s", ends)
	}
	s.await("tidegate serve to end", s.ended)
	s.stopped = true
	if s.err != nil {
		t.Errorf("SIGTERM: %v", s.err)
	}
}

// freeAddress is one of loopback that nobody listens on just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// running is a program whose lines are read.
type running struct {
	*exec.Cmd
	t   *testing.T
	out *bufio.Scanner
}

// command starts a program that ends with the test.
func command(t *testing.T, dir string, env []string, name string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	c := &running{Cmd: exec.CommandContext(ctx, name, args...), t: t}
	c.Dir, c.Env, c.Stderr = dir, append(cleanEnv(), env...), os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		c.Wait()
	})
	return c
}

// line is the next one.
func (c *running) line() string {
	c.t.Helper()
	if !c.out.Scan() {
		c.t.Fatalf("%s ended without another line: %v", c.Path, c.out.Err())
	}
	return c.out.Text()
}
