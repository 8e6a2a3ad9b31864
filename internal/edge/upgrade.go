package edge

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/internal/gateway"
	"tidegate/internal/stage"
	"tidegate/internal/transport"
	"tidegate/ws"
)

var _ transport.Handler = (*Edge)(nil)

// OnUpgrade implements transport.Handler: it finds the stage, lets the gateway
// decide, on a goroutine of its own if that may take waiting, and answers the
// handshake.
func (e *Edge) OnUpgrade(r *transport.Request, u transport.Upgrade) {
	path, query := splitTarget(r.Target)
	var s *stage.Stage
	no := e.oversized(r)
	if no == nil && e.tlsOnly && !r.TLS {
		no = refusalPlain()
	}
	if no == nil {
		s, no = e.admissible(r.Host, path)
	}
	if no != nil {
		requestID := newUUID()
		e.report(no, RefusedInfo{
			RequestID: requestID, Method: r.Method, Host: r.Host, Path: path, RemoteAddr: r.RemoteAddr.String(), WebSocket: true,
			Origin: r.Get("Origin"), SecFetchSite: r.Get("Sec-Fetch-Site"),
		})
		reject(u, no.status, errorType(no.status), requestID, no.text)
		return
	}
	if strings.Trim(path, "/") == "" && s.Name != apigw.StageName(apigw.RouteDefault) && e.domains.Lookup(r.Host) == nil {
		e.stageOmitted(StageOmittedInfo{Method: r.Method, Host: r.Host, Path: path, WebSocket: true})
	}
	q := connectRequests.Get().(*event.ConnectRequest)
	fillConnectRequest(q, r, s, query)
	if !e.connectAtOnce(q, u) {
		go e.connect(q, u)
		return
	}
	header, fields := q.Header, q.Query
	clear(header)
	clear(fields)
	*q = event.ConnectRequest{Header: header[:0], Query: fields[:0]}
	connectRequests.Put(q)
}

// connectRequests are those of handshakes that were decided at once, for the next.
var connectRequests = sync.Pool{New: func() any { return new(event.ConnectRequest) }}

// The statuses of handshakes that are too large. AWS documents the quotas and
// neither status; these are the ones that RFC 9110 and RFC 6585 have for it.
const (
	statusURLTooLong     = http.StatusRequestURITooLong
	statusHeaderTooLarge = http.StatusRequestHeaderFieldsTooLarge
)

// oversized holds a handshake against the quotas of its URL and its header values.
func (e *Edge) oversized(r *transport.Request) *refusal {
	if n := len(r.Target); n > e.limits.URLSize {
		return &refusal{status: statusURLTooLong, reason: URLTooLong, text: http.StatusText(statusURLTooLong),
			why: fmt.Sprintf("path and query have %d bytes; url_size is %d", n, e.limits.URLSize)}
	}
	n := 0
	for i := range r.Header {
		n += len(r.Header[i].Value)
	}
	if n > e.limits.HeaderSize {
		return &refusal{status: statusHeaderTooLarge, reason: HeaderTooLarge, text: http.StatusText(statusHeaderTooLarge),
			why: fmt.Sprintf("the header's values have %d bytes together; header_size is %d", n, e.limits.HeaderSize)}
	}
	return nil
}

// admissible returns the stage that a handshake means, or why it is refused.
func (e *Edge) admissible(host, path string) (*stage.Stage, *refusal) {
	if e.guard != nil {
		if no := e.guard.checkHost(host); no != nil {
			return nil, no
		}
	}
	if e.face&Clients == 0 {
		return nil, misplaced(Clients)
	}
	if apiOf(host) == "" && isOwn(path) {
		return nil, &refusal{status: http.StatusForbidden, reason: OwnPath, text: textForbidden, why: "there is no WebSocket under /_tidegate"}
	}
	return e.resolve(host, path)
}

// connectAtOnce asks the gateway and answers the handshake, unless somebody else
// would have to be asked.
func (e *Edge) connectAtOnce(r *event.ConnectRequest, u transport.Upgrade) (done bool) {
	defer e.contain(r.DomainName, u, &done)
	admission, ok, err := e.gateway.ConnectAtOnce(e.ctx, r)
	if ok {
		e.answerUpgrade(u, admission, err)
	}
	return ok
}

// connect asks the gateway and answers the handshake.
func (e *Edge) connect(r *event.ConnectRequest, u transport.Upgrade) {
	defer e.contain(r.DomainName, u, new(bool))
	// The integration goes on when the client leaves: what it answers decides
	// whether a $disconnect is owed.
	admission, err := e.gateway.Connect(e.ctx, r)
	e.answerUpgrade(u, admission, err)
}

// contain is deferred where a handshake is decided: a fault of ours must not end the
// process, nor leave the client waiting.
func (e *Edge) contain(host string, u transport.Upgrade, done *bool) {
	if v := recover(); v != nil {
		*done = true
		requestID := newUUID()
		e.report(&refusal{status: http.StatusInternalServerError, reason: Panicked, why: fmt.Sprintf("%v\n%s", v, debug.Stack())}, RefusedInfo{RequestID: requestID, Host: host, WebSocket: true})
		reject(u, http.StatusInternalServerError, "InternalServerErrorException", requestID, "Internal server error")
	}
}

// answerUpgrade answers the handshake as the gateway has decided.
func (e *Edge) answerUpgrade(u transport.Upgrade, admission *gateway.Admission, err error) {
	if err != nil {
		var no *gateway.Rejection
		if !errors.As(err, &no) {
			no = &gateway.Rejection{Status: http.StatusInternalServerError, Type: "InternalServerErrorException", Text: "Internal server error", RequestID: newUUID()}
		}
		reject(u, no.Status, no.Type, no.RequestID, no.Text)
		return
	}
	c := admission.Connection
	err = u.Accept(fieldsOf(admission.Header), func(conn transport.Conn) {
		conn.SetData(c)
		e.gateway.Open(c, socket{conn})
	})
	if err != nil {
		e.gateway.Disconnect(e.ctx, c, event.CloseReason{Code: int(ws.CloseAbnormalClosure)})
	}
}

func reject(u transport.Upgrade, status int, kind, requestID, text string) {
	u.Reject(status, fieldsOf(errorFields(kind, requestID)), errorBody(text))
}

func fieldsOf(fields []event.Field) []transport.Field {
	out := make([]transport.Field, len(fields))
	for i, f := range fields {
		out[i] = transport.Field{Name: f.Name, Value: f.Value}
	}
	return out
}

// OnMessage implements transport.Handler. It runs where the connection is read and
// doesn't wait: refusals and constant replies are dealt with at once, calls are
// started.
func (e *Edge) OnMessage(conn transport.Conn, m transport.Message) {
	c, ok := conn.Data().(*connection.Connection)
	if !ok {
		return // a connection that Accept never bound has no messages
	}
	e.gateway.Start(e.ctx, e.gateway.Plan(c, m.Payload, m.Binary))
}

// OnBreach implements transport.Handler.
func (e *Edge) OnBreach(conn transport.Conn, _ transport.CloseReason) time.Duration {
	c, ok := conn.Data().(*connection.Connection)
	if !ok {
		return 0
	}
	return e.gateway.Breached(c)
}

// OnClose implements transport.Handler.
func (e *Edge) OnClose(conn transport.Conn, why transport.CloseReason) {
	c, ok := conn.Data().(*connection.Connection)
	if !ok {
		return
	}
	e.gateway.Disconnect(e.ctx, c, closeReason(why))
}

// closeReason puts the end of a connection into $disconnect's words: the client's
// own code and reason (WS-01-041), 1006 when it was lost (WS-01-044), Going away
// when it was idle (WS-01-038).
func closeReason(why transport.CloseReason) event.CloseReason {
	r := event.CloseReason{Code: int(why.Code), Text: why.Text, Reason: why.Drop}
	if why.Drop == "" && why.ByClient {
		r.Reason = ClosedByClient
	}
	if why.Err != nil {
		r.Why = why.Err.Error()
	}
	if why.Code == ws.CloseGoingAway && !why.ByClient && r.Text == "" {
		r.Text = "Going away"
	}
	return r
}

// Freeze implements transport.Handler: it writes the gateway's half down.
func (e *Edge) Freeze(conn transport.Conn) ([]byte, error) {
	c, ok := conn.Data().(*connection.Connection)
	if !ok {
		return nil, errors.New("edge: a connection that was never bound can't be handed off")
	}
	return c.Freeze()
}

// Thaw implements transport.Handler: it takes over what Freeze wrote in another
// process.
func (e *Edge) Thaw(conn transport.Conn, frozen []byte) error {
	c, err := e.gateway.Thaw(frozen, socket{conn})
	if err != nil {
		return err
	}
	conn.SetData(c)
	return nil
}

// A socket is the client's end as the gateway sees it.
type socket struct{ transport.Conn }

// Send implements connection.Socket.
func (s socket) Send(payload []byte, binary bool) error {
	return sendError(s.Conn.Send(payload, binary))
}

// SendMany implements connection.Sender.
func (socket) SendMany(m *connection.Message, to []connection.Socket, errs []error) {
	p := m.Encoded(func(m *connection.Message) any { return &transport.Prepared{Payload: m.Payload, Binary: m.Binary} })
	conns := batches.Get().(*[connection.MessageBatch]transport.Conn)
	defer batches.Put(conns)
	defer clear(conns[:])
	for i, s := range to {
		if s != nil {
			conns[i] = s.(socket).Conn
		}
	}
	p.(*transport.Prepared).SendTo(conns[:len(to)], errs)
	for i := range to {
		if to[i] != nil {
			errs[i] = sendError(errs[i])
		}
	}
}

var batches = sync.Pool{New: func() any { return new([connection.MessageBatch]transport.Conn) }}

// sendError puts an engine's error into the gateway's words.
func sendError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, transport.ErrQueueFull):
		return apigw.ErrQueueFull
	case errors.Is(err, transport.ErrClosed):
		return apigw.ErrGone
	case errors.Is(err, transport.ErrMoved):
		return connection.ErrMoved
	}
	return err
}

// Close implements connection.Socket.
func (s socket) Close(code int, reason string) error {
	return sendError(s.Conn.Close(ws.CloseCode(code), reason))
}

var _ connection.Sender = socket{}

// fillConnectRequest writes the handshake in the words of $connect, over the fields
// of a request that is no longer used.
func fillConnectRequest(c *event.ConnectRequest, r *transport.Request, s *stage.Stage, query string) {
	*c = event.ConnectRequest{
		APIID: s.APIID, Stage: s.Name, DomainName: r.Host,
		Header:   slices.Grow(c.Header[:0], len(r.Header)),
		Query:    appendQuery(c.Query[:0], query),
		Target:   r.Target,
		Identity: event.Identity{SourceIP: addressOf(r.RemoteAddr), UserAgent: r.Get("User-Agent")},
		TraceID:  r.Get("X-Amzn-Trace-Id"), ForwardedProto: "http",
	}
	for i := range r.Header {
		c.Header = append(c.Header, event.Field(r.Header[i]))
	}
	if c.TraceID == "" {
		c.TraceID = newTraceID(time.Now())
	}
	c.ForwardedFor = c.Identity.SourceIP
	if r.TLS {
		c.ForwardedProto = "https"
	}
	if a, ok := r.LocalAddr.(*net.TCPAddr); ok {
		c.ForwardedPort = strconv.Itoa(a.Port)
	}
}

// addressOf returns an address without its port.
func addressOf(a net.Addr) string {
	switch a := a.(type) {
	case nil:
		return ""
	case interface{ AddrPort() netip.AddrPort }:
		if ip := a.AddrPort().Addr(); ip.IsValid() {
			return ip.Unmap().WithZone("").String() // an IPv6 zone means nothing elsewhere
		}
	}
	return a.String()
}

// appendQuery decodes a query in the client's order. What can't be decoded is
// taken as it is.
func appendQuery(fields []event.Field, query string) []event.Field {
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		fields = append(fields, event.Field{Name: unescape(name), Value: unescape(value)})
	}
	return fields
}

func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// newTraceID returns an X-Ray trace header: version, seconds, 96 random bits. They
// identify and authorize nothing, and come from the runtime's ChaCha8 generator.
func newTraceID(now time.Time) string {
	var b [20]byte
	binary.BigEndian.PutUint32(b[:], uint32(now.Unix()))
	binary.BigEndian.PutUint64(b[4:], rand.Uint64())
	binary.BigEndian.PutUint64(b[12:], rand.Uint64())
	id := append(make([]byte, 0, 64), "Root=1-"...)
	id = append(hex.AppendEncode(id, b[:4]), '-')
	return string(hex.AppendEncode(id, b[4:16]))
}
