package stack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// parse reads a template, YAML or JSON, into a tree with the place of every
// value. Short forms of intrinsic functions become their long forms. On a
// problem it reports and may return nil.
func parse(data []byte, r *reporter) *value {
	if len(data) > MaxTemplateBytes {
		r.errorf(place{}, "the template has %d bytes; at most %d are read, as CloudFormation does", len(data), MaxTemplateBytes)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if t := bytes.TrimLeft(data, " \t\r\n"); len(t) > 0 && t[0] == '{' && json.Valid(data) {
		// YAML would read nearly all JSON, but not tabs between tokens nor escaped
		// surrogate pairs.
		p := &jsonParser{data: data, dec: json.NewDecoder(bytes.NewReader(data)), r: r, line: 1}
		p.dec.UseNumber()
		return p.value(0)
	}
	return parseYAML(data, r)
}

func parseYAML(data []byte, r *reporter) *value {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := d.Decode(&doc); err != nil {
		reportYAML(err, r)
		return nil
	}
	switch err := d.Decode(&more); {
	case err == nil:
		r.errorf(place{line: more.Line, column: more.Column}, "the file holds more than one YAML document; a template is one")
		return nil
	case !errors.Is(err, io.EOF):
		reportYAML(err, r)
		return nil
	}
	if len(doc.Content) == 0 {
		r.errorf(place{line: 1, column: 1}, "the template is empty")
		return nil
	}
	c := &converter{r: r, budget: maxValues}
	return c.convert(doc.Content[0], 0)
}

// reportYAML turns the YAML library's error into a diagnostic with its place.
func reportYAML(err error, r *reporter) {
	if errors.Is(err, io.EOF) {
		r.errorf(place{line: 1, column: 1}, "the template is empty")
		return
	}
	var load *yaml.LoadError
	if errors.As(err, &load) {
		r.errorf(place{line: max(load.Mark.Line, 1), column: max(load.Mark.Column, 1)}, "not valid YAML: %s%s", load.Message, yamlHint(load.Message))
		return
	}
	r.errorf(place{line: 1, column: 1}, "not valid YAML: %v", err)
}

// yamlHint says what the YAML library's message leaves open.
func yamlHint(message string) string {
	if strings.Contains(message, "cannot start any token") {
		return ": a tab (YAML is indented with spaces), or @ or ` without quotes"
	}
	return ""
}

// A converter makes values of YAML nodes. Aliases are expanded, so it counts
// what it makes: a few hundred bytes can stand for millions of values.
type converter struct {
	r      *reporter
	budget int
	failed bool
}

// shortForms are the tags of CloudFormation's short forms.
var shortForms = map[string]string{
	"!Ref": "Ref", "!Condition": "Condition", "!GetAtt": "Fn::GetAtt",
	"!Sub": "Fn::Sub", "!Join": "Fn::Join", "!Select": "Fn::Select", "!Split": "Fn::Split",
	"!If": "Fn::If", "!Equals": "Fn::Equals", "!And": "Fn::And", "!Or": "Fn::Or", "!Not": "Fn::Not",
	"!FindInMap": "Fn::FindInMap", "!Base64": "Fn::Base64", "!Cidr": "Fn::Cidr", "!GetAZs": "Fn::GetAZs",
	"!ImportValue": "Fn::ImportValue", "!Transform": "Fn::Transform",
}

func (c *converter) fail(n *yaml.Node, format string, args ...any) *value {
	if !c.failed {
		c.r.errorf(place{line: n.Line, column: n.Column}, format, args...)
	}
	c.failed = true
	return &value{line: n.Line, column: n.Column}
}

func (c *converter) convert(n *yaml.Node, depth int) *value {
	if c.failed {
		return &value{}
	}
	if depth > maxDepth {
		return c.fail(n, "more than %d levels deep", maxDepth)
	}
	if c.budget--; c.budget < 0 {
		return c.fail(n, "more than %d values once aliases are expanded", maxValues)
	}
	if n.Kind == yaml.AliasNode {
		if n.Alias == nil {
			return c.fail(n, "alias *%s has no anchor", n.Value)
		}
		return c.convert(n.Alias, depth+1)
	}
	v := c.untagged(n, depth)
	if !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!") {
		return v
	}
	function, known := shortForms[n.Tag]
	if !known {
		c.r.report(place{line: n.Line, column: n.Column}, didYouMean(n.Tag, shortFormTags()), "unknown tag %s", n.Tag)
		return v
	}
	if function == "Fn::GetAtt" && v.kind == text {
		id, attribute, _ := strings.Cut(v.text, ".")
		return attAt(id, attribute, v)
	}
	return objectAt(v, function, v)
}

func (c *converter) untagged(n *yaml.Node, depth int) *value {
	v := &value{line: n.Line, column: n.Column}
	switch n.Kind {
	case yaml.ScalarNode:
		v.kind, v.text = scalarKind(n), n.Value
		if v.kind == boolean {
			v.text = strings.ToLower(v.text)
		}
	case yaml.SequenceNode:
		v.kind = list
		v.items = make([]*value, 0, len(n.Content))
		for _, x := range n.Content {
			v.items = append(v.items, c.convert(x, depth+1))
		}
	case yaml.MappingNode:
		c.mapping(v, n, depth)
	default:
		return c.fail(n, "a YAML node of an unexpected kind")
	}
	return v
}

// mapping fills v with the node's members; a merge key (<<) adds those that
// aren't there.
func (c *converter) mapping(v *value, n *yaml.Node, depth int) {
	v.kind = object
	seen := make(map[string]int, len(n.Content)/2)
	var merged []*value
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, x := n.Content[i], n.Content[i+1]
		for k.Kind == yaml.AliasNode && k.Alias != nil {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			c.fail(k, "a key must be text")
			return
		}
		y := c.convert(x, depth+1)
		if k.Tag == "!!merge" {
			if y.kind == list {
				merged = append(merged, y.items...)
			} else {
				merged = append(merged, y)
			}
			continue
		}
		if line, twice := seen[k.Value]; twice {
			c.r.errorf(place{line: k.Line, column: k.Column}, "key %q is given twice, first on line %d", clip(k.Value), line)
			continue
		}
		seen[k.Value] = k.Line
		v.members = append(v.members, member{name: k.Value, line: k.Line, column: k.Column, value: y})
	}
	for _, m := range merged {
		for _, x := range m.members {
			if _, there := seen[x.name]; !there {
				seen[x.name] = x.line
				v.members = append(v.members, x)
			}
		}
	}
}

// scalarKind tells what a scalar is by CloudFormation's few rules: quoted is
// text, and so is everything that YAML would make a date, an octal or a
// sexagesimal number.
func scalarKind(n *yaml.Node) kind {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return text
	}
	if n.Tag == "!!str" && n.Style&yaml.TaggedStyle != 0 || strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		return text
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return null
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return boolean
	}
	if isNumber(n.Value) {
		return number
	}
	return text
}

func shortFormTags() []string {
	tags := make([]string, 0, len(shortForms))
	for t := range shortForms {
		tags = append(tags, t)
	}
	return tags
}

// clip shortens a text from a template for a message.
func clip(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:77], "") + "..."
}

// A jsonParser reads a JSON template token by token, to know every place. The
// text was checked to be valid JSON before.
type jsonParser struct {
	data   []byte
	dec    *json.Decoder
	r      *reporter
	offset int // up to which lines were counted
	line   int
	start  int // offset at which the line begins
	failed bool
}

// next returns the next token and its place.
func (p *jsonParser) next() (json.Token, *value) {
	at := int(p.dec.InputOffset())
	for at < len(p.data) && bytes.IndexByte([]byte(" \t\r\n:,"), p.data[at]) >= 0 {
		at++
	}
	for ; p.offset < at; p.offset++ {
		if p.data[p.offset] == '\n' {
			p.line++
			p.start = p.offset + 1
		}
	}
	t, err := p.dec.Token()
	v := &value{line: p.line, column: at - p.start + 1}
	if err != nil { // unreachable: the text is valid JSON
		p.failed = true
		p.r.errorf(place{line: v.line, column: v.column}, "not valid JSON: %v", err)
	}
	return t, v
}

func (p *jsonParser) value(depth int) *value {
	t, v := p.next()
	if p.failed {
		return v
	}
	if depth > maxDepth {
		p.failed = true
		p.r.errorf(place{line: v.line, column: v.column}, "more than %d levels deep", maxDepth)
		return v
	}
	switch t := t.(type) {
	case string:
		v.kind, v.text = text, t
	case json.Number:
		v.kind, v.text = number, t.String()
	case bool:
		v.kind, v.text = boolean, fmt.Sprint(t)
	case json.Delim:
		p.collection(t, v, depth)
	}
	return v
}

// collection reads what follows an opening bracket.
func (p *jsonParser) collection(open json.Delim, v *value, depth int) {
	if open == '[' {
		v.kind = list
		for p.dec.More() && !p.failed {
			v.items = append(v.items, p.value(depth+1))
		}
	} else {
		v.kind = object
		seen := map[string]int{}
		for p.dec.More() && !p.failed {
			k, at := p.next()
			name, _ := k.(string)
			x := p.value(depth + 1)
			if line, twice := seen[name]; twice {
				p.r.errorf(place{line: at.line, column: at.column}, "key %q is given twice, first on line %d", clip(name), line)
				continue
			}
			seen[name] = at.line
			v.members = append(v.members, member{name: name, line: at.line, column: at.column, value: x})
		}
	}
	if !p.failed {
		p.next()
	}
}
