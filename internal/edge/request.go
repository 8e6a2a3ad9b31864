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

// OnRequest implements transport.Handler: calls to @connections are answered
// without the fallback server, since they are many. All others go there.
func (e *Edge) OnRequest(r *transport.Request, reply transport.Reply) bool {
	path, _ := splitTarget(r.Target)
	if _, ok := splitManaged(path); !ok {
		return false
	}
	hr, ok := newHTTPRequest(r)
	if !ok {
		return false
	}
	hr = hr.WithContext(e.ctx)
	go func() {
		w := &answer{header: http.Header{}}
		defer func() {
			if v := recover(); v != nil {
				e.report(&refusal{status: http.StatusInternalServerError, reason: Panicked, why: fmt.Sprintf("%v\n%s", v, debug.Stack())},
					RefusedInfo{Method: hr.Method, Host: hr.Host, Path: hr.URL.Path, RemoteAddr: hr.RemoteAddr})
				w = &answer{header: http.Header{}, status: http.StatusInternalServerError}
			}
			w.send(reply)
		}()
		e.ServeHTTP(w, hr)
	}()
	return true
}

// newHTTPRequest returns the request as net/http has it. false: leave it to the
// fallback server, which knows how to refuse it.
func newHTTPRequest(r *transport.Request) (*http.Request, bool) {
	u, err := url.ParseRequestURI(r.Target)
	if err != nil || !strings.HasPrefix(r.Target, "/") {
		return nil, false
	}
	hr := &http.Request{
		Method: r.Method, URL: u, RequestURI: r.Target, Host: r.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, len(r.Header)),
		Body:   io.NopCloser(bytes.NewReader(r.Body)), ContentLength: int64(len(r.Body)),
	}
	for _, f := range r.Header {
		// As with net/http's server, Host is not among the fields.
		if !strings.EqualFold(f.Name, "Host") {
			hr.Header.Add(f.Name, f.Value)
		}
	}
	if r.RemoteAddr != nil {
		hr.RemoteAddr = r.RemoteAddr.String()
	}
	if r.TLS {
		hr.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	return hr, true
}

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
