package main

import (
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
          console.log(JSON.stringify({ level: 'info', said: event.say ?? event.body }));
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
}
