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
	input          *input
	context        *variables
	stageVariables *vtl.Map
}

// lookup gives the variables of API Gateway. References that begin with one of
// them and lead nowhere print nothing.
func (s *scope) lookup(name string) (any, bool) {
	switch name {
	case "input":
		if s.input == nil {
			s.input = &input{in: s.in}
		}
		return vtl.Silent{Value: s.input}, true
	case "context":
		if s.context == nil {
			s.context = &variables{of: s.in.Context}
		}
		return vtl.Silent{Value: s.context}, true
	case "stageVariables":
		if s.stageVariables == nil {
			s.stageVariables = vtl.NewMap()
			if c := s.in.Context; c != nil {
				for _, key := range sortedKeys(c.StageVariables) {
					s.stageVariables.Put(key, c.StageVariables[key])
				}
			}
		}
		return vtl.Silent{Value: s.stageVariables}, true
	case "util":
		return util{}, true
	}
	return nil, false
}

// variables is $context: identity, authorizer and error are maps within it, the
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

func variable(text string, number bool) any {
	if number {
		return numberValue(text)
	}
	return text
}

// input is $input.
type input struct {
	in   *Input
	read bool
	root *jsonpath.Value // nil when the body isn't JSON
}

// body is the text that templates see: {} when there is none.
func (i *input) body() string {
	if len(i.in.Body) == 0 {
		return "{}"
	}
	return string(i.in.Body)
}

// Get returns $input.body.
func (i *input) Get(name string) (any, bool) {
	if name == "body" {
		return i.body(), true
	}
	return nil, false
}

// String is what $input itself prints.
func (i *input) String() string { return i.body() }

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
	q, err := jsonpath.ParseQuery(path)
	if err != nil {
		return nil, nil, err
	}
	if !i.read {
		i.read = true
		if v, err := jsonpath.Read([]byte(i.body())); err == nil {
			i.root = &v
		}
	}
	if i.root == nil {
		return q, nil, nil
	}
	found, err := q.Select(i.root)
	return q, found, err
}

// answer is what json and path give for what a query found: json a JSON text,
// "" in quotes when there is nothing, path a value, or the empty string.
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

// params is $input.params(): on $connect the handshake's, else empty.
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
// of several.
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
// maps, arrays as JSON.
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
		m := vtl.NewMap()
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

// util is $util.
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
