package transporttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// testFreeze moves connections from one engine to another. An engine that can't
// has to say so.
func testFreeze(t *testing.T, e env) {
	engine := e.newEngine(transport.DefaultLimits(), transport.EventListener{})
	if _, err := engine.Freeze(t.Context(), 1, nil); errors.Is(err, errors.ErrUnsupported) {
		if err := engine.Thaw(newRecorder(t), nil, nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Thaw: %v, but Freeze is not supported", err)
		}
		return
	}
	engine.Close()
	for _, tt := range []struct {
		name string
		test func(*testing.T, env)
	}{
		{"Idle", testFreezeIdle},
		{"CutInput", testFreezeCutInput},
		{"CutDeflate", testFreezeCutDeflate},
		{"UnsentOutput", testFreezeUnsentOutput},
		{"ServerCloses", testFreezeServerCloses},
		{"ClientCloses", testFreezeClientCloses},
		{"Breach", testFreezeBreach},
		{"PausedReads", testFreezePausedReads},
		{"PausedInFreeze", testFreezePausedInFreeze},
		{"Moved", testFreezeMoved},
		{"RefusedBatch", testFreezeRefusedBatch},
		{"PendingUpgrade", testFreezePendingUpgrade},
		{"Requests", testFreezeRequests},
		{"ContextEnds", testFreezeContextEnds},
		{"HandlerRefuses", testFreezeHandlerRefuses},
		{"DamagedState", testFreezeDamagedState},
		{"Accepting", testFreezeAccepting},
		{"ConcurrentSend", testFreezeConcurrentSend},
		{"Busy", testFreezeBusy},
		{"ComingAndGoing", testFreezeComingAndGoing},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, e) })
	}
}

// A pair is two engines that share a listener: what the first gives away the
// second takes.
type pair struct {
	t    testing.TB
	a, b *server
}

// pair starts the first engine. The second is there, and doesn't accept yet.
func (e env) pair(t testing.TB, l transport.Limits, from, to *recorder) *pair {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	shared, err := net.FileListener(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	dial := func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
	p := &pair{t: t, a: start(t, e.newEngine(l, transport.EventListener{}), ln, dial, from, nil)}
	p.b = &server{t: t, engine: e.newEngine(l, transport.EventListener{}), handler: to, dial: dial}
	if _, err := p.b.engine.Freeze(t.Context(), 1, nil); err != nil { // it has nothing; it accepts nothing until Resume
		t.Fatalf("Freeze of an engine without connections: %v", err)
	}
	p.b.begin(shared, nil)
	return p
}

// thaw is a pass that the second engine takes.
func (p *pair) thaw(fs []transport.Frozen) error { return p.b.engine.Thaw(p.b.handler, nil, fs) }

// move moves everything, and ends the first engine.
func (p *pair) move() {
	p.t.Helper()
	p.freeze(p.thaw)
	if err := p.a.engine.Close(); err != nil {
		p.t.Errorf("Close: %v", err)
	}
	none(p.t, p.a.handler.closes, "OnClose for a connection that moved")
}

// freeze moves everything through pass.
func (p *pair) freeze(pass func([]transport.Frozen) error) {
	p.t.Helper()
	p.b.engine.Resume()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if left, err := p.a.engine.Freeze(ctx, 3, pass); err != nil || left.Total() != 0 {
		p.t.Fatalf("Freeze: %v, %v", left, err)
	}
}

// synced writes s, which may end in the middle of a frame, behind a ping, and
// waits for the pong: the engine has read all of it then.
func (c *client) synced(s string) {
	c.t.Helper()
	c.write(frame(ws.OpPing, true, "sync") + s)
	c.want(event{ws.Pong, "sync", 0})
}

func testFreezeIdle(t *testing.T, e env) {
	p := e.pair(t, transport.DefaultLimits(), newRecorder(t), newRecorder(t))
	var clients []*client
	before := map[string]transport.Conn{}
	for range 10 {
		c := p.a.client()
		c.open("/")
		c.write(text("here"))
		c.want(event{ws.Text, "here", 0})
		conn := take(t, p.a.handler.conns, "bind")
		before[conn.RemoteAddr().String()] = conn
		clients = append(clients, c)
	}
	p.move()
	for range clients {
		now := take(t, p.b.handler.conns, "Thaw")
		was := before[now.RemoteAddr().String()]
		if was == nil {
			t.Fatalf("RemoteAddr %v is nobody's", now.RemoteAddr())
		}
		if !now.LastActive().Equal(was.LastActive()) {
			t.Errorf("LastActive %v, was %v", now.LastActive(), was.LastActive())
		}
	}
	for _, c := range clients {
		c.write(text("there"))
		c.want(event{ws.Text, "there", 0})
		c.write(closeFrame(1000, "bye"))
		c.wantCode(1000)
		if why := take(t, p.b.handler.closes, "OnClose"); why.Code != 1000 || why.Text != "bye" || !why.ByClient {
			t.Errorf("reason %v, want the client's 1000", why)
		}
	}
}

// Wherever a message is cut by the move, it arrives whole.
func testFreezeCutInput(t *testing.T, e env) {
	payload := "aé€😀" + strings.Repeat("x", 120) + "é€😀z"
	n := len(payload)
	for name, sent := range map[string]string{
		"frame":     text(payload),
		"fragments": frame(ws.OpText, false, payload[:n-5]) + frame(ws.OpContinuation, false, "") + frame(ws.OpContinuation, true, payload[n-5:]),
		"ping between": frame(ws.OpText, false, payload[:2]) + frame(ws.OpPing, true, "between") +
			frame(ws.OpContinuation, true, payload[2:]),
		"long": text(strings.Repeat(payload, 200)),
	} {
		t.Run(name, func(t *testing.T) {
			want := payload
			if name == "long" {
				want = strings.Repeat(payload, 200)
			}
			p := e.pair(t, transport.DefaultLimits(), newRecorder(t), newRecorder(t))
			step := max(1, len(sent)/180)
			var clients []*client
			for cut := 1; cut < len(sent); cut += step {
				c := p.a.client()
				c.open("/")
				c.write(frame(ws.OpPing, true, "sync") + sent[:cut])
				clients = append(clients, c)
			}
			for _, c := range clients {
				c.t = t
				c.want(event{ws.Pong, "sync", 0})
			}
			p.move()
			for i, c := range clients {
				c.write(sent[1+i*step:] + text("next"))
			}
			for _, c := range clients {
				// A pong is here, or came behind the first one.
				got, err := c.next()
				if err == nil && got == (event{ws.Pong, "between", 0}) {
					got, err = c.next()
				}
				if err != nil || got.Payload != want {
					t.Fatalf("received %s, %v, want %d bytes", short(got), err, len(want))
				}
				c.want(event{ws.Text, "next", 0})
			}
		})
	}
}

func testFreezeCutDeflate(t *testing.T, e env) {
	l := transport.DefaultLimits()
	l.Deflate = true
	p := e.pair(t, l, newRecorder(t), newRecorder(t))
	c := p.a.client()
	c.open("/", "Sec-WebSocket-Extensions: permessage-deflate")
	c.deflate = true
	long := strings.Repeat("words, words, ", 2000)
	packed := ws.AppendDeflated(nil, []byte(long), false, 0)
	sent := []byte(text(string(packed[headerOf(packed):])))
	sent[0] |= 0x40
	half := string(sent[:len(sent)/2])
	rest := string(sent[len(sent)/2:])
	c.synced(half)
	p.move()
	c.write(rest)
	c.want(event{ws.Text, long, 0})
	// And what the server sends is compressed still.
	now := take(t, p.b.handler.conns, "Thaw")
	if err := now.Send([]byte(long), false); err != nil {
		t.Fatal(err)
	}
	c.want(event{ws.Text, long, 0})
}

// What a client hasn't read yet comes from here and there, in order, and a frame
// of which a part was written is completed.
func testFreezeUnsentOutput(t *testing.T, e env) {
	p := e.pair(t, transport.DefaultLimits(), newRecorder(t), newRecorder(t))
	c := p.a.client()
	c.open("/")
	conn := take(t, p.a.handler.conns, "bind")
	fill := strings.Repeat("f", 50_001)
	sent := 0
	for {
		err := conn.Send(fmt.Appendf(nil, "%d %s", sent, fill), false)
		if err == transport.ErrQueueFull {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sent++
	}
	p.move()
	now := take(t, p.b.handler.conns, "Thaw")
	for { // the socket may take some more now and then
		err := now.Send(fmt.Appendf(nil, "%d %s", sent, fill), false)
		if err == transport.ErrQueueFull {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sent++
	}
	for i := range sent {
		c.want(event{ws.Text, fmt.Sprintf("%d %s", i, fill), 0})
	}
	if err := now.Send([]byte("the last"), false); err != nil {
		t.Fatal(err)
	}
	c.want(event{ws.Text, "the last", 0})
}

func testFreezeServerCloses(t *testing.T, e env) {
	for _, answers := range []bool{true, false} {
		l := transport.DefaultLimits()
		if !answers {
			l.CloseTimeout = 300 * time.Millisecond
		}
		p := e.pair(t, l, newRecorder(t), newRecorder(t))
		c := p.a.client()
		c.open("/")
		if err := take(t, p.a.handler.conns, "bind").Close(4000, "moving on"); err != nil {
			t.Fatal(err)
		}
		p.move()
		if got := c.wantCode(4000); got != "moving on" {
			t.Errorf("close text %q", got)
		}
		if answers {
			c.write(text("too late") + closeFrame(4000, ""))
		}
		c.wantEnd()
		why := take(t, p.b.handler.closes, "OnClose")
		if why.Code != 4000 || why.Text != "moving on" || why.ByClient || (why.Err != nil) == answers {
			t.Errorf("answered %v: reason %v, want 4000 by us", answers, why)
		}
		none(t, p.b.handler.messages, "a message after Close")
	}
}

// The client's close frame came, and its answer waits behind what the client
// doesn't read.
func testFreezeClientCloses(t *testing.T, e env) {
	l := transport.DefaultLimits()
	l.CloseTimeout = patience
	p := e.pair(t, l, newRecorder(t), newRecorder(t))
	c := p.a.client()
	c.open("/")
	conn := take(t, p.a.handler.conns, "bind")
	sent := 0
	for conn.Send(make([]byte, 100_000), true) == nil {
		sent++
	}
	c.write(closeFrame(4321, "enough"))
	for conn.Send(nil, false) != transport.ErrClosed {
		time.Sleep(time.Millisecond)
	}
	p.move()
	for i := 0; ; i++ {
		got, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		if got.Kind == ws.Close {
			if got.Code != 4321 || i < sent {
				t.Errorf("code %v behind %d messages of %d", got.Code, i, sent)
			}
			break
		}
	}
	c.wantEnd()
	if why := take(t, p.b.handler.closes, "OnClose"); why.Code != 4321 || why.Text != "enough" || !why.ByClient {
		t.Errorf("reason %v, want the client's", why)
	}
}

func testFreezePausedReads(t *testing.T, e env) {
	from, to := newRecorder(t), newRecorder(t)
	from.message = func(c transport.Conn, m transport.Message) { c.PauseReads() }
	p := e.pair(t, transport.DefaultLimits(), from, to)
	c := p.a.client()
	c.open("/")
	c.write(text("pause") + text("read and not handled") + text("cut in its middle")[:9])
	if m := take(t, from.messages, "the first message"); string(m.Payload) != "pause" {
		t.Fatalf("message %q", m.Payload)
	}
	p.move()
	c.write(text("cut in its middle")[9:] + text("not read"))
	now := take(t, to.conns, "Thaw")
	now.Send([]byte("out"), false)
	c.want(event{ws.Text, "out", 0})
	none(t, to.messages, "a message while paused")
	now.ResumeReads()
	for _, want := range []string{"read and not handled", "cut in its middle", "not read"} {
		c.want(event{ws.Text, want, 0})
	}
	none(t, from.messages, "a message where the connection was")
}

// What Freeze says of pausing counts.
func testFreezePausedInFreeze(t *testing.T, e env) {
	for _, paused := range []bool{true, false} {
		from, to := newRecorder(t), newRecorder(t)
		from.freeze = func(c transport.Conn) ([]byte, error) {
			if paused {
				c.PauseReads()
			} else {
				c.ResumeReads()
			}
			return []byte(recorded), nil
		}
		p := e.pair(t, transport.DefaultLimits(), from, to)
		c := p.a.client()
		c.open("/")
		conn := take(t, from.conns, "bind")
		if !paused {
			conn.PauseReads()
		}
		p.move()
		now := take(t, to.conns, "Thaw")
		c.write(text("hello"))
		if paused {
			now.Send([]byte("out"), false)
			c.want(event{ws.Text, "out", 0})
			none(t, to.messages, "a message while paused")
			now.ResumeReads()
		}
		c.want(event{ws.Text, "hello", 0})
	}
}

// What the old end answers once the connection has moved.
func testFreezeMoved(t *testing.T, e env) {
	p := e.pair(t, transport.DefaultLimits(), newRecorder(t), newRecorder(t))
	c := p.a.client()
	c.open("/")
	conn := take(t, p.a.handler.conns, "bind")
	p.freeze(p.thaw)
	for range 2 {
		if err := conn.Send([]byte("x"), false); !errors.Is(err, transport.ErrMoved) {
			t.Errorf("Send: %v, want ErrMoved", err)
		}
		if err := conn.SendPrepared(&transport.Prepared{Payload: []byte("x")}); !errors.Is(err, transport.ErrMoved) {
			t.Errorf("SendPrepared: %v, want ErrMoved", err)
		}
		if err := conn.Close(1000, ""); !errors.Is(err, transport.ErrMoved) {
			t.Errorf("Close: %v, want ErrMoved", err)
		}
		conn.PauseReads()
		conn.ResumeReads()
		conn.SetData(conn.Data())
		p.a.engine.Close()
	}
	c.write(text("unharmed"))
	c.want(event{ws.Text, "unharmed", 0})
}

var errRefused = errors.New("the other process does not want them")

// A batch that isn't taken goes on where it was, and only that one: what was
// taken before is gone.
func testFreezeRefusedBatch(t *testing.T, e env) {
	p := e.pair(t, transport.DefaultLimits(), newRecorder(t), newRecorder(t))
	const n = 20
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = p.a.client()
		clients[i].open("/")
		clients[i].write(frame(ws.OpPing, true, "sync") + text("cut")[:7])
	}
	for _, c := range clients {
		c.want(event{ws.Pong, "sync", 0})
	}
	taken, calls := 0, 0
	left, err := p.a.engine.Freeze(t.Context(), 3, func(fs []transport.Frozen) error {
		if calls++; calls == 3 {
			return errRefused
		}
		taken += len(fs)
		return p.thaw(fs)
	})
	if !errors.Is(err, errRefused) || left.Movable != n-taken || left.Total() != n-taken || calls != 3 {
		t.Fatalf("Freeze: %v, %v, of %d were %d taken in %d calls", left, err, n, taken, calls)
	}
	for _, c := range clients {
		c.write(text("cut")[7:])
		c.want(event{ws.Text, "cut", 0})
	}
	if a, b := len(p.a.handler.messages), len(p.b.handler.messages); a != n-taken || b != taken {
		t.Errorf("%d messages came to the first and %d to the second, want %d and %d", a, b, n-taken, taken)
	}
	p.move()
	for _, c := range clients {
		c.write(text("again"))
		c.want(event{ws.Text, "again", 0})
	}
}

// A handshake that waits for its answer gets it where it waits, and then the
// connection moves.
func testFreezePendingUpgrade(t *testing.T, e env) {
	from := newRecorder(t)
	pending := make(chan transport.Upgrade, 2)
	from.upgrade = func(_ *transport.Request, u transport.Upgrade) { pending <- u }
	p := e.pair(t, transport.DefaultLimits(), from, newRecorder(t))
	yes, no := p.a.client(), p.a.client()
	yes.write(handshake("/") + text("early"))
	u := take(t, pending, "the upgrade")
	no.write(handshake("/"))
	rejected := take(t, pending, "the upgrade")
	frozen := make(chan error, 1)
	go func() {
		_, err := p.a.engine.Freeze(t.Context(), 3, p.thaw)
		frozen <- err
	}()
	rejected.Reject(403, nil, nil)
	if res, _ := no.response("GET"); res.StatusCode != 403 {
		t.Errorf("status %d, want 403", res.StatusCode)
	}
	no.wantEnd()
	none(t, frozen, "Freeze's return while a handshake waits")
	if err := u.Accept(nil, from.bind); err != nil {
		t.Fatalf("Accept: %v", err)
	}
	if res, _ := yes.response("GET"); res.StatusCode != 101 {
		t.Fatalf("status %d, want 101", res.StatusCode)
	}
	yes.want(event{ws.Text, "early", 0})
	if err := take(t, frozen, "Freeze's return"); err != nil {
		t.Errorf("Freeze: %v", err)
	}
	yes.write(text("there"))
	yes.want(event{ws.Text, "there", 0})
	if len(p.b.handler.messages) == 0 {
		t.Error("the message did not come to the second engine")
	}
}

// Requests are answered where they came; a connection on which one is awaited
// moves, with what has come of it.
func testFreezeRequests(t *testing.T, e env) {
	handler := func(name string, replies chan transport.Reply) *recorder {
		h := newRecorder(t)
		h.request = func(r *transport.Request, w transport.Reply) bool {
			if r.Target == "/later" {
				replies <- w
			} else {
				w.Respond(200, nil, []byte(name+string(r.Body)))
			}
			return true
		}
		return h
	}
	replies := make(chan transport.Reply, 1)
	p := e.pair(t, transport.DefaultLimits(), handler("first ", replies), handler("second ", nil))
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
	answer := func(c *client, want string) {
		t.Helper()
		if res, body := c.response("GET"); res.StatusCode != 200 || body != want || res.Close {
			t.Errorf("answer %d %q, closing %v, want %q", res.StatusCode, body, res.Close, want)
		}
	}
	silent, resting, head, body, busy := p.a.client(), p.a.client(), p.a.client(), p.a.client(), p.a.client()
	for _, c := range []*client{resting, head, body} {
		c.write(get)
		answer(c, "first ")
	}
	head.write(get[:20])
	body.write(post[:len(post)-2])
	busy.write(strings.Replace(get, "/", "/later", 1))
	later := take(t, replies, "the request")
	frozen, moved := make(chan error, 1), make(chan bool, 5)
	go func() {
		_, err := p.a.engine.Freeze(t.Context(), 3, func(fs []transport.Frozen) error {
			err := p.thaw(fs)
			for range fs {
				moved <- true
			}
			return err
		})
		frozen <- err
	}()
	for range 4 {
		take(t, moved, "a connection at rest")
	}
	silent.write(get)
	answer(silent, "second ")
	none(t, frozen, "Freeze's return while a request is being answered")
	later.Respond(200, nil, []byte("first, late"))
	answer(busy, "first, late")
	if err := take(t, frozen, "Freeze's return"); err != nil {
		t.Errorf("Freeze: %v", err)
	}
	p.a.engine.Close()
	for _, c := range []*client{resting, busy} {
		c.write(get)
		answer(c, "second ")
	}
	head.write(get[20:])
	answer(head, "second ")
	body.write("dy")
	answer(body, "second body")
	silent.open("/") // and may become a WebSocket
	silent.write(text("hi"))
	silent.want(event{ws.Text, "hi", 0})
}

func testFreezeContextEnds(t *testing.T, e env) {
	from := newRecorder(t)
	pending := make(chan transport.Upgrade, 1)
	from.upgrade = func(r *transport.Request, u transport.Upgrade) {
		if r.Target == "/pending" {
			pending <- u
			return
		}
		u.Accept(nil, from.bind)
	}
	p := e.pair(t, transport.DefaultLimits(), from, newRecorder(t))
	waiting := p.a.client()
	waiting.write(handshake("/pending"))
	u := take(t, pending, "the upgrade")
	open := p.a.client()
	open.open("/")
	ctx, cancel := context.WithCancel(t.Context())
	left, err := p.a.engine.Freeze(ctx, 3, func(fs []transport.Frozen) error {
		cancel() // the batch under way is moved nevertheless
		return p.thaw(fs)
	})
	if err != context.Canceled || left.Upgrades != 1 || left.Total() != 1 {
		t.Errorf("Freeze: %v, %v, want one upgrade left and the context's error", left, err)
	}
	open.write(text("there"))
	open.want(event{ws.Text, "there", 0})
	take(t, p.b.handler.conns, "Thaw")
	// What is left goes on.
	if err := u.Accept(nil, from.bind); err != nil {
		t.Fatal(err)
	}
	if res, _ := waiting.response("GET"); res.StatusCode != 101 {
		t.Fatalf("status %d, want 101", res.StatusCode)
	}
	waiting.write(text("here"))
	waiting.want(event{ws.Text, "here", 0})
	p.move()
	waiting.write(text("there"))
	waiting.want(event{ws.Text, "there", 0})
}

func testFreezeHandlerRefuses(t *testing.T, e env) {
	from, to := newRecorder(t), newRecorder(t)
	var n atomic.Int32
	from.freeze = func(transport.Conn) ([]byte, error) {
		switch n.Add(1) {
		case 2:
			return nil, errRefused
		case 4:
			panic("in Freeze")
		}
		return []byte(recorded), nil
	}
	var thawed atomic.Int32
	to.thaw = func(c transport.Conn, data []byte) error {
		switch thawed.Add(1) {
		case 1:
			return errRefused
		case 2:
			panic("in Thaw")
		}
		to.bind(c)
		return nil
	}
	p := e.pair(t, transport.DefaultLimits(), from, to)
	clients := make([]*client, 8)
	for i := range clients {
		clients[i] = p.a.client()
		clients[i].open("/")
	}
	refused := 0
	left, err := p.a.engine.Freeze(t.Context(), 100, func(fs []transport.Frozen) error {
		if err := p.thaw(fs); err != nil {
			if !errors.Is(err, errRefused) && !strings.Contains(err.Error(), "panicked") {
				t.Errorf("Thaw: %v", err)
			}
			refused++
		}
		return nil // the others are there
	})
	if err != nil || left.Refused != 2 || left.Total() != 2 || refused == 0 {
		t.Errorf("Freeze: %v, %v; %d times Thaw had an error", left, err, refused)
	}
	count := map[string]int{}
	for _, c := range clients {
		c.write(text("hello"))
		got, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		if got.Kind == ws.Close {
			count[fmt.Sprint(uint16(got.Code))]++
			c.write(closeFrame(got.Code, ""))
			c.wantEnd()
			continue
		}
		count[got.Payload]++
	}
	if got := fmt.Sprint(count); got != "map[1011:2 hello:6]" {
		t.Errorf("the clients received %s", got)
	}
	if len(from.messages) != 2 || len(to.messages) != 4 {
		t.Errorf("%d messages came to the first and %d to the second, want 2 and 4", len(from.messages), len(to.messages))
	}
	none(t, to.closes, "OnClose for a connection that Thaw refused")
}

// A connection whose state can't be read ends; the others go on.
func testFreezeDamagedState(t *testing.T, e env) {
	p := e.pair(t, transport.DefaultLimits(), newRecorder(t), newRecorder(t))
	clients := make([]*client, 6)
	for i := range clients {
		clients[i] = p.a.client()
		clients[i].open("/")
	}
	damaged := false
	p.freeze(func(fs []transport.Frozen) error {
		if !damaged {
			damaged = true
			fs[0].State = fs[0].State[:len(fs[0].State)-1]
			if err := p.thaw(fs); err == nil {
				t.Error("Thaw of a damaged state: no error")
			}
			return nil
		}
		return p.thaw(fs)
	})
	ended := 0
	for _, c := range clients {
		c.write(text("hello"))
		if got, err := c.next(); err != nil {
			ended++
		} else if got.Payload != "hello" {
			t.Errorf("received %s", short(got))
		}
	}
	if ended != 1 {
		t.Errorf("%d connections ended, want the one", ended)
	}
}

// While an engine is frozen, clients come to the one that shares the listener.
// After Resume it accepts again.
func testFreezeAccepting(t *testing.T, e env) {
	from := newRecorder(t)
	s := e.tcp(t, transport.DefaultLimits(), from, nil)
	c := s.client()
	c.open("/")
	for range 2 {
		_, err := s.engine.Freeze(t.Context(), 3, func([]transport.Frozen) error { return errRefused })
		if !errors.Is(err, errRefused) {
			t.Fatalf("Freeze: %v", err)
		}
		none(t, s.served, "Serve's return")
		next := s.client()
		next.write(handshake("/"))
		c.write(text("alive"))
		c.want(event{ws.Text, "alive", 0})
		if len(from.requests) != 1 {
			t.Fatal("a client was accepted by a frozen engine")
		}
		s.engine.Resume()
		if res, _ := next.response("GET"); res.StatusCode != 101 {
			t.Fatalf("status %d, want 101", res.StatusCode)
		}
		next.Close()
		take(t, from.closes, "OnClose")
		take(t, from.requests, "the request")
	}
}
