package goconn

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"runtime/debug"
	"time"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// tlsHandshakeRecord is the first byte of a TLS connection (RFC 8446 section
// 5.1); no HTTP method begins with it.
const tlsHandshakeRecord = 0x16

var errGone = errors.New("goconn: the client left")

// serve is the life of an accepted socket until it is a WebSocket connection,
// the fallback's, or ended.
func (c *conn) serve() {
	buf, err := c.begin()
	if err != nil {
		c.endHTTP()
		return
	}
	if tc, ok := c.nc.(*tls.Conn); ok && tc.ConnectionState().NegotiatedProtocol == "h2" {
		c.giveAway(nil)
		return
	}
	var scan transport.HeadScanner
	for {
		end, rerr := c.readHead(&scan, &buf)
		if rerr != nil {
			c.refuse(rerr)
			return
		}
		if end == 0 {
			c.endHTTP()
			return
		}
		req, framing, rerr := transport.ParseHead(buf[:end])
		if rerr != nil {
			c.refuse(rerr)
			return
		}
		c.describe(req)
		if framing.Upgrade {
			c.upgrade(req, framing, buf[end:])
			return
		}
		rest, next := c.request(req, framing, buf, end)
		if !next {
			return
		}
		buf, scan = rest, transport.HeadScanner{}
	}
}

// begin does the TLS handshake, if the client wants one, and returns what else
// was read.
func (c *conn) begin() ([]byte, error) {
	if tc, ok := c.nc.(*tls.Conn); ok {
		return nil, c.handshake(tc)
	}
	if c.e.tls == nil {
		return nil, nil
	}
	buf, err := c.readMore(nil, phaseHead)
	if err != nil || len(buf) == 0 || buf[0] != tlsHandshakeRecord {
		return buf, err
	}
	tc := tls.Server(transport.NewReplayConn(c.nc, buf), c.e.tls)
	c.mu.Lock()
	c.nc, c.sock = tc, nil
	c.mu.Unlock()
	c.in = newSource(tc, nil)
	return nil, c.handshake(tc)
}

func (c *conn) handshake(tc *tls.Conn) error {
	err := tc.HandshakeContext(context.Background()) // the sweep cuts the socket at the deadline
	if err != nil {
		c.dropped(transport.DropInfo{Reason: transport.DropTLSHandshake, Err: err})
	}
	return err
}

// describe fills in what the socket knows.
func (c *conn) describe(req *transport.Request) {
	req.RemoteAddr, req.LocalAddr = c.remote, c.nc.LocalAddr()
	_, req.TLS = c.nc.(interface{ ConnectionState() tls.ConnectionState })
	req.MayBlock = true
}

// readMore appends what comes next to buf. It returns early, without an error,
// when kicked, or when the phase is no longer want.
func (c *conn) readMore(buf []byte, want phase) ([]byte, error) {
	c.mu.Lock()
	if c.aborted {
		c.mu.Unlock()
		return buf, net.ErrClosed
	}
	if c.phase != want || c.late {
		c.mu.Unlock()
		return buf, nil
	}
	c.reading = true
	c.mu.Unlock()
	p, err := c.in.next()
	buf = append(buf, p...)
	c.in.done()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reading { // kicked
		c.nc.SetReadDeadline(time.Time{})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
	}
	c.reading = false
	if len(p) > 0 {
		err = nil // it will come again
	}
	return buf, err
}

// readHead reads until buf begins with a whole head and returns its length; 0
// without an error means that the client left, or sent nothing in time.
func (c *conn) readHead(scan *transport.HeadScanner, buf *[]byte) (end int, rerr *transport.RequestError) {
	for {
		if end, rerr = scan.Scan(*buf, &c.e.limits); end > 0 || rerr != nil {
			return end, rerr
		}
		if rerr := c.lateness(len(*buf) > 0); rerr != nil {
			return 0, rerr
		}
		c.requestBegins(len(*buf) > 0)
		var err error
		if *buf, err = c.readMore(*buf, phaseHead); err != nil {
			return 0, nil
		}
		if c.isLate() && len(*buf) == 0 && c.keptAlive {
			return 0, nil // it was kept open in case of another request: no fault
		}
		if c.isLate() && len(*buf) == 0 {
			c.dropped(transport.DropInfo{Reason: transport.DropHandshakeTimeout})
			return 0, nil
		}
	}
}

// requestBegins starts the time that a whole request may take, on a connection
// that waited for one between requests.
func (c *conn) requestBegins(begun bool) {
	if !begun || !c.keptAlive {
		return
	}
	c.keptAlive = false
	c.mu.Lock()
	c.enterLocked(phaseHead, c.e.limits.HandshakeTimeout)
	c.mu.Unlock()
}

func (c *conn) isLate() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.late
}

// lateness returns the 408 if the deadline has passed in the middle of a request.
func (c *conn) lateness(begun bool) *transport.RequestError {
	if begun && c.isLate() {
		return transport.ErrRequestTimeout
	}
	return nil
}

// refuse answers a request that the engine does not take, and ends.
func (c *conn) refuse(rerr *transport.RequestError) {
	c.dropped(transport.DropInfo{Reason: rerr.Drop, Status: rerr.Status, Err: rerr})
	c.respondLast(transport.ErrorResponse(rerr.Status, rerr.Text(), time.Now()))
	c.endHTTP()
}

// respondLast writes an answer behind which the connection ends.
func (c *conn) respondLast(r transport.Response) {
	c.mu.Lock()
	c.enterLocked(phaseClosing, c.e.limits.CloseTimeout)
	c.out.append(func(b []byte) []byte { b, _ = transport.AppendResponse(b, r); return b })
	c.flushLocked()
	c.mu.Unlock()
	c.linger()
}

// linger shuts our direction once all is written and reads until the client
// does the same, or the phase's deadline.
func (c *conn) linger() {
	c.mu.Lock()
	if !c.answeringLocked() { // closing that shuts
		c.shutting = true
		if c.out.size() == 0 && !c.out.writing {
			c.flushedLocked()
		}
	}
	c.mu.Unlock()
	for {
		_, err := c.in.next()
		c.in.done()
		if err != nil {
			break
		}
	}
	c.mu.Lock()
	c.closeLocked(transport.CloseReason{}) // what waits for answers waits no longer
	c.waitFlushedLocked()                  // a client that shut its direction first still gets the answer
	c.mu.Unlock()
}

// hangUp closes the socket.
func (c *conn) hangUp() {
	c.mu.Lock()
	open := !c.aborted
	c.aborted, c.phase = true, phaseDead
	nc := c.nc
	c.wakeLocked()
	c.mu.Unlock()
	if open {
		nc.Close()
	}
}

// endHTTP ends a connection that never became a WebSocket.
func (c *conn) endHTTP() {
	c.hangUp()
	c.e.remove(c)
}

// request serves one HTTP request that begins buf. It returns the bytes behind
// it, and whether the connection awaits another.
func (c *conn) request(req *transport.Request, f transport.Framing, buf []byte, end int) (rest []byte, next bool) {
	offered := f.OriginForm && !f.Chunked && !f.Expect && f.ContentLength <= int64(c.e.limits.Body)
	if offered {
		total := end + int(f.ContentLength)
		for len(buf) < total {
			if rerr := c.lateness(true); rerr != nil {
				c.refuse(rerr)
				return nil, false
			}
			var err error
			if buf, err = c.readMore(buf, phaseHead); err != nil {
				c.endHTTP()
				return nil, false
			}
		}
		req.Body = buf[end:total:total]
		r := &reply{c: c, head: req.Method == "HEAD", minor: f.Minor, keepAlive: f.KeepAlive && !c.e.isClosing()}
		if c.offer(req, r) {
			if !c.awaitAnswer(r) {
				return nil, false
			}
			return append([]byte(nil), buf[total:]...), true
		}
	}
	c.giveAway(buf)
	return nil, false
}

// offer asks the handler whether it takes the request.
func (c *conn) offer(req *transport.Request, r *reply) (taken bool) {
	c.mu.Lock()
	if c.phase != phaseHead || c.aborted {
		c.mu.Unlock()
		return false
	}
	c.enterLocked(phaseRequest, 0)
	c.mu.Unlock()
	if !c.guard("OnRequest", func() { taken = c.h.OnRequest(req, r) }) {
		c.mu.Lock()
		r.keepAlive = false
		c.mu.Unlock()
		r.Respond(500, nil, nil)
		return true
	}
	return taken
}

// awaitAnswer waits for the handler's answer and until it was written. It
// reports whether the connection awaits another request.
func (c *conn) awaitAnswer(r *reply) bool {
	c.mu.Lock()
	for !r.answered && !c.aborted {
		c.waitLocked()
	}
	c.waitFlushedLocked()
	next := r.keepAlive && !c.aborted
	if next {
		c.keptAlive = true
		c.enterLocked(phaseHead, c.e.limits.KeepAlive)
	} else {
		c.enterLocked(phaseClosing, c.e.limits.CloseTimeout)
	}
	c.mu.Unlock()
	if next && !c.e.isClosing() {
		return true
	}
	if !next {
		c.linger()
	}
	c.endHTTP()
	return false
}

// giveAway hands the connection to the fallback with what was read of it.
func (c *conn) giveAway(buf []byte) {
	if c.fallback == nil {
		c.respondLast(transport.ErrorResponse(404, "nothing is served here", time.Now()))
		c.endHTTP()
		return
	}
	c.mu.Lock()
	if c.aborted {
		c.mu.Unlock()
		c.endHTTP()
		return
	}
	c.phase, c.deadline = phaseDead, time.Time{}
	nc := transport.NewReplayConn(c.nc, buf)
	c.mu.Unlock()
	c.e.remove(c)
	c.guard("fallback", func() { c.fallback(nc) })
}

// guard calls f and contains its panic; it reports whether there was none.
func (c *conn) guard(method string, f func()) (ok bool) {
	defer func() {
		if !ok {
			if v := recover(); v != nil && c.e.events.Panicked != nil {
				c.e.events.Panicked(transport.PanicInfo{RemoteAddr: c.remote, Method: method, Value: v, Stack: debug.Stack()})
			}
		}
	}()
	f()
	return true
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
	status = transport.FinalStatus(status)
	r.answered = true
	dropped := c.respondLocked(transport.Response{
		Status: status, Header: header, Body: body, Close: !r.keepAlive, Head: r.head, Minor: r.minor,
	})
	c.wakeLocked()
	c.mu.Unlock()
	c.droppedFields(dropped)
}

func (c *conn) respondLocked(r transport.Response) (dropped int) {
	r.Date = time.Now()
	c.out.append(func(b []byte) []byte { b, dropped = transport.AppendResponse(b, r); return b })
	c.flushLocked()
	return dropped
}

func (c *conn) droppedFields(n int) {
	for range n {
		c.dropped(transport.DropInfo{Reason: transport.DropBadField})
	}
}

// upgrade asks the handler about a handshake and waits for the answer, reading
// meanwhile so that the client's leaving is noticed. early is what came behind
// the head.
func (c *conn) upgrade(req *transport.Request, f transport.Framing, early []byte) {
	key, rerr := req.CheckHandshake(f)
	if rerr != nil {
		c.refuse(rerr)
		return
	}
	u := &upgrade{c: c, key: key, extensions: c.e.limits.Extensions(req), gone: make(chan struct{})}
	c.mu.Lock()
	if c.aborted {
		c.mu.Unlock()
		c.endHTTP()
		return
	}
	c.enterLocked(phasePending, 0)
	c.late = false
	c.mu.Unlock()
	if !c.guard("OnUpgrade", func() { c.h.OnUpgrade(req, u) }) {
		u.Reject(500, nil, nil)
		c.closeWith(transport.CloseReason{Code: ws.CloseInternalError, Drop: transport.DropPanic})
	}
	early, err := u.await(append([]byte(nil), early...))
	c.mu.Lock()
	for c.accepting {
		c.waitLocked()
	}
	bound, status := u.bound, u.status
	c.mu.Unlock()
	if f := c.e.events.UpgradeEnd; f != nil {
		f(transport.UpgradeInfo{RemoteAddr: c.remote, Status: status})
	}
	switch {
	case bound:
		// On a goroutine of its own, whose stack has not grown by the above.
		go c.serveOpen(early, err)
	case err == errGone || status == 0:
		c.endHTTP()
	default:
		c.linger()
		c.endHTTP()
	}
}

// An upgrade is a handshake that waits for its answer.
type upgrade struct {
	c          *conn
	key        string
	extensions string // what was agreed
	gone       chan struct{}
	// Guarded by c.mu.
	answered bool // or the client left
	left     bool // the client left first
	bound    bool // accepted, and bind returned
	status   int  // of the answer
}

// await reads until the handshake was answered. errGone means that the client
// left first; another error came after the answer.
func (u *upgrade) await(early []byte) ([]byte, error) {
	c := u.c
	for {
		c.mu.Lock()
		for c.phase == phasePending && len(early) > 0 && len(early) >= c.e.limits.EarlyBytes && !c.aborted {
			c.waitLocked()
		}
		pending := c.phase == phasePending
		c.mu.Unlock()
		if !pending {
			return early, nil
		}
		var err error
		if early, err = c.readMore(early, phasePending); err == nil {
			continue
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.phase != phasePending {
			return early, err
		}
		u.answered, u.left = true, true
		close(u.gone)
		c.enterLocked(phaseDead, 0)
		return nil, errGone
	}
}

// Gone implements transport.Upgrade.
func (u *upgrade) Gone() <-chan struct{} { return u.gone }

// Accept implements transport.Upgrade.
func (u *upgrade) Accept(header []transport.Field, bind func(transport.Conn)) error {
	c := u.c
	c.mu.Lock()
	switch {
	case u.left || !u.answered && c.aborted:
		c.mu.Unlock()
		return transport.ErrClientGone
	case u.answered:
		c.mu.Unlock()
		return transport.ErrAnswered
	}
	head, err := transport.AppendSwitching(nil, u.key, u.extensions, header)
	if err != nil {
		c.mu.Unlock()
		c.droppedFields(1)
		u.Reject(500, nil, nil)
		return err
	}
	u.answered, u.status = true, 101
	c.accepting = true // nothing leaves before bind has returned
	c.deflate = u.extensions != ""
	c.out.append(func(b []byte) []byte { return append(b, head...) })
	c.opened = c.now()
	c.active.Store(c.opened)
	c.heard.Store(c.opened)
	c.enterLocked(phaseOpen, 0)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.accepting = false
		if u.bound {
			c.flushLocked()
		} else { // bind panicked; the panic goes on to whoever called Accept
			u.status = 0
			c.abortLocked()
		}
		c.kickLocked()
		c.wakeLocked()
	}()
	bind(c)
	u.bound = true // read by the reader after it has seen accepting false under mu
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
	c.enterLocked(phaseClosing, c.e.limits.CloseTimeout)
	dropped := c.respondLocked(transport.Response{Status: status, Header: header, Body: body, Close: true, Minor: 1})
	c.kickLocked()
	c.mu.Unlock()
	c.droppedFields(dropped)
}
