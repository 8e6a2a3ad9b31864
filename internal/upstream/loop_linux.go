package upstream

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

const (
	// What a connection is registered for, once: edges of bytes, of room, of the end.
	connEvents = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | 1<<31
	endEvents  = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR

	eventsPerTurn = 128
	scratchSize   = 64 << 10 // what one read takes at most
)

// A poller watches sockets on a few loops. The zero value has none yet.
type poller struct {
	mu     sync.Mutex
	loops  []*loop
	turn   int // whose the next socket is
	closed bool
}

// register gives a socket to a loop. From now on its ready is called.
func (p *poller) register(s *socket) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if len(p.loops) < runtime.GOMAXPROCS(0) {
		l, err := newLoop()
		if err != nil {
			return err
		}
		p.loops = append(p.loops, l)
		go l.run()
	}
	p.turn++
	return p.loops[p.turn%len(p.loops)].register(s)
}

// close ends the loops.
func (p *poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.loops {
		l.file.Close() // ends the wait
	}
	p.loops, p.closed = nil, true
}

// A loop waits for the sockets that it was given, on one goroutine. The kernel's
// poller is waited for through Go's, so that a loop with nothing to do costs no
// thread.
type loop struct {
	fd   int
	file *os.File // owns fd
	raw  syscall.RawConn

	// Owned by the loop's goroutine.
	events  [eventsPerTurn]syscall.EpollEvent
	sockets [eventsPerTurn]*socket // of events
	count   int
	scratch []byte

	mu    sync.Mutex
	slots []*socket // nil where free
	free  []uint32
	tag   uint32 // of the last socket
}

func newLoop() (*loop, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // else os.NewFile would not let Go's poller have it
		syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	l := &loop{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), scratch: make([]byte, scratchSize)}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		l.file.Close()
		return nil, err
	}
	return l, nil
}

// run serves until the loop's file is closed.
func (l *loop) run() {
	look := func(uintptr) bool { return l.poll() > 0 }
	for l.raw.Read(look) == nil { // which keeps the descriptor open meanwhile
		l.mu.Lock()
		for i := range l.count {
			ev := &l.events[i]
			s := l.slots[ev.Fd]
			if s != nil && s.tag != uint32(ev.Pad) {
				s = nil // of one that has ended
			}
			l.sockets[i] = s
		}
		l.mu.Unlock()
		for i, s := range l.sockets[:l.count] {
			if s == nil {
				continue
			}
			events := l.events[i].Events
			s.conn.guard(func() {
				s.ready(l.scratch, events&syscall.EPOLLOUT != 0, events&(syscall.EPOLLIN|endEvents) != 0, events&endEvents != 0)
			})
			l.sockets[i] = nil
		}
	}
}

// poll fetches what is ready, without waiting.
func (l *loop) poll() int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.fd), uintptr(unsafe.Pointer(&l.events[0])), eventsPerTurn, 0, 0, 0)
	if l.count = int(n); errno != 0 {
		l.count = 0
	}
	return l.count
}

func (l *loop) register(s *socket) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := len(l.slots)
	if n := len(l.free); n > 0 {
		slot = int(l.free[n-1])
		l.free = l.free[:n-1]
	} else {
		l.slots = append(l.slots, nil)
	}
	l.tag++
	s.loop, s.slot, s.tag = l, uint32(slot), l.tag
	ev := syscall.EpollEvent{Events: connEvents, Fd: int32(slot), Pad: int32(s.tag)}
	if err := syscall.EpollCtl(l.fd, syscall.EPOLL_CTL_ADD, s.fd, &ev); err != nil {
		l.free = append(l.free, uint32(slot))
		return os.NewSyscallError("epoll_ctl", err)
	}
	l.slots[slot] = s
	return nil
}

// forget gives the slot of a socket back that is about to be closed.
func (l *loop) forget(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots[s.slot] = nil
	l.free = append(l.free, s.slot)
}

func transfer(call uintptr, fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}
