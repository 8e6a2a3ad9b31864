package identity

import (
	"fmt"
	"strings"
	"sync"

	"tidegate/internal/iampolicy"
)

// A managedPolicy is one of the policies that AWS keeps. What it grants is
// written as statements of "effect: actions on resources".
type managedPolicy struct {
	path       string // "/" or "/service-role/"
	statements []grant
}

// A grant is an Allow statement. Conditions of AWS's own text are left out
// where they only narrow iam:PassRole or the tags of resources Tidegate lacks.
type grant struct {
	actions   string // separated by spaces
	resources string // separated by spaces; empty means "*"
	not       bool   // NotAction
}

const (
	writeLogs = "logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents"
	writeXRay = "xray:PutTraceSegments xray:PutTelemetryRecords xray:GetSamplingRules xray:GetSamplingTargets xray:GetSamplingStatisticSummaries"
	vpcAccess = "ec2:CreateNetworkInterface ec2:DescribeNetworkInterfaces ec2:DescribeSubnets ec2:DeleteNetworkInterface ec2:AssignPrivateIpAddresses ec2:UnassignPrivateIpAddresses"
	lambdaSee = "lambda:Get* lambda:List*"
)

// managedPolicies are the AWS-managed policies that WebSocket and serverless
// apps name, by name; another one is an error that says so.
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
var managedPolicies = map[string]managedPolicy{
	"AdministratorAccess": {"/", []grant{{"*", "", false}}},
	"PowerUserAccess": {"/", []grant{
		{"iam:* organizations:* account:*", "", true},
		{"account:GetAccountInformation account:GetPrimaryEmail account:ListRegions iam:CreateServiceLinkedRole iam:DeleteServiceLinkedRole iam:ListRoles organizations:DescribeOrganization", "", false},
	}},
	"ReadOnlyAccess": {"/", []grant{{"apigateway:GET cloudformation:Describe* cloudformation:Get* cloudformation:List* cloudwatch:Describe* cloudwatch:Get* cloudwatch:List* " +
		"cognito-identity:Describe* cognito-identity:Get* cognito-identity:List* cognito-idp:AdminGet* cognito-idp:AdminList* cognito-idp:Describe* cognito-idp:Get* cognito-idp:List* " +
		"dynamodb:BatchGet* dynamodb:Describe* dynamodb:Get* dynamodb:List* dynamodb:PartiQLSelect dynamodb:Query dynamodb:Scan " +
		"ec2:Describe* ec2:Get* ecr:BatchGet* ecr:Describe* ecr:Get* ecr:List* events:Describe* events:List* events:Test* execute-api:GET iam:Generate* iam:Get* iam:List* iam:Simulate* " +
		"kinesis:Describe* kinesis:Get* kinesis:List* kms:Describe* kms:Get* kms:List* " + lambdaSee + " logs:Describe* logs:FilterLogEvents logs:Get* logs:List* logs:StartQuery logs:StopQuery logs:TestMetricFilter " +
		"s3:DescribeJob s3:Get* s3:List* scheduler:Get* scheduler:List* secretsmanager:Describe* secretsmanager:GetResourcePolicy secretsmanager:List* " +
		"sns:Check* sns:Get* sns:List* sqs:Get* sqs:List* sqs:Receive* ssm:Describe* ssm:Get* ssm:List* states:Describe* states:Get* states:List* sts:GetAccessKeyInfo sts:GetCallerIdentity sts:GetSessionToken " +
		"tag:Get* xray:BatchGet* xray:Get*", "", false}}},
	"ViewOnlyAccess": {"/job-function/", []grant{{"apigateway:GET cloudwatch:Describe* cloudwatch:List* dynamodb:DescribeTable dynamodb:ListTables events:ListRuleNamesByTarget events:ListRules events:ListTargetsByRule " +
		"iam:Get* iam:List* lambda:ListFunctions lambda:ListAliases lambda:ListEventSourceMappings lambda:ListVersionsByFunction logs:DescribeLogGroups logs:DescribeLogStreams s3:ListAllMyBuckets s3:ListBucket sns:List* sqs:ListQueues", "", false}}},

	// Execution roles of functions.
	"AWSLambdaBasicExecutionRole":                           {"/service-role/", []grant{{writeLogs, "", false}}},
	"AWSLambdaVPCAccessExecutionRole":                       {"/service-role/", []grant{{writeLogs + " " + vpcAccess + " ec2:DescribeVpcs ec2:DescribeSecurityGroups ec2:GetSecurityGroupsForVpc", "", false}}},
	"AWSLambdaENIManagementAccess":                          {"/service-role/", []grant{{vpcAccess, "", false}}},
	"AWSLambdaDynamoDBExecutionRole":                        {"/service-role/", []grant{{"dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator dynamodb:ListStreams " + writeLogs, "", false}}},
	"AWSLambdaSQSQueueExecutionRole":                        {"/service-role/", []grant{{"sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes " + writeLogs, "", false}}},
	"AWSLambdaKinesisExecutionRole":                         {"/service-role/", []grant{{"kinesis:DescribeStream kinesis:DescribeStreamSummary kinesis:GetRecords kinesis:GetShardIterator kinesis:ListShards kinesis:ListStreams kinesis:SubscribeToShard " + writeLogs, "", false}}},
	"AWSLambdaRole":                                         {"/service-role/", []grant{{"lambda:InvokeFunction", "", false}}},
	"AWSLambdaExecute":                                      {"/", []grant{{"logs:*", "arn:aws:logs:*:*:*", false}, {"s3:GetObject s3:PutObject", "arn:aws:s3:::*", false}}},
	"AWSLambdaInvocation-DynamoDB":                          {"/", []grant{{"lambda:InvokeFunction dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator dynamodb:ListStreams", "", false}}},
	"CloudWatchLambdaInsightsExecutionRolePolicy":           {"/", []grant{{"logs:CreateLogGroup", "", false}, {"logs:CreateLogStream logs:PutLogEvents", "arn:aws:logs:*:*:log-group:/aws/lambda-insights:*", false}}},
	"CloudWatchLambdaApplicationSignalsExecutionRolePolicy": {"/", []grant{{"xray:PutTraceSegments", "", false}, {writeLogs, "arn:aws:logs:*:*:log-group:/aws/application-signals/data:*", false}}},
	"AWSXRayDaemonWriteAccess":                              {"/", []grant{{writeXRay, "", false}}},
	"AWSXrayWriteOnlyAccess":                                {"/", []grant{{writeXRay, "", false}}},
	"AWSXrayReadOnlyAccess":                                 {"/", []grant{{"xray:BatchGetTraces xray:Get* xray:List*", "", false}}},
	"AWSXrayFullAccess":                                     {"/", []grant{{"xray:*", "", false}}},

	// Lambda's management.
	"AWSLambda_FullAccess": {"/", []grant{{"cloudformation:DescribeStacks cloudformation:ListStackResources cloudwatch:ListMetrics cloudwatch:GetMetricData ec2:DescribeSecurityGroups ec2:DescribeSubnets ec2:DescribeVpcs " +
		"kms:ListAliases iam:GetPolicy iam:GetPolicyVersion iam:GetRole iam:GetRolePolicy iam:ListAttachedRolePolicies iam:ListRolePolicies iam:ListRoles lambda:* " +
		"logs:DescribeLogGroups states:DescribeStateMachine states:ListStateMachines tag:GetResources xray:GetTraceSummaries xray:BatchGetTraces iam:PassRole", "", false},
		{"logs:DescribeLogStreams logs:GetLogEvents logs:FilterLogEvents logs:StartLiveTail logs:StopLiveTail", "arn:aws:logs:*:*:log-group:/aws/lambda/*", false}}},
	"AWSLambda_ReadOnlyAccess": {"/", []grant{{"cloudformation:DescribeStacks cloudformation:ListStacks cloudformation:ListStackResources cloudwatch:GetMetricData cloudwatch:ListMetrics ec2:DescribeSecurityGroups ec2:DescribeSubnets ec2:DescribeVpcs " +
		"kms:ListAliases iam:GetPolicy iam:GetPolicyVersion iam:GetRole iam:GetRolePolicy iam:ListAttachedRolePolicies iam:ListRolePolicies iam:ListRoles logs:DescribeLogGroups " + lambdaSee + " " +
		"states:DescribeStateMachine states:ListStateMachines tag:GetResources xray:GetTraceSummaries xray:BatchGetTraces", "", false},
		{"logs:DescribeLogStreams logs:GetLogEvents logs:FilterLogEvents logs:StartLiveTail logs:StopLiveTail", "arn:aws:logs:*:*:log-group:/aws/lambda/*", false}}},

	// What functions call.
	"AmazonAPIGatewayInvokeFullAccess":     {"/", []grant{{"execute-api:Invoke execute-api:ManageConnections", "arn:aws:execute-api:*:*:*", false}}},
	"AmazonAPIGatewayAdministrator":        {"/", []grant{{"apigateway:*", "arn:aws:apigateway:*::/*", false}}},
	"AmazonAPIGatewayPushToCloudWatchLogs": {"/service-role/", []grant{{writeLogs + " logs:DescribeLogGroups logs:DescribeLogStreams logs:GetLogEvents logs:FilterLogEvents", "", false}}},
	"AmazonDynamoDBFullAccess":             {"/", []grant{{dynamoDBConsole + " dynamodb:* dax:* lambda:CreateFunction lambda:ListFunctions lambda:ListEventSourceMappings lambda:CreateEventSourceMapping lambda:DeleteEventSourceMapping lambda:GetFunctionConfiguration lambda:DeleteFunction", "", false}}},
	"AmazonDynamoDBFullAccess_v2":          {"/", []grant{{"dynamodb:* dax:* application-autoscaling:DescribeScalableTargets application-autoscaling:DescribeScalingActivities application-autoscaling:DescribeScalingPolicies cloudwatch:DescribeAlarms cloudwatch:GetMetricData iam:GetRole iam:ListRoles kms:DescribeKey kms:ListAliases resource-groups:GetGroup resource-groups:ListGroups", "", false}}},
	"AmazonDynamoDBReadOnlyAccess": {"/", []grant{{"application-autoscaling:DescribeScalableTargets application-autoscaling:DescribeScalingActivities application-autoscaling:DescribeScalingPolicies cloudwatch:DescribeAlarmHistory cloudwatch:DescribeAlarms cloudwatch:DescribeAlarmsForMetric cloudwatch:GetMetricData cloudwatch:GetMetricStatistics cloudwatch:ListMetrics " +
		"dynamodb:BatchGetItem dynamodb:Describe* dynamodb:List* dynamodb:GetAbacStatus dynamodb:GetItem dynamodb:GetResourcePolicy dynamodb:Query dynamodb:Scan dynamodb:PartiQLSelect dax:Describe* dax:List* dax:GetItem dax:BatchGetItem dax:Query dax:Scan " +
		"iam:GetRole iam:ListRoles kms:DescribeKey kms:ListAliases sns:ListSubscriptionsByTopic sns:ListTopics lambda:ListFunctions lambda:ListEventSourceMappings lambda:GetFunctionConfiguration", "", false}}},
	"AmazonEventBridgeFullAccess":          {"/", []grant{{"events:* schemas:* scheduler:* pipes:* iam:CreateServiceLinkedRole iam:PassRole secretsmanager:CreateSecret secretsmanager:UpdateSecret secretsmanager:DeleteSecret secretsmanager:GetSecretValue secretsmanager:PutSecretValue", "", false}}},
	"AmazonEventBridgeReadOnlyAccess":      {"/", []grant{{"events:Describe* events:List* events:TestEventPattern schemas:Describe* schemas:ExportSchema schemas:Get* schemas:List* schemas:SearchSchemas scheduler:Get* scheduler:List* pipes:DescribePipe pipes:ListPipes pipes:ListTagsForResource", "", false}}},
	"AmazonEventBridgeSchedulerFullAccess": {"/", []grant{{"scheduler:* iam:PassRole", "", false}}},
	"CloudWatchEventsFullAccess":           {"/", []grant{{"events:* schemas:* scheduler:* pipes:* iam:CreateServiceLinkedRole iam:PassRole", "", false}}},
	"CloudWatchLogsFullAccess":             {"/", []grant{{"logs:* cloudwatch:GenerateQuery", "", false}}},
	"CloudWatchLogsReadOnlyAccess":         {"/", []grant{{"logs:Describe* logs:Get* logs:List* logs:StartQuery logs:StopQuery logs:TestMetricFilter logs:FilterLogEvents logs:StartLiveTail logs:StopLiveTail cloudwatch:GenerateQuery", "", false}}},
	"CloudWatchFullAccess":                 {"/", []grant{{"autoscaling:Describe* cloudwatch:* logs:* sns:* iam:GetPolicy iam:GetPolicyVersion iam:GetRole oam:ListSinks", "", false}}},
	"CloudWatchReadOnlyAccess":             {"/", []grant{{"autoscaling:Describe* cloudwatch:Describe* cloudwatch:Get* cloudwatch:List* logs:Get* logs:List* logs:Describe* logs:StartQuery logs:StopQuery logs:TestMetricFilter logs:FilterLogEvents sns:Get* sns:List* xray:BatchGet* xray:Get* xray:List*", "", false}}},
	"AmazonSQSFullAccess":                  {"/", []grant{{"sqs:*", "", false}}},
	"AmazonSQSReadOnlyAccess":              {"/", []grant{{"sqs:GetQueueAttributes sqs:GetQueueUrl sqs:ListDeadLetterSourceQueues sqs:ListQueues sqs:ListMessageMoveTasks sqs:ListQueueTags", "", false}}},
	"AmazonSNSFullAccess":                  {"/", []grant{{"sns:*", "", false}}},
	"AmazonSNSReadOnlyAccess":              {"/", []grant{{"sns:GetTopicAttributes sns:List* sns:CheckIfPhoneNumberIsOptedOut sns:GetEndpointAttributes sns:GetDataProtectionPolicy sns:GetPlatformApplicationAttributes sns:GetSMSAttributes sns:GetSMSSandboxAccountStatus sns:GetSubscriptionAttributes", "", false}}},
	"AmazonS3FullAccess":                   {"/", []grant{{"s3:* s3-object-lambda:*", "", false}}},
	"AmazonS3ReadOnlyAccess":               {"/", []grant{{"s3:Get* s3:List* s3:Describe* s3-object-lambda:Get* s3-object-lambda:List*", "", false}}},
	"AmazonSSMReadOnlyAccess":              {"/", []grant{{"ssm:Describe* ssm:Get* ssm:List*", "", false}}},
	"AmazonSSMFullAccess":                  {"/", []grant{{"cloudwatch:PutMetricData ds:CreateComputer ds:DescribeDirectories ec2:DescribeInstanceStatus logs:* ssm:* ec2messages:* iam:CreateServiceLinkedRole", "", false}}},
	"SecretsManagerReadWrite":              {"/", []grant{{"secretsmanager:* cloudformation:CreateChangeSet cloudformation:DescribeChangeSet cloudformation:DescribeStackResource cloudformation:DescribeStacks cloudformation:ExecuteChangeSet docdb-elastic:GetCluster docdb-elastic:ListClusters ec2:DescribeSecurityGroups ec2:DescribeSubnets ec2:DescribeVpcs kms:DescribeKey kms:ListAliases kms:ListKeys lambda:ListFunctions rds:DescribeDBClusters rds:DescribeDBInstances redshift:DescribeClusters tag:GetResources", "", false}, {"lambda:AddPermission lambda:CreateFunction lambda:GetFunction lambda:InvokeFunction lambda:UpdateFunctionConfiguration", "arn:aws:lambda:*:*:function:SecretsManager*", false}}},
	"AmazonCognitoPowerUser":               {"/", []grant{{"cognito-identity:* cognito-idp:* cognito-sync:* iam:ListRoles iam:ListOpenIdConnectProviders iam:GetRole iam:ListSAMLProviders iam:GetSAMLProvider kinesis:ListStreams lambda:GetPolicy lambda:ListFunctions sns:GetSMSSandboxAccountStatus sns:ListPlatformApplications ses:ListIdentities ses:GetIdentityVerificationAttributes mobiletargeting:GetApps acm:ListCertificates", "", false}}},
	"AmazonCognitoReadOnly":                {"/", []grant{{"cognito-identity:Describe* cognito-identity:Get* cognito-identity:List* cognito-idp:Describe* cognito-idp:AdminGet* cognito-idp:AdminList* cognito-idp:List* cognito-idp:Get* cognito-sync:Describe* cognito-sync:Get* cognito-sync:List* iam:ListOpenIdConnectProviders iam:ListRoles sns:ListPlatformApplications", "", false}}},
	"AmazonKinesisFullAccess":              {"/", []grant{{"kinesis:*", "", false}}},
	"AmazonSESFullAccess":                  {"/", []grant{{"ses:*", "", false}}},
	"AWSStepFunctionsFullAccess":           {"/", []grant{{"states:*", "", false}}},
}

const dynamoDBConsole = "application-autoscaling:DeleteScalingPolicy application-autoscaling:DeregisterScalableTarget application-autoscaling:DescribeScalableTargets application-autoscaling:DescribeScalingActivities application-autoscaling:DescribeScalingPolicies application-autoscaling:PutScalingPolicy application-autoscaling:RegisterScalableTarget " +
	"cloudwatch:DeleteAlarms cloudwatch:DescribeAlarmHistory cloudwatch:DescribeAlarms cloudwatch:DescribeAlarmsForMetric cloudwatch:GetMetricStatistics cloudwatch:ListMetrics cloudwatch:PutMetricAlarm cloudwatch:GetMetricData " +
	"ec2:DescribeVpcs ec2:DescribeSubnets ec2:DescribeSecurityGroups iam:GetRole iam:ListRoles kms:DescribeKey kms:ListAliases sns:CreateTopic sns:DeleteTopic sns:ListSubscriptions sns:ListSubscriptionsByTopic sns:ListTopics sns:Subscribe sns:Unsubscribe sns:SetTopicAttributes"

// document is the policy as IAM would show it.
func (p managedPolicy) document() string {
	var b strings.Builder
	b.WriteString(`{"Version":"2012-10-17","Statement":[`)
	for i, g := range p.statements {
		if i > 0 {
			b.WriteByte(',')
		}
		key := "Action"
		if g.not {
			key = "NotAction"
		}
		resources := g.resources
		if resources == "" {
			resources = "*"
		}
		fmt.Fprintf(&b, `{"Effect":"Allow","%s":%s,"Resource":%s}`, key, jsonList(g.actions), jsonList(resources))
	}
	b.WriteString("]}")
	return b.String()
}

// jsonList turns words without quotes or backslashes into a JSON list.
func jsonList(words string) string {
	return `["` + strings.Join(strings.Fields(words), `","`) + `"]`
}

// managedDocuments holds each managed policy's document, parsed when a role
// first attaches it.
var managedDocuments sync.Map // name → *iampolicy.Document

const managedPrefix = "arn:aws:iam::aws:policy"

// managed returns the AWS-managed policy of that ARN, parsed; false means that
// there is none of that name and path.
func managed(arn string) (*iampolicy.Document, bool) {
	rest, ok := strings.CutPrefix(arn, managedPrefix)
	if !ok {
		return nil, false
	}
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	policy, ok := managedPolicies[name]
	if !ok || policy.path+name != rest {
		return nil, false
	}
	if d, ok := managedDocuments.Load(name); ok {
		return d.(*iampolicy.Document), true
	}
	d, err := iampolicy.Parse(name, []byte(policy.document()))
	if err != nil {
		return nil, false // unreachable: a test parses every one
	}
	managedDocuments.Store(name, d)
	return d, true
}
