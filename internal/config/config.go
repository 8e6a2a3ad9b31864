// Package config is the file that `tidegate serve` runs: one struct with its
// defaults, a strict reader that says where each mistake is, and an annotated
// example that the program prints.
//
// Keys of APIs are spelt as Terraform's aws_apigatewayv2_* resources spell them.
package config

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"tidegate/internal/apigw"
)

// A Config is one file. Default returns it without a file.
type Config struct {
	File    string `key:"-"`    // as it was named; "" of the defaults
	Mode    string `key:"mode"` // aws or extended
	Region  string `key:"region"`
	Account string `key:"account_id"`
	// DataDir is where everything durable lies, absolute.
	DataDir       string        `key:"data_dir"`
	LogFormat     string        `key:"log_format"` // auto, text or json
	AccessLog     bool          `key:"access_log"` // a line for each handshake, message and disconnect
	DrainTimeout  time.Duration `key:"drain_timeout"`
	WebhookSecret string        `key:"webhook_secret"` // whsec_…; "": calls of HTTP backends aren't signed

	Listeners  Listeners        `key:"listeners"`
	TLS        TLS              `key:"tls"`
	Management Management       `key:"management"`
	Services   Services         `key:"services"`
	Limits     map[string]Limit `key:"limits"` // by name, as apigw.Limits.Set takes them
	Identities []Identity       `key:"identities"`
	APIs       []API            `key:"apis"`

	path   string // File, absolute
	limits apigw.Limits
	places map[string]Place // of scalars that the file or the environment gave, by path
}

// A Listeners says where to listen: HOST:PORT each, none for off.
type Listeners struct {
	Public     Addresses `key:"public"`
	Management Addresses `key:"management"`
	Admin      Addresses `key:"admin"`
}

// Addresses are HOST:PORT each; an empty HOST is every address of the machine.
type Addresses []string

// A TLS is the public listeners' certificate, PEM. Without one they speak plain
// HTTP.
type TLS struct {
	CertificateFile string `key:"certificate_file"`
	PrivateKeyFile  string `key:"private_key_file"`
}

// On says that there is a certificate.
func (t *TLS) On() bool { return t.CertificateFile != "" }

// Management is about @connections.
type Management struct {
	Public bool `key:"public"` // signed calls are taken at the public listeners too
}

// Services are the side services; each is off.
type Services struct {
	Functions string `key:"functions"`
	Schedules string `key:"schedules"`
	Tables    string `key:"tables"`
}

// A Limit is one of the limits, as text.
type Limit struct {
	Place Place
	Value string
}

// An Identity is who may call: a key pair, a bearer token, or both.
type Identity struct {
	Place           Place
	Name            string `key:"name"`
	AccessKeyID     string `key:"access_key_id"`
	SecretAccessKey string `key:"secret_access_key"`
	BearerToken     string `key:"bearer_token"`
	// Admin says that it may call everything: AWS's APIs and Tidegate's pages.
	Admin   bool     `key:"admin"`
	Actions []string `key:"actions"` // execute-api:…; nil means ManageConnections
	APIs    []string `key:"apis"`    // by id; nil means all
	Stages  []string `key:"stages"`  // nil means all
}

// An API is one WebSocket API, whole. A nil member was left out.
type API struct {
	Place                     Place
	ID                        string                 `key:"id"` // "": made of Name
	Name                      string                 `key:"name"`
	Description               *string                `key:"description"`
	Version                   *string                `key:"version"`
	RouteSelectionExpression  *string                `key:"route_selection_expression"`
	APIKeySelectionExpression *string                `key:"api_key_selection_expression"`
	DisableExecuteAPIEndpoint *bool                  `key:"disable_execute_api_endpoint"`
	Integrations              map[string]Integration `key:"integrations"` // by the name that a route's target says
	Models                    map[string]Model       `key:"models"`       // by name
	Routes                    []Route                `key:"routes"`
	Stages                    []Stage                `key:"stages"`
}

// A Model is a JSON Schema that messages are validated against.
type Model struct {
	Place       Place
	Description *string `key:"description"`
	ContentType *string `key:"content_type"`
	Schema      string  `key:"schema"`
}

// A Route calls the integration that it names or holds.
type Route struct {
	Place                            Place
	Key                              string            `key:"route_key"`
	Target                           string            `key:"target"` // a name of API.Integrations
	Integration                      *Integration      `key:"integration"`
	AuthorizationType                *string           `key:"authorization_type"`
	APIKeyRequired                   *bool             `key:"api_key_required"`
	OperationName                    *string           `key:"operation_name"`
	ModelSelectionExpression         *string           `key:"model_selection_expression"`
	RequestModels                    map[string]string `key:"request_models"`
	RouteResponseSelectionExpression *string           `key:"route_response_selection_expression"`
	// RouteResponseKey makes the route two-way; the only one is $default.
	RouteResponseKey *string `key:"route_response_key"`
}

// An Integration is what a route calls.
type Integration struct {
	Place                       Place
	Type                        *string               `key:"integration_type"`
	Method                      *string               `key:"integration_method"`
	URI                         *string               `key:"integration_uri"`
	Description                 *string               `key:"description"`
	ContentHandlingStrategy     *string               `key:"content_handling_strategy"`
	PassthroughBehavior         *string               `key:"passthrough_behavior"`
	RequestParameters           map[string]string     `key:"request_parameters"`
	RequestTemplates            map[string]string     `key:"request_templates"`
	TemplateSelectionExpression *string               `key:"template_selection_expression"`
	TimeoutMilliseconds         *int                  `key:"timeout_milliseconds"`
	Responses                   []IntegrationResponse `key:"integration_responses"`
}

// An IntegrationResponse maps a backend's answer, chosen by its key.
type IntegrationResponse struct {
	Place                       Place
	Key                         *string           `key:"integration_response_key"`
	ContentHandlingStrategy     *string           `key:"content_handling_strategy"`
	ResponseParameters          map[string]string `key:"response_parameters"`
	ResponseTemplates           map[string]string `key:"response_templates"`
	TemplateSelectionExpression *string           `key:"template_selection_expression"`
}

// A Stage is a name under which clients reach the API.
type Stage struct {
	Place                Place
	Name                 string            `key:"name"`
	Description          *string           `key:"description"`
	Variables            map[string]string `key:"stage_variables"`
	Ordered              bool              `key:"ordered"`
	DefaultRouteSettings *RouteSettings    `key:"default_route_settings"`
	RouteSettings        []RouteSettings   `key:"route_settings"`
	AccessLogSettings    *AccessLog        `key:"access_log_settings"`
}

// An AccessLog has a line in a format of one's own for each event of a stage, among
// Tidegate's other lines.
type AccessLog struct {
	Format string `key:"format"`
}

// RouteSettings are a stage's settings of one route or of all.
type RouteSettings struct {
	Place                Place
	RouteKey             string   `key:"route_key"` // of one
	ThrottlingBurstLimit *int     `key:"throttling_burst_limit"`
	ThrottlingRateLimit  *float64 `key:"throttling_rate_limit"`
}

// Default returns what holds where the file says nothing.
func Default() *Config {
	return &Config{
		Mode: string(apigw.ModeExtended), Region: "us-east-1", Account: "000000000000",
		DataDir: "tidegate-data", LogFormat: "auto", DrainTimeout: 30 * time.Second,
		Listeners:  Listeners{Public: Addresses{":8420"}, Management: Addresses{"127.0.0.1:8421"}, Admin: Addresses{"127.0.0.1:8422"}},
		Management: Management{Public: true},
		Services:   Services{Functions: off, Schedules: off, Tables: off},
		limits:     apigw.LimitsOf(apigw.ModeExtended),
	}
}

// off is the value of what isn't there.
const off = "off"

// AppliedLimits are the mode's limits with what the file sets.
func (c *Config) AppliedLimits() apigw.Limits { return c.limits }

// Path is the file's, absolute; "" of the defaults.
func (c *Config) Path() string { return c.path }

// PlaceOf is where the file or the environment set the value of a path such as
// listeners.public; the zero Place where nothing did.
func (c *Config) PlaceOf(path string) Place { return c.places[path] }

// Fixed are the keys at which another configuration differs and which a running
// process can't change.
func (c *Config) Fixed(other *Config) []string {
	var changed []string
	theirs := map[string]string{}
	scalars(reflect.ValueOf(other).Elem(), "", func(path string, v reflect.Value) { theirs[path] = fmt.Sprint(v.Interface()) })
	scalars(reflect.ValueOf(c).Elem(), "", func(path string, v reflect.Value) {
		if fmt.Sprint(v.Interface()) != theirs[path] {
			changed = append(changed, path)
		}
	})
	changed = slices.DeleteFunc(changed, func(path string) bool { return path == "drain_timeout" })
	if c.limits != other.limits {
		changed = append(changed, "limits")
	}
	return changed
}
