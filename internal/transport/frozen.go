package transport

import (
	"fmt"
	"os"
)

// FrozenVersion is the version of Frozen.State. A process takes connections only of
// its own: they must agree on it before the first is passed.
const FrozenVersion = 1

// A Frozen is one connection at rest, on its way to another process. It is a
// WebSocket connection, or one on which an HTTP request is awaited.
type Frozen struct {
	File     *os.File // the socket; valid until pass or Thaw returns
	Listener string   // address of the listener that accepted it: it must meet the same handler again
	State    []byte   // the engine's half: decoder, what is queued, deadlines
	Data     []byte   // the handler's half, from Handler.Freeze; nil if it is not a WebSocket connection

	socket int // once it is owned: its descriptor and 1, and File is closed
}

// A Left counts the connections that a Freeze left behind, by reason. They go on
// in the old process. Those that the engine gave to a fallback, or to whom TLS is
// spoken, are not its own and not counted.
type Left struct {
	Upgrades int // handshakes that wait for their answer
	Requests int // HTTP requests that are being answered
	Ending   int // sockets that are about to be closed
	Refused  int // Handler.Freeze failed
	Movable  int // not reached before ctx ended or pass failed
}

// Total is how many connections are left.
func (l Left) Total() int { return l.Upgrades + l.Requests + l.Ending + l.Refused + l.Movable }

// String returns one line for a log.
func (l Left) String() string {
	return fmt.Sprintf("%d connections left: %d movable, %d upgrades pending, %d requests under way, %d ending, %d refused",
		l.Total(), l.Movable, l.Upgrades, l.Requests, l.Ending, l.Refused)
}
