//go:build linux

package epoll

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tidegate/internal/transport"
	"tidegate/internal/transport/transporttest"
	"tidegate/ws"
)

func TestUnixListener(t *testing.T) {
	e, err := New(Config{Limits: transport.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- e.Serve(l, newHandler(), nil) }()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	transporttest.Open(t, c)
	c.Write(ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{}, []byte("hi")))
	expect(t, c, ws.AppendFrame(nil, ws.OpText, true, []byte("hi")))
	// A listener that somebody else closes ends its Serve, not its connections.
	l.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: %v", err)
	}
	c.Write(ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{}, []byte("on")))
	expect(t, c, ws.AppendFrame(nil, ws.OpText, true, []byte("on")))
	c.Close() // else Close waits for it
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

type otherListener struct{ net.Listener }

func TestListenerWithoutASocket(t *testing.T) {
	e, err := New(Config{Limits: transport.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := e.Serve(otherListener{l}, newHandler(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Serve: %v, want ErrUnsupported", err)
	}
}

// A connection that begins with a TLS handshake goes where TLS is spoken, whole.
func TestTLSIsGivenAway(t *testing.T) {
	got := make(chan string, 1)
	_, addr := serve(t, Config{Limits: transport.DefaultLimits(), TLS: func(nc net.Conn, h transport.Handler, _ func(net.Conn)) {
		defer nc.Close()
		b := make([]byte, 5)
		io.ReadFull(nc, b)
		got <- string(b)
	}}, newHandler())
	c := dial(t, addr)
	c.Write([]byte("\x16\x03\x01"))
	time.Sleep(10 * time.Millisecond)
	c.Write([]byte("\x00\x05"))
	if s := <-got; s != "\x16\x03\x01\x00\x05" {
		t.Errorf("%q", s)
	}
}

// noDescriptors leaves this process no descriptor until restore is called.
func noDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	lowestFree, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(lowestFree)
	low := was
	low.Cur = uint64(lowestFree)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	return func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was) }
}

// When the process has no descriptor left, clients wait and are taken later.
func TestNoDescriptorLeft(t *testing.T) {
	for _, loops := range []int{1, 2} {
		t.Run(strconv.Itoa(loops), func(t *testing.T) { testNoDescriptorLeft(t, loops) })
	}
}

func testNoDescriptorLeft(t *testing.T, loops int) {
	failed := make(chan error, 100)
	_, addr := serve(t, Config{Limits: transport.DefaultLimits(), Loops: loops, Events: transport.EventListener{
		AcceptFailed: func(i transport.AcceptFailedInfo) {
			select {
			case failed <- i.Err:
			default:
			}
		},
	}}, newHandler())
	transporttest.Open(t, dial(t, addr)) // it serves
	clients := make([]int, 3)            // made while there are descriptors
	for i := range clients {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		clients[i] = fd
	}
	restore := noDescriptors(t)
	defer restore()
	at := netip.MustParseAddrPort(addr)
	for _, fd := range clients {
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-failed; !errors.Is(err, syscall.EMFILE) {
		t.Errorf("AcceptFailed: %v", err)
	}
	restore()
	for _, fd := range clients {
		f := os.NewFile(uintptr(fd), "client")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		transporttest.Open(t, c)
	}
}

// Clients of a listener that yields leave descriptors for those of another.
func TestDescriptorsAreReserved(t *testing.T) {
	waiting := make(chan error, 100)
	restore := noDescriptors(t) // but for those that follow
	defer restore()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur += 100 // and of these 32 are reserved, or half of all
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	e, other := serve(t, Config{Limits: transport.DefaultLimits(), Loops: 1, Events: transport.EventListener{
		AcceptFailed: func(i transport.AcceptFailedInfo) {
			select {
			case waiting <- i.Err:
			default:
			}
		},
	}}, newHandler())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := handler{conns: make(chan transport.Conn, 200), closes: make(chan transport.CloseReason, 200)}
	go e.Serve(transport.Yielding{TCPListener: l.(*net.TCPListener)}, h, nil)
	var taken []net.Conn
	for len(waiting) == 0 {
		if len(taken) == 100 {
			t.Fatal("clients took all descriptors")
		}
		c := dial(t, l.Addr().String())
		transporttest.Open(t, c)
		taken = append(taken, c)
	}
	if err := <-waiting; !errors.Is(err, errReserved) {
		t.Errorf("AcceptFailed: %v", err)
	}
	late := dial(t, l.Addr().String())
	for range 4 { // it goes on waiting
		if err := <-waiting; !errors.Is(err, errReserved) {
			t.Errorf("AcceptFailed: %v", err)
		}
	}
	transporttest.Open(t, dial(t, other))
	for _, c := range taken {
		c.Close()
	}
	transporttest.Open(t, late)
}

// One loop at a time waits for a listener's clients, and each loop gets its share.
func TestListenerGoesRound(t *testing.T) {
	const loops = 3
	h := newHandler()
	h.conns, h.closes = make(chan transport.Conn, 300), make(chan transport.CloseReason, 300)
	e, addr := serve(t, Config{Limits: transport.DefaultLimits(), Loops: loops}, h)
	held := func() (least, most, sum int64) {
		least = e.loops[0].held.Load()
		for _, l := range e.loops {
			n := l.held.Load()
			least, most, sum = min(least, n), max(most, n), sum+n
		}
		return least, most, sum
	}
	balanced := func(clients int64) {
		t.Helper()
		if least, most, sum := held(); sum != clients || most-least > 1+clients/surplusShare {
			t.Errorf("of %d clients a loop has %d and another one %d; all together %d", clients, least, most, sum)
		}
	}
	for i := range int64(60) { // one after the other
		transporttest.Open(t, dial(t, addr))
		balanced(i + 1)
		if n := watchers(t, addr); n > 1 {
			t.Fatalf("%d loops wait for clients", n)
		}
	}
	var storm sync.WaitGroup
	for range 240 {
		storm.Go(func() { transporttest.Open(t, dial(t, addr)) })
	}
	storm.Wait()
	balanced(300)
	for end := time.Now().Add(20 * time.Second); watchers(t, addr) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no loop waits for clients")
		}
	}
}

// watchers counts the pollers of this process that wait for the listener's clients.
func watchers(t *testing.T, addr string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	of := func(fd string) string {
		number, _ := strconv.Atoi(fd)
		if on, err := syscall.GetsockoptInt(number, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || on == 0 {
			return ""
		}
		sa, err := syscall.Getsockname(number)
		in, ok := sa.(*syscall.SockaddrInet4)
		if err != nil || !ok {
			return ""
		}
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)).String()
	}
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); to != "anon_inode:[eventpoll]" {
			continue
		}
		info, _ := os.ReadFile("/proc/self/fdinfo/" + fd.Name())
		for line := range strings.Lines(string(info)) {
			// Of the listener's descriptors package net's poller has one, edge-triggered.
			if f := strings.Fields(line); len(f) > 3 && f[0] == "tfd:" && f[3] == "19" && of(f[1]) == addr {
				n++
			}
		}
	}
	return n
}

// A fault of the engine's own costs one connection.
func TestEngineFault(t *testing.T) {
	h := newHandler()
	panics := make(chan transport.PanicInfo, 1)
	_, addr := serve(t, Config{Limits: transport.DefaultLimits(), Events: transport.EventListener{
		Panicked: func(i transport.PanicInfo) { panics <- i },
	}}, h)
	good, bad := dial(t, addr), dial(t, addr)
	transporttest.Open(t, good)
	<-h.conns
	transporttest.Open(t, bad)
	victim := (<-h.conns).(*conn)
	victim.l.do(func() {
		victim.mu.Lock()
		victim.more = nil
		victim.phase = phaseHead // which looks at more: a nil pointer
		victim.mu.Unlock()
		victim.l.post(victim)
	})
	if i := <-panics; i.Method != "engine" || len(i.Stack) == 0 {
		t.Errorf("%v", i)
	}
	if _, err := bad.Read(make([]byte, 1)); err == nil {
		t.Error("the connection goes on")
	}
	if why := <-h.closes; why.Drop != transport.DropPanic || why.Code != 1006 {
		t.Errorf("reason %v", why)
	}
	good.Write(ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{}, []byte("on")))
	expect(t, good, ws.AppendFrame(nil, ws.OpText, true, []byte("on")))
}

// A fault of who listens to the engine costs the connection that was told of.
func TestEventListenerFault(t *testing.T) {
	h := newHandler()
	panics := make(chan transport.PanicInfo, 10)
	begun := 0
	limits := transport.DefaultLimits()
	limits.WriteTimeout = 200 * time.Millisecond
	_, addr := serve(t, Config{Limits: limits, Loops: 1, Events: transport.EventListener{
		ConnectionBegin: func(transport.ConnectionInfo) {
			if begun++; begun == 2 {
				panic("told of a connection")
			}
		},
		Dropped: func(i transport.DropInfo) {
			if i.Reason == transport.DropWriteTimeout {
				panic("told of a drop")
			}
		},
		Panicked: func(i transport.PanicInfo) { panics <- i },
	}}, h)
	good := dial(t, addr)
	transporttest.Open(t, good)
	<-h.conns
	if _, err := dial(t, addr).Read(make([]byte, 1)); err == nil {
		t.Error("a connection goes on of which nobody could be told")
	}
	if i := <-panics; i.Method != "ConnectionBegin" {
		t.Errorf("%v", i)
	}
	transporttest.Open(t, dial(t, addr))
	for deaf := <-h.conns; deaf.Send(make([]byte, 100_000), true) == nil; {
	}
	if i := <-panics; i.Method != "engine" || i.Value != "told of a drop" {
		t.Errorf("%v", i)
	}
	if why := <-h.closes; why.Drop != transport.DropWriteTimeout {
		t.Errorf("reason %v", why)
	}
	good.Write(ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{}, []byte("on")))
	expect(t, good, ws.AppendFrame(nil, ws.OpText, true, []byte("on")))
}
