package stack

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every look is well formed, and every type answers to all that it lists.
func TestPlaceholderLooks(t *testing.T) {
	s := &Stack{Name: "test", Region: "eu-west-1", Account: "000000000000"}
	wants := map[string]string{
		"AWS::SQS::Queue.Ref":                                     `^https://sqs\.eu-west-1\.amazonaws\.com/000000000000/test-R-[A-Z2-7]{13}$`,
		"AWS::SQS::Queue.Arn":                                     `^arn:aws:sqs:eu-west-1:000000000000:test-R-`,
		"AWS::SNS::Topic.Ref":                                     `^arn:aws:sns:eu-west-1:000000000000:test-R-`,
		"AWS::S3::Bucket.Ref":                                     `^test-r-[a-z2-7]{13}$`,
		"AWS::Cognito::UserPool.Ref":                              `^eu-west-1_[A-Za-z0-9]{9}$`,
		"AWS::Cognito::UserPool.ProviderURL":                      `^https://cognito-idp\.eu-west-1\.amazonaws\.com/eu-west-1_\w{9}$`,
		"AWS::Cognito::UserPoolClient.Ref":                        `^[a-z0-9]{26}$`,
		"AWS::Cognito::IdentityPool.Ref":                          `^eu-west-1:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
		"AWS::SecretsManager::Secret.Ref":                         `^arn:aws:secretsmanager:eu-west-1:000000000000:secret:test-R-[A-Z2-7]{13}-\w{6}$`,
		"AWS::KMS::Key.Arn":                                       `^arn:aws:kms:eu-west-1:000000000000:key/[0-9a-f-]{36}$`,
		"AWS::Logs::LogGroup.Arn":                                 `^arn:aws:logs:eu-west-1:000000000000:log-group:test-R-\w+:\*$`,
		"AWS::StepFunctions::StateMachine.Ref":                    `^arn:aws:states:eu-west-1:000000000000:stateMachine:test-R-`,
		"AWS::EC2::VPC.Ref":                                       `^vpc-[0-9a-f]{17}$`,
		"AWS::EC2::SecurityGroup.GroupId":                         `^sg-[0-9a-f]{17}$`,
		"AWS::CloudFront::Distribution.Ref":                       `^E[A-Z2-7]{13}$`,
		"AWS::RDS::DBCluster.Endpoint.Address":                    `^test-r-\w+\.cluster-\w{12}\.eu-west-1\.rds\.amazonaws\.com$`,
		"AWS::ElastiCache::ReplicationGroup.PrimaryEndPoint.Port": `^6379$`,
		"AWS::Serverless::HttpApi.ApiEndpoint":                    `^https://[a-z2-7]{10}\.execute-api\.eu-west-1\.amazonaws\.com$`,
		"AWS::Serverless::Api.Stage":                              `^Prod$`,
		"AWS::Glue::Job.Arn":                                      `^arn:aws:glue:eu-west-1:000000000000:job/test-R-`,
		"AWS::Glue::Job.JobId":                                    `^test-R-`,
	}
	for typ, looks := range placeholderLooks() {
		for attribute := range looks {
			if _, ok := wants[typ+"."+attribute]; !ok {
				wants[typ+"."+attribute] = `^[^{}]+$`
			}
		}
	}
	for what, want := range wants {
		typ, attribute, _ := strings.Cut(what, ".")
		p := placeholder{s, &resource{id: "R", typ: typ}, &value{kind: object}}
		if typ == "AWS::Lambda::Url" || typ == "AWS::KMS::Alias" || typ == "AWS::Route53::RecordSet" {
			p.properties = parse([]byte("{TargetFunctionArn: f, FunctionArn: f, AliasName: alias/a, Name: a.test}"), &reporter{})
		}
		if got := p.answer(attribute); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s is %q, want %s", what, got, want)
		}
	}
}

func TestStandIns(t *testing.T) {
	const head = "Transform: AWS::Serverless-2016-10-31\nResources:\n  F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: index.handler, Runtime: nodejs20.x}}\n"
	tests := []struct{ name, resources, want string }{
		{"an HTTP API beside a WebSocket API", `
  W: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: w, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}
  H: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: h, ProtocolType: HTTP}}
  R: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref H, RouteKey: GET /, AuthorizationType: JWT}}
  A: {Type: AWS::ApiGatewayV2::Authorizer, Properties: {ApiId: !GetAtt H.ApiId}}
  G: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref H, StageName: $default, AutoDeploy: true}}`,
			"t.yaml:6:73: H.Properties.ProtocolType: HTTP APIs are not served: a placeholder stands in for it and what belongs to it"},
		{"an event source mapping", "\n  M: {Type: AWS::Lambda::EventSourceMapping, Properties: {FunctionName: !Ref F, EventSourceArn: !GetAtt Q.Arn}}\n  Q: {Type: AWS::SQS::Queue}",
			"M.Type: nothing polls the source and calls the function here; to call it: tidegate invoke FUNCTION EVENT"},
		{"a stream", "\n  T: {Type: AWS::DynamoDB::Table, Properties: {AttributeDefinitions: [{AttributeName: id, AttributeType: S}], KeySchema: [{AttributeName: id, KeyType: HASH}], StreamSpecification: {StreamViewType: NEW_IMAGE}}}\n  M: {Type: AWS::Lambda::EventSourceMapping, Properties: {FunctionName: !Ref F, EventSourceArn: !GetAtt T.StreamArn}}",
			"T.Properties.StreamSpecification: has no effect here: tables have no streams"},
		{"a pattern", "\n  R: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [a]}, Targets: [{Id: a, Arn: !GetAtt F.Arn}]}}",
			"R.Properties.EventPattern: no events come that a pattern could match, so the rule never fires"},
		{"a bus", "\n  B: {Type: AWS::Events::EventBus, Properties: {Name: b}}", "B.Type: there is only the bus default"},
		{"a permission for Alexa", "\n  P: {Type: AWS::Lambda::Permission, Properties: {Action: a, FunctionName: !Ref F, Principal: alexa-appkit.amazon.com, EventSourceToken: t}}",
			"P.Properties.EventSourceToken: a permission with it is for callers that aren't here, so it is not given"},
		{"a function URL", "\n  U: {Type: AWS::Lambda::Url, Properties: {TargetFunctionArn: !Ref F, AuthType: NONE}}", "U.Type: function URLs are not served here"},
		{"a user", "\n  U: {Type: AWS::IAM::User}", "U.Type: there are roles, no users"},
		{"a boundary", "\n  R: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}, PermissionsBoundary: a}}", "boundaries are not applied"},
		{"a custom resource", "\n  C: {Type: Custom::Thing, Properties: {ServiceToken: !GetAtt F.Arn}}", "its function isn't called; to call it: tidegate invoke FUNCTION EVENT"},
		{"API Gateway's account", "\n  A: {Type: AWS::ApiGateway::Account}", "API Gateway's account settings have no effect"},
		{"a REST API's deployment", "\n  A: {Type: AWS::ApiGateway::RestApi}\n  D: {Type: AWS::ApiGateway::Deployment, Properties: {RestApiId: !Ref A}}", "D.Type: AWS::ApiGateway::Deployment belongs to a service that Tidegate lacks"},
		{"wait conditions", "\n  H: {Type: AWS::CloudFormation::WaitConditionHandle}", "nothing is waited for here"},
		{"a state machine", "\n  S: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: a.json}}", "AWS::Serverless::StateMachine belongs to a service that Tidegate lacks"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := loadText(t, head+tt.resources+"\n", Options{})
			if err != nil {
				t.Fatal(err)
			}
			var notes []string
			for _, n := range s.Notes {
				notes = append(notes, n.String())
			}
			if all := strings.Join(notes, "\n"); !strings.Contains(all, tt.want) {
				t.Errorf("notes:\n%s\nwant %s", all, tt.want)
			}
			if _, err := s.Plan(nil); err != nil {
				t.Error(err)
			}
			if _, err := loadText(t, head+tt.resources+"\n", Options{Strict: true}); err == nil && !strings.Contains(tt.want, "no effect here: ") && !strings.Contains(tt.want, "boundaries") {
				t.Error("strict takes it")
			}
		})
	}
	for resources, want := range map[string]string{
		"\n  W: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: w, ProtocolType: WEBSOCKET, RouteSelectionExpression: a, Body: {}}}":                              "W.Properties.Body: is for HTTP APIs only, on AWS too",
		"\n  T: {Type: AWS::DynamoDB::Table, Properties: {KeySchema: []}}\n  Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt T.StreamArn}}":              "table T has no StreamArn: it has no StreamSpecification",
		"\n  A: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: x, ProtocolType: HTTP}}\n  R: {Type: AWS::ApiGatewayV2::Authorizer, Properties: {ApiId: !Ref A}}": "A.Properties.ProtocolType: HTTP APIs are not served",
	} {
		if _, err := loadText(t, head+resources+"\n", Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", resources, err, want)
		}
	}
}

// Each event that can't happen is noted with what to do; the API that SAM makes
// for some answers to references.
func TestEventsThatNeverHappen(t *testing.T) {
	for _, typ := range lackingEvents {
		s, err := loadText(t, samHead+"  Notify: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: index.handler, Runtime: nodejs20.x, Events: {E: {Type: "+typ+", Properties: {Path: /, Method: get}}}}}\n", Options{Region: "eu-west-1"})
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		want := "Notify.Properties.Events.E: no event of type " + typ + " happens here, so it never calls Notify; to call it: tidegate invoke Notify EVENT"
		if len(s.Notes) != 1 || !strings.HasSuffix(s.Notes[0].String(), want) {
			t.Errorf("%s: notes %v", typ, s.Notes)
		}
	}
	s, err := loadText(t, samHead+`  F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: index.handler, Runtime: nodejs20.x, Events: {E: {Type: Api, Properties: {Path: /, Method: get}}, H: {Type: HttpApi}}}}
Outputs:
  A: {Value: !Sub 'https://${ServerlessRestApi}.execute-api.${AWS::Region}.amazonaws.com/${ServerlessRestApi.Stage}/'}
  B: {Value: !Sub 'https://${ServerlessHttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/'}
`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	e := newValues(s).evaluator(&reporter{})
	for _, o := range s.outputs {
		got[o.name] = regexp.MustCompile(`[a-z2-7]{10}`).ReplaceAllString(e.eval(o.value, place{}).text, "ID")
	}
	want := map[string]string{"A": "https://ID.execute-api.us-east-1.amazonaws.com/Prod/", "B": "https://ID.execute-api.us-east-1.amazonaws.com/"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A template's managed policies come to the roles that they are for.
func TestManagedPolicies(t *testing.T) {
	s, err := loadText(t, samHead+`  M: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: [{Effect: Allow, Action: a}]}, Roles: [!Ref R]}}
  R: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}
  F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: index.handler, Runtime: nodejs20.x, Policies: [!Ref M]}}
  P: {Type: AWS::IAM::RolePolicy, Properties: {PolicyName: p, RoleName: !Ref R, PolicyDocument: {}}}
`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{
		"FRole":   s.byID["FRole"].properties.get("Policies").json(),
		"managed": s.byID["FRole"].properties.get("ManagedPolicyArns").json(),
		"MInline": s.byID["MInline"].properties.json(),
		"P":       s.byID["P"].properties.json(),
	}
	want := map[string]string{
		"FRole":   `[{"PolicyDocument":{"Statement":[{"Action":"a","Effect":"Allow"}]},"PolicyName":"M"}]`,
		"managed": `["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"]`,
		"MInline": `{"PolicyDocument":{"Statement":[{"Action":"a","Effect":"Allow"}]},"PolicyName":"M","Roles":[{"Ref":"R"}]}`,
		"P":       `{"PolicyDocument":{},"PolicyName":"p","Roles":[{"Ref":"R"}]}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Errors in what SAM makes name what the template's author wrote.
func TestTrails(t *testing.T) {
	const route = "  A:\n    Type: AWS::Serverless::WebSocketApi\n    Properties:\n      RouteSelectionExpression: $request.body.action\n      Routes:\n        $connect:\n          FunctionArn: f\n"
	for template, want := range map[string]string{
		route + "          IntegrationTimeout: soon\n":                                                                 `t.yaml:10:31: A.Properties.Routes.$connect.IntegrationTimeout: must be a whole number, not "soon"`,
		route + "          ApiKeyRequired: maybe\n":                                                                    `t.yaml:10:27: A.Properties.Routes.$connect.ApiKeyRequired: must be true or false, not "maybe"`,
		"  T:\n    Type: AWS::Serverless::SimpleTable\n    Properties:\n      PrimaryKey: {Name: [a], Type: String}\n": `t.yaml:6:26: T.Properties.PrimaryKey.Name: must be a text, not a list`,
		"  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      InlineCode: x\n      Handler: index.h\n      Runtime: nodejs20.x\n      Events: {E: {Type: Schedule, Properties: {Schedule: [a]}}}\n": `t.yaml:9:59: F.Properties.Events.E.Properties.Schedule: must be a text, not a list`,
		"  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      InlineCode: x\n      Handler: index.h\n      Runtime: nodejs20.x\n      RolePath: [a]\n":                                              `t.yaml:9:17: F.Properties.RolePath: must be a text, not a list`,
	} {
		if _, err := loadText(t, samHead+template, Options{}); err == nil || err.Error() != want {
			t.Errorf("%s\ngot:  %v\nwant: %s", template, err, want)
		}
	}
}
