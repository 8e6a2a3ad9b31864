// Package mapping builds what a backend receives from what a client sent:
// parameters (integration.request.header.X from context.connectionId) and
// bodies (mapping templates).
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html
package mapping

import (
	"errors"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
)

// Input is what mappings read.
type Input struct {
	Context *event.Context
	Connect *event.ConnectRequest // the handshake, on $connect only
	Body    []byte                // the message
}

// Parameters are compiled request parameters of an integration.
type Parameters struct{}

// CompileParameters compiles an integration's requestParameters.
func CompileParameters(params map[string]string, declared map[string]apigw.ParameterConstraint) (*Parameters, error) {
	return nil, errors.New("mapping: not built yet")
}

// Build evaluates the parameters.
func (p *Parameters) Build(in *Input) []event.Parameter { return nil }

// Missing returns the declared parameters that are required and that the handshake lacks.
func Missing(declared map[string]apigw.ParameterConstraint, r *event.ConnectRequest) []string {
	return nil
}

// A VelocityError says that a template holds Velocity code.
type VelocityError struct{ Where string }

func (e *VelocityError) Error() string {
	return "mapping templates with VTL ($ or #) are not supported yet: " + e.Where
}

// A Template is a compiled mapping template.
type Template struct{ text string }

// CompileTemplate compiles a mapping template; where names it in errors.
func CompileTemplate(where, text string) (*Template, error) {
	return nil, errors.New("mapping: not built yet")
}

// Build returns the template's output.
func (t *Template) Build(in *Input) ([]byte, error) { return []byte(t.text), nil }

// SubstituteStageVariables replaces ${stageVariables.NAME} in an integration's URI.
func SubstituteStageVariables(uri string, vars map[string]string) string { return uri }
