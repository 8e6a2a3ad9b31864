package integration

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/event"
	"tidegate/internal/upstream"
)

// seen is what a backend saw of a request.
type seen struct {
	Method, Host, URI, Body string
	ContentLength           int64
	Header                  http.Header
}

// newBackend returns a backend that tells its last request, once, and answers with
// the handler, or with 200 and no body.
func newBackend(t testing.TB, h http.HandlerFunc) (server *httptest.Server, last func() seen) {
	t.Helper()
	var mu sync.Mutex
	var latest seen
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		latest = seen{r.Method, r.Host, r.RequestURI, string(body), r.ContentLength, r.Header}
		mu.Unlock()
		if h != nil {
			h(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server, func() seen {
		mu.Lock()
		defer mu.Unlock()
		defer func() { latest = seen{} }()
		return latest
	}
}

func newHTTP(t testing.TB, c HTTPConfig, method, uri string) Invoker {
	t.Helper()
	if c.Client == nil {
		c.Client = upstream.New(upstream.Config{})
		t.Cleanup(c.Client.Close)
	}
	h, err := NewHTTP(c, method, uri)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHTTPMessage(t *testing.T) {
	server, last := newBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "x")
		w.Header()["X-B"] = []string{"1", "2"}
		w.Header()["X-A"] = []string{"0"}
		w.WriteHeader(418)
		io.WriteString(w, "tea\xff")
	})
	h := newHTTP(t, HTTPConfig{}, "POST", server.URL+"/in?fixed=1")
	r := message(`{"action":"sendmessage"}`)
	r.Parameters = []event.Parameter{
		{Location: event.InHeader, Name: "connectionId", Value: "PJqB0fHsqRcCHlw="},
		{Location: event.InHeader, Name: "X-Many", Value: "a"},
		{Location: event.InHeader, Name: "X-Many", Value: "b"},
		{Location: event.InQuery, Name: "q", Value: "a b&c=d"},
		{Location: event.InQuery, Name: "q", Value: ""},
	}
	got, err := h.Invoke(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	want := seen{
		Method: "POST", Host: strings.TrimPrefix(server.URL, "http://"), URI: "/in?fixed=1&q=a+b%26c%3Dd&q=",
		Body: `{"action":"sendmessage"}`, ContentLength: 24,
		Header: http.Header{
			"Connectionid":             {"PJqB0fHsqRcCHlw="},
			"Content-Length":           {"24"},
			"Content-Type":             {"application/json"},
			"User-Agent":               {"AmazonAPIGateway_aabbccdd"},
			"X-Amzn-Apigateway-Api-Id": {"aabbccdd"},
			"X-Many":                   {"a", "b"},
		},
	}
	if diff := cmp.Diff(want, last()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	answer := &Response{Status: 418, Body: []byte("tea\xff"), Header: []event.Field{
		{Name: "Content-Length", Value: "4"}, {Name: "Content-Type", Value: "text/plain; charset=utf-8"}, {Name: "Date", Value: "x"},
		{Name: "X-A", Value: "0"}, {Name: "X-B", Value: "1"}, {Name: "X-B", Value: "2"},
	}, Detail: want.Host + " answered 418"}
	if diff := cmp.Diff(answer, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestHTTPConnect(t *testing.T) {
	server, last := newBackend(t, nil)
	h := newHTTP(t, HTTPConfig{}, "GET", server.URL+"/connect?fixed=1")
	r := connect()
	r.Connect = &event.ConnectRequest{
		Header: []event.Field{
			{Name: "Host", Value: "client.example.org"},
			{Name: "Connection", Value: "Upgrade, X-Hop"},
			{Name: "Upgrade", Value: "websocket"},
			{Name: "X-Hop", Value: "1"},
			{Name: "Keep-Alive", Value: "timeout=5"},
			{Name: "TE", Value: "trailers"},
			{Name: "Proxy-Authorization", Value: "secret"},
			{Name: "Content-Length", Value: "0"},
			{Name: "Sec-WebSocket-Key", Value: "k"},
			{Name: "sec-websocket-version", Value: "13"},
			{Name: "Sec-WebSocket-Protocol", Value: "chat"},
			{Name: "Cookie", Value: "a=1"},
			{Name: "X-Two", Value: "1"},
			{Name: "x-two", Value: "2"},
			{Name: "User-Agent", Value: "browser"},
		},
		Query:   []event.Field{{Name: "token", Value: "a&b"}, {Name: "room", Value: "1"}, {Name: "room", Value: "2"}},
		TraceID: "Root=1", ForwardedFor: "10.0.0.1", ForwardedPort: "443", ForwardedProto: "https",
	}
	r.Parameters = []event.Parameter{
		{Location: event.InHeader, Name: "Sec-WebSocket-Version", Value: "0"},
		{Location: event.InQuery, Name: "room", Value: "3"},
	}
	if _, err := h.Invoke(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	want := seen{
		Method: "GET", Host: strings.TrimPrefix(server.URL, "http://"), URI: "/connect?fixed=1&token=a%26b&room=3",
		Header: http.Header{
			"Sec-Websocket-Key":        {"k"},
			"Sec-Websocket-Version":    {"0"},
			"Sec-Websocket-Protocol":   {"chat"},
			"Cookie":                   {"a=1"},
			"X-Two":                    {"1", "2"},
			"User-Agent":               {"browser"},
			"X-Amzn-Apigateway-Api-Id": {"aabbccdd"},
			"X-Amzn-Trace-Id":          {"Root=1"},
			"X-Forwarded-For":          {"10.0.0.1"},
			"X-Forwarded-Port":         {"443"},
			"X-Forwarded-Proto":        {"https"},
		},
	}
	if diff := cmp.Diff(want, last()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestHTTPMappedHost(t *testing.T) {
	server, last := newBackend(t, nil)
	r := message("x")
	r.Parameters = []event.Parameter{
		{Location: event.InHeader, Name: "host", Value: "virtual.example.org"},
		{Location: event.InHeader, Name: "content-type", Value: "text/plain"},
	}
	if _, err := newHTTP(t, HTTPConfig{}, "PUT", server.URL).Invoke(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if saw := last(); saw.Host != "virtual.example.org" || saw.Header.Get("Content-Type") != "text/plain" || saw.Method != "PUT" || saw.URI != "/" {
		t.Errorf("the backend saw %+v", saw)
	}
}

func TestHTTPPathParameters(t *testing.T) {
	server, last := newBackend(t, nil)
	for _, c := range []struct{ uri, value, want string }{
		{"/users/{id}", "7", "/users/7"},
		{"/users/{id}/rooms?u={id}", "a/b ?&#é%2e", "/users/a%2Fb%20%3F&%23%C3%A9%252e/rooms?u=a%2Fb+%3F%26%23%C3%A9%252e"},
		{"/{id+}/x", "a/b c", "/a/b%20c/x"},
		{"/{id}", "...", "/..."},
	} {
		r := message("")
		r.Parameters = []event.Parameter{{Location: event.InPath, Name: "id", Value: c.value}}
		if _, err := newHTTP(t, HTTPConfig{}, "GET", server.URL+c.uri).Invoke(context.Background(), r); err != nil {
			t.Errorf("%s with %q: %v", c.uri, c.value, err)
			continue
		}
		if saw := last(); saw.URI != c.want {
			t.Errorf("%s with %q asks for %s, want %s", c.uri, c.value, saw.URI, c.want)
		}
	}
	for _, c := range []struct {
		uri, value, detail string
	}{
		{"/{id}", "..", "another path"},
		{"/{id+}", "a/../../b", "another path"},
		{"/{id}/{other}", "x", "no value for the path parameter {other}"},
	} {
		last()
		r := message("")
		r.Parameters = []event.Parameter{{Location: event.InPath, Name: "id", Value: c.value}}
		_, err := newHTTP(t, HTTPConfig{}, "GET", server.URL+c.uri).Invoke(context.Background(), r)
		checkError(t, err, ErrRefused, c.detail)
		if last().Method != "" {
			t.Errorf("%s with %q reached the backend", c.uri, c.value)
		}
	}
}

func TestHTTPHeaderInjection(t *testing.T) {
	server, last := newBackend(t, nil)
	r := message("x")
	r.Parameters = []event.Parameter{{Location: event.InHeader, Name: "X-A", Value: "a\r\nX-Evil: 1"}}
	_, err := newHTTP(t, HTTPConfig{}, "POST", server.URL).Invoke(context.Background(), r)
	checkError(t, err, ErrRefused, "X-A has control characters")
	if last().Method != "" {
		t.Error("it reached the backend")
	}
}

func TestHTTPRedirectIsNotFollowed(t *testing.T) {
	server, _ := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Error("followed to", r.URL.Path)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	got, err := newHTTP(t, HTTPConfig{}, "POST", server.URL).Invoke(context.Background(), message("x"))
	if err != nil || got.Status != http.StatusTemporaryRedirect {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestHTTPFailures(t *testing.T) {
	t.Run("timeout", func(t *testing.T) {
		release := make(chan struct{})
		server, _ := newBackend(t, func(http.ResponseWriter, *http.Request) { <-release })
		_, err := newHTTP(t, HTTPConfig{Timeout: time.Millisecond}, "POST", server.URL).Invoke(context.Background(), message("x"))
		close(release)
		checkError(t, err, ErrTimeout, "within 1ms")
	})
	t.Run("refused", func(t *testing.T) {
		server, _ := newBackend(t, nil)
		server.Close()
		_, err := newHTTP(t, HTTPConfig{}, "POST", server.URL+"/?key=secret").Invoke(context.Background(), message("x"))
		checkError(t, err, ErrUnreachable, "refused")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v shows the query", err)
		}
	})
	t.Run("untrusted certificate", func(t *testing.T) {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = nil
		server.StartTLS()
		defer server.Close()
		_, err := newHTTP(t, HTTPConfig{}, "POST", server.URL).Invoke(context.Background(), message("x"))
		checkError(t, err, ErrUnreachable, "certificate")
	})
	t.Run("cut off", func(t *testing.T) {
		server, _ := newBackend(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
		})
		_, err := newHTTP(t, HTTPConfig{}, "POST", server.URL).Invoke(context.Background(), message("x"))
		checkError(t, err, ErrUnreachable, "unexpected EOF")
	})
	t.Run("too big", func(t *testing.T) {
		server, _ := newBackend(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(MaxHTTPBody+1))
			io.WriteString(w, strings.Repeat("x", MaxHTTPBody+1))
		})
		_, err := newHTTP(t, HTTPConfig{}, "POST", server.URL).Invoke(context.Background(), message("x"))
		checkError(t, err, ErrMalformed, "more than")
	})
	t.Run("big, and allowed", func(t *testing.T) {
		server, _ := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, MaxHTTPBody+1)) })
		got, err := newHTTP(t, HTTPConfig{MaxBody: MaxHTTPBody + 1}, "POST", server.URL).Invoke(context.Background(), message("x"))
		if err != nil || len(got.Body) != MaxHTTPBody+1 {
			t.Errorf("got %v, %v", got != nil, err)
		}
	})
	t.Run("an empty binary message", func(t *testing.T) {
		server, last := newBackend(t, nil)
		r := message("")
		r.Context.Binary = true
		_, err := newHTTP(t, HTTPConfig{}, "POST", server.URL).Invoke(context.Background(), r)
		if got := last().Header.Get("Content-Type"); err != nil || got != "application/octet-stream" {
			t.Errorf("Content-Type %q, %v", got, err)
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		server, _ := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "7") })
		got, err := newHTTP(t, HTTPConfig{}, "HEAD", server.URL).Invoke(context.Background(), message(""))
		if err != nil || len(got.Body) != 0 || got.Status != 200 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("the caller's deadline", func(t *testing.T) {
		release := make(chan struct{})
		server, _ := newBackend(t, func(http.ResponseWriter, *http.Request) { <-release })
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_, err := newHTTP(t, HTTPConfig{}, "POST", server.URL).Invoke(ctx, message("x"))
		close(release)
		checkError(t, err, ErrTimeout, "no answer")
	})
}

func TestNewHTTPRefuses(t *testing.T) {
	for _, c := range []struct{ method, uri, want string }{
		{"", "http://h/", `method "" is none of`},
		{"post", "http://h/", `method "post" is none of`},
		{"CONNECT", "http://h/", "none of"},
		{"ANY", "http://h/", "ANY has no meaning"},
		{"POST", "", "neither http:// nor https://"},
		{"POST", "h/path", "neither http:// nor https://"},
		{"POST", "ftp://h/", "neither http:// nor https://"},
		{"POST", "http://", "no host"},
		{"POST", "http:///path", "no host"},
		{"POST", "http://:80/", "no host"},
		{"POST", "http://h:x/", "not a URL"},
		{"POST", "http://h/%zz", "not a URL"},
		{"POST", "http://h/a\r\nb", "not a URL"},
		{"POST", "http://user:secret@h/", "user or password"},
		{"POST", "http://h/#f", "fragment"},
		{"POST", "http://{host}/", "path parameter in its host"},
		{"POST", "http://h{x}?a", "path parameter in its host"},
		{"POST", "http://h/${context.stage}", "variable other than"},
		{"POST", "http://h/" + strings.Repeat("x", maxHTTPURI), "at most"},
	} {
		_, err := NewHTTP(HTTPConfig{Client: upstream.New(upstream.Config{})}, c.method, c.uri)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("NewHTTP(%s, %.40q) = %v, want an error with %q", c.method, c.uri, err, c.want)
		}
	}
}

// FuzzHTTPRequest checks that no client's value moves a request to another
// host, path or header.
func FuzzHTTPRequest(f *testing.F) {
	f.Add("../x", "a\r\nb", "x=1&y=2#")
	f.Add("%2e%2e", "v", "\x00")
	h, err := NewHTTP(HTTPConfig{Client: upstream.New(upstream.Config{})}, "POST", "http://h.example/a/{p}/z?k={p}")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, header, query string) {
		r := message("x")
		r.Parameters = []event.Parameter{
			{Location: event.InHeader, Name: "X-A", Value: header},
			{Location: event.InPath, Name: "p", Value: path},
			{Location: event.InQuery, Name: "q", Value: query},
		}
		b, err := h.(interface {
			request(*Request) (*builder, error)
		}).request(r)
		if err != nil {
			return
		}
		wire, err := upstream.AppendRequest(nil, &b.request)
		if err != nil {
			return
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			t.Fatalf("%q can't be read: %v", wire, err)
		}
		params := req.URL.Query()
		if req.Host != "h.example" || req.URL.Path != "/a/"+path+"/z" || strings.Count(req.URL.EscapedPath(), "/") != 3 {
			t.Fatalf("%q leads to %s", path, req.URL)
		}
		if len(params) != 2 || params.Get("k") != path || params.Get("q") != query {
			t.Fatalf("%q and %q make the query %v", path, query, params)
		}
		if len(req.Header) != 5 || strings.ContainsAny(req.Header.Get("X-A"), "\r\n") {
			t.Fatalf("%q makes the header %v", header, req.Header)
		}
	})
}

func TestErrorText(t *testing.T) {
	cause := errors.New("cause")
	e := &Error{Kind: ErrFunction, Err: cause}
	if e.Error() != "function error" || !errors.Is(e, ErrFunction) || !errors.Is(e, cause) || errors.Is(e, ErrTimeout) {
		t.Errorf("%v", e)
	}
	e = &Error{Kind: ErrTimeout, Detail: "29s"}
	if e.Error() != "integration timed out: 29s" || !errors.Is(e, ErrTimeout) {
		t.Errorf("%v", e)
	}
}

func BenchmarkHTTP(b *testing.B) {
	h, err := NewHTTP(HTTPConfig{Client: upstream.New(upstream.Config{})}, "POST", "http://h.example/in")
	if err != nil {
		b.Fatal(err)
	}
	r := message(`{"action":"sendmessage"}`)
	r.Parameters = []event.Parameter{{Location: event.InHeader, Name: "connectionId", Value: "PJqB0fHsqRcCHlw="}}
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			made, err := h.(interface {
				request(*Request) (*builder, error)
			}).request(r)
			if err != nil {
				b.Fatal(err)
			}
			made.release()
		}
	})
}

// TestPayloadIsTheCallersAgain checks that an invocation that was cut short
// doesn't send what the caller has put into its buffer since.
func TestPayloadIsTheCallersAgain(t *testing.T) {
	late := make(chan io.Reader, 1)
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		late <- r.Body
		return nil, context.DeadlineExceeded
	})
	l := NewLambda(LambdaConfig{Endpoint: "http://h.example", Client: &http.Client{Transport: transport}}, testFunction)
	r := message("first")
	_, err := l.Invoke(context.Background(), r)
	checkError(t, err, ErrTimeout, "no answer")
	copy(r.Payload, "other")
	if got, _ := io.ReadAll(<-late); string(got) != "first" {
		t.Errorf("sends %q", got)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestHTTPPool checks that connections are kept and that HTTP/2 is spoken where
// it is offered; where it isn't, one connection finds that out.
func TestHTTPPool(t *testing.T) {
	conns := map[string]bool{}
	var proto string
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { conns[r.RemoteAddr], proto = true, r.Proto })
	for _, c := range []struct {
		http2 bool
		proto string
		conns int
	}{{false, "HTTP/1.1", 2}, {true, "HTTP/2.0", 1}} {
		clear(conns)
		server := httptest.NewUnstartedServer(handler)
		server.EnableHTTP2 = c.http2
		server.StartTLS()
		transport := upstream.NewTransport(upstream.Config{})
		transport.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
		h := newHTTP(t, HTTPConfig{Client: upstream.New(upstream.Config{Other: transport})}, "POST", server.URL)
		for range 3 {
			if _, err := h.Invoke(t.Context(), message("x")); err != nil {
				t.Fatal(err)
			}
		}
		if proto != c.proto || len(conns) != c.conns {
			t.Errorf("%s over %d connections, want %s over %d", proto, len(conns), c.proto, c.conns)
		}
		transport.CloseIdleConnections()
		server.Close()
	}
}
