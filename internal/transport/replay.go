package transport

import (
	"crypto/tls"
	"net"
)

// A replayConn is a connection whose first bytes were read already: it gives
// them again. pre is its reader's alone.
type replayConn struct {
	net.Conn
	pre []byte
}

// NewReplayConn returns nc with pre, which was read from it, to be read again. It
// shows what is underneath by NetConn, and whether that is TLS. With nothing to
// replay a *tls.Conn stays one, which net/http wants for HTTP/2.
func NewReplayConn(nc net.Conn, pre []byte) net.Conn {
	if _, ok := nc.(*tls.Conn); ok && len(pre) == 0 {
		return nc
	}
	r := &replayConn{nc, pre}
	if tc, ok := nc.(*tls.Conn); ok {
		return &replayTLSConn{r, tc}
	}
	return r
}

// Read gives what was read before, then reads.
func (r *replayConn) Read(p []byte) (int, error) {
	if len(r.pre) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.pre)
	if r.pre = r.pre[n:]; len(r.pre) == 0 {
		r.pre = nil
	}
	return n, nil
}

// NetConn returns the connection underneath.
func (r *replayConn) NetConn() net.Conn { return r.Conn }

// CloseWrite shuts the writing direction, where the connection has such.
func (r *replayConn) CloseWrite() error {
	if w, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return r.Conn.Close()
}

// A replayTLSConn is a replayConn over TLS.
type replayTLSConn struct {
	*replayConn
	tls *tls.Conn
}

// ConnectionState returns what the TLS handshake agreed on.
func (r *replayTLSConn) ConnectionState() tls.ConnectionState { return r.tls.ConnectionState() }
