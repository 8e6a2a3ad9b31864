package serverless

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v4"
)

// parseFile reads YAML or JSON; before is added to every line.
func parseFile(data []byte, before int) (*yaml.Node, int, error) {
	if json.Valid(data) { // where tabs may stand between tokens, and nowhere else
		data = bytes.ReplaceAll(data, []byte("\t"), []byte(" "))
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		var load *yaml.LoadError
		switch {
		case errors.Is(err, io.EOF):
			return nil, 1, errors.New("the file is empty")
		case errors.As(err, &load):
			return nil, max(load.Mark.Line, 1), fmt.Errorf("not valid YAML: %s", load.Message)
		}
		return nil, 1, fmt.Errorf("not valid YAML: %w", err)
	}
	if len(doc.Content) == 0 {
		return nil, 1, errors.New("the file is empty")
	}
	shift(doc.Content[0], before)
	return doc.Content[0], 0, nil
}

// shift moves a tree's lines; aliases point into the tree and are moved with it.
func shift(n *yaml.Node, by int) {
	n.Line += by
	for _, c := range n.Content {
		shift(c, by)
	}
}

func target(n *yaml.Node) *yaml.Node {
	for range maxVariableDepth {
		if n == nil || n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return nil
}

// get returns a map's member, or nil; it may be called on nil.
func get(n *yaml.Node, name string) *yaml.Node {
	n = target(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name && n.Content[i].Tag != "!!merge" {
			return target(n.Content[i+1])
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		m := target(n.Content[i+1])
		maps := []*yaml.Node{m}
		if m != nil && m.Kind == yaml.SequenceNode {
			maps = m.Content
		}
		for _, one := range maps {
			if one = target(one); one != nil && one != n {
				if v := get(one, name); v != nil {
					return v
				}
			}
		}
	}
	return nil
}

// A pair is a member of a map.
type pair struct{ key, value *yaml.Node }

// pairs lists the members of a resolved map, which has neither aliases nor merges.
func pairs(n *yaml.Node) []pair {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var all []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		all = append(all, pair{n.Content[i], n.Content[i+1]})
	}
	return all
}

func isNull(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// scalar returns a scalar's text, "" for anything else.
func scalar(n *yaml.Node) string {
	if isNull(n) || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

func isText(n *yaml.Node) bool {
	return n != nil && n.Kind == yaml.ScalarNode && !isNull(n) && len(n.Tag) > 1 && n.Tag[:2] == "!!"
}

// Nodes made here lie where at lies.

func text(s string, at *yaml.Node) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: s}
	return placed(n, at)
}

func plain(s, tag string, at *yaml.Node) *yaml.Node {
	return placed(&yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: s}, at)
}

func list(at *yaml.Node, items ...*yaml.Node) *yaml.Node {
	return placed(&yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}, at)
}

// object makes a map of names and values in turn; nil values are left out.
func object(at *yaml.Node, namesAndValues ...any) *yaml.Node {
	n := placed(&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, at)
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		v, _ := namesAndValues[i+1].(*yaml.Node)
		if s, ok := namesAndValues[i+1].(string); ok {
			v = text(s, at)
		}
		if v != nil {
			set(n, namesAndValues[i].(string), v)
		}
	}
	return n
}

func placed(n, at *yaml.Node) *yaml.Node {
	if at != nil {
		n.Line, n.Column = at.Line, at.Column
	}
	return n
}

// set gives a map's member a value.
func set(n *yaml.Node, name string, v *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content[i+1] = v
			return
		}
	}
	n.Content = append(n.Content, text(name, v), v)
}

func ref(id string, at *yaml.Node) *yaml.Node { return object(at, "Ref", id) }

func getAtt(id, attribute string, at *yaml.Node) *yaml.Node {
	return object(at, "Fn::GetAtt", list(at, text(id, at), text(attribute, at)))
}

func sub(s string, at *yaml.Node) *yaml.Node { return object(at, "Fn::Sub", s) }

// merged is b laid over a: maps are merged, lists joined, the rest is replaced.
func merged(a, b *yaml.Node, depth int) *yaml.Node {
	switch {
	case a == nil || depth > maxVariableDepth:
		return b
	case isNull(b):
		return a
	case a.Kind == yaml.MappingNode && b.Kind == yaml.MappingNode:
		out := *a
		out.Content = append([]*yaml.Node(nil), a.Content...)
		for _, m := range pairs(b) {
			set(&out, m.key.Value, merged(get(a, m.key.Value), m.value, depth+1))
		}
		return &out
	case a.Kind == yaml.SequenceNode && b.Kind == yaml.SequenceNode:
		out := *a
		out.Content = append(append([]*yaml.Node(nil), a.Content...), b.Content...)
		return &out
	}
	return b
}
