//go:build linux

package epoll

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// stepOpen reads and decodes once. mu is held and is released.
func (c *conn) stepOpen() bool {
	m := c.more
	if m != nil && m.upgrade != nil {
		u := m.upgrade
		m.upgrade = nil
		c.mu.Unlock()
		if f := c.l.e.events.UpgradeEnd; f != nil {
			f(transport.UpgradeInfo{RemoteAddr: c.RemoteAddr(), Status: u.status})
		}
		return true
	}
	if c.paused {
		c.restLocked()
		c.mu.Unlock()
		return false
	}
	c.corked = true
	c.mu.Unlock()
	p, err := c.next(m)
	over := false
	if len(p) > 0 {
		over = c.consume(m, p)
	}
	c.mu.Lock()
	if err != nil || c.queuedLocked() == 0 || !c.gatherLocked() { // behind an end nothing leaves
		c.unloadLocked()
	}
	c.mu.Unlock()
	switch {
	case err != nil:
		c.lost(err)
		return true
	case over:
		c.settled()
		return true
	}
	return len(p) > 0 && c.readable
}

// next returns bytes to decode: what was kept, or what the socket has.
func (c *conn) next(m *more) ([]byte, error) {
	if m != nil && len(m.in) > 0 {
		p := m.in
		m.in = nil
		return p, nil
	}
	return c.read()
}

// consume decodes and hands on. m is what the connection had before it was
// corked; nil: it was between messages. It returns true when nothing more is to
// be decoded: the client's close frame came, or a breach of the protocol.
func (c *conn) consume(m *more, p []byte) (over bool) {
	e := c.l.e
	if e.limits.Ping > 0 {
		c.quiet = c.l.now
	}
	d := &c.l.decoder
	if m != nil && m.mid {
		d = &m.decoder
	} else {
		*d = ws.Decoder{}
	}
	frames := &e.frames[0]
	if c.deflate {
		frames = &e.frames[1]
	}
	for len(p) > 0 {
		if c.hinted(notable) && c.hold(p) {
			break
		}
		ev, n, err := d.Next(p, frames)
		p = p[n:]
		if err != nil {
			c.failed(err)
			return true
		}
		switch ev.Kind {
		case ws.Text, ws.Binary:
			c.message(transport.Message{Payload: ev.Payload, Binary: ev.Kind == ws.Binary})
		case ws.Ping:
			c.pong(ev.Payload)
		case ws.Pong:
			if e.limits.ControlFramesCountAsActivity {
				c.active.Store(c.l.now)
			}
		case ws.Close:
			c.clientClosed(ev.Code, string(ev.Payload))
			return true
		}
	}
	c.keepDecoder(m, d)
	return false
}

// keepDecoder keeps the decoder of a connection in the middle of a message.
func (c *conn) keepDecoder(m *more, d *ws.Decoder) {
	if !d.MidMessage() {
		if m != nil {
			m.mid, m.decoder = false, ws.Decoder{}
		}
		return
	}
	if m == nil {
		c.mu.Lock()
		m = c.moreLocked()
		c.mu.Unlock()
	}
	m.mid = true
	if d != &m.decoder {
		m.decoder = *d
	}
}

// hold keeps what is left of a read while reading is paused. It returns false
// when reading isn't paused.
func (c *conn) hold(p []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.paused || c.phase != phaseOpen {
		return false
	}
	c.moreLocked().in = bytes.Clone(p)
	return true
}

// message hands one message to the handler.
func (c *conn) message(m transport.Message) {
	if c.hinted(notable) && !c.isOpen() {
		c.dropped(transport.DropInfo{Reason: transport.DropAfterClose, Bytes: len(m.Payload)})
		return
	}
	c.active.Store(c.l.now)
	if !c.deliver(m) {
		c.closeWith(transport.CloseReason{Code: ws.CloseInternalError, Drop: transport.DropPanic})
	}
}

func (c *conn) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == phaseOpen
}

// deliver calls OnMessage and contains its panic.
func (c *conn) deliver(m transport.Message) (ok bool) {
	defer func() {
		if !ok {
			c.panicked("OnMessage", recover())
		}
	}()
	c.served.handler.OnMessage(c, m)
	return true
}

// guard calls f and contains its panic; it reports whether there was none.
func (c *conn) guard(method string, f func()) (ok bool) {
	defer func() {
		if !ok {
			c.panicked(method, recover())
		}
	}()
	f()
	return true
}

func (c *conn) panicked(method string, v any) {
	if f := c.l.e.events.Panicked; v != nil && f != nil {
		f(transport.PanicInfo{RemoteAddr: c.RemoteAddr(), Method: method, Value: v, Stack: debug.Stack()})
	}
}

// pong answers a ping, unless the client does not read its pongs.
func (c *conn) pong(payload []byte) {
	if c.l.e.limits.ControlFramesCountAsActivity {
		c.active.Store(c.l.now)
	}
	c.mu.Lock()
	full := c.queuedLocked()+2+len(payload) > c.l.e.limits.SendQueue
	if !full && c.phase == phaseOpen {
		b := c.queueLocked()
		*b = ws.AppendFrame(*b, ws.OpPong, true, payload)
		c.flushLocked()
	}
	c.mu.Unlock()
	if full {
		c.dropped(transport.DropInfo{Reason: transport.DropPong})
	}
}

// clientClosed answers the client's close frame with its own code (RFC 6455
// section 5.5.1), or completes our closing handshake.
func (c *conn) clientClosed(code ws.CloseCode, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeRecv = true
	c.settleLocked(transport.CloseReason{Code: code, Text: text, ByClient: true})
	c.queueCloseLocked(code, "")
}

// failed ends the connection for a breach of the protocol or a limit.
func (c *conn) failed(err error) {
	why := transport.BreachOf(err)
	c.mu.Lock()
	first := !c.moreLocked().ended
	c.settleLocked(why)
	c.mu.Unlock()
	if !first {
		return // our close frame is out
	}
	wait := c.breached(why)
	c.mu.Lock()
	switch {
	case wait <= 0 || c.broken:
		c.queueCloseLocked(why.Code, why.Text)
	case c.answeringLocked(): // it was not closed meanwhile
		c.enterLocked(phaseOpen, wait)
	}
	c.mu.Unlock()
	c.dropped(transport.DropInfo{Reason: why.Drop, Code: why.Code, Err: err})
}

// breached asks the handler how long the close frame waits for answers.
func (c *conn) breached(why transport.CloseReason) (wait time.Duration) {
	c.guard("OnBreach", func() { wait = c.served.handler.OnBreach(c, why) })
	return wait
}

// settled is the end of decoding without a fault of the socket.
func (c *conn) settled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closeRecv {
		c.end = endFlush
		return
	}
	c.lingerLocked()
}

// lost is the end of reading a WebSocket connection; err is the read's.
func (c *conn) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = endFlush
	m := c.moreLocked()
	switch {
	case !m.ended:
		c.settleLocked(transport.CloseReason{
			Code: ws.CloseAbnormalClosure, ByClient: true, Drop: transport.DropConnectionLost,
			Err: fmt.Errorf("epoll: read: %w", err),
		})
		c.aborted = true
	case m.reason.Err == nil && !c.closeRecv && !m.reason.ByClient:
		m.reason.Err = fmt.Errorf("epoll: the client did not answer the close frame: %w", err)
	}
}

// stepClosing does what is left to do before the socket is closed.
func (c *conn) stepClosing() bool {
	switch c.end {
	case endNone: // our close frame is out: the client's is awaited
		c.mu.Lock()
		if c.closeSent {
			c.paused = false // whoever paused has no say any more
			return c.stepOpen()
		}
		c.lingerLocked()
		c.mu.Unlock()
		return true
	case endLinger:
		p, err := c.read()
		if err != nil {
			c.closeWith(transport.CloseReason{}) // what waits for answers waits no longer
			c.end = endFlush                     // a client that shut its direction first still gets the answer
			return true
		}
		return len(p) > 0
	}
	c.mu.Lock()
	done := c.queuedLocked() == 0 || c.broken || c.aborted
	c.awaiting = !done
	c.mu.Unlock()
	if done {
		c.bury()
	}
	return false
}

// lingerLocked shuts our direction once all is written; what still comes is read
// until the client does the same, or the phase's deadline.
func (c *conn) lingerLocked() {
	c.end = endLinger
	if c.answeringLocked() {
		return // closing it shuts
	}
	c.shutting = true
	if c.queuedLocked() == 0 {
		c.flushedLocked()
	}
}
