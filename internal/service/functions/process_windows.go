package functions

import (
	"errors"
	"os/exec"
	"syscall"
)

// Functions don't run on Windows: CreateFunction says so, and these only let
// the package build.

type command struct {
	path, dir, token string
	args, env        []string
	out              *output
}

type process struct{ pid int }

// killStragglers has nothing to end: no function ran.
func killStragglers(string) {}

// A mourner has nothing to do here.
type mourner struct{}

func (*starter) newMourner(string) *mourner { return nil }

func (*mourner) close() {}

type starter struct{}

func newStarter() *starter { return &starter{} }

func (*starter) close() {}

func (*starter) start(command) (*process, error) {
	return nil, errors.New("functions don't run on Windows; use Linux or macOS")
}

func (*starter) launch(cmd *exec.Cmd) error { return cmd.Start() }

func killGroup(cmd *exec.Cmd) { cmd.Process.Kill() }

func attributes() *syscall.SysProcAttr { return nil }

func (*process) wait() string { return "" }
func (*process) terminate()   {}
func (*process) kill()        {}
func (*process) memory() int  { return 0 }

type pipe struct{}

func (*stream) drain() {}
func (*stream) close() {}

func statFile(string) (size, modified int64) { return 0, 0 }
