package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"
)

// schedulesTemplate has a function that makes schedules, and one that they fire.
const schedulesTemplate = `Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Runtime: python3.12, CodeUri: ., Timeout: 20}}
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: prod
      Routes:
        $connect: {FunctionArn: !GetAtt Connect.Arn}
        $default: {FunctionArn: !GetAtt Remind.Arn}
  Connect: {Type: AWS::Serverless::Function, Properties: {Handler: app.connect}}
  Remind:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.remind
      Environment: {Variables: {PUSH: !GetAtt Push.Arn, ROLE: !GetAtt FireRole.Arn, GROUP: !Ref Reminders}}
      Policies:
        - Statement:
            - {Effect: Allow, Action: scheduler:CreateSchedule, Resource: !Sub 'arn:aws:scheduler:*:*:schedule/${Reminders}/*'}
            - {Effect: Allow, Action: iam:PassRole, Resource: !GetAtt FireRole.Arn, Condition: {StringEquals: {iam:PassedToService: scheduler.amazonaws.com}}}
  Push:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.push
      Environment: {Variables: {API: !Ref Api}}
      Policies:
        - Statement: [{Effect: Allow, Action: execute-api:ManageConnections, Resource: '*'}]
      Events:
        Yearly:
          Type: ScheduleV2
          Properties: {ScheduleExpression: cron(0 0 1 1 ? *), ScheduleExpressionTimezone: Europe/Vienna, Name: yearly, Input: '{"text":"a new year"}'}
  Reminders: {Type: AWS::Scheduler::ScheduleGroup}
  FireRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Action: sts:AssumeRole
            Principal: {Service: scheduler.amazonaws.com}
            Condition: {StringEquals: {aws:SourceArn: !GetAtt Reminders.Arn}}
      Policies:
        - PolicyName: fire
          PolicyDocument: {Statement: [{Effect: Allow, Action: lambda:InvokeFunction, Resource: !GetAtt Push.Arn}]}
  Queue: {Type: AWS::SQS::Queue}
  ToQueue:
    Type: AWS::Scheduler::Schedule
    Properties:
      ScheduleExpression: rate(1 minute)
      FlexibleTimeWindow: {Mode: 'OFF'}
      Target: {Arn: !GetAtt Queue.Arn, RoleArn: !GetAtt FireRole.Arn}
Outputs:
  Push: {Value: !GetAtt Push.Arn}
  FireRole: {Value: !GetAtt FireRole.Arn}
  OtherRole: {Value: !GetAtt RemindRole.Arn}
  Group: {Value: !Ref Reminders}
`

// schedulesHandler reaches Scheduler by the host that boto3 makes up itself.
const schedulesHandler = `import boto3, json, os
from datetime import datetime, timedelta, timezone

for name in [n for n in os.environ if n.startswith("AWS_ENDPOINT_URL")]:
    del os.environ[name]

def connect(event, context):
    return {"statusCode": 200}

def remind(event, context):
    at = datetime.now(timezone.utc) + timedelta(seconds=2)
    boto3.client("scheduler").create_schedule(
        Name="for-" + event["requestContext"]["messageId"].replace("=", ""), GroupName=os.environ["GROUP"],
        ScheduleExpression=at.strftime("at(%Y-%m-%dT%H:%M:%S)"), FlexibleTimeWindow={"Mode": "OFF"}, ActionAfterCompletion="DELETE",
        Target={"Arn": os.environ["PUSH"], "RoleArn": os.environ["ROLE"], "Input": json.dumps(
            {"to": event["requestContext"]["connectionId"], "text": "remember " + event["body"] + " of <aws.scheduler.schedule-arn>"})})
    return {"statusCode": 200}

def push(event, context):
    if "to" not in event:
        print("nobody to tell:", event["text"])
        return
    url = "https://" + os.environ["API"] + ".execute-api." + os.environ["AWS_REGION"] + ".amazonaws.com/prod"
    boto3.client("apigatewaymanagementapi", endpoint_url=url).post_to_connection(ConnectionId=event["to"], Data=event["text"].encode())
`

// TestSchedules has a function make a schedule that fires another one, which
// tells the client; under enforced policies, by the hosts that boto3 makes up.
func TestSchedules(t *testing.T) {
	t.Parallel()
	needBoto3(t)
	s := start(t, folder(t, map[string]string{"template.yaml": schedulesTemplate, "app.py": schedulesHandler}), "--iam", "enforce")
	if !strings.Contains(s.log.String(), "can't run the target arn:aws:sqs") {
		t.Error("the schedule for the queue isn't noted")
	}
	c := s.dial()
	c.say("the milk")
	if got := c.next(); !strings.HasPrefix(got, "remember the milk of arn:aws:scheduler:us-east-1:") {
		t.Errorf("the client was told %q", got)
	}
	for _, name := range []string{"yearly", "PushYearly"} {
		if _, stderr, code := output(t, s.dir, "", "fire", name); code != 0 {
			t.Errorf("fire %s: exit %d: %s", name, code, stderr)
		}
	}
	s.await("both firings in the log", func() bool { return strings.Count(s.log.String(), "nobody to tell: a new year") == 2 })
	if _, stderr, code := output(t, s.dir, "", "fire", "none"); code == 0 || !strings.Contains(stderr, "PushYearly") {
		t.Errorf("fire of none: exit %d: %s", code, stderr)
	}
	s.refusesRole()
	t.Run("AWS CLI", func(t *testing.T) { schedulesByCLI(t, s) })
}

// refusesRole holds that a role which doesn't let Scheduler in makes no schedule.
func (s *stackUnderTest) refusesRole() {
	stack, err := s.client.Stack(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	sdk := scheduler.New(scheduler.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.run.Endpoint), Credentials: credentials.NewStaticCredentialsProvider("tidegate", "tidegate", "")})
	_, err = sdk.CreateSchedule(s.t.Context(), &scheduler.CreateScheduleInput{
		Name: aws.String("no"), ScheduleExpression: aws.String("rate(1 minute)"), FlexibleTimeWindow: &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeOff},
		Target: &types.Target{Arn: aws.String(stack.Outputs["Push"]), RoleArn: aws.String(stack.Outputs["OtherRole"])},
	})
	var refused *types.ValidationException
	if !errors.As(err, &refused) || !strings.Contains(refused.ErrorMessage(), "must allow AWS EventBridge Scheduler to assume the role") {
		s.t.Errorf("a role that only Lambda may assume: %v", err)
	}
}

// schedulesByCLI makes rules and schedules with every AWS CLI that is installed.
func schedulesByCLI(t *testing.T, s *stackUnderTest) {
	paths, err := exec.Command("which", "-a", "aws").Output()
	if err != nil {
		t.Skip("no aws is installed")
	}
	stack, err := s.client.Stack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	push, role, group := stack.Outputs["Push"], stack.Outputs["FireRole"], stack.Outputs["Group"]
	tried := map[string]bool{}
	for i, path := range strings.Fields(string(paths)) {
		file, err := filepath.EvalSymlinks(path)
		if err != nil || tried[file] {
			continue
		}
		tried[file] = true
		cli := func(args ...string) string {
			return s.script(nil, path, append(args, "--endpoint-url", s.run.Endpoint, "--output", "text")...)
		}
		name := fmt.Sprint("cli", i)
		cli("scheduler", "create-schedule", "--name", name, "--group-name", group, "--schedule-expression", time.Now().UTC().Add(time.Second).Format("at(2006-01-02T15:04:05)"),
			"--flexible-time-window", "Mode=OFF", "--target", fmt.Sprintf(`{"Arn":%q,"RoleArn":%q,"Input":"{\"text\":\"%s\"}"}`, push, role, name))
		s.await(path+"'s schedule to fire", func() bool { return strings.Contains(s.log.String(), "nobody to tell: "+name) })
		if got := cli("scheduler", "get-schedule", "--name", name, "--group-name", group, "--query", "Target.Arn"); strings.TrimSpace(got) != push {
			t.Errorf("%s: get-schedule says %s", path, got)
		}
		if i > 0 { // rules are the older service, and a command takes its second
			continue
		}
		name += "-rule"
		cli("events", "put-rule", "--name", name, "--schedule-expression", "rate(5 minutes)")
		cli("events", "put-targets", "--rule", name, "--targets",
			fmt.Sprintf(`[{"Id":"t","Arn":%q,"InputTransformer":{"InputPathsMap":{"type":"$.detail-type"},"InputTemplate":"{\"text\":\"<type> by <aws.events.rule-name>\"}"}}]`, push))
		cli("lambda", "add-permission", "--function-name", push, "--statement-id", name, "--action", "lambda:InvokeFunction", "--principal", "events.amazonaws.com")
		if _, stderr, code := output(t, s.dir, "", "fire", name); code != 0 {
			t.Errorf("%s: fire: exit %d: %s", path, code, stderr)
		}
		s.await(path+"'s rule to fire", func() bool { return strings.Contains(s.log.String(), "nobody to tell: Scheduled Event by "+name) })
	}
}
