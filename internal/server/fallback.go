package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// How long a caller of the fallback server may take to send a body, and to take
// a part of an answer. The server's own timeouts would count the time that a
// function runs, and end a stream of events.
const (
	bodyTime = time.Minute
	takeTime = 30 * time.Second
)

// A fallbackHandler serves what the engine leaves to net/http: it bounds how
// long a slow caller may hold a goroutine, and gives a WebSocket handshake on a
// connection that had plain requests before (proxies reuse theirs) back to the
// engine.
type fallbackHandler struct {
	http.Handler
	back     *memoryListener // serves handshakes
	panicked func(text string)
	bodyTime time.Duration
	takeTime time.Duration
}

// usedKey is where a connection's context says whether it had a request before.
type usedKey struct{}

// connContext is for http.Server. The engine hands over only what isn't a
// handshake to it: one can come second at the earliest, and goes back just once.
func connContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, usedKey{}, new(bool))
}

// ServeHTTP implements http.Handler.
func (h *fallbackHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if used, ok := r.Context().Value(usedKey{}).(*bool); ok {
		if *used && isHandshake(r) && h.giveBack(w, r) {
			return
		}
		*used = true
	}
	rc := http.NewResponseController(w)
	if r.ContentLength != 0 {
		rc.SetReadDeadline(time.Now().Add(h.bodyTime))
		r.Body = &timedBody{r.Body, rc}
	}
	// The last of the answer leaves when the handler has returned.
	defer func() { rc.SetWriteDeadline(time.Now().Add(h.takeTime)) }()
	defer tellPanic(r, h.panicked)
	h.Handler.ServeHTTP(&timedWriter{w, rc, h.takeTime}, r)
}

// tellPanic tells of a fault of ours, which net/http would only log, and ends the
// connection.
func tellPanic(r *http.Request, tell func(text string)) {
	if v := recover(); v != nil {
		if v != http.ErrAbortHandler {
			tell(fmt.Sprintf("a fault of Tidegate's: %s %q: %v\n%s", r.Method, r.URL.Path, v, debug.Stack()))
		}
		panic(http.ErrAbortHandler)
	}
}

// A timedBody lifts the deadline at its end: what is read behind it is only
// whether the caller is still there.
type timedBody struct {
	io.ReadCloser
	rc *http.ResponseController
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

// A timedWriter gives the caller some time for each part of the answer.
type timedWriter struct {
	http.ResponseWriter
	rc   *http.ResponseController
	time time.Duration
}

// Write implements io.Writer.
func (w *timedWriter) Write(p []byte) (int, error) {
	w.rc.SetWriteDeadline(time.Now().Add(w.time))
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// isHandshake reports whether the request asks for a WebSocket.
func isHandshake(r *http.Request) bool {
	return hasToken(r.Header, "Connection", "upgrade") && hasToken(r.Header, "Upgrade", "websocket") &&
		r.ProtoAtLeast(1, 1) && r.ContentLength == 0 && strings.HasPrefix(r.RequestURI, "/")
}

func hasToken(h http.Header, name, token string) bool {
	for _, v := range h[name] {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// giveBack hands the connection to the engine with the handshake in front; false
// means that net/http doesn't let go of it.
func (h *fallbackHandler) giveBack(w http.ResponseWriter, r *http.Request) bool {
	nc, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	nc.SetDeadline(time.Time{})
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.RequestURI, r.Host)
	r.Header.Write(&head)
	head.WriteString("\r\n")
	rest, err := buffered.Reader.Peek(buffered.Reader.Buffered())
	if err == nil {
		head.Write(rest)
		err = h.back.hand(context.Background(), newReturned(nc, head.Bytes()))
	}
	if err != nil {
		nc.Close()
	}
	return true
}

// A returned connection gives its handshake again before what comes next.
type returned struct {
	net.Conn
	pre []byte
}

// newReturned keeps the engine able to see whether the connection is TLS.
func newReturned(nc net.Conn, pre []byte) net.Conn {
	c := &returned{nc, pre}
	if t, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return &returnedTLS{c, t.ConnectionState}
	}
	return c
}

// Read implements io.Reader.
func (c *returned) Read(p []byte) (int, error) {
	if len(c.pre) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.pre)
	c.pre = c.pre[n:]
	return n, nil
}

// NetConn returns the connection underneath, which the engine closes in need.
func (c *returned) NetConn() net.Conn { return c.Conn }

// CloseWrite shuts the writing direction, where the connection has such.
func (c *returned) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Conn.Close()
}

// A returnedTLS is a returned connection over TLS.
type returnedTLS struct {
	*returned
	state func() tls.ConnectionState
}

// ConnectionState returns what the TLS handshake agreed on.
func (c *returnedTLS) ConnectionState() tls.ConnectionState { return c.state() }
