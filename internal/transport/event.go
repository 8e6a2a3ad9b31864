package transport

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"tidegate/ws"
)

// A DropReason names why something was discarded: a connection, a request, a
// message. Metric label, log field and test assertion are the same constant. It
// is an alias so that it goes into a label as it is.
type DropReason = string

// Why a connection, a request or a message was discarded.
const (
	DropTooManyConnections DropReason = "too-many-connections" // over Limits.MaxConnections, closed at once
	DropHandshakeTimeout   DropReason = "handshake-timeout"    // no whole request in time
	DropBadRequest         DropReason = "bad-request"          // not HTTP/1.1 as we take it
	DropHeaderTooLarge     DropReason = "header-too-large"     // 431
	DropBadHandshake       DropReason = "bad-handshake"        // an upgrade without a proper key or version
	DropTLSHandshake       DropReason = "tls-handshake"        // the TLS handshake failed
	DropBadField           DropReason = "bad-response-field"   // a response field that can't be written was left out
	DropProtocolError      DropReason = "protocol-error"       // close code 1002
	DropInvalidUTF8        DropReason = "invalid-utf8"         // close code 1007
	DropFrameTooBig        DropReason = "frame-too-big"        // close code 1009
	DropMessageTooBig      DropReason = "message-too-big"      // close code 1009
	DropBinary             DropReason = "binary-unsupported"   // close code 1003
	DropIdle               DropReason = "idle"                 // close code 1001 after Limits.Idle
	DropLifetime           DropReason = "lifetime"             // close code 1001 after Limits.Lifetime
	DropQueueFull          DropReason = "queue-full"           // Send returned ErrQueueFull
	DropPong               DropReason = "pong-queue-full"      // a ping was not answered: the client does not read
	DropWriteTimeout       DropReason = "write-timeout"        // the client took no byte for Limits.WriteTimeout
	DropCloseTimeout       DropReason = "close-timeout"        // the client did not answer our close frame
	DropAfterClose         DropReason = "after-close"          // a message that came after our close frame
	DropConnectionLost     DropReason = "connection-lost"      // TCP ended without a close frame
	DropEngineClosed       DropReason = "engine-closed"        // close code 1001, or the drain's
	DropPanic              DropReason = "handler-panic"        // close code 1011
	DropInTransit          DropReason = "in-transit"           // Send waited too long for a hand-off's outcome
	DropThaw               DropReason = "thaw-failed"          // close code 1011: Handler.Thaw refused the connection
)

// GoingAway is the text of close code 1001 when a connection is idle, too old,
// or the engine closes: API Gateway's own.
const GoingAway = "Going away"

// BreachOf is what a ws.Decoder's error makes of a connection: the code and text of
// our close frame, and the name under which it is counted.
func BreachOf(err error) CloseReason {
	why := CloseReason{Code: ws.CloseProtocolError, Err: err, Drop: dropOf(err)}
	var breach *ws.Error
	if errors.As(err, &breach) {
		why.Code, why.Text = breach.Code, breach.Text()
	}
	return why
}

// dropOf names a ws.Decoder's error.
func dropOf(err error) DropReason {
	switch err {
	case ws.ErrBinary:
		return DropBinary
	case ws.ErrFrameTooBig:
		return DropFrameTooBig
	case ws.ErrMessageTooBig:
		return DropMessageTooBig
	case ws.ErrInvalidUTF8, ws.ErrCloseText:
		return DropInvalidUTF8
	}
	return DropProtocolError
}

// An EventListener hears what an engine does. Any func may be nil. They are
// called where the connection is served, its goroutine or its loop: return
// quickly, don't call back into the connection.
type EventListener struct {
	ConnectionBegin func(ConnectionInfo)    // a socket was accepted
	UpgradeEnd      func(UpgradeInfo)       // a handshake was answered, or its client left
	ConnectionEnd   func(ConnectionEndInfo) // a WebSocket connection ended; once for each OnClose
	Dropped         func(DropInfo)          // something was discarded
	AcceptFailed    func(AcceptFailedInfo)  // a listener's Accept failed; it is tried again
	Panicked        func(PanicInfo)         // a handler panicked
}

// A ConnectionInfo tells of an accepted socket.
type ConnectionInfo struct {
	RemoteAddr, LocalAddr net.Addr
}

// String returns one line for a log.
func (i ConnectionInfo) String() string {
	return fmt.Sprintf("connection from %v on %v", i.RemoteAddr, i.LocalAddr)
}

// An UpgradeInfo tells how a handshake was answered.
type UpgradeInfo struct {
	RemoteAddr net.Addr
	Status     int // 101, the status of a rejection, or 0 when the client left first
}

// String returns one line for a log.
func (i UpgradeInfo) String() string {
	if i.Status == 0 {
		return fmt.Sprintf("upgrade from %v: the client left", i.RemoteAddr)
	}
	return fmt.Sprintf("upgrade from %v: %d", i.RemoteAddr, i.Status)
}

// A ConnectionEndInfo tells why a WebSocket connection ended.
type ConnectionEndInfo struct {
	RemoteAddr net.Addr
	Reason     CloseReason
}

// String returns one line for a log.
func (i ConnectionEndInfo) String() string {
	return fmt.Sprintf("connection from %v ended: %v", i.RemoteAddr, i.Reason)
}

// A DropInfo tells what was discarded and why.
type DropInfo struct {
	RemoteAddr net.Addr
	Reason     DropReason
	Bytes      int          // of the message, where one was discarded
	Status     int          // of the HTTP answer, where there was one
	Code       ws.CloseCode // of the close frame, where there was one
	Err        error        // may be nil
}

// String returns one line for a log.
func (i DropInfo) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dropped: %s, client %v", i.Reason, i.RemoteAddr)
	if i.Bytes > 0 {
		fmt.Fprintf(&b, ", %d bytes", i.Bytes)
	}
	if i.Status > 0 {
		fmt.Fprintf(&b, ", status %d", i.Status)
	}
	if i.Code > 0 {
		fmt.Fprintf(&b, ", close code %v", i.Code)
	}
	if i.Err != nil {
		fmt.Fprintf(&b, ": %v", i.Err)
	}
	return b.String()
}

// An AcceptFailedInfo tells of a listener that could not accept for a moment,
// for example because the process has no file descriptor left.
type AcceptFailedInfo struct {
	Addr net.Addr
	Err  error
}

// String returns one line for a log.
func (i AcceptFailedInfo) String() string {
	return fmt.Sprintf("accept on %v failed, trying again: %v", i.Addr, i.Err)
}

// A PanicInfo tells of a handler's panic.
type PanicInfo struct {
	RemoteAddr net.Addr
	Method     string // of Handler: OnMessage
	Value      any
	Stack      []byte
}

// String returns one line for a log; Stack is apart.
func (i PanicInfo) String() string {
	return fmt.Sprintf("%s panicked, client %v: %v", i.Method, i.RemoteAddr, i.Value)
}

// String returns one line for a log: code, text, who, why.
func (r CloseReason) String() string {
	var b strings.Builder
	b.WriteString(r.Code.String())
	if r.Text != "" {
		fmt.Fprintf(&b, " %q", r.Text)
	}
	if r.ByClient {
		b.WriteString(" by the client")
	}
	if r.Drop != "" {
		b.WriteString(" (" + r.Drop + ")")
	}
	if r.Err != nil {
		fmt.Fprintf(&b, ": %v", r.Err)
	}
	return b.String()
}
