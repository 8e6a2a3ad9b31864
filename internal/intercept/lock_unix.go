//go:build linux || darwin

package intercept

import (
	"fmt"
	"os"
	"syscall"
)

// lock keeps two processes from making an authority at the same time.
func lock(name string) (func(), error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
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

// private refuses a key that others may read.
func private(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others may read %s (mode %04o), so it is no secret any more", name, info.Mode().Perm())
	}
	return nil
}
