package iampolicy

import (
	"fmt"
	"strings"
	"testing"
)

const (
	account = "000000000000"
	session = "arn:aws:sts::000000000000:assumed-role/chat/run"
	role    = "arn:aws:iam::000000000000:role/service-role/chat"
	pushARN = "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/prod/POST/@connections/e_d2EewNLPECIGw="
)

// statement is a document of one statement.
func statement(t testing.TB, name, body string) *Document {
	t.Helper()
	return mustParse(t, name, `{"Version":"2012-10-17","Statement":[{`+body+`}]}`)
}

func TestEvaluate(t *testing.T) {
	push := &Request{Principal: session, Action: "execute-api:ManageConnections", Resource: pushARN, Context: map[string][]string{"aws:principalarn": {session}}}
	allowAll := `"Sid":"All","Effect":"Allow","Action":"*","Resource":"*"`
	for _, c := range []struct {
		name     string
		identity []string // statements, each a document i0, i1, …
		resource []string // r0, …
		want     Result
	}{
		{"nothing", nil, nil, Result{}},
		{"allow all", []string{allowAll}, nil, Result{Allow, "i0", "All", false}},
		{"first allow is named", []string{`"Effect":"Allow","Action":"s3:*","Resource":"*"`, allowAll, allowAll}, nil, Result{Allow, "i1", "All", false}},
		{"deny wins after allow", []string{allowAll, `"Effect":"Deny","Action":"execute-api:*","Resource":"*"`}, nil, Result{ExplicitDeny, "i1", "0", false}},
		{"deny wins before allow", []string{`"Effect":"Deny","Action":"execute-api:*","Resource":"*"`, allowAll}, nil, Result{ExplicitDeny, "i0", "0", false}},
		{"deny in the resource's policy", []string{allowAll}, []string{`"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"`}, Result{ExplicitDeny, "r0", "0", false}},
		{"deny of the account", []string{allowAll}, []string{`"Effect":"Deny","Principal":{"AWS":"000000000000"},"Action":"*","Resource":"*"`}, Result{ExplicitDeny, "r0", "0", false}},
		{"action in another case", []string{`"Effect":"Allow","Action":"Execute-API:manageconnections","Resource":"*"`}, nil, Result{Allow, "i0", "0", false}},
		{"other action", []string{`"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"`}, nil, Result{}},
		{"NotAction", []string{`"Effect":"Allow","NotAction":["iam:*","sts:*"],"Resource":"*"`}, nil, Result{Allow, "i0", "0", false}},
		{"NotAction that names it", []string{`"Effect":"Allow","NotAction":["execute-api:*"],"Resource":"*"`}, nil, Result{}},
		{"NotResource", []string{`"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::*"`}, nil, Result{Allow, "i0", "0", false}},
		{"NotResource that names it", []string{`"Effect":"Allow","Action":"*","NotResource":"arn:aws:execute-api:*"`}, nil, Result{}},
		{"whole API", []string{`"Effect":"Allow","Action":"execute-api:ManageConnections","Resource":"arn:aws:execute-api:us-east-1:000000000000:abcdef1234/*"`}, nil, Result{Allow, "i0", "0", false}},
		{"stage and method", []string{`"Effect":"Allow","Action":"execute-api:ManageConnections","Resource":"arn:aws:execute-api:us-east-1:000000000000:abcdef1234/prod/POST/@connections/*"`}, nil, Result{Allow, "i0", "0", false}},
		{"other method", []string{`"Effect":"Allow","Action":"execute-api:ManageConnections","Resource":"arn:aws:execute-api:us-east-1:000000000000:abcdef1234/prod/DELETE/@connections/*"`}, nil, Result{}},
		{"any API", []string{`"Effect":"Allow","Action":"execute-api:*","Resource":"arn:aws:execute-api:*:*:*/@connections/*"`}, nil, Result{Allow, "i0", "0", false}},
		{"identity policy with a principal that isn't it", []string{`"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"*","Resource":"*"`}, nil, Result{}},

		{"resource policy for everyone", nil, []string{`"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"`}, Result{Allow, "r0", "0", false}},
		{"resource policy without principal", nil, []string{allowAll}, Result{}},
		{"the session itself", nil, []string{`"Effect":"Allow","Principal":{"AWS":"` + session + `"},"Action":"*","Resource":"*"`}, Result{Allow, "r0", "0", false}},
		{"the session's role", nil, []string{`"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111111111111:root","` + role + `"]},"Action":"*","Resource":"*"`}, Result{Allow, "r0", "0", false}},
		{"a role of that name elsewhere", nil, []string{`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:role/chat"},"Action":"*","Resource":"*"`}, Result{}},
		{"a role whose name begins so", nil, []string{`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:role/chat2"},"Action":"*","Resource":"*"`}, Result{}},
		{"the account delegates", nil, []string{`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"*","Resource":"*"`}, Result{ImplicitDeny, "", "", true}},
		{"the account delegates and the role may", []string{allowAll}, []string{`"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"*","Resource":"*"`}, Result{Allow, "i0", "All", false}},
		{"a service is not the role", nil, []string{`"Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"*","Resource":"*"`}, Result{}},
		{"NotPrincipal of others", nil, []string{`"Effect":"Deny","NotPrincipal":{"AWS":"111111111111"},"Action":"*","Resource":"*"`}, Result{ExplicitDeny, "r0", "0", false}},
		{"NotPrincipal of its role", []string{allowAll}, []string{`"Effect":"Deny","NotPrincipal":{"AWS":"` + role + `"},"Action":"*","Resource":"*"`}, Result{Allow, "i0", "All", false}},
	} {
		var sources [2]Source
		sources[1].Resource = true
		for i, s := range c.identity {
			sources[0].Documents = append(sources[0].Documents, statement(t, fmt.Sprint("i", i), s))
		}
		for i, s := range c.resource {
			sources[1].Documents = append(sources[1].Documents, statement(t, fmt.Sprint("r", i), s))
		}
		if got := Evaluate(push, sources[:]...); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestServicePrincipal is Lambda's resource policy as AddPermission writes it.
func TestServicePrincipal(t *testing.T) {
	fn := "arn:aws:lambda:us-east-1:000000000000:function:f"
	policy := statement(t, "p", `"Sid":"ws","Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"`+fn+`",
		"Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:execute-api:us-east-1:000000000000:abc/*/sendmessage"},"StringEquals":{"AWS:SourceAccount":"000000000000"}}`)
	for _, c := range []struct {
		principal, source, sourceAccount string
		want                             Decision
	}{
		{"apigateway.amazonaws.com", "arn:aws:execute-api:us-east-1:000000000000:abc/prod/sendmessage", account, Allow},
		{"apigateway.amazonaws.com", "arn:aws:execute-api:us-east-1:000000000000:abc/prod/$default", account, ImplicitDeny},
		{"apigateway.amazonaws.com", "arn:aws:execute-api:us-east-1:000000000000:abc/prod/sendmessage", "111111111111", ImplicitDeny},
		{"apigateway.amazonaws.com", "", account, ImplicitDeny},
		{"events.amazonaws.com", "arn:aws:execute-api:us-east-1:000000000000:abc/prod/sendmessage", account, ImplicitDeny},
	} {
		context := map[string][]string{"aws:sourceaccount": {c.sourceAccount}}
		if c.source != "" {
			context["aws:sourcearn"] = []string{c.source}
		}
		r := &Request{Principal: c.principal, Action: "lambda:InvokeFunction", Resource: fn, Context: context}
		if got := Evaluate(r, Source{}, Source{Documents: []*Document{policy}, Resource: true}); got.Decision != c.want {
			t.Errorf("%+v: %v", c, got.Decision)
		}
	}
}

func TestConditions(t *testing.T) {
	context := map[string][]string{
		"aws:principalarn":    {session},
		"aws:username":        {"ann"},
		"aws:currenttime":     {"2026-03-01T10:00:00Z"},
		"aws:epochtime":       {"1772359200"},
		"aws:sourceip":        {"203.0.113.7"},
		"aws:securetransport": {"true"},
		"aws:star":            {"*"},
		"aws:tagkeys":         {"a", "b"},
		"x:number":            {"10.5"},
		"x:blob":              {"QmluYXJ5"},
		"x:arn":               {"arn:aws:sns:eu-west-1:000000000000:topic:sub"},
		"x:path":              {"home/ann/doc"},
		"x:ipv6":              {"2001:db8::7"},
		"x:literal":           {"a*b"},
	}
	for cond, want := range map[string]bool{
		`"StringEquals":{"aws:username":"ann"}`:                                            true,
		`"StringEquals":{"AWS:UserName":["bob","ann"]}`:                                    true,
		`"StringEquals":{"aws:username":"Ann"}`:                                            false,
		`"StringEquals":{"aws:username":"a*"}`:                                             false,
		`"StringEquals":{"aws:username":[]}`:                                               false,
		`"StringEqualsIgnoreCase":{"aws:username":"ANN"}`:                                  true,
		`"StringNotEquals":{"aws:username":["bob","ann"]}`:                                 false,
		`"StringNotEquals":{"aws:username":["bob","eve"]}`:                                 true,
		`"StringNotEqualsIgnoreCase":{"aws:username":"ANN"}`:                               false,
		`"StringLike":{"aws:username":["b*","a?n"]}`:                                       true,
		`"StringLike":{"aws:username":"a?"}`:                                               false,
		`"StringNotLike":{"aws:username":"a*"}`:                                            false,
		`"StringLike":{"x:path":"home/${aws:username}/*"}`:                                 true,
		`"StringLike":{"x:path":"home/${aws:userid}/*"}`:                                   false,
		`"StringLike":{"x:path":"home/${aws:userid, 'ann'}/*"}`:                            true,
		`"StringLike":{"x:path":"home/${aws:star}/*"}`:                                     false, // a variable's value is no wildcard
		`"StringLike":{"x:path":"home/${aws:TagKeys}/*"}`:                                  false, // nor may it have two
		`"StringEquals":{"x:literal":"a${*}b"}`:                                            true,
		`"StringLike":{"x:literal":"a${*}b"}`:                                              true,
		`"StringLike":{"aws:username":"a${*}"}`:                                            false,
		`"StringEquals":{"x:missing":"a"}`:                                                 false,
		`"StringNotEquals":{"x:missing":"a"}`:                                              true,
		`"StringEqualsIfExists":{"x:missing":"a"}`:                                         true,
		`"StringEqualsIfExists":{"aws:username":"a"}`:                                      false,
		`"Null":{"x:missing":"true"}`:                                                      true,
		`"Null":{"x:missing":false}`:                                                       false,
		`"Null":{"aws:username":"false"}`:                                                  true,
		`"NumericEquals":{"x:number":10.5}`:                                                true,
		`"NumericEquals":{"x:number":"10.50"}`:                                             true,
		`"NumericNotEquals":{"x:number":"10.5"}`:                                           false,
		`"NumericLessThan":{"x:number":"10.5"}`:                                            false,
		`"NumericLessThanEquals":{"x:number":"10.5"}`:                                      true,
		`"NumericGreaterThan":{"x:number":"10"}`:                                           true,
		`"NumericGreaterThanEquals":{"x:number":"11"}`:                                     false,
		`"NumericEquals":{"aws:username":"1"}`:                                             false,
		`"DateLessThan":{"aws:CurrentTime":"2026-03-02"}`:                                  true,
		`"DateGreaterThan":{"aws:CurrentTime":"2026-03-01T10:00:00Z"}`:                     false,
		`"DateEquals":{"aws:CurrentTime":"2026-03-01T11:00:00+01:00"}`:                     true,
		`"DateNotEquals":{"aws:CurrentTime":"2026-03-01T10:00:00Z"}`:                       false,
		`"DateGreaterThanEquals":{"aws:EpochTime":"2026"}`:                                 true,
		`"DateLessThanEquals":{"aws:EpochTime":1772359200}`:                                true,
		`"Bool":{"aws:SecureTransport":true}`:                                              true,
		`"Bool":{"aws:SecureTransport":"False"}`:                                           false,
		`"IpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.0/24"]}`:                     true,
		`"IpAddress":{"aws:SourceIp":"203.0.113.8"}`:                                       false,
		`"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`:                                 false,
		`"IpAddress":{"x:ipv6":"2001:db8::/32"}`:                                           true,
		`"ArnEquals":{"x:arn":"arn:aws:sns:*:000000000000:topic*"}`:                        true,
		`"ArnLike":{"x:arn":"arn:aws:sns:*:topic:sub"}`:                                    false, // parts match one by one
		`"ArnLike":{"x:arn":"arn:aws:sns:*"}`:                                              true,
		`"ArnNotLike":{"x:arn":"arn:aws:sqs:*"}`:                                           true,
		`"ArnLike":{"aws:PrincipalArn":"arn:aws:sts::*:assumed-role/*"}`:                   true,
		`"ArnEquals":{"aws:PrincipalArn":"${aws:PrincipalArn}"}`:                           true,
		`"ArnEquals":{"x:arn":"${aws:PrincipalArn}"}`:                                      false,
		`"BinaryEquals":{"x:blob":"QmluYXJ5"}`:                                             true,
		`"BinaryEquals":{"x:blob":"QmluYXJ6"}`:                                             false,
		`"ForAnyValue:StringEquals":{"aws:TagKeys":["b","c"]}`:                             true,
		`"ForAnyValue:StringEquals":{"aws:TagKeys":["c"]}`:                                 false,
		`"ForAnyValue:StringEquals":{"x:missing":["c"]}`:                                   false,
		`"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a"]}`:                              true,
		`"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}`:                        true,
		`"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}`:                                false,
		`"ForAllValues:StringEquals":{"x:missing":["a"]}`:                                  true,
		`"ForAllValues:StringNotEquals":{"aws:TagKeys":["c"]}`:                             true,
		`"ForAllValues:StringNotEquals":{"aws:TagKeys":["b"]}`:                             false,
		`"StringEquals":{"aws:username":"ann"},"Bool":{"aws:SecureTransport":"false"}`:     false, // all blocks
		`"StringEquals":{"aws:username":"ann","x:literal":"a*b"},"Bool":{"x:none":"true"}`: false,
	} {
		d := statement(t, "p", `"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+cond+`}`)
		got := Evaluate(&Request{Principal: session, Action: "a:b", Resource: "*", Context: context}, Source{Documents: []*Document{d}})
		if (got.Decision == Allow) != want {
			t.Errorf("%s: %v", cond, !want)
		}
	}
}

// TestVariablesByVersion: variables work from 2012-10-17 on only.
func TestVariablesByVersion(t *testing.T) {
	r := &Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/ann", Context: map[string][]string{"aws:username": {"ann"}}}
	for version, want := range map[string]Decision{`"Version":"2012-10-17",`: Allow, `"Version":"2008-10-17",`: ImplicitDeny, ``: ImplicitDeny} {
		d := mustParse(t, "p", `{`+version+`"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}"}}`)
		if got := Evaluate(r, Source{Documents: []*Document{d}}).Decision; got != want {
			t.Errorf("%s: %v", version, got)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{"*", "", true}, {"a*", "a", true}, {"a*", "b", false}, {"*a", "bca", true}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXc", false}, {"**", "x", true}, {"?", "", false}, {"", "", true}, {"abc", "abcd", false},
		{"arn:aws:s3:::b/*", "arn:aws:s3:::b/x:y/z", true},
		{"arn:aws:lambda:us-*-1:000000000000:function:f", "arn:aws:lambda:us-east-1:000000000000:function:f", true},
		{"arn:aws:lambda:us-*-1:000000000000:function:f", "arn:aws:lambda:us-x:y-1:000000000000:function:f", false}, // a '*' inside a part stays there
		{"arn:aws:logs:*:*:*", "arn:aws:logs:us-east-1:000000000000:log-group:/a:*", true},
		{"arn:aws:logs:*", "arn:aws:logs:us-east-1:000000000000:log-group:/a", true},
	} {
		p, err := newPattern(c.pattern, patternStyle{wild: true, arn: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.match(c.value, nil); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.value, got)
		}
	}
}

func BenchmarkEvaluatePush(b *testing.B) {
	crud := mustParse(b, "crud", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:DeleteItem","dynamodb:PutItem","dynamodb:Scan","dynamodb:Query","dynamodb:UpdateItem","dynamodb:BatchWriteItem","dynamodb:BatchGetItem","dynamodb:DescribeTable","dynamodb:ConditionCheckItem"],"Resource":["arn:aws:dynamodb:us-east-1:000000000000:table/t","arn:aws:dynamodb:us-east-1:000000000000:table/t/index/*"]}]}`)
	logs := mustParse(b, "logs", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}`)
	push := mustParse(b, "push", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["execute-api:ManageConnections"],"Resource":["arn:aws:execute-api:us-east-1:000000000000:abcdef1234/*"]}]}`)
	r := &Request{Principal: session, Action: "execute-api:ManageConnections", Resource: pushARN, Context: map[string][]string{"aws:principalarn": {session}}}
	source := Source{Documents: []*Document{logs, crud, push}}
	b.ReportAllocs()
	for b.Loop() {
		if Evaluate(r, source).Decision != Allow {
			b.Fatal("denied")
		}
	}
}

func BenchmarkEvaluateVariables(b *testing.B) {
	d := mustParse(b, "d", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:table/${aws:PrincipalAccount}-*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:sts::*:assumed-role/chat/*"}}}]}`)
	r := &Request{Principal: session, Action: "dynamodb:GetItem", Resource: "arn:aws:dynamodb:us-east-1:000000000000:table/000000000000-x", Context: map[string][]string{"aws:principalarn": {session}, "aws:principalaccount": {account}}}
	b.ReportAllocs()
	for b.Loop() {
		if Evaluate(r, Source{Documents: []*Document{d}}).Decision != Allow {
			b.Fatal("denied")
		}
	}
}

// BenchmarkHostileGlob is the worst that a pattern and a value can do together.
func BenchmarkHostileGlob(b *testing.B) {
	p, err := newPattern(strings.Repeat("*a", 500)+"*b", patternStyle{wild: true})
	if err != nil {
		b.Fatal(err)
	}
	value := strings.Repeat("a", 2000)
	for b.Loop() {
		if p.match(value, nil) {
			b.Fatal("matches")
		}
	}
}
