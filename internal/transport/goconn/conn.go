package goconn

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// A phase is where a connection stands.
type phase uint8

const (
	phaseHead    phase = iota // an HTTP request is awaited or read
	phaseRequest              // the handler answers an HTTP request
	phasePending              // the handler decides on a handshake
	phaseOpen                 // messages go both ways
	phaseClosing              // a close frame is queued or sent, or the answer before the end
	phaseDead                 // ended, or left for the fallback
)

// A conn is one accepted socket, first as HTTP, then perhaps as WebSocket. Lock
// order: Engine.mu is never taken under conn.mu, nor the other way round.
type conn struct {
	// Static after construction.
	e        *Engine
	h        transport.Handler
	fallback func(net.Conn)
	remote   net.Addr

	// Owned by the reader goroutine; nc is written under mu.
	in      source
	decoder ws.Decoder

	active  atomic.Int64 // nanoseconds on the engine's clock: last message in or out
	heard   atomic.Int64 // the same: the last bytes of any kind, for Ping
	notable atomic.Bool  // the reader must look at paused and phase before the next message

	// Guarded by mu.
	mu       sync.Mutex
	nc       net.Conn
	sock     *rawSocket // of nc, where writes may be tried without blocking; else nil
	phase    phase
	data     any
	wake     chan struct{} // closed and dropped when a waiter must look again; nil without one
	deadline time.Time     // the phase's, on the machine's time; zero: none
	opened   int64         // nanoseconds on the engine's clock
	pinged   int64         // the same: the last ping

	paused    bool // PauseReads
	corked    bool // what is queued waits for Uncork: a batch or Accept is under way
	accepting bool // Accept runs bind; the reader waits
	deflate   bool // messages may be compressed; static once open
	reading   bool // the reader is in a read that kick must end
	late      bool // the deadline for a whole request has passed
	keptAlive bool // between two requests; the reading goroutine's alone
	shutting  bool // once all is written, our direction of the socket is shut
	closeSent bool // a close frame is queued or was sent
	closeRecv bool // the client's close frame came
	broken    bool // a write failed: nothing goes out any more, what came in is still read
	aborted   bool // the socket is closed; nothing is read or written any more
	ended     bool // reason is settled
	reason    transport.CloseReason
	out       sendQueue
}

var _ transport.Conn = (*conn)(nil)

func newConn(e *Engine, nc net.Conn, h transport.Handler, fallback func(net.Conn)) *conn {
	c := &conn{e: e, h: h, fallback: fallback, remote: nc.RemoteAddr(), nc: nc}
	c.sock = newRawSocket(nc)
	c.in = newSource(nc, c.sock)
	c.deadline = time.Now().Add(e.limits.HandshakeTimeout)
	return c
}

// Data implements transport.Conn.
func (c *conn) Data() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data
}

// SetData implements transport.Conn.
func (c *conn) SetData(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data = v
}

// RemoteAddr implements transport.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// LastActive implements transport.Conn.
func (c *conn) LastActive() time.Time { return time.Unix(0, c.active.Load()) }

// PauseReads implements transport.Conn.
func (c *conn) PauseReads() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = true
	c.notable.Store(true)
}

// ResumeReads implements transport.Conn.
func (c *conn) ResumeReads() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = false
	c.notable.Store(c.phase != phaseOpen)
	c.wakeLocked()
}

// Send implements transport.Conn.
func (c *conn) Send(payload []byte, binary bool) error {
	l := &c.e.limits
	c.mu.Lock()
	err := c.roomLocked(ws.MessageSize(len(payload), l.OutFrame))
	if err == nil {
		c.out.append(func(b []byte) []byte { return l.AppendMessage(b, payload, binary, c.deflate) })
		c.active.Store(c.now())
		c.flushLocked()
	}
	c.mu.Unlock()
	if err == transport.ErrQueueFull {
		c.dropped(transport.DropInfo{Reason: transport.DropQueueFull, Bytes: len(payload)})
	}
	return err
}

// SendPrepared implements transport.Conn.
func (c *conn) SendPrepared(p *transport.Prepared) error {
	c.mu.Lock()
	frames := p.Frames(&c.e.limits, c.deflate)
	err := c.roomLocked(len(frames))
	if err == nil {
		rest := frames
		if c.sock != nil && c.out.size() == 0 && !c.out.writing && !c.corked && !c.accepting {
			n, werr := c.sock.tryWrite(frames)
			if werr != nil {
				c.brokenLocked()
			}
			rest = frames[n:]
		}
		if len(rest) > 0 {
			c.out.append(func(b []byte) []byte { return append(b, rest...) })
		}
		c.active.Store(c.now())
		c.flushLocked()
	}
	c.mu.Unlock()
	if err == transport.ErrQueueFull {
		c.dropped(transport.DropInfo{Reason: transport.DropQueueFull, Bytes: len(p.Payload)})
	}
	return err
}

// roomLocked returns why n bytes can't be queued, or nil.
func (c *conn) roomLocked(n int) error {
	switch {
	case c.phase != phaseOpen || c.broken || c.aborted:
		return transport.ErrClosed
	case c.out.size()+n > c.e.limits.SendQueue:
		return transport.ErrQueueFull
	}
	return nil
}

// Close implements transport.Conn.
func (c *conn) Close(code ws.CloseCode, text string) error {
	c.closeWith(transport.CloseReason{Code: code, Text: text})
	return nil
}

// closeWith starts our side of the closing handshake, unless it was started.
func (c *conn) closeWith(why transport.CloseReason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(why)
}

func (c *conn) closeLocked(why transport.CloseReason) {
	if c.phase != phaseOpen {
		return
	}
	if c.answeringLocked() {
		why, c.shutting = c.reason, true
	}
	if !why.Code.Sendable() {
		why.Code, why.Text = ws.CloseNoStatusReceived, ""
	}
	c.settleLocked(why)
	c.queueCloseLocked(why.Code, why.Text)
	c.flushLocked()
}

// queueCloseLocked queues the one close frame and lets nothing in or out behind it.
func (c *conn) queueCloseLocked(code ws.CloseCode, text string) {
	if c.closeSent {
		return
	}
	c.closeSent = true
	c.enterLocked(phaseClosing, c.e.limits.CloseTimeout)
	c.out.append(func(b []byte) []byte { return ws.AppendClose(b, code, text) })
}

// settleLocked fixes why the connection ended: the first reason stays.
func (c *conn) settleLocked(why transport.CloseReason) {
	if !c.ended {
		c.ended, c.reason = true, why
	}
}

// answeringLocked says that the client broke the protocol and isn't told yet: what
// it sends is thrown away, while the answers to what it sent before may leave.
func (c *conn) answeringLocked() bool { return c.phase == phaseOpen && c.ended }

// enterLocked changes the phase; d is its deadline, 0 for none.
func (c *conn) enterLocked(p phase, d time.Duration) {
	c.phase = p
	c.deadline = time.Time{}
	if d > 0 {
		c.deadline = time.Now().Add(d)
	}
	c.notable.Store(p != phaseOpen || c.paused)
	c.wakeLocked()
}

// abort closes the socket under whatever reads or writes it.
func (c *conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abortLocked()
}

func (c *conn) abortLocked() {
	if c.aborted {
		return
	}
	c.aborted = true
	// Beneath TLS, whose own Close may wait to write an alert.
	under := c.nc
	for {
		n, ok := under.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		under = n.NetConn()
	}
	under.Close()
	c.wakeLocked()
}

// brokenLocked gives up writing because the socket failed. What the client sent
// before it left, its close frame above all, may still wait to be read; reading
// will fail soon, or is cut off.
func (c *conn) brokenLocked() {
	if c.broken {
		return
	}
	c.broken = true
	c.out.drop()
	if c.deadline.IsZero() || c.answeringLocked() {
		c.deadline = time.Now().Add(c.e.limits.CloseTimeout)
	}
}

// wakeLocked lets whoever is in waitLocked look again.
func (c *conn) wakeLocked() {
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}

// waitLocked releases mu until something changed.
func (c *conn) waitLocked() {
	if c.wake == nil {
		c.wake = make(chan struct{})
	}
	w := c.wake
	c.mu.Unlock()
	<-w
	c.mu.Lock()
}

// waitFlushedLocked waits until all that is queued was written.
func (c *conn) waitFlushedLocked() {
	for (c.out.size() > 0 || c.out.writing) && !c.aborted {
		c.waitLocked()
	}
}

// kickLocked ends the reader's current read, if it said that it wants to be.
func (c *conn) kickLocked() {
	if c.reading {
		c.reading = false
		c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// shutdown begins the connection's end because the engine closes.
func (c *conn) shutdown(code ws.CloseCode, text string) {
	c.mu.Lock()
	switch c.phase {
	case phaseOpen:
		c.mu.Unlock()
		c.closeWith(transport.CloseReason{Code: code, Text: text, Drop: transport.DropEngineClosed})
		return
	case phaseHead, phasePending:
		c.abortLocked()
	}
	// An HTTP request under way is answered; the reader sees that the engine closes.
	c.mu.Unlock()
}

// sweep ends the connection if it is past a deadline. now is the machine's
// time, moved the engine's clock.
func (c *conn) sweep(now, moved time.Time) {
	l := &c.e.limits
	var drop transport.DropReason
	var idle transport.CloseReason
	c.mu.Lock()
	switch {
	case c.aborted:
	case c.out.stuck(now, l.WriteTimeout):
		drop = transport.DropWriteTimeout
		c.settleLocked(transport.CloseReason{Code: ws.CloseAbnormalClosure, Drop: drop,
			Err: errors.New("goconn: the client took no byte for " + l.WriteTimeout.String())})
		c.abortLocked()
	case !c.deadline.IsZero() && !now.Before(c.deadline):
		c.deadline = time.Time{}
		switch c.phase {
		case phaseHead:
			c.late = true
			if c.reading {
				c.kickLocked()
			} else {
				c.abortLocked() // in the TLS handshake
			}
		case phaseClosing:
			if c.closeSent {
				drop = transport.DropCloseTimeout
			}
			c.abortLocked()
		default:
			if c.answeringLocked() && !c.broken {
				c.closeLocked(transport.CloseReason{}) // the answers took too long
				break
			}
			c.abortLocked()
		}
	case c.phase == phaseOpen && !c.accepting:
		n := moved.UnixNano()
		switch {
		case l.Lifetime > 0 && n-c.opened >= int64(l.Lifetime):
			idle.Drop = transport.DropLifetime
		case l.Idle > 0 && n-c.active.Load() >= int64(l.Idle):
			idle.Drop = transport.DropIdle
		case l.Ping > 0 && n-max(c.heard.Load(), c.pinged) >= int64(l.Ping):
			c.pinged = n
			c.out.append(func(b []byte) []byte { return ws.AppendFrame(b, ws.OpPing, true, nil) })
			c.flushLocked()
		}
	}
	c.mu.Unlock()
	if idle.Drop != "" {
		idle.Code, idle.Text = ws.CloseGoingAway, transport.GoingAway
		c.closeWith(idle)
	}
	if drop != "" {
		c.dropped(transport.DropInfo{Reason: drop})
	}
}

func (c *conn) now() int64 { return c.e.clock.Now().UnixNano() }

func (c *conn) dropped(i transport.DropInfo) {
	if f := c.e.events.Dropped; f != nil {
		i.RemoteAddr = c.remote
		f(i)
	}
}
