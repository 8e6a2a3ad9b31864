// Package transport is the border between sockets and what is done with them.
// An Engine owns listeners and connections: it reads HTTP/1.1 request heads,
// answers the WebSocket handshake, decodes frames, queues what is sent, and
// ends what is too slow, too big or too old. A Handler says what a request or a
// message means. Neither knows the other's insides: an engine has not heard of
// routes, a handler sees no socket.
//
// Two engines implement the same interface and pass the suite in
// transporttest: goconn (a goroutine per connection, any OS) and epoll (a few
// loops, Linux).
package transport

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"tidegate/ws"
)

// Errors that a connection's methods return; compare with errors.Is.
var (
	// ErrQueueFull means that the message would bring the connection's send
	// queue over Limits.SendQueue: the client reads too slowly. Nothing of it
	// was queued.
	ErrQueueFull = errors.New("transport: send queue full: the client reads too slowly")
	// ErrClosed means that the connection is closed or closing. Nothing was queued.
	ErrClosed = errors.New("transport: connection closed")
	// ErrClientGone is what Upgrade.Accept returns when the client left before
	// the answer.
	ErrClientGone = errors.New("transport: the client left before the handshake was answered")
	// ErrAnswered means that an Upgrade was answered before: it takes one answer.
	ErrAnswered = errors.New("transport: the upgrade was answered already")
	// ErrBadField means that a response header field can't be written: not a
	// token as its name, a control character in its value, or a field that
	// belongs to the engine. The client was answered 500.
	ErrBadField = errors.New("transport: response header field can't be sent")
	// ErrEngineClosed is what Serve returns after Close.
	ErrEngineClosed = errors.New("transport: engine closed")
	// ErrMoved means that the connection lives in another process since a Freeze.
	// Nothing was queued here: the caller forwards to the connection's new home.
	ErrMoved = errors.New("transport: the connection has moved to another process")
)

// A Field is one header field, name and value as they were sent, but for the
// white space around the value.
type Field struct{ Name, Value string }

// A Request is the head of one HTTP/1.1 request, within the bounds of Limits. It is
// valid until OnUpgrade or OnRequest returns, but for its strings, which stay; see
// Retain.
type Request struct {
	Method string
	Target string  // as sent, in origin form: /Prod?x=1
	Host   string  // the Host field's value, its port included
	Header []Field // every field, in the client's order and letter case
	Body   []byte  // in OnRequest only: the whole body
	// RemoteAddr is the client's end of the connection; one of TCP has a method
	// AddrPort, as *net.TCPAddr has. LocalAddr is ours: the listener's address, so
	// that its IP may be the unspecified one. In OnRequest there may be none.
	RemoteAddr, LocalAddr net.Addr
	TLS                   bool // came over TLS
	// MayBlock says that OnRequest may wait before it returns, for a disk or for
	// another's lock: the connection has a goroutine of its own, and nobody else
	// waits for it.
	MayBlock bool
}

// Retain returns a copy of the request that stays valid.
func (r *Request) Retain() *Request {
	kept := *r
	kept.Header, kept.Body = slices.Clone(r.Header), bytes.Clone(r.Body)
	return &kept
}

// Get returns the value of the first field of that name, in any letter case, or "".
func (r *Request) Get(name string) string {
	for i := range r.Header {
		if strings.EqualFold(r.Header[i].Name, name) {
			return r.Header[i].Value
		}
	}
	return ""
}

// Values returns the values of all fields of that name, in any letter case, in order.
func (r *Request) Values(name string) []string { return r.appendValues(nil, name) }

func (r *Request) appendValues(vs []string, name string) []string {
	for i := range r.Header {
		if strings.EqualFold(r.Header[i].Name, name) {
			vs = append(vs, r.Header[i].Value)
		}
	}
	return vs
}

// CheckHandshake checks a handshake request, whose framing is f, and returns its key.
// The error's status is 400 or 426.
func (r *Request) CheckHandshake(f Framing) (key string, err *RequestError) {
	var vs []string // one at a time is looked at
	key, herr := ws.CheckHandshake(r.Method, f.Minor, func(name string) []string {
		vs = r.appendValues(vs[:0], name)
		return vs
	})
	switch {
	case herr != nil:
		return "", &RequestError{herr.Status, DropBadHandshake, herr.Text()}
	case !f.OriginForm:
		return "", errHandshakeTarget
	}
	return key, nil
}

// A Message is one whole message from a client, its fragments joined. Text is
// valid UTF-8.
type Message struct {
	Payload []byte // valid until OnMessage returns; see Retain
	Binary  bool
}

// Retain returns the message with a copy of its payload, which stays valid.
func (m Message) Retain() Message {
	return Message{Payload: bytes.Clone(m.Payload), Binary: m.Binary}
}

// A CloseReason says what ended a connection.
type CloseReason struct {
	// Code is the close frame's that came first, the client's or ours;
	// CloseNoStatusReceived (1005) for a client's close frame without a code,
	// CloseAbnormalClosure (1006) when there was none in either direction.
	Code ws.CloseCode
	Text string // the close frame's text; may be ""
	// ByClient is true when the client ended it: it sent the first close frame,
	// or its end of the TCP connection went away.
	ByClient bool
	// Err is what happened underneath, for a log: a read or write error, a
	// protocol error, a panic's report. nil after an ordinary close.
	Err error
	// Drop is one of the Drop constants where a limit or a fault ended the
	// connection; "" after an ordinary close.
	Drop DropReason
}

// A Reply answers a small HTTP request, once, from any goroutine; later calls
// do nothing. The connection reads on only after the answer, so each request
// that OnRequest took must be answered. The engine writes Content-Length, Date
// and Connection itself and keeps the connection open if the request allows it;
// fields of these names, and ones that can't be written, are left out. body is
// copied.
type Reply interface {
	Respond(status int, header []Field, body []byte)
}

// An Upgrade is a WebSocket handshake that waits for its answer: exactly one of
// Accept and Reject, from any goroutine.
type Upgrade interface {
	// Accept answers 101. header holds fields to add to it, such as
	// Sec-WebSocket-Protocol.
	//
	// bind is called with the connection before the first byte of the 101 is
	// written, so that the handler can attach its state (Conn.SetData); it may
	// call Send too. If Accept returns nil, bind ran and OnClose follows exactly
	// once. If it returns an error, bind did not run and OnClose does not
	// follow: ErrClientGone, ErrAnswered, or ErrBadField (the client got 500).
	// A 101 that can't be written is no error here: OnClose follows with 1006.
	Accept(header []Field, bind func(Conn)) error
	// Reject answers with another status and ends the connection. Fields that
	// can't be written are left out. body is copied. After another answer, or
	// when the client left, it does nothing.
	Reject(status int, header []Field, body []byte)
	// Gone is closed when the client left, or the engine closed, before an answer.
	Gone() <-chan struct{}
}

// A Conn is one client's WebSocket connection. Its methods are safe for
// concurrent use and none of them blocks on the network.
//
// While a Freeze has the connection on its way, Send and Close wait for the
// outcome, a few seconds at most (then ErrQueueFull): what was queued before is in
// Frozen.State, what comes later is queued here if the connection comes back, or is
// ErrMoved. Nothing is acknowledged and lost. A handler that sends to other
// connections while it is called holds up its own loop for as long. SendPrepared
// doesn't wait, as others are to get the message too: it returns ErrMoved before the
// outcome is known, and Send does the rest.
// PauseReads and ResumeReads don't wait; after a move they do nothing.
type Conn interface {
	// Data returns what SetData stored, nil at first: the handler's half of the
	// connection.
	Data() any
	SetData(any)
	// Send queues one message, split into frames of at most Limits.OutFrame
	// bytes. It copies the payload. Messages leave in the order in which they
	// were queued and their frames never interleave. A text payload must be
	// valid UTF-8; that is not checked. Errors: ErrQueueFull, ErrClosed, ErrMoved.
	Send(payload []byte, binary bool) error
	// SendPrepared is Send for a message that goes to many clients. It is copied
	// only for a client that can't take all of it at once.
	SendPrepared(*Prepared) error
	// Close queues a close frame behind what is queued, and lets no further
	// message in or out. OnClose follows when the client has answered, or after
	// Limits.CloseTimeout. A code that may not be sent (1005, 1006) closes
	// without a status; text beyond 123 bytes is cut. Later calls do nothing.
	// After OnBreach the close frame is the breach's. The error is ErrMoved, or
	// ErrQueueFull as above: nothing was closed.
	Close(code ws.CloseCode, text string) error
	// RemoteAddr is the client's address as the socket says.
	RemoteAddr() net.Addr
	// LastActive is when the last message came in or was queued to go out; at
	// first, when the connection was accepted.
	LastActive() time.Time
	// PauseReads stops OnMessage after the message under way, and soon reading,
	// so that the client meets TCP's back-pressure; ResumeReads goes on. They
	// don't nest. While paused, the client's leaving may go unnoticed.
	PauseReads()
	ResumeReads()
}

// A Handler says what requests and messages mean. For one connection its
// methods are called one after the other, in the order of the wire, and must
// return quickly: nothing is read from that connection meanwhile. A panic ends
// that connection alone (500, or close code 1011) and is reported.
type Handler interface {
	// OnUpgrade takes a valid WebSocket handshake request, which is valid until it
	// returns. The answer may come before that, or at any later time.
	OnUpgrade(*Request, Upgrade)
	// OnRequest is offered each other request whose body is small and whole, and
	// may wait where Request.MayBlock says so. The request is valid until it
	// returns. It returns true if it has answered or will; if false, the connection
	// goes to the fallback with every byte of the request.
	OnRequest(*Request, Reply) bool
	// OnMessage takes one message. Its payload is valid until it returns.
	OnMessage(Conn, Message)
	// OnBreach is called when the client has broken the protocol or a limit, with
	// what it will be told. Nothing of it will be read any more, and no OnMessage
	// follows. It returns how long the close frame may wait for answers to what the
	// client sent before, 0 for not at all: meanwhile messages may be sent, and once
	// the last is, the handler calls Close. A client that leaves, or must go for
	// another reason, is not waited for. It is called again after a Thaw, in the
	// process that takes the connection; the time is then what was left of the first.
	OnBreach(Conn, CloseReason) (wait time.Duration)
	// OnClose is called exactly once for every accepted connection, after its
	// last OnMessage.
	OnClose(Conn, CloseReason)
	// Freeze writes the handler's half of the connection down. No other method runs
	// for the connection meanwhile, and it must not send on it; PauseReads and
	// ResumeReads count until it has returned. After an error the connection stays.
	// After success it may come back all the same; if it doesn't, no OnClose follows.
	Freeze(Conn) ([]byte, error)
	// Thaw attaches what Freeze wrote, in the process that takes the connection,
	// before any other method is called for it. It may use the Conn: what it sends
	// leaves behind what was queued before the move, and a connection whose reads
	// were paused arrives paused. After an error the client is sent close code 1011,
	// and no OnClose follows.
	Thaw(Conn, []byte) error
}

// An Engine serves listeners. It may serve several at a time.
type Engine interface {
	// Serve accepts connections until the listener fails or the engine closes
	// (ErrEngineClosed). fallback gets, on a goroutine of its own, each
	// connection whose request neither is a handshake nor was taken by
	// OnRequest: every byte that was read of it is read again, and NetConn
	// returns what is underneath. It owns the connection then. With a nil
	// fallback such a request gets 404.
	Serve(l net.Listener, h Handler, fallback func(net.Conn)) error
	// Freeze gives every connection away, to a process that shares the listeners.
	//
	// It stops accepting, for good unless Resume is called: Serve stays, and clients
	// wait in the listeners' queues for the other process. Then, at most batch at a
	// time, connections stop here and pass is called with them; each pauses for its
	// own batch alone. When pass returns nil they are gone from here, without OnClose
	// (see ErrMoved). When it returns an error, exactly that batch goes on here as if
	// nothing had happened, and Freeze returns the error. The files are closed when
	// pass has returned.
	//
	// A handshake or an HTTP request that waits for its answer gets it here first;
	// Freeze comes back for the connection until none such is left, or ctx ends: then
	// it returns ctx's error behind the batch under way. What is left over is counted;
	// calling it again goes on. errors.ErrUnsupported where an engine can't.
	Freeze(ctx context.Context, batch int, pass func([]Frozen) error) (Left, error)
	// Resume takes up accepting again after a Freeze that was not completed.
	Resume()
	// Thaw takes connections over, before Serve or while it runs; handler and
	// fallback are as Serve's. It owns the files and closes them. An error for one
	// connection doesn't hinder the others; all are joined. errors.ErrUnsupported
	// where an engine can't.
	Thaw(h Handler, fallback func(net.Conn), frozen []Frozen) error
	// Close closes the listeners, sends close code 1001 to every client, and
	// waits for them no longer than Limits.CloseTimeout.
	Close() error
}
