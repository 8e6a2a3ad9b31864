package jsonpath

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
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
	Name  string  // under which an object has it: a member's name
	Text  string  // of a string, without quotes and escapes; of a number or boolean, as written
	Items []Value // an object's members in the order of their first use, an array's elements
}

// Read reads a text whole, as leniently as Pick; unquoted text that is no JSON
// scalar is a string. The error is ErrNotJSON.
func Read(body []byte) (Value, error) { return ReadCopy(body, "") }

// ReadCopy is Read for a caller that has a copy of the body: the value's texts
// are then pieces of copy, which is string(body). With "" it is made when needed.
func ReadCopy(body []byte, copy string) (Value, error) {
	if len(body) > MaxText {
		return Value{}, errTooLong
	}
	open := scratch.Get().(*[]Value)
	s := scanner{data: body, text: copy, open: *open}
	v, err := s.whole()
	if cap(s.open) <= maxRoom {
		clear(s.open) // an error leaves some there
		*open = s.open[:0]
		scratch.Put(open)
	}
	return v, err
}

// whole reads the text as a tree.
func (s *scanner) whole() (Value, error) {
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
	if v.Kind != Object {
		return 0, false
	}
	return place(v.Items, name)
}

// element returns an array's element, counted from the end when i is negative;
// nil when there is none.
func (v *Value) element(i int) *Value {
	if i < 0 {
		i += len(v.Items)
	}
	if v.Kind != Array || i < 0 || i >= len(v.Items) {
		return nil
	}
	return &v.Items[i]
}

func place(members []Value, name string) (at int, ok bool) {
	for i := range members {
		if members[i].Name == name {
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
			dst = append(appendString(dst, v.Items[i].Name), ':')
		}
		dst = v.Items[i].AppendJSON(dst)
	}
	return append(dst, brackets[1])
}

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	plain := 0 // from where on nothing was appended yet
	for i := 0; i < len(s); {
		c, size := rune(s[i]), 1
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRuneInString(s[i:])
			if c > 0x9f && (c < 0x2000 || c > 0x20ff) && (c != utf8.RuneError || size > 1) {
				i += size
				continue
			}
		}
		dst = appendEscape(append(dst, s[plain:i]...), c)
		i += size
		plain = i
	}
	return append(append(dst, s[plain:]...), '"')
}

func appendEscape(dst []byte, c rune) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', byte(c))
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	case utf8.RuneError:
		return utf8.AppendRune(dst, c)
	}
	return fmt.Appendf(dst, `\u%04X`, c)
}

// number returns a number's value.
func (v *Value) number() (f float64, ok bool) {
	if v.Kind != Number {
		return 0, false
	}
	f, err := json.Number(v.Text).Float64()
	return f, err == nil
}
