// Package apigw holds the words of the field: APIs, routes, integrations,
// stages and deployments as AWS names them, its quotas, and the kinds of error.
// It knows nothing of HTTP, sockets or storage.
//
// Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/
package apigw

import (
	"strings"
	"time"
)

// A RouteKey selects a route. Keys that begin with '$' are AWS's own.
type RouteKey string

// The predefined route keys.
const (
	RouteConnect    RouteKey = "$connect"
	RouteDisconnect RouteKey = "$disconnect"
	RouteDefault    RouteKey = "$default"
)

// A StageName names a stage within its API: [A-Za-z0-9_-]{1,128} or $default.
type StageName string

// An API is a WebSocket API with everything it owns. It is the unit that the
// catalog stores.
type API struct {
	ID                        string
	Name                      string
	Description               string
	Version                   string
	RouteSelectionExpression  string
	APIKeySelectionExpression string
	DisableSchemaValidation   bool
	DisableExecuteAPIEndpoint bool
	IPAddressType             string
	Tags                      map[string]string
	Created                   time.Time
	// File declares the API, and alone changes it; "" of one that is made through
	// the API.
	File string `json:",omitempty"`

	Routes       map[string]*Route       // by route id
	Integrations map[string]*Integration // by integration id
	Models       map[string]*Model       // by model id
	Authorizers  map[string]*Authorizer  // by authorizer id
	Stages       map[StageName]*Stage    // by name
	Deployments  map[string]*Deployment  // by deployment id; the frozen definitions lie beside
}

// A Route maps a route key to an integration.
type Route struct {
	ID                               string
	Key                              RouteKey
	Target                           string // integrations/{id}, or empty
	AuthorizationType                string // one of the Authorization constants; empty is NONE
	AuthorizerID                     string // with CUSTOM
	APIKeyRequired                   bool
	ModelSelectionExpression         string
	RequestModels                    map[string]string // value of the model selection expression → model name
	OperationName                    string
	RouteResponseSelectionExpression string
	RequestParameters                map[string]ParameterConstraint // route.request.querystring.N → required
	Responses                        map[string]*RouteResponse      // by route response id
}

// IntegrationID returns the id in Target, or "".
func (r *Route) IntegrationID() string {
	const prefix = "integrations/"
	if len(r.Target) > len(prefix) && r.Target[:len(prefix)] == prefix {
		return r.Target[len(prefix):]
	}
	return ""
}

// TwoWay says whether the integration's answer goes to the client: the route
// has a route response, whatever its expression (WS-03-110, WS-03-111).
func (r *Route) TwoWay() bool { return len(r.Responses) > 0 }

// A Model is a JSON Schema that messages are validated against.
type Model struct {
	ID          string
	Name        string // alphanumeric
	ContentType string // application/json
	Description string
	Schema      string // JSON Schema draft 4
}

// A ParameterConstraint says whether a declared request parameter must be there.
type ParameterConstraint struct {
	Required bool
}

// A RouteResponse makes its route two-way.
type RouteResponse struct {
	ID                       string
	Key                      string // only $default
	ModelSelectionExpression string
	ResponseModels           map[string]string
	ResponseParameters       map[string]ParameterConstraint
}

// How a route's clients are authorized. AWS takes others than NONE on $connect
// only.
const (
	AuthorizationNone   = "NONE"
	AuthorizationIAM    = "AWS_IAM"
	AuthorizationCustom = "CUSTOM" // by an Authorizer
	AuthorizationJWT    = "JWT"    // of HTTP APIs; WebSocket APIs can't have it
)

// AuthorizerRequest is the only type of authorizer that WebSocket APIs have: a
// function that is shown the handshake.
const AuthorizerRequest = "REQUEST"

// An Authorizer decides on $connect by asking a Lambda function.
type Authorizer struct {
	ID             string
	Name           string
	Type           string // AuthorizerRequest
	URI            string // as of an integration with the function
	CredentialsARN string // the role that invokes it; empty: the function's permission allows it
	// IdentitySource names what a handshake must have for the function to be asked:
	// route.request.header.N, route.request.querystring.N, stageVariables.N or
	// context.N.
	IdentitySource               []string
	IdentityValidationExpression string // kept; AWS doesn't use it on WebSocket APIs
}

// An IntegrationType is what kind of backend a route calls.
type IntegrationType string

// The integration types of WebSocket APIs.
const (
	IntegrationAWS       IntegrationType = "AWS"
	IntegrationAWSProxy  IntegrationType = "AWS_PROXY"
	IntegrationHTTP      IntegrationType = "HTTP"
	IntegrationHTTPProxy IntegrationType = "HTTP_PROXY"
	IntegrationMock      IntegrationType = "MOCK"
)

// A PassthroughBehavior says what to do when no request template fits.
type PassthroughBehavior string

// The passthrough behaviors; the first is the default.
const (
	PassthroughWhenNoMatch     PassthroughBehavior = "WHEN_NO_MATCH"
	PassthroughWhenNoTemplates PassthroughBehavior = "WHEN_NO_TEMPLATES"
	PassthroughNever           PassthroughBehavior = "NEVER"
)

// An Integration is what a route calls.
type Integration struct {
	ID                          string
	Type                        IntegrationType
	Method                      string // POST for Lambda
	URI                         string
	ConnectionType              string // INTERNET or VPC_LINK
	ConnectionID                string // of a VPC link
	CredentialsARN              string // the role that calls; "" leaves it to the function's policy
	Description                 string
	ContentHandlingStrategy     string
	PassthroughBehavior         PassthroughBehavior
	PayloadFormatVersion        string
	RequestParameters           map[string]string
	RequestTemplates            map[string]string
	TemplateSelectionExpression string
	Timeout                     time.Duration                   // 50 ms to 29 s
	Responses                   map[string]*IntegrationResponse // by integration response id
}

// CallsFunction says that the URI of an AWS integration is meant to name a
// Lambda function, rightly or not; others name a service's action or path.
func (i *Integration) CallsFunction() bool {
	service := strings.Contains(i.URI, ":apigateway:")
	return service && strings.Contains(i.URI, ":lambda:path/") && strings.HasSuffix(i.URI, "/invocations") ||
		!service && strings.HasPrefix(i.URI, "arn:") && strings.Contains(i.URI, ":function:")
}

// An IntegrationResponse maps a backend's answer, chosen by its key.
type IntegrationResponse struct {
	ID                          string
	Key                         string // $default or /regex/
	ContentHandlingStrategy     string
	ResponseParameters          map[string]string
	ResponseTemplates           map[string]string
	TemplateSelectionExpression string
}

// A Stage is a named, reachable deployment with its own settings.
type Stage struct {
	Name                 StageName
	Description          string
	DeploymentID         string
	AutoDeploy           bool
	Variables            map[string]string
	Ordered              bool // a client's messages one after the other: ours, not in AWS's APIs
	DefaultRouteSettings RouteSettings
	RouteSettings        map[RouteKey]RouteSettings
	AccessLog            AccessLogSettings
	ClientCertificateID  string
	LastDeploymentStatus string // lastDeploymentStatusMessage
	Tags                 map[string]string
	Created, Updated     time.Time
}

// RouteSettings are a stage's settings of one route or of all. Nil throttles
// mean the account's; a zero rejects everything.
type RouteSettings struct {
	DataTraceEnabled       bool
	DetailedMetricsEnabled bool
	LoggingLevel           string // OFF, ERROR, INFO
	ThrottlingBurstLimit   *int
	ThrottlingRateLimit    *float64
}

// AccessLogSettings say where and how a stage logs each event.
type AccessLogSettings struct {
	DestinationARN string
	Format         string
}

// A Deployment is an immutable snapshot of an API's routes and integrations.
type Deployment struct {
	ID            string
	Description   string
	AutoDeployed  bool
	Status        string // PENDING, FAILED, DEPLOYED
	StatusMessage string
	Created       time.Time
}

// A Definition is what a deployment froze: all that a stage needs to be
// compiled apart from its own settings.
type Definition struct {
	APIID                     string
	RouteSelectionExpression  string
	APIKeySelectionExpression string
	DisableExecuteAPIEndpoint bool
	Routes                    []*Route
	Integrations              []*Integration
	Models                    []*Model
	Authorizers               []*Authorizer
}
