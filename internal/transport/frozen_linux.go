package transport

import (
	"os"
	"syscall"
)

// Own gives the socket a descriptor that is nobody's but Thaw's, and closes File.
// Thaw does so by itself; whoever has to know before that there is one to be had,
// calls it first.
func (f *Frozen) Own() error {
	if f.socket != 0 {
		return nil
	}
	rc, err := f.File.SyscallConn() // Fd would make the socket block
	if err != nil {
		return err
	}
	var fd uintptr
	var errno syscall.Errno
	if err := rc.Control(func(shared uintptr) {
		fd, _, errno = syscall.Syscall(syscall.SYS_FCNTL, shared, syscall.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return err
	}
	if errno != 0 {
		return os.NewSyscallError("fcntl", errno)
	}
	f.socket = int(fd) + 1
	return f.File.Close()
}

// Take returns the socket's descriptor, which is the caller's from then on.
func (f *Frozen) Take() (fd int, err error) {
	if err := f.Own(); err != nil {
		return -1, err
	}
	fd, f.socket, f.File = f.socket-1, 0, nil
	return fd, nil
}

// Close lets go of the socket, unless it was taken.
func (f *Frozen) Close() {
	f.File.Close()
	if f.socket != 0 {
		syscall.Close(f.socket - 1)
		f.socket = 0
	}
}
