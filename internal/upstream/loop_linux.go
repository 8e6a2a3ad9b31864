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

// A poller watches connections on a few loops. The zero value has none yet.
type poller struct {
	mu     sync.Mutex
	loops  []*loop
	turn   int // whose the next connection is
	closed bool
}

// register gives a connection to a loop. From now on its ready is called.
func (p *poller) register(c *conn) error {
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
	return p.loops[p.turn%len(p.loops)].register(c)
}

// sweep fails calls that are late. It returns true if there are calls.
func (p *poller) sweep(now int64) bool {
	p.mu.Lock()
	loops := p.loops
	p.mu.Unlock()
	busy := false
	for _, l := range loops {
		for _, c := range l.all() {
			busy = c.sweep(now) || busy
		}
	}
	return busy
}

// close ends the loops, and the connections that are left.
func (p *poller) close() {
	p.mu.Lock()
	loops := p.loops
	p.loops, p.closed = nil, true
	p.mu.Unlock()
	for _, l := range loops {
		for _, c := range l.all() {
			c.mu.Lock()
			call := c.call
			c.mu.Unlock()
			if call != nil {
				c.fail(call, ErrClosed)
			} else {
				c.drop()
			}
		}
		l.file.Close() // ends the wait
	}
}

// A loop waits for the sockets of its connections, on one goroutine. The kernel's
// poller is waited for through Go's, so that a loop with nothing to do costs no
// thread.
type loop struct {
	fd   int
	file *os.File // owns fd
	raw  syscall.RawConn

	// Owned by the loop's goroutine.
	events  [eventsPerTurn]syscall.EpollEvent
	conns   [eventsPerTurn]*conn // of events
	count   int
	scratch []byte

	mu    sync.Mutex
	slots []*conn // nil where free
	free  []uint32
	tag   uint32 // of the last connection
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
			c := l.slots[ev.Fd]
			if c != nil && c.tag != uint32(ev.Pad) {
				c = nil // of one that has ended
			}
			l.conns[i] = c
		}
		l.mu.Unlock()
		for i, c := range l.conns[:l.count] {
			if c == nil {
				continue
			}
			events := l.events[i].Events
			c.ready(l.scratch, events&syscall.EPOLLOUT != 0, events&(syscall.EPOLLIN|endEvents) != 0, events&endEvents != 0)
			l.conns[i] = nil
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

func (l *loop) register(c *conn) error {
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
	c.loop, c.slot, c.tag = l, uint32(slot), l.tag
	ev := syscall.EpollEvent{Events: connEvents, Fd: int32(slot), Pad: int32(c.tag)}
	if err := syscall.EpollCtl(l.fd, syscall.EPOLL_CTL_ADD, c.fd, &ev); err != nil {
		l.free = append(l.free, uint32(slot))
		return os.NewSyscallError("epoll_ctl", err)
	}
	l.slots[slot] = c
	return nil
}

// forget gives the slot of a connection back that is about to be closed.
func (l *loop) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots[c.slot] = nil
	l.free = append(l.free, c.slot)
}

// all returns the connections that there are.
func (l *loop) all() []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*conn, 0, len(l.slots)-len(l.free))
	for _, c := range l.slots {
		if c != nil {
			all = append(all, c)
		}
	}
	return all
}

func transfer(call uintptr, fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}
