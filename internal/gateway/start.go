package gateway

import (
	"bytes"
	"context"
	"time"

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
	context   *event.Context
	input     mapping.Input
	start     time.Time // of the call
	call      backendCall
}

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
	f := &flight{gateway: g, plan: *p, requestID: event.NewRequestID()}
	if g.events.ExchangeEnd != nil || g.wantsLog(p.stage, settingOf(p.stage, p.route)) {
		f.plan.payload = bytes.Clone(p.payload) // they are told of it when the caller has it again
	}
	f.context = g.messageContext(&f.plan, f.requestID)
	f.input = mapping.Input{Context: f.context, Body: f.plan.payload}
	request, err := f.request()
	if err != nil {
		<-i.Slots
		f.land(result{verdict: judge(err), err: err})
		return true
	}
	f.start = g.now()
	f.call = backendCall{called: true, request: request}
	starter.Start(ctx, request, f)
	return true
}

// request builds what goes to the backend.
func (f *flight) request() (r *integration.Request, err error) {
	defer recovered(&err)
	return f.plan.route.Integration.Request(&f.input)
}

// Receive implements integration.Receiver.
func (f *flight) Receive(response *integration.Response, err error) {
	g, route := f.gateway, f.plan.route
	f.call.response, f.call.err = response, err
	f.call.latency = g.now().Sub(f.start)
	var r result
	if err == nil {
		r, err = f.respond(response)
	}
	<-route.Integration.Slots
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

// land ends the message: what it held is free, and the client has its frame.
func (f *flight) land(r result) {
	g := f.gateway
	<-g.slots
	defer g.end()
	defer g.dealtWith(f.plan.connection)
	r.messageID, r.context, r.call = f.context.MessageID, f.context, f.call
	g.conclude(f.plan, f.requestID, r)
}
