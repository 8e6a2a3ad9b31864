package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/internal/integration"
	"tidegate/internal/mapping"
)

const (
	putItem  = "arn:aws:apigateway:us-east-1:dynamodb:action/PutItem"
	testRole = "arn:aws:iam::000000000000:role/r"
)

func responses(list ...*apigw.IntegrationResponse) map[string]*apigw.IntegrationResponse {
	m := map[string]*apigw.IntegrationResponse{}
	for i, r := range list {
		r.ID = fmt.Sprint(i)
		m[r.ID] = r
	}
	return m
}

// nonProxy is an integration that isn't a proxy, on routes of every kind.
func nonProxy(t testing.TB, i *apigw.Integration) *Stage {
	i.ID = "i1"
	return compile(t, definition("$request.body.action", []*apigw.Route{route("two", "i1", twoWay), route("one", "i1"), route("$connect", "i1", twoWay)}, i))
}

// TestFunctionResponses checks how a function's result chooses among integration
// responses.
func TestFunctionResponses(t *testing.T) {
	def := &apigw.Integration{Type: apigw.IntegrationAWS, URI: uriPrefix + functionARN("f") + "/invocations", Responses: responses(
		&apigw.IntegrationResponse{Key: `/\[BadRequest\].*/`, ResponseTemplates: map[string]string{"$default": `{"error":"$input.path('$.errorMessage')"}`}},
		&apigw.IntegrationResponse{Key: `/200/`, ResponseTemplates: map[string]string{"$default": `never: there is no message`}},
		&apigw.IntegrationResponse{Key: `$default`, ResponseTemplates: map[string]string{"$default": `{"n":$input.path('$.n')}`}},
	)}
	s := nonProxy(t, def)
	failed := &integration.Error{Kind: integration.ErrFunction, Detail: "x"}
	respond := func(s *Stage, key, body string, failed *integration.Error) (string, error) {
		r := s.routes[apigw.RouteKey(key)]
		if key == "$connect" {
			r = s.connect
		}
		a, err := r.Respond(message("{}"), &integration.Response{Status: 200, Body: []byte(body), Failed: failed})
		if err != nil {
			return "", err
		}
		return fmt.Sprint(a.Status, " ", string(a.Body)), nil
	}
	for _, c := range []struct {
		key, body string
		failed    *integration.Error
		want      string
	}{
		{"two", `{"n":7}`, nil, `200 {"n":7}`},
		{"two", `{"errorMessage":"[BadRequest] name"}`, failed, `200 {"error":"[BadRequest] name"}`},
		{"two", `{"errorMessage":"[BadRequest] name"}`, nil, `200 {"error":"[BadRequest] name"}`},
		{"two", `{"errorMessage":"so [BadRequest] name"}`, nil, `200 {"n":}`}, // the whole message must match
		{"two", `7`, nil, `200 {"n":}`},
		{"$connect", `{"n":7}`, nil, `200 {"n":7}`},
	} {
		if got, err := respond(s, c.key, c.body, c.failed); err != nil || got != c.want {
			t.Errorf("%s %s: %s, %v; want %s", c.key, c.body, got, err, c.want)
		}
	}
	if _, err := respond(s, "$connect", `{"errorMessage":"[BadRequest] x"}`, failed); !errors.Is(err, integration.ErrFunction) {
		t.Errorf("a function that fails on $connect: %v", err)
	}
	delete(def.Responses, "2")
	s = nonProxy(t, def)
	if _, err := respond(s, "two", `{"errorMessage":"other"}`, failed); !errors.Is(err, integration.ErrFunction) {
		t.Errorf("an error that no response maps: %v", err)
	}
	if _, err := respond(s, "one", `{"errorMessage":"other"}`, failed); !errors.Is(err, integration.ErrFunction) {
		t.Errorf("an error on a one-way route: %v", err)
	}
	if _, err := respond(s, "two", `{"n":1}`, nil); !errors.Is(err, ErrNoIntegrationResponse) || !strings.Contains(err.Error(), `${integration.response.body.errorMessage} is ""`) {
		t.Errorf("no $default: %v", err)
	}
}

func TestServiceRequest(t *testing.T) {
	s := nonProxy(t, &apigw.Integration{Type: apigw.IntegrationAWS, URI: putItem, Method: "POST", CredentialsARN: "arn:aws:iam::000000000000:role/${stageVariables.fn}",
		RequestParameters: map[string]string{
			"integration.request.header.X-Id":     "context.connectionId",
			"integration.request.querystring.who": "route.request.body.user.name",
			"integration.request.header.X-Var":    "stageVariables.fn",
			"integration.request.header.X-Static": "'here'",
		},
		RequestTemplates: map[string]string{"$default": `{"id":"$context.connectionId","t":"$stageVariables.fn","x":$input.json('$.x')}`}})
	i := s.routes["one"].Integration
	if i.Target != "dynamodb:action/PutItem" {
		t.Errorf("target %s", i.Target)
	}
	in := message(`{"action":"one","x":[1,2],"user":{"name":"ann"}}`)
	in.Context.ConnectionID, in.Context.StageVariables = "c=", map[string]string{"fn": "filled"}
	r, err := i.Request(in)
	if err != nil || string(r.Payload) != `{"id":"c=","t":"filled","x":[1,2]}` {
		t.Errorf("%s %v", r.Payload, err)
	}
	if got := fmt.Sprint(r.Parameters); got != "[{header X-Id c=} {header X-Static here} {header X-Var filled} {querystring who ann}]" {
		t.Error(got)
	}
}

// TestContentHandling checks the conversions in both directions.
func TestContentHandling(t *testing.T) {
	http := func(strategy string, list ...*apigw.IntegrationResponse) *Stage {
		return nonProxy(t, &apigw.Integration{Type: apigw.IntegrationHTTP, Method: "POST", URI: "http://h/", ContentHandlingStrategy: strategy, Responses: responses(list...)})
	}
	for _, c := range []struct{ strategy, message, want string }{
		{"", "AAH/", "AAH/"},
		{"CONVERT_TO_TEXT", "AAH/", "AAH/"},
		{"CONVERT_TO_BINARY", "AAH/", "\x00\x01\xff"},
		{"CONVERT_TO_BINARY", "no base64", "error: CONVERT_TO_BINARY: the body for the backend is no base64"},
	} {
		r, err := http(c.strategy).routes["one"].Integration.Request(message(c.message))
		if wrong, bad := strings.CutPrefix(c.want, "error: "); bad {
			if !errors.Is(err, ErrMapping) || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%+v: %v", c, err)
			}
		} else if err != nil || string(r.Payload) != c.want {
			t.Errorf("%+v: %q %v", c, r.Payload, err)
		}
	}
	for _, c := range []struct{ strategy, template, body, want string }{
		{"", "", "\x00\xff", "\x00\xff"},
		{"CONVERT_TO_TEXT", "", "\x00\xff", "AP8="},
		{"CONVERT_TO_TEXT", "", "text", "text"},
		{"CONVERT_TO_TEXT", "<$input.body>", "\x00\xff", "<AP8=>"},
		{"CONVERT_TO_BINARY", "", "AP8=", "\x00\xff"},
		{"CONVERT_TO_BINARY", "$input.path('$.data')", `{"data":"AP8="}`, "\x00\xff"},
		{"CONVERT_TO_BINARY", "", "?", "error: the backend's body is no base64"},
	} {
		r := &apigw.IntegrationResponse{Key: "$default", ContentHandlingStrategy: c.strategy}
		if c.template != "" {
			r.ResponseTemplates = map[string]string{"$default": c.template}
		}
		a, err := http("", r).routes["two"].Respond(message("{}"), &integration.Response{Status: 200, Body: []byte(c.body)})
		if wrong, bad := strings.CutPrefix(c.want, "error: "); bad {
			if !errors.Is(err, ErrMapping) || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%+v: %v", c, err)
			}
		} else if err != nil || string(a.Body) != c.want {
			t.Errorf("%+v: %q %v", c, a.Body, err)
		}
	}
}

// TestResponseParameters checks where the headers of a handshake's answer come
// from.
func TestResponseParameters(t *testing.T) {
	s := nonProxy(t, &apigw.Integration{Type: apigw.IntegrationHTTP, Method: "POST", URI: "http://h/", Responses: responses(&apigw.IntegrationResponse{Key: "/2../", ResponseParameters: map[string]string{
		"route.response.header.A": "integration.response.body.a[1].b", "route.response.header.B": "integration.response.body",
		"route.response.header.C": "integration.response.body.none", "method.response.header.D": "'d'", "route.response.header.E": "integration.response.header.e",
	}})})
	resp := &integration.Response{Status: 200, Body: []byte(`{"a":[0,{"b":"deep"}]}`), Header: []event.Field{{Name: "E", Value: "1"}, {Name: "Sec-WebSocket-Protocol", Value: "unmapped"}}}
	a, err := s.connect.Respond(message(""), resp)
	if got := fmt.Sprint(a.Header); err != nil || got != `[{A deep} {B {"a":[0,{"b":"deep"}]}} {C } {D d} {E 1}]` {
		t.Errorf("%s %v", got, err)
	}
	one := *s.routes["one"]
	a, err = one.Respond(message(""), &integration.Response{Status: 500, Header: resp.Header, Detail: "h answered 500"})
	if err != nil || a.Header != nil || a.Status != 500 || a.Detail != "h answered 500" {
		t.Errorf("an answer that nothing maps: %+v %v", a, err)
	}
	if _, err = s.connect.Respond(message(""), &integration.Response{Status: 500, Detail: "h answered 500"}); !errors.Is(err, ErrNoIntegrationResponse) || !strings.Contains(err.Error(), `is "500"); h answered 500`) {
		t.Errorf("%v", err)
	}
}

// TestMappingErrors checks that a failed mapping says which template, and what in it.
func TestMappingErrors(t *testing.T) {
	s := nonProxy(t, &apigw.Integration{Type: apigw.IntegrationHTTP, Method: "POST", URI: "http://h/",
		RequestTemplates: map[string]string{"$default": "\n$util.parseJson($input.body)"},
		Responses:        responses(&apigw.IntegrationResponse{Key: "$default", ResponseTemplates: map[string]string{"$default": "\n\n$util.parseJson($input.body)"}})})
	_, err := s.routes["two"].Integration.Request(message("{oops"))
	if !errors.Is(err, ErrMapping) || !strings.Contains(err.Error(), `request template "$default": line 2, column 1: $util.parseJson($input.body): `) {
		t.Errorf("%v", err)
	}
	_, err = s.routes["two"].Respond(message("{}"), &integration.Response{Status: 200, Body: []byte("{oops")})
	if !errors.Is(err, ErrMapping) || !strings.Contains(err.Error(), `integration response $default: response template "$default": line 3, column 1: `) || !strings.Contains(err.Error(), "the text is not JSON") {
		t.Errorf("%v", err)
	}
}

// FuzzMapping checks that no message and no backend's answer breaks the mapping
// layer, and that JSON taken by $input.json stays JSON.
func FuzzMapping(f *testing.F) {
	f.Add(`{"action":"two","x":{"y":[1]}}`, `{"errorMessage":"[x]"}`)
	f.Add("\x00", "AP8=")
	s := nonProxy(f, &apigw.Integration{Type: apigw.IntegrationAWS, URI: uriPrefix + functionARN("f") + "/invocations",
		RequestParameters: map[string]string{"integration.request.header.X": "route.request.body.x.y[0]"},
		RequestTemplates:  map[string]string{"$default": `{"x":$input.json('$.x')}`},
		Responses: responses(
			&apigw.IntegrationResponse{Key: `/\[.*\]/`, ContentHandlingStrategy: "CONVERT_TO_TEXT", ResponseTemplates: map[string]string{"$default": `$input.path('$.errorMessage').length()`}},
			&apigw.IntegrationResponse{Key: `$default`, ResponseParameters: map[string]string{"route.response.header.A": "integration.response.body.a"}, ResponseTemplates: map[string]string{"$default": `$input.json('$')`}},
		)})
	f.Fuzz(func(t *testing.T, body, answer string) {
		in := &mapping.Input{Context: message("").Context, Body: []byte(body)}
		r := s.routes["two"]
		if req, err := r.Integration.Request(in); err == nil && !json.Valid(req.Payload) {
			t.Errorf("%q makes %q", body, req.Payload)
		}
		r.Respond(in, &integration.Response{Status: 200, Body: []byte(answer)})
	})
}

// BenchmarkTemplatedRoute maps a message and an answer as a two-way route with
// templates on both sides does.
func BenchmarkTemplatedRoute(b *testing.B) {
	s := nonProxy(b, &apigw.Integration{Type: apigw.IntegrationAWS, URI: putItem, Method: "POST", CredentialsARN: testRole,
		RequestTemplates: map[string]string{"$default": `{"TableName":"t","Item":{"id":{"S":"$context.connectionId"},"text":{"S":"$input.path('$.text')"}}}`},
		Responses:        responses(&apigw.IntegrationResponse{Key: "/200/", ResponseTemplates: map[string]string{"$default": `{"stored":true,"id":"$context.messageId"}`}})})
	r := s.routes["two"]
	in := message(`{"action":"two","text":"hello world"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Integration.Request(in); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Respond(in, &integration.Response{Status: 200, Body: []byte("{}")}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTyped: what an HTTP backend's Content-Type says of its answer.
func TestTyped(t *testing.T) {
	for kind, want := range map[string][2]bool{ // binary, a message even when empty
		"application/octet-stream":      {true, true},
		"Application/Octet-Stream; a=b": {true, true},
		"text/plain; charset=utf-8":     {false, true},
		"text/html; charset=utf-8":      {false, false},
		"application/json":              {false, false},
		"":                              {false, false},
	} {
		a := &Answer{Header: []event.Field{{Name: "Date", Value: "today"}, {Name: "content-type", Value: kind}}}
		if a.typed(); a.Binary != want[0] || a.Whole != want[1] {
			t.Errorf("%q: binary %v, a message %v, want %v", kind, a.Binary, a.Whole, want)
		}
	}
}
