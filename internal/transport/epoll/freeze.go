//go:build linux

package epoll

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"tidegate/internal/netpoll"
	"tidegate/internal/transport"
	"tidegate/ws"
)

const (
	// transitBytes ends a batch early: a thousand clients that don't read may have
	// a gigabyte queued.
	transitBytes = 8 << 20
	// transitPatience is how long Send waits for a batch's outcome.
	transitPatience = 10 * time.Second
	// How often Freeze looks whether what was left can be moved now.
	firstLook, lastLook = time.Millisecond, 50 * time.Millisecond
)

// A transit is one batch on its way. done is closed when all of it is either
// gone or here again.
type transit struct{ done chan struct{} }

// A frozen is a connection in transit.
type frozen struct {
	c     *conn
	was   phase // and is again if it comes back
	state []byte
}

// errInTransit is what Send returns when a batch's outcome takes too long.
var errInTransit = fmt.Errorf("%w: it is on its way to another process for too long", transport.ErrQueueFull)

// Freeze implements transport.Engine.
func (e *Engine) Freeze(ctx context.Context, batch int, pass func([]transport.Frozen) error) (transport.Left, error) {
	e.freezing.Lock()
	defer e.freezing.Unlock()
	e.mu.Lock()
	e.paused = true
	running := e.running
	listeners := make([]*listener, 0, len(e.listeners))
	for ln := range e.listeners {
		listeners = append(listeners, ln)
	}
	e.mu.Unlock()
	if !running {
		return transport.Left{}, nil
	}
	e.onLoops(func(l *loop) {
		for _, ln := range listeners {
			l.unlisten(ln)
		}
	})
	f := &freezer{e: e, batch: max(1, batch), pass: pass, refused: map[*conn]bool{}}
	look := firstLook
	for {
		moved, err := f.sweep(ctx)
		left := f.census()
		switch {
		case err != nil:
			return left, err
		case e.closing.Load():
			return left, transport.ErrEngineClosed
		case left.Movable+left.Upgrades+left.Requests == 0:
			return left, nil
		case moved > 0:
			look = firstLook
		}
		t := time.NewTimer(look)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return left, ctx.Err()
		}
		look = min(2*look, lastLook)
	}
}

// Resume implements transport.Engine.
func (e *Engine) Resume() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.paused || e.closing.Load() {
		return
	}
	e.paused = false
	for ln := range e.listeners {
		e.listenLocked(ln)
	}
}

// A freezer is one call of Freeze.
type freezer struct {
	e       *Engine
	batch   int
	pass    func([]transport.Frozen) error
	refused map[*conn]bool // those that Handler.Freeze refused
}

// onLoop runs f on the loop and returns when it has.
func onLoop(l *loop, f func()) {
	done := make(chan struct{})
	l.do(func() { defer close(done); f() })
	<-done
}

// sweep moves what can be moved, loop by loop, and returns how many it were.
func (f *freezer) sweep(ctx context.Context) (moved int, err error) {
	for _, l := range f.e.loops {
		for from, more := 0, true; more; {
			if ctx.Err() != nil {
				return moved, ctx.Err()
			}
			if f.e.closing.Load() {
				return moved, transport.ErrEngineClosed
			}
			t := &transit{make(chan struct{})}
			f.e.transit.Store(t)
			var batch []frozen
			onLoop(l, func() { batch, from, more = f.collect(l, from) })
			n, err := f.give(l, t, batch)
			moved += n
			if err != nil {
				return moved, err
			}
		}
	}
	return moved, nil
}

// collect stops a batch of the loop's connections, from a slot on, and returns
// where to go on, if there may be more. It runs on the loop.
func (f *freezer) collect(l *loop, from int) (batch []frozen, next int, more bool) {
	size := 0
	for ; from < len(l.slots); from++ {
		if len(batch) == f.batch || size >= transitBytes {
			return batch, from, true
		}
		c := l.slots[from]
		if c == nil || f.refused[c] {
			continue
		}
		c.mu.Lock()
		if c.restingLocked(nil) {
			was := c.phase
			s := c.stateLocked(was)
			c.phase, c.held = phaseTransit, true
			c.hint(notable, true)
			l.poller.Remove(int(c.fd))
			batch = append(batch, frozen{c, was, s.append(make([]byte, 0, s.size()))})
			size += s.size()
		}
		c.mu.Unlock()
	}
	return batch, from, false
}

// restingLocked says that the connection can be moved. If not, left counts why.
func (c *conn) restingLocked(left *transport.Left) bool {
	if left == nil {
		left = &transport.Left{}
	}
	m := c.more
	switch {
	case c.phase == phaseDead: // its slot will be given back
	case c.held || c.phase == phasePending || c.bound && m != nil && m.upgrade != nil:
		left.Upgrades++ // the answer may be on its way to the loop
	case c.aborted || c.broken || c.late:
		left.Ending++
	case c.phase == phaseRequest:
		left.Requests++
	case c.phase == phaseHead, c.bound:
		return true
	default:
		left.Ending++
	}
	return false
}

// give passes a batch on and settles its fate. It returns how many are gone.
func (f *freezer) give(l *loop, t *transit, batch []frozen) (int, error) {
	going := make([]frozen, 0, len(batch))
	out := make([]transport.Frozen, 0, len(batch))
	var err error
	defer func() {
		for _, z := range going { // pass panicked, or refused
			z.c.comeBack(z.was)
		}
		for i := range out {
			out[i].File.Close()
		}
		close(t.done)
	}()
	for i, z := range batch {
		var file *os.File
		if file, err = duplicate(int(z.c.fd)); err != nil {
			for _, z := range batch[i:] {
				z.c.comeBack(z.was)
			}
			break
		}
		data, refused := f.data(z)
		if refused {
			file.Close()
			f.refused[z.c] = true
			z.c.comeBack(z.was)
			continue
		}
		going = append(going, z)
		out = append(out, transport.Frozen{File: file, Listener: z.c.served.listener, State: z.state, Data: data})
	}
	if len(going) == 0 {
		return 0, err // no descriptor, or nothing to move
	}
	if err = f.pass(out); err != nil {
		return 0, fmt.Errorf("epoll: freeze: %d connections go on here: %w", len(going), err)
	}
	n := len(going)
	f.gone(l, going)
	going = nil
	return n, nil
}

// data asks the handler for its half. Pausing and resuming count until it is there.
func (f *freezer) data(z frozen) (data []byte, refused bool) {
	if z.was == phaseHead {
		return nil, false
	}
	var err error
	ok := z.c.guard("Freeze", func() { data, err = z.c.served.handler.Freeze(z.c) })
	z.c.mu.Lock()
	defer z.c.mu.Unlock()
	setPaused(z.state, z.c.paused && z.was == phaseOpen) // whoever pauses has no say once it is closing
	return data, !ok || err != nil
}

// gone forgets connections that another process has.
func (f *freezer) gone(l *loop, batch []frozen) {
	for _, z := range batch {
		c := z.c
		c.mu.Lock()
		c.phase, c.moved = phaseDead, true
		if m := c.more; m != nil {
			m.out.drop()
			c.more = nil
			putMore(m)
		}
		syscall.Close(int(c.fd))
		c.mu.Unlock()
		f.e.left()
	}
	l.do(func() {
		for _, z := range batch {
			l.release(z.c)
		}
	})
}

// comeBack lets the connection go on here. A handler on its loop may wait for
// that, so it isn't done there.
func (c *conn) comeBack(was phase) {
	syscall.SetNonblock(int(c.fd), true) // in case that whoever had the file changed it
	c.mu.Lock()
	c.phase, c.held = was, false
	c.hint(notable, was != phaseOpen || c.paused)
	c.hint(stalled, false)
	// The poller tells once more what the socket is ready for.
	if err := c.l.poller.Add(int(c.fd), netpoll.Connection, int32(c.slot), c.generation); err != nil {
		c.cutLocked(err)
	}
	c.flushLocked()
	c.restLocked()
	c.mu.Unlock()
	c.unlessClosing()
	c.l.post(c)
}

// unlessClosing ends a connection that came back or came here when the engine
// had begun to close.
func (c *conn) unlessClosing() {
	e := c.l.e
	if !e.closing.Load() {
		return
	}
	e.mu.Lock()
	code, text := e.closeCode, e.closeText
	e.mu.Unlock()
	c.shutdown(code, text)
}

// cutLocked ends the connection because the system refused something.
func (c *conn) cutLocked(err error) {
	c.settleLocked(transport.CloseReason{Code: ws.CloseAbnormalClosure, Drop: transport.DropConnectionLost, Err: err})
	c.abortLocked()
}

// arriveLocked waits until the connection is no longer in transit; ErrMoved if it
// is gone. The lock is given up meanwhile.
func (c *conn) arriveLocked() error {
	if c.phase == phaseTransit {
		late := time.NewTimer(c.l.e.patience)
		defer late.Stop()
		for c.phase == phaseTransit {
			t := c.l.e.transit.Load()
			c.mu.Unlock()
			outcome := true
			select {
			case <-t.done:
			case <-late.C:
				outcome = false
				c.dropped(transport.DropInfo{Reason: transport.DropInTransit})
			}
			c.mu.Lock()
			if !outcome {
				return errInTransit
			}
		}
	}
	if c.moved {
		return transport.ErrMoved
	}
	return nil
}

// census counts what is left.
func (f *freezer) census() transport.Left {
	var left transport.Left
	var seen int64
	for _, l := range f.e.loops {
		onLoop(l, func() {
			for _, c := range l.slots {
				if c == nil {
					continue
				}
				seen++
				if f.refused[c] {
					left.Refused++
					continue
				}
				c.mu.Lock()
				if c.restingLocked(&left) {
					left.Movable++
				}
				c.mu.Unlock()
			}
		})
	}
	// Accepted, not yet its loop's.
	left.Movable += int(max(0, f.e.count.Load()-seen))
	return left
}

// duplicate returns a descriptor of its own for the same socket.
func duplicate(fd int) (*os.File, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("fcntl", errno)
	}
	return os.NewFile(n, "socket"), nil
}
