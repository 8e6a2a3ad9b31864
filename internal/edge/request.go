package edge

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"tidegate/internal/transport"
)

// OnRequest implements transport.Handler: calls to @connections and to tables are
// answered without the fallback server, since they are many. All others go there.
func (e *Edge) OnRequest(r *transport.Request, reply transport.Reply) bool {
	if e.manage(r, reply) {
		return true
	}
	if !e.takes(r) {
		return false
	}
	hr, ok := e.newHTTPRequest(r)
	if !ok {
		return false
	}
	if r.MayBlock {
		e.answer(hr, reply)
		return true
	}
	hr.Body = &body{rest: bytes.Clone(r.Body)} // what was read is the loop's
	go e.answer(hr, reply)
	return true
}

// takes says that the request is one of those that are many. A fallback endpoint's
// answers are streamed, which an engine doesn't do.
func (e *Edge) takes(r *transport.Request) bool {
	path, _ := splitTarget(r.Target)
	if _, ok := splitManaged(path); ok {
		return true
	}
	if _, ok := e.splitAll(path); ok {
		return true
	}
	return r.Method == http.MethodPost && strings.HasPrefix(r.Get("X-Amz-Target"), tablesPrefix) && e.services[tables] != nil
}

// What calls to tables have in X-Amz-Target, and their signing name.
const (
	tablesPrefix = "DynamoDB_20120810."
	tables       = "dynamodb"
)

// answer serves the request and replies.
func (e *Edge) answer(hr *http.Request, reply transport.Reply) {
	w := &answer{header: make(http.Header, 8)}
	defer func() {
		if v := recover(); v != nil {
			e.report(&refusal{status: http.StatusInternalServerError, reason: Panicked, why: fmt.Sprintf("%v\n%s", v, debug.Stack())},
				RefusedInfo{Method: hr.Method, Host: hr.Host, Path: hr.URL.Path, RemoteAddr: hr.RemoteAddr})
			w = &answer{header: http.Header{}, status: http.StatusInternalServerError}
		}
		w.send(reply)
	}()
	e.ServeHTTP(w, hr)
}

// newHTTPRequest returns the request as net/http has it. false: leave it to the
// fallback server, which knows how to refuse it.
func (e *Edge) newHTTPRequest(r *transport.Request) (*http.Request, bool) {
	u, err := url.ParseRequestURI(r.Target)
	if err != nil || !strings.HasPrefix(r.Target, "/") {
		return nil, false
	}
	hr := new(http.Request)
	*hr = *e.blank
	hr.Method, hr.URL, hr.RequestURI, hr.Host = r.Method, u, r.Target, r.Host
	hr.Header = newHeader(r.Header)
	hr.Body, hr.ContentLength = &body{rest: r.Body}, int64(len(r.Body))
	if r.RemoteAddr != nil {
		hr.RemoteAddr = r.RemoteAddr.String()
	}
	if r.TLS {
		hr.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	return hr, true
}

// newHeader returns the fields as net/http has them. As with its server, Host is
// not among them.
func newHeader(fields []transport.Field) http.Header {
	h := make(http.Header, len(fields))
	values := make([]string, len(fields)) // most names come once: one allocation for all
	for i, f := range fields {
		if strings.EqualFold(f.Name, "Host") {
			continue
		}
		name := http.CanonicalHeaderKey(f.Name)
		if have := h[name]; have != nil {
			h[name] = append(have, f.Value)
			continue
		}
		values[i] = f.Value
		h[name] = values[i : i+1 : i+1]
	}
	return h
}

// A body is a request's, which is there as a whole.
type body struct{ rest []byte }

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (b *body) Close() error { return nil }

// An answer is an http.ResponseWriter that keeps what is written to it.
type answer struct {
	header http.Header
	status int
	body   []byte
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, p...)
	return len(p), nil
}

// send passes the answer on. The engine writes Content-Length itself.
func (a *answer) send(reply transport.Reply) {
	a.WriteHeader(http.StatusOK)
	fields := make([]transport.Field, 0, len(a.header))
	for name, values := range a.header {
		for _, v := range values {
			fields = append(fields, transport.Field{Name: name, Value: v})
		}
	}
	reply.Respond(a.status, fields, a.body)
}
