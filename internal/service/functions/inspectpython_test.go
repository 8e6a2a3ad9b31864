//go:build linux || darwin

package functions

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInspectPythonLacksDebugpy hides the machine's debugpy, if it has one, from
// the python3 that functions run on.
func TestInspectPythonLacksDebugpy(t *testing.T) {
	python := needPython(t)
	bin := t.TempDir()
	script := "#!/bin/sh\nexec '" + python + "' -S -I \"$@\"\n" // no site-packages, nobody's PYTHONPATH
	if err := os.WriteFile(filepath.Join(bin, "python3"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if exec.Command(filepath.Join(bin, "python3"), "-c", "import debugpy").Run() == nil {
		t.Skip("debugpy is part of this machine's Python itself and can't be hidden from it")
	}
	t.Setenv("PATH", bin)
	f := openFixture(t, func(c *Config) { c.Inspect = func(string) int { return 5679 } })
	f.create("without", map[string]string{"app.py": "def handler(event, context):\n    return 1\n"}, "Runtime", "python3.12", "Handler", "app.handler", "Timeout", 1)
	if status, got, _ := f.invoke("without", `{}`); status != 500 || !strings.Contains(got, "--inspect needs debugpy") || !strings.Contains(got, "-m pip install debugpy") {
		t.Errorf("without debugpy: %d %s", status, got)
	}
}
