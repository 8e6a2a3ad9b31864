package transporttest

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// RunVirtual runs what takes minutes and hours, in virtual time and over
// in-memory connections, for engines that serve any net.Conn.
func RunVirtual(t *testing.T, newEngine NewEngine) {
	e := env{newEngine}
	for _, tt := range []struct {
		name string
		test func(*testing.T, env)
	}{
		{"Idle", testIdle},
		{"IdleAndControlFrames", testIdleAndControlFrames},
		{"Lifetime", testLifetime},
		{"NoLimits", testNoLimits},
		{"Ping", testPing},
		{"HandshakeTimeout", testHandshakeTimeout},
		{"KeepAlive", testKeepAlive},
		{"PendingFor29Seconds", testPendingFor29Seconds},
		{"CloseTimeout", testCloseTimeout},
		{"WriteTimeoutOfAPipe", testWriteTimeoutOfAPipe},
		{"EngineCloseIsBounded", testEngineCloseIsBounded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tt.test(t, e) })
		})
	}
}

// tolerance is how late an engine may be with a deadline of minutes: AWS was
// seen to be 3.9 s late.
const tolerance = 2 * time.Second

// A pipeListener gives in-memory connections.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func (l *pipeListener) dial() (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case l.conns <- a:
		return b, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// pipe starts an engine on in-memory connections.
func (e env) pipe(t *testing.T, l transport.Limits, h *recorder) *server {
	ln := newPipeListener()
	return start(t, e.newEngine(l, transport.EventListener{}), ln, ln.dial, h, nil)
}

// patientClient dials without a deadline.
func (s *server) patientClient() *client {
	c := s.client()
	c.SetDeadline(time.Time{})
	return c
}

// closedAfter reads to the close frame and returns how long that took.
func (c *client) closedAfter(code ws.CloseCode, text string) time.Duration {
	c.t.Helper()
	begin := time.Now()
	if got := c.wantCode(code); got != text {
		c.t.Errorf("close text %q, want %q", got, text)
	}
	took := time.Since(begin)
	c.write(closeFrame(code, ""))
	c.wantEnd()
	return took
}

func within(t *testing.T, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+tolerance {
		t.Errorf("after %v, want %v", got, want)
	}
}

func wantReason(t *testing.T, s *server, code ws.CloseCode, drop string) {
	t.Helper()
	synctest.Wait()
	select {
	case why := <-s.handler.closes:
		if why.Code != code || why.ByClient || why.Drop != drop {
			t.Errorf("reason %v, want %v by us for %q", why, code, drop)
		}
	default:
		t.Error("OnClose did not come")
	}
}

// 10 minutes without a message in either direction: 1001.
func testIdle(t *testing.T, e env) {
	s := e.pipe(t, transport.DefaultLimits(), newRecorder(t))
	c := s.patientClient()
	c.open("/")
	synctest.Wait()
	conn := <-s.handler.conns
	time.Sleep(9 * time.Minute)
	c.write(text("from the client")) // puts it off
	c.want(event{ws.Text, "from the client", 0})
	time.Sleep(9 * time.Minute)
	active := time.Now()
	conn.Send([]byte("from the server"), false) // puts it off too
	c.want(event{ws.Text, "from the server", 0})
	if got := conn.LastActive(); !got.Equal(active) {
		t.Errorf("LastActive is %v, want %v", got, active)
	}
	within(t, c.closedAfter(1001, "Going away"), 10*time.Minute)
	wantReason(t, s, 1001, transport.DropIdle)
}

func testIdleAndControlFrames(t *testing.T, e env) {
	for _, counts := range []bool{false, true} {
		l := transport.DefaultLimits()
		l.ControlFramesCountAsActivity = counts
		s := e.pipe(t, l, newRecorder(t))
		c := s.patientClient()
		c.open("/")
		time.Sleep(6 * time.Minute)
		c.write(frame(ws.OpPing, true, "alive"))
		c.want(event{ws.Pong, "alive", 0})
		want := 4 * time.Minute
		if counts {
			want = 10 * time.Minute
		}
		within(t, c.closedAfter(1001, "Going away"), want)
		wantReason(t, s, 1001, transport.DropIdle)
	}
}

// 2 hours, whatever the traffic: 1001.
func testLifetime(t *testing.T, e env) {
	s := e.pipe(t, transport.DefaultLimits(), newRecorder(t))
	c := s.patientClient()
	c.open("/")
	for range 23 {
		time.Sleep(5 * time.Minute)
		c.write(text("busy"))
		c.want(event{ws.Text, "busy", 0})
	}
	within(t, c.closedAfter(1001, "Going away"), 5*time.Minute)
	wantReason(t, s, 1001, transport.DropLifetime)
}

func testNoLimits(t *testing.T, e env) {
	l := transport.DefaultLimits()
	l.Idle, l.Lifetime = 0, 0
	s := e.pipe(t, l, newRecorder(t))
	c := s.patientClient()
	c.open("/")
	time.Sleep(24 * time.Hour)
	c.write(text("still"))
	c.want(event{ws.Text, "still", 0})
}

// With Limits.Ping a silent client is pinged; by default never.
func testPing(t *testing.T, e env) {
	l := transport.DefaultLimits()
	l.Ping = 55 * time.Second
	s := e.pipe(t, l, newRecorder(t))
	c := s.patientClient()
	c.open("/")
	for range 3 {
		begin := time.Now()
		c.want(event{Kind: ws.Ping})
		within(t, time.Since(begin), l.Ping)
		c.write(frame(ws.OpPong, true, ""))
	}
	s = e.pipe(t, transport.DefaultLimits(), newRecorder(t))
	c = s.patientClient()
	c.open("/")
	c.want(event{ws.Close, "Going away", 1001})
	c.write(closeFrame(1001, ""))
}

func testHandshakeTimeout(t *testing.T, e env) {
	s := e.pipe(t, transport.DefaultLimits(), newRecorder(t))
	for _, sent := range []string{"", "GET / HT"} {
		c := s.patientClient()
		c.write(sent)
		begin := time.Now()
		if sent != "" {
			if res, _ := c.response("GET"); res.StatusCode != 408 {
				t.Errorf("status %d, want 408", res.StatusCode)
			}
		}
		c.wantEnd()
		within(t, time.Since(begin), 10*time.Second)
	}
}

// Between two requests a connection may rest for longer than a request may
// take, and its end is no fault; a request that has begun has its own deadline.
func testKeepAlive(t *testing.T, e env) {
	h := newRecorder(t)
	h.request = func(_ *transport.Request, r transport.Reply) bool {
		r.Respond(204, nil, nil)
		return true
	}
	drops := 0
	ln := newPipeListener()
	engine := e.newEngine(transport.DefaultLimits(), transport.EventListener{Dropped: func(transport.DropInfo) { drops++ }})
	s := start(t, engine, ln, ln.dial, h, nil)
	c := s.patientClient()
	ask := func() {
		t.Helper()
		c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if res, _ := c.response("GET"); res.StatusCode != 204 {
			t.Fatalf("status %d, want 204", res.StatusCode)
		}
	}
	ask()
	time.Sleep(time.Minute)
	ask()
	begin := time.Now()
	c.wantEnd()
	within(t, time.Since(begin), 2*time.Minute)
	synctest.Wait()
	if drops != 0 {
		t.Errorf("%d drops were reported for a connection that only rested", drops)
	}

	c = s.patientClient()
	ask()
	c.write("GET / HT")
	begin = time.Now()
	if res, _ := c.response("GET"); res.StatusCode != 408 {
		t.Errorf("half a second request: status %d, want 408", res.StatusCode)
	}
	within(t, time.Since(begin), 10*time.Second)
}

// A handshake may wait for its answer as long as $connect's integration may
// take, and the connection's time counts from the 101.
func testPendingFor29Seconds(t *testing.T, e env) {
	h := newRecorder(t)
	h.upgrade = func(_ *transport.Request, u transport.Upgrade) {
		go func() {
			time.Sleep(29 * time.Second)
			if err := u.Accept(nil, h.bind); err != nil {
				t.Errorf("Accept: %v", err)
			}
		}()
	}
	s := e.pipe(t, transport.DefaultLimits(), h)
	c := s.patientClient()
	c.open("/")
	within(t, c.closedAfter(1001, "Going away"), 10*time.Minute)
}

func testCloseTimeout(t *testing.T, e env) {
	s := e.pipe(t, transport.DefaultLimits(), newRecorder(t))
	c := s.patientClient()
	c.open("/")
	synctest.Wait()
	(<-s.handler.conns).Close(1000, "")
	begin := time.Now()
	c.want(event{Kind: ws.Close, Code: 1000})
	c.wantEnd()
	within(t, time.Since(begin), 5*time.Second)
	wantReason(t, s, 1000, "")
}

// A pipe takes a byte only when it is read: the client that reads nothing is
// cut off at the deadline, and not before.
func testWriteTimeoutOfAPipe(t *testing.T, e env) {
	s := e.pipe(t, transport.DefaultLimits(), newRecorder(t))
	c := s.patientClient()
	c.open("/")
	synctest.Wait()
	conn := <-s.handler.conns
	begin := time.Now()
	conn.Send([]byte("never read"), false)
	why := <-s.handler.closes
	within(t, time.Since(begin), 30*time.Second)
	if why.Code != 1006 || why.ByClient || why.Drop != transport.DropWriteTimeout {
		t.Errorf("reason %v, want 1006 by us for %q", why, transport.DropWriteTimeout)
	}
}

// Close waits for clients, but not for ever.
func testEngineCloseIsBounded(t *testing.T, e env) {
	s := e.pipe(t, transport.DefaultLimits(), newRecorder(t))
	for range 3 {
		c := s.patientClient()
		c.open("/")
	}
	half := s.patientClient()
	half.write("GET / HTTP/1.1\r\n")
	begin := time.Now()
	if err := s.engine.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if took := time.Since(begin); took > transport.DefaultLimits().CloseTimeout+tolerance {
		t.Errorf("Close took %v", took)
	}
	for range 3 {
		wantReason(t, s, 1001, transport.DropEngineClosed)
	}
}
