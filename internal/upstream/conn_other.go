//go:build !linux

package upstream

import (
	"errors"
	"net"
)

// havePoller is false where there are no loops: net/http calls every origin.
const havePoller = false

type conn struct{}

func newConn(*Origin, net.Conn) (*conn, error) { return nil, errors.ErrUnsupported }
func (*conn) begin(*call) bool                 { return false }
func (*conn) drop()                            {}
func (*conn) rested(int64, *Config) bool       { return true }

type poller struct{}

func (*poller) sweep(int64) bool { return false }
func (*poller) close()           {}
