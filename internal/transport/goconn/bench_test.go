package goconn

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"tidegate/internal/transport"
	"tidegate/ws"
)

const benchHandshake = "GET /Prod HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// open does a handshake on c.
func open(t testing.TB, c net.Conn) {
	io.WriteString(c, benchHandshake)
	head := make([]byte, 0, 512)
	for b := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, b[0]) {
		if _, err := c.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") {
		t.Fatalf("handshake: %q", head)
	}
}

// BenchmarkEcho counts the server's allocations and, as both ends are in this
// process and the client allocates nothing, no others.
func BenchmarkEcho(b *testing.B) {
	for _, tt := range []struct {
		name     string
		size     int
		inFlight int
	}{{"64B", 64, 1}, {"1KiB", 1024, 1}, {"64B,16 in flight", 64, 16}} {
		b.Run(tt.name, func(b *testing.B) {
			_, addr := serve(b, Config{Limits: transport.DefaultLimits()}, nil, echoHandler{}, nil)
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			open(b, c)
			var out []byte
			for range tt.inFlight {
				out = ws.AppendMaskedFrame(out, ws.OpText, true, [4]byte{1, 2, 3, 4}, make([]byte, tt.size))
			}
			in := make([]byte, tt.inFlight*ws.MessageSize(tt.size, 0))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%tt.inFlight != 0 {
					continue
				}
				if _, err := c.Write(out); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIdle reports what an idle connection costs this process's heap and
// stacks, the clients' sockets subtracted by opening as many that no engine serves.
func BenchmarkIdle(b *testing.B) {
	const n = 2000
	for b.Loop() {
		perSocket := idleCost(b, n, false)
		perConn := idleCost(b, n, true)
		b.ReportMetric(perConn-perSocket, "B/connection")
		b.ReportMetric(perSocket, "B/socket-pair")
	}
}

// idleCost opens n pairs of sockets and returns the bytes that each costs.
func idleCost(b *testing.B, n int, served bool) float64 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	conns := make([]net.Conn, 0, 2*n)
	if served {
		l.Close()
		_, addr = serve(b, Config{Limits: transport.DefaultLimits()}, nil, echoHandler{}, nil)
	}
	before := footprint()
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, c)
		if served {
			open(b, c)
			io.WriteString(c, string(ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{}, []byte("hi"))))
			io.ReadFull(c, make([]byte, 4))
			continue
		}
		s, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, s)
	}
	cost := float64(footprint()-before) / float64(n)
	for _, c := range conns {
		c.Close()
	}
	l.Close()
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
