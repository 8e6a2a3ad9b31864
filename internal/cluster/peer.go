package cluster

import (
	"context"
	"errors"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
)

// ErrNotHere says that a process doesn't have a connection: another may.
var ErrNotHere = errors.New("the connection is not in this process")

// A notHere is ErrNotHere beside what it means when no other process has it.
type notHere struct{ error }

// Unwrap returns the error itself.
func (n notHere) Unwrap() error { return n.error }

// Is says that this is ErrNotHere, too.
func (n notHere) Is(target error) bool { return target == ErrNotHere }

// A Peer is the other process of a hand-off, as long as both live. Each operation
// is done over there; ErrNotHere says that the connection isn't there, or no more.
type Peer interface {
	Push(ctx context.Context, to Target, payload []byte, binary bool) error
	Get(ctx context.Context, of Target) (Status, error)
	Delete(ctx context.Context, target Target) error
	// Release is gateway.Elsewhere's.
	Release(ctx context.Context, id connection.ID, ended, unheld int) error
	// Find returns the API and stage of a connection.
	Find(ctx context.Context, id connection.ID) (apiID string, stage apigw.StageName, err error)
	// PushAll queues a message for the clients of both processes, once each.
	// ErrNotHere says that the other one has ended, and nothing was queued.
	PushAll(ctx context.Context, to Audience, payload []byte, binary bool) (Delivery, error)
}

// SetPeer begins a hand-off's time of two processes, nil ends it. Connections that
// aren't here are asked for there. It waits for messages to all that were begun
// without a peer: none may miss a connection that leaves before its turn.
func (r *Router) SetPeer(p Peer) {
	r.walking.Lock()
	defer r.walking.Unlock()
	if p == nil {
		r.other.Store(nil)
		return
	}
	r.other.Store(&p)
}

func (r *Router) peer() Peer {
	if p := r.other.Load(); p != nil {
		return *p
	}
	return nil
}

// MayBlock says that a connection may have to be asked for in another process.
func (r *Router) MayBlock() bool { return r.other.Load() != nil }

// reach does something where the connection is. It may come here from there while
// the peer is asked, never the other way but for what here waits for: after a no
// from both, here is asked once more.
func (r *Router) reach(here func() error, there func(Peer) error) error {
	err := here()
	if !errors.Is(err, ErrNotHere) {
		return err
	}
	p := r.peer()
	if p == nil {
		return err
	}
	if err := there(p); !errors.Is(err, ErrNotHere) {
		return err
	}
	return here()
}

// peerWait bounds what nobody else bounds.
const peerWait = 10 * time.Second

// Send implements gateway.Elsewhere: a reply to a message that was taken on before
// its client was handed off.
func (r *Router) Send(id connection.ID, payload []byte, binary bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), peerWait)
	defer cancel()
	return r.push(ctx, Target{ID: id}, payload, binary)
}

// Release implements gateway.Elsewhere.
func (r *Router) Release(id connection.ID, ended, unheld int) error {
	p := r.peer()
	if p == nil {
		return apigw.ErrGone
	}
	ctx, cancel := context.WithTimeout(context.Background(), peerWait)
	defer cancel()
	return p.Release(ctx, id, ended, unheld)
}

// Find returns the API and stage of a connection by its id as users see it; ok is
// false when there is none that is open.
func (r *Router) Find(ctx context.Context, text string) (apiID string, stage apigw.StageName, ok bool) {
	id, err := r.here.Registry.Codec().ParseID(text)
	if err != nil {
		return "", "", false
	}
	err = r.reach(
		func() (err error) { apiID, stage, err = r.findHere(id); return err },
		func(p Peer) (err error) { apiID, stage, err = p.Find(ctx, id); return err })
	return apiID, stage, err == nil
}

func (r *Router) findHere(id connection.ID) (apiID string, stage apigw.StageName, err error) {
	err = r.here.do(Target{ID: id}, func(c *connection.Connection) error {
		apiID, stage = c.APIID(), c.Stage()
		return nil
	})
	return apiID, stage, err
}

// Local is a Router's own process: what it does for its peer.
type Local struct{ r *Router }

// Local returns what the router does without asking its peer.
func (r *Router) Local() Local { return Local{r} }

// Push is Peer's.
func (l Local) Push(_ context.Context, to Target, payload []byte, binary bool) error {
	return l.r.pushHere(to, payload, binary)
}

// Get is Peer's.
func (l Local) Get(_ context.Context, of Target) (Status, error) { return l.r.getHere(of) }

// Delete is Peer's.
func (l Local) Delete(_ context.Context, target Target) error { return l.r.deleteHere(target) }

// Find is Peer's.
func (l Local) Find(_ context.Context, id connection.ID) (string, apigw.StageName, error) {
	return l.r.findHere(id)
}

// PushAll queues a message for the clients of this process. away are those that
// are on their way to the other, or there: they haven't got it, and Push says where
// they have come to be.
func (l Local) PushAll(ctx context.Context, to Audience, payload []byte, binary bool) (d Delivery, away []connection.ID, err error) {
	return l.r.here.pushAll(ctx, to, payload, binary)
}
