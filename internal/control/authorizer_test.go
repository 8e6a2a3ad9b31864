package control

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
)

const authorizerURI = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:auth/invocations"

func TestAuthorizers(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	in := AuthorizerInput{Name: ptr("auth"), Type: ptr("REQUEST"), URI: ptr(authorizerURI), IdentitySource: []string{"route.request.querystring.token"}}
	a, err := b.CreateAuthorizer(ctx, b.api, in)
	want := &apigw.Authorizer{Name: "auth", Type: "REQUEST", URI: authorizerURI, IdentitySource: []string{"route.request.querystring.token"}}
	if err != nil || len(a.ID) != 6 {
		t.Fatalf("created %+v, %v", a, err)
	}
	want.ID = a.ID
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		name string
		edit func(*AuthorizerInput)
		kind Kind
		want string
	}{
		{"no type", func(i *AuthorizerInput) { i.Type = nil }, BadRequest, "AuthorizerType is required"},
		{"no name", func(i *AuthorizerInput) { i.Name = nil }, BadRequest, "Name is required"},
		{"no URI", func(i *AuthorizerInput) { i.URI = nil }, BadRequest, "AuthorizerUri is required"},
		{"same name", func(i *AuthorizerInput) { i.Name = ptr("auth") }, Conflict, "already exists"},
		{"long name", func(i *AuthorizerInput) { i.Name = ptr(strings.Repeat("x", 129)) }, BadRequest, "1 to 128 characters"},
		{"URI", func(i *AuthorizerInput) { i.URI = ptr("http://x") }, BadRequest, "AuthorizerUri must be the ARN"},
		{"role", func(i *AuthorizerInput) { i.CredentialsARN = ptr("me") }, BadRequest, "the ARN of a role"},
		{"JWT", func(i *AuthorizerInput) { i.Type = ptr("JWT") }, BadRequest, "AuthorizerType JWT is supported only for HTTP APIs"},
		{"JWT's settings", func(i *AuthorizerInput) { i.JWTConfiguration = true }, BadRequest, "JwtConfiguration"},
		{"odd type", func(i *AuthorizerInput) { i.Type = ptr("TOKEN") }, BadRequest, "Must be one of [REQUEST, JWT]"},
		{"payload", func(i *AuthorizerInput) { i.PayloadFormatVersion = ptr("2.0") }, BadRequest, "AuthorizerPayloadFormatVersion is supported only for HTTP APIs"},
		{"cache", func(i *AuthorizerInput) { i.ResultTTLInSeconds = ptr(300) }, BadRequest, "AuthorizerResultTtlInSeconds"},
		{"simple", func(i *AuthorizerInput) { i.EnableSimpleResponses = ptr(true) }, BadRequest, "EnableSimpleResponses"},
		{"source of HTTP APIs", func(i *AuthorizerInput) { i.IdentitySource = []string{"$request.header.Auth"} }, BadRequest, "is none of route.request.header.NAME"},
		{"empty source", func(i *AuthorizerInput) { i.IdentitySource = []string{"route.request.header."} }, BadRequest, "names nothing"},
		{"context", func(i *AuthorizerInput) { i.IdentitySource = []string{"context.nothing"} }, BadRequest, "no context variable"},
	} {
		next := in
		next.Name = ptr("other")
		c.edit(&next)
		_, err := b.CreateAuthorizer(ctx, b.api, next)
		refused(t, c.name, err, c.kind, c.want)
	}
	if _, err := b.CreateRoute(ctx, b.api, RouteInput{Key: ptr("$connect"), AuthorizationType: ptr("CUSTOM")}); err == nil || !strings.Contains(err.Error(), "AuthorizerId is required") {
		t.Errorf("a CUSTOM route without an authorizer: %v", err)
	}
	r, err := b.CreateRoute(ctx, b.api, RouteInput{Key: ptr("$connect"), AuthorizationType: ptr("CUSTOM"), AuthorizerID: &a.ID})
	if err != nil || r.AuthorizationType != "CUSTOM" || r.AuthorizerID != a.ID {
		t.Fatalf("route %+v, %v", r, err)
	}
	refused(t, "deleting one in use", b.DeleteAuthorizer(ctx, b.api, a.ID), Conflict, "Cannot delete authorizer 'auth', is referenced in route: $connect")
	if got, err := b.UpdateAuthorizer(ctx, b.api, a.ID, AuthorizerInput{IdentitySource: []string{}}); err != nil || len(got.IdentitySource) != 0 || got.Name != "auth" {
		t.Errorf("updated %+v, %v", got, err)
	}
	if all, err := b.Authorizers(ctx, b.api); err != nil || len(all) != 1 {
		t.Errorf("authorizers %v, %v", all, err)
	}
	if _, err := b.UpdateRoute(ctx, b.api, r.ID, RouteInput{AuthorizationType: ptr("NONE")}); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteAuthorizer(ctx, b.api, a.ID); err != nil {
		t.Error(err)
	}
	_, err = b.Authorizer(ctx, b.api, a.ID)
	refused(t, "reading a deleted one", err, NotFound, "Invalid Authorizer identifier specified "+a.ID)
}
