package observe

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tidegate/internal/awshttp"
	"tidegate/internal/event"
	"tidegate/internal/gateway"
	"tidegate/internal/parity"
	"tidegate/internal/service/functions"
	"tidegate/sigv4"
)

// report is the observer's, without the words of each kind.
func report(t *testing.T, o *Observer, want ...parity.Entry) {
	t.Helper()
	if diff := cmp.Diff(want, o.Parity(), cmpopts.IgnoreFields(parity.Entry{}, "At", "Here", "OnAWS", "Do"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestCallsAreReported holds what of calls AWS would refuse, and that the request
// of the gateway's whose function called is named.
func TestCallsAreReported(t *testing.T) {
	o := New()
	l := o.AWS()
	request := &sigv4.Request{Method: "POST", Path: "/dev/%40connections/a%3D", Header: []sigv4.Field{{Name: event.TraceHeader, Value: event.Trace("L0SM9cOFvHcFa7Q=", time.Now())}}}
	for _, call := range []awshttp.Leniency{
		{Reason: awshttp.LenientUnsigned}, {Reason: awshttp.LenientUnsigned},
		{Reason: awshttp.LenientUnknownKey, AccessKeyID: "AKIA"},
		{Reason: awshttp.LenientRootKey, AccessKeyID: "tidegate"}, // tidegate env gives that one
		{Reason: awshttp.LenientRootKey, AccessKeyID: "test"},
		{Reason: awshttp.LenientToken, AccessKeyID: "test"},
		{Reason: awshttp.LenientRegion, AccessKeyID: "test", Region: "eu-west-1"},
	} {
		call.Service, call.RequestID, call.Request = "execute-api", "call", request
		l.Lenient(call)
	}
	l.Denied(awshttp.Denial{Principal: "arn:aws:sts::000000000000:assumed-role/Chat/x", Action: "dynamodb:PutItem", Resource: "arn:table", RequestID: "call"})
	l.Denied(awshttp.Denial{Principal: "apigateway.amazonaws.com", Action: "lambda:InvokeFunction", Resource: "arn:aws:lambda:us-east-1:000000000000:function:Chat", RequestID: "call"})
	l.Denied(awshttp.Denial{Principal: "p", Action: "a", Enforced: true}) // as on AWS
	const where, origin = "POST /dev/@connections/a=", "L0SM9cOFvHcFa7Q="
	report(t, o,
		parity.Entry{Kind: parity.UnsignedCall, Subject: "execute-api", Count: 2, RequestID: origin, Where: where},
		parity.Entry{Kind: parity.UnknownKey, Subject: "execute-api with AKIA", Count: 1, RequestID: origin, Where: where},
		parity.Entry{Kind: parity.LocalKey, Subject: "execute-api", Count: 1, RequestID: origin, Where: where},
		parity.Entry{Kind: parity.StrayToken, Subject: "execute-api with test", Count: 1, RequestID: origin, Where: where},
		parity.Entry{Kind: parity.ForeignRegion, Subject: "execute-api in eu-west-1", Count: 1, RequestID: origin, Where: where},
		parity.Entry{Kind: parity.PolicyDenies, Subject: "assumed-role/Chat/x dynamodb:PutItem", Count: 1, RequestID: "call", Where: "arn:table"},
		parity.Entry{Kind: parity.NoPermission, Subject: "apigateway.amazonaws.com → function:Chat", Count: 1, RequestID: "call", Where: "arn:aws:lambda:us-east-1:000000000000:function:Chat"},
	)
}

func TestBackendsAreReported(t *testing.T) {
	o := New()
	l := o.Gateway(asIs)
	for _, target := range []string{
		"POST http://localhost:3000/hook", "GET http://10.1.2.3/", "POST http://backend:80/", "GET http://host.docker.internal/", "ANY http://[::1]:9/",
		"POST https://example.com/", "POST http://1.2.3.4/", "MOCK", "arn:aws:lambda:us-east-1:000000000000:function:F", "",
	} {
		l.MessageEnd(gateway.MessageInfo{Subject: gateway.Subject{RouteKey: "send", RequestID: "r", Target: target}, Outcome: gateway.Done})
	}
	var got []string
	for _, e := range o.Parity() {
		got = append(got, string(e.Kind)+" "+e.Subject+" "+e.Where)
	}
	want := []string{"local-backend ANY http://[::1]:9/ route send", "local-backend GET http://10.1.2.3/ route send", "local-backend GET http://host.docker.internal/ route send",
		"local-backend POST http://backend:80/ route send", "local-backend POST http://localhost:3000/hook route send"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestFunctionsAreReported holds that only what is written well after a function
// returned is work after its return.
func TestFunctionsAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New()
		notices, stop := o.Subscribe()
		defer stop()
		l := o.Functions(asIs)
		invoke := func(id, failure string) {
			l.InvocationBegin(functions.InvocationBegin{Function: "F", RequestID: id})
			time.Sleep(time.Minute)
			l.Output(functions.Output{Function: "F", RequestID: id, Line: "while it runs"})
			l.InvocationEnd(functions.InvocationEnd{Function: "F", RequestID: id, ErrorType: failure, Memory: 128, MemorySize: 128})
			l.Output(functions.Output{Function: "F", RequestID: id, Line: "at once"})
			time.Sleep(time.Second)
		}
		invoke("failed", "Runtime.ExitError")
		l.Output(functions.Output{Function: "F", RequestID: "failed", Line: "last words"})
		invoke("retried", "")
		l.InvocationBegin(functions.InvocationBegin{Function: "F", RequestID: "retried", Attempt: 2})
		l.Output(functions.Output{Function: "F", RequestID: "retried", Line: "again"})
		report(t, o)
		invoke("returned", "")
		l.Output(functions.Output{Function: "F", RequestID: "returned", Line: "tick"})
		l.Output(functions.Output{Function: "F", RequestID: "returned", Line: "tick"})
		l.InvocationEnd(functions.InvocationEnd{Function: "F", RequestID: "big", Memory: 129, MemorySize: 128})
		l.OtherRuntime(functions.OtherRuntime{Function: "F", Runtime: "nodejs8.10", Runs: "Node.js 20"})
		report(t, o,
			parity.Entry{Kind: parity.WorkAfterReturn, Subject: "F", Count: 2, RequestID: "returned", Where: "1s later it wrote: tick"},
			parity.Entry{Kind: parity.OverMemory, Subject: "F", Count: 1, RequestID: "big", Where: "129 MB of 128"},
			parity.Entry{Kind: parity.OtherRuntime, Subject: "F", Count: 1, Where: "nodejs8.10 is run by Node.js 20"},
		)
		told := 0
		for range len(notices) {
			if n := <-notices; n.Kind == KindParity {
				told++
				if n.Level != slog.LevelDebug || n.Attr("id") == "" || n.Attr("do") == "" {
					t.Errorf("notice %+v", n)
				}
			}
		}
		if told != 3 {
			t.Errorf("%d notices, want one for each entry", told)
		}
	})
}
