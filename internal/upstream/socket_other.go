//go:build !linux

package upstream

import (
	"errors"
	"net"
)

// havePoller is false where there are no loops: goroutines read connections.
const havePoller = false

func newSocket(*conn, net.Conn) error { return errors.ErrUnsupported }

type poller struct{}

func (*poller) close() {}
