package goconn

import (
	"net"
	"testing"

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

func TestVirtual(t *testing.T) { transporttest.RunVirtual(t, newEngine(t)) }

// TestPlainSource runs the suite as it runs where a socket can't be waited for
// without a buffer, or hides behind a wrapper.
func TestPlainSource(t *testing.T) {
	transporttest.Run(t, func(l transport.Limits, events transport.EventListener) transport.Engine {
		return wrapping{newEngine(t)(l, events)}
	})
}

// wrapping is an engine that sees no socket as it is.
type wrapping struct{ transport.Engine }

func (e wrapping) Serve(l net.Listener, h transport.Handler, fallback func(net.Conn)) error {
	return e.Engine.Serve(wrappingListener{l}, h, fallback)
}

type wrappingListener struct{ net.Listener }

func (l wrappingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return wrappedConn{c.(*net.TCPConn)}, nil
}

type wrappedConn struct{ *net.TCPConn }
