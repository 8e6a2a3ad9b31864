package controlapi_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tidegate/internal/awshttp"
)

// same compares answers of different operations: their members, without what
// the SDK knows of the call.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(middleware.Metadata{}), cmpopts.IgnoreUnexported(
		sdk.GetApiOutput{}, sdk.GetStageOutput{}, sdk.GetDeploymentOutput{}, types.RouteSettings{}, types.AccessLogSettings{})); diff != "" {
		t.Errorf("%s drifted (-want +got):\n%s", what, diff)
	}
}

// TestNoDrift does with an API, a deployment and a stage what Terraform does:
// what it made is read back unchanged, an update changes what it names and no
// more, an update with what is there changes nothing, and what was deleted is
// not found.
func TestNoDrift(t *testing.T) {
	ctx := t.Context()
	p := start(t, awshttp.Warn, nil)
	api := must(p.CreateApi(ctx, &sdk.CreateApiInput{
		Name: aws.String("drift"), ProtocolType: types.ProtocolTypeWebsocket, RouteSelectionExpression: aws.String("$request.body.action"),
		Description: aws.String("d"), Tags: map[string]string{"k": "v"},
	}))(t)
	read := func() *sdk.GetApiOutput { return must(p.GetApi(ctx, &sdk.GetApiInput{ApiId: api.ApiId}))(t) }
	first := read()
	if *first.Name != *api.Name || *first.Description != "d" || first.Tags["k"] != "v" || *first.ApiEndpoint != *api.ApiEndpoint ||
		*first.ApiKeySelectionExpression != "$request.header.x-api-key" || *first.DisableExecuteApiEndpoint || first.IpAddressType != types.IpAddressTypeIpv4 {
		t.Errorf("read back %+v", first)
	}
	must(p.UpdateApi(ctx, &sdk.UpdateApiInput{ApiId: api.ApiId, Version: aws.String("2"), DisableExecuteApiEndpoint: aws.Bool(true)}))(t)
	want := *first
	want.Version, want.DisableExecuteApiEndpoint = aws.String("2"), aws.Bool(true)
	same(t, "the API after an update", &want, read())

	must(p.CreateRoute(ctx, &sdk.CreateRouteInput{ApiId: api.ApiId, RouteKey: aws.String("$default")}))(t)
	deployment := must(p.CreateDeployment(ctx, &sdk.CreateDeploymentInput{ApiId: api.ApiId, Description: aws.String("one")}))(t)
	group := "arn:aws:logs:us-east-1:" + account + ":log-group:/chat"
	settings := map[string]types.RouteSettings{"$default": {
		LoggingLevel: types.LoggingLevelError, DataTraceEnabled: aws.Bool(true), DetailedMetricsEnabled: aws.Bool(true),
		ThrottlingBurstLimit: aws.Int32(0), ThrottlingRateLimit: aws.Float64(0),
	}}
	must(p.CreateStage(ctx, &sdk.CreateStageInput{
		ApiId: api.ApiId, StageName: aws.String("dev"), DeploymentId: deployment.DeploymentId, StageVariables: map[string]string{"a": "1", "b": "2"},
		AccessLogSettings: &types.AccessLogSettings{DestinationArn: aws.String(group + ":*"), Format: aws.String("$context.requestId")}, RouteSettings: settings,
	}))(t)
	readStage := func() *sdk.GetStageOutput {
		return must(p.GetStage(ctx, &sdk.GetStageInput{ApiId: api.ApiId, StageName: aws.String("dev")}))(t)
	}
	stage := readStage()
	if *stage.AccessLogSettings.DestinationArn != group {
		t.Errorf("the destination reads back as %s", *stage.AccessLogSettings.DestinationArn)
	}
	same(t, "route settings", settings, stage.RouteSettings)

	// What merges, what is a no-op and what can't be cleared.
	must(p.UpdateStage(ctx, &sdk.UpdateStageInput{
		ApiId: api.ApiId, StageName: aws.String("dev"), StageVariables: map[string]string{"a": "", "c": "3"}, AccessLogSettings: &types.AccessLogSettings{},
	}))(t)
	wantStage := *stage
	wantStage.StageVariables = map[string]string{"b": "2", "c": "3"}
	got := readStage()
	wantStage.LastUpdatedDate = got.LastUpdatedDate
	same(t, "the stage after an update", &wantStage, got)
	must(p.DeleteRouteSettings(ctx, &sdk.DeleteRouteSettingsInput{ApiId: api.ApiId, StageName: aws.String("dev"), RouteKey: aws.String("$default")}))(t)
	must(p.DeleteAccessLogSettings(ctx, &sdk.DeleteAccessLogSettingsInput{ApiId: api.ApiId, StageName: aws.String("dev")}))(t)
	wantStage.RouteSettings, wantStage.AccessLogSettings = map[string]types.RouteSettings{}, nil
	got = readStage()
	wantStage.LastUpdatedDate = got.LastUpdatedDate
	same(t, "the stage without its settings", &wantStage, got)

	_, err := p.DeleteDeployment(ctx, &sdk.DeleteDeploymentInput{ApiId: api.ApiId, DeploymentId: deployment.DeploymentId})
	refused(t, err, "BadRequestException", "Active stages pointing to this deployment must be moved or deleted")
	next := must(p.CreateDeployment(ctx, &sdk.CreateDeploymentInput{ApiId: api.ApiId, StageName: aws.String("dev")}))(t)
	if got := readStage(); *got.DeploymentId != *next.DeploymentId {
		t.Errorf("the stage serves %s, not the new deployment", *got.DeploymentId)
	}
	must(p.DeleteDeployment(ctx, &sdk.DeleteDeploymentInput{ApiId: api.ApiId, DeploymentId: deployment.DeploymentId}))(t)
	must(p.UpdateStage(ctx, &sdk.UpdateStageInput{ApiId: api.ApiId, StageName: aws.String("dev"), AutoDeploy: aws.Bool(true)}))(t)
	_, err = p.UpdateStage(ctx, &sdk.UpdateStageInput{ApiId: api.ApiId, StageName: aws.String("dev"), DeploymentId: next.DeploymentId})
	refused(t, err, "BadRequestException", "Deployment ID cannot be set on this stage dev because AutoDeploy is enabled")
	must(p.DeleteStage(ctx, &sdk.DeleteStageInput{ApiId: api.ApiId, StageName: aws.String("dev")}))(t)
	_, err = p.GetStage(ctx, &sdk.GetStageInput{ApiId: api.ApiId, StageName: aws.String("dev")})
	refused(t, err, "NotFoundException", "Invalid stage identifier specified")
	must(p.DeleteApi(ctx, &sdk.DeleteApiInput{ApiId: api.ApiId}))(t)
}
