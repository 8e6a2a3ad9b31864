//go:build linux

package epoll

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	"tidegate/internal/netpoll"
	"tidegate/internal/transport"
	"tidegate/ws"
)

const (
	scratchSize = 64 << 10 // what one read takes at most
	readsATurn  = 16       // so that one client doesn't starve the others
	restsATurn  = 8192     // idle connections looked at: less than a millisecond
)

// A loop serves its share of the connections, on one goroutine.
type loop struct {
	e      *Engine
	poller *poller

	// Owned by the loop's goroutine.
	slots      []*conn  // by slot; nil where free
	free       []uint32 // slots given back
	generation uint32   // of the last connection
	listeners  []*listener
	scratch    []byte            // what was just read
	decoder    ws.Decoder        // of a connection that is between messages
	request    transport.Request // that was parsed last
	now        int64             // the engine's clock at this turn
	rested     int64             // the machine's time when idle connections were begun to be looked at
	resting    int               // the slot at which that goes on; 0: it isn't under way
	again      []*conn           // read from for as long as a turn allows
	stopping   bool

	pending  atomic.Bool // something was posted
	sweepDue atomic.Bool

	mu     sync.Mutex
	ended  bool // run has returned
	posted []*conn
	tasks  []func()
	timed  []*conn // with a network deadline

	gathering atomic.Bool // a turn's answers are written together; ended under mu
	gathered  []*conn     // that have some
	spare     []*conn     // the list of before

	late sync.Mutex // held by what do runs once the loop has ended

	held atomic.Int64 // slots in use
}

func newLoop(e *Engine) (*loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &loop{e: e, poller: p, scratch: make([]byte, scratchSize)}, nil
}

// run serves until the engine has closed.
func (l *loop) run() {
	defer l.finish()
	var posted []*conn // reused
	for !l.stopping {
		if l.poller.Poll() == 0 && !l.pending.Load() && len(l.again) == 0 && l.resting == 0 {
			if l.poller.Wait() != nil {
				return
			}
		}
		l.now = l.e.now()
		ready := l.poller.Ready()
		l.gathering.Store(len(ready) >= gatherLeast)
		for i := range ready {
			l.dispatch(&ready[i])
			if i%gatherMost == gatherMost-1 && l.gathering.Load() {
				l.writeGathered(true)
			}
		}
		if l.gathering.Load() {
			l.writeGathered(false)
		}
		if l.pending.Swap(false) {
			posted = l.runPosted(posted[:0])
		}
		if n := len(l.again); n > 0 {
			for _, c := range l.again[:n] {
				l.serve(c)
			}
			l.again = append(l.again[:0], l.again[n:]...)
		}
		if l.resting > 0 {
			l.sweepIdle()
		}
		if l.sweepDue.Swap(false) {
			l.sweep()
		}
	}
}

// finish does what was asked for too late.
func (l *loop) finish() {
	l.mu.Lock()
	l.ended = true
	tasks := l.tasks
	l.tasks = nil
	l.poller.close()
	l.mu.Unlock()
	for _, f := range tasks {
		f()
	}
}

// dispatch serves what one event is about.
func (l *loop) dispatch(ev *syscall.EpollEvent) {
	if ev.Fd < 0 {
		if i := firstListenTag - int(ev.Fd); i >= 0 && l.listeners[i] != nil {
			l.accept(l.listeners[i])
		}
		return
	}
	c := l.slots[ev.Fd]
	if c == nil || c.generation != uint32(ev.Pad) {
		return // ended earlier in this turn
	}
	if ev.Events&syscall.EPOLLOUT != 0 && c.hinted(stalled) {
		l.write(c)
	}
	if ev.Events&(syscall.EPOLLIN|netpoll.End) != 0 {
		c.readable = true
		c.ending = c.ending || ev.Events&netpoll.End != 0
		l.serve(c)
	}
}

// runPosted does what other goroutines asked for.
func (l *loop) runPosted(into []*conn) []*conn {
	l.mu.Lock()
	into, l.posted = l.posted, into
	tasks := l.tasks
	l.tasks = nil
	for _, c := range into {
		c.posted = false
	}
	l.mu.Unlock()
	for _, f := range tasks {
		f()
	}
	for _, c := range into {
		l.serve(c)
	}
	clear(into)
	return into
}

// write goes on writing.
func (l *loop) write(c *conn) {
	ok := false
	defer l.rescue(c, &ok)
	c.writable()
	ok = true
}

// serve lets the connection go as far as it can.
func (l *loop) serve(c *conn) {
	ok := false
	defer l.rescue(c, &ok)
	for range readsATurn {
		if !c.step() {
			ok = true
			return
		}
	}
	l.again = append(l.again, c)
	ok = true
}

// rescue is deferred where a connection is served: a fault of the engine's own, or
// of an EventListener, costs that connection, not the process.
func (l *loop) rescue(c *conn, ok *bool) {
	if !*ok {
		l.crashed(c, recover())
	}
}

// crashed ends a connection in whose service the engine panicked.
func (l *loop) crashed(c *conn, v any) {
	if f := l.e.events.Panicked; f != nil {
		f(transport.PanicInfo{RemoteAddr: c.RemoteAddr(), Method: "engine", Value: v, Stack: debug.Stack()})
	}
	// The lock may be held by what panicked; then it is ours to give back.
	for i := 0; i < 1000 && !c.mu.TryLock(); i++ {
		runtime.Gosched()
	}
	c.abortLocked()
	c.corked, c.held = false, false
	c.settleLocked(transport.CloseReason{Code: ws.CloseAbnormalClosure, Drop: transport.DropPanic})
	c.mu.Unlock()
	c.bury()
}

// post has the loop serve the connection soon. It may be called under the
// connection's lock.
func (l *loop) post(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.posted {
		c.posted = true
		l.posted = append(l.posted, c)
		l.wakeLocked()
	}
}

// do has the loop run f soon. When the loop has ended f is run here, one at a time,
// and calls do no more.
func (l *loop) do(f func()) {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		l.late.Lock()
		defer l.late.Unlock()
		f()
		return
	}
	l.tasks = append(l.tasks, f)
	l.wakeLocked()
	l.mu.Unlock()
}

// wakeLocked ends the loop's wait, if it has not ended for good: its descriptors
// may be others' then.
func (l *loop) wakeLocked() {
	if !l.ended && !l.pending.Swap(true) {
		l.poller.wake()
	}
}

// time has the sweep look at the connection's deadlines. It may be called under
// the connection's lock.
func (l *loop) time(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.timed {
		c.timed = true
		l.timed = append(l.timed, c)
	}
}

// register takes a connection over: from now on it is this loop's.
func (l *loop) register(c *conn) error {
	slot := len(l.slots)
	if n := len(l.free); n > 0 {
		slot = int(l.free[n-1])
		l.free = l.free[:n-1]
		l.slots[slot] = c
	} else {
		l.slots = append(l.slots, c)
	}
	l.generation++
	c.slot, c.generation = uint32(slot), l.generation
	c.registered = true
	l.held.Add(1)
	return l.poller.Add(int(c.fd), netpoll.Connection, int32(slot), c.generation)
}

// release forgets a connection.
func (l *loop) release(c *conn) {
	if !c.registered {
		return
	}
	c.registered = false
	l.slots[c.slot] = nil
	l.free = append(l.free, c.slot)
	l.held.Add(-1)
}
