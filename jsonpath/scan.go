package jsonpath

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of the texts that are read. Beyond them a text counts as not JSON.
const (
	MaxDepth = 400      // nested arrays and objects; json-smart's own bound
	MaxText  = 16 << 20 // bytes
)

// ErrNotJSON says that a text is not JSON, not even leniently read.
var ErrNotJSON = errors.New("not JSON")

var (
	errTooDeep = fmt.Errorf("%w: nested deeper than %d", ErrNotJSON, MaxDepth)
	errTooLong = fmt.Errorf("%w: longer than %d bytes", ErrNotJSON, MaxText)
)

// acceptTrailing says whether text after the document is ignored. json-smart's
// permissive mode would ignore it; whether AWS does isn't known.
const acceptTrailing = false

// Pick appends the value at p in body to dst, as text: a string without its
// quotes and escapes, a number or boolean as it is written, null as nothing, an
// array as [x, y] and an object as {k=v} (the forms of Java's collections,
// where null is the word). Of repeated members the last one counts. A path with
// a wildcard yields the list of what it finds, [] when that is nothing.
//
// found is false when there is no such value; nothing is appended then. The
// whole body is checked: err is ErrNotJSON when it isn't JSON even leniently
// read. Unquoted text is a value within an array or object, but not a document.
//
// Pick reads the body once, and allocates nothing for a path that leads to a
// scalar by members and indexes from the front, when dst has room.
func (p Path) Pick(dst, body []byte) (out []byte, found bool, err error) {
	if len(body) > MaxText {
		return dst, false, errTooLong
	}
	s := scanner{data: body, steps: p.steps, out: dst}
	found, err = s.document()
	if err != nil {
		return dst, false, err
	}
	if !found && p.indefinite {
		return append(dst, "[]"...), true, nil
	}
	if !found {
		return dst, false, nil
	}
	return s.out, true, nil
}

// off is the position in a path of values that don't lie on it.
const off = -1

// A scanner reads one text. Its rules are those of json-smart 2's parser in
// permissive mode. Over random texts the two differ in corners only: json-smart
// refuses an unquoted value in which a letter beyond ASCII follows a number,
// drops control characters from strings that have escapes, and ignores text
// after the document.
type scanner struct {
	data  []byte
	text  string // the same, once a string was made of a piece
	pos   int
	depth int
	steps []step
	out   []byte

	open   []Value // what containers hold that aren't closed yet, one behind the other
	closed []Value // room for what those hold that are
}

// document reads the whole text.
func (s *scanner) document() (found bool, err error) {
	s.blanks()
	if s.pos == len(s.data) {
		return false, ErrNotJSON
	}
	switch s.data[s.pos] {
	case '{', '[', '"', '\'':
		if found, err = s.value(0, 0); err != nil {
			return false, err
		}
	default:
		text := s.unquoted(0, 0)
		if !isScalar(text) {
			return false, ErrNotJSON
		}
		found = s.pick(0, text)
	}
	s.space()
	if s.pos < len(s.data) && !acceptTrailing {
		return false, ErrNotJSON
	}
	return found, nil
}

// value reads a value that lies at step `at` of the path (or off it). close is
// the bracket that ends an unquoted value beside a comma.
func (s *scanner) value(at int, close byte) (found bool, err error) {
	s.blanks()
	if s.pos == len(s.data) {
		return false, ErrNotJSON
	}
	switch s.data[s.pos] {
	case '{', '[':
		if at != off && s.needsTree(at) {
			return s.pickTree(at, close)
		}
		if s.data[s.pos] == '{' {
			return s.object(at)
		}
		return s.array(at)
	case '"', '\'':
		text, escaped, err := s.quoted()
		if err != nil || at != len(s.steps) {
			return false, err
		}
		s.out = appendText(s.out, text, escaped)
		return true, nil
	case ':', '}', ']':
		return false, ErrNotJSON
	}
	return s.pick(at, s.unquoted(',', close)), nil
}

// pick appends an unquoted value if it is the one that the path leads to.
func (s *scanner) pick(at int, text []byte) (found bool) {
	if at != len(s.steps) {
		return false
	}
	if string(text) != "null" {
		s.out = appendText(s.out, text, false)
	}
	return true
}

// needsTree reports whether a container at this step must be kept to see what
// is picked: because all of it is, or because the step isn't a look ahead.
func (s *scanner) needsTree(at int) bool {
	return at == len(s.steps) || s.steps[at].kind == stepWildcard || s.steps[at].index < 0
}

// object reads an object. Of members with the same name the last one counts.
func (s *scanner) object(at int) (found bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	start := len(s.out)
	for {
		key, escaped, more, err := s.member()
		if err != nil || !more {
			s.depth--
			return found, err
		}
		next := off
		if at != off && s.steps[at].kind == stepMember && equalText(key, escaped, s.steps[at].name) {
			next = at + 1
			s.out = s.out[:start]
		}
		f, err := s.value(next, '}')
		if err != nil {
			return false, err
		}
		if next != off {
			found = f
		}
		if err := s.afterMember(); err != nil {
			return false, err
		}
	}
}

// array reads an array.
func (s *scanner) array(at int) (found bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	wanted := -1
	if at != off && s.steps[at].kind == stepIndex {
		wanted = s.steps[at].index
	}
	for i := 0; ; i++ {
		more, err := s.element()
		if err != nil || !more {
			s.depth--
			return found, err
		}
		next := off
		if i == wanted {
			next = at + 1
		}
		f, err := s.value(next, ']')
		if err != nil {
			return false, err
		}
		found = found || f
	}
}

// enter steps over an opening bracket.
func (s *scanner) enter() error {
	s.pos++
	if s.depth++; s.depth > MaxDepth {
		return errTooDeep
	}
	return nil
}

// member reads the next member of an object up to its value, or the object's
// end, and then more is false. The key is valid as long as data is.
func (s *scanner) member() (key []byte, escaped, more bool, err error) {
	for ; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n', ',':
			continue
		case '}':
			s.pos++
			return nil, false, false, nil
		case ':', '[', ']', '{':
			return nil, false, false, ErrNotJSON
		case '"', '\'':
			key, escaped, err = s.quoted()
		default:
			key = s.unquoted(':', ':')
		}
		s.space()
		if err != nil || s.pos == len(s.data) || s.data[s.pos] != ':' {
			return nil, false, false, ErrNotJSON
		}
		s.pos++
		return key, escaped, true, nil
	}
	return nil, false, false, ErrNotJSON
}

// afterMember checks that a comma or the object's end follows a member.
func (s *scanner) afterMember() error {
	s.space()
	if s.pos < len(s.data) && (s.data[s.pos] == ',' || s.data[s.pos] == '}') {
		return nil
	}
	return ErrNotJSON
}

// element moves to the next element of an array, or over the array's end, and
// then more is false. Commas between elements aren't needed.
func (s *scanner) element() (more bool, err error) {
	for ; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n', ',':
			continue
		case ']':
			s.pos++
			return false, nil
		case ':', '}':
			return false, ErrNotJSON
		}
		return true, nil
	}
	return false, ErrNotJSON
}

// blanks skips what may stand before a value.
func (s *scanner) blanks() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// space skips what may stand after a key or value: blanks and any control
// character.
func (s *scanner) space() {
	for s.pos < len(s.data) && s.data[s.pos] <= ' ' {
		s.pos++
	}
}

// unquoted reads up to one of two stop bytes or the end of the text, and
// returns it without surrounding blanks. Zeros stop at the end only.
func (s *scanner) unquoted(stop1, stop2 byte) []byte {
	start := s.pos
	for s.pos < len(s.data) && (stop1 == 0 || s.data[s.pos] != stop1 && s.data[s.pos] != stop2) {
		s.pos++
	}
	end := s.pos
	for end > start && s.data[end-1] <= ' ' {
		end--
	}
	for start < end && s.data[start] <= ' ' {
		start++
	}
	return s.data[start:end]
}

// quoted reads a string in single or double quotes and returns what stands
// between them; escaped says that it has escapes, which are checked here.
func (s *scanner) quoted() (text []byte, escaped bool, err error) {
	quote := s.data[s.pos]
	s.pos++
	start := s.pos
	n := bytes.IndexByte(s.data[start:], quote)
	if n < 0 {
		return nil, false, ErrNotJSON
	}
	text = s.data[start : start+n]
	n = bytes.IndexByte(text, '\\')
	if n < 0 {
		s.pos += len(text) + 1
		return text, false, nil
	}
	for s.pos = start + n; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case quote:
			s.pos++
			return s.data[start : s.pos-1], true, nil
		case '\\':
			s.pos++
			if s.pos == len(s.data) {
				return nil, false, ErrNotJSON
			}
			digits := hexDigits(s.data[s.pos])
			for ; digits > 0; digits-- {
				if s.pos++; s.pos == len(s.data) || hexValue(s.data[s.pos]) < 0 {
					return nil, false, ErrNotJSON
				}
			}
		}
	}
	return nil, false, ErrNotJSON
}

// hexDigits is how many hexadecimal digits follow a backslash and c.
func hexDigits(c byte) int {
	switch c {
	case 'u':
		return 4
	case 'x':
		return 2
	}
	return 0
}

func hexValue(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return rune(c - 'A' + 10)
	}
	return -1
}

// appendText appends text as valid UTF-8: escapes are resolved if it has any,
// and lone surrogates and bytes that are no UTF-8 become U+FFFD.
func appendText(dst, text []byte, escaped bool) []byte {
	if !escaped && utf8.Valid(text) {
		return append(dst, text...)
	}
	for i := 0; i < len(text); {
		if text[i] != '\\' || !escaped {
			r, size := utf8.DecodeRune(text[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		r, size := escape(text[i:])
		i += size
		if utf16.IsSurrogate(r) {
			low, n := rune(utf8.RuneError), 0
			if i+1 < len(text) && text[i] == '\\' && text[i+1] == 'u' {
				low, n = escape(text[i:])
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				i += n
			}
		}
		if r >= 0 {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// escape resolves the escape that text begins with, which quoted has checked.
// A backslash before a character that needs none is dropped with it: r is -1.
func escape(text []byte) (r rune, size int) {
	c := text[1]
	switch c {
	case 't':
		return '\t', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 'f':
		return '\f', 2
	case 'b':
		return '\b', 2
	case '"', '\\', '/', '\'':
		return rune(c), 2
	}
	if n := hexDigits(c); n > 0 {
		for _, d := range text[2 : 2+n] {
			r = r<<4 | hexValue(d)
		}
		return r, 2 + n
	}
	_, n := utf8.DecodeRune(text[1:])
	return -1, 1 + n
}

// equalText reports whether text, as appendText writes it, is name.
func equalText(text []byte, escaped bool, name string) bool {
	if !escaped {
		if string(text) == name {
			return true
		}
		// Only broken UTF-8 can still become the name.
		if len(name) < len(text) || utf8.Valid(text) {
			return false
		}
	}
	return string(appendText(nil, text, escaped)) == name
}

// isScalar reports whether text is a number, true, false or null as JSON
// defines them.
func isScalar(text []byte) bool {
	if len(text) == 0 {
		return false
	}
	switch c := text[0]; {
	case c == '-', '0' <= c && c <= '9', c == 't', c == 'f', c == 'n':
		return json.Valid(text)
	}
	return false
}
