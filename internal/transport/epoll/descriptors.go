//go:build linux

package epoll

import "syscall"

// mostAtOnce bounds the descriptors for which there is room from the beginning: 256
// KiB of the kernel's memory.
const mostAtOnce = 32 << 10

// growDescriptors has the kernel make the process's table of descriptors as large as
// it may become, within mostAtOnce. The kernel doubles it when it is full, and in a
// process of several threads whoever needs the next descriptor then waits for ten
// milliseconds and more until no processor looks at the old one: clients that connect
// in a storm would, once for each doubling, as would those that are handed over.
func growDescriptors() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return
	}
	last := min(limit.Cur, mostAtOnce) - 1
	if high, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, uintptr(last)); errno == 0 {
		syscall.Close(int(high))
	}
	syscall.Close(int(fd))
}
