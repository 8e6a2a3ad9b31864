package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const runtimesTemplate = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Words:
    Type: AWS::Serverless::LayerVersion
    Properties: { ContentUri: layer, CompatibleRuntimes: [nodejs22.x] }
  Chat:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: go
      Handler: bootstrap
      Runtime: provided.al2023
      AutoPublishAlias: live
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: hello
      CodeUri: js
      Handler: app.hello
      Runtime: nodejs22.x
      ReservedConcurrentExecutions: 5
      Layers: [!Ref Words, "arn:aws:lambda:us-east-1:094274105915:layer:AWSLambdaPowertoolsTypeScriptV2:20"]
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: dev
      Routes:
        $default: { FunctionArn: !Ref Chat.Alias, RouteResponseSelectionExpression: $default }
  DefaultResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref ApiDefaultRoute, RouteResponseKey: $default }
Outputs:
  Alias: { Value: !Ref Chat.Alias }
  Version: { Value: !Ref Chat.Version }
`

// TestRuntimes runs a Go program behind an alias that clients reach through its
// permission, and a function that finds its layer.
func TestRuntimes(t *testing.T) {
	t.Parallel()
	need(t, "node")
	dir := folder(t, map[string]string{
		"template.yaml": runtimesTemplate, "go/README": "",
		"js/app.js": "exports.hello = async () => require('words');", "layer/nodejs/node_modules/words/index.js": "module.exports = 'from the layer';",
	})
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "go", "bootstrap"), "./testdata/gochat")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := start(t, dir, "--iam", "enforce")
	c := s.dial()
	c.say(`{"action":"x"}`)
	c.want(`live of version 1 got {"action":"x"}`)
	out, stderr, code := output(t, dir, "", "invoke", "hello")
	if code != 0 || !strings.Contains(out, "from the layer") {
		t.Errorf("invoke hello: %d %s %s", code, out, stderr)
	}
	if log := s.log.String(); !strings.Contains(log, "AWSLambdaPowertoolsTypeScriptV2") {
		t.Errorf("the layer that is left out isn't named:\n%s", log)
	}
}
