package gateway

import (
	"context"
	"maps"
	"sync"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
)

// An Elsewhere reaches connections that another process has since a hand-off;
// cluster.Router is one. It blocks, ten seconds or so at most.
type Elsewhere interface {
	// Send queues a message at the connection's new home. Errors: apigw.ErrGone,
	// apigw.ErrQueueFull.
	Send(id connection.ID, payload []byte, binary bool) error
	// Release says that messages which were in flight when the connection went have
	// been dealt with here: ended as of Connection.End, unheld as of Unhold.
	Release(id connection.ID, ended, unheld int) error
}

// alone is Elsewhere of a process that never hands off.
type alone struct{}

func (alone) Send(connection.ID, []byte, bool) error { return apigw.ErrGone }
func (alone) Release(connection.ID, int, int) error  { return apigw.ErrGone }

// send queues a message for the client, wherever its connection is by now.
func (g *Gateway) send(c *connection.Connection, payload []byte, binary bool) error {
	return c.Reach(
		func() error { return c.Send(payload, binary) },
		func() error { return g.elsewhere.Send(c.ID(), payload, binary) })
}

// dealtWith ends what Connection.Begin began. That its client is gone meanwhile is
// no error.
func (g *Gateway) dealtWith(c *connection.Connection) {
	c.Reach(
		func() error { return c.End(g.inFlight(c)) },
		func() error { return g.elsewhere.Release(c.ID(), 1, 0) })
}

// unhold undoes Connection.Hold.
func (g *Gateway) unhold(c *connection.Connection) {
	c.Reach(
		func() error { return c.Unhold(g.inFlight(c)) },
		func() error { return g.elsewhere.Release(c.ID(), 0, 1) })
}

// debts are what another process will say of connections that it handed off before
// it had dealt with their messages.
type debts struct {
	mu   sync.Mutex
	owed map[*connection.Connection]debt // guarded by mu
}

// A debt is how many messages of a connection are to be ended and unheld.
type debt struct{ ended, unheld int }

// note keeps what is owed for a connection that has just come.
func (d *debts) note(c *connection.Connection) {
	owed := debt{c.InFlight(), c.Held()}
	if owed == (debt{}) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owed == nil {
		d.owed = map[*connection.Connection]debt{}
	}
	d.owed[c] = owed
}

// pay takes from what is owed, and returns how much of it there was.
func (d *debts) pay(c *connection.Connection, by debt) debt {
	d.mu.Lock()
	defer d.mu.Unlock()
	owed := d.owed[c]
	by = debt{min(by.ended, owed.ended), min(by.unheld, owed.unheld)}
	if owed = (debt{owed.ended - by.ended, owed.unheld - by.unheld}); owed == (debt{}) {
		delete(d.owed, c)
	} else {
		d.owed[c] = owed
	}
	return by
}

// Release ends and unholds messages of a connection that another process took on
// and handed off to this one before it had dealt with them.
func (g *Gateway) Release(c *connection.Connection, ended, unheld int) {
	paid := g.debts.pay(c, debt{ended, unheld})
	for range paid.ended {
		c.End(g.inFlight(c))
	}
	for range paid.unheld {
		c.Unhold(g.inFlight(c))
	}
}

// ReleaseAll is Release of all that another process has not said and won't say any
// more, since it has ended: its clients must not wait for it.
func (g *Gateway) ReleaseAll() {
	g.debts.mu.Lock()
	owed := maps.Clone(g.debts.owed)
	g.debts.mu.Unlock()
	for c, d := range owed {
		g.Release(c, d.ended, d.unheld)
	}
}

// Thaw takes over a connection that another process wrote down with
// Connection.Freeze. If its stage isn't there any more the client is closed with
// 1001; whatever ends it, Disconnect follows as for any other.
func (g *Gateway) Thaw(frozen []byte, s connection.Socket) (*connection.Connection, error) {
	c, err := g.registry.Thaw(frozen, s, g.perConnection)
	if err != nil {
		return nil, err
	}
	g.debts.note(c)
	c.Pace(g.inFlight(c))
	g.begin()
	if _, live := g.Lookup(c.APIID(), c.Stage()); !live || g.draining.Load() {
		c.Close(closeGoingAway, textGoingAway)
	}
	return c, nil
}

// HandedOff forgets a connection that another process has now. Its $disconnect is
// told there.
func (g *Gateway) HandedOff(c *connection.Connection) {
	if !g.registry.HandOff(c) {
		return
	}
	g.withdrawn.Delete(c)
	g.end()
}

// closeServiceRestart is the code for clients whose connections can't be handed
// off: they may come back at once (RFC 6455's registry of close codes).
const (
	closeServiceRestart = 1012
	textServiceRestart  = "Service Restart"
)

// retireGrace is how long Retire waits for a client that has messages with backends:
// one that always has some would never be closed.
const retireGrace = 30 * time.Second

// Retire ends what a hand-off left here: clients are closed with 1012, rate of them
// a second, also those that are admitted meanwhile, each once its messages are
// answered; and it returns when every message is dealt with and every $disconnect
// delivered. When ctx ends before, the error says how much was left.
func (g *Gateway) Retire(ctx context.Context, rate int) error {
	began := time.Now()
	tick := time.NewTicker(time.Second / time.Duration(max(rate, 1)))
	defer tick.Stop()
	for g.registry.Len() > 0 {
		for c := range g.registry.All() {
			if c.State() != connection.Open || c.InFlight() > 0 && time.Since(began) < retireGrace {
				continue
			}
			c.Close(closeServiceRestart, textServiceRestart)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return g.quiet(ctx)
			}
		}
		select { // some are being closed, some are not open yet
		case <-tick.C:
		case <-ctx.Done():
			return g.quiet(ctx)
		}
	}
	g.draining.Store(true)
	return g.quiet(ctx)
}
