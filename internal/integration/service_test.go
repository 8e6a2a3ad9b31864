package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/event"
	"tidegate/sigv4"
)

const testRole = "arn:aws:iam::000000000000:role/caller"

// stsAnswer is STS's answer with keys of a role.
const stsAnswer = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIA%d</AccessKeyId><SecretAccessKey>role's</SecretAccessKey><SessionToken>token</SessionToken></Credentials></AssumeRoleResult></AssumeRoleResponse>`

// newRoles returns roles whose STS is the handler, or one that gives every role.
func newRoles(t testing.TB, c RolesConfig, h http.HandlerFunc) (*Roles, *atomic.Int64) {
	t.Helper()
	asked := &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		if h != nil {
			h(w, r)
			return
		}
		fmt.Fprintf(w, stsAnswer, n)
	}))
	t.Cleanup(server.Close)
	c.Endpoint, c.Client, c.Region, c.Account, c.Credentials = server.URL, server.Client(), testRegion, testAccount, testKeys
	return NewRoles(c), asked
}

func TestParseServiceURI(t *testing.T) {
	vars := map[string]string{"service": "states", "empty": ""}
	for uri, want := range map[string]string{
		"arn:aws:apigateway:eu-west-1:dynamodb:action/PutItem":                   "dynamodb:action/PutItem at dynamodb.eu-west-1.amazonaws.com as dynamodb",
		"arn:aws:apigateway:eu-west-1:${stageVariables.service}:action/X":        "states:action/X at states.eu-west-1.amazonaws.com as states",
		"arn:aws:apigateway:us-east-1:sqs:path/000000000000/queue.fifo":          "sqs:path/000000000000/queue.fifo at sqs.us-east-1.amazonaws.com as sqs",
		"arn:aws:apigateway:us-east-1:sns:path//":                                "sns:path/ at sns.us-east-1.amazonaws.com as sns",
		"arn:aws:apigateway:us-east-1:s3:path/{bucket}/{key+}":                   "s3:path/{bucket}/{key+} at s3.us-east-1.amazonaws.com as s3",
		"arn:aws:apigateway:us-east-1:iam:action/ListRoles":                      "iam:action/ListRoles at iam.amazonaws.com as iam",
		"arn:aws:apigateway:us-east-1:cloudwatch:action/PutMetricData":           "cloudwatch:action/PutMetricData at cloudwatch.us-east-1.amazonaws.com as monitoring",
		"arn:aws:apigateway:us-east-1:runtime.sagemaker:path/endpoints/x":        "runtime.sagemaker:path/endpoints/x at runtime.sagemaker.us-east-1.amazonaws.com as sagemaker",
		"arn:aws:apigateway:us-east-1:abc.execute-api:path/dev/@connections/{i}": "abc.execute-api:path/dev/@connections/{i} at abc.execute-api.us-east-1.amazonaws.com as execute-api",
		"arn:aws-cn:apigateway:cn-north-1:sqs:action/SendMessage":                "sqs:action/SendMessage at sqs.cn-north-1.amazonaws.com.cn as sqs",

		"dynamodb:action/PutItem":                                                  "error: names neither a Lambda function nor",
		"arn:aws:apigateway:us-east-1:dynamodb:PutItem":                            "error: names neither a Lambda function nor",
		"arn:aws:apigateway:us-east-1:${stageVariables.empty}:action/X":            "error: names neither a Lambda function nor",
		"arn:aws:apigateway:us-east-1:.sqs:action/X":                               "error: names no service",
		"arn:aws:apigateway:us-east-1:s3:action/GetObject":                         "error: knows no actions of the service s3; name the path",
		"arn:aws:apigateway:us-east-1:sqs:action/Send Message":                     "error: names no action",
		"arn:aws:apigateway:us-east-1:sqs:action/X&Y=1":                            "error: names no action",
		"arn:aws:apigateway:us-east-1:sqs:path/a#b":                                "error: fragment",
		"arn:aws:apigateway:us-east-1:sqs:path/${context.x}":                       "error: variable other than",
		"arn:aws:apigateway:us-east-1:sqs:path/" + strings.Repeat("x", maxHTTPURI): "error: at most",
	} {
		u, err := ParseServiceURI(uri, vars)
		if wrong, bad := strings.CutPrefix(want, "error: "); bad {
			if err == nil || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%.80s: %v, want an error with %q", uri, err, wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if got := fmt.Sprintf("%s at %s as %s", u, u.Host(), u.Signing); got != want {
			t.Errorf("%s is %s, want %s", uri, got, want)
		}
	}
}

// TestServiceRequests checks what goes to a service, by its protocol.
func TestServiceRequests(t *testing.T) {
	form := event.Parameter{Location: event.InHeader, Name: "Content-Type", Value: "application/x-www-form-urlencoded"}
	query := func(name, value string) event.Parameter {
		return event.Parameter{Location: event.InQuery, Name: name, Value: value}
	}
	for _, c := range []struct {
		name, to, method, payload string
		parameters                []event.Parameter
		uri, target, contentType  string
		body                      string
	}{
		{"JSON 1.0", "dynamodb:action/PutItem", "POST", `{"TableName":"t"}`, nil, "/", "DynamoDB_20120810.PutItem", "application/x-amz-json-1.0", `{"TableName":"t"}`},
		{"JSON 1.1", "events:action/PutEvents", "POST", `{}`, nil, "/", "AWSEvents.PutEvents", "application/x-amz-json-1.1", `{}`},
		{"JSON without a body", "logs:action/DescribeLogGroups", "POST", ``, nil, "/", "Logs_20140328.DescribeLogGroups", "application/x-amz-json-1.1", `{}`},
		{"a mapped target", "dynamodb:action/PutItem", "POST", `{}`, []event.Parameter{{Location: event.InHeader, Name: "X-Amz-Target", Value: "DynamoDB_20120810.GetItem"}}, "/", "DynamoDB_20120810.GetItem", "application/x-amz-json-1.0", `{}`},
		{"a form with its action", "sns:action/Publish", "POST", "Action=Publish&Version=2010-03-31&Message=a%26b", []event.Parameter{form}, "/", "", "application/x-www-form-urlencoded", "Action=Publish&Version=2010-03-31&Message=a%26b"},
		{"a form without", "sns:action/Publish", "POST", "Message=x", []event.Parameter{form}, "/?Action=Publish&Version=2010-03-31", "", "application/x-www-form-urlencoded", "Message=x"},
		{"a query", "sqs:action/SendMessage", "GET", "", []event.Parameter{query("MessageBody", "a&b=c"), query("QueueUrl", "http://q/x")}, "/?Action=SendMessage&Version=2012-11-05&MessageBody=a%26b%3Dc&QueueUrl=http%3A%2F%2Fq%2Fx", "", "", ""},
		{"a path", "sqs:path/000000000000/q", "POST", "Action=SendMessage", []event.Parameter{form}, "/000000000000/q", "", "application/x-www-form-urlencoded", "Action=SendMessage"},
		{"path parameters", "s3:path/{bucket}/{key+}", "PUT", `{"a":1}`, []event.Parameter{{Location: event.InPath, Name: "bucket", Value: "b c"}, {Location: event.InPath, Name: "key", Value: "x/y"}}, "/b%20c/x/y", "", "application/json", `{"a":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var verified error
			server, last := newBackend(t, nil)
			check := server.Config.Handler
			server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				a, err := sigv4.Parse(r)
				if err == nil {
					err = a.Verify(r, body, "role's", time.Now())
				}
				if err == nil && (a.AccessKeyID != "ASIA1" || a.SessionToken != "token") {
					err = fmt.Errorf("signed by %s %s", a.AccessKeyID, a.SessionToken)
				}
				verified = err
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				check.ServeHTTP(w, r)
			})
			u, err := ParseServiceURI("arn:aws:apigateway:us-east-1:"+c.to, nil)
			if err != nil {
				t.Fatal(err)
			}
			roles, _ := newRoles(t, RolesConfig{}, nil)
			s, err := NewService(ServiceConfig{Endpoint: server.URL + "/", Transport: http.DefaultTransport, Account: testAccount, Region: testRegion, Roles: roles, Role: testRole}, c.method, u)
			if err != nil {
				t.Fatal(err)
			}
			r := message(c.payload)
			r.Parameters = c.parameters
			if _, err := s.Invoke(t.Context(), r); err != nil || verified != nil {
				t.Fatal(err, verified)
			}
			saw := last()
			got := []string{saw.Method, saw.URI, saw.Header.Get("X-Amz-Target"), saw.Header.Get("Content-Type"), saw.Body, saw.Header.Get("Accept")}
			if diff := cmp.Diff([]string{c.method, c.uri, c.target, c.contentType, c.body, "application/json"}, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// TestServiceErrors checks that an answer is a response whatever its status, and
// that the log learns why.
func TestServiceErrors(t *testing.T) {
	for body, want := range map[string]string{
		`{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no table"}`:                   "sns answered 400 ResourceNotFoundException: no table",
		`{"Error":{"Code":"NotFound","Message":"no topic"},"RequestId":"x"}`:                                             "sns answered 400 NotFound: no topic",
		`<ErrorResponse><Error><Code>NotFound</Code><Message>no topic</Message></Error></ErrorResponse>`:                 "sns answered 400 NotFound: no topic",
		`<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`: "sns answered 400 NoSuchKey: The specified key does not exist.",
		`gone`: "sns answered 400: gone",
	} {
		server, _ := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400); io.WriteString(w, body) })
		u, _ := ParseServiceURI("arn:aws:apigateway:us-east-1:sns:action/Publish", nil)
		roles, _ := newRoles(t, RolesConfig{}, nil)
		s, err := NewService(ServiceConfig{Endpoint: server.URL, Transport: http.DefaultTransport, Roles: roles, Role: testRole}, "POST", u)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Invoke(t.Context(), message("x"))
		if err != nil || got.Status != 400 || string(got.Body) != body || got.Detail != want {
			t.Errorf("%s: %+v, %v; want %s", body, got, err, want)
		}
		host := message("x")
		host.Parameters = []event.Parameter{{Location: event.InHeader, Name: "host", Value: "iam.amazonaws.com"}}
		_, err = s.Invoke(t.Context(), host)
		checkError(t, err, ErrRefused, "Host")
	}
	u, _ := ParseServiceURI("arn:aws:apigateway:us-east-1:sns:action/Publish", nil)
	if _, err := NewService(ServiceConfig{}, "POST", u); err == nil || !strings.Contains(err.Error(), "credentialsArn") {
		t.Errorf("without a role: %v", err)
	}
	if _, err := NewService(ServiceConfig{Role: testRole}, "", u); err == nil || !strings.Contains(err.Error(), "method") {
		t.Errorf("without a method: %v", err)
	}
	_, err := NewMissing("there is no sns").Invoke(t.Context(), message("x"))
	checkError(t, err, ErrUnreachable, "there is no sns")
}

// TestRoles checks that keys are asked for once, renewed before they expire, and
// that a role which isn't given is said.
func TestRoles(t *testing.T) {
	now := time.Now()
	roles, asked := newRoles(t, RolesConfig{Now: func() time.Time { return now }}, nil)
	key := func(role, source string) string {
		t.Helper()
		k, err := roles.Keys(t.Context(), role, source)
		if err != nil || k.SecretAccessKey != "role's" || k.SessionToken != "token" {
			t.Fatalf("%+v %v", k, err)
		}
		return k.AccessKeyID
	}
	if key("a", "x") != "ASIA1" || key("a", "x") != "ASIA1" || key("b", "x") != "ASIA2" || key("a", "y") != "ASIA3" {
		t.Errorf("%d were asked for", asked.Load())
	}
	now = now.Add(sessionLife - sessionMargin - time.Second)
	if key("a", "x") != "ASIA1" {
		t.Error("renewed too early")
	}
	now = now.Add(2 * time.Second)
	if key("a", "x") != "ASIA4" {
		t.Error("not renewed before the keys expire")
	}
	for i := range maxSessions + 5 {
		key("many", fmt.Sprint(i))
	}
	if len(roles.held) > maxSessions {
		t.Errorf("%d are held", len(roles.held))
	}

	refuse := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403)
		fmt.Fprintf(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you, %s</Message></Error></ErrorResponse>`, r.Header.Get("X-Amz-Source-Arn"))
	}
	roles, _ = newRoles(t, RolesConfig{}, refuse)
	_, err := roles.Keys(t.Context(), testRole, "arn:source")
	checkError(t, err, ErrRefused, "not you, arn:source (its trust policy must allow sts:AssumeRole to apigateway.amazonaws.com)")
	var told []string
	roles, asked = newRoles(t, RolesConfig{Unassumable: func(role, why string) bool { told = append(told, role+" "+why); return true }}, refuse)
	for range 3 {
		if k, err := roles.Keys(t.Context(), testRole, "arn:source"); err != nil || k != testKeys {
			t.Errorf("%+v %v", k, err)
		}
	}
	if len(told) != 1 || asked.Load() != 1 || !strings.Contains(told[0], "403 AccessDenied: not you") {
		t.Errorf("told %q after %d questions", told, asked.Load())
	}

	roles, _ = newRoles(t, RolesConfig{}, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<x/>") })
	_, err = roles.Keys(t.Context(), testRole, "s")
	checkError(t, err, ErrMalformed, "holds no credentials")
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = roles.Keys(done, testRole, "s"); err == nil {
		t.Error("a call that is over got keys")
	}
}

func TestCustomLambda(t *testing.T) {
	var got seen
	var header http.Header
	var answer func(http.ResponseWriter)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got, header = seen{Body: string(body)}, r.Header
		answer(w)
	}))
	defer server.Close()
	roles, _ := newRoles(t, RolesConfig{}, nil)
	c := LambdaConfig{Endpoint: server.URL, Client: server.Client(), Region: testRegion, Account: testAccount, Credentials: testKeys}
	own := NewCustomLambda(c, testFunction)
	c.Roles, c.Role = roles, testRole
	byRole := NewCustomLambda(c, testFunction)

	answer = func(w http.ResponseWriter) { io.WriteString(w, `{"any":["shape"]}`) }
	resp, err := own.Invoke(t.Context(), message(`{"x":1}`))
	if err != nil || resp.Status != 200 || string(resp.Body) != `{"any":["shape"]}` || resp.Failed != nil || got.Body != `{"x":1}` || !strings.Contains(header.Get("Authorization"), "AKIATEST") {
		t.Errorf("%+v %v, sent %+v", resp, err, got)
	}
	if _, err := byRole.Invoke(t.Context(), message("")); err != nil || got.Body != "{}" || !strings.Contains(header.Get("Authorization"), "ASIA1") || header.Get("X-Amz-Security-Token") != "token" {
		t.Errorf("%v, sent %+v %v", err, got, header)
	}

	answer = func(w http.ResponseWriter) {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		io.WriteString(w, `{"errorType":"Error","errorMessage":"[BadRequest] no name"}`)
	}
	resp, err = own.Invoke(t.Context(), message(`{}`))
	if err != nil || resp.Status != 200 || !strings.Contains(string(resp.Body), "[BadRequest]") || resp.Detail == "" {
		t.Fatalf("%+v %v", resp, err)
	}
	checkError(t, resp.Failed, ErrFunction, "Error: [BadRequest] no name")

	answer = func(w http.ResponseWriter) { w.WriteHeader(202) }
	async := message(`{}`)
	async.Parameters = []event.Parameter{
		{Location: event.InHeader, Name: "X-Amz-Invocation-Type", Value: "Event"},
		{Location: event.InHeader, Name: "X-Amz-Source-Arn", Value: "arn:of:another"},
	}
	resp, err = own.Invoke(t.Context(), async)
	if err != nil || resp.Status != 202 || header.Get("X-Amz-Invocation-Type") != "Event" || len(header["X-Amz-Source-Arn"]) != 1 || header.Get("X-Amz-Source-Arn") == "arn:of:another" {
		t.Errorf("%+v %v, sent %v", resp, err, header)
	}

	answer = func(w http.ResponseWriter) { w.WriteHeader(403); io.WriteString(w, `{"Message":"no permission"}`) }
	_, err = own.Invoke(t.Context(), message(`{}`))
	checkError(t, err, ErrRefused, "no permission")
}
