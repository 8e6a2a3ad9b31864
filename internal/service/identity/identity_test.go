package identity

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
	"tidegate/internal/iampolicy"
	"tidegate/internal/kv"
	"tidegate/sigv4"
)

// memBucket is a kv.Bucket in memory.
type memBucket struct {
	kv.Bucket // Watch and Swap: not called
	mu        sync.Mutex
	m         map[string]kv.Entry
	revision  uint64
	fail      error // returned by the next write
}

func newBucket() *memBucket { return &memBucket{m: map[string]kv.Entry{}} }

func (b *memBucket) Put(_ context.Context, key string, value []byte) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := kv.CheckKey(key); err != nil {
		return 0, err
	}
	if b.fail != nil {
		return 0, b.fail
	}
	b.revision++
	b.m[key] = kv.Entry{Key: key, Value: slices.Clone(value), Revision: b.revision}
	return b.revision, nil
}

func (b *memBucket) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.m, key)
	return b.fail
}

func (b *memBucket) List(_ context.Context, prefix string) ([]kv.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []kv.Entry
	for _, k := range slices.Sorted(maps.Keys(b.m)) {
		if strings.HasPrefix(k, prefix) {
			out = append(out, b.m[k])
		}
	}
	return out, nil
}

const (
	testAccount = "000000000000"
	lambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	roleARN     = "arn:aws:iam::000000000000:role/chat"
	pushAll     = `{"Version":"2012-10-17","Statement":[{"Sid":"Push","Effect":"Allow","Action":"execute-api:ManageConnections","Resource":"arn:aws:execute-api:*:*:abc/*"}]}`
)

var (
	rootKey   = sigv4.Credentials{AccessKeyID: "tidegate", SecretAccessKey: "tidegate"}
	lambdaKey = sigv4.Credentials{AccessKeyID: "svc-lambda", SecretAccessKey: "lambda's secret"}
	eventsKey = sigv4.Credentials{AccessKeyID: "svc-events", SecretAccessKey: "events' secret"}
)

// A fixture is a service behind HTTP, with a clock that stands still.
type fixture struct {
	*Service
	bucket *memBucket
	clock  *clock.Manual
	gate   *awshttp.Gate
	url    string
	denied []string
}

func newFixture(t testing.TB, mode awshttp.Mode, bucket *memBucket) *fixture {
	t.Helper()
	f := &fixture{bucket: bucket, clock: clock.NewManual(time.Now())}
	var err error
	f.Service, err = New(context.Background(), Config{
		Bucket: bucket, Account: testAccount, Region: "us-east-1", Clock: f.clock,
		Keys: []Key{
			{AccessKeyID: rootKey.AccessKeyID, Secret: rootKey.SecretAccessKey},
			{AccessKeyID: lambdaKey.AccessKeyID, Secret: lambdaKey.SecretAccessKey, Principal: awshttp.Principal{Kind: awshttp.Service, ARN: "lambda.amazonaws.com"}},
			{AccessKeyID: eventsKey.AccessKeyID, Secret: eventsKey.SecretAccessKey, Principal: awshttp.Principal{Kind: awshttp.Service, ARN: "events.amazonaws.com"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.gate = &awshttp.Gate{Identities: f.Service, Mode: mode, Account: testAccount, Region: "us-east-1"}
	f.gate.Events.Denied = func(d awshttp.Denial) { f.denied = append(f.denied, d.String()) }
	handlers := f.Handlers(f.gate)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, h := range handlers {
			if strings.Contains(r.Header.Get("Authorization"), "/"+name+"/aws4_request") {
				h.ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, "no such service", http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// An answer is what a call got; Code is empty when it succeeded.
type answer struct {
	Status  int
	Code    string `xml:"Error>Code"`
	Message string `xml:"Error>Message"`
	Body    string `xml:"-"`
}

// call makes a query-protocol call; params are key, value, key, value, …
func (f *fixture) call(t testing.TB, c sigv4.Credentials, service, action string, params ...string) answer {
	t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	body := form.Encode()
	r, err := http.NewRequest("POST", f.url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sigv4.Sign(r, []byte(body), c, service, "us-east-1", time.Now())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{Status: resp.StatusCode, Body: string(data)}
	if resp.StatusCode != http.StatusOK {
		if err := xml.Unmarshal(data, &a); err != nil {
			t.Fatalf("%s: %s: %v", action, data, err)
		}
	}
	return a
}

// must is call that wants success.
func (f *fixture) must(t testing.TB, c sigv4.Credentials, service, action string, params ...string) string {
	t.Helper()
	a := f.call(t, c, service, action, params...)
	if a.Status != http.StatusOK {
		t.Fatalf("%s: %d %s: %s", action, a.Status, a.Code, a.Message)
	}
	return a.Body
}

func (f *fixture) createRole(t testing.TB) {
	t.Helper()
	f.must(t, rootKey, "iam", "CreateRole", "RoleName", "chat", "AssumeRolePolicyDocument", lambdaTrust)
}

// assume opens a session of the role chat as Lambda does.
func (f *fixture) assume(t testing.TB, more ...string) sigv4.Credentials {
	t.Helper()
	body := f.must(t, lambdaKey, "sts", "AssumeRole", append([]string{"RoleArn", roleARN, "RoleSessionName", "run"}, more...)...)
	var out struct {
		Result struct {
			AccessKeyID     string `xml:"Credentials>AccessKeyId"`
			SecretAccessKey string `xml:"Credentials>SecretAccessKey"`
			SessionToken    string `xml:"Credentials>SessionToken"`
			Arn             string `xml:"AssumedRoleUser>Arn"`
		} `xml:"AssumeRoleResult"`
	}
	if err := xml.Unmarshal([]byte(body), &out); err != nil {
		t.Fatal(err)
	}
	if out.Result.Arn != "arn:aws:sts::000000000000:assumed-role/chat/run" || !strings.HasPrefix(out.Result.AccessKeyID, "ASIA") {
		t.Fatalf("AssumeRole: %+v", out.Result.Arn)
	}
	return sigv4.Credentials{AccessKeyID: out.Result.AccessKeyID, SecretAccessKey: out.Result.SecretAccessKey, SessionToken: out.Result.SessionToken}
}

// may reports what the session's policies say about a push.
func (f *fixture) may(t testing.TB, c sigv4.Credentials) iampolicy.Decision {
	t.Helper()
	id, ok := f.Lookup(c.AccessKeyID)
	if !ok {
		t.Fatal("the session is gone")
	}
	return iampolicy.Evaluate(&iampolicy.Request{Action: "execute-api:ManageConnections", Resource: "arn:aws:execute-api:us-east-1:000000000000:abc/prod/POST/@connections/x="}, iampolicy.Source{Documents: id.Principal.Policies}).Decision
}

func TestRoleLifeCycle(t *testing.T) {
	f := newFixture(t, awshttp.Enforce, newBucket())
	f.createRole(t)
	if a := f.call(t, rootKey, "iam", "CreateRole", "RoleName", "CHAT", "AssumeRolePolicyDocument", lambdaTrust); a.Status != 409 || a.Code != "EntityAlreadyExists" {
		t.Errorf("a second role whose name differs in case: %+v", a)
	}
	body := f.must(t, rootKey, "iam", "GetRole", "RoleName", "chat")
	for _, want := range []string{"<Arn>" + roleARN + "</Arn>", "<RoleId>AROA", "<MaxSessionDuration>3600<", url.PathEscape(`"Version"`), "<GetRoleResult><Role><Path>/</Path>"} {
		if !strings.Contains(body, want) {
			t.Errorf("GetRole lacks %s: %s", want, body)
		}
	}

	session := f.assume(t)
	if got := f.may(t, session); got != iampolicy.ImplicitDeny {
		t.Errorf("without policies: %v", got)
	}
	f.must(t, rootKey, "iam", "PutRolePolicy", "RoleName", "chat", "PolicyName", "push", "PolicyDocument", pushAll)
	if got := f.may(t, session); got != iampolicy.Allow {
		t.Errorf("with an inline policy, in a session opened before: %v", got)
	}
	if body := f.must(t, rootKey, "iam", "GetRolePolicy", "RoleName", "chat", "PolicyName", "push"); !strings.Contains(body, strings.ReplaceAll(url.QueryEscape(pushAll), "+", "%20")) {
		t.Errorf("GetRolePolicy: %s", body)
	}
	f.must(t, rootKey, "iam", "DeleteRolePolicy", "RoleName", "chat", "PolicyName", "push")
	if got := f.may(t, session); got != iampolicy.ImplicitDeny {
		t.Errorf("after DeleteRolePolicy: %v", got)
	}
	f.must(t, rootKey, "iam", "AttachRolePolicy", "RoleName", "chat", "PolicyArn", "arn:aws:iam::aws:policy/AmazonAPIGatewayInvokeFullAccess")
	f.must(t, rootKey, "iam", "AttachRolePolicy", "RoleName", "chat", "PolicyArn", "arn:aws:iam::aws:policy/AmazonAPIGatewayInvokeFullAccess")
	if got := f.may(t, session); got != iampolicy.Allow {
		t.Errorf("with a managed policy: %v", got)
	}
	if body := f.must(t, rootKey, "iam", "ListAttachedRolePolicies", "RoleName", "chat"); strings.Count(body, "<PolicyName>AmazonAPIGatewayInvokeFullAccess</PolicyName>") != 1 {
		t.Errorf("ListAttachedRolePolicies: %s", body)
	}
	if a := f.call(t, rootKey, "iam", "DeleteRole", "RoleName", "chat"); a.Status != 409 || a.Code != "DeleteConflict" || !strings.Contains(a.Message, "detach") {
		t.Errorf("DeleteRole with a managed policy: %+v", a)
	}
	f.must(t, rootKey, "iam", "DetachRolePolicy", "RoleName", "chat", "PolicyArn", "arn:aws:iam::aws:policy/AmazonAPIGatewayInvokeFullAccess")
	if a := f.call(t, rootKey, "iam", "DetachRolePolicy", "RoleName", "chat", "PolicyArn", "arn:aws:iam::aws:policy/AmazonAPIGatewayInvokeFullAccess"); a.Code != "NoSuchEntity" {
		t.Errorf("DetachRolePolicy twice: %+v", a)
	}
	f.must(t, rootKey, "iam", "PutRolePolicy", "RoleName", "chat", "PolicyName", "push", "PolicyDocument", pushAll)
	if a := f.call(t, rootKey, "iam", "DeleteRole", "RoleName", "chat"); a.Code != "DeleteConflict" {
		t.Errorf("DeleteRole with an inline policy: %+v", a)
	}
	f.must(t, rootKey, "iam", "DeleteRolePolicy", "RoleName", "chat", "PolicyName", "push")
	f.must(t, rootKey, "iam", "TagRole", "RoleName", "chat", "Tags.member.1.Key", "a", "Tags.member.1.Value", "1", "Tags.member.2.Key", "b", "Tags.member.2.Value", "")
	f.must(t, rootKey, "iam", "UntagRole", "RoleName", "chat", "TagKeys.member.1", "b")
	if body := f.must(t, rootKey, "iam", "ListRoleTags", "RoleName", "chat"); !strings.Contains(body, "<Tags><member><Key>a</Key><Value>1</Value></member></Tags>") {
		t.Errorf("ListRoleTags: %s", body)
	}
	f.must(t, rootKey, "iam", "DeleteRole", "RoleName", "chat")
	if _, ok := f.Lookup(session.AccessKeyID); ok {
		t.Error("a session of a deleted role is still known")
	}
	if len(f.bucket.m) != 0 {
		t.Errorf("the bucket still holds %v", f.bucket.m)
	}
}

func TestErrors(t *testing.T) {
	f := newFixture(t, awshttp.Enforce, newBucket())
	f.createRole(t)
	long := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:b","Resource":["*"` + strings.Repeat(`,"arn:aws:s3:::`+strings.Repeat("x", 100)+`"`, 100) + `]}]}`
	for _, c := range []struct {
		action string
		params []string
		status int
		code   string
		text   string
	}{
		{"GetRole", []string{"RoleName", "none"}, 404, "NoSuchEntity", "The role with name none cannot be found."},
		{"DeleteRole", []string{"RoleName", "none"}, 404, "NoSuchEntity", "none"},
		{"GetRole", nil, 400, "ValidationError", "'roleName'"},
		{"GetRole", []string{"RoleName", "a b"}, 400, "ValidationError", "roleName"},
		{"GetRole", []string{"RoleName", strings.Repeat("a", 65)}, 400, "ValidationError", "64"},
		{"GetRolePolicy", []string{"RoleName", "chat", "PolicyName", "p"}, 404, "NoSuchEntity", "The role policy with name p cannot be found."},
		{"DeleteRolePolicy", []string{"RoleName", "chat", "PolicyName", "p"}, 404, "NoSuchEntity", "role policy with name p"},
		{"PutRolePolicy", []string{"RoleName", "chat", "PolicyName", "p", "PolicyDocument", "{"}, 400, "MalformedPolicyDocument", "policy p"},
		{"PutRolePolicy", []string{"RoleName", "chat", "PolicyName", "p", "PolicyDocument", `{"Statement":[{"Effect":"Allow","Action":"a:b"}]}`}, 400, "MalformedPolicyDocument", "must contain resources"},
		{"PutRolePolicy", []string{"RoleName", "chat", "PolicyName", "p", "PolicyDocument", `{"Statement":[{"Sid":"S","Effect":"Allow","Principal":"*","Action":"a:b","Resource":"*"}]}`}, 400, "MalformedPolicyDocument", "statement S"},
		{"PutRolePolicy", []string{"RoleName", "chat", "PolicyName", "p", "PolicyDocument", long}, 409, "LimitExceeded", "10240"},
		{"UpdateAssumeRolePolicy", []string{"RoleName", "chat", "PolicyDocument", pushAll}, 400, "MalformedPolicyDocument", "no Principal"},
		{"CreateRole", []string{"RoleName", "r", "AssumeRolePolicyDocument", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}]}`}, 400, "MalformedPolicyDocument", "prohibited field Resource"},
		{"CreateRole", []string{"RoleName", "r", "AssumeRolePolicyDocument", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}]}`}, 400, "MalformedPolicyDocument", "s3:GetObject"},
		{"CreateRole", []string{"RoleName", "r", "Path", "nope", "AssumeRolePolicyDocument", lambdaTrust}, 400, "ValidationError", "path"},
		{"CreateRole", []string{"RoleName", "r", "MaxSessionDuration", "10", "AssumeRolePolicyDocument", lambdaTrust}, 400, "ValidationError", "maxSessionDuration"},
		{"CreateRole", []string{"RoleName", "r", "PermissionsBoundary", "arn:x", "AssumeRolePolicyDocument", lambdaTrust}, 400, "ValidationError", "PermissionsBoundary"},
		{"AttachRolePolicy", []string{"RoleName", "chat", "PolicyArn", "arn:aws:iam::aws:policy/AmazonMadeUpAccess"}, 404, "NoSuchEntity", "AmazonMadeUpAccess"},
		{"AttachRolePolicy", []string{"RoleName", "chat", "PolicyArn", "arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole"}, 404, "NoSuchEntity", "It is arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"},
		{"AttachRolePolicy", []string{"RoleName", "chat", "PolicyArn", "arn:aws:iam::000000000000:policy/mine"}, 404, "NoSuchEntity", "policy/mine"},
		{"ListRoles", []string{"MaxItems", "0"}, 400, "ValidationError", "maxItems"},
		{"ListInstanceProfilesForRole", []string{"RoleName", "none"}, 404, "NoSuchEntity", "none"},
		{"CreateUser", []string{"UserName", "u"}, 400, "InvalidAction", `"CreateUser"`},
	} {
		a := f.call(t, rootKey, "iam", c.action, c.params...)
		if a.Status != c.status || a.Code != c.code || !strings.Contains(a.Message, c.text) {
			t.Errorf("%s %.200v:\n %d %s: %s\n want %d %s with %q", c.action, c.params, a.Status, a.Code, a.Message, c.status, c.code, c.text)
		}
	}
	if body := f.must(t, rootKey, "iam", "ListRolePolicies", "RoleName", "chat"); strings.Contains(body, "<member>") {
		t.Errorf("a refused policy was kept: %s", body)
	}
	if body := f.must(t, rootKey, "iam", "ListInstanceProfilesForRole", "RoleName", "chat"); !strings.Contains(body, "<InstanceProfiles></InstanceProfiles><IsTruncated>false</IsTruncated>") {
		t.Errorf("instance profiles of a role: %s", body)
	}
}

func TestPages(t *testing.T) {
	f := newFixture(t, awshttp.Enforce, newBucket())
	for i := range 5 {
		f.must(t, rootKey, "iam", "CreateRole", "RoleName", fmt.Sprint("r", i), "Path", "/app/", "AssumeRolePolicyDocument", lambdaTrust)
	}
	f.createRole(t)
	var names []string
	marker := ""
	for pages := 1; ; pages++ {
		params := []string{"MaxItems", "2", "PathPrefix", "/app/"}
		if marker != "" {
			params = append(params, "Marker", marker)
		}
		var out struct {
			Result struct {
				Names       []string `xml:"Roles>member>RoleName"`
				IsTruncated bool
				Marker      string
			} `xml:"ListRolesResult"`
		}
		if err := xml.Unmarshal([]byte(f.must(t, rootKey, "iam", "ListRoles", params...)), &out); err != nil {
			t.Fatal(err)
		}
		names = append(names, out.Result.Names...)
		if marker = out.Result.Marker; !out.Result.IsTruncated {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if want := []string{"r0", "r1", "r2", "r3", "r4"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

// TestDurable opens the service a second time on the same bucket.
func TestDurable(t *testing.T) {
	bucket := newBucket()
	f := newFixture(t, awshttp.Enforce, bucket)
	f.must(t, rootKey, "iam", "CreateRole", "RoleName", "a+b=c,d.e@f-G_", "Path", "/x/", "Description", "d", "AssumeRolePolicyDocument", lambdaTrust)
	f.createRole(t)
	f.must(t, rootKey, "iam", "PutRolePolicy", "RoleName", "chat", "PolicyName", "push", "PolicyDocument", pushAll)
	f.must(t, rootKey, "iam", "AttachRolePolicy", "RoleName", "chat", "PolicyArn", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
	before := f.must(t, rootKey, "iam", "GetRole", "RoleName", "a+b=c,d.e@f-G_")

	bucket.fail = fmt.Errorf("disk full")
	if a := f.call(t, rootKey, "iam", "DeleteRolePolicy", "RoleName", "chat", "PolicyName", "push"); a.Status != 500 {
		t.Errorf("a write that failed answers %+v", a)
	}
	bucket.fail = nil

	again := newFixture(t, awshttp.Enforce, bucket)
	after := again.must(t, rootKey, "iam", "GetRole", "RoleName", "a+b=c,d.e@f-G_")
	cut := func(s string) string { return s[:strings.Index(s, "<ResponseMetadata>")] }
	if cut(before) != cut(after) {
		t.Errorf("after the restart:\n %s\n before\n %s", after, before)
	}
	if got := again.may(t, again.assume(t)); got != iampolicy.Allow {
		t.Errorf("the role's policies after the restart: %v", got)
	}
	for key, e := range bucket.m {
		for _, secret := range []string{lambdaKey.SecretAccessKey, "ASIA"} {
			if strings.Contains(string(e.Value), secret) {
				t.Errorf("%s holds a secret", key)
			}
		}
	}
}

func TestTrust(t *testing.T) {
	accountTrust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x"}}}]}`
	for _, mode := range []awshttp.Mode{awshttp.Enforce, awshttp.Warn, awshttp.Off} {
		f := newFixture(t, mode, newBucket())
		f.createRole(t)
		f.must(t, rootKey, "iam", "CreateRole", "RoleName", "other", "AssumeRolePolicyDocument", accountTrust)
		session := f.assume(t)
		other := []string{"RoleArn", "arn:aws:iam::000000000000:role/other", "RoleSessionName", "s1", "ExternalId", "x"}

		f.must(t, rootKey, "sts", "AssumeRole", "RoleArn", roleARN, "RoleSessionName", "me")
		for _, c := range []struct {
			name   string
			key    sigv4.Credentials
			params []string
			why    string
		}{
			{"a service that the trust policy doesn't name", eventsKey, []string{"RoleArn", roleARN, "RoleSessionName", "ev"}, "trust policy of role chat does not allow it; it must allow sts:AssumeRole to events.amazonaws.com"},
			{"a role whose account is trusted, without a policy", session, other, "no identity-based policy allows the sts:AssumeRole action"},
		} {
			f.denied = nil
			a := f.call(t, c.key, "sts", "AssumeRole", c.params...)
			if refused := a.Code == "AccessDenied" && a.Status == 403 && strings.Contains(a.Message, c.why); refused != (mode == awshttp.Enforce) || !refused && a.Status != 200 {
				t.Errorf("%s: %s: %d %s", mode, c.name, a.Status, a.Message)
			}
			if reported := len(f.denied) == 1 && strings.Contains(f.denied[0], c.why); reported != (mode != awshttp.Off) {
				t.Errorf("%s: %s: reported %q", mode, c.name, f.denied)
			}
		}
		f.must(t, rootKey, "iam", "PutRolePolicy", "RoleName", "chat", "PolicyName", "assume", "PolicyDocument", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`)
		f.denied = nil
		f.must(t, session, "sts", "AssumeRole", other...)
		if len(f.denied) > 0 {
			t.Errorf("%s: with a policy: reported %q", mode, f.denied)
		}
		if a := f.call(t, session, "sts", "AssumeRole", append(other[:4:4], "ExternalId", "y")...); (a.Status == 200) != (mode != awshttp.Enforce) {
			t.Errorf("%s: with another external id: %+v", mode, a)
		}
		if a := f.call(t, rootKey, "sts", "AssumeRole", "RoleArn", roleARN+"2", "RoleSessionName", "me"); a.Code != "AccessDenied" || !strings.Contains(a.Message, "no such role") {
			t.Errorf("%s: a role that isn't there: %+v", mode, a)
		}
	}
}

func TestAssumeRoleErrors(t *testing.T) {
	f := newFixture(t, awshttp.Enforce, newBucket())
	f.createRole(t)
	for _, c := range []struct {
		key    sigv4.Credentials
		params []string
		text   string
	}{
		{rootKey, []string{"RoleSessionName", "me"}, "'roleArn'"},
		{rootKey, []string{"RoleArn", roleARN}, "'roleSessionName'"},
		{rootKey, []string{"RoleArn", roleARN, "RoleSessionName", "x"}, "greater than or equal to 2"},
		{rootKey, []string{"RoleArn", roleARN, "RoleSessionName", "a b"}, "roleSessionName"},
		{rootKey, []string{"RoleArn", roleARN, "RoleSessionName", "me", "DurationSeconds", "899"}, "900"},
		{rootKey, []string{"RoleArn", roleARN, "RoleSessionName", "me", "DurationSeconds", "43201"}, "43200"},
		{rootKey, []string{"RoleArn", roleARN, "RoleSessionName", "me", "DurationSeconds", "99999999999999999999"}, "43200"},
		{rootKey, []string{"RoleArn", roleARN, "RoleSessionName", "me", "DurationSeconds", "3601"}, "MaxSessionDuration"},
		{rootKey, []string{"RoleArn", roleARN, "RoleSessionName", "me", "Policy", pushAll}, "no Policy"},
		{rootKey, []string{"RoleArn", roleARN, "RoleSessionName", "me", "PolicyArns.member.1.arn", "x"}, "no PolicyArns"},
	} {
		if a := f.call(t, c.key, "sts", "AssumeRole", c.params...); a.Status != 400 || a.Code != "ValidationError" || !strings.Contains(a.Message, c.text) {
			t.Errorf("%v: %d %s: %s; want %q", c.params, a.Status, a.Code, a.Message, c.text)
		}
	}
	if a := f.call(t, rootKey, "sts", "GetSessionToken"); a.Code != "InvalidAction" || !strings.Contains(a.Message, "GetSessionToken") {
		t.Errorf("GetSessionToken: %+v", a)
	}
}

func TestSessionsEnd(t *testing.T) {
	f := newFixture(t, awshttp.Enforce, newBucket())
	f.createRole(t)
	short, long := f.assume(t, "DurationSeconds", "900"), f.assume(t, "DurationSeconds", "43200")
	body := f.must(t, long, "sts", "GetCallerIdentity")
	if !strings.Contains(body, "<Arn>arn:aws:sts::000000000000:assumed-role/chat/run</Arn>") || !strings.Contains(body, ":run</UserId>") || !strings.Contains(body, "<Account>000000000000<") {
		t.Errorf("GetCallerIdentity: %s", body)
	}
	if body := f.must(t, rootKey, "sts", "GetCallerIdentity"); !strings.Contains(body, "<Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId>") {
		t.Errorf("GetCallerIdentity of the root: %s", body)
	}
	stolen := long
	stolen.SessionToken = ""
	if a := f.call(t, stolen, "sts", "GetCallerIdentity"); a.Status != 403 || a.Code == "" {
		t.Errorf("a session's key without its token: %+v", a)
	}
	f.clock.Advance(16 * time.Minute)
	if _, ok := f.Lookup(short.AccessKeyID); ok {
		t.Error("the session is known after its end")
	}
	if _, ok := f.Lookup(long.AccessKeyID); !ok {
		t.Error("the longer session is gone too early")
	}

	// Expired sessions are swept as new ones open.
	for range 200 {
		f.assume(t, "DurationSeconds", "900")
		f.clock.Advance(time.Minute)
	}
	if n := len(f.sessions); n > 70 {
		t.Errorf("%d sessions are kept although about 16 live", n)
	}
}

// TestSessionBound fills the table of sessions.
func TestSessionBound(t *testing.T) {
	f := newFixture(t, awshttp.Enforce, newBucket())
	f.createRole(t)
	state, role, err := f.role("chat")
	if err != nil {
		t.Fatal(err)
	}
	for range maxSessions {
		if _, err := f.openSession(state, role.ARN, role.ID, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.openSession(state, role.ARN, role.ID, time.Hour); err == nil || !strings.Contains(err.Error(), "LimitExceeded") {
		t.Errorf("one session too many: %v", err)
	}
	f.clock.Advance(time.Hour)
	if _, err := f.openSession(state, role.ARN, role.ID, time.Hour); err != nil || len(f.sessions) != 1 {
		t.Errorf("after they expired: %v, %d sessions", err, len(f.sessions))
	}
}

// TestManaged parses every managed policy and looks at a few.
func TestManaged(t *testing.T) {
	for name, p := range managedPolicies {
		if _, err := parseIdentityPolicy(name, p.document()); err != nil {
			t.Error(err)
		}
		if d, ok := managed(managedPrefix + p.path + name); !ok || d.Name != name {
			t.Errorf("%s is not found under its ARN", name)
		}
	}
	for _, c := range []struct {
		name, action, resource string
		want                   iampolicy.Decision
	}{
		{"service-role/AWSLambdaBasicExecutionRole", "logs:PutLogEvents", "arn:aws:logs:us-east-1:0:log-group:x:*", iampolicy.Allow},
		{"service-role/AWSLambdaBasicExecutionRole", "dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:000000000000:table/t", iampolicy.ImplicitDeny},
		{"AmazonDynamoDBFullAccess", "dynamodb:DeleteTable", "arn:aws:dynamodb:us-east-1:000000000000:table/t", iampolicy.Allow},
		{"AmazonDynamoDBReadOnlyAccess", "dynamodb:Scan", "arn:aws:dynamodb:us-east-1:000000000000:table/t", iampolicy.Allow},
		{"AmazonDynamoDBReadOnlyAccess", "dynamodb:PutItem", "arn:aws:dynamodb:us-east-1:000000000000:table/t", iampolicy.ImplicitDeny},
		{"AmazonAPIGatewayInvokeFullAccess", "execute-api:ManageConnections", "arn:aws:execute-api:us-east-1:000000000000:abc/prod/POST/@connections/x=", iampolicy.Allow},
		{"AmazonAPIGatewayAdministrator", "apigateway:POST", "arn:aws:apigateway:us-east-1::/apis", iampolicy.Allow},
		{"AmazonAPIGatewayAdministrator", "execute-api:ManageConnections", "arn:aws:execute-api:us-east-1:000000000000:abc/prod/POST/@connections/x=", iampolicy.ImplicitDeny},
		{"PowerUserAccess", "dynamodb:PutItem", "*", iampolicy.Allow},
		{"PowerUserAccess", "iam:CreateRole", "*", iampolicy.ImplicitDeny},
		{"AdministratorAccess", "iam:CreateRole", "*", iampolicy.Allow},
		{"ReadOnlyAccess", "lambda:GetFunction", "*", iampolicy.Allow},
		{"ReadOnlyAccess", "lambda:InvokeFunction", "*", iampolicy.ImplicitDeny},
		{"AWSLambdaExecute", "s3:PutObject", "arn:aws:s3:::b/k", iampolicy.Allow},
		{"service-role/AWSLambdaRole", "lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:f", iampolicy.Allow},
	} {
		d, ok := managed("arn:aws:iam::aws:policy/" + c.name)
		if !ok {
			t.Errorf("no %s", c.name)
			continue
		}
		if got := iampolicy.Evaluate(&iampolicy.Request{Action: c.action, Resource: c.resource}, iampolicy.Source{Documents: []*iampolicy.Document{d}}); got.Decision != c.want {
			t.Errorf("%s %s: %v", c.name, c.action, got.Decision)
		}
	}
}

// TestSecretsDontPrint formats a session in every usual way.
func TestSecretsDontPrint(t *testing.T) {
	s := Session{AccessKeyID: "ASIAX", SecretAccessKey: "hunter2", SessionToken: "hunter3", ARN: "arn"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, s); strings.Contains(text, "hunter") {
			t.Errorf("%s: %s", verb, text)
		}
	}
}

// TestConcurrent looks identities up while the role changes; the race detector
// watches.
func TestConcurrent(t *testing.T) {
	f := newFixture(t, awshttp.Enforce, newBucket())
	f.createRole(t)
	session := f.assume(t)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f.may(t, session)
				}
			}
		})
	}
	for i := range 20 {
		f.must(t, rootKey, "iam", "PutRolePolicy", "RoleName", "chat", "PolicyName", fmt.Sprint("p", i), "PolicyDocument", pushAll)
	}
	close(stop)
	wg.Wait()
}

func BenchmarkLookup(b *testing.B) {
	f := newFixture(b, awshttp.Enforce, newBucket())
	f.createRole(b)
	f.must(b, rootKey, "iam", "PutRolePolicy", "RoleName", "chat", "PolicyName", "push", "PolicyDocument", pushAll)
	session := f.assume(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := f.Lookup(session.AccessKeyID); !ok {
				b.Fail()
			}
		}
	})
}
