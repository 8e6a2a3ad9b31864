package controlapi

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
)

// leftOut are members of AWS's that the wire structs lack, each with its reason.
var leftOut = map[string]string{
	"Api.apiGatewayManaged":                     "only quick create sets it",
	"Api.corsConfiguration":                     "HTTP APIs only",
	"Api.importInfo":                            "only an import sets it",
	"Api.warnings":                              "only an import sets it",
	"Route.apiGatewayManaged":                   "only quick create sets it",
	"Authorizer.authorizerPayloadFormatVersion": "HTTP APIs only",
	"Authorizer.authorizerResultTtlInSeconds":   "HTTP APIs only",
	"Authorizer.enableSimpleResponses":          "HTTP APIs only",
	"Authorizer.jwtConfiguration":               "HTTP APIs only",
	"Integration.apiGatewayManaged":             "only quick create sets it",
	"Integration.integrationSubtype":            "refused on input",
	"Integration.tlsConfig":                     "refused on input",
	"Stage.apiGatewayManaged":                   "only quick create sets it",
	"Stage.clientCertificateId":                 "refused on input",
	"VpcLink.vpcLinkStatusMessage":              "nothing goes wrong with what is only kept",
	"DomainName.mutualTlsAuthentication":        "refused on input",
}

// pathMembers travel in the path of a request.
var pathMembers = []string{"apiId", "routeId", "routeResponseId", "integrationId", "authorizerId", "modelId", "integrationResponseId", "deploymentId", "vpcLinkId", "resourceArn", "domainName", "apiMappingId"}

// lower returns AWS's JSON name of a member of the SDK's.
func lower(name string) string { return strings.ToLower(name[:1]) + name[1:] }

// members returns JSON names and Go types of a struct's exported fields.
func members(t reflect.Type, jsonTags bool) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Name == "ResultMetadata" {
			continue
		}
		name := lower(f.Name)
		if jsonTags {
			name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
		}
		out[name] = f.Type
	}
	return out
}

// compatible says whether what the SDK sends as one type can be ours as the other.
func compatible(ours, theirs reflect.Type) bool {
	if ours == reflect.TypeFor[json.RawMessage]() {
		return true
	}
	if theirs == reflect.TypeFor[*time.Time]() {
		return ours.Kind() == reflect.String
	}
	for ours.Kind() == reflect.Pointer {
		ours = ours.Elem()
	}
	for theirs.Kind() == reflect.Pointer {
		theirs = theirs.Elem()
	}
	switch theirs.Kind() {
	case reflect.Int32:
		return ours.Kind() == reflect.Int || ours.Kind() == reflect.Int64
	case reflect.Map, reflect.Slice:
		return ours.Kind() == theirs.Kind() && compatible(ours.Elem(), theirs.Elem())
	case reflect.Struct:
		if ours.Kind() != reflect.Struct {
			return false
		}
		mine := members(ours, true)
		for name, t := range members(theirs, false) {
			if mine[name] == nil || !compatible(mine[name], t) {
				return false
			}
		}
		return true
	}
	return ours.Kind() == theirs.Kind()
}

func TestOutputsHaveAWSMembers(t *testing.T) {
	used := map[string]bool{}
	for _, c := range []struct{ ours, theirs any }{
		{apiOutput{}, types.Api{}},
		{routeOutput{}, types.Route{}},
		{authorizerOutput{}, types.Authorizer{}},
		{routeResponseOutput{}, types.RouteResponse{}},
		{integrationOutput{}, types.Integration{}},
		{integrationResponseOutput{}, types.IntegrationResponse{}},
		{modelOutput{}, types.Model{}},
		{deploymentOutput{}, types.Deployment{}},
		{stageOutput{}, types.Stage{}},
		{routeSettings{}, types.RouteSettings{}},
		{accessLogSettings{}, types.AccessLogSettings{}},
		{vpcLinkOutput{}, types.VpcLink{}},
		{parameterConstraints{}, types.ParameterConstraints{}},
		{domainOutput{}, types.DomainName{}},
		{domainConfiguration{}, types.DomainNameConfiguration{}},
		{mappingOutput{}, types.ApiMapping{}},
	} {
		name := reflect.TypeOf(c.theirs).Name()
		ours, theirs := members(reflect.TypeOf(c.ours), true), members(reflect.TypeOf(c.theirs), false)
		for m, typ := range theirs {
			key := name + "." + m
			switch {
			case ours[m] == nil && leftOut[key] == "":
				t.Errorf("%s is missing", key)
			case ours[m] == nil:
				used[key] = true
			case !compatible(ours[m], typ):
				t.Errorf("%s is %v here and %v in AWS's model", key, ours[m], typ)
			}
		}
		for m := range ours {
			if theirs[m] == nil {
				t.Errorf("%s.%s is no member of AWS's", name, m)
			}
		}
	}
	for key := range leftOut {
		if !used[key] {
			t.Errorf("%s is listed as left out, and is there", key)
		}
	}
}

func TestInputsHaveAWSMembers(t *testing.T) {
	for _, c := range []struct{ ours, create, update any }{
		{apiInput{}, sdk.CreateApiInput{}, sdk.UpdateApiInput{}},
		{routeInput{}, sdk.CreateRouteInput{}, sdk.UpdateRouteInput{}},
		{routeResponseInput{}, sdk.CreateRouteResponseInput{}, sdk.UpdateRouteResponseInput{}},
		{authorizerInput{}, sdk.CreateAuthorizerInput{}, sdk.UpdateAuthorizerInput{}},
		{integrationInput{}, sdk.CreateIntegrationInput{}, sdk.UpdateIntegrationInput{}},
		{integrationResponseInput{}, sdk.CreateIntegrationResponseInput{}, sdk.UpdateIntegrationResponseInput{}},
		{modelInput{}, sdk.CreateModelInput{}, sdk.UpdateModelInput{}},
		{deploymentInput{}, sdk.CreateDeploymentInput{}, sdk.UpdateDeploymentInput{}},
		{stageInput{}, sdk.CreateStageInput{}, sdk.UpdateStageInput{}},
		{vpcLinkInput{}, sdk.CreateVpcLinkInput{}, sdk.UpdateVpcLinkInput{}},
		{domainInput{}, sdk.CreateDomainNameInput{}, sdk.UpdateDomainNameInput{}},
		{mappingInput{}, sdk.CreateApiMappingInput{}, sdk.UpdateApiMappingInput{}},
		{tagsBody{}, sdk.TagResourceInput{}, sdk.TagResourceInput{}},
	} {
		ours := members(reflect.TypeOf(c.ours), true)
		known := map[string]bool{}
		for _, request := range []any{c.create, c.update} {
			typ := reflect.TypeOf(request)
			for m, theirs := range members(typ, false) {
				known[m] = true
				// A stage's deploymentId is a member of the body, a deployment's own is in the path.
				if ours[m] == nil && slices.Contains(pathMembers, m) {
					continue
				}
				if ours[m] == nil {
					t.Errorf("%s.%s is missing", typ.Name(), m)
				} else if !compatible(ours[m], theirs) {
					t.Errorf("%s.%s is %v here and %v in AWS's model", typ.Name(), m, ours[m], theirs)
				}
			}
		}
		for m := range ours {
			if !known[m] {
				t.Errorf("%T.%s is no member of AWS's", c.ours, m)
			}
		}
	}
}

// Every operation of the SDK's client must be served or refused by name.
func TestEveryOperationIsNamed(t *testing.T) {
	named := map[string]bool{}
	for _, name := range unservedOperations {
		named[name] = true
	}
	served := strings.Fields(`CreateApi GetApis GetApi UpdateApi DeleteApi
		CreateRoute GetRoutes GetRoute UpdateRoute DeleteRoute DeleteRouteRequestParameter
		CreateRouteResponse GetRouteResponses GetRouteResponse UpdateRouteResponse DeleteRouteResponse
		CreateAuthorizer GetAuthorizers GetAuthorizer UpdateAuthorizer DeleteAuthorizer
		CreateIntegration GetIntegrations GetIntegration UpdateIntegration DeleteIntegration
		CreateIntegrationResponse GetIntegrationResponses GetIntegrationResponse UpdateIntegrationResponse DeleteIntegrationResponse
		CreateDeployment GetDeployments GetDeployment UpdateDeployment DeleteDeployment
		CreateStage GetStages GetStage UpdateStage DeleteStage DeleteAccessLogSettings DeleteRouteSettings
		CreateModel GetModels GetModel UpdateModel DeleteModel GetModelTemplate
		CreateVpcLink GetVpcLinks GetVpcLink UpdateVpcLink DeleteVpcLink
		CreateDomainName GetDomainNames GetDomainName UpdateDomainName DeleteDomainName
		CreateApiMapping GetApiMappings GetApiMapping UpdateApiMapping DeleteApiMapping
		TagResource GetTags UntagResource`)
	for _, name := range served {
		if named[name] {
			t.Errorf("%s is served and refused", name)
		}
		named[name] = true
	}
	client := reflect.TypeFor[*sdk.Client]()
	for i := range client.NumMethod() {
		name := client.Method(i).Name
		portal := strings.Contains(name, "Portal") || strings.Contains(name, "ProductPage") || strings.Contains(name, "ProductRestEndpointPage")
		if name != "Options" && !portal && !named[name] {
			t.Errorf("%s is neither served nor refused by name", name)
		}
		delete(named, name)
	}
	for name := range named {
		t.Errorf("%s is no operation of the SDK's", name)
	}
}
