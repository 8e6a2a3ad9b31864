//go:build linux

package epoll

import (
	"errors"
	"math"
	"syscall"
)

// What a transport.Yielding leaves of a process's descriptors: a share, within these.
const (
	reservedShare = 40 // the part of all is 1/40
	leastReserved = 32
	mostReserved  = 1024
)

// errReserved says why clients wait although there are descriptors.
var errReserved = errors.New("only as many descriptors are free as are kept for backends and the other listeners: raise the limit of open files")

// yieldsAt is the descriptor from which on a transport.Yielding takes no more clients. The
// kernel gives the lowest one that is free, so that those below it are in use then.
func yieldsAt() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	all := int(limit.Cur)
	return all - min(max(all/reservedShare, leastReserved), mostReserved, all/2)
}

// hasRoom says whether the listener takes clients again.
func (ln *listener) hasRoom() bool {
	fd, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(ln.fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return false
	}
	syscall.Close(int(fd))
	return int(fd) < ln.yieldsAt
}
