package jsonpath

import (
	"encoding/json"
	"fmt"
)

// A Kind is what a value is.
type Kind uint8

// The kinds of JSON value.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// A Value is a JSON value that was read whole. It is not to be changed.
type Value struct {
	Kind  Kind
	Text  string   // of a string, without quotes and escapes; of a number or boolean, as written
	Names []string // of an object's members, in the order of their first use
	Items []Value  // an object's members' values, an array's elements
}

// Read reads a text whole, as leniently as Pick; unquoted text that is no JSON
// scalar is a string. The error is ErrNotJSON.
func Read(body []byte) (Value, error) {
	if len(body) > MaxText {
		return Value{}, errTooLong
	}
	s := scanner{data: body}
	s.blanks()
	if s.pos == len(s.data) {
		return Value{}, ErrNotJSON
	}
	switch s.data[s.pos] {
	case '{', '[', '"', '\'':
	default:
		text := s.unquoted(0, 0)
		if !isScalar(text) {
			return Value{}, ErrNotJSON
		}
		return s.scalar(text), nil
	}
	v, err := s.tree(0)
	if err != nil {
		return Value{}, err
	}
	if s.space(); s.pos < len(s.data) && !acceptTrailing {
		return Value{}, ErrNotJSON
	}
	return v, nil
}

// Member returns a member of an object; ok is false when there is none.
func (v *Value) Member(name string) (member *Value, ok bool) {
	if i, ok := v.place(name); ok {
		return &v.Items[i], true
	}
	return nil, false
}

// place returns where in an object the member of that name is.
func (v *Value) place(name string) (at int, ok bool) {
	for i, n := range v.Names {
		if n == name {
			return i, true
		}
	}
	return 0, false
}

// AppendJSON appends the value as JSON without blanks, escaped as Jayway's JSON
// provider does: besides what JSON asks for, the control characters from U+007F
// and those from U+2000 to U+20FF.
func (v *Value) AppendJSON(dst []byte) []byte {
	switch v.Kind {
	case Null:
		return append(dst, "null"...)
	case Bool, Number:
		return append(dst, v.Text...)
	case String:
		return appendString(dst, v.Text)
	}
	brackets := "[]"
	if v.Kind == Object {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	for i := range v.Items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if v.Kind == Object {
			dst = append(appendString(dst, v.Names[i]), ':')
		}
		dst = v.Items[i].AppendJSON(dst)
	}
	return append(dst, brackets[1])
}

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c == '\b':
			dst = append(dst, `\b`...)
		case c == '\f':
			dst = append(dst, `\f`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < 0x20 || 0x7f <= c && c <= 0x9f || 0x2000 <= c && c <= 0x20ff:
			dst = fmt.Appendf(dst, `\u%04X`, c)
		default:
			dst = append(dst, string(c)...)
		}
	}
	return append(dst, '"')
}

// number returns a number's value.
func (v *Value) number() (f float64, ok bool) {
	if v.Kind != Number {
		return 0, false
	}
	f, err := json.Number(v.Text).Float64()
	return f, err == nil
}
