//go:build linux

package epoll

import (
	"errors"
	"runtime"
	"slices"
	"testing"

	"tidegate/internal/transport"
	"tidegate/internal/transport/transporttest"
	"tidegate/internal/uring"
)

// A counted engine adds up the rings that it has when it is closed.
type counted struct {
	*Engine
	rings *[]int
}

func (e counted) Close() error {
	e.Engine.rings.mu.Lock()
	*e.rings = append(*e.rings, len(e.Engine.rings.spare))
	e.Engine.rings.mu.Unlock()
	err := e.Engine.Close()
	if b := e.Engine.rings.take(); b != nil || e.Engine.rings.spare != nil {
		err = errors.Join(err, errors.New("a closed engine has rings"))
	}
	return err
}

func needRings(t *testing.T) {
	t.Helper()
	if r, err := uring.New(batchSize); err == nil {
		r.Close()
	} else if uring.Missing(err) {
		t.Skipf("no io_uring here: %v", err)
	}
}

// A fan-out goes through rings, which are used again, and closed with the engine.
func TestRings(t *testing.T) {
	needRings(t)
	var rings []int
	transporttest.RunMany(t, func(l transport.Limits, events transport.EventListener) transport.Engine {
		return counted{newEngine(t)(l, events).(*Engine), &rings}
	})
	if most := slices.Max(append(rings, 0)); most < 1 || most > 2*runtime.GOMAXPROCS(0) {
		t.Errorf("rings of the engines: %v, want some, and two for each loop at most", rings)
	}
}

// Where the kernel has no rings for us each client costs a call of its own, and
// nothing else is different.
func TestWithoutRings(t *testing.T) {
	transporttest.RunMany(t, func(l transport.Limits, events transport.EventListener) transport.Engine {
		e := newEngine(t)(l, events)
		e.(*Engine).rings.missing = true
		return e
	})
}

// A turn's answers are gathered: with one loop for all clients there are many, and
// the loop has a ring for them.
func TestGather(t *testing.T) {
	needRings(t)
	var rings []int
	transporttest.RunMany(t, func(l transport.Limits, events transport.EventListener) transport.Engine {
		e, err := New(Config{Limits: l, Events: events, Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		return counted{e, &rings}
	})
	if rings[len(rings)-1] != 1 { // of the test in which nobody sends to many
		t.Errorf("rings of the engines: %v, want one of the last", rings)
	}
}
