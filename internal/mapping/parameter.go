package mapping

import (
	"fmt"
	"slices"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/jsonpath"
)

// Parameters are the compiled request parameters of an integration. They are
// immutable.
type Parameters struct {
	list []parameter // sorted by where they go
}

// A parameter takes a value from somewhere to a place in the backend's request.
type parameter struct {
	location event.Location
	name     string // there
	origin   origin
	key      string        // of the value at its origin, or the static value itself
	path     jsonpath.Path // into the body
	whole    bool          // all of the body
}

// origin is where a value comes from.
type origin uint8

const (
	fromStatic origin = iota
	fromContext
	fromStageVariables
	fromHeader
	fromHeaders // all values
	fromQuery
	fromQueries // all values
	fromBody
)

// locations are the prefixes of where parameters go.
var locations = []struct {
	prefix   string
	location event.Location
}{
	{"integration.request.header.", event.InHeader},
	{"integration.request.querystring.", event.InQuery},
	{"integration.request.path.", event.InPath},
}

// origins are the prefixes of where values come from. declared is what a route
// must declare to let its integration use the value.
var origins = []struct {
	prefix   string
	origin   origin
	declared string
}{
	{"context.", fromContext, ""},
	{"stageVariables.", fromStageVariables, ""},
	{"route.request.header.", fromHeader, declaredHeader},
	{"route.request.multivalueheader.", fromHeaders, declaredHeader},
	{"route.request.querystring.", fromQuery, declaredQuery},
	{"route.request.multivaluequerystring.", fromQueries, declaredQuery},
}

// The prefixes of declared request parameters.
const (
	declaredHeader = "route.request.header."
	declaredQuery  = "route.request.querystring."
)

// CompileParameters compiles an integration's requestParameters, a map from
// integration.request.{header,querystring,path}.NAME to one of
//
//	'static text'
//	context.NAME
//	stageVariables.NAME
//	route.request.{header,querystring,multivalueheader,multivaluequerystring}.NAME
//	route.request.body or route.request.body.JSONPATH
//
// What is taken from a handshake's header or query must be in declared, the
// requestParameters of the route. The error names the first wrong entry in
// order of the keys, and says what is wrong.
func CompileParameters(params map[string]string, declared map[string]apigw.ParameterConstraint) (*Parameters, error) {
	return compileParameters(params, func(name string) bool {
		_, ok := declared[name]
		return ok
	})
}

// CheckParameters checks requestParameters as CompileParameters does, but for
// what a route must declare: an integration is made before its routes.
// WS-03-064, WS-03-065.
func CheckParameters(params map[string]string) error {
	_, err := compileParameters(params, func(string) bool { return true })
	return err
}

func compileParameters(params map[string]string, declares func(name string) bool) (*Parameters, error) {
	keys := make([]string, 0, len(params))
	for key := range params {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	p := &Parameters{}
	for _, key := range keys {
		compiled, err := compileParameter(key, params[key], declares)
		if err != nil {
			return nil, fmt.Errorf("%.128q: %w", key, err)
		}
		p.list = append(p.list, compiled)
	}
	return p, nil
}

func compileParameter(key, value string, declares func(name string) bool) (p parameter, err error) {
	for _, l := range locations {
		if name, ok := strings.CutPrefix(key, l.prefix); ok {
			p.location, p.name = l.location, name
		}
	}
	switch {
	case p.name == "":
		return p, fmt.Errorf("the name begins with none of integration.request.header., integration.request.querystring. and integration.request.path.")
	case !isName(p.name):
		return p, fmt.Errorf("the name %.64q has characters other than letters, digits and .$_-", p.name)
	case p.location == event.InHeader && isReserved(p.name):
		return p, fmt.Errorf("the header %s is the connection's own and can't be mapped", p.name)
	}
	if err := p.compileValue(value, declares); err != nil {
		return p, err
	}
	if p.location == event.InPath && (p.origin == fromHeaders || p.origin == fromQueries) {
		return p, fmt.Errorf("a path parameter has one value, but %q has many", value)
	}
	return p, nil
}

// compileValue compiles the right side of a parameter.
func (p *parameter) compileValue(value string, declares func(name string) bool) error {
	if n := len(value); n >= 2 && value[0] == '\'' && value[n-1] == '\'' {
		p.origin, p.key = fromStatic, value[1:n-1]
		return nil
	}
	if rest, ok := strings.CutPrefix(value, "route.request.body"); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
		path, err := jsonpath.Parse(rest)
		p.origin, p.path, p.whole = fromBody, path, rest == ""
		return err
	}
	for _, o := range origins {
		name, ok := strings.CutPrefix(value, o.prefix)
		if !ok {
			continue
		}
		if !isName(name) {
			return fmt.Errorf("the value %.64q has a name with characters other than letters, digits and .$_-", value)
		}
		if o.origin == fromContext && !event.KnownVariable(name) {
			return fmt.Errorf("there is no context variable %q", name)
		}
		if o.declared != "" && !declares(o.declared+name) && !declares(value) { // WS-03-061
			return fmt.Errorf("the route does not declare %q among its requestParameters, so %q can't be used", o.declared+name, value)
		}
		p.origin, p.key = o.origin, name
		return nil
	}
	return fmt.Errorf("the value %.64q is neither 'static' nor begins with context., stageVariables., route.request.header., route.request.querystring., route.request.multivalueheader., route.request.multivaluequerystring. or route.request.body", value)
}

// isName reports whether name is of AWS's form ^[a-zA-Z0-9._$-]+$.
func isName(name string) bool {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '$', c == '-':
		default:
			return false
		}
	}
	return name != ""
}

// isReserved reports whether a header frames the message or belongs to one
// connection (RFC 9110, section 7.6.1), so that a mapped value would break it.
func isReserved(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "content-length", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization",
		"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// Build evaluates the parameters (WS-03-055 to WS-03-060, WS-03-063). One whose
// value isn't there (no such header, no such member of the message) is left out
// (WS-03-062, WS-03-175); one with many values is there once for each.
func (p *Parameters) Build(in *Input) []event.Parameter {
	if p == nil || len(p.list) == 0 {
		return nil
	}
	out := make([]event.Parameter, 0, len(p.list))
	for i := range p.list {
		out = p.list[i].append(out, in)
	}
	return out
}

func (p *parameter) append(out []event.Parameter, in *Input) []event.Parameter {
	add := func(value string) {
		out = append(out, event.Parameter{Location: p.location, Name: p.name, Value: value})
	}
	switch p.origin {
	case fromStatic:
		add(p.key)
	case fromContext:
		if in.Context != nil {
			if value, ok := in.Context.Lookup(p.key); ok {
				add(value)
			}
		}
	case fromStageVariables:
		if in.Context != nil {
			if value, ok := in.Context.StageVariables[p.key]; ok {
				add(value)
			}
		}
	case fromBody:
		if p.whole {
			if in.Body != nil {
				add(string(in.Body))
			}
			break
		}
		// A message that isn't JSON has no members.
		if value, found, err := p.path.Pick(nil, in.Body); err == nil && found {
			add(string(value))
		}
	case fromHeader, fromQuery:
		if values := p.values(in.Connect); len(values) > 0 {
			add(values[len(values)-1])
		}
	case fromHeaders, fromQueries:
		for _, value := range p.values(in.Connect) {
			add(value)
		}
	}
	return out
}

// values returns the values that a handshake has for the parameter.
func (p *parameter) values(r *event.ConnectRequest) []string {
	switch {
	case r == nil:
		return nil
	case p.origin == fromHeader || p.origin == fromHeaders:
		return fieldValues(r.Header, p.key, true)
	}
	return fieldValues(r.Query, p.key, false)
}

// fieldValues returns the values of fields of that name, in order.
func fieldValues(fields []event.Field, name string, fold bool) []string {
	var values []string
	for _, f := range fields {
		if f.Name == name || fold && strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// Missing returns the names, sorted and as they are declared, of those request
// parameters that are required and that the handshake lacks or has blank. A
// handshake that lacks one is rejected with 400.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
func Missing(declared map[string]apigw.ParameterConstraint, r *event.ConnectRequest) []string {
	var missing []string
	for name, constraint := range declared {
		if !constraint.Required {
			continue
		}
		var values []string
		if header, ok := strings.CutPrefix(name, declaredHeader); ok {
			values = fieldValues(r.Header, header, true)
		} else if param, ok := strings.CutPrefix(name, declaredQuery); ok {
			values = fieldValues(r.Query, param, false)
		}
		if len(values) == 0 || strings.TrimSpace(values[len(values)-1]) == "" {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing
}
