package mapping

import (
	"fmt"
	"strings"
	"sync"

	"tidegate/internal/event"
	"tidegate/jsonpath"
	"tidegate/vtl"
)

// A scope is what one evaluation of a template sees. What a template doesn't
// mention is not built.
type scope struct {
	in             *Input
	input          input
	context        variables
	stageVariables stageVariables
	out            []byte    // the evaluation's, which is copied
	find           vtl.Scope // lookup
}

// scopes keeps the room of those that were used.
var scopes = sync.Pool{New: func() any {
	s := new(scope)
	s.find = s.lookup
	return s
}}

// maxOutputKept bounds the room for output that is kept, in bytes.
const maxOutputKept = 64 << 10

// release ends the use of a scope, which keeps nothing of it but room.
func (s *scope) release() {
	out, find := s.out, s.find
	if cap(out) > maxOutputKept {
		out = nil
	}
	*s = scope{out: out[:0], find: find}
	scopes.Put(s)
}

// lookup gives the variables of API Gateway. References that begin with one of
// them and lead nowhere print nothing.
func (s *scope) lookup(name string) (any, bool) {
	switch name {
	case "input":
		return &s.input, true
	case "context":
		s.context.of = s.in.Context
		return &s.context, true
	case "stageVariables":
		if c := s.in.Context; c != nil {
			s.stageVariables.of = c.StageVariables
		}
		return &s.stageVariables, true
	case "util":
		return util{}, true
	}
	return nil, false
}

// stageVariables is $stageVariables, in the order of their names.
type stageVariables struct {
	of  map[string]string
	all *vtl.Map
}

// Silent has references that lead nowhere print nothing.
func (*stageVariables) Silent() {}

// AppendGet appends one stage variable.
func (s *stageVariables) AppendGet(dst []byte, name string) ([]byte, bool) {
	v, ok := s.of[name]
	if s.all != nil || !ok {
		return dst, false
	}
	return append(dst, v...), true
}

// Get returns one stage variable.
func (s *stageVariables) Get(name string) (any, bool) {
	if s.all != nil {
		return s.all.Get(name)
	}
	v, ok := s.of[name]
	return v, ok
}

// Map returns all of them.
func (s *stageVariables) Map() *vtl.Map {
	if s.all == nil {
		s.all = vtl.NewMapSize(len(s.of))
		for _, key := range sortedKeys(s.of) {
			s.all.Put(key, s.of[key])
		}
	}
	return s.all
}

// variables is $context (WS-05-050 to WS-05-062): identity, authorizer and error are maps within it, the
// times that count milliseconds are numbers, and what the event lacks is not
// there.
type variables struct {
	of       *event.Context
	all      *vtl.Map
	identity group
}

// Silent has references that lead nowhere print nothing.
func (*variables) Silent() {}

// AppendGet appends one variable.
func (v *variables) AppendGet(dst []byte, name string) ([]byte, bool) {
	if v.all != nil || v.of == nil {
		return dst, false
	}
	text, ok := v.of.Lookup(name)
	return append(dst, text...), ok
}

// Get returns one variable, or one group of them.
func (v *variables) Get(name string) (any, bool) {
	if v.all == nil && v.of != nil {
		if text, ok := v.of.Lookup(name); ok {
			return variable(text, event.NumberVariable(name)), true
		}
		if !event.VariableGroup(name) {
			return nil, false
		}
		if name == "identity" { // every event has some of it
			v.identity = group{v, name}
			return &v.identity, true
		}
	}
	return v.Map().Get(name)
}

// Map returns all of them.
func (v *variables) Map() *vtl.Map {
	if v.all != nil {
		return v.all
	}
	v.all = vtl.NewMap()
	if v.of == nil {
		return v.all
	}
	v.of.Each(func(name, value string) {
		at := v.all
		if group, rest, nested := strings.Cut(name, "."); nested {
			inner, _ := at.Get(group)
			m, made := inner.(*vtl.Map)
			if !made {
				m = vtl.NewMap()
				at.Put(group, m)
			}
			at, name = m, rest
		}
		at.Put(name, variable(value, event.NumberVariable(name)))
	})
	return v.all
}

// group is the variables of $context that begin with a name and a dot.
type group struct {
	in   *variables
	name string
}

// AppendGet appends one variable of the group.
func (g *group) AppendGet(dst []byte, name string) ([]byte, bool) {
	if g.in.all != nil {
		return dst, false
	}
	text, ok := g.in.of.Lookup(g.name + "." + name)
	return append(dst, text...), ok
}

// Get returns one variable of the group.
func (g *group) Get(name string) (any, bool) {
	if g.in.all == nil {
		text, ok := g.in.of.Lookup(g.name + "." + name)
		return text, ok
	}
	return g.Map().Get(name)
}

// Map returns all of the group.
func (g *group) Map() *vtl.Map {
	m, _ := g.in.Map().Get(g.name)
	if m, ok := m.(*vtl.Map); ok {
		return m
	}
	return vtl.NewMap()
}

func variable(text string, number bool) any {
	if number {
		return numberValue(text)
	}
	return text
}

// input is $input.
type input struct {
	in    *Input
	paths *paths
	text  any // the body's, once asked for: a string
	read  bool
	json  bool           // the body is JSON
	root  jsonpath.Value // if so
	work  int            // what paths went through, in bytes
}

// Bounds of what the paths of one evaluation go through: so many bytes of body,
// or of a long body this many times its length.
const (
	maxWork  = 64 << 20
	maxTimes = 32
)

// body is the text that templates see: {} when there is none (WS-05-001, WS-05-008).
func (i *input) body() any {
	if i.text == nil {
		i.text = "{}"
		if len(i.in.Body) > 0 {
			i.text = string(i.in.Body)
		}
	}
	return i.text
}

// Silent has references that lead nowhere print nothing.
func (*input) Silent() {}

// Get returns $input.body.
func (i *input) Get(name string) (any, bool) {
	if name == "body" {
		return i.body(), true
	}
	return nil, false
}

// AppendGet appends $input.body.
func (i *input) AppendGet(dst []byte, name string) ([]byte, bool) {
	if name != "body" || len(i.in.Body) == 0 {
		return dst, false
	}
	return append(dst, i.in.Body...), true
}

// String is what $input itself prints.
func (i *input) String() string { return vtl.Print(i.body()) }

// Call calls json, path and params.
func (i *input) Call(name string, arguments []any) (any, bool, error) {
	if name == "params" && len(arguments) == 0 {
		return i.params(), true, nil
	}
	if len(arguments) != 1 {
		return nil, false, nil
	}
	text, ok := arguments[0].(string)
	if !ok {
		return nil, false, nil
	}
	switch name {
	case "params":
		v, found := i.param(text)
		if !found {
			return "", true, nil
		}
		return v, true, nil
	case "json":
		out, err := i.appendJSON(nil, arguments[0])
		if err != nil {
			return nil, false, err
		}
		return string(out), true, nil
	case "path": // a value, or the empty string (WS-05-003)
		v, err := i.query(arguments[0])
		switch {
		case err != nil:
			return nil, false, err
		case v == nil:
			return "", true, nil
		}
		return velocity(v), true, nil
	}
	return nil, false, nil
}

// AppendCall appends what json gives, and path for what is no container.
func (i *input) AppendCall(dst []byte, name string, arguments []any) ([]byte, bool, error) {
	if len(arguments) != 1 {
		return dst, false, nil
	}
	if _, ok := arguments[0].(string); !ok {
		return dst, false, nil
	}
	switch name {
	case "json":
		out, err := i.appendJSON(dst, arguments[0])
		return out, err == nil, err
	case "path":
		v, err := i.query(arguments[0])
		if err != nil || v == nil {
			return dst, err == nil, err
		}
		dst, ok := appendScalar(dst, v)
		return dst, ok, nil
	}
	return dst, false, nil
}

// appendJSON is json: a JSON text (WS-05-002), "" in quotes when there is nothing
// (WS-05-007).
func (i *input) appendJSON(dst []byte, path any) ([]byte, error) {
	v, err := i.query(path)
	switch {
	case err != nil:
		return dst, err
	case v == nil:
		return append(dst, `""`...), nil
	}
	return v.AppendJSON(dst), nil
}

// query follows a path, a string, into the body; nil is nothing.
func (i *input) query(path any) (*jsonpath.Value, error) {
	q, err := i.paths.parse(path)
	if err != nil {
		return nil, err
	}
	if !i.read {
		i.readBody()
	}
	if q.Definite() {
		if !i.json {
			return nil, nil
		}
		v, err := q.Find(&i.root)
		if v != nil {
			i.work += 16 * len(v.Items)
		}
		return v, i.worked(err)
	}
	list := &jsonpath.Value{Kind: jsonpath.Array}
	if !i.json {
		return list, nil
	}
	found, err := q.Select(&i.root)
	for _, v := range found {
		list.Items = append(list.Items, *v)
	}
	i.work += len(i.in.Body) + 16*len(found)
	return list, i.worked(err)
}

// worked refuses an evaluation whose paths went through too much.
func (i *input) worked(err error) error {
	if limit := max(maxWork, maxTimes*len(i.in.Body)); err == nil && i.work > limit {
		return fmt.Errorf("%w: its JSON paths go through more than %d bytes", vtl.ErrLimit, limit)
	}
	return err
}

func (i *input) readBody() {
	i.read = true
	body := i.in.Body
	if len(body) == 0 {
		body = []byte("{}")
	}
	root, err := jsonpath.ReadCopy(body, i.body().(string))
	i.root, i.json = root, err == nil
}

// params is $input.params(): on $connect the handshake's (WS-05-015, WS-05-016), else
// empty (WS-05-018).
func (i *input) params() *vtl.Map {
	m := vtl.NewMap()
	header, query := vtl.NewMap(), vtl.NewMap()
	if r := i.in.Connect; r != nil {
		for _, f := range r.EventHeader() {
			header.Put(f.Name, f.Value)
		}
		for _, f := range r.Query {
			query.Put(f.Name, f.Value)
		}
	}
	m.Put("path", vtl.NewMap())
	m.Put("querystring", query)
	m.Put("header", header)
	return m
}

// param is $input.params(name): the query's before the header's, the last value
// of several (WS-05-013, WS-05-014).
func (i *input) param(name string) (string, bool) {
	r := i.in.Connect
	if r == nil {
		return "", false
	}
	for _, values := range [][]string{fieldValues(r.Query, name, false), fieldValues(r.EventHeader(), name, true)} {
		if len(values) > 0 {
			return values[len(values)-1], true
		}
	}
	return "", false
}
