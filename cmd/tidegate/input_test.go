package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidegate/internal/client"
)

// TestInputs runs an app whose values come from samconfig.toml, .env, --env-vars
// and the command line, edits one of these files while it runs, and asks a queue
// that is somewhere else.
func TestInputs(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Host + " " + r.Header.Get("X-Amz-Target")
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Write([]byte(`{"MessageId":"1"}`))
	}))
	defer elsewhere.Close()
	dir := folder(t, map[string]string{
		"template.yaml": `
Transform: AWS::Serverless-2016-10-31
Parameters: { Stage: { Type: String, Default: dev }, Host: { Type: 'AWS::SSM::Parameter::Value<String>', Default: /app/host } }
Resources:
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: app.handler
      Runtime: nodejs20.x
      Environment: { Variables: { STAGE: !Ref Stage, HOST: !Ref Host, SECRET: '{{resolve:secretsmanager:key}}', LEVEL: info, QUEUE: !Ref Jobs } }
      Events: { Job: { Type: SQS, Properties: { Queue: !GetAtt Jobs.Arn } } }
  Jobs: { Type: AWS::SQS::Queue }
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties: { RouteSelectionExpression: $request.body.action, Routes: { $default: { FunctionArn: !GetAtt Echo.Arn, RouteResponseSelectionExpression: $default } } }
  Answer:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref ApiDefaultRoute, RouteResponseKey: $default }
`,
		"src/app.js": `
const https = require('node:https');
exports.handler = async (event) => {
  const e = process.env;
  if (JSON.parse(event.body).action === 'send') await new Promise((done, fail) => https.request('https://sqs.us-east-1.amazonaws.com/', {
    method: 'POST', headers: { 'X-Amz-Target': 'AmazonSQS.SendMessage', 'Content-Type': 'application/x-amz-json-1.0' } }, (r) => r.resume().on('end', done)).on('error', fail).end('{}'));
  return { statusCode: 200, body: [e.STAGE, e.HOST, e.SECRET, e.LEVEL, e.QUEUE.split('/')[2]].join(' ') };
};`,
		"samconfig.toml": "version = 0.1\n[default.deploy.parameters]\nstack_name = \"inputs\"\nparameter_overrides = \"Stage=\\\"prod\\\" /app/host=config.test\"\n",
		".env":           "SECRET=from-dotenv\nLEVEL=ignored\n",
		"env.json":       `{"Echo": {"LEVEL": "debug"}}`,
	})
	s := start(t, dir, "--env-vars", filepath.Join(dir, "env.json"), "--fallback-endpoint", elsewhere.URL, "--parameter-overrides", "/app/host=shell.test")
	c := s.dialURL(s.url(), client.DialOptions{})
	c.say(`{"action":"look"}`)
	c.want("prod shell.test from-dotenv debug sqs.us-east-1.amazonaws.com")
	c.say(`{"action":"send"}`)
	c.want("prod shell.test from-dotenv debug sqs.us-east-1.amazonaws.com")
	if got := <-asked; got != "sqs.us-east-1.amazonaws.com AmazonSQS.SendMessage" {
		t.Errorf("the queue was asked %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "env.json"), []byte(`{"Echo": {"LEVEL": `), 0o600); err != nil {
		t.Fatal(err)
	}
	s.await("the bad edit to be told", func() bool { return strings.Contains(s.log.String(), "env.json:1:") })
	if err := os.WriteFile(filepath.Join(dir, "env.json"), []byte(`{"Echo": {"LEVEL": "trace"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.await("the good edit to run", func() bool { return strings.Contains(s.log.String(), "the edited template runs") })
	c.say(`{"action":"look"}`) // on the connection of before
	c.want("prod shell.test from-dotenv trace sqs.us-east-1.amazonaws.com")
}

// TestRefusedFlags wants wrong usage of the inputs' flags told as such.
func TestRefusedFlags(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"template.yaml": "Resources: {T: {Type: AWS::SNS::Topic}}\n", "flat.json": `{"A": "b"}`})
	for args, want := range map[string]string{
		"up --limit idle=30m":                        "idle is 10m in mode aws",
		"up --mode extended --limit idle=soon":       "it is a duration such as 30m or 2h, or none",
		"up --mode extended --limit message=1MiB":    "there is no limit \"message\"; there are message_size, frame_size",
		"up --mode extended --limit routes":          "--limit takes NAME=VALUE",
		"up --mode extended --limit frame_size=1MiB": "frame_size (1MiB) is larger than message_size (128KiB)",
		"up --mode fast":                             "--mode is aws or extended",
		"up --fallback-endpoint localhost:4566":      "--fallback-endpoint is http://HOST:PORT",
		"up --port 0 --parameter-overrides A":        "parameter overrides are K=V",
		"validate --config-env prod":                 "there is no samconfig.toml",
		"validate --env-vars flat.json --json=false": `the form is {"FUNCTION": {"NAME": "value"}}`,
	} {
		_, stderr, code := output(t, dir, "", strings.Fields(args)...)
		if code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, want 2 with %q\n%s", args, code, want, stderr)
		}
	}
}
