// Package handoff replaces a running Tidegate by another process, a new version of
// the program above all, without a client noticing: listeners and connections go
// over, and both processes answer for the connections in between.
//
// The old process runs a Giver, which starts the new one; that has a Taker. They
// speak over two sockets. On the first one step follows the other:
//
//	Giver                                Taker
//	hello, listeners, second socket,
//	what is stored and served →
//	                                   ← prepared   it runs, its configuration is valid, and
//	                                                it can serve what is stored
//	(writes refused, stores closed)
//	closed →
//	                                   ← ready      it has opened the stores
//	listen →
//	                                   ← listening  it accepts clients
//	(stops accepting)
//	batch of connections, sockets →
//	                                   ← took       they are its own
//	… and so on
//	done →
//
// Whatever fails in the new process before the first took, that is ended, the old
// one opens its stores and goes on. What fails later leaves each connection where it
// was last acknowledged to be. When the old process ends by itself, the new one goes
// on alone from wherever it is: it has the listeners from hello on, and the stores
// are as free as their lock says.
//
// The second socket is a Link: what one process is asked about a connection that
// the other has, it asks there, until the old one ends.
package handoff

import (
	"errors"
	"fmt"
	"time"

	"tidegate/internal/connection"
	"tidegate/internal/transport"
)

// Protocol is the version of what both processes say. A process takes part in a
// hand-off of its own version only.
const Protocol = 1

// BatchSize is how many connections go over at a time: as many sockets as one
// message can carry (SCM_MAX_FD is 253).
const BatchSize = 250

// Bounds on what a peer can send.
const (
	maxHeader  = 1 << 20
	maxPayload = 256 << 20
)

// How long each step may take.
const (
	startTime  = 30 * time.Second // from the start of the new process to prepared
	openTime   = 60 * time.Second // to open the stores and compile every stage
	listenTime = 30 * time.Second // to apply its configuration and accept
	batchTime  = 15 * time.Second // to pass a batch, and again to have it acknowledged
	moveTime   = 5 * time.Second  // to move all that doesn't wait for an answer
	callTime   = 10 * time.Second // of a Link
)

// A Step is how far a hand-off has come.
type Step string

// The steps, in their order.
const (
	Started   Step = "started"   // the new process runs
	Prepared  Step = "prepared"  // it is of a version and a configuration that can take over
	Closed    Step = "closed"    // this process has closed its stores and refuses writes
	Ready     Step = "ready"     // the new one has opened them
	Listening Step = "listening" // and accepts clients
	Moving    Step = "moving"    // connections go over
	Moved     Step = "moved"     // all that can have gone
)

// A Progress tells of a step.
type Progress struct {
	Step        Step   `json:"step"`
	PID         int    `json:"pid"`               // the new process
	Version     string `json:"version,omitempty"` // its program's
	Connections int    `json:"connections"`       // WebSocket connections that went over so far
}

// String returns one line for a log.
func (p Progress) String() string {
	switch p.Step {
	case Started:
		return fmt.Sprintf("hand-off: process %d started", p.PID)
	case Prepared:
		return fmt.Sprintf("hand-off: process %d, version %s, can take over", p.PID, p.Version)
	case Closed:
		return "hand-off: stores closed; calls that change anything are refused for a moment"
	case Ready:
		return fmt.Sprintf("hand-off: process %d opened the stores", p.PID)
	case Listening:
		return fmt.Sprintf("hand-off: process %d accepts clients", p.PID)
	case Moving:
		return fmt.Sprintf("hand-off: %d connections went over", p.Connections)
	}
	return fmt.Sprintf("hand-off: complete, %d connections are with process %d", p.Connections, p.PID)
}

// An Error says at which step a hand-off failed. The new process was ended, and
// this one goes on.
type Error struct {
	After Step // the last step that was done; "": none
	Lost  int  // WebSocket connections that were the new process's already
	Err   error
}

// Error is one line.
func (e *Error) Error() string {
	where := "at its start"
	if e.After != "" {
		where = "after the step " + string(e.After)
	}
	lost := "no client noticed"
	if e.Lost > 0 {
		lost = fmt.Sprintf("%d clients that had gone over lost their connections", e.Lost)
	}
	return fmt.Sprintf("the hand-off failed %s; this process goes on, and %s: %v", where, lost, e.Err)
}

// Unwrap returns what went wrong.
func (e *Error) Unwrap() error { return e.Err }

// A refusal is what the other process says instead of going on.
type refusal struct{ why string }

func (r refusal) Error() string { return r.why }

// ErrGone says that the other process has ended. To a Taker it means that what that
// process had is nobody's any more: whoever gives up ends the new process before it
// closes its end.
var ErrGone = errors.New("the other process has ended")

// A message's kinds.
const (
	kindHello     = "hello"
	kindPrepared  = "prepared"
	kindClosed    = "closed"
	kindReady     = "ready"
	kindListen    = "listen"
	kindListening = "listening"
	kindBatch     = "batch"
	kindTook      = "took"
	kindDone      = "done"
	kindFailed    = "failed"
)

// A header is the fixed part of a message between the two. Which fields are used
// depends on its kind.
type header struct {
	Kind string `json:"kind"`

	Protocol  int      `json:"protocol,omitempty"`  // hello, prepared
	Frozen    int      `json:"frozen,omitempty"`    // hello, prepared: connection.FrozenVersion
	State     int      `json:"state,omitempty"`     // hello, prepared: transport.FrozenVersion
	Version   string   `json:"version,omitempty"`   // hello, prepared: the program's
	PID       int      `json:"pid,omitempty"`       // hello
	Listeners []string `json:"listeners,omitempty"` // hello: names, in the order of the files behind the link's

	Connections []passed `json:"connections,omitempty"` // batch: in the order of the files
	Why         string   `json:"why,omitempty"`         // failed
}

// A passed is a connection of a batch; its states lie one behind the other in the
// payload.
type passed struct {
	Listener string `json:"l,omitempty"`
	State    int    `json:"s"` // bytes
	Data     int    `json:"d"`
}

// mine is a hello or prepared of this program.
func mine(kind, version string) header {
	return header{Kind: kind, Protocol: Protocol, Frozen: connection.FrozenVersion, State: transport.FrozenVersion, Version: version}
}

// compatible says whether the other process's program can take part.
func (h *header) compatible() error {
	if h.Protocol != Protocol || h.Frozen != connection.FrozenVersion || h.State != transport.FrozenVersion {
		return fmt.Errorf("the programs don't understand each other: version %s speaks hand-off %d.%d.%d, this one %d.%d.%d; restart Tidegate instead",
			h.Version, h.Protocol, h.Frozen, h.State, Protocol, connection.FrozenVersion, transport.FrozenVersion)
	}
	return nil
}
