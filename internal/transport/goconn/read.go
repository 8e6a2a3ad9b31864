package goconn

import (
	"bytes"
	"fmt"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// serveOpen is the life of a WebSocket connection: early are bytes that came
// before the handshake was answered, err how reading ended meanwhile, if it did.
func (c *conn) serveOpen(early []byte, err error) {
	over := c.consume(early)
	early = nil
	for !over && err == nil {
		if c.notable.Load() {
			c.park()
		}
		var p []byte
		if p, err = c.in.next(); len(p) > 0 {
			over = c.consume(p)
		}
		c.in.done()
	}
	c.finish(err)
}

// park waits while reading is paused.
func (c *conn) park() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.paused && c.phase == phaseOpen && !c.aborted {
		c.waitLocked()
	}
}

// consume decodes what one read brought and hands it on. Its answers leave in
// one write. It returns true when nothing more is to be decoded: the client's
// close frame came, or a breach of the protocol.
func (c *conn) consume(p []byte) (over bool) {
	if len(p) == 0 {
		return false
	}
	if c.e.limits.Ping > 0 {
		c.heard.Store(c.now())
	}
	c.cork(true)
	defer c.cork(false)
	frames := &c.e.frames[0]
	if c.deflate {
		frames = &c.e.frames[1]
	}
	for len(p) > 0 {
		if c.notable.Load() {
			p = c.hold(p)
		}
		ev, n, err := c.decoder.Next(p, frames)
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
			if c.e.limits.ControlFramesCountAsActivity {
				c.active.Store(c.now())
			}
		case ws.Close:
			c.clientClosed(ev.Code, string(ev.Payload))
			return true
		}
	}
	return false
}

func (c *conn) cork(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = on
	if !on {
		c.flushLocked()
	}
}

// hold keeps what is left of a read while reading is paused, in as many bytes
// as it has, with nothing corked.
func (c *conn) hold(p []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.paused || c.phase != phaseOpen {
		return p
	}
	p = bytes.Clone(p)
	c.in.done()
	c.corked = false
	c.flushLocked()
	for c.paused && c.phase == phaseOpen && !c.aborted {
		c.waitLocked()
	}
	c.corked = true
	return p
}

// message hands one message to the handler.
func (c *conn) message(m transport.Message) {
	if c.notable.Load() && !c.isOpen() {
		c.dropped(transport.DropInfo{Reason: transport.DropAfterClose, Bytes: len(m.Payload)})
		return
	}
	c.active.Store(c.now())
	if !c.guard("OnMessage", func() { c.h.OnMessage(c, m) }) {
		c.closeWith(transport.CloseReason{Code: ws.CloseInternalError, Drop: transport.DropPanic})
	}
}

func (c *conn) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == phaseOpen
}

// pong answers a ping, unless the client does not read its pongs.
func (c *conn) pong(payload []byte) {
	if c.e.limits.ControlFramesCountAsActivity {
		c.active.Store(c.now())
	}
	c.mu.Lock()
	full := c.out.size()+2+len(payload) > c.e.limits.SendQueue
	if !full && c.phase == phaseOpen {
		c.out.append(func(b []byte) []byte { return ws.AppendFrame(b, ws.OpPong, true, payload) })
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
	c.flushLocked()
}

// failed ends the connection for a breach of the protocol or a limit.
func (c *conn) failed(err error) {
	why := transport.BreachOf(err)
	c.mu.Lock()
	first := !c.ended
	c.settleLocked(why)
	c.mu.Unlock()
	if !first {
		return // our close frame is out
	}
	var wait time.Duration
	c.guard("OnBreach", func() { wait = c.h.OnBreach(c, why) })
	c.mu.Lock()
	switch {
	case wait <= 0 || c.broken:
		c.queueCloseLocked(why.Code, why.Text)
		c.flushLocked()
	case c.answeringLocked(): // it was not closed meanwhile
		c.enterLocked(phaseOpen, wait)
	}
	c.mu.Unlock()
	c.dropped(transport.DropInfo{Reason: why.Drop, Code: why.Code, Err: err})
}

// finish ends a connection on which nothing more is decoded; err is the read's.
func (c *conn) finish(err error) {
	c.mu.Lock()
	breach := err == nil && !c.closeRecv
	if err != nil {
		if !c.ended {
			c.settleLocked(transport.CloseReason{
				Code: ws.CloseAbnormalClosure, ByClient: true, Drop: transport.DropConnectionLost,
				Err: fmt.Errorf("goconn: read: %w", err),
			})
			c.abortLocked()
		} else if c.reason.Err == nil && !c.closeRecv && !c.reason.ByClient {
			c.reason.Err = fmt.Errorf("goconn: the client did not answer the close frame: %w", err)
		}
	}
	if !breach {
		c.waitFlushedLocked()
	}
	c.mu.Unlock()
	if breach {
		c.linger()
	}
	c.hangUp()
	c.mu.Lock()
	why := c.reason
	c.mu.Unlock()
	c.guard("OnClose", func() { c.h.OnClose(c, why) })
	if f := c.e.events.ConnectionEnd; f != nil {
		f(transport.ConnectionEndInfo{RemoteAddr: c.remote, Reason: why})
	}
	c.e.remove(c)
}
