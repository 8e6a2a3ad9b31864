package tables

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A scanner reads one JSON text from left to right into Go values, without a
// tree in between and without reflection: most of a PutItem is its item. Every
// reading method skips white space first.
type scanner struct {
	b []byte
	i int
	// depth counts open arrays and objects: recursion is bounded by it.
	depth int
	// older picks the words for numbers and sets that can't be: DynamoDB checks the
	// values of BatchWriteItem, transactions and Scan in a layer that has words of
	// its own.
	older bool
	// plain says that the last error was of such a value, whose words stand alone
	// in the newer layer.
	plain bool
	// bad says that the text isn't JSON.
	bad bool
}

// maxNesting bounds the depth of any JSON text that is read: an attribute value
// of 32 levels takes two for each, and the request around it a few.
const maxNesting = 2*maxDepth + 16

func (s *scanner) syntax() error {
	s.bad = true
	return notJSON("the request's body is not valid JSON at byte %d", s.i)
}

// peek returns the next byte that isn't white space; 0 at the end.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) literal(word string) error {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return s.syntax()
	}
	s.i += len(word)
	return nil
}

// end says whether nothing but white space is left.
func (s *scanner) end() error {
	if s.peek() != 0 || s.i < len(s.b) {
		return s.syntax()
	}
	return nil
}

// object calls member for every member whose value isn't null; member must
// read the value.
func (s *scanner) object(member func(name string) error) error {
	if c := s.peek(); c != '{' {
		return s.wrongType()
	}
	s.i++
	if s.depth++; s.depth > maxNesting {
		return invalid(errNesting)
	}
	defer func() { s.depth-- }()
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.syntax()
		}
		name, err := s.text()
		if err != nil {
			return err
		}
		if s.peek() != ':' {
			return s.syntax()
		}
		s.i++
		if s.peek() == 'n' {
			err = s.literal("null")
		} else {
			err = member(name)
		}
		if err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return s.syntax()
		}
	}
}

// array calls element for each element; element must read it.
func (s *scanner) array(element func(i int) error) error {
	if c := s.peek(); c != '[' {
		return s.wrongType()
	}
	s.i++
	if s.depth++; s.depth > maxNesting {
		return invalid(errNesting)
	}
	defer func() { s.depth-- }()
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for n := 0; ; n++ {
		if err := element(n); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return s.syntax()
		}
	}
}

// string reads a String member.
func (s *scanner) string() (string, error) {
	if s.peek() != '"' {
		return "", s.wrongType()
	}
	return s.text()
}

// text reads the string that begins at s.i.
func (s *scanner) text() (string, error) {
	s.i++
	start := s.i
	ascii := true
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			b := s.b[start:s.i]
			if !ascii && !utf8.Valid(b) {
				return "", s.syntax()
			}
			s.i++
			return string(b), nil
		case c == '\\':
			return s.escapedText(start)
		case c < 0x20:
			return "", s.syntax()
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", s.syntax()
}

func (s *scanner) escapedText(start int) (string, error) {
	out := append([]byte(nil), s.b[start:s.i]...)
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", s.syntax()
			}
			return string(out), nil
		case c < 0x20:
			return "", s.syntax()
		case c != '\\':
			out = append(out, c)
			continue
		}
		if s.i == len(s.b) {
			break
		}
		c = s.b[s.i]
		s.i++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := s.hex4()
			if !ok {
				return "", s.syntax()
			}
			if utf16.IsSurrogate(r) {
				r = s.lowSurrogate(r)
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", s.syntax()
		}
	}
	return "", s.syntax()
}

// lowSurrogate joins high with the escape that follows; one that stands alone
// becomes U+FFFD, as encoding/json does.
func (s *scanner) lowSurrogate(high rune) rune {
	before := s.i
	if s.i+1 < len(s.b) && s.b[s.i] == '\\' && s.b[s.i+1] == 'u' {
		s.i += 2
		if low, ok := s.hex4(); ok {
			if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
				return r
			}
		}
	}
	s.i = before
	return utf8.RuneError
}

func (s *scanner) hex4() (rune, bool) {
	if len(s.b)-s.i < 4 {
		return 0, false
	}
	var r rune
	for _, c := range s.b[s.i : s.i+4] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.i += 4
	return r, true
}

// bool reads a Boolean member.
func (s *scanner) bool() (bool, error) {
	switch s.peek() {
	case 't':
		return true, s.literal("true")
	case 'f':
		return false, s.literal("false")
	case '"':
		t, err := s.text()
		if v, ok := wordOf(t); ok || err != nil {
			return v, err
		}
		return false, serializationError(errWrongType)
	}
	return false, s.wrongType()
}

// int reads an Integer member; a fraction is cut off, as Java's parser does.
func (s *scanner) int() (int64, error) {
	if c := s.peek(); c != '-' && !isDigit(c) {
		return 0, s.wrongType()
	}
	t, err := s.number()
	if err != nil {
		return 0, err
	}
	if n, err := strconv.ParseInt(t, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(t, 64)
	if err != nil || f > 1<<53 || f < -1<<53 {
		return 0, serializationError("%s is not an Integer", t)
	}
	return int64(f), nil
}

func (s *scanner) number() (string, error) {
	start := s.i
	digits := func() bool {
		from := s.i
		for s.i < len(s.b) && isDigit(s.b[s.i]) {
			s.i++
		}
		return s.i > from
	}
	if s.b[s.i] == '-' {
		s.i++
	}
	first := s.i
	if !digits() || s.b[first] == '0' && s.i > first+1 {
		return "", s.syntax()
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if !digits() {
			return "", s.syntax()
		}
	}
	if s.i < len(s.b) && (s.b[s.i] == 'e' || s.b[s.i] == 'E') {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if !digits() {
			return "", s.syntax()
		}
	}
	return string(s.b[start:s.i]), nil
}

// errWrongType stands for a value that is not of its member's type, until the
// request is held against its shape (shape.go).
const errWrongType = "the request has a value of the wrong type"

// wrongType says that the value at hand is not of the type its member has.
func (s *scanner) wrongType() error {
	switch c := s.peek(); {
	case c == '"', c == '{', c == '[', c == 't', c == 'f', c == 'n', c == '-', isDigit(c):
		return serializationError(errWrongType)
	}
	return s.syntax()
}

// attributes reads a map of attribute values.
func (s *scanner) attributes() (item, error) { return s.attributesAt(0) }

func (s *scanner) attributesAt(depth int) (item, error) {
	it := make(item, 0, 8)
	err := s.object(func(name string) error {
		v, err := s.valueAt(depth)
		if err == nil {
			it = append(it, attribute{name, v})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return sortItem(it), nil
}

// value reads one attribute value: {"S":"x"}.
func (s *scanner) value() (value, error) { return s.valueAt(0) }

func (s *scanner) valueAt(depth int) (value, error) {
	var v value
	types := 0
	err := s.object(func(name string) error {
		if !isKind(name) {
			return s.skip()
		}
		types++
		var err error
		v, err = s.typed(name, depth)
		return err
	})
	switch {
	case err != nil:
		return value{}, err
	case types == 0:
		return value{}, invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	case types > 1:
		return value{}, invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	}
	return v, nil
}

// isKind tells whether the name is a data type's; DynamoDB skips others.
func isKind(name string) bool {
	switch name {
	case "S", "N", "B", "M", "L", "BOOL", "NULL", "SS", "NS", "BS":
		return true
	}
	return false
}

const errNesting = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"

// typed reads the content of an attribute value of the named type.
func (s *scanner) typed(name string, depth int) (value, error) {
	switch name {
	case "S":
		t, err := s.string()
		return value{kind: kindString, text: t}, err
	case "N":
		return s.numberValue()
	case "B":
		return s.binaryValue()
	case "BOOL":
		b, err := s.bool()
		return value{kind: kindBool, flag: b}, err
	case "NULL":
		b, err := s.bool()
		if err == nil && !b {
			err = invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
		return value{kind: kindNull}, err
	case "SS":
		return s.set(kindStringSet)
	case "NS":
		return s.set(kindNumberSet)
	case "BS":
		return s.set(kindBinarySet)
	}
	if depth++; depth >= maxDepth { // the attribute itself is the first level, a leaf the last
		return value{}, invalid(errNesting)
	}
	if name == "M" {
		m, err := s.attributesAt(depth)
		return value{kind: kindMap, m: m}, err
	}
	v := value{kind: kindList}
	err := s.array(func(int) error {
		e, err := s.valueAt(depth)
		v.list = append(v.list, e)
		return err
	})
	return v, err
}

func (s *scanner) numberValue() (value, error) {
	t, err := s.string()
	if err != nil {
		return value{}, err
	}
	n, err := canonicalNumber(t)
	if err != nil {
		if s.older && err == errOverflow && wrapsAround(t) {
			err = errUnderflow
		}
		s.plain = !s.older
		if t == "" && !s.older {
			return value{}, invalid(err.Error() + ": ")
		}
		return value{}, invalid(err.Error())
	}
	return value{kind: kindNumber, text: n}, nil
}

func (s *scanner) binaryValue() (value, error) {
	t, err := s.string()
	if err != nil {
		return value{}, err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(t)
	if err != nil {
		return value{}, checkBase64(t)
	}
	return value{kind: kindBinary, text: string(b)}, nil
}

func (s *scanner) set(k kind) (value, error) {
	var members []value
	err := s.array(func(int) error {
		var m value
		var err error
		switch k {
		case kindNumberSet:
			m, err = s.numberValue()
		case kindBinarySet:
			m, err = s.binaryValue()
		default:
			var t string
			t, err = s.string()
			m = value{kind: kindString, text: t}
		}
		members = append(members, m)
		return err
	})
	if err != nil {
		return value{}, err
	}
	if len(members) == 0 {
		s.plain = !s.older
		return value{}, invalid("One or more parameter values were invalid: " + map[kind]string{
			kindStringSet: "An string set  may not be empty",
			kindNumberSet: "An number set  may not be empty",
			kindBinarySet: "Binary sets should not be empty",
		}[k])
	}
	given := slices.Clone(members) // the messages list them as given
	v, ok := newSet(k, members)
	if ok {
		return v, nil
	}
	if s.plain = !s.older; s.older {
		return value{}, invalid(olderDuplicate(k, given))
	}
	return value{}, badParameter("%s", duplicateText(k, given))
}

// duplicateText names the members in order up to the first that comes twice,
// then that one, then the rest as given.
func duplicateText(k kind, given []value) string {
	if k == kindNumberSet {
		return "Input collection contains duplicates."
	}
	var seen []value
	for i, m := range given {
		at, twice := slices.BinarySearchFunc(seen, m, compareScalars)
		if twice {
			seen = append(seen, given[i:]...)
			break
		}
		seen = slices.Insert(seen, at, m)
	}
	separator := ", "
	if k == kindBinarySet {
		separator = ","
	}
	var list []string
	for _, m := range seen {
		list = append(list, string(m.appendScalar(nil)))
	}
	return "Input collection [" + strings.Join(list, separator) + "]" + ofType(k) + " contains duplicates."
}

func ofType(k kind) string {
	if k == kindBinarySet {
		return "of type BS"
	}
	return ""
}

func olderDuplicate(k kind, given []value) string {
	if k == kindNumberSet {
		return "Input collection contains duplicates"
	}
	var list []string
	for _, m := range given {
		text := m.text
		if k == kindBinarySet {
			text = base64.StdEncoding.EncodeToString([]byte(text))
		}
		list = append(list, text)
	}
	return "One or more parameter values were invalid: Input collection [" + strings.Join(list, ", ") + "]" + ofType(k) + " contains duplicates."
}

const hexDigits = "0123456789abcdef"

// appendJSONString appends s, which is valid UTF-8, as a JSON string.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
