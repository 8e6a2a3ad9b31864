package observe

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/gateway"
	"tidegate/internal/service/functions"
	"tidegate/internal/transport"
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
	if detail := strings.Join(n.Detail, "|"); detail != `why: it threw|client got {"message": "Internal server error"}` {
		t.Errorf("detail %s", detail)
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
	if !strings.HasSuffix(n.Text, "  Runtime.ImportModuleError: Cannot find module 'x'  [r]") || n.Attr("errorMessage") != message {
		t.Errorf("invocation: %q with %v", n.Text, n.Attrs)
	}
	o.Gateway(asIs).ConnectEnd(gateway.ConnectInfo{Outcome: gateway.FunctionError, Err: errors.New(message)})
	n = next(t, notices)
	if len(n.Detail) != 1 || n.Detail[0] != "why: Cannot find module 'x'" || n.Attr("why") != message {
		t.Errorf("handshake: %q with %v", n.Detail, n.Attrs)
	}
	o.Transport().Dropped(transport.DropInfo{Reason: transport.DropFrameTooBig, Bytes: 9, Code: 1009})
	if n = next(t, notices); !strings.HasPrefix(n.Text, transport.DropFrameTooBig) {
		t.Errorf("dropped: %q", n.Text)
	}
}

func TestStrangersAreToldOnce(t *testing.T) {
	o := New()
	notices, stop := o.Subscribe()
	defer stop()
	l := o.AWS()
	for range 3 {
		l.Unverified("dynamodb", "AKIA", "r")
		l.Unverified("dynamodb", "", "r")
	}
	next(t, notices)
	next(t, notices)
	if len(notices) != 0 {
		t.Errorf("%d notices too many", len(notices))
	}
	l.Denied(awshttp.Denial{Principal: "p", Action: "a", Resource: "r", Why: "w"})
	if n := next(t, notices); !strings.Contains(n.Text, "AWS would refuse") {
		t.Errorf("a denial that goes on: %q", n.Text)
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
