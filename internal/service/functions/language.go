package functions

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A language is how the functions of one family of runtimes run on this machine.
type language interface {
	// runs says whether a runtime of this name is one of the family.
	runs(runtime string) bool
	// installed looks for the runtime's program without running it; the error says
	// what to install.
	installed(s *Service, runtime string) error
	// imports returns the packages that Lambda's runtimes bring, that the code in
	// a folder imports and that the folder lacks.
	imports(fn *function) map[string]bool
	// inLayers says whether the function's layers, which lie in opt, hold a package.
	inLayers(fn *function, opt, name string) bool
	// provide finds the program that runs the function, and what it needs to find
	// p.names; it sets p's program, dir, absent and err.
	provide(s *Service, fn *function, p *preparation)
	// arguments are what the program is given; runtime is the folder of ours.
	arguments(runtime string) []string
	// variables completes the environment: the way to the packages, to Tidegate.
	// What the function sets itself comes first.
	variables(e *environment, vars map[string]string, p *preparation)
	// missing returns the package that a function error says is missing, when it
	// is one that Lambda's runtimes bring, of whichever version; else nothing.
	missing(payload []byte) string
	// brings says whether the function's own runtime has the package.
	brings(fn *function, name string) bool
	// hint says what to do about a missing package; p may be nil.
	hint(fn *function, name string, p *preparation) string
	// unready says what to do about a program that runs but never asked for an
	// invocation; empty when its own words say enough.
	unready(fn *function) string
	// redirects says whether the runtime's own bootstrap, which is ours, leads its
	// connections to Tidegate. Others get HTTPS_PROXY.
	redirects() bool
	// debugger returns the arguments with which a debugger can attach at a loopback
	// port; nil when there is no debugger for the runtime.
	debugger(port int, args []string) []string
	// wraps says whether AWS_LAMBDA_EXEC_WRAPPER is heeded.
	wraps() bool
}

var languages = []language{node{}, python{}, custom{}, golang{}}

// languageOf returns what runs the runtime, nil when nothing does.
func languageOf(runtime string) language {
	for _, l := range languages {
		if l.runs(runtime) {
			return l
		}
	}
	return nil
}

// language is never nil: a function's runtime was checked when it was made.
func (fn *function) language() language { return languageOf(fn.Runtime) }

// A preparation is what the function's present code needs of this machine. The
// fields below done are set when it is closed.
type preparation struct {
	scanned chan struct{} // closed when names is known
	done    chan struct{}
	names   map[string]bool // packages of the SDK, such as @aws-sdk/client-s3 or boto3
	program string          // what runs the code
	absent  error           // why there is no program
	opt     string          // what /opt is: the folder of the function's layers, empty without
	dir     string          // holds node_modules with the packages, or is empty
	err     error           // why the packages are not there
	// What was built: the function as it runs, in the folder that holds what was
	// made of its code; further folders with packages; and what it was made from.
	fn       *function
	packages []string
	files    []sourceFile
	made     bool  // something was built
	failed   error // why nothing runs
}

func newPreparation() *preparation {
	return &preparation{scanned: make(chan struct{}), done: make(chan struct{}), names: map[string]bool{}}
}

// buildPatience is how long a function's state is held back: a build that is
// over by then is not worth telling of.
const buildPatience = 200 * time.Millisecond

// installing says whether the function waits for packages, or to be built.
func (p *preparation) installing() bool {
	select {
	case <-p.scanned:
	case <-time.After(buildPatience):
		return true // it is being built
	}
	select {
	case <-p.done:
		return false
	default:
		return len(p.names) > 0
	}
}

// prepare begins to look for what the function's code needs, unless that was
// begun before, of the present code.
func (s *Service) prepare(fn *function) *preparation {
	old := s.preparationOf(fn)
	outdated := old != nil && old.outdated()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pool(fn.key())
	if p.prepared == nil || outdated && p.prepared == old {
		p.prepared = newPreparation()
		now := p.prepared
		if s.closed { // it fails at once, and Close may wait for the others by now
			go s.provide(fn, now)
		} else {
			s.preparing.Go(func() { s.provide(fn, now) })
		}
	}
	return p.prepared
}

// provide scans the code and finds what it needs.
func (s *Service) provide(fn *function, p *preparation) {
	defer close(p.done)
	layers := s.layerSources(fn)
	made := s.build(fn)
	p.packages, p.files, p.made = made.packages, slices.Concat(made.files, layers), made.made || s.buildsLayers(fn)
	if !made.usable {
		p.failed = made.err
		close(p.scanned)
		return
	}
	if made.dir != fn.codeDir {
		runs := *fn
		runs.codeDir = made.dir
		fn = &runs
	}
	p.fn = fn
	l := fn.language()
	var missing error
	if p.opt, missing = s.opt(fn); missing == nil && p.opt != "" {
		s.tellExtensions(fn, p.opt)
	}
	for name := range l.imports(fn) {
		if l.brings(fn, name) && !l.inLayers(fn, p.opt, name) && !holdPackage(p.packages, name) {
			p.names[name] = true
		}
	}
	close(p.scanned)
	l.provide(s, fn, p)
	if missing != nil {
		p.absent = missing
	}
	if p.err == nil {
		p.err = made.err
	}
}

func (s *Service) preparationOf(fn *function) *preparation {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pools[fn.key()]; p != nil {
		return p.prepared
	}
	return nil
}

// forgetPreparation has the code scanned again, since it has changed.
func (s *Service) forgetPreparation(fn *function) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pools[fn.key()]; p != nil && p.prepared != nil {
		select {
		case <-p.prepared.done:
			p.prepared = nil
		default:
		}
	}
}

// bring provides a package that the code turned out to need: one whose name the
// scan didn't see. It returns true when the package is there now and was not
// before.
func (s *Service) bring(fn *function, name string) bool {
	l := fn.language()
	if !l.brings(fn, name) {
		return false
	}
	old := s.prepare(fn)
	<-old.done
	if old.names[name] && old.err == nil {
		return false
	}
	next := newPreparation()
	next.opt = old.opt
	defer close(next.done)
	maps.Copy(next.names, old.names)
	next.fn, next.packages, next.files, next.made, next.failed = old.fn, old.packages, old.files, old.made, old.failed
	if old.fn != nil {
		fn = old.fn
	}
	next.names[name] = true
	close(next.scanned)
	l.provide(s, fn, next)
	s.mu.Lock()
	if p := s.pool(fn.key()); p.prepared == old {
		p.prepared = next
	}
	s.mu.Unlock()
	return next.err == nil && next.absent == nil
}

// missingSDK returns the package of an SDK that a runtime reported missing.
func (e *environment) missingSDK() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fn.language().missing(e.initBody)
}

// holdPackage says whether one of the folders has the package, be it of Node.js
// or Python.
func holdPackage(folders []string, name string) bool {
	for _, dir := range folders {
		for _, path := range []string{filepath.Join(dir, "node_modules", filepath.FromSlash(name)), filepath.Join(dir, filepath.FromSlash(name))} {
			if _, err := os.Stat(path); err == nil {
				return true
			}
		}
	}
	return false
}
