// Package load is the client side of the bench: one event-driven loop on one
// thread holds many WebSocket and HTTP/1.1 connections, so that it costs as little
// as it can beside the server that it measures. It connects to loopback only.
package load

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"
)

// A state is how far a connection has come.
type state uint8

const (
	connecting state = iota
	handshaking
	open
	closed
)

var epoch = time.Now()

// Now is a monotonic clock, in nanoseconds.
func Now() int64 { return int64(time.Since(epoch)) }

// A Conn is one connection of a Loop.
type Conn struct {
	Index  int    // the caller's number for it
	ID     string // what the server calls it
	SentAt int64  // when its latest message left, by Now
	Data   any    // the caller's

	loop      *Loop
	fd        int
	webSocket bool
	state     state
	muted     bool
	first     []byte // written once connected
	unparsed  []byte
	unsent    []byte
	fragments []byte
	opcode    byte // of the fragments
}

// Open reports whether messages can be sent.
func (c *Conn) Open() bool { return c.state == open }

// Gone reports whether the connection has ended.
func (c *Conn) Gone() bool { return c.state == closed }

// A Loop drives its connections within Step, on the caller's goroutine. Its
// functions are called there; they may be changed at any time.
type Loop struct {
	OnOpen        func(c *Conn)                          // the server answered 101, or the HTTP connection stands
	OnMessage     func(c *Conn, opcode byte, p []byte)   // p is valid until return
	OnResponse    func(c *Conn, status int, body []byte) // an HTTP response; body is valid until return
	OnClose       func(c *Conn, err error)               // not for what Kill and Vanish ended
	ReceiveBuffer int                                    // bytes of sockets dialled from now on; 0: the system's
	Sources       int                                    // how many addresses 127.0.x.y clients come from; 16 by default
	poller        int
	events        []syscall.EpollEvent
	conns         []*Conn // by descriptor
	buffer        []byte
	dialled       int
}

// NewLoop returns a loop without connections.
func NewLoop() (*Loop, error) {
	poller, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &Loop{poller: poller, Sources: 16, events: make([]syscall.EpollEvent, 1024), buffer: make([]byte, 1<<18)}, nil
}

// Close drops every connection, without calling OnClose.
func (l *Loop) Close() {
	for _, c := range l.conns {
		if c != nil {
			c.Kill()
		}
	}
	syscall.Close(l.poller)
}

// Kill drops the connection at once, with a reset.
func (c *Conn) Kill() {
	if c.state == closed {
		return
	}
	syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	c.drop()
}

// tcpRepair is TCP_REPAIR: a socket in repair mode closes without a word.
const tcpRepair = 19

// Vanish drops the connection as a machine does that loses its network: the
// server is told nothing. It needs CAP_NET_ADMIN, without which it fails.
func (c *Conn) Vanish() error {
	if err := syscall.SetsockoptInt(c.fd, syscall.IPPROTO_TCP, tcpRepair, 1); err != nil {
		return err
	}
	c.drop()
	return nil
}

// HalfClose ends the client's sending direction alone.
func (c *Conn) HalfClose() error { return syscall.Shutdown(c.fd, syscall.SHUT_WR) }

func (c *Conn) drop() {
	c.state = closed
	c.loop.conns[c.fd] = nil
	syscall.Close(c.fd)
}

func (l *Loop) fail(c *Conn, err error) {
	if c.state == closed {
		return
	}
	c.Kill()
	if l.OnClose != nil {
		l.OnClose(c, err)
	}
}

// ipBindAddressNoPort is IP_BIND_ADDRESS_NO_PORT: the port is chosen at connect,
// when the destination is known, so that an address has ports for each server.
const ipBindAddressNoPort = 24

// Dial begins to connect to an address of loopback; first is sent once the
// connection stands, for a WebSocket its handshake.
func (l *Loop) Dial(address string, webSocket bool, index int, first []byte) (*Conn, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	ip := net.ParseIP(host).To4()
	if ip == nil || ip[0] != 127 {
		return nil, fmt.Errorf("%s is no address of loopback, and no other is put under load", address)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	syscall.SetsockoptInt(fd, syscall.SOL_IP, ipBindAddressNoPort, 1)
	if l.ReceiveBuffer > 0 {
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, l.ReceiveBuffer)
	}
	source := 1 + l.dialled%max(l.Sources, 1)
	l.dialled++
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, byte(source >> 8), byte(source)}}); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	to := syscall.SockaddrInet4{Port: port, Addr: [4]byte(ip)}
	if err := syscall.Connect(fd, &to); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
		syscall.Close(fd)
		return nil, err
	}
	c := &Conn{loop: l, fd: fd, webSocket: webSocket, Index: index, first: first}
	for fd >= len(l.conns) {
		l.conns = append(l.conns, make([]*Conn, 1024)...)
	}
	l.conns[fd] = c
	event := syscall.EpollEvent{Events: syscall.EPOLLOUT | syscall.EPOLLIN, Fd: int32(fd)}
	if err := syscall.EpollCtl(l.poller, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		c.Kill()
		return nil, err
	}
	return c, nil
}

// Mute stops reading, until it is called with false: what the server sends piles up.
func (c *Conn) Mute(muted bool) {
	c.muted = muted
	c.watch()
}

// watch tells the poller what the connection waits for.
func (c *Conn) watch() {
	event := syscall.EpollEvent{Fd: int32(c.fd)}
	if !c.muted {
		event.Events |= syscall.EPOLLIN
	}
	if len(c.unsent) > 0 {
		event.Events |= syscall.EPOLLOUT
	}
	syscall.EpollCtl(c.loop.poller, syscall.EPOLL_CTL_MOD, c.fd, &event)
}

// Write sends b; what the socket doesn't take is copied and follows.
func (c *Conn) Write(b []byte) {
	if c.state == closed {
		return
	}
	if len(c.unsent) > 0 {
		c.unsent = append(c.unsent, b...)
		return
	}
	n, err := syscall.Write(c.fd, b)
	if err == syscall.EAGAIN {
		n, err = 0, nil
	}
	if err != nil {
		c.loop.fail(c, err)
		return
	}
	if n < len(b) {
		c.unsent = append(c.unsent, b[n:]...)
		c.watch()
	}
}

// Spin steps for some time.
func (l *Loop) Spin(d time.Duration) {
	for end := Now() + int64(d); ; {
		left := end - Now()
		if left <= 0 {
			return
		}
		l.Step(min(20*time.Millisecond, time.Duration(left)+time.Millisecond))
	}
}

// Step waits for events, at most so long, to the millisecond, and handles them.
func (l *Loop) Step(most time.Duration) {
	n, err := syscall.EpollWait(l.poller, l.events, int(most.Milliseconds()))
	if err != nil && err != syscall.EINTR {
		panic(err) // a loop's own poller fails only by a mistake here
	}
	for i := range max(n, 0) {
		event := &l.events[i]
		c := l.conns[event.Fd]
		if c == nil {
			continue
		}
		if c.state == connecting {
			l.connected(c, event.Events)
			continue
		}
		if event.Events&syscall.EPOLLOUT != 0 && len(c.unsent) > 0 && !l.flush(c) {
			continue
		}
		if event.Events&(syscall.EPOLLIN|syscall.EPOLLERR|syscall.EPOLLHUP) != 0 {
			l.read(c)
		}
	}
}

func (l *Loop) connected(c *Conn, events uint32) {
	if events&(syscall.EPOLLOUT|syscall.EPOLLERR|syscall.EPOLLHUP) == 0 {
		return
	}
	if errno, _ := syscall.GetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_ERROR); errno != 0 {
		l.fail(c, syscall.Errno(errno))
		return
	}
	c.state = open
	if c.webSocket {
		c.state = handshaking
	}
	c.watch()
	first := c.first
	c.first = nil
	if len(first) > 0 {
		c.Write(first)
	}
	if c.state == open && l.OnOpen != nil {
		l.OnOpen(c)
	}
}

// flush sends what is left over; false means that the connection failed.
func (l *Loop) flush(c *Conn) bool {
	n, err := syscall.Write(c.fd, c.unsent)
	if err != nil && err != syscall.EAGAIN {
		l.fail(c, err)
		return false
	}
	c.unsent = c.unsent[max(n, 0):]
	if len(c.unsent) == 0 {
		c.unsent = nil
		c.watch()
	}
	return true
}

func (l *Loop) read(c *Conn) {
	before := copy(l.buffer, c.unparsed)
	if before == len(l.buffer) {
		l.fail(c, errors.New("a message is larger than the client's buffer"))
		return
	}
	n, err := syscall.Read(c.fd, l.buffer[before:])
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return
	case err != nil:
		l.fail(c, err)
		return
	case n == 0:
		l.fail(c, errors.New("the server hung up"))
		return
	}
	b := l.buffer[:before+n]
	parse := l.parseHTTP
	if c.webSocket {
		parse = l.parseFrames
	}
	used := parse(c, b)
	if c.state == closed {
		return
	}
	if used < len(b) {
		c.unparsed = append(c.unparsed[:0], b[used:]...)
	} else {
		c.unparsed = nil
	}
}
