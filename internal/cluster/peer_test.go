package cluster

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
)

// A link is a Peer in the same process: it leads to another router's Local.
type link struct {
	Local
	asked int
	moved func() // what happens before it answers
}

func (l *link) Push(ctx context.Context, to Target, payload []byte, binary bool) error {
	if l.asked++; l.moved != nil {
		l.moved()
	}
	return l.Local.Push(ctx, to, payload, binary)
}

func (l *link) Release(context.Context, connection.ID, int, int) error { return nil }

func (l *link) PushAll(ctx context.Context, to Audience, payload []byte, binary bool) (Delivery, error) {
	d, _, err := l.Local.PushAll(ctx, to, payload, binary)
	return d, err
}

// handOff carries a connection from one registry to another.
func handOff(t *testing.T, c *connection.Connection, from, to *connection.Registry) *fakeSocket {
	t.Helper()
	b, err := c.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeSocket{active: at}
	if _, err := to.Thaw(b, s, 16); err != nil {
		t.Fatal(err)
	}
	from.HandOff(c)
	return s
}

// TestTwoProcesses holds that an operation reaches a connection in whichever
// process of a hand-off it is, and that none is called gone that isn't.
func TestTwoProcesses(t *testing.T) {
	ctx := context.Background()
	oldTable, newTable := registryOf(t, 1), registryOf(t, 2)
	old, new := NewRouter(Node{Registry: oldTable}, EventListener{}), NewRouter(Node{Registry: newTable}, EventListener{})
	toNew, toOld := &link{Local: new.Local()}, &link{Local: old.Local()}
	old.SetPeer(toNew)
	new.SetPeer(toOld)
	c := reserve(t, oldTable)
	here := &fakeSocket{active: at}
	c.Open(here)
	to := Target{ID: c.ID(), APIID: "api", Stage: "Prod"}
	push := func(r *Router, text string, want error) {
		t.Helper()
		if err := r.Push(ctx, to, []byte(text), false); !errors.Is(err, want) {
			t.Errorf("push of %s: %v, want %v", text, err, want)
		}
	}
	push(old, "1", nil)
	push(new, "2", nil) // not here yet
	if s, err := new.Get(ctx, to); err != nil || s.LastActiveAt != at {
		t.Errorf("Get: %+v, %v", s, err)
	}
	if api, stage, ok := new.Find(ctx, c.String()); !ok || api != "api" || stage != "Prod" {
		t.Errorf("Find: %s, %s, %v", api, stage, ok)
	}
	var there *fakeSocket
	toOld.moved = func() { // on its way while the other process is asked
		if there == nil {
			there = handOff(t, c, oldTable, newTable)
		}
	}
	push(new, "3", nil)
	push(old, "4", nil) // a caller that is still connected to the old process
	if err := old.Send(c.ID(), []byte("5"), false); err != nil {
		t.Errorf("a late reply: %v", err)
	}
	if got := here.sent; len(got) != 2 || len(there.sent) != 3 || there.sent[0] != "3" {
		t.Errorf("the client got %q from the old process and %q from the new one", got, there.sent)
	}
	other := to
	other.APIID = "other"
	if err := old.Push(ctx, other, nil, false); !errors.Is(err, ErrElsewhere) {
		t.Errorf("another API's: %v", err)
	}
	if err := old.Delete(ctx, to); err != nil || there.closed != deleteText {
		t.Errorf("Delete: %v, closed with %q", err, there.closed)
	}
	found, _ := newTable.Lookup(c.ID())
	newTable.Release(found)
	push(old, "6", apigw.ErrGone)
	push(new, "7", apigw.ErrGone)
	asked := toOld.asked
	new.SetPeer(nil)
	push(new, "8", apigw.ErrGone)
	if toOld.asked != asked {
		t.Error("the old process is asked when there is none any more")
	}
}

// TestAskedWhileHandedOff holds that a call which finds a connection at the moment in
// which it goes finds it in the other process.
func TestAskedWhileHandedOff(t *testing.T) {
	oldTable, newTable := registryOf(t, 1), registryOf(t, 2)
	old, new := NewRouter(Node{Registry: oldTable}, EventListener{}), NewRouter(Node{Registry: newTable}, EventListener{})
	old.SetPeer(&link{Local: new.Local()})
	clients := make([]*connection.Connection, 20_000)
	for i := range clients { // of different slots
		clients[i] = reserve(t, oldTable)
		clients[i].Open(&fakeSocket{active: at})
	}
	var current, asked atomic.Pointer[connection.Connection]
	current.Store(clients[0])
	var asking sync.WaitGroup
	asking.Go(func() {
		for c := current.Load(); c != nil; c = current.Load() {
			asked.Store(c)
			if _, err := old.Get(t.Context(), Target{ID: c.ID(), APIID: "api", Stage: "Prod"}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for _, c := range clients {
		b, err := c.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newTable.Thaw(b, &fakeSocket{active: at}, 16); err != nil {
			t.Fatal(err)
		}
		current.Store(c)
		for asked.Load() != c && !t.Failed() {
			runtime.Gosched()
		}
		oldTable.HandOff(c)
	}
	current.Store(nil)
	asking.Wait()
}
