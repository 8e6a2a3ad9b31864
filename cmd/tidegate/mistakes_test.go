package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMistakes holds what a beginner's slips are answered with: the words, on
// standard error alone, and the exit code.
func TestMistakes(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	stale, sound := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(sound, "template.yaml"), []byte("Resources: {Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(stale, ".tidegate"), 0o700); err != nil {
		t.Fatal(err)
	}
	const run = `{"endpoint":"http://127.0.0.1:1","pid":1,"region":"us-east-1","accessKeyId":"tidegate"}`
	if err := os.WriteFile(filepath.Join(stale, ".tidegate", "run.json"), []byte(run), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		dir  string
		args string
		code int
		want string
	}{
		{empty, "upp", 2, "there is no command \"upp\"; did you mean up? `tidegate --help` lists them"},
		{empty, "frobnicate", 2, "there is no command \"frobnicate\"; `tidegate --help` lists them"},
		{empty, "up --prot 1", 2, "`tidegate up --help` lists the flags"},
		{empty, "up", 2, "looked for template.yaml, template.yml, template.json"},
		{empty, "up nowhere", 2, "there is no file or folder nowhere"},
		{empty, "up --port 99999", 2, "--port is a number up to 65535"},
		{sound, "up --host 0.0.0.0 --iam warn --port 0", 2, "--iam warn is for loopback only"},
		{empty, "post onlyid", 2, "post takes a connection id and the data"},
		{empty, "post id @nofile", 1, "open nofile"},
		{empty, "connections", 1, "start one with `tidegate up`"},
		{empty, "connections --endpoint localhost:8420", 2, "is not a URL such as http://localhost:8420"},
		{empty, "connect localhost:8420/dev", 2, "is not a WebSocket URL such as ws://localhost:8420/dev"},
		{empty, "connect ws://127.0.0.1:1/dev", 1, "is `tidegate up` running there?"},
		{stale, "connections", 1, "is Tidegate still running?"},
		{stale, "env", 1, "is Tidegate still running?"},
	} {
		stdout, stderr, code := output(t, tt.dir, "", strings.Fields(tt.args)...)
		if code != tt.code || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("tidegate %s: exit %d, want %d with %q\n%s%s", tt.args, code, tt.code, tt.want, stdout, stderr)
		}
	}
}

// TestWrongStage wants the stages that run in the answer to a URL of none.
func TestWrongStage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const template = `
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}
  Mock: {Type: AWS::ApiGatewayV2::Integration, Properties: {ApiId: !Ref Api, IntegrationType: MOCK}}
  Signed: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: $connect, AuthorizationType: AWS_IAM, Target: !Sub "integrations/${Mock}"}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: dev, AutoDeploy: true}}
`
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir)
	if _, stderr, code := output(t, dir, "", "connect", s.url()+"?token=a"); code != 1 || strings.Contains(stderr, "the stack that runs here") {
		t.Errorf("of the right stage, with a query: exit %d: %s", code, stderr)
	}
	_, stderr, code := output(t, dir, "", "connect", strings.TrimSuffix(s.url(), "dev")+"prod")
	if code != 1 || !strings.Contains(stderr, "refused the handshake: 403") || !strings.Contains(stderr, "the stack that runs here is at "+s.url()) {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestNoStage wants a template that clients can't connect to said to be one.
func TestNoStage(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"template.yaml": "Resources: {Queue: {Type: AWS::SQS::Queue}}"})
	s := start(t, dir)
	s.await("the word on it", func() bool {
		return strings.Contains(s.log.String(), "no stage of a WebSocket API, so there is nothing for clients to connect to")
	})
	_, stderr, code := output(t, dir, "", "connect")
	if code != 1 || !strings.Contains(stderr, "no stage of a WebSocket API to connect to") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
