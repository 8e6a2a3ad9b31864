package gateway

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/internal/integration"
	"tidegate/internal/mapping"
)

// Start does what Run does and doesn't block: what has to wait does so on a
// goroutine of its own, as messages of one connection don't wait for each other
// (WS-03-141), or without any.
func (g *Gateway) Start(ctx context.Context, p Plan) {
	switch {
	case !p.calls:
		g.Run(ctx, p)
	case p.held || !g.launch(ctx, &p):
		p.payload = bytes.Clone(p.payload)
		go g.Run(ctx, p)
	}
}

// A flight is a message whose backend answers later, with no goroutine that waits.
type flight struct {
	gateway   *Gateway
	plan      Plan
	requestID string
	context   event.Context
	input     mapping.Input
	request   integration.Request
	call      backendCall
}

// flights are those that have landed, for the next.
var flights = sync.Pool{New: func() any { return new(flight) }}

// launch calls the backend, if that takes no waiting. It returns false when
// nothing was done.
func (g *Gateway) launch(ctx context.Context, p *Plan) bool {
	starter, i := p.route.Starter(), p.route.Integration
	if starter == nil {
		return false
	}
	select {
	case i.Slots <- struct{}{}:
	default:
		return false
	}
	f := flights.Get().(*flight)
	f.gateway, f.plan, f.requestID = g, *p, event.NewRequestID()
	if g.events.ExchangeEnd != nil || g.wantsLog(p.stage, settingOf(p.stage, p.route)) {
		f.plan.payload = bytes.Clone(p.payload) // they are told of it when the caller has it again
	}
	f.plan.describe(&f.context, f.requestID)
	f.input = mapping.Input{Context: &f.context, Body: f.plan.payload}
	if err := f.fill(); err != nil {
		<-i.Slots
		f.land(result{verdict: judge(err), err: err})
		return true
	}
	f.call.called, f.call.request = true, &f.request
	starter.Start(ctx, &f.request, f)
	return true
}

// fill builds what goes to the backend.
func (f *flight) fill() (err error) {
	defer recovered(&err)
	return f.plan.route.Integration.Fill(&f.request, &f.input)
}

// Receive implements integration.Receiver.
func (f *flight) Receive(response *integration.Response, err error) {
	f.call.response, f.call.err = response, err
	f.call.latency = f.gateway.now().Sub(f.plan.start)
	var r result
	if err == nil {
		r, err = f.respond(response)
	}
	<-f.plan.route.Integration.Slots
	if err != nil {
		r = result{verdict: judge(err), err: err}
	}
	f.land(r)
}

// respond maps the backend's answer.
func (f *flight) respond(response *integration.Response) (r result, err error) {
	defer recovered(&err)
	answer, err := f.plan.route.Respond(&f.input, response)
	if err != nil {
		return result{}, err
	}
	return f.gateway.reply(f.plan.route, answer), nil
}

// land ends the message: the client has its frame, and what the message held is
// free. A client that another process has meanwhile is reached on a goroutine.
func (f *flight) land(r result) {
	g, c := f.gateway, f.plan.connection
	<-g.slots
	r.messageID, r.context, r.call = f.context.MessageID, &f.context, f.call
	binary := g.compose(&f.plan, f.requestID, &r)
	var err error
	if r.frame != nil {
		err = c.Send(r.frame, binary)
	}
	if errors.Is(err, connection.ErrMoved) {
		kept := r.keep()
		go func() { f.end(&kept, g.send(c, kept.frame, binary)) }()
		return
	}
	f.end(&r, err)
}

// keep copies what is the invoker's again when Receive returns.
func (r *result) keep() result {
	kept := *r
	kept.frame, kept.call = bytes.Clone(r.frame), backendCall{called: r.call.called, latency: r.call.latency}
	if r.answer != nil {
		answer := *r.answer
		answer.Header, answer.Body = slices.Clone(answer.Header), bytes.Clone(answer.Body)
		kept.answer = &answer
	}
	return kept
}

// end reports, and gives back what the message held. err is why the client didn't
// get its frame.
func (f *flight) end(r *result, err error) {
	g, c := f.gateway, f.plan.connection
	g.report(&f.plan, f.requestID, r, err)
	*f = flight{}
	flights.Put(f)
	if errors.Is(c.End(g.inFlight(c)), connection.ErrMoved) {
		go func() {
			g.dealtWith(c)
			g.end()
		}()
		return
	}
	g.end()
}
