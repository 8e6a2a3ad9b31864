package functions

import (
	"fmt"
	"strings"
)

// compareRuntime tells the listener when what runs the function is of another
// version than its runtime. Asking Node.js takes a moment, which nobody waits for.
func (s *Service) compareRuntime(fn *function, program string) {
	tell := s.cfg.Events.OtherRuntime
	if tell == nil {
		return
	}
	name, runtime := fn.Name, fn.Runtime
	go func() {
		if runs := s.otherRuntime(runtime, program); runs != "" {
			tell(OtherRuntime{Function: name, Runtime: runtime, Runs: runs})
		}
	}()
}

// otherRuntime names what runs a function of the runtime, "" when it is the
// version that the runtime says, says none, or can't be told.
func (s *Service) otherRuntime(runtime, program string) string {
	switch {
	case majorPattern.MatchString(runtime):
		major := majorPattern.FindStringSubmatch(runtime)[1]
		if n := s.sdk.nodeMajor(); n > 0 && fmt.Sprint(n) != major {
			return fmt.Sprintf("Node.js %d", n)
		}
	case strings.HasPrefix(runtime, "python3."):
		if minor := s.pythons.minorOf(program); minor > 0 && runtime != fmt.Sprintf("python3.%d", minor) {
			return fmt.Sprintf("Python 3.%d", minor)
		}
	}
	return ""
}

// minorOf returns 12 of a Python 3.12 that was asked, 0 of one that wasn't.
func (ps *pythons) minorOf(program string) int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, found := range ps.probed {
		if found.path == program {
			return found.minor
		}
	}
	return 0
}
