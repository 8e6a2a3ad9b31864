//go:build linux

package epoll

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"tidegate/internal/clock"
	"tidegate/internal/transport"
	"tidegate/internal/transport/transporttest"
	"tidegate/ws"
)

// Idle time, lifetime and silence are counted on where they were.
func TestThawCountsOn(t *testing.T) {
	goingAway := ws.AppendClose(nil, 1001, "Going away")
	for _, tt := range []struct {
		name          string
		set           func(*transport.Limits)
		before, after time.Duration // together beyond the limit, each below
		want          []byte
	}{
		{"idle", func(l *transport.Limits) { l.Idle = 10 * time.Minute }, 9 * time.Minute, 2 * time.Minute, goingAway},
		{"lifetime", func(l *transport.Limits) { l.Lifetime = 2 * time.Hour }, 119 * time.Minute, 2 * time.Minute, goingAway},
		{"ping", func(l *transport.Limits) { l.Ping = 55 * time.Second }, 50 * time.Second, 10 * time.Second, ws.AppendFrame(nil, ws.OpPing, true, nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			moved := clock.NewManual(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
			l := transport.DefaultLimits()
			l.Idle, l.Lifetime = 0, 0
			l.WriteTimeout = 20 * time.Millisecond // sweeps often
			tt.set(&l)
			newEngine := func() *Engine {
				e, err := New(Config{Limits: l, Clock: moved})
				if err != nil {
					t.Fatal(err)
				}
				e.rest = 0
				return e
			}
			from, to := newEngine(), newEngine()
			t.Cleanup(func() { to.Close() }) // behind the client's end
			c, h := serveOne(t, from)
			<-h.conns
			moved.Advance(tt.before)
			if left, err := from.Freeze(t.Context(), 1, func(fs []transport.Frozen) error { return to.Thaw(h, nil, fs) }); err != nil || left.Total() != 0 {
				t.Fatalf("Freeze: %v, %v", left, err)
			}
			moved.Advance(tt.after)
			expect(t, c, tt.want)
		})
	}
}

// frozenState freezes what the engine holds, keeps it, and returns the state of
// the only connection.
func frozenState(t *testing.T, e *Engine) *state {
	t.Helper()
	stays := errors.New("stays")
	var s *state
	if _, err := e.Freeze(t.Context(), 1, func(fs []transport.Frozen) (err error) {
		if s, err = parseState(fs[0].State); err != nil {
			t.Fatal(err)
		}
		return stays
	}); !errors.Is(err, stays) {
		t.Fatalf("Freeze: %v", err)
	}
	return s
}

// What is left of a network deadline travels.
func TestFrozenDeadlines(t *testing.T) {
	e, err := New(Config{Limits: transport.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	_, h := serveOne(t, e)
	conn := <-h.conns
	if s := frozenState(t, e); s.has(stateDeadline) || s.has(stateProgress) || s.has(stateMid) || len(s.in)+len(s.out) > 0 {
		t.Errorf("an idle connection: %+v", s)
	}
	for conn.Send(make([]byte, 100_000), true) == nil {
	}
	first := frozenState(t, e)
	if !first.has(stateProgress) || first.progress < 0 || len(first.out) == 0 {
		t.Errorf("a client that does not read: progress %v, %d bytes wait", time.Duration(first.progress), len(first.out))
	}
	for n := 0; frozenState(t, e).progress <= first.progress; n++ { // the kernel may take some more at first
		if n == 1000 {
			t.Fatal("the time since the client took a byte does not grow")
		}
		time.Sleep(time.Millisecond)
	}
	conn.Close(4000, "bye")
	s := frozenState(t, e)
	if !s.has(stateDeadline) || s.deadline <= 0 || s.deadline > int64(e.limits.CloseTimeout) || s.reason.Code != 4000 || s.reason.Text != "bye" {
		t.Errorf("closing: %v left, reason %v", time.Duration(s.deadline), s.reason)
	}
}

// The client's time to take a byte goes on in a process that is younger than it.
func TestThawIsLateAtOnce(t *testing.T) {
	l := transport.DefaultLimits()
	l.WriteTimeout = 2 * time.Second
	from, err := New(Config{Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	to, err := New(Config{Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	_, h := serveOne(t, from)
	conn := <-h.conns
	for conn.Send(make([]byte, 100_000), true) == nil {
	}
	if _, err := from.Freeze(t.Context(), 1, func(fs []transport.Frozen) error {
		s, err := parseState(fs[0].State)
		if err != nil {
			t.Fatal(err)
		}
		s.progress = int64(time.Hour)
		fs[0].State = s.append(nil)
		return to.Thaw(h, nil, fs)
	}); err != nil {
		t.Fatal(err)
	}
	if why := <-h.closes; why.Drop != transport.DropWriteTimeout {
		t.Errorf("reason %v, want %q", why, transport.DropWriteTimeout)
	}
}

// Send does not wait for ever for a batch's outcome; what it refused is not sent.
func TestSendInTransit(t *testing.T) {
	drops := make(chan transport.DropInfo, 10)
	e, err := New(Config{Limits: transport.DefaultLimits(), Events: transport.EventListener{Dropped: func(i transport.DropInfo) { drops <- i }}})
	if err != nil {
		t.Fatal(err)
	}
	e.patience = 10 * time.Millisecond
	c, h := serveOne(t, e)
	conn := <-h.conns
	stays := errors.New("stays")
	if _, err := e.Freeze(t.Context(), 1, func([]transport.Frozen) error {
		for name, err := range map[string]error{
			"Send": conn.Send([]byte("x"), false), "Close": conn.Close(1000, ""),
		} {
			if !errors.Is(err, transport.ErrQueueFull) {
				t.Errorf("%s in transit: %v, want ErrQueueFull", name, err)
			}
			if i := <-drops; i.Reason != transport.DropInTransit {
				t.Errorf("dropped: %v", i)
			}
		}
		// These don't wait; what is paused counts if the connection comes back.
		p, errs := &transport.Prepared{Payload: []byte("x")}, make([]error, 1)
		p.SendTo([]transport.Conn{conn}, errs)
		if err := conn.SendPrepared(p); err != transport.ErrMoved || errs[0] != err {
			t.Errorf("SendPrepared and SendTo in transit: %v, %v, want ErrMoved", err, errs[0])
		}
		conn.PauseReads()
		conn.ResumeReads()
		return stays
	}); !errors.Is(err, stays) {
		t.Fatalf("Freeze: %v", err)
	}
	if err := conn.Send([]byte("y"), false); err != nil {
		t.Fatal(err)
	}
	expect(t, c, ws.AppendFrame(nil, ws.OpText, true, []byte("y")))
}

// An engine that closes while a batch is on its way ends what comes back, and
// takes nothing.
func TestCloseInTransit(t *testing.T) {
	l := transport.DefaultLimits()
	l.CloseTimeout = time.Second
	e, err := New(Config{Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	c, h := serveOne(t, e)
	closed := make(chan error, 1)
	_, err = e.Freeze(t.Context(), 1, func(fs []transport.Frozen) error {
		go func() { closed <- e.CloseWith(ws.CloseServiceRestart, "again") }()
		for !e.closing.Load() {
			time.Sleep(time.Millisecond)
		}
		return e.Thaw(h, nil, fs)
	})
	if !errors.Is(err, transport.ErrEngineClosed) {
		t.Errorf("Freeze: %v, want Thaw's ErrEngineClosed", err)
	}
	expect(t, c, ws.AppendClose(nil, ws.CloseServiceRestart, "again"))
	c.Close()
	if why := <-h.closes; why.Code != ws.CloseServiceRestart {
		t.Errorf("reason %v", why)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

// A handler may send in Thaw: it leaves behind what was queued.
func TestSendInThaw(t *testing.T) {
	e, err := New(Config{Limits: transport.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	to, err := New(Config{Limits: transport.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	c, h := serveOne(t, e)
	conn := <-h.conns
	payload := make([]byte, 100_000)
	n := 0
	for ; conn.Send(payload, true) == nil && n < 1000; n++ {
	}
	if _, err := e.Freeze(t.Context(), 1, func(fs []transport.Frozen) error { return to.Thaw(sendingHandler{h}, nil, fs) }); err != nil {
		t.Fatal(err)
	}
	frame := ws.AppendFrame(nil, ws.OpBinary, true, nil)
	frame = ws.AppendMessage(frame[:0], payload, true, transport.DefaultLimits().OutFrame)
	for range n {
		expect(t, c, frame)
	}
	expect(t, c, ws.AppendFrame(nil, ws.OpText, true, []byte("here")))
}

type sendingHandler struct{ handler }

func (sendingHandler) Thaw(c transport.Conn, _ []byte) error { return c.Send([]byte("here"), false) }

// openFiles counts this process's descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// A move leaves no descriptor behind, whether a batch is taken, refused, or lost
// in part. When there is none left, the connections stay.
func TestFreezeAndDescriptors(t *testing.T) {
	e, err := New(Config{Limits: transport.DefaultLimits(), Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	to, err := New(Config{Limits: transport.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	h := newHandler()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); e.Serve(l, h, nil) }()
	t.Cleanup(func() { e.Close(); <-done })
	clients := make([]net.Conn, 9)
	for i := range clients {
		clients[i] = dial(t, l.Addr().String())
		transporttest.Open(t, clients[i])
	}
	if err := to.Thaw(h, nil, nil); err != nil { // starts its loops
		t.Fatal(err)
	}
	alive := func(clients []net.Conn) {
		t.Helper()
		for _, c := range clients {
			c.Write(ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{}, []byte("on")))
			expect(t, c, ws.AppendFrame(nil, ws.OpText, true, []byte("on")))
		}
	}
	alive(clients)
	before := openFiles(t)
	restore := noDescriptors(t)
	left, err := e.Freeze(t.Context(), 4, func([]transport.Frozen) error { t.Error("pass"); return nil })
	restore()
	if !errors.Is(err, syscall.EMFILE) || left.Movable != len(clients) {
		t.Errorf("Freeze without descriptors: %v, %v", left, err)
	}
	alive(clients)
	if n := openFiles(t); n != before {
		t.Errorf("%d descriptors, were %d", n, before)
	}
	calls := 0
	for {
		_, err := e.Freeze(t.Context(), 4, func(fs []transport.Frozen) error {
			switch calls++; calls {
			case 1:
				return errors.New("refused")
			case 2:
				fs[0].State[0]++ // the first connection is lost
				to.Thaw(h, nil, fs)
				return nil
			}
			return to.Thaw(h, nil, fs)
		})
		if err == nil {
			break
		}
	}
	alive(clients[1:])
	if n := openFiles(t); n != before-1 {
		t.Errorf("%d descriptors, were %d, and one connection is lost", n, before)
	}
}

func TestState(t *testing.T) {
	var decoder ws.Decoder
	limits := ws.Limits{Frame: 100, Message: 100}
	if _, _, err := decoder.Next([]byte("\x81\x85\x01"), &limits); err != nil {
		t.Fatal(err)
	}
	mid, _ := decoder.AppendBinary(nil)
	a := address{port: 8420, kind: address6, ip: [16]byte{15: 1}}
	for _, s := range []state{
		{},
		{flags: stateKeptAlive | stateDeadline, deadline: 5, addr: a, in: []byte("GET")},
		{flags: stateWebSocket | stateMid | statePaused | stateDeflate | stateProgress, addr: a, opened: 1, active: 2, quiet: -3, progress: 4,
			in: []byte("in"), decoder: mid, out: []byte("out")},
		{flags: stateWebSocket | stateCloseSent | stateCloseReceived | stateEnded | stateByClient | stateShutting, end: endLinger,
			reason: transport.CloseReason{Code: 1000, Text: "bye", ByClient: true, Drop: transport.DropIdle, Err: errors.New("why")}},
		{flags: stateWebSocket | stateEnded | stateDeadline, end: endLinger, deadline: 5, reason: transport.CloseReason{Code: 1002}},
	} {
		b := s.append(nil)
		if len(b) > s.size() {
			t.Errorf("size says %d, it has %d bytes", s.size(), len(b))
		}
		got, err := parseState(b)
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		if again := got.append(nil); !bytes.Equal(again, b) {
			t.Errorf("%q became %q", b, again)
		}
		for _, p := range []*[]byte{&got.in, &got.decoder, &got.out} {
			if len(*p) == 0 {
				*p = nil
			}
		}
		if !reflect.DeepEqual(*got, s) {
			t.Errorf("%+v became %+v", s, *got)
		}
		for i := range b {
			if _, err := parseState(b[:i]); err == nil {
				t.Errorf("%d of %d bytes are a state", i, len(b))
			}
		}
		if _, err := parseState(append(b, 0)); err == nil {
			t.Error("a byte too many is no error")
		}
	}
	b := (&state{}).append(nil)
	b[0]++
	if _, err := parseState(b); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("another version: %v", err)
	}
	for _, s := range []state{ // no connection at rest is so
		{flags: stateWebSocket | stateEnded, end: endLinger},
		{flags: stateWebSocket | stateDeadline, end: endLinger},
		{flags: stateWebSocket | stateEnded | stateDeadline},
		{flags: stateWebSocket | stateEnded | stateDeadline, end: endFlush},
		{flags: stateWebSocket | stateCloseSent},
	} {
		if _, err := parseState(s.append(nil)); !errors.Is(err, errState) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	long := state{flags: stateWebSocket | stateEnded | stateCloseSent, reason: transport.CloseReason{
		Text: strings.Repeat("é", 100), Err: errors.New(strings.Repeat("e", 5000)),
	}}
	if got, err := parseState(long.append(nil)); err != nil || got.reason.Text != strings.Repeat("é", 61) || len(got.reason.Err.Error()) != maxStateError {
		t.Errorf("long texts: %v, %v", got, err)
	}
}

// Two versions of this program must not take one state for different things.
func TestStateFormat(t *testing.T) {
	var decoder ws.Decoder
	decoder.Next([]byte("\x01\x85\x01\x02\x03\x04\x60"), &ws.Limits{Frame: 100, Message: 100})
	mid, _ := decoder.AppendBinary(nil)
	s := state{
		flags: stateWebSocket | stateMid | stateProgress, addr: address{kind: address4, ip: [16]byte{127, 0, 0, 1}, port: 8420},
		opened: 1, active: 2, quiet: 3, deadline: 4, progress: 5, in: []byte("in"), decoder: mid, out: []byte("out"),
		reason: transport.CloseReason{Code: 1000, Text: "text", Drop: "drop", Err: errors.New("err")},
	}
	const want = "\x01\bA\x01\x7f\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + " \xe4\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x02" + "\x00\x00\x00\x00\x00\x00\x00\x03" +
		"\x00\x00\x00\x00\x00\x00\x00\x04" + "\x00\x00\x00\x00\x00\x00\x00\x05" +
		"\x03\xe8" + "\x00\x00\x00\x04text" + "\x00\x00\x00\x04drop" + "\x00\x00\x00\x03err" + "\x00\x00\x00\x02in" +
		"\x00\x00\x00\x1d" + "\x01\x00\x02\x01\x01\x01\x01\x02\x03\x04" + "\x00\x00\x00\x00\x00\x00\x00\x04" + // ws.Decoder's
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01a" + "\x00\x00\x00\x03out"
	if got := string(s.append(nil)); got != want {
		t.Errorf("version %d of a state is\n%q, was\n%q: raise transport.FrozenVersion with the format", stateVersion, got, want)
	}
}

func FuzzState(f *testing.F) {
	var decoder ws.Decoder
	decoder.Next([]byte("\x01\x85\x01\x02\x03\x04\x05"), &ws.Limits{Frame: 100, Message: 100})
	mid, _ := decoder.AppendBinary(nil)
	for _, s := range []state{
		{}, {flags: stateKeptAlive, in: []byte("GET / HTTP/1.1\r\n")},
		{flags: stateWebSocket | stateMid | statePaused, decoder: mid, in: []byte("\x81\x80\x00\x00\x00\x00"), out: []byte("out")},
		{flags: stateWebSocket | stateCloseSent | stateEnded, reason: transport.CloseReason{Code: 1000}},
		{flags: stateWebSocket | stateEnded | stateDeadline, end: endLinger, reason: transport.CloseReason{Code: 1002}},
	} {
		f.Add(s.append(nil))
	}
	e, err := New(Config{Limits: transport.DefaultLimits()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close() })
	e.startLocked()
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		again := s.append(nil)
		if s2, err := parseState(again); err != nil || !bytes.Equal(s2.append(nil), again) {
			t.Fatalf("%q became %q: %v", b, again, err)
		}
		// Whatever it says, the engine lives on, and lets it go.
		client, server := socketPair(t)
		defer client.Close()
		h := newHandler()
		e.Thaw(h, nil, []transport.Frozen{{File: server, State: b}})
		client.Write([]byte("\x81\x81\x00\x00\x00\x00x\r\n\r\n"))
		client.CloseWrite()
		client.SetDeadline(time.Now().Add(time.Minute))
		if s.has(statePaused) && !s.has(stateCloseSent) {
			e.each(func(c *conn) { c.ResumeReads() })
		}
		if _, err := io.Copy(io.Discard, client); err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				t.Fatalf("%+v: the connection does not end", s)
			}
		}
	})
}

func BenchmarkFreezeThaw(b *testing.B) { transporttest.BenchFreezeThaw(b, newEngine(b)) }

// socketPair returns two ends, one of them as it comes from another process.
func socketPair(t *testing.T) (*net.UnixConn, *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "client")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn), os.NewFile(uintptr(fds[1]), "server")
}
