package transporttest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tidegate/internal/transport"
)

func testRequests(t *testing.T, e env) {
	h := newRecorder(t)
	h.request = func(r *transport.Request, w transport.Reply) bool {
		answer := func() {
			w.Respond(200, []transport.Field{{Name: "X-Method", Value: r.Method}}, fmt.Appendf(nil, "%s %s", r.Target, r.Body))
			w.Respond(500, nil, nil) // too late to do anything
		}
		if strings.HasPrefix(r.Target, "/later") {
			r = r.Retain()
			go func() {
				time.Sleep(time.Millisecond)
				answer()
			}()
		} else {
			answer()
		}
		return true
	}
	l := transport.DefaultLimits()
	l.Body = 1 << 10
	s := e.tcp(t, l, h, nil)
	for _, tt := range []struct {
		name string
		test func(*testing.T, *server)
	}{
		{"keep-alive, pipelined, later", testPipelined},
		{"HTTP/1.0", testHTTP10},
		{"handshake after requests", testHandshakeAfterRequests},
		{"more answers than the socket takes, then a handshake", testManyAnswers},
		{"answered later, one by one and ahead of the answer", testAnswersLater},
		{"half-closed", testHalfClosed},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, s) })
	}
	// What is not small and whole is never offered.
	for _, head := range []string{"Content-Length: 1025", "Transfer-Encoding: chunked", "Content-Length: 1\r\nExpect: 100-continue"} {
		c := s.client()
		c.write("POST /x HTTP/1.1\r\nHost: a\r\n" + head + "\r\n\r\n")
		if res, _ := c.response("POST"); res.StatusCode != 404 {
			t.Errorf("%q: status %d, want 404", head, res.StatusCode)
		}
	}
}

// wantAnswer reads an answer of testRequests' handler.
func wantAnswer(t *testing.T, c *client, method, want string, wantClose bool) {
	t.Helper()
	res, body := c.response(method)
	if res.StatusCode != 200 || body != want || res.Header.Get("X-Method") != method {
		t.Errorf("answer %d %q, want %q", res.StatusCode, body, want)
	}
	if res.Close != wantClose {
		t.Errorf("answer says close: %v, want %v", res.Close, wantClose)
	}
	if _, err := http.ParseTime(res.Header.Get("Date")); err != nil {
		t.Errorf("Date: %v", err)
	}
}

// Requests come one behind the other, also while an answer waits.
func testPipelined(t *testing.T, s *server) {
	c := s.client()
	c.t = t
	c.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
	wantAnswer(t, c, "GET", "/a ", false)
	c.write("\r\nPOST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /c HTTP/1.1\r\nHost: a\r\n\r\nHEAD /d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	wantAnswer(t, c, "POST", "/later body", false)
	wantAnswer(t, c, "GET", "/c ", false)
	wantAnswer(t, c, "HEAD", "", true)
	c.wantEnd()
}

// An older client has its connection kept if it asks for that.
func testHTTP10(t *testing.T, s *server) {
	c := s.client()
	c.write("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	if res, _ := c.response("GET"); res.Header.Get("Connection") != "keep-alive" {
		t.Errorf("header %v, want Connection: keep-alive", res.Header)
	}
	c.write("GET /b HTTP/1.0\r\n\r\n")
	wantAnswer(t, c, "GET", "/b ", true)
	c.wantEnd()
}

// A connection that served requests becomes a WebSocket one.
func testHandshakeAfterRequests(t *testing.T, s *server) {
	c := s.client()
	c.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
	wantAnswer(t, c, "GET", "/a ", false)
	c.open("/")
	c.write(text("x"))
	c.want(event{wsText, "x", 0})
}

// Answers that a client doesn't read wait, and a handshake behind them.
func testManyAnswers(t *testing.T, s *server) {
	const requests, size = 1200, 8 << 10
	c := s.client()
	c.t = t
	long := "/" + strings.Repeat("x", size)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		c.write(strings.Repeat("GET "+long+" HTTP/1.1\r\nHost: a\r\n\r\n", requests) + handshake("/"))
	}()
	time.Sleep(20 * time.Millisecond) // the answers meet a client that doesn't read
	for range requests {
		wantAnswer(t, c, "GET", long+" ", false)
	}
	if res, _ := c.response("GET"); res.StatusCode != 101 {
		t.Errorf("handshake: status %d", res.StatusCode)
	}
	<-sent
	c.write(text("x"))
	c.want(event{wsText, "x", 0})
}

// A request may come before, with or after the answer to the one before it.
func testAnswersLater(t *testing.T, s *server) {
	c := s.client()
	c.t = t
	for i := range 40 {
		c.write("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
		if i%2 == 0 {
			if i%4 == 0 {
				time.Sleep(time.Millisecond / 2) // about when the answer comes
			}
			c.write("GET /later2 HTTP/1.1\r\nHost: a\r\n\r\n")
			wantAnswer(t, c, "GET", "/later ", false)
			wantAnswer(t, c, "GET", "/later2 ", false)
			continue
		}
		wantAnswer(t, c, "GET", "/later ", false)
	}
}

// A client that has ended its direction gets its answer.
func testHalfClosed(t *testing.T, s *server) {
	c := s.client()
	c.write("GET /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	c.Conn.(*net.TCPConn).CloseWrite()
	wantAnswer(t, c, "GET", "/later ", true)
}

// chanListener hands connections to net/http's server.
type chanListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l chanListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l chanListener) Close() error   { close(l.done); return nil }
func (l chanListener) Addr() net.Addr { return &net.TCPAddr{} }

func testFallback(t *testing.T, e env) {
	l := chanListener{make(chan net.Conn), make(chan struct{})}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("body: %v", err)
		}
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL, len(body))
	})}
	served := make(chan struct{})
	go func() { defer close(served); srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-served })

	h := newRecorder(t)
	h.request = func(r *transport.Request, w transport.Reply) bool {
		if r.Target == "/mine" {
			w.Respond(200, nil, []byte("mine"))
			return true
		}
		return false
	}
	s := e.tcp(t, transport.DefaultLimits(), h, func(c net.Conn) {
		if u, ok := c.(interface{ NetConn() net.Conn }); !ok || u.NetConn() == nil {
			t.Errorf("%T does not show what is underneath", c)
		}
		l.conns <- c
	})
	big := strings.Repeat("x", 300<<10)
	c := s.client()
	c.write("GET /mine HTTP/1.1\r\nHost: a\r\n\r\nGET /other HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, want := range []string{"mine", "GET /other 0"} {
		if _, body := c.response("GET"); body != want {
			t.Errorf("answer %q, want %q", body, want)
		}
	}
	for name, tt := range map[string]struct{ send, want string }{
		"refused with a body": {"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "POST /a 5"},
		"big body":            {"PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 307200\r\n\r\n" + big, "PUT /b 307200"},
		"chunked":             {"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST /c 3"},
		"two at once":         {"GET /d HTTP/1.1\r\nHost: a\r\n\r\nGET /e HTTP/1.1\r\nHost: a\r\n\r\n", "GET /d 0"},
	} {
		c := s.client()
		c.write(tt.send)
		if res, body := c.response("POST"); body != tt.want {
			t.Errorf("%s: %d %q, want %q", name, res.StatusCode, body, tt.want)
		}
	}
}

// A connection on which no further request comes is closed, which is nobody's
// fault; one on which half a request comes is answered 408.
func testRestsBetweenRequests(t *testing.T, e env) {
	h := newRecorder(t)
	h.request = func(_ *transport.Request, w transport.Reply) bool {
		w.Respond(204, nil, nil)
		return true
	}
	l := transport.DefaultLimits()
	l.KeepAlive, l.HandshakeTimeout = time.Second, time.Second // see testSlowLoris
	drops := make(chan transport.DropInfo, 10)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	engine := e.newEngine(l, transport.EventListener{Dropped: func(i transport.DropInfo) { drops <- i }})
	s := start(t, engine, ln, func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }, h, nil)
	rests, half := s.client(), s.client()
	for _, c := range []*client{rests, half} {
		c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if res, _ := c.response("GET"); res.StatusCode != 204 || res.Close {
			t.Fatalf("status %d, want 204 and no end", res.StatusCode)
		}
	}
	half.write("GET / HT")
	if res, _ := half.response("GET"); res.StatusCode != 408 {
		t.Errorf("status %d, want 408", res.StatusCode)
	}
	if i := take(t, drops, "the drop"); i.Reason != transport.DropHandshakeTimeout || i.Status != 408 {
		t.Errorf("dropped: %v", i)
	}
	half.wantEnd()
	rests.wantEnd()
	none(t, drops, "a drop")
}
