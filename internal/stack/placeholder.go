package stack

import (
	"fmt"
	"strings"
)

// Placeholders stand for resources of services that Tidegate lacks. They look
// as CloudFormation's would: a physical name, Ref, ARN and other attributes, so
// that an application that only passes them on works.

// nameProperties are how common types call their physical name.
var nameProperties = []string{
	"BucketName", "QueueName", "TopicName", "LogGroupName", "UserPoolName", "ClientName", "StateMachineName", "FunctionName",
	"RepositoryName", "ClusterName", "DBInstanceIdentifier", "StreamName", "DeliveryStreamName", "AlarmName", "Name",
}

// placeholder returns what a placeholder answers to Ref and GetAtt.
func (s *Stack) placeholder(res *resource, properties *value, attribute string) string {
	if attribute == "" {
		return s.placeholderRef(res, properties)
	}
	name := s.placeholderName(res, properties)
	if v, ok := properties.get(attribute).scalar(); ok { // as SSM's Value or a queue's QueueName
		return v
	}
	switch {
	case attribute == "Arn" || strings.HasSuffix(attribute, "Arn") || attribute == "ARN":
		return s.placeholderARN(res, name)
	case res.typ == "AWS::S3::Bucket" && attribute == "DomainName":
		return name + ".s3.amazonaws.com"
	case res.typ == "AWS::S3::Bucket" && attribute == "RegionalDomainName":
		return name + ".s3." + s.Region + ".amazonaws.com"
	case res.typ == "AWS::S3::Bucket" && attribute == "WebsiteURL":
		return "http://" + name + ".s3-website-" + s.Region + ".amazonaws.com"
	case res.typ == "AWS::SQS::Queue" && attribute == "QueueUrl":
		return s.placeholderRef(res, properties)
	case res.typ == "AWS::Cognito::UserPool" && (attribute == "ProviderName" || attribute == "ProviderURL"):
		return "cognito-idp." + s.Region + ".amazonaws.com/" + s.placeholderRef(res, properties)
	case strings.HasSuffix(attribute, "Name"):
		return name
	case attribute == "UserPoolId" || attribute == "ClientId" || attribute == "Id":
		return s.placeholderRef(res, properties)
	}
	return name + "-" + attribute
}

// placeholderName is the name given, or {stack}-{logicalId}-{13 characters}.
func (s *Stack) placeholderName(res *resource, properties *value) string {
	for _, p := range nameProperties {
		if name, ok := properties.get(p).scalar(); ok && name != "" {
			return name
		}
	}
	name := s.Name + "-" + res.id + "-" + s.suffix(res.id, 13)
	if res.typ == "AWS::S3::Bucket" {
		name = strings.ToLower(name)
	}
	return name
}

// placeholderRef is what Ref gives: for most types the name, for some an ARN,
// a URL or an id.
func (s *Stack) placeholderRef(res *resource, properties *value) string {
	name := s.placeholderName(res, properties)
	switch res.typ {
	case "AWS::SQS::Queue":
		return fmt.Sprintf("https://sqs.%s.amazonaws.com/%s/%s", s.Region, s.Account, name)
	case "AWS::SNS::Topic", "AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine", "AWS::SecretsManager::Secret",
		"AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ElasticLoadBalancingV2::TargetGroup", "AWS::CertificateManager::Certificate":
		return s.placeholderARN(res, name)
	case "AWS::Cognito::UserPool":
		return s.Region + "_" + s.suffix(res.id, 9)
	case "AWS::Cognito::UserPoolClient":
		return strings.ToLower(s.suffix(res.id, 26))
	case "AWS::Cognito::IdentityPool":
		return s.Region + ":" + s.uuid(res.id)
	case "AWS::KMS::Key":
		return s.uuid(res.id)
	case "AWS::ApiGateway::RestApi", "AWS::Serverless::Api", "AWS::Serverless::HttpApi", "AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlan":
		return s.apiID(res.id)
	}
	return name
}

// placeholderARN builds an ARN in the look of the type's service.
func (s *Stack) placeholderARN(res *resource, name string) string {
	local := func(service, rest string) string {
		return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, s.Region, s.Account, rest)
	}
	switch res.typ {
	case "AWS::S3::Bucket":
		return "arn:aws:s3:::" + name
	case "AWS::SQS::Queue":
		return local("sqs", name)
	case "AWS::SNS::Topic":
		return local("sns", name)
	case "AWS::Logs::LogGroup":
		return local("logs", "log-group:"+name+":*")
	case "AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine":
		return local("states", "stateMachine:"+name)
	case "AWS::SecretsManager::Secret":
		return local("secretsmanager", "secret:"+name+"-"+s.suffix(res.id, 6))
	case "AWS::KMS::Key":
		return local("kms", "key/"+s.uuid(res.id))
	case "AWS::Kinesis::Stream":
		return local("kinesis", "stream/"+name)
	case "AWS::Cognito::UserPool":
		return local("cognito-idp", "userpool/"+s.Region+"_"+s.suffix(res.id, 9))
	}
	parts := strings.Split(res.typ, "::")
	service, kind := "custom", parts[len(parts)-1]
	if len(parts) == 3 {
		service = strings.ToLower(parts[1])
	}
	return local(service, strings.ToLower(kind)+"/"+name)
}
