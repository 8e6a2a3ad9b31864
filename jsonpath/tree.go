package jsonpath

import (
	"sync"
	"unicode/utf8"
)

// pickTree reads a container that lies at a step of the path and appends what
// the rest of the path leads to.
func (s *scanner) pickTree(at int, close byte) (found bool, err error) {
	v, err := s.tree(close)
	if err != nil {
		return false, err
	}
	e := evaluation{out: s.out}
	e.list = hasWildcard(s.steps[at:])
	if e.list {
		e.out = append(e.out, '[')
	}
	e.follow(&v, s.steps[at:])
	if e.list {
		e.out = append(e.out, ']')
	}
	s.out = e.out
	return e.list || e.count > 0, nil
}

func hasWildcard(steps []step) bool {
	for _, s := range steps {
		if s.kind == stepWildcard {
			return true
		}
	}
	return false
}

// tree reads a value whole, because the path picks all of it or doesn't look
// ahead (wildcards, indexes from the end), or there is no path.
func (s *scanner) tree(close byte) (v Value, err error) {
	s.blanks()
	if s.pos == len(s.data) {
		return Value{}, ErrNotJSON
	}
	switch s.data[s.pos] {
	case '{':
		return s.objectTree()
	case '[':
		return s.arrayTree()
	case '"', '\'':
		text, escaped, err := s.quoted()
		if err != nil {
			return Value{}, err
		}
		return Value{Kind: String, Text: s.string(text, escaped)}, nil
	case ':', '}', ']':
		return Value{}, ErrNotJSON
	}
	return s.scalar(s.unquoted(',', close)), nil
}

// string makes a string of a piece of the text. Pieces without escapes share one
// copy of it.
func (s *scanner) string(piece []byte, escaped bool) string {
	if escaped || !utf8.Valid(piece) {
		return string(appendText(nil, piece, escaped))
	}
	if s.text == "" {
		s.text = string(s.data)
	}
	at := cap(s.data) - cap(piece) // pieces are cut from data, and reach to the end of its room
	return s.text[at : at+len(piece)]
}

// scalar is what stands without quotes.
func (s *scanner) scalar(text []byte) Value {
	switch {
	case string(text) == "null":
		return Value{}
	case !isScalar(text):
		return Value{Kind: String, Text: s.string(text, false)}
	case text[0] == 't' || text[0] == 'f':
		return Value{Kind: Bool, Text: s.string(text, false)}
	}
	return Value{Kind: Number, Text: s.string(text, false)}
}

// fewMembers is up to how many members a name is searched for without an index.
const fewMembers = 8

// scratch keeps room for what containers hold that aren't closed yet.
var scratch = sync.Pool{New: func() any { room := make([]Value, 0, 32); return &room }}

// maxRoom bounds how many values room is kept for, or made for ahead.
const maxRoom = 512

func (s *scanner) objectTree() (v Value, err error) {
	if err := s.enter(); err != nil {
		return Value{}, err
	}
	base := len(s.open)
	var index map[string]int // from name to place, once there are many
	for {
		key, escaped, more, err := s.member()
		if err != nil {
			return Value{}, err
		}
		if !more {
			s.depth--
			return Value{Kind: Object, Items: s.close(base)}, nil
		}
		item, err := s.tree('}')
		if err != nil {
			return Value{}, err
		}
		if err := s.afterMember(); err != nil {
			return Value{}, err
		}
		item.Name = s.string(key, escaped)
		members := s.open[base:]
		at, known := 0, false
		if index != nil {
			at, known = index[item.Name]
		} else {
			at, known = place(members, item.Name)
		}
		if known { // the last value counts, in the first one's place
			members[at] = item
			continue
		}
		s.open = append(s.open, item)
		if index != nil {
			index[item.Name] = len(members)
		} else if len(members) == fewMembers {
			index = make(map[string]int, 2*fewMembers)
			for i := range s.open[base:] {
				index[s.open[base+i].Name] = i
			}
		}
	}
}

func (s *scanner) arrayTree() (v Value, err error) {
	if err := s.enter(); err != nil {
		return Value{}, err
	}
	base := len(s.open)
	for {
		more, err := s.element()
		if err != nil {
			return Value{}, err
		}
		if !more {
			s.depth--
			return Value{Kind: Array, Items: s.close(base)}, nil
		}
		item, err := s.tree(']')
		if err != nil {
			return Value{}, err
		}
		s.open = append(s.open, item)
	}
}

// close takes the values of the container that ends to where they stay: values
// of many containers share their room.
func (s *scanner) close(base int) []Value {
	n := len(s.open) - base
	if n == 0 {
		return nil
	}
	if n > cap(s.closed)-len(s.closed) {
		expected := len(s.open) + (len(s.data)-s.pos)/48 + 2
		s.closed = make([]Value, 0, max(n, min(expected, maxRoom)))
	}
	at := len(s.closed)
	s.closed = append(s.closed, s.open[base:]...)
	clear(s.open[base:])
	s.open = s.open[:base]
	return s.closed[at:len(s.closed):len(s.closed)]
}

// An evaluation collects what a path leads to.
type evaluation struct {
	out   []byte
	list  bool // the path has a wildcard: its results are a list
	count int
}

// follow appends what steps lead to from v.
func (e *evaluation) follow(v *Value, steps []step) {
	if len(steps) == 0 {
		if e.count > 0 {
			e.out = append(e.out, ", "...)
		}
		e.count++
		if v.Kind != Null || e.list {
			e.out = v.appendJava(e.out)
		}
		return
	}
	first, rest := steps[0], steps[1:]
	switch {
	case first.kind == stepMember && v.Kind == Object:
		if i, ok := v.place(first.name); ok {
			e.follow(&v.Items[i], rest)
		}
	case first.kind == stepIndex && v.Kind == Array:
		i := first.index
		if i < 0 {
			i += len(v.Items)
		}
		if 0 <= i && i < len(v.Items) {
			e.follow(&v.Items[i], rest)
		}
	case first.kind == stepWildcard:
		for i := range v.Items {
			e.follow(&v.Items[i], rest)
		}
	}
}

// appendJava appends the value as Java's collections print themselves.
func (v *Value) appendJava(dst []byte) []byte {
	switch v.Kind {
	case Null:
		return append(dst, "null"...)
	case Bool, Number, String:
		return append(dst, v.Text...)
	}
	brackets := "[]"
	if v.Kind == Object {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	for i := range v.Items {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if v.Kind == Object {
			dst = append(append(dst, v.Items[i].Name...), '=')
		}
		dst = v.Items[i].appendJava(dst)
	}
	return append(dst, brackets[1])
}
