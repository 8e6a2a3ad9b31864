//go:build unix

package goconn

import (
	"io"
	"net"
	"syscall"
)

// A rawSocket reads and writes a socket through its file descriptor: it waits
// for bytes without holding a buffer, and tries a write without blocking.
type rawSocket struct {
	rc syscall.RawConn

	// Owned by the reader.
	buf     *[]byte // what the last read used; nil between done and the next read
	n       int
	readErr error
	read    func(fd uintptr) bool // readFD, bound once

	// Guarded by the connection's mu.
	out      []byte
	wrote    int
	writeErr error
	write    func(fd uintptr) bool // writeFD, bound once
}

// newRawSocket returns nil for what is not a TCP or Unix socket itself: a
// wrapper may hold bytes that the descriptor no longer has.
func newRawSocket(nc net.Conn) *rawSocket {
	var sc syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		sc = nc
	case *net.UnixConn:
		sc = nc
	default:
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &rawSocket{rc: rc}
	s.read, s.write = s.readFD, s.writeFD
	return s
}

func (s *rawSocket) next() ([]byte, error) {
	s.n, s.readErr = 0, nil
	if err := s.rc.Read(s.read); err != nil {
		return nil, err
	}
	if s.readErr != nil {
		return nil, s.readErr
	}
	return (*s.buf)[:s.n], nil
}

// readFD returns false to be called again when there is something to read.
func (s *rawSocket) readFD(fd uintptr) bool {
	buf := readBuffers.Get().(*[]byte)
	for {
		n, err := syscall.Read(int(fd), *buf)
		if err == syscall.EINTR {
			continue
		}
		if n > 0 {
			s.buf, s.n = buf, n
			return true
		}
		readBuffers.Put(buf)
		if err == syscall.EAGAIN {
			return false
		}
		if err == nil {
			err = io.EOF
		}
		s.readErr = err
		return true
	}
}

func (s *rawSocket) done() {
	if s.buf != nil {
		readBuffers.Put(s.buf)
		s.buf = nil
	}
}

// tryWrite writes what the socket takes at once, perhaps nothing.
func (s *rawSocket) tryWrite(p []byte) (int, error) {
	s.out, s.wrote, s.writeErr = p, 0, nil
	err := s.rc.Write(s.write)
	s.out = nil
	if err == nil {
		err = s.writeErr
	}
	return s.wrote, err
}

func (s *rawSocket) writeFD(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), s.out)
		if err == syscall.EINTR {
			continue
		}
		if n > 0 {
			s.wrote = n
		}
		if err != nil && err != syscall.EAGAIN {
			s.writeErr = err
		}
		return true // never wait
	}
}
