package stack

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tidegate/internal/pattern"
	"tidegate/vtl"
)

// The types of API Gateway's WebSocket APIs. Source: the CloudFormation
// reference of AWS::ApiGatewayV2.

const (
	httpAPIOnly = "it belongs to HTTP APIs"
	scopes      = "is for JWT authorizers only, which WebSocket APIs can't have"
)

var routeSettingsFields = map[string]property{
	"DataTraceEnabled":       booleanProperty,
	"DetailedMetricsEnabled": booleanProperty,
	"LoggingLevel":           oneOf("OFF", "ERROR", "INFO"),
	"ThrottlingBurstLimit":   integerProperty,
	"ThrottlingRateLimit":    {form: aNumber},
}

var (
	apiID    = required(replaces(textProperty))
	strategy = oneOf("CONVERT_TO_BINARY", "CONVERT_TO_TEXT") // ContentHandlingStrategy
)

var apiGatewayV2Types = map[string]*resourceType{
	"AWS::ApiGatewayV2::DomainName": domainNameType,
	"AWS::ApiGatewayV2::ApiMapping": apiMappingType,
	"AWS::ApiGatewayV2::Api": {
		name:       "AWS::ApiGatewayV2::Api",
		attributes: []string{"ApiEndpoint", "ApiId"},
		properties: map[string]property{
			"ApiKeySelectionExpression": textProperty,
			"BasePath":                  noEffect(aText, httpAPIOnly),
			"Body":                      {form: anyJSON, notBuilt: "is for HTTP APIs only, on AWS too: OpenAPI can't describe a WebSocket API; use Route and Integration resources"},
			"BodyS3Location":            {form: anyJSON, notBuilt: "is for HTTP APIs only, on AWS too: OpenAPI can't describe a WebSocket API; use Route and Integration resources"},
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
			"ApiKeyRequired":                   booleanProperty,
			"AuthorizationScopes":              {form: texts, notBuilt: scopes},
			"AuthorizationType":                oneOf("NONE", "AWS_IAM", "CUSTOM", "JWT"),
			"AuthorizerId":                     textProperty,
			"ModelSelectionExpression":         textProperty,
			"OperationName":                    textProperty,
			"RequestModels":                    {form: textMap},
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
			"ConnectionId":                textProperty,
			"ConnectionType":              oneOf("INTERNET", "VPC_LINK"),
			"ContentHandlingStrategy":     strategy,
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
			"ContentHandlingStrategy":     strategy,
			"IntegrationId":               required(replaces(textProperty)),
			"IntegrationResponseKey":      required(textProperty),
			"ResponseParameters":          {form: textMap},
			"ResponseTemplates":           {form: textMap},
			"TemplateSelectionExpression": textProperty,
		},
	},
	"AWS::ApiGatewayV2::Authorizer": {
		name:       "AWS::ApiGatewayV2::Authorizer",
		attributes: []string{"AuthorizerId"},
		properties: map[string]property{
			"ApiId":                          apiID,
			"AuthorizerCredentialsArn":       textProperty,
			"AuthorizerPayloadFormatVersion": noEffect(aText, httpAPIOnly),
			"AuthorizerResultTtlInSeconds":   noEffect(anInteger, httpAPIOnly+"; an authorizer is asked for each connection"),
			"AuthorizerType":                 required(oneOf("REQUEST", "JWT")),
			"AuthorizerUri":                  textProperty,
			"EnableSimpleResponses":          noEffect(aBoolean, httpAPIOnly),
			"IdentitySource":                 {form: texts},
			"IdentityValidationExpression":   textProperty,
			"JwtConfiguration":               noEffect(anyJSON, httpAPIOnly),
			"Name":                           required(textProperty),
		},
	},
	"AWS::ApiGatewayV2::Model": {
		name:       "AWS::ApiGatewayV2::Model",
		attributes: []string{"ModelId"},
		properties: map[string]property{
			"ApiId":       apiID,
			"ContentType": textProperty,
			"Description": textProperty,
			"Name":        required(textProperty),
			"Schema":      required(property{form: aDocument}),
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
			"AccessLogSettings":    fields(anObject, map[string]property{"DestinationArn": textProperty, "Format": textProperty}),
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

// checkIntegration reports what an integration's properties lack together.
func checkIntegration(res *resource, r *reporter) {
	typ, _ := res.properties.get("IntegrationType").scalar()
	needs := func(names ...string) {
		for _, name := range names {
			if res.properties.get(name) == nil {
				r.errorf(res.place().in("Properties"), "integration type %s needs the property %s", typ, name)
			}
		}
	}
	switch typ {
	case "AWS", "AWS_PROXY":
		needs("IntegrationUri")
	case "HTTP", "HTTP_PROXY":
		needs("IntegrationUri", "IntegrationMethod")
	}
	if link, _ := res.properties.get("ConnectionType").scalar(); link == "VPC_LINK" {
		needs("ConnectionId")
	}
	if uri, ok := res.properties.get("IntegrationUri").scalar(); ok && typ == "AWS" {
		checkServiceURI(res, uri, needs, r)
	}
	if arn, ok := res.properties.get("CredentialsArn").scalar(); ok && strings.HasSuffix(arn, ":iam::*:user/*") {
		r.errorf(res.propertyPlace("CredentialsArn"), "the caller's own identity (%s) is not built yet; name a role", arn)
	}
	checkTemplates(res, "RequestTemplates", r)
}

// checkServiceURI reports what an AWS integration lacks to call a service.
func checkServiceURI(res *resource, uri string, needs func(...string), r *reporter) {
	switch {
	case strings.Contains(uri, ":function:"), strings.Contains(uri, ":lambda:path/"): // a function
	case !strings.HasPrefix(uri, "arn:") || !strings.Contains(uri, ":action/") && !strings.Contains(uri, ":path/"):
		r.errorf(res.propertyPlace("IntegrationUri"), "the ARN of an AWS integration must contain path or action: arn:aws:apigateway:REGION:SERVICE:action/ACTION")
	default:
		needs("CredentialsArn", "IntegrationMethod")
	}
}

// checkRoute reports authorization that a WebSocket API's route can't have.
func checkRoute(res *resource, r *reporter) {
	typ, _ := res.properties.get("AuthorizationType").scalar()
	key, fixed := res.properties.get("RouteKey").scalar()
	switch {
	case typ == "JWT":
		r.errorf(res.propertyPlace("AuthorizationType"), "JWT belongs to HTTP APIs; a WebSocket API takes NONE, AWS_IAM or CUSTOM")
	case typ != "" && typ != "NONE" && fixed && key != "$connect":
		r.report(res.propertyPlace("AuthorizationType"), "authorize $connect, which guards the connection as a whole", "authorization is restricted to the $connect route only, on AWS too")
	case typ == "CUSTOM" && res.properties.get("AuthorizerId") == nil:
		r.errorf(res.place().in("Properties"), "AuthorizationType CUSTOM needs the property AuthorizerId")
	}
}

// checkAuthorizer reports an authorizer that a WebSocket API can't have.
func checkAuthorizer(res *resource, r *reporter) {
	switch typ, _ := res.properties.get("AuthorizerType").scalar(); {
	case typ == "JWT":
		r.errorf(res.propertyPlace("AuthorizerType"), "JWT authorizers belong to HTTP APIs; a WebSocket API's authorizer is a Lambda function (REQUEST)")
	case typ == "REQUEST" && res.properties.get("AuthorizerUri") == nil:
		r.errorf(res.place().in("Properties"), "an authorizer of type REQUEST needs the property AuthorizerUri")
	}
}

// checkTemplates reports mapping templates that aren't Velocity; the deployment
// would refuse them too, without their line.
func checkTemplates(res *resource, name string, r *reporter) {
	templates := res.properties.get(name)
	if templates == nil {
		return
	}
	for _, m := range templates.members {
		text, ok := m.value.scalar()
		if !ok {
			continue
		}
		if _, err := vtl.Parse(text); err != nil {
			r.errorf(res.propertyPlace(name).in(m.name).at(m.value), "the mapping template is no Velocity: %v", err)
		}
	}
}

// stageName is what a stage's name may be, beside $default: the permissions that
// SAM makes carry it in an ARN, and would be refused before the stage is.
var stageName = pattern.New(`^[A-Za-z0-9_-]{1,128}$`)

// deploysItself says that the stage makes a deployment of each change.
func deploysItself(res *resource) bool {
	auto, _ := res.properties.get("AutoDeploy").scalar()
	return strings.EqualFold(auto, "true")
}

// checkStage reports a name that no stage may have.
func checkStage(res *resource, r *reporter) {
	switch name, ok := res.properties.get("StageName").scalar(); {
	case ok && name != "$default" && !stageName.MatchString(name):
		r.errorf(res.propertyPlace("StageName"), "a stage name is 1 to 128 characters of [A-Za-z0-9_-], or $default, not %q", name)
	case strings.HasPrefix(name, "_tidegate"):
		r.errorf(res.propertyPlace("StageName"), "stage names that begin with _tidegate are taken by Tidegate itself")
	}
}

// customIDTag is the tag that fixes an API's id; Tidegate's control plane honours
// it.
const customIDTag = "_custom_id_"

const apiGateway = "apigateway" // the signing name

// wire returns a value as the API takes it: with lower set, the names that the
// type declares begin with a small letter, as apigatewayv2's do; names that the
// template's author chose stay.
func wire(v *value, p property, lower bool) any {
	switch {
	case p.form == aDocument && v.kind == object:
		return v.json()
	case p.form == anObject && v.kind == object:
		return wireObject(v, p.fields, lower)
	case p.form == objects && v.kind == list:
		items := make([]any, len(v.items))
		for i, x := range v.items {
			items[i] = wireObject(x, p.fields, lower)
		}
		return items
	case p.form == objectMap && v.kind == object:
		m := map[string]any{}
		for _, x := range v.members {
			m[x.name] = wireObject(x.value, p.fields, lower)
		}
		return m
	}
	return v.plain()
}

func wireObject(v *value, known map[string]property, lower bool, skip ...string) map[string]any {
	m := map[string]any{}
	for _, x := range v.members {
		if slices.Contains(skip, x.name) {
			continue
		}
		name := x.name
		if lower {
			name = lowerFirst(name)
		}
		m[name] = wire(x.value, known[x.name], lower)
	}
	return m
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// apiPath joins escaped path segments behind /v2/apis.
func apiPath(segments ...string) string {
	var b strings.Builder
	b.WriteString("/v2/apis")
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

type apiHandler struct{}

func (h apiHandler) body(a *applier, c *change) map[string]any {
	body := wireObject(c.properties, c.res.schema.properties, true)
	tags, _ := body["tags"].(map[string]any)
	if tags == nil {
		tags = map[string]any{}
	}
	if tags[customIDTag] == nil {
		tags[customIDTag] = a.s.apiID(c.res.id)
	}
	body["tags"] = tags
	return body
}

func (h apiHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	body := h.body(a, c)
	id, _ := body["tags"].(map[string]any)[customIDTag].(string)
	var answer struct{ APIID, APIEndpoint string }
	err := a.rest(ctx, apiGateway, "CreateApi", http.MethodPost, apiPath(), body, &answer)
	if isConflict(err) {
		// Made by a run that didn't come to record it.
		return h.patch(ctx, a, c, id)
	}
	if err != nil {
		return RecordedResource{}, err
	}
	a.fresh[answer.APIID] = true
	return h.recorded(a, c, answer.APIID, answer.APIEndpoint), nil
}

func (h apiHandler) recorded(a *applier, c *change, id, endpoint string) RecordedResource {
	if endpoint == "" {
		endpoint = a.s.apiEndpoint(id)
	}
	out := c.recorded(id, "arn:aws:apigateway:"+a.s.Region+"::/apis/"+id)
	out.Attributes["ApiId"], out.Attributes["ApiEndpoint"] = id, endpoint
	out.Details["Name"] = c.get("Name")
	return out
}

func (h apiHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	if c.has("Tags") {
		if err := a.retag(ctx, c, c.old.ARN, h.body(a, c)["tags"].(map[string]any)); err != nil {
			return RecordedResource{}, err
		}
	}
	return h.patch(ctx, a, c, c.old.PhysicalID)
}

func (h apiHandler) patch(ctx context.Context, a *applier, c *change, id string) (RecordedResource, error) {
	body := wireObject(c.properties, c.res.schema.properties, true, "ProtocolType", "Tags")
	reset(body, c)
	var answer struct{ APIEndpoint string }
	if err := a.rest(ctx, apiGateway, "UpdateApi", http.MethodPatch, apiPath(id), body, &answer); err != nil {
		return RecordedResource{}, err
	}
	return h.recorded(a, c, id, answer.APIEndpoint), nil
}

// retag makes the tags of an API or stage those wanted.
func (a *applier) retag(ctx context.Context, c *change, arn string, wanted map[string]any) error {
	path := "/v2/tags/" + url.PathEscape(arn)
	var answer struct{ Tags map[string]string }
	if err := a.optional(c, "Tags", a.rest(ctx, apiGateway, "GetTags", http.MethodGet, path, nil, &answer)); err != nil {
		return err
	}
	gone := url.Values{}
	for k := range answer.Tags {
		if _, ok := wanted[k]; !ok {
			gone.Add("tagKeys", k)
		}
	}
	if len(gone) > 0 {
		if err := a.optional(c, "Tags", a.rest(ctx, apiGateway, "UntagResource", http.MethodDelete, path+"?"+gone.Encode(), nil, nil)); err != nil {
			return err
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	return a.optional(c, "Tags", a.rest(ctx, apiGateway, "TagResource", http.MethodPost, path, map[string]any{"tags": wanted}, nil))
}

func (apiHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, apiGateway, "DeleteApi", http.MethodDelete, apiPath(old.PhysicalID), nil, nil)
}

func (apiHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	return there(a.rest(ctx, apiGateway, "GetApi", http.MethodGet, apiPath(old.PhysicalID), nil, nil))
}

// there turns the error of a look-up into an answer.
func there(err error) (bool, error) {
	if isNotFound(err) {
		return false, nil
	}
	return true, err
}

// reset adds to a PATCH what brings properties that are no longer given back to
// their defaults: an omitted member would be left as it is.
func reset(body map[string]any, c *change) {
	for _, name := range c.removed {
		switch p := c.res.schema.properties[name]; {
		case p.form == aText && len(p.values) == 0:
			body[lowerFirst(name)] = ""
		case p.form == aBoolean:
			body[lowerFirst(name)] = false
		case name == "RequestModels":
			body["requestModels"] = map[string]any{}
		case name == "AuthorizationType":
			body["authorizationType"] = "NONE"
		case name == "IdentitySource":
			body["identitySource"] = []string{}
		case name == "DefaultRouteSettings":
			body["defaultRouteSettings"] = map[string]any{"loggingLevel": "OFF", "dataTraceEnabled": false, "detailedMetricsEnabled": false}
		}
	}
}

// A childHandler handles what lies in a collection below an API.
type childHandler struct {
	operation  string // CreateRoute without its verb
	collection string
	attribute  string // RouteId
	// parent is the property that names the parent below the API, and the
	// collection that parent lies in.
	parent, parents string
	// keys are the members that tell one from another in its collection; none
	// means that each is new.
	keys []string
	// mergedMap is a property whose map is merged by PATCH, so that keys that
	// left it must be sent empty.
	mergedMap string
}

var childHandlers = map[string]childHandler{
	"AWS::ApiGatewayV2::Route": {operation: "Route", collection: "routes", attribute: "RouteId", keys: []string{"routeKey"}},
	"AWS::ApiGatewayV2::RouteResponse": {operation: "RouteResponse", collection: "routeresponses", attribute: "RouteResponseId",
		parent: "RouteId", parents: "routes", keys: []string{"routeResponseKey"}},
	"AWS::ApiGatewayV2::Integration": {operation: "Integration", collection: "integrations", attribute: "IntegrationId",
		keys: []string{"integrationType", "integrationUri", "description"}, mergedMap: "RequestParameters"},
	"AWS::ApiGatewayV2::IntegrationResponse": {operation: "IntegrationResponse", collection: "integrationresponses", attribute: "IntegrationResponseId",
		parent: "IntegrationId", parents: "integrations", keys: []string{"integrationResponseKey"}},
	"AWS::ApiGatewayV2::Authorizer": {operation: "Authorizer", collection: "authorizers", attribute: "AuthorizerId", keys: []string{"name"}},
	"AWS::ApiGatewayV2::Model":      {operation: "Model", collection: "models", attribute: "ModelId", keys: []string{"name"}},
	"AWS::ApiGatewayV2::Deployment": {operation: "Deployment", collection: "deployments", attribute: "DeploymentId"},
}

// path returns the path of the collection, or of one member.
func (h childHandler) path(details map[string]string, id ...string) string {
	segments := []string{details["ApiId"]}
	if h.parent != "" {
		segments = append(segments, h.parents, details[h.parent])
	}
	segments = append(segments, h.collection)
	return apiPath(append(segments, id...)...)
}

// details are where a resource lies.
func (h childHandler) details(c *change) map[string]string {
	d := map[string]string{"ApiId": c.get("ApiId")}
	if h.parent != "" {
		d[h.parent] = c.get(h.parent)
	}
	return d
}

func (h childHandler) body(c *change) map[string]any {
	return wireObject(c.properties, c.res.schema.properties, true, "ApiId", h.parent)
}

func (h childHandler) recorded(c *change, id string) RecordedResource {
	out := c.recorded(id, "")
	out.Attributes[h.attribute] = id
	out.Details = h.details(c)
	return out
}

func (h childHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	details, body := h.details(c), h.body(c)
	if !a.fresh[details["ApiId"]] && len(h.keys) > 0 {
		// Perhaps made by a run that didn't come to record it.
		id, err := h.find(ctx, a, details, body)
		if err != nil {
			return RecordedResource{}, err
		}
		if id != "" {
			return h.patch(ctx, a, c, id)
		}
	}
	answer := map[string]any{}
	if err := a.rest(ctx, apiGateway, "Create"+h.operation, http.MethodPost, h.path(details), body, &answer); err != nil {
		return RecordedResource{}, err
	}
	id, _ := answer[lowerFirst(h.attribute)].(string)
	return h.recorded(c, id), nil
}

// maxPages bounds how many pages of a list are read.
const maxPages = 100

// find returns the id of a member with the same keys that no resource of the
// template has yet, or "".
func (h childHandler) find(ctx context.Context, a *applier, details map[string]string, body map[string]any) (string, error) {
	taken := map[string]bool{}
	for id, r := range a.record.Resources {
		if a.s.byID[id] != nil && r.Details["ApiId"] == details["ApiId"] {
			taken[r.PhysicalID] = true
		}
	}
	token := ""
	for range maxPages {
		path := h.path(details)
		if token != "" {
			path += "?nextToken=" + url.QueryEscape(token)
		}
		var page struct {
			Items     []map[string]any
			NextToken string
		}
		if err := a.rest(ctx, apiGateway, "Get"+h.operation+"s", http.MethodGet, path, nil, &page); err != nil {
			return "", err
		}
		for _, item := range page.Items {
			id, _ := item[lowerFirst(h.attribute)].(string)
			same := !slices.ContainsFunc(h.keys, func(k string) bool { return orEmpty(item[k]) != orEmpty(body[k]) })
			if same && id != "" && !taken[id] {
				return id, nil
			}
		}
		if token = page.NextToken; token == "" {
			break
		}
	}
	return "", nil
}

func orEmpty(v any) string {
	s, _ := v.(string)
	return s
}

func (h childHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.patch(ctx, a, c, c.old.PhysicalID)
}

// patch changes an existing member to what the template says.
func (h childHandler) patch(ctx context.Context, a *applier, c *change, id string) (RecordedResource, error) {
	body, path := h.body(c), h.path(h.details(c), id)
	reset(body, c)
	if h.collection == "deployments" {
		delete(body, "stageName")
	}
	if h.mergedMap != "" && (c.old == nil || c.has(h.mergedMap)) || h.collection == "routes" && (c.old == nil || c.has("RequestParameters")) {
		if err := h.clearMap(ctx, a, body, path); err != nil {
			return RecordedResource{}, err
		}
	}
	if err := a.rest(ctx, apiGateway, "Update"+h.operation, http.MethodPatch, path, body, nil); err != nil {
		return RecordedResource{}, err
	}
	return h.recorded(c, id), nil
}

// clearMap makes a PATCH, or for routes an operation of its own, remove the
// request parameters that the template no longer has.
func (h childHandler) clearMap(ctx context.Context, a *applier, body map[string]any, path string) error {
	var now struct{ RequestParameters map[string]any }
	if err := a.rest(ctx, apiGateway, "Get"+h.operation, http.MethodGet, path, nil, &now); err != nil {
		return err
	}
	wanted, _ := body["requestParameters"].(map[string]any)
	for _, k := range keys(now.RequestParameters) {
		if _, ok := wanted[k]; ok {
			continue
		}
		if h.collection == "routes" {
			err := a.rest(ctx, apiGateway, "DeleteRouteRequestParameter", http.MethodDelete, path+"/requestparameters/"+url.PathEscape(k), nil, nil)
			if err != nil && !isNotFound(err) {
				return err
			}
			continue
		}
		if wanted == nil {
			wanted = map[string]any{}
		}
		wanted[k] = ""
		body["requestParameters"] = wanted
	}
	return nil
}

func (h childHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, apiGateway, "Delete"+h.operation, http.MethodDelete, h.path(old.Details, old.PhysicalID), nil, nil)
}

type stageHandler struct{}

func (h stageHandler) recorded(a *applier, c *change) RecordedResource {
	api, name := c.get("ApiId"), c.get("StageName")
	out := c.recorded(name, "arn:aws:apigateway:"+a.s.Region+"::/apis/"+api+"/stages/"+name)
	out.Details["ApiId"] = api
	return out
}

// body is what the API is sent. A destination that it would refuse is noted
// instead: the stage serves without that log.
func (stageHandler) body(a *applier, c *change, skip ...string) map[string]any {
	body := wireObject(c.properties, c.res.schema.properties, true, skip...)
	destination, ok := c.properties.get("AccessLogSettings").get("DestinationArn").scalar()
	if parts := strings.SplitN(destination, ":", 4); ok && len(parts) == 4 && parts[2] == "firehose" {
		a.r.notef(c.res.propertyPlace("AccessLogSettings"), "Tidegate writes access logs to log groups, not to Firehose streams (%s): this stage has none here", clip(destination))
		delete(body, "accessLogSettings")
	}
	return body
}

func (h stageHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	body := h.body(a, c, "ApiId")
	err := a.rest(ctx, apiGateway, "CreateStage", http.MethodPost, apiPath(c.get("ApiId"), "stages"), body, nil)
	if isConflict(err) {
		return h.patch(ctx, a, c)
	}
	if err != nil {
		return RecordedResource{}, err
	}
	return h.recorded(a, c), nil
}

func (h stageHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	if c.has("Tags") {
		tags, _ := c.properties.get("Tags").plain().(map[string]any)
		if err := a.retag(ctx, c, c.old.ARN, tags); err != nil {
			return RecordedResource{}, err
		}
	}
	return h.patch(ctx, a, c)
}

// patch changes a stage that is there: variables merge, so those that left are
// sent empty; settings of routes that left are deleted one by one.
func (h stageHandler) patch(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	path := apiPath(c.get("ApiId"), "stages", c.get("StageName"))
	body := h.body(a, c, "ApiId", "StageName", "Tags")
	reset(body, c)
	if slices.Contains(c.removed, "DeploymentId") {
		delete(body, "deploymentId") // AutoDeploy took over
	}
	if c.old == nil || c.has("StageVariables", "RouteSettings") {
		var now struct {
			StageVariables map[string]string
			RouteSettings  map[string]any
		}
		if err := a.rest(ctx, apiGateway, "GetStage", http.MethodGet, path, nil, &now); err != nil {
			return RecordedResource{}, err
		}
		variables, _ := body["stageVariables"].(map[string]any)
		if variables == nil {
			variables = map[string]any{}
		}
		for k := range now.StageVariables {
			if _, ok := variables[k]; !ok {
				variables[k] = ""
			}
		}
		if len(variables) > 0 {
			body["stageVariables"] = variables
		}
		settings, _ := body["routeSettings"].(map[string]any)
		for _, k := range keys(now.RouteSettings) {
			if _, ok := settings[k]; ok {
				continue
			}
			err := a.rest(ctx, apiGateway, "DeleteRouteSettings", http.MethodDelete, path+"/routesettings/"+url.PathEscape(k), nil, nil)
			if err = a.optional(c, "RouteSettings", err); err != nil && !isNotFound(err) {
				return RecordedResource{}, err
			}
		}
	}
	if body["accessLogSettings"] == nil && c.old != nil && c.has("AccessLogSettings") {
		if err := a.rest(ctx, apiGateway, "DeleteAccessLogSettings", http.MethodDelete, path+"/accesslogsettings", nil, nil); err != nil {
			return RecordedResource{}, err
		}
	}
	if err := a.rest(ctx, apiGateway, "UpdateStage", http.MethodPatch, path, body, nil); err != nil {
		return RecordedResource{}, err
	}
	return h.recorded(a, c), nil
}

func (stageHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, apiGateway, "DeleteStage", http.MethodDelete, apiPath(old.Details["ApiId"], "stages", old.PhysicalID), nil, nil)
}
