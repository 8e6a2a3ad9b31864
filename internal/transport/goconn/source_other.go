//go:build !unix

package goconn

import "net"

// A rawSocket is for Unix: elsewhere every connection is a plain net.Conn.
type rawSocket struct{}

func newRawSocket(net.Conn) *rawSocket { return nil }

func (*rawSocket) next() ([]byte, error)        { panic("unreachable: there is no rawSocket here") }
func (*rawSocket) done()                        {}
func (*rawSocket) tryWrite([]byte) (int, error) { panic("unreachable: there is no rawSocket here") }
