package handoff

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/cluster"
	"tidegate/internal/connection"
	"tidegate/internal/event"
)

// maxCalls is how many of the other process's calls are served at once.
const maxCalls = 1024

// A Home is what a Link does in its own process for the other one.
type Home struct {
	Local cluster.Local
	Codec *connection.Codec
	// Release is gateway.Elsewhere's, for a connection that is here.
	Release func(id connection.ID, ended, unheld int) error
}

// A Link is a cluster.Peer: the other process of a hand-off, as long as it lives.
type Link struct {
	channel *channel
	home    Home
	giver   bool          // this is the old process
	slots   chan struct{} // taken by what is done for the other process

	finishing chan struct{} // closed by Finish

	// still is held, for writing, while connections change sides. Whoever holds it
	// for reading sees each in one process.
	still sync.RWMutex

	last atomic.Uint64

	mu      sync.Mutex
	pending map[uint64]chan reply // guarded by mu; nil once the other process has ended
	ended   chan struct{}
}

var _ cluster.Peer = (*Link)(nil)

// What one process asks of the other.
const (
	opPush    = "push"
	opGet     = "get"
	opDelete  = "delete"
	opRelease = "release"
	opFind    = "find"
	opAll     = "all"      // of the old process: for everybody's clients
	opAllHere = "all-here" // of the new process: for its own
)

// A call is a request, or the reply to one.
type call struct {
	Number uint64 `json:"n"`
	Op     string `json:"op,omitempty"` // "": a reply

	ID      string          `json:"id,omitempty"`
	APIID   string          `json:"api,omitempty"`
	Stage   apigw.StageName `json:"stage,omitempty"`
	Binary  bool            `json:"binary,omitempty"`
	Ended   int             `json:"ended,omitempty"`
	Unheld  int             `json:"unheld,omitempty"`
	Caller  string          `json:"caller,omitempty"`
	Request string          `json:"request,omitempty"`
	Origin  string          `json:"origin,omitempty"`

	Outcome     string         `json:"outcome,omitempty"` // of a reply: a key of outcomes; "": done
	Why         string         `json:"why,omitempty"`
	ConnectedAt time.Time      `json:"connectedAt,omitzero"`
	LastActive  time.Time      `json:"lastActive,omitzero"`
	Identity    event.Identity `json:"identity,omitzero"`
	Queued      int            `json:"queued,omitempty"`
	Refused     int            `json:"refused,omitempty"`
}

// A reply is what came, or why nothing did.
type reply struct {
	call
	err error
}

// outcomes are the errors that mean something in the other process.
var outcomes = map[string]error{
	"not-here": cluster.ErrNotHere, "gone": apigw.ErrGone, "queue-full": apigw.ErrQueueFull, "elsewhere": cluster.ErrElsewhere,
}

// outcomeOf names an error. What isn't here is also gone: that it isn't here counts.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, cluster.ErrNotHere):
		return "not-here"
	case errors.Is(err, apigw.ErrGone):
		return "gone"
	case errors.Is(err, apigw.ErrQueueFull):
		return "queue-full"
	case errors.Is(err, cluster.ErrElsewhere):
		return "elsewhere"
	}
	return "failed"
}

// A remote is an error of the other process: its words, and what it means.
type remote struct {
	text string
	kind error
}

func (r *remote) Error() string { return r.text }
func (r *remote) Unwrap() error { return r.kind }

func newLink(c *channel, home Home, giver bool) *Link {
	return &Link{channel: c, home: home, giver: giver, slots: make(chan struct{}, maxCalls), finishing: make(chan struct{}), pending: map[uint64]chan reply{}, ended: make(chan struct{})}
}

// serve answers the other process until it ends.
func (l *Link) serve() {
	for {
		var c call
		payload, files, err := l.channel.receive(&c, 0)
		closeAll(files)
		if err != nil {
			break
		}
		if c.Op == "" {
			l.mu.Lock()
			waits := l.pending[c.Number]
			delete(l.pending, c.Number)
			l.mu.Unlock()
			if waits != nil {
				waits <- reply{call: c}
			}
			continue
		}
		go func() { // what it waits for may be a reply
			select {
			case <-l.finishing:
				l.reply(call{Number: c.Number}, errFinishing)
			case <-l.ended:
			case l.slots <- struct{}{}:
				defer func() { <-l.slots }()
				l.answer(c, payload)
			}
		}()
	}
	l.Close()
}

// Finish ends the link of a process that has no connections any more. What the other
// one has asked for is done and answered first: it would do it again.
func (l *Link) Finish() {
	defer l.Close()
	close(l.finishing)
	late := time.NewTimer(callTime)
	defer late.Stop()
	for range cap(l.slots) {
		select {
		case l.slots <- struct{}{}:
		case <-l.ended:
			return
		case <-late.C:
			return
		}
	}
}

// Close ends the link at once; calls that wait are told that nothing is over there.
func (l *Link) Close() {
	l.mu.Lock()
	pending := l.pending
	l.pending = nil
	l.mu.Unlock()
	if pending == nil {
		return
	}
	l.channel.c.Close()
	for _, waits := range pending {
		waits <- reply{err: errEnded}
	}
	close(l.ended)
}

// Ended is closed when the other process has ended, or Close was called.
func (l *Link) Ended() <-chan struct{} { return l.ended }

// errEnded says that the other process has ended, and its connections with it.
var errEnded = &remote{text: "the other process of the hand-off has ended", kind: cluster.ErrNotHere}

// errFinishing is told to who asks a process that has nothing any more.
var errFinishing = fmt.Errorf("%w: this process of the hand-off ends", cluster.ErrNotHere)

// ask calls the other process.
func (l *Link) ask(ctx context.Context, c call, payload []byte) (call, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	c.Number = l.last.Add(1)
	waits := make(chan reply, 1)
	l.mu.Lock()
	if l.pending == nil {
		l.mu.Unlock()
		return call{}, errEnded
	}
	l.pending[c.Number] = waits
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.pending, c.Number)
		l.mu.Unlock()
	}()
	if err := l.channel.send(&c, [][]byte{payload}, nil, callTime); err != nil {
		l.hush()
		return call{}, errEnded
	}
	select {
	case r := <-waits:
		if r.err != nil {
			return call{}, r.err
		}
		return r.call, l.told(r.call)
	case <-ctx.Done():
		return call{}, fmt.Errorf("the other process of the hand-off: %w", ctx.Err())
	}
}

// told is the error that a reply says. A connection that isn't over there may be
// on its way here.
func (l *Link) told(c call) error {
	if c.Outcome == "" {
		return nil
	}
	if c.Outcome == "not-here" && !l.giver {
		l.still.RLock()
		defer l.still.RUnlock()
	}
	return &remote{text: c.Why, kind: outcomes[c.Outcome]}
}

func (l *Link) target(op string, to cluster.Target) call {
	return call{Op: op, ID: l.home.Codec.String(to.ID), APIID: to.APIID, Stage: to.Stage, Caller: to.Caller, Request: to.RequestID, Origin: to.Origin}
}

// Push implements cluster.Peer.
func (l *Link) Push(ctx context.Context, to cluster.Target, payload []byte, binary bool) error {
	c := l.target(opPush, to)
	c.Binary = binary
	_, err := l.ask(ctx, c, payload)
	return err
}

// Get implements cluster.Peer.
func (l *Link) Get(ctx context.Context, of cluster.Target) (cluster.Status, error) {
	c, err := l.ask(ctx, l.target(opGet, of), nil)
	return cluster.Status{ConnectedAt: c.ConnectedAt, LastActiveAt: c.LastActive, Identity: c.Identity}, err
}

// Delete implements cluster.Peer.
func (l *Link) Delete(ctx context.Context, target cluster.Target) error {
	_, err := l.ask(ctx, l.target(opDelete, target), nil)
	return err
}

// Release implements cluster.Peer.
func (l *Link) Release(ctx context.Context, id connection.ID, ended, unheld int) error {
	_, err := l.ask(ctx, call{Op: opRelease, ID: l.home.Codec.String(id), Ended: ended, Unheld: unheld}, nil)
	return err
}

// Find implements cluster.Peer.
func (l *Link) Find(ctx context.Context, id connection.ID) (string, apigw.StageName, error) {
	c, err := l.ask(ctx, call{Op: opFind, ID: l.home.Codec.String(id)}, nil)
	return c.APIID, c.Stage, err
}

// PushAll implements cluster.Peer. The old process does it, since connections go
// over as it says.
func (l *Link) PushAll(ctx context.Context, to cluster.Audience, payload []byte, binary bool) (cluster.Delivery, error) {
	if l.giver {
		return l.everywhere(ctx, to, payload, binary)
	}
	c, err := l.ask(ctx, audience(opAll, to, binary), payload)
	return cluster.Delivery{Queued: c.Queued, Refused: c.Refused}, err
}

func audience(op string, to cluster.Audience, binary bool) call {
	return call{Op: op, APIID: to.APIID, Stage: to.Stage, Caller: to.Caller, Request: to.RequestID, Origin: to.Origin, Binary: binary}
}

// everywhere queues a message for the clients here and there, while none changes
// sides. Those that an engine has stopped already get it one by one.
func (l *Link) everywhere(ctx context.Context, to cluster.Audience, payload []byte, binary bool) (cluster.Delivery, error) {
	d, away, err := func() (cluster.Delivery, []connection.ID, error) {
		l.still.RLock()
		defer l.still.RUnlock()
		d, away, err := l.home.Local.PushAll(ctx, to, payload, binary)
		if err != nil {
			return d, away, err
		}
		there, err := l.ask(ctx, audience(opAllHere, to, binary), payload)
		d.Queued += there.Queued
		d.Refused += there.Refused
		if errors.Is(err, cluster.ErrNotHere) { // it has ended: there is nobody
			err = nil
		}
		return d, away, err
	}()
	for _, id := range away {
		target := cluster.Target{ID: id, APIID: to.APIID, Stage: to.Stage}
		perr := l.home.Local.Push(ctx, target, payload, binary)
		if errors.Is(perr, cluster.ErrNotHere) {
			perr = l.Push(ctx, target, payload, binary)
		}
		d.Count(perr)
	}
	return d, err
}

// answer does what the other process asks.
func (l *Link) answer(c call, payload []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	r, err := l.do(ctx, c, payload)
	r.Number = c.Number
	l.reply(r, err)
}

func (l *Link) reply(r call, err error) {
	r.Outcome = outcomeOf(err)
	if err != nil {
		r.Why = err.Error()
	}
	if l.channel.send(&r, nil, nil, callTime) != nil {
		l.hush()
	}
}

// hush says nothing more to the other process: a message that went half leaves
// nothing to go on with. What that one has said already is still heard, up to its
// end: who took a reply for lost would do again what was done.
func (l *Link) hush() { l.channel.c.CloseWrite() }

func (l *Link) do(ctx context.Context, c call, payload []byte) (r call, err error) {
	if !l.giver { // what was acknowledged may still be on its way into the table
		l.still.RLock()
		defer l.still.RUnlock()
	}
	to := cluster.Audience{APIID: c.APIID, Stage: c.Stage, Caller: c.Caller, RequestID: c.Request, Origin: c.Origin}
	var d cluster.Delivery
	switch c.Op {
	case opAll:
		d, err = l.everywhere(ctx, to, payload, c.Binary)
	case opAllHere:
		d, _, err = l.home.Local.PushAll(ctx, to, payload, c.Binary)
	default:
		return l.doOne(ctx, c, payload)
	}
	r.Queued, r.Refused = d.Queued, d.Refused
	return r, err
}

// doOne does what is about one connection.
func (l *Link) doOne(ctx context.Context, c call, payload []byte) (r call, err error) {
	id, err := l.home.Codec.ParseID(c.ID)
	if err != nil {
		return r, err
	}
	to := cluster.Target{ID: id, Text: c.ID, APIID: c.APIID, Stage: c.Stage, Caller: c.Caller, RequestID: c.Request, Origin: c.Origin}
	switch c.Op {
	case opPush:
		return r, l.home.Local.Push(ctx, to, payload, c.Binary)
	case opDelete:
		return r, l.home.Local.Delete(ctx, to)
	case opRelease:
		return r, l.home.Release(id, c.Ended, c.Unheld)
	case opGet:
		var s cluster.Status
		s, err = l.home.Local.Get(ctx, to)
		r.ConnectedAt, r.LastActive, r.Identity = s.ConnectedAt, s.LastActiveAt, s.Identity
	case opFind:
		r.APIID, r.Stage, err = l.home.Local.Find(ctx, id)
	default:
		err = fmt.Errorf("%q can't be asked", c.Op)
	}
	return r, err
}
