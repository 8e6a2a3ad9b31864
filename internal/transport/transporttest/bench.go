package transporttest

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// An echoer accepts every handshake, echoes every message and does nothing else.
type echoer struct{}

func (echoer) OnUpgrade(_ *transport.Request, u transport.Upgrade) {
	u.Accept(nil, func(transport.Conn) {})
}
func (echoer) OnRequest(*transport.Request, transport.Reply) bool           { return false }
func (echoer) OnMessage(c transport.Conn, m transport.Message)              { c.Send(m.Payload, m.Binary) }
func (echoer) OnClose(transport.Conn, transport.CloseReason)                {}
func (echoer) OnBreach(transport.Conn, transport.CloseReason) time.Duration { return 0 }
func (echoer) Freeze(transport.Conn) ([]byte, error)                        { return nil, nil }
func (echoer) Thaw(transport.Conn, []byte) error                            { return nil }

// serveEcho starts an echoing engine on a port of this machine.
func serveEcho(b *testing.B, newEngine NewEngine) (addr string, stop func()) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	e := newEngine(transport.DefaultLimits(), transport.EventListener{})
	done := make(chan struct{})
	go func() { defer close(done); e.Serve(ln, echoer{}, nil) }()
	return ln.Addr().String(), func() { e.Close(); <-done }
}

// Open does the client's side of a handshake on c, reading no byte too many.
func Open(t testing.TB, c net.Conn) {
	t.Helper()
	io.WriteString(c, handshake("/Prod"))
	head := make([]byte, 0, 512)
	for one := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, one[0]) {
		if _, err := c.Read(one); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") {
		t.Fatalf("handshake: %q", head)
	}
}

// dialOpen dials and does a handshake.
func dialOpen(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	Open(t, c)
	return c
}

// BenchEcho counts the server's time and allocations for a message and its echo:
// both ends are in this process, and the clients allocate nothing. cpu-ns is the
// whole process's.
func BenchEcho(b *testing.B, newEngine NewEngine) {
	for _, tt := range []struct {
		name     string
		size     int
		inFlight int // of each client
		clients  int
	}{{"64B", 64, 1, 1}, {"1KiB", 1024, 1, 1}, {"64B,16 in flight", 64, 16, 1}, {"64B,500 clients", 64, 1, 500}} {
		b.Run(tt.name, func(b *testing.B) {
			addr, stop := serveEcho(b, newEngine)
			defer stop()
			clients := make([]net.Conn, tt.clients)
			for i := range clients {
				clients[i] = dialOpen(b, addr)
				defer clients[i].Close()
			}
			var out []byte
			for range tt.inFlight {
				out = ws.AppendMaskedFrame(out, ws.OpText, true, [4]byte{1, 2, 3, 4}, make([]byte, tt.size))
			}
			in := make([]byte, tt.inFlight*ws.MessageSize(tt.size, 0))
			b.ReportAllocs()
			begin := cpuTime()
			for i := 0; b.Loop(); i++ {
				if i%(tt.inFlight*tt.clients) != 0 {
					continue
				}
				for _, c := range clients {
					if _, err := c.Write(out); err != nil {
						b.Fatal(err)
					}
				}
				for _, c := range clients {
					if _, err := io.ReadFull(c, in); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(cpuTime()-begin)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchIdle reports what an idle connection costs this process's heap and
// stacks, the clients' sockets subtracted by opening as many that no engine serves.
func BenchIdle(b *testing.B, newEngine NewEngine) {
	const n = 2000
	for b.Loop() {
		perSocket := idleCost(b, n, nil)
		perConn := idleCost(b, n, newEngine)
		b.ReportMetric(perConn-perSocket/2, "B/connection") // half of a pair is the client's
		b.ReportMetric(perSocket, "B/socket-pair")
	}
}

// idleCost opens n connections and returns the bytes that each costs. Without an
// engine the other end is a socket of package net that nobody serves.
func idleCost(b *testing.B, n int, newEngine NewEngine) float64 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	if newEngine != nil {
		var stop func()
		addr, stop = serveEcho(b, newEngine)
		defer stop()
	}
	conns := make([]net.Conn, 0, 2*n)
	message := ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{}, []byte("hi"))
	answer := make([]byte, 4)
	before := footprint()
	for range n {
		if newEngine == nil {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			s, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			conns = append(conns, c, s)
			continue
		}
		c := dialOpen(b, addr)
		c.Write(message)
		if _, err := io.ReadFull(c, answer); err != nil {
			b.Fatal(err)
		}
		conns = append(conns, c)
	}
	cost := float64(footprint()-before) / float64(n)
	for _, c := range conns {
		c.Close()
	}
	return cost
}

// footprint is the live heap and the stacks, after the pools gave theirs back.
func footprint() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// BenchFreezeThaw moves idle connections from one engine to another and back,
// and reports what that takes for each: time, and the bytes that travel.
func BenchFreezeThaw(b *testing.B, newEngine NewEngine) {
	const n, batch = 1000, 250
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	here, there := newEngine(transport.DefaultLimits(), transport.EventListener{}), newEngine(transport.DefaultLimits(), transport.EventListener{})
	defer here.Close()
	defer there.Close()
	go here.Serve(ln, echoer{}, nil)
	for range n {
		defer dialOpen(b, ln.Addr().String()).Close()
	}
	state := 0
	b.ReportAllocs()
	begin := cpuTime()
	for b.Loop() {
		state = 0
		left, err := here.Freeze(b.Context(), batch, func(fs []transport.Frozen) error {
			for i := range fs {
				state += len(fs[i].State)
			}
			return there.Thaw(echoer{}, nil, fs)
		})
		if err != nil || left.Total() != 0 {
			b.Fatalf("Freeze: %v, %v", left, err)
		}
		here, there = there, here
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/connection")
	b.ReportMetric(float64(cpuTime()-begin)/float64(b.N)/n, "cpu-ns/connection")
	b.ReportMetric(float64(state)/n, "B/state")
}
