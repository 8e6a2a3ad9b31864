package goconn

import (
	"net"
	"sync"
)

// readSize is what one read takes at most: a whole frame of the default limit
// with its header, in an allocation class of the runtime.
const readSize = 40 << 10

// readBuffers hold what was just read, for connections that have something to read.
var readBuffers = sync.Pool{New: func() any { b := make([]byte, readSize); return &b }}

// A source gives a connection's bytes. What next returns is valid until done.
// An error may come with bytes.
type source interface {
	next() ([]byte, error)
	done()
}

// newSource returns the source of nc: sock if it has one.
func newSource(nc net.Conn, sock *rawSocket) source {
	if sock != nil {
		return sock
	}
	return &plainSource{nc: nc}
}

// A plainSource reads any net.Conn. It must hold a buffer while it waits, so it
// holds a small one: TLS and in-memory pipes cost no system call for the rest.
type plainSource struct {
	nc  net.Conn
	buf [2 << 10]byte
}

func (s *plainSource) next() ([]byte, error) {
	n, err := s.nc.Read(s.buf[:])
	return s.buf[:n], err
}

func (s *plainSource) done() {}
