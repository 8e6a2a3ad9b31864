// Package cluster carries an operation on a connection to the process where the
// client is connected. A connection's id names its slot, so that nothing is
// searched. There is one node now: home is here, or, during a hand-off, the other
// process of this node (Peer), or the connection is gone.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/event"
)

// ErrElsewhere says that a connection exists, but belongs to another API or
// stage than the one the caller named.
var ErrElsewhere = errors.New("the connection belongs to another API or stage")

// A Target is a connection as a caller of the Management API names it.
type Target struct {
	ID connection.ID
	// Text is the id as the caller wrote it, for those who listen: a well-formed
	// id that was never issued has no other. Empty means what ID is written as.
	Text  string
	APIID string
	Stage apigw.StageName
	// Caller is the ARN of who asks, for those who listen; RequestID is the call's.
	Caller, RequestID string
	// Origin is the id of the gateway's request whose function asks, as far as its
	// trace header tells; else "".
	Origin string
}

// A Status is what GetConnection tells of a connection.
type Status struct {
	ConnectedAt  time.Time
	LastActiveAt time.Time // the last message in either direction
	Identity     event.Identity
}

// A Node is one gateway process.
type Node struct {
	Registry *connection.Registry
}

// A Router reaches a connection by its id. It is safe for concurrent use.
type Router struct {
	here   Node
	events EventListener
	other  atomic.Pointer[Peer] // nil outside a hand-off

	walking sync.RWMutex // held by who goes through all connections here without a peer
}

// NewRouter returns the router of a process that is a cluster of its own.
func NewRouter(here Node, events EventListener) *Router {
	return &Router{here: here, events: events}
}

// Push queues a message at the connection's home. nil means that it is queued,
// not that the client has it. Errors: apigw.ErrGone, also while $connect runs;
// apigw.ErrQueueFull; ErrElsewhere.
func (r *Router) Push(ctx context.Context, to Target, payload []byte, binary bool) error {
	if r.events.PushEnd == nil {
		return r.push(ctx, to, payload, binary)
	}
	start := time.Now()
	err := r.push(ctx, to, payload, binary)
	text := to.Text
	if text == "" {
		text = r.here.Registry.Codec().String(to.ID)
	}
	r.events.PushEnd(PushInfo{
		ConnectionID: text,
		APIID:        to.APIID,
		Stage:        to.Stage,
		Caller:       to.Caller,
		RequestID:    to.RequestID,
		Origin:       to.Origin,
		Size:         len(payload),
		Outcome:      OutcomeOf(err),
		Err:          err,
		Duration:     time.Since(start),
	})
	return err
}

func (r *Router) push(ctx context.Context, to Target, payload []byte, binary bool) error {
	return r.reach(
		func() error { return r.pushHere(to, payload, binary) },
		func(p Peer) error { return p.Push(ctx, to, payload, binary) })
}

func (r *Router) pushHere(to Target, payload []byte, binary bool) error {
	return r.here.do(to, func(c *connection.Connection) error { return c.Send(payload, binary) })
}

// Get returns what is known of an open connection. Errors: apigw.ErrGone,
// ErrElsewhere.
func (r *Router) Get(ctx context.Context, of Target) (Status, error) {
	var s Status
	err := r.reach(
		func() (err error) { s, err = r.getHere(of); return err },
		func(p Peer) (err error) { s, err = p.Get(ctx, of); return err })
	return s, err
}

func (r *Router) getHere(of Target) (s Status, err error) {
	err = r.here.do(of, func(c *connection.Connection) error {
		s = Status{ConnectedAt: c.ConnectedAt(), LastActiveAt: c.LastActive(), Identity: c.Identity()}
		return nil
	})
	return s, err
}

// The close frame of DeleteConnection, which $disconnect reports too (observed:
// aws/chalice #2060, boto/boto3 #3789; WS-01-039).
const (
	deleteCode = 1000
	deleteText = "Connection Closed Normally"
)

// Delete closes the connection with 1000; its $disconnect route follows.
// Errors: apigw.ErrGone, ErrElsewhere.
func (r *Router) Delete(ctx context.Context, target Target) error {
	return r.reach(
		func() error { return r.deleteHere(target) },
		func(p Peer) error { return p.Delete(ctx, target) })
}

func (r *Router) deleteHere(target Target) error {
	return r.here.do(target, func(c *connection.Connection) error { return c.Close(deleteCode, deleteText) })
}

// do does something with a connection of this process. What isn't here is ErrGone
// and ErrNotHere.
func (n Node) do(t Target, f func(*connection.Connection) error) error {
	c, err := n.lookup(t)
	if err != nil {
		return err
	}
	return c.Reach(func() error { return f(c) }, func() error { return n.missing(t.ID) })
}

func (n Node) missing(id connection.ID) error {
	return notHere{fmt.Errorf("%w: %s", apigw.ErrGone, n.Registry.Missing(id))}
}

// lookup finds an open connection of the target's API and stage. A target without
// an API is any's.
func (n Node) lookup(t Target) (*connection.Connection, error) {
	c, ok := n.Registry.Lookup(t.ID)
	if !ok {
		return nil, n.missing(t.ID)
	}
	if t.APIID != "" && (c.APIID() != t.APIID || c.Stage() != t.Stage) {
		return nil, fmt.Errorf("%w: it is one of stage %s of API %s, the call names %s of %s", ErrElsewhere, c.Stage(), c.APIID(), t.Stage, t.APIID)
	}
	switch c.State() {
	case connection.Open:
		return c, nil
	case connection.Moved: // a moment later its slot is empty
		return nil, n.missing(t.ID)
	case connection.Connecting:
		return nil, fmt.Errorf("%w: $connect has not answered yet, and a client can be pushed to only afterwards", apigw.ErrGone)
	}
	return nil, fmt.Errorf("%w: the client is being disconnected", apigw.ErrGone)
}

// A PushOutcome is how a push ended: metric label, log field and test assertion
// are the same constant.
type PushOutcome string

// The outcomes of a push.
const (
	PushQueued    PushOutcome = "queued"
	PushGone      PushOutcome = "gone"
	PushQueueFull PushOutcome = "queue-full"
	PushElsewhere PushOutcome = "elsewhere"
	PushFailed    PushOutcome = "failed"
)

// OutcomeOf names what an error of Push means; that of nil is PushQueued.
func OutcomeOf(err error) PushOutcome {
	switch {
	case err == nil:
		return PushQueued
	case errors.Is(err, apigw.ErrGone):
		return PushGone
	case errors.Is(err, apigw.ErrQueueFull):
		return PushQueueFull
	case errors.Is(err, ErrElsewhere):
		return PushElsewhere
	}
	return PushFailed
}

// An EventListener hears what a Router does. Its funcs may be nil, must not
// block, and are called concurrently.
type EventListener struct {
	PushEnd   func(PushInfo)   // a push was queued or refused
	FanOutEnd func(FanOutInfo) // a message to many was queued
}

// A PushInfo tells of one push.
type PushInfo struct {
	ConnectionID string
	APIID        string
	Stage        apigw.StageName
	Caller       string // the ARN of who pushed
	RequestID    string // of the call
	Origin       string // the gateway's request whose function pushed; "" when that isn't known
	Size         int    // bytes
	Outcome      PushOutcome
	Err          error // nil when queued
	Duration     time.Duration
}

// String returns one line for a log.
func (i PushInfo) String() string {
	return fmt.Sprintf("push to %s of %s/%s: %d bytes, %s, %v", i.ConnectionID, i.APIID, i.Stage, i.Size, i.Outcome, i.Duration)
}
