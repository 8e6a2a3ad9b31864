package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// A line carries the bytes of a connection. Its methods are called under the
// connection's lock and don't wait.
type line interface {
	// send writes what there is room for, and says how much that was. There is more
	// room when it tells so.
	send(p []byte) (int, error)
	close()
}

// A conn is one connection to a backend. It carries one call at a time. Lock order:
// Origin.mu, conn.mu, loop.mu.
type conn struct {
	origin *Origin
	line   line
	born   int64 // on the client's clock
	place  int   // in Origin.conns; guarded by Origin.mu

	mu      sync.Mutex
	closed  bool
	used    bool  // for a call before
	writing bool  // a goroutine writes a request
	idleAt  int64 // when its last call ended, or somewhat before
	rest    int64 // how long the backend keeps it idle, as far as it may be relied on; 0: not said
	call    *call // nil: idle
	answer  answer
	sent    int // bytes of the call's request that were written
}

// open makes a connection: on a loop, or where there is none, or with TLS, on a
// goroutine of its own.
func (o *Origin) open(ctx context.Context) (*conn, error) {
	nc, err := o.client.dialer.DialContext(ctx, "tcp", o.address)
	if err != nil {
		return nil, err
	}
	now := o.client.now()
	c := &conn{origin: o, born: now, idleAt: now}
	switch {
	case o.secure != nil:
		over := tls.Client(nc, o.secure)
		if err := over.HandshakeContext(ctx); err != nil {
			nc.Close()
			o.own.Store(false) // until net/http has spoken HTTP/1.1 with it again
			return nil, err
		}
		startStream(c, over, nc)
		return c, nil
	case haveLoops && !o.client.config.streams:
		return c, newSocket(c, nc)
	}
	startStream(c, nc, nc)
	return c, nil
}

// begin sends a call's request. It returns false when the connection has ended
// before, or the backend is about to end it, and the call needs another.
func (c *conn) begin(call *call) bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	if c.rest > 0 && call.began-c.idleAt >= c.rest {
		c.mu.Unlock()
		c.drop()
		return false
	}
	if call.settled.Load() { // cut short while it waited
		c.mu.Unlock()
		c.origin.release(c)
		return true
	}
	c.call, c.sent = call, 0
	c.answer = answer{head: call.head, maxHead: c.origin.client.config.MaxHead, maxBody: call.maxBody, header: c.answer.header, held: c.answer.held[:0]}
	err := c.writeLocked()
	c.mu.Unlock()
	if err != nil {
		c.fail(call, err)
	}
	return true
}

// writeLocked writes what there is room for of the request.
func (c *conn) writeLocked() error {
	n, err := c.line.send((*c.call.request)[c.sent:])
	c.sent += n
	return err
}

// feedLocked gives the answer what was read; end is the backend's having closed
// its direction. It returns whether the answer is whole.
func (c *conn) feedLocked(p []byte, end bool) (done bool, err error) {
	if end {
		switch {
		case c.answer.end():
			return true, nil
		case c.answer.begun():
			return false, io.ErrUnexpectedEOF
		}
		return false, io.EOF
	}
	used, done, err := c.answer.feed(p)
	c.answer.keep = c.answer.keep && used == len(p) // more than was asked for
	return done, err
}

// deliver ends a call that was answered. mu is held and is released; ended says
// that the backend takes no other call here.
func (c *conn) deliver(ended bool) {
	call := c.call
	call.response = c.answer.response
	c.answer.response = Response{}
	keep := c.answer.keep && !ended && !c.writing && c.sent == len(*call.request) // else it was answered before it was heard
	c.call, c.used = nil, true
	c.idleAt = max(call.began, c.origin.client.sweep.latest.Load())
	c.rest = int64(c.answer.rest)
	c.mu.Unlock()
	// Another call may have the connection while this one's answer is dealt with:
	// its own is read on this goroutine, and not before.
	if keep {
		c.origin.release(c)
	} else {
		c.drop()
	}
	putBuffer(call.request)
	if call.settle() {
		call.to.Receive(&call.response, nil)
	}
	clear(call.response.Header) // an idle connection shall not hold what was said in it
}

// fail ends the connection, whose call failed. The call is sent once more on
// another when this one was stale: it had been used, nothing of an answer has
// come, and sending again can't do anything twice.
func (c *conn) fail(call *call, err error) {
	c.mu.Lock()
	if c.call != call || c.closed {
		c.mu.Unlock()
		return
	}
	stale := c.used && !c.answer.begun() && isEnd(err)
	unsent := c.sent == 0
	c.call = nil
	c.mu.Unlock()
	c.drop()
	if stale && (unsent || call.repeatable) && !call.repeated && !call.settled.Load() {
		call.repeated = true
		call.origin.assign(call)
		return
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the backend closed the connection instead of answering: %w", io.ErrUnexpectedEOF)
	}
	if call.settle() {
		putBuffer(call.request)
		call.to.Receive(nil, err)
	}
}

// isEnd says that the error is the backend's having closed the connection.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// drop ends a connection that has no call.
func (c *conn) drop() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.line.close()
	c.mu.Unlock()
	c.origin.lost(c)
}

// rested says that an idle connection is to end.
func (c *conn) rested(now int64, config *Config) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(now-c.idleAt) >= config.IdleTimeout || c.rest > 0 && now-c.idleAt >= c.rest || time.Duration(now-c.born) >= config.Lifetime
}

// sweep fails the connection's call if it is late. It returns true if there is a
// call still.
func (c *conn) sweep(now int64) bool {
	c.mu.Lock()
	call := c.call
	c.mu.Unlock()
	if call == nil {
		return false
	}
	err := call.late(now)
	if err == nil && call.settled.Load() {
		err = ErrClosed // cut short by Do
	}
	if err == nil {
		return true
	}
	c.fail(call, err)
	return false
}

// end ends the connection and its call.
func (c *conn) end(err error) {
	c.mu.Lock()
	call := c.call
	c.mu.Unlock()
	if call != nil {
		c.fail(call, err)
		return
	}
	c.drop()
}

// guard runs what serves the connection. A fault of ours costs the connection, not
// the process.
func (c *conn) guard(f func()) {
	ok := false
	defer func() {
		if ok {
			return
		}
		err := fmt.Errorf("panic: %v\n%s", recover(), debug.Stack())
		// The lock may be held by what panicked; then it is ours to give back.
		for i := 0; i < 1000 && !c.mu.TryLock(); i++ {
			runtime.Gosched()
		}
		c.mu.Unlock()
		c.end(err)
	}()
	f()
	ok = true
}

// A stream is a line that a goroutine reads.
type stream struct {
	conn *conn
	nc   net.Conn
	raw  net.Conn // beneath TLS, or nc
}

const (
	streamBuffer = 4 << 10
	// Up to this size a request is written at once: an idle connection's socket has
	// room for it, since what was sent before was answered.
	writtenAtOnce = 4 << 10
)

func startStream(c *conn, nc, raw net.Conn) {
	s := &stream{c, nc, raw}
	c.line = s
	go s.run()
}

// send implements line.
func (s *stream) send(p []byte) (int, error) {
	if len(p) <= writtenAtOnce {
		return s.nc.Write(p)
	}
	c := s.conn
	call, kept := c.call, append([]byte(nil), p...) // the answer may come, and the request's buffer be another's, before all is written
	c.writing = true
	go func() {
		_, err := s.nc.Write(kept)
		c.mu.Lock()
		c.writing = false
		c.mu.Unlock()
		if err != nil {
			c.fail(call, err)
		}
	}()
	return len(p), nil
}

// close implements line. TLS's own farewell could wait.
func (s *stream) close() { s.raw.Close() }

// run reads until the connection ends.
func (s *stream) run() {
	buf := make([]byte, streamBuffer)
	for {
		n, err := s.nc.Read(buf)
		goes := false
		s.conn.guard(func() { goes = (n == 0 || s.read(buf[:n], nil)) && (err == nil || s.read(nil, err)) })
		if !goes {
			return
		}
	}
}

// read deals with what was read, or why nothing was. It returns whether to go on.
func (s *stream) read(p []byte, err error) bool {
	c := s.conn
	c.mu.Lock()
	call := c.call
	if c.closed || call == nil {
		c.mu.Unlock()
		c.drop() // the backend closed it, or sent what it wasn't asked for
		return false
	}
	done := false
	if err == nil || errors.Is(err, io.EOF) {
		done, err = c.feedLocked(p, err != nil)
	}
	switch {
	case err != nil:
		c.mu.Unlock()
		c.fail(call, err)
		return false
	case done:
		c.deliver(false)
	default:
		c.mu.Unlock()
	}
	return true
}
