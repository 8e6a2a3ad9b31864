package mapping

import (
	"fmt"

	"tidegate/internal/apigw"
	"tidegate/vtl"
)

// A Template is a compiled mapping template. It is immutable.
type Template struct {
	where    string
	template *vtl.Template
	constant bool
	output   []byte // of a constant one
}

// maxTemplateOutput bounds what a template builds, in bytes: no backend takes
// more than a function does.
const maxTemplateOutput = 6 << 20

// CompileTemplate compiles a mapping template; where names it in errors. The
// error of one that is not Velocity says line and column.
func CompileTemplate(where, text string) (*Template, error) {
	if len(text) > apigw.MaxTemplate { // WS-05-034
		return nil, fmt.Errorf("%s has %d bytes; at most %d are allowed", where, len(text), apigw.MaxTemplate)
	}
	parsed, err := vtl.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	t := &Template{where: where, template: parsed}
	if output, ok := parsed.Constant(); ok {
		t.constant, t.output = true, []byte(output)
	}
	return t, nil
}

// Constant says that the template's output is always the same.
func (t *Template) Constant() bool { return t.constant }

// Build evaluates the template with $input, $context, $stageVariables and $util.
// The output may be shared and is not to be changed. The error names the
// template, and says what in it can't be done with this input.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
func (t *Template) Build(in *Input) ([]byte, error) {
	if t.constant {
		return t.output, nil
	}
	s := scope{in: in}
	out, err := t.template.Append(nil, s.lookup, vtl.Limits{Output: maxTemplateOutput})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.where, err)
	}
	return out, nil
}
