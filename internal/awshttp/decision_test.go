package awshttp

import (
	"fmt"
	"testing"

	"tidegate/internal/iampolicy"
	"tidegate/sigv4"
)

// TestDecisions: what policies allowed is remembered, changed policies are asked
// anew, and neither conditions nor a resource's own policy are passed by.
func TestDecisions(t *testing.T) {
	const resource = "arn:aws:thing:us-east-1:000000000000:x/1"
	allow := policy(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"thing:Read","Resource":"*"}]}`)
	deny := policy(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`)
	later := policy(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"thing:Read","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2999-01-01T00:00:00Z"}}}]}`)
	own := policy(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"thing:Read","Resource":"arn:aws:thing:us-east-1:000000000000:${aws:PrincipalAccount}"}]}`)
	denyAll := policy(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}`)

	g := &Gate{Mode: Enforce}
	call := func(documents ...*iampolicy.Document) *Call {
		return &Call{gate: g, Principal: Principal{Kind: Role, ARN: "role", Policies: documents}, secure: true, wire: new(sigv4.Request)}
	}
	c := call(allow)
	for range 2 {
		if d := c.Denied("thing:Read", resource); d != nil {
			t.Fatal(d)
		}
	}
	if len(g.decisions.allowed) != 1 {
		t.Errorf("%d decisions, want 1", len(g.decisions.allowed))
	}
	for name, d := range map[string]*Denial{
		"another action":               c.Denied("thing:Write", resource),
		"another role":                 call(deny).Denied("thing:Read", resource),
		"the role with more policies":  call(allow, deny).Denied("thing:Read", resource),
		"the resource's policy denies": c.Denied("thing:Read", resource, denyAll),
		"no policies":                  call().Denied("thing:Read", resource),
	} {
		if d == nil {
			t.Errorf("%s: allowed", name)
		}
	}
	if d := call(later).Denied("thing:Read", resource); d != nil {
		t.Error(d)
	}
	if d := call(allow, own).Denied("thing:Read", resource); d != nil {
		t.Error(d)
	}
	if len(g.decisions.allowed) != 1 {
		t.Errorf("%d decisions, want the one that depends on nothing", len(g.decisions.allowed))
	}
	for i := range maxDecisions + 2 {
		if d := c.Denied("thing:Read", fmt.Sprint(resource, i)); d != nil {
			t.Fatal(d)
		}
	}
	if n := len(g.decisions.allowed); n > maxDecisions {
		t.Errorf("%d decisions, more than %d", n, maxDecisions)
	}
}

func BenchmarkDenied(b *testing.B) {
	d, err := iampolicy.Parse("p", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:ManageConnections","Resource":"arn:aws:execute-api:*:*:*/prod/POST/@connections/*"}]}`))
	if err != nil {
		b.Fatal(err)
	}
	c := &Call{gate: &Gate{Mode: Enforce}, Principal: Principal{Kind: Role, ARN: "role", Policies: []*iampolicy.Document{d}}, wire: new(sigv4.Request)}
	b.ReportAllocs()
	for b.Loop() {
		if d := c.Denied("execute-api:ManageConnections", "arn:aws:execute-api:us-east-1:000000000000:abc/prod/POST/@connections/{connectionId}"); d != nil {
			b.Fatal(d)
		}
	}
}
