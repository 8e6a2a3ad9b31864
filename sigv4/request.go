package sigv4

import (
	"net/http"
	"strings"
)

// A Field is one header field as it was sent.
type Field struct{ Name, Value string }

// A Request is what a signature is about, of a request that a server read.
type Request struct {
	Method      string
	Path, Query string // as the client sent them, still encoded; Query without its '?'
	Host        string // the Host header's value
	Header      []Field
	Length      int64 // of the body, where no Content-Length is in Header
}

// Get returns the value of the first field of that name, in any letter case, or "".
func (q *Request) Get(name string) string {
	v, _ := q.lookup(name)
	return v
}

func (q *Request) lookup(name string) (value string, found bool) {
	for i := range q.Header {
		if f := &q.Header[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// First returns the value of the first field of that name, in any letter case, and
// how many there are.
func (q *Request) First(name string) (value string, count int) {
	for i := range q.Header {
		if f := &q.Header[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			if count++; count == 1 {
				value = f.Value
			}
		}
	}
	return value, count
}

// SetHTTP makes q what net/http knows of a request, a server's or a client's. It
// uses the array of q's Header again. The target is r.RequestURI when set, else
// r.URL: what the client sent, whatever a handler has since made of r.URL.
func (q *Request) SetHTTP(r *http.Request) {
	*q = Request{Method: r.Method, Host: host(r), Header: q.Header[:0], Length: r.ContentLength}
	if q.Method == "" {
		q.Method = http.MethodGet
	}
	q.Path, q.Query = target(r)
	for name, values := range r.Header {
		if name == "Transfer-Encoding" {
			continue
		}
		for _, v := range values {
			q.Header = append(q.Header, Field{name, v})
		}
	}
	if len(r.TransferEncoding) > 0 { // net/http takes it out of the header
		q.Header = append(q.Header, Field{"Transfer-Encoding", strings.Join(r.TransferEncoding, ",")})
	}
}

// ReadTarget sets Path and Query to those of a request line's target.
func (q *Request) ReadTarget(target string) {
	if !strings.HasPrefix(target, "/") {
		if _, rest, absolute := strings.Cut(target, "://"); absolute { // as a proxy is asked: RFC 9112, section 3.2.2
			target = afterHost(rest)
		}
	}
	q.Path, q.Query, _ = strings.Cut(target, "?")
}

// target returns path and query as the client sent them. On a server that is
// RequestURI, which no handler above us has rewritten; a client's request has
// only its URL.
func target(r *http.Request) (path, query string) {
	if r.RequestURI != "" {
		var q Request
		q.ReadTarget(r.RequestURI)
		return q.Path, q.Query
	}
	if opaque, ok := strings.CutPrefix(r.URL.Opaque, "//"); ok {
		return afterHost(opaque), r.URL.RawQuery
	}
	return r.URL.EscapedPath(), r.URL.RawQuery
}

// afterHost returns what follows the host in host/path?query.
func afterHost(s string) string {
	if i := strings.IndexAny(s, "/?"); i >= 0 {
		return s[i:]
	}
	return ""
}

// host is the Host header as the client sends or sent it.
func host(r *http.Request) string {
	if r.Host == "" && r.URL != nil {
		return r.URL.Host
	}
	return r.Host
}
