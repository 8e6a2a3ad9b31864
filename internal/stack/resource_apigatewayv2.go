package stack

import "strings"

// The types of API Gateway's WebSocket APIs. Source: the CloudFormation
// reference of AWS::ApiGatewayV2.

const (
	httpAPIOnly   = "it belongs to HTTP APIs"
	authorization = "is not built yet: only AuthorizationType NONE is"
)

var routeSettingsFields = map[string]property{
	"DataTraceEnabled":       booleanProperty,
	"DetailedMetricsEnabled": booleanProperty,
	"LoggingLevel":           oneOf("OFF", "ERROR", "INFO"),
	"ThrottlingBurstLimit":   integerProperty,
	"ThrottlingRateLimit":    {form: aNumber},
}

var apiID = required(replaces(textProperty))

var apiGatewayV2Types = map[string]*resourceType{
	"AWS::ApiGatewayV2::Api": {
		name:       "AWS::ApiGatewayV2::Api",
		attributes: []string{"ApiEndpoint", "ApiId"},
		properties: map[string]property{
			"ApiKeySelectionExpression": textProperty,
			"BasePath":                  noEffect(aText, httpAPIOnly),
			"Body":                      {form: anyJSON, notBuilt: "is not built yet: describe the API with Route and Integration resources"},
			"BodyS3Location":            {form: anyJSON, notBuilt: "is not built yet: describe the API with Route and Integration resources"},
			"CorsConfiguration":         noEffect(anyJSON, httpAPIOnly),
			"CredentialsArn":            noEffect(aText, httpAPIOnly),
			"Description":               textProperty,
			"DisableExecuteApiEndpoint": booleanProperty,
			"DisableSchemaValidation":   booleanProperty,
			"FailOnWarnings":            noEffect(aBoolean, httpAPIOnly),
			"IpAddressType":             oneOf("ipv4", "dualstack"),
			"Name":                      required(textProperty),
			"ProtocolType":              required(replaces(oneOf("WEBSOCKET", "HTTP"))),
			"RouteKey":                  noEffect(aText, httpAPIOnly),
			"RouteSelectionExpression":  textProperty,
			"Tags":                      {form: textMap},
			"Target":                    noEffect(aText, httpAPIOnly),
			"Version":                   textProperty,
		},
	},
	"AWS::ApiGatewayV2::Route": {
		name:       "AWS::ApiGatewayV2::Route",
		attributes: []string{"RouteId"},
		properties: map[string]property{
			"ApiId":                            apiID,
			"ApiKeyRequired":                   {form: aBoolean, notBuilt: "is not built yet: only false is", harmless: "false"},
			"AuthorizationScopes":              {form: texts, notBuilt: authorization},
			"AuthorizationType":                {form: aText, notBuilt: authorization, harmless: "NONE"},
			"AuthorizerId":                     {form: aText, notBuilt: authorization},
			"ModelSelectionExpression":         notBuilt(aText),
			"OperationName":                    textProperty,
			"RequestModels":                    notBuilt(anyJSON),
			"RequestParameters":                fields(objectMap, map[string]property{"Required": booleanProperty}),
			"RouteKey":                         required(textProperty),
			"RouteResponseSelectionExpression": textProperty,
			"Target":                           textProperty,
		},
	},
	"AWS::ApiGatewayV2::RouteResponse": {
		name:       "AWS::ApiGatewayV2::RouteResponse",
		attributes: []string{"RouteResponseId"},
		properties: map[string]property{
			"ApiId":                    apiID,
			"ModelSelectionExpression": notBuilt(aText),
			"ResponseModels":           notBuilt(anyJSON),
			"ResponseParameters":       fields(objectMap, map[string]property{"Required": booleanProperty}),
			"RouteId":                  required(replaces(textProperty)),
			"RouteResponseKey":         required(textProperty),
		},
	},
	"AWS::ApiGatewayV2::Integration": {
		name:       "AWS::ApiGatewayV2::Integration",
		attributes: []string{"IntegrationId"},
		properties: map[string]property{
			"ApiId":                       apiID,
			"ConnectionId":                notBuilt(aText),
			"ConnectionType":              {form: aText, notBuilt: "is not built yet: only INTERNET is", harmless: "INTERNET"},
			"ContentHandlingStrategy":     oneOf("CONVERT_TO_BINARY", "CONVERT_TO_TEXT"),
			"CredentialsArn":              textProperty,
			"Description":                 textProperty,
			"IntegrationMethod":           textProperty,
			"IntegrationSubtype":          noEffect(aText, httpAPIOnly),
			"IntegrationType":             required(oneOf("AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK")),
			"IntegrationUri":              textProperty,
			"PassthroughBehavior":         oneOf("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"),
			"PayloadFormatVersion":        textProperty,
			"RequestParameters":           {form: textMap},
			"RequestTemplates":            {form: textMap},
			"ResponseParameters":          noEffect(anyJSON, httpAPIOnly),
			"TemplateSelectionExpression": textProperty,
			"TimeoutInMillis":             integerProperty,
			"TlsConfig":                   noEffect(anyJSON, httpAPIOnly),
		},
	},
	"AWS::ApiGatewayV2::IntegrationResponse": {
		name:       "AWS::ApiGatewayV2::IntegrationResponse",
		attributes: []string{"IntegrationResponseId"},
		properties: map[string]property{
			"ApiId":                       apiID,
			"ContentHandlingStrategy":     oneOf("CONVERT_TO_BINARY", "CONVERT_TO_TEXT"),
			"IntegrationId":               required(replaces(textProperty)),
			"IntegrationResponseKey":      required(textProperty),
			"ResponseParameters":          {form: textMap},
			"ResponseTemplates":           {form: textMap},
			"TemplateSelectionExpression": textProperty,
		},
	},
	"AWS::ApiGatewayV2::Deployment": {
		name:       "AWS::ApiGatewayV2::Deployment",
		attributes: []string{"DeploymentId"},
		properties: map[string]property{
			"ApiId":       apiID,
			"Description": textProperty,
			"StageName":   textProperty,
		},
	},
	"AWS::ApiGatewayV2::Stage": {
		name: "AWS::ApiGatewayV2::Stage",
		properties: map[string]property{
			"AccessLogSettings":    noEffect(anyJSON, "access logs are not built yet"),
			"AccessPolicyId":       noEffect(aText, httpAPIOnly),
			"ApiId":                apiID,
			"AutoDeploy":           booleanProperty,
			"ClientCertificateId":  notBuilt(aText),
			"DefaultRouteSettings": fields(anObject, routeSettingsFields),
			"DeploymentId":         textProperty,
			"Description":          textProperty,
			"RouteSettings":        fields(objectMap, routeSettingsFields),
			"StageName":            required(replaces(textProperty)),
			"StageVariables":       {form: textMap},
			"Tags":                 {form: textMap},
		},
	},
}

// checkAPI reports what an API's properties say together.
func checkAPI(res *resource, r *reporter) {
	if p, ok := res.properties.get("ProtocolType").scalar(); ok && p == "HTTP" {
		r.errorf(res.propertyPlace("ProtocolType"), "HTTP APIs are not served: Tidegate has WebSocket APIs (WEBSOCKET)")
		return
	}
	if res.properties.get("RouteSelectionExpression") == nil {
		r.report(res.place().in("Properties"), "the usual one is $request.body.action",
			"a WebSocket API needs the property RouteSelectionExpression")
	}
}

// checkIntegration reports an integration type that can't run yet.
func checkIntegration(res *resource, r *reporter) {
	typ, _ := res.properties.get("IntegrationType").scalar()
	switch typ {
	case "AWS", "HTTP":
		r.errorf(res.propertyPlace("IntegrationType"), "integration type %s is not built yet; AWS_PROXY, HTTP_PROXY and MOCK are", typ)
	case "AWS_PROXY", "HTTP_PROXY":
		if res.properties.get("IntegrationUri") == nil {
			r.errorf(res.place().in("Properties"), "integration type %s needs the property IntegrationUri", typ)
		}
	}
}

// checkStage reports a deployment on a stage that deploys itself.
func checkStage(res *resource, r *reporter) {
	auto, _ := res.properties.get("AutoDeploy").scalar()
	if strings.EqualFold(auto, "true") && res.properties.get("DeploymentId") != nil {
		r.report(res.propertyPlace("DeploymentId"), "remove one of them", "a stage with AutoDeploy can't name a deployment")
	}
	if name, _ := res.properties.get("StageName").scalar(); strings.HasPrefix(name, "_tidegate") {
		r.errorf(res.propertyPlace("StageName"), "stage names that begin with _tidegate are taken by Tidegate itself")
	}
}
