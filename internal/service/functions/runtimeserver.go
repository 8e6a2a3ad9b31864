package functions

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Bounds on what a runtime may send, and on how long it may take over a head.
const (
	runtimeHeadTime = 10 * time.Second
	maxRuntimeHead  = 16 << 10 // bytes
	maxLeftBody     = 256 << 10
)

// A runtimeServer serves the Runtime API of one environment. net/http's server
// starts a goroutine for each request, to see whether its client leaves, and
// hands an invocation from one goroutine to another; here who invokes writes to
// the runtime's connection itself, while the connection's only goroutine waits
// for what comes next. Requests may follow each other without waiting for the
// answers (RFC 9112, section 9.3.2): the answers to those that are there
// already leave together.
type runtimeServer struct {
	e        *environment
	listener net.Listener

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func newRuntimeServer(e *environment, l net.Listener) *runtimeServer {
	return &runtimeServer{e: e, listener: l, conns: map[net.Conn]struct{}{}}
}

// serve accepts until close.
func (s *runtimeServer) serve() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			s.mu.Lock()
			closed := s.closed
			s.mu.Unlock()
			if closed {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors, which passes
			continue
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			nc.Close()
			return
		}
		s.conns[nc] = struct{}{}
		s.mu.Unlock()
		go func() {
			s.converse(nc)
			nc.Close()
			s.mu.Lock()
			delete(s.conns, nc)
			s.mu.Unlock()
		}()
	}
}

// close ends the listener and every connection.
func (s *runtimeServer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.listener.Close()
	for nc := range s.conns {
		nc.Close()
	}
}

// A taker is a connection whose runtime waits for its next invocation.
type taker struct {
	nc      net.Conn
	pending []byte        // answers to requests before it
	last    bool          // the connection ends behind the answer
	claim   chan struct{} // holds a token until someone takes it, or the runtime leaves
	given   chan struct{} // closed once the invocation was written
}

func newTaker() *taker {
	t := &taker{claim: make(chan struct{}, 1), given: make(chan struct{})}
	t.claim <- struct{}{}
	return t
}

// claimed reports whether the caller is the one who may have it.
func (t *taker) claimed() bool {
	select {
	case <-t.claim:
		return true
	default:
		return false
	}
}

// give writes the invocation, which the runtime has to take by the deadline. If
// that fails the runtime is gone, or ends with its time.
func (t *taker) give(b []byte, deadline time.Time) {
	defer close(t.given)
	t.nc.SetWriteDeadline(deadline)
	t.nc.Write(b)
	if t.last {
		if half, ok := t.nc.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
	}
}

// converse answers the requests of one connection, in their order.
func (s *runtimeServer) converse(nc net.Conn) {
	limit := &io.LimitedReader{R: nc}
	in := bufio.NewReader(limit)
	var pending []byte // answers that leave with the next one
	var waits *taker
	hurried := true // there is a deadline for reading
	nc.SetReadDeadline(time.Now().Add(runtimeHeadTime))
	for {
		limit.N = maxRuntimeHead
		if _, err := in.Peek(1); err != nil {
			if waits != nil {
				waits.claimed() // so that nobody else gets it
			}
			return
		}
		if waits != nil {
			select {
			case <-waits.given:
			case <-s.e.ended:
				return
			}
			waits = nil
			nc.SetWriteDeadline(time.Time{})
		}
		if !hurried && !wholeHead(in) {
			hurried = true
			nc.SetReadDeadline(time.Now().Add(runtimeHeadTime))
		}
		r, err := http.ReadRequest(in)
		if err != nil {
			nc.Write(append(pending, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"...))
			return
		}
		if hurried {
			hurried = false
			nc.SetReadDeadline(time.Time{})
		}
		limit.N = 1 << 62
		if r.Header.Get("Expect") != "" && r.ContentLength != 0 {
			if _, err := nc.Write(append(pending, "HTTP/1.1 100 Continue\r\n\r\n"...)); err != nil {
				return
			}
			pending = nil
		}
		w := &runtimeReply{header: http.Header{}}
		if t := s.e.serveRuntime(w, r); t != nil {
			t.nc, t.pending, t.last = nc, pending, r.Close
			waits, pending = t, nil
			io.CopyN(io.Discard, r.Body, maxLeftBody) // there is none, as a rule
			select {
			case s.e.takers <- t:
			case <-s.e.ended:
				return
			}
			continue
		}
		n, err := io.CopyN(io.Discard, r.Body, maxLeftBody)
		last := r.Close || err != io.EOF || n == maxLeftBody
		pending = w.append(pending, last)
		if !last && wholeHead(in) { // their answers go with this one
			continue
		}
		if _, err := nc.Write(pending); err != nil || last {
			return
		}
		pending = pending[:0]
	}
}

// wholeHead reports whether the head of a request was read already.
func wholeHead(in *bufio.Reader) bool {
	b, _ := in.Peek(in.Buffered()) // that much there is
	return bytes.Contains(b, []byte("\r\n\r\n"))
}

// A runtimeReply is an http.ResponseWriter that keeps what is written to it.
type runtimeReply struct {
	header http.Header
	status int
	body   []byte
}

func (w *runtimeReply) Header() http.Header { return w.header }

func (w *runtimeReply) WriteHeader(status int) { w.status = status }

func (w *runtimeReply) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

// append appends the answer as it travels.
func (w *runtimeReply) append(b []byte, last bool) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(w.status), 10)
	b = append(append(append(b, ' '), http.StatusText(w.status)...), "\r\n"...)
	for name, values := range w.header {
		for _, v := range values {
			b = appendField(b, name, v)
		}
	}
	if last {
		b = appendField(b, "Connection", "close")
	}
	return append(append(b, "\r\n"...), w.body...)
}

func appendField(b []byte, name, value string) []byte {
	return append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
}
