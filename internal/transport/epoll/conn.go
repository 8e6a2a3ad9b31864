//go:build linux

package epoll

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"tidegate/internal/netpoll"
	"tidegate/internal/transport"
	"tidegate/ws"
)

// A phase is where a connection stands.
type phase uint8

const (
	phaseNew     phase = iota // accepted, not yet its loop's
	phaseHead                 // an HTTP request is awaited or read
	phaseRequest              // the handler answers an HTTP request
	phasePending              // the handler decides on a handshake
	phaseOpen                 // messages go both ways
	phaseClosing              // a close frame is queued or sent, or the answer before the end
	phaseTransit              // frozen: on its way to another process, which may refuse it
	phaseDead                 // ended, or left for the fallback or another process
)

// An ending is what is still done on a connection on which nothing more is decoded.
type ending uint8

const (
	endNone   ending = iota
	endLinger        // what the client sends is thrown away until it hangs up
	endFlush         // what is queued leaves, then the socket is closed
)

// A conn is one accepted socket, first as HTTP, then perhaps as WebSocket. There
// may be a million of them: what only a busy one needs is in more. Lock order:
// conn.mu before loop.mu; Engine.mu is never taken under either.
type conn struct {
	// Static once it is the loop's.
	l      *loop
	served *served

	// Guarded by mu.
	data any
	more *more // nil for an idle connection

	active atomic.Int64 // nanoseconds on the engine's clock: last message in or out
	opened atomic.Int64 // the same, of the 101; 0 before
	quiet  int64        // the same, of the last bytes of any kind, or ping; for Ping; the loop's
	hints  atomic.Uint32

	mu sync.Mutex

	// Static once it is the loop's.
	fd         int32
	slot       uint32
	generation uint32
	addr       address

	// Owned by the loop.
	readable   bool // the kernel may have bytes for us
	ending     bool // the kernel has said that the client's end is near: read until it comes
	registered bool
	end        ending

	// Guarded by loop.mu.
	posted bool
	timed  bool

	// Guarded by mu.
	phase     phase
	paused    bool // PauseReads
	corked    bool // what is queued waits: a batch is under way on the loop
	held      bool // nothing is read or written for now: Accept or Thaw runs, or it is in transit
	moved     bool // another process has it
	deflate   bool // messages may be compressed; static once open
	bound     bool // Accept's bind returned: OnClose is owed
	late      bool // the deadline for a whole request has passed
	shutting  bool // once all is written, our direction of the socket is shut
	awaiting  bool // the loop wants to know when all is written
	closeSent bool // a close frame is queued or was sent
	closeRecv bool // the client's close frame came
	broken    bool // a write failed: nothing goes out any more, what came in is still read
	aborted   bool // nothing is read or written any more
}

// A hint is a bit that is looked at without the lock.
type hint uint32

const (
	notable hint = 1 << iota // the loop must look at paused and phase before the next message
	stalled                  // the socket takes nothing more; its becoming writable matters
)

func (c *conn) hinted(h hint) bool { return c.hints.Load()&uint32(h) != 0 }

func (c *conn) hint(h hint, on bool) {
	switch {
	case on == c.hinted(h): // as nearly always, and cheaper than writing
	case on:
		c.hints.Or(uint32(h))
	default:
		c.hints.And(^uint32(h))
	}
}

var _ transport.Conn = (*conn)(nil)

// A more is what a connection has that isn't idle.
type more struct {
	// Owned by the loop.
	// While a request waits for its answer, in, unseen and request are guarded by the
	// connection's mu instead.
	in      []byte     // read and not used: a part of a request, what came early or while paused
	unseen  bool       // nobody has looked at in
	decoder ws.Decoder // if mid
	mid     bool       // in the middle of a message
	request request

	// Guarded by the connection's mu.
	out      outQueue
	deadline int64 // of the phase, on the machine's time; 0: none
	upgrade  *upgrade
	reply    *reply
	offered  bool // OnUpgrade or OnRequest runs: the loop itself looks at the answer then
	noticed  bool // while a request waits for its answer: there is something to read
	ended    bool // reason is settled
	reason   transport.CloseReason
}

var mores = sync.Pool{New: func() any { return new(more) }}

func newConn(l *loop, s *served, fd int, peer address) *conn {
	c := &conn{l: l, served: s, fd: int32(fd), addr: peer, more: mores.Get().(*more)}
	c.more.deadline = l.e.machine() + int64(l.e.limits.HandshakeTimeout)
	return c
}

// Data implements transport.Conn.
func (c *conn) Data() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data
}

// SetData implements transport.Conn.
func (c *conn) SetData(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data = v
}

// RemoteAddr implements transport.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.addr.net() }

// LastActive implements transport.Conn.
func (c *conn) LastActive() time.Time { return time.Unix(0, c.active.Load()) }

// PauseReads implements transport.Conn.
func (c *conn) PauseReads() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = true
	c.hint(notable, true)
}

// ResumeReads implements transport.Conn.
func (c *conn) ResumeReads() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = false
	c.hint(notable, c.phase != phaseOpen)
	if c.phase != phaseDead {
		c.l.post(c)
	}
}

// Send implements transport.Conn.
func (c *conn) Send(payload []byte, binary bool) error {
	l := &c.l.e.limits
	now := c.l.e.now()
	c.mu.Lock()
	err := c.roomLocked(ws.MessageSize(len(payload), l.OutFrame))
	switch {
	case err != nil:
	case c.readyLocked() && !c.gatherLocked(): // as nearly always with an idle client: nothing is made for it
		b := outBuffers.Get().(*[]byte)
		*b = l.AppendMessage((*b)[:0], payload, binary, c.deflate)
		if rest := c.writeLocked(*b); len(rest) > 0 {
			q := c.queueLocked()
			*q = append(*q, rest...)
		}
		putBuffer(b)
		c.sentLocked(now)
	default:
		b := c.queueLocked()
		*b = l.AppendMessage(*b, payload, binary, c.deflate)
		c.sentLocked(now)
	}
	c.mu.Unlock()
	if err == transport.ErrQueueFull {
		c.dropped(transport.DropInfo{Reason: transport.DropQueueFull, Bytes: len(payload)})
	}
	return err
}

// SendPrepared implements transport.Conn.
func (c *conn) SendPrepared(p *transport.Prepared) error {
	l := &c.l.e.limits
	now := c.l.e.now()
	c.mu.Lock()
	if c.phase == phaseTransit { // the others don't wait for this one
		c.mu.Unlock()
		return transport.ErrMoved
	}
	frames := p.Frames(l, c.deflate)
	err := c.roomLocked(len(frames))
	if err == nil {
		if rest := c.writeLocked(frames); len(rest) > 0 {
			b := c.queueLocked()
			*b = append(*b, rest...)
		}
		c.sentLocked(now)
	}
	c.mu.Unlock()
	if err == transport.ErrQueueFull {
		c.dropped(transport.DropInfo{Reason: transport.DropQueueFull, Bytes: len(p.Payload)})
	}
	return err
}

// roomLocked returns why n bytes can't be queued, or nil.
func (c *conn) roomLocked(n int) error {
	if c.phase != phaseOpen {
		if err := c.arriveLocked(); err != nil {
			return err
		}
	}
	switch {
	case c.phase != phaseOpen || c.broken || c.aborted:
		return transport.ErrClosed
	case c.queuedLocked()+n > c.l.e.limits.SendQueue:
		return transport.ErrQueueFull
	}
	return nil
}

// sentLocked writes a message that was queued, as far as the socket takes it.
func (c *conn) sentLocked(now int64) {
	c.active.Store(now)
	c.flushLocked()
	c.restLocked()
}

// Close implements transport.Conn.
func (c *conn) Close(code ws.CloseCode, text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.arriveLocked(); err != nil {
		return err
	}
	c.closeLocked(transport.CloseReason{Code: code, Text: text})
	return nil
}

// closeWith starts our side of the closing handshake, unless it was started or
// the connection is in transit.
func (c *conn) closeWith(why transport.CloseReason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(why)
}

func (c *conn) closeLocked(why transport.CloseReason) {
	if c.phase != phaseOpen {
		return
	}
	if c.answeringLocked() {
		why, c.shutting = c.more.reason, true
	}
	if !why.Code.Sendable() {
		why.Code, why.Text = ws.CloseNoStatusReceived, ""
	}
	c.settleLocked(why)
	c.queueCloseLocked(why.Code, why.Text)
	c.flushLocked()
	if c.paused { // and reading goes on
		c.l.post(c)
	}
}

// queueCloseLocked queues the one close frame and lets nothing in or out behind it.
func (c *conn) queueCloseLocked(code ws.CloseCode, text string) {
	if c.closeSent {
		return
	}
	c.closeSent = true
	c.enterLocked(phaseClosing, c.l.e.limits.CloseTimeout)
	b := c.queueLocked()
	*b = ws.AppendClose(*b, code, text)
}

// moreLocked returns what a busy connection has, and makes it if need be.
func (c *conn) moreLocked() *more {
	if c.more == nil {
		c.more = mores.Get().(*more)
	}
	return c.more
}

// restLocked gives back what an idle connection doesn't need. What only the
// loop may look at is in use as long as corked.
func (c *conn) restLocked() {
	m := c.more
	if m == nil || c.corked || c.phase != phaseOpen || len(m.in) > 0 || m.mid || m.out.buf != nil ||
		m.deadline != 0 || m.upgrade != nil || m.ended {
		return
	}
	c.more = nil
	putMore(m)
}

func putMore(m *more) {
	*m = more{}
	mores.Put(m)
}

// settleLocked fixes why the connection ended: the first reason stays.
func (c *conn) settleLocked(why transport.CloseReason) {
	if m := c.moreLocked(); !m.ended {
		m.ended, m.reason = true, why
	}
}

// answeringLocked says that the client broke the protocol and isn't told yet: what
// it sends is thrown away, while the answers to what it sent before may leave.
func (c *conn) answeringLocked() bool {
	return c.phase == phaseOpen && c.more != nil && c.more.ended
}

// enterLocked changes the phase; d is its deadline, 0 for none.
func (c *conn) enterLocked(p phase, d time.Duration) {
	c.phase = p
	c.hint(notable, p != phaseOpen || c.paused)
	if d == 0 {
		if c.more != nil {
			c.more.deadline = 0
		}
		return
	}
	c.moreLocked().deadline = c.l.e.machine() + int64(d)
	c.l.time(c)
}

// abort ends the connection at once.
func (c *conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abortLocked()
}

// abortLocked ends the connection at once; the loop closes the socket.
func (c *conn) abortLocked() {
	if !c.aborted {
		c.aborted = true
		c.l.post(c)
	}
}

// brokenLocked gives up writing because the socket failed. What the client sent
// before it left, its close frame above all, may still wait to be read; reading
// will fail soon, or is cut off.
func (c *conn) brokenLocked() {
	if c.broken {
		return
	}
	c.broken = true
	m := c.moreLocked()
	m.out.drop()
	c.hint(stalled, false)
	if m.deadline == 0 || c.answeringLocked() {
		m.deadline = c.l.e.machine() + int64(c.l.e.limits.CloseTimeout)
		c.l.time(c)
	}
}

// shutdown begins the connection's end because the engine closes.
func (c *conn) shutdown(code ws.CloseCode, text string) {
	c.mu.Lock()
	p := c.phase
	if p == phaseNew || p == phaseHead || p == phasePending {
		c.abortLocked()
	}
	c.mu.Unlock()
	if p == phaseOpen {
		c.closeWith(transport.CloseReason{Code: code, Text: text, Drop: transport.DropEngineClosed})
	}
	// An HTTP request under way is answered; then the loop sees that the engine closes.
}

// step takes the connection one step further, on its loop. It returns true if
// there may be more to do.
func (c *conn) step() bool {
	c.mu.Lock()
	p := c.phase
	switch {
	case p == phaseDead || c.held:
		c.mu.Unlock()
		return false
	case c.aborted:
		c.mu.Unlock()
		c.bury()
		return false
	}
	switch p {
	case phaseNew:
		c.phase = phaseHead
		c.mu.Unlock()
		return c.begin()
	case phaseOpen:
		if c.end == endNone {
			return c.stepOpen() // unlocks
		}
	}
	c.mu.Unlock()
	switch p {
	case phaseHead:
		return c.stepHead()
	case phaseRequest:
		return c.stepRequest()
	case phasePending:
		return c.stepPending()
	}
	return c.stepClosing()
}

// begin registers a new connection with its loop.
func (c *conn) begin() bool {
	if err := c.l.register(c); err != nil {
		c.dropped(transport.DropInfo{Reason: transport.DropConnectionLost, Err: err})
		c.bury()
		return false
	}
	if c.l.e.closing.Load() {
		c.bury()
	}
	return false // the poller tells when there is something to read
}

// read reads what the socket has. Neither bytes nor an error: nothing now. The
// bytes are the loop's scratch buffer, valid until the next read.
func (c *conn) read() ([]byte, error) {
	if !c.readable {
		return nil, nil
	}
	for {
		n, errno := netpoll.Receive(int(c.fd), c.l.scratch)
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			c.readable = false
			return nil, nil
		case errno != 0:
			return nil, errno
		case n == 0:
			return nil, io.EOF
		default:
			// A short read has emptied the socket; what comes now is another event.
			c.readable = n == len(c.l.scratch) || c.ending
			return c.l.scratch[:n], nil
		}
	}
}

// bury closes the socket and tells who must know. It runs on the loop, once.
func (c *conn) bury() {
	c.mu.Lock()
	if c.phase == phaseDead {
		c.mu.Unlock()
		return
	}
	c.phase, c.aborted = phaseDead, true
	if c.bound {
		c.settleLocked(transport.CloseReason{Code: ws.CloseAbnormalClosure, Err: errors.New("epoll: cut off")})
	}
	bound, why, status, upgrading := c.bound, transport.CloseReason{}, 0, false
	if m := c.more; m != nil {
		why = m.reason
		if u := m.upgrade; u != nil {
			upgrading, status = true, u.status
			if !u.answered {
				u.answered, u.left = true, true
				if u.gone != nil {
					close(u.gone)
				}
			}
		}
		m.out.drop()
		c.more = nil
		putMore(m)
	}
	c.l.release(c)
	syscall.Close(int(c.fd))
	c.mu.Unlock()
	e := c.l.e
	defer e.left()
	if f := e.events.UpgradeEnd; f != nil && upgrading {
		f(transport.UpgradeInfo{RemoteAddr: c.RemoteAddr(), Status: status})
	}
	if bound {
		c.guard("OnClose", func() { c.served.handler.OnClose(c, why) })
		if f := e.events.ConnectionEnd; f != nil {
			f(transport.ConnectionEndInfo{RemoteAddr: c.RemoteAddr(), Reason: why})
		}
	}
}

func (c *conn) dropped(i transport.DropInfo) {
	if f := c.l.e.events.Dropped; f != nil {
		i.RemoteAddr = c.RemoteAddr()
		f(i)
	}
}

// An address is a socket's, in as few bytes as it has.
type address struct {
	ip   [16]byte
	port uint16
	kind addressKind
}

// An addressKind says which of an address's bytes mean something.
type addressKind uint8

const (
	addressUnix addressKind = iota
	address4
	address6
)

// addressOf reads what the kernel wrote.
func addressOf(sa *syscall.RawSockaddrAny) (a address) {
	switch sa.Addr.Family {
	case syscall.AF_INET:
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(sa))
		copy(a.ip[:], in.Addr[:])
		a.port, a.kind = networkOrder(in.Port), address4
	case syscall.AF_INET6:
		in := (*syscall.RawSockaddrInet6)(unsafe.Pointer(sa))
		a.ip, a.port, a.kind = in.Addr, networkOrder(in.Port), address6
	}
	return a
}

// networkOrder returns the number whose two bytes in memory are p's, the higher one first.
func networkOrder(p uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], p)
	return binary.BigEndian.Uint16(b[:])
}

// addrPort returns the address, the zero AddrPort if it isn't TCP's; a zone is left out.
func (a *address) addrPort() netip.AddrPort {
	switch a.kind {
	case address4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a.ip[:4])), a.port)
	case address6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.ip).Unmap(), a.port)
	}
	return netip.AddrPort{}
}

// net returns the address as package net has it.
func (a *address) net() net.Addr {
	if at := a.addrPort(); at.IsValid() {
		return net.TCPAddrFromAddrPort(at)
	}
	return &net.UnixAddr{Net: "unix"}
}
