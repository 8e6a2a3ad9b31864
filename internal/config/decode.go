package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"tidegate/internal/nearest"
)

// Bounds of a file.
const (
	maxFile   = 8 << 20 // bytes
	maxValues = 200_000 // once aliases are expanded: a few hundred bytes can stand for millions
	maxDepth  = 50
)

// parse reads the one YAML document of a file; nil is an empty one.
func parse(file string, data []byte) (*yaml.Node, error) {
	bad := func(err error) error {
		m := &Mistake{Place: Place{File: file, Line: 1, Column: 1}, Text: "not valid YAML: " + err.Error()}
		var load *yaml.LoadError
		if errors.As(err, &load) {
			m.Place.Line, m.Place.Column, m.Text = max(load.Mark.Line, 1), max(load.Mark.Column, 1), "not valid YAML: "+load.Message
		}
		return Mistakes{m}
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, bad(err)
	}
	switch err := d.Decode(&more); {
	case err == nil:
		return nil, bad(errors.New("the file holds more than one document"))
	case !errors.Is(err, io.EOF):
		return nil, bad(err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// A decoder fills structs with YAML nodes. What doesn't fit is a mistake.
type decoder struct {
	file     string
	expand   func(text string) (string, error) // placeholders
	places   map[string]Place
	mistakes Mistakes
	left     int // values
}

func (d *decoder) at(n *yaml.Node) Place { return Place{File: d.file, Line: n.Line, Column: n.Column} }

func (d *decoder) wrong(n *yaml.Node, path, format string, args ...any) {
	d.mistakes.add(d.at(n), path, "", format, args...)
}

// target follows aliases; nil when there are too many values or levels.
func (d *decoder) target(n *yaml.Node, path string) *yaml.Node {
	if d.left--; d.left < 0 || strings.Count(path, ".")+strings.Count(path, "[") > maxDepth {
		if d.left == -1 {
			d.wrong(n, path, "the file holds more than %d values, or is nested more than %d deep", maxValues, maxDepth)
		}
		return nil
	}
	for n.Kind == yaml.AliasNode {
		if n = n.Alias; n == nil {
			return nil
		}
	}
	return n
}

// isNull says that nothing stands there.
func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 &&
		(n.Value == "" || n.Value == "~" || n.Value == "null")
}

// value fills v with the node.
func (d *decoder) value(n *yaml.Node, path string, v reflect.Value) {
	if n = d.target(n, path); n == nil || isNull(n) { // a key without a value keeps the default
		return
	}
	switch v.Interface().(type) {
	case time.Duration, Limit:
		d.scalar(n, path, v)
		return
	case Addresses:
		if n.Kind == yaml.ScalarNode {
			d.scalar(n, path, v)
			return
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Map:
		d.mapping(n, path, v)
	case reflect.Slice:
		d.list(n, path, v)
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(n, path, p.Elem())
		v.Set(p)
	default:
		d.scalar(n, path, v)
	}
}

// members calls fn with each key and value of a map.
func (d *decoder) members(n *yaml.Node, path string, fn func(k, x *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "here belong keys with values, not %s", kindOf(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, x := d.target(n.Content[i], path), n.Content[i+1]
		switch {
		case k == nil:
			return
		case k.Kind != yaml.ScalarNode:
			d.wrong(k, path, "a key must be text")
		case k.Tag == "!!merge":
			d.wrong(k, path, "merge keys (<<) are not read; repeat the values, or name an integration under integrations")
		case seen[k.Value] != 0:
			d.wrong(k, path, "the key %q is given twice, first on line %d", clip(k.Value), seen[k.Value])
		default:
			seen[k.Value] = k.Line
			fn(k, x)
		}
	}
}

// structure fills a struct; keys that it doesn't have are mistakes.
func (d *decoder) structure(n *yaml.Node, path string, v reflect.Value) {
	fields, names := fieldsOf(v)
	if place := v.FieldByName("Place"); place.IsValid() {
		place.Set(reflect.ValueOf(d.at(n)))
	}
	d.members(n, path, func(k, x *yaml.Node) {
		to, known := fields[k.Value]
		if !known {
			d.unknown(k, path, names)
			return
		}
		d.value(x, join(path, k.Value), to)
	})
}

func (d *decoder) unknown(k *yaml.Node, path string, names []string) {
	hint := "there are " + strings.Join(names, ", ")
	if near := nearest.Name(k.Value, names); near != "" {
		hint = "did you mean " + near + "?"
	}
	d.mistakes.add(d.at(k), path, hint, "there is no key %q", clip(k.Value))
}

// fieldsOf are a struct's fields by their keys, and the keys in their order.
func fieldsOf(v reflect.Value) (map[string]reflect.Value, []string) {
	fields := map[string]reflect.Value{}
	var names []string
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("key")
		if key == "" || key == "-" {
			continue
		}
		fields[key] = v.Field(i)
		names = append(names, key)
	}
	return fields, names
}

func (d *decoder) mapping(n *yaml.Node, path string, v reflect.Value) {
	made := reflect.MakeMap(v.Type())
	d.members(n, path, func(k, x *yaml.Node) {
		one := reflect.New(v.Type().Elem()).Elem()
		d.value(x, join(path, k.Value), one)
		made.SetMapIndex(reflect.ValueOf(k.Value), one)
	})
	v.Set(made)
}

func (d *decoder) list(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "here belongs a list, not %s", kindOf(n))
		return
	}
	made := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, x := range n.Content {
		d.value(x, fmt.Sprintf("%s[%d]", path, i), made.Index(i))
	}
	v.Set(made)
}

// scalar fills v with the node's text, its placeholders filled in.
func (d *decoder) scalar(n *yaml.Node, path string, v reflect.Value) {
	text := n.Value
	if placeholder, ok := bare(n); ok {
		text = placeholder
	} else if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, "here belongs one value, not %s", kindOf(n))
		return
	}
	expanded, err := d.expand(text)
	if err != nil {
		d.wrong(n, path, "%v", err)
	} else if err := set(v, expanded, d.at(n)); err != nil {
		d.wrong(n, path, "%q %v", clip(text), err) // as it stands there: what was filled in may be a secret
	}
	d.places[path] = d.at(n)
}

// bare reads {env.X} without quotes, which YAML takes for a map.
func bare(n *yaml.Node) (string, bool) {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Style&yaml.FlowStyle == 0 || !isNull(n.Content[1]) {
		return "", false
	}
	name := n.Content[0].Value
	if !strings.HasPrefix(name, "env.") && !strings.HasPrefix(name, "file.") {
		return "", false
	}
	return "{" + name + "}", true
}

// set fills a scalar with its text. The error doesn't hold it.
func set(v reflect.Value, text string, at Place) error {
	switch to := v.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return errors.New("is no duration such as 30s or 10m")
		}
		*to = d
		return nil
	case *Limit:
		*to = Limit{Place: at, Value: text}
		return nil
	case *Addresses:
		*to = nil
		if text != off {
			*to = strings.Split(text, ",")
		}
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		on := slices.Contains([]string{"true", "on"}, text)
		if !on && text != "false" && text != off {
			return errors.New("is neither true nor false")
		}
		v.SetBool(on)
	case reflect.Int:
		i, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("is no whole number")
		}
		v.SetInt(int64(i))
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("is no number")
		}
		v.SetFloat(f)
	default:
		return fmt.Errorf("config: a field of kind %s has no form", v.Kind())
	}
	return nil
}

// join makes the path of a key.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// kindOf is what a node is, in words.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys"
	case yaml.SequenceNode:
		return "a list"
	}
	return "one value"
}

// clip bounds what is repeated of a file.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
