package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"tidegate/internal/client"
)

// classicShape is how most WebSocket apps are written: SAM's functions with its
// policy templates, API Gateway's resources one by one, a stage Prod, and
// handlers that hard-code the host of the management API.
const classicShape = `
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  TableName: { Type: String, Default: game_players, MinLength: 3, AllowedPattern: "^[A-Za-z_]+$" }
Globals:
  Function:
    Runtime: nodejs20.x
    Environment: { Variables: { TABLE_NAME: !Ref TableName } }
Resources:
  Game:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: Game, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  ConnectRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Game
      RouteKey: $connect
      AuthorizationType: NONE
      OperationName: ConnectRoute
      Target: !Join ["/", [integrations, !Ref ConnectInteg]]
  ConnectInteg:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Game
      IntegrationType: AWS_PROXY
      IntegrationUri: { "Fn::Sub": "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Connect.Arn}/invocations" }
  DisconnectRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Game, RouteKey: $disconnect, Target: !Join ["/", [integrations, !Ref DisconnectInteg]] }
  DisconnectInteg:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Game
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Disconnect.Arn}/invocations
  RollRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Game, RouteKey: roll, Target: !Sub "integrations/${RollInteg}" }
  RollInteg:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Game
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Roll.Arn}/invocations
  Deployment:
    Type: AWS::ApiGatewayV2::Deployment
    DependsOn: [ConnectRoute, DisconnectRoute, RollRoute]
    Properties: { ApiId: !Ref Game }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { StageName: Prod, Description: Prod Stage, DeploymentId: !Ref Deployment, ApiId: !Ref Game }
  Players:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{ AttributeName: connectionId, AttributeType: S }]
      KeySchema: [{ AttributeName: connectionId, KeyType: HASH }]
      ProvisionedThroughput: { ReadCapacityUnits: 5, WriteCapacityUnits: 5 }
      TableName: !Ref TableName
  Connect:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: players/, Handler: app.connect, Policies: [DynamoDBCrudPolicy: { TableName: !Ref TableName }] }
  Disconnect:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: players/, Handler: app.disconnect, Policies: [DynamoDBCrudPolicy: { TableName: !Ref TableName }] }
  Roll:
    Type: AWS::Serverless::Function
    Properties:
      Handler: game/roll.handler
      Environment: { Variables: { DICE: !Ref Dice, ANNOUNCE: !GetAtt Announce.Arn } }
      Policies:
        - LambdaInvokePolicy: { FunctionName: !Ref Dice }
        - LambdaInvokePolicy: { FunctionName: !Ref Announce }
  Dice:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      InlineCode: "exports.handler = async ({ sides }) => { if (!sides) throw new RangeError('a die has sides'); return { rolled: sides }; };"
  Announce:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: ./announce
      Handler: index.handler
      Environment: { Variables: { API_ID: !Ref Game } }
      Policies:
        - DynamoDBReadPolicy: { TableName: !Ref TableName }
        - Statement:
            - Effect: Allow
              Action: ["execute-api:ManageConnections"]
              Resource: [!Sub "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Game}/*"]
  ConnectPermission:
    Type: AWS::Lambda::Permission
    DependsOn: [Game]
    Properties: { Action: "lambda:InvokeFunction", FunctionName: !Ref Connect, Principal: apigateway.amazonaws.com }
  DisconnectPermission:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: !Ref Disconnect
      Principal: apigateway.amazonaws.com
      SourceArn: !Sub arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Game}/*/$disconnect
  RollPermission:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: !GetAtt Roll.Arn
      Principal: apigateway.amazonaws.com
      SourceArn: !Sub arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Game}/*
Outputs:
  Url: { Value: !Sub "wss://${Game}.execute-api.${AWS::Region}.amazonaws.com/${Stage}" }
`

// classicPlayers holds the table, in ES modules; who has no token is refused.
const classicPlayers = `
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, PutCommand, DeleteCommand } from "@aws-sdk/lib-dynamodb";

const table = DynamoDBDocumentClient.from(new DynamoDBClient({ region: process.env.AWS_REGION }));
const TableName = process.env.TABLE_NAME;

export const connect = async ({ requestContext: { connectionId }, queryStringParameters, headers }) => {
  if (queryStringParameters?.token !== "open sesame") return { statusCode: 401, body: "no token" };
  await table.send(new PutCommand({ TableName, Item: { connectionId } }));
  const offered = (headers["Sec-WebSocket-Protocol"] ?? "").split(", ");
  return { statusCode: 200, headers: offered.includes("game.v2") ? { "Sec-WebSocket-Protocol": "game.v2" } : {} };
};

export const disconnect = async ({ requestContext: { connectionId } }) => {
  await table.send(new DeleteCommand({ TableName, Key: { connectionId } }));
  return { statusCode: 200 };
};
`

// classicRoll asks one function and tells another, which nobody waits for.
const classicRoll = `
const { LambdaClient, InvokeCommand } = require("@aws-sdk/client-lambda");
const lambda = new LambdaClient();

exports.handler = async (event) => {
  const { sides } = JSON.parse(event.body);
  const answer = await lambda.send(new InvokeCommand({ FunctionName: process.env.DICE, Payload: JSON.stringify({ sides }) }));
  const result = JSON.parse(Buffer.from(answer.Payload).toString());
  const told = await lambda.send(new InvokeCommand({
    FunctionName: process.env.ANNOUNCE,
    InvocationType: "Event",
    Payload: JSON.stringify({ status: answer.StatusCode, failed: answer.FunctionError, ...result }),
  }));
  if (told.StatusCode !== 202) throw new Error("Event answered " + told.StatusCode);
  return { statusCode: 200 };
};
`

// classicAnnounce pushes to everyone at the host that AWS would have.
const classicAnnounce = "" +
	`const { DynamoDBClient, ScanCommand } = require("@aws-sdk/client-dynamodb");
const { ApiGatewayManagementApiClient, PostToConnectionCommand } = require("@aws-sdk/client-apigatewaymanagementapi");
const dynamo = new DynamoDBClient();

exports.handler = async ({ status, failed, rolled, errorType }) => {
  const api = new ApiGatewayManagementApiClient({
    endpoint: ` + "`https://${process.env.API_ID}.execute-api.${process.env.AWS_REGION}.amazonaws.com/Prod`" + `,
  });
  const { Items } = await dynamo.send(new ScanCommand({ TableName: process.env.TABLE_NAME, ProjectionExpression: "connectionId" }));
  const Data = JSON.stringify({ status, failed, rolled, errorType });
  await Promise.all(Items.map(({ connectionId }) => api.send(new PostToConnectionCommand({ ConnectionId: connectionId.S, Data }))));
};
`

// TestClassicShape runs it under --iam enforce: its own policies must be enough,
// as they are on AWS.
func TestClassicShape(t *testing.T) {
	t.Parallel()
	need(t, "node", "npm")
	s := start(t, folder(t, map[string]string{
		"template.yaml":         classicShape,
		"players/app.mjs":       classicPlayers,
		"game/roll.js":          classicRoll,
		"announce/index.js":     classicAnnounce,
		"announce/package.json": `{"name":"announce"}`,
	}), "--iam", "enforce")

	if _, err := client.Dial(t.Context(), s.url(), client.DialOptions{}); err == nil || !strings.Contains(err.Error(), "refused the handshake: 401") {
		t.Errorf("without a token: %v, want a refusal with 401", err)
	}
	if rows := s.rows("game_players", "connectionId"); len(rows) != 0 {
		t.Errorf("a refused client is in the table: %v", rows)
	}
	enter := func(protocols ...string) *testSocket {
		return s.dialURL(s.url()+"?token=open%20sesame", client.DialOptions{Subprotocols: protocols})
	}
	ann, bob := enter("game.v1", "game.v2"), enter()
	if ann.Protocol != "game.v2" || bob.Protocol != "" {
		t.Errorf("subprotocols are %q and %q, want game.v2 and none", ann.Protocol, bob.Protocol)
	}
	ann.say(`{"action":"roll","sides":6}`)
	for _, c := range []*testSocket{ann, bob} {
		c.want(`{"status":200,"rolled":6}`)
	}
	bob.say(`{"action":"roll"}`)
	ann.want(`{"status":200,"failed":"Unhandled","errorType":"RangeError"}`)

	// Who is gone leaves the table; what is pushed to the others goes on.
	ann.Close()
	s.await("one player to be left", func() bool { return len(s.rows("game_players", "connectionId")) == 1 })
	bob.want(`{"status":200,"failed":"Unhandled","errorType":"RangeError"}`)
	bob.say(`{"action":"roll","sides":20}`)
	bob.want(`{"status":200,"rolled":20}`)
	if log := s.log.String(); strings.Contains(log, "AccessDenied") || strings.Contains(log, "not authorized") {
		t.Error("something was refused that the template's policies allow")
	}
}

// rawShape is plain CloudFormation in JSON, as generators write it: code in the
// template, roles with inline and attached policies, joined ARNs, and what CDK
// adds. Its role may read and write the table and push, and no more.
const rawShape = `{
 "Parameters": {"BootstrapVersion": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/cdk-bootstrap/hnb659fds/version"}},
 "Rules": {"CheckBootstrapVersion": {"Assertions": [{"Assert": {"Fn::Not": [{"Fn::Contains": [["1", "2"], {"Ref": "BootstrapVersion"}]}]}}]}},
 "Conditions": {"CDKMetadataAvailable": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}},
 "Resources": {
  "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"KeySchema": [{"AttributeName": "connectionId", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "connectionId", "AttributeType": "S"}], "BillingMode": "PAY_PER_REQUEST"},
    "UpdateReplacePolicy": "Delete", "DeletionPolicy": "Delete", "Metadata": {"aws:cdk:path": "Stack/Table/Resource"}},
  "Role": {"Type": "AWS::IAM::Role", "Properties": {
    "AssumeRolePolicyDocument": {"Statement": [{"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}], "Version": "2012-10-17"},
    "ManagedPolicyArns": [{"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"]]}],
    "Policies": [{"PolicyName": "push", "PolicyDocument": {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "execute-api:ManageConnections",
      "Resource": {"Fn::Join": ["", ["arn:aws:execute-api:", {"Ref": "AWS::Region"}, ":", {"Ref": "AWS::AccountId"}, ":", {"Ref": "Api"}, "/prod/POST/@connections/*"]]}}}}]}},
  "TablePolicy": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "TablePolicy", "Roles": [{"Ref": "Role"}],
    "PolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Scan"],
      "Resource": [{"Fn::GetAtt": ["Table", "Arn"]}, {"Ref": "AWS::NoValue"}]}]}}},
  "Handler": {"Type": "AWS::Lambda::Function", "DependsOn": ["TablePolicy", "Role"], "Properties": {"Handler": "index.handler", "Runtime": "nodejs12.x",
    "Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Environment": {"Variables": {"table": {"Ref": "Table"}}}, "Code": {"ZipFile": %s}}},
  "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": "raw", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}},
  "Integration": {"Type": "AWS::ApiGatewayV2::Integration", "Properties": {"ApiId": {"Ref": "Api"}, "IntegrationType": "AWS_PROXY", "IntegrationUri": {"Fn::Join": ["", [
    "arn:", {"Ref": "AWS::Partition"}, ":apigateway:", {"Ref": "AWS::Region"}, ":lambda:path/2015-03-31/functions/", {"Fn::GetAtt": ["Handler", "Arn"]}, "/invocations"]]}}},
  "ConnectRoute": {"Type": "AWS::ApiGatewayV2::Route", "Properties": {"ApiId": {"Ref": "Api"}, "AuthorizationType": "NONE", "RouteKey": "$connect", "Target": {"Fn::Join": ["", ["integrations/", {"Ref": "Integration"}]]}}},
  "DisconnectRoute": {"Type": "AWS::ApiGatewayV2::Route", "Properties": {"ApiId": {"Ref": "Api"}, "RouteKey": "$disconnect", "Target": {"Fn::Join": ["", ["integrations/", {"Ref": "Integration"}]]}}},
  "DefaultRoute": {"Type": "AWS::ApiGatewayV2::Route", "Properties": {"ApiId": {"Ref": "Api"}, "RouteKey": "$default", "RouteResponseSelectionExpression": "$default", "Target": {"Fn::Join": ["", ["integrations/", {"Ref": "Integration"}]]}}},
  "DefaultResponse": {"Type": "AWS::ApiGatewayV2::RouteResponse", "Properties": {"ApiId": {"Ref": "Api"}, "RouteId": {"Ref": "DefaultRoute"}, "RouteResponseKey": "$default"}},
  "UnpermittedRoute": {"Type": "AWS::ApiGatewayV2::Route", "Properties": {"ApiId": {"Ref": "Api"}, "RouteKey": "unpermitted", "Target": {"Fn::Join": ["", ["integrations/", {"Ref": "Integration"}]]}}},
  "ConnectPermission": {"Type": "AWS::Lambda::Permission", "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": {"Fn::GetAtt": ["Handler", "Arn"]}, "Principal": "apigateway.amazonaws.com",
    "SourceArn": {"Fn::Join": ["", ["arn:aws:execute-api:", {"Ref": "AWS::Region"}, ":", {"Ref": "AWS::AccountId"}, ":", {"Ref": "Api"}, "/*/*connect"]]}}},
  "DefaultPermission": {"Type": "AWS::Lambda::Permission", "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": "Handler"}, "Principal": "apigateway.amazonaws.com",
    "SourceArn": {"Fn::Join": ["", ["arn:aws:execute-api:", {"Ref": "AWS::Region"}, ":", {"Ref": "AWS::AccountId"}, ":", {"Ref": "Api"}, "/prod/$default"]]}}},
  "Stage": {"Type": "AWS::ApiGatewayV2::Stage", "Properties": {"ApiId": {"Ref": "Api"}, "AutoDeploy": true, "StageName": "prod"}},
  "CDKMetadata": {"Type": "AWS::CDK::Metadata", "Properties": {"Analytics": "v2:deflate64:H4sI"}, "Condition": "CDKMetadataAvailable"}
 }
}`

// rawCode uses SDK v2 with callbacks, which answers a two-way route with what
// AWS says to each of its calls.
const rawCode = `
const AWS = require('aws-sdk');
const ddb = new AWS.DynamoDB.DocumentClient();
const TableName = process.env.table;

exports.handler = (event, context, callback) => {
  const { routeKey, connectionId, domainName, stage } = event.requestContext;
  const answer = (err, body) => callback(null, { statusCode: 200, body: err ? err.code + ' ' + err.statusCode : body });
  if (routeKey === '$connect') return ddb.put({ TableName, Item: { connectionId } }, (err) => callback(err, { statusCode: 200 }));
  if (routeKey === '$disconnect') return ddb.delete({ TableName, Key: { connectionId } }, (err) => callback(err, { statusCode: 200 }));
  const api = new AWS.ApiGatewayManagementApi({ apiVersion: '2018-11-29', endpoint: domainName + '/' + stage });
  switch (event.body) {
    case 'push':
      return ddb.scan({ TableName }, (err, page) => {
        if (err) return answer(err);
        Promise.all(page.Items.filter((item) => item.connectionId !== connectionId)
          .map((item) => api.postToConnection({ ConnectionId: item.connectionId, Data: 'pushed' }).promise()))
          .then((all) => answer(null, 'pushed to ' + all.length), answer);
      });
    case 'get':
      return api.getConnection({ ConnectionId: connectionId }, (err) => answer(err, 'got'));
    case 'query':
      return ddb.query({ TableName, KeyConditionExpression: 'connectionId = :c', ExpressionAttributeValues: { ':c': connectionId } }, (err) => answer(err, 'queried'));
    case 'invoke':
      return new AWS.Lambda().invoke({ FunctionName: context.functionName, Payload: '{}' }, (err) => answer(err, 'invoked'));
    default:
      return answer(null, 'echo ' + event.body);
  }
};
`

// TestRawShape wants its role to be held to what it may do, and API Gateway to
// the functions that let it in.
func TestRawShape(t *testing.T) {
	t.Parallel()
	need(t, "node", "npm")
	code, err := json.Marshal(rawCode)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, folder(t, map[string]string{"template.json": fmt.Sprintf(rawShape, code)}), "--iam", "enforce")
	c, other := s.dial(), s.dial()
	if rows := s.rows(s.table("Table"), "connectionId"); len(rows) != 2 {
		t.Errorf("the table holds %v, want two clients", rows)
	}
	for _, tt := range []struct{ say, want string }{
		{"hello", "echo hello"},
		{"push", "pushed to 1"},
		{"get", "AccessDeniedException 403"},
		{"query", "AccessDeniedException 400"},
		{"invoke", "AccessDeniedException 403"},
	} {
		c.say(tt.say)
		if got := c.next(); got != tt.want {
			t.Errorf("%s: client got %q, want %q", tt.say, got, tt.want)
		}
	}
	other.want("pushed")
	c.say(`{"action":"unpermitted"}`)
	if m := c.next(); !strings.HasPrefix(m, `{"message": "Internal server error", "connectionId":"`) {
		t.Errorf("a route without a permission: client got %s", m)
	}
	other.Close()
	s.await("who left to leave the table", func() bool { return len(s.rows(s.table("Table"), "connectionId")) == 1 })
}

// proxyShape has no function at all: an HTTP backend of one's own.
const proxyShape = `
Parameters:
  Backend: { Type: String }
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: proxy, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  Connect:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Api
      RouteKey: $connect
      Target: !Sub "integrations/${Entry}"
      RequestParameters:
        route.request.querystring.user: { Required: true }
        route.request.header.X-Team: { Required: false }
  Entry:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: HTTP_PROXY
      IntegrationMethod: POST
      IntegrationUri: !Sub "${Backend}/enter"
      RequestParameters:
        integration.request.querystring.user: route.request.querystring.user
        integration.request.header.X-Team: route.request.header.X-Team
        integration.request.header.X-Connection: context.connectionId
  Ask:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: ask, Target: !Sub "integrations/${Asking}", RouteResponseSelectionExpression: $default }
  AskResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref Ask, RouteResponseKey: $default }
  Asking:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: HTTP_PROXY
      IntegrationMethod: PUT
      IntegrationUri: !Sub "${Backend}/ask/{topic}"
      RequestParameters:
        integration.request.path.topic: route.request.body.topic
        integration.request.querystring.stage: context.stage
        integration.request.header.X-Greeting: stageVariables.greeting
        integration.request.header.X-Constant: "'constant'"
  Tell:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: tell, Target: !Sub "integrations/${Telling}" }
  Telling:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { ApiId: !Ref Api, IntegrationType: HTTP_PROXY, IntegrationMethod: POST, IntegrationUri: !Sub "${Backend}/tell" }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: live, AutoDeploy: true, StageVariables: { greeting: ahoy } }
`

// TestValidateTakesUpsArguments wants what stands after up to work after
// validate too.
func TestValidateTakesUpsArguments(t *testing.T) {
	t.Parallel()
	const template = "Parameters: { A: { Type: String }, B: { Type: Number } }\nResources: { T: { Type: AWS::SNS::Topic, Properties: { TopicName: !Sub '${A}-${B}' } } }\n"
	dir := folder(t, map[string]string{"app.yaml": template})
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"-t", "app.yaml", "--parameter-overrides", "A=x", "B=1"}, 0},
		{[]string{"app.yaml", "--parameter-overrides", "A=x B=1"}, 0},
		{[]string{"app.yaml", "--parameter-overrides", "ParameterKey=A,ParameterValue=x", "ParameterKey=B,ParameterValue=1"}, 0},
		{[]string{"app.yaml", "--parameter-overrides", "A=x"}, exitUsage},
		{[]string{"app.yaml", "other.yaml"}, exitUsage},
	} {
		if _, stderr, code := output(t, dir, "", append([]string{"validate"}, tt.args...)...); code != tt.code {
			t.Errorf("validate %q: exit %d, want %d; it said %s", tt.args, code, tt.code, stderr)
		}
	}
}

// TestValidateAsksTheControlPlane wants validate to refuse all that creating the
// resources would, each with its place, and up to refuse the first with the same
// words; and nothing to be left of it.
func TestValidateAsksTheControlPlane(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"template.yaml": `Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Slow:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: HTTP_PROXY
      IntegrationMethod: POST
      IntegrationUri: https://example.org
      TimeoutInMillis: 29001
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: send, Target: !Sub "integrations/${Slow}"}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    DependsOn: Route
    Properties: {ApiId: !Ref Api, StageName: dev, AutoDeploy: true}
  Sum:
    Type: AWS::ApiGatewayV2::Model
    Properties:
      ApiId: !Ref Api
      Name: not-a-name
      ContentType: application/json
      Schema: {type: object}
`})
	stdout, stderr, code := output(t, dir, "", "validate", "--json")
	var found struct{ Errors []finding }
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || code != exitUsage {
		t.Fatalf("exit %d, %v: %s", code, err, stderr)
	}
	var got []string
	for _, f := range found.Errors {
		got = append(got, fmt.Sprintf("%s:%d %s %s", f.File, f.Line, f.Resource, f.Property))
	}
	slices.Sort(got)
	want := []string{"template.yaml:24 Sum Properties.Name", "template.yaml:5 Slow "}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q; it said %s", got, want, stderr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("validate left %v, %v", left, err)
	}
	_, said, _ := output(t, dir, "", "up", "--port", "0")
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if first := lines[len(lines)-1]; !strings.Contains(stderr, first) {
		t.Errorf("up said %s, validate %s", first, stderr)
	}
}

// TestHTTPProxy wants a backend to get what request parameters make of a
// handshake and of messages, and only a two-way route to answer.
func TestHTTPProxy(t *testing.T) {
	t.Parallel()
	type request struct{ What, Header, Body string }
	seen := make(chan request, 10)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var headers []string
		for k := range r.Header {
			if slices.Contains([]string{"X-Team", "X-Greeting", "X-Constant"}, k) {
				headers = append(headers, k+"="+r.Header.Get(k))
			}
		}
		slices.Sort(headers)
		seen <- request{r.Method + " " + r.RequestURI, strings.Join(headers, " "), string(body)}
		switch {
		case r.URL.Path == "/enter" && (r.URL.Query().Get("user") == "mallory" || r.Header.Get("X-Connection") == ""):
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path != "/enter":
			fmt.Fprintf(w, "answer to %s", body)
		}
	}))
	t.Cleanup(backend.Close)
	sees := func(want request) {
		t.Helper()
		if got := <-seen; got != want {
			t.Errorf("the backend got %+v, want %+v", got, want)
		}
	}
	s := start(t, folder(t, map[string]string{"template.yaml": proxyShape}), "--parameter-overrides", "Backend="+backend.URL)

	if _, err := client.Dial(t.Context(), s.url()+"?user=mallory", client.DialOptions{}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a client that the backend refuses: %v, want a refusal with 403", err)
	}
	sees(request{What: "POST /enter?user=mallory"})
	c := s.dialURL(s.url()+"?user=ann", client.DialOptions{Header: http.Header{"X-Team": {"red"}}})
	sees(request{What: "POST /enter?user=ann", Header: "X-Team=red"})
	tell, ask := `{"action":"tell"}`, `{"action":"ask","topic":"tides"}`
	c.say(tell)
	sees(request{What: "POST /tell", Body: tell})
	c.say(ask)
	sees(request{What: "PUT /ask/tides?stage=live", Header: "X-Constant=constant X-Greeting=ahoy", Body: ask})
	c.want("answer to " + ask)
}
