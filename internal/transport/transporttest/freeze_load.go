package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// Several goroutines send numbered messages to one connection, which first isn't
// taken and then moves: nothing that was acknowledged is lost, nothing comes
// twice, and each sender's messages keep their order.
func testFreezeConcurrentSend(t *testing.T, e env) {
	const senders, least = 4, 200
	l := transport.DefaultLimits()
	l.OutFrame = 125
	p := e.pair(t, l, newRecorder(t), newRecorder(t))
	c := p.a.client()
	c.open("/")
	here := take(t, p.a.handler.conns, "bind")
	there := make(chan struct{})
	var moved transport.Conn
	var enough atomic.Bool
	var wg sync.WaitGroup
	counts := make([]int, senders)
	var progress atomic.Int64
	for i := range senders {
		wg.Go(func() {
			conn := here
			for j := 0; j < least || !enough.Load(); {
				m := fmt.Sprintf("%d %d %s", i, j, strings.Repeat("m", 300))
				switch err := conn.Send([]byte(m), false); {
				case err == nil:
					j++
					counts[i] = j
					progress.Add(1)
				case errors.Is(err, transport.ErrMoved) && conn == here:
					<-there
					conn = moved
				case errors.Is(err, transport.ErrQueueFull):
					time.Sleep(time.Millisecond)
				default:
					t.Errorf("Send: %v", err)
					return
				}
			}
		})
	}
	// goOn waits until some more messages were sent.
	goOn := func(n int64) {
		for until := progress.Load() + n; progress.Load() < until && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	received := make(chan error, 1)
	var got [senders]int
	go func() { received <- c.inTurn(got[:]) }()
	for range 3 {
		goOn(100)
		_, err := p.a.engine.Freeze(t.Context(), 3, func([]transport.Frozen) error {
			time.Sleep(5 * time.Millisecond) // time for senders to come
			return errRefused
		})
		if !errors.Is(err, errRefused) {
			t.Fatalf("Freeze: %v", err)
		}
	}
	goOn(100)
	p.freeze(func(fs []transport.Frozen) error {
		time.Sleep(5 * time.Millisecond)
		err := p.thaw(fs)
		moved = take(t, p.b.handler.conns, "Thaw")
		close(there)
		return err
	})
	goOn(100)
	enough.Store(true)
	wg.Wait()
	if err := moved.Send([]byte("end"), false); err != nil {
		t.Fatal(err)
	}
	if err := take(t, received, "the last message"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got[:], counts) {
		t.Errorf("received %v, acknowledged were %v", got, counts)
	}
}

// inTurn reads numbered messages, each its sender's next, until one says that it is
// the end. next counts them by sender.
func (c *client) inTurn(next []int) error {
	for {
		ev, err := c.next()
		if err == nil && ev.Payload == "end" {
			return nil
		}
		var i, j int
		if err == nil {
			_, err = fmt.Sscan(ev.Payload, &i, &j)
		}
		if err != nil || i < 0 || i >= len(next) || j != next[i] {
			return fmt.Errorf("received %s, %v, want the next of %v", short(ev), err, next)
		}
		next[i]++
	}
}

// Many clients, each with one numbered message in flight, move there and back
// again while some batches are refused.
func testFreezeBusy(t *testing.T, e env) {
	const clients = 2000
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &countingEchoer{}
	l := transport.DefaultLimits()
	l.CloseTimeout = 100 * time.Millisecond // at the end the clients don't answer
	engines := [2]transport.Engine{}
	for i := range engines {
		engines[i] = e.newEngine(l, transport.EventListener{})
		defer engines[i].Close()
	}
	served := make(chan error, 1)
	go func() { served <- engines[0].Serve(ln, h, nil) }()
	var stop atomic.Bool
	var echoes atomic.Int64
	var wg sync.WaitGroup
	conns := make([]net.Conn, clients)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", ln.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
	}
	for i, c := range conns {
		wg.Go(func() { askForEchoes(t, c, i, &stop, &echoes) })
	}
	goOn := func() { // until every client has had one more, on average
		for until := echoes.Load() + clients; echoes.Load() < until && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	for h.opened.Load() < clients && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	goOn()
	passes := 0
	for from := range engines {
		moved := 0
		for moved < clients && !t.Failed() {
			left, err := engines[from].Freeze(t.Context(), 250, func(fs []transport.Frozen) error {
				if passes++; passes%4 == 2 {
					return errRefused
				}
				moved += len(fs)
				return engines[1-from].Thaw(h, nil, fs)
			})
			if err != nil && !errors.Is(err, errRefused) || left.Total() != clients-moved {
				t.Fatalf("Freeze: %v, %v; %d have moved", left, err, moved)
			}
		}
		goOn()
	}
	stop.Store(true)
	wg.Wait()
	if n := h.closes.Load(); n != 0 {
		t.Errorf("OnClose was called %d times", n)
	}
	engines[0].Close()
	if err := take(t, served, "Serve's return"); err != transport.ErrEngineClosed {
		t.Errorf("Serve: %v", err)
	}
}

// askForEchoes sends one numbered message after the other, some in two parts, and
// wants each back before the next.
func askForEchoes(t *testing.T, c net.Conn, client int, stop *atomic.Bool, echoes *atomic.Int64) {
	c.SetDeadline(time.Now().Add(3 * patience))
	io.WriteString(c, handshake("/"))
	head := make([]byte, 0, 512)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		n, err := c.Read(head[len(head):cap(head)])
		if n == 0 {
			t.Errorf("client %d: the answer to the handshake: %q, %v", client, head, err)
			return
		}
		head = head[:len(head)+n]
	}
	var in, out, want []byte
	for i := 0; !stop.Load(); i++ {
		m := fmt.Appendf(nil, "client %d message %d", client, i)
		out = ws.AppendMaskedFrame(out[:0], ws.OpText, true, [4]byte{1, 2, 3, 4}, m)
		want = ws.AppendFrame(want[:0], ws.OpText, true, m)
		in = append(in[:0], want...)
		cut := (client + i) % (2 * len(out))
		if cut < len(out) {
			c.Write(out[:cut])
			runtime.Gosched()
			c.Write(out[cut:])
		} else {
			c.Write(out)
		}
		if _, err := io.ReadFull(c, in); err != nil || !bytes.Equal(in, want) {
			t.Errorf("client %d received %q, %v, want %q", client, in, err, want)
			return
		}
		echoes.Add(1)
	}
}

// A countingEchoer counts what began and what ended.
type countingEchoer struct {
	echoer
	opened, closes atomic.Int64
}

func (h *countingEchoer) OnUpgrade(r *transport.Request, u transport.Upgrade) {
	h.echoer.OnUpgrade(r, u)
	h.opened.Add(1)
}

func (h *countingEchoer) OnClose(transport.Conn, transport.CloseReason) { h.closes.Add(1) }

// Clients come, talk and end in every way while all that is open moves to and fro
// and some batches are refused: nobody notices, and each connection has its
// OnClose once, wherever it ended.
func testFreezeComingAndGoing(t *testing.T, e env) {
	const clients = 200
	l := transport.DefaultLimits()
	l.CloseTimeout = 100 * time.Millisecond
	from := newRecorder(t)
	p := e.pair(t, l, from, from) // one recorder counts for both
	from.message = obey
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	done := make(chan struct{})
	moved, refused := 0, 0
	var mover sync.WaitGroup
	mover.Go(func() {
		r := rand.New(rand.NewPCG(seed, clients))
		a, b := p.a, p.b
		for !isClosed(done) {
			b.engine.Resume()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, err := a.engine.Freeze(ctx, 1+r.IntN(20), func(fs []transport.Frozen) error {
				if r.IntN(4) == 0 {
					refused += len(fs)
					return errRefused
				}
				moved += len(fs)
				return b.engine.Thaw(b.handler, nil, fs)
			})
			cancel()
			if err == nil {
				a, b = b, a
			} else if !errors.Is(err, errRefused) {
				t.Errorf("Freeze: %v", err)
				return
			}
		}
		a.engine.Resume()
		b.engine.Resume()
	})
	var wg sync.WaitGroup
	for i := range clients {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			for range 3 {
				nc, err := p.a.dial()
				if err != nil {
					t.Error(err)
					return
				}
				converse(t, newClient(t, nc), r)
			}
		})
	}
	wg.Wait()
	for range 3 * clients {
		take(t, from.closes, "OnClose")
	}
	close(done)
	mover.Wait()
	none(t, from.closes, "one OnClose more")
	t.Logf("%d times a connection moved, %d times one came back", moved, refused)
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
