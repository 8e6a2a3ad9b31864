package serve

import (
	"testing"

	"tidegate/internal/awshttp"
	"tidegate/internal/config"
	"tidegate/internal/iampolicy"
)

// TestWhoMayWhat: an identity may what the file says, on the APIs and stages that
// it says, and nothing else.
func TestWhoMayWhat(t *testing.T) {
	const (
		manage = "execute-api:ManageConnections"
		invoke = "execute-api:Invoke"
	)
	for _, c := range []struct {
		name             string
		id               config.Identity
		action, resource string
		want             bool
	}{
		{"by default, every API", config.Identity{}, manage, "chat/prod/POST/@connections/{connectionId}", true},
		{"by default, all of a stage", config.Identity{}, manage, "chat/prod/POST/@all", true},
		{"by default, no handshake", config.Identity{}, invoke, "chat/prod/$connect", false},
		{"its API", config.Identity{APIs: []string{"other", "chat"}}, manage, "chat/prod/GET/@connections/{connectionId}", true},
		{"another API", config.Identity{APIs: []string{"other"}}, manage, "chat/prod/GET/@connections/{connectionId}", false},
		{"an API whose id begins alike", config.Identity{APIs: []string{"cha"}}, manage, "chat/prod/GET/@connections/{connectionId}", false},
		{"its stage", config.Identity{Stages: []string{"prod"}}, manage, "chat/prod/DELETE/@connections/{connectionId}", true},
		{"another stage", config.Identity{Stages: []string{"prod"}}, manage, "chat/test/DELETE/@connections/{connectionId}", false},
		{"handshakes", config.Identity{Actions: []string{invoke}}, invoke, "chat/prod/$connect", true},
		{"handshakes alone", config.Identity{Actions: []string{invoke}}, manage, "chat/prod/POST/@connections/{connectionId}", false},
		{"both", config.Identity{Actions: []string{"execute-api:*"}}, manage, "chat/prod/POST/@connections/{connectionId}", true},
		{"AWS's APIs", config.Identity{Actions: []string{"execute-api:*"}}, "apigateway:GET", "/apis", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.id.Name, c.id.AccessKeyID, c.id.SecretAccessKey, c.id.BearerToken = "a", "key", "secret", "token"
			all := newIdentities()
			if err := all.set("000000000000", []config.Identity{c.id}); err != nil {
				t.Fatal(err)
			}
			byKey, known := all.Lookup("key")
			byToken, alsoKnown := all.LookupToken("token")
			if !known || !alsoKnown || byKey.Secret != "secret" || byKey.Principal.ARN != byToken.ARN || byToken.ARN != "arn:aws:iam::000000000000:user/a" {
				t.Fatalf("by key %+v, by token %+v", byKey, byToken)
			}
			got := iampolicy.Evaluate(&iampolicy.Request{Principal: byToken.ARN, Action: c.action, Resource: "arn:aws:execute-api:us-east-1:000000000000:" + c.resource},
				iampolicy.Source{Documents: byToken.Policies}).Decision == iampolicy.Allow
			if got != c.want {
				t.Errorf("it may: %v, want %v", got, c.want)
			}
		})
	}
}

// TestIdentitiesAreReplaced: who isn't in the file any more isn't let in, and an
// admin is the root.
func TestIdentitiesAreReplaced(t *testing.T) {
	all := newIdentities()
	if err := all.set("000000000000", []config.Identity{{Name: "a", BearerToken: "one"}}); err != nil {
		t.Fatal(err)
	}
	if err := all.set("000000000000", []config.Identity{{Name: "a", BearerToken: "two", Admin: true}}); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"one", "", "tw", "two "} {
		if p, known := all.LookupToken(token); known {
			t.Errorf("the token %q is %+v", token, p)
		}
	}
	if p, known := all.LookupToken("two"); !known || p.Kind != awshttp.Root {
		t.Errorf("the admin is %+v, %v", p, known)
	}
	if _, known := all.Lookup(""); known {
		t.Error("who has no key is found by none")
	}
}
