package upstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const havePoller = true

// A conn is one connection to a backend. It carries one call at a time. Lock order:
// Origin.mu, conn.mu, loop.mu.
type conn struct {
	origin *Origin
	loop   *loop
	fd     int
	slot   uint32
	tag    uint32 // tells it from others that had the slot
	born   int64  // on the client's clock

	mu     sync.Mutex
	closed bool
	used   bool  // for a call before
	idleAt int64 // when its last call ended
	call   *call // nil: idle
	answer answer
	sent   int // bytes of the call's request that were written
}

// newConn takes a connection over from net: its descriptor goes to a loop.
func newConn(o *Origin, nc net.Conn) (*conn, error) {
	defer nc.Close()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	err = raw.Control(func(of uintptr) {
		r, _, errno := syscall.Syscall(syscall.SYS_FCNTL, of, syscall.F_DUPFD_CLOEXEC, 0) // with its options; it stays non-blocking
		if fd = int(r); errno != 0 {
			fd, err = -1, os.NewSyscallError("fcntl", errno)
		}
	})
	if err != nil {
		return nil, err
	}
	now := o.client.now()
	c := &conn{origin: o, fd: fd, born: now, idleAt: now}
	if err := o.client.io.register(c); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return c, nil
}

// begin sends a call's request. It returns false when the connection has ended
// before, and the call needs another.
func (c *conn) begin(call *call) bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
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

// writeLocked writes what the socket takes of the request.
func (c *conn) writeLocked() error {
	for p := *c.call.request; c.sent < len(p); {
		n, errno := writeSocket(c.fd, p[c.sent:])
		switch errno {
		case 0:
			c.sent += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return nil // the poller tells when there is room
		default:
			return os.NewSyscallError("write", errno)
		}
	}
	return nil
}

// ready is told by the loop that the socket has room, or bytes or an end to read;
// ended says that the backend has closed its direction. scratch is the loop's.
func (c *conn) ready(scratch []byte, writable, readable, ended bool) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	call := c.call
	if call == nil {
		// An edge may be that of bytes which were read already.
		stays := !readable
		if readable && !ended {
			_, errno := readSocket(c.fd, scratch)
			stays = errno == syscall.EAGAIN
		}
		c.mu.Unlock()
		if !stays {
			c.drop()
		}
		return
	}
	var err error
	done := false
	if writable && c.sent < len(*call.request) {
		err = c.writeLocked()
	}
	if readable { // what there is of an answer says more than that the request can't be written
		done, err = c.readLocked(scratch, ended)
	}
	if err != nil || !done {
		c.mu.Unlock()
		if err != nil {
			c.fail(call, err)
		}
		return
	}
	call.response = c.answer.response
	c.answer.response = Response{}
	keep := c.answer.keep && !ended && c.sent == len(*call.request) // else it was answered before it was heard
	c.call, c.used = nil, true
	c.idleAt = c.origin.client.sweep.latest.Load()
	c.mu.Unlock()
	// Another call may have the connection while this one's answer is dealt with:
	// its own is read on this loop, and not before.
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

// readLocked reads until the answer is whole or the socket has nothing more.
func (c *conn) readLocked(scratch []byte, ended bool) (done bool, err error) {
	for {
		n, errno := readSocket(c.fd, scratch)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			return false, nil
		case errno != 0:
			return false, os.NewSyscallError("read", errno)
		case n == 0 && c.answer.end():
			return true, nil
		case n == 0 && c.answer.begun():
			return false, io.ErrUnexpectedEOF
		case n == 0:
			return false, io.EOF
		}
		used, done, err := c.answer.feed(scratch[:n])
		switch {
		case err != nil:
			return false, err
		case done:
			c.answer.keep = c.answer.keep && used == n // more than was asked for
			return true, nil
		case n < len(scratch) && !ended:
			// That was all; what comes next is another edge. A backend that writes head and
			// body apart may wait for the head to be acknowledged (Nagle's algorithm), which
			// the kernel would put off for 40 ms.
			syscall.SetsockoptInt(c.fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
			return false, nil
		}
	}
}

// fail ends the connection, whose call failed. The call is sent once more on a
// new one when this one was stale: it had been used, nothing of an answer has
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
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// drop ends a connection that has no call.
func (c *conn) drop() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.loop.forget(c)
	syscall.Close(c.fd)
	c.mu.Unlock()
	c.origin.lost(c)
}

// rested says that an idle connection is to end.
func (c *conn) rested(now int64, config *Config) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(now-c.idleAt) >= config.IdleTimeout || time.Duration(now-c.born) >= config.Lifetime
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

// readSocket and writeSocket don't tell the scheduler: the sockets never block.
func readSocket(fd int, p []byte) (int, syscall.Errno) { return transfer(syscall.SYS_READ, fd, p) }

func writeSocket(fd int, p []byte) (int, syscall.Errno) { return transfer(syscall.SYS_WRITE, fd, p) }
