package functions

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// attributes put a process into a group of its own, and have the kernel end it
// when we die without a word.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killStragglers ends the processes that left their group but still have the
// token in the environment they inherited. What one starts while they are looked
// for is found in the next round.
func killStragglers(token string) {
	for range 10 {
		if token == "" || !killOnce(token) {
			return
		}
	}
}

// killOnce is one round; it says whether there was anything.
func killOnce(token string) (found bool) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile("/proc/" + name.Name() + "/environ")
		if err == nil && bytes.Contains(env, []byte(token)) { // a dead one has none
			syscall.Kill(pid, syscall.SIGKILL)
			found = true
		}
	}
	return found
}

// memory returns the most that the process used, in MB.
func (p *process) memory() int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, ok := bytes.Cut(b, []byte("VmHWM:"))
	if !ok {
		return 0
	}
	fields := bytes.Fields(rest[:min(len(rest), 64)])
	if len(fields) == 0 {
		return 0
	}
	kb, err := strconv.Atoi(string(fields[0]))
	if err != nil {
		return 0
	}
	return kb >> 10
}
