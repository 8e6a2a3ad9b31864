package goconn

import (
	"testing"

	"tidegate/internal/transport"
	"tidegate/internal/transport/transporttest"
)

func newEngine(t testing.TB) transporttest.NewEngine {
	return func(l transport.Limits, events transport.EventListener) transport.Engine {
		e, err := New(Config{Limits: l, Events: events})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

func TestEngine(t *testing.T) { transporttest.Run(t, newEngine(t)) }

func TestVirtual(t *testing.T) { transporttest.RunVirtual(t, newEngine(t)) }
