package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/internal/integration"
	"tidegate/internal/stage"
)

// kept is a Logs of a test's: lines by group.
type kept struct {
	mu    sync.Mutex
	lines map[string][]string
}

func (k *kept) WriteLog(to stage.LogTarget, _ time.Time, line []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lines == nil {
		k.lines = map[string][]string{}
	}
	k.lines[to.Group] = append(k.lines[to.Group], string(line))
}

func (k *kept) of(group string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lines[group]
}

// loggedStage publishes a stage with routes to functions, logs and settings.
func (g *rig) loggedStage(format string, settings apigw.RouteSettings, routes ...string) {
	g.t.Helper()
	def := &apigw.Definition{APIID: "abc", RouteSelectionExpression: "$request.body.action"}
	for i, text := range routes {
		key, name, _ := strings.Cut(text, "=")
		id := fmt.Sprint("i", i)
		def.Integrations = append(def.Integrations, &apigw.Integration{ID: id, Type: apigw.IntegrationAWSProxy, URI: "arn:aws:lambda:us-east-1:000000000000:function:" + name})
		def.Routes = append(def.Routes, &apigw.Route{Key: apigw.RouteKey(key), Target: "integrations/" + id, Responses: map[string]*apigw.RouteResponse{"x": {Key: "$default"}}})
	}
	st := &apigw.Stage{Name: "Prod", DefaultRouteSettings: settings}
	if format != "" {
		st.AccessLog = apigw.AccessLogSettings{DestinationARN: "arn:aws:logs:us-east-1:000000000000:log-group:access", Format: format}
	}
	g.compile(def, st)
}

const everything = `$context.eventType $context.routeKey $context.status $context.error.messageString $context.error.responseType ` +
	`$context.integration.status $context.integrationStatus $context.integrationLatency $context.integration.requestId ` +
	`$context.identity.sourceIp $context.stage $context.apiId $context.waf.status $context.authorizer.principalId $context.requestTime`

func TestAccessLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := &kept{}
		slow := func(_ context.Context, r *integration.Request) (*integration.Response, error) {
			time.Sleep(7 * time.Millisecond)
			return &integration.Response{Status: 204, RequestID: "aws-1"}, nil
		}
		g := newRig(t, Config{Logs: logs}, map[string]backend{"yes": answer(200, ""), "slow": slow, "bad": fail(integration.ErrFunction)})
		g.loggedStage(everything, apigw.RouteSettings{}, "$connect=yes", "slow=slow", "bad=bad", "$disconnect=yes")
		c := g.connect()
		for _, m := range []string{"slow", "bad", "nowhere"} {
			c.send(`{"action":"` + m + `"}`)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		c.leave(1000, "bye")
		synctest.Wait()
		want := []string{
			`CONNECT $connect 200 - - 200 200 0 - 192.0.2.1 Prod abc - - 01/Jan/2000:00:00:00 +0000`,
			`MESSAGE slow 200 - - 204 200 7 aws-1 192.0.2.1 Prod abc - - 01/Jan/2000:00:00:00 +0000`,
			`MESSAGE bad 502 "Internal server error" INTEGRATION_FAILURE - - 0 - 192.0.2.1 Prod abc - - 01/Jan/2000:00:00:01 +0000`,
			`MESSAGE - 403 "Forbidden" - - - - - 192.0.2.1 Prod abc - - 01/Jan/2000:00:00:02 +0000`,
			`DISCONNECT $disconnect 200 - - 200 200 0 - 192.0.2.1 Prod abc - - 01/Jan/2000:00:00:03 +0000`,
		}
		if diff := cmp.Diff(want, logs.of("access")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if n := len(logs.lines); n != 1 {
			t.Errorf("lines in %d groups: %v", n, logs.lines)
		}
	})
}

// TestAccessLogOfRefusals has a line for each handshake that was refused, and
// for a stage without lifecycle routes.
func TestAccessLogOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := &kept{}
		g := newRig(t, Config{Logs: logs}, map[string]backend{"no": answer(401, "")})
		const format = "$context.eventType $context.status $context.error.message $context.error.responseType"
		g.loggedStage(format, apigw.RouteSettings{}, "$connect=no")
		if _, err := g.gateway.Connect(context.Background(), request()); err == nil {
			t.Error("it was admitted")
		}
		zero := 0
		g.loggedStage(format, apigw.RouteSettings{ThrottlingBurstLimit: &zero})
		if _, err := g.gateway.Connect(context.Background(), request()); err == nil {
			t.Error("it was admitted")
		}
		g.loggedStage(format, apigw.RouteSettings{})
		g.connect().leave(1001, "")
		synctest.Wait()
		want := []string{"CONNECT 401 Unauthorized -", "CONNECT 429 Too Many Requests THROTTLED", "CONNECT 200 - -", "DISCONNECT 200 - -"}
		if diff := cmp.Diff(want, logs.of("access")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// TestAccessLogStaysItsFormat lets clients choose what a line holds, and it
// stays one line of JSON.
func TestAccessLogStaysItsFormat(t *testing.T) {
	logs := &kept{}
	g := newRig(t, Config{Logs: logs}, nil)
	g.loggedStage(`{"agent":"$context.identity.userAgent","requestId":"$context.requestId"}`, apigw.RouteSettings{})
	r := request()
	r.Identity.UserAgent = "a\"b\\c\nd\x7fé"
	a, err := g.gateway.Connect(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	g.gateway.Disconnect(context.Background(), a.Connection, event.CloseReason{Code: 1000})
	for _, line := range logs.of("access") {
		var v struct{ Agent string }
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.Agent != r.Identity.UserAgent || strings.Contains(line, "\n") {
			t.Errorf("%q: %q, %v", line, v.Agent, err)
		}
	}
	if len(logs.of("access")) != 2 {
		t.Errorf("%q", logs.lines)
	}
}

func TestExecutionLog(t *testing.T) {
	const group = "API-Gateway-Execution-Logs_abc/Prod"
	for _, tt := range []struct {
		name         string
		settings     apigw.RouteSettings
		has, without []string
	}{
		{"off", apigw.RouteSettings{LoggingLevel: "OFF", DataTraceEnabled: true}, nil, []string{"("}},
		{"errors", apigw.RouteSettings{LoggingLevel: "ERROR"}, []string{"Execution failed: function-error: function error: detail", "Execution failed: no-route"}, []string{"Successfully", "secret", "Starting"}},
		{"info", apigw.RouteSettings{LoggingLevel: "INFO"}, []string{
			"Extended Request Id: ", "Client [UserAgent: test, SourceIp: 192.0.2.1] is connecting to WebSocket API [abc].", "Sending request to arn:aws:lambda:us-east-1:000000000000:function:yes",
			"Received response. Status: 200, Integration latency: 0 ms", "Successfully completed execution", "Method completed with status: 502", "disconnected from WebSocket API [abc] with status code 1000.",
		}, []string{"secret"}},
		{"trace", apigw.RouteSettings{LoggingLevel: "INFO", DataTraceEnabled: true}, []string{"Endpoint response body before transformations: secret out", "Endpoint request body after transformations: {"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logs := &kept{}
				g := newRig(t, Config{Logs: logs}, map[string]backend{"yes": answer(200, "secret out"), "bad": fail(integration.ErrFunction)})
				g.loggedStage("", tt.settings, "$connect=yes", "yes=yes", "bad=bad")
				c := g.connect()
				c.send(`{"action":"yes","in":"secret in` + strings.Repeat("é", 1000) + `"}`)
				c.send(`{"action":"bad"}`)
				c.send(`{"action":"nowhere"}`)
				c.leave(1000, "")
				synctest.Wait()
				all := strings.Join(logs.of(group), "\n")
				for _, text := range tt.has {
					if !strings.Contains(all, text) {
						t.Errorf("no %q in\n%s", text, all)
					}
				}
				for _, text := range tt.without {
					if strings.Contains(all, text) {
						t.Errorf("%q is in\n%s", text, all)
					}
				}
				for _, line := range logs.of(group) {
					if len(line) > stage.MaxLogEntry || strings.ToValidUTF8(line, "") != line {
						t.Errorf("an entry of %d bytes: %q", len(line), line)
					}
				}
			})
		})
	}
}

// nowhere is a Logs that keeps a copy of the last line, as one that sends it
// must.
type nowhere struct{ last string }

func (n *nowhere) WriteLog(_ stage.LogTarget, _ time.Time, line []byte) { n.last = string(line) }

// BenchmarkAccessLog is the cost of one line alone: 1 allocation, the copy that
// is kept.
func BenchmarkAccessLog(b *testing.B) {
	sink := &nowhere{}
	g := New(Config{Logs: sink})
	to := &stage.AccessLog{Format: stage.ParseLogFormat(`{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","requestTime":"$context.requestTime","routeKey":"$context.routeKey","status":"$context.status","connectionId":"$context.connectionId","latency":"$context.integrationLatency"}`)}
	l := &logged{status: 200, outcome: Done, context: &event.Context{RequestID: "fcBBbGO0oAMFhdA=", ConnectionID: "fcBBbGO0oAMFhdA=", RouteKey: "sendmessage", Identity: event.Identity{SourceIP: "192.0.2.1"}, RequestTime: time.Now()}}
	b.ReportAllocs()
	for b.Loop() {
		g.logAccess(to, l)
	}
}
