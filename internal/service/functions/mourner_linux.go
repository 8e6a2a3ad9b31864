package functions

import (
	"io"
	"os/exec"
	"syscall"
)

// mourn has every process that looks like one of ours ended, in two rounds: one
// may have been starting another. Its first argument is the mark; it waits for its
// standard input's end. A line there lets it go.
const mourn = `trap '' INT TERM HUP
read -r _ && exit
for _ in 1 2; do
	for f in $(grep -lFe "$1" /proc/[0-9]*/environ); do
		f=${f#/proc/}
		kill -9 "${f%/environ}"
	done
done`

// A mourner is a shell that outlives us, however we end, and then ends the
// processes that functions started in sessions of their own. The kernel ends the
// functions' own processes (attributes); without root and a cgroup of ours it
// does no more. A process that gave up the environment it inherited escapes.
type mourner struct {
	cmd  *exec.Cmd
	life io.WriteCloser // its standard input; the kernel closes it when we are gone
}

// newMourner starts one for the mark. Nil means that this machine has no shell:
// then the next start clears up.
func (s *starter) newMourner(mark string) *mourner {
	cmd := exec.Command("/bin/sh", "-c", mourn, "tidegate-mourner", mark)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's Ctrl-C isn't for it
	life, err := cmd.StdinPipe()
	if err != nil {
		return nil
	}
	if err := s.launch(cmd); err != nil {
		life.Close()
		return nil
	}
	return &mourner{cmd, life}
}

// close lets it go: nothing is left to end.
func (m *mourner) close() {
	if m != nil {
		io.WriteString(m.life, "\n")
		m.life.Close()
		m.cmd.Wait() // it has nothing to tell
	}
}
