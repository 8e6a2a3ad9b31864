package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReset deletes what isn't in use, and what is Tidegate's own.
func TestReset(t *testing.T) {
	s := upMock(t)
	dir := filepath.Join(s.dir, ".tidegate")
	if _, stderr, code := output(t, s.dir, "", "reset", "--yes"); code != exitFailed || !strings.Contains(stderr, fmt.Sprintf("pid %d", s.cmd.Process.Pid)) {
		t.Errorf("while it runs: exit %d: %s", code, stderr)
	}
	s.stop()
	if _, stderr, code := output(t, s.dir, "", "reset"); code != exitUsage || !strings.Contains(stderr, "--yes") {
		t.Errorf("without being asked: exit %d: %s", code, stderr)
	}
	if err := os.WriteFile(filepath.Join(dir, "mine.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := terminal(t, s.dir, []string{"reset"}, []string{"[y/N]", `n\n`})
	if !strings.Contains(out, "Nothing was deleted.") || !strings.Contains(out, "exit 1") {
		t.Errorf("no:\n%s", out)
	}
	out = terminal(t, s.dir, []string{"reset"}, []string{"[y/N]", `y\n`})
	if !strings.Contains(out, "deleted tidegate.db") || !strings.Contains(out, "exit 0") {
		t.Errorf("yes:\n%s", out)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "mine.txt" {
		t.Errorf("left are %v, %v", left, err)
	}
	if out, _, code := output(t, s.dir, "", "reset", "--yes"); code != 0 || !strings.Contains(out, "nothing to delete") {
		t.Errorf("twice: exit %d: %s", code, out)
	}
	start(t, s.dir).stop()
	fresh := start(t, s.dir, "--fresh")
	if !strings.Contains(fresh.log.String(), "--fresh deleted") || !strings.Contains(fresh.log.String(), "create Api") {
		t.Errorf("--fresh:\n%s", fresh.log)
	}
}

// TestDoctor wants each check with a state, and words on what isn't ok.
func TestDoctor(t *testing.T) {
	out, stderr, code := output(t, t.TempDir(), "", "doctor")
	var page struct {
		Checks []struct{ Name, State, Found, Do string }
	}
	if err := json.Unmarshal([]byte(out), &page); err != nil {
		t.Fatalf("exit %d: %v: %s%s", code, err, out, stderr)
	}
	seen := map[string]bool{}
	for _, c := range page.Checks {
		seen[c.Name] = true
		if c.Found == "" || c.State != "ok" && c.Do == "" || c.State == "fail" && code != exitFailed {
			t.Errorf("check %+v, exit %d", c, code)
		}
	}
	for _, name := range []string{"Node.js", "Python", "Go", "port 8420", "clock", "*.localhost", "certificate authority", "disk"} {
		if !seen[name] {
			t.Errorf("no check of %s", name)
		}
	}
}

// TestNoNode: what this machine lacks is no mistake in the template.
func TestNoNode(t *testing.T) {
	dir := folder(t, map[string]string{"template.yaml": talkative})
	t.Setenv("PATH", t.TempDir())
	if _, stderr, code := output(t, dir, "", "up", "--port", "0"); code != exitFailed || !strings.Contains(stderr, "install Node.js") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
