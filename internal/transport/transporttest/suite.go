// Package transporttest is the suite that every transport.Engine passes: what a
// client on a TCP connection sees, what a Handler is called with, and in which
// order. RunVirtual adds what takes minutes and hours, in virtual time, for
// engines that serve any net.Conn.
package transporttest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tidegate/internal/transport"
)

// NewEngine makes the engine under test.
type NewEngine func(transport.Limits, transport.EventListener) transport.Engine

// env makes servers for one test.
type env struct {
	newEngine NewEngine
}

// tcp starts an engine with these limits on a TCP port of this machine.
func (e env) tcp(t testing.TB, l transport.Limits, h *recorder, fallback func(net.Conn)) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dial := func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
	return start(t, e.newEngine(l, transport.EventListener{}), ln, dial, h, fallback)
}

// echo starts a server with an echoing recorder and default limits.
func (e env) echo(t testing.TB) *server {
	t.Helper()
	return e.tcp(t, transport.DefaultLimits(), newRecorder(t), nil)
}

// Run runs the suite over TCP connections of this machine.
func Run(t *testing.T, newEngine NewEngine) {
	e := env{newEngine}
	for _, tt := range []struct {
		name string
		test func(*testing.T, env)
	}{
		{"Handshake", testHandshake},
		{"BadRequests", testBadRequests},
		{"SlowLoris", testSlowLoris},
		{"HalfHandshake", testHalfHandshake},
		{"Gone", testGone},
		{"AnswerDuringOnUpgrade", testAnswerDuringOnUpgrade},
		{"EarlyBytes", testEarlyBytes},
		{"Reject", testReject},
		{"BadField", testBadField},
		{"Requests", testRequests},
		{"RestsBetweenRequests", testRestsBetweenRequests},
		{"Fallback", testFallback},
		{"Echo", testEcho},
		{"Deflate", testDeflate},
		{"PingPong", testPingPong},
		{"ClientCloses", testClientCloses},
		{"CloseBehindABrokenPipe", testCloseBehindABrokenPipe},
		{"ServerCloses", testServerCloses},
		{"Breaches", testBreaches},
		{"AnswersBeforeBreach", testAnswersBeforeBreach},
		{"QueueFull", testQueueFull},
		{"WriteTimeout", testWriteTimeout},
		{"PauseReads", testPauseReads},
		{"ConcurrentSend", testConcurrentSend},
		{"FanOut", testFanOut},
		{"Crowd", testCrowd},
		{"Panics", testPanics},
		{"MaxConnections", testMaxConnections},
		{"EngineClose", testEngineClose},
		{"ManyConnections", testManyConnections},
		{"Freeze", testFreeze},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, e) })
	}
}

func testHandshake(t *testing.T, e env) {
	h := newRecorder(t)
	var bound atomic.Bool
	h.upgrade = func(r *transport.Request, u transport.Upgrade) {
		err := u.Accept([]transport.Field{{Name: "Sec-WebSocket-Protocol", Value: "chat"}}, func(c transport.Conn) {
			h.bind(c)
			if err := c.Send([]byte("first"), false); err != nil {
				t.Errorf("Send in bind: %v", err)
			}
			time.Sleep(20 * time.Millisecond) // time for a byte that leaves too early
			bound.Store(true)
		})
		if err != nil {
			t.Errorf("Accept: %v", err)
		}
		if err := u.Accept(nil, h.bind); err != transport.ErrAnswered {
			t.Errorf("second Accept: %v, want ErrAnswered", err)
		}
		u.Reject(500, nil, nil) // too late to do anything
	}
	s := e.tcp(t, transport.DefaultLimits(), h, nil)
	c := s.client()
	c.write(handshake("/Prod?x=1&x=2", "X-Thing: one", "x-thing:  two\t"))
	if _, err := c.r.Peek(1); err != nil || !bound.Load() {
		t.Errorf("the first byte came before bind had returned, or not at all: %v", err)
	}
	res, _ := c.response("GET")
	for name, want := range map[string]string{
		"Sec-Websocket-Accept": testAccept, "Sec-Websocket-Protocol": "chat",
		"Sec-Websocket-Extensions": "", "Upgrade": "websocket", "Connection": "Upgrade",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	c.want(event{wsText, "first", 0})
	r := take(t, h.requests, "the request")
	if r.Method != "GET" || r.Target != "/Prod?x=1&x=2" || r.Host != "gateway.test:8420" || r.TLS {
		t.Errorf("request %+v", r)
	}
	from, ok := r.RemoteAddr.(interface{ AddrPort() netip.AddrPort })
	if !ok || from.AddrPort().String() != c.LocalAddr().String() || r.RemoteAddr.String() != c.LocalAddr().String() {
		t.Errorf("from %v, want %v", r.RemoteAddr, c.LocalAddr())
	}
	if to, ok := r.LocalAddr.(*net.TCPAddr); !ok || to.String() != c.RemoteAddr().String() {
		t.Errorf("to %v, want %v", r.LocalAddr, c.RemoteAddr())
	}
	if got := fmt.Sprint(r.Values("X-THING")); got != "[one two]" || r.Get("x-thing") != "one" {
		t.Errorf("X-Thing is %s, Get says %q", got, r.Get("x-thing"))
	}
	names := []string{}
	for _, f := range r.Header {
		names = append(names, f.Name)
	}
	if got, want := strings.Join(names, " "), "Host Upgrade Connection Sec-WebSocket-Version Sec-WebSocket-Key X-Thing x-thing"; got != want {
		t.Errorf("fields %q, want order and case kept: %q", got, want)
	}
}

func testBadRequests(t *testing.T, e env) {
	const get = "GET / HTTP/1.1\r\nHost: a\r\n"
	handshakeLess := func(name string) string {
		lines := strings.SplitAfter(handshake("/"), "\r\n")
		kept := lines[:0]
		for _, line := range lines {
			if !strings.HasPrefix(line, name) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	tests := []struct {
		name   string
		send   string
		status int
	}{
		{"version missing", handshakeLess("Sec-WebSocket-Version"), 426},
		{"version 8", strings.Replace(handshake("/"), "Version: 13", "Version: 8", 1), 426},
		{"key missing", handshakeLess("Sec-WebSocket-Key"), 400},
		{"key twice", handshake("/", "Sec-WebSocket-Key: "+testKey), 400},
		{"key too short", strings.Replace(handshake("/"), testKey, "c2hvcnQ=", 1), 400},
		{"POST with upgrade", "POST" + strings.TrimPrefix(handshake("/"), "GET"), 400},
		{"upgrade in HTTP/1.0", strings.Replace(handshake("/"), "HTTP/1.1", "HTTP/1.0", 1), 400},
		{"upgrade with a body", handshake("/", "Content-Length: 3") + "abc", 400},
		{"absolute target", strings.Replace(handshake("/"), "GET /", "GET http://a/", 1), 400},
		{"no request", "this is not HTTP\r\n\r\n", 400},
		{"binary", "\x00\x01\x02\x03", 400},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		{"HTTP/3.7", "GET / HTTP/3.7\r\nHost: a\r\n\r\n", 505},
		{"target with a control", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"bare CR before the request", "\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
		{"bare LF in the header", get + "X: 1\nY: 2\r\n\r\n", 400},
		{"bare CR in a value", get + "X: 1\rY: 2\r\n\r\n", 400},
		{"NUL in a value", get + "X: \x00\r\n\r\n", 400},
		{"folded line", get + "X: 1\r\n  2\r\n\r\n", 400},
		{"space before the colon", get + "X : 1\r\n\r\n", 400},
		{"no colon", get + "X\r\n\r\n", 400},
		{"empty name", get + ": 1\r\n\r\n", 400},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"two Hosts", get + "Host: a\r\n\r\n", 400},
		{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		{"two lengths that differ", get + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
		{"two lengths alike", get + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
		{"a list of lengths", get + "Content-Length: 1, 1\r\n\r\na", 400},
		{"negative length", get + "Content-Length: -1\r\n\r\n", 400},
		{"signed length", get + "Content-Length: +1\r\n\r\na", 400},
		{"length of twenty digits", get + "Content-Length: 18446744073709551617\r\n\r\n", 400},
		{"length and chunked", get + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"chunked twice", get + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"chunked and more", get + "Transfer-Encoding: gzip, chunked\r\n\r\n", 400},
		{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"Expect something", get + "Expect: miracles\r\n\r\n", 417},
		{"1,000 header lines", get + strings.Repeat("X: 1\r\n", 1000) + "\r\n", 431},
		{"101 header lines", "GET / HTTP/1.1\r\n" + "Host: a\r\n" + strings.Repeat("X: 1\r\n", 100) + "\r\n", 431},
		{"17 KiB of header", get + "X: " + strings.Repeat("x", 17<<10) + "\r\n\r\n", 431},
		{"a request line without end", "GET /" + strings.Repeat("x", 100<<10), 431},
		{"not a handshake, and nobody takes it", get + "\r\n", 404},
	}
	s := e.echo(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := s.client()
			c.t = t
			c.write(tt.send)
			res, body := c.response("GET")
			if res.StatusCode != tt.status {
				t.Errorf("status %d %s, want %d", res.StatusCode, body, tt.status)
			}
			if !strings.HasPrefix(body, `{"message":"`) {
				t.Errorf("body %q, want a message", body)
			}
			if tt.status == 426 && res.Header.Get("Sec-WebSocket-Version") != "13" {
				t.Errorf("header %v, want Sec-WebSocket-Version: 13", res.Header)
			}
			if !res.Close {
				t.Errorf("the answer does not say that the connection ends")
			}
			c.wantEnd()
		})
	}
	none(t, s.handler.requests, "a handshake")
	// It still serves; a hundred lines are fine.
	s.client().open("/", slices.Repeat([]string{"X: 1"}, 95)...)
}

func testSlowLoris(t *testing.T, e env) {
	l := transport.DefaultLimits()
	l.HandshakeTimeout = time.Second // enough for what is sent at once, also on a busy machine
	h := newRecorder(t)
	h.request = func(*transport.Request, transport.Reply) bool { t.Error("OnRequest"); return false }
	s := e.tcp(t, l, h, nil)
	for _, tt := range []struct {
		name   string
		send   func(*client)
		answer bool // 408 comes before the end
	}{
		{"half a request", func(c *client) { c.write("GET / HTTP/1.1\r\nHost: a\r\nX-A: ") }, true},
		{"half a body", func(c *client) { c.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc") }, true},
		{"byte by byte", func(c *client) {
			go func() {
				for range 10_000 {
					if _, err := c.Write([]byte("G")); err != nil {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			}()
		}, true},
		{"silence", func(*client) {}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			nc, err := s.dial()
			if err != nil {
				t.Fatal(err)
			}
			c := newClient(t, nc)
			tt.send(c)
			if tt.answer {
				if res, _ := c.response("GET"); res.StatusCode != 408 {
					t.Errorf("status %d, want 408", res.StatusCode)
				}
			}
			if tt.name != "byte by byte" { // bytes that nobody reads make the end a reset
				c.wantEnd()
			}
		})
	}
}

func testHalfHandshake(t *testing.T, e env) {
	s := e.echo(t)
	whole := handshake("/")
	for n := 0; n < len(whole)-1; n += 23 {
		c := s.client()
		c.write(whole[:n])
		c.Close()
	}
	c := s.client()
	for part := range strings.SplitSeq(whole, "c") { // and one that comes in parts
		c.write(part)
		if c.t.Failed() {
			return
		}
		if !strings.HasSuffix(part, "\r\n\r\n") {
			c.write("c")
		}
	}
	if res, _ := c.response("GET"); res.StatusCode != 101 {
		t.Errorf("status %d, want 101", res.StatusCode)
	}
	take(t, s.handler.requests, "the one whole handshake")
	none(t, s.handler.requests, "a second handshake")
}

func testGone(t *testing.T, e env) {
	for _, early := range []string{"", text("early")} {
		h := newRecorder(t)
		got := make(chan error, 1)
		pending := make(chan struct{})
		h.upgrade = func(_ *transport.Request, u transport.Upgrade) {
			go func() {
				close(pending)
				<-u.Gone()
				got <- u.Accept(nil, h.bind)
				u.Reject(500, nil, nil) // nothing to answer any more
			}()
		}
		s := e.tcp(t, transport.DefaultLimits(), h, nil)
		c := s.client()
		c.write(handshake("/") + early)
		take(t, pending, "the handshake")
		c.Close()
		if err := take(t, got, "Accept's error after Gone"); err != transport.ErrClientGone {
			t.Errorf("Accept: %v, want ErrClientGone", err)
		}
		none(t, h.conns, "bind")
	}
}

// An answer may come from elsewhere while OnUpgrade still runs.
func testAnswerDuringOnUpgrade(t *testing.T, e env) {
	h := newRecorder(t)
	h.upgrade = func(r *transport.Request, u transport.Upgrade) {
		answered := make(chan struct{})
		no := r.Target == "/no"
		go func() {
			defer close(answered)
			if no {
				u.Reject(403, nil, nil)
			} else if err := u.Accept(nil, h.bind); err != nil {
				t.Errorf("Accept: %v", err)
			}
		}()
		<-answered
	}
	s := e.tcp(t, transport.DefaultLimits(), h, nil)
	c := s.client()
	c.write(handshake("/no"))
	if res, _ := c.response("GET"); res.StatusCode != 403 {
		t.Errorf("status %d, want 403", res.StatusCode)
	}
	c.wantEnd()
	c = s.client()
	c.open("/")
	c.write(text("hello"))
	if m := take(t, h.messages, "the message"); string(m.Payload) != "hello" {
		t.Errorf("message %q", m.Payload)
	}
	c.Close()
	take(t, h.closes, "OnClose")
}

func testEarlyBytes(t *testing.T, e env) {
	h := newRecorder(t)
	ups := make(chan transport.Upgrade, 1)
	h.upgrade = func(_ *transport.Request, u transport.Upgrade) { ups <- u }
	l := transport.DefaultLimits()
	l.EarlyBytes = 4 << 10
	s := e.tcp(t, l, h, nil)
	big := strings.Repeat("b", 30<<10)
	for name, parts := range map[string][]string{
		"with the request":      {handshake("/") + text("one") + text("two")},
		"after the request":     {handshake("/"), text("one"), text("two")},
		"cut in a frame":        {handshake("/") + text("one")[:4], text("one")[4:] + text("two")[:1], text("two")[1:]},
		"more than is kept":     {handshake("/"), text(big), text(big), text("one"), text("two")},
		"with the client's end": {handshake("/") + text("one") + text("two") + closeFrame(1000, "")},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.client()
			go func() {
				for _, p := range parts {
					c.write(p)
					time.Sleep(2 * time.Millisecond)
				}
			}()
			u := take(t, ups, "the upgrade")
			time.Sleep(10 * time.Millisecond) // so that bytes do come early, mostly
			none(t, h.messages, "a message before Accept")
			if err := u.Accept(nil, h.bind); err != nil {
				t.Fatalf("Accept: %v", err)
			}
			if res, _ := c.response("GET"); res.StatusCode != 101 {
				t.Fatalf("status %d", res.StatusCode)
			}
			if name == "more than is kept" {
				c.want(event{wsText, big, 0})
				c.want(event{wsText, big, 0})
			}
			c.want(event{wsText, "one", 0})
			c.want(event{wsText, "two", 0})
			for len(h.messages) > 0 {
				<-h.messages
			}
		})
	}
}

func testReject(t *testing.T, e env) {
	for _, async := range []bool{false, true} {
		h := newRecorder(t)
		h.upgrade = func(_ *transport.Request, u transport.Upgrade) {
			answer := func() {
				u.Reject(403, []transport.Field{
					{Name: "x-amzn-ErrorType", Value: "ForbiddenException"},
					{Name: "X-Split", Value: "a\r\nSet-Cookie: evil"}, {Name: "Bad Name", Value: "x"},
					{Name: "Content-Length", Value: "999"},
				}, []byte(`{"message":"Forbidden"}`))
				if err := u.Accept(nil, h.bind); err != transport.ErrAnswered {
					t.Errorf("Accept after Reject: %v, want ErrAnswered", err)
				}
			}
			if async {
				go answer()
			} else {
				answer()
			}
		}
		s := e.tcp(t, transport.DefaultLimits(), h, nil)
		c := s.client()
		c.write(handshake("/") + text("early"))
		res, body := c.response("GET")
		if res.StatusCode != 403 || body != `{"message":"Forbidden"}` || res.Header.Get("X-Amzn-Errortype") != "ForbiddenException" {
			t.Errorf("answer %d %v %q", res.StatusCode, res.Header, body)
		}
		if res.Header.Get("Set-Cookie") != "" || res.Header.Get("X-Split") != "" {
			t.Errorf("header %v, want fields that can't be written left out", res.Header)
		}
		c.wantEnd()
		none(t, h.conns, "bind")
		none(t, h.closes, "OnClose")
	}
}

func testBadField(t *testing.T, e env) {
	for _, f := range []transport.Field{
		{Name: "Sec-WebSocket-Protocol", Value: "a\r\nSet-Cookie: evil"},
		{Name: "Sec-WebSocket Protocol", Value: "a"},
		{Name: "Sec-WebSocket-Accept", Value: testAccept},
		{Name: "sec-websocket-extensions", Value: "permessage-deflate"},
		{Name: "Content-Length", Value: "5"},
	} {
		h := newRecorder(t)
		h.upgrade = func(_ *transport.Request, u transport.Upgrade) {
			if err := u.Accept([]transport.Field{f}, h.bind); err != transport.ErrBadField {
				t.Errorf("Accept with %q: %v, want ErrBadField", f, err)
			}
		}
		s := e.tcp(t, transport.DefaultLimits(), h, nil)
		c := s.client()
		c.write(handshake("/"))
		if res, _ := c.response("GET"); res.StatusCode != 500 {
			t.Errorf("%q: status %d, want 500", f, res.StatusCode)
		}
		none(t, h.conns, "bind")
	}
}

// RunMany runs what Run has of messages for many, and from many, alone; and what an
// engine promises that writes where it reads: answers leave before the client's end
// is dealt with.
func RunMany(t *testing.T, newEngine NewEngine) {
	e := env{newEngine}
	testFanOut(t, e)
	t.Run("CrowdThatEnds", func(t *testing.T) { testCrowdThatEnds(t, e) })
	t.Run("Crowd", func(t *testing.T) { testCrowd(t, e) })
}

func testFanOut(t *testing.T, e env) {
	t.Run("Prepared", func(t *testing.T) { testSendPrepared(t, e) })
	t.Run("SendTo", func(t *testing.T) { testSendTo(t, e) })
}
