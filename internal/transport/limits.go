package transport

import (
	"fmt"
	"time"

	"tidegate/ws"
)

// Limits are the bounds within which an engine serves. Start from
// DefaultLimits; sizes are in bytes.
type Limits struct {
	Header           int           // a request's head, request line included; over it: 431
	HeaderLines      int           // header fields of a request; over it: 431
	Body             int           // the largest body of a request that is offered to OnRequest; larger ones go to the fallback
	HandshakeTimeout time.Duration // from the accept, or a further request's first byte, to the end of a whole request; over it: 408
	KeepAlive        time.Duration // between two requests of a connection; over it: closed
	EarlyBytes       int           // what a client may send before its handshake is answered; over it reading waits for the answer

	Frame          int           // one frame's payload, inbound; over it: close code 1009
	Message        int           // one message, inbound; over it: close code 1009
	BinaryAllowed  bool          // false: a binary frame from the client gets close code 1003
	OutFrame       int           // the largest frame that is sent; longer messages are split
	SendQueue      int           // what may wait to be written, frame headers included; over it: ErrQueueFull
	Idle           time.Duration // without a message in either direction; over it: close code 1001; 0: none
	Lifetime       time.Duration // from the 101; over it: close code 1001; 0: none
	WriteTimeout   time.Duration // without a byte taken by the socket while bytes wait; over it the connection is cut
	CloseTimeout   time.Duration // from our close frame to the end of the client's side; over it the connection is cut
	Deflate        bool          // accept permessage-deflate (RFC 7692) from clients that offer it
	Ping           time.Duration // silence from the client after which a ping is sent; 0: none, as on AWS
	MaxConnections int           // sockets that the engine holds at a time, those of the fallback not counted; over it: closed at once; 0: no bound

	// ControlFramesCountAsActivity lets a client's pings and pongs put the idle
	// deadline off. Reports on what AWS does conflict.
	ControlFramesCountAsActivity bool
}

// DefaultLimits are AWS's where AWS has one (API Gateway's quotas for WebSocket
// APIs): 32 KB frames (WS-01-045), 128 KB messages (WS-01-046), 10 min idle
// (WS-01-030), 2 h lifetime (WS-01-033), no pings (WS-01-035), no binary from
// clients (WS-01-040).
func DefaultLimits() Limits {
	return Limits{
		Header:           16 << 10,
		HeaderLines:      100,
		Body:             256 << 10, // above PostToConnection's 128 KiB, so that its 413 is the handler's
		HandshakeTimeout: 10 * time.Second,
		KeepAlive:        2 * time.Minute,
		EarlyBytes:       64 << 10,
		Frame:            32 << 10,
		Message:          128 << 10,
		OutFrame:         32 << 10,
		SendQueue:        1 << 20,
		Idle:             10 * time.Minute,
		Lifetime:         2 * time.Hour,
		WriteTimeout:     30 * time.Second,
		CloseTimeout:     5 * time.Second,
	}
}

// Validate returns an error that names the first field which can't be served
// with.
func (l Limits) Validate() error {
	for _, f := range []struct {
		name string
		v    int64
		min  int64
	}{
		{"Header", int64(l.Header), 128},
		{"HeaderLines", int64(l.HeaderLines), 8}, // a handshake has five
		{"Body", int64(l.Body), 0},
		{"HandshakeTimeout", int64(l.HandshakeTimeout), int64(time.Millisecond)},
		{"EarlyBytes", int64(l.EarlyBytes), 0},
		{"Frame", int64(l.Frame), 125}, // a control frame must fit
		{"Message", int64(l.Message), 125},
		{"OutFrame", int64(l.OutFrame), 125},
		{"SendQueue", int64(l.SendQueue), 256},
		{"Idle", int64(l.Idle), 0},
		{"Lifetime", int64(l.Lifetime), 0},
		{"KeepAlive", int64(l.KeepAlive), int64(time.Millisecond)},
		{"WriteTimeout", int64(l.WriteTimeout), int64(time.Millisecond)},
		{"CloseTimeout", int64(l.CloseTimeout), int64(time.Millisecond)},
		{"Ping", int64(l.Ping), 0},
		{"MaxConnections", int64(l.MaxConnections), 0},
	} {
		if f.v < f.min {
			return fmt.Errorf("transport: limit %s is %d, want %d at least", f.name, f.v, f.min)
		}
	}
	return nil
}

// FrameLimits are what a client's frames are held to; deflate says that
// compression was agreed with it.
func (l Limits) FrameLimits(deflate bool) ws.Limits {
	return ws.Limits{Frame: l.Frame, Message: l.Message, Binary: l.BinaryAllowed, Deflate: deflate}
}

// Extensions returns the Sec-WebSocket-Extensions that answers a handshake
// request, "" for none.
func (l Limits) Extensions(r *Request) string {
	if !l.Deflate {
		return ""
	}
	return ws.NegotiateDeflate(r.Values("Sec-WebSocket-Extensions"))
}

// AppendMessage appends a message as it is sent to a client.
func (l *Limits) AppendMessage(dst, payload []byte, binary, deflate bool) []byte {
	if deflate {
		return ws.AppendDeflated(dst, payload, binary, l.OutFrame)
	}
	return ws.AppendMessage(dst, payload, binary, l.OutFrame)
}

// SweepInterval is how often an engine looks at its deadlines: a second, or a
// fraction of the shortest of them.
func (l Limits) SweepInterval() time.Duration {
	tick := time.Second
	for _, d := range []time.Duration{l.HandshakeTimeout, l.KeepAlive, l.WriteTimeout, l.CloseTimeout, l.Idle, l.Lifetime, l.Ping} {
		if d > 0 {
			tick = min(tick, d/4)
		}
	}
	return max(tick, 5*time.Millisecond)
}
