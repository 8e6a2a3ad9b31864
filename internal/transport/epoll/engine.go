//go:build linux

// Package epoll is the engine for Linux: a few loops, each with one poller, and
// no goroutine, timer or buffer for an idle connection. Such a one holds its
// struct, its slot in the loop and its socket.
//
// A loop owns its connections: it alone accepts, reads, decodes, calls the
// handler and ends them. Whoever else has something to say to a client (Send,
// Close, an answer to a handshake) queues it under the connection's lock, writes
// what the socket takes at once, and posts the connection to its loop when that
// has something to do about it. While a loop has several clients to serve, it
// gathers what is to be written to them, and writes it with one system call.
//
// TLS is not spoken here: a connection that begins with a TLS handshake is given
// to whom Config.TLS says.
package epoll

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tidegate/internal/clock"
	"tidegate/internal/transport"
	"tidegate/ws"
)

// A Config says how an engine serves. The zero value of every field but Limits
// will do.
type Config struct {
	Limits transport.Limits        // see transport.DefaultLimits
	Events transport.EventListener // hears what the engine does; called on the loops

	// TLS takes a connection whose first byte begins a TLS handshake, with
	// everything that was read of it, on a goroutine of its own. nil: it is refused
	// like anything that isn't HTTP.
	TLS func(nc net.Conn, h transport.Handler, fallback func(net.Conn))

	// Clock is what idle time, lifetime and LastActive are measured by; nil is
	// clock.System. Network deadlines always use the machine's time.
	Clock clock.Clock

	// Loops is how many loops run; 0 is GOMAXPROCS.
	Loops int
}

// An Engine serves WebSocket clients and small HTTP requests on a few loops.
type Engine struct {
	limits transport.Limits
	frames [2]ws.Limits // without and with compression
	events transport.EventListener
	tls    func(net.Conn, transport.Handler, func(net.Conn))
	clock  clock.Clock
	began  time.Time     // what network deadlines count from
	tick   time.Duration // how often deadlines are looked at
	rest   int64         // how often idle connections are looked at, in nanoseconds
	loops  []*loop

	count   atomic.Int64  // connections held
	turn    atomic.Uint32 // whose the next connection of Thaw's is
	closing atomic.Bool
	transit atomic.Pointer[transit] // the batch on its way, or the last
	rings   rings

	freezing sync.Mutex    // held by Freeze
	patience time.Duration // how long Send waits for a batch's outcome

	mu        sync.Mutex
	listeners map[*listener]struct{}
	running   bool         // the loops run
	paused    bool         // nothing is accepted: Freeze until Resume
	closeCode ws.CloseCode // what clients are told once closing
	closeText string
	empty     chan struct{} // closed when there is no connection any more; nil when nobody waits
	stop      chan struct{} // ends the ticker
}

var _ transport.Engine = (*Engine)(nil)

// New returns an engine, or an error: it names the limit which makes no sense,
// or what the system refuses.
func New(cfg Config) (*Engine, error) {
	if err := cfg.Limits.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{
		limits:    cfg.Limits,
		frames:    [2]ws.Limits{cfg.Limits.FrameLimits(false), cfg.Limits.FrameLimits(true)},
		events:    cfg.Events,
		tls:       cfg.TLS,
		clock:     cfg.Clock,
		began:     time.Now(),
		tick:      cfg.Limits.SweepInterval(),
		rest:      int64(restInterval(&cfg.Limits)),
		patience:  transitPatience,
		listeners: map[*listener]struct{}{},
		stop:      make(chan struct{}),
	}
	if e.clock == nil {
		e.clock = clock.System
	}
	n := cfg.Loops
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	e.rings.most = 2 * n // fan-outs beyond that send one by one
	for range n {
		l, err := newLoop(e)
		if err != nil {
			for _, l := range e.loops {
				l.poller.close()
			}
			return nil, fmt.Errorf("epoll: %w", err)
		}
		e.loops = append(e.loops, l)
	}
	go growDescriptors() // it takes a while, and nobody need wait for it
	return e, nil
}

// restInterval is how often idle connections are looked at: they are many, and
// being two seconds late with minutes is no harm (API Gateway was seen 4 s late).
func restInterval(l *transport.Limits) time.Duration {
	d := 2 * time.Second
	for _, limit := range []time.Duration{l.Idle, l.Lifetime, l.Ping} {
		if limit > 0 {
			d = min(d, limit/20)
		}
	}
	return d
}

// machine returns the machine's time as nanoseconds since the engine began; never 0.
func (e *Engine) machine() int64 { return int64(time.Since(e.began)) + 1 }

func (e *Engine) now() int64 { return e.clock.Now().UnixNano() }

// A listener is one that Serve was given.
type listener struct {
	served
	l        net.Listener
	file     *os.File // a descriptor of our own for the same socket
	fd       int
	yieldsAt int          // the descriptor from which on clients wait
	failed   chan error   // has room for one; the first counts
	failures atomic.Int32 // of accept, in a row
	keeper   atomic.Pointer[loop]
}

// A served is what Serve was given with a listener.
type served struct {
	handler  transport.Handler
	fallback func(net.Conn)
	listener string   // its address
	addr     net.Addr // the same
}

// Serve implements transport.Engine for TCP and Unix listeners; another's
// error wraps errors.ErrUnsupported.
func (e *Engine) Serve(l net.Listener, h transport.Handler, fallback func(net.Conn)) error {
	ln, err := e.newListener(l, h, fallback)
	if err != nil {
		if e.closing.Load() {
			return transport.ErrEngineClosed
		}
		return fmt.Errorf("epoll: listener %v: %w", l.Addr(), err)
	}
	e.mu.Lock()
	if e.closing.Load() {
		e.mu.Unlock()
		ln.file.Close()
		l.Close()
		return transport.ErrEngineClosed
	}
	e.startLocked()
	e.listeners[ln] = struct{}{}
	if !e.paused {
		e.listenLocked(ln)
	}
	e.mu.Unlock()
	err = e.watch(ln)
	e.onLoops(func(l *loop) { l.unlisten(ln) })
	ln.file.Close()
	e.mu.Lock()
	delete(e.listeners, ln)
	e.mu.Unlock()
	return err
}

// newListener makes the listener's socket ready for the loops. What accepted
// sockets inherit is set here once.
func (e *Engine) newListener(l net.Listener, h transport.Handler, fallback func(net.Conn)) (*listener, error) {
	filer, ok := l.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("%T: %w", l, errors.ErrUnsupported)
	}
	file, err := filer.File()
	if err != nil {
		return nil, err
	}
	_, unix := l.(*net.UnixListener)
	ln := &listener{served: served{h, fallback, l.Addr().String(), l.Addr()}, l: l, file: file, yieldsAt: math.MaxInt, failed: make(chan error, 1)}
	if _, yields := l.(transport.Yielding); yields {
		ln.yieldsAt = yieldsAt()
	}
	err = control(file, func(fd int) error {
		ln.fd = fd
		if unix {
			return nil
		}
		return inherit(fd)
	})
	if err != nil {
		file.Close()
		return nil, err
	}
	return ln, nil
}

// inherit sets what every accepted socket shall have: no delay of small writes,
// and probes that find a peer which vanished within four minutes.
func inherit(fd int) error {
	for _, o := range []struct{ level, name, value int }{
		{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 120},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 30},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 4},
	} {
		if err := syscall.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// control runs f with the descriptor, without making it blocking as Fd would.
func control(c syscall.Conn, f func(fd int) error) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := rc.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}

// watch waits until the listener fails, is closed, or the engine closes.
func (e *Engine) watch(ln *listener) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case err := <-ln.failed:
			if e.closing.Load() {
				return transport.ErrEngineClosed
			}
			return fmt.Errorf("epoll: accept on %v: %w", ln.l.Addr(), err)
		case <-t.C: // the loops have a descriptor of their own, which a Close elsewhere leaves open
			if sc, ok := ln.l.(syscall.Conn); ok && control(sc, func(int) error { return nil }) != nil {
				ln.fail(net.ErrClosed)
			}
		}
	}
}

func (ln *listener) fail(err error) {
	select {
	case ln.failed <- err:
	default:
	}
}

// listenLocked has a loop accept from the listener.
func (e *Engine) listenLocked(ln *listener) {
	least, _ := e.loops[0].idlest()
	ln.keeper.Store(least)
	for _, l := range e.loops {
		l.do(func() { l.listen(ln) })
	}
}

// startLocked starts the loops with the first listener, or the first connection
// that is taken over.
func (e *Engine) startLocked() {
	if e.running {
		return
	}
	e.running = true
	for _, l := range e.loops {
		go l.run()
	}
	go e.ticks()
}

// ticks wakes the loops to look at their deadlines.
func (e *Engine) ticks() {
	t := time.NewTicker(e.tick)
	defer t.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-t.C:
			if e.count.Load() == 0 {
				continue
			}
			for _, l := range e.loops {
				l.sweepDue.Store(true)
				l.do(func() {})
			}
		}
	}
}

// Close implements transport.Engine.
func (e *Engine) Close() error { return e.CloseWith(ws.CloseGoingAway, transport.GoingAway) }

// CloseWith is Close with another close code, such as 1012 for a restart. A
// second call closes nothing more, but waits too.
func (e *Engine) CloseWith(code ws.CloseCode, text string) error {
	e.mu.Lock()
	first := !e.closing.Swap(true)
	if first {
		e.closeCode, e.closeText = code, text
	}
	for ln := range e.listeners {
		ln.l.Close()
		ln.fail(transport.ErrEngineClosed)
	}
	running := e.running
	e.mu.Unlock()
	if !running {
		if first {
			for _, l := range e.loops {
				l.poller.close()
			}
		}
		return nil
	}
	e.each(func(c *conn) { c.shutdown(code, text) })
	if !e.wait(e.limits.CloseTimeout) {
		e.each(func(c *conn) { c.abort() })
		if !e.wait(e.limits.CloseTimeout) {
			return fmt.Errorf("epoll: close: handlers of %d connections have not returned", e.count.Load())
		}
	}
	if first {
		close(e.stop)
		e.rings.close()
		for _, l := range e.loops {
			l.do(func() { l.stopping = true })
		}
	}
	return nil
}

// each runs f for every connection, on the connections' loops, and returns when
// all was asked for.
func (e *Engine) each(f func(*conn)) {
	for _, l := range e.loops {
		l.do(func() {
			for _, c := range l.slots {
				if c != nil {
					f(c)
				}
			}
		})
	}
}

// onLoops runs f on every loop and returns when it has. It must not be called on
// a loop, nor before the loops run.
func (e *Engine) onLoops(f func(*loop)) {
	var done sync.WaitGroup
	for _, l := range e.loops {
		done.Add(1)
		l.do(func() { defer done.Done(); f(l) })
	}
	done.Wait()
}

// wait waits for the last connection's end and reports whether it came in time.
func (e *Engine) wait(d time.Duration) bool {
	e.mu.Lock()
	if e.count.Load() == 0 {
		e.mu.Unlock()
		return true
	}
	if e.empty == nil {
		e.empty = make(chan struct{})
	}
	empty := e.empty
	e.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-empty:
		return true
	case <-t.C:
		return e.count.Load() == 0
	}
}

// left counts a connection that ended or went to the fallback.
func (e *Engine) left() {
	if e.count.Add(-1) > 0 || !e.closing.Load() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.empty != nil {
		close(e.empty)
		e.empty = nil
	}
}
