// Package connection is the table of the clients that are connected here, and
// the ids they are addressed by.
//
// A Connection is plain data: who, which API and stage, since when. It gets its
// slot and id before its $connect route runs (state Connecting), its Socket once
// the handshake was accepted (Open), and gives the slot back when it has ended.
// An id leads straight to its slot; nothing is searched.
package connection

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unique"
	"unsafe"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
)

// A Socket is the client's end as the semantics see it. No method blocks on the
// network; all are safe for concurrent use.
type Socket interface {
	// Send queues one message. Errors: apigw.ErrQueueFull, apigw.ErrGone, ErrMoved.
	Send(payload []byte, binary bool) error
	// Close queues a close frame with an RFC 6455 code behind what is queued. Later
	// calls do nothing. The error is ErrMoved, or apigw.ErrQueueFull when that
	// couldn't be found out in time.
	Close(code int, reason string) error
	// LastActive is when the last message came in or was queued to go out.
	LastActive() time.Time
	// PauseReads stops delivery of messages until ResumeReads. They don't nest.
	PauseReads()
	ResumeReads()
}

// A State is how far a connection has come. It only grows.
type State uint32

// The states of a connection. Only an open one can be pushed to.
const (
	Connecting State = iota // its $connect route runs; nobody can push to it (WS-01-020)
	Open                    // the handshake was accepted
	Closing                 // a close frame of ours is on its way
	Closed                  // its slot was given back
	Moved                   // the same, and another process has it
)

// ErrMoved says that a connection is on its way to another process, or there: ask
// again until its state says which.
var ErrMoved = errors.New("connection: handed off to another process")

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Open:
		return "open"
	case Closing:
		return "closing"
	case Closed:
		return "closed"
	case Moved:
		return "moved"
	}
	return fmt.Sprintf("state %d", uint32(s))
}

// Info is what is known of a client when it asks to connect.
type Info struct {
	APIID       string
	Stage       apigw.StageName
	DomainName  string // the host that the client used
	Identity    event.Identity
	ConnectedAt time.Time
}

// A Connection is one client's WebSocket, from admission to disconnect. Strings
// that many connections share are held once.
type Connection struct {
	// Static after Reserve.
	id          ID
	state       atomic.Uint32
	origin      unique.Handle[origin]
	text        [IDLen]byte // the id as users see it, in here: an object less
	sourceIP    string
	userAgent   unique.Handle[string]
	connectedAt int64 // ms since 1970

	grant  atomic.Pointer[event.Grant]
	socket Socket // written before state becomes Open, not read before

	mu       sync.Mutex
	inFlight int32 // messages on their way to backends; guarded by mu
	holds    int16 // guarded by mu
	paused   bool  // guarded by mu
	frozen   bool  // guarded by mu
	last     bool  // no message follows those in flight; guarded by mu

	refused atomic.Int32 // throttled messages in a row; written under mu
	rowAt   int64        // when the first of them came, ms since 1970; guarded by mu
}

// An origin is where clients came in: few for many connections.
type origin struct {
	apiID      string
	stage      apigw.StageName
	domainName string
}

// ID returns the connection's address.
func (c *Connection) ID() ID { return c.id }

// String returns the connection id as users see it. Who keeps it keeps the
// connection in memory.
func (c *Connection) String() string { return unsafe.String(&c.text[0], IDLen) }

// APIID returns the id of the API that the client connected to.
func (c *Connection) APIID() string { return c.origin.Value().apiID }

// Stage returns the name of the stage that the client connected to.
func (c *Connection) Stage() apigw.StageName { return c.origin.Value().stage }

// DomainName returns the host that the client used.
func (c *Connection) DomainName() string { return c.origin.Value().domainName }

// Identity returns who the client is, as far as its handshake told.
func (c *Connection) Identity() event.Identity {
	i := event.Identity{SourceIP: c.sourceIP, UserAgent: c.userAgent.Value()}
	c.granted().Identify(&i)
	return i
}

// Grant keeps what the authorizer said, for as long as the connection lasts. It is
// called before Open.
func (c *Connection) Grant(g event.Grant) { c.grant.Store(&g) }

// Authorizer returns what the Lambda authorizer said, or nil.
func (c *Connection) Authorizer() *event.AuthorizerContext { return c.granted().Authorizer }

func (c *Connection) granted() event.Grant {
	if g := c.grant.Load(); g != nil {
		return *g
	}
	return event.Grant{}
}

// ConnectedAt returns when the client asked to connect, to the millisecond.
func (c *Connection) ConnectedAt() time.Time { return time.UnixMilli(c.connectedAt) }

// State returns how far the connection has come.
func (c *Connection) State() State { return State(c.state.Load()) }

// LastActive returns when the last message passed, or ConnectedAt while the
// connection isn't open.
func (c *Connection) LastActive() time.Time {
	if c.State() == Connecting {
		return c.ConnectedAt()
	}
	if c.socket == nil { // closed without having been open
		return c.ConnectedAt()
	}
	return c.socket.LastActive()
}

// Open gives an accepted connection its socket. It returns false when the
// connection isn't Connecting.
func (c *Connection) Open(s Socket) bool {
	if c.State() != Connecting {
		return false
	}
	c.socket = s
	return c.state.CompareAndSwap(uint32(Connecting), uint32(Open))
}

// Send queues a message for the client: text, or a binary frame. Errors:
// apigw.ErrGone when the connection isn't open, apigw.ErrQueueFull, ErrMoved.
func (c *Connection) Send(payload []byte, binary bool) error {
	if err := c.unreachable(); err != nil {
		return err
	}
	return c.socket.Send(payload, binary)
}

// unreachable says why nothing can be sent, or nil.
func (c *Connection) unreachable() error {
	switch c.State() {
	case Open:
		return nil
	case Moved:
		return ErrMoved
	}
	return apigw.ErrGone
}

// Close sends a close frame and refuses everything from then on; the engine
// reports the end when the client has answered. Errors: apigw.ErrGone when the
// connection isn't open, ErrMoved, and the socket's.
func (c *Connection) Close(code int, reason string) error {
	if err := c.unreachable(); err != nil {
		return err
	}
	if err := c.socket.Close(code, reason); err != nil {
		return err
	}
	if !c.state.CompareAndSwap(uint32(Open), uint32(Closing)) {
		return apigw.ErrGone // somebody else was first
	}
	return nil
}

// Reach does something here, or there when another process has the connection.
// While that is open it waits, and asks again. It must not run where the
// connection is served.
func (c *Connection) Reach(here, there func() error) error {
	const longest = 20 * time.Second // what hands a connection off gives up before
	wait := 100 * time.Microsecond
	for began := time.Now(); ; {
		moved := c.State() == Moved
		err := ErrMoved
		if !moved {
			err = here()
		}
		switch {
		case !errors.Is(err, ErrMoved):
			return err
		case moved:
			return there()
		case time.Since(began) > longest:
			return fmt.Errorf("%w: for longer than %v nobody said where it is", err, longest)
		}
		if c.State() != Moved {
			time.Sleep(wait)
			wait = min(2*wait, 10*time.Millisecond)
		}
	}
}

// Begin counts a message that goes to a backend. At the given bound reads pause
// until End.
func (c *Connection) Begin(bound int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight++
	c.pace(bound)
}

// End says that a message counted by Begin has been dealt with. The error is
// ErrMoved: then nothing was counted.
func (c *Connection) End(bound int) error {
	c.mu.Lock()
	if c.frozen {
		c.mu.Unlock()
		return ErrMoved
	}
	c.inFlight--
	c.pace(bound)
	over := c.last && c.inFlight == 0
	c.mu.Unlock()
	if over {
		c.Close(0, "") // an error: somebody else was first, or is told the same where it is now
	}
	return nil
}

// CloseAnswered closes a client that broke the protocol, for which the socket has
// its own words, when what it has in flight is dealt with. It returns false when
// that is nothing: then the caller closes.
func (c *Connection) CloseAnswered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = c.inFlight > 0
	return c.last
}

// Hold pauses reads until as many calls of Unhold, whatever is in flight.
func (c *Connection) Hold(bound int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holds++
	c.pace(bound)
}

// Unhold undoes one Hold. The error is ErrMoved: then nothing was undone.
func (c *Connection) Unhold(bound int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen {
		return ErrMoved
	}
	c.holds--
	c.pace(bound)
	return nil
}

// Pace pauses or resumes reads by another bound on what is in flight.
func (c *Connection) Pace(bound int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace(bound)
}

// pace pauses or resumes reads where that changes. It runs with mu held, so
// that pausing and resuming reach the socket in order.
func (c *Connection) pace(bound int) {
	pause := c.holds > 0 || int(c.inFlight) >= bound
	if pause == c.paused || c.State() == Connecting || c.socket == nil {
		return
	}
	c.paused = pause
	if pause {
		c.socket.PauseReads()
	} else {
		c.socket.ResumeReads()
	}
}

// InFlight returns how many messages of the client are with backends.
func (c *Connection) InFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.inFlight)
}

// Held returns how many calls of Hold wait for Unhold.
func (c *Connection) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.holds)
}

// Refused counts a message that was over a throttle. It returns how many there
// were in a row within the window that the first of them began.
func (c *Connection) Refused(now time.Time, window time.Duration) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ms := now.UnixMilli(); c.refused.Load() == 0 || ms-c.rowAt > window.Milliseconds() {
		c.refused.Store(0)
		c.rowAt = ms
	}
	return int(c.refused.Add(1))
}

// Admitted ends a row of refused messages.
func (c *Connection) Admitted() {
	if c.refused.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused.Store(0)
}
