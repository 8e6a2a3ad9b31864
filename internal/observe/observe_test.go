package observe

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/cluster"
	"tidegate/internal/event"
	"tidegate/internal/gateway"
	"tidegate/internal/service/functions"
	"tidegate/internal/transport"
	"tidegate/sigv4"
)

func asIs(name string) string { return name }

// next is the next notice, which must be there.
func next(t *testing.T, notices <-chan Notice) Notice {
	t.Helper()
	select {
	case n := <-notices:
		return n
	default:
		t.Fatal("no notice")
		return Notice{}
	}
}

func TestMessagesAreTold(t *testing.T) {
	o := New()
	notices, stop := o.Subscribe()
	defer stop()
	l := o.Gateway(func(name string) string { return strings.TrimPrefix(name, "stack-") })
	l.MessageEnd(gateway.MessageInfo{
		Subject: gateway.Subject{APIID: "api", Stage: "dev", RouteKey: "send", ConnectionID: "id=", RequestID: "req=",
			Target: "arn:aws:lambda:us-east-1:000000000000:function:stack-Send"},
		Outcome: gateway.FunctionError, Err: errors.New("it threw"), Frame: []byte(`{"message": "Internal server error"}`), Duration: 3 * time.Millisecond,
	})
	n := next(t, notices)
	for _, word := range []string{"dev", "id=", "send → Send", "function-error", "3ms"} {
		if !strings.Contains(n.Text, word) {
			t.Errorf("%q doesn't tell %s", n.Text, word)
		}
	}
	if n.Level != slog.LevelWarn || n.Attr("requestId") != "req=" || n.Attr("apiId") != "api" {
		t.Errorf("got %+v", n)
	}
	if detail := strings.Join(n.Detail, "|"); detail != `client got {"message": "Internal server error"}` { // the invocation says why
		t.Errorf("detail %s", detail)
	}
	if n.Attr("why") != "it threw" {
		t.Errorf("why: %q", n.Attr("why"))
	}
	var got map[string]any
	if err := json.Unmarshal(n.AppendJSON(nil), &got); err != nil || got["routeKey"] != "send" || got["ms"] != 3.0 {
		t.Errorf("JSON %v, %v", got, err)
	}
}

// TestLinesStayLines wants the first line of a message that has more, as of a
// module that isn't found, and all of it in the attributes.
func TestLinesStayLines(t *testing.T) {
	o := New()
	notices, stop := o.Subscribe()
	defer stop()
	const message = "Cannot find module 'x'\nRequire stack:\n- app.js"
	o.Functions(asIs).InvocationEnd(functions.InvocationEnd{Function: "F", RequestID: "r", ErrorType: "Runtime.ImportModuleError", ErrorMessage: message})
	n := next(t, notices)
	if n.Text != "F [r]  0µs  Runtime.ImportModuleError: Cannot find module 'x'" || n.Attr("errorMessage") != message {
		t.Errorf("invocation: %q with %v", n.Text, n.Attrs)
	}
	o.Gateway(asIs).ConnectEnd(gateway.ConnectInfo{Outcome: gateway.InvocationRefused, Err: errors.New(message)})
	n = next(t, notices)
	if len(n.Detail) != 1 || n.Detail[0] != "why: Cannot find module 'x'" || n.Attr("why") != message {
		t.Errorf("handshake: %q with %v", n.Detail, n.Attrs)
	}
	o.Transport().Dropped(transport.DropInfo{Reason: transport.DropFrameTooBig, Bytes: 9, Code: 1009})
	if n = next(t, notices); !strings.HasPrefix(n.Text, transport.DropFrameTooBig) {
		t.Errorf("dropped: %q", n.Text)
	}
}

// TestInvocations wants a line of its own for an invocation only where the
// gateway's line doesn't tell it all.
func TestInvocations(t *testing.T) {
	o := New()
	notices, stop := o.Subscribe()
	defer stop()
	l := o.Functions(asIs)
	trace := []string{
		"TypeError: no y", "    at inner (file:///app/boom.mjs:2:38)", "    at new Promise (<anonymous>)", "    at handler (file:///app/boom.mjs:3:108)",
		"    at /data/functions/runtime/bootstrap.cjs:334:24", "    at new Promise (<anonymous>)", "    at invoke (/data/functions/runtime/bootstrap.cjs:292:10)",
		"    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)", "    at more (/app/functions/runtime/index.js:1:1)",
		`    at main (C:\data\functions\runtime\bootstrap.cjs:1:1)`, "  [cause]: (node: own words)", "  File \"app.py\", line 1, in handler\n    fail()\n",
	}
	for _, tt := range []struct {
		name   string
		info   functions.InvocationEnd
		level  slog.Level
		text   string
		detail string
	}{
		{"of the gateway, warm", functions.InvocationEnd{Function: "F", RequestID: "r", Caller: apiGateway, Duration: 12340 * time.Microsecond}, slog.LevelDebug, "F  12ms", ""},
		{"of the gateway, cold", functions.InvocationEnd{Function: "F", RequestID: "r", Caller: apiGateway, Cold: true, Init: 230500 * time.Microsecond}, slog.LevelInfo, "F  0µs  (cold start 231ms)", ""},
		{"of the gateway, with a hint", functions.InvocationEnd{Function: "F", Caller: apiGateway, Hint: "do it so"}, slog.LevelInfo, "F  0µs", "do it so"},
		{"of a rule", functions.InvocationEnd{Function: "F", RequestID: "r", Caller: "events.amazonaws.com"}, slog.LevelInfo, "F  0µs", ""},
		{"that failed", functions.InvocationEnd{Function: "F", RequestID: "r", Caller: apiGateway, ErrorType: "TypeError", ErrorMessage: "no y", Trace: trace, Hint: "mend it"}, slog.LevelError,
			"F [r]  0µs  TypeError: no y", strings.Join([]string{trace[1], trace[2], trace[3], trace[8], `  File "app.py", line 1, in handler`, "    fail()", "mend it"}, "|")},
	} {
		l.InvocationEnd(tt.info)
		n := next(t, notices)
		if n.Level != tt.level || n.Text != tt.text || strings.Join(n.Detail, "|") != tt.detail || n.Attr("caller") != tt.info.Caller {
			t.Errorf("%s: %v %q %q %v", tt.name, n.Level, n.Text, n.Detail, n.Attrs)
		}
		if tt.info.Trace != nil && !strings.Contains(string(n.AppendJSON(nil)), "bootstrap.cjs:334:24") {
			t.Errorf("%s: JSON lacks the whole trace: %s", tt.name, n.AppendJSON(nil))
		}
	}
	l.Output(functions.Output{Function: "F", Line: "loading"})
	l.Output(functions.Output{Function: "F", RequestID: "r", Line: "running"})
	for _, want := range []string{"F  loading", "F [r]  running"} {
		if n := next(t, notices); n.Text != want {
			t.Errorf("output %q, want %q", n.Text, want)
		}
	}
}

// TestDisconnectsAreTold wants the function of $disconnect in the line, since
// its invocation has none when it went well.
func TestDisconnectsAreTold(t *testing.T) {
	o := New()
	notices, stop := o.Subscribe()
	defer stop()
	info := gateway.DisconnectInfo{Subject: gateway.Subject{Stage: "dev", ConnectionID: "id=", RequestID: "req=", Target: "arn:aws:lambda:us-east-1:000000000000:function:Bye"},
		Outcome: gateway.Done, Close: event.CloseReason{Code: 1001, Text: "Going away"}, Lifetime: 6790 * time.Millisecond, Duration: 9 * time.Millisecond}
	o.Gateway(asIs).DisconnectEnd(info)
	if n, want := next(t, notices), "dev  id=  1001 Going away  after 6.8s  $disconnect → Bye  done  9ms  [req=]"; n.Text != want {
		t.Errorf("got  %q\nwant %q", n.Text, want)
	}
	info.Target, info.Outcome = "", gateway.NoRoute
	o.Gateway(asIs).DisconnectEnd(info)
	if n, want := next(t, notices), "dev  id=  1001 Going away  after 6.8s"; n.Text != want || n.Attr("do") != "" || n.Attr("outcome") != string(gateway.NoRoute) {
		t.Errorf("got  %q, to do %q, of outcome %q\nwant %q, and nothing to do", n.Text, n.Attr("do"), n.Attr("outcome"), want)
	}
}

// TestPushesAreTold wants what the outcome doesn't say, and that alone.
func TestPushesAreTold(t *testing.T) {
	o := New()
	notices, stop := o.Subscribe()
	defer stop()
	l := o.Cluster()
	l.PushEnd(cluster.PushInfo{Stage: "dev", ConnectionID: "id=", Size: 3, Outcome: cluster.PushGone, Err: fmt.Errorf("%w: it left", apigw.ErrGone)})
	if n := next(t, notices); n.Text != "dev  to id=  3 bytes  gone  0µs  (it left)" || n.Detail != nil || n.Level != slog.LevelWarn || n.Attr("why") == "" {
		t.Errorf("gone: %+v", n)
	}
	l.PushEnd(cluster.PushInfo{Stage: "dev", ConnectionID: "id=", Size: 128, Outcome: cluster.PushQueued, Duration: 1200 * time.Microsecond, Origin: "theirs=", RequestID: "r"})
	if n := next(t, notices); n.Text != "dev  to id=  128 bytes  queued  1.2ms  [theirs=]" || n.Level != slog.LevelInfo || n.Attr(OriginAttr) != "theirs=" || n.Attr("requestId") != "r" || n.Attr("bytes") != "128" {
		t.Errorf("queued: %+v", n)
	}
	l.PushEnd(cluster.PushInfo{Outcome: cluster.PushFailed, Err: errors.New("the reason")})
	if n := next(t, notices); len(n.Detail) != 1 || n.Detail[0] != "the reason" {
		t.Errorf("failed: %+v", n)
	}
}

func TestStrangersAreToldOnce(t *testing.T) {
	o := New()
	notices, stop := o.Subscribe()
	defer stop()
	l := o.AWS()
	for range 3 {
		for _, reason := range []awshttp.LenientReason{awshttp.LenientUnknownKey, awshttp.LenientUnsigned} {
			key := map[awshttp.LenientReason]string{awshttp.LenientUnknownKey: "AKIA"}[reason]
			l.Lenient(awshttp.Leniency{Reason: reason, Service: "dynamodb", AccessKeyID: key, RequestID: "r", Request: &sigv4.Request{Method: "POST", Path: "/"}})
		}
	}
	for range 2 {
		if n := next(t, notices); n.Kind != KindDenied {
			t.Errorf("a stranger: %+v", n)
		}
		if n := next(t, notices); n.Kind != KindParity || n.Level != slog.LevelDebug {
			t.Errorf("a stranger: %+v", n)
		}
	}
	if len(notices) != 0 {
		t.Errorf("%d notices too many", len(notices))
	}
	l.Denied(awshttp.Denial{Principal: "p", Action: "a", Resource: "r", Why: "w"})
	if n := next(t, notices); !strings.Contains(n.Text, "AWS would refuse") {
		t.Errorf("a denial that goes on: %q", n.Text)
	}
	if n := next(t, notices); n.Kind != KindParity {
		t.Errorf("a denial that goes on: %+v", n)
	}
	l.Denied(awshttp.Denial{Enforced: true})
	if n := next(t, notices); !strings.HasPrefix(n.Text, "refused") {
		t.Errorf("a denial: %q", n.Text)
	}
}

// TestASlowReaderIsTold fills one reader's backlog: the listener doesn't block,
// the reader learns how many it lost, another loses none.
func TestASlowReaderIsTold(t *testing.T) {
	o := New()
	slow, stopSlow := o.Subscribe()
	defer stopSlow()
	const more = 10
	for i := range backlog + more {
		o.Note(Notice{Kind: KindNote, Text: fmt.Sprint(i)})
	}
	for i := range backlog {
		if n := next(t, slow); n.Text != fmt.Sprint(i) {
			t.Fatalf("notice %d is %q", i, n.Text)
		}
	}
	o.Note(Notice{Kind: KindNote, Text: "after"})
	if n := next(t, slow); n.Attr("count") != fmt.Sprint(more) {
		t.Errorf("want to be told of %d lost ones: %+v", more, n)
	}
	if n := next(t, slow); n.Text != "after" {
		t.Errorf("got %q", n.Text)
	}
	o.Close()
	if _, open := <-slow; open {
		t.Error("Close left a subscription open")
	}
	if late, _ := o.Subscribe(); late != nil {
		if _, open := <-late; open {
			t.Error("a subscription after Close is open")
		}
	}
}

func BenchmarkNote(b *testing.B) {
	o := New()
	notices, stop := o.Subscribe()
	defer stop()
	go func() {
		for range notices {
		}
	}()
	l := o.Gateway(asIs)
	info := gateway.MessageInfo{Subject: gateway.Subject{APIID: "api", Stage: "dev", RouteKey: "send", ConnectionID: "id=", Target: "MOCK"}, Outcome: gateway.Done}
	b.ReportAllocs()
	for b.Loop() {
		l.MessageEnd(info)
	}
}

// TestBacklogIsBoundedInBytes: a reader that doesn't read holds no more than its
// bound of long lines, and is told how many it lost once it reads.
func TestBacklogIsBoundedInBytes(t *testing.T) {
	o := New()
	notices, stop := o.Subscribe()
	defer stop()
	line, total := strings.Repeat("x", 256<<10), 100
	for range total {
		o.Note(Notice{Kind: KindOutput, Text: line})
	}
	held := len(notices)
	if bytes := held * len(line); held == 0 || bytes > backlogBytes {
		t.Fatalf("%d of %d lines wait, %d bytes", held, total, bytes)
	}
	for range held {
		next(t, notices)
	}
	o.Note(Notice{Kind: KindOutput, Text: "after"})
	if n := next(t, notices); n.Kind != KindNote || n.Attr("count") != fmt.Sprint(total-held) || !strings.HasPrefix(n.Text, fmt.Sprint(total-held, " events")) {
		t.Errorf("%q, count %s, want %d", n.Text, n.Attr("count"), total-held)
	}
	if n := next(t, notices); n.Text != "after" {
		t.Errorf("then %.20q", n.Text)
	}
	o.Note(Notice{Text: strings.Repeat("y", backlogBytes)}) // alone, however long
	if n := next(t, notices); len(n.Text) != backlogBytes {
		t.Errorf("a long one alone: %d bytes", len(n.Text))
	}
}
