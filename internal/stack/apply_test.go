package stack

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustLoad(t *testing.T, path string, opts Options) *Stack {
	t.Helper()
	if opts.StackName == "" {
		opts.StackName = "chat"
	}
	s, err := Load(path, opts)
	if err != nil {
		t.Fatalf("Load:\n%v", err)
	}
	return s
}

func mustApply(t *testing.T, d *Deployer, s *Stack) *Result {
	t.Helper()
	out, err := d.Apply(context.Background(), s)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return out
}

func TestApplyClassic(t *testing.T) {
	f, d := newFake(t)
	var told []Step
	d.Progress = func(s Step) { told = append(told, s) }
	s := mustLoad(t, "testdata/classic/template.yaml", Options{})
	out := mustApply(t, d, s)

	if len(out.APIs) != 1 || len(out.APIs[0].ID) != 10 || out.APIs[0].ID != s.apiID("ChatApi") || out.APIs[0].Name != "Chat" ||
		!cmp.Equal(out.APIs[0].Stages, []Stage{{"Stage", "Prod"}}) {
		t.Errorf("APIs = %+v", out.APIs)
	}
	if want := "wss://" + out.APIs[0].ID + ".execute-api.us-east-1.amazonaws.com/Prod"; out.Outputs["WebSocketURI"] != want {
		t.Errorf("WebSocketURI = %q, want %q", out.Outputs["WebSocketURI"], want)
	}
	if out.Outputs["TableArn"] != "arn:aws:dynamodb:us-east-1:000000000000:table/chat_connections" {
		t.Errorf("TableArn = %q", out.Outputs["TableArn"])
	}
	counts := map[string]int{"CreateApi": 1, "CreateIntegration": 3, "CreateRoute": 3, "CreateDeployment": 1, "CreateStage": 1,
		"CreateFunction": 3, "AddPermission": 3, "CreateTable": 1, "CreateRole": 3, "PutRolePolicy": 4, "AttachRolePolicy": 3}
	for op, n := range counts {
		if f.count(op) != n {
			t.Errorf("%s called %d times, want %d", op, f.count(op), n)
		}
	}
	if slices.Index(f.calls, "CreateDeployment") < slices.Index(f.calls, "CreateRoute")+2 {
		t.Errorf("the deployment came before the routes: %v", f.calls)
	}
	fn := f.bodies["CreateFunction"][0]
	folder, _ := filepath.Abs("testdata/classic/connect")
	if diff := cmp.Diff(map[string]any{"S3Bucket": "tidegate-folder", "S3Key": folder}, fn["Code"]); diff != "" {
		t.Error(diff)
	}
	name := fn["FunctionName"].(string)
	if !strings.HasPrefix(name, "chat-ConnectFunction-") || len(name) != len("chat-ConnectFunction-")+12 {
		t.Errorf("FunctionName = %q", name)
	}
	if diff := cmp.Diff(map[string]any{"TABLE_NAME": "chat_connections"}, fn["Environment"].(map[string]any)["Variables"]); diff != "" {
		t.Error(diff)
	}
	integration := f.bodies["CreateIntegration"]
	for _, i := range integration {
		uri := i["integrationUri"].(string)
		if !strings.HasPrefix(uri, "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:chat-") || !strings.HasSuffix(uri, "/invocations") {
			t.Errorf("integrationUri = %q", uri)
		}
		if i["apiId"] != nil || i["ApiId"] != nil {
			t.Errorf("the API's id is in the body: %v", i)
		}
	}
	if target := f.bodies["CreateRoute"][0]["target"].(string); !strings.HasPrefix(target, "integrations/i") {
		t.Errorf("target = %q", target)
	}
	var push string
	for _, p := range f.bodies["PutRolePolicy"] {
		if strings.Contains(p["PolicyDocument"].(string), "ManageConnections") {
			push = p["PolicyDocument"].(string)
		}
	}
	if want := "arn:aws:execute-api:us-east-1:000000000000:" + out.APIs[0].ID + "/*"; !strings.Contains(push, want) {
		t.Errorf("policy %s lacks %s", push, want)
	}
	if len(told) != len(out.Steps) || told[0].Action != Create || told[0].Err != nil {
		t.Errorf("progress told %d steps of %d", len(told), len(out.Steps))
	}

	// Applying again changes nothing.
	f.reset()
	again := mustApply(t, d, mustLoad(t, "testdata/classic/template.yaml", Options{}))
	if m := f.mutations(); len(m) > 0 {
		t.Errorf("a second run called %v", m)
	}
	if diff := cmp.Diff(out.APIs, again.APIs); diff != "" {
		t.Error(diff)
	}
	rec, err := d.Record(context.Background(), "chat")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := s.Plan(rec)
	if err != nil || plan.Changes() {
		t.Errorf("plan = %v, %v", plan.Steps, err)
	}
}

func TestApplyWebSocketAPI(t *testing.T) {
	f, d := newFake(t)
	s := mustLoad(t, "testdata/websocketapi/template.yaml", Options{})
	var ids []string
	for _, r := range s.resources {
		ids = append(ids, r.id)
	}
	want := []string{
		"Connections", "Archive",
		"ConnectFunction", "ConnectFunctionRole", "MessageFunction", "MessageFunctionRole", "TickFunction", "TickFunctionRole",
		"TickFunctionEveryMinute", "TickFunctionEveryMinutePermission",
		"ChatApi", "ChatApiConnectRoute", "ChatApiConnectIntegration", "ChatApiConnectPermission",
		"ChatApiSendmessageRoute", "ChatApiSendmessageIntegration", "ChatApiSendmessagePermission", "ChatApiDefaultStage",
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("logical ids:\n%s", diff)
	}
	out := mustApply(t, d, s)
	api := out.APIs[0]
	if !cmp.Equal(api.Stages, []Stage{{"ChatApiDefaultStage", "default"}}) || api.Name != "ChatApi" {
		t.Errorf("API = %+v", api)
	}
	if got, want := out.Outputs["Url"], "wss://"+api.ID+".execute-api.us-east-1.amazonaws.com/default"; got != want {
		t.Errorf("Url = %q, want %q", got, want)
	}
	if _, there := out.Outputs["Gone"]; there {
		t.Error("an output whose condition is false is there")
	}
	if tags := f.bodies["CreateApi"][0]["tags"]; !cmp.Equal(tags, map[string]any{"_custom_id_": api.ID, "team": "chat", "websocketapi:createdBy": "SAM"}) {
		t.Errorf("tags = %v", tags)
	}
	var env map[string]any
	for _, b := range f.bodies["CreateFunction"] {
		if b["Handler"] == "chat.message" {
			env = b["Environment"].(map[string]any)["Variables"].(map[string]any)
		}
	}
	wantEnv := map[string]any{
		"TABLE": out.Tables[0].Name, "DEBUG": "true", "PIN": "0042",
		"ENDPOINT": "https://" + api.ID + ".execute-api.us-east-1.amazonaws.com/default",
		"BUCKET":   "chat-archive-" + strings.ToLower(s.suffix("Archive", 13)),
	}
	if diff := cmp.Diff(wantEnv, env); diff != "" {
		t.Errorf("environment:\n%s", diff)
	}
	if got := f.bodies["PutRule"][0]["ScheduleExpression"]; got != "rate(1 minute)" {
		t.Errorf("schedule = %v", got)
	}
	wantTarget := []any{map[string]any{"Arn": out.Functions[2].ARN, "Id": "TickFunctionEveryMinuteLambdaTarget", "Input": `{"push": true}`}}
	if diff := cmp.Diff(wantTarget, f.bodies["PutTargets"][0]["Targets"]); diff != "" {
		t.Error(diff)
	}
	source := ""
	for _, b := range f.bodies["AddPermission"] {
		if s, _ := b["SourceArn"].(string); strings.HasSuffix(s, "/$connect") {
			source = s
		}
	}
	if want := "arn:aws:execute-api:us-east-1:000000000000:" + api.ID + "/default/$connect"; source != want {
		t.Errorf("SourceArn = %q, want %q", source, want)
	}
	if b := f.bodies["CreateStage"][0]; b["autoDeploy"] != true {
		t.Errorf("stage = %v", b)
	}
	var notes []string
	for _, n := range out.Notes {
		notes = append(notes, n.Resource+" "+n.Message)
	}
	all := strings.Join(notes, "\n")
	for _, want := range []string{"Archive AWS::S3::Bucket belongs to a service that Tidegate lacks", "TickFunction no event of type S3 happens here, so it never calls TickFunction; to call it: tidegate invoke TickFunction EVENT"} {
		if !strings.Contains(all, want) {
			t.Errorf("no note %q in\n%s", want, all)
		}
	}
	if _, err := Load("testdata/websocketapi/template.yaml", Options{Strict: true}); err == nil || !strings.Contains(err.Error(), "AWS::S3::Bucket") {
		t.Errorf("strict: %v", err)
	}
}

func TestApplyRaw(t *testing.T) {
	f, d := newFake(t)
	s := mustLoad(t, "testdata/raw/template.json", Options{})
	out := mustApply(t, d, s)
	if out.APIs[0].ID != "echo123456" {
		t.Errorf("API id = %q, want the _custom_id_ tag", out.APIs[0].ID)
	}
	fn := f.bodies["CreateFunction"][0]
	data, err := base64.StdEncoding.DecodeString(fn["Code"].(map[string]any)["ZipFile"].(string))
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	r, _ := z.File[0].Open()
	code, _ := io.ReadAll(r)
	if z.File[0].Name != "index.js" || !strings.HasSuffix(string(code), "// \U0001F600") {
		t.Errorf("%s: %q", z.File[0].Name, code)
	}
	if fn["Timeout"] != float64(30) {
		t.Errorf("Timeout = %v: a text must become a number", fn["Timeout"])
	}
	stage := f.bodies["CreateStage"][0]
	want := map[string]any{"stageName": "dev", "deploymentId": stage["deploymentId"], "stageVariables": map[string]any{"colour": "blue"},
		"defaultRouteSettings": map[string]any{"throttlingRateLimit": float64(100), "throttlingBurstLimit": float64(50)}}
	if diff := cmp.Diff(want, stage); diff != "" {
		t.Error(diff)
	}
	if p := f.bodies["AddPermission"][0]; p["SourceArn"] != out.Rules[0].ARN || p["Principal"] != "events.amazonaws.com" {
		t.Errorf("permission = %v", p)
	}
	// The template lacks DependsOn: the deployment still comes after the routes.
	last := 0
	for i, c := range f.calls {
		if slices.Contains([]string{"CreateRoute", "CreateIntegration", "CreateRouteResponse", "CreateIntegrationResponse"}, c) {
			last = i
		}
	}
	if i := slices.Index(f.calls, "CreateDeployment"); i < last {
		t.Errorf("CreateDeployment is call %d, before %d", i, last)
	}
	if !slices.ContainsFunc(out.Notes, func(n Note) bool {
		return n.Resource == "Deployment" && strings.Contains(n.Message, "no DependsOn on Default, PingRoute")
	}) {
		t.Errorf("notes = %v", out.Notes)
	}
}

func TestApplyServerless(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile("testdata/serverless/cloudformation-template-update-stack.json")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "template.json")
	os.WriteFile(path, data, 0o600)
	if _, err := Load(path, Options{StackName: "chat"}); err == nil || !strings.Contains(err.Error(), "there is no chat.zip beside the template") {
		t.Errorf("without the package: %v", err)
	}
	os.WriteFile(filepath.Join(dir, "chat.zip"), zipOf("handler.js", "exports.main = async () => ({})"), 0o600)
	f, d := newFake(t)
	out := mustApply(t, d, mustLoad(t, path, Options{}))
	if f.bodies["CreateFunction"][0]["FunctionName"] != "chat-dev-handler" || f.bodies["CreateRole"][0]["RoleName"] != "chat-dev-us-east-1-lambdaRole" {
		t.Errorf("names: %v, %v", f.bodies["CreateFunction"], f.bodies["CreateRole"])
	}
	if !strings.HasSuffix(out.Outputs["ServiceEndpointWebsocket"], ".execute-api.us-east-1.amazonaws.com/dev") {
		t.Errorf("outputs = %v", out.Outputs)
	}
}

// edit applies changes to a copy of the raw template.
func edit(t *testing.T, change func(resources map[string]any)) string {
	t.Helper()
	data, err := os.ReadFile("testdata/raw/template.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	resources := doc["Resources"].(map[string]any)
	resources["Named"] = map[string]any{"Type": "AWS::Lambda::Function", "Properties": map[string]any{"FunctionName": "fixed", "Runtime": "nodejs20.x", "Handler": "index.x", "Role": "r", "Code": map[string]any{"ZipFile": "1"}}}
	resources["Policy"] = map[string]any{"Type": "AWS::IAM::Policy", "Properties": map[string]any{"PolicyName": "more", "Roles": []any{map[string]any{"Ref": "Role"}}, "PolicyDocument": map[string]any{}}}
	change(resources)
	out, _ := json.Marshal(doc)
	path := filepath.Join(t.TempDir(), "template.json")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func props(resources map[string]any, id string) map[string]any {
	return resources[id].(map[string]any)["Properties"].(map[string]any)
}

func TestApplyChanges(t *testing.T) {
	tests := []struct {
		name   string
		change func(map[string]any)
		want   []string // the mutations
		note   string
	}{
		{"a function's timeout", func(r map[string]any) { props(r, "Echo")["Timeout"] = 5 }, []string{"UpdateFunctionConfiguration"}, ""},
		{"a function's code", func(r map[string]any) { props(r, "Echo")["Code"] = map[string]any{"ZipFile": "exports.handler = 1"} }, []string{"UpdateFunctionCode"}, ""},
		{"a route's target", func(r map[string]any) {
			props(r, "Default")["Target"] = map[string]any{"Fn::Sub": "integrations/${Ping}"}
		}, []string{"UpdateRoute"}, "the stage keeps serving this deployment"},
		{"a new deployment", func(r map[string]any) {
			props(r, "PingRoute")["RouteKey"] = "pang"
			r["Deployment2"] = r["Deployment"]
			delete(r, "Deployment")
			props(r, "Stage")["DeploymentId"] = map[string]any{"Ref": "Deployment2"}
		}, []string{"UpdateRoute", "CreateDeployment", "UpdateStage", "DeleteDeployment"}, ""},
		{"a stage variable gone", func(r map[string]any) { delete(props(r, "Stage"), "StageVariables") }, []string{"UpdateStage"}, ""},
		{"a stage renamed", func(r map[string]any) { props(r, "Stage")["StageName"] = "live" }, []string{"CreateStage", "DeleteStage"}, ""},
		{"a rule's schedule", func(r map[string]any) { props(r, "Timer")["ScheduleExpression"] = "rate(2 minutes)" }, []string{"PutRule", "PutTargets"}, ""},
		{"a rule's target", func(r map[string]any) {
			props(r, "Timer")["Targets"].([]any)[0].(map[string]any)["Id"] = "other"
		}, []string{"PutRule", "RemoveTargets", "PutTargets"}, ""},
		{"a permission", func(r map[string]any) { delete(props(r, "TimerMay"), "SourceArn") }, []string{"RemovePermission", "AddPermission"}, ""},
		{"a role's policy renamed", func(r map[string]any) {
			props(r, "Role")["Policies"].([]any)[0].(map[string]any)["PolicyName"] = "shove"
		}, []string{"PutRolePolicy", "DeleteRolePolicy"}, ""},
		{"a route's logical id", func(r map[string]any) { r["Ping2"] = r["PingRoute"]; delete(r, "PingRoute") }, []string{"UpdateRoute"}, "took over r"},
		{"the logical id of a function with a name", func(r map[string]any) {
			r["Echo2"] = map[string]any{"Type": "AWS::Lambda::Function", "Properties": map[string]any{"FunctionName": "fixed", "Runtime": "nodejs20.x", "Handler": "index.x", "Role": "r", "Code": map[string]any{"ZipFile": "1"}}}
			delete(r, "Named")
		}, []string{"CreateFunction", "UpdateFunctionConfiguration", "UpdateFunctionCode"}, "took over fixed from Named"},
		{"the logical id of a policy", func(r map[string]any) { r["Policy2"] = r["Policy"]; delete(r, "Policy") }, []string{"PutRolePolicy"}, ""},
		{"nothing", func(r map[string]any) {}, nil, ""},
		{"a rule gone", func(r map[string]any) { delete(r, "Timer"); delete(r, "TimerMay") }, []string{"RemoveTargets", "DeleteRule", "RemovePermission"}, ""},
		{"the API gone", func(r map[string]any) {
			for id, res := range r {
				if strings.HasPrefix(res.(map[string]any)["Type"].(string), "AWS::ApiGatewayV2") {
					delete(r, id)
				}
			}
			delete(props(r, "Role"), "Policies")
		}, []string{"DeleteRolePolicy", "DeleteApi"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, d := newFake(t)
			mustApply(t, d, mustLoad(t, edit(t, func(map[string]any) {}), Options{}))
			f.reset()
			s := mustLoad(t, edit(t, tt.change), Options{})
			rec, err := d.Record(context.Background(), "chat")
			if err != nil {
				t.Fatal(err)
			}
			plan, err := s.Plan(rec)
			if err != nil {
				t.Fatal(err)
			}
			out := mustApply(t, d, s)
			if diff := cmp.Diff(tt.want, f.mutations()); diff != "" && len(tt.want)+len(f.mutations()) > 0 {
				t.Errorf("calls:\n%s", diff)
			}
			if plan.Changes() != (len(tt.want) > 0) {
				t.Errorf("plan: %v", plan.Steps)
			}
			if tt.note != "" && !slices.ContainsFunc(out.Notes, func(n Note) bool { return strings.Contains(n.Message, tt.note) }) {
				t.Errorf("no note %q in %v", tt.note, out.Notes)
			}
			f.reset()
			mustApply(t, d, mustLoad(t, s.Path, Options{}))
			if m := f.mutations(); len(m) > 0 {
				t.Errorf("the next run called %v", m)
			}
		})
	}
}

// A run that dies anywhere leaves something that the next run completes, with
// nothing made twice.
func TestApplyAfterCrash(t *testing.T) {
	f, d := newFake(t)
	mustApply(t, d, mustLoad(t, "testdata/raw/template.json", Options{}))
	want := len(f.things)
	calls := len(f.mutations())
	for n := 1; n <= calls; n++ {
		f, d := newFake(t)
		ctx, cancel := context.WithCancel(context.Background())
		done := 0
		f.afterCall = func(operation string) {
			if strings.HasPrefix(operation, "Get") || strings.HasPrefix(operation, "Describe") || strings.HasPrefix(operation, "List") {
				return
			}
			if done++; done == n {
				cancel()
			}
		}
		s := mustLoad(t, "testdata/raw/template.json", Options{})
		a := d.applier(s, &Record{Name: "chat", Resources: map[string]RecordedResource{}, Outputs: map[string]string{}})
		if err := a.run(ctx); err == nil && n < calls {
			t.Fatalf("crash after call %d: no error", n)
		}
		f.afterCall = nil // the record was never written
		mustApply(t, d, s)
		extra := 0
		for k := range f.things {
			if strings.Contains(k, "/deployments/") {
				extra++ // a deployment has no natural key: one may be left over
			}
		}
		if len(f.things)-extra != want-1 || extra > 2 {
			t.Errorf("crash after call %d: %d things, want %d: %v", n, len(f.things), want, keys(f.things))
		}
		f.reset()
		mustApply(t, d, s)
		if m := f.mutations(); len(m) > 0 {
			t.Errorf("crash after call %d: the third run called %v", n, m)
		}
	}
}

func TestApplyFailure(t *testing.T) {
	f, d := newFake(t)
	f.failOn = func(operation string, in map[string]any) *APIError {
		if operation == "CreateFunction" {
			return &APIError{Status: 400, Code: "InvalidParameterValueException", Message: "1 validation error detected: Value '30' at 'timeout' failed"}
		}
		return nil
	}
	s := mustLoad(t, "testdata/raw/template.json", Options{})
	_, err := d.Apply(context.Background(), s)
	var failed *ApplyError
	if !errors.As(err, &failed) {
		t.Fatalf("error %v", err)
	}
	if failed.LogicalID != "Echo" || failed.Property != "Timeout" || failed.Line != 18 || hasCode(err, "InvalidParameterValueException") != true {
		t.Errorf("error %+v", failed)
	}
	if want := "template.json:18:"; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Echo.Properties.Timeout: CreateFunction: InvalidParameterValueException (400): 1 validation") {
		t.Errorf("error %q", err)
	}
	rec, err := d.Record(context.Background(), "chat")
	if err != nil || rec.Resources["Role"].PhysicalID == "" {
		t.Errorf("the role made before isn't recorded: %v, %v", rec, err)
	}
	f.failOn = nil
	mustApply(t, d, s)
	if f.count("CreateRole") != 1 {
		t.Errorf("CreateRole called %d times", f.count("CreateRole"))
	}
}

func TestApplyRecreatesWhatWasLost(t *testing.T) {
	f, d := newFake(t)
	s := mustLoad(t, "testdata/raw/template.json", Options{})
	mustApply(t, d, s)
	before := keys(f.things)
	for k := range f.things {
		if strings.HasPrefix(k, "v2/apis/") || strings.HasPrefix(k, "function/") {
			delete(f.things, k)
		}
	}
	f.reset()
	mustApply(t, d, s)
	if len(f.things) != len(before) {
		t.Errorf("things = %v, want like %v", keys(f.things), before)
	}
	if f.count("CreateRole") != 0 {
		t.Error("the role was made again")
	}
}

func TestTablesAreKept(t *testing.T) {
	table := func(key, policy string) string {
		s := "Resources:\n  Other: {Type: AWS::DynamoDB::Table, Properties: {KeySchema: [{AttributeName: id, KeyType: HASH}], AttributeDefinitions: [{AttributeName: id, AttributeType: S}], BillingMode: PAY_PER_REQUEST}}\n"
		if key != "" {
			s += "  T:\n    Type: AWS::DynamoDB::Table\n" + policy + "    Properties: {KeySchema: [{AttributeName: " + key + ", KeyType: HASH}], AttributeDefinitions: [{AttributeName: " + key + ", AttributeType: S}], BillingMode: PAY_PER_REQUEST}\n"
		}
		return s
	}
	load := func(template string, prune bool) *Stack {
		t.Helper()
		path := filepath.Join(t.TempDir(), "template.yaml")
		os.WriteFile(path, []byte(template), 0o600)
		return mustLoad(t, path, Options{Prune: prune})
	}
	f, d := newFake(t)
	out := mustApply(t, d, load(table("id", ""), false))
	name := ""
	for _, x := range out.Tables {
		if x.LogicalID == "T" {
			name = x.Name
		}
	}
	out = mustApply(t, d, load(table("", ""), false))
	if f.count("DeleteTable") != 0 || !slices.ContainsFunc(out.Notes, func(n Note) bool { return strings.Contains(n.Message, name+" is kept") }) {
		t.Errorf("the table was not kept: %v", out.Notes)
	}
	mustApply(t, d, load(table("id", ""), false)) // taken over again
	if _, err := d.Apply(context.Background(), load(table("pk", ""), false)); err == nil || !strings.Contains(err.Error(), "its items would be lost") {
		t.Errorf("replacing a table: %v", err)
	}
	mustApply(t, d, load(table("pk", ""), true))
	if f.count("DeleteTable") != 1 {
		t.Error("--prune did not replace the table")
	}
	mustApply(t, d, load(table("pk", "    DeletionPolicy: Delete\n"), false))
	mustApply(t, d, load(table("", ""), false))
	if f.count("DeleteTable") != 2 || f.things["table/"+name] != nil {
		t.Error("DeletionPolicy: Delete did not delete the table")
	}
}

func TestUnbuiltOperationsAreNoted(t *testing.T) {
	f, d := newFake(t)
	f.unbuilt["UpdateTimeToLive"] = true
	f.failOn = func(operation string, in map[string]any) *APIError {
		if operation == "AttachRolePolicy" {
			return &APIError{Status: 404, Code: "NoSuchEntity", Message: "no policy"}
		}
		return nil
	}
	path := filepath.Join(t.TempDir(), "template.yaml")
	os.WriteFile(path, []byte(`
Resources:
  T:
    Type: AWS::DynamoDB::Table
    Properties:
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      TimeToLiveSpecification: {AttributeName: ttl, Enabled: true}
  R:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}
      ManagedPolicyArns: ["arn:aws:iam::aws:policy/AmazonEverything"]
`), 0o600)
	out := mustApply(t, d, mustLoad(t, path, Options{}))
	var all []string
	for _, n := range out.Notes {
		all = append(all, n.String())
	}
	notes := strings.Join(all, "\n")
	for _, want := range []string{"T.Properties.TimeToLiveSpecification: has no effect here yet", "the managed policy AmazonEverything isn't known here"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note %q in\n%s", want, notes)
		}
	}
	if got := f.bodies["CreateRole"][0]["AssumeRolePolicyDocument"]; got != `{"Statement":[],"Version":"2012-10-17"}` {
		t.Errorf("trust policy = %s: a date in YAML must stay text", got)
	}
}

// TestStackMoves applies a stack in another region, and in another account: what
// was there goes, but for tables, and they are taken over on the way back.
func TestStackMoves(t *testing.T) {
	f, d := newFake(t)
	load := func(region, account string) *Stack {
		t.Helper()
		return mustLoad(t, "testdata/classic/template.yaml", Options{Region: region, Account: account})
	}
	mustApply(t, d, load("us-east-1", ""))
	before := len(f.things)
	for _, to := range []struct{ region, account string }{{"eu-west-1", ""}, {"eu-west-1", "111122223333"}, {"us-east-1", ""}} {
		f.reset()
		out := mustApply(t, d, load(to.region, to.account))
		if f.count("DeleteFunction") == 0 || f.count("CreateFunction") != f.count("DeleteFunction") || f.count("DeleteTable") != 0 || len(f.things) != before {
			t.Errorf("%v: calls %v, left %v", to, f.calls, keys(f.things))
		}
		if !slices.ContainsFunc(out.Notes, func(n Note) bool {
			return strings.Contains(n.Message, "its tables are kept with their items: chat_connections")
		}) {
			t.Errorf("%v: notes %v", to, out.Notes)
		}
		f.reset()
		if out := mustApply(t, d, load(to.region, to.account)); f.count("DeleteFunction")+f.count("CreateFunction") != 0 {
			t.Errorf("%v, again: %v", to, out.Steps)
		}
	}
}

func TestDelete(t *testing.T) {
	f, d := newFake(t)
	mustApply(t, d, mustLoad(t, "testdata/classic/template.yaml", Options{}))
	rec, err := d.Record(context.Background(), "chat")
	if err != nil {
		t.Fatal(err)
	}
	f.reset()
	if err := d.Delete(context.Background(), rec, false); err != nil {
		t.Fatal(err)
	}
	if left := keys(f.things); !cmp.Equal(left, []string{"table/chat_connections"}) {
		t.Errorf("left: %v", left)
	}
	if f.count("DeleteRoute") != 0 {
		t.Error("routes were deleted although their API goes")
	}
	rec, _ = d.Record(context.Background(), "chat")
	if len(rec.Resources) != 0 {
		t.Errorf("record: %v", rec.Resources)
	}
}
