package serverless

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUnread holds that what isn't read is told, once, with its line.
func TestUnread(t *testing.T) {
	s := read(t, map[string]string{"serverless.yml": `service: chat
frameworkVersion: '3'
configValidationMode: error
provider:
  name: aws
  vpc: {securityGroupIds: [a]}
  tracing: {lambda: true}
  logs: {websocket: true}
  versionFunctions: false
  websocketApiname: x
  iam: {role: {permissionsBoundary: arn, statements: []}, deploymentRole: arn}
package:
  individually: true
  patterns: ['!node_modules/**']
functons: {}
plugins: [serverless-esbuild, serverless-python-requirements, serverless-unheard-of]
functions:
  f:
    handler: h.f
    tracing: Active
    memorysize: 5
    package: {exclude: [a]}
    events: [{websocket: {route: a, timeoutMs: 5}}]
  g: {handler: h.g, events: [{schedule: {rate: rate(1 day), retries: 5}}]}
layers:
  l: {path: layer, retain: true, package: {patterns: [a]}}
`}, Options{})
	if len(s.Problems) > 0 {
		t.Fatalf("%+v", s.Problems)
	}
	var got []string
	for _, n := range s.Notes {
		got = append(got, fmt.Sprintf("%d %s", n.Line, strings.SplitN(n.Text, ": ", 2)[0]))
	}
	want := []string{
		"3 configValidationMode has no effect here", "15 functons isn't known here and has no effect",
		"6 provider.vpc has no effect here", "7 provider.tracing has no effect here", "8 provider.logs has no effect here",
		"10 provider.websocketApiname isn't known here and has no effect",
		"11 provider.iam.deploymentRole has no effect here", "11 provider.iam.role.permissionsBoundary has no effect here",
		"13 package.individually has no effect here", "14 package.patterns has no effect here",
		"26 layers.l.retain has no effect here", "26 layers.l.package.patterns has no effect here",
		"16 serverless-python-requirements is not run", "16 the plugin serverless-unheard-of is not run",
		"20 functions.f.tracing has no effect here", "21 functions.f.memorysize isn't known here and has no effect", "22 functions.f.package.exclude has no effect here",
		"23 function f", "24 function g",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRequirementsAreInstalled(t *testing.T) {
	s := read(t, map[string]string{"serverless.yml": head + "plugins: [serverless-python-requirements]\nfunctions: {f: {handler: h.f, runtime: python3.12}}\n", "requirements.txt": ""}, Options{})
	if len(s.Problems)+len(s.Notes) > 0 {
		t.Errorf("problems %+v, notes %+v", s.Problems, s.Notes)
	}
}

// TestSchedulerRoles holds that EventBridge Scheduler may take the role that is
// made, and call the functions that it schedules and no others.
func TestSchedulerRoles(t *testing.T) {
	s := read(t, map[string]string{"serverless.yml": head + `functions:
  one: {handler: h.f, events: [{schedule: {rate: [rate(1 hour), rate(1 day)], method: scheduler}}]}
  own: {handler: h.f, iamRoleStatements: [{Effect: Allow, Action: 's3:*', Resource: '*'}], events: [{schedule: {rate: rate(1 hour), method: scheduler}}]}
  given: {handler: h.f, events: [{schedule: {rate: rate(1 hour), method: scheduler, roleArn: 'arn:aws:iam::000000000000:role/x'}}]}
  ruled: {handler: h.f, role: 'arn:aws:iam::000000000000:role/y', events: [{schedule: rate(1 hour)}]}
`}, Options{})
	if len(s.Problems) > 0 {
		t.Fatalf("%+v", s.Problems)
	}
	resources := get(s.Template, "Resources")
	for role, function := range map[string]string{"IamRoleLambdaExecution": "chat-dev-one", "OwnIamRoleLambdaExecution": "chat-dev-own"} {
		p, err := json.Marshal(plainOf(get(get(resources, role), "Properties")))
		if err != nil {
			t.Fatal(err)
		}
		text := string(p)
		if !strings.Contains(text, `"Service":["lambda.amazonaws.com","scheduler.amazonaws.com"]`) ||
			strings.Count(text, "lambda:InvokeFunction") != 1 || !strings.Contains(text, ":function:"+function+`"`) {
			t.Errorf("%s: %s", role, text)
		}
	}
	for id, want := range map[string]any{
		"OneEventsRuleSchedule2":   map[string]any{"Fn::GetAtt": []any{"IamRoleLambdaExecution", "Arn"}},
		"OwnEventsRuleSchedule1":   map[string]any{"Fn::GetAtt": []any{"OwnIamRoleLambdaExecution", "Arn"}},
		"GivenEventsRuleSchedule1": "arn:aws:iam::000000000000:role/x",
	} {
		got := plainOf(get(get(get(get(resources, id), "Properties"), "Target"), "RoleArn"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
}

// TestFunctionMembers holds what of a function becomes of members that are
// CloudFormation's under another name.
func TestFunctionMembers(t *testing.T) {
	s := read(t, map[string]string{"serverless.yml": head + `functions:
  f:
    handler: h.f
    onError: arn:aws:sqs:us-east-1:000000000000:dead
    reservedConcurrency: 3
    layers: [{Ref: WordsLambdaLayer}]
    maximumRetryAttempts: 1
    destinations: {onFailure: g, onSuccess: {type: function, arn: 'arn:aws:lambda:us-east-1:000000000000:function:x'}}
    events:
      - schedule: {rate: rate(1 day), inputPath: $.detail}
      - schedule: {rate: rate(1 day), inputTransformer: {inputPathsMap: {t: $.time}, inputTemplate: '{"time": <t>}'}}
  g: {handler: h.g}
layers: {words: {path: layer, compatibleRuntimes: [nodejs22.x]}}
`}, Options{})
	if len(s.Problems)+len(s.Notes) > 0 {
		t.Fatalf("%+v %+v", s.Problems, s.Notes)
	}
	properties := func(id string) map[string]any {
		m, _ := plainOf(get(get(get(s.Template, "Resources"), id), "Properties")).(map[string]any)
		return m
	}
	target := func(id string) map[string]any {
		targets, _ := properties(id)["Targets"].([]any)
		if len(targets) != 1 {
			t.Fatalf("%s has the targets %v", id, targets)
		}
		return targets[0].(map[string]any)
	}
	f := properties("FLambdaFunction")
	got := map[string]any{
		"dead": f["DeadLetterConfig"], "reserved": f["ReservedConcurrentExecutions"], "layers": f["Layers"],
		"destinations": properties("FLambdaEvConf")["DestinationConfig"], "attempts": properties("FLambdaEvConf")["MaximumRetryAttempts"],
		"path": target("FEventsRuleSchedule1")["InputPath"], "transformer": target("FEventsRuleSchedule2")["InputTransformer"],
		"layer": properties("WordsLambdaLayer")["Content"],
	}
	want := map[string]any{
		"dead": map[string]any{"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"}, "reserved": json.Number("3"),
		"layers": []any{map[string]any{"Ref": "WordsLambdaLayer"}}, "attempts": json.Number("1"), "layer": "layer", "path": "$.detail",
		"destinations": map[string]any{
			"OnFailure": map[string]any{"Destination": map[string]any{"Fn::GetAtt": []any{"GLambdaFunction", "Arn"}}},
			"OnSuccess": map[string]any{"Destination": "arn:aws:lambda:us-east-1:000000000000:function:x"},
		},
		"transformer": map[string]any{"InputPathsMap": map[string]any{"t": "$.time"}, "InputTemplate": `{"time": <t>}`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
