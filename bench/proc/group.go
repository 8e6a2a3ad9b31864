package proc

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// A Group is processes that were started together; it ends them and no others.
type Group struct {
	mu       sync.Mutex
	commands []*exec.Cmd
	adopted  []int
	replaced map[int]bool // what was started and has given its place away
	ended    sync.WaitGroup
}

var (
	groupsMu sync.Mutex
	groups   = map[*Group]bool{}
)

// NewGroup returns a group that ends with EndAll at the latest.
func NewGroup() *Group {
	g := &Group{}
	groupsMu.Lock()
	defer groupsMu.Unlock()
	groups[g] = true
	return g
}

// EndOnSignal ends every group, and this process, at SIGINT and SIGTERM.
func EndOnSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-c
		EndAll()
		os.Exit(130)
	}()
}

// EndAll ends every group that hasn't ended.
func EndAll() {
	groupsMu.Lock()
	var all []*Group
	for g := range groups {
		all = append(all, g)
	}
	groupsMu.Unlock()
	for _, g := range all {
		g.End()
	}
}

// Start runs a program in a process group of its own, so that Ctrl-C reaches the
// bench alone. What it says goes to log.
func (g *Group) Start(log io.Writer, dir string, env []string, program string, args ...string) (*exec.Cmd, error) {
	c := exec.Command(program, args...)
	c.Dir, c.Stdout, c.Stderr = dir, log, log
	c.Env = append(os.Environ(), env...)
	return c, g.Run(c)
}

// Run starts a command that the caller made.
func (g *Group) Run(c *exec.Cmd) error {
	// Should the bench be killed, the processes end with it. The signal comes when the
	// thread ends that started them; Go's don't before the process.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.Path, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.commands = append(g.commands, c)
	g.ended.Go(func() { c.Wait() })
	return nil
}

// Replace says that one of the group started another process, which takes its place;
// the old one may end.
func (g *Group) Replace(old, pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.replaced == nil {
		g.replaced = map[int]bool{}
	}
	g.replaced[old] = true
	g.adopted = append(g.adopted, pid)
}

// Roots are the processes that were started or took the place of one, those that
// ended included.
func (g *Group) Roots() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	roots := append([]int(nil), g.adopted...)
	for _, c := range g.commands {
		roots = append(roots, c.Process.Pid)
	}
	return roots
}

// Alive reports whether every process runs that should.
func (g *Group) Alive() bool {
	for _, pid := range g.Roots() {
		g.mu.Lock()
		replaced := g.replaced[pid]
		g.mu.Unlock()
		if !replaced && !Alive(pid) {
			return false
		}
	}
	return true
}

// How long processes may take to end, when they are asked and when they are killed.
const (
	endTime  = 5 * time.Second
	killTime = 2 * time.Second
)

// End ends the processes and their descendants.
func (g *Group) End() {
	groupsMu.Lock()
	delete(groups, g)
	groupsMu.Unlock()
	roots := g.Roots()
	all := Tree(roots)
	for _, pid := range roots {
		if Alive(pid) {
			syscall.Kill(pid, syscall.SIGTERM)
		}
	}
	wait(all, endTime)
	for _, pid := range all {
		if Alive(pid) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	wait(all, killTime)
	g.ended.Wait()
}

// wait waits until none of the processes runs, for some time at most.
func wait(pids []int, most time.Duration) {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		running := false
		for _, pid := range pids {
			running = running || Alive(pid)
		}
		if !running {
			return
		}
	}
}
