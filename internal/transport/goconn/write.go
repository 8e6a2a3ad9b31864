package goconn

import (
	"net"
	"sync"
	"time"
)

const (
	keptBuffer = 64 << 10 // a queue's buffer up to this size is used again
	writeChunk = 64 << 10 // a write at most, so that progress can be seen
	corkLimit  = 64 << 10 // a batch's answers are written early beyond this
)

// outBuffers hold what waits to be written, for connections that write.
var outBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// A sendQueue is the bytes that wait to be written, in order, guarded by the
// connection's mu. An empty one holds no buffer.
type sendQueue struct {
	buf      *[]byte   // from outBuffers; nil when empty
	off      int       // bytes of buf that were written
	inflight int       // bytes that the writer took and has not written yet
	writing  bool      // somebody writes
	progress time.Time // when writing began or last wrote a byte
}

// size returns how many bytes wait.
func (q *sendQueue) size() int {
	if q.buf == nil {
		return q.inflight
	}
	return len(*q.buf) - q.off + q.inflight
}

func (q *sendQueue) append(f func([]byte) []byte) {
	if q.buf == nil {
		q.buf = outBuffers.Get().(*[]byte)
	}
	*q.buf = f(*q.buf)
}

// drop forgets what waits, but for what the writer has in hand.
func (q *sendQueue) drop() {
	if q.buf != nil {
		release(q.buf)
		q.buf, q.off = nil, 0
	}
}

// release gives the buffer back.
func release(b *[]byte) {
	if cap(*b) <= keptBuffer {
		*b = (*b)[:0]
		outBuffers.Put(b)
	}
}

// stuck reports whether the socket has taken nothing for d.
func (q *sendQueue) stuck(now time.Time, d time.Duration) bool {
	return q.writing && now.Sub(q.progress) >= d
}

// flushLocked starts writing what is queued, unless somebody does or it is
// corked. A socket that can be written to without blocking is, here and now; a
// goroutine writes only what it did not take.
func (c *conn) flushLocked() {
	q := &c.out
	if q.writing || c.aborted || q.buf == nil || c.accepting || c.corked && q.size() < corkLimit {
		return
	}
	if c.broken {
		q.drop()
		return
	}
	if c.sock != nil {
		n, err := c.sock.tryWrite((*q.buf)[q.off:])
		if err != nil {
			c.brokenLocked()
			c.flushedLocked()
			return
		}
		q.off += n
		if q.off == len(*q.buf) {
			q.drop()
			c.flushedLocked()
			return
		}
	}
	q.writing, q.progress = true, time.Now()
	go c.write()
}

// write writes until the queue is empty.
func (c *conn) write() {
	q := &c.out
	c.mu.Lock()
	defer c.mu.Unlock()
	for q.buf != nil && !c.aborted {
		b, off, nc := q.buf, q.off, c.nc
		q.buf, q.off, q.inflight = nil, 0, len(*q.buf)-q.off
		for rest := (*b)[off:]; len(rest) > 0 && !c.aborted; {
			c.mu.Unlock()
			n, err := nc.Write(rest[:min(len(rest), writeChunk)])
			c.mu.Lock()
			if err != nil {
				c.brokenLocked()
				break
			}
			rest = rest[n:]
			q.inflight, q.progress = len(rest), time.Now()
		}
		q.inflight = 0
		release(b)
	}
	q.writing = false
	c.flushedLocked()
}

// flushedLocked is called when the queue has become empty, or the socket failed.
func (c *conn) flushedLocked() {
	if c.shutting && !c.aborted {
		c.shutting = false
		c.shutWriteLocked()
	}
	c.wakeLocked()
}

// shutWriteLocked ends our direction of the socket, so that the client sees the
// end behind our last byte while what it still sends is read: closing a TCP
// socket with unread bytes would reset it and could take our last bytes along.
func (c *conn) shutWriteLocked() {
	switch nc := c.nc.(type) {
	case *net.TCPConn:
		nc.CloseWrite()
	case *net.UnixConn:
		nc.CloseWrite()
	case interface{ CloseWrite() error }:
		go nc.CloseWrite() // TLS: writes an alert, which may block
	default:
		c.abortLocked()
	}
}
