package event

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	testHost  = "aabbccdd.execute-api.ap-northeast-1.amazonaws.com"
	testAgent = "Mozilla/5.0 (X11; Linux x86_64)"
)

// captured is the context of the events that were captured on AWS.
func captured(t Type) *Context {
	c := &Context{
		APIID:        "aabbccdd",
		Stage:        "production",
		EventType:    t,
		ConnectionID: "PJqB0fHsqRcCHlw=",
		DomainName:   testHost,
		Identity:     Identity{SourceIP: "123.45.123.45"},
		ConnectedAt:  time.UnixMilli(1701245041796),
	}
	switch t {
	case TypeConnect:
		c.RouteKey, c.RequestID = "$connect", "PJqB0E1tKRcF-Qw="
		c.RequestTime = time.UnixMilli(1701245041798)
		c.Identity.UserAgent = testAgent
	case TypeMessage:
		c.RouteKey, c.RequestID, c.MessageID = "sendMessage", "PJqCFEqHqRcFd0w=", "PJqCFfHyKRcCHlw="
		c.RequestTime = time.UnixMilli(1701245043417)
	case TypeDisconnect:
		c.RouteKey, c.RequestID = "$disconnect", "PJqCOG4zqRcFcPw="
		c.RequestTime = time.UnixMilli(1701245044314)
		c.Close = &CloseReason{Code: 1005, Text: "Client-side close frame status not set"}
	}
	return c
}

// handshake is that of a client that sends its headers in no order and some
// that the event doesn't show.
func handshake() *ConnectRequest {
	return &ConnectRequest{
		Header: []Field{
			{"Upgrade", "websocket"},
			{"Sec-WebSocket-Version", "13"},
			{"Sec-WebSocket-Key", "cDKFD/VKnt8EOTKkUILUgw=="},
			{"connection", "Upgrade"},
			{"Content-Length", "0"},
			{"Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"},
			{"Host", testHost},
		},
		Query:          []Field{{"token", "abc"}},
		TraceID:        "Root=1-67659810-101d2f353e7cd9797a9aa4ba",
		ForwardedFor:   "123.45.123.45",
		ForwardedPort:  "443",
		ForwardedProto: "https",
	}
}

const goldenConnect = `{
  "headers": {
    "Host": "aabbccdd.execute-api.ap-northeast-1.amazonaws.com",
    "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
    "Sec-WebSocket-Key": "cDKFD/VKnt8EOTKkUILUgw==",
    "Sec-WebSocket-Version": "13",
    "X-Amzn-Trace-Id": "Root=1-67659810-101d2f353e7cd9797a9aa4ba",
    "X-Forwarded-For": "123.45.123.45",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https"
  },
  "multiValueHeaders": {
    "Host": ["aabbccdd.execute-api.ap-northeast-1.amazonaws.com"],
    "Sec-WebSocket-Extensions": ["permessage-deflate; client_max_window_bits"],
    "Sec-WebSocket-Key": ["cDKFD/VKnt8EOTKkUILUgw=="],
    "Sec-WebSocket-Version": ["13"],
    "X-Amzn-Trace-Id": ["Root=1-67659810-101d2f353e7cd9797a9aa4ba"],
    "X-Forwarded-For": ["123.45.123.45"],
    "X-Forwarded-Port": ["443"],
    "X-Forwarded-Proto": ["https"]
  },
  "queryStringParameters": {"token": "abc"},
  "multiValueQueryStringParameters": {"token": ["abc"]},
  "requestContext": {
    "routeKey": "$connect",
    "eventType": "CONNECT",
    "extendedRequestId": "PJqB0E1tKRcF-Qw=",
    "requestTime": "29/Nov/2023:08:04:01 +0000",
    "messageDirection": "IN",
    "stage": "production",
    "connectedAt": 1701245041796,
    "requestTimeEpoch": 1701245041798,
    "identity": {"userAgent": "Mozilla/5.0 (X11; Linux x86_64)", "sourceIp": "123.45.123.45"},
    "requestId": "PJqB0E1tKRcF-Qw=",
    "domainName": "aabbccdd.execute-api.ap-northeast-1.amazonaws.com",
    "connectionId": "PJqB0fHsqRcCHlw=",
    "apiId": "aabbccdd"
  },
  "isBase64Encoded": false
}`

const goldenMessage = `{
  "requestContext": {
    "routeKey": "sendMessage",
    "messageId": "PJqCFfHyKRcCHlw=",
    "eventType": "MESSAGE",
    "extendedRequestId": "PJqCFEqHqRcFd0w=",
    "requestTime": "29/Nov/2023:08:04:03 +0000",
    "messageDirection": "IN",
    "stage": "production",
    "connectedAt": 1701245041796,
    "requestTimeEpoch": 1701245043417,
    "identity": {"sourceIp": "123.45.123.45"},
    "requestId": "PJqCFEqHqRcFd0w=",
    "domainName": "aabbccdd.execute-api.ap-northeast-1.amazonaws.com",
    "connectionId": "PJqB0fHsqRcCHlw=",
    "apiId": "aabbccdd"
  },
  "body": "{\"action\":\"sendMessage\",\"data\":\"hello\"}",
  "isBase64Encoded": false
}`

const goldenDisconnect = `{
  "headers": {"Host": "aabbccdd.execute-api.ap-northeast-1.amazonaws.com", "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""},
  "multiValueHeaders": {"Host": ["aabbccdd.execute-api.ap-northeast-1.amazonaws.com"], "x-api-key": [""], "X-Forwarded-For": [""], "x-restapi": [""]},
  "requestContext": {
    "routeKey": "$disconnect",
    "disconnectStatusCode": 1005,
    "eventType": "DISCONNECT",
    "extendedRequestId": "PJqCOG4zqRcFcPw=",
    "requestTime": "29/Nov/2023:08:04:04 +0000",
    "messageDirection": "IN",
    "disconnectReason": "Client-side close frame status not set",
    "stage": "production",
    "connectedAt": 1701245041796,
    "requestTimeEpoch": 1701245044314,
    "identity": {"sourceIp": "123.45.123.45"},
    "requestId": "PJqCOG4zqRcFcPw=",
    "domainName": "aabbccdd.execute-api.ap-northeast-1.amazonaws.com",
    "connectionId": "PJqB0fHsqRcCHlw=",
    "apiId": "aabbccdd"
  },
  "isBase64Encoded": false
}`

// TestAppendProxy compares byte for byte, so key order as well.
func TestAppendProxy(t *testing.T) {
	const body = `{"action":"sendMessage","data":"hello"}`
	for _, c := range []struct {
		event  Type
		golden string
	}{
		{TypeConnect, goldenConnect},
		{TypeMessage, goldenMessage},
		{TypeDisconnect, goldenDisconnect},
	} {
		var want bytes.Buffer
		if err := json.Compact(&want, []byte(c.golden)); err != nil {
			t.Fatal(err)
		}
		got := AppendProxy([]byte("dst:"), captured(c.event), handshake(), []byte(body))
		if diff := cmp.Diff("dst:"+want.String(), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.event, diff)
		}
	}
}

// TestBinaryMessage: the body is base64, and both the event and $context say so.
func TestBinaryMessage(t *testing.T) {
	c := captured(TypeMessage)
	c.Binary = true
	got := string(AppendProxy(nil, c, nil, []byte("\x00\xff\"")))
	if !json.Valid([]byte(got)) || !strings.HasSuffix(got, `,"body":"AP8i","isBase64Encoded":true}`) {
		t.Errorf("the event is %s", got)
	}
	if v, ok := c.Lookup("isBase64Encoded"); v != "true" || !ok {
		t.Errorf("$context.isBase64Encoded is %q", v)
	}
}

// decodedEvent has the keys that the tests below look at.
type decodedEvent struct {
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Query             map[string]string   `json:"queryStringParameters"`
	MultiValueQuery   map[string][]string `json:"multiValueQueryStringParameters"`
	StageVariables    map[string]string   `json:"stageVariables"`
	RequestContext    struct {
		Identity             map[string]string
		DisconnectStatusCode *int
		DisconnectReason     *string
	} `json:"requestContext"`
	Body *string `json:"body"`
}

func decode(t *testing.T, c *Context, r *ConnectRequest, body string) (decodedEvent, string) {
	t.Helper()
	text := AppendProxy(nil, c, r, []byte(body))
	var e decodedEvent
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return e, string(text)
}

func TestConnectRepeatedNames(t *testing.T) {
	r := &ConnectRequest{
		Header: []Field{{"X-N", "1"}, {"Host", "h"}, {"x-n", "2"}, {"X-Na", "3"}, {"x-forwarded-for", "10.0.0.1"},
			{"X-Forwarded-Proto", "gopher"}, {"X-Forwarded-For", "10.0.0.2"}, {"x-forwarded-port", "70"}},
		Query:        []Field{{"b", "1"}, {"a", ""}, {"b", "2 & \"3\""}, {"B", "4"}},
		ForwardedFor: "123.45.123.45", ForwardedPort: "8420", ForwardedProto: "http",
	}
	e, text := decode(t, captured(TypeConnect), r, "")
	want := decodedEvent{
		Headers: map[string]string{"Host": "h", "X-N": "2", "X-Na": "3", "X-Forwarded-For": "10.0.0.1, 10.0.0.2, 123.45.123.45",
			"X-Forwarded-Port": "8420", "X-Forwarded-Proto": "http"},
		MultiValueHeaders: map[string][]string{"Host": {"h"}, "X-N": {"1", "2"}, "X-Na": {"3"}, "X-Forwarded-For": {"10.0.0.1, 10.0.0.2, 123.45.123.45"},
			"X-Forwarded-Port": {"8420"}, "X-Forwarded-Proto": {"http"}},
		Query:           map[string]string{"a": "", "b": "2 & \"3\"", "B": "4"},
		MultiValueQuery: map[string][]string{"a": {""}, "b": {"1", "2 & \"3\""}, "B": {"4"}},
	}
	e.RequestContext = want.RequestContext
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r.Header[0].Name != "X-N" || r.Query[0].Name != "b" {
		t.Errorf("the handshake was sorted: %v", r)
	}
	if !strings.HasPrefix(text, `{"headers":{"Host":"h","X-Forwarded-For":`) {
		t.Errorf("not sorted without regard to case: %s", text)
	}
}

func TestAbsentKeys(t *testing.T) {
	c := captured(TypeConnect)
	c.Identity.UserAgent = ""
	_, text := decode(t, c, &ConnectRequest{}, "unused")
	for _, absent := range []string{"QueryString", "queryString", "userAgent", "stageVariables", "body", "authorizer", "messageId", "disconnect", "null"} {
		if strings.Contains(text, absent) {
			t.Errorf("CONNECT has %s: %s", absent, text)
		}
	}
	if !strings.HasPrefix(text, `{"headers":{},"multiValueHeaders":{},"requestContext":`) {
		t.Errorf("CONNECT without headers: %s", text)
	}
	for event, absent := range map[Type][]string{
		TypeMessage:    {"headers", "multiValueHeaders", "uery", "stageVariables", "disconnect", "null"},
		TypeDisconnect: {"uery", "stageVariables", "body", "messageId", "null"},
	} {
		_, text := decode(t, captured(event), handshake(), "text")
		for _, key := range absent {
			if strings.Contains(text, key) {
				t.Errorf("%s has %s: %s", event, key, text)
			}
		}
	}
}

func TestStageVariables(t *testing.T) {
	for _, event := range []Type{TypeConnect, TypeMessage, TypeDisconnect} {
		c := captured(event)
		c.StageVariables = map[string]string{"b": "2", "a": "1\""}
		e, text := decode(t, c, handshake(), "x")
		if diff := cmp.Diff(c.StageVariables, e.StageVariables); diff != "" {
			t.Errorf("%s (-want +got):\n%s", event, diff)
		}
		if !strings.Contains(text, `"stageVariables":{"a":"1\"","b":"2"},"requestContext":`) {
			t.Errorf("%s: %s", event, text)
		}
	}
}

func TestDisconnectEmptyReason(t *testing.T) {
	c := captured(TypeDisconnect)
	c.Close = &CloseReason{Code: 1001}
	e, text := decode(t, c, nil, "")
	if e.RequestContext.DisconnectReason == nil || *e.RequestContext.DisconnectReason != "" ||
		e.RequestContext.DisconnectStatusCode == nil || *e.RequestContext.DisconnectStatusCode != 1001 {
		t.Errorf("an empty reason must be there: %s", text)
	}
}

func TestAppendString(t *testing.T) {
	for s, want := range map[string]string{
		"":                 `""`,
		"plain é 😀 </a>":   `"plain é 😀 </a>"`,
		"q\" b\\":          `"q\" b\\"`,
		"\b\f\n\r\t":       `"\b\f\n\r\t"`,
		"\x00\x1b\x1f\x7f": "\"\\u0000\\u001B\\u001F\x7f\"",
		"\u2028":           "\"\u2028\"",
		"a\xffb":           `"a` + "\uFFFD" + `b"`,
		"\xe2\x82":         `"` + "\uFFFD\uFFFD" + `"`,
		"\uFFFD":           `"` + "\uFFFD" + `"`,
		"\xed\xa0\x80":     `"` + "\uFFFD\uFFFD\uFFFD" + `"`,
	} {
		if got := string(appendString(nil, s)); got != want {
			t.Errorf("appendString(%q) = %s, want %s", s, got, want)
		}
	}
}

// FuzzAppendProxy checks that no input breaks the event's JSON, and that text
// comes back as it went in.
func FuzzAppendProxy(f *testing.F) {
	f.Add("X-A", "v", "q", "1", `{"a":"b"}`)
	f.Add("x\xff", "\"\\\n", "\x00", "\u2028", "😀\xe2\x82")
	f.Fuzz(func(t *testing.T, name, value, param, text, body string) {
		valid := func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
		r := &ConnectRequest{Header: []Field{{name, value}}, Query: []Field{{param, text}}}
		e, _ := decode(t, captured(TypeConnect), r, "")
		if len(e.Headers) != len(e.MultiValueHeaders) {
			t.Errorf("%v has other names than %v", e.Headers, e.MultiValueHeaders)
		}
		if !bytes.ContainsRune([]byte(param), '\uFFFD') && valid(param) == param && valid(text) == text && e.Query[param] != text {
			t.Errorf("query %q=%q became %v", param, text, e.Query)
		}
		e, _ = decode(t, captured(TypeMessage), nil, body)
		if valid(body) == body && *e.Body != body {
			t.Errorf("body %q became %q", body, *e.Body)
		}
	})
}

func TestAppendProxyAllocatesNothing(t *testing.T) {
	c, body := captured(TypeMessage), []byte(`{"action":"sendMessage","data":"hello"}`)
	dst := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { AppendProxy(dst, c, nil, body) }); n != 0 {
		t.Errorf("%v allocations for a MESSAGE", n)
	}
}

func TestNewRequestID(t *testing.T) {
	pattern := regexp.MustCompile(`^[A-Za-z0-9_-]{15}=$`)
	seen := map[string]bool{}
	for range 1000 {
		id := NewRequestID()
		if !pattern.MatchString(id) || seen[id] {
			t.Fatalf("%q has another shape or was there before", id)
		}
		seen[id] = true
	}
}

func TestLookup(t *testing.T) {
	c := captured(TypeMessage)
	for name, want := range map[string]string{
		"apiId":             "aabbccdd",
		"connectedAt":       "1701245041796",
		"connectionId":      "PJqB0fHsqRcCHlw=",
		"domainName":        testHost,
		"eventType":         "MESSAGE",
		"extendedRequestId": "PJqCFEqHqRcFd0w=",
		"identity.sourceIp": "123.45.123.45",
		"isBase64Encoded":   "false",
		"messageDirection":  "IN",
		"messageId":         "PJqCFfHyKRcCHlw=",
		"requestId":         "PJqCFEqHqRcFd0w=",
		"requestTime":       "29/Nov/2023:08:04:03 +0000",
		"requestTimeEpoch":  "1701245043417",
		"routeKey":          "sendMessage",
		"stage":             "production",
	} {
		if got, ok := c.Lookup(name); got != want || !ok {
			t.Errorf("Lookup(%q) = %q, %v; want %q", name, got, ok, want)
		}
		if !KnownVariable(name) {
			t.Errorf("%q is not known", name)
		}
	}
	for _, name := range []string{"identity.userAgent", "identity.userArn", "authorizer.principalId", "disconnectReason", "disconnectStatusCode", "status"} {
		if got, ok := c.Lookup(name); got != "" || ok {
			t.Errorf("Lookup(%q) = %q, %v; it has no value", name, got, ok)
		}
		if !KnownVariable(name) {
			t.Errorf("%q is not known", name)
		}
	}
	for _, name := range []string{"", "ConnectionId", "authorizer", "authorizer.", "identity", "nope"} {
		if _, ok := c.Lookup(name); ok || KnownVariable(name) {
			t.Errorf("%q is no context variable", name)
		}
	}
	if got, _ := captured(TypeDisconnect).Lookup("disconnectStatusCode"); got != "1005" {
		t.Errorf("disconnectStatusCode = %q", got)
	}
	if got, _ := captured(TypeConnect).Lookup("identity.userAgent"); got != testAgent {
		t.Errorf("identity.userAgent = %q", got)
	}
}

func BenchmarkAppendProxy(b *testing.B) {
	for _, c := range []struct {
		name  string
		event Type
		body  string
	}{
		{"connect", TypeConnect, ""},
		{"message", TypeMessage, `{"action":"sendMessage","data":"` + strings.Repeat("lorem ipsum ", 19)[:256-34] + `"}`}, // 256 bytes
		{"message30KiB", TypeMessage, `{"action":"sendMessage","data":"` + strings.Repeat("lorem ipsum ", 2500) + `"}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			ctx, r, body := captured(c.event), handshake(), []byte(c.body)
			dst := make([]byte, 0, 64<<10)
			b.ReportAllocs()
			for b.Loop() {
				AppendProxy(dst, ctx, r, body)
			}
		})
	}
}

func BenchmarkNewRequestID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		NewRequestID()
	}
}
