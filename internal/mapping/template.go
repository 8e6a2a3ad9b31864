package mapping

import (
	"fmt"
	"strings"

	"tidegate/internal/apigw"
)

// A VelocityError says that a template holds Velocity code, which is not
// supported yet.
type VelocityError struct {
	Where string // names the template, such as: request template "$default"
}

// Error names the template and says what to do.
func (e *VelocityError) Error() string {
	return "mapping templates with VTL ($ or #) are not supported yet: " + e.Where + "; use a constant, or a Lambda function"
}

// A Template is a compiled mapping template. It is immutable.
type Template struct {
	output []byte
}

// CompileTemplate compiles a mapping template; where names it in errors.
// Templates are constants so far: one with a '$' or '#' is a *VelocityError.
func CompileTemplate(where, text string) (*Template, error) {
	if len(text) > apigw.MaxTemplate {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are allowed", where, len(text), apigw.MaxTemplate)
	}
	if strings.ContainsAny(text, "$#") {
		return nil, &VelocityError{Where: where}
	}
	return &Template{output: []byte(text)}, nil
}

// Build returns the template's output, which is shared and not to be changed.
func (t *Template) Build(*Input) ([]byte, error) { return t.output, nil }
