package autobahn

import (
	"testing"

	"tidegate/internal/transport/epoll"
)

func TestEpoll(t *testing.T) {
	e, err := epoll.New(epoll.Config{Limits: engineLimits()})
	playEngine(t, e, err)
}
