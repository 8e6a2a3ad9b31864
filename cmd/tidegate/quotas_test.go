package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidegate/internal/client"
)

// TestQuotasOfAWS runs a real client into each of AWS's quotas that it can meet.
func TestQuotasOfAWS(t *testing.T) {
	t.Parallel()
	clients := needClients(t)
	s := start(t, folder(t, map[string]string{"template.yaml": strings.Replace(mockAPI, "StageName: Prod, AutoDeploy: true }", `StageName: Prod, AutoDeploy: true, RouteSettings: { ping: { ThrottlingRateLimit: 0.01, ThrottlingBurstLimit: 2 } } }
  Zero:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: Zero, AutoDeploy: true, DefaultRouteSettings: { ThrottlingRateLimit: 0, ThrottlingBurstLimit: 0 } }`, 1)}))
	if !strings.Contains(s.log.String(), "Limits:   AWS's quotas (--mode aws)") {
		t.Error("up doesn't say whose limits hold")
	}
	base := "ws" + strings.TrimPrefix(s.run.Endpoint, "http")
	got := s.script(nil, "node", filepath.Join(clients, "limits.mjs"), base+"/Prod", "aws", base+"/Zero")
	wantOutput(t, got, `{"frame":1009,"binary":1003,"url":414,"header":431,"zero":429,`+
		`"throttled":["{\"message\": \"Too Many Requests\", \"connectionId\":ID, \"requestId\":ID}","{\"pong\":true}","{\"pong\":true}"],"misbehaving":1008}`)
	_, metrics := get(t, s.run.Endpoint+"/_tidegate/metrics", nil)
	for _, line := range []string{
		`stage="Prod",route="ping",outcome="throttled"} 99`, // the hundredth in a row ends it
		`stage="Prod",route="ping",outcome="misbehaving-client"} 1`,
		`stage="Zero",outcome="throttled"} 1`,
		`tidegate_drops_total{reason="frame-too-big"} 1`,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics lack %s:\n%s", line, metrics)
		}
	}
}

// extendedAPI echoes what it gets, from a function and by way of a backend.
const extendedAPI = `
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters: { Backend: { Type: String } }
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: extended, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  Default:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: $default, Target: !Sub "integrations/${Echo}", RouteResponseSelectionExpression: $default }
  DefaultResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref Default, RouteResponseKey: $default }
  Echo:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations
  Backed:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: backed, Target: !Sub "integrations/${HTTP}" }
  HTTP:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { ApiId: !Ref Api, IntegrationType: HTTP_PROXY, IntegrationMethod: POST, IntegrationUri: !Ref Backend }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: Prod, AutoDeploy: true }
  Permission:
    Type: AWS::Lambda::Permission
    Properties: { Action: lambda:InvokeFunction, FunctionName: !Ref Function, Principal: apigateway.amazonaws.com }
  Function: { Type: AWS::Serverless::Function, Properties: { Runtime: nodejs20.x, CodeUri: ., Handler: echo.handler } }
`

// TestExtended runs real clients into limits that were set, and has what AWS lacks.
func TestExtended(t *testing.T) {
	t.Parallel()
	clients, python := needClients(t), needBoto3(t)
	heard := make(chan *http.Request, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		heard <- r
	}))
	defer backend.Close()
	dir := folder(t, map[string]string{"template.yaml": extendedAPI,
		"echo.js": `exports.handler = async (e) => ({ statusCode: 200, body: e.body, isBase64Encoded: e.isBase64Encoded });`})
	s := start(t, dir, "--mode", "extended", "--limit", "idle=5s", "--limit", "message_size=256KiB", "--limit", "frame_size=256KiB",
		"--limit", "connection_rate=10", "--limit", "routes=3", "--parameter-overrides", "Backend="+backend.URL)
	if want := "Limits:   Tidegate's own (--mode extended), message_size=256KiB, frame_size=256KiB, idle=5s, connection_rate=10, routes=3"; !strings.Contains(s.log.String(), want) {
		t.Errorf("up doesn't say %q", want)
	}
	if _, page := get(t, s.run.Endpoint+"/_tidegate/stack", nil); !strings.Contains(page, `"mode":"extended","limits":["message_size=256KiB"`) {
		t.Errorf("the stack's page says %s", page)
	}

	c := s.dialURL(s.url(), client.DialOptions{})
	id := s.only()
	c.say(`{"action":"backed"}`)
	h := (<-heard).Header
	if h.Get("Tidegate-Connection-Id") != id || h.Get("Tidegate-Event") != "MESSAGE" || h.Get("Tidegate-Route-Key") != "backed" || len(h.Get("Tidegate-Request-Id")) != 16 {
		t.Errorf("the backend got %v", h)
	}

	// One message for all.
	res, err := http.Post(s.httpURL()+"/@all", "text/plain", strings.NewReader("to all"))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != `{"queued":1,"refused":0}` {
		t.Errorf("/@all answered %d %s, %v", res.StatusCode, body, err)
	}
	res.Body.Close()
	if m := c.next(); m != "to all" {
		t.Errorf("the client got %q", m)
	}

	// More than the 128 KiB of AWS may be pushed, to the byte; the limit of routes holds.
	silent := make(chan struct{})
	go func() { // an interpreter may take longer to start than a silent client stays
		for {
			select {
			case <-silent:
				return
			case <-time.After(500 * time.Millisecond):
				c.Send([]byte(`{"action":"nobody hears"}`))
			}
		}
	}()
	got := s.script(nil, python, "-c", `
import boto3, sys
from botocore.config import Config
url, connection = sys.argv[1:]
api = boto3.client("apigatewaymanagementapi", endpoint_url=url)
api.post_to_connection(ConnectionId=connection, Data=b"x" * 262144)
try:
    api.post_to_connection(ConnectionId=connection, Data=b"x" * 262145)
except Exception as err:
    print(type(err).__name__, err.response["ResponseMetadata"]["HTTPStatusCode"])
plane = boto3.client("apigatewayv2", config=Config(retries={"total_max_attempts": 1}))
api = plane.create_api(Name="more", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")["ApiId"]
try:
    for i in range(4):
        plane.create_route(ApiId=api, RouteKey="r%d" % i)
except plane.exceptions.TooManyRequestsException as err:
    print(i, err.response["ResponseMetadata"]["HTTPStatusCode"], err.response["LimitType"], err.response["Error"]["Message"])
`, s.httpURL(), id)
	close(silent)
	wantOutput(t, got, "PayloadTooLargeException 413\n3 429 Routes Maximum number of Routes for this API has been reached.  Please contact AWS if you need additional Routes.")
	for m := c.next(); len(m) != 262144; m = c.next() {
		if len(m) > 100 {
			t.Errorf("the largest push came with %d bytes", len(m))
		}
	}
	got = s.script(nil, "node", filepath.Join(clients, "limits.mjs"), s.url(), "extended")
	wantOutput(t, got, `{"large":200027,"binary":"binary 00ff01","idle":1001,"tooLarge":1009,"refused":[429]}`)
}
