package identity

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"tidegate/internal/awshttp"
	"tidegate/sigv4"
)

func stsClient(f *fixture, c sigv4.Credentials) *sts.Client {
	return sts.New(sts.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(f.url),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, nil
		}),
	})
}

// TestSDK talks to STS with the AWS SDK for Go.
func TestSDK(t *testing.T) {
	f := newFixture(t, awshttp.Enforce, newBucket())
	f.createRole(t)
	out, err := stsClient(f, lambdaKey).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(roleARN), RoleSessionName: aws.String("fn"), DurationSeconds: aws.Int32(43200)})
	if err != nil {
		t.Fatal(err)
	}
	c := out.Credentials
	if got := *out.AssumedRoleUser.Arn; got != "arn:aws:sts::000000000000:assumed-role/chat/fn" {
		t.Errorf("ARN %s", got)
	}
	if until := c.Expiration.Sub(f.clock.Now()); until.Hours() < 11.9 || until.Hours() > 12 {
		t.Errorf("the session lasts %v", until)
	}
	me, err := stsClient(f, sigv4.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if *me.Arn != *out.AssumedRoleUser.Arn || *me.UserId != *out.AssumedRoleUser.AssumedRoleId {
		t.Errorf("GetCallerIdentity: %s %s", *me.Arn, *me.UserId)
	}
	_, err = stsClient(f, eventsKey).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(roleARN), RoleSessionName: aws.String("fn")})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "AccessDenied" {
		t.Errorf("AssumeRole by another service: %v", err)
	}
}

const botoScript = `
import json, sys, boto3
from botocore.exceptions import ClientError
url, trust, policy = sys.argv[1:4]
args = dict(endpoint_url=url, region_name="us-east-1", aws_access_key_id="tidegate", aws_secret_access_key="tidegate")
iam, sts = boto3.client("iam", **args), boto3.client("sts", **args)
role = iam.create_role(RoleName="boto", AssumeRolePolicyDocument=trust, Tags=[{"Key": "k", "Value": "v"}])["Role"]
assert role["Arn"] == "arn:aws:iam::000000000000:role/boto", role
assert role["AssumeRolePolicyDocument"] == json.loads(trust), role
got = iam.get_role(RoleName="boto")["Role"]
assert got["Tags"] == [{"Key": "k", "Value": "v"}] and got["CreateDate"] == role["CreateDate"], got
iam.put_role_policy(RoleName="boto", PolicyName="p", PolicyDocument=policy)
assert iam.get_role_policy(RoleName="boto", PolicyName="p")["PolicyDocument"] == json.loads(policy)
assert iam.list_role_policies(RoleName="boto")["PolicyNames"] == ["p"]
arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
iam.attach_role_policy(RoleName="boto", PolicyArn=arn)
assert iam.list_attached_role_policies(RoleName="boto")["AttachedPolicies"] == [{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": arn}]
own = iam.create_policy(PolicyName="own", PolicyDocument=policy, Tags=[{"Key": "k", "Value": "v"}])["Policy"]
assert own["Arn"] == "arn:aws:iam::000000000000:policy/own" and own["DefaultVersionId"] == "v1" and own["IsAttachable"], own
iam.attach_role_policy(RoleName="boto", PolicyArn=own["Arn"])
assert iam.create_policy_version(PolicyArn=own["Arn"], PolicyDocument=policy, SetAsDefault=True)["PolicyVersion"]["IsDefaultVersion"]
got = iam.get_policy(PolicyArn=own["Arn"])["Policy"]
assert (got["DefaultVersionId"], got["AttachmentCount"], got["Tags"]) == ("v2", 1, [{"Key": "k", "Value": "v"}]), got
assert iam.get_policy_version(PolicyArn=own["Arn"], VersionId="v2")["PolicyVersion"]["Document"] == json.loads(policy)
assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=own["Arn"])["Versions"]] == ["v2", "v1"]
assert [p["PolicyName"] for page in iam.get_paginator("list_policies").paginate(Scope="Local") for p in page["Policies"]] == ["own"]
assert len([p for page in iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 7}) for p in page["Policies"]]) > 40
assert [r["RoleName"] for r in iam.list_entities_for_policy(PolicyArn=own["Arn"])["PolicyRoles"]] == ["boto"]
try:
    iam.delete_policy(PolicyArn=own["Arn"]); raise SystemExit("DeleteConflict expected")
except iam.exceptions.DeleteConflictException: pass
try:
    iam.create_policy(PolicyName="own", PolicyDocument=policy); raise SystemExit("EntityAlreadyExists expected")
except iam.exceptions.EntityAlreadyExistsException: pass
iam.detach_role_policy(RoleName="boto", PolicyArn=own["Arn"])
iam.delete_policy_version(PolicyArn=own["Arn"], VersionId="v1")
iam.delete_policy(PolicyArn=own["Arn"])
try:
    iam.get_policy(PolicyArn=own["Arn"]); raise SystemExit("NoSuchEntity expected")
except iam.exceptions.NoSuchEntityException: pass
iam.update_assume_role_policy(RoleName="boto", PolicyDocument=trust)
iam.tag_role(RoleName="boto", Tags=[{"Key": "l", "Value": ""}])
assert [r["RoleName"] for p in iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1}) for r in p["Roles"]] == ["boto", "chat"]
try:
    iam.delete_role(RoleName="boto"); raise SystemExit("DeleteConflict expected")
except iam.exceptions.DeleteConflictException: pass
try:
    iam.create_role(RoleName="boto", AssumeRolePolicyDocument=trust); raise SystemExit("EntityAlreadyExists expected")
except iam.exceptions.EntityAlreadyExistsException: pass
try:
    iam.put_role_policy(RoleName="boto", PolicyName="q", PolicyDocument="{}"); raise SystemExit("MalformedPolicyDocument expected")
except iam.exceptions.MalformedPolicyDocumentException: pass
iam.detach_role_policy(RoleName="boto", PolicyArn=arn)
iam.delete_role_policy(RoleName="boto", PolicyName="p")
iam.delete_role(RoleName="boto")
try:
    iam.get_role(RoleName="boto"); raise SystemExit("NoSuchEntity expected")
except iam.exceptions.NoSuchEntityException as e: assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 404
s = sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/chat", RoleSessionName="boto")["Credentials"]
args.update(aws_access_key_id=s["AccessKeyId"], aws_secret_access_key=s["SecretAccessKey"], aws_session_token=s["SessionToken"])
me = boto3.client("sts", **args).get_caller_identity()
assert me["Arn"] == "arn:aws:sts::000000000000:assumed-role/chat/boto", me
try:
    boto3.client("iam", **args).list_roles(); raise SystemExit("AccessDenied expected")
except ClientError as e: assert e.response["Error"]["Code"] == "AccessDenied", e
print("done")
`

// TestBoto talks to IAM and STS with boto3.
func TestBoto(t *testing.T) {
	if testing.Short() {
		t.Skip("starting Python and loading boto3 takes a second; run without -short")
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is missing")
	}
	if exec.Command(python, "-c", "import boto3").Run() != nil {
		t.Skip("python3 has no boto3")
	}
	f := newFixture(t, awshttp.Enforce, newBucket())
	f.createRole(t)
	cmd := exec.CommandContext(t.Context(), python, "-c", botoScript, f.url, lambdaTrust, pushAll)
	cmd.Env = append(cmd.Environ(), "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=127.0.0.1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "done\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
