package edge

import (
	stdcmp "cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gobwas "github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/internal/gateway"
	"tidegate/internal/integration"
	"tidegate/internal/stage"
	"tidegate/internal/transport"
	"tidegate/internal/transport/goconn"
	"tidegate/ws"
)

// fakeUpgrade notes the answer; accept is what Accept returns.
type fakeUpgrade struct {
	accept error
	conn   *fakeConn
	gone   chan struct{}

	mu     sync.Mutex
	answer string
	header []transport.Field
	body   string
}

func (u *fakeUpgrade) Accept(header []transport.Field, bind func(transport.Conn)) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.accept != nil {
		return u.accept
	}
	u.answer, u.header = "101", header
	u.conn = &fakeConn{}
	bind(u.conn)
	return nil
}

func (u *fakeUpgrade) Reject(status int, header []transport.Field, body []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer, u.header, u.body = fmt.Sprint(status), header, string(body)
}

func (u *fakeUpgrade) Gone() <-chan struct{} { return u.gone }

func (u *fakeUpgrade) field(name string) string {
	for _, f := range u.header {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// fakeConn is a transport.Conn in memory.
type fakeConn struct {
	transport.Conn
	mu     sync.Mutex
	data   any
	sent   []string
	closed string
	err    error
}

func (c *fakeConn) Data() any     { return c.data }
func (c *fakeConn) SetData(v any) { c.data = v }
func (c *fakeConn) ResumeReads()  {}
func (c *fakeConn) Send(p []byte, binary bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, string(p))
	return c.err
}
func (c *fakeConn) Close(code ws.CloseCode, text string) error {
	c.closed = fmt.Sprintf("%d %s", uint16(code), text)
	return nil
}

// calls is a stage.Binder whose functions note their events and answer by name.
type calls struct {
	mu  sync.Mutex
	got []*integration.Request
}

func (c *calls) Lambda(_ *apigw.Integration, arn string) (integration.Invoker, error) {
	return invokerFunc(func(_ context.Context, r *integration.Request) (*integration.Response, error) {
		c.mu.Lock()
		c.got = append(c.got, r)
		c.mu.Unlock()
		switch {
		case strings.HasSuffix(arn, ":no"):
			return &integration.Response{Status: 401}, nil
		case strings.HasSuffix(arn, ":chat"):
			return &integration.Response{Status: 200, Header: []event.Field{{Name: "Sec-WebSocket-Protocol", Value: "chat"}}}, nil
		}
		return &integration.Response{Status: 200, Body: []byte("reply to " + string(r.Context.EventType))}, nil
	}), nil
}

func (c *calls) HTTP(*apigw.Integration, string) (integration.Invoker, error) {
	return nil, errors.New("the test has no HTTP backends")
}

func (c *calls) Service(*apigw.Integration, *integration.ServiceURI) (integration.Invoker, error) {
	return nil, errors.New("the test has no services")
}

// Authorizer implements stage.Binder.
func (*calls) Authorizer(*apigw.Authorizer, string) (authorizer.Authorizer, error) {
	return nil, errors.New("the test has no authorizers")
}

// IAM implements stage.Binder.
func (*calls) IAM() (authorizer.Authorizer, error) { return nil, errors.New("the test has no keys") }

func (c *calls) types() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var types []string
	for _, r := range c.got {
		types = append(types, string(r.Context.EventType))
	}
	return types
}

type invokerFunc func(context.Context, *integration.Request) (*integration.Response, error)

func (f invokerFunc) Invoke(ctx context.Context, r *integration.Request) (*integration.Response, error) {
	return f(ctx, r)
}

// publishRoutes publishes a stage with two-way routes KEY=FUNCTION.
func publishRoutes(t testing.TB, g *gateway.Gateway, b stage.Binder, api, name string, routes ...string) {
	t.Helper()
	def := &apigw.Definition{APIID: api, RouteSelectionExpression: "$request.body.action"}
	for i, text := range routes {
		key, fn, _ := strings.Cut(text, "=")
		id := fmt.Sprint("i", i)
		def.Routes = append(def.Routes, &apigw.Route{Key: apigw.RouteKey(key), Target: "integrations/" + id, Responses: map[string]*apigw.RouteResponse{"x": {Key: "$default"}}})
		def.Integrations = append(def.Integrations, &apigw.Integration{ID: id, Type: apigw.IntegrationAWSProxy, URI: "arn:aws:lambda:us-east-1:000000000000:function:" + fn})
	}
	s, err := stage.Compile(def, &apigw.Stage{Name: apigw.StageName(name)}, b)
	if err != nil {
		t.Fatal(err)
	}
	g.Publish(s)
}

func handshake(host, target string, more ...transport.Field) *transport.Request {
	return &transport.Request{
		Method: "GET", Target: target, Host: host,
		Header: append([]transport.Field{
			{Name: "Host", Value: host}, {Name: "Connection", Value: "Upgrade"}, {Name: "Upgrade", Value: "websocket"},
			{Name: "user-AGENT", Value: "test/1"}, {Name: "Sec-WebSocket-Key", Value: "x"},
		}, more...),
		RemoteAddr: &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 5}, LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.1"), Port: 8420},
	}
}

func TestHandshakeResolution(t *testing.T) {
	for _, tt := range []struct {
		name, host, target string
		origin             string
		answer             string
		reason             Reason
	}{
		{name: "stage", host: "localhost:8420", target: "/one", answer: "101"},
		{name: "slash", host: "localhost:8420", target: "/one/", answer: "101"},
		{name: "query", host: "localhost:8420", target: "/one?a=b", answer: "101"},
		{name: "encoded", host: "localhost:8420", target: "/%6fne", answer: "101"},
		{name: "API and stage", host: "localhost:8420", target: "/bbb/both", answer: "101"},
		{name: "$default", host: "localhost:8420", target: "/$default", answer: "101"},
		{name: "%24default", host: "localhost:8420", target: "/%24default/", answer: "101"},
		{name: "by host", host: "bbb.execute-api.us-east-1.amazonaws.com", target: "/both", answer: "101"},
		{name: "a foreign page", host: "localhost:8420", target: "/one", origin: "https://foreign.example", answer: "101"},
		{name: "two APIs", host: "localhost:8420", target: "/both", answer: "403", reason: AmbiguousStage},
		{name: "root", host: "localhost:8420", target: "/", answer: "403", reason: NoSuchStage},
		{name: "no stage", host: "localhost:8420", target: "/none", answer: "403", reason: NoSuchStage},
		{name: "too deep", host: "localhost:8420", target: "/aaa/one/more", answer: "403", reason: NoSuchStage},
		{name: "unknown API's host", host: "zzz.execute-api.us-east-1.amazonaws.com", target: "/one", answer: "403", reason: NoSuchStage},
		{name: "own path", host: "localhost:8420", target: "/_tidegate/events", answer: "403", reason: OwnPath},
		{name: "rebound name", host: "evil.example", target: "/one", answer: "421", reason: WrongHost},
		{name: "broken escape", host: "localhost:8420", target: "/%zz", answer: "403", reason: NoSuchStage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, &Guard{}, "aaa/one", "aaa/both", "bbb/both", "ccc/$default")
				u := &fakeUpgrade{}
				var more []transport.Field
				if tt.origin != "" {
					more = []transport.Field{{Name: "Origin", Value: tt.origin}, {Name: "Sec-Fetch-Site", Value: "cross-site"}}
				}
				f.edge.OnUpgrade(handshake(tt.host, tt.target, more...), u)
				synctest.Wait()
				if u.answer != tt.answer {
					t.Errorf("answered %s %s, want %s", u.answer, u.body, tt.answer)
				}
				if tt.reason == "" {
					return
				}
				if len(f.refused) != 1 || f.refused[0].Reason != tt.reason || !f.refused[0].WebSocket {
					t.Errorf("notices %v", f.refused)
				}
				if u.field("x-amzn-ErrorType") == "" || u.field("x-amzn-RequestId") == "" || u.field("Content-Type") != "application/json" || !strings.HasPrefix(u.body, `{"message":"`) {
					t.Errorf("%v %s", u.header, u.body)
				}
			})
		})
	}
}

// TestOversizedHandshakes: AWS's quotas of URL and header values, to the byte.
func TestOversizedHandshakes(t *testing.T) {
	for _, tt := range []struct {
		name        string
		url, header int // bytes
		answer      string
		reason      Reason
	}{
		{"the longest URL", apigw.MaxURL, 100, "101", ""},
		{"a longer URL", apigw.MaxURL + 1, 100, "414", URLTooLong},
		{"the largest header", 100, apigw.MaxHeaderValues, "101", ""},
		{"a larger header", 100, apigw.MaxHeaderValues + 1, "431", HeaderTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil, "abc/Prod")
				r := handshake("localhost", "/Prod?"+strings.Repeat("q", tt.url-len("/Prod?")))
				rest := tt.header
				for _, field := range r.Header {
					rest -= len(field.Value)
				}
				r.Header = append(r.Header, transport.Field{Name: "Cookie", Value: strings.Repeat("c", 50)}, transport.Field{Name: "X-Rest", Value: strings.Repeat("r", rest-50)})
				u := &fakeUpgrade{}
				f.edge.OnUpgrade(r, u)
				synctest.Wait()
				if u.answer != tt.answer {
					t.Errorf("answered %s, want %s", u.answer, tt.answer)
				}
				if tt.reason != "" && (len(f.refused) != 1 || f.refused[0].Reason != tt.reason || u.field("x-amzn-ErrorType") != "BadRequestException") {
					t.Errorf("told %+v, want %s; %v", f.refused, tt.reason, u.header)
				}
			})
		})
	}
}

func TestConnectRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		b := &calls{}
		publishRoutes(t, f.gateway, b, "aaa", "one", "$connect=chat")
		u := &fakeUpgrade{}
		r := handshake("localhost:8420", "/one?b=2&a=1%20x&a=3+4&=&flag&bad=%zz")
		r.TLS = true
		f.edge.OnUpgrade(r, u)
		synctest.Wait()
		if u.answer != "101" || u.field("Sec-WebSocket-Protocol") != "chat" || len(u.header) != 1 {
			t.Errorf("%s %v", u.answer, u.header)
		}
		got := b.got[0].Connect
		want := &event.ConnectRequest{
			APIID: "aaa", Stage: "one", DomainName: "localhost:8420",
			Header: []event.Field{{Name: "Host", Value: "localhost:8420"}, {Name: "Connection", Value: "Upgrade"}, {Name: "Upgrade", Value: "websocket"},
				{Name: "user-AGENT", Value: "test/1"}, {Name: "Sec-WebSocket-Key", Value: "x"}},
			Target:   "/one?b=2&a=1%20x&a=3+4&=&flag&bad=%zz",
			Query:    []event.Field{{Name: "b", Value: "2"}, {Name: "a", Value: "1 x"}, {Name: "a", Value: "3 4"}, {}, {Name: "flag"}, {Name: "bad", Value: "%zz"}},
			Identity: event.Identity{SourceIP: "192.0.2.1", UserAgent: "test/1"},
			TraceID:  got.TraceID, ForwardedFor: "192.0.2.1", ForwardedPort: "8420", ForwardedProto: "https",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if id := got.TraceID; len(id) != len("Root=1-67659810-101d2f353e7cd9797a9aa4ba") || !strings.HasPrefix(id, "Root=1-") {
			t.Errorf("trace id %s", id)
		}
	})
}

// A handshake that nobody has to be asked about is answered before OnUpgrade returns;
// one that waits for a function doesn't hold its caller up.
func TestUpgradeWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil, "aaa/one")
		for range 2 { // the second has what the first one used
			u := &fakeUpgrade{}
			f.edge.OnUpgrade(handshake("localhost", "/one?a=b"), u)
			if u.answer != "101" || f.registry.Len() == 0 {
				t.Errorf("answered %q when OnUpgrade returned, want 101", u.answer)
			}
		}
		answer := make(chan struct{})
		publishRoutes(t, f.gateway, slowly{&calls{}, answer}, "aaa", "two", "$connect=yes")
		u := &fakeUpgrade{}
		f.edge.OnUpgrade(handshake("localhost", "/two"), u) // else this never returns
		close(answer)
		synctest.Wait()
		if u.answer != "101" {
			t.Errorf("answered %q, want 101", u.answer)
		}
	})
}

// slowly has functions wait before they answer.
type slowly struct {
	*calls
	answer chan struct{}
}

func (s slowly) Lambda(i *apigw.Integration, arn string) (integration.Invoker, error) {
	f, err := s.calls.Lambda(i, arn)
	return invokerFunc(func(ctx context.Context, r *integration.Request) (*integration.Response, error) {
		<-s.answer
		return f.Invoke(ctx, r)
	}), err
}

func TestRejectedByFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		publishRoutes(t, f.gateway, &calls{}, "aaa", "one", "$connect=no")
		u := &fakeUpgrade{}
		f.edge.OnUpgrade(handshake("localhost", "/one"), u)
		synctest.Wait()
		if u.answer != "401" || u.body != `{"message":"Unauthorized"}` || u.field("x-amzn-ErrorType") != "UnauthorizedException" {
			t.Errorf("%s %v %s", u.answer, u.header, u.body)
		}
	})
}

func TestClientLeftBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		b := &calls{}
		publishRoutes(t, f.gateway, b, "aaa", "one", "$connect=yes", "$disconnect=bye")
		f.edge.OnUpgrade(handshake("localhost", "/one"), &fakeUpgrade{accept: transport.ErrClientGone})
		synctest.Wait()
		if got := b.types(); !slices.Equal(got, []string{"CONNECT", "DISCONNECT"}) || b.got[1].Context.Close.Code != 1006 || f.registry.Len() != 0 {
			t.Errorf("events %v, %d connections left", got, f.registry.Len())
		}
	})
}

func TestSocketLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		b := &calls{}
		publishRoutes(t, f.gateway, b, "aaa", "one", "$disconnect=bye", "a=f")
		u := &fakeUpgrade{}
		f.edge.OnUpgrade(handshake("localhost", "/one"), u)
		synctest.Wait()
		c := u.conn.data.(*connection.Connection)
		f.edge.OnMessage(u.conn, transport.Message{Payload: []byte(`{"action":"a"}`)})
		f.edge.OnMessage(u.conn, transport.Message{Payload: []byte(`{"action":"b"}`)})
		synctest.Wait()
		slices.Sort(u.conn.sent)
		if len(u.conn.sent) != 2 || u.conn.sent[0] != "reply to MESSAGE" || !strings.HasPrefix(u.conn.sent[1], `{"message": "Forbidden", "connectionId":"`+c.String()) {
			t.Errorf("the client got %q", u.conn.sent)
		}
		for err, want := range map[error]error{transport.ErrQueueFull: apigw.ErrQueueFull, transport.ErrClosed: apigw.ErrGone, transport.ErrMoved: connection.ErrMoved, io.EOF: io.EOF} {
			u.conn.err = fmt.Errorf("wrapped: %w", err)
			if err := c.Send(nil, false); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if c.Close(1000, "x") != nil || u.conn.closed != "1000 x" {
			t.Errorf("closed with %q", u.conn.closed)
		}
		f.edge.OnClose(u.conn, transport.CloseReason{Code: 1000, Text: "x"})
		synctest.Wait()
		if got := b.got[len(b.got)-1].Context; got.EventType != event.TypeDisconnect || *got.Close != (event.CloseReason{Code: 1000, Text: "x"}) {
			t.Errorf("%+v", got)
		}
		// What was never bound means nothing.
		f.edge.OnMessage(&fakeConn{}, transport.Message{})
		f.edge.OnClose(&fakeConn{}, transport.CloseReason{})
		if wait := f.edge.OnBreach(&fakeConn{}, transport.CloseReason{}); wait != 0 {
			t.Errorf("its closing waits %v", wait)
		}
		if _, err := f.edge.Freeze(&fakeConn{}); err == nil {
			t.Error("it was frozen")
		}
	})
}

// TestFreezeThaw holds that the gateway's half of a connection arrives in another
// process's edge, and works there.
func TestFreezeThaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &calls{}
		f, there := newFixture(t, nil), newFixtureOf(t, 2, nil)
		for _, f := range []*fixture{f, there} {
			publishRoutes(t, f.gateway, b, "aaa", "one", "$connect=yes", "$disconnect=bye", "$default=f")
		}
		u := &fakeUpgrade{}
		f.edge.OnUpgrade(handshake("localhost", "/one"), u)
		synctest.Wait()
		frozen, err := f.edge.Freeze(u.conn)
		if err != nil {
			t.Fatal(err)
		}
		arrived := &fakeConn{}
		if err := there.edge.Thaw(arrived, frozen[:len(frozen)-1]); err == nil {
			t.Error("half a connection was taken")
		}
		if err := there.edge.Thaw(arrived, frozen); err != nil {
			t.Fatal(err)
		}
		here, c := u.conn.Data().(*connection.Connection), arrived.Data().(*connection.Connection)
		if found, ok, _ := there.registry.LookupText(here.String()); !ok || found != c {
			t.Fatal("it is not found by its id")
		}
		there.edge.OnMessage(arrived, transport.Message{Payload: []byte("{}")})
		synctest.Wait()
		if len(arrived.sent) != 1 {
			t.Errorf("the client got %q", arrived.sent)
		}
		there.edge.OnClose(arrived, transport.CloseReason{Code: 1000})
		synctest.Wait()
		if got := b.types(); !slices.Equal(got, []string{"CONNECT", "MESSAGE", "DISCONNECT"}) {
			t.Errorf("events %v", got)
		}
	})
}

func TestCloseReason(t *testing.T) {
	for _, tt := range []struct {
		in   transport.CloseReason
		want event.CloseReason
	}{
		{transport.CloseReason{Code: ws.CloseGoingAway, ByClient: true}, event.CloseReason{Code: 1001, Reason: ClosedByClient}},
		{transport.CloseReason{Code: ws.CloseGoingAway, Drop: transport.DropIdle}, event.CloseReason{Code: 1001, Text: "Going away", Reason: transport.DropIdle}},
		{transport.CloseReason{Code: 4001, Text: "mine", ByClient: true}, event.CloseReason{Code: 4001, Text: "mine", Reason: ClosedByClient}},
		{transport.CloseReason{Code: ws.CloseMessageTooBig, Drop: transport.DropFrameTooBig, Err: errors.New("a frame of 9 bytes")}, event.CloseReason{Code: 1009, Reason: transport.DropFrameTooBig, Why: "a frame of 9 bytes"}},
		{transport.CloseReason{Code: ws.CloseAbnormalClosure}, event.CloseReason{Code: 1006}},
	} {
		if got := closeReason(tt.in); got != tt.want {
			t.Errorf("%v became %+v", tt.in, got)
		}
	}
}

type fakeReply struct{ done chan string }

func (r fakeReply) Respond(status int, header []transport.Field, body []byte) {
	r.done <- fmt.Sprint(status, " ", string(body))
}

func TestOnRequest(t *testing.T) {
	f := newFixture(t, &Guard{}, "aaa/one")
	const getItem = "DynamoDB_20120810.GetItem"
	for _, tt := range []struct {
		method, target, host string
		origin, operation    string
		taken                bool
		want                 string
	}{
		{target: "/one/@connections/x%3D?y", taken: true, want: "200 @connections POST aaa/one x="},
		{target: "/one/@connections/x", origin: "https://evil.example", taken: true, want: "403 "},
		{target: "/one/@connections/x", host: "evil.example", taken: true, want: "421 "},
		{target: "/", operation: getItem, taken: true, want: "200 dynamodb data"},
		{target: "/", operation: getItem, origin: "https://evil.example", taken: true, want: "403 "},
		{target: "/", operation: getItem, host: "evil.example", taken: true, want: "421 "},
		{target: "/", operation: getItem, method: "GET"},
		{target: "/", operation: "DynamoDBStreams_20120810.ListStreams"},
		{target: "/", operation: "AWSEvents.PutEvents"},
		{target: "/one"},
		{target: "/v2/apis"},
		{target: "/%zz/@connections/x"},
		{target: "*"},
	} {
		r := handshake("localhost", tt.target, transport.Field{Name: "x-amz-target", Value: tt.operation}, transport.Field{Name: "Origin", Value: tt.origin})
		r.Header = slices.DeleteFunc(r.Header, func(f transport.Field) bool { return f.Value == "" })
		r.Host = stdcmp.Or(tt.host, r.Host)
		r.Method, r.Body = stdcmp.Or(tt.method, "POST"), []byte("data")
		for _, r.MayBlock = range []bool{false, true} {
			reply := fakeReply{make(chan string, 1)}
			if taken := f.edge.OnRequest(r, reply); taken != tt.taken {
				t.Errorf("%s %s: taken %v", tt.target, tt.operation, taken)
			} else if taken {
				if r.MayBlock && len(reply.done) == 0 {
					t.Errorf("%s %s: not answered on the connection's own goroutine", tt.target, tt.operation)
				}
				if got := <-reply.done; !strings.HasPrefix(got, tt.want) {
					t.Errorf("%s %s: %s, want %s", tt.target, tt.operation, got, tt.want)
				}
			}
		}
	}
}

// Calls to tables that Tidegate doesn't have go to a fallback endpoint, whose
// answers an engine can't stream.
func TestOnRequestLeavesForeignTables(t *testing.T) {
	f := newFixture(t, nil)
	delete(f.edge.services, "dynamodb")
	r := handshake("localhost", "/", transport.Field{Name: "X-Amz-Target", Value: "DynamoDB_20120810.GetItem"})
	r.Method = "POST"
	if f.edge.OnRequest(r, fakeReply{make(chan string, 1)}) {
		t.Error("taken")
	}
}

func TestNewHeader(t *testing.T) {
	got := newHeader([]transport.Field{{Name: "host", Value: "h"}, {Name: "x-one", Value: "1"}, {Name: "X-Two", Value: "2"}, {Name: "X-ONE", Value: "3"}, {Name: "X-Three", Value: "4"}})
	want := http.Header{"X-One": {"1", "3"}, "X-Two": {"2"}, "X-Three": {"4"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// BenchmarkOnRequest is what the door adds to a call to a table.
func BenchmarkOnRequest(b *testing.B) {
	f := newFixture(b, &Guard{})
	f.edge.services["dynamodb"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) })
	r := &transport.Request{
		Method: "POST", Target: "/", Host: "127.0.0.1:8420", Body: []byte("{}"), MayBlock: true,
		Header: []transport.Field{
			{Name: "Host", Value: "127.0.0.1:8420"}, {Name: "User-Agent", Value: "Go-http-client/1.1"}, {Name: "Content-Length", Value: "2"},
			{Name: "Authorization", Value: "AWS4-HMAC-SHA256 Credential=k/d/r/dynamodb/aws4_request"}, {Name: "Content-Type", Value: "application/x-amz-json-1.0"},
			{Name: "X-Amz-Content-Sha256", Value: "x"}, {Name: "X-Amz-Date", Value: "20261122T000000Z"}, {Name: "X-Amz-Target", Value: "DynamoDB_20120810.GetItem"},
		},
		RemoteAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.1"), Port: 5},
	}
	b.ReportAllocs()
	for b.Loop() {
		f.edge.OnRequest(r, noReply{})
	}
}

type noReply struct{}

func (noReply) Respond(int, []transport.Field, []byte) {}

// panicky is a Management that fails badly.
type panicky struct{ fakeManagement }

func (panicky) ServeConnection(http.ResponseWriter, *http.Request, string, apigw.StageName, string) {
	panic("oops")
}

func TestPanicIsAnswered(t *testing.T) {
	f := newFixture(t, nil, "aaa/one")
	f.edge.management = panicky{}
	reply := fakeReply{make(chan string, 1)}
	f.edge.OnRequest(handshake("localhost", "/one/@connections/x"), reply)
	if got := <-reply.done; got != "500 " || f.refused[0].Reason != Panicked {
		t.Errorf("%s, %v", got, f.refused)
	}
}

// TestOverSockets puts the door on the portable engine and a real listener.
func TestOverSockets(t *testing.T) {
	f := newFixture(t, nil)
	b := &calls{}
	publishRoutes(t, f.gateway, b, "aaa", "one", "$connect=chat", "$disconnect=bye", "a=f")
	engine, err := goconn.New(goconn.Config{Limits: transport.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no loopback listener: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- engine.Serve(l, f.edge, nil) }()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, _, hs, err := gobwas.Dialer{Protocols: []string{"soap", "chat"}}.Dial(ctx, "ws://"+l.Addr().String()+"/one")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if hs.Protocol != "chat" {
		t.Errorf("subprotocol %q", hs.Protocol)
	}
	if err := wsutil.WriteClientText(conn, []byte(`{"action":"a"}`)); err != nil {
		t.Fatal(err)
	}
	if got, err := wsutil.ReadServerText(conn); err != nil || string(got) != "reply to MESSAGE" {
		t.Errorf("%q, %v", got, err)
	}
	resp, err := http.Post("http://"+l.Addr().String()+"/one/@connections/x=", "", strings.NewReader("data"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(body) != "@connections POST aaa/one x=" {
		t.Errorf("%d %q, %v", resp.StatusCode, body, err)
	}
	drained := make(chan error, 1)
	go func() { drained <- f.gateway.Drain(ctx) }()
	_, err = wsutil.ReadServerText(conn)
	var closed wsutil.ClosedError
	if !errors.As(err, &closed) || closed.Code != 1001 || closed.Reason != "Going away" {
		t.Errorf("the client saw %v", err)
	}
	conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if got := b.types(); !slices.Equal(got, []string{"CONNECT", "MESSAGE", "DISCONNECT"}) || *b.got[2].Context.Close != (event.CloseReason{Code: 1001, Text: "Going away"}) {
		t.Errorf("events %v", got)
	}
	if err := engine.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, transport.ErrEngineClosed) {
		t.Error(err)
	}
}

func FuzzUpgradeTarget(f *testing.F) {
	f.Add("localhost", "/one?x=1&y")
	f.Add("aaa.execute-api.x", "/%6fne/")
	f.Add("[::1]:80", "//one")
	fix := newFixture(f, nil, "aaa/one")
	f.Fuzz(func(t *testing.T, host, target string) {
		path, query := splitTarget(target)
		s, no := fix.edge.admissible(host, path)
		if (s == nil) == (no == nil) {
			t.Fatalf("stage %v and refusal %v", s, no)
		}
		if s != nil {
			fillConnectRequest(new(event.ConnectRequest), handshake(host, target), s, query)
		}
	})
}
