//go:build !linux

package server

import (
	"tidegate/internal/clock"
	"tidegate/internal/transport"
	"tidegate/internal/transport/goconn"
)

// newLoops returns the engine that serves the listeners: the portable one, since
// there is no event-driven one for this system.
func newLoops(portable *goconn.Engine, _ transport.Limits, _ transport.EventListener, _ clock.Clock) (transport.Engine, error) {
	return portable, nil
}
