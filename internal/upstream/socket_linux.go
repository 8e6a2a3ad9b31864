package upstream

import (
	"net"
	"os"
	"syscall"

	"tidegate/internal/netpoll"
)

// A socket is a line that a loop reads.
type socket struct {
	conn *conn
	loop *loop
	fd   int
	slot uint32
	tag  uint32 // tells it from others that had the slot
}

// newSocket takes a connection over from net: its descriptor goes to a loop.
func newSocket(c *conn, nc net.Conn) error {
	defer nc.Close()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	s := &socket{conn: c, fd: -1}
	c.line = s
	failed := raw.Control(func(of uintptr) {
		r, _, errno := syscall.Syscall(syscall.SYS_FCNTL, of, syscall.F_DUPFD_CLOEXEC, 0) // with its options; it stays non-blocking
		if s.fd = int(r); errno != 0 {
			err = os.NewSyscallError("fcntl", errno)
		}
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	if err := c.origin.client.io.register(s); err != nil {
		syscall.Close(s.fd)
		return err
	}
	return nil
}

// send implements line.
func (s *socket) send(p []byte) (sent int, err error) {
	for sent < len(p) {
		n, errno := netpoll.Send(s.fd, p[sent:])
		switch errno {
		case 0:
			sent += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return sent, nil // the loop tells when there is room
		default:
			return sent, os.NewSyscallError("sendto", errno)
		}
	}
	return sent, nil
}

// close implements line.
func (s *socket) close() {
	s.loop.forget(s)
	syscall.Close(s.fd)
}

// ready is told by the loop that the socket has room, or bytes or an end to read;
// ended says that the backend has closed its direction. scratch is the loop's.
func (s *socket) ready(scratch []byte, writable, readable, ended bool) {
	c := s.conn
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	call := c.call
	if call == nil {
		// An edge may be that of bytes which were read already.
		stays := !readable
		if readable && !ended {
			_, errno := netpoll.Receive(s.fd, scratch)
			stays = errno == syscall.EAGAIN
		}
		c.mu.Unlock()
		if !stays {
			c.drop()
		}
		return
	}
	var err error
	done := false
	if writable && c.sent < len(*call.request) {
		err = c.writeLocked()
	}
	if readable { // what there is of an answer says more than that the request can't be written
		done, err = s.readLocked(scratch, ended)
	}
	if done && err == nil {
		c.deliver(ended)
		return
	}
	c.mu.Unlock()
	if err != nil {
		c.fail(call, err)
	}
}

// readLocked reads until the answer is whole or the socket has nothing more.
func (s *socket) readLocked(scratch []byte, ended bool) (done bool, err error) {
	for {
		n, errno := netpoll.Receive(s.fd, scratch)
		switch errno {
		case 0:
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false, nil
		default:
			return false, os.NewSyscallError("recvfrom", errno)
		}
		done, err := s.conn.feedLocked(scratch[:n], n == 0)
		if done || err != nil {
			return done, err
		}
		if n < len(scratch) && !ended {
			// That was all; what comes next is another edge. A backend that writes head and
			// body apart may wait for the head to be acknowledged (Nagle's algorithm), which
			// the kernel would put off for 40 ms.
			syscall.SetsockoptInt(s.fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
			return false, nil
		}
	}
}
