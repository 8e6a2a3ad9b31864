package controlapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"

	"tidegate/internal/awshttp"
)

const certificate = "arn:aws:acm:us-east-1:" + account + ":certificate/12345678-1234-1234-1234-123456789012"

func configuration(change func(*types.DomainNameConfiguration)) []types.DomainNameConfiguration {
	c := types.DomainNameConfiguration{CertificateArn: aws.String(certificate)}
	if change != nil {
		change(&c)
	}
	return []types.DomainNameConfiguration{c}
}

// newStage makes an API with a stage and returns the API's id.
func newStage(t *testing.T, p *plane, stages ...string) *string {
	t.Helper()
	api := newAPI(t, p)
	for _, s := range stages {
		must(p.CreateStage(t.Context(), &sdk.CreateStageInput{ApiId: api.ApiId, StageName: &s}))(t)
	}
	return api.ApiId
}

// TestDomains makes domains and mappings, reads them back, changes and deletes
// them.
func TestDomains(t *testing.T) {
	ctx := t.Context()
	p := start(t, awshttp.Warn, nil)
	api, name := newStage(t, p, "dev", "prod"), aws.String("chat.example.test")
	made := must(p.CreateDomainName(ctx, &sdk.CreateDomainNameInput{
		DomainName: aws.String("Chat.example.test"), DomainNameConfigurations: configuration(nil), Tags: map[string]string{"k": "v"},
	}))(t)
	read := must(p.GetDomainName(ctx, &sdk.GetDomainNameInput{DomainName: name}))(t)
	c := read.DomainNameConfigurations[0]
	if *read.DomainName != *name || *read.DomainNameArn != "arn:aws:apigateway:us-east-1::/domainnames/"+*name || read.Tags["k"] != "v" ||
		read.RoutingMode != types.RoutingModeApiMappingOnly || *read.ApiMappingSelectionExpression != "$request.basepath" ||
		*c.CertificateArn != certificate || c.EndpointType != types.EndpointTypeRegional || c.SecurityPolicy != types.SecurityPolicyTls12 ||
		c.DomainNameStatus != types.DomainNameStatusAvailable || c.IpAddressType != types.IpAddressTypeIpv4 || *c.HostedZoneId == "" ||
		!strings.HasPrefix(*c.ApiGatewayDomainName, "d-") || *c.ApiGatewayDomainName != *made.DomainNameConfigurations[0].ApiGatewayDomainName {
		t.Errorf("read back %+v, %+v", read, c)
	}
	other := strings.Replace(certificate, "12345678", "87654321", 1)
	must(p.UpdateDomainName(ctx, &sdk.UpdateDomainNameInput{DomainName: name, DomainNameConfigurations: configuration(func(c *types.DomainNameConfiguration) { c.CertificateArn = &other })}))(t)
	must(p.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: read.DomainNameArn, Tags: map[string]string{"l": "w"}}))(t)
	must(p.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: read.DomainNameArn, TagKeys: []string{"k"}}))(t)
	read = must(p.GetDomainName(ctx, &sdk.GetDomainNameInput{DomainName: name}))(t)
	if got := must(p.GetTags(ctx, &sdk.GetTagsInput{ResourceArn: read.DomainNameArn}))(t).Tags; *read.DomainNameConfigurations[0].CertificateArn != other || fmt.Sprint(got) != "map[l:w]" || fmt.Sprint(read.Tags) != "map[l:w]" {
		t.Errorf("after the update: %+v, tags %v", read, got)
	}

	root := must(p.CreateApiMapping(ctx, &sdk.CreateApiMappingInput{DomainName: name, ApiId: api, Stage: aws.String("dev")}))(t)
	deep := must(p.CreateApiMapping(ctx, &sdk.CreateApiMappingInput{DomainName: name, ApiId: api, Stage: aws.String("prod"), ApiMappingKey: aws.String("v1/chat")}))(t)
	if *root.ApiMappingKey != "" || *deep.ApiMappingKey != "v1/chat" || len(*root.ApiMappingId) != 6 {
		t.Errorf("mappings %+v, %+v", root, deep)
	}
	_, err := p.CreateApiMapping(ctx, &sdk.CreateApiMappingInput{DomainName: name, ApiId: api, Stage: aws.String("prod")})
	refused(t, err, "ConflictException", "ApiMapping key already exists for this domain name")
	_, err = p.UpdateApiMapping(ctx, &sdk.UpdateApiMappingInput{DomainName: name, ApiMappingId: deep.ApiMappingId, ApiId: api, ApiMappingKey: aws.String("")})
	refused(t, err, "ConflictException", "ApiMapping key already exists")
	must(p.UpdateApiMapping(ctx, &sdk.UpdateApiMappingInput{DomainName: name, ApiMappingId: deep.ApiMappingId, ApiId: api, ApiMappingKey: aws.String("chat")}))(t)
	if m := must(p.GetApiMapping(ctx, &sdk.GetApiMappingInput{DomainName: name, ApiMappingId: deep.ApiMappingId}))(t); *m.ApiMappingKey != "chat" || *m.Stage != "prod" || *m.ApiId != *api {
		t.Errorf("the updated mapping is %+v", m)
	}
	first := must(p.GetApiMappings(ctx, &sdk.GetApiMappingsInput{DomainName: name, MaxResults: aws.String("1")}))(t)
	rest := must(p.GetApiMappings(ctx, &sdk.GetApiMappingsInput{DomainName: name, NextToken: first.NextToken}))(t)
	if len(first.Items) != 1 || len(rest.Items) != 1 || *first.Items[0].ApiMappingId == *rest.Items[0].ApiMappingId || rest.NextToken != nil {
		t.Errorf("pages %+v, %+v", first, rest)
	}

	// What a domain leads to stays.
	_, err = p.DeleteStage(ctx, &sdk.DeleteStageInput{ApiId: api, StageName: aws.String("prod")})
	refused(t, err, "BadRequestException", "Deleting stage prod failed. Please remove all base path mappings related to the stage in your domains: chat.example.test")
	_, err = p.DeleteApi(ctx, &sdk.DeleteApiInput{ApiId: api})
	refused(t, err, "BadRequestException", "Please remove all API mappings for the API from your custom domain names")
	must(p.DeleteApiMapping(ctx, &sdk.DeleteApiMappingInput{DomainName: name, ApiMappingId: deep.ApiMappingId}))(t)
	must(p.DeleteStage(ctx, &sdk.DeleteStageInput{ApiId: api, StageName: aws.String("prod")}))(t)
	must(p.DeleteDomainName(ctx, &sdk.DeleteDomainNameInput{DomainName: name}))(t)
	must(p.DeleteApi(ctx, &sdk.DeleteApiInput{ApiId: api}))(t)
	_, err = p.GetDomainName(ctx, &sdk.GetDomainNameInput{DomainName: name})
	refused(t, err, "NotFoundException", "The domain name resource specified in the request was not found.")
}

// TestDomainPages lists several domains, a wildcard among them.
func TestDomainPages(t *testing.T) {
	p := start(t, awshttp.Warn, nil)
	for _, name := range []string{"b.example.test", "*.example.test", "a.example.test"} {
		must(p.CreateDomainName(t.Context(), &sdk.CreateDomainNameInput{DomainName: &name, DomainNameConfigurations: configuration(nil)}))(t)
	}
	var names []string
	for token := aws.String(""); token != nil; {
		page := must(p.GetDomainNames(t.Context(), &sdk.GetDomainNamesInput{MaxResults: aws.String("2"), NextToken: token}))(t)
		for _, d := range page.Items {
			names = append(names, *d.DomainName)
		}
		token = page.NextToken
	}
	if got := strings.Join(names, " "); got != "*.example.test a.example.test b.example.test" {
		t.Errorf("the pages hold %s", got)
	}
}

// TestDomainsRefused gives domains and mappings what they can't have.
func TestDomainsRefused(t *testing.T) {
	ctx := t.Context()
	p := start(t, awshttp.Warn, nil)
	api, name := newStage(t, p, "dev"), aws.String("chat.example.test")
	must(p.CreateDomainName(ctx, &sdk.CreateDomainNameInput{DomainName: name, DomainNameConfigurations: configuration(nil)}))(t)
	_, err := p.CreateDomainName(ctx, &sdk.CreateDomainNameInput{DomainName: name, DomainNameConfigurations: configuration(nil)})
	refused(t, err, "BadRequestException", "The domain name you provided already exists.")
	for _, name := range []string{"localhost", "127.0.0.1", "chat", "a..b", "-a.test", "a.*.test", "x.execute-api.us-east-1.amazonaws.com", "dynamodb.amazonaws.com", "a_b.test", strings.Repeat("a", 64) + ".test", "a/b.test", "ü.test"} {
		_, err := p.CreateDomainName(ctx, &sdk.CreateDomainNameInput{DomainName: &name, DomainNameConfigurations: configuration(nil)})
		refused(t, err, "BadRequestException", "Invalid domain name specified")
	}
	for want, in := range map[string]sdk.CreateDomainNameInput{
		"Invalid input. Expected one domain name configuration":                  {},
		"Expected one domain name configuration":                                 {DomainNameConfigurations: append(configuration(nil), configuration(nil)...)},
		"Mutual TLS domain name association is not supported for Websocket APIs": {DomainNameConfigurations: configuration(nil), MutualTlsAuthentication: &types.MutualTlsAuthenticationInput{TruststoreUri: aws.String("s3://b/k")}},
		"does not serve RoutingMode ROUTING_RULE_ONLY":                           {DomainNameConfigurations: configuration(nil), RoutingMode: types.RoutingModeRoutingRuleOnly},
		"Invalid RoutingMode":                                                    {DomainNameConfigurations: configuration(nil), RoutingMode: "x"},
		"Only REGIONAL domain names":                                             {DomainNameConfigurations: configuration(func(c *types.DomainNameConfiguration) { c.EndpointType = types.EndpointTypeEdge })},
		"with a security policy of TLS 1.2":                                      {DomainNameConfigurations: configuration(func(c *types.DomainNameConfiguration) { c.SecurityPolicy = types.SecurityPolicyTls10 })},
		"Invalid CertificateArn":                                                 {DomainNameConfigurations: configuration(func(c *types.DomainNameConfiguration) { c.CertificateArn = aws.String("arn:aws:iam::1:x") })},
		"Invalid IpAddressType":                                                  {DomainNameConfigurations: configuration(func(c *types.DomainNameConfiguration) { c.IpAddressType = "ipv6" })},
	} {
		in.DomainName = aws.String("new.example.test")
		_, err := p.CreateDomainName(ctx, &in)
		refused(t, err, "BadRequestException", want)
	}
	for key, want := range map[string]string{
		"ping": "reserved for health checks", "a b": "An ApiMapping key may contain only", "/a": "An ApiMapping key may contain only", "a/": "An ApiMapping key may contain only", "a//b": "An ApiMapping key may contain only",
		strings.Repeat("a", 301): "An ApiMapping key may contain only", "a/@connections": "An ApiMapping key may contain only",
	} {
		_, err := p.CreateApiMapping(ctx, &sdk.CreateApiMappingInput{DomainName: name, ApiId: api, Stage: aws.String("dev"), ApiMappingKey: &key})
		refused(t, err, "BadRequestException", want)
	}
	_, err = p.CreateApiMapping(ctx, &sdk.CreateApiMappingInput{DomainName: name, ApiId: aws.String("nosuchapi0"), Stage: aws.String("dev")})
	refused(t, err, "BadRequestException", "Invalid API identifier specified nosuchapi0")
	_, err = p.CreateApiMapping(ctx, &sdk.CreateApiMappingInput{DomainName: name, ApiId: api, Stage: aws.String("prod")})
	refused(t, err, "BadRequestException", "Invalid stage identifier specified")
	_, err = p.CreateApiMapping(ctx, &sdk.CreateApiMappingInput{DomainName: aws.String("nobody.test"), ApiId: api, Stage: aws.String("dev")})
	refused(t, err, "NotFoundException", "The domain name resource specified in the request was not found.")
	_, err = p.GetApiMapping(ctx, &sdk.GetApiMappingInput{DomainName: name, ApiMappingId: aws.String("zzzzzz")})
	refused(t, err, "NotFoundException", "The api mapping resource specified in the request was not found.")
}
