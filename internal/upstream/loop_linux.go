package upstream

import (
	"runtime"
	"sync"
	"syscall"

	"tidegate/internal/netpoll"
)

const haveLoops = true

const scratchSize = 64 << 10 // what one read takes at most

// A loops are a few loops that watch sockets. The zero value has none yet.
type loops struct {
	mu     sync.Mutex
	all    []*loop
	turn   int // whose the next socket is
	closed bool
}

// register gives a socket to a loop. From now on its ready is called.
func (p *loops) register(s *socket) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if len(p.all) < runtime.GOMAXPROCS(0) {
		l, err := newLoop()
		if err != nil {
			return err
		}
		p.all = append(p.all, l)
		go l.run()
	}
	p.turn++
	return p.all[p.turn%len(p.all)].register(s)
}

// close ends the loops.
func (p *loops) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.all {
		l.poller.Close() // ends the wait
	}
	p.all, p.closed = nil, true
}

// A loop waits for the sockets that it was given, on one goroutine.
type loop struct {
	poller netpoll.Poller

	// Owned by the loop's goroutine.
	sockets [netpoll.Turn]*socket // of the events that are ready
	scratch []byte

	mu    sync.Mutex
	slots []*socket // nil where free
	free  []uint32
	tag   uint32 // of the last socket
}

func newLoop() (*loop, error) {
	l := &loop{scratch: make([]byte, scratchSize)}
	if err := l.poller.Open(); err != nil {
		return nil, err
	}
	return l, nil
}

// run serves until the loop's poller is closed.
func (l *loop) run() {
	for l.poller.Wait() == nil { // which keeps the descriptor open meanwhile
		ready := l.poller.Ready()
		l.mu.Lock()
		for i := range ready {
			s := l.slots[ready[i].Fd]
			if s != nil && s.tag != uint32(ready[i].Pad) {
				s = nil // of one that has ended
			}
			l.sockets[i] = s
		}
		l.mu.Unlock()
		for i, s := range l.sockets[:len(ready)] {
			if s == nil {
				continue
			}
			events := ready[i].Events
			s.conn.guard(func() {
				s.ready(l.scratch, events&syscall.EPOLLOUT != 0, events&(syscall.EPOLLIN|netpoll.End) != 0, events&netpoll.End != 0)
			})
			l.sockets[i] = nil
		}
	}
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
	if err := l.poller.Add(s.fd, netpoll.Connection, int32(slot), s.tag); err != nil {
		l.free = append(l.free, uint32(slot))
		return err
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
