package transporttest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// breach is a frame with a reserved bit.
const breach = "\xc1\x81\x00\x00\x00\x00x"

// answering is a recorder that answers no message by itself, and has its client's
// close frame wait for so long.
func answering(t testing.TB, wait time.Duration) *recorder {
	h := newRecorder(t)
	h.message = func(transport.Conn, transport.Message) {}
	h.breach = func(transport.Conn) time.Duration { return wait }
	return h
}

// breaks sends a message, breaks the protocol in the middle of another, and returns
// when the engine knows.
func (c *client) breaks(h *recorder) transport.Conn {
	c.t.Helper()
	conn := take(c.t, h.conns, "bind")
	c.write(text("question") + frame(ws.OpText, false, "fragment"))
	take(c.t, h.messages, "the message")
	c.write(breach)
	wantBreach(c.t, take(c.t, h.breaches, "OnBreach"))
	return conn
}

// wantBreach holds a reason against that of breach.
func wantBreach(t testing.TB, why transport.CloseReason) {
	t.Helper()
	if why.Code != 1002 || why.ByClient || why.Drop != transport.DropProtocolError || why.Err == nil {
		t.Errorf("reason %v, want 1002 by us for %q and an error", why, transport.DropProtocolError)
	}
}

// A close frame for a breach waits for answers, where the handler wants it to.
func testAnswersBeforeBreach(t *testing.T, e env) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, env)
	}{
		{"Answered", testBreachAnswered},
		{"ClosedAtOnce", testBreachClosedAtOnce},
		{"NotAnswered", testBreachNotAnswered},
		{"ClientLeaves", testBreachClientLeaves},
		{"ClientReadsNothing", testBreachClientReadsNothing},
		{"EngineCloses", testBreachEngineCloses},
		{"Panics", testBreachPanics},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, e) })
	}
}

func testBreachAnswered(t *testing.T, e env) {
	h := answering(t, patience)
	l := transport.DefaultLimits()
	l.CloseTimeout = time.Hour // the end must not come of it
	s := e.tcp(t, l, h, nil)
	for _, paused := range []bool{false, true} {
		c := s.client()
		c.open("/")
		conn := c.breaks(h)
		if paused {
			conn.PauseReads()
		}
		// What comes now is thrown away, whatever it is.
		c.write(text("too late") + closeFrame(1000, "") + frame(ws.OpPing, true, "") + strings.Repeat(breach, 100_000))
		for i := range 3 {
			if err := conn.Send(fmt.Append(nil, i), false); err != nil {
				t.Fatalf("Send of answer %d: %v", i, err)
			}
			c.want(event{ws.Text, fmt.Sprint(i), 0})
		}
		none(t, h.closes, "OnClose before the last answer")
		if err := conn.Send([]byte("the last"), false); err != nil {
			t.Fatal(err)
		}
		conn.Close(1000, "whatever")
		conn.Close(1000, "whatever")
		if err := conn.Send([]byte("after"), false); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("Send after Close: %v, want ErrClosed", err)
		}
		c.want(event{ws.Text, "the last", 0})
		if got := c.wantCode(1002); got == "whatever" {
			t.Error("the close frame has Close's text")
		}
		c.wantEnd()
		c.Close()
		wantBreach(t, take(t, h.closes, "OnClose"))
		none(t, h.messages, "a message behind the breach")
		none(t, h.breaches, "a second OnBreach")
	}
}

// The answer was there when OnBreach had been called.
func testBreachClosedAtOnce(t *testing.T, e env) {
	h := answering(t, patience)
	h.breach = func(c transport.Conn) time.Duration {
		c.Send([]byte("the last"), false)
		c.Close(1000, "")
		return patience
	}
	l := transport.DefaultLimits()
	l.CloseTimeout = 80 * time.Millisecond // of the close frame, though the wait is longer
	s := e.tcp(t, l, h, nil)
	c := s.client()
	c.open("/")
	c.breaks(h)
	c.want(event{ws.Text, "the last", 0})
	c.wantCode(1002)
	c.wantEnd()
	wantBreach(t, take(t, h.closes, "OnClose of a client that doesn't hang up"))
}

func testBreachNotAnswered(t *testing.T, e env) {
	h := answering(t, 80*time.Millisecond)
	s := e.tcp(t, transport.DefaultLimits(), h, nil)
	c := s.client()
	c.open("/")
	conn := c.breaks(h)
	c.wantCode(1002)
	c.wantEnd()
	c.Close()
	wantBreach(t, take(t, h.closes, "OnClose"))
	if err := conn.Close(1000, ""); err != nil && !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Close behind the end: %v", err)
	}
}

func testBreachClientLeaves(t *testing.T, e env) {
	h := answering(t, time.Hour)
	s := e.tcp(t, transport.DefaultLimits(), h, nil)
	for _, half := range []bool{true, false} {
		c := s.client()
		c.open("/")
		c.breaks(h)
		if half {
			c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			c.wantCode(1002)
			c.wantEnd()
		} else {
			c.Close()
		}
		wantBreach(t, take(t, h.closes, "OnClose"))
	}
}

// A client that reads no answer is cut off as any other.
func testBreachClientReadsNothing(t *testing.T, e env) {
	h := answering(t, time.Hour)
	l := transport.DefaultLimits()
	l.SendQueue = 256 << 10
	l.WriteTimeout = 300 * time.Millisecond
	s := e.tcp(t, l, h, nil)
	c := s.client()
	c.open("/")
	conn := c.breaks(h)
	full := false
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := conn.Send(make([]byte, 64<<10), true)
		full = full || errors.Is(err, transport.ErrQueueFull)
		if errors.Is(err, transport.ErrClosed) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a client that reads nothing is not cut off")
		}
	}
	if !full {
		t.Error("the queue was never full")
	}
	wantBreach(t, take(t, h.closes, "OnClose"))
}

func testBreachEngineCloses(t *testing.T, e env) {
	h := answering(t, time.Hour)
	s := e.tcp(t, transport.DefaultLimits(), h, nil)
	c := s.client()
	c.open("/")
	c.breaks(h)
	closed := make(chan error, 1)
	go func() { closed <- s.engine.Close() }()
	c.wantCode(1002)
	c.Close()
	if err := take(t, closed, "Close's return"); err != nil {
		t.Error(err)
	}
	wantBreach(t, take(t, h.closes, "OnClose"))
}

func testBreachPanics(t *testing.T, e env) {
	h := answering(t, 0)
	h.breach = func(transport.Conn) time.Duration { panic("in OnBreach") }
	s := e.tcp(t, transport.DefaultLimits(), h, nil)
	c := s.client()
	c.open("/")
	c.breaks(h)
	c.wantCode(1002)
	c.wantEnd()
	c.Close()
	wantBreach(t, take(t, h.closes, "OnClose"))
}

// A client whose close frame waits for answers moves, and is answered where it is
// then, if the handler there wants to.
func testFreezeBreach(t *testing.T, e env) {
	for _, tt := range []struct {
		name        string
		first, then time.Duration
		refused     bool // a batch, before it moves
		answered    bool
	}{
		{"answered", time.Hour, time.Hour, false, true},
		{"comes back first", time.Hour, time.Hour, true, true},
		{"nothing to wait for there", time.Hour, 0, false, false},
		{"the time counts on", 200 * time.Millisecond, time.Hour, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := answering(t, tt.first), answering(t, tt.then)
			p := e.pair(t, transport.DefaultLimits(), from, to)
			c := p.a.client()
			c.open("/")
			conn := c.breaks(from)
			if tt.refused {
				conn.PauseReads() // means nothing any more
				_, err := p.a.engine.Freeze(t.Context(), 3, func([]transport.Frozen) error { return errRefused })
				if !errors.Is(err, errRefused) {
					t.Fatalf("Freeze: %v", err)
				}
				if err := conn.Send([]byte("back"), false); err != nil {
					t.Fatal(err)
				}
				c.want(event{ws.Text, "back", 0})
			}
			c.write(text("too late")[:3])
			p.move()
			wantBreach(t, take(t, to.breaches, "OnBreach in the second process"))
			if tt.answered {
				c.write(text("too late"))
				now := take(t, to.conns, "Thaw")
				if err := now.Send([]byte("answer"), false); err != nil {
					t.Fatal(err)
				}
				c.want(event{ws.Text, "answer", 0})
				none(t, to.closes, "OnClose before the last answer")
				now.Close(1000, "")
			}
			c.wantCode(1002)
			c.wantEnd()
			c.Close()
			wantBreach(t, take(t, to.closes, "OnClose"))
			none(t, to.messages, "a message behind the breach")
			none(t, from.breaches, "a second OnBreach in the first process")
		})
	}
}
