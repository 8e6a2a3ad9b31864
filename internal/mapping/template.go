package mapping

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"tidegate/internal/apigw"
	"tidegate/jsonpath"
	"tidegate/vtl"
)

// A Template is a compiled mapping template. It may be used by several
// goroutines at once.
type Template struct {
	where    string
	template *vtl.Template
	constant bool
	output   []byte // of a constant one
	paths    paths
}

// paths keeps the JSON paths of a template, which mostly are the same each time.
type paths struct {
	known sync.Map // text → *jsonpath.Query
	count atomic.Int32
}

// maxPaths bounds how many paths of one template are kept: some are put together
// from what clients send.
const maxPaths = 64

// parse returns the path that text, a string, is.
func (p *paths) parse(text any) (*jsonpath.Query, error) {
	if q, ok := p.known.Load(text); ok {
		return q.(*jsonpath.Query), nil
	}
	q, err := jsonpath.ParseQuery(text.(string))
	if err == nil && p.count.Load() < maxPaths {
		p.count.Add(1)
		p.known.Store(strings.Clone(text.(string)), q)
	}
	return q, err
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
	s := scopes.Get().(*scope)
	defer s.release()
	s.in, s.input.in, s.input.paths = in, in, &t.paths
	out, err := t.template.Append(s.out[:0], s.find, vtl.Limits{Output: maxTemplateOutput})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.where, err)
	}
	s.out = out
	return bytes.Clone(out), nil
}
