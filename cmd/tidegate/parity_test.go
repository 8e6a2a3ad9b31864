package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// careless is an app that works here and would not on AWS: nothing permits API
// Gateway to call its function, and the function goes on after it returned.
const careless = `
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Careless:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs8.10
      Handler: index.handler
      InlineCode: |
        exports.handler = async (event) => {
          setTimeout(() => console.log('at last'), 700);
          return { statusCode: 200 };
        };
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: careless, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: dev, AutoDeploy: true }
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: go, Target: !Sub "integrations/${Integration}" }
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Careless.Arn}/invocations
`

// TestParity has an app rely on what AWS doesn't do: the events tell it while it
// runs, and the report when it ends.
func TestParity(t *testing.T) {
	t.Parallel()
	need(t, "node")
	python := needBoto3(t)
	s := start(t, folder(t, map[string]string{"template.yaml": careless}))
	resp, err := http.Get(s.run.Endpoint + "/_tidegate/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	c := s.dial()
	c.say(`{"action":"go"}`)
	s.script(nil, python, "-c", `
import boto3, sys
from botocore import UNSIGNED
from botocore.config import Config
client = boto3.client("apigatewaymanagementapi", endpoint_url=sys.argv[1], config=Config(signature_version=UNSIGNED))
for _ in range(3):
    client.post_to_connection(ConnectionId=sys.argv[2], Data=b"hello")
boto3.client("apigatewaymanagementapi", endpoint_url=sys.argv[3], aws_access_key_id="test", aws_secret_access_key="test").post_to_connection(ConnectionId=sys.argv[2], Data=b"hello")
`, s.httpURL(), s.only(), s.run.Endpoint)
	for range 4 {
		c.want("hello")
	}
	want := map[string]string{
		"unsigned-call": "execute-api", "no-permission": "apigateway.amazonaws.com → function:", "work-after-return": "Careless",
		"local-key": "execute-api", "stage-omitted": "@connections", "other-runtime": "Careless",
	}
	seen := map[string]bool{}
	for lines := bufio.NewScanner(resp.Body); len(seen) < len(want) && lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		var e struct{ Kind, ID, Subject, Do string }
		if !ok || json.Unmarshal([]byte(data), &e) != nil || e.Kind != "parity" {
			continue
		}
		if seen[e.ID] || !strings.HasPrefix(e.Subject, want[e.ID]) || want[e.ID] == "" || e.Do == "" {
			t.Errorf("event %s; seen %v", data, seen)
		}
		seen[e.ID] = true
	}
	if len(seen) < len(want) {
		t.Errorf("the events told of %v", seen)
	}
	s.stop()
	_, report, _ := strings.Cut(s.log.String(), "This run relied on what AWS doesn't do")
	for _, line := range []string{
		"  unsigned-call: ", "- execute-api, 3 times, first POST /dev/@connections/", "  no-permission: ", "- apigateway.amazonaws.com → function:",
		"  work-after-return: ", "it wrote: at last [", "- Careless, once, nodejs8.10 is run by Node.js ", "to do:  sign it",
	} {
		if !strings.Contains(report, line) {
			t.Errorf("no %q in the report", line)
		}
	}
}

// TestParityIsQuiet wants no report of an app that would work on AWS as well.
func TestParityIsQuiet(t *testing.T) {
	t.Parallel()
	s := upMock(t)
	c := s.dial()
	c.say(`{"action":"ping"}`)
	c.next()
	output(t, s.dir, "", "post", s.only(), "hello")
	c.want("hello")
	s.stop()
	if said := s.log.String(); strings.Contains(said, "relied on") {
		t.Errorf("it said:\n%s", said)
	}
}

// TestWhy finds, by the request id that a client was told, why it was refused: the
// template's line and column, the expression's value, the reason at the door.
func TestWhy(t *testing.T) {
	t.Parallel()
	s := start(t, folder(t, map[string]string{"template.yaml": strings.Replace(mockAPI, `'{"statusCode":200}'`,
		`"#if($input.path('$.fail'))\n  $context.stage.substring(99)\n#end{\"statusCode\":200}"`, 1)}))
	c := s.dial()
	for message, want := range map[string]struct{ outcome, why, do string }{
		`{"action":"ping","fail":1}`: {"mapping-failed", `request template "200": line 2, column 3: $context.stage.substring(99): `, "mend the template"},
		`{"action":"nobody"}`:        {"no-route", `request.body.action} is "nobody"; routes: ping; there is no $default`, "add a route"},
	} {
		c.say(message)
		frame := c.next()
		var told struct{ RequestID string }
		if err := json.Unmarshal([]byte(frame), &told); err != nil || told.RequestID == "" || strings.Contains(frame, "line 2") {
			t.Fatalf("%s: %v", frame, err)
		}
		out, stderr, code := output(t, s.dir, "", "logs", "--request-id", told.RequestID)
		var line struct{ Outcome, Why, Do string }
		if err := json.Unmarshal([]byte(out), &line); err != nil || code != 0 {
			t.Fatalf("%s%s: %v", out, stderr, err)
		}
		if line.Outcome != want.outcome || !strings.Contains(line.Why, want.why) || !strings.Contains(line.Do, want.do) {
			t.Errorf("%s: the log says %+v", message, line)
		}
	}
	resp, err := http.Get(s.httpURL())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	out, _, _ := output(t, s.dir, "", "logs", "--request-id", resp.Header.Get("X-Amzn-Requestid"))
	if resp.StatusCode != http.StatusUpgradeRequired || !strings.Contains(out, `"reason":"no-upgrade"`) {
		t.Errorf("%s: %s", resp.Status, out)
	}
	if _, metrics := get(t, s.run.Endpoint+"/_tidegate/metrics", nil); !strings.Contains(metrics, `tidegate_refusals_total{service="door",reason="no-upgrade"} 1`) {
		t.Errorf("metrics:\n%s", metrics)
	}
}
