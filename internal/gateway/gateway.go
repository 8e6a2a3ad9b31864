// Package gateway is what a WebSocket API does: it admits clients through
// $connect, turns messages into calls of their routes' integrations, answers
// them, and tells $disconnect when a client is gone. It knows no socket and does
// no I/O of its own: sockets are above it, invokers below.
package gateway

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/internal/stage"
	"tidegate/internal/throttle"
)

// A Config is what a Gateway needs. Only Registry must be set.
type Config struct {
	Registry *connection.Registry
	Events   EventListener
	Logs     Logs             // of access and execution; nil: nobody keeps them
	Now      func() time.Time // nil means time.Now
	// Keys admits API keys; nil means that there are none.
	Keys APIKeys
	// Elsewhere reaches connections that were handed off to another process; nil
	// means that none is.
	Elsewhere Elsewhere
	// Limits are the account's; the zero value means AWS's.
	Limits apigw.Limits

	// Bounds on messages that are with backends; zero means Limits' InFlight and
	// apigw's constant.
	InFlightConnection int
	InFlightProcess    int
	// IntegrationWait is how long a message waits when its integration is at its
	// bound (apigw.MaxInFlightIntegration); zero means one second.
	IntegrationWait time.Duration
}

// A Gateway serves the stages that are published to it. It is safe for
// concurrent use.
type Gateway struct {
	// Static.
	registry      *connection.Registry
	events        EventListener
	logs          Logs
	keys          APIKeys // may be nil
	elsewhere     Elsewhere
	now           func() time.Time
	perConnection int
	wait          time.Duration
	slots         chan struct{} // one for each message with a backend
	limits        apigw.Limits
	account       *throttle.Bucket // of all messages, handshakes and calls of @connections; nil: none
	connects      *throttle.Bucket // of handshakes; nil: none

	stages atomic.Pointer[map[stageKey]*stage.Stage]
	named  atomic.Pointer[map[apigw.StageName][]*stage.Stage] // those of a name, by API id; stored after stages
	// withdrawn holds, by connection, the snapshot of a stage that was withdrawn
	// under it: its $disconnect is still owed.
	withdrawn sync.Map

	debts    debts // of a process that hands off to this one
	draining atomic.Bool
	settled  atomic.Bool   // clients are about to be closed: no message reaches a backend any more
	active   atomic.Int64  // connections whose $disconnect isn't done, and messages
	idle     chan struct{} // told when active falls to zero while draining

	mu sync.Mutex // serializes changes of stages
}

// A stageKey names a stage.
type stageKey struct {
	apiID string
	name  apigw.StageName
}

// New returns a gateway without stages.
func New(c Config) *Gateway {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.InFlightProcess == 0 {
		c.InFlightProcess = apigw.MaxInFlightProcess
	}
	if c.IntegrationWait == 0 {
		c.IntegrationWait = time.Second
	}
	if c.Elsewhere == nil {
		c.Elsewhere = alone{}
	}
	c.Limits = c.Limits.OrAWS()
	if c.InFlightConnection == 0 {
		c.InFlightConnection = max(c.Limits.InFlight, 1)
	}
	g := &Gateway{
		limits:   c.Limits,
		registry: c.Registry, keys: c.Keys, elsewhere: c.Elsewhere, events: c.Events, logs: c.Logs, now: c.Now, perConnection: c.InFlightConnection,
		wait: c.IntegrationWait, slots: make(chan struct{}, c.InFlightProcess), idle: make(chan struct{}, 1),
	}
	if l := c.Limits; l.AccountRate > 0 {
		g.account = throttle.New(float64(l.AccountRate), l.AccountBurst)
	}
	if n := c.Limits.ConnectionRate; n > 0 {
		g.connects = throttle.New(float64(n), n)
	}
	g.change(func(map[stageKey]*stage.Stage) {})
	return g
}

// Publish puts a snapshot in place of the stage's present one. Connections stay
// and use it for their later messages (WS-01-037, WS-02-013).
func (g *Gateway) Publish(s *stage.Stage) {
	g.change(func(m map[stageKey]*stage.Stage) { m[stageKey{s.APIID, s.Name}] = s })
	if g.events.StagePublished != nil {
		g.events.StagePublished(StageInfo{APIID: s.APIID, Stage: s.Name, DeploymentID: s.DeploymentID})
	}
}

// Withdraw removes a stage and closes its clients with 1001. Their $disconnect
// still goes to the routes that the stage had.
func (g *Gateway) Withdraw(apiID string, name apigw.StageName) {
	old, ok := g.Lookup(apiID, name)
	if !ok {
		return
	}
	g.change(func(m map[stageKey]*stage.Stage) { delete(m, stageKey{apiID, name}) })
	for c := range g.registry.All() {
		if c.APIID() == apiID && c.Stage() == name {
			g.expel(c, old)
		}
	}
	if g.events.StageWithdrawn != nil {
		g.events.StageWithdrawn(StageInfo{APIID: apiID, Stage: name, DeploymentID: old.DeploymentID})
	}
}

// expel closes a client whose stage is no more.
func (g *Gateway) expel(c *connection.Connection, old *stage.Stage) {
	g.withdrawn.Store(c, old)
	c.Close(closeGoingAway, textGoingAway)
	if c.State() == connection.Closed { // it was disconnected meanwhile
		g.withdrawn.Delete(c)
	}
}

func (g *Gateway) change(edit func(map[stageKey]*stage.Stage)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := map[stageKey]*stage.Stage{}
	if old := g.stages.Load(); old != nil {
		m = maps.Clone(*old)
	}
	edit(m)
	named := map[apigw.StageName][]*stage.Stage{}
	for k, s := range m {
		named[k.name] = append(named[k.name], s)
	}
	for _, list := range named {
		sortStages(list)
	}
	g.stages.Store(&m)
	g.named.Store(&named)
}

// Lookup returns the present snapshot of a stage.
func (g *Gateway) Lookup(apiID string, name apigw.StageName) (*stage.Stage, bool) {
	s, ok := (*g.stages.Load())[stageKey{apiID, name}]
	return s, ok
}

// StagesNamed returns the stages of that name, of every API, by API id. The list is
// shared.
func (g *Gateway) StagesNamed(name apigw.StageName) []*stage.Stage { return (*g.named.Load())[name] }

// Stages returns every stage, by API id and name.
func (g *Gateway) Stages() []*stage.Stage {
	all := slices.Collect(maps.Values(*g.stages.Load()))
	sortStages(all)
	return all
}

func sortStages(list []*stage.Stage) {
	slices.SortFunc(list, func(a, b *stage.Stage) int {
		if d := strings.Compare(a.APIID, b.APIID); d != 0 {
			return d
		}
		return strings.Compare(string(a.Name), string(b.Name))
	})
}

// Close codes and texts of the gateway's own closes.
const (
	closeGoingAway    = 1001
	closeNoStatus     = 1005
	closePolicy       = 1008 // the client misbehaves; AWS's text is not known
	textGoingAway     = "Going away"
	textStatusNotSet  = "Client-side close frame status not set"
	drainingRejection = "Service Unavailable"
)

// Drain stops admitting clients, closes all with 1001, and returns when every
// message is dealt with and every $disconnect delivered. When ctx ends before,
// the error says how much was left.
func (g *Gateway) Drain(ctx context.Context) error {
	g.draining.Store(true)
	for c := range g.registry.All() {
		c.Close(closeGoingAway, textGoingAway)
	}
	return g.quiet(ctx)
}

// Settle stops admitting clients and hearing them, and returns when every message
// that is with a backend is dealt with, or ctx ends. Drain comes after it.
func (g *Gateway) Settle(ctx context.Context) {
	g.draining.Store(true)
	var held []*connection.Connection
	for c := range g.registry.All() {
		if c.State() == connection.Open {
			c.Hold(g.perConnection)
			held = append(held, c)
		}
	}
	defer func() {
		g.settled.Store(true)
		for _, c := range held { // the answer to a close must be read
			c.Unhold(g.perConnection) // one that has moved meanwhile is another process's
		}
	}()
	busy := slices.Clone(held)
	for ctx.Err() == nil {
		busy = slices.DeleteFunc(busy, func(c *connection.Connection) bool { return c.State() != connection.Open || c.InFlight() == 0 })
		if len(busy) == 0 {
			return
		}
		select {
		case <-time.After(settlePoll):
		case <-ctx.Done():
		}
	}
}

// settlePoll is how often Settle looks again.
const settlePoll = 10 * time.Millisecond

// quiet waits until nothing is left to be done.
func (g *Gateway) quiet(ctx context.Context) error {
	for g.active.Load() > 0 {
		select {
		case <-g.idle:
		case <-ctx.Done():
			return fmt.Errorf("gateway: %d connections or messages were not done when the time to drain was over: %w", g.active.Load(), context.Cause(ctx))
		}
	}
	return nil
}

// begin and end count what Drain waits for.
func (g *Gateway) begin() { g.active.Add(1) }

func (g *Gateway) end() {
	if g.active.Add(-1) == 0 && g.draining.Load() {
		select {
		case g.idle <- struct{}{}:
		default:
		}
	}
}

// contextOf returns the request context of an event of the connection.
func (g *Gateway) contextOf(c *connection.Connection, s *stage.Stage, kind event.Type, key apigw.RouteKey, requestID string) *event.Context {
	ec := &event.Context{}
	describe(ec, c, s, kind, key, requestID, g.now())
	return ec
}

// describe fills the request context of an event of the connection.
func describe(ec *event.Context, c *connection.Connection, s *stage.Stage, kind event.Type, key apigw.RouteKey, requestID string, at time.Time) {
	*ec = event.Context{
		APIID: c.APIID(), Stage: c.Stage(), RouteKey: key, EventType: kind,
		ConnectionID: c.String(), RequestID: requestID, DomainName: c.DomainName(),
		Identity: c.Identity(), ConnectedAt: c.ConnectedAt(), RequestTime: at,
		Authorizer: c.Authorizer(), StageVariables: s.Variables,
	}
}
