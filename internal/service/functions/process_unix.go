//go:build linux || darwin

package functions

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// A command is what a process is started with.
type command struct {
	path  string
	args  []string
	dir   string
	env   []string
	token string // a part of one of the variables that no other process has
	out   *output
}

// A process is the leader of a process group of its own.
type process struct {
	pid   int
	token string
	cmd   *exec.Cmd

	mu    sync.Mutex
	ended bool // its id may belong to another process by now
}

// A starter starts processes from one thread: Linux tells a child of its
// parent's death when the thread that started it ends, not the process.
type starter struct {
	jobs  chan func()
	ended chan struct{}
	once  sync.Once
}

func newStarter() *starter {
	s := &starter{jobs: make(chan func()), ended: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for {
			select {
			case job := <-s.jobs:
				job()
			case <-s.ended:
				return
			}
		}
	}()
	return s
}

// close ends the thread; nothing may be started any more.
func (s *starter) close() { s.once.Do(func() { close(s.ended) }) }

// start starts the process in a group of its own, its output read from now on.
func (s *starter) start(c command) (*process, error) {
	cmd := exec.Command(c.path, c.args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	cmd.SysProcAttr = attributes()
	var ends [2]*os.File
	for i, st := range c.out.streams {
		w, err := st.open()
		if err != nil {
			c.out.close()
			return nil, err
		}
		defer w.Close()
		ends[i] = w
	}
	cmd.Stdout, cmd.Stderr = ends[0], ends[1]
	if err := s.launch(cmd); err != nil {
		c.out.close()
		return nil, err
	}
	for _, st := range c.out.streams {
		go st.read()
	}
	return &process{pid: cmd.Process.Pid, token: c.token, cmd: cmd}, nil
}

// launch starts a command from the one thread.
func (s *starter) launch(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	select {
	case s.jobs <- func() { started <- cmd.Start() }:
	case <-s.ended:
		started <- errClosed
	}
	return <-started
}

// killGroup ends what a command has started, and the command.
func killGroup(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// wait waits for the process to end, then ends what it has left behind, and
// returns its status: "exit status 1", "signal: killed".
func (p *process) wait() string {
	p.cmd.Wait() // the status says it all
	p.mu.Lock()
	syscall.Kill(-p.pid, syscall.SIGKILL)
	p.ended = true
	p.mu.Unlock()
	killStragglers(p.token)
	return p.cmd.ProcessState.String()
}

// terminate asks the whole group to end.
func (p *process) terminate() { p.signal(syscall.SIGTERM) }

// kill ends the whole group.
func (p *process) kill() { p.signal(syscall.SIGKILL) }

func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		syscall.Kill(-p.pid, sig)
	}
}
