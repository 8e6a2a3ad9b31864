package vtl

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	utf "unicode/utf16"
	"unicode/utf8"
)

// utf16 is the text in the units that Java counts in.
func utf16(s string) []uint16 {
	if isASCII(s) {
		units := make([]uint16, len(s))
		for i := range len(s) {
			units[i] = uint16(s[i])
		}
		return units
	}
	return utf.Encode([]rune(s))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// slice cuts a text at Java's positions, which are in range.
func slice(s string, from, to int) string {
	if isASCII(s) {
		return s[from:to]
	}
	return string(utf.Decode(utf16(s)[from:to]))
}

func length(s string) int {
	if isASCII(s) {
		return len(s)
	}
	return len(utf16(s))
}

// position turns a byte offset into Java's; a negative one stays.
func javaPosition(s string, offset int) int64 {
	if offset < 0 {
		return -1
	}
	return int64(length(s[:offset]))
}

// byteOffset turns Java's position, which is in range, into a byte offset.
func byteOffset(s string, position int) int { return len(slice(s, 0, position)) }

func (e *evaluation) callString(s, name string, args []any) (v any, ok bool, err error) {
	if err := e.step(len(s)); err != nil {
		return nil, false, err
	}
	switch len(args) {
	case 0:
		return stringMethod0(s, name)
	case 1:
		return e.stringMethod1(s, name, args[0])
	case 2:
		return e.stringMethod2(s, name, args[0], args[1])
	}
	return nil, false, nil
}

func stringMethod0(s, name string) (any, bool, error) {
	switch name {
	case "length":
		return int64(length(s)), true, nil
	case "isEmpty":
		return s == "", true, nil
	case "isBlank":
		return strings.TrimSpace(s) == "", true, nil
	case "trim":
		return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }), true, nil
	case "strip":
		return strings.TrimSpace(s), true, nil
	case "stripLeading":
		return strings.TrimLeftFunc(s, unicode.IsSpace), true, nil
	case "stripTrailing":
		return strings.TrimRightFunc(s, unicode.IsSpace), true, nil
	case "toUpperCase":
		return strings.ToUpper(s), true, nil
	case "toLowerCase":
		return strings.ToLower(s), true, nil
	case "intern", "toCharArray":
		return s, name == "intern", nil
	}
	return nil, false, nil
}

func (e *evaluation) stringMethod1(s, name string, arg any) (any, bool, error) {
	if n, ok := arg.(int64); ok {
		return e.stringAt(s, name, n)
	}
	t, ok := arg.(string)
	if !ok {
		return nil, false, nil
	}
	switch name {
	case "concat":
		return s + t, true, e.sized(len(s) + len(t))
	case "contains":
		return strings.Contains(s, t), true, nil
	case "startsWith":
		return strings.HasPrefix(s, t), true, nil
	case "endsWith":
		return strings.HasSuffix(s, t), true, nil
	case "equalsIgnoreCase":
		return strings.EqualFold(s, t), true, nil
	case "contentEquals":
		return s == t, true, nil
	case "compareTo":
		return compareTexts(s, t), true, nil
	case "compareToIgnoreCase":
		return compareTexts(strings.ToLower(strings.ToUpper(s)), strings.ToLower(strings.ToUpper(t))), true, nil
	case "indexOf":
		return javaPosition(s, strings.Index(s, t)), true, nil
	case "lastIndexOf":
		return javaPosition(s, strings.LastIndex(s, t)), true, nil
	case "matches":
		re, err := pattern(`^(?:` + t + `)$`)
		if err != nil {
			return nil, false, err
		}
		return re.MatchString(s), true, nil
	case "split":
		v, err := e.split(s, t, 0)
		return v, err == nil, err
	}
	return nil, false, nil
}

// stringAt are the methods that take a position, or a number of times.
func (e *evaluation) stringAt(s, name string, n int64) (any, bool, error) {
	size := int64(length(s))
	switch name {
	case "substring":
		if n < 0 || n > size {
			return nil, false, fmt.Errorf("StringIndexOutOfBoundsException: begin %d, end %d, length %d", n, size, size)
		}
		return slice(s, int(n), int(size)), true, nil
	case "charAt":
		if n < 0 || n >= size {
			return nil, false, fmt.Errorf("StringIndexOutOfBoundsException: index %d, length %d", n, size)
		}
		return slice(s, int(n), int(n)+1), true, nil
	case "codePointAt":
		if n < 0 || n >= size {
			return nil, false, fmt.Errorf("StringIndexOutOfBoundsException: index %d, length %d", n, size)
		}
		r, _ := utf8.DecodeRuneInString(slice(s, int(n), int(min(n+2, size))))
		return int64(r), true, nil
	case "repeat":
		if n < 0 {
			return nil, false, fmt.Errorf("IllegalArgumentException: count is negative: %d", n)
		}
		if n > int64(e.limits.Output) {
			return nil, false, e.sized(e.limits.Output + 1)
		}
		if err := e.sized(len(s) * int(n)); err != nil {
			return nil, false, err
		}
		return strings.Repeat(s, int(n)), true, nil
	case "indexOf":
		return javaPosition(s, strings.IndexRune(s, rune(n))), true, nil
	}
	return nil, false, nil
}

func (e *evaluation) stringMethod2(s, name string, a, b any) (any, bool, error) {
	switch name {
	case "substring", "subSequence":
		from, ok := a.(int64)
		to, ok2 := b.(int64)
		if !ok || !ok2 {
			return nil, false, nil
		}
		size := int64(length(s))
		if from < 0 || to > size || from > to {
			return nil, false, fmt.Errorf("StringIndexOutOfBoundsException: begin %d, end %d, length %d", from, to, size)
		}
		return slice(s, int(from), int(to)), true, nil
	}
	t, ok := a.(string)
	if !ok {
		return nil, false, nil
	}
	if n, ok := b.(int64); ok {
		size := length(s)
		at := int(min(max(n, 0), int64(size)))
		switch name {
		case "split":
			v, err := e.split(s, t, int(n))
			return v, err == nil, err
		case "startsWith":
			return n >= 0 && n <= int64(size) && strings.HasPrefix(s[byteOffset(s, at):], t), true, nil
		case "indexOf":
			from := byteOffset(s, at)
			found := strings.Index(s[from:], t)
			if found >= 0 {
				found += from
			}
			return javaPosition(s, found), true, nil
		case "lastIndexOf":
			if n < 0 {
				return int64(-1), true, nil
			}
			end := min(byteOffset(s, at)+len(t), len(s))
			return javaPosition(s, strings.LastIndex(s[:end], t)), true, nil
		}
		return nil, false, nil
	}
	with, ok := b.(string)
	if !ok {
		return nil, false, nil
	}
	switch name {
	case "replace":
		grown := strings.Count(s, t) * len(with)
		if err := e.sized(len(s) + grown); err != nil {
			return nil, false, err
		}
		return strings.ReplaceAll(s, t, with), true, nil
	case "replaceAll", "replaceFirst":
		v, err := e.replacePattern(s, t, with, name == "replaceAll")
		return v, err == nil, err
	}
	return nil, false, nil
}

// compareTexts is Java's compareTo: by units, then by length.
func compareTexts(a, b string) int64 {
	x, y := utf16(a), utf16(b)
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return int64(x[i]) - int64(y[i])
		}
	}
	return int64(len(x) - len(y))
}

// patterns keeps the regular expressions of templates, which don't change.
var (
	patterns sync.Map // string → *regexp.Regexp
	count    atomic.Int64
)

// maxPattern bounds a regular expression, in bytes.
const maxPattern = 1000

// pattern compiles a regular expression of Java's. What Go's regexp lacks
// (lookaround, back references, possessive repetition) is an error: a pattern
// then never takes more than linear time.
func pattern(text string) (*regexp.Regexp, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("PatternSyntaxException: the regular expression has more than %d bytes", maxPattern)
	}
	if re, ok := patterns.Load(text); ok {
		return re.(*regexp.Regexp), nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("PatternSyntaxException: %w (lookaround and back references are not supported)", err)
	}
	if len(text) < 100 && count.Add(1) < 1000 {
		patterns.Store(text, re)
	}
	return re, nil
}

// split is Java's: empty texts at the end go when limit is 0, and the one before
// a match of nothing at the beginning always.
func (e *evaluation) split(s, text string, limit int) (*array, error) {
	re, err := pattern(text)
	if err != nil {
		return nil, err
	}
	parts := &array{}
	if s == "" {
		parts.items = []any{""}
		return parts, nil
	}
	from := 0
	for _, m := range re.FindAllStringIndex(s, -1) {
		if limit > 0 && len(parts.items) == limit-1 {
			break
		}
		if m[1] == 0 || m[0] == m[1] && m[0] == len(s) {
			continue
		}
		parts.items = append(parts.items, s[from:m[0]])
		from = m[1]
		if err := e.step(0); err != nil {
			return nil, err
		}
	}
	parts.items = append(parts.items, s[from:])
	if limit == 0 {
		for n := len(parts.items); n > 1 && parts.items[n-1] == ""; n-- {
			parts.items = parts.items[:n-1]
		}
	}
	return parts, nil
}

// replacePattern is Java's replaceAll or replaceFirst: in the replacement, $1 is
// a group and a backslash takes the next character as it is.
func (e *evaluation) replacePattern(s, text, with string, all bool) (string, error) {
	re, err := pattern(text)
	if err != nil {
		return "", err
	}
	n := 1
	if all {
		n = -1
	}
	var out []byte
	from := 0
	for _, m := range re.FindAllStringSubmatchIndex(s, n) {
		out = append(out, s[from:m[0]]...)
		if out, err = expand(out, s, with, m); err != nil {
			return "", err
		}
		if err := e.sized(len(out)); err != nil {
			return "", err
		}
		from = m[1]
	}
	return string(append(out, s[from:]...)), nil
}

// expand appends a replacement for one match.
func expand(out []byte, s, with string, match []int) ([]byte, error) {
	groups := len(match)/2 - 1
	for i := 0; i < len(with); i++ {
		switch c := with[i]; c {
		case '\\':
			if i++; i == len(with) {
				return nil, fmt.Errorf("IllegalArgumentException: character to be escaped is missing")
			}
			out = append(out, with[i])
		case '$':
			end := i + 1
			for end < len(with) && isDigit(with[end]) {
				if n, _ := strconv.Atoi(with[i+1 : end+1]); end > i+1 && n > groups {
					break
				}
				end++
			}
			n, err := strconv.Atoi(with[i+1 : end])
			if err != nil {
				return nil, fmt.Errorf("IllegalArgumentException: illegal group reference")
			}
			if n > groups {
				return nil, fmt.Errorf("IndexOutOfBoundsException: no group %d", n)
			}
			if match[2*n] >= 0 {
				out = append(out, s[match[2*n]:match[2*n+1]]...)
			}
			i = end - 1
		default:
			out = append(out, c)
		}
	}
	return out, nil
}
