//go:build linux

package epoll

import (
	"errors"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// sweep ends what is past a deadline: network deadlines, which few connections
// have, each time; idle time and lifetime, which all have, at their own pace.
func (l *loop) sweep() {
	now := l.e.machine()
	l.mu.Lock()
	timed := l.timed
	l.timed = nil
	l.mu.Unlock()
	kept := timed[:0]
	for _, c := range timed {
		if l.overdue(c, now) {
			kept = append(kept, c)
		}
	}
	clear(timed[len(kept):])
	l.mu.Lock()
	l.timed = append(kept, l.timed...)
	l.mu.Unlock()
	if l.resting == 0 && now-l.rested >= l.e.rest {
		l.rested = now
		l.sweepIdle()
	}
}

func (l *loop) overdue(c *conn, now int64) (still bool) {
	ok := false
	defer l.rescue(c, &ok)
	still = c.overdue(now)
	ok = true
	return still
}

// overdue ends what the connection is late with. It returns true if the
// connection has a deadline still.
func (c *conn) overdue(now int64) bool {
	limits := &c.l.e.limits
	var drop transport.DropReason
	c.mu.Lock()
	if c.phase == phaseTransit {
		c.mu.Unlock()
		return true
	}
	m := c.more
	switch {
	case c.aborted || m == nil:
	case m.out.progress != 0 && now-m.out.progress >= int64(limits.WriteTimeout):
		drop = transport.DropWriteTimeout
		c.settleLocked(transport.CloseReason{Code: ws.CloseAbnormalClosure, Drop: drop,
			Err: errors.New("epoll: the client took no byte for " + limits.WriteTimeout.String())})
		c.abortLocked()
	case m.deadline > 0 && now >= m.deadline:
		m.deadline = 0
		if c.phase == phaseHead {
			c.late = true
			c.l.post(c)
			break
		}
		if c.answeringLocked() && !c.broken {
			c.closeLocked(transport.CloseReason{}) // the answers took too long
			break
		}
		if c.phase == phaseClosing && c.closeSent {
			drop = transport.DropCloseTimeout
			if m.reason.Err == nil && !c.closeRecv && !m.reason.ByClient {
				m.reason.Err = errors.New("epoll: the client did not answer the close frame")
			}
		}
		c.abortLocked()
	}
	still := c.more != nil && (c.more.deadline > 0 || c.more.out.progress != 0)
	if !still {
		c.l.mu.Lock()
		c.timed = false
		c.l.mu.Unlock()
	}
	c.mu.Unlock()
	if drop != "" {
		c.dropped(transport.DropInfo{Reason: drop})
	}
	return still
}

// sweepIdle ends what is idle for too long or too old, and pings who is silent. It
// looks at as many connections as a turn allows, and goes on in the loop's next
// turn: messages shall not wait until a million were looked at.
func (l *loop) sweepIdle() {
	limits := &l.e.limits
	if limits.Idle == 0 && limits.Lifetime == 0 && limits.Ping == 0 {
		return
	}
	now := l.e.now()
	end := min(l.resting+restsATurn, len(l.slots))
	for _, c := range l.slots[l.resting:end] {
		if c != nil {
			l.rests(c, now)
		}
	}
	if l.resting = end; end == len(l.slots) {
		l.resting = 0
	}
}

// rests looks at one connection for sweepIdle.
func (l *loop) rests(c *conn, now int64) {
	ok := false
	defer l.rescue(c, &ok)
	limits, opened := &l.e.limits, c.opened.Load()
	switch {
	case opened == 0:
	case limits.Lifetime > 0 && now-opened >= int64(limits.Lifetime):
		c.closeWith(transport.CloseReason{Code: ws.CloseGoingAway, Text: transport.GoingAway, Drop: transport.DropLifetime})
	case limits.Idle > 0 && now-c.active.Load() >= int64(limits.Idle):
		c.closeWith(transport.CloseReason{Code: ws.CloseGoingAway, Text: transport.GoingAway, Drop: transport.DropIdle})
	case limits.Ping > 0 && now-max(c.quiet, opened) >= int64(limits.Ping):
		c.quiet = now
		c.ping()
	}
	ok = true
}

func (c *conn) ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != phaseOpen || c.queuedLocked()+2 > c.l.e.limits.SendQueue {
		return
	}
	b := c.queueLocked()
	*b = ws.AppendFrame(*b, ws.OpPing, true, nil)
	c.flushLocked()
	c.restLocked()
}
