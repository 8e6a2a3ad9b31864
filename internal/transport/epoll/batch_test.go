//go:build linux

package epoll

import (
	"errors"
	"slices"
	"syscall"
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

// A fan-out goes through rings, which are used again, and closed with the engine.
func TestRings(t *testing.T) {
	if r, err := uring.New(batchSize); err == nil {
		r.Close()
	} else if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("no io_uring here: %v", err)
	}
	var rings []int
	transporttest.RunFanOut(t, func(l transport.Limits, events transport.EventListener) transport.Engine {
		return counted{newEngine(t)(l, events).(*Engine), &rings}
	})
	if most := slices.Max(append(rings, 0)); most < 1 || most > 3 {
		t.Errorf("rings of the engines: %v, want one for each of three fan-outs at a time, at most", rings)
	}
}

// Where the kernel has no rings for us each client costs a call of its own, and
// nothing else is different.
func TestWithoutRings(t *testing.T) {
	transporttest.RunFanOut(t, func(l transport.Limits, events transport.EventListener) transport.Engine {
		e := newEngine(t)(l, events)
		e.(*Engine).rings.missing = true
		return e
	})
}
