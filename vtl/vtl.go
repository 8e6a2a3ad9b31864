// Package vtl parses and evaluates templates in the Velocity Template Language,
// version 1.7, as Amazon API Gateway runs mapping templates. It knows nothing of
// AWS: $input, $context and the like are values that the caller puts in scope.
//
// Built are references (formal, quiet, with properties, methods and indexes),
// #set, #if, #elseif, #else, #foreach, #break, #stop, #macro, #@macro, #define,
// #evaluate, #literal, #[[ ]]#, comments, interpolated strings, ranges, lists,
// maps, and the methods of Java's strings, numbers, lists and maps that
// templates use. #include and #parse are refused by name. Space around
// directives goes and stays as in Velocity, to the byte.
//
// Where Velocity would call any Java method, only the listed ones exist; one
// that doesn't is like one of the wrong name: the reference has no value and
// prints itself.
//
// Source: https://velocity.apache.org/engine/1.7/vtl-reference.html
package vtl

import (
	"errors"
	"fmt"
)

// A Template is a parsed template. It is immutable and may be evaluated by
// several goroutines at once.
type Template struct {
	text   string
	body   block
	macros map[string]*macro
}

// Parse parses a template. The error is a *SyntaxError.
func Parse(text string) (*Template, error) {
	p := &parser{text: text, macros: map[string]*macro{}}
	body, err := p.template()
	if err != nil {
		return nil, err
	}
	return &Template{text: text, body: body, macros: p.macros}, nil
}

// String returns the template's text.
func (t *Template) String() string { return t.text }

// Constant returns the output of a template that has neither references nor
// directives; ok is false for others.
func (t *Template) Constant() (output string, ok bool) {
	switch len(t.body) {
	case 0:
		return "", true
	case 1:
		if c, constant := t.body[0].(textNode); constant {
			return string(c), true
		}
	}
	return "", false
}

// A SyntaxError is a template that can't be parsed.
type SyntaxError struct {
	Line, Column int // from 1; columns count bytes
	Message      string
}

// Error says what is wrong and where.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// An EvaluationError is a template that can't be evaluated with what is in scope.
type EvaluationError struct {
	Line, Column int    // from 1; columns count bytes. In #evaluate: where that stands
	Reference    string // that can't be followed, as it is written; "" for other reasons
	Err          error  // may wrap ErrLimit
}

// Error says where, which reference, and why.
func (e *EvaluationError) Error() string {
	if e.Reference == "" {
		return fmt.Sprintf("line %d, column %d: %v", e.Line, e.Column, e.Err)
	}
	return fmt.Sprintf("line %d, column %d: %s: %v", e.Line, e.Column, e.Reference, e.Err)
}

// Unwrap returns why.
func (e *EvaluationError) Unwrap() error { return e.Err }

// A Scope gives the values that a template doesn't set itself; ok is false for
// names that it doesn't know. Values are nil, bool, string, int64, *big.Int,
// float64, *List, *Map, Lazy and Object; any other type prints as fmt does and has no
// properties.
type Scope func(name string) (value any, ok bool)

// Silent is implemented by values in scope whose references print nothing,
// rather than themselves, when they lead nowhere.
type Silent interface{ Silent() }

// An Object is a value with properties and methods of its own.
type Object interface {
	// Get returns a property; ok is false when there is none of this name.
	Get(name string) (value any, ok bool)
	// Call calls a method; ok is false when there is none of this name and with
	// such arguments. An error ends the evaluation.
	Call(name string, arguments []any) (value any, ok bool, err error)
	// String is what a reference to the object prints.
	String() string
}

// A Lazy is a map that is made only when all of it is needed: properties are
// asked of Get first, methods of the map.
type Lazy interface {
	// Get returns an entry's value; ok is false when there is none.
	Get(name string) (value any, ok bool)
	// Map returns the whole map, the same one each time.
	Map() *Map
}

// A PropertyAppender is an Object or a Lazy that can print a property without
// making its value first, for references that only print.
type PropertyAppender interface {
	// AppendGet appends what Get's value prints. Where ok is false, nothing was
	// appended, and Get is asked.
	AppendGet(dst []byte, name string) (out []byte, ok bool)
}

// A MethodAppender is an Object that can print what a method gives without making
// it first.
type MethodAppender interface {
	// AppendCall appends what Call's value prints. Where ok is false, nothing was
	// appended, and Call is asked.
	AppendCall(dst []byte, name string, arguments []any) (out []byte, ok bool, err error)
}

// Limits bound an evaluation. A zero field is the default.
type Limits struct {
	Output int // bytes of output, and of any one string; default 10 MiB
	Loop   int // iterations of one #foreach, which then ends as in Velocity; default 1000
	Steps  int // nodes evaluated, and a share of the bytes handled; default 1,000,000
}

const (
	defaultOutput = 10 << 20
	defaultLoop   = 1000
	defaultSteps  = 1_000_000
	maxDepth      = 20 // of macros, blocks and #evaluate within each other, as velocimacro.max.depth
)

// ErrLimit is what an evaluation ends with that exceeds a limit.
var ErrLimit = errors.New("the template exceeds a limit")

// Append evaluates the template and appends its output to dst. scope may be nil.
// The error is an *EvaluationError: a method's, such as a substring out of range,
// or one that wraps ErrLimit; dst is then returned as it was.
func (t *Template) Append(dst []byte, scope Scope, limits Limits) ([]byte, error) {
	if limits.Output == 0 {
		limits.Output = defaultOutput
	}
	if limits.Loop == 0 {
		limits.Loop = defaultLoop
	}
	if limits.Steps == 0 {
		limits.Steps = defaultSteps
	}
	if dst == nil {
		dst = make([]byte, 0, len(t.text))
	}
	e := evaluations.Get().(*evaluation)
	e.text, e.out, e.base, e.scope, e.limits, e.macros = t.text, dst, len(dst), scope, limits, t.macros
	err := e.located(t.body.render(e))
	out := e.out
	e.release()
	if err != nil {
		return dst, err
	}
	return out, nil
}
