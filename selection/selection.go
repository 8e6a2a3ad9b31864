// Package selection parses and evaluates selection expressions: the small
// language in which a WebSocket API says which route, template, response or key
// a message means, such as $request.body.action.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-selection-expressions.html
package selection

import (
	"errors"

	"tidegate/jsonpath"
)

// A Kind is what an expression selects; it decides which variables may be used.
type Kind int

// The kinds of selection expression.
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

// ErrNotJSON says that an expression needs a value of the message's body, and
// the body is not JSON, not even leniently read.
var ErrNotJSON = jsonpath.ErrNotJSON

// A Source has what the variables of an expression name. A value that it lacks
// is empty.
type Source interface {
	Body() []byte                     // the message; nil on $connect and $disconnect
	Header(name string) string        // of the handshake, name in any case
	Query(name string) string         // of the handshake, decoded
	Context(name string) string       // $context.NAME
	StageVariable(name string) string // $stageVariables.NAME
}

// A ResponseSource is a Source that also has a backend's response.
type ResponseSource interface {
	Source
	StatusCode() int
	ResponseBody() []byte
	ResponseHeader(name string) []string // every value, name in any case
}

// A BasePathSource is a Source that also has the base path of a request to a
// custom domain.
type BasePathSource interface {
	Source
	BasePath() string
}

// An Expr is a parsed selection expression. It is immutable.
type Expr struct{ text string }

// Parse parses an expression of the given kind.
func Parse(kind Kind, text string) (*Expr, error) {
	return nil, errors.New("selection: not built yet")
}

// String returns the expression as text.
func (e *Expr) String() string { return e.text }

// Append evaluates the expression and appends its value.
func (e *Expr) Append(dst []byte, src Source) ([]byte, error) {
	return dst, errors.New("selection: not built yet")
}

// Constant returns the expression's value when it has no variables.
func (e *Expr) Constant() (string, bool) { return "", false }
