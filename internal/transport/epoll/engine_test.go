//go:build linux

package epoll

import (
	"testing"
	"unsafe"

	"tidegate/internal/transport"
	"tidegate/internal/transport/transporttest"
)

func newEngine(t testing.TB) transporttest.NewEngine {
	return func(l transport.Limits, events transport.EventListener) transport.Engine {
		e, err := New(Config{Limits: l, Events: events})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

func TestEngine(t *testing.T) { transporttest.Run(t, newEngine(t)) }

func BenchmarkEcho(b *testing.B) { transporttest.BenchEcho(b, newEngine(b)) }

func BenchmarkIdle(b *testing.B) { transporttest.BenchIdle(b, newEngine(b)) }

// TestConnSize guards what every connection costs; see docs/performance.md.
func TestConnSize(t *testing.T) {
	size := unsafe.Sizeof(conn{})
	t.Logf("a connection's struct: %d bytes", size)
	if size > 128 { // the next size that the allocator has is 144
		t.Errorf("%d bytes a connection, want 128 at most", size)
	}
}
