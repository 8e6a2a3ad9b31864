//go:build !linux

package upstream

import (
	"errors"
	"net"
)

// haveLoops is false where there are no loops: goroutines read connections.
const haveLoops = false

func newSocket(*conn, net.Conn) error { return errors.ErrUnsupported }

// Loops are for Linux.
type loops struct{}

func (*loops) close() {}
