// Package jsonpath picks values out of JSON text by path, in the dialect of
// Jayway JsonPath, which AWS uses. The text may be sloppy: the scanner accepts
// what json-smart's permissive mode accepts, such as unquoted keys and values,
// single quotes and useless commas, because messages like that are routed on
// AWS.
//
// A path is a chain of members (.name, ['name']), array indexes ([0], [-1] for
// the last) and wildcards (.*, [*]): what expressions on a message's path need,
// read in one pass. A Query has the rest of the dialect, over a value that was
// read whole.
//
// Source: https://github.com/json-path/JsonPath
package jsonpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxPath is the most bytes that a path may have.
const MaxPath = 1024

// A Path leads to a value: a Jayway path without its root "$". The zero Path is
// the root itself. A Path is immutable.
type Path struct {
	steps      []step
	indefinite bool // has a wildcard, so it yields a list
}

// A step leads from a value into one of its parts, or into all of them.
type step struct {
	kind  stepKind
	name  string // of a member
	index int    // of an array's element, from the end when negative
}

type stepKind uint8

const (
	stepMember stepKind = iota
	stepIndex
	stepWildcard
)

// Parse parses a path without its root: "" is the root, ".a.b", "['a']", "[0]",
// ".a[*].b" lead further. A name after a dot may hold anything but dots,
// brackets, parentheses, blanks and control characters. A quoted name may hold
// anything; a backslash in it takes the next character as it is. The error says
// what is wrong or not supported.
func Parse(text string) (Path, error) {
	if len(text) > MaxPath {
		return Path{}, fmt.Errorf("JSON path of %d bytes: at most %d are allowed", len(text), MaxPath)
	}
	if !utf8.ValidString(text) {
		return Path{}, fmt.Errorf("JSON path %q is not UTF-8", text)
	}
	var p Path
	for rest := text; rest != ""; {
		var s step
		var err error
		switch rest[0] {
		case '.':
			s, rest, err = parseDot(rest[1:])
		case '[':
			s, rest, err = parseBracket(rest[1:])
		default:
			err = fmt.Errorf("%q stands where a \".\" or \"[\" is expected", rest)
		}
		if err != nil {
			return Path{}, fmt.Errorf("JSON path %q: %w", text, err)
		}
		p.steps = append(p.steps, s)
		p.indefinite = p.indefinite || s.kind == stepWildcard
	}
	return p, nil
}

// parseDot parses what follows a dot: a name or a wildcard.
func parseDot(text string) (step, string, error) {
	if strings.HasPrefix(text, ".") {
		return step{}, "", fmt.Errorf("deep scans (..) are not supported yet")
	}
	end := 0
	for end < len(text) && text[end] != '.' && text[end] != '[' {
		switch c := text[end]; {
		case c == '(' || c == ')':
			return step{}, "", fmt.Errorf("functions (%s) are not supported yet", text)
		case c <= ' ' || c == ']' || c == 0x7f:
			return step{}, "", fmt.Errorf("%q can't be in a name after a dot; write ['name']", c)
		}
		end++
	}
	name, rest := text[:end], text[end:]
	switch name {
	case "":
		return step{}, "", fmt.Errorf("a name is missing after a dot")
	case "*":
		return step{kind: stepWildcard}, rest, nil
	}
	return step{name: name}, rest, nil
}

// parseBracket parses what follows an opening bracket.
func parseBracket(text string) (step, string, error) {
	text = strings.TrimLeft(text, " ")
	if text == "" {
		return step{}, "", errUnclosed
	}
	switch text[0] {
	case '\'', '"':
		return parseQuoted(text)
	case '?', '(':
		return step{}, "", fmt.Errorf("filters and scripts ([%s) are not supported yet", text)
	}
	inner, rest, ok := strings.Cut(text, "]")
	if !ok {
		return step{}, "", errUnclosed
	}
	inner = strings.TrimRight(inner, " ")
	switch {
	case inner == "*":
		return step{kind: stepWildcard}, rest, nil
	case strings.Contains(inner, ":"):
		return step{}, "", fmt.Errorf("slices ([%s]) are not supported yet", inner)
	case strings.Contains(inner, ","):
		return step{}, "", fmt.Errorf("several indexes ([%s]) are not supported yet", inner)
	}
	n, err := strconv.ParseInt(inner, 10, 32)
	if err != nil {
		return step{}, "", fmt.Errorf("[%s] is neither an index, nor a quoted name, nor *", inner)
	}
	return step{kind: stepIndex, index: int(n)}, rest, nil
}

var errUnclosed = fmt.Errorf("a bracket is not closed")

// parseQuoted parses 'name'] or "name"].
func parseQuoted(text string) (step, string, error) {
	quote := text[0]
	var name []byte
	i := 1
	for ; i < len(text) && text[i] != quote; i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		name = append(name, text[i])
	}
	if i >= len(text) {
		return step{}, "", fmt.Errorf("a quoted name is not closed")
	}
	rest := strings.TrimLeft(text[i+1:], " ")
	if strings.HasPrefix(rest, ",") {
		return step{}, "", fmt.Errorf("several names in one bracket ([%s) are not supported yet", text)
	}
	if !strings.HasPrefix(rest, "]") {
		return step{}, "", errUnclosed
	}
	return step{name: string(name)}, rest[1:], nil
}

// String returns the path as text that Parse reads as the same path. Names of
// ASCII letters, digits, '_' and '-' follow a dot, others stand in brackets.
func (p Path) String() string {
	var b strings.Builder
	for _, s := range p.steps {
		switch {
		case s.kind == stepWildcard:
			b.WriteString("[*]")
		case s.kind == stepIndex:
			fmt.Fprintf(&b, "[%d]", s.index)
		case plain(s.name):
			b.WriteString("." + s.name)
		default:
			b.WriteString("['" + quoteEscaper.Replace(s.name) + "']")
		}
	}
	return b.String()
}

var quoteEscaper = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

// plain reports whether name may follow a dot and is sure to end where the name
// ends, whatever text surrounds the path.
func plain(name string) bool {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return name != ""
}
