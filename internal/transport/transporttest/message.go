package transporttest

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

const wsText = ws.Text

func testEcho(t *testing.T, e env) {
	l := transport.DefaultLimits()
	l.BinaryAllowed = true
	s := e.tcp(t, l, newRecorder(t), nil)
	c := s.client()
	c.open("/")
	for _, n := range []int{0, 1, 125, 126, 4096, 32 << 10} {
		c.write(text(strings.Repeat("é", n/2)))
		c.want(event{ws.Text, strings.Repeat("é", n/2), 0})
	}
	// Fragments, with a ping between; the answer is split in its turn.
	part := strings.Repeat("f", 30000)
	c.write(frame(ws.OpText, false, part) + frame(ws.OpPing, true, "p") + frame(ws.OpContinuation, false, part) + frame(ws.OpContinuation, true, part))
	c.want(event{ws.Pong, "p", 0})
	c.want(event{ws.Text, part + part + part, 0})
	c.write(frame(ws.OpBinary, true, "\xff\x00"))
	c.want(event{ws.Binary, "\xff\x00", 0})
	// Many in one write come back in order.
	var many strings.Builder
	for i := range 500 {
		many.WriteString(text(fmt.Sprint(i)))
	}
	go c.write(many.String())
	for i := range 500 {
		c.want(event{ws.Text, fmt.Sprint(i), 0})
	}
}

// Compression is agreed where the limits and the client want it, and only then.
func testDeflate(t *testing.T, e env) {
	const offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
	plain := e.echo(t).client()
	if got := plain.open("/", offer).Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("extensions %q though compression is off", got)
	}
	l := transport.DefaultLimits()
	l.Deflate = true
	s := e.tcp(t, l, newRecorder(t), nil)
	c := s.client()
	if got := c.open("/").Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("extensions %q though the client offers none", got)
	}
	long := strings.Repeat("words, words, ", 5000)
	c.write(text(long[:30000]))
	c.want(event{ws.Text, long[:30000], 0})

	c = s.client()
	if got, want := c.open("/", offer).Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate; server_no_context_takeover; client_no_context_takeover"; got != want {
		t.Errorf("extensions %q, want %q", got, want)
	}
	packed := ws.AppendDeflated(nil, []byte(long), false, 0) // longer than a frame may be, but for the compression
	body := string(packed[headerOf(packed):])
	frame := []byte(frame(ws.OpText, true, body))
	frame[0] |= 0x40
	c.deflate = true
	for range 3 {
		c.write(string(frame[:10]))
		c.write(string(frame[10:]) + text("short"))
		c.want(event{ws.Text, long, 0})
		c.want(event{ws.Text, "short", 0})
	}
	bomb := ws.AppendDeflated(nil, make([]byte, 10<<20), false, 0)
	frame = []byte(text(string(bomb[headerOf(bomb):])))
	frame[0] |= 0x40
	c.write(string(frame))
	c.wantCode(1009)
}

// headerOf returns the size of a server's frame's header.
func headerOf(frame []byte) int {
	switch frame[1] {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

func testPingPong(t *testing.T, e env) {
	s := e.echo(t)
	c := s.client()
	c.open("/")
	c.write(frame(ws.OpPong, true, "nobody asked") + frame(ws.OpPing, true, "") + frame(ws.OpPing, true, strings.Repeat("p", 125)))
	c.want(event{Kind: ws.Pong})
	c.want(event{ws.Pong, strings.Repeat("p", 125), 0})
	none(t, s.handler.messages, "a message")

	l := transport.DefaultLimits()
	l.Ping = 30 * time.Millisecond
	c = e.tcp(t, l, newRecorder(t), nil).client()
	c.open("/")
	c.want(event{Kind: ws.Ping})
	c.write(frame(ws.OpPong, true, ""))
	c.want(event{Kind: ws.Ping})
}

func testClientCloses(t *testing.T, e env) {
	tests := []struct {
		name   string
		end    func(*client)
		answer *event
		code   ws.CloseCode
		text   string
		drop   string
	}{
		{"1000 with text", func(c *client) { c.write(closeFrame(1000, "bye")) }, &event{Kind: ws.Close, Code: 1000}, 1000, "bye", ""},
		{"4321", func(c *client) { c.write(closeFrame(4321, "")) }, &event{Kind: ws.Close, Code: 4321}, 4321, "", ""},
		{"no status", func(c *client) { c.write(frame(ws.OpClose, true, "")) }, &event{Kind: ws.Close, Code: 1005}, 1005, "", ""},
		{"close behind a message, and more behind it", func(c *client) {
			c.write(frame(ws.OpClose, true, "\x03\xe8") + text("too late"))
		}, &event{Kind: ws.Close, Code: 1000}, 1000, "", ""},
		{"TCP end", func(c *client) { c.Close() }, nil, 1006, "", transport.DropConnectionLost},
		{"TCP half-close", func(c *client) { c.Conn.(*net.TCPConn).CloseWrite() }, nil, 1006, "", transport.DropConnectionLost},
		{"TCP reset", func(c *client) { c.Conn.(*net.TCPConn).SetLinger(0); c.Close() }, nil, 1006, "", transport.DropConnectionLost},
		{"TCP end in a frame", func(c *client) { c.write(text("hello")[:7]); c.Close() }, nil, 1006, "", transport.DropConnectionLost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := e.echo(t)
			c := s.client()
			c.open("/")
			c.write(text("hello"))
			c.want(event{ws.Text, "hello", 0})
			tt.end(c)
			if tt.answer != nil {
				c.want(*tt.answer)
				c.wantEnd()
			}
			why := take(t, s.handler.closes, "OnClose")
			if why.Code != tt.code || why.Text != tt.text || !why.ByClient || why.Drop != tt.drop {
				t.Errorf("reason %v, want %v %q by the client, drop %q", why, tt.code, tt.text, tt.drop)
			}
			if (why.Err != nil) != (tt.drop != "") {
				t.Errorf("reason's error %v", why.Err)
			}
			if len(s.handler.messages) != 1 {
				t.Errorf("%d messages, want the one before the close", len(s.handler.messages))
			}
		})
	}
}

// The client's close frame counts even if we learn first, by writing, that its
// socket is gone.
func testCloseBehindABrokenPipe(t *testing.T, e env) {
	if runtime.GOOS != "linux" {
		t.Skip("what a reset does to bytes that wait to be read differs between systems")
	}
	h := newRecorder(t)
	h.message = func(c transport.Conn, m transport.Message) { c.PauseReads() }
	s := e.tcp(t, transport.DefaultLimits(), h, nil)
	c := s.client()
	c.open("/")
	c.write(text("pause") + text("last") + closeFrame(1000, "bye"))
	take(t, h.messages, "the first message")
	conn := take(t, h.conns, "bind")
	c.Close()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if err := conn.Send([]byte("x"), false); err != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("Send to a closed socket never fails")
		}
	}
	conn.ResumeReads()
	if m := take(t, h.messages, "the last message"); string(m.Payload) != "last" {
		t.Errorf("message %q, want the last", m.Payload)
	}
	conn.ResumeReads()
	if why := take(t, h.closes, "OnClose"); why.Code != 1000 || why.Text != "bye" || !why.ByClient || why.Err != nil {
		t.Errorf("reason %v, want the client's own", why)
	}
}

func testServerCloses(t *testing.T, e env) {
	for _, tt := range []struct {
		name   string
		code   ws.CloseCode
		text   string
		client func(*client)
		want   ws.CloseCode
		err    bool
		silent bool
	}{
		{"client answers", 1000, "done", func(c *client) { c.write(closeFrame(1000, "")) }, 1000, false, false},
		{"client answers with another code", 4000, "", func(c *client) { c.write(closeFrame(1000, "")) }, 4000, false, false},
		{"client sends on first", 1012, "restart", func(c *client) { c.write(text("a") + text("b") + closeFrame(1012, "")) }, 1012, false, false},
		{"client hangs up", 1001, "", func(c *client) { c.Close() }, 1001, true, false},
		{"client does nothing", 1001, "", func(c *client) {}, 1001, true, true},
		{"a code that can't be sent", 1006, "x", func(c *client) { c.write(frame(ws.OpClose, true, "")) }, 1005, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := transport.DefaultLimits()
			l.CloseTimeout = patience
			if tt.silent {
				l.CloseTimeout = 80 * time.Millisecond
			}
			s := e.tcp(t, l, newRecorder(t), nil)
			c := s.client()
			c.open("/")
			conn := take(t, s.handler.conns, "bind")
			conn.Send([]byte("before"), false)
			conn.Close(tt.code, tt.text)
			conn.Close(4444, "again") // does nothing
			if err := conn.Send([]byte("after"), false); !errors.Is(err, transport.ErrClosed) {
				t.Errorf("Send after Close: %v, want ErrClosed", err)
			}
			c.want(event{ws.Text, "before", 0})
			if got := c.wantCode(tt.want); tt.want != 1005 && got != tt.text {
				t.Errorf("close text %q, want %q", got, tt.text)
			}
			tt.client(c)
			why := take(t, s.handler.closes, "OnClose")
			if why.Code != tt.want || why.ByClient || (why.Err != nil) != tt.err {
				t.Errorf("reason %v, want %v by us, an error: %v", why, tt.want, tt.err)
			}
			none(t, s.handler.messages, "a message after Close")
		})
	}
}

func testBreaches(t *testing.T, e env) {
	huge := strings.Repeat("h", 1<<20)
	for _, tt := range []struct {
		name string
		send string
		code ws.CloseCode
		drop string
	}{
		{"frame over 32 KB", text(huge[:32<<10+1]), 1009, transport.DropFrameTooBig},
		{"frame of 1 MB, sent to its end", text(huge), 1009, transport.DropMessageTooBig},
		{"message over 128 KB", frame(ws.OpText, false, huge[:32<<10]) + strings.Repeat(frame(ws.OpContinuation, false, huge[:32<<10]), 3) + frame(ws.OpContinuation, true, "x"), 1009, transport.DropMessageTooBig},
		{"binary", frame(ws.OpBinary, true, "x"), 1003, transport.DropBinary},
		{"invalid UTF-8", text("a\xff"), 1007, transport.DropInvalidUTF8},
		{"invalid UTF-8 in a close frame", closeFrame(1000, "\xff"), 1007, transport.DropInvalidUTF8},
		{"close with a code that may not be sent", closeFrame(1005, ""), 1002, transport.DropProtocolError},
		{"not masked", "\x81\x01x", 1002, transport.DropProtocolError},
		{"reserved bit", "\xc1\x81\x00\x00\x00\x00x", 1002, transport.DropProtocolError},
		{"reserved opcode", "\x83\x80\x00\x00\x00\x00", 1002, transport.DropProtocolError},
		{"long ping", frame(ws.OpPing, true, huge[:126]), 1002, transport.DropProtocolError},
		{"continuation of nothing", frame(ws.OpContinuation, true, "x"), 1002, transport.DropProtocolError},
		{"HTTP again", handshake("/"), 1002, transport.DropProtocolError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := e.echo(t)
			c := s.client()
			c.open("/")
			c.write(text("fine"))
			c.want(event{ws.Text, "fine", 0})
			c.write(tt.send)
			c.wantCode(tt.code)
			c.wantEnd()
			c.Close()
			why := take(t, s.handler.closes, "OnClose")
			if why.Code != tt.code || why.ByClient || why.Drop != tt.drop || why.Err == nil {
				t.Errorf("reason %v, want %v by us, drop %q and an error", why, tt.code, tt.drop)
			}
			if len(s.handler.messages) != 1 {
				t.Errorf("%d messages, want the one that was fine", len(s.handler.messages))
			}
		})
	}
	t.Run("message at the limit", func(t *testing.T) {
		c := e.echo(t).client()
		c.open("/")
		c.write(frame(ws.OpText, false, huge[:32<<10]) + strings.Repeat(frame(ws.OpContinuation, false, huge[:32<<10]), 2) + frame(ws.OpContinuation, true, huge[:32<<10]))
		c.want(event{ws.Text, huge[:128<<10], 0})
	})
}

func testQueueFull(t *testing.T, e env) {
	l := transport.DefaultLimits()
	l.SendQueue = 256 << 10
	s := e.tcp(t, l, newRecorder(t), nil)
	c := s.client()
	c.open("/")
	conn := take(t, s.handler.conns, "bind")
	if err := conn.Send(make([]byte, 256<<10), true); err != transport.ErrQueueFull {
		t.Errorf("a message as big as the queue: %v, want ErrQueueFull", err)
	}
	payload := make([]byte, 64<<10)
	sent := 0
	var err error
	for sent < 10000 { // the kernel's buffers take some megabytes
		if err = conn.Send(payload, true); err != nil {
			break
		}
		sent++
	}
	if err != transport.ErrQueueFull {
		t.Fatalf("Send to a client that does not read: %v, want ErrQueueFull", err)
	}
	// The client reads again: what was queued is whole, and there is room.
	for range sent {
		if ev, err := c.next(); err != nil || ev.Kind != ws.Binary || len(ev.Payload) != len(payload) {
			t.Fatalf("received %s, %v", short(ev), err)
		}
	}
	if err := conn.Send([]byte("again"), false); err != nil {
		t.Errorf("Send to a client that reads again: %v", err)
	}
	c.want(event{ws.Text, "again", 0})
}

func testWriteTimeout(t *testing.T, e env) {
	l := transport.DefaultLimits()
	l.SendQueue = 256 << 10
	l.WriteTimeout = 300 * time.Millisecond
	s := e.tcp(t, l, newRecorder(t), nil)
	c := s.client()
	c.open("/")
	conn := take(t, s.handler.conns, "bind")
	payload := make([]byte, 64<<10)
	for end := time.Now().Add(patience); ; {
		err := conn.Send(payload, true)
		if errors.Is(err, transport.ErrClosed) {
			break
		}
		if err != nil {
			time.Sleep(time.Millisecond)
		}
		if time.Now().After(end) {
			t.Fatal("a client that reads nothing is not cut off")
		}
	}
	why := take(t, s.handler.closes, "OnClose")
	if why.Code != 1006 || why.ByClient || why.Drop != transport.DropWriteTimeout {
		t.Errorf("reason %v, want 1006 by us for %q", why, transport.DropWriteTimeout)
	}
}

func testPauseReads(t *testing.T, e env) {
	h := newRecorder(t)
	h.message = func(c transport.Conn, m transport.Message) {
		if string(m.Payload) == "pause" {
			c.PauseReads()
		}
	}
	s := e.tcp(t, transport.DefaultLimits(), h, nil)
	c := s.client()
	c.open("/")
	conn := take(t, h.conns, "bind")
	for round := range 3 {
		// In one write, so that a decoder has the rest in hand.
		c.write(text("a") + text("pause") + text("b") + text("c"))
		for _, want := range []string{"a", "pause"} {
			if m := take(t, h.messages, want); string(m.Payload) != want {
				t.Fatalf("message %q, want %q", m.Payload, want)
			}
		}
		// What is sent meanwhile goes out.
		conn.Send([]byte("out"), false)
		c.want(event{ws.Text, "out", 0})
		none(t, h.messages, "a message while paused")
		if round == 2 {
			conn.Close(1000, "closed while paused")
			c.wantCode(1000)
			c.write(closeFrame(1000, ""))
			break
		}
		conn.ResumeReads()
		for _, want := range []string{"b", "c"} {
			if m := take(t, h.messages, want); string(m.Payload) != want {
				t.Fatalf("message %q, want %q", m.Payload, want)
			}
		}
	}
	if why := take(t, h.closes, "OnClose"); why.Code != 1000 {
		t.Errorf("reason %v, want 1000", why)
	}
	none(t, h.messages, "a message after Close")
}

// Frames of concurrent senders never interleave, and each sender's messages
// keep their order.
func testConcurrentSend(t *testing.T, e env) {
	const senders, each = 8, 40
	l := transport.DefaultLimits()
	l.OutFrame = 125
	s := e.tcp(t, l, newRecorder(t), nil)
	c := s.client()
	c.open("/")
	conn := take(t, s.handler.conns, "bind")
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for j := range each {
				m := fmt.Sprintf("%d %d %s", i, j, strings.Repeat(string(rune('a'+i)), 300+j))
				for {
					err := conn.Send([]byte(m), false)
					if err == nil {
						break
					}
					if err != transport.ErrQueueFull {
						t.Errorf("Send: %v", err)
						return
					}
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	next := [senders]int{}
	for range senders * each {
		ev, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		var i, j int
		var fill string
		if _, err := fmt.Sscan(ev.Payload, &i, &j, &fill); err != nil || i < 0 || i >= senders ||
			j != next[i] || fill != strings.Repeat(string(rune('a'+i)), 300+j) {
			t.Fatalf("received %s, want sender's next in order and whole", short(ev))
		}
		next[i]++
	}
	wg.Wait()
}

// One message goes to clients who read, who compress, who don't read and who
// left, and each gets it whole and in order, or is an error of its own.
func testSendPrepared(t *testing.T, e env) {
	l := transport.DefaultLimits()
	l.Deflate = true
	l.SendQueue = 64 << 10
	l.OutFrame = 4 << 10
	s := e.tcp(t, l, newRecorder(t), nil)
	plain, packing, deaf, gone := s.client(), s.client(), s.client(), s.client()
	conns := make([]transport.Conn, 4)
	for i, c := range []*client{plain, packing, deaf, gone} {
		extra := []string{}
		if c == packing {
			extra = append(extra, "Sec-WebSocket-Extensions: permessage-deflate")
			c.deflate = true
		}
		c.open("/", extra...)
		conns[i] = take(t, s.handler.conns, "bind")
	}
	gone.write(closeFrame(1000, ""))
	take(t, s.handler.closes, "OnClose")
	sent := 0
	var full error
	for i := 0; full == nil; i++ {
		p := &transport.Prepared{Payload: []byte(fmt.Sprint(i) + strings.Repeat(" and so on", 2000))}
		errs := make([]error, 5)
		if many := i%2 == 0; many {
			p.SendTo([]transport.Conn{conns[0], conns[1], nil, conns[2], conns[3]}, errs)
		} else {
			for j, c := range conns {
				errs[[]int{0, 1, 3, 4}[j]] = c.SendPrepared(p)
			}
		}
		for j, c := range conns[:2] {
			if errs[j] != nil {
				t.Fatalf("client %d: %v", j, errs[j])
			}
			c.Send(fmt.Append(nil, "alone ", i), false)
		}
		for _, c := range []*client{plain, packing} {
			c.want(event{ws.Text, string(p.Payload), 0})
			c.want(event{ws.Text, fmt.Sprint("alone ", i), 0})
		}
		if errs[2] != nil || errs[4] != transport.ErrClosed {
			t.Fatalf("nobody: %v, want nil; a closed connection: %v, want ErrClosed", errs[2], errs[4])
		}
		if full = errs[3]; full == nil {
			sent++
		}
	}
	if full != transport.ErrQueueFull {
		t.Errorf("a client that doesn't read: %v, want ErrQueueFull", full)
	}
	for i := range sent {
		deaf.want(event{ws.Text, fmt.Sprint(i) + strings.Repeat(" and so on", 2000), 0})
	}
}

// Several messages go to more clients than an engine sends to at a time, while each
// client gets others too: each has all of them, those of a sender in order.
func testSendTo(t *testing.T, e env) {
	const clients, senders, rounds = 150, 3, 20
	s := e.tcp(t, transport.DefaultLimits(), newRecorder(t), nil)
	all := make([]*client, clients)
	conns := make([]transport.Conn, clients)
	for i := range all {
		all[i] = s.client()
		all[i].open("/")
		conns[i] = take(t, s.handler.conns, "bind")
	}
	other := e.tcp(t, transport.DefaultLimits(), newRecorder(t), nil)
	stranger := other.client()
	stranger.open("/")
	conns = append(conns, take(t, other.handler.conns, "bind"))
	all = append(all, stranger)
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for j := range rounds {
				p := &transport.Prepared{Payload: fmt.Append(nil, i, " ", j)}
				errs := make([]error, len(conns))
				p.SendTo(conns, errs)
				if err := errors.Join(errs...); err != nil {
					t.Errorf("SendTo: %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		for j := range rounds {
			for k, c := range conns {
				if err := c.Send(fmt.Append(nil, senders, " ", j), false); err != nil {
					t.Errorf("Send to %d: %v", k, err)
				}
			}
		}
	})
	for k, c := range all {
		var next [senders + 1]int
		for range (senders + 1) * rounds {
			ev, err := c.next()
			if err != nil {
				t.Fatalf("client %d: %v", k, err)
			}
			var i, j int
			if _, err := fmt.Sscan(ev.Payload, &i, &j); err != nil || i < 0 || i > senders || j != next[i] {
				t.Fatalf("client %d received %s, want sender's next in order", k, short(ev))
			}
			next[i]++
		}
	}
	wg.Wait()
}

// Many clients send at once; each gets its own messages back, and its neighbour's,
// each in order, whatever becomes of some who are cut off.
func testCrowd(t *testing.T, e env) {
	const clients, leaving, rounds = 60, 6, 40
	h := newRecorder(t)
	all := make([]*client, clients)
	conns := make([]transport.Conn, clients)
	start := make(chan struct{})
	h.message = func(c transport.Conn, m transport.Message) {
		<-start // it was closed before any client sent
		var i, n int
		if _, err := fmt.Sscan(string(m.Payload), &i, &n); err != nil {
			t.Errorf("message %q: %v", m.Payload, err)
			return
		}
		for _, to := range []transport.Conn{c, conns[(i+1)%clients]} {
			if err := to.Send(m.Payload, false); err != nil && (i+1)%clients >= leaving && i >= leaving {
				t.Errorf("Send: %v", err)
			}
		}
	}
	s := e.tcp(t, transport.DefaultLimits(), h, nil)
	for i := range all {
		all[i] = s.client()
		all[i].open("/")
		conns[i] = take(t, h.conns, "bind")
	}
	var sending sync.WaitGroup
	for i, c := range all {
		sending.Go(func() {
			<-start
			for n := range rounds {
				if i < leaving && n == rounds/2 {
					c.Conn.Close()
					return
				}
				c.write(text(fmt.Sprint(i, " ", n, strings.Repeat(" ", n*37))))
			}
		})
	}
	close(start)
	for i, c := range all[leaving:] {
		i += leaving
		next := map[int]int{}
		// Of who left, before the first of these, some may come.
		for next[i] < rounds || i > leaving && next[i-1] < rounds {
			ev, err := c.next()
			if err != nil {
				t.Fatalf("client %d: %v", i, err)
			}
			var from, n int
			if _, err := fmt.Sscan(ev.Payload, &from, &n); err != nil || n != next[from] || from != i && from != i-1 {
				t.Fatalf("client %d received %s after %v", i, short(ev), next)
			}
			next[from]++
		}
	}
	sending.Wait()
}

// Clients who say all that they have to say and then end their direction, many of
// them while the engine is busy, get their answers nevertheless.
func testCrowdThatEnds(t *testing.T, e env) {
	const clients, rounds = 24, 5
	h := newRecorder(t)
	start := make(chan struct{})
	h.message = func(c transport.Conn, m transport.Message) {
		<-start
		if err := c.Send(m.Payload, false); err != nil {
			t.Errorf("Send: %v", err)
		}
	}
	h.request = func(r *transport.Request, w transport.Reply) bool {
		w.Respond(200, nil, r.Body)
		return true
	}
	s := e.tcp(t, transport.DefaultLimits(), h, nil)
	all, plain := make([]*client, clients), make([]*client, clients)
	for i := range all {
		all[i], plain[i] = s.client(), s.client()
		all[i].open("/")
		take(t, h.conns, "bind")
	}
	end := func(c *client) { c.Conn.(interface{ CloseWrite() error }).CloseWrite() }
	for i, c := range all {
		for n := range rounds {
			c.write(text(fmt.Sprint(i, " ", n)))
		}
		end(c)
		plain[i].write(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%2d", i))
		end(plain[i])
	}
	close(start)
	for i, c := range all {
		for n := range rounds {
			c.want(event{ws.Text, fmt.Sprint(i, " ", n), 0})
		}
		if resp, body := plain[i].response("POST"); resp.StatusCode != 200 || body != fmt.Sprintf("%2d", i) {
			t.Errorf("request %d was answered with %d %q", i, resp.StatusCode, body)
		}
	}
}
