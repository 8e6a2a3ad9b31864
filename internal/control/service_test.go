package control

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/clock"
	"tidegate/internal/control/catalog"
	"tidegate/internal/kv/filekv"
)

// A bench is a service on an empty catalog, with an API "chat".
type bench struct {
	*Service
	catalog *catalog.Catalog
	clock   *clock.Manual
	api     string

	mu      sync.Mutex
	notices []string
	applied []uint64
	check   func(*apigw.Definition, *apigw.Stage) error
}

func newBench(t *testing.T) *bench {
	t.Helper()
	store, err := filekv.Open(filepath.Join(t.TempDir(), "kv.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b := &bench{clock: clock.NewManual(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)), check: func(*apigw.Definition, *apigw.Stage) error { return nil }}
	if b.catalog, err = catalog.Open(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	b.Service = New(Config{
		Catalog: b.catalog, Region: "eu-west-1", Clock: b.clock,
		Check: func(d *apigw.Definition, st *apigw.Stage) error { return b.check(d, st) },
		Applied: func(_ context.Context, _ string, revision uint64) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.applied = append(b.applied, revision)
			return nil
		},
		Notice: func(text string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.notices = append(b.notices, text)
		},
	})
	api, err := b.CreateAPI(t.Context(), input())
	if err != nil {
		t.Fatal(err)
	}
	b.api = api.ID
	return b
}

func ptr[T any](v T) *T { return &v }

func input() APIInput {
	return APIInput{Name: ptr("chat"), ProtocolType: ptr("WEBSOCKET"), RouteSelectionExpression: ptr("$request.body.action")}
}

func (b *bench) mock(t *testing.T) *apigw.Integration {
	t.Helper()
	i, err := b.CreateIntegration(t.Context(), b.api, IntegrationInput{Type: ptr("MOCK")})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (b *bench) route(t *testing.T, key string) *apigw.Route {
	t.Helper()
	r, err := b.CreateRoute(t.Context(), b.api, RouteInput{Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *bench) stage(t *testing.T, in StageInput) *apigw.Stage {
	t.Helper()
	st, err := b.CreateStage(t.Context(), b.api, in)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// refused fails the test unless err is of the kind and holds the text.
func refused(t *testing.T, what string, err error, kind Kind, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Message, text) {
		t.Errorf("%s: got %v, want kind %d with %q", what, err, kind, text)
	}
}

func TestCreateAPIDefaults(t *testing.T) {
	b := newBench(t)
	got, err := b.API(t.Context(), b.api)
	if err != nil {
		t.Fatal(err)
	}
	want := &apigw.API{
		ID: b.api, Name: "chat", RouteSelectionExpression: "$request.body.action",
		APIKeySelectionExpression: "$request.header.x-api-key", IPAddressType: "ipv4", Created: b.clock.Now(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a new API (-want +got):\n%s", diff)
	}
	if len(b.api) != 10 || !validCustomID(b.api) {
		t.Errorf("id %q doesn't look like AWS's", b.api)
	}
	if e := b.Endpoint(b.api); e != "wss://"+b.api+".execute-api.eu-west-1.amazonaws.com" {
		t.Errorf("endpoint %s", e)
	}
}

func TestCreateAPIRefusals(t *testing.T) {
	b := newBench(t)
	manyTags := map[string]string{}
	for i := range apigw.MaxTags + 1 {
		manyTags[fmt.Sprint(i)] = ""
	}
	if _, err := b.CreateAPI(t.Context(), func() APIInput { in := input(); in.Tags = map[string]string{customIDTag: "taken"}; return in }()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*APIInput)
		kind   Kind
		want   string
	}{
		{"no protocol", func(in *APIInput) { in.ProtocolType = nil }, BadRequest, "Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]"},
		{"odd protocol", func(in *APIInput) { in.ProtocolType = ptr("TCP") }, BadRequest, "Invalid protocol specified"},
		{"HTTP", func(in *APIInput) { in.ProtocolType = ptr("HTTP") }, BadRequest, "Tidegate does not serve ProtocolType HTTP yet"},
		{"no name", func(in *APIInput) { in.Name = nil }, BadRequest, "Name is required"},
		{"empty name", func(in *APIInput) { in.Name = ptr("") }, BadRequest, "Name must have 1 to 128 characters"},
		{"no expression", func(in *APIInput) { in.RouteSelectionExpression = nil }, BadRequest, "RouteSelectionExpression is required"},
		{"bad expression", func(in *APIInput) { in.RouteSelectionExpression = ptr("$nope.x") }, BadRequest, "Invalid RouteSelectionExpression"},
		{"bad key expression", func(in *APIInput) { in.APIKeySelectionExpression = ptr("${") }, BadRequest, "Invalid ApiKeySelectionExpression"},
		{"target", func(in *APIInput) { in.Target = ptr("arn:x") }, BadRequest, "Target of an API is supported only for HTTP APIs"},
		{"route key", func(in *APIInput) { in.RouteKey = ptr("$default") }, BadRequest, "RouteKey of an API is supported only for HTTP APIs"},
		{"credentials", func(in *APIInput) { in.CredentialsARN = ptr("arn:x") }, BadRequest, "CredentialsArn of an API is supported only for HTTP APIs"},
		{"cors", func(in *APIInput) { in.CORS = true }, BadRequest, "CorsConfiguration is supported only for HTTP APIs"},
		{"ip address type", func(in *APIInput) { in.IPAddressType = ptr("ipv9") }, BadRequest, "[ipv4, dualstack]"},
		{"long description", func(in *APIInput) { in.Description = ptr(strings.Repeat("x", 1025)) }, BadRequest, "Description must have"},
		{"too many tags", func(in *APIInput) { in.Tags = manyTags }, TooMany, "Maximum number of tags"},
		{"reserved tag", func(in *APIInput) { in.Tags = map[string]string{"AWS:x": ""} }, BadRequest, "aws: is reserved"},
		{"custom id taken", func(in *APIInput) { in.Tags = map[string]string{customIDTag: "taken"} }, Conflict, "already exists"},
		{"custom id upper case", func(in *APIInput) { in.Tags = map[string]string{customIDTag: "Chat"} }, BadRequest, "_custom_id_"},
		{"custom id short", func(in *APIInput) { in.Tags = map[string]string{customIDTag: "ab"} }, BadRequest, "_custom_id_"},
		{"custom id path", func(in *APIInput) { in.Tags = map[string]string{customIDTag: "../x"} }, BadRequest, "_custom_id_"},
		{"custom id dash", func(in *APIInput) { in.Tags = map[string]string{customIDTag: "abc-"} }, BadRequest, "_custom_id_"},
	} {
		in := input()
		c.change(&in)
		_, err := b.CreateAPI(t.Context(), in)
		refused(t, c.name, err, c.kind, c.want)
	}
	apis, err := b.APIs(t.Context())
	if err != nil || len(apis) != 2 {
		t.Errorf("after refusals there are %d APIs, %v", len(apis), err)
	}
}

func TestUpdateAPI(t *testing.T) {
	b := newBench(t)
	got, err := b.UpdateAPI(t.Context(), b.api, APIInput{Description: ptr("d"), APIKeySelectionExpression: ptr("")})
	if err != nil || got.Description != "d" || got.APIKeySelectionExpression != "" || got.Name != "chat" {
		t.Errorf("updated API %+v, %v", got, err)
	}
	_, err = b.UpdateAPI(t.Context(), b.api, APIInput{RouteSelectionExpression: ptr("")})
	refused(t, "clearing the route selection expression", err, BadRequest, "is required")
	_, err = b.UpdateAPI(t.Context(), "none", APIInput{})
	refused(t, "updating no API", err, NotFound, "Invalid API identifier specified none")
}

func TestRoutes(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	i := b.mock(t)
	r, err := b.CreateRoute(ctx, b.api, RouteInput{Key: ptr("$connect"), Target: ptr("integrations/" + i.ID), RequestParameters: map[string]apigw.ParameterConstraint{"route.request.header.a": {}}})
	if err != nil || len(r.ID) != 7 || r.AuthorizationType != "NONE" || r.IntegrationID() != i.ID {
		t.Fatalf("created route %+v, %v", r, err)
	}
	for _, c := range []struct {
		name string
		in   RouteInput
		kind Kind
		want string
	}{
		{"no key", RouteInput{}, BadRequest, "RouteKey is required"},
		{"same key", RouteInput{Key: ptr("$connect")}, Conflict, "Route with key $connect already exists for this API"},
		{"empty key", RouteInput{Key: ptr("")}, BadRequest, "Invalid route key"},
		{"odd $ key", RouteInput{Key: ptr("$other")}, BadRequest, "$connect, $disconnect and $default"},
		{"no integration", RouteInput{Key: ptr("x"), Target: ptr("integrations/none")}, NotFound, "Invalid Integration identifier specified none"},
		{"odd target", RouteInput{Key: ptr("x"), Target: ptr("none")}, BadRequest, "Invalid target"},
		{"IAM", RouteInput{Key: ptr("x"), AuthorizationType: ptr("AWS_IAM")}, BadRequest, "Currently, authorization is restricted to the $connect route only"},
		{"CUSTOM", RouteInput{Key: ptr("x"), AuthorizationType: ptr("CUSTOM")}, BadRequest, "Currently, authorization is restricted to the $connect route only"},
		{"JWT", RouteInput{Key: ptr("x"), AuthorizationType: ptr("JWT")}, BadRequest, "Invalid AuthorizationType JWT specified: it belongs to HTTP APIs"},
		{"odd type", RouteInput{Key: ptr("x"), AuthorizationType: ptr("MAGIC")}, BadRequest, "Invalid AuthorizationType"},
		{"authorizer", RouteInput{Key: ptr("x"), AuthorizerID: ptr("abc")}, NotFound, "Invalid Authorizer identifier specified abc"},
		{"scopes", RouteInput{Key: ptr("x"), AuthorizationScopes: []string{"a"}}, BadRequest, "only for JWT authorizers"},
		{"odd expression", RouteInput{Key: ptr("x"), ModelSelectionExpression: ptr("$context.stage")}, BadRequest, "Invalid ModelSelectionExpression"},
		{"no model", RouteInput{Key: ptr("x"), RequestModels: map[string]string{"a": "b"}}, BadRequest, "Invalid model specified: b"},
	} {
		_, err := b.CreateRoute(ctx, b.api, c.in)
		refused(t, c.name, err, c.kind, c.want)
	}
	// What asks for nothing is no reason to refuse.
	if _, err := b.CreateRoute(ctx, b.api, RouteInput{Key: ptr("y"), APIKeyRequired: ptr(false), AuthorizationType: ptr("NONE"), RequestModels: map[string]string{}}); err != nil {
		t.Errorf("a route that asks for nothing: %v", err)
	}
	got, err := b.UpdateRoute(ctx, b.api, r.ID, RouteInput{RequestParameters: map[string]apigw.ParameterConstraint{"route.request.header.b": {Required: true}}, Target: ptr("")})
	want := map[string]apigw.ParameterConstraint{"route.request.header.a": {}, "route.request.header.b": {Required: true}}
	if err != nil || !cmp.Equal(got.RequestParameters, want) || got.Target != "" || got.Key != "$connect" {
		t.Errorf("updated route %+v, %v", got, err)
	}
	if _, err := b.UpdateRoute(ctx, b.api, r.ID, RouteInput{Key: ptr("$connect")}); err != nil {
		t.Errorf("a route keeps its own key: %v", err)
	}
	_, err = b.UpdateRoute(ctx, b.api, r.ID, RouteInput{Key: ptr("y")})
	refused(t, "another route's key", err, Conflict, "Route with key y already exists")
	refused(t, "no such parameter", b.DeleteRouteRequestParameter(ctx, b.api, r.ID, "nope"), NotFound, "nope")
	if err := b.DeleteRoute(ctx, b.api, r.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, "deleting twice", b.DeleteRoute(ctx, b.api, r.ID), NotFound, "Invalid Route identifier specified "+r.ID)
}

func TestRouteQuota(t *testing.T) {
	b := newBench(t)
	_, _, err := b.catalog.Update(t.Context(), b.api, func(api *apigw.API) error {
		api.Routes = map[string]*apigw.Route{}
		for i := range apigw.MaxRoutes {
			id := fmt.Sprint("r", i)
			api.Routes[id] = &apigw.Route{ID: id, Key: apigw.RouteKey(id)}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.CreateRoute(t.Context(), b.api, RouteInput{Key: ptr("one more")})
	refused(t, "one route too many", err, TooMany, "Maximum number of Routes for this API has been reached.  Please contact AWS if you need additional Routes.")
}

func TestIntegrations(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	const arn = "arn:aws:lambda:eu-west-1:000000000000:function:f"
	got, err := b.CreateIntegration(ctx, b.api, IntegrationInput{Type: ptr("AWS_PROXY"), URI: ptr(arn)})
	want := &apigw.Integration{
		ID: "", Type: apigw.IntegrationAWSProxy, Method: "POST", URI: arn, ConnectionType: "INTERNET",
		PassthroughBehavior: apigw.PassthroughWhenNoMatch, PayloadFormatVersion: "1.0", Timeout: 29 * time.Second,
	}
	if err != nil {
		t.Fatal(err)
	}
	want.ID = got.ID
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a new AWS_PROXY integration (-want +got):\n%s", diff)
	}
	mock := func() IntegrationInput { return IntegrationInput{Type: ptr("MOCK")} }
	for _, c := range []struct {
		name   string
		change func(*IntegrationInput)
		want   string
	}{
		{"no type", func(in *IntegrationInput) { in.Type = nil }, "IntegrationType is required"},
		{"odd type", func(in *IntegrationInput) { in.Type = ptr("GRPC") }, "Invalid IntegrationType"},
		{"AWS", func(in *IntegrationInput) { in.Type = ptr("AWS") }, "Invalid ARN specified in the request"},
		{"AWS without path or action", func(in *IntegrationInput) {
			in.Type, in.URI = ptr("AWS"), ptr("arn:aws:apigateway:us-east-1:dynamodb:PutItem")
		}, "AWS ARN for integration must contain path or action"},
		{"a service without a role", func(in *IntegrationInput) {
			in.Type, in.URI = ptr("AWS"), ptr("arn:aws:apigateway:us-east-1:dynamodb:action/PutItem")
		}, "Role ARN must be specified for AWS integrations"},
		{"a service without a method", func(in *IntegrationInput) {
			in.Type, in.URI, in.CredentialsARN = ptr("AWS"), ptr("arn:aws:apigateway:us-east-1:dynamodb:action/PutItem"), ptr("arn:aws:iam::000000000000:role/r")
		}, "IntegrationMethod is required"},
		{"HTTP", func(in *IntegrationInput) { in.Type = ptr("HTTP") }, "Invalid HTTP endpoint specified for URI"},
		{"no function", func(in *IntegrationInput) { in.Type = ptr("AWS_PROXY") }, "must be a function's ARN"},
		{"no method", func(in *IntegrationInput) { in.Type, in.URI = ptr("HTTP_PROXY"), ptr("https://example.com") }, "IntegrationMethod is required"},
		{"no URL", func(in *IntegrationInput) { in.Type, in.Method = ptr("HTTP_PROXY"), ptr("GET") }, "must be an http or https URL"},
		{"file URL", func(in *IntegrationInput) {
			in.Type, in.Method, in.URI = ptr("HTTP_PROXY"), ptr("GET"), ptr("file:///etc")
		}, "must be an http or https URL"},
		{"odd method", func(in *IntegrationInput) { in.Method = ptr("GET / HTTP/1.1") }, "Invalid IntegrationMethod"},
		{"VPC link", func(in *IntegrationInput) { in.ConnectionType = ptr("VPC_LINK") }, "ConnectionId is required"},
		{"odd connection type", func(in *IntegrationInput) { in.ConnectionType = ptr("WIRE") }, "Invalid ConnectionType"},
		{"TLS", func(in *IntegrationInput) { in.TLSConfig = true }, "TlsConfig is supported only for HTTP APIs"},
		{"binary", func(in *IntegrationInput) { in.ContentHandlingStrategy = ptr("CONVERT_TO_WINE") }, "Invalid ContentHandlingStrategy"},
		{"subtype", func(in *IntegrationInput) { in.Subtype = ptr("SQS-SendMessage") }, "IntegrationSubtype is supported only for HTTP APIs"},
		{"response parameters", func(in *IntegrationInput) { in.ResponseParameters = true }, "ResponseParameters of an integration is supported only for HTTP APIs"},
		{"payload 2.0", func(in *IntegrationInput) { in.PayloadFormatVersion = ptr("2.0") }, "Must be one of [1.0]"},
		{"passthrough", func(in *IntegrationInput) { in.PassthroughBehavior = ptr("ALWAYS") }, "Invalid PassthroughBehavior"},
		{"short timeout", func(in *IntegrationInput) { in.TimeoutInMillis = ptr(49) }, "Timeout should be between 50 ms and 29000 ms"},
		{"long timeout", func(in *IntegrationInput) { in.TimeoutInMillis = ptr(29001) }, "Timeout should be between 50 ms and 29000 ms"},
		{"overflowing timeout", func(in *IntegrationInput) { in.TimeoutInMillis = ptr(1 << 62) }, "Timeout should be between"},
		{"large template", func(in *IntegrationInput) {
			in.RequestTemplates = map[string]string{"a": strings.Repeat("x", apigw.MaxTemplate+1)}
		}, "RequestTemplates"},
	} {
		in := mock()
		c.change(&in)
		_, err := b.CreateIntegration(ctx, b.api, in)
		refused(t, c.name, err, BadRequest, c.want)
	}

	// CDK's WebSocketMockIntegration sends an empty URI.
	in := mock()
	in.URI = ptr("")
	if i, err := b.CreateIntegration(ctx, b.api, in); err != nil || i.URI != "" {
		t.Errorf("MOCK with an empty IntegrationUri: %v, %v", i, err)
	}

	// Parameters merge, an empty value removes; templates are replaced.
	in = mock()
	in.RequestParameters = map[string]string{"integration.request.header.a": "'1'", "integration.request.header.b": "'2'"}
	in.RequestTemplates = map[string]string{"t": "1"}
	i, err := b.CreateIntegration(ctx, b.api, in)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		in         IntegrationInput
		parameters map[string]string
		templates  map[string]string
	}{
		{IntegrationInput{}, map[string]string{"integration.request.header.a": "'1'", "integration.request.header.b": "'2'"}, map[string]string{"t": "1"}},
		{IntegrationInput{RequestParameters: map[string]string{}}, map[string]string{"integration.request.header.a": "'1'", "integration.request.header.b": "'2'"}, map[string]string{"t": "1"}},
		{IntegrationInput{RequestParameters: map[string]string{"integration.request.header.a": "", "integration.request.header.c": "'3'"}}, map[string]string{"integration.request.header.b": "'2'", "integration.request.header.c": "'3'"}, map[string]string{"t": "1"}},
		{IntegrationInput{RequestTemplates: map[string]string{"u": "2"}}, map[string]string{"integration.request.header.b": "'2'", "integration.request.header.c": "'3'"}, map[string]string{"u": "2"}},
	} {
		got, err := b.UpdateIntegration(ctx, b.api, i.ID, step.in)
		if err != nil || !cmp.Equal(got.RequestParameters, step.parameters) || !cmp.Equal(got.RequestTemplates, step.templates) {
			t.Errorf("after %+v: %v %v, %v", step.in, got.RequestParameters, got.RequestTemplates, err)
		}
	}
	_, err = b.UpdateIntegration(ctx, b.api, i.ID, IntegrationInput{Type: ptr("HTTP_PROXY")})
	refused(t, "a type that doesn't fit the rest", err, BadRequest, "must be an http or https URL")
	if got, err := b.Integration(ctx, b.api, i.ID); err != nil || got.Type != apigw.IntegrationMock {
		t.Errorf("a refused update changed the integration: %+v, %v", got, err)
	}
}

func TestResponses(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	i, r := b.mock(t), b.route(t, "hello")
	_, err := b.CreateIntegrationResponse(ctx, b.api, i.ID, IntegrationResponseInput{Key: ptr("200")})
	refused(t, "a key without slashes", err, BadRequest, "Invalid integration response key")
	_, err = b.CreateIntegrationResponse(ctx, b.api, "none", IntegrationResponseInput{Key: ptr("$default")})
	refused(t, "no integration", err, NotFound, "Invalid Integration identifier specified none")
	ir, err := b.CreateIntegrationResponse(ctx, b.api, i.ID, IntegrationResponseInput{Key: ptr("$default"), ResponseTemplates: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.CreateIntegrationResponse(ctx, b.api, i.ID, IntegrationResponseInput{Key: ptr("$default")})
	refused(t, "a key twice", err, Conflict, "IntegrationResponse with key $default already exists")
	if got, err := b.UpdateIntegrationResponse(ctx, b.api, i.ID, ir.ID, IntegrationResponseInput{Key: ptr("/4../")}); err != nil || got.Key != "/4../" || got.ResponseTemplates["a"] != "b" {
		t.Errorf("updated integration response %+v, %v", got, err)
	}
	if err := b.DeleteIntegrationResponse(ctx, b.api, i.ID, ir.ID); err != nil {
		t.Error(err)
	}
	_, err = b.IntegrationResponse(ctx, b.api, i.ID, ir.ID)
	refused(t, "reading what is gone", err, NotFound, "Invalid IntegrationResponse identifier specified "+ir.ID)

	_, err = b.CreateRouteResponse(ctx, b.api, r.ID, RouteResponseInput{Key: ptr("other")})
	refused(t, "another route response key", err, BadRequest, "the only one is $default")
	_, err = b.CreateRouteResponse(ctx, b.api, r.ID, RouteResponseInput{Key: ptr("$default"), ResponseModels: map[string]string{"a": "b"}})
	refused(t, "a model that isn't there", err, BadRequest, "Invalid model specified: b")
	rr, err := b.CreateRouteResponse(ctx, b.api, r.ID, RouteResponseInput{Key: ptr("$default")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.CreateRouteResponse(ctx, b.api, r.ID, RouteResponseInput{Key: ptr("$default")})
	refused(t, "a second route response", err, Conflict, "already exists for this Route")
	if got, err := b.Route(ctx, b.api, r.ID); err != nil || !got.TwoWay() {
		t.Errorf("the route is not two-way: %v", err)
	}
	if err := b.DeleteRouteResponse(ctx, b.api, r.ID, rr.ID); err != nil {
		t.Error(err)
	}
	if got, err := b.Route(ctx, b.api, r.ID); err != nil || got.TwoWay() {
		t.Errorf("the route is still two-way: %v", err)
	}
}

func TestDeploymentFreezes(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	_, err := b.CreateDeployment(ctx, b.api, DeploymentInput{})
	refused(t, "deploying without routes", err, BadRequest, "At least one route is required before deploying the Api")
	i := b.mock(t)
	b.route(t, "one")
	d, err := b.CreateDeployment(ctx, b.api, DeploymentInput{})
	if err != nil || len(d.ID) != 6 || d.Status != "DEPLOYED" || d.AutoDeployed {
		t.Fatalf("deployment %+v, %v", d, err)
	}
	b.route(t, "two")
	def, err := b.catalog.Definition(ctx, b.api, d.ID)
	if err != nil || len(def.Routes) != 1 || def.Routes[0].Key != "one" || len(def.Integrations) != 1 || def.Integrations[0].ID != i.ID || def.APIID != b.api || def.RouteSelectionExpression != "$request.body.action" {
		t.Errorf("the deployment froze %+v, %v", def, err)
	}
	st := b.stage(t, StageInput{Name: ptr("dev"), DeploymentID: &d.ID})
	if st.DeploymentID != d.ID {
		t.Errorf("the stage serves %q", st.DeploymentID)
	}
	_, err = b.CreateStage(ctx, b.api, StageInput{Name: ptr("other"), DeploymentID: ptr("none")})
	refused(t, "no such deployment", err, NotFound, "Invalid Deployment identifier specified none")
	refused(t, "deleting what is served", b.DeleteDeployment(ctx, b.api, d.ID), BadRequest, "Active stages pointing to this deployment must be moved or deleted")
	next, err := b.CreateDeployment(ctx, b.api, DeploymentInput{StageName: ptr("dev"), Description: ptr("second")})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := b.Stage(ctx, b.api, "dev"); err != nil || st.DeploymentID != next.ID {
		t.Errorf("the stage serves %q, want %q, %v", st.DeploymentID, next.ID, err)
	}
	_, err = b.CreateDeployment(ctx, b.api, DeploymentInput{StageName: ptr("none")})
	refused(t, "deploying to no stage", err, NotFound, "Invalid stage identifier specified")
	if err := b.DeleteDeployment(ctx, b.api, d.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.catalog.Definition(ctx, b.api, d.ID); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("a deleted deployment's definition stays: %v", err)
	}
}

// A definition that doesn't compile is refused where it would be served, and
// leaves nothing behind.
func TestCheckRefuses(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	b.route(t, "one")
	b.check = func(def *apigw.Definition, st *apigw.Stage) error {
		for _, r := range def.Routes {
			if r.OperationName == "bad" && st.Variables["allow"] == "" {
				return errors.New("route has VTL")
			}
		}
		return nil
	}
	good, err := b.CreateDeployment(ctx, b.api, DeploymentInput{})
	if err != nil {
		t.Fatal(err)
	}
	bad, err := b.CreateRoute(ctx, b.api, RouteInput{Key: ptr("two"), OperationName: ptr("bad")})
	if err != nil {
		t.Fatalf("without auto-deploy a route that doesn't compile can be made: %v", err)
	}
	_, err = b.CreateDeployment(ctx, b.api, DeploymentInput{})
	refused(t, "deploying it", err, BadRequest, "Unable to deploy API: route has VTL")
	if all, err := b.Deployments(ctx, b.api); err != nil || len(all) != 1 {
		t.Errorf("a refused deployment was stored: %d, %v", len(all), err)
	}
	_, err = b.CreateStage(ctx, b.api, StageInput{Name: ptr("auto"), AutoDeploy: ptr(true)})
	refused(t, "auto-deploying it", err, BadRequest, "route has VTL")
	if _, err := b.Stage(ctx, b.api, "auto"); err == nil {
		t.Error("the refused stage was stored")
	}
	b.stage(t, StageInput{Name: ptr("dev"), DeploymentID: &good.ID, Variables: map[string]string{"allow": "yes"}})
	allowed, err := b.CreateDeployment(ctx, b.api, DeploymentInput{StageName: ptr("dev")})
	if err != nil {
		t.Fatalf("the stage's variables make it compile: %v", err)
	}
	_, err = b.UpdateStage(ctx, b.api, "dev", StageInput{Variables: map[string]string{"allow": ""}})
	refused(t, "taking the variable away", err, BadRequest, "route has VTL")
	if st, _ := b.Stage(ctx, b.api, "dev"); st.Variables["allow"] != "yes" || st.DeploymentID != allowed.ID {
		t.Errorf("the refused update changed the stage: %+v", st)
	}
	// Under auto-deploy the change itself is refused; what takes away is not.
	if err := b.DeleteRoute(ctx, b.api, bad.ID); err != nil {
		t.Fatal(err)
	}
	b.stage(t, StageInput{Name: ptr("auto"), AutoDeploy: ptr(true)})
	_, err = b.CreateRoute(ctx, b.api, RouteInput{Key: ptr("two"), OperationName: ptr("bad")})
	refused(t, "a bad route under auto-deploy", err, BadRequest, "route has VTL")
	if routes, _ := b.Routes(ctx, b.api); len(routes) != 1 {
		t.Errorf("the refused route was stored: %d", len(routes))
	}
	one, _ := b.Routes(ctx, b.api)
	b.route(t, "three")
	before, _ := b.Stage(ctx, b.api, "auto")
	b.check = func(*apigw.Definition, *apigw.Stage) error { return errors.New("nothing compiles") }
	if err := b.DeleteRoute(ctx, b.api, one[0].ID); err != nil {
		t.Fatalf("deleting under auto-deploy: %v", err)
	}
	if st, _ := b.Stage(ctx, b.api, "auto"); st.DeploymentID != before.DeploymentID || !strings.Contains(st.LastDeploymentStatus, "Deployment attempt failed: Unable to deploy API: nothing compiles") {
		t.Errorf("the stage after a failed attempt: %+v", st)
	}
}

// Stage variables in a URI are unknown until there is a stage.
func TestCheckWaitsForStageVariables(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	b.route(t, "one")
	if _, err := b.CreateIntegration(ctx, b.api, IntegrationInput{Type: ptr("AWS_PROXY"), URI: ptr("arn:aws:lambda:us-east-1:0:function:${stageVariables.fn}")}); err != nil {
		t.Fatal(err)
	}
	b.check = func(_ *apigw.Definition, st *apigw.Stage) error {
		if st.Variables["fn"] == "" {
			return errors.New("no function")
		}
		return nil
	}
	d, err := b.CreateDeployment(ctx, b.api, DeploymentInput{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.CreateStage(ctx, b.api, StageInput{Name: ptr("bad"), DeploymentID: &d.ID})
	refused(t, "a stage without the variable", err, BadRequest, "no function")
	b.stage(t, StageInput{Name: ptr("good"), DeploymentID: &d.ID, Variables: map[string]string{"fn": "f"}})
}

func TestAutoDeploy(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	st := b.stage(t, StageInput{Name: ptr("auto"), AutoDeploy: ptr(true)})
	if st.DeploymentID != "" || st.LastDeploymentStatus != "Deployment attempt failed: Unable to deploy API because no routes exist in this API" {
		t.Errorf("auto-deploy without routes: %+v", st)
	}
	b.stage(t, StageInput{Name: ptr("manual")})
	var last string
	for i := range keptAutoDeployments + 5 {
		b.clock.Advance(time.Second)
		b.route(t, fmt.Sprint("r", i))
		st, err := b.Stage(ctx, b.api, "auto")
		if err != nil {
			t.Fatal(err)
		}
		if st.DeploymentID == last || st.LastDeploymentStatus != "Successfully deployed stage with deployment ID '"+st.DeploymentID+"'" || !st.Updated.Equal(b.clock.Now()) {
			t.Fatalf("after route %d: %+v", i, st)
		}
		last = st.DeploymentID
		if def, err := b.catalog.Definition(ctx, b.api, last); err != nil || len(def.Routes) != i+1 {
			t.Fatalf("after route %d its deployment has %d routes, %v", i, len(def.Routes), err)
		}
	}
	all, err := b.Deployments(ctx, b.api)
	if err != nil || len(all) != keptAutoDeployments+1 {
		t.Errorf("%d deployments are kept, %v", len(all), err)
	}
	for _, d := range all {
		if _, err := b.catalog.Definition(ctx, b.api, d.ID); err != nil || !d.AutoDeployed {
			t.Errorf("kept deployment %+v: %v", d, err)
		}
	}
	if st, _ := b.Stage(ctx, b.api, "manual"); st.DeploymentID != "" {
		t.Errorf("the stage without auto-deploy got %q", st.DeploymentID)
	}
	// The name of an API is none of a deployment's business.
	if _, err := b.UpdateAPI(ctx, b.api, APIInput{Name: ptr("new")}); err != nil {
		t.Fatal(err)
	}
	if st, _ := b.Stage(ctx, b.api, "auto"); st.DeploymentID != last {
		t.Error("a new name made a deployment")
	}
	const text = "Deployment ID cannot be set on this stage auto because AutoDeploy is enabled"
	_, err = b.UpdateStage(ctx, b.api, "auto", StageInput{DeploymentID: &last})
	refused(t, "setting the deployment", err, BadRequest, text)
	_, err = b.CreateDeployment(ctx, b.api, DeploymentInput{StageName: ptr("auto")})
	refused(t, "deploying to it", err, BadRequest, text)
	// Switched off it keeps what it serves; switched on it deploys.
	if st, err := b.UpdateStage(ctx, b.api, "auto", StageInput{AutoDeploy: ptr(false)}); err != nil || st.DeploymentID != last {
		t.Errorf("switched off: %+v, %v", st, err)
	}
	b.route(t, "unseen")
	if st, _ := b.Stage(ctx, b.api, "auto"); st.DeploymentID != last {
		t.Error("a stage without auto-deploy moved")
	}
	if st, err := b.UpdateStage(ctx, b.api, "auto", StageInput{AutoDeploy: ptr(true)}); err != nil || st.DeploymentID == last {
		t.Errorf("switched on: %+v, %v", st, err)
	}
}

func TestStages(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	for _, c := range []struct {
		name string
		in   StageInput
		kind Kind
		want string
	}{
		{"no name", StageInput{}, BadRequest, "StageName is required"},
		{"slash", StageInput{Name: ptr("a/b")}, BadRequest, "Invalid stage name"},
		{"long", StageInput{Name: ptr(strings.Repeat("x", 129))}, BadRequest, "Invalid stage name"},
		{"reserved", StageInput{Name: ptr("_tidegate")}, BadRequest, "Tidegate's own"},
		{"reserved prefix", StageInput{Name: ptr("_tidegate-x")}, BadRequest, "Tidegate's own"},
		{"certificate", StageInput{Name: ptr("x"), ClientCertificateID: ptr("y")}, BadRequest, "does not serve ClientCertificateId yet"},
		{"variable name", StageInput{Name: ptr("x"), Variables: map[string]string{"a b": "1"}}, BadRequest, "Invalid stage variable name"},
		{"variable value", StageInput{Name: ptr("x"), Variables: map[string]string{"a": "<>"}}, BadRequest, "Invalid stage variable value"},
		{"logging level", StageInput{Name: ptr("x"), DefaultRouteSettings: &RouteSettingsInput{LoggingLevel: ptr("LOUD")}}, BadRequest, "Invalid LoggingLevel"},
		{"burst", StageInput{Name: ptr("x"), DefaultRouteSettings: &RouteSettingsInput{ThrottlingBurstLimit: ptr(-1)}}, BadRequest, "ThrottlingBurstLimit"},
		{"rate", StageInput{Name: ptr("x"), DefaultRouteSettings: &RouteSettingsInput{ThrottlingRateLimit: ptr(-0.1)}}, BadRequest, "ThrottlingRateLimit"},
		{"settings of no route", StageInput{Name: ptr("x"), RouteSettings: map[apigw.RouteKey]RouteSettingsInput{"none": {}}}, NotFound, "Unable to find Route by key none within the provided RouteSettings"},
		{"long format", StageInput{Name: ptr("x"), AccessLog: &AccessLogInput{Format: ptr(strings.Repeat("x", apigw.MaxAccessLogFormat+1))}}, BadRequest, "format"},
		{"a log of nothing", StageInput{Name: ptr("x"), AccessLog: &AccessLogInput{Format: ptr("$context.status")}}, BadRequest, "$context.requestId"},
		{"Firehose", StageInput{Name: ptr("x"), AccessLog: &AccessLogInput{DestinationARN: ptr("arn:aws:firehose:us-east-1:1:deliverystream/amazon-apigateway-x")}}, BadRequest, "Firehose"},
		{"no log group", StageInput{Name: ptr("x"), AccessLog: &AccessLogInput{DestinationARN: ptr("arn:aws:s3:::bucket")}}, BadRequest, "log group"},
	} {
		_, err := b.CreateStage(ctx, b.api, c.in)
		refused(t, c.name, err, c.kind, c.want)
	}
	b.stage(t, StageInput{Name: ptr("$default")})
	st := b.stage(t, StageInput{Name: ptr("dev"), Description: ptr("d"), Variables: map[string]string{"a": "1", "b": "2"}})
	want := &apigw.Stage{
		Name: "dev", Description: "d", Variables: map[string]string{"a": "1", "b": "2"},
		DefaultRouteSettings: apigw.RouteSettings{LoggingLevel: "OFF"}, Created: b.clock.Now(), Updated: b.clock.Now(),
	}
	if diff := cmp.Diff(want, st); diff != "" {
		t.Errorf("a new stage (-want +got):\n%s", diff)
	}
	_, err := b.CreateStage(ctx, b.api, StageInput{Name: ptr("dev")})
	refused(t, "a name twice", err, Conflict, "Stage already exists")

	b.route(t, "hello")
	st, err = b.UpdateStage(ctx, b.api, "dev", StageInput{
		Description: ptr(""), Variables: map[string]string{"a": "", "c": "3"},
		DefaultRouteSettings: &RouteSettingsInput{ThrottlingBurstLimit: ptr(0)},
		RouteSettings:        map[apigw.RouteKey]RouteSettingsInput{"hello": {ThrottlingRateLimit: ptr(2.5)}},
		AccessLog:            &AccessLogInput{},
	})
	if err != nil {
		t.Fatal(err)
	}
	want.Variables = map[string]string{"b": "2", "c": "3"}
	want.DefaultRouteSettings.ThrottlingBurstLimit = ptr(0)
	want.RouteSettings = map[apigw.RouteKey]apigw.RouteSettings{"hello": {ThrottlingRateLimit: ptr(2.5)}}
	if diff := cmp.Diff(want, st); diff != "" {
		t.Errorf("an updated stage (-want +got):\n%s", diff)
	}
	if len(b.notices) != 0 {
		t.Errorf("notices for what has an effect: %q", b.notices)
	}
	group := "arn:aws:logs:us-east-1:000000000000:log-group:/chat/access"
	st, err = b.UpdateStage(ctx, b.api, "dev", StageInput{AccessLog: &AccessLogInput{DestinationARN: ptr(group + ":*"), Format: ptr("$context.requestId")}})
	if err != nil || st.AccessLog != (apigw.AccessLogSettings{DestinationARN: group, Format: "$context.requestId"}) {
		t.Errorf("access log: %+v, %v", st, err)
	}
	st, err = b.UpdateStage(ctx, b.api, "dev", StageInput{AccessLog: &AccessLogInput{}})
	if err != nil || st.AccessLog.DestinationARN != group {
		t.Errorf("access log after an empty one: %+v, %v", st, err)
	}
	refused(t, "settings that aren't there", b.DeleteRouteSettings(ctx, b.api, "dev", "nope"), NotFound, "nope")
	refused(t, "no stage", b.DeleteStage(ctx, b.api, "none"), NotFound, "Invalid stage identifier specified")
	for i := range apigw.MaxStages - 2 {
		b.stage(t, StageInput{Name: ptr(fmt.Sprint("s", i))})
	}
	_, err = b.CreateStage(ctx, b.api, StageInput{Name: ptr("more")})
	refused(t, "a stage too many", err, TooMany, "Maximum number of Stages for this API has been reached")
}

func TestTags(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	for _, arn := range []string{"", "arn", "arn:aws:s3:::x", "arn:aws:apigateway:us-east-1::apis/x", "arn:aws:apigateway:us-east-1::/apis", "arn:aws:apigateway:us-east-1::/apis/a/stages/", "arn:aws:apigateway:us-east-1::/apis/a/routes/b"} {
		_, err := b.Tags(ctx, arn)
		refused(t, arn, err, BadRequest, "Invalid ARN specified")
	}
	_, err := b.Tags(ctx, "arn:aws:apigateway:us-east-1::/domainnames/x")
	refused(t, "a domain name", err, NotFound, "The domain name resource specified in the request was not found.")
	_, err = b.Tags(ctx, "arn:aws:apigateway:us-east-1::/apis/"+b.api+"/stages/none")
	refused(t, "no stage", err, NotFound, "Invalid stage identifier specified")
	refused(t, "no API", b.TagResource(ctx, "arn:aws:apigateway:us-east-1::/apis/none", nil), NotFound, "none")
	arn := "arn:aws:apigateway:us-east-1::/apis/" + b.api
	if err := b.TagResource(ctx, arn, map[string]string{"a": "1", "aws:cloudformation:stack-name": "s"}); err != nil {
		t.Fatal(err)
	}
	if tags, err := b.Tags(ctx, arn); err != nil || tags["a"] != "1" {
		t.Errorf("tags %v, %v", tags, err)
	}
}

// Every write that changes what is served waits until it is.
func TestApplied(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	b.route(t, "one")
	d, err := b.CreateDeployment(ctx, b.api, DeploymentInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"CreateStage", func() error {
			_, err := b.CreateStage(ctx, b.api, StageInput{Name: ptr("s"), DeploymentID: &d.ID})
			return err
		}},
		{"UpdateStage", func() error { _, err := b.UpdateStage(ctx, b.api, "s", StageInput{AutoDeploy: ptr(true)}); return err }},
		{"CreateRoute", func() error { _, err := b.CreateRoute(ctx, b.api, RouteInput{Key: ptr("two")}); return err }},
		{"DeleteStage", func() error { return b.DeleteStage(ctx, b.api, "s") }},
		{"DeleteAPI", func() error { return b.DeleteAPI(ctx, b.api) }},
	} {
		b.applied = nil
		_, before, _ := b.catalog.Get(ctx, b.api)
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if len(b.applied) != 1 || b.applied[0] <= before {
			t.Errorf("%s waited for revisions %v, want one over %d", step.name, b.applied, before)
		}
	}
}

// Templates create routes in parallel; none may be lost.
func TestConcurrentChanges(t *testing.T) {
	const routes = 24
	b := newBench(t)
	b.stage(t, StageInput{Name: ptr("auto"), AutoDeploy: ptr(true)})
	var wg sync.WaitGroup
	for i := range routes {
		wg.Go(func() {
			if _, err := b.CreateRoute(t.Context(), b.api, RouteInput{Key: ptr(fmt.Sprint("r", i))}); err != nil {
				t.Errorf("CreateRoute: %v", err)
			}
		})
	}
	wg.Wait()
	st, err := b.Stage(t.Context(), b.api, "auto")
	if err != nil {
		t.Fatal(err)
	}
	def, err := b.catalog.Definition(t.Context(), b.api, st.DeploymentID)
	if err != nil || len(def.Routes) != routes {
		t.Errorf("the stage serves %d of %d routes, %v", len(def.Routes), routes, err)
	}
}

func TestVPCLinks(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	for _, c := range []struct {
		name string
		in   VPCLinkInput
		want string
	}{
		{"no name", VPCLinkInput{SubnetIDs: []string{"s"}}, "Name is required"},
		{"no subnets", VPCLinkInput{Name: ptr("x")}, "SubnetIds is required"},
		{"an empty subnet", VPCLinkInput{Name: ptr("x"), SubnetIDs: []string{""}}, "SubnetIds must have 1 to 128 characters"},
		{"too many", VPCLinkInput{Name: ptr("x"), SubnetIDs: make([]string, 51)}, "at most 50 fit"},
	} {
		_, err := b.CreateVPCLink(ctx, c.in)
		refused(t, c.name, err, BadRequest, c.want)
	}
	link, err := b.CreateVPCLink(ctx, VPCLinkInput{Name: ptr("x"), SubnetIDs: []string{"subnet-1"}, Tags: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	arn := "arn:aws:apigateway:us-east-1::/vpclinks/" + link.ID
	if err := b.TagResource(ctx, arn, map[string]string{"c": "d"}); err != nil {
		t.Error(err)
	}
	if err := b.UntagResource(ctx, arn, []string{"a"}); err != nil {
		t.Error(err)
	}
	if _, err := b.UpdateVPCLink(ctx, link.ID, VPCLinkInput{Name: ptr("y")}); err != nil {
		t.Error(err)
	}
	want := &apigw.VPCLink{ID: link.ID, Name: "y", SubnetIDs: []string{"subnet-1"}, Tags: map[string]string{"c": "d"}, Created: b.clock.Now()}
	links, err := b.VPCLinks(ctx)
	if diff := cmp.Diff([]*apigw.VPCLink{want}, links); diff != "" || err != nil {
		t.Errorf("links (-want +got):\n%s\n%v", diff, err)
	}
	for range maxVPCLinks - 1 {
		if _, err := b.CreateVPCLink(ctx, VPCLinkInput{Name: ptr("x"), SubnetIDs: []string{"s"}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = b.CreateVPCLink(ctx, VPCLinkInput{Name: ptr("x"), SubnetIDs: []string{"s"}})
	refused(t, "one too many", err, TooMany, "Maximum number of VpcLinks")
	if err := b.DeleteVPCLink(ctx, link.ID); err != nil {
		t.Error(err)
	}
	for _, id := range []string{link.ID, "", "a/b", strings.Repeat("x", 5000)} {
		_, err = b.VPCLink(ctx, id)
		refused(t, "reading "+cut(id), err, NotFound, "Invalid VpcLink identifier specified")
	}
}

// TestAPIQuota stops at as many APIs as the limits say.
func TestAPIQuota(t *testing.T) {
	b := newBench(t)
	apis, err := b.APIs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.config.Limits.APIs = len(apis) + 1
	if _, err := b.CreateAPI(t.Context(), input()); err != nil {
		t.Fatal(err)
	}
	_, err = b.CreateAPI(t.Context(), input())
	refused(t, "an API too many", err, TooMany, "Maximum number of APIs for this account has been reached.  Please contact AWS if you need additional APIs.")
}
