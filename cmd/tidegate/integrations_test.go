package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidegate/internal/client"
)

// integrationsTemplate has an integration of each kind that isn't a Lambda proxy.
// Its placeholders are the URL of a backend, and who may assume the role.
const integrationsTemplate = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { Name: all, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action } }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: dev, AutoDeploy: true, StageVariables: { backend: %[1]s, role: Caller, table: Sessions } }
  Sessions: { Type: AWS::Serverless::SimpleTable, Properties: { TableName: Sessions } }
  Caller:
    Type: AWS::IAM::Role
    Properties:
      RoleName: Caller
      AssumeRolePolicyDocument: { Version: "2012-10-17", Statement: [{ Effect: Allow, Action: "sts:AssumeRole", Principal: { Service: %[2]s } }] }
      Policies:
        - PolicyName: all
          PolicyDocument:
            Version: "2012-10-17"
            Statement: [{ Effect: Allow, Action: ["dynamodb:PutItem", "dynamodb:DeleteItem", "lambda:InvokeFunction", "execute-api:ManageConnections"], Resource: "*" }]
  Greet:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs20.x
      Handler: index.handler
      InlineCode: |
        exports.handler = async (event) => {
          if (!event.name) throw new Error("[BadRequest] no name");
          return { greeting: "hello " + event.name };
        };

  Connect:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS
      IntegrationMethod: POST
      IntegrationUri: !Sub "arn:aws:apigateway:${AWS::Region}:dynamodb:action/PutItem"
      CredentialsArn: !Sub "arn:aws:iam::${AWS::AccountId}:role/${!stageVariables.role}"
      TemplateSelectionExpression: \$default
      RequestTemplates: { $default: '{"TableName":"$stageVariables.table","Item":{"id":{"S":"$context.connectionId"},"who":{"S":"$input.params(''who'')"}}}' }
  ConnectResponse:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties: { ApiId: !Ref Api, IntegrationId: !Ref Connect, IntegrationResponseKey: /200/, ResponseParameters: { route.response.header.Sec-WebSocket-Protocol: "'chat'" } }
  ConnectRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: $connect, Target: !Sub "integrations/${Connect}" }
  ConnectRouteResponse: { Type: AWS::ApiGatewayV2::RouteResponse, Properties: { ApiId: !Ref Api, RouteId: !Ref ConnectRoute, RouteResponseKey: $default } }

  Disconnect:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS
      IntegrationMethod: POST
      IntegrationUri: !Sub "arn:aws:apigateway:${AWS::Region}:dynamodb:action/DeleteItem"
      CredentialsArn: !GetAtt Caller.Arn
      RequestTemplates: { $default: '{"TableName":"Sessions","Key":{"id":{"S":"$context.connectionId"}}}' }
  DisconnectRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: $disconnect, Target: !Sub "integrations/${Disconnect}" }

  Function:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS
      IntegrationUri: !Sub "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Greet.Arn}/invocations"
      CredentialsArn: !GetAtt Caller.Arn
      RequestTemplates: { application/json: '{"name":$input.json(''$.name'')}' }
  FunctionDone:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties: { ApiId: !Ref Api, IntegrationId: !Ref Function, IntegrationResponseKey: $default, ResponseTemplates: { $default: '{"said":"$input.path(''$.greeting'')"}' } }
  FunctionBad:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties: { ApiId: !Ref Api, IntegrationId: !Ref Function, IntegrationResponseKey: '/\[BadRequest\].*/', ResponseTemplates: { $default: '{"problem":"$input.path(''$.errorMessage'')"}' } }
  FunctionRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: greet, Target: !Sub "integrations/${Function}" }
  FunctionRouteResponse: { Type: AWS::ApiGatewayV2::RouteResponse, Properties: { ApiId: !Ref Api, RouteId: !Ref FunctionRoute, RouteResponseKey: $default } }

  Http:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: HTTP
      IntegrationMethod: PUT
      IntegrationUri: http://${stageVariables.backend}/in/{what}
      ConnectionType: VPC_LINK
      ConnectionId: ${stageVariables.link}
      RequestParameters: { integration.request.path.what: route.request.body.what, integration.request.header.X-Connection: context.connectionId }
      RequestTemplates: { $default: 'what=$util.urlEncode($input.path("$.what"))' }
  HttpDone:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties: { ApiId: !Ref Api, IntegrationId: !Ref Http, IntegrationResponseKey: '/2\d\d/', ResponseTemplates: { $default: 'done: $input.path("$.seen")' } }
  HttpFailed:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties: { ApiId: !Ref Api, IntegrationId: !Ref Http, IntegrationResponseKey: $default, ResponseTemplates: { $default: 'failed: $input.body' } }
  HttpRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: http, Target: !Sub "integrations/${Http}" }
  HttpRouteResponse: { Type: AWS::ApiGatewayV2::RouteResponse, Properties: { ApiId: !Ref Api, RouteId: !Ref HttpRoute, RouteResponseKey: $default } }

  Push:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS
      IntegrationMethod: POST
      IntegrationUri: !Sub "arn:aws:apigateway:${AWS::Region}:${Api}.execute-api:path/dev/@connections/{to}"
      CredentialsArn: !GetAtt Caller.Arn
      RequestParameters: { integration.request.path.to: context.connectionId }
      RequestTemplates: { $default: 'pushed $input.path("$.text")' }
  PushRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: push, Target: !Sub "integrations/${Push}" }

  Topic: { Type: AWS::SNS::Topic }
  Publish:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS
      IntegrationMethod: POST
      IntegrationUri: !Sub "arn:aws:apigateway:${AWS::Region}:sns:action/Publish"
      CredentialsArn: !GetAtt Caller.Arn
      RequestParameters: { integration.request.header.Content-Type: "'application/x-www-form-urlencoded'" }
      RequestTemplates: { $default: !Sub 'Action=Publish&TopicArn=$util.urlEncode("${Topic}")&Message=$util.urlEncode($input.json("$.text"))' }
  PublishDone: { Type: AWS::ApiGatewayV2::IntegrationResponse, Properties: { ApiId: !Ref Api, IntegrationId: !Ref Publish, IntegrationResponseKey: $default } }
  PublishRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: publish, Target: !Sub "integrations/${Publish}" }
  PublishRouteResponse: { Type: AWS::ApiGatewayV2::RouteResponse, Properties: { ApiId: !Ref Api, RouteId: !Ref PublishRoute, RouteResponseKey: $default } }

  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { ApiId: !Ref Api, IntegrationType: MOCK, PassthroughBehavior: NEVER, TemplateSelectionExpression: $request.body.kind, RequestTemplates: { good: '{"statusCode":200}', bad: '{"statusCode":$input.path("$.code")}' } }
  MockGood:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties: { ApiId: !Ref Api, IntegrationId: !Ref Mock, IntegrationResponseKey: /200/, ResponseTemplates: { $default: 'good $context.routeKey $input.body' } }
  MockRest:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties: { ApiId: !Ref Api, IntegrationId: !Ref Mock, IntegrationResponseKey: $default, TemplateSelectionExpression: "${integration.response.statuscode}", ResponseTemplates: { "418": tea, $default: other } }
  MockRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: mock, Target: !Sub "integrations/${Mock}" }
  MockRouteResponse: { Type: AWS::ApiGatewayV2::RouteResponse, Properties: { ApiId: !Ref Api, RouteId: !Ref MockRoute, RouteResponseKey: $default } }
`

// TestIntegrations runs integrations of every kind from a template, under
// enforced policies: services of Tidegate's, one elsewhere, functions, HTTP, mocks.
func TestIntegrations(t *testing.T) {
	t.Parallel()
	need(t, "node")
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.HasSuffix(r.URL.Path, "/teapot") {
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, "I'm a teapot")
			return
		}
		fmt.Fprintf(w, `{"seen":"%s %s %s %t"}`, r.Method, r.URL.EscapedPath(), body, r.Header.Get("X-Connection") != "")
	}))
	defer backend.Close()
	sns := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, err := url.ParseQuery(string(body))
		fmt.Fprintf(w, `{"got":"%s %s %s","signed":%t,"err":"%v"}`, r.URL.RawQuery, form.Get("Action"), form.Get("TopicArn"),
			strings.Contains(r.Header.Get("Authorization"), "/us-east-1/sns/aws4_request"), err)
	}))
	defer sns.Close()
	dir := folder(t, map[string]string{"template.yaml": fmt.Sprintf(integrationsTemplate, strings.TrimPrefix(backend.URL, "http://"), "apigateway.amazonaws.com")})
	s := start(t, dir, "--iam", "enforce", "--fallback-endpoint", sns.URL)
	c := s.dialURL(s.url()+"?who=ann", client.DialOptions{Subprotocols: []string{"chat"}})
	if who := s.rows("Sessions", "who"); len(who) != 1 || who[0] != "ann" {
		t.Errorf("on $connect the table got %q", who)
	}
	for _, ask := range []struct{ say, want string }{
		{`{"action":"greet","name":"ann"}`, `{"said":"hello ann"}`},
		{`{"action":"greet","name":""}`, `{"problem":"[BadRequest] no name"}`},
		{`{"action":"http","what":"a b/c"}`, `done: PUT /in/a%20b%2Fc what=a+b%2Fc true`},
		{`{"action":"http","what":"teapot"}`, `failed: I'm a teapot`},
		{`{"action":"push","text":"to itself"}`, `pushed to itself`},
		{`{"action":"mock","kind":"good","x":1}`, `good mock {}`},
		{`{"action":"mock","kind":"bad","code":418}`, `tea`},
		{`{"action":"mock","kind":"bad","code":500}`, `other`},
	} {
		c.say(ask.say)
		c.want(ask.want)
	}
	c.say(`{"action":"publish","text":"a & b"}`)
	if got := c.next(); !strings.Contains(got, "Version=2010-03-31 Publish arn:aws:sns:us-east-1:000000000000:") || !strings.Contains(got, `"signed":true,"err":"<nil>"`) {
		t.Errorf("SNS got %s", got)
	}
	c.say(`{"action":"mock","kind":"none"}`)
	if got := c.next(); !strings.HasPrefix(got, `{"message": "Unsupported Media Type"`) {
		t.Errorf("passthrough NEVER: %s", got)
	}
	s.await("the log to say why", func() bool {
		return strings.Contains(s.log.String(), "the request templates are bad, good") && strings.Contains(s.log.String(), "answered 418") && strings.Contains(s.log.String(), "VPC link ${stageVariables.link}")
	})
	c.Close()
	s.await("$disconnect to delete the item", func() bool { return len(s.rows("Sessions", "id")) == 0 })

	// Another service may assume the role now, and API Gateway may not: the next
	// stack is a fresh one, since keys are kept for a while.
	s.stop()
	other := fmt.Sprintf(integrationsTemplate, strings.TrimPrefix(backend.URL, "http://"), "states.amazonaws.com")
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir, "--iam", "enforce")
	if ws, err := client.Dial(t.Context(), s.url(), client.DialOptions{}); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("a role that API Gateway may not assume: %v", err)
		if ws != nil {
			ws.Close()
		}
	}
	s.await("the log to say why", func() bool {
		return strings.Contains(s.log.String(), "its trust policy must allow sts:AssumeRole to apigateway.amazonaws.com") &&
			strings.Contains(s.log.String(), "Tidegate does not have the service sns, which the integration sns:action/Publish calls: set AWS_ENDPOINT_URL_SNS")
	})
}

func TestEndpoints(t *testing.T) {
	got, err := endpoints([]string{"PATH=/bin", "AWS_ENDPOINT_URL=http://self", "AWS_ENDPOINT_URL_SQS=http://localhost:9324", "AWS_ENDPOINT_URL_S3="})
	if err != nil || len(got) != 1 || got["AWS_ENDPOINT_URL_SQS"].Host != "localhost:9324" {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"localhost:9324", "http://", "http://u:secret@h/", "ftp://x"} {
		if _, err := endpoints([]string{"AWS_ENDPOINT_URL_SQS=" + bad}); err == nil || !strings.Contains(err.Error(), "AWS_ENDPOINT_URL_SQS") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
