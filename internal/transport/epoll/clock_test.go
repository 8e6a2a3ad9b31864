//go:build linux

package epoll

import (
	"io"
	"net"
	"testing"
	"time"

	"tidegate/internal/clock"
	"tidegate/internal/transport"
	"tidegate/internal/transport/transporttest"
	"tidegate/ws"
)

// A handler accepts every handshake and tells what ended.
type handler struct {
	conns  chan transport.Conn
	closes chan transport.CloseReason
}

func newHandler() handler {
	return handler{make(chan transport.Conn, 16), make(chan transport.CloseReason, 16)}
}

func (h handler) OnUpgrade(_ *transport.Request, u transport.Upgrade) {
	u.Accept(nil, func(c transport.Conn) { h.conns <- c })
}
func (h handler) OnRequest(_ *transport.Request, w transport.Reply) bool {
	w.Respond(204, nil, nil)
	return true
}
func (h handler) OnMessage(c transport.Conn, m transport.Message)            { c.Send(m.Payload, m.Binary) }
func (h handler) OnClose(_ transport.Conn, w transport.CloseReason)          { h.closes <- w }
func (handler) OnBreach(transport.Conn, transport.CloseReason) time.Duration { return 0 }
func (h handler) Freeze(transport.Conn) ([]byte, error)                      { return nil, nil }
func (h handler) Thaw(transport.Conn, []byte) error                          { return nil }

// serve starts an engine on a port of this machine until the test ends.
func serve(t testing.TB, cfg Config, h transport.Handler) (*Engine, string) {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- e.Serve(l, h, nil) }()
	t.Cleanup(func() {
		e.Close()
		if err := <-done; err != transport.ErrEngineClosed {
			t.Errorf("Serve: %v, want ErrEngineClosed", err)
		}
	})
	return e, l.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

func expect(t testing.TB, c net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != string(want) {
		t.Fatalf("read %q, %v, want %q", got, err, want)
	}
}

// Idle time and lifetime are the engine's clock's. The sweep that looks at them
// runs on the machine's time, often here because of a short write timeout.
func TestMovedClock(t *testing.T) {
	limits := transport.DefaultLimits()
	limits.WriteTimeout = 20 * time.Millisecond
	limits.Ping = 30 * time.Minute
	limits.Idle = time.Hour
	for _, tt := range []struct {
		name    string
		advance []time.Duration // a message is echoed behind each but the last
		want    []byte
		drop    string
	}{
		{"idle", []time.Duration{10 * time.Minute, 61 * time.Minute}, ws.AppendClose(nil, 1001, "Going away"), transport.DropIdle},
		{"lifetime", []time.Duration{59 * time.Minute, 59 * time.Minute, 3 * time.Minute}, ws.AppendClose(nil, 1001, "Going away"), transport.DropLifetime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := limits
			l.Ping = 0
			moved := clock.NewManual(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
			e, err := New(Config{Limits: l, Clock: moved})
			if err != nil {
				t.Fatal(err)
			}
			e.rest = 0
			c, h := serveOne(t, e)
			for i, d := range tt.advance {
				moved.Advance(d)
				if i == len(tt.advance)-1 {
					break
				}
				c.Write(ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{1, 2, 3, 4}, []byte("alive")))
				expect(t, c, ws.AppendFrame(nil, ws.OpText, true, []byte("alive")))
			}
			expect(t, c, tt.want)
			c.Write(ws.AppendMaskedFrame(nil, ws.OpClose, true, [4]byte{}, []byte{3, 233}))
			if why := <-h.closes; why.Drop != tt.drop || why.Code != 1001 {
				t.Errorf("reason %v, want 1001 for %q", why, tt.drop)
			}
		})
	}
	t.Run("ping", func(t *testing.T) {
		moved := clock.NewManual(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
		e, err := New(Config{Limits: limits, Clock: moved})
		if err != nil {
			t.Fatal(err)
		}
		e.rest = 0
		c, _ := serveOne(t, e)
		moved.Advance(31 * time.Minute)
		expect(t, c, ws.AppendFrame(nil, ws.OpPing, true, nil))
	})
}

// serveOne serves one open connection until the test ends.
func serveOne(t *testing.T, e *Engine) (net.Conn, handler) {
	t.Helper()
	h := newHandler()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); e.Serve(l, h, nil) }()
	t.Cleanup(func() { e.Close(); <-done })
	c := dial(t, l.Addr().String())
	transporttest.Open(t, c)
	return c, h
}

// TestSweepInParts has a loop with many connections look at some of them, serve
// others, and go on by itself, without waiting for the next time that it looks.
func TestSweepInParts(t *testing.T) {
	limits := transport.DefaultLimits()
	limits.Ping = 30 * time.Minute
	limits.Idle, limits.Lifetime = 2*time.Hour, 0
	moved := clock.NewManual(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	e, err := New(Config{Limits: limits, Clock: moved, Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	e.tick = time.Hour // the test says when
	l := e.loops[0]
	silent := make([]*conn, 2*restsATurn+5) // they are in front of the client that comes
	for i := range silent {
		silent[i] = &conn{l: l}
		silent[i].opened.Store(moved.Now().UnixNano())
		silent[i].active.Store(moved.Now().UnixNano())
	}
	l.slots = append(l.slots, silent...)
	c, _ := serveOne(t, e)
	moved.Advance(31 * time.Minute)
	due := moved.Now().UnixNano()
	looked := func() (n int) {
		for _, s := range silent {
			if s.quiet == due {
				n++
			}
		}
		return n
	}
	onLoop(l, func() {
		l.rested = -e.rest
		l.sweep()
		if n := looked(); n != restsATurn || l.resting != restsATurn {
			t.Errorf("it looked at %d connections at once, want %d, and goes on at slot %d", n, restsATurn, l.resting)
		}
		l.rested = -e.rest
		l.sweep() // comes while one is under way
		if n := looked(); n != restsATurn {
			t.Errorf("a second sweep began: %d were looked at", n)
		}
	})
	expect(t, c, ws.AppendFrame(nil, ws.OpPing, true, nil)) // it has the last slot
	onLoop(l, func() {
		if n := looked(); n != len(silent) || l.resting != 0 {
			t.Errorf("%d connections of %d were looked at, and it goes on at slot %d", n, len(silent), l.resting)
		}
		clear(l.slots[:len(silent)]) // none of them has a socket
	})
}
