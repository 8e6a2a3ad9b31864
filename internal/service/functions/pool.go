package functions

import (
	"context"
	"time"
)

// A pool holds a function's environments. Guarded by Service.mu.
type pool struct {
	idle     []*environment // the one used last comes last
	all      map[*environment]struct{}
	prepared *preparation // of the present code; nil until someone needs it
}

// pool returns the function's pool, made when there is none. The caller holds
// s.mu.
func (s *Service) pool(name string) *pool {
	p := s.pools[name]
	if p == nil {
		p = &pool{all: map[*environment]struct{}{}}
		s.pools[name] = p
	}
	return p
}

// placeTimeout is how long an invocation waits when every place is taken.
const placeTimeout = 10 * time.Second

// acquire returns an idle environment of the function's present code and
// configuration, or starts one.
func (s *Service) acquire(ctx context.Context, fn *function) (e *environment, cold bool, err error) {
	var timeout <-chan time.Time
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, false, errClosed
		}
		if e := s.popIdleLocked(fn.key()); e != nil {
			s.mu.Unlock()
			if why := e.unfit(fn); why != "" {
				e.retire(why)
				continue
			}
			return e, false, nil
		}
		admitted, others := s.admitInspectedLocked(fn)
		if !admitted {
			freed := s.freed
			s.mu.Unlock()
			for _, e := range others {
				e.retire(exitStale)
			}
			select { // however long someone looks at a breakpoint
			case <-freed:
				continue
			case <-ctx.Done():
				return nil, false, throttled("ConcurrentInvocationLimitExceeded")
			case <-s.ctx.Done():
				return nil, false, errClosed
			}
		}
		evicted := (*environment)(nil)
		if s.alive >= s.cfg.MaxEnvironments {
			evicted = s.evictLocked()
		}
		if s.alive < s.cfg.MaxEnvironments {
			s.alive++
			s.mu.Unlock()
			if evicted != nil {
				evicted.retire(exitEvicted)
			}
			e, err := s.start(ctx, fn)
			return e, true, err
		}
		freed := s.freed
		if fn.inspect != 0 {
			s.debugged[fn.Name]-- // it didn't start, after all
		}
		s.mu.Unlock()
		if timeout == nil {
			t := time.NewTimer(placeTimeout)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-freed:
		case <-timeout:
			return nil, false, throttled("ConcurrentInvocationLimitExceeded")
		case <-ctx.Done():
			return nil, false, throttled("ConcurrentInvocationLimitExceeded")
		case <-s.ctx.Done():
			return nil, false, errClosed
		}
	}
}

func (s *Service) popIdleLocked(name string) *environment {
	p := s.pools[name]
	if p == nil || len(p.idle) == 0 {
		return nil
	}
	e := p.idle[len(p.idle)-1]
	p.idle[len(p.idle)-1] = nil
	p.idle = p.idle[:len(p.idle)-1]
	return e
}

// evictLocked takes the environment that has been idle longest out of its pool
// and gives its place away at once, although its process still has to end.
func (s *Service) evictLocked() *environment {
	var oldest *environment
	var from *pool
	for _, p := range s.pools {
		if len(p.idle) > 0 && p.idle[0].fn.inspect == 0 && (oldest == nil || p.idle[0].used.Before(oldest.used)) {
			oldest, from = p.idle[0], p
		}
	}
	if oldest == nil {
		return nil
	}
	from.idle = append([]*environment(nil), from.idle[1:]...)
	s.yieldLocked(oldest)
	return oldest
}

// yieldLocked gives an environment's place away, once.
func (s *Service) yieldLocked(e *environment) {
	if !e.yielded {
		e.yielded = true
		s.alive--
		s.wakeLocked()
	}
}

func (s *Service) wakeLocked() {
	close(s.freed)
	s.freed = make(chan struct{})
}

// release puts an environment back that may be used again.
func (s *Service) release(e *environment) {
	s.mu.Lock()
	p := s.pool(e.fn.key())
	_, known := p.all[e]
	now := s.functions[e.fn.key()]
	fit := known && !s.closed && now != nil && now.generation == e.fn.generation
	if fit {
		e.used = time.Now()
		p.idle = append(p.idle, e)
		if s.alive >= s.cfg.MaxEnvironments || e.fn.inspect != 0 {
			s.wakeLocked()
		}
	}
	s.mu.Unlock()
	if !fit {
		e.retire(exitStale)
	}
}

// takeIdle removes what was last used before the given moment.
func (s *Service) takeIdle(before time.Time) []*environment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*environment
	for _, p := range s.pools {
		n := 0
		for n < len(p.idle) && p.idle[n].fn.inspect == 0 && p.idle[n].used.Before(before) {
			n++
		}
		out = append(out, p.idle[:n]...)
		p.idle = append([]*environment(nil), p.idle[n:]...)
	}
	return out
}

// forget is called when an environment's process has ended.
func (s *Service) forget(e *environment) {
	s.mu.Lock()
	if p := s.pools[e.fn.key()]; p != nil {
		delete(p.all, e)
		for i, other := range p.idle {
			if other == e {
				p.idle = append(p.idle[:i:i], p.idle[i+1:]...)
				break
			}
		}
		if len(p.all) == 0 && s.functions[e.fn.key()] == nil {
			delete(s.pools, e.fn.key())
		}
	}
	s.yieldLocked(e)
	s.leftInspectedLocked(e.fn)
	s.mu.Unlock()
	s.discardCode(e.fn)
}

// execute runs the invocation in an environment. One that ends before it takes
// the invocation is replaced by another, a few times.
func (s *Service) execute(ctx context.Context, fn *function, inv *invocation) (result, error) {
	const attempts = 4
	var res result
	for attempt := 1; ; attempt++ {
		e, cold, err := s.acquire(ctx, fn)
		if err != nil {
			return res, err
		}
		if cold {
			var done bool
			if e, done, err = s.initialize(ctx, e, inv, &res); done || err != nil {
				return res, err
			}
		}
		switch err = e.invoke(inv, &res); {
		case err != errReplaced:
			return res, err
		case attempt == attempts:
			res.answer = e.lost(inv)
			return res, nil
		}
		if now, err := s.byKey(fn.key()); err == nil {
			fn = now
		}
	}
}

// initLimit is how long a function may take to load; then it is started again
// within the invocation's own time, as Lambda does.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
const initLimit = 10 * time.Second

// initialize waits until a new environment is ready. done says that the
// invocation is answered: its code could not be loaded.
func (s *Service) initialize(ctx context.Context, e *environment, inv *invocation, res *result) (_ *environment, done bool, err error) {
	fn := e.fn
	limit := s.initLimit
	if fn.inspect != 0 {
		limit = inspectTimeout
	}
	for second := false; ; {
		began := time.Now()
		outcome := e.await(limit)
		res.cold, res.init = true, time.Since(began)
		switch outcome {
		case initReady:
			return e, false, nil
		case initTimeout:
			e.retire(exitTimedOut)
			if second {
				res.duration = time.Since(inv.started)
				res.answer, res.hint = timedOut(inv, fn.timeout()), fn.language().unready(fn)
				return e, true, nil
			}
			inv.started = time.Now()
			inv.deadline = inv.started.Add(fn.timeout())
			limit, second = fn.timeout(), true
		default:
			missing := e.missingSDK()
			e.retire(exitInit)
			if missing == "" || !s.bring(fn, missing) {
				res.answer = e.initAnswer(inv)
				res.hint = fn.language().hint(fn, missing, s.preparationOf(fn))
				return e, true, nil
			}
		}
		if e, err = s.startAgain(ctx, fn, e); err != nil {
			return nil, false, err
		}
	}
}

// startAgain starts another environment in place of one that failed to load.
func (s *Service) startAgain(ctx context.Context, fn *function, old *environment) (*environment, error) {
	if fn.inspect != 0 {
		<-old.ended // it has the debugger's port
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	s.alive++
	if fn.inspect != 0 {
		s.debugged[fn.Name]++
	}
	s.mu.Unlock()
	return s.start(ctx, fn)
}

// timeout is how long an invocation may take.
func (fn *function) timeout() time.Duration {
	if fn.inspect != 0 {
		return inspectTimeout
	}
	return time.Duration(fn.Timeout) * time.Second
}
