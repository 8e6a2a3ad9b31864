// Package netpoll is the kernel's notifier of sockets (epoll) for loops that own
// their sockets: transport/epoll's, of clients, and upstream's, of backends. It
// knows descriptors and tags, and nothing of what is read or written.
package netpoll

import (
	"os"
	"syscall"
	"unsafe"
)

// What a descriptor is registered for.
const (
	// Connection is what a connection's socket is, once. Edge-triggered, since a
	// level-triggered one that waited for EPOLLOUT all the time would never rest: each
	// client that stops reading, and reads again, would cost two calls of epoll_ctl.
	// Messages cost the same either way. CPU of the process for a message of 64 B and
	// its echo, medians of 15 interleaved runs of transport/epoll's BenchmarkEcho on a
	// busy machine: one client 15.6 µs (14.8 to 17.3) against 16.8 µs (15.1 to 20.6)
	// level-triggered; 500 clients 19.3 µs (16.0 to 23.0) against 18.2 µs (15.3 to 24.6).
	Connection = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | EdgeTriggered
	// End is what in an event says that reading will find the end.
	End = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR

	EdgeTriggered = 1 << 31 // EPOLLET, which syscall has as a negative number
)

// Turn is how many events one Poll fetches at most.
const Turn = 256

// A Poller waits for a loop's sockets. The kernel's own poller is waited for through
// Go's, so that a loop with nothing to do costs no thread. Open makes one of the zero
// value. Poll, Ready and Wait are the loop's alone; the rest is safe for concurrent
// use.
type Poller struct {
	fd     int
	file   *os.File // owns fd
	raw    syscall.RawConn
	events [Turn]syscall.EpollEvent
	ready  int
	look   func(fd uintptr) bool // Poll, bound once
}

// Open asks the kernel for a poller. The error names the system call that failed.
func (p *Poller) Open() error {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // else os.NewFile would not let Go's poller have it
		syscall.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	p.fd, p.file = fd, os.NewFile(uintptr(fd), "epoll")
	p.look = func(uintptr) bool { return p.Poll() > 0 }
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return err
	}
	return nil
}

// Close gives the poller back, and ends Wait.
func (p *Poller) Close() { p.file.Close() }

// Add registers a descriptor. Its events carry tag in Fd and generation in Pad: a
// slot, and which of those that had the slot it is, since an event may be of one that
// ended earlier in the turn. It doesn't tell the scheduler, as it never waits.
func (p *Poller) Add(fd int, events uint32, tag int32, generation uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: tag, Pad: int32(generation)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(p.fd), syscall.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// Remove forgets a descriptor. One that is closed is forgotten without.
func (p *Poller) Remove(fd int) {
	syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_DEL, fd, new(syscall.EpollEvent))
}

// Poll fetches what is ready, without waiting, and returns how many events those are.
func (p *Poller) Poll() int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), Turn, 0, 0, 0)
	p.ready = int(n)
	if errno != 0 {
		p.ready = 0
	}
	return p.ready
}

// Ready returns what the last Poll or Wait fetched, until the next.
func (p *Poller) Ready() []syscall.EpollEvent { return p.events[:p.ready] }

// Wait waits until something is ready. The error means that the poller is closed.
func (p *Poller) Wait() error { return p.raw.Read(p.look) }

// Receive reads what a socket has, len(p) bytes at most; EAGAIN when that is nothing.
// Neither it nor Send tells the scheduler, as they never block, and both are the
// sockets' own calls: read and write do what only files need, too.
func Receive(fd int, p []byte) (int, syscall.Errno) {
	return transfer(syscall.SYS_RECVFROM, fd, p, syscall.MSG_DONTWAIT)
}

// Send writes what a socket has room for; EAGAIN when it has none.
func Send(fd int, p []byte) (int, syscall.Errno) {
	return transfer(syscall.SYS_SENDTO, fd, p, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

func transfer(call uintptr, fd int, p []byte, flags uintptr) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	return int(n), errno
}
