package netpoll

import (
	"syscall"
	"testing"
)

// pair returns two connected sockets.
func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fds[0]); syscall.Close(fds[1]) })
	return fds[0], fds[1]
}

func TestPoller(t *testing.T) {
	var p Poller
	if err := p.Open(); err != nil {
		t.Fatal(err)
	}
	a, b := pair(t)
	if err := p.Add(a, Connection, 7, 1<<31+5); err != nil {
		t.Fatal(err)
	}
	if err := p.Add(a, Connection, 8, 6); err == nil {
		t.Error("a descriptor was added twice")
	}
	// heard returns the bits of the one event of the socket.
	heard := func() uint32 {
		t.Helper()
		if err := p.Wait(); err != nil {
			t.Fatal(err)
		}
		ready := p.Ready()
		if len(ready) != 1 || ready[0].Fd != 7 || uint32(ready[0].Pad) != 1<<31+5 {
			t.Fatalf("events %v, want one with tag 7 and its generation", ready)
		}
		return ready[0].Events
	}
	if ev := heard(); ev&syscall.EPOLLOUT == 0 || ev&(syscall.EPOLLIN|End) != 0 {
		t.Errorf("at first: %#x, want room alone", ev)
	}
	if n := p.Poll(); n != 0 || len(p.Ready()) != 0 {
		t.Errorf("%d events without another edge", n)
	}
	if n, errno := Send(b, []byte("hello")); n != 5 || errno != 0 {
		t.Fatalf("sent %d bytes, %v", n, errno)
	}
	if ev := heard(); ev&syscall.EPOLLIN == 0 || ev&End != 0 {
		t.Errorf("with bytes to read: %#x", ev)
	}
	buf := make([]byte, 16)
	if n, errno := Receive(a, buf); string(buf[:max(n, 0)]) != "hello" || errno != 0 {
		t.Errorf("received %d bytes, %v", n, errno)
	}
	if _, errno := Receive(a, buf); errno != syscall.EAGAIN { // though the socket would block
		t.Errorf("with nothing to read: %v", errno)
	}
	syscall.Shutdown(b, syscall.SHUT_WR)
	if ev := heard(); ev&End == 0 {
		t.Errorf("at the end: %#x", ev)
	}
	if n, errno := Receive(a, buf); n != 0 || errno != 0 {
		t.Errorf("at the end %d bytes, %v", n, errno)
	}
	p.Remove(a)
	Send(b, []byte("x"))
	if n := p.Poll(); n != 0 {
		t.Errorf("%d events of a socket that was removed", n)
	}
	done := make(chan error)
	go func() { done <- p.Wait() }()
	p.Close()
	if err := <-done; err == nil {
		t.Error("Wait goes on after Close")
	}
}

// A socket whose peer is gone is an error, not a signal.
func TestSendToNobody(t *testing.T) {
	a, b := pair(t)
	syscall.Shutdown(b, syscall.SHUT_RDWR)
	if _, errno := Send(a, []byte("x")); errno != syscall.EPIPE {
		t.Errorf("%v, want EPIPE", errno)
	}
}
