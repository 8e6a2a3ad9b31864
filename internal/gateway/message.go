package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"
	"unicode/utf8"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/internal/mapping"
	"tidegate/internal/stage"
)

// A Plan is what is to be done with one message. It must be Run or started, once.
type Plan struct {
	connection *connection.Connection
	stage      *stage.Stage
	route      *stage.Route
	binary     bool   // the message came as a binary one
	payload    []byte // the caller's
	size       int
	start      time.Time
	refusal    verdict       // unless its outcome is ""
	why        error         // of the refusal
	constant   *stage.Answer // may be nil
	calls      bool          // a backend is to be called
	held       bool          // the process is at its bound: reads are held until there is a place
}

// Plan decides what a client's message means: a refusal, a constant reply, or a
// call. It never blocks. The payload must stay as it is until Run or Start has
// returned. binary says that it came as a binary message; it is routed as any
// other.
func (g *Gateway) Plan(c *connection.Connection, payload []byte, binary bool) Plan {
	p := Plan{connection: c, payload: payload, binary: binary, size: len(payload), start: g.now()}
	s, ok := g.Lookup(c.APIID(), c.Stage())
	if !ok {
		p.refusal, p.why = verdict{outcome: UnknownStage, status: http.StatusForbidden, text: textForbidden}, errUnknownStage
		return p
	}
	p.stage = s
	p.route = s.SelectRoute(payload)
	if g.settled.Load() { // its answer would come behind the close
		p.refusal, p.why = judge(errStopped), errStopped
		return p
	}
	if p.refusal, p.why = g.throttle(c, s, p.route, p.start); p.refusal.outcome != "" {
		return p
	}
	switch {
	case p.route == nil: // WS-02-010
		p.refusal, p.why = verdict{outcome: NoRoute, status: http.StatusForbidden, text: textForbidden}, s.Unrouted(payload)
		return p
	case p.route.Integration == nil:
		p.refusal, p.why = judge(errNoIntegration), errNoIntegration
		return p
	}
	if a, ok := p.route.Constant(); ok && !p.route.Validates() {
		p.constant = a
		return p
	}
	p.calls = true
	g.begin()
	c.Begin(g.inFlight(c))
	select {
	case g.slots <- struct{}{}:
	default:
		p.held = true
		c.Hold(g.inFlight(c))
	}
	return p
}

// inFlight is how many messages of a client may be with backends at once.
func (g *Gateway) inFlight(c *connection.Connection) int {
	if s, ok := g.Lookup(c.APIID(), c.Stage()); ok && s.Ordered {
		return 1
	}
	return g.perConnection
}

// Breached is told that a client broke the protocol. It returns how long its
// closing may wait for answers to the messages that it has in flight; it is closed
// when they have left. On AWS nobody has seen such answers: in mode aws nothing
// waits, and nothing does when nothing is in flight: 0.
func (g *Gateway) Breached(c *connection.Connection) time.Duration {
	if g.limits.Mode != apigw.ModeExtended || !c.CloseAnswered() {
		return 0
	}
	return g.wait + g.limits.IntegrationTimeout // what a message takes at the longest
}

// Run does what the plan says and sends the client what it is to get. When the
// plan calls out it blocks until that is done; ctx ending cuts it short.
func (g *Gateway) Run(ctx context.Context, p Plan) {
	var requestID string
	if p.calls || p.refusal.outcome != "" || g.events.MessageEnd != nil || g.events.ExchangeEnd != nil || g.wantsLog(p.stage, settingOf(p.stage, p.route)) {
		requestID = event.NewRequestID()
	}
	var r result
	switch {
	case p.refusal.outcome != "":
		r = result{verdict: p.refusal, err: p.why}
	case p.calls:
		defer g.end()
		defer g.dealtWith(p.connection)
		r = g.call(ctx, p, requestID)
	default:
		r = g.reply(p.route, p.constant)
	}
	g.conclude(p, requestID, r)
}

// conclude logs what a message led to, sends the client its frame and reports.
func (g *Gateway) conclude(p Plan, requestID string, r result) {
	binary := g.compose(&p, requestID, &r)
	var err error
	if r.frame != nil {
		err = g.send(p.connection, r.frame, binary)
	}
	g.report(&p, requestID, &r, err)
}

// logMessage logs a message as it was decided, whether or not its frame reaches
// the client.
func (g *Gateway) logMessage(p *Plan, setting stage.LogSetting, requestID string, r *result) {
	l := &logged{context: r.context, status: http.StatusOK, outcome: r.outcome, err: r.err, backendCall: r.call}
	if l.context == nil {
		var key apigw.RouteKey
		if p.route != nil {
			key = p.route.Key
		}
		l.context = g.contextOf(p.connection, p.stage, event.TypeMessage, key, requestID)
		l.context.MessageID, l.context.RequestTime = event.NewRequestID(), p.start
	}
	if r.outcome != Done {
		l.status, l.text = r.verdict.status, r.text
	}
	if p.route != nil {
		l.target = p.route.Integration
	}
	g.log(p.stage, setting, l)
}

// A result is what a message led to.
type result struct {
	verdict
	frame  []byte        // of a two-way route; nil: none
	status int           // the backend's, 0 when it gave none
	answer *stage.Answer // nil: none
	err    error

	messageID string         // "" when nothing was called
	context   *event.Context // of a call
	call      backendCall
}

// call invokes the route's integration, after a place in the process.
func (g *Gateway) call(ctx context.Context, p Plan, requestID string) result {
	if p.held {
		var err error
		select {
		case g.slots <- struct{}{}:
		case <-ctx.Done():
			err = errors.Join(errStopped, context.Cause(ctx))
		}
		g.unhold(p.connection)
		if err != nil {
			return result{verdict: judge(err), err: err}
		}
	}
	defer func() { <-g.slots }()
	c := &event.Context{}
	p.describe(c, requestID)
	var x backendCall
	answer, err := g.perform(ctx, p.route, &mapping.Input{Context: c, Body: p.payload}, g.wait, &x)
	r := result{verdict: judge(err), err: err}
	if err == nil {
		r = g.reply(p.route, answer)
	}
	r.messageID, r.context, r.call = c.MessageID, c, x
	return r
}

// describe fills the request context of a message that is called for.
func (p *Plan) describe(c *event.Context, requestID string) {
	describe(c, p.connection, p.stage, event.TypeMessage, p.route.Key, requestID, p.start)
	c.MessageID, c.Binary = event.NewRequestID(), p.binary
}

// reply decides what of an answer goes to the client: of a proxy its body, whatever
// the status (WS-03-113). A one-way route sends nothing (WS-03-114, WS-03-125), and
// neither does an empty body (WS-03-126, WS-03-179, WS-03-182), unless in mode
// extended a backend says that it is a message.
func (g *Gateway) reply(route *stage.Route, a *stage.Answer) result {
	r := result{verdict: verdict{outcome: Done}, status: a.Status, answer: a, err: said(a)}
	if !route.TwoWay || len(a.Body) == 0 && !(a.Whole && g.limits.Mode == apigw.ModeExtended) {
		return r
	}
	if len(a.Body) > g.limits.MessageSize { // WS-03-143
		r.verdict, r.err = judge(errReplyTooLarge), errReplyTooLarge
		return r
	}
	if r.frame = a.Body; r.frame == nil {
		r.frame = []byte{}
	}
	return r
}

// said is what the backend said of an error that its answer is, for the log: to
// the client such an answer is one like any other.
func said(a *stage.Answer) error {
	if a.Detail == "" {
		return nil
	}
	return errors.New(a.Detail)
}

// compose logs what a message led to and makes the client's frame of it. binary
// says how that is sent.
func (g *Gateway) compose(p *Plan, requestID string, r *result) (binary bool) {
	if setting := settingOf(p.stage, p.route); g.wantsLog(p.stage, setting) {
		// Before the client has its frame: who sees it finds it in the log.
		g.logMessage(p, setting, requestID, r)
	}
	if r.outcome != Done {
		r.frame = appendErrorFrame(make([]byte, 0, 128), r.text, p.connection.String(), requestID)
		return false
	}
	// Like a push: text, unless that would be an invalid text frame.
	return r.frame != nil && (!utf8.Valid(r.frame) || g.limits.Binary && r.answer.Binary)
}

// report tells what became of a message; err is why the client didn't get its frame.
func (g *Gateway) report(p *Plan, requestID string, r *result, err error) {
	if err != nil {
		r.frame = nil
		r.undelivered(err)
	}
	if r.outcome == Misbehaving {
		p.connection.Close(closePolicy, textTooManyRequests)
	}
	if g.events.MessageEnd == nil && g.events.ExchangeEnd == nil {
		return
	}
	info := MessageInfo{
		Subject: Subject{
			APIID: p.connection.APIID(), Stage: p.connection.Stage(), ConnectionID: p.connection.String(), RequestID: requestID,
		},
		Size: p.size, BackendStatus: r.status, Outcome: r.outcome, Frame: r.frame, Err: r.err, Duration: g.now().Sub(p.start),
		IntegrationLatency: r.call.latency,
	}
	if p.route != nil {
		info.RouteKey = p.route.Key
		if p.route.Integration != nil {
			info.Target = p.route.Integration.Target
		}
	}
	if g.events.MessageEnd != nil {
		g.events.MessageEnd(info)
	}
	if g.events.ExchangeEnd != nil {
		c := p.connection
		g.events.ExchangeEnd(Exchange{
			Subject: info.Subject, Type: event.TypeMessage, MessageID: r.messageID, DomainName: c.DomainName(), Identity: c.Identity(), Authorizer: c.Authorizer(),
			ConnectedAt: c.ConnectedAt(), At: p.start, Payload: p.payload, Binary: p.binary,
			Outcome: r.outcome, Status: r.status, Answer: r.answer, Err: r.err, Duration: info.Duration,
		})
	}
}

// undelivered notes that the client didn't get its frame, unless something
// worse is noted already.
func (r *result) undelivered(err error) {
	r.err = errors.Join(r.err, err)
	switch {
	case r.outcome != Done:
	case errors.Is(err, apigw.ErrQueueFull):
		r.outcome = ReplyQueueFull
	case errors.Is(err, apigw.ErrGone):
		r.outcome = ClientGone
	default:
		r.outcome = Failed
	}
}
