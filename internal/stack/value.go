package stack

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// A kind says what a value is.
type kind uint8

const (
	null kind = iota
	text
	number // text holds a JSON number, as it was written
	boolean
	list
	object
	unknown // known only once another resource exists
)

func (k kind) String() string {
	return [...]string{"null", "text", "a number", "a boolean", "a list", "a map", "unknown"}[k]
}

// A value is a part of a template with its place. Values are shared between
// trees and never changed once they are read.
type value struct {
	kind         kind
	text         string // of a scalar; true or false for a boolean
	placeholder  bool   // the text stands in for a value that Tidegate can't know
	items        []*value
	members      []member
	line, column int
}

// A member is one name and value of an object; the order is the template's.
type member struct {
	name         string
	line, column int
	value        *value
}

// textAt makes a text at the place of another value.
func textAt(s string, at *value) *value {
	v := &value{kind: text, text: s}
	return v.placed(at)
}

func boolAt(b bool, at *value) *value {
	v := &value{kind: boolean, text: "false"}
	if b {
		v.text = "true"
	}
	return v.placed(at)
}

func listAt(at *value, items ...*value) *value {
	v := &value{kind: list, items: items}
	return v.placed(at)
}

// objectAt makes an object of names and values in turn; nil values are left out.
func objectAt(at *value, namesAndValues ...any) *value {
	v := &value{kind: object}
	v.placed(at)
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		if m, _ := namesAndValues[i+1].(*value); m != nil {
			v.members = append(v.members, member{name: namesAndValues[i].(string), line: m.line, column: m.column, value: m})
		}
	}
	return v
}

func (v *value) placed(at *value) *value {
	if at != nil {
		v.line, v.column = at.line, at.column
	}
	return v
}

// refAt and attAt make the two intrinsic functions that name a resource.
func refAt(id string, at *value) *value { return objectAt(at, "Ref", textAt(id, at)) }

func attAt(id, attribute string, at *value) *value {
	return objectAt(at, "Fn::GetAtt", listAt(at, textAt(id, at), textAt(attribute, at)))
}

// get returns an object's member, or nil; it may be called on nil.
func (v *value) get(name string) *value {
	if v == nil || v.kind != object {
		return nil
	}
	for i := range v.members {
		if v.members[i].name == name {
			return v.members[i].value
		}
	}
	return nil
}

// names returns an object's member names in order.
func (v *value) names() []string {
	if v == nil {
		return nil
	}
	names := make([]string, len(v.members))
	for i, m := range v.members {
		names[i] = m.name
	}
	return names
}

// with returns a copy of the object in which name has the value x.
func (v *value) with(name string, x *value) *value {
	c := &value{kind: object}
	if v != nil {
		c.line, c.column = v.line, v.column
		c.members = slices.Clone(v.members)
	}
	for i := range c.members {
		if c.members[i].name == name {
			c.members[i].value = x
			return c
		}
	}
	c.members = append(c.members, member{name: name, line: x.line, column: x.column, value: x})
	return c
}

// scalar returns the text of a scalar and whether v is one.
func (v *value) scalar() (string, bool) {
	if v == nil {
		return "", false
	}
	switch v.kind {
	case text, number, boolean:
		return v.text, true
	}
	return "", false
}

// intrinsic returns the function and argument of an object that is a call of an
// intrinsic function.
func (v *value) intrinsic() (name string, arg *value, ok bool) {
	if v == nil || v.kind != object || len(v.members) != 1 {
		return "", nil, false
	}
	m := v.members[0]
	if m.name == "Ref" || strings.HasPrefix(m.name, "Fn::") {
		return m.name, m.value, true
	}
	return "", nil, false
}

// plain returns v as encoding/json would hold it with UseNumber.
func (v *value) plain() any {
	if v == nil {
		return nil
	}
	switch v.kind {
	case text, unknown:
		return v.text
	case number:
		return json.Number(v.text)
	case boolean:
		return v.text == "true"
	case list:
		items := make([]any, len(v.items))
		for i, x := range v.items {
			items[i] = x.plain()
		}
		return items
	case object:
		m := make(map[string]any, len(v.members))
		for _, x := range v.members {
			m[x.name] = x.value.plain()
		}
		return m
	}
	return nil
}

// json returns v as compact JSON with sorted names.
func (v *value) json() string { return encodeJSON(v.plain()) }

// encodeJSON is json.Marshal without HTML escapes, for values that always can
// be encoded.
func encodeJSON(x any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(x); err != nil {
		return "null" // unreachable: plain yields only what JSON has
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// has reports whether a part of v is of the kind.
func (v *value) has(k kind) bool {
	if v == nil {
		return false
	}
	if v.kind == k {
		return true
	}
	return slices.ContainsFunc(v.items, func(x *value) bool { return x.has(k) }) ||
		slices.ContainsFunc(v.members, func(m member) bool { return m.value.has(k) })
}

// isNumber reports whether s is a JSON number as it stands: 12, -1.5e3, but
// not 012, 0x1F or 1_000, which stay texts.
func isNumber(s string) bool {
	if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return false
	}
	return json.Valid([]byte(s))
}

// itemsOf returns a list's items; nil when there is no list.
func itemsOf(v *value) []*value {
	if v == nil {
		return nil
	}
	return v.items
}
