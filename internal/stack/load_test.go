package stack

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// load loads a template as if it were the file abs, which diagnostics call name.
func load(data []byte, name, abs string, opts Options) (*Stack, error) {
	o := &origin{name: name, path: abs, home: filepath.Dir(abs), files: []string{abs}}
	return o.load(data, opts)
}

// loadText loads a template that lies in a folder with src/app.js.
func loadText(t testing.TB, template string, opts Options) (*Stack, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "src"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"src/app.js": "exports.handler = 1", "src/typed.ts": "export const handler = 1"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if opts.StackName == "" {
		opts.StackName = "test"
	}
	return load([]byte(template), "t.yaml", filepath.Join(dir, "t.yaml"), opts)
}

const samHead = "Transform: AWS::Serverless-2016-10-31\nResources:\n"

func TestLoadProblems(t *testing.T) {
	tests := []struct {
		name, template, want string
	}{
		{"empty", "", "t.yaml:1:1: the template is empty"},
		{"a tab", "a:\n\tb: 1\n", "t.yaml:2:1: not valid YAML: found character that cannot start any token: a tab (YAML is indented with spaces), or @ or ` without quotes"},
		{"not YAML", "a: [\n b", "t.yaml:3:1: not valid YAML: did not find expected ',' or ']'"},
		{"two documents", "a: 1\n---\nb: 1\n", "more than one YAML document"},
		{"a list", "- a\n", "t.yaml:1:1: a template is a map with a section Resources, not a list"},
		{"unknown section", "Resorces: {}\nResources: {A: {Type: AWS::SNS::Topic}}\n", `t.yaml:1:1: Resorces: a template has no section "Resorces"; did you mean "Resources"?`},
		{"a key twice", "Resources:\n  A: {Type: AWS::SNS::Topic}\n  A: {Type: AWS::SNS::Topic}\n", `t.yaml:3:3: key "A" is given twice, first on line 2`},
		{"an unknown tag", "Resources:\n  A: {Type: AWS::SNS::Topic, Properties: {TopicName: !Reff B}}\n", `t.yaml:2:54: unknown tag !Reff; did you mean "!Ref"?`},
		{"another macro", "Transform: [Count]\nResources: {A: {Type: AWS::SNS::Topic}}\n", "t.yaml:1:13: Transform: macro Count is not supported; AWS::Serverless-2016-10-31, AWS::LanguageExtensions, AWS::Include are"},
		{"SAM without Transform", "Resources:\n  F: {Type: AWS::Serverless::Function}\n", "F.Type: AWS::Serverless::Function belongs to SAM, and the template doesn't say that it is one; add Transform: AWS::Serverless-2016-10-31"},
		{"a wrong Ref", samHead + "  Table: {Type: AWS::Serverless::SimpleTable}\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: app.handler, Runtime: nodejs20.x, Environment: {Variables: {T: !Ref Tabel}}}\n",
			`t.yaml:6:104: F.Properties.Environment.Variables.T: "Tabel" is neither a resource nor a parameter of this template; did you mean "Table"?`},
		{"a wrong attribute", samHead + "  Table: {Type: AWS::Serverless::SimpleTable}\nOutputs: {X: {Value: !GetAtt Table.Arm}}\n",
			`t.yaml:4:22: Outputs.X.Value: Table, an AWS::DynamoDB::Table, has no attribute "Arm"; it has Arn, StreamArn; did you mean "Arn"?`},
		{"a wrong property", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handlr: app.handler, Runtime: nodejs20.x}\n",
			`t.yaml:5:32: F.Properties.Handlr: there is no property "Handlr"; did you mean "Handler"?`},
		{"a wrong nested property", "Resources:\n  T: {Type: AWS::DynamoDB::Table, Properties: {KeySchema: [{AttributeNam: id, KeyType: HASH}]}}\n",
			`T.Properties.KeySchema[0].AttributeNam: there is no property "AttributeNam"; did you mean "AttributeName"?`},
		{"a wrong type", "Resources:\n  R: {Type: AWS::ApiGatewayV2::Rout}\n", `R.Type: resource type AWS::ApiGatewayV2::Rout is not built yet; did you mean "AWS::ApiGatewayV2::Route"?`},
		{"a wrong service", "Resources:\n  R: {Type: AWS::Lamda::Function}\n", `R.Type: there is no resource type AWS::Lamda::Function; did you mean "AWS::Lambda::Function"?`},
		{"a type that isn't built", "Resources:\n  R: {Type: AWS::ApiGatewayV2::VpcLink}\n", "t.yaml:2:3: R.Type: resource type AWS::ApiGatewayV2::VpcLink is not built yet"},
		{"a JWT authorizer", "Resources:\n  R: {Type: AWS::ApiGatewayV2::Authorizer, Properties: {ApiId: x, Name: n, AuthorizerType: JWT}}\n", "R.Properties.AuthorizerType: JWT authorizers belong to HTTP APIs"},
		{"an authorizer of nothing", "Resources:\n  R: {Type: AWS::ApiGatewayV2::Authorizer, Properties: {ApiId: x, Name: n, AuthorizerType: REQUEST}}\n", "R.Properties: an authorizer of type REQUEST needs the property AuthorizerUri"},
		{"authorization of a message", "Resources:\n  R: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: x, RouteKey: send, AuthorizationType: AWS_IAM}}\n", "R.Properties.AuthorizationType: authorization is restricted to the $connect route only"},
		{"a JWT route", "Resources:\n  R: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: x, RouteKey: $connect, AuthorizationType: JWT}}\n", "R.Properties.AuthorizationType: JWT belongs to HTTP APIs"},
		{"scopes", "Resources:\n  R: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: x, RouteKey: $connect, AuthorizationScopes: [a]}}\n", "R.Properties.AuthorizationScopes: is for JWT authorizers only"},
		{"a destination without its ARN", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: app.handler, Runtime: nodejs20.x, EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: Lambda}}}}\n",
			"F.Properties.EventInvokeConfig.DestinationConfig.OnFailure: a destination of Type Lambda needs the member Destination, an ARN"},
		{"events of an alias", "Resources:\n  E: {Type: AWS::Lambda::EventInvokeConfig, Properties: {FunctionName: f, Qualifier: live}}\n", `E.Properties.Qualifier: must be one of $LATEST, not "live"`},
		{"a nested stack", "Resources:\n  R: {Type: AWS::CloudFormation::Stack}\n", "R.Type: nested stacks (AWS::CloudFormation::Stack) are not supported"},
		{"a mapping template", "Resources:\n  R:\n    Type: AWS::ApiGatewayV2::IntegrationResponse\n    Properties: {ApiId: a, IntegrationId: i, IntegrationResponseKey: $default, ResponseTemplates: {'200': '#if($x)'}}\n",
			"t.yaml:4:107: R.Properties.ResponseTemplates.200: the mapping template is no Velocity: line 1, column 1: #if isn't closed by #end"},
		{"a misspelt event", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: app.handler, Runtime: nodejs20.x, Events: {E: {Type: Shedule}}}\n",
			`there is no event type "Shedule"; did you mean "Schedule"?`},
		{"authorization without an authorizer", "Resources:\n  R:\n    Type: AWS::ApiGatewayV2::Route\n    Properties:\n      ApiId: x\n      RouteKey: $connect\n      AuthorizationType: CUSTOM\n",
			"R.Properties: AuthorizationType CUSTOM needs the property AuthorizerId"},
		{"one cause, one error: an integration with AWS", "Resources:\n  I:\n    Type: AWS::ApiGatewayV2::Integration\n    Properties:\n      ApiId: x\n      IntegrationType: AWS\n      CredentialsArn: y\n      IntegrationMethod: 1\n      Shape: round\n",
			"t.yaml:2:3: I.Properties: integration type AWS needs the property IntegrationUri\n" +
				"t.yaml:9:7: I.Properties.Shape: there is no property \"Shape\""},
		{"an AWS integration with neither action nor path", "Resources:\n  I:\n    Type: AWS::ApiGatewayV2::Integration\n    Properties: {ApiId: x, IntegrationType: AWS, IntegrationUri: 'arn:aws:apigateway:us-east-1:dynamodb:PutItem'}\n",
			"t.yaml:4:66: I.Properties.IntegrationUri: the ARN of an AWS integration must contain path or action"},
		{"a service without a role", "Resources:\n  I:\n    Type: AWS::ApiGatewayV2::Integration\n    Properties: {ApiId: x, IntegrationType: AWS, IntegrationUri: 'arn:aws:apigateway:us-east-1:dynamodb:action/PutItem', IntegrationMethod: POST}\n",
			"I.Properties: integration type AWS needs the property CredentialsArn"},
		{"the caller's credentials", "Resources:\n  I:\n    Type: AWS::ApiGatewayV2::Integration\n    Properties: {ApiId: x, IntegrationType: AWS, IntegrationUri: 'arn:aws:apigateway:us-east-1:dynamodb:action/PutItem', IntegrationMethod: POST, CredentialsArn: 'arn:aws:iam::*:user/*'}\n",
			"I.Properties.CredentialsArn: the caller's own identity"},
		{"a VPC link without its id", "Resources:\n  I:\n    Type: AWS::ApiGatewayV2::Integration\n    Properties: {ApiId: x, IntegrationType: HTTP, IntegrationUri: 'http://x/', IntegrationMethod: POST, ConnectionType: VPC_LINK}\n",
			"I.Properties: integration type HTTP needs the property ConnectionId"},
		{"one cause, one error: a runtime for all", "Transform: AWS::Serverless-2016-10-31\nGlobals: {Function: {Runtime: ruby3.4, CodeUri: src}}\nResources:\n  F: {Type: AWS::Serverless::Function, Properties: {Handler: lambda_function.handler}}\n  G: {Type: AWS::Serverless::Function, Properties: {Handler: other.handler}}\n  H: {Type: AWS::SNS::Topic, DependsOn: X}\n",
			"t.yaml:2:31: F.Properties.Runtime: runtime ruby3.4 doesn't run here; nodejs*, python3.*, provided* and go1.x do; make it a program named bootstrap (provided.al2023), or leave the function to AWS\n" +
				"t.yaml:6:41: H.DependsOn: \"X\" is neither a resource nor a parameter"},
		{"one cause, one error: a parameter without a value", "Parameters: {P: {Type: String}}\nConditions: {C: !Equals [!Ref P, 'true']}\nResources:\n  A:\n    Type: AWS::ApiGatewayV2::Api\n    Properties: {Name: !Sub 'x-${P}', ProtocolType: !Ref P, DisableExecuteApiEndpoint: !Ref P, RouteSelectionExpression: a, Description: !If [C, a, b]}\n  B: {Type: AWS::SNS::Topic, DependsOn: X}\n",
			"t.yaml:1:14: Parameters.P: the parameter has no Default and no value was given; give one with --parameter-overrides P=VALUE\n" +
				"t.yaml:7:41: B.DependsOn: \"X\" is neither a resource nor a parameter"},
		{"no code and nothing beside the template", samHead + "  F: {Type: AWS::Serverless::Function, Properties: {Handler: app.handler, Runtime: nodejs20.x}}\n",
			`F.Properties.Handler: handler "app.handler" has no file in the template's folder; tried app.js, app.mjs, app.cjs`},
		{"Auth of a WebSocketApi", samHead + "  A:\n    Type: AWS::Serverless::WebSocketApi\n    Properties: {RouteSelectionExpression: x, Routes: {$connect: {FunctionArn: y}}, Auth: {AuthType: CUSTOM}}\n",
			"A.Properties.Auth: AuthType CUSTOM needs the member AuthArn"},
		{"an AuthType of a WebSocketApi", samHead + "  A:\n    Type: AWS::Serverless::WebSocketApi\n    Properties: {RouteSelectionExpression: x, Routes: {$connect: {FunctionArn: y}}, Auth: {AuthType: JWT}}\n",
			"A.Properties.Auth: AuthType must be one of NONE, AWS_IAM and CUSTOM, not \"JWT\""},
		{"a route key", samHead + "  A:\n    Type: AWS::Serverless::WebSocketApi\n    Properties: {RouteSelectionExpression: x, Routes: {$nonsense: {FunctionArn: y}}}\n",
			`A.Properties.Routes.$nonsense: route key "$nonsense" must be alphanumeric`},
		{"stage $default", samHead + "  A:\n    Type: AWS::Serverless::WebSocketApi\n    Properties: {RouteSelectionExpression: x, StageName: $default, Routes: {$connect: {FunctionArn: y}}}\n",
			"A.Properties.StageName: stages cannot be named $default for WebSocket APIs"},
		{"no routes", samHead + "  A:\n    Type: AWS::Serverless::WebSocketApi\n    Properties: {RouteSelectionExpression: x, Routes: {}}\n", "a WebSocket API must have at least one route"},
		{"no selection expression", samHead + "  A:\n    Type: AWS::Serverless::WebSocketApi\n    Properties: {Routes: {$connect: {FunctionArn: y}}}\n", "needs the property RouteSelectionExpression"},
		{"an HTTP API", "Resources:\n  A: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: x, ProtocolType: HTTP}}\n", "A.Properties.ProtocolType: HTTP APIs are not served"},
		{"a required property", "Resources:\n  A: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: x}}\n", "A.Properties: AWS::ApiGatewayV2::Route needs the property RouteKey"},
		{"a ring", "Resources:\n  A: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: x, StageName: !Ref B}}\n  B: {Type: AWS::ApiGatewayV2::Stage, DependsOn: A, Properties: {ApiId: x, StageName: b}}\n",
			"t.yaml:2:3: A: resources depend on each other in a ring: A -> B -> A"},
		{"itself", "Resources:\n  A: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: x, StageName: !Ref A}}\n", "A: A refers to itself"},
		{"DependsOn", "Resources:\n  A: {Type: AWS::SNS::Topic, DependsOn: [B]}\n", `t.yaml:2:42: A.DependsOn: "B" is neither a resource nor a parameter`},
		{"a condition that isn't there", "Conditions: {Prod: !Equals [a, a]}\nResources:\n  A: {Type: AWS::SNS::Topic, Condition: Porod}\n", `the template has no condition "Porod"; did you mean "Prod"?`},
		{"a conditional resource", "Conditions: {Never: !Equals [a, b]}\nResources:\n  A: {Type: AWS::SNS::Topic, Condition: Never}\n  B: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref A}}\n",
			"B.Properties.TopicName: A exists only when condition Never holds, and it doesn't"},
		{"a condition on itself", "Conditions: {A: !Condition B, B: !Not [!Condition A]}\nResources: {X: {Type: AWS::SNS::Topic}}\n", "Conditions.A: condition A depends on itself"},
		{"a folder", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: scr/, Handler: app.handler, Runtime: nodejs20.x}\n",
			`t.yaml:5:27: F.Properties.CodeUri: there is no folder or zip file scr; did you mean "src"?`},
		{"a handler file", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src/, Handler: ap.handler, Runtime: nodejs20.x}\n",
			`t.yaml:5:42: F.Properties.Handler: handler "ap.handler" has no file in the folder src; did you mean "app.js"?`},
		{"a handler outside", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src/, Handler: ../app.handler, Runtime: nodejs20.x}\n", "leads out of the folder src"},
		{"build method", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src/, Handler: typed.handler, Runtime: nodejs20.x}\n    Metadata: {BuildMethod: rust-cargolambda}\n", `t.yaml:6:29: F.Metadata.BuildMethod: the build method rust-cargolambda is not built here`},
		{"build property", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src/, Handler: typed.handler, Runtime: nodejs20.x}\n    Metadata: {BuildMethod: esbuild, BuildProperties: {Minfy: true}}\n", `there is no property "Minfy"; did you mean "Minify"?`},
		{"entry point", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src/, Handler: typed.handler, Runtime: nodejs20.x}\n    Metadata: {BuildMethod: esbuild, BuildProperties: {EntryPoints: [type.ts]}}\n", `BuildProperties.EntryPoints[0]: there is no file type.ts in src; did you mean "typed.ts"?`},
		{"not an entry point", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src/, Handler: typed.handler, Runtime: nodejs20.x}\n    Metadata: {BuildMethod: esbuild, BuildProperties: {EntryPoints: [app.js]}}\n", `handler "typed.handler" is none of the EntryPoints`},
		{"build for another runtime", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src/, Handler: typed.handler, Runtime: python3.12}\n    Metadata: {BuildMethod: esbuild}\n", `esbuild doesn't build for the runtime python3.12`},
		{"no Makefile", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src/, Handler: typed.handler, Runtime: nodejs20.x}\n    Metadata: {BuildMethod: makefile}\n", `there is no Makefile in src`},
		{"a runtime", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: app.handler, Runtime: python2.7}\n", "F.Properties.Runtime: runtime python2.7 doesn't run here; nodejs*, python3.*, provided* and go1.x do"},
		{"a bootstrap that isn't there", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: x, Runtime: provided.al2023}\n", "F.Properties.Handler: there is no program bootstrap in the folder src; a bootstrap is a program or script"},
		{"a go1.x program that isn't there", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: main, Runtime: go1.x}\n", "there is no program main in the folder src"},
		{"an inline program", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {InlineCode: x, Handler: index.x, Runtime: provided.al2}\n", "runtime provided.al2 runs a program, which can't stand in the template"},
		{"a Python module", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: chat/other.handler, Runtime: python3.12}\n", `handler "chat/other.handler" has no file in the folder src; tried chat/other.py, chat/other/__init__.py`},
		{"a Python handler's form", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: handler, Runtime: python3.12}\n", `handler "handler" must be a module, a dot, and a function, such as app.lambda_handler`},
		{"a Python handler outside", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: ../app.handler, Runtime: python3.12}\n", "leads out of the folder src"},
		{"S3", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: s3://bucket/key.zip, Handler: app.handler, Runtime: nodejs20.x}\n", "Tidegate has no S3 to read s3://bucket/key.zip from"},
		{"a policy template", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: app.handler, Runtime: nodejs20.x, Policies: [DynamoDBCrudPolcy: {TableName: x}]}\n",
			`F.Properties.Policies[0].DynamoDBCrudPolcy: there is no policy template "DynamoDBCrudPolcy"; did you mean "DynamoDBCrudPolicy"?`},
		{"a policy template's parameter", samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: app.handler, Runtime: nodejs20.x, Policies: [DynamoDBCrudPolicy: {Table: x}]}\n",
			"the policy template needs the parameter TableName"},
		{"Globals", "Transform: AWS::Serverless-2016-10-31\nGlobals: {Function: {Timout: 3}}\nResources: {A: {Type: AWS::SNS::Topic}}\n", `t.yaml:2:22: Globals.Function.Timout: "Timout" can't be given for all at once; did you mean "Timeout"?`},
		{"another stack's output", "Resources:\n  A: {Type: AWS::SNS::Topic, Properties: {TopicName: {Fn::GetStackOutput: x}}}\n", "A.Properties.TopicName: Fn::GetStackOutput is not supported: there is no other stack; use a parameter"},
		{"no function", "Resources:\n  A: {Type: AWS::SNS::Topic, Properties: {TopicName: {Fn::Sbu: x}}}\n", `there is no function Fn::Sbu; did you mean "Fn::Sub"?`},
		{"a pseudo parameter", "Resources:\n  A: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref AWS::Regoin}}\n", `there is no pseudo parameter AWS::Regoin; did you mean "AWS::Region"?`},
		{"shell in Sub", "Resources:\n  A: {Type: AWS::SNS::Topic, Properties: {TopicName: !Sub '${HOME:-x}'}}\n", `Fn::Sub: "HOME:-x" is no name; write ${!HOME:-x} to keep it as it is`},
		{"depth", "Resources:\n  A: {Type: AWS::SNS::Topic, Properties: {X: " + strings.Repeat("[", 150) + strings.Repeat("]", 150) + "}}\n", "more than 100 levels deep"},
		{"an alias bomb", "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e]\n",
			"more than 200000 values once aliases are expanded"},
		{"a text bomb", "Parameters: {P: {Type: String, Default: " + strings.Repeat("x", 5000) + "}}\nResources:\n  A: {Type: AWS::SNS::Topic, Properties: {X: [" + strings.Repeat("!Ref P,", 20000) + "]}}\n",
			"evaluating the template takes more than"},
		{"too many resources", "Resources:\n" + manyTopics(501), "501 resources; CloudFormation allows 500"},
		{"a stage name with a space", "Resources:\n  A: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}\n  S:\n    Type: AWS::ApiGatewayV2::Stage\n    Properties: {ApiId: !Ref A, StageName: de v}\n",
			`t.yaml:5:44: S.Properties.StageName: a stage name is 1 to 128 characters of [A-Za-z0-9_-], or $default, not "de v"`},
		{"a number", "Resources:\n  F: {Type: AWS::Lambda::Function, Properties: {Code: {ZipFile: x}, Handler: index.x, Role: r, Runtime: nodejs20.x, Timeout: 3s}}\n",
			`F.Properties.Timeout: must be a whole number, not "3s"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := loadText(t, tt.template, Options{})
			var ds Diagnostics
			if !errors.As(err, &ds) || s != nil {
				t.Fatalf("error %v, want Diagnostics", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got:\n%v\nwant:\n%s", err, tt.want)
			}
			if strings.Contains(err.Error(), "%!") {
				t.Errorf("a bad format: %v", err)
			}
		})
	}
}

func manyTopics(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("  A" + strings.Repeat("a", i%20) + string(rune('A'+i/20)) + ": {Type: AWS::SNS::Topic}\n")
	}
	return b.String()
}

// All problems come together, in the order of the file, each once.
func TestLoadTellsAll(t *testing.T) {
	_, err := loadText(t, samHead+`  F:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: nowhere, Handler: app.handler, Runtime: nodejs20.x, MemorySise: 1}
  G:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: src, Handler: nothing.handler, Runtime: nodejs20.x, Role: !GetAtt Rolle.Arn}
`, Options{})
	var ds Diagnostics
	if !errors.As(err, &ds) {
		t.Fatal(err)
	}
	var got []string
	for _, d := range ds {
		got = append(got, d.Resource+"."+d.Property)
	}
	want := []string{"F.Properties.CodeUri", "F.Properties.MemorySise", "G.Properties.Handler", "G.Properties.Role"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParameters(t *testing.T) {
	const use = "\nResources: {A: {Type: AWS::SNS::Topic}}\nOutputs: {O: {Value: !Sub '${P}'}}\n"
	tests := []struct {
		name, declared string
		overrides      map[string]string
		want           string // the output, or the problem after "!"
	}{
		{"default", "P: {Type: String, Default: a}", nil, "a"},
		{"override", "P: {Type: String, Default: a}", map[string]string{"P": "b"}, "b"},
		{"octal default", "P: {Type: String, Default: 0012}", nil, "0012"},
		{"account number", "P: {Type: String, Default: 012345678901}", nil, "012345678901"},
		{"none", "P: {Type: String}", nil, "!t.yaml:1:14: Parameters.P: the parameter has no Default and no value was given; give one with --parameter-overrides P=VALUE"},
		{"unknown override", "P: {Type: String, Default: a}", map[string]string{"Q": "b"}, `!the template has no parameter "Q", which the overrides set`},
		{"number", "P: {Type: Number, Default: x}", nil, `!the value "x" of parameter P is no number`},
		{"allowed", "P: {Type: String, Default: x, AllowedValues: [a, b]}", nil, `!the value "x" of parameter P is not one of a, b`},
		{"pattern", "P: {Type: String, AllowedPattern: '[a-z]+', ConstraintDescription: small letters}", map[string]string{"P": "a1"}, `!the value "a1" of parameter P doesn't match the pattern [a-z]+ (small letters)`},
		{"short", "P: {Type: String, Default: ab, MinLength: 3}", nil, `!the value "ab" of parameter P is less than 3 (MinLength) characters`},
		{"high", "P: {Type: Number, Default: 11, MaxValue: 10}", nil, `!the value "11" of parameter P is more than 10 (MaxValue)`},
		{"secret", "P: {Type: String, NoEcho: true, AllowedValues: [a]}", map[string]string{"P": "hunter2"}, "!the value of parameter P is not one of a"},
		{"list", "P: {Type: CommaDelimitedList, Default: 'a, b'}", nil, "a,b"},
		{"SSM", "P: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a/b}", nil, "ssm-a/b"},
		{"SSM by path", "P: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a/b}", map[string]string{"/a/b": "x"}, "x"},
		{"SSM, another path", "P: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a/b}", map[string]string{"P": "/c", "/c": "x"}, "x"},
		{"SSM, another path without a value", "P: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a/b}", map[string]string{"P": "/c"}, "ssm-c"},
		{"SSM list", "P: {Type: 'AWS::SSM::Parameter::Value<List<String>>', Default: /a/b}", map[string]string{"/a/b": "x,y"}, "x,y"},
		{"SSM subnet", "P: {Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: /a/b}", map[string]string{"P": "ami-1"}, "ami-1"},
		{"EC2 list", "P: {Type: 'List<AWS::EC2::Subnet::Id>', Default: 'subnet-1, subnet-2'}", nil, "subnet-1,subnet-2"},
		{"numbers", "P: {Type: List<Number>, Default: '1, 2'}", nil, "1,2"},
		{"not numbers", "P: {Type: List<Number>, Default: '1, x'}", nil, `!the value "x" of parameter P is no number`},
		{"key", "P: {Type: 'AWS::EC2::KeyPair::KeyName', Default: k}", nil, "k"},
		{"SSM unused", "P: {Type: String, Default: a}, Q: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a/b}", nil, "a"},
		{"SSM overridden", "P: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a/b}", map[string]string{"P": "x"}, "x"},
		{"SSM name", "P: {Type: 'AWS::SSM::Parameter::Name', Default: /a/b}", nil, "/a/b"},
		{"type", "P: {Type: Strong, Default: a}", nil, `!unknown parameter type "Strong"; did you mean "String"?`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := loadText(t, "Parameters: {"+tt.declared+"}"+use, Options{Parameters: tt.overrides})
			if problem, bad := strings.CutPrefix(tt.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), problem) {
					t.Fatalf("error %v, want %s", err, problem)
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Error("a NoEcho parameter's value is in the error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := s.outputs[0].value.text; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestIntrinsics(t *testing.T) {
	tests := []struct{ expression, want string }{
		{"!Ref P", `"pea"`},
		{"!Ref AWS::AccountId", `"000000000000"`},
		{"!Ref AWS::Partition", `"aws"`},
		{"!Ref AWS::StackName", `"test"`},
		{"!Ref AWS::URLSuffix", `"amazonaws.com"`},
		{"!Ref AWS::NotificationARNs", `[]`},
		{"[a, !Ref AWS::NoValue, b]", `["a","b"]`},
		{"{a: !Ref AWS::NoValue, b: 1}", `{"b":1}`},
		{"!Sub 'x-${P}-${!P}-${AWS::Region}'", `"x-pea-${P}-us-east-1"`},
		{"!Sub ['${a}${P}', {a: !Ref AWS::Region}]", `"us-east-1pea"`},
		{"!Sub 'no variables: $P {P}'", `"no variables: $P {P}"`},
		{"!Join ['-', [a, !Ref P, 1]]", `"a-pea-1"`},
		{"!Join [',', !Ref L]", `"x,y"`},
		{"!Select [1, [a, b]]", `"b"`},
		{"!Select ['1', !Ref L]", `"y"`},
		{"!Select [1, !Split ['/', a/b/c]]", `"b"`},
		{"!Split [',', 'a,b']", `["a","b"]`},
		{"!If [Yes, a, b]", `"a"`},
		{"!If [No, a, !Ref P]", `"pea"`},
		{"[!If [No, a, !Ref AWS::NoValue]]", `[]`},
		{"!If [Both, a, b]", `"b"`},
		{"!If [Either, a, b]", `"a"`},
		{"!FindInMap [M, !Ref AWS::Region, k]", `"v"`},
		{"!FindInMap [M, us-east-1, list]", `["1","2"]`},
		{"!Base64 hello", `"aGVsbG8="`},
		{"!GetAZs ''", `["us-east-1a","us-east-1b","us-east-1c"]`},
		{"{Fn::Join: ['', [a, {Ref: P}]]}", `"apea"`},
		{"!Sub '${T}'", `{"Fn::Join":["",[{"Ref":"T"}]]}`},
		{"!GetAtt T.TopicName", `{"Fn::GetAtt":["T","TopicName"]}`},
		{"!Select [0, !Split ['-', !Ref T]]", `{"Fn::Select":["0",{"Fn::Split":["-",{"Ref":"T"}]}]}`},
		{"2012-10-17", `"2012-10-17"`},
		{"0644", `"0644"`},
		{"1_000", `"1_000"`},
		{"True", `true`},
		{"'true'", `"true"`},
		{"&a {x: 1}", `{"x":1}`},
		{"{<<: {x: 1, y: 2}, y: 3}", `{"y":3,"x":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.expression, func(t *testing.T) {
			s, err := loadText(t, `
Parameters: {P: {Type: String, Default: pea}, L: {Type: CommaDelimitedList, Default: "x,y"}}
Mappings: {M: {us-east-1: {k: v, list: ["1", "2"]}}}
Conditions:
  Yes: !Equals [!Ref P, pea]
  No: !Not [!Condition Yes]
  Both: !And [!Condition Yes, !Condition No]
  Either: !Or [!Condition Yes, !Condition No]
Resources: {T: {Type: AWS::SNS::Topic}}
Outputs: {O: {Value: `+tt.expression+`}}
`, Options{})
			if err != nil {
				t.Fatal(err)
			}
			want := parse([]byte(tt.want), &reporter{})
			if got := s.outputs[0].value.json(); got != want.json() {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestIntrinsicProblems(t *testing.T) {
	tests := []struct{ expression, want string }{
		{"!Sub '${'", "has no closing brace"},
		{"!Sub [a]", "a list of a text and a map"},
		{"!Sub '${AWS::NoValue}'", "can't hold AWS::NoValue"},
		{"!Join [a]", "takes a delimiter and a list"},
		{"!Join ['', [{a: b}]]", "only texts can be joined, not a map"},
		{"!Select [5, [a]]", "there is no element 5"},
		{"!Select [-1, [a]]", "there is no element -1"},
		{"!Select [x, [a]]", "must be a whole number"},
		{"!Split ['', a]", "isn't empty"},
		{"!If [Yes, a]", "takes a condition, a value and another value"},
		{"!FindInMap [M, a]", "takes a map's name and two keys"},
		{"!FindInMap [M, us-west-2, k]", `Mappings.M has no "us-west-2"`},
		{"!FindInMap [N, a, b]", `Mappings has no "N"; did you mean "M"?`},
		{"!Equals [a, b]", "Fn::Equals is only for the section Conditions"},
		{"!GetAtt T", "takes a logical id and an attribute"},
		{"!Ref [a]", "Ref takes a name, not a list"},
		{"{Fn::Cidr: [a, 1, 2]}", `Fn::Cidr: "a" is no block of addresses`},
		{"!Cidr [10.0.0.0/24, 257, 4]", "the count is a number from 1 to 256"},
		{"!Cidr [10.0.0.0/24, 5, 6]", "10.0.0.0/24 has no room for 5 parts of 6 bits"},
		{"!Cidr [10.0.0.0/24, 1, 33]", "has no room"},
		{"!ImportValue [a]", "takes the name of an export, not a list"},
		{"!ImportValue {Ref: T}", "can't depend on a resource"},
		{"{Fn::Length: [a]}", "Fn::Length needs the transform AWS::LanguageExtensions; add Transform: AWS::LanguageExtensions"},
		{"{Fn::ForEach::X: [a, [b], {}]}", "Fn::ForEach needs the transform"},
		{"'{{resolve:smm:x}}'", `there is no such kind of dynamic reference; did you mean "ssm"?`},
		{"'{{resolve:secretsmanager:s:SecretBinary:k}}'", "is NAME:SecretString:KEY"},
		{"{Fn::Transform: {Name: Upper}}", "macro Upper is not supported; only AWS::Include is"},
		{"{Fn::Transform: {Name: AWS::Include, Parameters: {Location: 's3://b/k'}}}", "nothing is downloaded, so s3://b/k can't be included; give the path"},
		{"{Fn::Transform: {Name: AWS::Include, Parameters: {Location: scr}}}", `there is no file scr; did you mean "src"?`},
		{"!Ref AWS::NoValue", "an output can't be AWS::NoValue"},
	}
	for _, tt := range tests {
		t.Run(tt.expression, func(t *testing.T) {
			_, err := loadText(t, "Mappings: {M: {us-east-1: {k: v}}}\nConditions: {Yes: !Equals [a, a]}\nResources: {T: {Type: AWS::SNS::Topic}}\nOutputs: {O: {Value: "+tt.expression+"}}\n", Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestPolicyTemplates(t *testing.T) {
	all := policyTemplates()
	if len(all) != 81 {
		t.Errorf("%d policy templates, SAM has 81", len(all))
	}
	for name, p := range all {
		for _, s := range p.statements {
			if len(s.actions) == 0 || len(s.resources) == 0 {
				t.Errorf("%s: a statement without actions or resources", name)
			}
			for _, a := range s.actions {
				if strings.Count(a, ":") != 1 {
					t.Errorf("%s: action %q", name, a)
				}
			}
			joined := strings.Join(s.resources, " ")
			for _, parameter := range p.parameters {
				joined = strings.ReplaceAll(joined, "{"+parameter+"}", "")
			}
			if strings.ContainsAny(joined, "{}$") {
				t.Errorf("%s: resources %q hold an unknown parameter", name, s.resources)
			}
		}
	}
	s, err := loadText(t, samHead+`  T: {Type: AWS::Serverless::SimpleTable, Properties: {TableName: mine}}
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: app.handler
      Runtime: nodejs20.x
      Tracing: Active
      Policies:
        - DynamoDBReadPolicy: {TableName: !Ref T}
        - AmazonDynamoDBReadOnlyAccess
        - AmazonAPIGatewayInvokeFullAccess
        - AWSLambdaRole
        - !Sub arn:${AWS::Partition}:iam::aws:policy/Other
        - Version: 2012-10-17
          Statement: [{Effect: Allow, Action: "x:y", Resource: "*"}]
`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	role := s.byID["FRole"].properties
	wantManaged := `["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole","arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess","arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess","arn:aws:iam::aws:policy/AmazonAPIGatewayInvokeFullAccess","arn:aws:iam::aws:policy/service-role/AWSLambdaRole","arn:aws:iam::aws:policy/Other"]`
	if got := role.get("ManagedPolicyArns").json(); got != wantManaged {
		t.Errorf("managed policies: %s", got)
	}
	inline := role.get("Policies")
	if len(inline.items) != 2 || inline.items[0].get("PolicyName").text != "FRolePolicy0" || inline.items[1].get("PolicyName").text != "FRolePolicy5" {
		t.Fatalf("inline policies: %s", inline.json())
	}
	statement := inline.items[0].get("PolicyDocument").get("Statement").items[0]
	want := `{"Action":["dynamodb:GetItem","dynamodb:Scan","dynamodb:Query","dynamodb:BatchGetItem","dynamodb:DescribeTable"],"Effect":"Allow",` +
		`"Resource":[{"Fn::Join":["",["arn:aws:dynamodb:us-east-1:000000000000:table/",{"Ref":"T"}]]},{"Fn::Join":["",["arn:aws:dynamodb:us-east-1:000000000000:table/",{"Ref":"T"},"/index/*"]]}]}`
	if got := statement.json(); got != want {
		t.Errorf("statement:\n%s\nwant:\n%s", got, want)
	}
}

// TestNoCodeURI wants a function without CodeUri to have the template's folder
// as its code, as with SAM's own tools.
func TestNoCodeURI(t *testing.T) {
	s, err := loadText(t, samHead+"  F: {Type: AWS::Serverless::Function, Properties: {Handler: src/app.handler, Runtime: nodejs20.x}}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.byID["F"].properties.get("Code").json(); got != `"."` {
		t.Errorf("code is %s, want the template's folder", got)
	}
}

func TestGlobalsMerge(t *testing.T) {
	s, err := loadText(t, `Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: nodejs20.x
    Timeout: 5
    Environment: {Variables: {A: global, B: global}}
    Tags: {team: a}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: src, Handler: app.handler, Timeout: 9, Environment: {Variables: {B: local}}}
  G:
    Type: AWS::Serverless::Function
    IgnoreGlobals: [Timeout, Environment]
    Properties: {CodeUri: src, Handler: app.handler}
`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, g := s.byID["F"].properties, s.byID["G"].properties
	if got := f.get("Environment").json() + f.get("Timeout").json(); got != `{"Variables":{"A":"global","B":"local"}}9` {
		t.Errorf("F: %s", got)
	}
	if got := f.get("Tags").json(); got != `[{"Key":"team","Value":"a"},{"Key":"lambda:createdBy","Value":"SAM"}]` {
		t.Errorf("tags: %s", got)
	}
	if g.get("Timeout") != nil || g.get("Environment") != nil || g.get("Runtime").text != "nodejs20.x" {
		t.Errorf("G: %s", g.json())
	}
}

func TestPlaceholders(t *testing.T) {
	s, err := loadText(t, `
Resources:
  Bucket: {Type: AWS::S3::Bucket}
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: jobs}}
  Topic: {Type: AWS::SNS::Topic}
  Pool: {Type: AWS::Cognito::UserPool}
  Parameter: {Type: AWS::SSM::Parameter, Properties: {Name: /a, Value: secret, Type: String}}
Outputs:
  Bucket: {Value: !Ref Bucket}
  BucketArn: {Value: !GetAtt Bucket.Arn}
  Queue: {Value: !Ref Queue}
  QueueArn: {Value: !GetAtt Queue.Arn}
  Topic: {Value: !Ref Topic}
  Pool: {Value: !Select [0, !Split [_, !Ref Pool]]}
  Parameter: {Value: !GetAtt Parameter.Value}
`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, d := newFake(t)
	out := mustApply(t, d, s)
	bucket := "test-bucket-" + strings.ToLower(s.suffix("Bucket", 13))
	want := map[string]string{
		"Bucket": bucket, "BucketArn": "arn:aws:s3:::" + bucket,
		"Queue": "https://sqs.us-east-1.amazonaws.com/000000000000/jobs", "QueueArn": "arn:aws:sqs:us-east-1:000000000000:jobs",
		"Topic": "arn:aws:sns:us-east-1:000000000000:test-Topic-" + s.suffix("Topic", 13), "Pool": "us-east-1", "Parameter": "secret",
	}
	if diff := cmp.Diff(want, out.Outputs); diff != "" {
		t.Error(diff)
	}
	if len(out.Notes) != 5 {
		t.Errorf("notes: %v", out.Notes)
	}
}

func TestNames(t *testing.T) {
	for folder, want := range map[string]string{"chat": "chat", "My App_2": "My-App-2", "2048": "stack-2048", "...": "stack", "": "stack"} {
		got := stackNameOf(folder)
		if got != want || checkStackName(got) != "" {
			t.Errorf("stackNameOf(%q) = %q, want %q", folder, got, want)
		}
	}
	s := &Stack{Name: strings.Repeat("s", 60), Account: "0", Region: "r"}
	name := s.generatedName(strings.Repeat("f", 60), 64)
	if len(name) != 64 || name != s.generatedName(strings.Repeat("f", 60), 64) {
		t.Errorf("name %q has %d characters", name, len(name))
	}
	if a, b := s.apiID("A"), s.apiID("B"); a == b || len(a) != 10 || strings.ToLower(a) != a {
		t.Errorf("ids %q, %q", a, b)
	}
	for text, want := range map[string][2]string{
		"f": {"f", ""}, "f:live": {"f", "live"}, "arn:aws:lambda:us-east-1:000000000000:function:f": {"f", ""},
		"arn:aws:lambda:us-east-1:000000000000:function:f:3": {"f", "3"}, "000000000000:function:f:live": {"f", "live"},
	} {
		if name, qualifier := splitFunction(text); name != want[0] || qualifier != want[1] {
			t.Errorf("splitFunction(%q) = %q, %q", text, name, qualifier)
		}
	}
}

func TestValidateSeesMissingFolder(t *testing.T) {
	s, err := loadText(t, samHead+"  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src, Handler: app.handler, Runtime: nodejs20.x}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(filepath.Dir(s.Path), "src")
	if diff := cmp.Diff([]string{folder}, s.Folders()); diff != "" {
		t.Error(diff)
	}
	if f := s.Functions(); len(f) != 1 || f[0].Handler != "app.handler" || f[0].Folder != folder || !strings.HasPrefix(f[0].Name, "test-F-") {
		t.Errorf("functions: %+v", f)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	os.RemoveAll(folder)
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "F.Properties.CodeUri: there is no folder") {
		t.Errorf("error %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range []string{"classic/template.yaml", "websocketapi/template.yaml", "raw/template.json", "serverless/cloudformation-template-update-stack.json"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("Resources: {A: {Type: AWS::SNS::Topic, Properties: {a: !Sub ['${x.y}', {x: !Select [0, !Split ['', b]]}]}}}"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("Conditions: {A: {Condition: A}}\nResources: {A: {Type: x, Condition: A, DependsOn: A}}"))
	path, _ := filepath.Abs("testdata/websocketapi/template.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := load(data, "f", path, Options{StackName: "fuzz"})
		if (s == nil) == (err == nil) {
			t.Fatalf("stack %v, error %v", s, err)
		}
		if err != nil {
			if strings.Contains(err.Error(), "%!") {
				t.Errorf("a bad format: %v", err)
			}
			return
		}
		if _, err := s.Plan(nil); err != nil {
			// A value that is only known now may not fit; it must not panic.
			_ = err.Error()
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load("testdata/classic/template.yaml", Options{StackName: "bench"}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestInlineHandlerElsewhere holds that inline code whose handler isn't in it is
// created, as on AWS: some upload their code once the function is there.
func TestInlineHandlerElsewhere(t *testing.T) {
	for runtime, file := range map[string]string{"nodejs20.x": "index.js", "python3.12": "index.py"} {
		s, err := loadText(t, samHead+"  F:\n    Type: AWS::Serverless::Function\n    Properties: {InlineCode: x, Handler: app.handler, Runtime: "+runtime+"}\n", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Notes) != 1 || !strings.Contains(s.Notes[0].String(), "F.Properties.Handler: inline code lies in a file "+file) {
			t.Errorf("%s: notes %v", runtime, s.Notes)
		}
	}
}

// TestAutoDeployWithDeployment holds that a stage which deploys itself and names a
// deployment runs, as AWS's own samples have it, without the deployment.
func TestAutoDeployWithDeployment(t *testing.T) {
	s, err := loadText(t, `Resources:
  A: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}
  D: {Type: AWS::ApiGatewayV2::Deployment, Properties: {ApiId: !Ref A}}
  S: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref A, StageName: dev, AutoDeploy: true, DeploymentId: !Ref D}}
`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0].String(), "S.Properties.DeploymentId: a stage with AutoDeploy deploys itself") {
		t.Errorf("notes %v", s.Notes)
	}
	f, d := newFake(t)
	mustApply(t, d, s)
	if stages := f.bodies["CreateStage"]; len(stages) != 1 || stages[0]["deploymentId"] != nil {
		t.Errorf("stages were created with %v", stages)
	}
}
