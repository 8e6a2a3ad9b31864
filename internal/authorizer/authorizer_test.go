package authorizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/internal/integration"
)

const (
	region      = "us-east-1"
	account     = "123456789012"
	functionARN = "arn:aws:lambda:us-east-1:123456789012:function:auth"
	methodARN   = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/default/$connect"
	allow       = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"` + methodARN + `"}]}`
)

// handshake is one as the gateway shows it, with changes.
func handshake(edits ...func(*event.ConnectRequest)) (*event.Context, *event.ConnectRequest) {
	connect := &event.ConnectRequest{
		APIID: "abcdef123", Stage: "default", DomainName: "localhost:8420", Target: "/default?token=t",
		Header:   []event.Field{{Name: "Host", Value: "localhost:8420"}, {Name: "Upgrade", Value: "websocket"}, {Name: "HeaderAuth1", Value: "a"}, {Name: "headerauth1", Value: "b"}},
		Query:    []event.Field{{Name: "token", Value: "t"}},
		Identity: event.Identity{SourceIP: "192.0.2.1"}, TraceID: "Root=1", ForwardedFor: "192.0.2.1", ForwardedPort: "8420", ForwardedProto: "http",
	}
	for _, edit := range edits {
		edit(connect)
	}
	return &event.Context{
		APIID: connect.APIID, Stage: connect.Stage, RouteKey: apigw.RouteConnect, EventType: event.TypeConnect, ConnectionID: "L0SM9cOFvHcCIhw=", RequestID: "PJqB0E1tKRcF-Qw=",
		DomainName: connect.DomainName, Identity: connect.Identity, ConnectedAt: time.UnixMilli(1674162806344), RequestTime: time.UnixMilli(1674162806345),
	}, connect
}

// lambda returns an authorizer whose function's Lambda API the handler plays.
func lambda(t testing.TB, sources []string, h http.HandlerFunc) *Lambda {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	f := integration.NewFunction(integration.LambdaConfig{Endpoint: server.URL, Client: server.Client(), Region: region, Account: account, Timeout: 200 * time.Millisecond}, functionARN)
	l, err := NewLambda(&apigw.Authorizer{ID: "abc123", IdentitySource: sources}, f)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLambdaEvent(t *testing.T) {
	var source, got string
	l := lambda(t, nil, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		source, got = r.Header.Get("X-Amz-Source-Arn"), string(body)
		fmt.Fprintf(w, `{"principalId":"me","policyDocument":%s,"context":{"s":"v","n":1.50,"b":true,"z":null,"principalId":"other"},"usageIdentifierKey":"key"}`, allow)
	})
	c, connect := handshake()
	grant, err := l.Authorize(t.Context(), c, connect, &Trace{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "arn:aws:execute-api:us-east-1:123456789012:abcdef123/authorizers/abc123"; source != want {
		t.Errorf("source ARN %s, want %s", source, want)
	}
	want := `{"type":"REQUEST","methodArn":"` + methodARN + `",` +
		`"headers":{"content-length":"0","HeaderAuth1":"b","Host":"localhost:8420","Upgrade":"websocket","X-Amzn-Trace-Id":"Root=1","X-Forwarded-For":"192.0.2.1","X-Forwarded-Port":"8420","X-Forwarded-Proto":"http"},` +
		`"multiValueHeaders":{"content-length":["0"],"HeaderAuth1":["a","b"],"Host":["localhost:8420"],"Upgrade":["websocket"],"X-Amzn-Trace-Id":["Root=1"],"X-Forwarded-For":["192.0.2.1"],"X-Forwarded-Port":["8420"],"X-Forwarded-Proto":["http"]},` +
		`"queryStringParameters":{"token":"t"},"multiValueQueryStringParameters":{"token":["t"]},"stageVariables":{},` +
		`"requestContext":{"routeKey":"$connect","eventType":"CONNECT","extendedRequestId":"PJqB0E1tKRcF-Qw=","requestTime":"19/Jan/2023:21:13:26 +0000","messageDirection":"IN","stage":"default",` +
		`"connectedAt":1674162806344,"requestTimeEpoch":1674162806345,"identity":{"sourceIp":"192.0.2.1"},"requestId":"PJqB0E1tKRcF-Qw=","domainName":"localhost:8420","connectionId":"L0SM9cOFvHcCIhw=","apiId":"abcdef123"}}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	c.Authorizer = grant.Authorizer
	for name, want := range map[string]string{"principalId": "me", "s": "v", "n": "1.50", "b": "true", "z": "", "usageIdentifierKey": "key", "none": ""} {
		if v, _ := c.Lookup("authorizer." + name); v != want {
			t.Errorf("$context.authorizer.%s is %q, want %q", name, v, want)
		}
	}
	var proxy struct {
		RequestContext struct{ Authorizer map[string]any }
	}
	if err := json.Unmarshal(event.AppendProxy(nil, c, connect, nil), &proxy); err != nil {
		t.Fatal(err)
	}
	shown := proxy.RequestContext.Authorizer
	if _, ok := shown["integrationLatency"].(float64); !ok {
		t.Errorf("integrationLatency is %v", shown["integrationLatency"])
	}
	delete(shown, "integrationLatency")
	if diff := cmp.Diff(map[string]any{"principalId": "me", "s": "v", "n": "1.50", "b": "true"}, shown); diff != "" {
		t.Errorf("requestContext.authorizer (-want +got):\n%s", diff)
	}
}

func TestLambdaAnswers(t *testing.T) {
	policy := func(statements string) string {
		return `{"principalId":"me","policyDocument":{"Version":"2012-10-17","Statement":` + statements + `}}`
	}
	for _, tt := range []struct {
		name, answer string
		want         error // nil: let in
		detail       string
	}{
		{"allow", policy(`{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"}`), nil, ""},
		{"wildcards", policy(`[{"Effect":"Allow","Action":"execute-api:*","Resource":["arn:aws:execute-api:*:*:abc*/*/?connect"]}]`), nil, ""},
		{"condition", policy(`[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]`), nil, ""},
		{"condition fails", policy(`[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]`), ErrDenied, "no statement"},
		{"number as principal", `{"principalId":7,"policyDocument":` + allow + `}`, nil, ""},
		{"deny", policy(`[{"Effect":"Deny","Action":"execute-api:Invoke","Resource":"*"}]`), ErrDenied, "statement 0 of the authorizer's policy denies"},
		{"deny wins", policy(`[{"Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"no","Effect":"Deny","Action":"*","Resource":"` + methodARN + `"}]`), ErrDenied, "statement no"},
		{"another route", policy(`[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"arn:aws:execute-api:us-east-1:123456789012:abcdef123/default/sendmessage"}]`), ErrDenied, "its resources are arn:aws:execute-api"},
		{"a method's form", policy(`[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"arn:aws:execute-api:us-east-1:123456789012:abcdef123/default/*/*"}]`), ErrDenied, ""},
		{"another action", policy(`[{"Effect":"Allow","Action":"execute-api:ManageConnections","Resource":"*"}]`), ErrDenied, ""},
		{"no statement", policy(`[]`), ErrDenied, "its resources are none"},
		{"null", `null`, ErrMalformed, "it is null"},
		{"text", `"yes"`, ErrMalformed, "it is a string"},
		{"no JSON", `yes`, ErrMalformed, "no JSON"},
		{"no principal", `{"policyDocument":` + allow + `}`, ErrMalformed, "no principalId"},
		{"no policy", `{"principalId":"me"}`, ErrMalformed, "no policyDocument"},
		{"simple", `{"principalId":"me","isAuthorized":true}`, ErrMalformed, "simple response of HTTP APIs"},
		{"no resource", policy(`[{"Effect":"Allow","Action":"*"}]`), ErrMalformed, "statement 0 has no Resource"},
		{"no effect", policy(`[{"Action":"*","Resource":"*"}]`), ErrMalformed, "no Effect"},
		{"array", `{"principalId":"me","policyDocument":` + allow + `,"context":{"roles":["a"]}}`, ErrMalformed, `"roles" is an array`},
		{"object", `{"principalId":"me","policyDocument":` + allow + `,"context":{"user":{}}}`, ErrMalformed, `"user" is an object`},
		{"context is none", `{"principalId":"me","policyDocument":` + allow + `,"context":"x"}`, ErrMalformed, "context is a string"},
		{"long resource", policy(`[{"Effect":"Allow","Action":"*","Resource":"arn:aws:` + strings.Repeat("x", 505) + `"}]`), ErrMalformed, "513 characters"},
		{"too large", `{"principalId":"` + strings.Repeat("x", 8<<10) + `","policyDocument":` + allow + `}`, ErrMalformed, "at most 8192"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := lambda(t, nil, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, tt.answer) })
			c, connect := handshake()
			grant, err := l.Authorize(t.Context(), c, connect, &Trace{})
			if !errors.Is(err, tt.want) || tt.want == nil && (err != nil || grant.Authorizer == nil) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("%q doesn't say %q", err, tt.detail)
			}
		})
	}
}

func TestLambdaFailures(t *testing.T) {
	thrown := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			io.WriteString(w, body)
		}
	}
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
		want error
	}{
		{"Unauthorized", thrown(`{"errorType":"Error","errorMessage":"Unauthorized","trace":[]}`), ErrUnauthorized},
		{"of a callback", thrown(`{"errorType":"string","errorMessage":"Unauthorized"}`), ErrUnauthorized},
		{"another case", thrown(`{"errorMessage":"unauthorized"}`), ErrFailed},
		{"more words", thrown(`{"errorMessage":"Unauthorized: no token"}`), ErrFailed},
		{"refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, ErrFailed},
		{"slow", func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, ErrFailed},
	} {
		c, connect := handshake()
		if _, err := lambda(t, nil, tt.h).Authorize(t.Context(), c, connect, &Trace{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestIdentitySources(t *testing.T) {
	for _, tt := range []struct {
		sources string
		edit    func(*event.ConnectRequest)
		asked   bool
	}{
		{"", nil, true},
		{"route.request.header.HEADERAUTH1 route.request.querystring.token", nil, true},
		{"route.request.header.X-Forwarded-For context.identity.sourceIp stageVariables.v", nil, true},
		{"route.request.header.Cookie", nil, false},
		{"route.request.querystring.Token", nil, false}, // a parameter's name has its case
		{"route.request.querystring.token", func(r *event.ConnectRequest) { r.Query = []event.Field{{Name: "token"}} }, false},
		{"route.request.querystring.token", func(r *event.ConnectRequest) { r.Query = nil }, false},
		{"route.request.querystring.token stageVariables.none", nil, false},
		{"context.identity.userAgent", nil, false},
	} {
		asked := false
		l := lambda(t, strings.Fields(tt.sources), func(w http.ResponseWriter, _ *http.Request) {
			asked = true
			io.WriteString(w, `{"principalId":"me","policyDocument":`+allow+`}`)
		})
		c, connect := handshake()
		if tt.edit != nil {
			tt.edit(connect)
		}
		c.StageVariables = map[string]string{"v": "x"}
		_, err := l.Authorize(t.Context(), c, connect, &Trace{})
		if asked != tt.asked || tt.asked != (err == nil) || !tt.asked && !errors.Is(err, ErrNoIdentity) {
			t.Errorf("%s: asked %v, %v", tt.sources, asked, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(`{"principalId":"me","policyDocument":` + allow + `,"context":{"a":1}}`)
	f.Add(`{"principalId":[1],"context":{"a":{}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAnswer([]byte(text))
		if err != nil {
			return
		}
		a.resources()
		c, connect := handshake()
		c.Authorizer = event.NewAuthorizerContext(a.principalID, a.usageKey, time.Second, a.context)
		if out := event.AppendProxy(nil, c, connect, nil); !json.Valid(out) {
			t.Errorf("%q becomes %s", text, out)
		}
	})
}
