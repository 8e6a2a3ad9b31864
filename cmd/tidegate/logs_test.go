package main

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// talkative is a stack of one function that logs what it is sent.
const talkative = `
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Talk:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs20.x
      Handler: index.handler
      InlineCode: |
        exports.handler = async (event) => {
          process.stdout.write(JSON.stringify({ level: 'info', said: event.say ?? event.body }) + '\n');
          if (event.fail) throw new Error('as told');
          return { statusCode: 200 };
        };
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: talk, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: dev, AutoDeploy: true }
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: talk, Target: !Sub "integrations/${Integration}" }
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Talk.Arn}/invocations
  Permission:
    Type: AWS::Lambda::Permission
    Properties: { Action: lambda:InvokeFunction, FunctionName: !Ref Talk, Principal: apigateway.amazonaws.com }
`

// TestLogsOfTools follows a function's log as AWS's tools do.
func TestLogsOfTools(t *testing.T) {
	need(t, "node")
	python := needBoto3(t)
	s := start(t, folder(t, map[string]string{"template.yaml": talkative}))
	stack, err := s.client.Stack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := stack.Functions[0].Name
	if _, failed, err := s.client.Invoke(t.Context(), name, []byte(`{"say":"hello"}`)); err != nil || failed != "" {
		t.Fatal(failed, err)
	}
	if _, failed, err := s.client.Invoke(t.Context(), name, []byte(`{"say":"boo","fail":true}`)); err != nil || failed == "" {
		t.Fatal("it was to fail: ", err)
	}
	got := s.script(nil, python, "-c", `
import boto3, sys, time
logs = boto3.client("logs")
group = sys.argv[1]
try:
    logs.filter_log_events(logGroupName="/aws/lambda/none")
except logs.exceptions.ResourceNotFoundException:
    print("none")
for _ in range(600): # as aws logs tail --follow polls
    groups = [g["logGroupName"] for g in logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]]
    events = []
    if group in groups:
        events = [e for p in logs.get_paginator("filter_log_events").paginate(logGroupName=group, interleaved=True) for e in p["events"]]
    if sum(e["message"].startswith("REPORT") for e in events) == 2:
        break
    time.sleep(0.1)
for e in events:
    print(e["message"].split("\t")[0].split(" ")[0] if not e["message"].startswith("2") else "ERROR", e["message"].endswith("\n"))
stream = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)["logStreams"][0]["logStreamName"]
print("[$LATEST]" in stream, len(logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]) == len(events))
print(len(logs.filter_log_events(logGroupName=group, filterPattern='{ $.said = "boo" }')["events"]))
`, "/aws/lambda/"+name)
	want := "none\nSTART True\n{\"level\":\"info\",\"said\":\"hello\"}\n True\nEND True\nREPORT True\nSTART True\n{\"level\":\"info\",\"said\":\"boo\"}\n True\nERROR True\nEND True\nREPORT True\nTrue True\n1"
	if got != want {
		t.Errorf("boto3 saw:\n%s\nwant:\n%s", got, want)
	}
	need(t, "aws")
	out := s.script(nil, "aws", "logs", "filter-log-events", "--log-group-name", "/aws/lambda/"+name, "--filter-pattern", `"as told"`, "--query", "events[].message", "--output", "text")
	if !strings.Contains(out, "ERROR\tInvoke Error \t{") || strings.Count(out, "as told") == 0 {
		t.Errorf("the CLI saw:\n%s", out)
	}
	if version, err := exec.CommandContext(t.Context(), "aws", "--version").Output(); err != nil || !strings.HasPrefix(string(version), "aws-cli/2") {
		t.Logf("logs tail is of AWS CLI v2, and this is %s", version)
		return
	}
	// It follows until it is told to end.
	out = s.script(nil, "sh", "-c", `mkfifo "$2" && { aws logs tail "$1" --since 1h --follow --format short >"$2" & sed '/as told/q' "$2"; kill $!; wait; }`,
		"sh", "/aws/lambda/"+name, filepath.Join(t.TempDir(), "tail"))
	if !strings.Contains(out, "START RequestId") || !strings.Contains(out, "as told") {
		t.Errorf("logs tail --follow saw:\n%s", out)
	}
}

// TestLogsOfOneRequest explains a refusal and a function's failure by the id that
// the client got.
func TestLogsOfOneRequest(t *testing.T) {
	need(t, "node")
	s := start(t, folder(t, map[string]string{"template.yaml": strings.Replace(talkative, "if (event.fail)", "if (event.body.includes('fail'))", 1)}))
	c := s.dial()
	of := func(message string) string {
		t.Helper()
		c.say(message)
		var frame struct{ RequestID string }
		if err := json.Unmarshal([]byte(c.next()), &frame); err != nil || frame.RequestID == "" {
			t.Fatalf("no error frame: %v", err)
		}
		return frame.RequestID
	}
	for _, tt := range []struct {
		message string
		want    []string
	}{
		{`{"action":"none"}`, []string{"no-route", `request.body.action`, `\"none\"`}},
		{`{"action":"talk","fail":1}`, []string{"function-error", "as told", `"kind":"output"`, `"kind":"invocation"`, `"kind":"message"`}},
	} {
		id := of(tt.message)
		out, stderr, code := output(t, s.dir, "", "logs", "--request-id", id)
		if code != 0 {
			t.Errorf("%s: exit %d: %s", tt.message, code, stderr)
		}
		for _, word := range tt.want {
			if !strings.Contains(out, word) {
				t.Errorf("%s: the log of request %s lacks %q:\n%s", tt.message, id, word, out)
			}
		}
	}
	for _, tt := range []struct{ name, host, target, want string }{ // what the door refuses
		{"another host", "evil.example", "", "wrong-host"},
		{"a service that Tidegate lacks", "localhost", "TrentService.Encrypt", "kms, which Tidegate lacks"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.run.Endpoint+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tt.host
		if tt.target != "" {
			req.Header.Set("X-Amz-Target", tt.target)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		out, stderr, code := output(t, s.dir, "", "logs", "--request-id", resp.Header.Get("X-Amzn-Requestid"))
		if code != 0 || !strings.Contains(out, tt.want) {
			t.Errorf("%s: exit %d: %s%s", tt.name, code, out, stderr)
		}
	}
	out, _, _ := output(t, s.dir, "", "logs", "Talk")
	if strings.Contains(out, `"kind":"message"`) || !strings.Contains(out, "as told") {
		t.Errorf("logs of the function:\n%s", out)
	}
	if _, stderr, code := output(t, s.dir, "", "logs", "Talc"); code != 1 || !strings.Contains(stderr, "did you mean Talk?") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if _, stderr, code := output(t, s.dir, "", "logs", "--request-id", "none"); code != 1 || !strings.Contains(stderr, "nothing is known") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if out, _, code := output(t, s.dir, "", "__complete", "logs", ""); code != 0 || !strings.Contains(out, "Talk\n") {
		t.Errorf("completion: exit %d: %s", code, out)
	}
	id := s.connections()[0].ID
	if _, stderr, code := output(t, s.dir, "", "disconnect", id); code != 0 {
		t.Errorf("disconnect: exit %d: %s", code, stderr)
	}
	if code := c.closed(); code != 1000 {
		t.Errorf("the client was closed with %d", code)
	}
	name := s.run.Stack
	s.stop()
	s = start(t, s.dir)
	if s.run.Stack != name {
		t.Fatal("another stack")
	}
	s.await("the kept log", func() bool {
		out, _, _ := output(t, s.dir, "", "logs", "Talk", "--since", "1h")
		return strings.Contains(out, "as told") && strings.Contains(out, "REPORT RequestId")
	})
}
