// Package model validates messages against an API's models: JSON Schema draft
// 4, as API Gateway reads it. It is the one place that knows the library.
//
// A schema is its author's program, run on what strangers send, so everything
// is bounded: the size and depth of schemas and messages, regular expressions
// (linear in time, so without lookaround), and the steps that one validation
// may take. Nothing is fetched: a $ref leads into its own schema or to another
// model of the API.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html
package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"tidegate/internal/apigw"
)

// Bounds that are Tidegate's own.
const (
	maxDepth   = 128     // of arrays and objects within each other, in schemas and messages
	maxPattern = 4 << 10 // bytes of a regular expression
	maxSteps   = 100_000 // schemas that one message is held against
	maxDigits  = 4       // of a number's exponent
)

// draft4 is the $schema of the only draft that API Gateway reads.
const draft4 = "http://json-schema.org/draft-04/schema"

// errSteps says that a schema branches so often that a message can't be
// validated.
var errSteps = fmt.Errorf("the schema needs more than %d steps for this message", maxSteps)

// A Set is the models of an API, which may refer to each other. It is safe for
// concurrent use.
type Set struct {
	apiID  string
	models map[string]*apigw.Model // by name
}

// NewSet returns the models as a set.
func NewSet(apiID string, models []*apigw.Model) *Set {
	s := &Set{apiID: apiID, models: make(map[string]*apigw.Model, len(models))}
	for _, m := range models {
		s.models[m.Name] = m
	}
	return s
}

// URL returns the address by which other models of the API refer to a model.
func URL(apiID, name string) string {
	return "https://apigateway.amazonaws.com/restapis/" + apiID + "/models/" + name
}

// A Model is a compiled model. It is safe for concurrent use.
type Model struct {
	Name string
	set  *Set
	// programs are *program, each for one validation at a time.
	programs sync.Pool
}

// A program is a compiled schema that counts its steps.
type program struct {
	schema *jsonschema.Schema
	steps  int
}

// Compile returns the model of that name, or what is wrong with its schema or
// one that it refers to.
func (s *Set) Compile(name string) (*Model, error) {
	p, err := s.compile(name)
	if err != nil {
		return nil, err
	}
	m := &Model{Name: name, set: s}
	m.programs.Put(p)
	return m, nil
}

func (s *Set) compile(name string) (*program, error) {
	if s.models[name] == nil {
		return nil, fmt.Errorf("the API has no model %q", name)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	c.UseRegexpEngine(compilePattern)
	c.UseLoader(loader{s})
	schema, err := c.Compile(URL(s.apiID, name))
	if err != nil {
		return nil, explain(err)
	}
	p := &program{schema: schema}
	p.count(schema, map[*jsonschema.Schema]bool{})
	return p, nil
}

// explain takes the library's address of the schema out of an error's way.
func explain(err error) error {
	var load *jsonschema.LoadURLError
	if errors.As(err, &load) {
		return load.Err
	}
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) {
		if v, ok := invalid.Err.(*jsonschema.ValidationError); ok {
			return fmt.Errorf("the schema is no JSON Schema draft 4: %s", leaf(v).Error())
		}
	}
	return fmt.Errorf("the schema is no JSON Schema draft 4: %w", err)
}

func compilePattern(text string) (jsonschema.Regexp, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("a pattern has %d bytes; at most %d fit", len(text), maxPattern)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("%w (patterns have no lookaround and no backreferences here, so that none can backtrack)", err)
	}
	return re, nil
}

// loader finds what a $ref names, among the set's models alone.
type loader struct{ set *Set }

// Load implements jsonschema.URLLoader.
func (l loader) Load(url string) (any, error) {
	prefix := URL(l.set.apiID, "")
	name, ok := strings.CutPrefix(url, prefix)
	if !ok {
		return nil, fmt.Errorf("$ref %q leads neither into the schema nor to a model of this API (%sNAME); nothing is fetched", url, prefix)
	}
	m := l.set.models[name]
	if m == nil {
		return nil, fmt.Errorf("$ref %q: the API has no model %q", url, name)
	}
	return parseSchema(m.Schema)
}

func parseSchema(text string) (any, error) {
	if len(text) > apigw.MaxModel {
		return nil, fmt.Errorf("the schema has %d bytes; at most %d fit", len(text), apigw.MaxModel)
	}
	v, err := parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("the schema is no JSON: %w", err)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the schema is no JSON object")
	}
	if draft, ok := object["$schema"].(string); ok && strings.TrimSuffix(draft, "#") != draft4 {
		return nil, fmt.Errorf("the schema's $schema is %.200q; API Gateway reads draft 4 only: %s#", draft, draft4)
	}
	return object, nil
}

// parse reads JSON within the bounds.
func parse(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	depth := 0
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else {
				depth--
			}
			if depth > maxDepth {
				return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
			}
		case json.Number:
			// Numbers are compared exactly, which costs as many digits as they have.
			if _, exponent, ok := strings.Cut(strings.ToLower(string(t)), "e"); ok && len(strings.Trim(exponent, "+-")) > maxDigits {
				return nil, fmt.Errorf("the number %.40s has an exponent of more than %d digits", t, maxDigits)
			}
		}
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

// count has every schema that can be reached from s count a step when it is
// evaluated. The library tells nobody about that but formats, which it looks at
// before it goes on to further schemas.
func (p *program) count(s *jsonschema.Schema, seen map[*jsonschema.Schema]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	own := s.Format
	counted := &jsonschema.Format{Validate: func(v any) error {
		if p.steps--; p.steps < 0 {
			panic(errSteps)
		}
		if own == nil {
			return nil
		}
		return own.Validate(v)
	}}
	if own != nil {
		counted.Name = own.Name
	}
	s.Format = counted
	for _, next := range [][]*jsonschema.Schema{{s.Ref, s.Not}, s.AllOf, s.AnyOf, s.OneOf} {
		for _, n := range next {
			p.count(n, seen)
		}
	}
	for _, n := range s.Properties {
		p.count(n, seen)
	}
	for _, n := range s.PatternProperties {
		p.count(n, seen)
	}
	// The rest is any of: a schema, schemas, or something else.
	for _, v := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		p.countAny(v, seen)
	}
	for _, v := range s.Dependencies {
		p.countAny(v, seen)
	}
}

func (p *program) countAny(v any, seen map[*jsonschema.Schema]bool) {
	switch v := v.(type) {
	case *jsonschema.Schema:
		p.count(v, seen)
	case []*jsonschema.Schema:
		for _, n := range v {
			p.count(n, seen)
		}
	}
}

// Validate returns nil when the message fits, and an *Invalid when it doesn't;
// a message that is no JSON fits no model.
func (m *Model) Validate(message []byte) (err error) {
	v, err := parse(message)
	if err != nil {
		return &Invalid{Model: m.Name, Text: fmt.Sprintf("the message is no JSON that a model can be held against: %v", err)}
	}
	p, ok := m.programs.Get().(*program)
	if !ok {
		if p, err = m.set.compile(m.Name); err != nil { // it compiled before
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
	}
	defer func() {
		switch r := recover(); {
		case r == errSteps:
			err = &Invalid{Model: m.Name, Text: errSteps.Error()}
		case r != nil:
			panic(r)
		}
		m.programs.Put(p)
	}()
	p.steps = maxSteps
	err = p.schema.Validate(v)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return describe(m.Name, invalid)
	}
	return err
}
