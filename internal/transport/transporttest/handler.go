package transporttest

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"tidegate/internal/transport"
)

// A recorder is the suite's Handler: it accepts every handshake and echoes every
// message, unless told otherwise, and checks the order of calls.
type recorder struct {
	t testing.TB

	upgrade  func(*transport.Request, transport.Upgrade)    // nil: accept
	request  func(*transport.Request, transport.Reply) bool // nil: false
	message  func(transport.Conn, transport.Message)        // nil: echo
	breach   func(transport.Conn) time.Duration             // nil: 0
	freeze   func(transport.Conn) ([]byte, error)           // nil: as it is
	thaw     func(transport.Conn, []byte) error             // nil: bind
	requests chan *transport.Request                        // of OnUpgrade
	messages chan transport.Message                         // retained
	breaches chan transport.CloseReason                     // of OnBreach
	closes   chan transport.CloseReason
	conns    chan transport.Conn // bound ones

	mu     sync.Mutex
	states map[transport.Conn]*connState
}

// connState is what the recorder holds against the interface's promises.
type connState struct {
	busy   bool // a method runs
	frozen bool // gone, unless a method follows
	closed int
}

func newRecorder(t testing.TB) *recorder {
	const room = 1 << 12 // nothing in the suite sends more without reading it
	return &recorder{
		t:        t,
		requests: make(chan *transport.Request, room),
		messages: make(chan transport.Message, room),
		breaches: make(chan transport.CloseReason, room),
		closes:   make(chan transport.CloseReason, room),
		conns:    make(chan transport.Conn, room),
		states:   map[transport.Conn]*connState{},
	}
}

// bind is what the recorder passes to Accept.
func (h *recorder) bind(c transport.Conn) {
	h.mu.Lock()
	h.states[c] = &connState{}
	h.mu.Unlock()
	c.SetData(h)
	h.conns <- c
}

func (h *recorder) OnUpgrade(r *transport.Request, u transport.Upgrade) {
	h.requests <- r.Retain()
	if h.upgrade != nil {
		h.upgrade(r, u)
		return
	}
	if err := u.Accept(nil, h.bind); err != nil {
		h.t.Errorf("Accept: %v", err)
	}
}

func (h *recorder) OnRequest(r *transport.Request, w transport.Reply) bool {
	return h.request != nil && h.request(r, w)
}

// enter notes that a method runs for the connection.
func (h *recorder) enter(c transport.Conn, method string) *connState {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.states[c]
	if s == nil {
		h.t.Errorf("%s for a connection that was not bound", method)
		s = &connState{}
		h.states[c] = s
	}
	if s.busy {
		h.t.Errorf("%s while another method runs for the same connection", method)
	}
	if s.closed > 0 {
		h.t.Errorf("%s after OnClose", method)
	}
	s.busy, s.frozen = true, false
	return s
}

func (h *recorder) leave(s *connState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.busy = false
}

func (h *recorder) OnMessage(c transport.Conn, m transport.Message) {
	s := h.enter(c, "OnMessage")
	defer h.leave(s)
	if c.Data() != h {
		h.t.Errorf("Data is %v, want what bind set", c.Data())
	}
	h.messages <- m.Retain()
	if h.message != nil {
		h.message(c, m)
		return
	}
	if err := c.Send(m.Payload, m.Binary); err != nil && !errors.Is(err, transport.ErrClosed) {
		h.t.Errorf("Send: %v", err)
	}
}

func (h *recorder) OnBreach(c transport.Conn, why transport.CloseReason) time.Duration {
	s := h.enter(c, "OnBreach")
	defer h.leave(s)
	h.breaches <- why
	if h.breach == nil {
		return 0
	}
	return h.breach(c)
}

func (h *recorder) OnClose(c transport.Conn, why transport.CloseReason) {
	s := h.enter(c, "OnClose")
	defer h.leave(s)
	h.mu.Lock()
	s.closed++
	h.mu.Unlock()
	if err := c.Send([]byte("late"), false); !errors.Is(err, transport.ErrClosed) {
		h.t.Errorf("Send in OnClose: %v, want ErrClosed", err)
	}
	h.closes <- why
}

// recorded is what a recorder freezes for its half.
const recorded = "the handler's half"

func (h *recorder) Freeze(c transport.Conn) ([]byte, error) {
	s := h.enter(c, "Freeze")
	defer h.leave(s)
	if c.Data() != h {
		h.t.Errorf("Data is %v, want what bind set", c.Data())
	}
	h.mu.Lock()
	s.frozen = true
	h.mu.Unlock()
	if h.freeze != nil {
		return h.freeze(c)
	}
	return []byte(recorded), nil
}

func (h *recorder) Thaw(c transport.Conn, data []byte) error {
	if h.thaw != nil {
		return h.thaw(c, data)
	}
	if string(data) != recorded {
		h.t.Errorf("Thaw with %q, want what Freeze returned", data)
	}
	h.bind(c)
	return nil
}

// take receives from ch, or fails the test when nothing comes.
func take[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable: Fatalf ends the test")
	}
}

// none fails the test if something has come on ch.
func none[T any](t testing.TB, ch <-chan T, what string) {
	t.Helper()
	select {
	case v := <-ch:
		t.Errorf("%s came: %v", what, v)
	default:
	}
}

// A server is an engine under test on a listener.
type server struct {
	t       testing.TB
	engine  transport.Engine
	handler *recorder
	dial    func() (net.Conn, error)
	served  chan error
}

// start serves h on l until the test ends, and then checks that every bound
// connection got its OnClose once.
func start(t testing.TB, e transport.Engine, l net.Listener, dial func() (net.Conn, error), h *recorder, fallback func(net.Conn)) *server {
	s := &server{t: t, engine: e, handler: h, dial: dial}
	s.begin(l, fallback)
	return s
}

func (s *server) begin(l net.Listener, fallback func(net.Conn)) {
	t, h := s.t, s.handler
	s.served = make(chan error, 1)
	go func() { s.served <- s.engine.Serve(l, h, fallback) }()
	t.Cleanup(func() {
		if err := s.engine.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := take(t, s.served, "Serve's return"); !errors.Is(err, transport.ErrEngineClosed) {
			t.Errorf("Serve: %v, want ErrEngineClosed", err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, state := range h.states {
			want := 1
			if state.frozen {
				want = 0
			}
			if state.closed != want {
				t.Errorf("OnClose was called %d times, want %d", state.closed, want)
			}
		}
	})
}

// client dials the server.
func (s *server) client() *client {
	s.t.Helper()
	nc, err := s.dial()
	if err != nil {
		s.t.Fatalf("dial: %v", err)
	}
	return newClient(s.t, nc)
}
