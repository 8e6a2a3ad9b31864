//go:build linux

package epoll

import (
	"sync"
	"syscall"
)

const (
	keptBuffer = 64 << 10 // a queue's buffer up to this size is used again
	corkLimit  = 64 << 10 // a batch's answers are written early beyond this
)

// outBuffers hold what waits to be written, for connections that write.
var outBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// An outQueue is the bytes that wait to be written, in order. An empty one holds
// no buffer.
type outQueue struct {
	buf      *[]byte // from outBuffers; nil when empty
	off      int     // bytes of buf that were written
	progress int64   // the machine's time when the socket last took a byte; 0: it takes all
}

func (q *outQueue) size() int {
	if q.buf == nil {
		return 0
	}
	return len(*q.buf) - q.off
}

// drop forgets what waits.
func (q *outQueue) drop() {
	if q.buf != nil {
		putBuffer(q.buf)
	}
	*q = outQueue{}
}

// putBuffer gives a buffer back.
func putBuffer(b *[]byte) {
	if cap(*b) <= keptBuffer {
		*b = (*b)[:0]
		outBuffers.Put(b)
	}
}

// queuedLocked returns how many bytes wait.
func (c *conn) queuedLocked() int {
	if c.more == nil {
		return 0
	}
	return c.more.out.size()
}

// queueLocked returns the buffer to append to.
func (c *conn) queueLocked() *[]byte {
	q := &c.moreLocked().out
	if q.buf == nil {
		q.buf = outBuffers.Get().(*[]byte)
	}
	return q.buf
}

// flushLocked writes what the socket takes, unless it is known to take nothing,
// or a batch is under way.
func (c *conn) flushLocked() {
	if c.more == nil {
		return
	}
	q := &c.more.out
	if q.buf == nil || c.aborted || c.held || c.hinted(stalled) || c.corked && q.size() < corkLimit {
		return
	}
	if c.broken {
		q.drop()
		return
	}
	for q.off < len(*q.buf) {
		n, errno := writeSocket(int(c.fd), (*q.buf)[q.off:])
		switch errno {
		case 0:
			q.off += n
			q.progress = 0
			continue
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			if !c.hinted(stalled) {
				// It may have become writable since: before anyone looked at stalled.
				c.hint(stalled, true)
				continue
			}
			if q.progress == 0 {
				q.progress = c.l.e.machine()
				c.l.time(c)
			}
			return
		}
		c.brokenLocked()
		c.flushedLocked()
		return
	}
	c.hint(stalled, false)
	q.drop()
	c.flushedLocked()
}

// readyLocked says that nothing waits to be written, and nothing keeps from writing.
func (c *conn) readyLocked() bool {
	return c.queuedLocked() == 0 && !c.held && !c.corked && !c.hinted(stalled)
}

// writeLocked writes to a socket for which nothing waits, and returns what it
// doesn't take; all of p when something does wait.
func (c *conn) writeLocked(p []byte) []byte {
	if !c.readyLocked() {
		return p
	}
	for {
		n, errno := writeSocket(int(c.fd), p)
		switch errno {
		case 0:
			return p[n:]
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return p // flushing finds that out again, and waits
		}
		c.brokenLocked()
		return nil
	}
}

// flushedLocked is called when the queue has become empty, or the socket failed.
func (c *conn) flushedLocked() {
	if c.shutting && !c.aborted {
		// The client sees the end behind our last byte while what it still sends is
		// read: closing a socket with unread bytes would reset it and could take our
		// last bytes along.
		c.shutting = false
		syscall.Shutdown(int(c.fd), syscall.SHUT_WR)
	}
	if c.awaiting {
		c.awaiting = false
		c.l.post(c)
	}
}

// writable goes on writing, on the loop.
func (c *conn) writable() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hint(stalled, false)
	c.flushLocked()
	c.restLocked()
}
