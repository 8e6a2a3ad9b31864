package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"tidegate/internal/client"
)

const daemonTemplate = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Daemon:
    Type: AWS::Serverless::Function
    Properties: { FunctionName: daemon, Runtime: nodejs22.x, CodeUri: ., Handler: app.handler, Timeout: 20, Environment: { Variables: { FILE: %q } } }
`

// A child in a session of its own, that ignores what asks it to end.
const daemonCode = `
const { spawn } = require("node:child_process"), fs = require("node:fs");
exports.handler = async () => {
  const child = spawn("/bin/sh", ["-c", "trap '' TERM HUP INT; while :; do sleep 1; done"], { detached: true, stdio: "ignore" });
  child.unref();
  fs.writeFileSync(process.env.FILE, String(child.pid));
};
`

// daemonize runs up with a function that leaves a daemon behind, which is returned.
func daemonize(t *testing.T) (*stackUnderTest, process) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pid")
	dir := folder(t, map[string]string{"template.yaml": fmt.Sprintf(daemonTemplate, file), "app.js": daemonCode})
	s := start(t, dir)
	if _, stderr, code := output(t, dir, "", "invoke", "daemon"); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		t.Fatal(err)
	}
	daemon, _, _, ok := stat(pid)
	if !ok {
		t.Fatal("the daemon doesn't run")
	}
	return s, daemon
}

// TestEndLeavesNoDaemon ends up in each way while a function has left a daemon
// behind: it ends too, with all that up has started.
func TestEndLeavesNoDaemon(t *testing.T) {
	t.Parallel()
	need(t, "node")
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			s, daemon := daemonize(t)
			all := append(descendants(t, s.cmd.Process.Pid), daemon)
			s.stopped = true
			s.cmd.Process.Signal(sig)
			s.await("tidegate up to end", s.ended)
			if drained := strings.Contains(s.log.String(), "Stopping"); drained != (sig != syscall.SIGKILL && sig != syscall.SIGQUIT) {
				t.Errorf("in good order: %v", drained)
			} else if drained && s.err != nil {
				t.Errorf("it ended with %v", s.err)
			}
			for _, p := range all {
				s.await(fmt.Sprintf("the process %v to end with it", p), func() bool { return !p.runs() })
			}
		})
	}
}

// TestNohup: who has SIGHUP ignored outlives the terminal.
func TestNohup(t *testing.T) {
	t.Parallel()
	need(t, "nohup")
	dir := folder(t, map[string]string{"template.yaml": mockAPI})
	log := &logBuffer{}
	cmd := tidegate(t.Context(), dir, "up", "--port", "0", "--log-format", "text")
	nohup, err := exec.LookPath("nohup")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Args = nohup, append([]string{nohup}, cmd.Args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &stackUnderTest{t: t, dir: dir, cmd: cmd, log: log, exited: make(chan struct{})}
	go func() {
		s.err = cmd.Wait()
		close(s.exited)
	}()
	s.await("the stack to be ready", func() bool { return strings.Contains(log.String(), "Ready.") })
	cmd.Process.Signal(syscall.SIGHUP)
	if s.run, err = client.Find("", dir); err != nil {
		t.Fatal(err)
	}
	if s.client, err = client.New(s.run); err != nil {
		t.Fatal(err)
	}
	c := s.dial()
	c.say(`{"action":"ping"}`)
	c.want(`{"pong":true}`)
	if strings.Contains(log.String(), "Stopping") {
		t.Error("SIGHUP ended it")
	}
	s.stop()
}
