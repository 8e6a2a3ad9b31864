package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tidegate/internal/client"
)

const keysTemplate = `
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: shop, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Connect:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $connect, ApiKeyRequired: true, Target: !Sub 'integrations/${Mock}'}
  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: MOCK
      TemplateSelectionExpression: \$default
      RequestTemplates: {$default: '{"statusCode":200}'}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: prod, AutoDeploy: true}
  Key:
    Type: AWS::ApiGateway::ApiKey
    Properties: {Name: first, Enabled: true, Value: a-secret-of-the-template}
  Plan:
    Type: AWS::ApiGateway::UsagePlan
    Properties:
      UsagePlanName: free
      ApiStages: [{ApiId: !Ref Api, Stage: !Ref Stage}]
      Quota: {Limit: 3, Period: MONTH}
  PlanKey:
    Type: AWS::ApiGateway::UsagePlanKey
    Properties: {KeyId: !Ref Key, KeyType: API_KEY, UsagePlanId: !Ref Plan}
Outputs:
  Plan: {Value: !Ref Plan}
  Key: {Value: !Ref Key}
`

// TestAPIKeys connects with a template's API key until its quota is used up, goes
// on with one that AWS's CLI makes, and restarts: what was used stays used.
func TestAPIKeys(t *testing.T) {
	need(t, "aws")
	t.Parallel()
	dir := folder(t, map[string]string{"template.yaml": keysTemplate})
	s := start(t, dir)
	connect := func(key string, want int) {
		t.Helper()
		o := client.DialOptions{Header: http.Header{}}
		if key != "" {
			o.Header.Set("X-Api-Key", key)
		}
		ws, err := client.Dial(t.Context(), s.url(), o)
		if err == nil {
			ws.Close()
		}
		if refused := fmt.Sprintf("refused the handshake: %d ", want); (err == nil) != (want == 101) || err != nil && !strings.Contains(err.Error(), refused) {
			t.Errorf("a handshake ended with %v, want %d", err, want)
		}
	}
	const key = "a-secret-of-the-template"
	connect("", 403)
	connect("another-secret-that-is-none", 403)
	connect(key, 101)
	connect(key, 101)
	connect(key, 101)
	connect(key, 429)
	s.await("the log to say why", func() bool {
		out, _, _ := output(t, dir, "", "logs")
		return strings.Contains(out, "api-key-quota") && strings.Contains(out, "has made the 3 requests of a MONTH") && strings.Contains(out, "the request has none")
	})
	if strings.Contains(s.log.String(), key) {
		t.Error("the key is in the log")
	}
	aws := func(args ...string) string {
		t.Helper()
		return s.script(nil, "aws", append([]string{"apigateway", "--output", "json"}, args...)...)
	}
	var made struct{ ID, Value string }
	if err := json.Unmarshal([]byte(aws("create-api-key", "--name", "second", "--enabled")), &made); err != nil || len(made.Value) != 40 {
		t.Fatalf("create-api-key made %+v, %v", made, err)
	}
	connect(made.Value, 403) // in no plan yet
	var plans struct {
		Items []struct{ ID, Name string }
	}
	if err := json.Unmarshal([]byte(aws("get-usage-plans")), &plans); err != nil || len(plans.Items) != 1 || plans.Items[0].Name != "free" {
		t.Fatalf("get-usage-plans told of %+v, %v", plans, err)
	}
	plan := plans.Items[0].ID
	aws("create-usage-plan-key", "--usage-plan-id", plan, "--key-id", made.ID, "--key-type", "API_KEY")
	connect(made.Value, 101)
	aws("update-api-key", "--api-key", made.ID, "--patch-operations", "op=replace,path=/enabled,value=false")
	connect(made.Value, 403)
	aws("update-usage-plan", "--usage-plan-id", plan, "--patch-operations", "op=replace,path=/throttle/rateLimit,value=0", "op=replace,path=/throttle/burstLimit,value=0", "op=replace,path=/quota/limit,value=100")
	connect(key, 429)
	aws("update-usage-plan", "--usage-plan-id", plan, "--patch-operations", "op=remove,path=/throttle")
	connect(key, 101)
	aws("update-usage-plan", "--usage-plan-id", plan, "--patch-operations", "op=replace,path=/quota/limit,value=4")

	s.stop()
	s = start(t, dir)
	connect(key, 429) // four of four
	aws("delete-usage-plan-key", "--usage-plan-id", plan, "--key-id", made.ID)
	aws("delete-api-key", "--api-key", made.ID)
}
