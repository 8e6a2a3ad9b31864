package transporttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

func testPanics(t *testing.T, e env) {
	h := newRecorder(t)
	h.upgrade = func(r *transport.Request, u transport.Upgrade) {
		if r.Target == "/panic" {
			panic("in OnUpgrade")
		}
		u.Accept(nil, h.bind)
	}
	h.request = func(r *transport.Request, w transport.Reply) bool { panic("in OnRequest") }
	h.message = func(c transport.Conn, m transport.Message) {
		if string(m.Payload) == "panic" {
			panic("in OnMessage")
		}
		c.Send(m.Payload, false)
	}
	var mu sync.Mutex
	panics := map[string]int{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	engine := e.newEngine(transport.DefaultLimits(), transport.EventListener{Panicked: func(i transport.PanicInfo) {
		mu.Lock()
		defer mu.Unlock()
		panics[i.Method]++
		if len(i.Stack) == 0 {
			t.Errorf("%v without a stack", i)
		}
	}})
	s := start(t, engine, ln, func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }, h, nil)

	good := s.client()
	good.open("/")
	c := s.client()
	c.write(handshake("/panic"))
	if res, _ := c.response("GET"); res.StatusCode != 500 {
		t.Errorf("OnUpgrade's panic: status %d, want 500", res.StatusCode)
	}
	c = s.client()
	c.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, _ := c.response("GET"); res.StatusCode != 500 || !res.Close {
		t.Errorf("OnRequest's panic: status %d, want 500 and the end", res.StatusCode)
	}
	c = s.client()
	c.open("/")
	c.write(text("panic") + text("not any more"))
	c.wantCode(1011)
	c.write(closeFrame(1011, ""))
	if why := take(t, h.closes, "OnClose"); why.Code != 1011 || why.Drop != transport.DropPanic || why.ByClient {
		t.Errorf("reason %v, want 1011 by us for %q", why, transport.DropPanic)
	}
	good.write(text("still here"))
	good.want(event{ws.Text, "still here", 0})
	mu.Lock()
	defer mu.Unlock()
	if got := fmt.Sprint(panics); got != "map[OnMessage:1 OnRequest:1 OnUpgrade:1]" {
		t.Errorf("panics reported: %s", got)
	}
}

func testMaxConnections(t *testing.T, e env) {
	l := transport.DefaultLimits()
	l.MaxConnections = 2
	s := e.tcp(t, l, newRecorder(t), nil)
	a, b := s.client(), s.client()
	a.open("/")
	b.open("/")
	s.client().wantEnd()
	a.write(closeFrame(1000, ""))
	a.wantCode(1000)
	a.wantEnd()
	take(t, s.handler.closes, "OnClose")
	// The place is free a moment after OnClose.
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		nc, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, nc)
		c.write(handshake("/"))
		if line, err := c.r.ReadString('\n'); err == nil {
			if line != "HTTP/1.1 101 Switching Protocols\r\n" {
				t.Errorf("answer %q", line)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal("a place that became free is not taken")
		}
	}
}

func testEngineClose(t *testing.T, e env) {
	h := newRecorder(t)
	pending := make(chan transport.Upgrade, 1)
	h.upgrade = func(r *transport.Request, u transport.Upgrade) {
		if r.Target == "/pending" {
			pending <- u
			return
		}
		u.Accept(nil, h.bind)
	}
	l := transport.DefaultLimits()
	l.CloseTimeout = 200 * time.Millisecond
	s := e.tcp(t, l, h, nil)
	polite, rude, waiting, silent := s.client(), s.client(), s.client(), s.client()
	polite.open("/")
	rude.open("/")
	waiting.write(handshake("/pending"))
	u := take(t, pending, "the upgrade")
	closed := make(chan error, 1)
	go func() { closed <- s.engine.Close() }()
	if got := polite.wantCode(1001); got != "Going away" {
		t.Errorf("close text %q, want AWS's", got)
	}
	polite.write(closeFrame(1001, ""))
	polite.wantEnd()
	if err := take(t, closed, "Close's return"); err != nil {
		t.Errorf("Close: %v", err)
	}
	take(t, u.Gone(), "Gone")
	if err := u.Accept(nil, h.bind); err != transport.ErrClientGone {
		t.Errorf("Accept after Close: %v, want ErrClientGone", err)
	}
	for range 2 {
		if why := take(t, h.closes, "OnClose"); why.Code != 1001 || why.ByClient || why.Drop != transport.DropEngineClosed {
			t.Errorf("reason %v, want 1001 by us for %q", why, transport.DropEngineClosed)
		}
	}
	rude.wantCode(1001)
	waiting.wantEnd()
	silent.wantEnd()
	if nc, err := s.dial(); err == nil {
		newClient(t, nc).wantEnd()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.engine.Serve(ln, h, nil); err != transport.ErrEngineClosed {
		t.Errorf("Serve after Close: %v, want ErrEngineClosed", err)
	}
}

// Many connections come, talk and end in every way at once; start's cleanup
// holds each against "OnClose exactly once".
func testManyConnections(t *testing.T, e env) {
	const clients = 150
	l := transport.DefaultLimits()
	l.CloseTimeout = 100 * time.Millisecond
	h := newRecorder(t)
	h.message = obey
	s := e.tcp(t, l, h, nil)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	for i := range clients {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		nc, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, nc)
		wg.Go(func() { converse(t, c, r) })
	}
	wg.Wait()
	for range clients {
		take(t, h.closes, "OnClose")
	}
	none(t, h.closes, "one OnClose more")
}

// obey closes when it is told to, and echoes all else.
func obey(c transport.Conn, m transport.Message) {
	switch string(m.Payload) {
	case "close me":
		c.Close(1000, "")
	case "close me twice":
		go c.Close(1000, "")
		c.Close(1001, "")
	default:
		c.Send(m.Payload, m.Binary)
	}
}

// converse talks to who obeys: it sends some messages, checks their echoes, and ends somehow.
func converse(t *testing.T, c *client, r *rand.Rand) {
	c.write(handshake("/"))
	if line, err := c.r.ReadString('\n'); err != nil || line != "HTTP/1.1 101 Switching Protocols\r\n" {
		t.Errorf("handshake: %q, %v", line, err)
		return
	}
	for line := ""; line != "\r\n"; {
		line, _ = c.r.ReadString('\n')
		if line == "" {
			t.Error("the 101 ended early")
			return
		}
	}
	for j := range r.IntN(8) {
		m := fmt.Sprintf("%d-%d", r.Uint64(), j)
		c.write(text(m))
		if ev, err := c.next(); err != nil || ev.Payload != m {
			t.Errorf("echo %s, %v, want %q", short(ev), err, m)
			return
		}
	}
	switch r.IntN(7) {
	case 0:
		c.write(closeFrame(1000, ""))
		c.next()
	case 1:
		c.Conn.(*net.TCPConn).SetLinger(0)
	case 2:
		c.write(text("close me"))
		c.next()
	case 3:
		c.write(text("close me twice") + closeFrame(1000, ""))
	case 4:
		c.write("\xff\xff\xff\xff")
		c.next()
	case 5:
		c.write(text("unfinished")[:8])
	}
	c.Close()
}
