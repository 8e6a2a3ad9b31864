package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
)

// mockAPI is a WebSocket API without functions: what it takes, it drops, and
// ping is answered.
const mockAPI = `
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: mock, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  Ping:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: ping, Target: !Sub "integrations/${Mock}", RouteResponseSelectionExpression: $default }
  PingResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref Ping, RouteResponseKey: $default }
  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: MOCK
      RequestTemplates: { "200": '{"statusCode":200}' }
      TemplateSelectionExpression: "200"
  MockResponse:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Mock
      IntegrationResponseKey: $default
      ResponseTemplates: { "200": '{"pong":true}' }
      TemplateSelectionExpression: "200"
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: Prod, AutoDeploy: true }
`

// upMock runs mockAPI.
func upMock(t *testing.T, args ...string) *stackUnderTest {
	t.Helper()
	return start(t, folder(t, map[string]string{"template.yaml": mockAPI}), args...)
}

// only is the connection id of the only client.
func (s *stackUnderTest) only() string {
	s.t.Helper()
	all := s.connections()
	if len(all) != 1 {
		s.t.Fatalf("%d clients are connected, want one", len(all))
	}
	return all[0].ID
}

func wantOutput(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestManagementAPIFromJavaScript(t *testing.T) {
	t.Parallel()
	clients := needClients(t)
	s := upMock(t)
	c := s.dial()
	got := s.script(nil, "node", filepath.Join(clients, "manage.mjs"), s.httpURL(), s.only())
	wantOutput(t, got, `{"v3get":[true,true,"string"],"v3gone":[true,"GoneException 410"],"v3large":[true,"PayloadTooLargeException 413"],`+
		`"v3wrong":"InvalidSignatureException 403","v3elsewhere":"ForbiddenException 403","v2gone":[410,"GoneException"],"v3deleted":"GoneException 410"}`)
	c.want("from v3")
	if m := c.next(); len(m) != 131072 {
		t.Errorf("the largest message came with %d bytes", len(m))
	}
	c.want("from v2")
	if code := c.closed(); code != 1000 {
		t.Errorf("DeleteConnection closed with %d, want 1000", code)
	}
}

func TestManagementAPIFromBoto3(t *testing.T) {
	t.Parallel()
	python := needBoto3(t)
	s := upMock(t)
	c := s.dial()
	got := s.script(nil, python, filepath.Join("testdata", "clients", "manage.py"), s.httpURL(), s.only())
	wantOutput(t, got, `{"get": ["datetime", "datetime", "127.0.0.1"], "gone": ["GoneException", 410], "large": ["PayloadTooLargeException", 413], `+
		`"malformed": ["ClientError", 400], "wrong": ["ClientError", 403, "InvalidSignatureException"]}`)
	c.want("from boto3")
	if code := c.closed(); code != 1000 {
		t.Errorf("DeleteConnection closed with %d, want 1000", code)
	}
}

func TestManagementAPIFromTheCommandLine(t *testing.T) {
	t.Parallel()
	need(t, "aws")
	s := upMock(t)
	c := s.dial()
	id := s.only()
	s.script(nil, "aws", "apigatewaymanagementapi", "post-to-connection", "--endpoint-url", s.httpURL(), "--connection-id", id, "--data", "aGVsbG8=")
	m := c.next()
	if m != "hello" && m != "aGVsbG8=" { // version 1 of the CLI sends the text, version 2 decodes it
		t.Errorf("client got %q", m)
	}
	got := s.script(nil, "aws", "apigatewaymanagementapi", "get-connection", "--endpoint-url", s.httpURL(), "--connection-id", id, "--query", "Identity.SourceIp", "--output", "text")
	wantOutput(t, got, "127.0.0.1")
	apis := s.script(nil, "aws", "apigatewayv2", "get-apis", "--query", "Items[0].Name", "--output", "text")
	wantOutput(t, apis, "mock")
	s.script(nil, "aws", "apigatewaymanagementapi", "delete-connection", "--endpoint-url", s.httpURL(), "--connection-id", id)
	if code := c.closed(); code != 1000 {
		t.Errorf("delete-connection closed with %d, want 1000", code)
	}
}

func TestManagementAPIFromGo(t *testing.T) {
	t.Parallel()
	s := upMock(t, "--iam", "enforce")
	c := s.dial()
	id := s.only()
	client := func(key, secret, stage string) *apigatewaymanagementapi.Client {
		return apigatewaymanagementapi.New(apigatewaymanagementapi.Options{Region: "us-east-1",
			BaseEndpoint: aws.String(strings.TrimSuffix(s.httpURL(), "Prod") + stage),
			Credentials:  credentials.NewStaticCredentialsProvider(key, secret, "")})
	}
	post := func(c *apigatewaymanagementapi.Client, id string, n int) error {
		_, err := c.PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &id, Data: make([]byte, n)})
		return err
	}
	mine := client("test", "test", "Prod")
	if err := post(mine, id, 3); err != nil {
		t.Error(err)
	}
	c.want("\x00\x00\x00")
	var gone *types.GoneException
	if err := post(mine, "AAAAAAAAAAAAAAA=", 1); !errors.As(err, &gone) {
		t.Errorf("an unknown connection: %v", err)
	}
	var large *types.PayloadTooLargeException
	if err := post(mine, id, 131073); !errors.As(err, &large) {
		t.Errorf("131,073 bytes: %v", err)
	}
	var forbidden *types.ForbiddenException
	if err := post(client("test", "test", "Dev"), id, 1); !errors.As(err, &forbidden) {
		t.Errorf("another stage: %v", err)
	}
	for name, keys := range map[string][2]string{"an unknown key": {"stranger", "x"}, "a wrong secret": {"test", "x"}} {
		if err := post(client(keys[0], keys[1], "Prod"), id, 1); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s, enforced: %v", name, err)
		}
	}
	c.say(`{"action":"ping"}`)
	c.want(`{"pong":true}`)
}

func TestPostAndConnections(t *testing.T) {
	t.Parallel()
	s := upMock(t)
	c := s.dial()
	id := s.only()
	if _, stderr, code := output(t, s.dir, "from stdin", "post", id, "-"); code != 0 {
		t.Errorf("post: exit %d: %s", code, stderr)
	}
	c.want("from stdin")
	if out, _, code := output(t, s.dir, "", "connections"); code != 0 || !strings.Contains(out, `"connectionId": "`+id) {
		t.Errorf("connections: exit %d: %s", code, out)
	}
	if _, stderr, code := output(t, s.dir, "", "post", "AAAAAAAAAAAAAAA=", "x"); code != 1 || !strings.Contains(stderr, "GoneException") {
		t.Errorf("post to nobody: exit %d: %s", code, stderr)
	}
	out, stderr, code := output(t, s.dir, `{"action":"ping"}`+"\n", "connect", "--count", "1")
	if code != 0 || strings.TrimSpace(out) != `{"pong":true}` {
		t.Errorf("connect: exit %d: %q %s", code, out, stderr)
	}
	if out, _, code := output(t, s.dir, "", "env"); code != 0 || !strings.Contains(out, "export AWS_ENDPOINT_URL='http://localhost:") {
		t.Errorf("env: exit %d: %s", code, out)
	}
	if _, stderr, code := output(t, s.dir, "", "up", "--frobnicate"); code != 2 || !strings.Contains(stderr, "--frobnicate") {
		t.Errorf("an unknown flag: exit %d: %s", code, stderr)
	}
	if _, stderr, code := output(t, t.TempDir(), "", "connections"); code != 1 || !strings.Contains(stderr, "tidegate up") {
		t.Errorf("nothing runs there: exit %d: %s", code, stderr)
	}
}
