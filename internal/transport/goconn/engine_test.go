package goconn

import (
	"fmt"
	"io"
	"net"
	"strings"
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

// blockingHandler takes a request to /wait and returns when one to another
// target has come.
type blockingHandler struct {
	echoHandler
	other chan struct{}
}

func (h blockingHandler) OnRequest(r *transport.Request, w transport.Reply) bool {
	if !r.MayBlock {
		w.Respond(500, nil, nil)
		return true
	}
	if r.Target == "/wait" {
		<-h.other
	} else {
		close(h.other)
	}
	w.Respond(200, nil, []byte(r.Target))
	return true
}

// TestMayBlock: a handler that waits in OnRequest holds up its own connection alone.
func TestMayBlock(t *testing.T) {
	h := blockingHandler{other: make(chan struct{})}
	_, at := serve(t, Config{Limits: transport.DefaultLimits()}, nil, h, nil)
	get := func(path string) string {
		c, err := net.Dial("tcp", at)
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path)
		b, err := io.ReadAll(c)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	waits := make(chan string)
	go func() { waits <- get("/wait") }()
	for _, got := range []string{get("/other"), <-waits} {
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("%q", got)
		}
	}
}
