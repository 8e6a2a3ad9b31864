//go:build linux

package epoll

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// tlsHandshakeRecord is the first byte of a TLS connection (RFC 8446 section
// 5.1); no HTTP method begins with it.
const tlsHandshakeRecord = 0x16

// keptInput is how large a buffer for requests a connection may keep between them.
const keptInput = 4 << 10

// A request is an HTTP request on its way in.
type request struct {
	scan      transport.HeadScanner
	head      *transport.Request // nil while the head isn't whole, and of one that came whole at once
	framing   transport.Framing
	end       int  // of the head
	keptAlive bool // none has begun, and there was one before
}

// stepHead reads and parses once, while an HTTP request is awaited.
func (c *conn) stepHead() bool {
	m := c.more // there is one until the connection is open
	p := m.in
	if !m.unseen {
		if c.tardy(m) {
			return true
		}
		b, err := c.read()
		if err != nil {
			return c.leftBetween()
		}
		if b == nil {
			return false
		}
		if len(p) > 0 {
			m.in = append(m.in, b...)
			b = m.in
		}
		p = b
	}
	m.unseen = false
	return c.parse(m, p)
}

// leftBetween ends a connection whose client ends it between requests, behind the
// answer that may be gathered.
func (c *conn) leftBetween() bool {
	c.mu.Lock()
	c.corked = false
	c.flushLocked()
	waits := c.queuedLocked() > 0 && !c.broken && !c.aborted
	if waits {
		c.enterLocked(phaseClosing, c.l.e.limits.CloseTimeout)
		c.end = endFlush
	}
	c.mu.Unlock()
	if !waits {
		c.bury()
	}
	return waits
}

// tardy ends a connection whose request has not come in time.
func (c *conn) tardy(m *more) bool {
	c.mu.Lock()
	late := c.late
	c.mu.Unlock()
	switch {
	case !late:
		return false
	case len(m.in) > 0:
		c.refuse(transport.ErrRequestTimeout)
		return true
	case !m.request.keptAlive: // kept open in case of another request it would be no fault
		c.dropped(transport.DropInfo{Reason: transport.DropHandshakeTimeout})
	}
	c.bury()
	return true
}

// parse looks at all that was read of a request.
func (c *conn) parse(m *more, p []byte) bool {
	r := &m.request
	head := r.head
	if head == nil {
		if p[0] == tlsHandshakeRecord && c.l.e.tls != nil && len(m.in) == 0 {
			tls, s := c.l.e.tls, c.served
			c.giveAway(p, func(nc net.Conn) { tls(nc, s.handler, s.fallback) })
			return false
		}
		end, rerr := r.scan.Scan(p, &c.l.e.limits)
		if rerr == nil && end > 0 {
			head = &c.l.request
			r.framing, rerr = transport.ParseHeadInto(head, p[:end])
			r.end = end
		}
		switch {
		case rerr != nil:
			c.refuse(rerr)
			return true
		case end == 0:
			c.uncork()
			c.requestBegins(m)
			c.keep(m, p)
			return c.isLate() || c.readable
		}
		head.RemoteAddr = remoteAddr{c}
		if r.framing.Upgrade {
			c.uncork()
			head.LocalAddr = c.served.addr
			c.upgrade(m, head, p[end:])
			return true
		}
	}
	f := &r.framing
	if !f.OriginForm || f.Chunked || f.Expect || f.ContentLength > int64(c.l.e.limits.Body) {
		return c.fallBack(m, p)
	}
	total := r.end + int(f.ContentLength)
	if len(p) < total {
		if r.head == nil {
			c.keepHead(r)
		}
		c.uncork()
		c.requestBegins(m)
		c.keep(m, p)
		return c.isLate() || c.readable
	}
	if !c.offer(m, head, p, total) {
		return c.fallBack(m, p)
	}
	return true
}

// keepHead keeps the head that was parsed last; the loop takes another for the next.
func (c *conn) keepHead(r *request) *transport.Request {
	r.head = new(transport.Request)
	*r.head, c.l.request = c.l.request, transport.Request{}
	return r.head
}

// A remoteAddr is a connection's RemoteAddr for requests, few of which are asked
// for it.
type remoteAddr struct{ c *conn }

// Network implements net.Addr.
func (a remoteAddr) Network() string { return a.c.RemoteAddr().Network() }

// String implements net.Addr.
func (a remoteAddr) String() string { return a.c.RemoteAddr().String() }

// AddrPort is as *net.TCPAddr's; the zero AddrPort where it isn't TCP.
func (a remoteAddr) AddrPort() netip.AddrPort { return a.c.addr.addrPort() }

// keep keeps a part of a request.
func (c *conn) keep(m *more, p []byte) {
	if len(m.in) == 0 {
		m.in = bytes.Clone(p)
	}
}

// requestBegins starts the time that a whole request may take, on a connection
// that waited for one between requests.
func (c *conn) requestBegins(m *more) {
	if !m.request.keptAlive {
		return
	}
	m.request.keptAlive = false
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enterLocked(phaseHead, c.l.e.limits.HandshakeTimeout)
}

func (c *conn) isLate() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.late
}

// refuse answers a request that the engine does not take, and ends.
func (c *conn) refuse(rerr *transport.RequestError) {
	c.dropped(transport.DropInfo{Reason: rerr.Drop, Status: rerr.Status, Err: rerr})
	c.respondLast(transport.ErrorResponse(rerr.Status, rerr.Text(), time.Now()))
}

// respondLast writes an answer behind which the connection ends.
func (c *conn) respondLast(r transport.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enterLocked(phaseClosing, c.l.e.limits.CloseTimeout)
	b := c.queueLocked()
	*b, _ = transport.AppendResponse(*b, r)
	c.uncorkLocked()
}

// offer asks the handler whether it takes the request, which p begins with, and if
// so, keeps what is behind it.
func (c *conn) offer(m *more, req *transport.Request, p []byte, total int) (taken bool) {
	q := &m.request
	req.Body = p[q.end:total:total]
	r := &reply{c: c, head: req.Method == "HEAD", minor: q.framing.Minor, keepAlive: q.framing.KeepAlive && !c.l.e.closing.Load()}
	c.mu.Lock()
	c.enterLocked(phaseRequest, 0)
	m.reply, m.offered = r, true
	c.corked = true // an answer that comes at once leaves with those to what was read behind it
	c.mu.Unlock()
	if !c.guard("OnRequest", func() { taken = c.served.handler.OnRequest(req, r) }) {
		c.mu.Lock()
		r.keepAlive = false
		c.mu.Unlock()
		r.Respond(500, nil, nil)
		taken = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.offered, m.noticed = false, false
	if taken {
		m.in = append(m.in[:0], p[total:]...)
		if len(m.in) == 0 && cap(m.in) > keptInput {
			m.in = nil
		}
		m.unseen = len(m.in) > 0
	}
	if !r.answered {
		c.uncorkLocked()
	}
	return taken
}

// uncork writes what was answered so far.
func (c *conn) uncork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uncorkLocked()
}

func (c *conn) uncorkLocked() {
	if c.queuedLocked() == 0 || !c.gatherLocked() {
		c.corked = false
		c.flushLocked()
	}
}

// stepRequest goes on once the answer was written, or at once with a request that
// was read already.
func (c *conn) stepRequest() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.more
	r := m.reply
	if !r.answered {
		m.noticed = m.noticed || c.readable
		return false
	}
	next := r.keepAlive && !c.l.e.closing.Load()
	if !next || !m.unseen || !c.corked || c.queuedLocked() >= corkLimit {
		c.uncorkLocked()
		if c.queuedLocked() > 0 && !c.broken && !c.corked {
			c.awaiting = true
			return false
		}
	}
	m.reply = nil
	m.request = request{keptAlive: true}
	if next {
		c.enterLocked(phaseHead, c.l.e.limits.KeepAlive)
	} else {
		c.enterLocked(phaseClosing, c.l.e.limits.CloseTimeout)
		if r.keepAlive { // the answer didn't say that it is the last
			c.end = endFlush
		}
	}
	return true
}

// fallBack hands the connection to the fallback with what was read of it, once
// what was answered before has left.
func (c *conn) fallBack(m *more, p []byte) bool {
	if c.served.fallback == nil {
		c.respondLast(transport.ErrorResponse(404, "nothing is served here", time.Now()))
		return true
	}
	c.mu.Lock()
	c.uncorkLocked()
	if c.queuedLocked() > 0 && !c.broken {
		c.awaiting = true
		m.reply, m.unseen = nil, true // it is looked at again
		m.request = request{}
		c.enterLocked(phaseHead, c.l.e.limits.HandshakeTimeout)
		c.mu.Unlock()
		c.keep(m, p)
		return false
	}
	c.mu.Unlock()
	c.giveAway(p, c.served.fallback)
	return true
}

// giveAway hands the connection to somebody else, who gets a goroutine for it.
func (c *conn) giveAway(p []byte, to func(net.Conn)) {
	c.mu.Lock()
	if c.aborted {
		c.mu.Unlock()
		c.bury()
		return
	}
	c.phase = phaseDead
	m := c.more
	pre := bytes.Clone(p)
	c.more = nil
	putMore(m)
	c.l.poller.Remove(int(c.fd)) // the socket lives on under another descriptor
	c.l.release(c)
	c.mu.Unlock()
	f := os.NewFile(uintptr(c.fd), "socket")
	nc, err := net.FileConn(f)
	f.Close()
	c.l.e.left()
	if err != nil {
		c.dropped(transport.DropInfo{Reason: transport.DropConnectionLost, Err: err})
		return
	}
	go c.guard("fallback", func() { to(transport.NewReplayConn(nc, pre)) })
}

// A reply answers one HTTP request.
type reply struct {
	c    *conn
	head bool // HEAD
	// Guarded by c.mu.
	minor     int
	keepAlive bool
	answered  bool
}

// Respond implements transport.Reply.
func (r *reply) Respond(status int, header []transport.Field, body []byte) {
	c := r.c
	c.mu.Lock()
	if r.answered || c.phase != phaseRequest {
		c.mu.Unlock()
		return
	}
	r.answered = true
	dropped := c.respondLocked(transport.Response{
		Status: transport.FinalStatus(status), Header: header, Body: body, Close: !r.keepAlive, Head: r.head, Minor: r.minor,
	})
	if !c.more.offered && !c.restsLocked(r) { // offered: the loop sees it when OnRequest has returned
		c.l.post(c)
	}
	c.mu.Unlock()
	c.droppedFields(dropped)
}

// restsLocked does stepRequest's part where the answer has left and nothing waits to
// be read, so that the loop need not be woken for it.
func (c *conn) restsLocked(r *reply) bool {
	m := c.more
	if m.noticed || m.unseen || !r.keepAlive || c.l.e.closing.Load() || c.queuedLocked() > 0 || c.broken || c.aborted {
		return false
	}
	m.reply = nil
	m.request = request{keptAlive: true}
	c.enterLocked(phaseHead, c.l.e.limits.KeepAlive)
	return true
}

func (c *conn) respondLocked(r transport.Response) (dropped int) {
	r.Date = time.Now()
	b := c.queueLocked()
	*b, dropped = transport.AppendResponse(*b, r)
	c.flushLocked()
	return dropped
}

func (c *conn) droppedFields(n int) {
	for range n {
		c.dropped(transport.DropInfo{Reason: transport.DropBadField})
	}
}

// upgrade asks the handler about a handshake. early is what came behind the head.
func (c *conn) upgrade(m *more, req *transport.Request, early []byte) {
	key, rerr := req.CheckHandshake(m.request.framing)
	if rerr != nil {
		c.refuse(rerr)
		return
	}
	u := &upgrade{c: c, key: key, extensions: c.l.e.limits.Extensions(req)}
	m.in = append([]byte(nil), early...)
	m.request = request{}
	c.mu.Lock()
	c.late = false
	m.upgrade, m.offered = u, true
	c.enterLocked(phasePending, 0)
	c.mu.Unlock()
	if !c.guard("OnUpgrade", func() { c.served.handler.OnUpgrade(req, u) }) {
		u.Reject(500, nil, nil)
		c.closeWith(transport.CloseReason{Code: ws.CloseInternalError, Drop: transport.DropPanic})
	}
	c.mu.Lock()
	m.offered = false // the connection keeps m as long as it has the upgrade, which the loop takes off
	c.mu.Unlock()
}

// stepPending reads while a handshake waits for its answer, so that the client's
// leaving is noticed.
func (c *conn) stepPending() bool {
	m := c.more
	if n := len(m.in); n > 0 && n >= c.l.e.limits.EarlyBytes {
		return false
	}
	p, err := c.read()
	if err == nil {
		m.in = append(m.in, p...)
		return len(p) > 0
	}
	c.mu.Lock()
	if c.phase == phasePending {
		c.aborted = true // bury says that the client is gone
	}
	c.mu.Unlock()
	return true // if it was answered meanwhile, reading will find the end again
}

// An upgrade is a handshake that waits for its answer.
type upgrade struct {
	c          *conn
	key        string
	extensions string // what was agreed
	// Guarded by c.mu.
	gone     chan struct{} // nil until somebody asks
	answered bool          // or the client left
	left     bool          // the client left first
	status   int           // of the answer
}

// Gone implements transport.Upgrade.
func (u *upgrade) Gone() <-chan struct{} {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	if u.gone == nil {
		u.gone = make(chan struct{})
		if u.left {
			close(u.gone)
		}
	}
	return u.gone
}

// answeredLocked has the loop go on, unless it is it that answers: within OnUpgrade.
func (u *upgrade) answeredLocked() {
	if m := u.c.more; m == nil || !m.offered {
		u.c.l.post(u.c)
	}
}

// Accept implements transport.Upgrade.
func (u *upgrade) Accept(header []transport.Field, bind func(transport.Conn)) error {
	c := u.c
	now := c.l.e.now()
	c.mu.Lock()
	switch {
	case u.left || !u.answered && c.aborted:
		c.mu.Unlock()
		return transport.ErrClientGone
	case u.answered:
		c.mu.Unlock()
		return transport.ErrAnswered
	}
	b := c.queueLocked()
	head, err := transport.AppendSwitching(*b, u.key, u.extensions, header)
	if err != nil {
		c.mu.Unlock()
		c.droppedFields(1)
		u.Reject(500, nil, nil)
		return err
	}
	*b = head
	u.answered, u.status = true, 101
	c.held = true // nothing leaves before bind has returned
	c.deflate = u.extensions != ""
	c.opened.Store(now)
	c.active.Store(now)
	c.enterLocked(phaseOpen, 0)
	c.mu.Unlock()
	bound := false
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.held, c.bound = false, bound
		if bound {
			c.flushLocked()
		} else { // bind panicked; the panic goes on to whoever called Accept
			u.status = 0
			c.abortLocked()
		}
		u.answeredLocked()
	}()
	bind(c)
	bound = true
	return nil
}

// Reject implements transport.Upgrade.
func (u *upgrade) Reject(status int, header []transport.Field, body []byte) {
	c := u.c
	c.mu.Lock()
	if u.answered || c.phase != phasePending {
		c.mu.Unlock()
		return
	}
	status = transport.FinalStatus(status)
	u.answered, u.status = true, status
	c.enterLocked(phaseClosing, c.l.e.limits.CloseTimeout)
	dropped := c.respondLocked(transport.Response{Status: status, Header: header, Body: body, Close: true, Minor: 1})
	u.answeredLocked()
	c.mu.Unlock()
	c.droppedFields(dropped)
}
