//go:build linux

package epoll

import (
	"os"
	"syscall"
	"unsafe"

	"tidegate/internal/netpoll"
)

// An event's tag below zero is no slot's.
const (
	wakeTag        = -1
	firstListenTag = -2
)

// A poller is a loop's, whose wait other goroutines can end.
type poller struct {
	netpoll.Poller
	waker int // an eventfd
}

func newPoller() (*poller, error) {
	p := &poller{}
	if err := p.Open(); err != nil {
		return nil, err
	}
	waker, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		p.Close()
		return nil, os.NewSyscallError("eventfd2", errno)
	}
	p.waker = int(waker)
	if err := p.Add(p.waker, syscall.EPOLLIN|netpoll.EdgeTriggered, wakeTag, 0); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// close closes the poller and its waker.
func (p *poller) close() {
	p.Close()
	syscall.Close(p.waker)
}

// wake ends Wait.
func (p *poller) wake() {
	one := uint64(1)
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.waker), uintptr(unsafe.Pointer(&one)), 8)
}

func writeSocket(fd int, p []byte) (int, syscall.Errno) { return netpoll.Send(fd, p) }

// acceptSocket takes the client of a listener that never blocks, if one waits, and
// returns its end's address.
func acceptSocket(listener int) (fd int, peer address, errno syscall.Errno) {
	var sa syscall.RawSockaddrAny
	size := uint32(syscall.SizeofSockaddrAny)
	n, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)),
		syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, address{}, errno
	}
	return int(n), addressOf(&sa), 0
}
