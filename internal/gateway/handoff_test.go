package gateway

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/event"
)

// A successor is Elsewhere: the gateway of the process that takes connections over.
type successor struct{ to atomic.Pointer[rig] }

func (s *successor) Send(id connection.ID, payload []byte, binary bool) error {
	c, ok := s.to.Load().registry.Lookup(id)
	if !ok {
		return apigw.ErrGone
	}
	return c.Send(payload, binary)
}

func (s *successor) Release(id connection.ID, ended, unheld int) error {
	c, ok := s.to.Load().registry.Lookup(id)
	if !ok {
		return apigw.ErrGone
	}
	s.to.Load().gateway.Release(c, ended, unheld)
	return nil
}

// move hands a client's connection off as edge and the engine do.
func (s *client) move(t *testing.T, to *rig) *client {
	t.Helper()
	from := s.rig
	b, err := s.c.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	moved := &client{rig: to}
	if moved.c, err = to.gateway.Thaw(b, moved); err != nil {
		t.Fatal(err)
	}
	from.gateway.HandedOff(s.c)
	return moved
}

// TestHandOffUnderWay holds what becomes of messages that are with backends when
// their client is handed off: their replies arrive there, the bound on them goes on
// there, and $disconnect is told once, there.
func TestHandOffUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		functions := map[string]backend{"f": gate(release), "d": answer(200, "")}
		var next successor
		routes := []string{"$default=>f", "$disconnect=d"}
		old := newRig(t, Config{InFlightConnection: 2, InFlightProcess: 2, Elsewhere: &next}, functions)
		old.publish(routes...)
		new := newRigOf(t, 2, Config{InFlightConnection: 2}, functions)
		new.publish(routes...)
		next.to.Store(new)

		busy, held := old.connect(), old.connect()
		id := busy.c.String()
		busy.send("1")
		busy.send("2")
		held.send("3") // the process is at its bound: reads are held
		synctest.Wait()
		if !busy.isPaused() || !held.isPaused() {
			t.Fatal("the clients aren't paused before they go")
		}
		busyMoved, heldMoved := busy.move(t, new), held.move(t, new)
		if !busyMoved.isPaused() || !heldMoved.isPaused() || busyMoved.c.InFlight() != 2 {
			t.Fatalf("they arrived unpaused; %d in flight", busyMoved.c.InFlight())
		}
		close(release)
		synctest.Wait()
		if got := busyMoved.got(); !slices.Equal(got, []string{"done", "done"}) || len(busy.got()) != 0 {
			t.Errorf("late replies: %q here, %q there", busy.got(), got)
		}
		if busyMoved.isPaused() || heldMoved.isPaused() || busyMoved.c.InFlight() != 0 || heldMoved.c.InFlight() != 0 {
			t.Errorf("still paused: %t, %t; in flight %d, %d", busyMoved.isPaused(), heldMoved.isPaused(), busyMoved.c.InFlight(), heldMoved.c.InFlight())
		}
		busyMoved.send("4")
		synctest.Wait()
		if len(busyMoved.got()) != 3 || busyMoved.c.String() != id {
			t.Errorf("the connection doesn't go on: %q, id %s and %s", busyMoved.got(), busyMoved.c, id)
		}
		if err := old.gateway.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		new.gateway.Disconnect(context.Background(), busyMoved.c, event.CloseReason{Code: 1000})
		synctest.Wait()
		if len(old.disconnects) != 0 || len(new.disconnects) != 1 {
			t.Errorf("%d disconnects told here, %d there", len(old.disconnects), len(new.disconnects))
		}
	})
}

// TestReleaseAll holds that clients don't wait forever for messages that were with
// a process that has died.
func TestReleaseAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		functions := map[string]backend{"f": gate(release)}
		var next successor
		old := newRig(t, Config{InFlightConnection: 2, InFlightProcess: 2, Elsewhere: &next}, functions)
		new := newRigOf(t, 2, Config{InFlightConnection: 2}, functions)
		for _, g := range []*rig{old, new} {
			g.publish("$default=>f")
		}
		next.to.Store(new)
		busy, held := old.connect(), old.connect()
		busy.send("1")
		busy.send("2")
		held.send("3")
		synctest.Wait()
		busy, held = busy.move(t, new), held.move(t, new)
		new.gateway.Release(busy.c, 1, 0)
		new.gateway.ReleaseAll()
		for _, s := range []*client{busy, held} {
			if s.isPaused() || s.c.InFlight() != 0 || s.c.Held() != 0 {
				t.Errorf("paused %t, %d in flight, %d held", s.isPaused(), s.c.InFlight(), s.c.Held())
			}
		}
		close(release) // what comes yet changes nothing
		synctest.Wait()
		if busy.c.InFlight() != 0 || held.c.InFlight() != 0 {
			t.Errorf("%d and %d in flight", busy.c.InFlight(), held.c.InFlight())
		}
	})
}

// An ending is a socket that notes how it was closed.
type ending struct {
	nobody
	code int
}

func (e *ending) Close(code int, _ string) error { e.code = code; return nil }

// TestThawWithoutItsStage holds that a client whose API isn't there any more is
// closed, and counted no longer.
func TestThawWithoutItsStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := newRig(t, Config{}, nil)
		old.publish("$default=")
		new := newRigOf(t, 2, Config{}, nil)
		b, err := old.connect().c.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		s := &ending{}
		c, err := new.gateway.Thaw(b, s)
		if err != nil || s.code != 1001 {
			t.Fatalf("closed with %d, %v", s.code, err)
		}
		new.gateway.Disconnect(context.Background(), c, event.CloseReason{Code: s.code})
		synctest.Wait()
		if new.registry.Len() != 0 || len(new.disconnects) != 1 {
			t.Errorf("%d connections, %d disconnects", new.registry.Len(), len(new.disconnects))
		}
	})
}

// TestRetire holds that what can't be handed off is closed with 1012, and that its
// $disconnect is told.
func TestRetire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, Config{}, map[string]backend{"d": answer(200, "")})
		g.publish("$disconnect=d")
		clients := []*client{g.connect(), g.connect(), g.connect()}
		if err := g.gateway.Retire(context.Background(), 10); err != nil {
			t.Error(err)
		}
		for _, s := range clients {
			if s.closed != "1012 Service Restart" {
				t.Errorf("closed with %q", s.closed)
			}
		}
		if len(g.disconnects) != 3 {
			t.Errorf("%d disconnects", len(g.disconnects))
		}
		if _, err := g.gateway.Connect(context.Background(), request()); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("a client was admitted: %v", err)
		}
	})
}
