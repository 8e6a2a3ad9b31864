package gateway

import (
	"context"
	"net/http"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/internal/mapping"
	"tidegate/internal/stage"
)

// disconnectWait is how long a $disconnect waits for a place at its
// integration. Nobody waits for it, and many come at once when many clients
// leave: it can be patient.
const disconnectWait = time.Minute

// Disconnect ends an admitted connection: its slot is free at once, and its
// $disconnect route is called on a goroutine of its own; Drain waits for that,
// nobody else. Only the first call for a connection counts. A client that was refused
// had no admission, and has no $disconnect (WS-01-049).
func (g *Gateway) Disconnect(ctx context.Context, c *connection.Connection, why event.CloseReason) {
	if !g.registry.Release(c) {
		return
	}
	if why.Code == closeNoStatus && why.Text == "" { // WS-01-043
		why.Text = textStatusNotSet
	}
	s := g.stageOf(c)
	info := DisconnectInfo{
		Subject: Subject{APIID: c.APIID(), Stage: c.Stage(), RouteKey: apigw.RouteDisconnect, ConnectionID: c.String()},
		Close:   why, Outcome: Done, Lifetime: g.now().Sub(c.ConnectedAt()),
	}
	if s == nil || s.Disconnect() == nil {
		info.Outcome = NoRoute
		g.logDisconnect(s, c, nil, &info, backendCall{})
		g.disconnected(info)
		g.end()
		return
	}
	go func() {
		defer g.end()
		g.tell(ctx, s, c, &info)
		g.disconnected(info)
	}()
}

// stageOf returns the connection's present snapshot, or the one that was
// withdrawn under it, or nil.
func (g *Gateway) stageOf(c *connection.Connection) *stage.Stage {
	old, withdrawn := g.withdrawn.LoadAndDelete(c)
	if s, ok := g.Lookup(c.APIID(), c.Stage()); ok {
		return s
	}
	if withdrawn {
		return old.(*stage.Stage)
	}
	return nil
}

// tell calls the $disconnect route. It is tried once, and its answer means
// nothing (WS-01-048).
func (g *Gateway) tell(ctx context.Context, s *stage.Stage, c *connection.Connection, info *DisconnectInfo) {
	start := g.now()
	defer func() { info.Duration = g.now().Sub(start) }()
	route := s.Disconnect()
	info.RequestID = event.NewRequestID()
	if route.Integration != nil {
		info.Target = route.Integration.Target
	}
	var x backendCall
	defer func() { g.logDisconnect(s, c, route, info, x) }()
	if a, ok := route.Constant(); ok {
		info.BackendStatus = a.Status
		return
	}
	ec := g.contextOf(c, s, event.TypeDisconnect, apigw.RouteDisconnect, info.RequestID)
	ec.Close = &info.Close
	a, err := g.perform(ctx, route, &mapping.Input{Context: ec}, disconnectWait, &x)
	info.IntegrationLatency = x.latency
	if err != nil {
		info.Outcome, info.Err = judge(err).outcome, err
	} else {
		info.BackendStatus, info.Err = a.Status, said(a)
	}
	if g.events.ExchangeEnd != nil {
		g.events.ExchangeEnd(Exchange{
			Subject: info.Subject, Type: event.TypeDisconnect, DomainName: ec.DomainName, Identity: ec.Identity, Authorizer: ec.Authorizer, ConnectedAt: ec.ConnectedAt, At: ec.RequestTime,
			Close: &info.Close, Outcome: info.Outcome, Status: info.BackendStatus, Answer: a, Err: info.Err, Duration: g.now().Sub(start),
		})
	}
}

func (g *Gateway) disconnected(info DisconnectInfo) {
	if g.events.DisconnectEnd != nil {
		g.events.DisconnectEnd(info)
	}
}

// logDisconnect logs the end of a connection.
func (g *Gateway) logDisconnect(s *stage.Stage, c *connection.Connection, route *stage.Route, info *DisconnectInfo, x backendCall) {
	setting := settingOf(s, route)
	if !g.wantsLog(s, setting) {
		return
	}
	requestID := info.RequestID
	if requestID == "" {
		requestID = event.NewRequestID()
	}
	l := &logged{
		context: g.contextOf(c, s, event.TypeDisconnect, apigw.RouteDisconnect, requestID),
		status:  http.StatusOK, outcome: info.Outcome, err: info.Err, backendCall: x,
	}
	l.context.Close = &info.Close
	if route == nil {
		l.outcome = Done // a stage needs no $disconnect route
	} else {
		l.target = route.Integration
	}
	if info.Err != nil {
		v := judge(info.Err)
		l.status, l.text = v.status, v.text
	}
	g.log(s, setting, l)
}
