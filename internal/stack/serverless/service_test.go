package serverless

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

// read reads a service from files, serverless.yml among them.
func read(t testing.TB, files map[string]string, o Options) *Service {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if o.Env == nil {
		o.Env = func(name string) (string, bool) { return "from env", name == "SET" }
	}
	o.Account, o.DefaultRegion = "000000000000", "us-east-1"
	s, err := Read(filepath.Join(dir, "serverless.yml"), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plainOf is a tree with the short forms as they are written.
func plainOf(n *yaml.Node) any { return jsonOf(n, 0) }

const head = "service: chat\nprovider: {name: aws, stage: \"${opt:stage, 'dev'}\"}\n"

// TestVariables holds what a value in the environment becomes.
func TestVariables(t *testing.T) {
	files := map[string]string{
		"other.yml":  "dev: {n: 5, list: [a, b]}\nstage: ${self:provider.stage}\n",
		"other.json": "{\n\t\"deep\": {\"er\": true}\n}",
		"text.txt":   "plain ${self:nothing}\n",
		"shared.yml": "full: ${self:custom.shared.first}/${self:custom.shared.second}\nfirst: ${self:custom.text}\nsecond: ${sls:stage}\n",
		".env":       "DOT=dotted\nBOTH=default\n",
		".env.dev":   "BOTH=stage\n",
	}
	for _, tt := range []struct {
		value string
		want  any
	}{
		{"plain", "plain"},
		{"${self:custom.text}", "text"},
		{"a-${self:custom.text}-b", "a-text-b"},
		{"${self:custom.number}", json.Number("7")},
		{"${self:custom.${self:custom.pick}.in}", "nested"},
		{"${self:custom.chain}", "text"},
		{"${self:custom.list.1}", "two"},
		{"${self:service}-${sls:stage}", "chat-dev"},
		{"${self:service.name}", "chat"},
		{"${opt:stage}", "dev"},
		{"${opt:other, self:custom.none, 'quoted, text'}", "quoted, text"},
		{`${opt:other, "double"}`, "double"},
		{"${opt:other, 12}", json.Number("12")},
		{"${opt:other, ${self:custom.text}}", "text"},
		{"${env:SET}", "from env"},
		{"${env:DOT}", "dotted"},
		{"${env:BOTH}", "stage"},
		{"${env:UNSET, ''}", ""},
		{"${file(./other.yml):dev.n}", json.Number("5")},
		{"${file(./other.yml):stage}", "dev"},
		{"${file(other.json):deep.er}", true},
		{"${file(./text.txt)}", "plain ${self:nothing}"},
		{"${file(./gone.yml):a, 'fallback'}", "fallback"},
		{"${self:custom.shared.full}", "text/dev"},
		{"${strToBool(1)}", true},
		{"${aws:region}/${aws:accountId}", "us-east-1/000000000000"},
		{"${param:one}/${param:two}/${param:three}", "given/stage/default"},
		{"${ssm:/a/b~true}", "from outside"},
		{"${ssm:/c/d}", "ssm-c-d"},
		{"${cf(eu-west-1):stack.Out, 'none'}", "none"},
		{"${AWS::Region} ${Table.Arn} ${Table}", "${AWS::Region} ${Table.Arn} ${Table}"},
		{`\${self:service}`, "${self:service}"},
		{"#{AWS::Region}", map[string]any{"Fn::Sub": "${AWS::Region}"}},
	} {
		quoted, _ := json.Marshal(tt.value)
		files["serverless.yml"] = head + `useDotenv: true
params: {default: {two: default, three: default}, dev: {two: stage}}
custom: {shared: "${file(./shared.yml)}", text: text, number: 7, list: [one, two], chain: "${self:custom.${opt:which, 'text'}}", pick: nested, nested: {in: nested}}
functions: {f: {handler: h.f, environment: {KEY: ` + string(quoted) + `}}}
`
		s := read(t, files, Options{Overrides: map[string]string{"one": "given", "ssm:/a/b": "from outside"}})
		if len(s.Problems) > 0 {
			t.Errorf("%s: %+v", tt.value, s.Problems)
			continue
		}
		f := get(get(s.Template, "Resources"), "FLambdaFunction")
		got := plainOf(get(get(get(get(f, "Properties"), "Environment"), "Variables"), "KEY"))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.value, diff)
		}
	}
}

func TestProblems(t *testing.T) {
	f := "functions: {f: {handler: h.f, environment: {KEY: \"%\"}}}\n"
	for _, tt := range []struct {
		name, text, want string
		line             int
	}{
		{"no value", head + strings.Replace(f, "%", "${env:UNSET}", 1), "${env:UNSET} has no value; set the environment variable UNSET", 3},
		{"no value in self", head + strings.Replace(f, "%", "a ${self:custom.none}", 1), "${self:custom.none} has no value", 3},
		{"a cycle", head + strings.Replace(f, "%", "${self:custom.a}", 1) + "custom:\n  a: ${self:custom.b}\n  b: ${self:custom.a}\n", "the value depends on itself", 5},
		{"a cycle through a file", head + strings.Replace(f, "%", "${self:custom.y.a}", 1) + "custom:\n  y: ${file(./y.yml)}\n", "the value depends on itself", 8},
		{"a part that is a map", head + strings.Replace(f, "%", "a-${self:custom}", 1) + "custom: {a: 1}\n", "is no text", 3},
		{"not closed", head + strings.Replace(f, "%", "${self:custom", 1), "isn't closed", 3},
		{"a word without quotes", head + strings.Replace(f, "%", "${opt:x, word}", 1), `"word" is no source`, 3},
		{"an unknown source", head + strings.Replace(f, "%", "${magic:x}", 1), "the source magic isn't known here", 3},
		{"a program", head + strings.Replace(f, "%", "${file(./x.js):a}", 1), "variables from .js files aren't supported", 3},
		{"another cloud", "service: s\nprovider: {name: google}\nfunctions: {}\n", `provider.name must be aws, not "google"`, 2},
		{"an authorizer", head + "functions:\n  f:\n    handler: h.f\n    events:\n      - websocket: {route: $connect, authorizer: auth}\n", `the authorizer "auth" is no function of the service`, 7},
		{"an image", head + "functions: {f: {image: x}}\n", "container images are not built yet", 3},
		{"a route twice", head + "functions:\n  f: {handler: h.f, events: [{websocket: a}]}\n  g: {handler: h.g, events: [{websocket: a}]}\n", "the route a has a function already", 5},
		{"no handler", head + "functions:\n  f: {}\n", "needs a handler", 4},
		{"bad YAML", "service: [\n", "not valid YAML", 2},
		{"an extension of nothing", head + "functions: {}\nresources: {extensions: {Nothing: {Properties: {}}}}\n", `extends "Nothing"`, 4},
	} {
		s := read(t, map[string]string{"serverless.yml": tt.text, "x.js": "", "y.yml": "a: ${self:custom.y.b}\nb: ${self:custom.y.a}\n"}, Options{})
		if len(s.Problems) == 0 {
			t.Errorf("%s: no problem", tt.name)
			continue
		}
		p := s.Problems[0]
		if got := p.Text + "; " + p.Hint; !strings.Contains(got, tt.want) || p.Line != tt.line {
			t.Errorf("%s: line %d: %s; want line %d: %s", tt.name, p.Line, got, tt.line, tt.want)
		}
	}
}

// TestPlacesOfFiles holds that a line tells its file.
func TestPlacesOfFiles(t *testing.T) {
	s := read(t, map[string]string{"serverless.yml": head + "functions: ${file(./f.yml)}\n", "f.yml": "one:\n  handler: ${env:UNSET}\n"}, Options{})
	if len(s.Problems) == 0 || len(s.Files) != 2 || s.Problems[0].Line-s.Files[1].Before != 2 {
		t.Errorf("problems %+v in files %+v; want line 2 of f.yml", s.Problems, s.Files)
	}
}

// TestResources holds the logical ids that the framework gives, and how the
// section resources is laid over them.
func TestResources(t *testing.T) {
	s := read(t, map[string]string{"serverless.yml": head + `functions:
  say-it_now:
    handler: h.f
    events:
      - websocket: $connect
      - websocket: {route: a/b, routeResponseSelectionExpression: $default}
      - schedule: rate(1 minute)
      - schedule: {rate: [rate(1 hour), rate(2 hours)], enabled: false, input: {a: 1}}
      - eventBridge: {schedule: rate(3 hours), state: DISABLED, input: {b: 2}, retryPolicy: {maximumRetryAttempts: 4}}
      - eventBridge:
        schedule: rate(4 hours)
resources:
  - Resources: {T: {Type: AWS::DynamoDB::Table, DependsOn: SayDashitUnderscorenowLogGroup}}
  - Resources: {WebsocketsApi: {Properties: {Description: mine}}}
  - extensions: {IamRoleLambdaExecution: {Properties: {Policies: [{PolicyName: more}]}}}
`}, Options{Stage: "prod"})
	if len(s.Problems) > 0 {
		t.Fatalf("%+v", s.Problems)
	}
	resources := get(s.Template, "Resources")
	for _, id := range []string{
		"SayDashitUnderscorenowLambdaFunction", "SayDashitUnderscorenowWebsocketsIntegration", "SayDashitUnderscorenowLambdaPermissionWebsockets",
		"SconnectWebsocketsRoute", "aSlashbWebsocketsRoute", "aSlashbWebsocketsRouteResponse", "WebsocketsApi", "WebsocketsDeploymentStage",
		"IamRoleLambdaExecution", "SayDashitUnderscorenowEventsRuleSchedule1", "SayDashitUnderscorenowEventsRuleSchedule3",
		"SayDashitUnderscorenowLambdaPermissionEventsRuleSchedule3", "T", "SayDashitUnderscorenowLogGroup",
	} {
		if get(resources, id) == nil {
			t.Errorf("there is no %s", id)
		}
	}
	if got := scalar(get(get(get(resources, "WebsocketsApi"), "Properties"), "Description")); got != "mine" {
		t.Errorf("the API's description is %q", got)
	}
	if got := scalar(get(get(get(resources, "WebsocketsApi"), "Properties"), "Name")); got != "prod-chat-websockets" {
		t.Errorf("the API's name is %q", got)
	}
	if got := len(get(get(get(resources, "IamRoleLambdaExecution"), "Properties"), "Policies").Content); got != 2 {
		t.Errorf("the role has %d policies, want its own and the extension's", got)
	}
	rule := get(get(resources, "SayDashitUnderscorenowEventsRuleSchedule2"), "Properties")
	if scalar(get(rule, "State")) != "DISABLED" || scalar(get(get(rule, "Targets").Content[0], "Input")) != `{"a":1}` {
		t.Errorf("the second rule: %v", plainOf(rule))
	}
	bus := get(get(resources, "SayDashitUnderscorenowEventsRuleSchedule4"), "Properties")
	goal := get(bus, "Targets").Content[0]
	if scalar(get(bus, "ScheduleExpression")) != "rate(3 hours)" || scalar(get(bus, "State")) != "DISABLED" || scalar(get(goal, "Input")) != `{"b":2}` ||
		scalar(get(get(goal, "RetryPolicy"), "MaximumRetryAttempts")) != "4" {
		t.Errorf("the eventBridge event's rule: %v", plainOf(bus))
	}
	if got := scalar(get(get(get(resources, "SayDashitUnderscorenowEventsRuleSchedule5"), "Properties"), "ScheduleExpression")); got != "rate(4 hours)" {
		t.Errorf("the rule of a schedule that is indented too little fires at %q", got)
	}
	if s.StackName() != "chat-prod" {
		t.Errorf("the stack's name is %s", s.StackName())
	}
}

func TestAuthorizers(t *testing.T) {
	for _, tt := range []struct{ authorizer, typ, id, arn, source string }{
		{"aws_iam", "AWS_IAM", "", "", ""},
		{"check-it", "CUSTOM", "CheckDashitWebsocketsAuthorizer", "", defaultIdentitySource},
		{"{name: check-it, identitySource: route.request.querystring.t}", "CUSTOM", "CheckDashitWebsocketsAuthorizer", "", "route.request.querystring.t"},
		{"{name: other, arn: 'arn:aws:lambda:us-east-1:000000000000:function:x', identitySource: [route.request.header.Cookie]}", "CUSTOM", "OtherWebsocketsAuthorizer", "arn:aws:lambda:us-east-1:000000000000:function:x", "route.request.header.Cookie"},
		{"'arn:aws:lambda:us-east-1:000000000000:function:x'", "CUSTOM", "XWebsocketsAuthorizer", "arn:aws:lambda:us-east-1:000000000000:function:x", defaultIdentitySource},
	} {
		s := read(t, map[string]string{"serverless.yml": head + "functions:\n  check-it: {handler: h.c}\n  f:\n    handler: h.f\n    events:\n      - websocket: {route: $connect, authorizer: " + tt.authorizer + "}\n"}, Options{})
		if len(s.Problems) > 0 {
			t.Errorf("%s: %+v", tt.authorizer, s.Problems)
			continue
		}
		resources := get(s.Template, "Resources")
		route := get(get(resources, "SconnectWebsocketsRoute"), "Properties")
		if typ, id := scalar(get(route, "AuthorizationType")), scalar(get(get(route, "AuthorizerId"), "Ref")); typ != tt.typ || id != tt.id {
			t.Errorf("%s: the route has %s %s, want %s %s", tt.authorizer, typ, id, tt.typ, tt.id)
		}
		if tt.id == "" {
			continue
		}
		made := get(get(resources, tt.id), "Properties")
		if sources := get(made, "IdentitySource"); sources == nil || len(sources.Content) != 1 || scalar(sources.Content[0]) != tt.source {
			t.Errorf("%s: identity source %v, want %s", tt.authorizer, plainOf(sources), tt.source)
		}
		permission := get(get(resources, strings.TrimSuffix(tt.id, "WebsocketsAuthorizer")+"LambdaPermissionWebsockets"), "Properties")
		if permission == nil || scalar(get(permission, "FunctionName")) != tt.arn {
			t.Errorf("%s: the permission is %v", tt.authorizer, plainOf(permission))
		}
	}
}

// TestBounds holds that values which multiply each other end.
func TestBounds(t *testing.T) {
	var b strings.Builder
	b.WriteString(head + "custom:\n  a0: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"\n")
	for i := range 40 {
		ref := "${self:custom.a" + strconv.Itoa(i) + "}"
		b.WriteString("  a" + strconv.Itoa(i+1) + ": \"" + ref + ref + "\"\n")
	}
	b.WriteString("functions: {f: {handler: \"${self:custom.a40}\"}}\n")
	s := read(t, map[string]string{"serverless.yml": b.String()}, Options{})
	if len(s.Problems) == 0 || !strings.Contains(s.Problems[0].Text, "bytes") {
		t.Errorf("problems %+v; want the bound named", s.Problems)
	}
}

func FuzzParseText(f *testing.F) {
	for _, s := range []string{"", "plain", "${self:a}", "a${opt:b, 'c'}d", "${file(./${self:x}):y.${env:Z, \"q\"}}", `\${x}`, "${AWS::Region}", "${a:", "${a(", "${a:,,}", "${a:b, ${c:d}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts, err := parseText(s)
		if err != nil {
			return
		}
		var whole strings.Builder
		for _, p := range parts {
			if p.sources == nil {
				whole.WriteString(p.literal)
				continue
			}
			if !strings.HasPrefix(s[p.offset:], p.text) {
				t.Errorf("%q: the variable %q isn't at %d", s, p.text, p.offset)
			}
			whole.WriteString(p.text)
		}
		if !strings.Contains(s, `\${`) && whole.String() != s {
			t.Errorf("%q comes apart as %q", s, whole.String())
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add(head + "functions: {f: {handler: h.f, events: [{websocket: $connect}, {schedule: rate(1 day)}]}}\nresources: {Outputs: {a: b}}\n")
	f.Add("service: ${self:service}\nprovider: ${self:provider}\n")
	f.Add("a: &a {<<: *a}\nservice: *a\n")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "file(") || len(s) > 1<<14 {
			t.Skip("other files of this machine are none of the fuzzer's")
		}
		read(t, map[string]string{"serverless.yml": s}, Options{})
	})
}
