package integration

import "strings"

// A protocol is how an AWS service takes an action by its name.
type protocol uint8

const (
	protocolNone  protocol = iota // paths only, as S3 and Lambda
	protocolJSON                  // X-Amz-Target names the action
	protocolQuery                 // Action and Version are parameters
)

// A serviceModel is what must be known of a service to call an action of it.
// The facts are from the services' public models.
type serviceModel struct {
	protocol protocol
	target   string // JSON: the prefix of X-Amz-Target
	version  string // JSON: of the content type, 1.0 or 1.1; query: Version
	signing  string // name in signatures, when it isn't the service's own
}

// serviceModels are the services that have actions, by the name that an
// integration's URI gives them, which is that of their hosts.
var serviceModels = map[string]serviceModel{
	"athena":           {protocol: protocolJSON, target: "AmazonAthena", version: "1.1"},
	"codebuild":        {protocol: protocolJSON, target: "CodeBuild_20161006", version: "1.1"},
	"codepipeline":     {protocol: protocolJSON, target: "CodePipeline_20150709", version: "1.1"},
	"cognito-identity": {protocol: protocolJSON, target: "AWSCognitoIdentityService", version: "1.1"},
	"cognito-idp":      {protocol: protocolJSON, target: "AWSCognitoIdentityProviderService", version: "1.1"},
	"comprehend":       {protocol: protocolJSON, target: "Comprehend_20171127", version: "1.1"},
	"dynamodb":         {protocol: protocolJSON, target: "DynamoDB_20120810", version: "1.0"},
	"streams.dynamodb": {protocol: protocolJSON, target: "DynamoDBStreams_20120810", version: "1.0", signing: "dynamodb"},
	"ecs":              {protocol: protocolJSON, target: "AmazonEC2ContainerServiceV20141113", version: "1.1"},
	"events":           {protocol: protocolJSON, target: "AWSEvents", version: "1.1"},
	"firehose":         {protocol: protocolJSON, target: "Firehose_20150804", version: "1.1"},
	"glue":             {protocol: protocolJSON, target: "AWSGlue", version: "1.1"},
	"kinesis":          {protocol: protocolJSON, target: "Kinesis_20131202", version: "1.1"},
	"kms":              {protocol: protocolJSON, target: "TrentService", version: "1.1"},
	"logs":             {protocol: protocolJSON, target: "Logs_20140328", version: "1.1"},
	"rekognition":      {protocol: protocolJSON, target: "RekognitionService", version: "1.1"},
	"secretsmanager":   {protocol: protocolJSON, target: "secretsmanager", version: "1.1"},
	"ssm":              {protocol: protocolJSON, target: "AmazonSSM", version: "1.1"},
	"states":           {protocol: protocolJSON, target: "AWSStepFunctions", version: "1.0"},
	"sync-states":      {protocol: protocolJSON, target: "AWSStepFunctions", version: "1.0", signing: "states"},
	"textract":         {protocol: protocolJSON, target: "Textract", version: "1.1"},
	"transcribe":       {protocol: protocolJSON, target: "Transcribe", version: "1.1"},
	"translate":        {protocol: protocolJSON, target: "AWSShineFrontendService_20170701", version: "1.1"},

	"autoscaling":          {protocol: protocolQuery, version: "2011-01-01"},
	"cloudformation":       {protocol: protocolQuery, version: "2010-05-15"},
	"cloudwatch":           {protocol: protocolQuery, version: "2010-08-01", signing: "monitoring"},
	"ec2":                  {protocol: protocolQuery, version: "2016-11-15"},
	"elasticloadbalancing": {protocol: protocolQuery, version: "2015-12-01"},
	"email":                {protocol: protocolQuery, version: "2010-12-01", signing: "ses"},
	"iam":                  {protocol: protocolQuery, version: "2010-05-08"},
	"monitoring":           {protocol: protocolQuery, version: "2010-08-01"},
	"rds":                  {protocol: protocolQuery, version: "2014-10-31"},
	"sns":                  {protocol: protocolQuery, version: "2010-03-31"},
	// SQS has a JSON protocol too; integrations were always made for this one.
	"sqs": {protocol: protocolQuery, version: "2012-11-05"},
	"sts": {protocol: protocolQuery, version: "2011-06-15"},

	"bedrock-runtime":   {signing: "bedrock"},
	"data.iot":          {signing: "iotdata"},
	"runtime.sagemaker": {signing: "sagemaker"},
}

// endpointIDs are the service ids of names where upper case doesn't yield them.
// Source: https://docs.aws.amazon.com/sdkref/latest/guide/ss-endpoints-table.html
var endpointIDs = map[string]string{
	"apigateway":        "APIGATEWAYV2",
	"bedrock":           "BEDROCK_RUNTIME",
	"bedrock-runtime":   "BEDROCK_RUNTIME",
	"cognito-idp":       "COGNITO_IDENTITY_PROVIDER",
	"cognito-identity":  "COGNITO_IDENTITY",
	"data.iot":          "IOT_DATA_PLANE",
	"email":             "SES",
	"events":            "EVENTBRIDGE",
	"iotdata":           "IOT_DATA_PLANE",
	"logs":              "CLOUDWATCH_LOGS",
	"monitoring":        "CLOUDWATCH",
	"runtime.sagemaker": "SAGEMAKER_RUNTIME",
	"secretsmanager":    "SECRETS_MANAGER",
	"ses":               "SESV2",
	"states":            "SFN",
	"sync-states":       "SFN",
	"streams.dynamodb":  "DYNAMODB_STREAMS",
}

// EndpointVariable is the environment variable that says where a service is,
// by the name that its hosts or signatures have: AWS_ENDPOINT_URL_SQS of sqs.
func EndpointVariable(service string) string {
	id := endpointIDs[service]
	if id == "" {
		id = strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(service))
	}
	return "AWS_ENDPOINT_URL_" + id
}
