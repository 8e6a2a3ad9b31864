package functions

import "syscall"

// attributes put a process into a group of its own. When we die without a word,
// the runtime sees its Runtime API go and ends.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killStragglers does nothing here: another process's environment can't be
// read, so one that left its group stays.
func killStragglers(string) {}

// A mourner has nothing to do here: another process's environment can't be read.
type mourner struct{}

func (*starter) newMourner(string) *mourner { return nil }

func (*mourner) close() {}

// memory is unknown here.
func (p *process) memory() int { return 0 }
