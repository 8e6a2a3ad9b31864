//go:build linux || darwin

package functions

import (
	"os"
	"syscall"
)

// lockFile takes a lock among all processes and returns how to give it back;
// the system gives it back when we die.
func lockFile(name string) (func(), error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != syscall.EINTR {
			f.Close()
			return nil, err
		}
	}
}
