package integration

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/sigv4"
)

const (
	testAccount  = "000000000000"
	testRegion   = "eu-west-1"
	testFunction = "arn:aws:lambda:eu-west-1:000000000000:function:chat:live"
)

var testKeys = sigv4.Credentials{AccessKeyID: "AKIATEST", SecretAccessKey: "secret"}

// message is a request of a MESSAGE event with the given payload.
func message(payload string) *Request {
	return &Request{
		Context: &event.Context{
			APIID: "aabbccdd", Stage: "prod", RouteKey: "sendMessage", EventType: event.TypeMessage,
		},
		Payload: []byte(payload),
	}
}

// connect is the request of a handshake.
func connect() *Request {
	r := message("")
	r.Context.EventType, r.Context.RouteKey = event.TypeConnect, "$connect"
	r.Connect = &event.ConnectRequest{}
	return r
}

// newLambda returns an invoker of testFunction on a Lambda API that the handler
// plays.
func newLambda(t testing.TB, timeout time.Duration, h http.HandlerFunc) Invoker {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return NewLambda(LambdaConfig{
		Endpoint: server.URL + "/", Client: server.Client(), Region: testRegion, Account: testAccount,
		Credentials: testKeys, Timeout: timeout,
	}, testFunction)
}

func TestLambdaRequest(t *testing.T) {
	type seen struct{ Method, Path, SourceARN, SourceAccount, ContentType, Body string }
	var got seen
	var verified error
	l := newLambda(t, 0, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a, err := sigv4.Parse(r)
		if err == nil {
			err = a.Verify(r, body, testKeys.SecretAccessKey, time.Now())
		}
		if err == nil && (a.AccessKeyID != testKeys.AccessKeyID || a.Service != "lambda" || a.Region != testRegion) {
			err = errors.New("signed for another scope: " + a.AccessKeyID + " " + a.Service + " " + a.Region)
		}
		if err == nil && !strings.Contains(strings.Join(a.SignedHeaders, ";"), "x-amz-source-account;x-amz-source-arn") {
			err = errors.New("the source headers are not signed")
		}
		verified = err
		got = seen{r.Method, r.URL.Path, r.Header.Get("X-Amz-Source-Arn"), r.Header.Get("X-Amz-Source-Account"),
			r.Header.Get("Content-Type"), string(body)}
		io.WriteString(w, `{"statusCode":200,"headers":{"X-A":"b"},"body":"pong"}`)
	})
	resp, err := l.Invoke(context.Background(), message(`{"body":"ping"}`))
	if err != nil {
		t.Fatal(err)
	}
	if verified != nil {
		t.Errorf("signature: %v", verified)
	}
	want := seen{"POST", "/2015-03-31/functions/" + testFunction + "/invocations",
		"arn:aws:execute-api:eu-west-1:000000000000:aabbccdd/prod/sendMessage", testAccount, "application/json", `{"body":"ping"}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	answer := &Response{Status: 200, Header: []event.Field{{Name: "X-A", Value: "b"}}, Body: []byte("pong")}
	if diff := cmp.Diff(answer, resp); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

// TestLambdaSourceARN checks that no route key breaks the request or its
// signature.
func TestLambdaSourceARN(t *testing.T) {
	for key, want := range map[string]string{
		"$default":           "$default",
		"chat/join":          "chat/join",
		"join  the room":     "join  the room",
		"é":                  "é",
		"a\r\nX-Evil: 1\x7f": "a%0D%0AX-Evil: 1%7F",
	} {
		var got string
		var verified error
		l := newLambda(t, 0, func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Get("X-Amz-Source-Arn")
			body, _ := io.ReadAll(r.Body)
			a, err := sigv4.Parse(r)
			if err == nil {
				err = a.Verify(r, body, testKeys.SecretAccessKey, time.Now())
			}
			verified = err
			io.WriteString(w, `{"statusCode":200}`)
		})
		r := message("{}")
		r.Context.RouteKey = apigw.RouteKey(key)
		if _, err := l.Invoke(context.Background(), r); err != nil || verified != nil {
			t.Errorf("route key %q: %v, %v", key, err, verified)
		}
		if got, ok := strings.CutPrefix(got, "arn:aws:execute-api:eu-west-1:000000000000:aabbccdd/prod/"); !ok || got != want {
			t.Errorf("route key %q is sent as %q, want %q", key, got, want)
		}
	}
}

func TestLambdaOutcomes(t *testing.T) {
	for _, c := range []struct {
		name    string
		request *Request
		status  int
		header  http.Header
		body    string
		kind    error
		detail  string
		want    *Response
	}{
		{name: "no status on a message", request: message("{}"), body: `{"body":"x"}`, want: &Response{Body: []byte("x")}},
		{name: "status 500", request: message("{}"), body: `{"statusCode":500,"body":"x"}`, want: &Response{Status: 500, Body: []byte("x")}},
		{name: "status 401 on $connect", request: connect(), body: `{"statusCode":401}`, want: &Response{Status: 401}},
		{name: "no status on $connect", request: connect(), body: `{}`, kind: ErrMalformed, detail: "statusCode"},
		{name: "null", request: message("{}"), body: `null`, kind: ErrMalformed, detail: "null, not an object"},
		{name: "extra key", request: message("{}"), body: `{"statusCode":200,"Data":1}`, kind: ErrMalformed, detail: `"Data"`},
		{name: "thrown", request: message("{}"), header: http.Header{"X-Amz-Function-Error": {"Unhandled"}},
			body: `{"errorType":"TypeError","errorMessage":"x is undefined","trace":["secret"]}`, kind: ErrFunction, detail: "TypeError: x is undefined"},
		{name: "thrown without type", request: message("{}"), header: http.Header{"X-Amz-Function-Error": {"Unhandled"}},
			body: `{"errorMessage":"Task timed out after 1.00 seconds"}`, kind: ErrFunction, detail: "Task timed out after 1.00 seconds"},
		{name: "thrown junk", request: message("{}"), header: http.Header{"X-Amz-Function-Error": {"Unhandled"}},
			body: "junk\xff", kind: ErrFunction, detail: "junk"},
		{name: "a function error that looks like a reply", request: message("{}"), header: http.Header{"X-Amz-Function-Error": {"Handled"}},
			body: `{"statusCode":200}`, kind: ErrFunction, detail: `{"statusCode":200}`},
		{name: "missing", request: message("{}"), status: 404, header: http.Header{"X-Amzn-Errortype": {"ResourceNotFoundException:http://x"}},
			body: `{"Type":"User","Message":"Function not found: arn"}`, kind: ErrRefused, detail: "404 ResourceNotFoundException: Function not found: arn"},
		{name: "no permission", request: message("{}"), status: 403, header: http.Header{"X-Amzn-Errortype": {"AccessDeniedException"}},
			body: `{"message":"not authorized"}`, kind: ErrRefused, detail: "403 AccessDeniedException: not authorized"},
		{name: "throttled", request: message("{}"), status: 429, body: `{"message":"Rate Exceeded."}`, kind: ErrRefused, detail: "429 : Rate Exceeded."},
		{name: "no JSON", request: message("{}"), status: 502, body: `<html>`, kind: ErrRefused, detail: "502 : <html>"},
		{name: "accepted only", request: message("{}"), status: 202, kind: ErrRefused, detail: "202"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLambda(t, 0, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Amzn-Requestid", "aws-1")
				for name, values := range c.header {
					w.Header()[name] = values
				}
				if c.status != 0 {
					w.WriteHeader(c.status)
				}
				io.WriteString(w, c.body)
			})
			got, err := l.Invoke(context.Background(), c.request)
			if c.kind != nil {
				checkError(t, err, c.kind, c.detail)
				var e *Error
				if status := max(c.status, http.StatusOK); errors.As(err, &e) && (e.Status != status || e.RequestID != "aws-1") {
					t.Errorf("it was answered with %d by %q, want %d by aws-1", e.Status, e.RequestID, status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.want.RequestID = "aws-1"
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// checkError checks an invocation's error: its kind, and that its detail has
// the text.
func checkError(t *testing.T, err, kind error, detail string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, kind) || e.Kind != kind || !strings.Contains(e.Detail, detail) {
		t.Errorf("got %v, want kind %v with %q", err, kind, detail)
	}
	if err != nil && len(err.Error()) > 2*maxDetail {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func TestLambdaTimeout(t *testing.T) {
	release := make(chan struct{})
	l := newLambda(t, time.Millisecond, func(http.ResponseWriter, *http.Request) { <-release })
	_, err := l.Invoke(context.Background(), message("{}"))
	close(release)
	checkError(t, err, ErrTimeout, "within 1ms")
}

// TestLambdaSlowBody is a result that begins in time and doesn't end.
func TestLambdaSlowBody(t *testing.T) {
	release := make(chan struct{})
	l := newLambda(t, 50*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"statusCode":`)
		http.NewResponseController(w).Flush()
		<-release
	})
	_, err := l.Invoke(context.Background(), message("{}"))
	close(release)
	checkError(t, err, ErrTimeout, "within 50ms")
}

func TestLambdaCancelled(t *testing.T) {
	l := newLambda(t, 0, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := l.Invoke(ctx, message("{}"))
	checkError(t, err, ErrUnreachable, "given up")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not context.Canceled", err)
	}
}

func TestLambdaUnreachable(t *testing.T) {
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("nobody listens")
	}}}
	l := NewLambda(LambdaConfig{Endpoint: "http://lambda?token=secret", Client: client}, testFunction)
	_, err := l.Invoke(context.Background(), message("{}"))
	checkError(t, err, ErrUnreachable, "nobody listens")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%v shows the URL", err)
	}
	l = NewLambda(LambdaConfig{Endpoint: "http://[bad", Client: client}, testFunction)
	_, err = l.Invoke(context.Background(), message("{}"))
	checkError(t, err, ErrUnreachable, "no URL")
}

func TestLambdaResultTooBig(t *testing.T) {
	big := strings.Repeat("x", maxLambdaResult+1)
	for name, chunked := range map[string]bool{"announced": false, "chunked": true} {
		t.Run(name, func(t *testing.T) {
			l := newLambda(t, 0, func(w http.ResponseWriter, _ *http.Request) {
				if chunked {
					http.NewResponseController(w).Flush()
				}
				io.WriteString(w, big)
			})
			_, err := l.Invoke(context.Background(), message("{}"))
			checkError(t, err, ErrMalformed, "more than 6291556 bytes")
		})
	}
}

func TestParseLambdaURI(t *testing.T) {
	const fn = "arn:aws:lambda:us-east-1:123456789012:function:chat"
	const before, after = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/", "/invocations"
	vars := map[string]string{"fn": "chat", "alias": "live"}
	for uri, want := range map[string]string{
		before + fn + after:                              fn,
		before + fn + ":live" + after:                    fn + ":live",
		before + fn + ":$LATEST" + after:                 fn + ":$LATEST",
		before + fn + ":${stageVariables.alias}" + after: fn + ":live",
		fn:        fn,
		fn + ":1": fn + ":1",
		"arn:aws:lambda:us-east-1:123456789012:function:${stageVariables.fn}":                                                                fn,
		"arn:aws-cn:apigateway:cn-north-1:lambda:path/2015-03-31/functions/arn:aws-cn:lambda:cn-north-1:123456789012:function:f/invocations": "arn:aws-cn:lambda:cn-north-1:123456789012:function:f",
	} {
		if got, err := ParseLambdaURI(uri, vars); err != nil || got != want {
			t.Errorf("ParseLambdaURI(%q) = %q, %v; want %q", uri, got, err, want)
		}
	}
	for uri, want := range map[string]string{
		"":                      "names no Lambda function",
		"chat":                  "names no Lambda function",
		"https://example.org/":  "names no Lambda function",
		before + "chat" + after: "names no Lambda function",
		before + fn:             "names no Lambda function",
		fn + ":":                "names no Lambda function",
		fn + "/../x":            "names no Lambda function",
		fn + ":a:b":             "names no Lambda function",
		"arn:aws:apigateway:us-east-1:dynamodb:action/PutItem": "names no Lambda function",
		fn + ":${stageVariables.none}":                         "with its stage variables filled in",
	} {
		if got, err := ParseLambdaURI(uri, vars); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseLambdaURI(%q) = %q, %v; want an error with %q", uri, got, err, want)
		}
	}
}

func FuzzParseLambdaURI(f *testing.F) {
	f.Add("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:${stageVariables.x}/invocations", "chat")
	f.Fuzz(func(t *testing.T, uri, value string) {
		arn, err := ParseLambdaURI(uri, map[string]string{"x": value})
		if err == nil && strings.ContainsAny(arn, "/?#% \r\n") {
			t.Fatalf("%q yields %q", uri, arn)
		}
	})
}

// BenchmarkLambda is a whole invocation over an in-memory connection, as in one
// process; "request" is what Tidegate adds to net/http's own.
func BenchmarkLambda(b *testing.B) {
	listener := newPipeListener()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"statusCode":200}`)
	})}
	go server.Serve(listener)
	defer server.Close()
	config := LambdaConfig{
		Endpoint: "http://lambda.local", Region: testRegion, Account: testAccount, Credentials: testKeys,
		Client: &http.Client{Transport: &http.Transport{DialContext: listener.dial, MaxIdleConnsPerHost: 64}},
	}
	r := message(string(event.AppendProxy(nil, message("").Context, nil, []byte(`{"action":"sendmessage","data":"hello"}`))))
	b.Run("invoke", func(b *testing.B) {
		l := NewLambda(config, testFunction)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.Invoke(context.Background(), r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("request", func(b *testing.B) {
		f := NewFunction(config, testFunction)
		b.ReportAllocs()
		for b.Loop() {
			f.request(context.Background(), Call{SourceARN: f.routeARN(r.Context), RequestID: r.Context.RequestID, Payload: r.Payload}, config.Credentials)
		}
	})
}

// pipeListener is an in-memory listener.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{make(chan net.Conn), make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
