package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const modelsTemplate = `
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: shop, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Say:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Api
      RouteKey: say
      ModelSelectionExpression: $request.body.kind
      RequestModels: {order: Order}
      RouteResponseSelectionExpression: $default
      Target: !Sub integrations/${Mock}
  Back:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Api, RouteId: !Ref Say, RouteResponseKey: $default}
  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: MOCK
      TemplateSelectionExpression: \$default
      RequestTemplates: {$default: '{"statusCode":200}'}
  Answer:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Mock
      IntegrationResponseKey: $default
      ResponseTemplates: {$default: '{"taken":true}'}
      TemplateSelectionExpression: \$default
  Order:
    DependsOn: Item
    Type: AWS::ApiGatewayV2::Model
    Properties:
      ApiId: !Ref Api
      Name: Order
      Schema:
        $schema: http://json-schema.org/draft-04/schema#
        type: object
        required: [item]
        properties:
          item: {$ref: !Sub 'https://apigateway.amazonaws.com/restapis/${Api}/models/Item'}
  Item:
    Type: AWS::ApiGatewayV2::Model
    Properties:
      ApiId: !Ref Api
      Name: Item
      Schema: {type: object, required: [sku], properties: {sku: {type: string, minLength: 3}}}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: prod, AutoDeploy: true}
`

// TestModels sends messages that fit a template's models and such that don't:
// AWS's error frame, and the reason in the log by the frame's request id.
func TestModels(t *testing.T) {
	t.Parallel()
	s := start(t, folder(t, map[string]string{"template.yaml": modelsTemplate}))
	c := s.dial()
	c.say(`{"action":"say","kind":"order","item":{"sku":"abc"}}`)
	c.want(`{"taken":true}`)
	for message, reason := range map[string]string{
		`{"action":"say","kind":"order","item":{"sku":"ab"}}`: "string is too short (length: 2, required minimum: 3) (at /item/sku), says Item#/properties/sku/minLength",
		`{"action":"say","kind":"order"}`:                     `object has missing required properties (["item"])`,
		`{"action":"say","kind":"other"}`:                     `yields "other", for which the route has no model`,
		`{action:"say",kind:"order",item:{sku:"abc"}}`:        "is no JSON",
	} {
		c.say(message)
		frame := c.next()
		var is struct{ Message, ConnectionID, RequestID string }
		if err := json.Unmarshal([]byte(frame), &is); err != nil || !strings.HasPrefix(frame, `{"message": "Invalid request body", "connectionId":"`+is.ConnectionID+`", "requestId":"`) {
			t.Errorf("%s was answered with %s", message, frame)
		}
		s.await("the log to say why", func() bool {
			out, _, _ := output(t, s.dir, "", "logs", "--request-id", is.RequestID)
			return strings.Contains(out, "invalid-body") && strings.Contains(strings.ReplaceAll(out, `\"`, `"`), reason)
		})
	}
	c.say(`{"action":"say","kind":"order","item":{"sku":"abcd"}}`)
	c.want(`{"taken":true}`)
}
