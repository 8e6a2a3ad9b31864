package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"tidegate/internal/authorizer"
	"tidegate/internal/event"
	"tidegate/internal/mapping"
	"tidegate/internal/stage"
)

// An Exchange is one event of a connection and what became of it: whole enough
// to happen again.
type Exchange struct {
	Subject
	Type        event.Type
	MessageID   string // MESSAGE only; "" when nothing was called
	DomainName  string // the host that the client used
	Identity    event.Identity
	Authorizer  *event.AuthorizerContext
	ConnectedAt time.Time
	At          time.Time
	Payload     []byte                // MESSAGE only
	Binary      bool                  // it came as a binary message
	Connect     *event.ConnectRequest // CONNECT only
	Close       *event.CloseReason    // DISCONNECT only

	Outcome Outcome
	// Status is what the client's handshake was answered on CONNECT, else what the
	// integration answered; 0 when it gave none.
	Status   int
	Answer   *stage.Answer // of the integration; nil: none
	Err      error
	Duration time.Duration
}

// Replay has an exchange happen again, with the stage as it is now: the same
// event goes through its route selection and its integration, and is answered.
// The client hears nothing of it, and the connection need not be open. It
// blocks until there is an outcome, and the listener isn't told.
func (g *Gateway) Replay(ctx context.Context, x Exchange) Exchange {
	x.Outcome, x.Status, x.Answer, x.Err, x.Target = Done, 0, nil, nil, ""
	g.begin()
	defer g.end()
	start := g.now()
	g.again(ctx, &x)
	x.Duration = g.now().Sub(start)
	return x
}

// again is Replay without its frame.
func (g *Gateway) again(ctx context.Context, x *Exchange) {
	s, ok := g.Lookup(x.APIID, x.Stage)
	if !ok {
		x.refused(UnknownStage, errUnknownStage)
		return
	}
	route := x.routeOf(s)
	if route == nil {
		return
	}
	x.RouteKey = route.Key
	if route.Integration != nil {
		x.Target = route.Integration.Target
	}
	if !g.authorizeAgain(ctx, x, s, route) {
		return
	}
	answer, ok := route.Constant()
	if !ok {
		if x.MessageID == "" && x.Type == event.TypeMessage { // it was refused before it got one
			x.MessageID = event.NewRequestID()
		}
		select {
		case g.slots <- struct{}{}:
		case <-ctx.Done():
			x.refused(Stopped, errors.Join(errStopped, context.Cause(ctx)))
			return
		}
		defer func() { <-g.slots }()
		var err error
		if answer, err = g.perform(ctx, route, x.input(s), g.wait, &backendCall{}); err != nil {
			v := judge(err)
			x.Outcome, x.Err, x.Status = v.outcome, err, v.status
			if x.Type != event.TypeConnect {
				x.Status = 0
			}
			return
		}
	}
	x.answered(g, route, answer)
}

// authorizeAgain asks the authorizer of a handshake that none let in: one that
// was let in stays so, as its signature or token may be over since.
func (g *Gateway) authorizeAgain(ctx context.Context, x *Exchange, s *stage.Stage, route *stage.Route) bool {
	if x.Type != event.TypeConnect || route.Authorizer == nil || x.Authorizer != nil || x.Identity.Caller != nil {
		return true
	}
	grant, err := g.authorize(ctx, route.Authorizer, x.input(s).Context, x.Connect, &authorizer.Trace{})
	if err != nil {
		v := judge(err)
		x.Outcome, x.Err, x.Status, x.Target = v.outcome, err, v.status, route.Authorizer.Target
		return false
	}
	x.Authorizer, x.Identity.Caller = grant.Authorizer, grant.Caller
	return true
}

// refused notes why nothing was called.
func (x *Exchange) refused(o Outcome, err error) { x.Outcome, x.Err = o, err }

// routeOf selects the route, or notes why there is none.
func (x *Exchange) routeOf(s *stage.Stage) *stage.Route {
	switch x.Type {
	case event.TypeConnect:
		r := s.Connect()
		if r == nil { // then every client is admitted
			x.Status = http.StatusSwitchingProtocols
			return nil
		}
		if missing := r.Missing(x.Connect); len(missing) > 0 {
			x.refused(MissingParameter, fmt.Errorf("the handshake lacks %v", missing))
			x.Status = http.StatusBadRequest
			return nil
		}
		return r
	case event.TypeDisconnect:
		r := s.Disconnect()
		if r == nil {
			x.refused(NoRoute, nil)
		}
		return r
	}
	r := s.SelectRoute(x.Payload)
	if r == nil {
		x.RouteKey = ""
		x.refused(NoRoute, s.Unrouted(x.Payload))
	}
	return r
}

// input is what the event's integration gets.
func (x *Exchange) input(s *stage.Stage) *mapping.Input {
	return &mapping.Input{Connect: x.Connect, Body: x.Payload, Context: &event.Context{
		APIID: x.APIID, Stage: x.Stage, RouteKey: x.RouteKey, EventType: x.Type, ConnectionID: x.ConnectionID, RequestID: x.RequestID,
		MessageID: x.MessageID, DomainName: x.DomainName, Identity: x.Identity, ConnectedAt: x.ConnectedAt, RequestTime: x.At,
		Binary: x.Binary, Close: x.Close, Authorizer: x.Authorizer, StageVariables: s.Variables,
	}}
}

// answered judges the integration's answer as the client would have it.
func (x *Exchange) answered(g *Gateway, route *stage.Route, answer *stage.Answer) {
	x.Answer, x.Status = answer, answer.Status
	switch x.Type {
	case event.TypeMessage:
		r := g.reply(route, answer)
		x.Outcome, x.Err = r.outcome, r.err
	case event.TypeConnect:
		x.Status = http.StatusSwitchingProtocols
		rejection := rejectionOf(answer, nil)
		if rejection == nil {
			_, rejection = subprotocol(answer.Header)
		}
		if rejection != nil {
			x.Outcome, x.Status, x.Err = rejection.Outcome, rejection.Status, rejection.Err
		}
	}
}
