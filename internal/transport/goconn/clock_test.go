package goconn

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"tidegate/internal/clock"
	"tidegate/internal/transport"
	"tidegate/internal/transport/transporttest"
	"tidegate/ws"
)

// oneConn is a listener that gives one connection and then waits to be closed.
type oneConn struct {
	c    chan net.Conn
	done chan struct{}
}

func (l oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.c:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l oneConn) Close() error   { close(l.done); return nil }
func (l oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// Idle time is the engine's clock's, network deadlines the machine's.
func TestMovedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		moved := clock.NewManual(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
		closes := make(chan transport.CloseReason, 1)
		e, err := New(Config{Limits: transport.DefaultLimits(), Clock: moved})
		if err != nil {
			t.Fatal(err)
		}
		l := oneConn{make(chan net.Conn), make(chan struct{})}
		go e.Serve(l, echoHandler{closes}, nil)
		client, server := net.Pipe()
		l.c <- server
		transporttest.Open(t, client)
		time.Sleep(time.Hour) // the engine's clock stands still
		synctest.Wait()
		if len(closes) > 0 {
			t.Fatal("closed while the clock stood still")
		}
		moved.Advance(10 * time.Minute)
		begin := time.Now()
		frame := make([]byte, 64)
		n, err := client.Read(frame)
		if want := string(ws.AppendClose(nil, ws.CloseGoingAway, transport.GoingAway)); err != nil || string(frame[:n]) != want {
			t.Errorf("read %q, %v, want %q", frame[:n], err, want)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("closed %v after the clock was moved", took)
		}
		client.Close()
		if why := <-closes; why.Drop != transport.DropIdle {
			t.Errorf("reason %v, want %s", why, transport.DropIdle)
		}
		e.Close()
	})
}
