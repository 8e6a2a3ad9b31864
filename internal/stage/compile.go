package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/integration"
	"tidegate/internal/mapping"
	"tidegate/internal/model"
	"tidegate/internal/pattern"
	"tidegate/jsonpath"
	"tidegate/selection"
)

// A Binder makes the invokers of a stage. One that only checks may return nil
// invokers: such a snapshot is thrown away. In what it is given, stage variables
// are filled in.
type Binder interface {
	// Lambda returns an invoker of the function: of a proxy integration or, when
	// the integration's type is AWS, one that gives the function's result as it is.
	Lambda(i *apigw.Integration, functionARN string) (integration.Invoker, error)
	// HTTP returns an invoker of the URL.
	HTTP(i *apigw.Integration, url string) (integration.Invoker, error)
	// Service returns an invoker of an AWS service's action or path.
	Service(i *apigw.Integration, u *integration.ServiceURI) (integration.Invoker, error)
	// Authorizer returns the Lambda authorizer that asks the function.
	Authorizer(a *apigw.Authorizer, functionARN string) (authorizer.Authorizer, error)
	// IAM returns what checks the signatures of AWS_IAM routes.
	IAM() (authorizer.Authorizer, error)
}

// A Patient is a Binder that knows functions which nothing may hurry, since
// someone looks at them with a debugger.
type Patient interface {
	// Patience is how long an integration with the function may take at least.
	Patience(functionARN string) time.Duration
}

// A Bounded is a Binder that knows other limits than AWS's.
type Bounded interface {
	Limits() apigw.Limits
}

// Compile makes the snapshot of a deployment for a stage. Every mistake is
// reported, joined into one error, each with its route, integration or
// template; so is what Tidegate doesn't support yet.
func Compile(def *apigw.Definition, st *apigw.Stage, b Binder) (*Stage, error) {
	c := compiler{
		def: def, binder: b, limits: apigw.LimitsOf(apigw.ModeAWS),
		stage: &Stage{
			APIID: def.APIID, Name: st.Name, DeploymentID: st.DeploymentID, Variables: st.Variables, Ordered: st.Ordered,
			DisableExecuteAPIEndpoint: def.DisableExecuteAPIEndpoint,
			Throttle:                  newThrottle(st.DefaultRouteSettings),
			routes:                    map[apigw.RouteKey]*Route{},
		},
		integrations: map[string]*Integration{},
		failed:       map[string]bool{},
		settings:     st,
		set:          model.NewSet(def.APIID, def.Models),
		models:       map[string]*model.Model{},
	}
	if strings.HasPrefix(string(st.Name), reservedPrefix) {
		c.errs = append(c.errs, fmt.Errorf("stage names that begin with %s are Tidegate's own; %q can't be one of an API", reservedPrefix, st.Name))
	}
	if bounded, ok := b.(Bounded); ok {
		c.limits = bounded.Limits().OrAWS()
	}
	c.compileLogs(st)
	c.compileIntegrations()
	for _, r := range def.Routes {
		if err := c.compileRoute(r); err != nil {
			c.errs = append(c.errs, fmt.Errorf("route %q: %w", r.Key, err))
		}
	}
	c.compileSelection()
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return c.stage, nil
}

// reservedPrefix begins the paths that are Tidegate's own, which no stage may
// hide behind.
const reservedPrefix = "_tidegate"

// A compiler is one Compile under way.
type compiler struct {
	def          *apigw.Definition
	binder       Binder
	limits       apigw.Limits
	stage        *Stage
	integrations map[string]*Integration
	failed       map[string]bool // ids of integrations that did not compile
	errs         []error
	settings     *apigw.Stage
	set          *model.Set
	models       map[string]*model.Model // compiled, by name
}

func (c *compiler) compileSelection() {
	expr, err := selection.Parse(selection.RouteSelection, c.def.RouteSelectionExpression)
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("routeSelectionExpression %q: %w", c.def.RouteSelectionExpression, err))
		return
	}
	c.stage.selection = expr
	if key, ok := expr.Constant(); ok {
		c.stage.selects, c.stage.constant = true, c.stage.selectConstant(key)
	}
}

// parameterPrefixes begin the names of parameters that a route may declare.
var parameterPrefixes = []string{
	"route.request.header.", "route.request.querystring.",
	"route.request.multivalueheader.", "route.request.multivaluequerystring.",
}

func (c *compiler) compileRoute(r *apigw.Route) error {
	route := &Route{Key: r.Key, TwoWay: r.TwoWay(), declared: r.RequestParameters, Throttle: c.stage.Throttle}
	settings := settingsOf(c.settings, r.Key)
	route.Logging = logSetting(settings)
	var err error
	if route.Authorizer, err = c.compileAuthorizer(r); err != nil {
		return err
	}
	if own := newThrottle(c.settings.RouteSettings[r.Key]); own != nil {
		route.Throttle = own
	}
	if r.APIKeyRequired && r.Key == apigw.RouteConnect {
		expression := cmp.Or(c.def.APIKeySelectionExpression, defaultAPIKeySelection)
		if route.key, err = selection.Parse(selection.APIKeySelection, expression); err != nil {
			return fmt.Errorf("apiKeySelectionExpression %q: %w", expression, err)
		}
	}
	for name := range r.RequestParameters {
		if !slices.ContainsFunc(parameterPrefixes, func(prefix string) bool { return len(name) > len(prefix) && strings.HasPrefix(name, prefix) }) {
			return fmt.Errorf("request parameter %q begins with none of %s", name, strings.Join(parameterPrefixes, ", "))
		}
	}
	if r.Target != "" {
		id := r.IntegrationID()
		route.Integration = c.integrations[id]
		switch {
		case c.failed[id]:
			// Said already, and once is enough.
		case route.Integration == nil:
			return fmt.Errorf("its target %q is no integration of the API", r.Target)
		}
	}
	if route.validation, err = c.compileValidation(r); err != nil {
		return err
	}
	if err = c.place(route); err != nil {
		return err
	}
	if i := route.Integration; i != nil {
		if err := c.bindParameters(r, i); err != nil {
			return fmt.Errorf("integration %s: %w", i.ID, err)
		}
		if err := route.precompute(); err != nil {
			return fmt.Errorf("integration %s: %w", i.ID, err)
		}
		if starter, ok := i.invoker.(integration.Starter); ok && i.light() && route.validation == nil {
			route.starter = starter
		}
	}
	return nil
}

// defaultAPIKeySelection is the apiKeySelectionExpression of APIs that have none.
const defaultAPIKeySelection = "$request.header.x-api-key"

// place puts the route where messages or lifecycle steps find it.
func (c *compiler) place(r *Route) error {
	s := c.stage
	var at **Route
	switch r.Key {
	case apigw.RouteConnect:
		at = &s.connect
	case apigw.RouteDisconnect:
		at = &s.disconnect
	case apigw.RouteDefault:
		at = &s.fallback
	default:
		switch {
		case r.Key == "":
			return errors.New("a route key can't be empty")
		case r.Key[0] == '$':
			return errors.New("custom route keys must not begin with '$'")
		case s.routes[r.Key] != nil:
			return errors.New("the API has this route key twice")
		}
		s.routes[r.Key] = r
		return nil
	}
	if *at != nil {
		return errors.New("the API has this route key twice")
	}
	*at = r
	return nil
}

// bindParameters compiles the parameters of an integration against what a
// route declares. An integration that several routes share takes what any of
// them declares.
func (c *compiler) bindParameters(r *apigw.Route, i *Integration) error {
	def := c.definition(i.ID)
	declared := map[string]apigw.ParameterConstraint{}
	for _, other := range c.def.Routes {
		if other.IntegrationID() == i.ID {
			for name, constraint := range other.RequestParameters {
				declared[name] = constraint
			}
		}
	}
	p, err := mapping.CompileParameters(def.RequestParameters, declared)
	if err != nil {
		return fmt.Errorf("requestParameters: %w", err)
	}
	i.parameters = p
	return nil
}

func (c *compiler) definition(id string) *apigw.Integration {
	for _, i := range c.def.Integrations {
		if i.ID == id {
			return i
		}
	}
	return nil
}

func (c *compiler) compileIntegrations() {
	for _, def := range c.def.Integrations {
		i, err := c.compileIntegration(def)
		if err != nil {
			c.failed[def.ID] = true
			c.errs = append(c.errs, fmt.Errorf("integration %s: %w", def.ID, err))
			continue
		}
		c.integrations[def.ID] = i
	}
}

func (c *compiler) compileIntegration(def *apigw.Integration) (*Integration, error) {
	if err := refuse(def); err != nil {
		return nil, err
	}
	i := &Integration{
		ID: def.ID, Type: def.Type, Timeout: def.Timeout,
		Slots:    make(chan struct{}, apigw.MaxInFlightIntegration),
		behavior: def.PassthroughBehavior,
		selects:  byStatus,
		// What clients send is text already, which CONVERT_TO_TEXT leaves as it is;
		// a function behind a proxy integration gets an event, never bytes.
		binary: def.ContentHandlingStrategy == convertToBinary && def.Type != apigw.IntegrationAWSProxy,
	}
	if i.Timeout <= 0 {
		i.Timeout = apigw.MaxIntegrationTimeout
	}
	i.Timeout = min(i.Timeout, c.limits.IntegrationTimeout)
	if i.behavior == "" {
		i.behavior = apigw.PassthroughWhenNoMatch
	}
	if err := c.bind(def, i); err != nil {
		return nil, err
	}
	var err error
	// Checked here too so that an integration without a route is.
	if i.requests, err = compileTemplates(selection.TemplateSelection, "request", def.TemplateSelectionExpression, def.RequestTemplates); err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(def.Responses))
	for id := range def.Responses {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var fallback *response
	for _, id := range ids {
		r, err := compileResponse(def.Responses[id])
		if err != nil {
			return nil, fmt.Errorf("integration response %q: %w", def.Responses[id].Key, err)
		}
		if r.pattern == nil {
			fallback = r
			continue
		}
		i.responses = append(i.responses, r)
	}
	if fallback != nil {
		i.responses = append(i.responses, fallback)
	}
	return i, nil
}

// refuse names what an integration asks for that there isn't.
func refuse(def *apigw.Integration) error {
	switch def.Type {
	case apigw.IntegrationAWS, apigw.IntegrationAWSProxy, apigw.IntegrationHTTP, apigw.IntegrationHTTPProxy, apigw.IntegrationMock:
	default:
		return fmt.Errorf("integration type %q is none of AWS, AWS_PROXY, HTTP, HTTP_PROXY and MOCK", def.Type)
	}
	switch {
	case def.ConnectionType != "" && def.ConnectionType != "INTERNET" && def.ConnectionType != "VPC_LINK":
		return fmt.Errorf("connectionType %q is neither INTERNET nor VPC_LINK", def.ConnectionType)
	case def.PayloadFormatVersion != "" && def.PayloadFormatVersion != "1.0":
		return fmt.Errorf("payloadFormatVersion %q is not one of WebSocket APIs, which have 1.0", def.PayloadFormatVersion)
	}
	if err := checkStrategy(def.ContentHandlingStrategy); err != nil {
		return err
	}
	switch def.PassthroughBehavior {
	case "", apigw.PassthroughWhenNoMatch, apigw.PassthroughWhenNoTemplates, apigw.PassthroughNever:
		return nil
	}
	return fmt.Errorf("passthroughBehavior %q is none of WHEN_NO_MATCH, WHEN_NO_TEMPLATES and NEVER", def.PassthroughBehavior)
}

// roleARN is what credentialsArn may be, beside the caller's own identity.
var roleARN = pattern.New(`^arn:(aws|aws-cn|aws-us-gov):iam::[0-9]{12}:role/[!-~]{1,576}$`)

// credentials checks credentialsArn, with its stage variables filled in
// (WS-03-088, WS-03-090).
func credentials(arn string) error {
	switch {
	case arn == "" || roleARN.MatchString(arn):
		return nil
	case strings.HasSuffix(arn, ":iam::*:user/*"):
		return fmt.Errorf("credentialsArn %s, the caller's own identity, is not supported yet; name a role", arn)
	}
	return fmt.Errorf("credentialsArn %.256q is no role's ARN; is a stage variable empty?", arn)
}

// bind gives the integration its invoker.
func (c *compiler) bind(def *apigw.Integration, i *Integration) error {
	filled := *def
	filled.Timeout = i.Timeout
	filled.CredentialsARN = mapping.SubstituteStageVariables(def.CredentialsARN, c.stage.Variables)
	if err := credentials(filled.CredentialsARN); err != nil {
		return err
	}
	var err error
	switch def.Type {
	case apigw.IntegrationAWSProxy:
		return c.bindLambda(&filled, i)
	case apigw.IntegrationAWS:
		if def.CallsFunction() {
			return c.bindLambda(&filled, i)
		}
		u, err := integration.ParseServiceURI(def.URI, c.stage.Variables)
		if err != nil {
			return fmt.Errorf("integrationUri: %w", err)
		}
		i.Target = u.String()
		i.invoker, err = c.binder.Service(&filled, u)
		return err
	case apigw.IntegrationHTTP, apigw.IntegrationHTTPProxy:
		url := mapping.SubstituteStageVariables(def.URI, c.stage.Variables)
		i.Target = def.Method + " " + url
		if i.invoker, err = c.binder.HTTP(&filled, url); err != nil {
			return fmt.Errorf("integrationUri: %w", err)
		}
		return nil
	}
	i.Target = string(apigw.IntegrationMock)
	i.invoker, err = integration.NewMock(nil)
	return err
}

// bindLambda lets the integration call the function that its URI names, with
// stage variables anywhere (WS-03-019, WS-03-024, WS-03-025).
func (c *compiler) bindLambda(def *apigw.Integration, i *Integration) error {
	arn, err := integration.ParseLambdaURI(def.URI, c.stage.Variables)
	if err != nil {
		return fmt.Errorf("integrationUri: %w", err)
	}
	i.Target = arn
	if p, ok := c.binder.(Patient); ok {
		i.Timeout = max(i.Timeout, p.Patience(arn))
	}
	if def.Type == apigw.IntegrationAWS {
		i.selects = byErrorMessage
	}
	i.invoker, err = c.binder.Lambda(def, arn)
	return err
}

// Which integration response applies is decided by the error message of a
// function, by the status of every other backend. AWS shows these expressions
// with an integration, and they can't be changed.
var (
	byErrorMessage = mustParse("${integration.response.body.errorMessage}")
	byStatus       = mustParse("${integration.response.statuscode}")
)

func mustParse(text string) *selection.Expr {
	e, err := selection.Parse(selection.IntegrationResponseSelection, text)
	if err != nil {
		panic(err)
	}
	return e
}

func compileTemplates(kind selection.Kind, what, expr string, texts map[string]string) (templates, error) {
	t := templates{byKey: map[string]*mapping.Template{}}
	if expr != "" {
		var err error
		if t.expr, err = selection.Parse(kind, expr); err != nil {
			return t, fmt.Errorf("templateSelectionExpression %q: %w", expr, err)
		}
	}
	for key, text := range texts {
		compiled, err := mapping.CompileTemplate(fmt.Sprintf("%s template %q", what, key), text)
		if err != nil {
			return t, err
		}
		t.byKey[key] = compiled
	}
	return t, nil
}

func compileResponse(def *apigw.IntegrationResponse) (*response, error) {
	r := &response{key: def.Key}
	if def.Key != string(apigw.RouteDefault) {
		expr, ok := strings.CutPrefix(def.Key, "/")
		if ok {
			expr, ok = strings.CutSuffix(expr, "/")
		}
		if !ok {
			return nil, errors.New("its key is neither $default nor /a regular expression/")
		}
		var err error
		// The whole text must match, as with Java's String.matches (WS-03-131).
		if r.pattern, err = regexp.Compile(`^(?:` + expr + `)$`); err != nil {
			return nil, fmt.Errorf("its key is no regular expression: %w", err)
		}
	}
	if err := checkStrategy(def.ContentHandlingStrategy); err != nil {
		return nil, err
	}
	r.strategy = def.ContentHandlingStrategy
	for name, value := range def.ResponseParameters {
		p, err := compileResponseParameter(name, value)
		if err != nil {
			return nil, err
		}
		r.parameters = append(r.parameters, p)
	}
	slices.SortFunc(r.parameters, func(a, b responseParameter) int { return strings.Compare(a.name, b.name) })
	var err error
	r.templates, err = compileTemplates(selection.ResponseTemplateSelection, "response", def.TemplateSelectionExpression, def.ResponseTemplates)
	return r, err
}

// CheckResponseParameters says what is wrong with the responseParameters of an
// integration response: the first wrong entry, in order of the keys (WS-03-185).
func CheckResponseParameters(params map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if _, err := compileResponseParameter(name, params[name]); err != nil {
			return err
		}
	}
	return nil
}

// compileResponseParameter reads one entry of responseParameters: a header of
// the answer and where its value is from.
func compileResponseParameter(name, value string) (responseParameter, error) {
	var p responseParameter
	for _, prefix := range []string{"route.response.header.", "method.response.header."} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			p.name = rest
		}
	}
	if p.name == "" {
		return p, fmt.Errorf("response parameter %q does not begin with route.response.header.", name)
	}
	if !isToken(p.name) {
		return p, fmt.Errorf("response parameter %q: %q can't be a header's name", name, p.name)
	}
	if header, ok := strings.CutPrefix(value, "integration.response.header."); ok && header != "" {
		p.header = header
		return p, nil
	}
	if rest, ok := strings.CutPrefix(value, "integration.response.body"); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
		path, err := jsonpath.Parse(rest)
		if err != nil {
			return p, fmt.Errorf("response parameter %q: %w", name, err)
		}
		p.fromBody, p.body, p.whole = true, path, rest == ""
		return p, nil
	}
	if n := len(value); n >= 2 && value[0] == '\'' && value[n-1] == '\'' {
		p.static = value[1 : n-1]
		return p, nil
	}
	return p, fmt.Errorf("response parameter %q: the value %q is neither 'static' nor begins with integration.response.header. or integration.response.body", name, value)
}

// isToken says that name may be a header's (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return name != ""
}

// precompute runs a MOCK whose answer can't differ, once.
func (r *Route) precompute() error {
	i := r.Integration
	if i.Type != apigw.IntegrationMock || !i.requests.fixed() || i.requests.none() || i.invoker == nil {
		return nil
	}
	in := &mapping.Input{}
	t, err := i.requests.choose(newSource(in))
	if err != nil || t == nil {
		return err // without a template the message itself decides, or is rejected
	}
	req, err := i.Request(in)
	if err != nil {
		return err
	}
	resp, err := i.Invoke(context.Background(), req)
	if err != nil {
		// A template that yields no status fails each message, as on AWS.
		return nil
	}
	src := newSource(in)
	src.response = resp
	if chosen, _ := i.match(src); chosen != nil && !chosen.templates.fixed() {
		return nil
	}
	if a, err := r.Respond(in, resp); err == nil {
		r.constant = a
	}
	return nil
}
