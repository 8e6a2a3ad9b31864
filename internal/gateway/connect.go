package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/internal/mapping"
	"tidegate/internal/model"
	"tidegate/internal/stage"
)

// An Admission is a client that may connect.
type Admission struct {
	Connection *connection.Connection
	// Header is what the 101 carries: the subprotocol that $connect chose.
	Header []event.Field
}

// Connect decides whether a client may connect: the stage, a slot, then the
// $connect route and what it answers. It blocks for as long as that route takes,
// 29 s at most. The error is a *Rejection.
//
// Every admission must be followed by Open, or by Disconnect when the client
// has left meanwhile. Connect does not stop when that happens: the backend's
// answer decides whether a $disconnect is owed.
func (g *Gateway) Connect(ctx context.Context, r *event.ConnectRequest) (*Admission, error) {
	s, _ := g.Lookup(r.APIID, r.Stage)
	return g.connect(ctx, s, r)
}

// ConnectAtOnce is Connect where that waits for nobody: $connect is refused, has no
// route, or its answer is known beforehand. It keeps nothing of r but strings. With
// ok false nothing was done, and Connect has to be called, which may wait.
func (g *Gateway) ConnectAtOnce(ctx context.Context, r *event.ConnectRequest) (admission *Admission, ok bool, err error) {
	s, _ := g.Lookup(r.APIID, r.Stage)
	if s != nil && waits(s.Connect()) {
		return nil, false, nil
	}
	admission, err = g.connect(ctx, s, r)
	return admission, true, err
}

// waits says that deciding on a handshake may take asking somebody.
func waits(route *stage.Route) bool {
	if route == nil {
		return false
	}
	_, constant := route.Constant()
	return !constant || route.Authorizer != nil || route.RequiresAPIKey()
}

// connect is Connect to a stage, nil where there is none.
func (g *Gateway) connect(ctx context.Context, s *stage.Stage, r *event.ConnectRequest) (*Admission, error) {
	start := g.now()
	info := ConnectInfo{
		Subject:  Subject{APIID: r.APIID, Stage: r.Stage, RouteKey: apigw.RouteConnect, RequestID: event.NewRequestID()},
		SourceIP: r.Identity.SourceIP, Status: http.StatusSwitchingProtocols, Outcome: Done,
	}
	var x backendCall
	admission, answer, rejection := g.admit(ctx, s, r, start, &info, &x)
	if rejection != nil {
		rejection.RequestID, rejection.Type = info.RequestID, errorType(rejection.Status)
		info.Status, info.Outcome, info.Err = rejection.Status, rejection.Outcome, rejection.Err
	}
	info.Duration, info.IntegrationLatency = g.now().Sub(start), x.latency
	g.logConnect(s, r, start, &info, rejection, x)
	if g.events.ConnectEnd != nil {
		g.events.ConnectEnd(info)
	}
	if g.events.ExchangeEnd != nil {
		identity := r.Identity
		info.Grant.Identify(&identity)
		g.events.ExchangeEnd(Exchange{
			Subject: info.Subject, Type: event.TypeConnect, DomainName: r.DomainName, Identity: identity, Authorizer: info.Grant.Authorizer, ConnectedAt: start, At: start,
			Connect: r, Outcome: info.Outcome, Status: info.Status, Answer: answer, Err: info.Err, Duration: info.Duration,
		})
	}
	if rejection != nil {
		return nil, rejection
	}
	return admission, nil
}

// admit is Connect without its report. answer is what the $connect route's
// integration answered, nil when it wasn't called or didn't.
func (g *Gateway) admit(ctx context.Context, s *stage.Stage, r *event.ConnectRequest, start time.Time, info *ConnectInfo, x *backendCall) (*Admission, *stage.Answer, *Rejection) {
	if g.draining.Load() {
		return nil, nil, &Rejection{Status: http.StatusServiceUnavailable, Text: drainingRejection, Outcome: Draining}
	}
	if s == nil {
		return nil, nil, &Rejection{Status: http.StatusForbidden, Text: textForbidden, Outcome: UnknownStage, Err: errUnknownStage}
	}
	route := s.Connect()
	if no := g.admitRate(s, start); no != nil {
		return nil, nil, no
	}
	c, err := g.registry.Reserve(connection.Info{
		APIID: s.APIID, Stage: s.Name, DomainName: r.DomainName, Identity: r.Identity, ConnectedAt: start,
	})
	if err != nil {
		return nil, nil, &Rejection{Status: http.StatusTooManyRequests, Text: "Limit Exceeded", Outcome: NoSlot, Err: err}
	}
	g.begin()
	info.ConnectionID = c.String()
	admission := &Admission{Connection: c}
	if route == nil { // WS-01-004
		return admission, nil, nil
	}
	header, answer, rejection := g.decide(ctx, s, route, c, r, info, x)
	if rejection != nil {
		g.registry.Release(c)
		g.withdrawn.Delete(c)
		g.end()
		return nil, answer, rejection
	}
	admission.Header = header
	return admission, answer, nil
}

// decide asks all that $connect has: the authorizer, the API key's usage plan, the
// declared parameters, the integration. It returns what the 101 carries and what the
// integration answered.
func (g *Gateway) decide(ctx context.Context, s *stage.Stage, route *stage.Route, c *connection.Connection, r *event.ConnectRequest, info *ConnectInfo, x *backendCall) ([]event.Field, *stage.Answer, *Rejection) {
	if a := route.Authorizer; a != nil {
		info.Target = a.Target
		grant, err := g.authorize(ctx, a, g.contextOf(c, s, event.TypeConnect, apigw.RouteConnect, info.RequestID), r, &info.Authorization)
		if err != nil {
			return nil, nil, rejectionOf(nil, err)
		}
		c.Grant(grant)
		info.Grant = grant
		info.Target = ""
	}
	// Behind the authorizer, which may be who says the key (WS-06-097, WS-06-108).
	if route.RequiresAPIKey() {
		key, err := g.admitKey(route, g.contextOf(c, s, event.TypeConnect, apigw.RouteConnect, info.RequestID), r)
		if err != nil {
			return nil, nil, rejectionOf(nil, err)
		}
		info.Grant.Key = key
		c.Grant(info.Grant)
	}
	if missing := route.Missing(r); len(missing) > 0 { // WS-01-025
		return nil, nil, &Rejection{
			Status: http.StatusBadRequest, Text: "Missing required request parameters: [" + strings.Join(parameterNames(missing), ", ") + "]",
			Outcome: MissingParameter, Err: fmt.Errorf("the handshake lacks %s", strings.Join(missing, ", ")),
		}
	}
	if route.Integration != nil {
		info.Target = route.Integration.Target
	}
	answer, err := g.ask(ctx, s, route, c, r, info.RequestID, x)
	if err == nil {
		info.BackendStatus = answer.Status
	}
	if rejection := rejectionOf(answer, err); rejection != nil {
		return nil, answer, rejection
	}
	header, rejection := subprotocol(answer.Header)
	return header, answer, rejection
}

// authorize asks the authorizer, within the bounds that an integration has.
func (g *Gateway) authorize(ctx context.Context, a *stage.Authorizer, c *event.Context, r *event.ConnectRequest, t *authorizer.Trace) (grant event.Grant, err error) {
	defer recovered(&err)
	if err := enter(ctx, a.Slots, g.wait); err != nil {
		return event.Grant{}, err
	}
	defer func() { <-a.Slots }()
	return a.Authorize(ctx, c, r, t)
}

// ask calls the $connect route.
func (g *Gateway) ask(ctx context.Context, s *stage.Stage, route *stage.Route, c *connection.Connection, r *event.ConnectRequest, requestID string, x *backendCall) (*stage.Answer, error) {
	if a, ok := route.Constant(); ok {
		return a, nil
	}
	in := &mapping.Input{Context: g.contextOf(c, s, event.TypeConnect, apigw.RouteConnect, requestID), Connect: r}
	return g.perform(ctx, route, in, g.wait, x)
}

// logConnect logs a handshake, admitted or not.
func (g *Gateway) logConnect(s *stage.Stage, r *event.ConnectRequest, start time.Time, info *ConnectInfo, rejection *Rejection, x backendCall) {
	var route *stage.Route
	if s != nil {
		route = s.Connect()
	}
	setting := settingOf(s, route)
	if !g.wantsLog(s, setting) {
		return
	}
	identity := r.Identity
	info.Grant.Identify(&identity)
	l := &logged{
		context: &event.Context{
			APIID: r.APIID, Stage: r.Stage, RouteKey: apigw.RouteConnect, EventType: event.TypeConnect,
			ConnectionID: info.ConnectionID, RequestID: info.RequestID, DomainName: r.DomainName,
			Identity: identity, ConnectedAt: start, RequestTime: start, StageVariables: s.Variables,
			Authorizer: info.Grant.Authorizer,
		},
		status: http.StatusOK, outcome: info.Outcome, err: info.Err, backendCall: x, authorization: &info.Authorization,
	}
	if x.request != nil && x.request.Context != nil {
		l.context = x.request.Context
	}
	if rejection != nil {
		l.status, l.text = rejection.Status, rejection.Text
	}
	if route != nil {
		l.target = route.Integration
	}
	g.log(s, setting, l)
}

// rejectionOf returns nil when $connect said yes.
func rejectionOf(answer *stage.Answer, err error) *Rejection {
	if err != nil {
		v := judge(err)
		return &Rejection{Status: v.status, Text: v.text, Outcome: v.outcome, Err: err}
	}
	switch n := answer.Status; {
	case n >= 200 && n <= 299:
		return nil // 200 and 201 alike
	case n < 300 || n > 599:
		// It can't be sent as an answer to a handshake; 101 is not the backend's
		// to give.
		return &Rejection{Status: http.StatusBadGateway, Text: textInternal, Outcome: MalformedResponse, Err: fmt.Errorf("$connect answered status %d", n)}
	default: // WS-01-010
		return &Rejection{Status: n, Text: textOf(n), Outcome: RejectedByBackend, Err: errors.Join(fmt.Errorf("$connect answered status %d", n), said(answer))}
	}
}

// subprotocol picks from $connect's answer the only header that a client
// sees (WS-01-008), whatever its case (WS-01-028). API Gateway doesn't check that
// it was offered (WS-01-031). A value that no header can have is a malformed answer.
func subprotocol(header []event.Field) ([]event.Field, *Rejection) {
	for _, f := range header {
		if !strings.EqualFold(f.Name, "Sec-WebSocket-Protocol") || f.Value == "" {
			continue
		}
		if strings.ContainsFunc(f.Value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, &Rejection{
				Status: http.StatusBadGateway, Text: textInternal, Outcome: MalformedResponse,
				Err: fmt.Errorf("$connect answered Sec-WebSocket-Protocol %q, which has a control character", f.Value),
			}
		}
		return []event.Field{{Name: "Sec-WebSocket-Protocol", Value: f.Value}}, nil
	}
	return nil, nil
}

// parameterNames turns route.request.querystring.N into N.
func parameterNames(missing []string) []string {
	names := make([]string, len(missing))
	for i, m := range missing {
		names[i] = m[strings.LastIndexByte(m, '.')+1:]
	}
	return names
}

// Open gives an admitted connection its socket: from here on it can be pushed
// to. It returns false when the connection is over already.
func (g *Gateway) Open(c *connection.Connection, s connection.Socket) bool {
	if !c.Open(s) {
		return false
	}
	if _, live := g.Lookup(c.APIID(), c.Stage()); !live || g.draining.Load() {
		c.Close(closeGoingAway, textGoingAway)
	}
	return true
}

// perform calls an integration: what goes in, a place, the call, what comes
// out. Another message's place is waited for as long as wait says. What passed
// is noted in x.
func (g *Gateway) perform(ctx context.Context, route *stage.Route, in *mapping.Input, wait time.Duration, x *backendCall) (answer *stage.Answer, err error) {
	defer recovered(&err)
	i := route.Integration
	if i == nil {
		return nil, errNoIntegration
	}
	if err := route.Validate(in); err != nil { // before all else: WS-03-044
		var invalid *model.Invalid
		if errors.As(err, &invalid) {
			in.Context.ValidationError = invalid.ValidationErrorString()
		}
		return nil, err
	}
	request, err := i.Request(in)
	if err != nil {
		return nil, err
	}
	if err := enter(ctx, i.Slots, wait); err != nil {
		return nil, err
	}
	defer func() { <-i.Slots }()
	ctx, cancel := context.WithTimeout(ctx, i.Timeout) // WS-03-017, WS-03-018
	defer cancel()
	start := g.now()
	x.called, x.request = true, request
	x.response, x.err = i.Invoke(ctx, request)
	x.latency = g.now().Sub(start)
	if x.err != nil {
		return nil, x.err
	}
	return route.Respond(in, x.response)
}

// enter takes a place among an integration's messages.
func enter(ctx context.Context, slots chan struct{}, wait time.Duration) error {
	select {
	case slots <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case slots <- struct{}{}:
		return nil
	case <-t.C:
		return errBusy
	case <-ctx.Done():
		return errors.Join(errStopped, context.Cause(ctx))
	}
}
