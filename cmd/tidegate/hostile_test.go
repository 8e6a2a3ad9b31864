package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"

	"tidegate/tidegatetest"
)

// What a definition holds must not hurt whom it is given to: templates that loop,
// recurse or explode end with an error frame, nothing is fetched for a schema, and no backend is
// called with a header that is two.
func TestHostileDefinitions(t *testing.T) {
	ctx := t.Context()
	s := tidegatetest.Start(t, tidegatetest.Options{})
	api := apigatewayv2.New(apigatewayv2.Options{Region: tidegatetest.Region, BaseEndpoint: aws.String(s.Endpoint()), RetryMaxAttempts: 1, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey}, nil
	})})
	made, err := api.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("hostile"), ProtocolType: "WEBSOCKET", RouteSelectionExpression: aws.String("$request.body.action")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: made.ApiId, StageName: aws.String("prod"), AutoDeploy: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	// mock makes a two-way route whose answer is the template.
	mock := func(key, template string, response *apigatewayv2.CreateIntegrationResponseInput, in *apigatewayv2.CreateIntegrationInput) {
		t.Helper()
		in.ApiId, response.ApiId = made.ApiId, made.ApiId
		if in.IntegrationType == "" {
			in.IntegrationType, in.TemplateSelectionExpression, in.RequestTemplates = "MOCK", aws.String("t"), map[string]string{"t": `{"statusCode":200}`}
		}
		i, err := api.CreateIntegration(ctx, in)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		response.IntegrationId, response.TemplateSelectionExpression, response.ResponseTemplates = i.IntegrationId, aws.String("t"), map[string]string{"t": template}
		if _, err := api.CreateIntegrationResponse(ctx, response); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		r, err := api.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: made.ApiId, RouteKey: &key, Target: aws.String("integrations/" + *i.IntegrationId), RouteResponseSelectionExpression: aws.String("$default")})
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if _, err := api.CreateRouteResponse(ctx, &apigatewayv2.CreateRouteResponseInput{ApiId: made.ApiId, RouteId: r.RouteId, RouteResponseKey: aws.String("$default")}); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	always := func() *apigatewayv2.CreateIntegrationResponseInput {
		return &apigatewayv2.CreateIntegrationResponseInput{IntegrationResponseKey: aws.String("$default")}
	}

	const good = "fine"
	mock("good", good, always(), &apigatewayv2.CreateIntegrationInput{})
	templates := map[string]string{
		"loops":    strings.Repeat("#foreach($i in [1..1000])", 9) + "x" + strings.Repeat("#end", 9),
		"recurses": "#macro(again)#again()#end#again()",
		"explodes": `#set($s="xxxxxxxxxxxxxxxx")` + strings.Repeat(`#set($s="$s$s")`, 40) + "$s",
		"swells":   "#set($l=[])" + "#foreach($i in [1..1000])#foreach($j in [1..1000])#set($ok=$l.add($l.toString()))#end#end",
	}
	for key, template := range templates {
		mock(key, template, always(), &apigatewayv2.CreateIntegrationInput{})
	}
	var header atomic.Pointer[http.Header]
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { header.Store(&r.Header); w.Write([]byte("heard")) }))
	t.Cleanup(backend.Close)
	mock("header", good, always(), &apigatewayv2.CreateIntegrationInput{IntegrationType: "HTTP", IntegrationMethod: aws.String("POST"), IntegrationUri: &backend.URL,
		PassthroughBehavior: "WHEN_NO_MATCH", RequestParameters: map[string]string{"integration.request.header.X-A": "route.request.body.a", "integration.request.header.X-B": "'b\r\nX-Evil: 1'"}})
	// Schemas from elsewhere are refused, and nobody is asked for them.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a schema's reference was fetched") }))
	asked.Listener.Close()
	asked.Listener = l
	asked.Start()
	t.Cleanup(asked.Close)
	for _, ref := range []string{asked.URL + "/schema.json", "file:///etc/passwd"} {
		_, err := api.CreateModel(ctx, &apigatewayv2.CreateModelInput{ApiId: made.ApiId, Name: aws.String("Remote"), Schema: aws.String(`{"$ref":"` + ref + `"}`)})
		if err == nil || !strings.Contains(err.Error(), "BadRequestException") || !strings.Contains(err.Error(), "nothing is fetched") {
			t.Errorf("a schema that refers to %s: %v", ref, err)
		}
	}
	if _, err := api.CreateModel(ctx, &apigatewayv2.CreateModelInput{ApiId: made.ApiId, Name: aws.String("Deep"), Schema: aws.String(strings.Repeat(`{"not":`, 5000) + "{}" + strings.Repeat("}", 5000))}); err == nil || !strings.Contains(err.Error(), "BadRequestException") {
		t.Errorf("a schema 5000 deep: %v", err)
	}
	models, err := api.GetModels(ctx, &apigatewayv2.GetModelsInput{ApiId: made.ApiId})
	if err != nil || len(models.Items) != 0 {
		t.Errorf("refused models are kept: %v, %v", models, err)
	}

	c := tidegatetest.Dial(t, "ws"+strings.TrimPrefix(s.Endpoint(), "http")+"/prod", nil)
	for key := range templates {
		c.Send(`{"action":"` + key + `"}`)
		if got := c.Receive(); !strings.Contains(got, `"message": "Internal server error"`) {
			t.Errorf("%s is answered with %.200s", key, got)
		}
		c.Send(`{"action":"good"}`)
		if got := c.Receive(); got != good {
			t.Errorf("after %s the good route answers %.200s", key, got)
		}
	}
	c.Send(`{"action":"header","a":"a\r\nX-Evil: 1"}`)
	if got := c.Receive(); !strings.Contains(got, `"message": "Internal server error"`) {
		t.Errorf("header is answered with %.200s", got)
	}
	if h := header.Load(); h != nil {
		t.Errorf("a value with a line break went to the backend: %v", *h)
	}
}
