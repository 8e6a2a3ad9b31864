package main

import (
	"strings"
	"testing"
)

// TestStageLogs reads a stage's access log and execution log with boto3, as they
// would lie on AWS.
func TestStageLogs(t *testing.T) {
	need(t, "node")
	python := needBoto3(t)
	template := strings.Replace(talkative, "StageName: dev, AutoDeploy: true }", `StageName: dev
        AutoDeploy: true
        DefaultRouteSettings: { LoggingLevel: INFO, DataTraceEnabled: true }
        AccessLogSettings:
          DestinationArn: !GetAtt Access.Arn
          Format: '{"requestId":"$context.requestId","type":"$context.eventType","route":"$context.routeKey","status":"$context.status","integration":"$context.integration.status","agent":"$context.identity.userAgent"}'
  Access: { Type: AWS::Logs::LogGroup, Properties: { LogGroupName: /chat/access } }`, 1)
	template = strings.Replace(template, "Properties: { ApiId: !Ref Api, StageName: dev\n", "Properties:\n        ApiId: !Ref Api\n        StageName: dev\n", 1)
	s := start(t, folder(t, map[string]string{"template.yaml": template}))
	c := s.dial()
	c.say(`{"action":"talk","say":"hello"}`)
	c.say(`{"action":"nobody"}`)
	if !strings.Contains(c.next(), "Forbidden") {
		t.Error("a message without a route got another frame")
	}
	c.WebSocket.Close()
	if _, metrics := get(t, strings.TrimSuffix(s.httpURL(), "/dev")+"/_tidegate/metrics", nil); !strings.Contains(metrics, `stage="dev",outcome="done"} 1`) || !strings.Contains(metrics, "# TYPE tidegate_route_seconds histogram") {
		t.Errorf("metrics:\n%s", metrics)
	}
	stack, err := s.client.Stack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := s.script(nil, python, "-c", `
import boto3, json, sys, time
logs = boto3.client("logs")
def events(group):
    try:
        return [e["message"] for p in logs.get_paginator("filter_log_events").paginate(logGroupName=group) for e in p["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []
for _ in range(300):
    lines = [json.loads(m) for m in events("/chat/access")]
    if len(lines) == 4:
        break
    time.sleep(0.1)
for l in sorted(lines, key=lambda l: (l["type"], l["status"])):
    print(l["type"], l["route"], l["status"], l["integration"])
print(len({l["requestId"] for l in lines}))
steps = events("API-Gateway-Execution-Logs_" + sys.argv[1] + "/dev")
print(any("hello" in s and "Endpoint request body" in s for s in steps), any("Sending request to arn:aws:lambda" in s for s in steps), all(s.startswith("(") for s in steps))
stage = boto3.client("apigatewayv2").get_stage(ApiId=sys.argv[1], StageName="dev")
print(stage["AccessLogSettings"]["DestinationArn"])
`, stack.APIs[0].ID)
	want := "CONNECT $connect 200 -\nDISCONNECT $disconnect 200 -\nMESSAGE talk 200 200\nMESSAGE - 403 -\n4\nTrue True True\narn:aws:logs:us-east-1:000000000000:log-group:/chat/access\n"
	if got = strings.TrimSpace(strings.ReplaceAll(got, "\r", "")); got != strings.TrimSpace(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
