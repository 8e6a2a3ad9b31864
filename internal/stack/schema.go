package stack

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tidegate/internal/nearest"
)

// A form is the shape that a property's value must have.
type form uint8

const (
	aText form = iota
	anInteger
	aNumber
	aBoolean
	anyJSON   // passed as it is
	aDocument // a map, or a text that holds one: sent as JSON text
	texts     // a list of texts
	textMap   // a map from any name to texts
	anObject  // a map with the members in fields
	objects   // a list of such maps
	objectMap // a map from any name to such maps
	tagList   // a list of {Key, Value}
)

func (f form) String() string {
	return [...]string{"a text", "a whole number", "a number", "a boolean", "any value", "a map", "a list of texts",
		"a map of texts", "a map", "a list of maps", "a map of maps", "a list of Key and Value"}[f]
}

// A property is what Tidegate knows of one property of a resource type.
type property struct {
	form     form
	required bool
	// replace says that a change needs a new resource.
	replace bool
	// values are the texts allowed; none means any.
	values []string
	fields map[string]property
	// noEffect says why the property is kept but changes nothing here; it is
	// noted and not sent.
	noEffect string
	// notBuilt says that the property can't be used yet; naming it is an error
	// unless it has the value harmless.
	notBuilt string
	harmless string
}

// A resourceType is what Tidegate knows of one CloudFormation type.
type resourceType struct {
	name       string
	properties map[string]property
	// attributes are the names GetAtt knows.
	attributes []string
	// nameProperty holds the physical name, and nameLimit its greatest length
	// when the name is made up.
	nameProperty string
	nameLimit    int
}

// Short ways to write properties down.

func required(p property) property { p.required = true; return p }
func replaces(p property) property { p.replace = true; return p }

func noEffect(f form, why string) property { return property{form: f, noEffect: why} }

func notBuilt(f form) property {
	return property{form: f, notBuilt: "is not built yet"}
}

func oneOf(values ...string) property { return property{form: aText, values: values} }

func fields(f form, m map[string]property) property { return property{form: f, fields: m} }

var (
	textProperty    = property{form: aText}
	integerProperty = property{form: anInteger}
	booleanProperty = property{form: aBoolean}
)

// check holds the resource against its type and reports what doesn't fit.
func (res *resource) check(r *reporter) {
	at := res.place()
	if res.standIn {
		return // told when that was decided
	}
	schema := res.known()
	if schema == nil {
		checkPlaceholder(res, r)
		return
	}
	res.schema = schema
	if res.typ == "AWS::ApiGatewayV2::Stage" && deploysItself(res) && res.properties.get("DeploymentId") != nil {
		r.notef(res.propertyPlace("DeploymentId"), "a stage with AutoDeploy deploys itself, so the deployment is left out; AWS refuses an update that names one")
	}
	res.properties = withoutConsequences(res)
	checked := conformObject(res.properties, schema.properties, res.propertyPlace(""), r)
	if !checked.quiet {
		for _, name := range keys(schema.properties) {
			if p := schema.properties[name]; p.required && res.properties.get(name) == nil {
				r.errorf(at.in("Properties"), "%s needs the property %s", res.typ, name)
			}
		}
	}
	checkTogether(res, r)
}

// withoutConsequences returns the resource's properties less those that belong
// to one that is refused anyway, so that each cause is told once, and less a
// deployment that a stage names although it deploys itself.
func withoutConsequences(res *resource) *value {
	var drop []string
	switch res.typ {
	case "AWS::ApiGatewayV2::Stage":
		if deploysItself(res) {
			drop = []string{"DeploymentId"}
		}
	case "AWS::ApiGatewayV2::Route":
		scopes := res.properties.get("AuthorizationScopes")
		if t, _ := res.properties.get("AuthorizationType").scalar(); t == "JWT" || scopes != nil && scopes.kind == list && len(scopes.items) == 0 {
			drop = []string{"AuthorizationScopes"}
		}
	}
	if drop == nil || res.properties.kind != object {
		return res.properties
	}
	out := *res.properties
	out.members = slices.DeleteFunc(slices.Clone(out.members), func(m member) bool { return slices.Contains(drop, m.name) })
	return &out
}

// checkTogether reports what only several properties together say.
func checkTogether(res *resource, r *reporter) {
	switch res.typ {
	case "AWS::ApiGatewayV2::Api":
		checkAPI(res, r)
	case "AWS::ApiGatewayV2::Integration":
		checkIntegration(res, r)
	case "AWS::ApiGatewayV2::IntegrationResponse":
		checkTemplates(res, "ResponseTemplates", r)
	case "AWS::ApiGatewayV2::Route":
		checkRoute(res, r)
	case "AWS::ApiGatewayV2::Authorizer":
		checkAuthorizer(res, r)
	case "AWS::ApiGatewayV2::Stage":
		checkStage(res, r)
	case "AWS::ApiGatewayV2::DomainName":
		checkDomainName(res, r)
	case "AWS::Lambda::Function":
		checkFunction(res, r)
	case "AWS::Events::Rule":
		checkRule(res, r)
	}
}

// conformed is an object whose members have the forms that were asked for.
type conformed struct {
	value *value
	quiet bool // the value is unknown or not an object, and that was reported
}

// conformObject returns v with every member in its property's form and without
// those that have no effect. Required members are checked by the caller for
// resources, here for nested objects.
func conformObject(v *value, known map[string]property, at place, r *reporter) conformed {
	if v.kind == unknown {
		return conformed{v, true}
	}
	if _, _, call := v.intrinsic(); call {
		return conformed{v, true}
	}
	if v.kind != object {
		r.errorf(at.at(v), "must be a map, not %s", kindOf(v))
		return conformed{v, true}
	}
	out := &value{kind: object, line: v.line, column: v.column}
	for _, m := range v.members {
		here := at.in(m.name)
		here.line, here.column = m.line, m.column
		p, ok := known[m.name]
		if !ok {
			r.report(here, didYouMean(m.name, keys(known)), "there is no property %q", clip(m.name))
			continue
		}
		if p.notBuilt != "" {
			if s, ok := m.value.scalar(); ok && p.harmless != "" && s == p.harmless {
				continue
			}
			r.errorf(here, "%s", p.notBuilt)
			continue
		}
		x := conform(m.value, p, here, r)
		if p.noEffect != "" {
			r.notef(here, "has no effect here: %s", p.noEffect)
			continue
		}
		out.members = append(out.members, member{name: m.name, line: m.line, column: m.column, value: x})
	}
	return conformed{out, false}
}

// conform returns v in the property's form; what doesn't fit is reported.
// Calls that still need a resource are left alone.
func conform(v *value, p property, at place, r *reporter) *value {
	at = at.at(v)
	if _, _, call := v.intrinsic(); call || v.kind == unknown {
		return v
	}
	switch p.form {
	case aText, anInteger, aNumber, aBoolean:
		return conformScalar(v, p, at, r)
	case aDocument:
		if v.kind == object || v.kind == text && strings.HasPrefix(strings.TrimSpace(v.text), "{") {
			return v
		}
	case anyJSON:
		return v
	case texts:
		if v.kind == list {
			return conformEach(v, property{form: aText, values: p.values}, at, r)
		}
	case textMap:
		if v.kind == object {
			out := &value{kind: object, line: v.line, column: v.column}
			for _, m := range v.members {
				m.value = conform(m.value, textProperty, at.in(m.name), r)
				out.members = append(out.members, m)
			}
			return out
		}
	case anObject:
		return conformFields(v, p.fields, at, r)
	case objects:
		if v.kind == list {
			return conformEach(v, property{form: anObject, fields: p.fields}, at, r)
		}
	case objectMap:
		if v.kind == object {
			out := &value{kind: object, line: v.line, column: v.column}
			for _, m := range v.members {
				m.value = conformFields(m.value, p.fields, at.in(m.name), r)
				out.members = append(out.members, m)
			}
			return out
		}
	case tagList:
		if v.kind == list {
			return conformEach(v, property{form: anObject, fields: tagFields}, at, r)
		}
	}
	r.errorf(at, "must be %s, not %s", p.form, kindOf(v))
	return v
}

var tagFields = map[string]property{"Key": required(textProperty), "Value": required(textProperty)}

func conformEach(v *value, p property, at place, r *reporter) *value {
	out := &value{kind: list, line: v.line, column: v.column, items: make([]*value, len(v.items))}
	for i, x := range v.items {
		out.items[i] = conform(x, p, at.index(i), r)
	}
	return out
}

// conformFields is conformObject for a nested object.
func conformFields(v *value, known map[string]property, at place, r *reporter) *value {
	if v.kind == null {
		v = (&value{kind: object}).placed(v)
	}
	c := conformObject(v, known, at, r)
	if !c.quiet {
		for _, name := range keys(known) {
			if known[name].required && v.get(name) == nil {
				r.errorf(at.at(v), "needs the member %s", name)
			}
		}
	}
	return c.value
}

func conformScalar(v *value, p property, at place, r *reporter) *value {
	s, ok := v.scalar()
	if v.kind == null {
		ok = p.form == aText
	}
	if !ok {
		r.errorf(at, "must be %s, not %s", p.form, kindOf(v))
		return v
	}
	out := &value{kind: text, text: s, line: v.line, column: v.column}
	switch p.form {
	case anInteger, aNumber:
		out.kind = number
		if p.form == anInteger {
			n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
			if err != nil {
				r.errorf(at, "must be a whole number, not %q", clip(s))
				return v
			}
			out.text = strconv.FormatInt(n, 10)
		} else if !isNumber(s) {
			r.errorf(at, "must be a number, not %q", clip(s))
			return v
		}
	case aBoolean:
		out.kind = boolean
		switch strings.ToLower(s) {
		case "true", "yes", "on":
			out.text = "true"
		case "false", "no", "off":
			out.text = "false"
		default:
			r.errorf(at, "must be true or false, not %q", clip(s))
			return v
		}
	default:
		if len(p.values) > 0 && !slices.Contains(p.values, s) {
			r.report(at, didYouMean(s, p.values), "must be one of %s, not %q", strings.Join(p.values, ", "), clip(s))
		}
	}
	return out
}

// known returns what is known of the resource's type; nil for a placeholder.
func (res *resource) known() *resourceType {
	if res.standIn {
		return nil
	}
	return typeOf(res.typ)
}

// typeOf returns what is known of a type, or nil.
func typeOf(name string) *resourceType {
	switch {
	case strings.HasPrefix(name, "AWS::ApiGatewayV2::"):
		return apiGatewayV2Types[name]
	case strings.HasPrefix(name, "AWS::ApiGateway::"):
		return apiGatewayTypes[name]
	case strings.HasPrefix(name, "AWS::Lambda::"):
		return lambdaTypes[name]
	case strings.HasPrefix(name, "AWS::DynamoDB::"):
		return dynamoDBTypes[name]
	case strings.HasPrefix(name, "AWS::Events::"):
		return eventsTypes[name]
	case strings.HasPrefix(name, "AWS::IAM::"):
		return iamTypes[name]
	case strings.HasPrefix(name, "AWS::Scheduler::"):
		return schedulerTypes[name]
	}
	return nil
}

// servicePrefixes are the services that Tidegate has: a type of theirs that
// isn't known is an error, never a placeholder.
var servicePrefixes = []string{
	"AWS::ApiGatewayV2::", "AWS::Serverless::", "AWS::Lambda::", "AWS::DynamoDB::", "AWS::Events::", "AWS::IAM::", "AWS::Scheduler::",
}

// samTypes are the SAM types that are built, lacking those that stand for
// services Tidegate lacks.
var (
	samTypes        = []string{"AWS::Serverless::Function", "AWS::Serverless::LayerVersion", "AWS::Serverless::SimpleTable", "AWS::Serverless::WebSocketApi"}
	samLackingTypes = []string{"AWS::Serverless::Api", "AWS::Serverless::HttpApi", "AWS::Serverless::StateMachine", "AWS::Serverless::GraphQLApi"}
)

func knownTypes() []string {
	names := slices.Clone(samTypes)
	for _, m := range []map[string]*resourceType{apiGatewayV2Types, apiGatewayTypes, lambdaTypes, dynamoDBTypes, eventsTypes, iamTypes, schedulerTypes} {
		names = append(names, keys(m)...)
	}
	return names
}

// checkPlaceholder decides what a type that isn't built becomes: an error for
// a service that Tidegate has and for a misspelt type, otherwise a placeholder.
func checkPlaceholder(res *resource, r *reporter) {
	at := res.place().in("Type")
	near := nearestType(res.typ)
	if strings.HasPrefix(res.typ, "AWS::ApiGateway::") { // REST APIs, whose types are a V2 away from ours
		near = ""
	}
	switch {
	case res.typ == "AWS::CDK::Metadata": // counts constructs for AWS, and nothing refers to it
	case res.typ == "AWS::CloudFormation::Stack" || res.typ == "AWS::Serverless::Application":
		r.errorf(at, "nested stacks (%s) are not supported: one template makes one stack", res.typ)
	case slices.Contains(samLackingTypes, res.typ):
		r.lacking(at, "%s"+lacksService, res.typ)
	case slices.ContainsFunc(servicePrefixes, func(p string) bool { return strings.HasPrefix(res.typ, p) }):
		hint := ""
		if near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		r.report(at, hint, "resource type %s is not built yet", clip(res.typ))
	case near != "":
		r.report(at, fmt.Sprintf("did you mean %q?", near), "there is no resource type %s", clip(res.typ))
	case strings.HasPrefix(res.typ, "Custom::") || res.typ == "AWS::CloudFormation::CustomResource":
		r.lacking(at, "custom resources are not run here: a placeholder stands in for it, and its function isn't called; to call it: tidegate invoke FUNCTION EVENT")
	case strings.Count(res.typ, "::") != 2 || !strings.HasPrefix(res.typ, "AWS::") && !strings.Contains(res.typ, "::"):
		r.errorf(at, "%q is no resource type", clip(res.typ))
	default:
		r.lacking(at, "%s"+lacksService, clip(res.typ))
	}
}

// nearestType returns the built type that a misspelt one probably means: at
// most two letters off, since many real types resemble each other.
func nearestType(typ string) string {
	if len(typ) > 100 {
		return ""
	}
	for _, k := range knownTypes() {
		if d := nearest.Distance(typ, k); d > 0 && d <= 2 {
			return k
		}
	}
	return ""
}
