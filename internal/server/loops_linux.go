package server

import (
	"tidegate/internal/clock"
	"tidegate/internal/transport"
	"tidegate/internal/transport/epoll"
	"tidegate/internal/transport/goconn"
)

// newLoops returns the engine that serves the listeners: an event-driven one,
// which leaves TLS to the portable one.
func newLoops(portable *goconn.Engine, l transport.Limits, events transport.EventListener, c clock.Clock) (transport.Engine, error) {
	return epoll.New(epoll.Config{Limits: l, Events: events, Clock: c, TLS: portable.ServeConn})
}
