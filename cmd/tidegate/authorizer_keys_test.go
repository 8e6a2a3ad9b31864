package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/client"
)

// guardedAPI is an API whose $connect asks the function Guard; API stands for its
// name.
const guardedAPI = `
  API:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: API, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action, ApiKeySelectionExpression: $context.authorizer.usageIdentifierKey}
  APIConnect:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref API, RouteKey: $connect, AuthorizationType: CUSTOM, AuthorizerId: !Ref APIAuthorizer, ApiKeyRequired: KEY, Target: !Sub 'integrations/${APIEcho}'}
  APIDefault:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref API, RouteKey: $default, RouteResponseSelectionExpression: $default, Target: !Sub 'integrations/${APIEcho}'}
  APIResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref API, RouteId: !Ref APIDefault, RouteResponseKey: $default}
  APIEcho:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref API, IntegrationType: AWS_PROXY, IntegrationUri: !Sub 'arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Echo.Arn}/invocations'}
  APIAuthorizer:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref API
      Name: guard
      AuthorizerType: REQUEST
      IdentitySource: [route.request.querystring.who]
      AuthorizerUri: !Sub 'arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Guard.Arn}/invocations'CREDENTIALS
  APIPermission:
    Type: AWS::Lambda::Permission
    Properties: {Action: lambda:InvokeFunction, FunctionName: !Ref Echo, Principal: apigateway.amazonaws.com, SourceArn: !Sub 'arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${API}/*'}
  APIStage:
    Type: AWS::ApiGatewayV2::Stage
    Properties:
      ApiId: !Ref API
      StageName: API
      AutoDeploy: true
      AccessLogSettings:
        DestinationArn: !GetAtt Access.Arn
        Format: '$context.requestId $context.stage $context.eventType $context.status $context.error.responseType authenticate=$context.authenticate.status authorizer=$context.authorizer.status,$context.authorizer.integrationStatus,$context.authorizer.principalId authorize=$context.authorize.status key=$context.identity.apiKeyId waf=$context.waf.status'
`

const guardTemplate = `
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {Service: [lambda.amazonaws.com, apigateway.amazonaws.com]}, Action: sts:AssumeRole}]}
      Policies: [{PolicyName: ask, PolicyDocument: {Statement: [{Effect: Allow, Action: lambda:InvokeFunction, Resource: !GetAtt Guard.Arn}]}}]
  Idle:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {Service: [lambda.amazonaws.com, apigateway.amazonaws.com]}, Action: sts:AssumeRole}]}
  Guard:
    Type: AWS::Lambda::Function
    Properties: {Runtime: nodejs20.x, Handler: index.handler, Role: !GetAtt Idle.Arn, Code: guard}
  Echo:
    Type: AWS::Lambda::Function
    Properties: {Runtime: nodejs20.x, Handler: index.handler, Role: !GetAtt Idle.Arn, Code: echo}
  Permission:
    Type: AWS::Lambda::Permission
    Properties: {Action: lambda:InvokeFunction, FunctionName: !Ref Guard, Principal: apigateway.amazonaws.com, SourceArn: !Sub 'arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${permitted}/authorizers/${permittedAuthorizer}'}
  Access: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: /guard/access}}
  Key: {Type: AWS::ApiGateway::ApiKey, Properties: {Name: ana, Enabled: true, Value: the-key-of-ana-is-this-one}}
  Plan:
    Type: AWS::ApiGateway::UsagePlan
    Properties: {UsagePlanName: two, ApiStages: [{ApiId: !Ref permitted, Stage: !Ref permittedStage}], Quota: {Limit: 2, Period: DAY}}
  PlanKey: {Type: AWS::ApiGateway::UsagePlanKey, Properties: {KeyId: !Ref Key, KeyType: API_KEY, UsagePlanId: !Ref Plan}}
`

const guardFunction = `exports.handler = async (event) => {
  const who = event.queryStringParameters.who;
  if (who === "mallory") throw new Error("Unauthorized");
  return {
    principalId: who, context: {level: 3, big: who === "big" ? "x".repeat(9000) : ""},
    usageIdentifierKey: who === "ana" ? "the-key-of-ana-is-this-one" : undefined,
    policyDocument: {Version: "2012-10-17", Statement: [
      {Effect: "Allow", NotAction: "execute-api:ManageConnections", Resource: event.methodArn.replace("$connect", "*")},
      {Effect: "Deny", Action: "execute-api:*", Resource: "*", Condition: {StringEquals: {"aws:UserAgent": "forbidden"}}},
    ]},
  };
};`

const echoFunction = `exports.handler = async ({requestContext: {authorizer, identity}}) =>
  ({statusCode: 200, body: [authorizer.principalId, authorizer.level, identity.apiKey ?? "no key", typeof identity.apiKeyId].join(" ")});`

// guardLog is the access log, sorted; KEY is the key's id.
const guardLog = `assumed CONNECT 200 - authenticate=- authorizer=200,200,bob authorize=200 key=- waf=-
assumed MESSAGE 200 - authenticate=- authorizer=-,-,bob authorize=- key=- waf=-
bare CONNECT 500 AUTHORIZER_CONFIGURATION_ERROR authenticate=- authorizer=500,403,- authorize=- key=- waf=-
idle CONNECT 500 AUTHORIZER_CONFIGURATION_ERROR authenticate=- authorizer=500,403,- authorize=- key=- waf=-
permitted CONNECT 200 - authenticate=- authorizer=200,200,ana authorize=200 key=KEY waf=-
permitted CONNECT 200 - authenticate=- authorizer=200,200,ana authorize=200 key=KEY waf=-
permitted CONNECT 401 UNAUTHORIZED authenticate=- authorizer=401,-,- authorize=- key=- waf=-
permitted CONNECT 401 UNAUTHORIZED authenticate=- authorizer=401,200,- authorize=- key=- waf=-
permitted CONNECT 403 INVALID_API_KEY authenticate=- authorizer=200,200,bob authorize=200 key=- waf=-
permitted CONNECT 429 QUOTA_EXCEEDED authenticate=- authorizer=200,200,ana authorize=200 key=- waf=-
permitted CONNECT 500 AUTHORIZER_CONFIGURATION_ERROR authenticate=- authorizer=500,200,- authorize=- key=- waf=-
permitted MESSAGE 200 - authenticate=- authorizer=-,-,ana authorize=- key=KEY waf=-
permitted MESSAGE 200 - authenticate=- authorizer=-,-,ana authorize=- key=KEY waf=-
`

// TestAuthorizerKeys has an authorizer say the API key, whose plan then bounds it,
// and be invoked by a permission, by a role, and by neither, under enforced
// policies; the access log has what each phase came to.
func TestAuthorizerKeys(t *testing.T) {
	need(t, "node", "aws")
	t.Parallel()
	template := guardTemplate
	for _, api := range [][3]string{
		{"permitted", "", "true"},
		{"assumed", "\n      AuthorizerCredentialsArn: !GetAtt Role.Arn", "false"},
		{"idle", "\n      AuthorizerCredentialsArn: !GetAtt Idle.Arn", "false"},
		{"bare", "", "false"},
	} {
		template += strings.NewReplacer("API", api[0], "CREDENTIALS", api[1], "KEY", api[2]).Replace(guardedAPI)
	}
	dir := folder(t, map[string]string{"template.yaml": template, "guard/index.js": guardFunction, "echo/index.js": echoFunction})
	s := start(t, dir, "--iam", "enforce")
	base := "ws" + strings.TrimPrefix(strings.TrimSuffix(s.client.Run.Endpoint, "/"), "http")
	for _, tt := range []struct{ url, want string }{
		{"/permitted", "401"},
		{"/permitted?who=mallory", "401"},
		{"/permitted?who=big", "500"},
		{"/permitted?who=bob", "403"}, // let in by the authorizer, which names no key
		{"/permitted?who=ana", "ana 3 the-key-of-ana-is-this-one string"},
		{"/permitted?who=ana", "ana 3 the-key-of-ana-is-this-one string"},
		{"/permitted?who=ana", "429"},
		{"/assumed?who=bob", "bob 3 no key undefined"},
		{"/idle?who=bob", "500"},
		{"/bare?who=bob", "500"},
	} {
		if _, err := strconv.Atoi(tt.want); err == nil {
			ws, err := client.Dial(t.Context(), base+tt.url, client.DialOptions{})
			if err == nil {
				ws.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "refused the handshake: "+tt.want+" ") {
				t.Errorf("%s: %v, want %s", tt.url, err, tt.want)
			}
			continue
		}
		c := s.dialURL(base+tt.url, client.DialOptions{})
		c.say("hello")
		c.want(tt.want)
	}
	var lines, want []string
	s.await("the access log", func() bool {
		lines = strings.Split(s.script(nil, "aws", "logs", "filter-log-events", "--log-group-name", "/guard/access", "--query", "events[].[message]", "--output", "text"), "\n")
		lines = slices.DeleteFunc(lines, func(line string) bool { return strings.TrimSpace(line) == "" })
		return len(lines) >= 13
	})
	for i, line := range lines {
		_, lines[i], _ = strings.Cut(strings.TrimSpace(line), " ") // without the request id
	}
	slices.Sort(lines)
	key := s.script(nil, "aws", "apigateway", "get-api-keys", "--query", "items[0].id", "--output", "text")
	for line := range strings.Lines(guardLog) {
		want = append(want, strings.NewReplacer("key=KEY", "key="+strings.TrimSpace(key), "\n", "").Replace(line))
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("access log (-want +got):\n%s", diff)
	}
}
