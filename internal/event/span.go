package event

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// A span is JSON text that is known to be valid, read from its front. It spares
// the reflection and the copies of a decoder where a reply is mostly body.
type span struct{ data []byte }

// next returns the first byte of the value that the span begins with, or 0 at
// its end. Blanks before it are dropped.
func (s *span) next() byte {
	for i, c := range s.data {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			s.data = s.data[i:]
			return c
		}
	}
	s.data = nil
	return 0
}

// kind names the type of the value that the span begins with.
func (s *span) kind() string {
	switch s.next() {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// value cuts the value that the span begins with, without blanks around it.
func (s *span) value() span {
	s.next()
	depth, i := 0, 0
loop:
	for i < len(s.data) {
		switch s.data[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				break loop // the end of what a scalar stands in
			}
			if depth--; depth == 0 {
				i++
				break loop
			}
		case '"':
			i += stringLen(s.data[i:])
			if depth == 0 {
				break loop
			}
			continue
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				break loop
			}
		}
		i++
	}
	v := span{s.data[:i]}
	s.data = s.data[i:]
	return v
}

// stringLen returns the length of the string, with its quotes, that data
// begins with.
func stringLen(data []byte) int {
	for i := 1; i < len(data); i++ {
		switch data[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(data)
}

// members calls f for each member of the object that the span begins with.
func (s span) members(f func(key string, value span) error) error {
	for s.nextItem() {
		key := s.value()
		s.next()
		s.data = s.data[1:] // the colon
		if err := f(string(key.text()), s.value()); err != nil {
			return err
		}
	}
	return nil
}

// elements calls f for each element of the array that the span begins with.
func (s span) elements(f func(item span) error) error {
	for s.nextItem() {
		if err := f(s.value()); err != nil {
			return err
		}
	}
	return nil
}

// nextItem steps over an opening bracket or a comma to what follows, and
// reports whether anything does.
func (s *span) nextItem() bool {
	switch s.next() {
	case '{', '[', ',':
		s.data = s.data[1:]
	}
	c := s.next()
	return c != '}' && c != ']' && c != 0
}

// text returns a copy of the string that the span begins with, unescaped and as
// valid UTF-8.
func (s span) text() []byte {
	v := s.value().data
	inner := v[1 : len(v)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return bytes.Clone(inner)
	}
	var text string
	if err := json.Unmarshal(v, &text); err != nil {
		return nil // unreachable: the text is valid JSON
	}
	return []byte(text)
}
