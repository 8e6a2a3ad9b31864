package stage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/event"
	"tidegate/internal/integration"
	"tidegate/internal/mapping"
	"tidegate/internal/throttle"
)

const uriPrefix = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"

func functionARN(name string) string { return "arn:aws:lambda:us-east-1:000000000000:function:" + name }

// invoker is a backend with an answer.
type invoker struct {
	target string
	got    *integration.Request
	resp   integration.Response
}

func (i *invoker) Invoke(_ context.Context, r *integration.Request) (*integration.Response, error) {
	i.got = r
	return &i.resp, nil
}

// binder makes invokers that answer 200 with their target.
type binder struct{}

func (binder) Lambda(_ *apigw.Integration, arn string) (integration.Invoker, error) {
	return &invoker{target: arn, resp: integration.Response{Status: 200, Body: []byte(arn)}}, nil
}

func (binder) HTTP(_ *apigw.Integration, url string) (integration.Invoker, error) {
	if !strings.HasPrefix(url, "http") {
		return nil, fmt.Errorf("%q is no HTTP URL", url)
	}
	return &invoker{target: url, resp: integration.Response{Status: 200, Body: []byte(url)}}, nil
}

func (binder) Service(i *apigw.Integration, u *integration.ServiceURI) (integration.Invoker, error) {
	if i.CredentialsARN == "" {
		return nil, errors.New("credentialsArn is missing")
	}
	return &invoker{target: u.String(), resp: integration.Response{Status: 200, Body: []byte(`{"to":"` + u.String() + `"}`)}}, nil
}

// Authorizer implements stage.Binder.
func (binder) Authorizer(*apigw.Authorizer, string) (authorizer.Authorizer, error) {
	return nil, errors.New("the test has no authorizers")
}

// IAM implements stage.Binder.
func (binder) IAM() (authorizer.Authorizer, error) { return nil, errors.New("the test has no keys") }

func route(key, integration string, more ...func(*apigw.Route)) *apigw.Route {
	r := &apigw.Route{ID: "r-" + key, Key: apigw.RouteKey(key)}
	if integration != "" {
		r.Target = "integrations/" + integration
	}
	for _, f := range more {
		f(r)
	}
	return r
}

func twoWay(r *apigw.Route) { r.Responses = map[string]*apigw.RouteResponse{"x": {Key: "$default"}} }

func lambda(id, name string) *apigw.Integration {
	return &apigw.Integration{ID: id, Type: apigw.IntegrationAWSProxy, URI: uriPrefix + functionARN(name) + "/invocations"}
}

func mock(id string, more ...func(*apigw.Integration)) *apigw.Integration {
	i := &apigw.Integration{ID: id, Type: apigw.IntegrationMock, RequestTemplates: map[string]string{"$default": `{"statusCode":200}`},
		Responses: map[string]*apigw.IntegrationResponse{"d": {ID: "d", Key: "$default", ResponseTemplates: map[string]string{"$default": "hello"}}}}
	for _, f := range more {
		f(i)
	}
	return i
}

func definition(expr string, routes []*apigw.Route, integrations ...*apigw.Integration) *apigw.Definition {
	return &apigw.Definition{APIID: "abc", RouteSelectionExpression: expr, Routes: routes, Integrations: integrations}
}

func compile(t testing.TB, def *apigw.Definition) *Stage {
	t.Helper()
	s, err := Compile(def, &apigw.Stage{Name: "Prod", DeploymentID: "d1", Variables: map[string]string{"fn": "filled"}}, binder{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSelectRoute(t *testing.T) {
	all := []*apigw.Route{route("$connect", ""), route("$disconnect", ""), route("$default", ""), route("join", ""), route("[x, y]", ""), route("1", "")}
	withDefault := compile(t, definition("$request.body.action", all))
	without := compile(t, definition("$request.body.action", all[3:]))
	for _, tt := range []struct{ message, want string }{
		{`{"action":"join"}`, "join"},
		{`{"action":"JOIN"}`, "$default"},
		{`{"action":"join "}`, "$default"},
		{`{action:"join", body:"x"}`, "join"}, // the lenient parser
		{`{"action":1}`, "1"},
		{`{"action":["x","y"]}`, "[x, y]"},
		{`{"action":null}`, "$default"},
		{`{"action":""}`, "$default"},
		{`{"other":"join"}`, "$default"},
		{`{"action":"$connect"}`, "$default"},
		{`{"action":"$disconnect"}`, "$default"},
		{`{"action":"$default"}`, "$default"},
		{`{"action":"$anything"}`, "$default"},
		{`join`, "$default"},
		{``, "$default"},
		{"{\"action\":\"" + strings.Repeat("x", 100000) + "\"}", "$default"},
	} {
		if got := withDefault.SelectRoute([]byte(tt.message)); got == nil || string(got.Key) != tt.want {
			t.Errorf("%.40s: %v, want %s", tt.message, got, tt.want)
		}
		got := without.SelectRoute([]byte(tt.message))
		if want := tt.want; want == "$default" && got != nil || want != "$default" && (got == nil || string(got.Key) != want) {
			t.Errorf("without $default %.40s: %v", tt.message, got)
		}
	}
	if withDefault.Connect() == nil || withDefault.Disconnect() == nil || without.Connect() != nil {
		t.Error("predefined routes are misplaced")
	}
}

func TestConstantSelection(t *testing.T) {
	routes := []*apigw.Route{route("join", ""), route("$default", ""), route("$connect", "")}
	for expr, want := range map[string]string{"join": "join", "other": "$default", `\$default`: "$default", `\$connect`: "$default"} {
		if got := compile(t, definition(expr, routes)).SelectRoute([]byte("x")); got == nil || string(got.Key) != want {
			t.Errorf("%s selects %v, want %s", expr, got, want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	with := func(f func(*apigw.Integration)) *apigw.Definition {
		return definition("$request.body.action", []*apigw.Route{route("r", "i1")}, mock("i1", f))
	}
	for _, tt := range []struct {
		name string
		def  *apigw.Definition
		want []string // each must be in the error
	}{
		{"selection", definition("$request.bdy.x", nil), []string{"routeSelectionExpression", "$request.bdy.x"}},
		{"authorization", definition("x", []*apigw.Route{route("$connect", "", func(r *apigw.Route) { r.AuthorizationType = "AWS_IAM" })}), []string{`route "$connect"`, "the test has no keys"}},
		{"authorization elsewhere", definition("x", []*apigw.Route{route("x", "", func(r *apigw.Route) { r.AuthorizationType = "AWS_IAM" })}), []string{`route "x"`, "restricted to the $connect route"}},
		{"JWT", definition("x", []*apigw.Route{route("$connect", "", func(r *apigw.Route) { r.AuthorizationType = "JWT" })}), []string{`route "$connect"`, "JWT is none of NONE, AWS_IAM and CUSTOM"}},
		{"no authorizer", definition("x", []*apigw.Route{route("$connect", "", func(r *apigw.Route) { r.AuthorizationType, r.AuthorizerID = "CUSTOM", "a" })}), []string{`authorizerId "a" is no authorizer`}},
		{"twice", definition("x", []*apigw.Route{route("a", ""), route("a", "")}), []string{`route "a"`, "twice"}},
		{"predefined twice", definition("x", []*apigw.Route{route("$default", ""), route("$default", "")}), []string{`route "$default"`, "twice"}},
		{"reserved", definition("x", []*apigw.Route{route("$mine", "")}), []string{`route "$mine"`, "'$'"}},
		{"empty", definition("x", []*apigw.Route{route("", "")}), []string{"empty"}},
		{"target", definition("x", []*apigw.Route{route("a", "nope")}), []string{`route "a"`, "integrations/nope"}},
		{"declared", definition("x", []*apigw.Route{route("$connect", "", func(r *apigw.Route) {
			r.RequestParameters = map[string]apigw.ParameterConstraint{"request.header.X": {}}
		})}), []string{`route "$connect"`, "request.header.X"}},
		{"AWS without a URI", with(func(i *apigw.Integration) { i.Type = apigw.IntegrationAWS }), []string{"integration i1", "integrationUri", "action/ACTION"}},
		{"AWS with no function", with(func(i *apigw.Integration) { i.Type, i.URI = apigw.IntegrationAWS, uriPrefix+"x/invocations" }), []string{"integration i1", "names no Lambda function"}},
		{"AWS with an unknown action style", with(func(i *apigw.Integration) {
			i.Type, i.URI = apigw.IntegrationAWS, "arn:aws:apigateway:us-east-1:s3:action/GetObject"
		}), []string{"integration i1", "no actions of the service s3"}},
		{"HTTP without a URL", with(func(i *apigw.Integration) { i.Type = apigw.IntegrationHTTP }), []string{"integration i1", "integrationUri"}},
		{"type", with(func(i *apigw.Integration) { i.Type = "SOAP" }), []string{"integration i1", "SOAP"}},
		{"link", with(func(i *apigw.Integration) { i.ConnectionType = "WIRE" }), []string{"integration i1", "WIRE"}},
		{"credentials", with(func(i *apigw.Integration) { i.CredentialsARN = "arn:x" }), []string{"integration i1", "credentialsArn"}},
		{"empty credentials", with(func(i *apigw.Integration) { i.CredentialsARN = "arn:aws:iam::000000000000:role/${stageVariables.none}" }), []string{"integration i1", "credentialsArn", "is a stage variable empty?"}},
		{"the caller's credentials", with(func(i *apigw.Integration) { i.CredentialsARN = "arn:aws:iam::*:user/*" }), []string{"integration i1", "caller's own identity"}},
		{"payload", with(func(i *apigw.Integration) { i.PayloadFormatVersion = "2.0" }), []string{"integration i1", "2.0"}},
		{"conversion", with(func(i *apigw.Integration) { i.ContentHandlingStrategy = "CONVERT_TO_WINE" }), []string{"integration i1", "CONVERT_TO_WINE"}},
		{"passthrough", with(func(i *apigw.Integration) { i.PassthroughBehavior = "SOMETIMES" }), []string{"integration i1", "SOMETIMES"}},
		{"no Velocity", with(func(i *apigw.Integration) { i.RequestTemplates = map[string]string{"k": "x ${a"} }), []string{"integration i1", `request template "k"`, "line 1"}},
		{"no Velocity in a response", with(func(i *apigw.Integration) { i.Responses["d"].ResponseTemplates = map[string]string{"k": "#if(true)"} }), []string{"integration i1", `response "$default"`, `template "k"`, "line 1, column 1: #if isn't closed"}},
		{"template selection", with(func(i *apigw.Integration) { i.TemplateSelectionExpression = "${oops" }), []string{"integration i1", "templateSelectionExpression", "${oops"}},
		{"response key", with(func(i *apigw.Integration) { i.Responses["d"].Key = "200" }), []string{"integration i1", `"200"`, "/"}},
		{"response regex", with(func(i *apigw.Integration) { i.Responses["d"].Key = "/(/" }), []string{"integration i1", `"/(/"`, "regular expression"}},
		{"response parameter", with(func(i *apigw.Integration) {
			i.Responses["d"].ResponseParameters = map[string]string{"route.response.header.X": "context.connectionId"}
		}), []string{"integration i1", "route.response.header.X", "context.connectionId"}},
		{"response parameter's path", with(func(i *apigw.Integration) {
			i.Responses["d"].ResponseParameters = map[string]string{"route.response.header.X": "integration.response.body[?"}
		}), []string{"integration i1", "route.response.header.X"}},
		{"response header's name", with(func(i *apigw.Integration) {
			i.Responses["d"].ResponseParameters = map[string]string{"route.response.header.X Y": "'x'"}
		}), []string{"integration i1", "X Y"}},
		{"response parameter's name", with(func(i *apigw.Integration) { i.Responses["d"].ResponseParameters = map[string]string{"header.X": "'x'"} }), []string{"integration i1", `"header.X"`}},
		{"parameter", with(func(i *apigw.Integration) {
			i.RequestParameters = map[string]string{"integration.request.header.X": "route.request.header.X"}
		}), []string{`route "r"`, "integration i1", "requestParameters", "integration.request.header.X"}},
		{"Lambda URI", definition("x", []*apigw.Route{route("a", "i1")}, &apigw.Integration{ID: "i1", Type: apigw.IntegrationAWSProxy, URI: "nonsense"}), []string{"integration i1", "integrationUri", "nonsense"}},
		{"HTTP URI", definition("x", []*apigw.Route{route("a", "i1")}, &apigw.Integration{ID: "i1", Type: apigw.IntegrationHTTPProxy, URI: "ftp://x"}), []string{"integration i1", "integrationUri", "ftp://x"}},
		{"several at once", definition("$oops", []*apigw.Route{route("$a", ""), route("b", "nope")}), []string{"$oops", `route "$a"`, `route "b"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile(tt.def, &apigw.Stage{Name: "s"}, binder{})
			if err == nil {
				t.Fatal("it compiled")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q doesn't name %q", err, want)
				}
			}
		})
	}
}

func TestReservedStageName(t *testing.T) {
	for _, name := range []apigw.StageName{"_tidegate", "_tidegate2"} {
		if _, err := Compile(definition("x", nil), &apigw.Stage{Name: name}, binder{}); err == nil || !strings.Contains(err.Error(), string(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBrokenIntegrationIsSaidOnce(t *testing.T) {
	_, err := Compile(definition("x", []*apigw.Route{route("a", "i1"), route("b", "i1")}, mock("i1", func(i *apigw.Integration) { i.Type = "SOAP" })), &apigw.Stage{}, binder{})
	if err == nil || strings.Count(err.Error(), "\n") > 0 {
		t.Errorf("%v", err)
	}
}

func TestStageVariablesInURIs(t *testing.T) {
	s := compile(t, definition("x", []*apigw.Route{route("a", "i1"), route("b", "i2")},
		lambda("i1", "${stageVariables.fn}"),
		&apigw.Integration{ID: "i2", Type: apigw.IntegrationHTTPProxy, Method: "POST", URI: "http://${stageVariables.fn}/x"}))
	if got := s.routes["a"].Integration.Target; got != functionARN("filled") {
		t.Error(got)
	}
	if got := s.routes["b"].Integration.Target; got != "POST http://filled/x" {
		t.Error(got)
	}
}

func message(body string) *mapping.Input {
	return &mapping.Input{Body: []byte(body), Context: &event.Context{
		APIID: "abc", Stage: "Prod", RouteKey: "r", EventType: event.TypeMessage, ConnectionID: "c=", RequestID: "r=", MessageID: "m=",
		ConnectedAt: time.UnixMilli(1), RequestTime: time.UnixMilli(2), StageVariables: map[string]string{"v": "w"},
	}}
}

func TestProxyRequests(t *testing.T) {
	s := compile(t, definition("x", []*apigw.Route{route("a", "i1", twoWay), route("b", "i2")},
		lambda("i1", "f"),
		&apigw.Integration{ID: "i2", Type: apigw.IntegrationHTTPProxy, Method: "POST", URI: "http://x", RequestParameters: map[string]string{
			"integration.request.header.id": "context.connectionId",
		}}))
	in := message(`say "hi"`)
	req, err := s.routes["a"].Integration.Request(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := string(event.AppendProxy(nil, in.Context, nil, in.Body)); string(req.Payload) != want {
		t.Errorf("a function gets %s, want %s", req.Payload, want)
	}
	req, err = s.routes["b"].Integration.Request(in)
	if err != nil {
		t.Fatal(err)
	}
	if string(req.Payload) != `say "hi"` || len(req.Parameters) != 1 || req.Parameters[0] != (event.Parameter{Location: event.InHeader, Name: "id", Value: "c="}) {
		t.Errorf("a backend gets %s with %+v", req.Payload, req.Parameters)
	}
	a, err := s.routes["a"].Respond(in, &integration.Response{Status: 500, Body: []byte("as is")})
	if err != nil || a.Status != 500 || string(a.Body) != "as is" {
		t.Errorf("a proxy's answer became %+v, %v", a, err)
	}
}

func TestPassthrough(t *testing.T) {
	for _, tt := range []struct {
		behavior  apigw.PassthroughBehavior
		templates map[string]string
		want      string // what MOCK gets; "" is a refusal
	}{
		{"", nil, "BODY"},
		{"WHEN_NO_MATCH", map[string]string{"other": "O"}, "BODY"},
		{"WHEN_NO_TEMPLATES", nil, "BODY"},
		{"WHEN_NO_TEMPLATES", map[string]string{"other": "O"}, ""},
		{"NEVER", nil, ""},
		{"NEVER", map[string]string{"other": "O"}, ""},
		{"NEVER", map[string]string{"chosen": "C"}, "C"},
		{"NEVER", map[string]string{"$default": "D", "other": "O"}, "D"},
	} {
		s := compile(t, definition("x", []*apigw.Route{route("a", "i1")}, mock("i1", func(i *apigw.Integration) {
			i.PassthroughBehavior, i.RequestTemplates, i.TemplateSelectionExpression = tt.behavior, tt.templates, "$request.body.t"
		})))
		for _, body := range []string{`{"t":"chosen"}`} {
			want := strings.ReplaceAll(tt.want, "BODY", body)
			req, err := s.routes["a"].Integration.Request(message(body))
			if want == "" {
				if !errors.Is(err, ErrUnsupportedMediaType) {
					t.Errorf("%s %v: %v", tt.behavior, tt.templates, err)
				}
			} else if err != nil || string(req.Payload) != want {
				t.Errorf("%s %v: %v %v, want %s", tt.behavior, tt.templates, req, err, want)
			}
		}
	}
}

func TestTemplateWithoutExpression(t *testing.T) {
	for _, tt := range []struct {
		templates map[string]string
		want      string
	}{
		{map[string]string{"$default": "D", "application/json": "J"}, "D"},
		{map[string]string{"application/json": "J", "x": "X"}, "J"},
		{map[string]string{"x": "X"}, "X"},
		{map[string]string{"x": "X", "y": "Y"}, `raw`},
	} {
		s := compile(t, definition("x", []*apigw.Route{route("a", "i1")}, mock("i1", func(i *apigw.Integration) { i.RequestTemplates = tt.templates })))
		if req, err := s.routes["a"].Integration.Request(message("raw")); err != nil || string(req.Payload) != tt.want {
			t.Errorf("%v: %v %v, want %s", tt.templates, req, err, tt.want)
		}
	}
}

func TestIntegrationResponses(t *testing.T) {
	responses := map[string]*apigw.IntegrationResponse{
		"1": {ID: "1", Key: "$default", ResponseTemplates: map[string]string{"x": "other"}},
		"2": {ID: "2", Key: `/2\d\d/`, ResponseTemplates: map[string]string{"application/json": "fine"}, ResponseParameters: map[string]string{
			"route.response.header.Sec-WebSocket-Protocol": "'chat'", "method.response.header.Y": "integration.response.header.y",
		}},
		"3": {ID: "3", Key: `/404/`},
		"4": {ID: "4", Key: `/5../`, TemplateSelectionExpression: "${integration.response.statuscode}", ResponseTemplates: map[string]string{"503": "busy", "$default": "broken"}},
		"5": {ID: "5", Key: `/30/`, ResponseTemplates: map[string]string{"x": "never: the whole status must match"}},
	}
	s := compile(t, definition("x", []*apigw.Route{route("two", "i1", twoWay), route("one", "i1"), route("none", "i2", twoWay), route("none1", "i2")},
		mock("i1", func(i *apigw.Integration) { i.Responses = responses }),
		mock("i2", func(i *apigw.Integration) {
			i.Responses = map[string]*apigw.IntegrationResponse{"2": responses["2"]}
		})))
	for _, tt := range []struct {
		status int
		want   string
	}{{200, "fine"}, {299, "fine"}, {404, "raw"}, {500, "broken"}, {503, "busy"}, {301, "other"}} {
		a, err := s.routes["two"].Respond(message(""), &integration.Response{Status: tt.status, Body: []byte("raw"), Header: []event.Field{{Name: "Y", Value: "yes"}}})
		if err != nil || string(a.Body) != tt.want || a.Status != tt.status {
			t.Errorf("%d: %+v, %v; want %s", tt.status, a, err, tt.want)
			continue
		}
		if tt.status == 200 && fmt.Sprint(a.Header) != "[{Sec-WebSocket-Protocol chat} {Y yes}]" {
			t.Errorf("header %v", a.Header)
		}
	}
	if _, err := s.routes["none"].Respond(message(""), &integration.Response{Status: 404}); !errors.Is(err, ErrNoIntegrationResponse) {
		t.Error(err)
	}
	if _, err := s.routes["none1"].Respond(message(""), &integration.Response{Status: 404}); err != nil {
		t.Errorf("a one-way route needs no integration response: %v", err)
	}
}

func TestConstantAnswer(t *testing.T) {
	answer := func(i *apigw.Integration, f ...func(*apigw.Route)) (*Answer, bool) {
		return compile(t, definition("x", []*apigw.Route{route("a", i.ID, f...)}, i)).routes["a"].Constant()
	}
	if a, ok := answer(mock("i"), twoWay); !ok || a.Status != 200 || string(a.Body) != "hello" {
		t.Errorf("%+v %v", a, ok)
	}
	for name, f := range map[string]func(*apigw.Integration){
		"the template depends on the message":          func(i *apigw.Integration) { i.TemplateSelectionExpression = "$request.body.x" },
		"the response template depends on the message": func(i *apigw.Integration) { i.Responses["d"].TemplateSelectionExpression = "$request.body.x" },
		"the message is the mock's input":              func(i *apigw.Integration) { i.RequestTemplates = nil },
		"the template yields no status":                func(i *apigw.Integration) { i.RequestTemplates = map[string]string{"$default": "x"} },
	} {
		if a, ok := answer(mock("i", f), twoWay); ok {
			t.Errorf("%s, and yet the answer is always %+v", name, a)
		}
	}
	if _, ok := answer(lambda("i", "f")); ok {
		t.Error("a function's answer is constant")
	}
}

func TestThrottle(t *testing.T) {
	burst, rate, zero := 2, 1.0, 0
	st := &apigw.Stage{Name: "s",
		DefaultRouteSettings: apigw.RouteSettings{ThrottlingBurstLimit: &burst, ThrottlingRateLimit: &rate},
		RouteSettings:        map[apigw.RouteKey]apigw.RouteSettings{"own": {ThrottlingBurstLimit: &zero}, "log": {LoggingLevel: "INFO"}}}
	s, err := Compile(definition("x", []*apigw.Route{route("a", ""), route("b", ""), route("own", ""), route("log", "")}), st, binder{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	allow := func(key string, want bool) {
		t.Helper()
		if got := s.routes[apigw.RouteKey(key)].Throttle.Allow(now); got != want {
			t.Errorf("%s at %v: %v", key, now.Unix(), got)
		}
	}
	allow("own", false) // a zero rejects everything
	allow("a", true)
	allow("b", true) // they share the stage's
	allow("log", false)
	now = now.Add(1500 * time.Millisecond)
	allow("a", true)
	allow("a", false)
	now = now.Add(time.Hour)
	allow("a", true)
	allow("a", true)
	allow("a", false)
	if !(*throttle.Bucket)(nil).Allow(now) {
		t.Error("without settings nothing is throttled")
	}
}

func BenchmarkSelectRoute(b *testing.B) {
	s := compile(b, definition("$request.body.action", []*apigw.Route{route("sendmessage", ""), route("$default", "")}))
	payload := []byte(`{"data":"` + strings.Repeat("hello world ", 19)[:256-34] + `","action":"sendmessage"}`) // 256 bytes, the key last
	b.ReportAllocs()
	for b.Loop() {
		if s.SelectRoute(payload) == nil {
			b.Fatal("no route")
		}
	}
}

// BenchmarkCompile compiles what AWS lets an API have: 300 routes, each with an
// integration with a template, a parameter and an integration response, half of
// them with a model.
func BenchmarkCompile(b *testing.B) {
	def := definition("$request.body.action", nil)
	for i := range 300 {
		id := fmt.Sprintf("i%d", i)
		def.Integrations = append(def.Integrations, &apigw.Integration{ID: id, Type: apigw.IntegrationAWS, URI: putItem, Method: "POST", CredentialsARN: testRole,
			PassthroughBehavior: apigw.PassthroughNever,
			RequestParameters:   map[string]string{"integration.request.header.X-Id": "context.connectionId"},
			RequestTemplates:    map[string]string{"$default": `{"TableName":"t","Item":{"id":{"S":"$context.connectionId"}#foreach($k in $input.path('$').keySet()),"$k":{"S":"$util.escapeJavaScript($input.path("$.$k"))"}#end}}`},
			Responses:           responses(&apigw.IntegrationResponse{Key: `/5\d\d/`, ResponseTemplates: map[string]string{"$default": `{"failed":true,"id":"$context.messageId"}`}})})
		r := route(fmt.Sprintf("action%d", i), id, twoWay)
		if i%2 == 0 {
			name := fmt.Sprintf("M%d", i)
			def.Models = append(def.Models, &apigw.Model{ID: name, Name: name, Schema: `{"type":"object","required":["action"],"properties":{"action":{"type":"string"},"n":{"type":"integer","minimum":0}}}`})
			r.ModelSelectionExpression, r.RequestModels = "ask", map[string]string{"ask": name}
		}
		def.Routes = append(def.Routes, r)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(def, &apigw.Stage{Name: "prod"}, binder{}); err != nil {
			b.Fatal(err)
		}
	}
}
