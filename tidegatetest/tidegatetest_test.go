package tidegatetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// echo answers every message and needs no function.
const echo = `Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: echo, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: MOCK
      TemplateSelectionExpression: \$default
      RequestTemplates: {$default: '{"statusCode": 200}'}
  Answer:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Mock
      IntegrationResponseKey: $default
      TemplateSelectionExpression: \$default
      ResponseTemplates: {$default: 'heard'}
  Default:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub 'integrations/${Mock}', RouteResponseSelectionExpression: $default}
  Response:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Api, RouteId: !Ref Default, RouteResponseKey: $default}
  Prod:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: prod, AutoDeploy: true}
Outputs:
  Id: {Value: !Ref Api}
`

func TestTemplateAndClock(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(echo), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Start(t, Options{Template: dir, FrozenClock: true})
	if id := s.Outputs["Id"]; len(id) != 10 {
		t.Errorf("output Id is %q, want an API's id", id)
	}
	c := Dial(t, s.URL(t), nil)
	c.Send("hello")
	if got := c.Receive(); got != "heard" {
		t.Errorf("received %q", got)
	}
	s.Advance(10 * time.Minute)
	if code, reason := c.Closed(); code != 1001 || reason != "Going away" {
		t.Errorf("closed with %d %q after ten idle minutes", code, reason)
	}
}

func TestNothing(t *testing.T) {
	s := Start(t, Options{})
	if !strings.HasPrefix(s.Endpoint(), "http://localhost:") || s.AccessKeyID == "" || s.SecretAccessKey == "" {
		t.Errorf("endpoint %s, key %s", s.Endpoint(), s.AccessKeyID)
	}
}
