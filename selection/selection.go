// Package selection parses and evaluates selection expressions: the small
// language in which a WebSocket API says what of a message or response selects
// a route, a template, a response or a key.
//
//	$request.body.action                        the value at a path of the message
//	${request.body.service}/${request.body.do}  values and text
//	\$default                                   text; without the backslash, $ begins a variable
//	request.body.action                         text as well, since it has no $
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-selection-expressions.html
package selection

import (
	"fmt"
	"strings"

	"tidegate/jsonpath"
)

// A Kind is what an expression selects; it decides which variables may be used.
type Kind int

// The kinds of selection expression, each with the attribute that holds it.
const (
	RouteSelection               Kind = iota // Api.RouteSelectionExpression
	APIKeySelection                          // Api.ApiKeySelectionExpression
	APIMappingSelection                      // DomainName.ApiMappingSelectionExpression
	ModelSelection                           // Route.ModelSelectionExpression
	RouteResponseSelection                   // Route.RouteResponseSelectionExpression
	TemplateSelection                        // Integration.TemplateSelectionExpression
	IntegrationResponseSelection             // Integration.IntegrationResponseSelectionExpression
	ResponseTemplateSelection                // IntegrationResponse.TemplateSelectionExpression
)

// String returns the kind's name within an error's text.
func (k Kind) String() string {
	if r, ok := rules[k]; ok {
		return r.name
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// A rule says what a kind of expression may hold.
type rule struct {
	name  string
	only  []string // the only expressions there are, as String prints them; nil means any
	roots []root   // the variables that may be used
}

var rules = map[Kind]rule{
	RouteSelection: {
		name:  "route selection expression",
		roots: []root{rootBody},
	},
	APIKeySelection: {
		name:  "API key selection expression",
		only:  []string{"${request.header.x-api-key}", "${context.authorizer.usageIdentifierKey}"},
		roots: []root{rootHeader, rootContext},
	},
	APIMappingSelection: {
		name:  "API mapping selection expression",
		only:  []string{"${request.basepath}"},
		roots: []root{rootBasePath},
	},
	ModelSelection: {
		name:  "model selection expression",
		roots: []root{rootBody},
	},
	RouteResponseSelection: {
		name: "route response selection expression",
		only: []string{`\$default`},
	},
	TemplateSelection: {
		name:  "template selection expression",
		roots: []root{rootBody},
	},
	IntegrationResponseSelection: {
		name:  "integration response selection expression",
		roots: []root{rootStatusCode, rootResponseBody, rootResponseHeader, rootResponseHeaders},
	},
	ResponseTemplateSelection: {
		name:  "template selection expression of an integration response",
		roots: []root{rootBody, rootStatusCode, rootResponseHeader, rootResponseHeaders},
	},
}

// A root is what a variable begins with.
type root string

const (
	rootBody            root = "request.body"
	rootHeader          root = "request.header"
	rootQuery           root = "request.querystring"
	rootBasePath        root = "request.basepath"
	rootContext         root = "context"
	rootStageVariable   root = "stageVariables"
	rootStatusCode      root = "integration.response.statuscode"
	rootResponseBody    root = "integration.response.body"
	rootResponseHeader  root = "integration.response.header"
	rootResponseHeaders root = "integration.response.multivalueheader"
)

// roots are all roots, each with what follows it.
var roots = []struct {
	root   root
	follow follow
}{
	{rootBody, followPath},
	{rootHeader, followName},
	{rootQuery, followName},
	{rootBasePath, followNothing},
	{rootContext, followName},
	{rootStageVariable, followName},
	{rootStatusCode, followNothing},
	{rootResponseBody, followPath},
	{rootResponseHeader, followName},
	{rootResponseHeaders, followName},
}

// follow is what may follow a root.
type follow uint8

const (
	followNothing follow = iota
	followName           // .NAME, always
	followPath           // a JSON path, or nothing
)

// A part is a piece of text or a variable.
type part struct {
	text string        // what it stands for when root is ""
	root root          // of a variable
	name string        // of a header, a context variable and so on
	path jsonpath.Path // into a body
}

// String returns the part as an expression.
func (p part) String() string {
	switch {
	case p.root == "":
		return strings.ReplaceAll(p.text, "$", `\$`)
	case p.name != "":
		return "${" + string(p.root) + "." + p.name + "}"
	}
	return "${" + string(p.root) + p.path.String() + "}"
}

// An Expr is a parsed selection expression. It is immutable.
type Expr struct {
	parts []part // no two neighbours are text
}

// String returns the expression as text that Parse reads as the same
// expression. Variables stand in braces, whichever way they were written.
func (e *Expr) String() string {
	var b strings.Builder
	for _, p := range e.parts {
		b.WriteString(p.String())
	}
	return b.String()
}

// Constant returns the expression's value when it has no variables.
func (e *Expr) Constant() (value string, ok bool) {
	if len(e.parts) == 1 && e.parts[0].root == "" {
		return e.parts[0].text, true
	}
	return "", false
}
