package functions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/sigv4"
)

// An environment is one process that runs one function, one invocation at a
// time, and the Runtime API that it talks to.
type environment struct {
	// Set at the start, not changed afterwards.
	s       *Service
	fn      *function
	id      string // 32 hex digits
	stream  string // the name of its log stream
	proc    *process
	api     *runtimeServer
	host    string        // of the Runtime API
	port    int           // where a go1.x program is to listen; 0 for others
	temp    string        // its TMPDIR
	files   []sourceFile  // what the process was loaded from
	expires time.Time     // when it is to be replaced for its credentials' sake
	out     *output       // what the process writes
	proxy   string        // for HTTPS_PROXY; empty when the runtime needs none
	leave   func()        // ends what proxy lets in; nil without one
	takers  chan *taker   // runtimes that wait for an invocation: one, as a rule
	ready   chan struct{} // closed at the first call of next
	failed  chan struct{} // closed when the runtime reports that it can't load
	ended   chan struct{} // closed when the process has ended; status is set then
	status  string

	// Of the invocation that runs, one at a time.
	megabytes int // the most that the process has used
	measured  time.Time

	looked time.Time // at files; of whoever has taken it from the pool

	// Guarded by s.mu.
	used    time.Time
	yielded bool

	mu       sync.Mutex
	state    state
	current  *invocation
	answered string // the request id of the invocation before, until the runtime asks for the next
	initBody []byte
	why      ExitReason // of its end, the first one given
}

// maxTakers is how many requests for the next invocation may wait at a time;
// further ones are waiting to wait. A runtime makes one.
const maxTakers = 8

// state is where the runtime is in Lambda's own state machine, whose names
// appear in the Runtime API's refusals.
type state string

const (
	stateStarted   state = "Started"
	stateReady     state = "Ready"
	stateRunning   state = "Running"
	stateSent      state = "RuntimeResponseSentState"
	stateInitError state = "InitError"
)

// start starts a process for the function. Its place is taken already, and
// given back when it can't be started.
func (s *Service) start(ctx context.Context, fn *function) (_ *environment, err error) {
	e := &environment{
		s: s, fn: fn, id: s.life + strings.ReplaceAll(awshttp.NewRequestID(), "-", "")[:20], takers: make(chan *taker, maxTakers),
		ready: make(chan struct{}), failed: make(chan struct{}), ended: make(chan struct{}), state: stateStarted, used: time.Now(),
	}
	e.stream = e.used.UTC().Format("2006/01/02/") + "[" + fn.version() + "]" + e.id
	s.mu.Lock()
	if s.closed {
		s.yieldLocked(e)
		s.mu.Unlock()
		return nil, errClosed
	}
	s.exits.Add(1)
	s.mourned = true
	s.mu.Unlock()
	s.mourner()
	defer func() {
		if err != nil {
			s.mu.Lock()
			s.yieldLocked(e)
			s.leftInspectedLocked(fn)
			s.mu.Unlock()
			s.exits.Done()
		}
	}()
	// Without it, starting would fail with a text that names the program as missing.
	if info, err := os.Stat(fn.codeDir); err != nil || !info.IsDir() {
		return nil, &awshttp.Error{Code: "ServiceException", Status: http.StatusInternalServerError, MessageKey: "Message",
			Message: fmt.Sprintf("the function's code folder %s is gone; put it back", fn.codeDir)}
	}
	prep, err := s.prepared(ctx, fn)
	if err != nil {
		return nil, err
	}
	fn = prep.fn // it runs in the folder that holds what was built
	e.fn = fn
	keys, err := s.session.get(s.ctx, fn)
	if err != nil {
		return nil, err
	}
	e.expires = keys.retire
	switch {
	case prep.made:
		e.files = prep.files
	case fn.Code.Folder != "": // files may have come since the code was scanned
		e.files = slices.Concat(fn.sourceFiles(), s.layerSources(fn))
	default:
		e.files = s.layerSources(fn)
	}
	// Short, since sockets may lie there, whose paths are bounded at 107 bytes.
	e.temp = filepath.Join(s.temp, e.id[len(s.life):][:8])
	if err := os.Mkdir(e.temp, 0o700); err != nil {
		return nil, fmt.Errorf("functions: the environment's temporary folder: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(e.temp)
		}
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("functions: the Runtime API's listener: %w", err)
	}
	e.host = l.Addr().String()
	e.api = newRuntimeServer(e, l)
	if err = e.launch(prep, keys.Credentials); err != nil {
		l.Close()
		s.forgetPreparation(fn)
		switch wrapper := fn.wrapper(prep); {
		case !fn.language().wraps():
			return nil, cannotStart(prep.program, err)
		case wrapper != "":
			return nil, cannotWrap(wrapper, err)
		}
		return nil, &awshttp.Error{Code: "ServiceException", Status: http.StatusInternalServerError, MessageKey: "Message",
			Message: fmt.Sprintf("the function's process can't be started: %v", err)}
	}
	go e.api.serve()
	if e.port != 0 {
		go e.bridge()
	}
	s.mu.Lock()
	s.pool(fn.key()).all[e] = struct{}{}
	closed := s.closed
	s.mu.Unlock()
	if f := s.cfg.Events.EnvironmentStart; f != nil {
		f(EnvironmentStart{Function: fn.Name, ID: e.id, PID: e.proc.pid})
	}
	s.compareRuntime(fn, prep.program)
	go e.watch()
	if closed {
		e.retire(exitClosed)
	}
	return e, nil
}

// prepared waits for what the function needs. What was absent when it was looked
// for is looked for again.
func (s *Service) prepared(ctx context.Context, fn *function) (*preparation, error) {
	for again := false; ; again = true {
		prep := s.prepare(fn)
		select {
		case <-prep.done:
		case <-ctx.Done():
			return nil, throttled("ConcurrentInvocationLimitExceeded")
		case <-s.ctx.Done():
			return nil, errClosed
		}
		if prep.failed != nil {
			return nil, prep.failed
		}
		if prep.absent == nil {
			return prep, nil
		}
		s.forgetPreparation(fn)
		var refused *startFailure
		switch {
		case !again:
		case errors.As(prep.absent, &refused):
			return nil, refused
		default:
			return nil, &awshttp.Error{Code: "ServiceException", Status: http.StatusInternalServerError, Message: prep.absent.Error(), MessageKey: "Message"}
		}
	}
}

// launch starts the process. A program that is being written at this moment is
// tried again for a while.
func (e *environment) launch(prep *preparation, keys sigv4.Credentials) (err error) {
	fn, s := e.fn, e.s
	if s.cfg.Proxy != nil && !fn.language().redirects() {
		if e.proxy, e.leave, err = s.cfg.Proxy(); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				e.leave()
			}
		}()
	}
	if _, called := fn.language().(golang); called {
		if e.port, err = s.rpcPorts.take(); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				s.rpcPorts.give(e.port)
			}
		}()
	}
	env := e.variables(keys, prep)
	program, args := prep.program, fn.language().arguments(s.runtime)
	if fn.inspect != 0 {
		if args, err = e.inspected(program, args, env); err != nil {
			return err
		}
	}
	if wrapper := fn.wrapper(prep); wrapper != "" {
		program, args = wrapper, append([]string{program}, args...)
	}
	for range 40 {
		e.out = newOutput(&s.cfg.Events, fn)
		e.out.log = e.stream
		e.proc, err = s.starter.start(command{
			path: program, args: args, dir: fn.codeDir, env: env, token: e.id, out: e.out,
		})
		if !errors.Is(err, syscall.ETXTBSY) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// watch waits for the process to end and clears up behind it.
func (e *environment) watch() {
	defer e.s.exits.Done()
	e.status = e.proc.wait() // kills what the process leaves behind, too
	e.out.close()
	close(e.ended)
	os.RemoveAll(e.temp) // what can't be removed now is tried again at the next start
	e.api.close()
	e.s.rpcPorts.give(e.port)
	if e.leave != nil {
		e.leave()
	}
	e.mu.Lock()
	if e.why == "" {
		e.why = exitItself
	}
	why := e.why
	e.mu.Unlock()
	e.s.forget(e)
	if f := e.s.cfg.Events.EnvironmentExit; f != nil {
		f(EnvironmentExit{Function: e.fn.Name, ID: e.id, PID: e.proc.pid, Reason: why, Status: e.status})
	}
}

// grace is how long a process may take to end when it is asked to.
const grace = 500 * time.Millisecond

// retire ends the environment; it returns at once. A function that took too
// long gets no grace.
func (e *environment) retire(why ExitReason) {
	e.mu.Lock()
	if e.why == "" {
		e.why = why
	}
	e.mu.Unlock()
	if why == exitTimedOut || why == exitInit {
		e.proc.kill()
		return
	}
	e.proc.terminate()
	time.AfterFunc(grace, e.proc.kill)
}

// unfit says why an idle environment must not run the function as it is now;
// empty when it may.
func (e *environment) unfit(fn *function) ExitReason {
	switch {
	case e.fn.generation != fn.generation || !e.looksFresh():
		return exitStale
	case !e.expires.IsZero() && time.Now().After(e.expires):
		return exitExpired
	}
	return ""
}

// initOutcome is how loading a function ended.
type initOutcome int

const (
	initReady initOutcome = iota
	initFailed
	initTimeout
)

// await waits until the runtime asks for its first invocation.
func (e *environment) await(limit time.Duration) initOutcome {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-e.ready:
		return initReady
	case <-e.failed:
		return initFailed
	case <-e.ended:
		return initFailed
	case <-t.C:
		return initTimeout
	}
}

// initAnswer is what the caller gets when the code could not be loaded.
func (e *environment) initAnswer(inv *invocation) answer {
	<-e.ended
	e.mu.Lock()
	body := e.initBody
	e.mu.Unlock()
	a := exited(inv, e.status)
	if body != nil {
		a = answer{failed: true, payload: body}
	}
	e.out.logged(inv.requestID, failure(e.fn, inv, a.payload))
	return a
}

// lost is the answer when the last of several environments didn't take the
// invocation: it ended, or is still busy after its last answer.
func (e *environment) lost(inv *invocation) answer {
	select {
	case <-e.ended:
		return exited(inv, e.status)
	default:
		return timedOut(inv, e.fn.timeout())
	}
}

// readyGrace is how long an environment may take between its answer and its
// next request until another is used instead.
const readyGrace = 200 * time.Millisecond

// invoke hands the invocation to the process and waits for its answer. It
// returns errReplaced when the process didn't take it.
func (e *environment) invoke(inv *invocation, res *result) error {
	began := time.Now()
	if inv.deadline.IsZero() {
		inv.started = began
		inv.deadline = began.Add(e.fn.timeout())
	}
	if !e.deliver(inv) {
		if err := e.deliverLate(inv); err != nil {
			return err
		}
	}
	t := time.NewTimer(time.Until(inv.deadline))
	defer t.Stop()
	finished := true
	select {
	case res.answer = <-inv.answer:
	case <-e.ended:
		finished = false
		select {
		case res.answer = <-inv.answer: // it answered, then ended
		default:
			res.answer = exited(inv, e.status)
		}
	case <-t.C:
		finished = false
		e.retire(exitTimedOut)
		<-e.ended // nothing of it is left when the caller hears of it
		select {
		case res.answer = <-inv.answer:
		default:
			res.answer = timedOut(inv, e.fn.timeout())
		}
	}
	res.duration = time.Since(inv.started)
	res.memory = e.memory()
	e.out.end()
	if e.out.events.Logged != nil { // before another invocation may begin
		for _, line := range closing(e.fn, inv, *res) {
			e.out.logged(inv.requestID, line)
		}
	}
	brought := false
	if res.failed {
		if missing := e.fn.language().missing(res.payload); missing != "" {
			brought = e.s.bring(e.fn, missing)
			res.hint = e.fn.language().hint(e.fn, missing, e.s.preparationOf(e.fn))
		}
	}
	switch {
	case finished && brought:
		e.retire(exitStale) // it was started without what is there now
	case finished:
		e.s.release(e)
	}
	return nil
}

// memory is the most that the process has used, in MB, 0 when unknown. It is
// read once a second at most: it only grows.
func (e *environment) memory() int {
	if now := time.Now(); now.Sub(e.measured) >= time.Second {
		e.megabytes, e.measured = e.proc.memory(), now
	}
	return e.megabytes
}

// deliver hands the invocation to a runtime that waits for one, if any does.
func (e *environment) deliver(inv *invocation) bool {
	for {
		select {
		case t := <-e.takers:
			if e.give(t, inv) {
				return true
			}
		default:
			return false
		}
	}
}

// deliverLate waits a moment for a runtime that is still on its way from its
// last answer to its next request.
func (e *environment) deliverLate(inv *invocation) error {
	t := time.NewTimer(e.s.readyGrace)
	defer t.Stop()
	for {
		select {
		case taker := <-e.takers:
			if e.give(taker, inv) {
				return nil
			}
		case <-e.ended:
			return errReplaced
		case <-t.C:
			// It is busy after its answer. It comes back when it asks for the next
			// invocation, or is ended when it doesn't in time.
			go e.rejoin()
			return errReplaced
		}
	}
}

// rejoinEvery is how often a late environment is looked at.
const rejoinEvery = 50 * time.Millisecond

// rejoin puts a late environment back once it is ready.
func (e *environment) rejoin() {
	t := time.NewTimer(e.fn.timeout())
	defer t.Stop()
	poll := time.NewTicker(rejoinEvery)
	defer poll.Stop()
	for {
		select {
		case <-e.ended:
			return
		case <-t.C:
			e.retire(exitTimedOut)
			return
		case <-poll.C:
		}
		e.mu.Lock()
		ready := e.state == stateReady
		e.mu.Unlock()
		if ready {
			e.s.release(e)
			return
		}
	}
}
