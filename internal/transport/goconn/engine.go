// Package goconn is the portable engine: a goroutine per connection, on any
// net.Conn and any OS. An idle connection holds its struct and one goroutine
// that waits, no timer, and no buffer where the socket can be waited for without
// one (TCP and Unix sockets on Unix); deadlines come from one sweep.
package goconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"tidegate/internal/clock"
	"tidegate/internal/transport"
	"tidegate/ws"
)

// A Config says how an engine serves. The zero value of every field but Limits
// will do.
type Config struct {
	Limits transport.Limits        // see transport.DefaultLimits
	Events transport.EventListener // hears what the engine does

	// TLS, if set, lets clients speak TLS on the same listener: a connection
	// whose first byte begins a TLS handshake gets one. Offer "http/1.1" alone
	// in NextProtos: a connection that agreed on "h2" is the fallback's, as the
	// *tls.Conn that it is. A listener that brings *tls.Conn needs no TLS here.
	TLS *tls.Config

	// Clock is what idle time, lifetime and LastActive are measured by; nil is
	// clock.System. Network deadlines always use the machine's time.
	Clock clock.Clock
}

// An Engine serves WebSocket clients and small HTTP requests with a goroutine
// per connection.
type Engine struct {
	limits transport.Limits
	frames [2]ws.Limits // without and with compression
	events transport.EventListener
	tls    *tls.Config
	clock  clock.Clock
	tick   time.Duration // how often the sweep runs

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	empty     chan struct{} // closed when conns is empty after Close; nil before
	stopSweep chan struct{} // ends the sweep; nil when none runs
	closing   bool
}

var _ transport.Engine = (*Engine)(nil)

// New returns an engine, or an error that names the limit which makes no sense.
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
		tick:      cfg.Limits.SweepInterval(),
		listeners: map[net.Listener]struct{}{},
		conns:     map[*conn]struct{}{},
	}
	if e.clock == nil {
		e.clock = clock.System
	}
	return e, nil
}

// Serve implements transport.Engine.
func (e *Engine) Serve(l net.Listener, h transport.Handler, fallback func(net.Conn)) error {
	e.mu.Lock()
	if e.closing {
		e.mu.Unlock()
		l.Close()
		return transport.ErrEngineClosed
	}
	e.listeners[l] = struct{}{}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.listeners, l)
		e.mu.Unlock()
	}()
	pause := time.Duration(0)
	for {
		nc, err := l.Accept()
		if err != nil {
			if e.isClosing() {
				return transport.ErrEngineClosed
			}
			if !retryAccept(err) {
				return fmt.Errorf("goconn: accept on %v: %w", l.Addr(), err)
			}
			if f := e.events.AcceptFailed; f != nil {
				f(transport.AcceptFailedInfo{Addr: l.Addr(), Err: err})
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause)
			continue
		}
		pause = 0
		e.ServeConn(nc, h, fallback)
	}
}

// retryAccept reports whether a failed Accept may succeed later, as when the
// process has no file descriptor left.
func retryAccept(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	var ne net.Error
	//lint:ignore SA1019 Temporary is what tells EMFILE and ECONNABORTED apart on every OS, as in net/http.
	return errors.As(err, &ne) && ne.Temporary()
}

// ServeConn serves one connection that somebody else accepted, on goroutines of
// its own; see Serve. After Close it closes it.
func (e *Engine) ServeConn(nc net.Conn, h transport.Handler, fallback func(net.Conn)) {
	c := newConn(e, nc, h, fallback)
	e.mu.Lock()
	refused := e.closing || e.limits.MaxConnections > 0 && len(e.conns) >= e.limits.MaxConnections
	if !refused {
		e.conns[c] = struct{}{}
		if e.stopSweep == nil {
			e.stopSweep = make(chan struct{})
			go e.sweep(e.stopSweep)
		}
	}
	e.mu.Unlock()
	if refused {
		nc.Close()
		c.dropped(transport.DropInfo{Reason: transport.DropTooManyConnections})
		return
	}
	if f := e.events.ConnectionBegin; f != nil {
		f(transport.ConnectionInfo{RemoteAddr: nc.RemoteAddr(), LocalAddr: nc.LocalAddr()})
	}
	go c.serve()
}

// remove forgets a connection that ended or left for the fallback.
func (e *Engine) remove(c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c)
	if len(e.conns) > 0 {
		return
	}
	if e.stopSweep != nil {
		close(e.stopSweep)
		e.stopSweep = nil
	}
	if e.empty != nil {
		close(e.empty)
		e.empty = nil
	}
}

func (e *Engine) isClosing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closing
}

// Freeze implements transport.Engine; a goroutine's connection can't be frozen.
func (e *Engine) Freeze(context.Context, int, func([]transport.Frozen) error) (transport.Left, error) {
	return transport.Left{}, fmt.Errorf("goconn: freeze: %w", errors.ErrUnsupported)
}

// Resume implements transport.Engine; nothing was stopped.
func (e *Engine) Resume() {}

// Thaw implements transport.Engine; see Freeze.
func (e *Engine) Thaw(_ transport.Handler, _ func(net.Conn), frozen []transport.Frozen) error {
	for i := range frozen {
		frozen[i].File.Close()
	}
	return fmt.Errorf("goconn: thaw: %w", errors.ErrUnsupported)
}

// Close implements transport.Engine.
func (e *Engine) Close() error { return e.CloseWith(ws.CloseGoingAway, transport.GoingAway) }

// CloseWith is Close with another close code, such as 1012 for a restart. A
// second call closes nothing more, but waits too.
func (e *Engine) CloseWith(code ws.CloseCode, text string) error {
	e.mu.Lock()
	e.closing = true
	for l := range e.listeners {
		l.Close()
	}
	conns := slices.Collect(maps.Keys(e.conns))
	e.mu.Unlock()
	for _, c := range conns {
		c.shutdown(code, text)
	}
	if e.wait(e.limits.CloseTimeout) {
		return nil
	}
	e.mu.Lock()
	conns = slices.Collect(maps.Keys(e.conns))
	e.mu.Unlock()
	for _, c := range conns {
		c.abort()
	}
	if !e.wait(e.limits.CloseTimeout) {
		e.mu.Lock()
		n := len(e.conns)
		e.mu.Unlock()
		return fmt.Errorf("goconn: close: handlers of %d connections have not returned", n)
	}
	return nil
}

// wait waits for the last connection's end and reports whether it came in time.
func (e *Engine) wait(d time.Duration) bool {
	e.mu.Lock()
	if len(e.conns) == 0 {
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
		return false
	}
}

// sweep ends what is past a deadline. It runs while there are connections.
func (e *Engine) sweep(stop <-chan struct{}) {
	t := time.NewTicker(e.tick)
	defer t.Stop()
	var conns []*conn // reused
	for {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		e.mu.Lock()
		conns = conns[:0]
		for c := range e.conns {
			conns = append(conns, c)
		}
		e.mu.Unlock()
		now, moved := time.Now(), e.clock.Now()
		for _, c := range conns {
			c.sweep(now, moved)
		}
		clear(conns)
	}
}
