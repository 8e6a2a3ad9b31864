//go:build linux

package epoll

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// Thaw implements transport.Engine.
func (e *Engine) Thaw(h transport.Handler, fallback func(net.Conn), frozen []transport.Frozen) error {
	defer func() {
		for i := range frozen {
			frozen[i].Close()
		}
	}()
	e.mu.Lock()
	if e.closing.Load() {
		e.mu.Unlock()
		return transport.ErrEngineClosed
	}
	e.startLocked()
	e.count.Add(int64(len(frozen))) // so that the loops don't end before they have them
	e.mu.Unlock()
	var errs []error
	origins := map[string]*served{}
	conns := map[*loop][]*conn{}
	for i := range frozen {
		f := &frozen[i]
		s := origins[f.Listener]
		if s == nil {
			s = &served{h, fallback, f.Listener, listenerAddr(f.Listener)}
			origins[f.Listener] = s
		}
		c, err := e.thaw(s, f)
		if err != nil {
			errs = append(errs, fmt.Errorf("epoll: thaw: connection %d of %d: %w", i+1, len(frozen), err))
		}
		if c == nil {
			e.left()
			continue
		}
		conns[c.l] = append(conns[c.l], c)
	}
	e.onLoops(func(l *loop) {
		for _, c := range conns[l] {
			c.arrive()
		}
	})
	return errors.Join(errs...)
}

// listenerAddr is the address that served.listener names.
func listenerAddr(text string) net.Addr {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return net.TCPAddrFromAddrPort(at)
	}
	return &net.UnixAddr{Name: text, Net: "unix"}
}

// thaw takes one connection over and tells the handler. With an error it may
// return the connection nevertheless: one on which the client is told.
func (e *Engine) thaw(served *served, f *transport.Frozen) (*conn, error) {
	s, err := parseState(f.State)
	if err != nil {
		return nil, err
	}
	fd, err := takeSocket(f)
	if err != nil {
		return nil, err
	}
	c := e.connFrom(s, served, fd)
	if !s.has(stateWebSocket) {
		return c, nil
	}
	if !c.guard("Thaw", func() { err = served.handler.Thaw(c, f.Data) }) {
		err = errors.New("Handler.Thaw panicked")
	}
	c.mu.Lock()
	c.bound = err == nil
	c.mu.Unlock()
	if err == nil && s.answering() && c.breached(s.reason) <= 0 {
		c.closeWith(transport.CloseReason{})
	}
	if err != nil {
		err = fmt.Errorf("client %v: %w", c.RemoteAddr(), err)
		c.closeWith(transport.CloseReason{Code: ws.CloseInternalError, Drop: transport.DropThaw, Err: err})
		c.dropped(transport.DropInfo{Reason: transport.DropThaw, Code: ws.CloseInternalError, Err: err})
	}
	return c, err
}

// connFrom returns a connection as it was frozen, held, and not yet its loop's.
func (e *Engine) connFrom(s *state, served *served, fd int) *conn {
	c := &conn{
		l: e.loops[e.turn.Add(1)%uint32(len(e.loops))], served: served, addr: s.addr, fd: int32(fd),
		quiet: s.quiet, end: s.end, held: true,
		paused: s.has(statePaused), deflate: s.has(stateDeflate), shutting: s.has(stateShutting),
		closeSent: s.has(stateCloseSent), closeRecv: s.has(stateCloseReceived),
	}
	c.opened.Store(s.opened)
	c.active.Store(s.active)
	switch {
	case !s.has(stateWebSocket):
		c.phase = phaseHead
	case s.has(stateCloseSent):
		c.phase = phaseClosing
	default:
		c.phase = phaseOpen
	}
	c.hint(notable, c.phase != phaseOpen || c.paused)
	if c.phase == phaseOpen && len(s.in)+len(s.out) == 0 && !s.has(stateMid|stateDeadline) {
		return c
	}
	m := mores.Get().(*more)
	c.more = m
	if len(s.in) > 0 {
		m.in, m.unseen = s.in, true
	}
	if s.has(stateMid) {
		m.mid = true
		m.decoder.UnmarshalBinary(s.decoder) // parseState has tried
	}
	if len(s.out) > 0 {
		b := c.queueLocked()
		*b = append(*b, s.out...)
	}
	m.request.keptAlive = s.has(stateKeptAlive)
	now := e.machine()
	if s.has(stateDeadline) {
		m.deadline = now + s.deadline
		c.l.time(c)
	}
	if s.has(stateProgress) && len(s.out) > 0 {
		// The engine may be younger than the client's last sign; 0 means none.
		if m.out.progress = now - s.progress; m.out.progress == 0 {
			m.out.progress = -1
		}
		c.l.time(c)
	}
	if s.has(stateEnded) {
		m.ended, m.reason = true, s.reason
	}
	return c
}

// arrive makes the connection its loop's, on that.
func (c *conn) arrive() {
	err := c.l.register(c)
	c.mu.Lock()
	c.held = false
	if err != nil {
		c.cutLocked(err)
	}
	c.flushLocked()
	c.restLocked()
	c.mu.Unlock()
	c.unlessClosing()
	c.l.serve(c)
}

// takeSocket returns the socket's descriptor, which is our own.
func takeSocket(f *transport.Frozen) (int, error) {
	fd, err := f.Take()
	if err != nil {
		return -1, err
	}
	_, err = syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err = os.NewSyscallError("getsockopt", err); err == nil {
		err = os.NewSyscallError("fcntl", syscall.SetNonblock(fd, true))
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}
