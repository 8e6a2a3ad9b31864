//go:build !linux

package transport

import "errors"

// Own says that this system hands nothing off.
func (f *Frozen) Own() error { return errors.ErrUnsupported }

// Close lets go of the socket.
func (f *Frozen) Close() { f.File.Close() }
