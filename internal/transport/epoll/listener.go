//go:build linux

package epoll

import (
	"errors"
	"math"
	"os"
	"slices"
	"syscall"
	"time"

	"tidegate/internal/transport"
)

const (
	acceptsATurn  = 64 // so that a storm of clients doesn't starve those that are here
	acceptBackoff = 5 * time.Millisecond
)

// How many connections a loop may have more than the one with the fewest before that
// one takes the listeners over: a share of all, and some.
const (
	surplusShare = 32
	mostSurplus  = 128
)

// One loop at a time accepts from a listener, the listener's keeper, and keeps whom it
// accepts: nobody else is woken for a client, and no client changes hands. When it has
// more than its share, or is offered more than it takes in a turn, it passes the
// listener on to the loop with the fewest connections; a storm goes round the loops
// with the batch of a turn each.
//
// EPOLLEXCLUSIVE, with which all loops could wait for a listener, wakes just one of
// those in epoll_wait. Loops wait there through Go's poller: each one's own is an event
// of that, and the kernel wakes them all.

// listen makes a listener known; its keeper begins to accept.
func (l *loop) listen(ln *listener) {
	if l.stopping {
		return
	}
	i := slices.Index(l.listeners, nil)
	if i < 0 {
		i = len(l.listeners)
		l.listeners = append(l.listeners, nil)
	}
	l.listeners[i] = ln
	l.keep(ln)
}

// keep accepts from the listener, if the loop is its keeper and still knows it.
func (l *loop) keep(ln *listener) {
	i := slices.Index(l.listeners, ln)
	if l.stopping || i < 0 || ln.keeper.Load() != l {
		return
	}
	if err := l.poller.Add(ln.fd, syscall.EPOLLIN, int32(firstListenTag-i), 0); err != nil && !errors.Is(err, syscall.EEXIST) {
		ln.fail(err)
	}
}

// pass makes another loop the listener's keeper.
func (l *loop) pass(ln *listener, to *loop) {
	l.poller.Remove(ln.fd)
	ln.keeper.Store(to)
	to.do(func() { to.keep(ln) }) // one that doesn't know the listener yet will keep it when it does
}

// unlisten accepts from the listener no longer.
func (l *loop) unlisten(ln *listener) {
	for i := range l.listeners {
		if l.listeners[i] == ln {
			l.listeners[i] = nil
			if !l.stopping {
				l.poller.Remove(ln.fd)
			}
		}
	}
}

// idlest returns the loop with the fewest connections, the next one after l where
// several have as few, and how many more l may take before that one's turn comes.
func (l *loop) idlest() (least *loop, room int64) {
	loops := l.e.loops
	at := slices.Index(loops, l)
	least = loops[(at+1)%len(loops)]
	for i := range loops {
		if other := loops[(at+1+i)%len(loops)]; other.held.Load() < least.held.Load() {
			least = other
		}
	}
	if len(loops) == 1 {
		return least, acceptsATurn
	}
	return least, 1 + min(l.e.count.Load()/surplusShare, mostSurplus) - (l.held.Load() - least.held.Load())
}

// accept takes the clients that wait, and keeps them.
func (l *loop) accept(ln *listener) {
	if l.e.closing.Load() || ln.keeper.Load() != l { // an event of before it was passed on
		return
	}
	if ln.yieldsAt != math.MaxInt && ln.failures.Load() > 0 && !ln.hasRoom() {
		l.backOff(ln, errReserved)
		return
	}
	next, room := l.idlest()
	for range min(room, acceptsATurn) {
		fd, peer, errno := acceptSocket(ln.fd)
		switch errno {
		case 0:
			l.accepted(ln, fd, peer)
			if fd >= ln.yieldsAt {
				l.backOff(ln, errReserved)
				return
			}
		case syscall.EAGAIN:
			return
		case syscall.EINTR, syscall.ECONNABORTED:
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
			l.backOff(ln, os.NewSyscallError("accept4", errno))
			return
		default:
			ln.fail(os.NewSyscallError("accept4", errno))
			return
		}
	}
	// Who still waits comes with the next turn, the listener being level-triggered, or
	// to the next keeper.
	if next != l {
		l.pass(ln, next)
	}
}

// backOff leaves clients in the listener's queue for a while, because the
// process or the machine has no room for them.
func (l *loop) backOff(ln *listener, err error) {
	if f := l.e.events.AcceptFailed; f != nil {
		f(transport.AcceptFailedInfo{Addr: ln.l.Addr(), Err: err})
	}
	l.poller.Remove(ln.fd)
	time.AfterFunc(min(acceptBackoff<<min(ln.failures.Add(1), 8), time.Second), func() { l.do(func() { l.keep(ln) }) })
}

// accepted takes a new socket, whose other end is peer.
func (l *loop) accepted(ln *listener, fd int, peer address) {
	e := l.e
	ln.failures.Store(0)
	c := newConn(l, &ln.served, fd, peer)
	if n := e.count.Add(1); e.limits.MaxConnections > 0 && n > int64(e.limits.MaxConnections) {
		e.left()
		syscall.Close(fd)
		c.dropped(transport.DropInfo{Reason: transport.DropTooManyConnections})
		return
	}
	if f := e.events.ConnectionBegin; f != nil && !c.guard("ConnectionBegin", func() {
		f(transport.ConnectionInfo{RemoteAddr: c.RemoteAddr(), LocalAddr: ln.addr})
	}) {
		e.left()
		syscall.Close(fd)
		return
	}
	l.time(c)
	l.serve(c)
}
