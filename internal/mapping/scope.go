package mapping

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"unicode/utf16"

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
	silent         [3]any // a vtl.Silent for each of these, once asked for
}

// lookup gives the variables of API Gateway. References that begin with one of
// them and lead nowhere print nothing.
func (s *scope) lookup(name string) (any, bool) {
	switch name {
	case "input":
		if s.silent[0] == nil {
			s.input.in = s.in
			s.silent[0] = vtl.Silent{Value: &s.input}
		}
		return s.silent[0], true
	case "context":
		if s.silent[1] == nil {
			s.context.of = s.in.Context
			s.silent[1] = vtl.Silent{Value: &s.context}
		}
		return s.silent[1], true
	case "stageVariables":
		if s.silent[2] == nil {
			if c := s.in.Context; c != nil {
				s.stageVariables.of = c.StageVariables
			}
			s.silent[2] = vtl.Silent{Value: &s.stageVariables}
		}
		return s.silent[2], true
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
	of  *event.Context
	all *vtl.Map
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
			return &group{v, name}, true
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
	in   *Input
	text any // the body's, once asked for: a string
	read bool
	root *jsonpath.Value // nil when the body isn't JSON
}

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

// Get returns $input.body.
func (i *input) Get(name string) (any, bool) {
	if name == "body" {
		return i.body(), true
	}
	return nil, false
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
	case "json", "path":
		q, found, err := i.query(text)
		if err != nil {
			return nil, false, err
		}
		return answer(q, found, name == "json"), true, nil
	}
	return nil, false, nil
}

// query follows a path into the body.
func (i *input) query(path string) (*jsonpath.Query, []*jsonpath.Value, error) {
	q, err := wholeBody, error(nil)
	if path != "$" {
		if q, err = jsonpath.ParseQuery(path); err != nil {
			return nil, nil, err
		}
	}
	if !i.read {
		i.read = true
		body := i.in.Body
		if len(body) == 0 {
			body = []byte("{}")
		}
		if v, err := jsonpath.Read(body); err == nil {
			i.root = &v
		}
	}
	if i.root == nil {
		return q, nil, nil
	}
	found, err := q.Select(i.root)
	return q, found, err
}

// wholeBody is the path that most templates begin with.
var wholeBody, _ = jsonpath.ParseQuery("$")

// answer is what json and path give for what a query found: json a JSON text
// (WS-05-002), "" in quotes when there is nothing (WS-05-007), path a value (WS-05-003),
// or the empty string.
func answer(q *jsonpath.Query, found []*jsonpath.Value, asJSON bool) any {
	var v *jsonpath.Value
	switch {
	case q.Definite() && len(found) > 0:
		v = found[0]
	case !q.Definite():
		v = &jsonpath.Value{Kind: jsonpath.Array}
		for _, f := range found {
			v.Items = append(v.Items, *f)
		}
	case asJSON:
		return `""`
	default:
		return ""
	}
	if asJSON {
		return string(v.AppendJSON(nil))
	}
	return velocity(v)
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

// velocity turns JSON into what templates work with: objects print as Java's
// maps (WS-05-004), arrays as JSON (WS-05-005).
func velocity(v *jsonpath.Value) any {
	switch v.Kind {
	case jsonpath.Bool:
		return v.Text == "true"
	case jsonpath.Number:
		return numberValue(v.Text)
	case jsonpath.String:
		return v.Text
	case jsonpath.Array:
		items := make([]any, len(v.Items))
		for i := range v.Items {
			items[i] = velocity(&v.Items[i])
		}
		return vtl.NewJSONList(items...)
	case jsonpath.Object:
		m := vtl.NewMapSize(len(v.Names))
		for i, name := range v.Names {
			m.Put(name, velocity(&v.Items[i]))
		}
		return m
	}
	return nil
}

// numberValue is a number as Java reads it: an integer of any size, or a double.
func numberValue(text string) any {
	n := json.Number(text)
	if i, err := n.Int64(); err == nil {
		return i
	}
	if !strings.ContainsAny(text, ".eE") && len(text) < 1000 {
		if i, ok := new(big.Int).SetString(text, 10); ok {
			return i
		}
	}
	f, err := n.Float64()
	if err != nil {
		return text
	}
	return f
}

// util is $util (WS-05-021 to WS-05-028).
type util struct{}

// Get finds nothing: $util has functions only.
func (util) Get(string) (any, bool) { return nil, false }

// String is what $util itself prints.
func (util) String() string { return "$util" }

// Call calls the functions.
func (util) Call(name string, arguments []any) (any, bool, error) {
	if len(arguments) != 1 {
		return nil, false, nil
	}
	if name == "escapeJavaScript" {
		if text, ok := arguments[0].(string); ok && !needsEscape(text) {
			return arguments[0], true, nil
		}
		return escapeJavaScript(vtl.Print(arguments[0])), true, nil
	}
	if arguments[0] == nil {
		return nil, false, nil
	}
	text := vtl.Print(arguments[0])
	switch name {
	case "parseJson":
		v, err := jsonpath.Read([]byte(text))
		if err != nil {
			return nil, false, fmt.Errorf("$util.parseJson: the text is %w", err)
		}
		return velocity(&v), true, nil
	case "urlEncode":
		return javaEscaper.Replace(url.QueryEscape(text)), true, nil
	case "urlDecode":
		decoded, err := url.QueryUnescape(text)
		if err != nil {
			return nil, false, fmt.Errorf("$util.urlDecode: %w", err)
		}
		return decoded, true, nil
	case "base64Encode":
		return base64.StdEncoding.EncodeToString([]byte(text)), true, nil
	case "base64Decode":
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, false, fmt.Errorf("$util.base64Decode: %w", err)
		}
		return string(decoded), true, nil
	}
	return nil, false, nil
}

// javaEscaper makes Go's query escapes those of Java's URLEncoder.
var javaEscaper = strings.NewReplacer("~", "%7E", "%2A", "*")

// escapeJavaScript escapes as Apache Commons Lang 2 does: quotes of both kinds,
// backslash, slash, control characters, and all beyond ASCII.
func escapeJavaScript(s string) string {
	var b strings.Builder
	b.Grow(len(s) + len(s)/8 + 8)
	for _, c := range utf16.Encode([]rune(s)) {
		switch {
		case c == '\'' || c == '"' || c == '\\' || c == '/':
			b.WriteByte('\\')
			b.WriteByte(byte(c))
		case c == '\b':
			b.WriteString(`\b`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\f':
			b.WriteString(`\f`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < 0x20 || c > 0x7f:
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteByte(byte(c))
		}
	}
	return b.String()
}

// needsEscape says that escapeJavaScript changes the text.
func needsEscape(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '\'' || c == '"' || c == '\\' || c == '/' {
			return true
		}
	}
	return false
}
