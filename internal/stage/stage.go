// Package stage turns a deployment into a snapshot that serves: a map of
// routes, parsed expressions and templates, bound invokers. A snapshot never
// changes; every mistake in a definition surfaces in Compile, with the route,
// integration or template that it is in.
package stage

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/internal/integration"
	"tidegate/internal/mapping"
	"tidegate/internal/throttle"
	"tidegate/selection"
)

// A Stage is a compiled deployment together with the stage's own settings. It
// is immutable and safe for concurrent use.
type Stage struct {
	APIID        string
	Name         apigw.StageName
	DeploymentID string
	Variables    map[string]string // shared and not to be changed
	// DisableExecuteAPIEndpoint refuses clients that come by an execute-api host.
	DisableExecuteAPIEndpoint bool
	// Ordered has a client's messages handled one after the other.
	Ordered bool
	// Throttle is that of the stage's default settings: it admits handshakes when
	// there is no $connect route, and is shared by routes without their own.
	Throttle *throttle.Bucket
	// AccessLog is nil when the stage has none.
	AccessLog *AccessLog
	// ExecutionLog is where the execution log goes, of the routes that have one.
	ExecutionLog LogTarget
	// Logging is the default settings': it is for events that no route has.
	Logging LogSetting

	routes     map[apigw.RouteKey]*Route // the custom ones
	connect    *Route
	disconnect *Route
	fallback   *Route // $default

	selection *selection.Expr
	// constant is where an expression without variables leads; selects says that
	// there is one.
	constant *Route
	selects  bool
}

// A Route is what a route key leads to.
type Route struct {
	Key apigw.RouteKey
	// TwoWay says that the integration's answer goes to the client.
	TwoWay bool
	// Authorizer decides who may connect; nil: anyone. Only $connect has one.
	Authorizer *Authorizer
	// Integration is nil when the route has no target: nothing can be called.
	Integration *Integration
	// Throttle admits events of the route; routes without settings of their own
	// share the stage's.
	Throttle *throttle.Bucket
	// Logging says what of its events the execution log has.
	Logging LogSetting

	declared   map[string]apigw.ParameterConstraint // request parameters
	validation *validation                          // nil: none
	constant   *Answer                              // of a MOCK integration without variables
	starter    integration.Starter                  // may be nil
	key        *selection.Expr                      // finds the API key that $connect requires; nil: none is
}

// RequiresAPIKey says that only handshakes with an API key are admitted.
func (r *Route) RequiresAPIKey() bool { return r.key != nil }

// APIKey returns the API key that a handshake shows to a route that requires one,
// perhaps "".
func (r *Route) APIKey(c *event.Context, connect *event.ConnectRequest) string {
	// Neither of the two expressions that there are can fail.
	v, _ := r.key.Append(nil, &source{context: c, connect: connect})
	return string(v)
}

// Connect returns the $connect route, or nil.
func (s *Stage) Connect() *Route { return s.connect }

// Disconnect returns the $disconnect route, or nil.
func (s *Stage) Disconnect() *Route { return s.disconnect }

// SelectRoute returns the route that a message means, or nil when there is none
// (the client gets Forbidden). Keys are compared exactly (WS-02-016). A message that
// isn't JSON (WS-02-014), or whose key no custom route has (WS-02-017), goes to
// $default; so does one that names a key that begins with '$': a client can't choose
// those (WS-02-018).
func (s *Stage) SelectRoute(payload []byte) *Route {
	if s.selects {
		return s.constant
	}
	m := matchers.Get().(*matcher)
	defer m.release()
	m.source.body = payload
	key, err := s.selection.Append(m.key[:0], &m.source)
	if cap(key) <= maxKeptKey {
		m.key = key[:0]
	}
	if err != nil || len(key) == 0 || key[0] == '$' {
		return s.fallback
	}
	if r := s.routes[apigw.RouteKey(key)]; r != nil {
		return r
	}
	return s.fallback
}

// Unrouted says why a message has no route: what the route selection expression
// made of it, and what there is.
func (s *Stage) Unrouted(payload []byte) error {
	keys := make([]string, 0, len(s.routes))
	for k := range s.routes {
		keys = append(keys, string(k))
	}
	slices.Sort(keys)
	have := strings.Join(keys[:min(len(keys), 20)], ", ")
	if len(keys) > 20 {
		have += fmt.Sprintf(" and %d more", len(keys)-20)
	}
	if have == "" {
		have = "none"
	}
	m := matchers.Get().(*matcher)
	defer m.release()
	m.source.body = payload
	value, err := s.selection.Append(nil, &m.source)
	made := fmt.Sprintf("is %.200q", value)
	if err != nil || len(value) == 0 {
		made = "has no value in this message"
	}
	return fmt.Errorf("%s %s; routes: %s; there is no $default", s.selection, made, have)
}

// selectConstant returns the route that an expression's constant value leads to.
func (s *Stage) selectConstant(key string) *Route {
	if key != "" && key[0] != '$' {
		if r := s.routes[apigw.RouteKey(key)]; r != nil {
			return r
		}
	}
	return s.fallback
}

// maxKeptKey bounds what a matcher keeps for the next message.
const maxKeptKey = 1 << 10

// A matcher is what one evaluation needs, kept so that it allocates nothing.
type matcher struct {
	source source
	key    []byte
}

var matchers = sync.Pool{New: func() any { return &matcher{key: make([]byte, 0, 128)} }}

func (m *matcher) release() {
	m.source = source{}
	matchers.Put(m)
}

// source is what selection expressions read.
type source struct {
	body     []byte
	context  *event.Context
	connect  *event.ConnectRequest
	response *integration.Response
}

func newSource(in *mapping.Input) *source {
	return &source{body: in.Body, context: in.Context, connect: in.Connect}
}

// Body returns the message.
func (s *source) Body() []byte { return s.body }

// Header returns the last value of a header of the handshake, or "".
func (s *source) Header(name string) string {
	if s.connect == nil {
		return ""
	}
	return last(headerValues(s.connect.Header, name))
}

// Query returns the last value of a query parameter of the handshake, or "".
func (s *source) Query(name string) string {
	if s.connect == nil {
		return ""
	}
	for i := len(s.connect.Query) - 1; i >= 0; i-- {
		if s.connect.Query[i].Name == name {
			return s.connect.Query[i].Value
		}
	}
	return ""
}

// Context returns $context.NAME, or "".
func (s *source) Context(name string) string {
	if s.context == nil {
		return ""
	}
	v, _ := s.context.Lookup(name)
	return v
}

// StageVariable returns $stageVariables.NAME, or "".
func (s *source) StageVariable(name string) string {
	if s.context == nil {
		return ""
	}
	return s.context.StageVariables[name]
}

// StatusCode returns the backend's status.
func (s *source) StatusCode() int {
	if s.response == nil {
		return 0
	}
	return s.response.Status
}

// ResponseBody returns the backend's body.
func (s *source) ResponseBody() []byte {
	if s.response == nil {
		return nil
	}
	return s.response.Body
}

// ResponseHeader returns every value of a header of the backend's.
func (s *source) ResponseHeader(name string) []string {
	if s.response == nil {
		return nil
	}
	return headerValues(s.response.Header, name)
}
