package functions

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestLeftoversEnd has processes wait that functions of a killed Tidegate started
// in sessions of their own: those of this folder end when it is opened again.
func TestLeftoversEnd(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	leave := func(dir string) *exec.Cmd {
		cmd := exec.Command("sleep", "600")
		cmd.Env = []string{"A=b", "LAMBDA_RUNTIME_DIR=" + filepath.Join(dir, "runtime"), "C=d"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Skipf("needs sleep: %v", err)
		}
		return cmd
	}
	ours, theirs := leave(dir), leave(other)
	defer theirs.Wait()
	defer theirs.Process.Kill()
	newFixture(t, func(c *Config) { c.Dir = dir })
	ours.Wait() // the status says it
	if status := ours.ProcessState.String(); status != "signal: killed" {
		t.Errorf("what was left behind: %s", status)
	}
	if err := theirs.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("a process of another data dir: %v", err)
	}
}
