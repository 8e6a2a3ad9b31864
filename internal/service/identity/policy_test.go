package identity

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tidegate/internal/awshttp"
	"tidegate/internal/iampolicy"
)

const (
	ownARN  = "arn:aws:iam::000000000000:policy/team/push"
	pushNot = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"execute-api:*","Resource":"*"}]}`
)

func TestCustomerManagedPolicies(t *testing.T) {
	f := newFixture(t, awshttp.Enforce, newBucket())
	f.createRole(t)
	session := f.assume(t)
	iam := func(action string, params ...string) string {
		t.Helper()
		return f.must(t, rootKey, "iam", action, params...)
	}
	has := func(body string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(body, part) {
				t.Errorf("no %s in %s", part, body)
			}
		}
	}
	may := func(want iampolicy.Decision) {
		t.Helper()
		if got := f.may(t, session); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	has(iam("CreatePolicy", "PolicyName", "push", "Path", "/team/", "PolicyDocument", pushAll, "Description", "may push", "Tags.member.1.Key", "k", "Tags.member.1.Value", "v"),
		"<Arn>"+ownARN+"</Arn>", "<PolicyId>ANPA", "<DefaultVersionId>v1</DefaultVersionId>", "<AttachmentCount>0</AttachmentCount>", "<Key>k</Key>")
	may(iampolicy.ImplicitDeny)
	iam("AttachRolePolicy", "RoleName", "chat", "PolicyArn", ownARN)
	may(iampolicy.Allow)
	has(iam("GetPolicy", "PolicyArn", ownARN), "<Description>may push</Description>", "<AttachmentCount>1</AttachmentCount>")
	has(iam("ListAttachedRolePolicies", "RoleName", "chat", "PathPrefix", "/team/"), "<PolicyArn>"+ownARN+"</PolicyArn>", "<PolicyName>push</PolicyName>")
	has(iam("ListEntitiesForPolicy", "PolicyArn", ownARN), "<RoleName>chat</RoleName>")

	// A version that isn't the default one changes nothing; when it becomes it, a
	// session that is open sees it.
	iam("CreatePolicyVersion", "PolicyArn", ownARN, "PolicyDocument", pushNot)
	may(iampolicy.Allow)
	iam("SetDefaultPolicyVersion", "PolicyArn", ownARN, "VersionId", "v2")
	may(iampolicy.ExplicitDeny)
	has(iam("CreatePolicyVersion", "PolicyArn", ownARN, "PolicyDocument", pushAll, "SetAsDefault", "true"), "<VersionId>v3</VersionId>", "<IsDefaultVersion>true</IsDefaultVersion>")
	may(iampolicy.Allow)
	has(iam("GetPolicyVersion", "PolicyArn", ownARN, "VersionId", "v2"), "<Document>"+escapeDocument(pushNot)+"</Document>", "<IsDefaultVersion>false</IsDefaultVersion>")
	iam("DeletePolicyVersion", "PolicyArn", ownARN, "VersionId", "v1")
	list := iam("ListPolicyVersions", "PolicyArn", ownARN)
	has(list, "<VersionId>v3</VersionId>")
	if strings.Contains(list, "<VersionId>v1<") || strings.Contains(list, "<Document>") {
		t.Error(list)
	}
	has(iam("ListPolicies", "Scope", "Local", "OnlyAttached", "true"), ownARN)
	has(iam("ListPolicies", "Scope", "AWS", "PathPrefix", "/service-role/"), "AWSLambdaBasicExecutionRole")
	has(iam("GetPolicyVersion", "PolicyArn", managedPrefix+"/service-role/AWSLambdaBasicExecutionRole", "VersionId", "v1"), escapeDocument("logs:PutLogEvents"))
	iam("TagPolicy", "PolicyArn", ownARN, "Tags.member.1.Key", "l", "Tags.member.1.Value", "w")
	iam("UntagPolicy", "PolicyArn", ownARN, "TagKeys.member.1", "k")
	if tags := iam("ListPolicyTags", "PolicyArn", ownARN); !strings.Contains(tags, "<Key>l</Key>") || strings.Contains(tags, "<Key>k</Key>") {
		t.Error(tags)
	}

	// All of it is there after a restart.
	again := newFixture(t, awshttp.Enforce, f.bucket)
	session = again.assume(t)
	if got := again.may(t, session); got != iampolicy.Allow {
		t.Errorf("after a restart: %v", got)
	}
	f = again
	iam("DetachRolePolicy", "RoleName", "chat", "PolicyArn", ownARN)
	may(iampolicy.ImplicitDeny)
	iam("DeletePolicyVersion", "PolicyArn", ownARN, "VersionId", "v2")
	iam("DeletePolicy", "PolicyArn", ownARN)
	if s, err := New(context.Background(), Config{Bucket: f.bucket, Account: testAccount}); err != nil || len(s.policies) != 0 {
		t.Errorf("%v %v", s.policies, err)
	}
}

func TestPolicyErrors(t *testing.T) {
	f := newFixture(t, awshttp.Enforce, newBucket())
	f.createRole(t)
	f.must(t, rootKey, "iam", "CreatePolicy", "PolicyName", "push", "Path", "/team/", "PolicyDocument", pushAll)
	f.must(t, rootKey, "iam", "AttachRolePolicy", "RoleName", "chat", "PolicyArn", ownARN)
	f.must(t, rootKey, "iam", "CreatePolicyVersion", "PolicyArn", ownARN, "PolicyDocument", pushAll)
	large := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:b","Resource":"%s"}]}`, strings.Repeat("x", maxPolicySize))
	const other = "arn:aws:iam::000000000000:policy/push" // another path
	tests := []struct {
		action string
		params []string
		status int
		code   string
		says   string
	}{
		{"CreatePolicy", []string{"PolicyName", "PUSH", "PolicyDocument", pushAll}, http.StatusConflict, "EntityAlreadyExists", "A policy called PUSH already exists. Duplicate names are not allowed."},
		{"CreatePolicy", []string{"PolicyName", "p", "PolicyDocument", lambdaTrust}, http.StatusBadRequest, "MalformedPolicyDocument", "should not specify a principal"},
		{"CreatePolicy", []string{"PolicyName", "p", "PolicyDocument", "{"}, http.StatusBadRequest, "MalformedPolicyDocument", ""},
		{"CreatePolicy", []string{"PolicyName", "p", "PolicyDocument", large}, http.StatusConflict, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144"},
		{"CreatePolicy", []string{"PolicyName", "p", "Path", "team", "PolicyDocument", pushAll}, http.StatusBadRequest, "ValidationError", "path is invalid"},
		{"CreatePolicy", []string{"PolicyName", "p/q", "PolicyDocument", pushAll}, http.StatusBadRequest, "ValidationError", "policyName"},
		{"GetPolicy", []string{"PolicyArn", other}, http.StatusNotFound, "NoSuchEntity", "Policy " + other + " was not found."},
		{"GetPolicy", []string{"PolicyArn", "push"}, http.StatusBadRequest, "ValidationError", "ARN push is not valid."},
		{"GetPolicyVersion", []string{"PolicyArn", ownARN, "VersionId", "v7"}, http.StatusNotFound, "NoSuchEntity", "Policy " + ownARN + " version v7 does not exist or is not attachable."},
		{"GetPolicyVersion", []string{"PolicyArn", ownARN, "VersionId", "7"}, http.StatusBadRequest, "ValidationError", "versionId"},
		{"SetDefaultPolicyVersion", []string{"PolicyArn", ownARN, "VersionId", "v7"}, http.StatusNotFound, "NoSuchEntity", "v7"},
		{"DeletePolicyVersion", []string{"PolicyArn", ownARN, "VersionId", "v1"}, http.StatusConflict, "DeleteConflict", "Cannot delete the default version of a policy."},
		{"CreatePolicyVersion", []string{"PolicyArn", ownARN, "PolicyDocument", "{}"}, http.StatusBadRequest, "MalformedPolicyDocument", ""},
		{"CreatePolicyVersion", []string{"PolicyArn", managedPrefix + "/AdministratorAccess", "PolicyDocument", pushAll}, http.StatusForbidden, "AccessDenied", "AWS's own"},
		{"DeletePolicy", []string{"PolicyArn", ownARN}, http.StatusConflict, "DeleteConflict", "Cannot delete a policy attached to entities."},
		{"AttachRolePolicy", []string{"RoleName", "chat", "PolicyArn", other}, http.StatusNotFound, "NoSuchEntity", "does not exist or is not attachable"},
		{"ListPolicies", []string{"Scope", "mine"}, http.StatusBadRequest, "ValidationError", "AWS, Local, All"},
	}
	for _, tt := range tests {
		a := f.call(t, rootKey, "iam", tt.action, tt.params...)
		if a.Status != tt.status || a.Code != tt.code || !strings.Contains(a.Message, tt.says) {
			t.Errorf("%s %.80s: %d %s: %s", tt.action, tt.params, a.Status, a.Code, a.Message)
		}
	}
	f.must(t, rootKey, "iam", "DetachRolePolicy", "RoleName", "chat", "PolicyArn", ownARN)
	if a := f.call(t, rootKey, "iam", "DeletePolicy", "PolicyArn", ownARN); a.Code != "DeleteConflict" || !strings.Contains(a.Message, "more than one version") {
		t.Errorf("%+v", a)
	}
	for range maxPolicyVersions - 2 {
		f.must(t, rootKey, "iam", "CreatePolicyVersion", "PolicyArn", ownARN, "PolicyDocument", pushAll)
	}
	if a := f.call(t, rootKey, "iam", "CreatePolicyVersion", "PolicyArn", ownARN, "PolicyDocument", pushAll); a.Code != "LimitExceeded" || !strings.Contains(a.Message, "up to 5 versions") {
		t.Errorf("%+v", a)
	}
	// Who may not, doesn't.
	if a := f.call(t, f.assume(t), "iam", "DeletePolicy", "PolicyArn", ownARN); a.Code != "AccessDenied" || !strings.Contains(a.Message, "iam:DeletePolicy on resource: "+ownARN) {
		t.Errorf("%+v", a)
	}
	// A write that fails changes nothing.
	f.bucket.fail = context.DeadlineExceeded
	if a := f.call(t, rootKey, "iam", "SetDefaultPolicyVersion", "PolicyArn", ownARN, "VersionId", "v2"); a.Status != http.StatusInternalServerError {
		t.Errorf("%+v", a)
	}
	f.bucket.fail = nil
	if p, err := f.policy(ownARN); err != nil || p.Default != "v1" {
		t.Errorf("%+v %v", p, err)
	}
}
