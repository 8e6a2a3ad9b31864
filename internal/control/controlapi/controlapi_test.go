package controlapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"tidegate/internal/awshttp"
	"tidegate/internal/control"
	"tidegate/internal/control/catalog"
	"tidegate/internal/control/controlapi"
	"tidegate/internal/iampolicy"
	"tidegate/internal/kv/filekv"
)

const account = "000000000000"

type identities map[string]awshttp.Identity

func (m identities) Lookup(key string) (awshttp.Identity, bool) {
	id, ok := m[key]
	return id, ok
}

// A plane is a control plane behind HTTP, with a client for it.
type plane struct {
	*sdk.Client
	url string

	mu       sync.Mutex
	notices  []string
	failures []error
}

func start(t *testing.T, mode awshttp.Mode, ids identities) *plane {
	t.Helper()
	store, err := filekv.Open(filepath.Join(t.TempDir(), "kv.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	cat, err := catalog.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	p := &plane{}
	service := control.New(control.Config{Catalog: cat, Region: "us-east-1", Notice: func(text string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.notices = append(p.notices, text)
	}})
	if ids == nil {
		ids = identities{"test": {Secret: "test", Principal: awshttp.Principal{Kind: awshttp.Root, ARN: "arn:aws:iam::" + account + ":root", Account: account}}}
	}
	gate := &awshttp.Gate{Identities: ids, Mode: mode, Account: account, Region: "us-east-1", Events: awshttp.EventListener{
		Failed: func(_, operation, _ string, err error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.failures = append(p.failures, fmt.Errorf("%s: %w", operation, err))
		},
	}}
	server := httptest.NewServer(controlapi.New(gate, service))
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		for _, err := range p.failures {
			t.Errorf("an operation failed through no fault of its caller: %v", err)
		}
	})
	p.url = server.URL
	p.Client = client(server.URL, "test", "test")
	return p
}

func client(url, key, secret string) *sdk.Client {
	return sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
	})
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newAPI(t *testing.T, p *plane) *sdk.CreateApiOutput {
	t.Helper()
	return must(p.CreateApi(t.Context(), &sdk.CreateApiInput{
		Name: aws.String("chat"), ProtocolType: types.ProtocolTypeWebsocket, RouteSelectionExpression: aws.String("$request.body.action"),
	}))(t)
}

// refused fails the test unless err is AWS's exception of that kind with that
// text in it.
func refused(t *testing.T, err error, code, text string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

// The whole life of an API through the SDK.
func TestLifeOfAnAPI(t *testing.T) {
	ctx := t.Context()
	p := start(t, awshttp.Enforce, nil)
	api := newAPI(t, p)
	if id := *api.ApiId; len(id) != 10 || *api.ApiEndpoint != "wss://"+id+".execute-api.us-east-1.amazonaws.com" || api.CreatedDate == nil {
		t.Errorf("created API: %+v", api)
	}
	integration := must(p.CreateIntegration(ctx, &sdk.CreateIntegrationInput{
		ApiId: api.ApiId, IntegrationType: types.IntegrationTypeMock, RequestTemplates: map[string]string{"200": `{"statusCode":200}`}, TemplateSelectionExpression: aws.String("200"),
	}))(t)
	target := aws.String("integrations/" + *integration.IntegrationId)
	route := must(p.CreateRoute(ctx, &sdk.CreateRouteInput{
		ApiId: api.ApiId, RouteKey: aws.String("$connect"), Target: target,
		RequestParameters: map[string]types.ParameterConstraints{"route.request.querystring.token": {Required: aws.Bool(true)}},
	}))(t)
	_, err := p.CreateRoute(ctx, &sdk.CreateRouteInput{ApiId: api.ApiId, RouteKey: aws.String("$connect")})
	refused(t, err, "ConflictException", "Route with key $connect already exists for this API")
	response := must(p.CreateRouteResponse(ctx, &sdk.CreateRouteResponseInput{ApiId: api.ApiId, RouteId: route.RouteId, RouteResponseKey: aws.String("$default")}))(t)
	integrationResponse := must(p.CreateIntegrationResponse(ctx, &sdk.CreateIntegrationResponseInput{
		ApiId: api.ApiId, IntegrationId: integration.IntegrationId, IntegrationResponseKey: aws.String("/2\\d\\d/"), ResponseTemplates: map[string]string{"$default": "ok"},
	}))(t)
	deployment := must(p.CreateDeployment(ctx, &sdk.CreateDeploymentInput{ApiId: api.ApiId, Description: aws.String("first")}))(t)
	if deployment.DeploymentStatus != types.DeploymentStatusDeployed || *deployment.AutoDeployed {
		t.Errorf("created deployment: %+v", deployment)
	}
	stage := must(p.CreateStage(ctx, &sdk.CreateStageInput{
		ApiId: api.ApiId, StageName: aws.String("$default"), DeploymentId: deployment.DeploymentId,
		DefaultRouteSettings: &types.RouteSettings{ThrottlingBurstLimit: aws.Int32(0), ThrottlingRateLimit: aws.Float64(1.5)},
		RouteSettings:        map[string]types.RouteSettings{"$connect": {LoggingLevel: types.LoggingLevelInfo}},
		AccessLogSettings:    &types.AccessLogSettings{Format: aws.String("$context.requestId")},
		Tags:                 map[string]string{"a": "b"},
	}))(t)
	if *stage.DeploymentId != *deployment.DeploymentId || *stage.DefaultRouteSettings.ThrottlingBurstLimit != 0 || stage.RouteSettings["$connect"].LoggingLevel != types.LoggingLevelInfo {
		t.Errorf("created stage: %+v", stage)
	}

	// Reading back gives what creating gave.
	gotStage := must(p.GetStage(ctx, &sdk.GetStageInput{ApiId: api.ApiId, StageName: aws.String("$default")}))(t)
	if *gotStage.AccessLogSettings.Format != "$context.requestId" || gotStage.Tags["a"] != "b" {
		t.Errorf("read stage: %+v", gotStage)
	}
	gotRoute := must(p.GetRoute(ctx, &sdk.GetRouteInput{ApiId: api.ApiId, RouteId: route.RouteId}))(t)
	if *gotRoute.Target != *target || !*gotRoute.RequestParameters["route.request.querystring.token"].Required {
		t.Errorf("read route: %+v", gotRoute)
	}
	if got := must(p.GetRouteResponses(ctx, &sdk.GetRouteResponsesInput{ApiId: api.ApiId, RouteId: route.RouteId}))(t); len(got.Items) != 1 || *got.Items[0].RouteResponseId != *response.RouteResponseId {
		t.Errorf("route responses: %+v", got.Items)
	}
	if got := must(p.GetIntegrationResponses(ctx, &sdk.GetIntegrationResponsesInput{ApiId: api.ApiId, IntegrationId: integration.IntegrationId}))(t); len(got.Items) != 1 || *got.Items[0].IntegrationResponseId != *integrationResponse.IntegrationResponseId {
		t.Errorf("integration responses: %+v", got.Items)
	}

	// Updates change what they name.
	updated := must(p.UpdateApi(ctx, &sdk.UpdateApiInput{ApiId: api.ApiId, Description: aws.String("new")}))(t)
	if *updated.Description != "new" || *updated.Name != "chat" || *updated.RouteSelectionExpression != "$request.body.action" {
		t.Errorf("updated API: %+v", updated)
	}
	must(p.UpdateRoute(ctx, &sdk.UpdateRouteInput{ApiId: api.ApiId, RouteId: route.RouteId, OperationName: aws.String("Connect")}))(t)
	must(p.UpdateIntegration(ctx, &sdk.UpdateIntegrationInput{ApiId: api.ApiId, IntegrationId: integration.IntegrationId, TimeoutInMillis: aws.Int32(50)}))(t)
	must(p.UpdateRouteResponse(ctx, &sdk.UpdateRouteResponseInput{ApiId: api.ApiId, RouteId: route.RouteId, RouteResponseId: response.RouteResponseId}))(t)
	must(p.UpdateIntegrationResponse(ctx, &sdk.UpdateIntegrationResponseInput{ApiId: api.ApiId, IntegrationId: integration.IntegrationId, IntegrationResponseId: integrationResponse.IntegrationResponseId, IntegrationResponseKey: aws.String("$default")}))(t)
	must(p.UpdateDeployment(ctx, &sdk.UpdateDeploymentInput{ApiId: api.ApiId, DeploymentId: deployment.DeploymentId, Description: aws.String("renamed")}))(t)
	must(p.UpdateStage(ctx, &sdk.UpdateStageInput{ApiId: api.ApiId, StageName: aws.String("$default"), StageVariables: map[string]string{"x": "1"}}))(t)

	// Tags of both, whose ARNs are percent-encoded in the path.
	for _, arn := range []string{"arn:aws:apigateway:us-east-1::/apis/" + *api.ApiId, "arn:aws:apigateway:us-east-1::/apis/" + *api.ApiId + "/stages/$default"} {
		must(p.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"k1": "v1", "k2": "v2"}}))(t)
		must(p.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"k1", "a", "none"}}))(t)
		if got := must(p.GetTags(ctx, &sdk.GetTagsInput{ResourceArn: &arn}))(t).Tags; !cmp.Equal(got, map[string]string{"k2": "v2"}) {
			t.Errorf("tags of %s: %v", arn, got)
		}
	}

	// What goes, in the order that AWS asks for.
	must(p.DeleteRouteRequestParameter(ctx, &sdk.DeleteRouteRequestParameterInput{ApiId: api.ApiId, RouteId: route.RouteId, RequestParameterKey: aws.String("route.request.querystring.token")}))(t)
	must(p.DeleteRouteSettings(ctx, &sdk.DeleteRouteSettingsInput{ApiId: api.ApiId, StageName: aws.String("$default"), RouteKey: aws.String("$connect")}))(t)
	must(p.DeleteAccessLogSettings(ctx, &sdk.DeleteAccessLogSettingsInput{ApiId: api.ApiId, StageName: aws.String("$default")}))(t)
	gotStage = must(p.GetStage(ctx, &sdk.GetStageInput{ApiId: api.ApiId, StageName: aws.String("$default")}))(t)
	if len(gotStage.RouteSettings) != 0 || gotStage.AccessLogSettings != nil || gotStage.StageVariables["x"] != "1" {
		t.Errorf("stage after deletions: %+v", gotStage)
	}
	_, err = p.DeleteIntegration(ctx, &sdk.DeleteIntegrationInput{ApiId: api.ApiId, IntegrationId: integration.IntegrationId})
	refused(t, err, "ConflictException", "referenced by the following Routes with Ids: ["+*route.RouteId+"]")
	_, err = p.DeleteDeployment(ctx, &sdk.DeleteDeploymentInput{ApiId: api.ApiId, DeploymentId: deployment.DeploymentId})
	refused(t, err, "BadRequestException", "Active stages pointing to this deployment must be moved or deleted")
	must(p.DeleteStage(ctx, &sdk.DeleteStageInput{ApiId: api.ApiId, StageName: aws.String("$default")}))(t)
	must(p.DeleteDeployment(ctx, &sdk.DeleteDeploymentInput{ApiId: api.ApiId, DeploymentId: deployment.DeploymentId}))(t)
	must(p.DeleteRouteResponse(ctx, &sdk.DeleteRouteResponseInput{ApiId: api.ApiId, RouteId: route.RouteId, RouteResponseId: response.RouteResponseId}))(t)
	must(p.DeleteRoute(ctx, &sdk.DeleteRouteInput{ApiId: api.ApiId, RouteId: route.RouteId}))(t)
	must(p.DeleteIntegrationResponse(ctx, &sdk.DeleteIntegrationResponseInput{ApiId: api.ApiId, IntegrationId: integration.IntegrationId, IntegrationResponseId: integrationResponse.IntegrationResponseId}))(t)
	must(p.DeleteIntegration(ctx, &sdk.DeleteIntegrationInput{ApiId: api.ApiId, IntegrationId: integration.IntegrationId}))(t)
	must(p.DeleteApi(ctx, &sdk.DeleteApiInput{ApiId: api.ApiId}))(t)
	_, err = p.GetApi(ctx, &sdk.GetApiInput{ApiId: api.ApiId})
	refused(t, err, "NotFoundException", "Invalid API identifier specified "+*api.ApiId)
	var nf *types.NotFoundException
	if !errors.As(err, &nf) || *nf.ResourceType != "Api" {
		t.Errorf("%v does not carry its resource type", err)
	}
	if len(p.notices) != 0 {
		t.Errorf("notices: %q", p.notices)
	}
}

func TestPages(t *testing.T) {
	ctx := t.Context()
	p := start(t, awshttp.Enforce, nil)
	api := newAPI(t, p)
	want := map[string]bool{}
	for i := range 7 {
		want[*must(p.CreateRoute(ctx, &sdk.CreateRouteInput{ApiId: api.ApiId, RouteKey: aws.String(fmt.Sprint("r", i))}))(t).RouteId] = true
	}
	var sizes []int
	var token *string
	for {
		out := must(p.GetRoutes(ctx, &sdk.GetRoutesInput{ApiId: api.ApiId, MaxResults: aws.String("3"), NextToken: token}))(t)
		sizes = append(sizes, len(out.Items))
		for _, r := range out.Items {
			if !want[*r.RouteId] {
				t.Errorf("%s came twice or was never made", *r.RouteId)
			}
			delete(want, *r.RouteId)
		}
		if token = out.NextToken; token == nil {
			break
		}
	}
	if !cmp.Equal(sizes, []int{3, 3, 1}) || len(want) != 0 {
		t.Errorf("pages of %v items; %d never came", sizes, len(want))
	}
	for _, bad := range []string{"0", "-1", "x", "1.5"} {
		_, err := p.GetRoutes(ctx, &sdk.GetRoutesInput{ApiId: api.ApiId, MaxResults: &bad})
		refused(t, err, "BadRequestException", "maxResults")
	}
	_, err := p.GetRoutes(ctx, &sdk.GetRoutesInput{ApiId: api.ApiId, NextToken: aws.String("%%%")})
	refused(t, err, "BadRequestException", "nextToken")
}

// call sends a request as curl would.
func call(t *testing.T, method, url, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

func TestBareHTTP(t *testing.T) {
	p := start(t, awshttp.Warn, nil)
	api := *newAPI(t, p).ApiId
	for _, c := range []struct {
		method, path, body string
		status             int
		errorType, want    string
	}{
		{"POST", "/v2/apis", `{"name":"x","protocolType":"WEBSOCKET","routeSelectionExpression":"$request.body.action","someday":1,"tags":{"_custom_id_":"my-chat"}}`, 201, "", `"apiId":"my-chat"`},
		{"POST", "/v2/apis", `{"name":"x","protocolType":"WEBSOCKET","routeSelectionExpression":"$request.body.action","tags":{"_custom_id_":"my-chat"}}`, 409, "ConflictException", "my-chat"},
		{"POST", "/v2/apis", `{"name":"x"}`, 400, "BadRequestException", "Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]"},
		{"POST", "/v2/apis", `{"name":`, 400, "SerializationException", "JSON"},
		{"POST", "/v2/apis", `{"name":5}`, 400, "SerializationException", "JSON"},
		{"PATCH", "/v2/apis/my-chat", `{"corsConfiguration":{"allowOrigins":["*"]}}`, 400, "BadRequestException", "CorsConfiguration is supported only for HTTP APIs"},
		{"PATCH", "/v2/apis/my-chat", `{"corsConfiguration":{},"name":null}`, 200, "", `"name":"x"`},
		{"GET", "/v2/apis/nope", "", 404, "NotFoundException", `"resourceType":"Api"`},
		{"DELETE", "/v2/apis/my-chat", "", 204, "", ""},
		{"GET", "/v2/apis/" + api + "/stages/none", "", 404, "NotFoundException", "Invalid stage identifier specified"},
		{"POST", "/v2/apis/" + api + "/authorizers", "{}", 400, "BadRequestException", "AuthorizerType is required"},
		{"GET", "/v2/apis/" + api + "/authorizers/none", "", 404, "NotFoundException", "Invalid Authorizer identifier specified none"},
		{"GET", "/v2/apis/" + api + "/exports/OAS30", "", 400, "BadRequestException", "ExportApi is for HTTP APIs only"},
		{"PUT", "/v2/apis", `{"body":"{}"}`, 400, "BadRequestException", "ImportApi is for HTTP APIs only"},
		{"DELETE", "/v2/apis/" + api + "/stages/s/cache/authorizers", "", 400, "BadRequestException", "ResetAuthorizersCache is for HTTP APIs only"},
		{"GET", "/v2/domainnames/x.test/routingrules", "", 400, "BadRequestException", "Tidegate does not serve ListRoutingRules yet"},
		{"GET", "/v2/portals", "", 400, "BadRequestException", "portals"},
		{"GET", "/restapis", "", 400, "BadRequestException", "version 1 (GET /restapis)"},
		{"POST", "/apikeys", "{}", 400, "BadRequestException", "version 1 (POST /apikeys)"},
		{"GET", "/usageplans", "", 400, "BadRequestException", "version 1 (GET /usageplans)"},
		{"PATCH", "/account", "{}", 400, "BadRequestException", "version 1 (PATCH /account)"},
		{"GET", "/v2/nonsense", "", 404, "NotFoundException", "API Gateway V2 has no operation GET /v2/nonsense"},
		{"PUT", "/v2/apis/" + api + "/routes", "", 404, "NotFoundException", "no operation PUT"},
		// Both forms of an ARN in the path.
		{"GET", "/v2/tags/arn:aws:apigateway:us-east-1::/apis/" + api, "", 200, "", `{"tags":{}}`},
		{"GET", "/v2/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Fapis%2F" + api, "", 200, "", `{"tags":{}}`},
		{"GET", "/v2/tags/nonsense", "", 400, "BadRequestException", "Invalid ARN"},
		{"DELETE", "/v2/tags/arn:aws:apigateway:us-east-1::/apis/" + api, "", 400, "BadRequestException", "tagKeys"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			status, header, body := call(t, c.method, p.url+c.path, c.body)
			if status != c.status || header.Get("X-Amzn-Errortype") != c.errorType || !strings.Contains(body, c.want) {
				t.Errorf("got %d %s %s; want %d %s with %q", status, header.Get("X-Amzn-Errortype"), body, c.status, c.errorType, c.want)
			}
		})
	}
}

// The very bytes of a read-back, so that defaults and names are AWS's.
func TestReadBack(t *testing.T) {
	p := start(t, awshttp.Warn, nil)
	api := *newAPI(t, p).ApiId
	base := p.url + "/v2/apis/" + api
	_, _, body := call(t, "POST", base+"/stages", `{"stageName":"dev"}`)
	for _, want := range []string{`"stageName":"dev"`, `"autoDeploy":false`, `"routeSettings":{}`, `"stageVariables":{}`, `"tags":{}`,
		`"defaultRouteSettings":{"dataTraceEnabled":false,"detailedMetricsEnabled":false,"loggingLevel":"OFF"}`} {
		if !strings.Contains(body, want) {
			t.Errorf("stage %s lacks %s", body, want)
		}
	}
	if strings.Contains(body, "deploymentId") || strings.Contains(body, "accessLogSettings") || strings.Contains(body, "throttling") {
		t.Errorf("stage %s holds what wasn't given", body)
	}
	for _, c := range []struct{ body, want string }{
		{`{"integrationType":"MOCK"}`, `"integrationResponseSelectionExpression":"${integration.response.statuscode}","integrationType":"MOCK","passthroughBehavior":"WHEN_NO_MATCH","payloadFormatVersion":"1.0","responseParameters":{},"timeoutInMillis":29000}`},
		{`{"integrationType":"AWS_PROXY","integrationUri":"arn:aws:lambda:us-east-1:000000000000:function:f"}`, `"integrationMethod":"POST","integrationType":"AWS_PROXY","integrationUri":"arn:aws:lambda:us-east-1:000000000000:function:f","passthroughBehavior":"WHEN_NO_MATCH","payloadFormatVersion":"1.0","timeoutInMillis":29000}`},
		{`{"integrationType":"HTTP_PROXY","integrationMethod":"PUT","integrationUri":"https://example.com/x"}`, `"integrationMethod":"PUT","integrationType":"HTTP_PROXY"`},
	} {
		status, _, body := call(t, "POST", base+"/integrations", c.body)
		if status != 201 || !strings.Contains(body, c.want) || !strings.Contains(body, `"connectionType":"INTERNET"`) {
			t.Errorf("%s gave %d %s; want %s", c.body, status, body, c.want)
		}
	}
	_, _, body = call(t, "POST", base+"/routes", `{"routeKey":"$default"}`)
	if !strings.Contains(body, `{"apiKeyRequired":false,"authorizationScopes":[],"authorizationType":"NONE","requestModels":{},"routeId":"`) || strings.Contains(body, "target") {
		t.Errorf("route %s", body)
	}
}

func policy(t *testing.T, text string) *iampolicy.Document {
	t.Helper()
	d, err := iampolicy.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAuthorization(t *testing.T) {
	ctx := context.Background()
	ids := identities{
		"test": {Secret: "test", Principal: awshttp.Principal{Kind: awshttp.Root, ARN: "arn:aws:iam::" + account + ":root", Account: account}},
		"reader": {Secret: "secret", Principal: awshttp.Principal{
			Kind: awshttp.Role, ARN: "arn:aws:sts::" + account + ":assumed-role/reader/s", Account: account,
			Policies: []*iampolicy.Document{policy(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"apigateway:GET","Resource":"arn:aws:apigateway:us-east-1::/apis/allowed*"}]}`)},
		}},
	}
	p := start(t, awshttp.Enforce, ids)
	for _, id := range []string{"allowed", "other"} {
		must(p.CreateApi(ctx, &sdk.CreateApiInput{
			Name: aws.String("x"), ProtocolType: types.ProtocolTypeWebsocket, RouteSelectionExpression: aws.String("$request.body.action"), Tags: map[string]string{"_custom_id_": id},
		}))(t)
	}
	reader := client(p.url, "reader", "secret")
	must(reader.GetApi(ctx, &sdk.GetApiInput{ApiId: aws.String("allowed")}))(t)
	must(reader.GetRoutes(ctx, &sdk.GetRoutesInput{ApiId: aws.String("allowed")}))(t)
	_, err := reader.GetApi(ctx, &sdk.GetApiInput{ApiId: aws.String("other")})
	refused(t, err, "AccessDeniedException", "apigateway:GET on resource: arn:aws:apigateway:us-east-1::/apis/other")
	_, err = reader.DeleteApi(ctx, &sdk.DeleteApiInput{ApiId: aws.String("allowed")})
	refused(t, err, "AccessDeniedException", "apigateway:DELETE")
	_, err = client(p.url, "test", "wrong").GetApis(ctx, &sdk.GetApisInput{})
	refused(t, err, "InvalidSignatureException", "signature")
}
