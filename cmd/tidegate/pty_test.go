package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inTerminal is a program that runs another on a terminal of its own: it sends
// what its arguments say once the text before has come, and prints all that came.
//
//	python3 -c inTerminal COMMAND… -- WANT SEND WANT SEND …
const inTerminal = `
import os, pty, select, sys, time
args = sys.argv[1:]
cut = args.index("--")
command, steps = args[:cut], args[cut + 1:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(command[0], command)
seen, from_ = b"", 0
end = time.time() + 100
def more():
    global seen
    if not select.select([fd], [], [], max(0, end - time.time()))[0]:
        raise SystemExit("waited in vain; it said: " + repr(seen))
    try:
        b = os.read(fd, 65536)
    except OSError:
        return False
    seen += b
    return bool(b)
for want, send in zip(steps[::2], steps[1::2]):
    while want.encode() not in seen[from_:]:
        if not more():
            raise SystemExit("it ended before %r: %r" % (want, seen))
    from_ = len(seen)
    os.write(fd, send.encode().decode("unicode_escape").encode())
while more():
    pass
_, status = os.waitpid(pid, 0)
print(seen.decode(errors="replace"))
print("exit", os.waitstatus_to_exitcode(status))
`

// terminal runs the program on a terminal, and returns what stood there.
func terminal(t *testing.T, dir string, args, steps []string) string {
	t.Helper()
	need(t, "python3")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all := append([]string{"-c", inTerminal, os.Args[0]}, args...)
	cmd := exec.CommandContext(ctx, "python3", append(append(all, "--"), steps...)...)
	cmd.Dir, cmd.Env = dir, append(cleanEnv(), asTidegate+"=1", "TERM=xterm")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestConnectOnATerminal chats as a person does: JSON over lines and in colours,
// and what was typed comes back with arrow up, the next time too.
func TestConnectOnATerminal(t *testing.T) {
	s := upMock(t)
	out := terminal(t, s.dir, []string{"connect"}, []string{"Connected", `{"action":"ping"}\r`, "pong", `\x04`})
	if !strings.Contains(out, "\x1b[36m\"pong\"\x1b[0m: \x1b[33mtrue\x1b[0m") || !strings.Contains(out, "exit 0") {
		t.Errorf("the first time:\n%q", out)
	}
	out = terminal(t, s.dir, []string{"connect", "--raw", "-T"}, []string{"Connected", `\x1b[A\r`, `{"pong":true}`, `\x04`})
	if !strings.Contains(out, "exit 0") {
		t.Errorf("the second time:\n%q", out)
	}
	if info, err := os.Stat(filepath.Join(os.Getenv("XDG_STATE_HOME"), "tidegate", "history")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the history: %v %v", info, err)
	}
	if out := terminal(t, s.dir, []string{"connections"}, nil); !strings.Contains(out, "No client is connected.") {
		t.Errorf("connections on a terminal:\n%s", out)
	}
	if out := terminal(t, s.dir, []string{"logs"}, nil); !strings.Contains(out, "ping") || strings.Contains(out, `{"time"`) {
		t.Errorf("logs on a terminal:\n%s", out)
	}
}

// TestUpOnATerminal has `up` tell its story to a person, in colours unless
// NO_COLOR asks for none, and end in good order with Ctrl-C.
func TestUpOnATerminal(t *testing.T) {
	for _, plain := range []string{"", "1"} {
		t.Setenv("NO_COLOR", plain)
		dir := folder(t, map[string]string{"template.yaml": mockAPI})
		out := terminal(t, dir, []string{"up", "--port", "0"}, []string{"Ctrl-C ends.", `\x03`})
		if !strings.Contains(out, "Try it:   tidegate connect ws://localhost:") || !strings.Contains(out, "Stopping") || !strings.Contains(out, "exit 0") {
			t.Errorf("NO_COLOR=%s:\n%s", plain, out)
		}
		if colored := strings.Contains(out, "\x1b["); colored == (plain != "") {
			t.Errorf("NO_COLOR=%s: in colours: %v:\n%q", plain, colored, out)
		}
	}
	if out := terminal(t, t.TempDir(), nil, nil); !strings.Contains(out, "tidegate up  ") || strings.Contains(out, "Flags:") || !strings.Contains(out, "exit 0") {
		t.Errorf("tidegate alone:\n%s", out)
	}
}
