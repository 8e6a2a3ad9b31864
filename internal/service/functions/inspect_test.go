package functions

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// TestInspectPython needs no debugger to see how one is started: a package of
// its name in the function's folder says what it was given, then runs it.
func TestInspectPython(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3 on PATH")
	}
	f := openFixture(t, func(c *Config) {
		c.Inspect = func(name string) int { return map[string]int{"with": 5678}[name] }
	})
	handler := "import os, time\ndef handler(event, context):\n    return [os.environ.get('SEEN'), context.get_remaining_time_in_millis() > 10000]\n"
	python := []any{"Runtime", "python3.12", "Handler", "app.handler", "Timeout", 1}
	f.create("with", map[string]string{
		"app.py": handler, "debugpy/__init__.py": "",
		"debugpy/__main__.py": "import os, runpy, sys\nos.environ['SEEN'] = ' '.join(sys.argv[1:-1])\nsys.argv = sys.argv[-1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n",
	}, python...)
	const want = `["--listen 127.0.0.1:5678 --configure-subProcess False",true]`
	for range 2 {
		if _, got, _ := f.invoke("with", `{}`); strings.ReplaceAll(got, ", ", ",") != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if n := f.startCount(); n != 1 {
		t.Errorf("%d environments were started", n)
	}
}

// An exit frees the port for the next environment.
func TestInspectAfterAnExit(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	f := newFixture(t, func(c *Config) { c.Inspect = func(string) int { return port } })
	f.create("one", map[string]string{"index.js": `exports.handler = async (e) => { if (e.exit) process.exit(1); return require('inspector').url(); };`})
	for range 3 {
		if _, got, _ := f.invoke("one", `{}`); !strings.HasPrefix(got, fmt.Sprintf(`"ws://127.0.0.1:%d/`, port)) {
			t.Errorf("it listens at %s, want port %d", got, port)
		}
		if _, got, _ := f.invoke("one", `{"exit":true}`); !strings.Contains(got, "Runtime.ExitError") {
			t.Errorf("the exit: %s", got)
		}
	}
}
