package stage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/internal/integration"
	"tidegate/internal/mapping"
	"tidegate/jsonpath"
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
	// ErrMapping says that a request could not be built, or an answer not mapped: a
	// template failed, or a body isn't what contentHandlingStrategy takes it for.
	ErrMapping = errors.New("the mapping failed")
)

// An Integration is what routes call, ready to be called.
type Integration struct {
	ID   string
	Type apigw.IntegrationType
	// Target says for people what is called: a function's ARN, a service's action,
	// an HTTP method and URL, or MOCK.
	Target  string
	Timeout time.Duration
	// Slots admits messages: who sends into it may call the backend and receives
	// when done.
	Slots chan struct{}

	invoker    integration.Invoker
	parameters *mapping.Parameters
	requests   templates
	behavior   apigw.PassthroughBehavior
	binary     bool            // the payload is base64 of what the backend gets
	selects    *selection.Expr // of the backend's answer: its value chooses among responses
	responses  []*response     // in the order of their ids, $default last
}

// An Answer is what becomes of a backend's response.
type Answer struct {
	Status int
	Header []event.Field // only of use on $connect
	Body   []byte        // the frame of a two-way route; empty means none, but see Whole
	Binary bool          // the backend said so: isBase64Encoded, or application/octet-stream
	Whole  bool          // the Content-Type of an HTTP backend says that Body is a message, even an empty one
	Detail string        // for logs: what the backend said of an error
}

// A response is a compiled integration response.
type response struct {
	key        string
	pattern    *regexp.Regexp // nil on $default
	strategy   string         // of content handling
	templates  templates
	parameters []responseParameter
}

// A responseParameter sets a header of the handshake's answer.
type responseParameter struct {
	name     string
	static   string // unless one of the others is set
	header   string // of the backend's response
	fromBody bool
	body     jsonpath.Path
	whole    bool // all of the body
}

// value returns what the parameter takes from the backend's response.
func (p *responseParameter) value(src *source) string {
	switch {
	case p.header != "":
		return last(src.ResponseHeader(p.header))
	case p.whole:
		return string(src.ResponseBody())
	case p.fromBody:
		// An answer that isn't JSON has no members.
		if v, found, err := p.body.Pick(nil, src.ResponseBody()); err == nil && found {
			return string(v)
		}
		return ""
	}
	return p.static
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
// otherwise parameters and a body. The error is ErrUnsupportedMediaType or
// ErrMapping.
func (i *Integration) Request(in *mapping.Input) (*integration.Request, error) {
	r := &integration.Request{}
	return r, i.Fill(r, in)
}

// Fill is Request for one that there is.
func (i *Integration) Fill(r *integration.Request, in *mapping.Input) (err error) {
	*r = integration.Request{Context: in.Context, Connect: in.Connect}
	switch i.Type {
	case apigw.IntegrationAWSProxy:
		// WS-03-001, WS-03-156.
		r.Payload = event.AppendProxy(make([]byte, 0, 1024+2*len(in.Body)), in.Context, in.Connect, in.Body)
		return nil
	case apigw.IntegrationHTTPProxy:
		r.Payload = in.Body // nil on $connect and $disconnect: no body is sent (WS-03-006, WS-03-040, WS-03-042)
	default:
		if r.Payload, err = i.payload(in); err != nil {
			return err
		}
	}
	r.Parameters = i.parameters.Build(in)
	if i.binary {
		r.Payload, err = binary("body for the backend", r.Payload)
	}
	return err
}

// payload is what a request template yields or, where the passthrough behavior
// allows it, the message (WS-03-002 to WS-03-005, WS-03-030 to WS-03-034).
func (i *Integration) payload(in *mapping.Input) ([]byte, error) {
	t, err := i.requests.choose(newSource(in))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrMapping, err)
	case t == nil && (i.behavior == apigw.PassthroughNever || i.behavior == apigw.PassthroughWhenNoTemplates && !i.requests.none()):
		return nil, fmt.Errorf("%w (%s, %s)", ErrUnsupportedMediaType, i.behavior, i.requests.have())
	case t == nil:
		return in.Body, nil
	}
	payload, err := t.Build(in)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMapping, err)
	}
	return payload, nil
}

// Invoke calls the backend. See integration.Invoker.
func (i *Integration) Invoke(ctx context.Context, r *integration.Request) (*integration.Response, error) {
	return i.invoker.Invoke(ctx, r)
}

// Starter returns how to call the backend without a goroutine that waits, or nil
// where that can't be, or isn't worth it: what templates and models take is not
// bounded by much, and is not for a goroutine that others wait for.
func (r *Route) Starter() integration.Starter { return r.starter }

// light says that building the integration's request and mapping its answer takes
// next to nothing.
func (i *Integration) light() bool {
	return i.Type == apigw.IntegrationHTTPProxy || i.Type == apigw.IntegrationHTTP && i.requests.none() &&
		!slices.ContainsFunc(i.responses, func(r *response) bool { return !r.templates.none() })
}

// Respond maps what the backend answered. A proxy's answer passes as it is;
// otherwise an integration response is chosen, which a one-way route may lack.
// A function that failed makes the event fail (WS-03-136), unless an integration
// response maps its error to a frame.
func (r *Route) Respond(in *mapping.Input, resp *integration.Response) (*Answer, error) {
	i := r.Integration
	a := &Answer{Status: resp.Status, Header: resp.Header, Body: resp.Body, Binary: resp.Binary, Detail: resp.Detail}
	switch i.Type { // WS-03-112, WS-03-124
	case apigw.IntegrationHTTPProxy:
		a.typed()
		return a, nil
	case apigw.IntegrationAWSProxy:
		return a, nil
	}
	src := newSource(in)
	src.response = resp
	chosen, by := i.match(src)
	switch {
	case resp.Failed != nil && (chosen == nil || r.Key == apigw.RouteConnect):
		return nil, resp.Failed
	case chosen == nil && r.TwoWay: // WS-03-127, WS-03-128
		return nil, fmt.Errorf("%w (%s is %.200q)%s", ErrNoIntegrationResponse, i.selects, by, because(resp.Detail))
	case chosen == nil: // WS-03-135
		a.Header = nil // nothing maps them
		return a, nil
	}
	a.Header = nil
	for k := range chosen.parameters { // WS-03-137 to WS-03-140
		p := &chosen.parameters[k]
		a.Header = append(a.Header, event.Field{Name: p.name, Value: p.value(src)})
	}
	if chosen.strategy == convertToText { // WS-03-049
		a.Body = text(a.Body)
	}
	t, err := chosen.templates.choose(src)
	if err == nil && t != nil { // WS-03-132, WS-03-133
		a.Body, err = t.Build(&mapping.Input{Context: in.Context, Connect: in.Connect, Body: a.Body})
	}
	if err != nil {
		return nil, fmt.Errorf("%w: integration response %s: %w%s", ErrMapping, chosen.key, err, because(resp.Detail))
	}
	if chosen.strategy == convertToBinary { // WS-03-047
		if a.Body, err = binary("backend's body", a.Body); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// typed heeds an HTTP backend's Content-Type, where it says that the body is text
// or bytes and no more: application/octet-stream and text/plain. (Frameworks add
// text/html by themselves to answers that say nothing.) On AWS it has no meaning;
// the gateway asks for the mode.
func (a *Answer) typed() {
	for _, f := range a.Header {
		if !strings.EqualFold(f.Name, "Content-Type") {
			continue
		}
		kind, _, _ := strings.Cut(f.Value, ";")
		a.Binary = strings.EqualFold(strings.TrimSpace(kind), "application/octet-stream")
		a.Whole = a.Binary || strings.EqualFold(strings.TrimSpace(kind), "text/plain")
	}
}

// because adds to an error what the backend said.
func because(detail string) string {
	if detail == "" {
		return ""
	}
	return "; " + detail
}

// match chooses the integration response by the backend's status, or by a
// function's error message, which one that works doesn't have (WS-03-129,
// WS-03-130). It returns what it chose by, too.
func (i *Integration) match(src *source) (*response, []byte) {
	by, err := i.selects.Append(make([]byte, 0, 64), src)
	for _, r := range i.responses {
		if r.pattern == nil || err == nil && len(by) > 0 && r.pattern.Match(by) {
			return r, by
		}
	}
	return nil, by
}

// templates are mapping templates by key, with the expression that chooses.
type templates struct {
	expr  *selection.Expr // nil when unset
	byKey map[string]*mapping.Template
}

func (t templates) none() bool { return len(t.byKey) == 0 }

// have names the keys, for an error.
func (t templates) have() string {
	if t.none() {
		return "there are no request templates"
	}
	return "the request templates are " + strings.Join(slices.Sorted(maps.Keys(t.byKey)), ", ")
}

// choose returns the template that the source selects, or nil. Without an
// expression it is $default, application/json or the only one, in this
// order (WS-03-037, WS-03-038).
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
