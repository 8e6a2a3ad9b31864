package mgmtapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/cluster"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/sigv4"
)

// A fakeRouter answers every call with err and notes what it was asked.
type fakeRouter struct {
	err     error
	target  cluster.Target
	payload []byte
	binary  bool
	asked   []string
}

func (f *fakeRouter) Push(_ context.Context, to cluster.Target, payload []byte, binary bool) error {
	f.target, f.payload, f.binary, f.asked = to, bytes.Clone(payload), binary, append(f.asked, "push")
	return f.err
}

func (f *fakeRouter) PushAll(_ context.Context, to cluster.Audience, payload []byte, binary bool) (cluster.Delivery, error) {
	f.target = cluster.Target{APIID: to.APIID, Stage: to.Stage, Caller: to.Caller}
	f.payload, f.binary, f.asked = bytes.Clone(payload), binary, append(f.asked, "push all")
	return cluster.Delivery{Queued: 3, Refused: 1}, f.err
}

func (f *fakeRouter) MayBlock() bool { return false }

func (f *fakeRouter) Get(_ context.Context, of cluster.Target) (cluster.Status, error) {
	f.target, f.asked = of, append(f.asked, "get")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	return cluster.Status{ConnectedAt: at, LastActiveAt: at.Add(time.Minute), Identity: event.Identity{SourceIP: "192.0.2.1"}}, f.err
}

func (f *fakeRouter) Delete(_ context.Context, target cluster.Target) error {
	f.target, f.asked = target, append(f.asked, "delete")
	return f.err
}

const (
	account = "123456788190"
	region  = "us-east-1"
)

// identities knows the root, and a role without any policy.
type identities struct{}

func (identities) Lookup(key string) (awshttp.Identity, bool) {
	switch key {
	case "root":
		return awshttp.Identity{Secret: "secret", Principal: awshttp.Principal{Kind: awshttp.Root, ARN: "arn:aws:iam::" + account + ":root", Account: account}}, true
	case "role":
		return awshttp.Identity{Secret: "secret", Principal: awshttp.Principal{Kind: awshttp.Role, ARN: "arn:aws:sts::" + account + ":assumed-role/r/s", Account: account}}, true
	}
	return awshttp.Identity{}, false
}

type fixture struct {
	router *fakeRouter
	codec  *connection.Codec
	url    string
	id     string
	full   bool // the account's rate is used up
	wire   bool // requests are served without net/http
	// refused is what the gate's listener heard last.
	refused atomic.Pointer[awshttp.Error]
}

// newFixture serves the Management API of one API's stage Prod under /Prod.
func newFixture(t *testing.T, mode awshttp.Mode) *fixture {
	t.Helper()
	codec, err := connection.NewCodec(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{router: &fakeRouter{}, codec: codec}
	registry, err := connection.NewRegistry(codec, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := registry.Reserve(connection.Info{})
	if err != nil {
		t.Fatal(err)
	}
	f.id = c.String()
	api := New(Config{
		Gate: &awshttp.Gate{Identities: identities{}, Mode: mode, Account: account, Region: region, Events: awshttp.EventListener{
			Refused: func(r awshttp.Refusal) { f.refused.Store(r.Err) },
		}},
		Router: f.router, Codec: codec, Admit: func() bool { return !f.full },
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/Prod/@all" {
			api.ServeAll(w, r, "abc", "Prod")
			return
		}
		id, ok := strings.CutPrefix(r.URL.Path, "/Prod/@connections/")
		apiID := "abc"
		if !ok {
			id, ok = strings.CutPrefix(r.URL.Path, "/ambiguous/@connections/")
			apiID = ""
		}
		if !ok {
			t.Errorf("the path is %q", r.URL.Path)
		}
		if f.wire && r.ContentLength >= 0 {
			serveWire(t, api, w, r, apiID, id)
			return
		}
		api.ServeConnection(w, r, apiID, "Prod", id)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// serveWire answers as the door does for what a loop of sockets has read.
func serveWire(t *testing.T, api *API, w http.ResponseWriter, r *http.Request, apiID, id string) {
	q := &sigv4.Request{}
	q.SetHTTP(r)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	status, requestID, errorType, answer := api.Serve(r.Context(), q, r.TLS != nil, body, apiID, "Prod", id)
	h := w.Header()
	h["x-amzn-RequestId"], h["x-amz-apigw-id"] = []string{requestID}, []string{event.NewRequestID()}
	if errorType != "" {
		h["x-amzn-ErrorType"] = []string{errorType}
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	write(w, status, answer)
}

// eachWay runs a test with net/http and without.
func eachWay(t *testing.T, test func(t *testing.T, wire bool)) {
	t.Run("http", func(t *testing.T) { test(t, false) })
	t.Run("wire", func(t *testing.T) { test(t, true) })
}

func (f *fixture) client(key string) *apigatewaymanagementapi.Client {
	return apigatewaymanagementapi.New(apigatewaymanagementapi.Options{
		BaseEndpoint: aws.String(f.url + "/Prod"), Region: region,
		Credentials: credentials.NewStaticCredentialsProvider(key, "secret", ""),
		Retryer:     aws.NopRetryer{},
	})
}

func TestSDKSuccess(t *testing.T) { eachWay(t, testSDKSuccess) }

func testSDKSuccess(t *testing.T, wire bool) {
	f := newFixture(t, awshttp.Enforce)
	f.wire = wire
	ctx := context.Background()
	if _, err := f.client("root").PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &f.id, Data: []byte("hällo")}); err != nil {
		t.Fatal(err)
	}
	if string(f.router.payload) != "hällo" || f.router.binary {
		t.Errorf("pushed %q, binary %v", f.router.payload, f.router.binary)
	}
	id, err := f.codec.ParseID(f.id)
	if err != nil {
		t.Fatal(err)
	}
	want := cluster.Target{ID: id, Text: f.id, APIID: "abc", Stage: "Prod", Caller: "arn:aws:iam::" + account + ":root"}
	if f.router.target.RequestID == "" {
		t.Error("the router isn't told the call's id")
	}
	f.router.target.RequestID = ""
	if f.router.target != want {
		t.Errorf("target %+v, want %+v", f.router.target, want)
	}
	out, err := f.client("root").GetConnection(ctx, &apigatewaymanagementapi.GetConnectionInput{ConnectionId: &f.id})
	if err != nil {
		t.Fatal(err)
	}
	if out.ConnectedAt.Format(time.RFC3339Nano) != "2026-01-02T03:04:05.006Z" || out.LastActiveAt.Sub(*out.ConnectedAt) != time.Minute ||
		*out.Identity.SourceIp != "192.0.2.1" || out.Identity.UserAgent == nil || *out.Identity.UserAgent != "" {
		t.Errorf("GetConnection = %+v, identity %+v", out, out.Identity)
	}
	if _, err := f.client("root").DeleteConnection(ctx, &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &f.id}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.router.asked, " "); got != "push get delete" {
		t.Errorf("the router was asked to %s", got)
	}
}

func TestInvalidUTF8IsBinary(t *testing.T) { eachWay(t, testInvalidUTF8IsBinary) }

func testInvalidUTF8IsBinary(t *testing.T, wire bool) {
	f := newFixture(t, awshttp.Enforce)
	f.wire = wire
	if _, err := f.client("root").PostToConnection(context.Background(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &f.id, Data: []byte("\xff")}); err != nil {
		t.Fatal(err)
	}
	if !f.router.binary {
		t.Error("invalid UTF-8 went into a text frame")
	}
}

func TestSDKErrors(t *testing.T) { eachWay(t, testSDKErrors) }

func testSDKErrors(t *testing.T, wire bool) {
	for _, tt := range []struct {
		name   string
		key    string
		err    error  // the router's
		id     string // "" means one that is well-formed
		data   int    // bytes
		status int
		code   string
		text   string
		typed  any // pointer to a typed error, nil when the model has none
		asked  bool
	}{
		{name: "gone", err: apigw.ErrGone, status: 410, code: "GoneException", typed: new(*types.GoneException), asked: true},
		{name: "queue full", err: apigw.ErrQueueFull, status: 429, code: "LimitExceededException", typed: new(*types.LimitExceededException), asked: true},
		{name: "another stage", err: cluster.ErrElsewhere, status: 403, code: "ForbiddenException", typed: new(*types.ForbiddenException), asked: true},
		{name: "too large", data: apigw.MaxMessage + 1, status: 413, code: "PayloadTooLargeException", typed: new(*types.PayloadTooLargeException)},
		{name: "just not too large", data: apigw.MaxMessage, asked: true},
		{name: "malformed id", id: `no "id"`, status: 400, code: "BadRequestException", text: `Invalid connectionId: no "id"`},
		{name: "denied", key: "role", status: 403, code: "AccessDeniedException", text: "User: arn:aws:sts::" + account + ":assumed-role/r/s is not authorized to perform: execute-api:ManageConnections on resource: arn:aws:execute-api:us-east-1:********8190:abc/Prod/POST/@connections/{connectionId}"},
		{name: "unknown key", key: "nobody", status: 403, code: "UnrecognizedClientException"},
		{name: "a bug", err: errors.New("secret reason"), status: 500, code: "InternalServerErrorException", text: "Internal server error", asked: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, awshttp.Enforce)
			f.wire = wire
			f.router.err = tt.err
			id, key := tt.id, tt.key
			if id == "" {
				id = f.id
			}
			if key == "" {
				key = "root"
			}
			_, err := f.client(key).PostToConnection(context.Background(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &id, Data: make([]byte, tt.data)})
			if (len(f.router.asked) > 0) != tt.asked {
				t.Errorf("the router was asked %q", f.router.asked)
			}
			if tt.status == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var re *smithyhttp.ResponseError
			var ae smithy.APIError
			if !errors.As(err, &re) || !errors.As(err, &ae) {
				t.Fatalf("%v is no answer", err)
			}
			if re.HTTPStatusCode() != tt.status || ae.ErrorCode() != tt.code {
				t.Errorf("%d %s, want %d %s", re.HTTPStatusCode(), ae.ErrorCode(), tt.status, tt.code)
			}
			if tt.text != "" && ae.ErrorMessage() != tt.text {
				t.Errorf("message %q, want %q", ae.ErrorMessage(), tt.text)
			}
			if tt.typed != nil && !errors.As(err, tt.typed) {
				t.Errorf("%T is not the model's own type", ae)
			}
		})
	}
}

func raw(t *testing.T, method, url string, body io.Reader) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestOnTheWire(t *testing.T) { eachWay(t, testOnTheWire) }

func testOnTheWire(t *testing.T, wire bool) {
	f := newFixture(t, awshttp.Warn)
	f.wire = wire
	path := "/Prod/@connections/" + url.PathEscape(f.id)
	for _, tt := range []struct {
		method, path string
		err          error
		status       int
		errorType    string
		body         string
	}{
		{method: "POST", path: path, status: 200},
		{method: "DELETE", path: path, status: 204},
		{method: "GET", path: path, status: 200, body: `{"connectedAt":"2026-01-02T03:04:05.006Z","identity":{"sourceIp":"192.0.2.1","userAgent":""},"lastActiveAt":"2026-01-02T03:05:05.006Z"}`},
		{method: "PUT", path: path, status: 403, errorType: "MissingAuthenticationTokenException", body: `{"message":"Missing Authentication Token"}`},
		{method: "POST", path: path, err: apigw.ErrGone, status: 410, errorType: "GoneException"},
		{method: "DELETE", path: path, err: apigw.ErrGone, status: 410, errorType: "GoneException"},
		{method: "GET", path: path, err: cluster.ErrElsewhere, status: 403, errorType: "ForbiddenException", body: `{"message":"Forbidden"}`},
		{method: "GET", path: "/Prod/@connections/x", status: 400, errorType: "BadRequestException", body: `{"message":"Invalid connectionId: x"}`},
		{method: "GET", path: "/ambiguous/@connections/" + f.id, status: 410, errorType: "GoneException"},
		{method: "GET", path: "/ambiguous/@connections/x", status: 400, errorType: "BadRequestException", body: `{"message":"Invalid connectionId: x"}`},
	} {
		f.router.err = tt.err
		f.refused.Store(nil)
		resp, body := raw(t, tt.method, f.url+tt.path, nil)
		if resp.StatusCode != tt.status || resp.Header.Get("x-amzn-ErrorType") != tt.errorType || body != tt.body {
			t.Errorf("%s %s: %d %s %q; want %d %s %q", tt.method, tt.path, resp.StatusCode, resp.Header.Get("x-amzn-ErrorType"), body, tt.status, tt.errorType, tt.body)
		}
		if resp.Header.Get("x-amzn-RequestId") == "" || resp.Header.Get("x-amz-apigw-id") == "" {
			t.Errorf("%s %s: no ids in %v", tt.method, tt.path, resp.Header)
		}
		switch e := f.refused.Load(); {
		case tt.method == "POST" && tt.err != nil:
			if e != nil {
				t.Errorf("%s %s was told as %v, which the router's listener hears already", tt.method, tt.path, e)
			}
		case tt.status == 410:
			// The answer has no body, but the terminal must name the connection.
			if e := f.refused.Load(); e == nil || e.Message != tt.method+" of connection "+f.id {
				t.Errorf("%s %s was told as %v", tt.method, tt.path, e)
			}
		}
	}
}

// A body whose length isn't announced is not read beyond the quota.
func TestChunkedTooLarge(t *testing.T) {
	f := newFixture(t, awshttp.Warn)
	body := io.MultiReader(bytes.NewReader(make([]byte, apigw.MaxMessage)), strings.NewReader("x"))
	resp, text := raw(t, "POST", f.url+"/Prod/@connections/"+f.id, body)
	if resp.StatusCode != 413 || resp.Header.Get("x-amzn-ErrorType") != "PayloadTooLargeException" || !json.Valid([]byte(text)) {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, text)
	}
	if len(f.router.asked) > 0 {
		t.Error("it was pushed")
	}
}

// TestAccountThrottle: every call takes from the account's rate; without it, 429.
func TestAccountThrottle(t *testing.T) { eachWay(t, testAccountThrottle) }

func testAccountThrottle(t *testing.T, wire bool) {
	f := newFixture(t, awshttp.Warn)
	f.wire = wire
	f.full = true
	for _, method := range []string{"POST", "GET", "DELETE"} {
		resp, text := raw(t, method, f.url+"/Prod/@connections/"+f.id, strings.NewReader("x"))
		if resp.StatusCode != 429 || resp.Header.Get("x-amzn-ErrorType") != "LimitExceededException" || text != `{"message":"Too Many Requests"}` {
			t.Errorf("%s: %d %v %q", method, resp.StatusCode, resp.Header, text)
		}
	}
	if len(f.router.asked) > 0 {
		t.Errorf("the router was asked: %v", f.router.asked)
	}
}

func TestUnsignedIsRefused(t *testing.T) { eachWay(t, testUnsignedIsRefused) }

func testUnsignedIsRefused(t *testing.T, wire bool) {
	f := newFixture(t, awshttp.Enforce)
	f.wire = wire
	resp, text := raw(t, "POST", f.url+"/Prod/@connections/"+f.id, strings.NewReader("x"))
	if resp.StatusCode != 403 || resp.Header.Get("x-amzn-ErrorType") != "MissingAuthenticationTokenException" || text != `{"message":"Missing Authentication Token"}` {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, text)
	}
}

func TestNewConnectionOutput(t *testing.T) {
	// Another zone's time and a time on the second have the same form.
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	got := newConnectionOutput(cluster.Status{ConnectedAt: at, LastActiveAt: at})
	if got.ConnectedAt != "2026-01-02T02:04:05.000Z" || got.LastActiveAt != got.ConnectedAt {
		t.Errorf("%+v", got)
	}
}

// BenchmarkPost is a push without the network: signature, policy, id, answer.
func BenchmarkPost(b *testing.B) {
	codec, err := connection.NewCodec(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	api := New(Config{Gate: &awshttp.Gate{Identities: identities{}, Mode: awshttp.Enforce, Account: account, Region: region}, Router: &discard{}, Codec: codec})
	payload := []byte(`{"message":"hello"}`)
	const id = "L0SM9cOFvHcCIhw="
	r := httptest.NewRequest("POST", "http://localhost/Prod/@connections/"+url.PathEscape(id), nil)
	r.ContentLength = int64(len(payload))
	sigv4.Sign(r, payload, sigv4.Credentials{AccessKeyID: "root", SecretAccessKey: "secret"}, Service, region, time.Now())
	b.Run("http", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Body = io.NopCloser(bytes.NewReader(payload))
			w := httptest.NewRecorder()
			api.ServeConnection(w, r, "abc", "Prod", id)
			if w.Code != 200 {
				b.Fatalf("%d %s", w.Code, w.Body)
			}
		}
	})
	b.Run("wire", func(b *testing.B) {
		var q sigv4.Request
		q.SetHTTP(r)
		b.ReportAllocs()
		for b.Loop() {
			if status, _, _, answer := api.Serve(b.Context(), &q, false, payload, "abc", "Prod", id); status != 200 {
				b.Fatalf("%d %s", status, answer)
			}
		}
	})
}

// discard takes every push.
type discard struct{ fakeRouter }

func (*discard) MayBlock() bool { return false }

func (*discard) Push(context.Context, cluster.Target, []byte, bool) error { return nil }

// /@all has no operation in AWS's model: a signed POST reaches it.
func TestAll(t *testing.T) {
	f := newFixture(t, awshttp.Enforce)
	do := func(method, key, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, f.url+"/Prod/@all", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			sigv4.Sign(r, []byte(body), sigv4.Credentials{AccessKeyID: key, SecretAccessKey: "secret"}, Service, region, time.Now())
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	if status, body := do("POST", "root", "hello"); status != 200 || body != `{"queued":3,"refused":1}` {
		t.Errorf("%d %s", status, body)
	}
	if f.router.target.APIID != "abc" || f.router.target.Stage != "Prod" || string(f.router.payload) != "hello" {
		t.Errorf("the router was asked for %+v with %q", f.router.target, f.router.payload)
	}
	for _, tt := range []struct {
		method, key, body string
		status            int
		text              string
	}{
		{"GET", "root", "", 403, "Missing Authentication Token"},
		{"POST", "", "x", 403, "Missing Authentication Token"},
		{"POST", "role", "x", 403, "execute-api:ManageConnections on resource: arn:aws:execute-api:us-east-1:********8190:abc/Prod/POST/@all"},
		{"POST", "root", strings.Repeat("x", apigw.MaxMessage+1), 413, "larger"},
	} {
		if status, body := do(tt.method, tt.key, tt.body); status != tt.status || !strings.Contains(body, tt.text) {
			t.Errorf("%s as %q: %d %s, want %d with %q", tt.method, tt.key, status, body, tt.status, tt.text)
		}
	}
}
