package functions

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// A function under a debugger has one environment at a time, since a port has
// one listener, and nothing hurries it: its timeout is a day. The environment is
// there before the first invocation, so that a debugger finds it, and after each
// change of the code on the same port.

// inspectTimeout is the timeout of a function under a debugger.
const inspectTimeout = 24 * time.Hour

// inspectEvery is how often its code is looked at while nothing invokes it.
const inspectEvery = 300 * time.Millisecond

// Inspectable says whether functions of the runtime can run under a debugger.
func Inspectable(runtime string) bool {
	l := languageOf(runtime)
	return l != nil && l.debugger(1, nil) != nil
}

// debugger has Node.js listen for its inspector's clients.
// https://nodejs.org/api/debugger.html#v8-inspector-integration-for-nodejs
func (node) debugger(port int, args []string) []string {
	return append([]string{fmt.Sprintf("--inspect=127.0.0.1:%d", port)}, args...)
}

// debugger runs the bootstrap under debugpy. What it starts is left alone: it
// would want the same port.
func (python) debugger(port int, args []string) []string {
	module := []string{"-m", "debugpy", "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--configure-subProcess", "False"}
	at := max(0, len(args)-1) // before the script
	return append(append(append([]string{"-Xfrozen_modules=off"}, args[:at]...), module...), args[at:]...)
}

func (custom) debugger(int, []string) []string { return nil }

// inspected returns the arguments that open a debugger's port, or an error when
// what listens there isn't installed.
func (e *environment) inspected(program string, args, env []string) ([]string, error) {
	fn := e.fn
	if _, ok := fn.language().(python); ok {
		ctx, cancel := context.WithTimeout(e.s.ctx, 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, "-c", "import debugpy")
		cmd.Dir, cmd.Env = fn.codeDir, env
		if err := cmd.Run(); err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) && ctx.Err() == nil {
				return nil, fmt.Errorf("--inspect needs debugpy, and %s has none: run \"%s -m pip install debugpy\"", program, program)
			}
			return nil, fmt.Errorf("looking for debugpy: %w", err)
		}
	}
	return fn.language().debugger(fn.inspect, args), nil
}

// admitInspectedLocked says whether the function's one environment may start
// now. Idle ones of its other versions make way; they are returned.
func (s *Service) admitInspectedLocked(fn *function) (ok bool, others []*environment) {
	if fn.inspect == 0 {
		return true, nil
	}
	if s.debugged[fn.Name] == 0 {
		s.debugged[fn.Name]++
		return true, nil
	}
	for key, p := range s.pools {
		if name, _, _ := strings.Cut(key, ":"); name == fn.Name && key != fn.key() {
			others, p.idle = append(others, p.idle...), nil
		}
	}
	return false, others
}

// leftInspectedLocked is called when an environment has ended, or wasn't started.
func (s *Service) leftInspectedLocked(fn *function) {
	if fn.inspect != 0 {
		s.debugged[fn.Name]--
		s.wakeLocked()
	}
}

// keepInspected has an environment of the function ready, of its present code,
// until the service is closed. It is called once for each function.
func (s *Service) keepInspected(name string) {
	tick := time.NewTicker(inspectEvery)
	defer tick.Stop()
	ready := "" // the generation for which one was started
	for {
		if fn, err := s.byKey(name); err == nil && (fn.generation != ready || s.idleIsStale(fn)) {
			ready = fn.generation
			s.warm(fn)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// idleIsStale says whether an environment waits that must not run the function as
// it is now.
func (s *Service) idleIsStale(fn *function) bool {
	s.mu.Lock()
	var e *environment
	if p := s.pools[fn.key()]; p != nil && len(p.idle) > 0 {
		e = p.idle[len(p.idle)-1]
	}
	s.mu.Unlock()
	return e != nil && e.unfit(fn) == exitStale
}

// warm starts an environment without an invocation.
func (s *Service) warm(fn *function) {
	tell := func(err error) {
		if s.ctx.Err() == nil {
			s.cfg.Events.progress(Progress{Function: fn.Name, Text: "is not ready for a debugger", Err: err})
		}
	}
	e, cold, err := s.acquire(s.ctx, fn)
	if err != nil {
		tell(err)
		return
	}
	if cold && e.await(inspectTimeout) != initReady {
		e.retire(exitInit)
		tell(errors.New("its code can't be loaded; invoke it to see why"))
		return
	}
	s.release(e)
}

// inspectLocked starts keepInspected when the function is to be debugged. The
// caller holds s.mu.
func (s *Service) inspectLocked(fn *function) {
	if fn.inspect == 0 || s.closed || s.kept[fn.Name] {
		return
	}
	s.kept[fn.Name] = true
	go s.keepInspected(fn.Name)
}
