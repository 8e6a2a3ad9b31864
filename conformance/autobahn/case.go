// Package autobahn holds the cases of the Autobahn test suite for WebSocket
// servers, 1 to 7, 9, 10, 12 and 13, written down as data, and a client that
// plays them against a server that echoes: text as text, binary as binary.
//
// A Case has the suite's number, the bytes that the client writes, and what the
// suite expects of the server. The client writes and reads frames by itself and
// shares no code with the servers it judges, but for the frames' encoder.
//
// Source: https://github.com/crossbario/autobahn-testsuite
package autobahn

import (
	"slices"
	"strconv"
	"time"

	"tidegate/ws"
)

// A Case is one case of the suite.
type Case struct {
	ID     string   // the suite's number: 6.4.1
	Offers []string // of permessage-deflate, one for each that the client makes
	Frames []Frame  // what the client sends
	Rounds *Rounds  // further messages, each sent after the echo of the one before

	// Strict is what must come before the closing handshake for OK, Lenient what
	// NON-STRICT allows instead; nil: nothing does.
	Strict  []Event
	Lenient *[]Event
	// Informational says that the suite judges neither events nor closing.
	Informational bool

	End End
}

// A Frame is one frame from the client, and how it is written.
type Frame struct {
	Op      ws.Opcode
	More    bool // FIN is not set
	RSV     byte // 1 to 7
	Payload []byte
	// Size, when not 0, is to what size the payload is repeated.
	Size int
	// Fragment, when not 0, makes a message of the frame: fragments of that size.
	Fragment int
	// Chop, when not 0, writes so many bytes at a time. Otherwise what stands
	// between two frames that are Sync leaves in one write.
	Chop int
	Sync bool // the frame is written by itself
	// Cuts are payload offsets after which the client writes no more until it has
	// seen that nothing comes; End of the payload is one where Quiet is set.
	Cuts  []int
	Quiet bool
	// Await, when not 0, is how many events must have come before the next frame.
	Await int
}

// Rounds are messages of which each is sent when the one before has come back.
type Rounds struct {
	Count    int
	Binary   bool
	Fragment int              // bytes of a frame; 0: one frame a message
	Message  func(int) []byte // the i-th
}

// A Kind says what an Event is.
type Kind string

// What a client can receive, but for a close frame. Quiet is that nothing came
// where the client waited for that.
const (
	Text   Kind = "text"
	Binary Kind = "binary"
	Ping   Kind = "ping"
	Pong   Kind = "pong"
	Quiet  Kind = "quiet"
)

// An Event is what a client received.
type Event struct {
	Kind    Kind
	Payload string
	Size    int // to which Payload is repeated; 0: it is whole
}

// An End is how the suite wants a connection to be closed.
type End struct {
	// ByServer: the server fails the connection. Otherwise the client closes it, by
	// a frame of its own among Frames (Sent), or with code 1000 when all has come.
	ByServer bool
	Sent     bool
	Clean    bool           // the server must send a close frame
	Codes    []ws.CloseCode // that the server's close frame may have; it may have none
}

// Cases returns all cases, in the order of their numbers.
func Cases() []Case {
	return slices.Concat(
		framing(), pings(), reservedBits(), opcodes(), fragmentation(),
		utf8Fragments(), utf8FailFast(), utf8Sequences(),
		closing(), limits(), autoFragmentation(), compression(),
	)
}

// normal is an end by the client, with 1000 back.
func normal() End { return End{Clean: true, Codes: []ws.CloseCode{ws.CloseNormalClosure}} }

// fails is an end by the server, with that code.
func fails(code ws.CloseCode) End { return End{ByServer: true, Codes: []ws.CloseCode{code}} }

// number appends the last part of a case's number.
func number(group string, i int) string { return group + "." + strconv.Itoa(i) }

// quietFor is how long nothing must come for Quiet, where that is what is right.
const quietFor = 50 * time.Millisecond

func text(payload string) Frame { return Frame{Op: ws.OpText, Payload: []byte(payload)} }
func ping(payload string) Frame { return Frame{Op: ws.OpPing, Payload: []byte(payload)} }

// start is a message's first fragment, more a further one, last the last one.
func start(payload string) Frame {
	return Frame{Op: ws.OpText, More: true, Payload: []byte(payload)}
}
func more(payload string) Frame {
	return Frame{Op: ws.OpContinuation, More: true, Payload: []byte(payload)}
}
func last(payload string) Frame {
	return Frame{Op: ws.OpContinuation, Payload: []byte(payload)}
}

// chopped returns the frames written so many bytes at a time, and each by itself.
func chopped(size int, frames ...Frame) []Frame {
	out := slices.Clone(frames)
	for i := range out {
		out[i].Chop, out[i].Sync = size, true
	}
	return out
}

// synced returns the frames written each by itself.
func synced(frames ...Frame) []Frame { return chopped(0, frames...) }

// echoed is a text message that came back.
func echoed(payload string) Event { return Event{Kind: Text, Payload: payload} }
