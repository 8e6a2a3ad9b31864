package logs

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A Pattern is a compiled filter pattern: terms, or a condition on JSON.
//
//	ERROR "Task timed out" -health ?warn ?error %code=[45]\d\d%
//	{ $.level = "error" && $.request.status >= 500 }
//
// Terms must all be in the message, those behind - must not, of those behind ?
// one must. Space-delimited patterns in square brackets are refused by name.
//
// Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
type Pattern struct {
	all, none, any []term
	condition      condition // nil unless it is about JSON
}

// maxPattern is AWS's bound on a filter pattern, in characters.
const maxPattern = 1024

type term struct {
	text string
	re   *regexp.Regexp // instead of text
}

func (t term) in(message string) bool {
	if t.re != nil {
		return t.re.MatchString(message)
	}
	return strings.Contains(message, t.text)
}

// ParsePattern compiles a filter pattern; the empty one matches everything.
func ParsePattern(text string) (*Pattern, error) {
	p := &Pattern{}
	text = strings.TrimSpace(text)
	switch {
	case len(text) > maxPattern:
		return nil, fmt.Errorf("it is longer than %d characters", maxPattern)
	case strings.HasPrefix(text, "["):
		return nil, fmt.Errorf("Tidegate has no space-delimited patterns ([…]); use terms or { $.member = value }")
	case strings.HasPrefix(text, "{"):
		s := &scanner{text: text}
		c, err := s.condition()
		p.condition = c
		return p, err
	}
	s := &scanner{text: text}
	for s.skip(); s.at < len(s.text); s.skip() {
		list := &p.all
		switch s.text[s.at] {
		case '-':
			list = &p.none
			s.at++
		case '?':
			list = &p.any
			s.at++
		}
		t, err := s.term()
		if err != nil {
			return nil, err
		}
		*list = append(*list, t)
	}
	return p, nil
}

// Match says whether a message passes.
func (p *Pattern) Match(message string) bool {
	if p.condition != nil {
		var v any
		if !strings.Contains(message, "{") || json.Unmarshal([]byte(message), &v) != nil {
			return false
		}
		return p.condition(v)
	}
	for _, t := range p.all {
		if !t.in(message) {
			return false
		}
	}
	for _, t := range p.none {
		if t.in(message) {
			return false
		}
	}
	for _, t := range p.any {
		if t.in(message) {
			return true
		}
	}
	return len(p.any) == 0 || len(p.all) > 0 // beside other terms, ? is ignored
}

// A condition judges a decoded JSON message.
type condition func(v any) bool

// A scanner reads a pattern.
type scanner struct {
	text  string
	at    int
	depth int
}

func (s *scanner) skip() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\t' || s.text[s.at] == '\n') {
		s.at++
	}
}

// take goes over token when it comes next.
func (s *scanner) take(token string) bool {
	s.skip()
	if strings.HasPrefix(s.text[s.at:], token) {
		s.at += len(token)
		return true
	}
	return false
}

func (s *scanner) wrong(want string) error {
	return fmt.Errorf("at character %d: want %s", s.at+1, want)
}

// term reads a word, "a quoted text" or %a regular expression%.
func (s *scanner) term() (term, error) {
	if s.at == len(s.text) {
		return term{}, s.wrong("a term")
	}
	switch s.text[s.at] {
	case '"':
		text, err := s.quoted()
		return term{text: text}, err
	case '%':
		end := strings.IndexByte(s.text[s.at+1:], '%')
		if end < 0 {
			return term{}, s.wrong("a % that ends the regular expression")
		}
		re, err := regexp.Compile(s.text[s.at+1 : s.at+1+end])
		if err != nil {
			return term{}, fmt.Errorf("the regular expression: %v", err)
		}
		s.at += end + 2
		return term{re: re}, nil
	}
	from := s.at
	for s.at < len(s.text) && !strings.ContainsRune(" \t\n", rune(s.text[s.at])) {
		if c := s.text[s.at]; !isWordByte(c) {
			return term{}, s.wrong("letters, digits or _; put other characters into double quotes")
		}
		s.at++
	}
	if s.at == from {
		return term{}, s.wrong("a term")
	}
	return term{text: s.text[from:s.at]}, nil
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// quoted reads "text", where \" and \\ stand for themselves.
func (s *scanner) quoted() (string, error) {
	var b strings.Builder
	for i := s.at + 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.at = i + 1
			return b.String(), nil
		case c == '\\' && i+1 < len(s.text) && (s.text[i+1] == '"' || s.text[i+1] == '\\'):
			i++
			b.WriteByte(s.text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", s.wrong("a \" that ends the text")
}

// condition reads { … } to the end.
func (s *scanner) condition() (condition, error) {
	if !s.take("{") {
		return nil, s.wrong("{")
	}
	c, err := s.or()
	if err != nil {
		return nil, err
	}
	if !s.take("}") {
		return nil, s.wrong("&&, || or }")
	}
	if s.skip(); s.at != len(s.text) {
		return nil, s.wrong("nothing behind }")
	}
	return c, nil
}

func (s *scanner) or() (condition, error) {
	left, err := s.and()
	for err == nil && s.take("||") {
		var right condition
		a := left
		right, err = s.and()
		left = func(v any) bool { return a(v) || right(v) }
	}
	return left, err
}

func (s *scanner) and() (condition, error) {
	left, err := s.one()
	for err == nil && s.take("&&") {
		var right condition
		a := left
		right, err = s.one()
		left = func(v any) bool { return a(v) && right(v) }
	}
	return left, err
}

// one reads a comparison or ( … ).
func (s *scanner) one() (condition, error) {
	if s.take("(") {
		if s.depth++; s.depth > 32 {
			return nil, s.wrong("fewer parentheses")
		}
		c, err := s.or()
		s.depth--
		if err == nil && !s.take(")") {
			err = s.wrong(")")
		}
		return c, err
	}
	path, err := s.selector()
	if err != nil {
		return nil, err
	}
	switch {
	case s.take("NOT EXISTS"):
		return func(v any) bool { _, ok := path.of(v); return !ok }, nil
	case s.take("IS NULL"):
		return func(v any) bool { got, ok := path.of(v); return ok && got == nil }, nil
	case s.take("IS TRUE"):
		return func(v any) bool { got, _ := path.of(v); return got == true }, nil
	case s.take("IS FALSE"):
		return func(v any) bool { got, _ := path.of(v); return got == false }, nil
	}
	for _, op := range []string{"!=", ">=", "<=", "=", ">", "<"} {
		if s.take(op) {
			return s.compare(path, op)
		}
	}
	return nil, s.wrong("=, !=, <, <=, >, >=, IS NULL, IS TRUE, IS FALSE or NOT EXISTS")
}

// compare reads the value on the right of an operator.
func (s *scanner) compare(path selector, op string) (condition, error) {
	s.skip()
	var t term
	var err error
	if s.at < len(s.text) && (s.text[s.at] == '"' || s.text[s.at] == '%') {
		if t, err = s.term(); err != nil {
			return nil, err
		}
	} else {
		from := s.at
		for s.at < len(s.text) && !strings.ContainsRune(" \t\n(){}&|<>=!", rune(s.text[s.at])) {
			s.at++
		}
		if t.text = s.text[from:s.at]; t.text == "" {
			return nil, s.wrong("a value")
		}
		if n, err := strconv.ParseFloat(t.text, 64); err == nil {
			return numeric(path, op, n), nil
		}
	}
	if op != "=" && op != "!=" {
		return nil, s.wrong("a number behind " + op)
	}
	re := t.re
	if re == nil && strings.Contains(t.text, "*") {
		re = regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(t.text), `\*`, ".*") + "$")
	}
	return func(v any) bool {
		got, ok := path.of(v)
		if !ok {
			return false
		}
		text, ok := got.(string)
		switch got := got.(type) {
		case float64:
			text, ok = strconv.FormatFloat(got, 'f', -1, 64), true
		case bool:
			text, ok = strconv.FormatBool(got), true
		}
		equal := ok && (re != nil && re.MatchString(text) || re == nil && text == t.text)
		return equal == (op == "=")
	}, nil
}

// numeric compares with a number.
func numeric(path selector, op string, n float64) condition {
	return func(v any) bool {
		got, ok := path.of(v)
		if !ok {
			return false
		}
		m, isNumber := got.(float64)
		switch op {
		case "=":
			return isNumber && m == n
		case "!=":
			return !isNumber || m != n
		case "<":
			return isNumber && m < n
		case "<=":
			return isNumber && m <= n
		case ">":
			return isNumber && m > n
		}
		return isNumber && m >= n
	}
}

// A selector is $.member[0]['other'], taken apart: strings and ints.
type selector []any

func (s *scanner) selector() (selector, error) {
	if !s.take("$") {
		return nil, s.wrong("$.member")
	}
	var path selector
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '.':
			from := s.at + 1
			s.at = from
			for s.at < len(s.text) && (isWordByte(s.text[s.at]) || s.text[s.at] == '-') {
				s.at++
			}
			if s.at == from {
				return nil, s.wrong("a member's name")
			}
			path = append(path, s.text[from:s.at])
		case '[':
			end := strings.IndexByte(s.text[s.at:], ']')
			if end < 0 {
				return nil, s.wrong("]")
			}
			inner := strings.TrimSpace(s.text[s.at+1 : s.at+end])
			if n, err := strconv.Atoi(inner); err == nil && n >= 0 {
				path = append(path, n)
			} else if len(inner) > 2 && (inner[0] == '\'' || inner[0] == '"') && inner[len(inner)-1] == inner[0] {
				path = append(path, inner[1:len(inner)-1])
			} else {
				return nil, s.wrong("an index or a quoted name in []")
			}
			s.at += end + 1
		default:
			if len(path) == 0 {
				return nil, s.wrong(". or [ behind $")
			}
			return path, nil
		}
	}
	return path, nil
}

// of returns what the selector points at.
func (p selector) of(v any) (any, bool) {
	for _, step := range p {
		switch step := step.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			if v, ok = m[step]; !ok {
				return nil, false
			}
		case int:
			list, ok := v.([]any)
			if !ok || step >= len(list) {
				return nil, false
			}
			v = list[step]
		}
	}
	return v, true
}
