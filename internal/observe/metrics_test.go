package observe

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tidegate/internal/cluster"
	"tidegate/internal/event"
	"tidegate/internal/gateway"
	"tidegate/internal/service/functions"
	"tidegate/internal/transport"
)

func text(t *testing.T, m *Metrics, open ...OpenCount) string {
	t.Helper()
	var b strings.Builder
	if err := m.Write(&b, open); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMetrics(t *testing.T) {
	m := NewMetrics()
	told := 0
	g := m.Gateway(gateway.EventListener{MessageEnd: func(gateway.MessageInfo) { told++ }})
	s := gateway.Subject{APIID: "abc", Stage: "dev", RouteKey: "say", Target: "arn"}
	g.ConnectEnd(gateway.ConnectInfo{Subject: s, Outcome: gateway.RejectedByBackend, BackendStatus: 401, IntegrationLatency: time.Millisecond})
	g.MessageEnd(gateway.MessageInfo{Subject: s, Outcome: gateway.Done, Size: 10, Frame: []byte("four"), Duration: 3 * time.Millisecond, IntegrationLatency: 2 * time.Millisecond})
	g.MessageEnd(gateway.MessageInfo{Subject: s, Outcome: gateway.FunctionError, Size: 1, Frame: []byte("no"), Duration: time.Minute, IntegrationLatency: time.Minute, Err: errors.New("x")})
	g.DisconnectEnd(gateway.DisconnectInfo{Subject: s, Outcome: gateway.NoRoute, Close: event.CloseReason{Code: 4321}})
	m.Cluster(cluster.EventListener{}).PushEnd(cluster.PushInfo{APIID: "abc", Stage: "dev", Outcome: cluster.PushQueued, Size: 6})
	m.Transport(transport.EventListener{}).Dropped(transport.DropInfo{Reason: transport.DropIdle})
	m.Functions(functions.EventListener{}).InvocationEnd(functions.InvocationEnd{Function: `a"b`, Cold: true, ErrorType: "E"})
	table := m.Tables(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }), func(name string) bool { return name == "PutItem" })
	for _, operation := range []string{"PutItem", "Made", "Up"} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
		table.ServeHTTP(httptest.NewRecorder(), r)
	}
	got := text(t, m, OpenCount{"abc", "dev", 7})
	for _, line := range []string{
		"# TYPE tidegate_connections gauge",
		`tidegate_connections{api="abc",stage="dev"} 7`,
		`tidegate_connects_total{api="abc",stage="dev",outcome="rejected-by-backend"} 1`,
		`tidegate_disconnects_total{api="abc",stage="dev",code="application"} 1`,
		`tidegate_messages_total{api="abc",stage="dev",route="say",outcome="done"} 1`,
		`tidegate_message_bytes_total{api="abc",stage="dev",direction="in"} 11`,
		`tidegate_message_bytes_total{api="abc",stage="dev",direction="out"} 12`,
		`tidegate_messages_sent_total{api="abc",stage="dev",kind="push"} 1`,
		`tidegate_integrations_total{api="abc",stage="dev",route="say",outcome="4xx"} 1`,
		`tidegate_integrations_total{api="abc",stage="dev",route="say",outcome="function-error"} 1`,
		`tidegate_pushes_total{api="abc",stage="dev",outcome="queued"} 1`,
		`tidegate_drops_total{reason="idle"} 1`,
		`tidegate_invocations_total{function="a\"b",outcome="error"} 1`,
		`tidegate_cold_starts_total{function="a\"b"} 1`,
		`tidegate_table_operations_total{operation="PutItem",status="4xx"} 1`,
		`tidegate_table_operations_total{operation="other",status="4xx"} 2`,
		"# TYPE tidegate_route_seconds histogram",
		`tidegate_route_seconds_bucket{api="abc",stage="dev",route="say",le="0.0025"} 0`,
		`tidegate_route_seconds_bucket{api="abc",stage="dev",route="say",le="0.005"} 1`,
		`tidegate_route_seconds_bucket{api="abc",stage="dev",route="say",le="29"} 1`,
		`tidegate_route_seconds_bucket{api="abc",stage="dev",route="say",le="+Inf"} 2`,
		`tidegate_route_seconds_sum{api="abc",stage="dev",route="say"} 60.003`,
		`tidegate_route_seconds_count{api="abc",stage="dev",route="say"} 2`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no %s in\n%s", line, got)
		}
	}
	if told != 2 {
		t.Errorf("the next listener heard of %d messages", told)
	}
}

// TestMetricsAreBounded meets more functions than there may be series.
func TestMetricsAreBounded(t *testing.T) {
	m := NewMetrics()
	for i := range maxSeries + 10 {
		m.cold.with(fmt.Sprint("f", i)).Add(1)
	}
	got := text(t, m)
	if !strings.Contains(got, `tidegate_cold_starts_total{function="other"} 10`+"\n") || strings.Count(got, "\ntidegate_cold_starts_total{") != maxSeries+1 {
		t.Errorf("%d series of %d", strings.Count(got, "\ntidegate_cold_starts_total{"), maxSeries+10)
	}
}

func TestMetricsAllocateNothing(t *testing.T) {
	g := NewMetrics().Gateway(gateway.EventListener{})
	i := gateway.MessageInfo{Subject: gateway.Subject{APIID: "abc", Stage: "dev", RouteKey: "say", Target: "arn"}, Outcome: gateway.Done, Frame: []byte("x"), IntegrationLatency: 1}
	if n := testing.AllocsPerRun(100, func() { g.MessageEnd(i) }); n != 0 {
		t.Errorf("counting a message costs %v allocations", n)
	}
}

func BenchmarkMetrics(b *testing.B) {
	g := NewMetrics().Gateway(gateway.EventListener{})
	i := gateway.MessageInfo{Subject: gateway.Subject{APIID: "abc", Stage: "dev", RouteKey: "say", Target: "arn"}, Outcome: gateway.Done, Frame: []byte("x"), IntegrationLatency: 1}
	b.ReportAllocs()
	for b.Loop() {
		g.MessageEnd(i)
	}
}
