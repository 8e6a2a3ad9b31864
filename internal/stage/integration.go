package stage

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/internal/integration"
	"tidegate/internal/mapping"
	"tidegate/selection"
)

// Errors of Request and Respond, to be tested with errors.Is.
var (
	// ErrUnsupportedMediaType says that no request template fits the message and
	// the passthrough behavior rejects it (415).
	ErrUnsupportedMediaType = errors.New("no request template fits the message and the passthrough behavior rejects it")
	// ErrNoIntegrationResponse says that a non-proxy integration on a two-way
	// route has no integration response for what the backend answered.
	ErrNoIntegrationResponse = errors.New("no integration response matches the backend's answer and there is no $default")
)

// An Integration is what routes call, ready to be called.
type Integration struct {
	ID   string
	Type apigw.IntegrationType
	// Target says for people what is called: a function's ARN, an HTTP method
	// and URL, or MOCK.
	Target  string
	Timeout time.Duration
	// Slots admits messages: who sends into it may call the backend and receives
	// when done.
	Slots chan struct{}

	invoker    integration.Invoker
	parameters *mapping.Parameters
	requests   templates
	behavior   apigw.PassthroughBehavior
	responses  []*response // in the order of their ids, $default last
}

// An Answer is what becomes of a backend's response.
type Answer struct {
	Status int
	Header []event.Field // only of use on $connect
	Body   []byte        // the frame of a two-way route; empty means none
}

// A response is a compiled integration response.
type response struct {
	key        string
	pattern    *regexp.Regexp // nil on $default
	templates  templates
	parameters []responseParameter
}

// A responseParameter sets a header of the handshake's answer.
type responseParameter struct {
	name   string
	static string // unless header is set
	header string // of the backend's response
}

// Constant returns the route's answer when it is always the same: a MOCK whose
// templates hold no variables.
func (r *Route) Constant() (*Answer, bool) { return r.constant, r.constant != nil }

// Missing returns the request parameters that the route requires and that a
// handshake lacks.
func (r *Route) Missing(connect *event.ConnectRequest) []string {
	return mapping.Missing(r.declared, connect)
}

// Request builds what goes to the backend: the event for a proxy to Lambda,
// otherwise parameters and a body. The error is ErrUnsupportedMediaType or a
// template's.
func (i *Integration) Request(in *mapping.Input) (*integration.Request, error) {
	r := &integration.Request{Context: in.Context, Connect: in.Connect}
	switch i.Type {
	case apigw.IntegrationAWSProxy:
		r.Payload = event.AppendProxy(make([]byte, 0, 1024+2*len(in.Body)), in.Context, in.Connect, in.Body)
	case apigw.IntegrationHTTPProxy:
		r.Payload = in.Body // nil on $connect and $disconnect: no body is sent
		r.Parameters = i.parameters.Build(in)
	default:
		t, err := i.requests.choose(newSource(in))
		switch {
		case err != nil:
			return nil, err
		case t != nil:
			if r.Payload, err = t.Build(in); err != nil {
				return nil, err
			}
		case i.behavior == apigw.PassthroughNever, i.behavior == apigw.PassthroughWhenNoTemplates && !i.requests.none():
			return nil, ErrUnsupportedMediaType
		default:
			r.Payload = in.Body
		}
	}
	return r, nil
}

// Invoke calls the backend. See integration.Invoker.
func (i *Integration) Invoke(ctx context.Context, r *integration.Request) (*integration.Response, error) {
	return i.invoker.Invoke(ctx, r)
}

// Respond maps what the backend answered. A proxy's answer passes as it is;
// otherwise an integration response is chosen, which a one-way route may lack.
func (r *Route) Respond(in *mapping.Input, resp *integration.Response) (*Answer, error) {
	i := r.Integration
	a := &Answer{Status: resp.Status, Header: resp.Header, Body: resp.Body}
	if i.Type == apigw.IntegrationAWSProxy || i.Type == apigw.IntegrationHTTPProxy {
		return a, nil
	}
	chosen := i.match(resp)
	if chosen == nil {
		if r.TwoWay {
			return nil, fmt.Errorf("%w (status %d)", ErrNoIntegrationResponse, resp.Status)
		}
		return a, nil
	}
	src := newSource(in)
	src.response = resp
	a.Header = nil
	for _, p := range chosen.parameters {
		v := p.static
		if p.header != "" {
			v = last(src.ResponseHeader(p.header))
		}
		a.Header = append(a.Header, event.Field{Name: p.name, Value: v})
	}
	t, err := chosen.templates.choose(src)
	if err != nil || t == nil {
		return a, err
	}
	a.Body, err = t.Build(&mapping.Input{Context: in.Context, Connect: in.Connect, Body: resp.Body})
	return a, err
}

// match chooses the integration response by the backend's status.
func (i *Integration) match(resp *integration.Response) *response {
	status := strconv.Itoa(resp.Status)
	for _, r := range i.responses {
		if r.pattern == nil || r.pattern.MatchString(status) {
			return r
		}
	}
	return nil
}

// templates are mapping templates by key, with the expression that chooses.
type templates struct {
	expr  *selection.Expr // nil when unset
	byKey map[string]*mapping.Template
}

func (t templates) none() bool { return len(t.byKey) == 0 }

// choose returns the template that the source selects, or nil. Without an
// expression it is $default, application/json or the only one, in this
// order.
func (t templates) choose(src selection.Source) (*mapping.Template, error) {
	if t.none() {
		return nil, nil
	}
	if t.expr != nil {
		key, err := t.expr.Append(nil, src)
		if err != nil && !errors.Is(err, selection.ErrNotJSON) {
			return nil, err
		}
		if found := t.byKey[string(key)]; found != nil && err == nil {
			return found, nil
		}
		return t.byKey[string(apigw.RouteDefault)], nil
	}
	for _, key := range []string{string(apigw.RouteDefault), "application/json"} {
		if found := t.byKey[key]; found != nil {
			return found, nil
		}
	}
	if len(t.byKey) == 1 {
		for _, found := range t.byKey {
			return found, nil
		}
	}
	return nil, nil
}

// fixed says that every source chooses the same template, with the same output.
func (t templates) fixed() bool {
	for _, one := range t.byKey {
		if !one.Constant() {
			return false
		}
	}
	if t.none() || t.expr == nil {
		return true
	}
	_, constant := t.expr.Constant()
	return constant
}

func headerValues(fields []event.Field, name string) []string {
	var vs []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			vs = append(vs, f.Value)
		}
	}
	return vs
}

func last(vs []string) string {
	if len(vs) == 0 {
		return ""
	}
	return vs[len(vs)-1]
}
