package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/internal/integration"
	"tidegate/internal/stage"
)

// A backend is what a function of a test does.
type backend func(ctx context.Context, r *integration.Request) (*integration.Response, error)

func (b backend) Invoke(ctx context.Context, r *integration.Request) (*integration.Response, error) {
	return b(ctx, r)
}

// A rig is a gateway with functions of a test's own, and what came of it.
type rig struct {
	t         testing.TB
	gateway   *Gateway
	registry  *connection.Registry
	functions map[string]backend

	mu          sync.Mutex
	events      []string // payloads that functions got, shortened
	connects    []ConnectInfo
	messages    []MessageInfo
	disconnects []DisconnectInfo
	exchanges   []Exchange
}

// Lambda implements stage.Binder: functions are found by the last part of their ARN.
func (g *rig) Lambda(_ *apigw.Integration, arn string) (integration.Invoker, error) {
	name := arn[strings.LastIndexByte(arn, ':')+1:]
	f := g.functions[name]
	if f == nil {
		return nil, fmt.Errorf("the test has no function %s", name)
	}
	return backend(func(ctx context.Context, r *integration.Request) (*integration.Response, error) {
		g.mu.Lock()
		g.events = append(g.events, name+" "+string(r.Context.EventType))
		g.mu.Unlock()
		return f(ctx, r)
	}), nil
}

// HTTP implements stage.Binder.
func (g *rig) HTTP(*apigw.Integration, string) (integration.Invoker, error) {
	return nil, errors.New("the test has no HTTP backends")
}

func (g *rig) Service(*apigw.Integration, *integration.ServiceURI) (integration.Invoker, error) {
	return nil, errors.New("the test has no services")
}

// Authorizer implements stage.Binder.
func (*rig) Authorizer(*apigw.Authorizer, string) (authorizer.Authorizer, error) {
	return nil, errors.New("the test has no authorizers")
}

// IAM implements stage.Binder.
func (*rig) IAM() (authorizer.Authorizer, error) { return nil, errors.New("the test has no keys") }

func newRig(t testing.TB, c Config, functions map[string]backend) *rig {
	t.Helper()
	return newRigOf(t, 1, c, functions)
}

// newRigOf returns the rig of a process of that incarnation.
func newRigOf(t testing.TB, incarnation uint32, c Config, functions map[string]backend) *rig {
	t.Helper()
	codec, err := connection.NewCodec(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{t: t, functions: functions}
	if g.registry, err = connection.NewRegistry(codec, incarnation, 20000); err != nil {
		t.Fatal(err)
	}
	c.Registry = g.registry
	if c.Limits.Mode == "" { // what isn't about an account's rates has none
		c.Limits = apigw.LimitsOf(apigw.ModeExtended)
	}
	c.Events = EventListener{
		ConnectEnd:    func(i ConnectInfo) { g.mu.Lock(); defer g.mu.Unlock(); g.connects = append(g.connects, i) },
		MessageEnd:    func(i MessageInfo) { g.mu.Lock(); defer g.mu.Unlock(); g.messages = append(g.messages, i) },
		DisconnectEnd: func(i DisconnectInfo) { g.mu.Lock(); defer g.mu.Unlock(); g.disconnects = append(g.disconnects, i) },
		ExchangeEnd: func(x Exchange) {
			x.Payload = bytes.Clone(x.Payload)
			g.mu.Lock()
			defer g.mu.Unlock()
			g.exchanges = append(g.exchanges, x)
		},
	}
	g.gateway = New(c)
	return g
}

// publish compiles and publishes the stage abc/Prod.
func (g *rig) publish(routes ...string) {
	g.t.Helper()
	g.compile(definition(routes...), &apigw.Stage{Name: "Prod", Variables: map[string]string{"color": "blue"}})
}

// definition is that of API abc. A route is KEY=FUNCTION; KEY=>FUNCTION is two-way,
// KEY= has no integration.
func definition(routes ...string) *apigw.Definition {
	def := &apigw.Definition{APIID: "abc", RouteSelectionExpression: "$request.body.action"}
	for _, text := range routes {
		key, name, _ := strings.Cut(text, "=")
		r := &apigw.Route{Key: apigw.RouteKey(key)}
		if rest, two := strings.CutPrefix(name, ">"); two {
			name = rest
			r.Responses = map[string]*apigw.RouteResponse{"x": {Key: "$default"}}
		}
		if name != "" {
			id := fmt.Sprint("i", len(def.Integrations))
			r.Target = "integrations/" + id
			def.Integrations = append(def.Integrations, &apigw.Integration{ID: id, Type: apigw.IntegrationAWSProxy, URI: "arn:aws:lambda:us-east-1:000000000000:function:" + name})
		}
		def.Routes = append(def.Routes, r)
	}
	return def
}

func (g *rig) compile(def *apigw.Definition, st *apigw.Stage) {
	g.t.Helper()
	s, err := stage.Compile(def, st, g)
	if err != nil {
		g.t.Fatal(err)
	}
	g.gateway.Publish(s)
}

func answer(status int, body string, header ...event.Field) backend {
	return func(context.Context, *integration.Request) (*integration.Response, error) {
		return &integration.Response{Status: status, Body: []byte(body), Header: header}, nil
	}
}

func fail(kind error) backend {
	return func(context.Context, *integration.Request) (*integration.Response, error) {
		return nil, &integration.Error{Kind: kind, Detail: "detail"}
	}
}

// hang answers when its context ends, as invokers do.
func hang(ctx context.Context, _ *integration.Request) (*integration.Response, error) {
	<-ctx.Done()
	return nil, &integration.Error{Kind: integration.ErrTimeout, Err: ctx.Err()}
}

func request() *event.ConnectRequest {
	return &event.ConnectRequest{
		APIID: "abc", Stage: "Prod", DomainName: "localhost:8420", Identity: event.Identity{SourceIP: "192.0.2.1", UserAgent: "test"},
		Header: []event.Field{{Name: "Host", Value: "localhost:8420"}}, TraceID: "Root=1-2-3",
	}
}

// A client is the far end of a connection, in memory.
type client struct {
	rig *rig
	c   *connection.Connection

	mu     sync.Mutex
	frames []string
	paused bool
	full   bool
	closed string
}

func (s *client) Send(p []byte, binary bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return apigw.ErrQueueFull
	}
	text := string(p)
	if binary {
		text = fmt.Sprintf("binary %x", p)
	}
	s.frames = append(s.frames, text)
	return nil
}

func (s *client) Close(code int, reason string) error {
	s.mu.Lock()
	s.closed = fmt.Sprintf("%d %s", code, reason)
	s.mu.Unlock()
	// As an engine does it: the end is reported by another goroutine.
	go s.leave(code, reason)
	return nil
}

func (s *client) LastActive() time.Time { return time.Time{} }
func (s *client) PauseReads()           { s.mu.Lock(); defer s.mu.Unlock(); s.paused = true }
func (s *client) ResumeReads()          { s.mu.Lock(); defer s.mu.Unlock(); s.paused = false }

func (s *client) isPaused() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.paused }

func (s *client) send(message string) {
	s.rig.gateway.Start(context.Background(), s.rig.gateway.Plan(s.c, []byte(message), false))
}

func (s *client) leave(code int, reason string) {
	s.rig.gateway.Disconnect(context.Background(), s.c, event.CloseReason{Code: code, Text: reason})
}

func (s *client) closedBy() string { s.mu.Lock(); defer s.mu.Unlock(); return s.closed }
func (s *client) got() []string    { s.mu.Lock(); defer s.mu.Unlock(); return s.frames }

func (g *rig) connect() *client {
	g.t.Helper()
	a, err := g.gateway.Connect(context.Background(), request())
	if err != nil {
		g.t.Fatal(err)
	}
	s := &client{rig: g, c: a.Connection}
	if !g.gateway.Open(a.Connection, s) {
		g.t.Fatal("the connection did not open")
	}
	return s
}

func TestHandshakeStatuses(t *testing.T) {
	for _, tt := range []struct {
		name     string
		function backend
		status   int
		outcome  Outcome
		kind     string
		text     string
	}{
		{"200", answer(200, ""), 101, Done, "", ""},
		{"201", answer(201, "ignored"), 101, Done, "", ""},
		{"301", answer(301, ""), 301, RejectedByBackend, "BadRequestException", "Moved Permanently"},
		{"400", answer(400, ""), 400, RejectedByBackend, "BadRequestException", "Bad Request"},
		{"401", answer(401, ""), 401, RejectedByBackend, "UnauthorizedException", "Unauthorized"},
		{"403", answer(403, "not shown"), 403, RejectedByBackend, "ForbiddenException", "Forbidden"},
		{"501", answer(501, ""), 501, RejectedByBackend, "InternalServerErrorException", "Internal server error"},
		{"a status without a name", answer(499, ""), 499, RejectedByBackend, "BadRequestException", "Forbidden"},
		{"101 is not the function's to say", answer(101, ""), 502, MalformedResponse, "InternalServerErrorException", "Internal server error"},
		{"a status out of range", answer(700, ""), 502, MalformedResponse, "InternalServerErrorException", "Internal server error"},
		{"a subprotocol with a line break", answer(200, "", event.Field{Name: "Sec-WebSocket-Protocol", Value: "a\r\nX-Evil: 1"}), 502, MalformedResponse, "InternalServerErrorException", "Internal server error"},
		{"function error", fail(integration.ErrFunction), 502, FunctionError, "InternalServerErrorException", "Internal server error"},
		{"malformed", fail(integration.ErrMalformed), 502, MalformedResponse, "InternalServerErrorException", "Internal server error"},
		{"refused", fail(integration.ErrRefused), 500, InvocationRefused, "InternalServerErrorException", "Internal server error"},
		{"unreachable", fail(integration.ErrUnreachable), 500, BackendUnreachable, "InternalServerErrorException", "Internal server error"},
		{"timeout", hang, 504, IntegrationTimeout, "InternalServerErrorException", "Endpoint request timed out"},
		{"a fault of ours", func(context.Context, *integration.Request) (*integration.Response, error) { panic("oops") }, 500, Failed, "InternalServerErrorException", "Internal server error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, Config{}, map[string]backend{"f": tt.function, "bye": answer(200, "")})
				g.publish("$connect=f", "$disconnect=bye")
				start := time.Now()
				a, err := g.gateway.Connect(context.Background(), request())
				if len(g.connects) != 1 || g.connects[0].Status != tt.status || g.connects[0].Outcome != tt.outcome {
					t.Fatalf("notices: %v", g.connects)
				}
				if !strings.Contains(g.connects[0].String(), string(tt.outcome)) {
					t.Errorf("the notice reads %s", g.connects[0])
				}
				if tt.status == 101 {
					if err != nil || a.Connection.State() != connection.Connecting || len(a.Header) > 0 {
						t.Errorf("%+v, %v", a, err)
					}
					return
				}
				var no *Rejection
				if !errors.As(err, &no) || no.Status != tt.status || no.Type != tt.kind || no.Text != tt.text || no.RequestID == "" {
					t.Errorf("%+v", err)
				}
				if g.registry.Len() != 0 {
					t.Error("the slot was kept")
				}
				if tt.status == 504 && time.Since(start) != 29*time.Second {
					t.Errorf("it took %v", time.Since(start))
				}
				synctest.Wait()
				if len(g.disconnects) > 0 {
					t.Error("a rejected client got a $disconnect")
				}
			})
		})
	}
}

func TestHandshakeWithoutConnectRoute(t *testing.T) {
	g := newRig(t, Config{}, nil)
	g.publish()
	if _, err := g.gateway.Connect(context.Background(), request()); err != nil {
		t.Error(err)
	}
	r := request()
	r.Stage = "other"
	_, err := g.gateway.Connect(context.Background(), r)
	var no *Rejection
	if !errors.As(err, &no) || no.Status != 403 || no.Text != "Forbidden" || no.Outcome != UnknownStage {
		t.Errorf("an unknown stage: %v", err)
	}
	g.publish("$connect=")
	if _, err := g.gateway.Connect(context.Background(), request()); !errors.As(err, &no) || no.Status != 500 || no.Outcome != NoIntegration {
		t.Errorf("a $connect without integration: %v", err)
	}
}

// Only what waits for nobody is decided at once, and what isn't leaves no trace.
func TestConnectAtOnce(t *testing.T) {
	function := map[string]backend{"f": func(context.Context, *integration.Request) (*integration.Response, error) {
		return &integration.Response{Status: 200}, nil
	}}
	for _, tt := range []struct {
		name   string
		routes []string
		change func(*apigw.Definition)
		stage  apigw.StageName
		once   bool
		status int
	}{
		{name: "without $connect", once: true, status: 101},
		{name: "unknown stage", stage: "other", once: true, status: 403},
		{name: "constant answer", routes: []string{"$connect=f"}, change: constantAnswer, once: true, status: 101},
		{name: "function", routes: []string{"$connect=f"}},
		{name: "constant answer behind an API key", routes: []string{"$connect=f"}, change: func(d *apigw.Definition) {
			constantAnswer(d)
			d.Routes[0].APIKeyRequired = true
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, Config{}, function)
			d := definition(tt.routes...)
			if tt.change != nil {
				tt.change(d)
			}
			g.compile(d, &apigw.Stage{Name: "Prod"})
			r := request()
			if tt.stage != "" {
				r.Stage = tt.stage
			}
			a, once, err := g.gateway.ConnectAtOnce(t.Context(), r)
			if once != tt.once {
				t.Fatalf("decided at once: %v, want %v", once, tt.once)
			}
			if !once {
				if a != nil || err != nil || g.registry.Len() != 0 || len(g.connects) != 0 || len(g.events) != 0 {
					t.Errorf("%v, %v; %d connections, told %v, called %v, want nothing", a, err, g.registry.Len(), g.connects, g.events)
				}
				return
			}
			if len(g.connects) != 1 || g.connects[0].Status != tt.status || (err == nil) != (tt.status == 101) {
				t.Errorf("%v, told %v, want %d", err, g.connects, tt.status)
			}
		})
	}
	t.Run("constant answer behind an authorizer", func(t *testing.T) {
		g := newRig(t, Config{}, function)
		d := definition("$connect=f")
		constantAnswer(d)
		g.compile(d, &apigw.Stage{Name: "Prod"})
		s, _ := g.gateway.Lookup("abc", "Prod")
		s.Connect().Authorizer = &stage.Authorizer{}
		if _, once, _ := g.gateway.ConnectAtOnce(t.Context(), request()); once {
			t.Error("an authorizer may take waiting")
		}
	})
}

// constantAnswer makes the integrations MOCK ones whose answer is known.
func constantAnswer(d *apigw.Definition) {
	for _, i := range d.Integrations {
		i.Type, i.URI, i.TemplateSelectionExpression = apigw.IntegrationMock, "", `\$default`
		i.RequestTemplates = map[string]string{"$default": `{"statusCode":200}`}
		i.Responses = map[string]*apigw.IntegrationResponse{"$default": {Key: "$default"}}
	}
}

func TestConnectEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var payload []byte
		g := newRig(t, Config{}, map[string]backend{"f": func(_ context.Context, r *integration.Request) (*integration.Response, error) {
			payload = bytes.Clone(r.Payload)
			return &integration.Response{Status: 200, Header: []event.Field{{Name: "X", Value: "y"}, {Name: "sec-websocket-PROTOCOL", Value: "chat"}}}, nil
		}})
		g.publish("$connect=f")
		a, err := g.gateway.Connect(context.Background(), request())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]event.Field{{Name: "Sec-WebSocket-Protocol", Value: "chat"}}, a.Header); diff != "" {
			t.Errorf("the 101's header (-want +got):\n%s", diff)
		}
		var e struct {
			StageVariables map[string]string
			RequestContext map[string]any
		}
		if err := json.Unmarshal(payload, &e); err != nil {
			t.Fatal(err)
		}
		for k, want := range map[string]any{
			"eventType": "CONNECT", "routeKey": "$connect", "stage": "Prod", "apiId": "abc", "domainName": "localhost:8420",
			"connectionId": a.Connection.String(), "requestId": g.connects[0].RequestID, "connectedAt": float64(time.Now().UnixMilli()),
		} {
			if e.RequestContext[k] != want {
				t.Errorf("requestContext.%s = %v, want %v", k, e.RequestContext[k], want)
			}
		}
		if e.StageVariables["color"] != "blue" {
			t.Errorf("stageVariables %v", e.StageVariables)
		}
	})
}

func TestMissingParameter(t *testing.T) {
	g := newRig(t, Config{}, nil)
	g.compile(&apigw.Definition{APIID: "abc", RouteSelectionExpression: "x", Routes: []*apigw.Route{{Key: "$connect", RequestParameters: map[string]apigw.ParameterConstraint{
		"route.request.querystring.token": {Required: true}, "route.request.header.X-Opt": {},
	}}}}, &apigw.Stage{Name: "Prod"})
	_, err := g.gateway.Connect(context.Background(), request())
	var no *Rejection
	if !errors.As(err, &no) || no.Status != 400 || no.Text != "Missing required request parameters: [token]" || no.Outcome != MissingParameter {
		t.Errorf("%v", err)
	}
}

func TestThrottledHandshakeAndMessage(t *testing.T) {
	zero := 0
	g := newRig(t, Config{}, nil)
	def := &apigw.Definition{APIID: "abc", RouteSelectionExpression: "x", Routes: []*apigw.Route{{Key: "$connect"}, {Key: "$default"}}}
	st := &apigw.Stage{Name: "Prod", DefaultRouteSettings: apigw.RouteSettings{ThrottlingBurstLimit: &zero}}
	g.compile(def, st)
	_, err := g.gateway.Connect(context.Background(), request())
	var no *Rejection
	if !errors.As(err, &no) || no.Status != 429 || no.Outcome != Throttled {
		t.Errorf("%v", err)
	}
	def.Routes = def.Routes[1:]
	g.compile(def, st)
	if _, err := g.gateway.Connect(context.Background(), request()); !errors.As(err, &no) || no.Status != 429 {
		t.Errorf("without a $connect route: %v", err)
	}
	g.compile(def, &apigw.Stage{Name: "Prod"})
	s := g.connect()
	g.compile(def, st)
	s.send("x")
	if len(s.got()) != 1 || !strings.HasPrefix(s.got()[0], `{"message": "Too Many Requests", `) || g.messages[0].Outcome != Throttled {
		t.Errorf("%q", s.got())
	}
}

// TestConnectRouteThrottle: the route's own settings count, not the stage's.
func TestConnectRouteThrottle(t *testing.T) {
	zero, ten := 0, 10
	for _, tt := range []struct {
		name         string
		stage, route *int
		throttled    bool
	}{
		{"only the route", nil, &zero, true},
		{"only the stage", &zero, &ten, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, Config{}, nil)
			def := &apigw.Definition{APIID: "abc", RouteSelectionExpression: "x", Routes: []*apigw.Route{{Key: "$connect"}}}
			g.compile(def, &apigw.Stage{Name: "Prod", DefaultRouteSettings: apigw.RouteSettings{ThrottlingBurstLimit: tt.stage},
				RouteSettings: map[apigw.RouteKey]apigw.RouteSettings{"$connect": {ThrottlingBurstLimit: tt.route}}})
			_, err := g.gateway.Connect(context.Background(), request())
			var no *Rejection
			if !errors.As(err, &no) {
				t.Fatalf("a $connect without an integration was admitted: %v", err)
			}
			if throttled := no.Outcome == Throttled; throttled != tt.throttled {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNoSlot(t *testing.T) {
	g := newRig(t, Config{}, nil)
	g.publish()
	for range 20000 {
		if _, err := g.gateway.Connect(context.Background(), request()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := g.gateway.Connect(context.Background(), request())
	var no *Rejection
	if !errors.As(err, &no) || no.Status != 429 || no.Outcome != NoSlot || !errors.Is(err, connection.ErrFull) {
		t.Errorf("%v", err)
	}
}

func TestMessages(t *testing.T) {
	big := strings.Repeat("x", apigw.MaxMessage+1)
	for _, tt := range []struct {
		name     string
		route    string
		function backend
		message  string
		frame    string // with ID and REQ for the ids; "": none
		outcome  Outcome
	}{
		{"one-way", "a=f", answer(200, "ignored"), `{"action":"a"}`, "", Done},
		{"one-way, any status", "a=f", answer(501, "ignored"), `{"action":"a"}`, "", Done},
		{"two-way", "a=>f", answer(200, "reply"), `{"action":"a"}`, "reply", Done},
		{"two-way, any status", "a=>f", answer(500, "reply"), `{"action":"a"}`, "reply", Done},
		{"two-way without a body", "a=>f", answer(200, ""), `{"action":"a"}`, "", Done},
		{"two-way, not UTF-8", "a=>f", answer(200, "\xff"), `{"action":"a"}`, "binary ff", Done},
		{"two-way, too large", "a=>f", answer(200, big), `{"action":"a"}`, `{"message": "Internal server error", "connectionId":"ID", "requestId":"REQ"}`, ReplyTooLarge},
		{"default", "$default=>f", answer(200, "d"), `not JSON`, "d", Done},
		{"no route", "a=f", answer(200, ""), `{"action":"b"}`, `{"message": "Forbidden", "connectionId":"ID", "requestId":"REQ"}`, NoRoute},
		{"no integration", "a=", nil, `{"action":"a"}`, `{"message": "Internal server error", "connectionId":"ID", "requestId":"REQ"}`, NoIntegration},
		{"function error, one-way", "a=f", fail(integration.ErrFunction), `{"action":"a"}`, `{"message": "Internal server error", "connectionId":"ID", "requestId":"REQ"}`, FunctionError},
		{"malformed", "a=>f", fail(integration.ErrMalformed), `{"action":"a"}`, `{"message": "Internal server error", "connectionId":"ID", "requestId":"REQ"}`, MalformedResponse},
		{"refused", "a=f", fail(integration.ErrRefused), `{"action":"a"}`, `{"message": "Internal server error", "connectionId":"ID", "requestId":"REQ"}`, InvocationRefused},
		{"timeout", "a=f", hang, `{"action":"a"}`, `{"message": "Endpoint request timed out", "connectionId":"ID", "requestId":"REQ"}`, IntegrationTimeout},
		{"a fault of ours", "a=f", func(context.Context, *integration.Request) (*integration.Response, error) { panic("oops") }, `{"action":"a"}`,
			`{"message": "Internal server error", "connectionId":"ID", "requestId":"REQ"}`, Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, Config{}, map[string]backend{"f": tt.function})
				g.publish(tt.route)
				s := g.connect()
				s.send(tt.message)
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if len(g.messages) != 1 {
					t.Fatalf("notices: %v", g.messages)
				}
				m := g.messages[0]
				if m.Outcome != tt.outcome || m.Size != len(tt.message) || m.ConnectionID != s.c.String() || !strings.Contains(m.String(), string(tt.outcome)) {
					t.Errorf("notice %+v", m)
				}
				if tt.outcome != Done && tt.outcome != NoRoute && tt.outcome != NoIntegration && m.Err == nil {
					t.Error("the notice doesn't say why")
				}
				want := strings.NewReplacer("ID", s.c.String(), "REQ", m.RequestID).Replace(tt.frame)
				if got := strings.Join(s.got(), "|"); got != want {
					t.Errorf("the client got %.200q, want %q", got, want)
				}
				if s.c.State() != connection.Open || s.c.InFlight() != 0 || s.isPaused() {
					t.Errorf("afterwards the connection is %v with %d in flight", s.c.State(), s.c.InFlight())
				}
			})
		})
	}
}

func TestMessageEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var payload []byte
		g := newRig(t, Config{}, map[string]backend{"f": func(_ context.Context, r *integration.Request) (*integration.Response, error) {
			payload = bytes.Clone(r.Payload)
			return &integration.Response{Status: 200}, nil
		}})
		g.publish("a=f")
		s := g.connect()
		// The engine's buffer is used again at once.
		buf := []byte(`{"action":"a"}`)
		g.gateway.Start(context.Background(), g.gateway.Plan(s.c, buf, false))
		clear(buf)
		synctest.Wait()
		var e struct {
			Body           string
			RequestContext map[string]any
		}
		if err := json.Unmarshal(payload, &e); err != nil {
			t.Fatal(err)
		}
		if e.Body != `{"action":"a"}` || e.RequestContext["eventType"] != "MESSAGE" || e.RequestContext["routeKey"] != "a" ||
			e.RequestContext["requestId"] != g.messages[0].RequestID || len(fmt.Sprint(e.RequestContext["messageId"])) != 16 {
			t.Errorf("%s", payload)
		}
	})
}

func TestUndelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newRig(t, Config{}, map[string]backend{"f": func(context.Context, *integration.Request) (*integration.Response, error) {
			<-release
			return &integration.Response{Status: 200, Body: []byte("late")}, nil
		}})
		g.publish("a=>f")
		s := g.connect()
		s.full = true
		s.send(`{"action":"a"}`)
		close(release)
		synctest.Wait()
		release = make(chan struct{})
		s.send(`{"action":"a"}`)
		s.leave(1006, "")
		close(release)
		synctest.Wait()
		if len(g.messages) != 2 || g.messages[0].Outcome != ReplyQueueFull || g.messages[1].Outcome != ClientGone || g.messages[1].Frame != nil {
			t.Errorf("%v", g.messages)
		}
	})
}

func TestNewSnapshotServesLiveConnections(t *testing.T) {
	g := newRig(t, Config{}, map[string]backend{"one": answer(200, "one"), "two": answer(200, "two")})
	synctest.Test(t, func(t *testing.T) {
		g.publish("a=>one")
		s := g.connect()
		s.send(`{"action":"a"}`)
		synctest.Wait()
		g.publish("a=>two")
		s.send(`{"action":"a"}`)
		synctest.Wait()
		if diff := cmp.Diff([]string{"one", "two"}, s.got()); diff != "" {
			t.Error(diff)
		}
	})
}
