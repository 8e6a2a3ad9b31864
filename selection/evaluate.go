package selection

import (
	"errors"
	"fmt"
	"strconv"

	"tidegate/jsonpath"
)

// ErrNotJSON says that an expression needs a value of the message, and the
// message is not JSON, not even leniently read. A route selection then takes
// the default route.
var ErrNotJSON = jsonpath.ErrNotJSON

// A Source has what the variables of an expression name. A value that it lacks
// is empty.
type Source interface {
	Body() []byte                     // the message; nil when there is none
	Header(name string) string        // of the handshake, name in any case
	Query(name string) string         // of the handshake, decoded
	Context(name string) string       // $context.NAME
	StageVariable(name string) string // $stageVariables.NAME
}

// A ResponseSource is a Source that has a backend's response as well.
// Expressions with integration.response variables need one.
type ResponseSource interface {
	Source
	StatusCode() int
	ResponseBody() []byte
	ResponseHeader(name string) []string // every value in order, name in any case
}

// A BasePathSource is a Source that has the base path of a request to a custom
// domain as well. Expressions with request.basepath need one.
type BasePathSource interface {
	Source
	BasePath() string
}

// Append evaluates the expression and appends its value. A variable without a
// value is empty (WS-02-004), as is one of a response's body that isn't JSON. The error is
// ErrNotJSON when a variable of the message is needed and the message isn't
// JSON; any other error says that src has not what the expression is about.
// With an error dst is returned as it was.
func (e *Expr) Append(dst []byte, src Source) ([]byte, error) {
	out := dst
	for i := range e.parts {
		var err error
		if out, err = e.parts[i].append(out, src); err != nil {
			return dst, err
		}
	}
	return out, nil
}

func (p *part) append(dst []byte, src Source) ([]byte, error) {
	switch p.root {
	case "":
		return append(dst, p.text...), nil
	case rootBody:
		out, _, err := p.path.Pick(dst, src.Body())
		return out, err
	case rootHeader:
		return append(dst, src.Header(p.name)...), nil
	case rootQuery:
		return append(dst, src.Query(p.name)...), nil
	case rootContext:
		return append(dst, src.Context(p.name)...), nil
	case rootStageVariable:
		return append(dst, src.StageVariable(p.name)...), nil
	case rootBasePath:
		s, ok := src.(BasePathSource)
		if !ok {
			return dst, p.missing("base path")
		}
		return append(dst, s.BasePath()...), nil
	}
	s, ok := src.(ResponseSource)
	if !ok {
		return dst, p.missing("response")
	}
	return p.appendResponse(dst, s)
}

// missing says that there is nothing that the variable could be taken from.
func (p *part) missing(what string) error {
	return fmt.Errorf("%v can't be evaluated here: there is no %s", p, what)
}

func (p *part) appendResponse(dst []byte, src ResponseSource) ([]byte, error) {
	switch p.root {
	case rootStatusCode:
		return strconv.AppendInt(dst, int64(src.StatusCode()), 10), nil
	case rootResponseBody:
		out, _, err := p.path.Pick(dst, src.ResponseBody())
		if errors.Is(err, ErrNotJSON) {
			return dst, nil
		}
		return out, err
	case rootResponseHeader:
		if values := src.ResponseHeader(p.name); len(values) > 0 {
			return append(dst, values[len(values)-1]...), nil
		}
		return dst, nil
	case rootResponseHeaders:
		values := src.ResponseHeader(p.name)
		if len(values) == 0 {
			return dst, nil
		}
		dst = append(dst, '[')
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, v...)
		}
		return append(dst, ']'), nil
	}
	return dst, fmt.Errorf("%v can't be evaluated", p) // unreachable: parse makes no other roots
}
