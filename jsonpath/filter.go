package jsonpath

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A filter decides which elements [?(…)] keeps.
type filter struct {
	kind        filterKind
	left, right *filter  // of and, or; left of not
	operator    string   // of a comparison; "" means that the left side must exist
	a, b        *operand // of a comparison
}

type filterKind uint8

const (
	filterCompare filterKind = iota
	filterAnd
	filterOr
	filterNot
)

// An operand is a path from the element (@) or the root ($), or a literal.
type operand struct {
	query    *Query
	fromRoot bool
	literal  *Value
	pattern  *regexp.Regexp
}

// maxFilterDepth bounds filters within filters and parentheses.
const maxFilterDepth = 20

func (p *queryParser) filterBracket() (*filter, error) {
	p.blanks()
	if !strings.HasPrefix(p.rest, "(") {
		return nil, fmt.Errorf("a filter is [?(…)]")
	}
	p.rest = p.rest[1:]
	f, err := p.or()
	if err != nil {
		return nil, err
	}
	p.blanks()
	if !strings.HasPrefix(p.rest, ")") {
		return nil, fmt.Errorf("%q stands where the ) of a filter is expected", p.rest)
	}
	p.rest = p.rest[1:]
	return f, nil
}

func (p *queryParser) or() (*filter, error) { return p.chain("||", filterOr, p.and) }

func (p *queryParser) and() (*filter, error) { return p.chain("&&", filterAnd, p.condition) }

func (p *queryParser) chain(operator string, kind filterKind, next func() (*filter, error)) (*filter, error) {
	left, err := next()
	for err == nil {
		if p.blanks(); !strings.HasPrefix(p.rest, operator) {
			break
		}
		p.rest = p.rest[len(operator):]
		var right *filter
		if right, err = next(); err == nil {
			left = &filter{kind: kind, left: left, right: right}
		}
	}
	return left, err
}

// operators are the comparisons, longer ones first.
var operators = []string{"===", "!==", "==", "!=", "=~", "<=", ">=", "<", ">", "in", "nin", "contains", "size", "empty"}

func (p *queryParser) condition() (*filter, error) {
	if p.inside++; p.inside > maxFilterDepth {
		return nil, fmt.Errorf("filters lie more than %d deep within each other", maxFilterDepth)
	}
	defer func() { p.inside-- }()
	p.blanks()
	switch {
	case strings.HasPrefix(p.rest, "!"):
		p.rest = p.rest[1:]
		f, err := p.condition()
		return &filter{kind: filterNot, left: f}, err
	case strings.HasPrefix(p.rest, "("):
		p.rest = p.rest[1:]
		f, err := p.or()
		if err != nil {
			return nil, err
		}
		if p.blanks(); !strings.HasPrefix(p.rest, ")") {
			return nil, fmt.Errorf("a parenthesis of a filter is not closed")
		}
		p.rest = p.rest[1:]
		return f, nil
	}
	a, err := p.operand()
	if err != nil {
		return nil, err
	}
	f := &filter{a: a}
	p.blanks()
	for _, o := range operators {
		if !strings.HasPrefix(p.rest, o) || o[0] >= 'a' && len(p.rest) > len(o) && p.rest[len(o)] != ' ' && p.rest[len(o)] != '[' {
			continue
		}
		p.rest = p.rest[len(o):]
		f.operator = o
		p.blanks()
		if f.b, err = p.operand(); err != nil {
			return nil, err
		}
		if o == "=~" && f.b.pattern == nil {
			return nil, fmt.Errorf("=~ needs a regular expression, such as /a.*/i")
		}
		return f, nil
	}
	if a.query == nil {
		return nil, fmt.Errorf("%q stands where a comparison is expected", p.rest)
	}
	return f, nil
}

func (p *queryParser) operand() (*operand, error) {
	if p.rest == "" {
		return nil, fmt.Errorf("a filter lacks a value")
	}
	switch c := p.rest[0]; c {
	case '@', '$':
		p.rest = p.rest[1:]
		q, err := p.path()
		if err != nil {
			return nil, err
		}
		return &operand{query: q, fromRoot: c == '$'}, nil
	case '\'', '"':
		text, err := p.quoted()
		return &operand{literal: &Value{Kind: String, Text: text}}, err
	case '/':
		return p.regexp()
	case '[':
		return p.listLiteral()
	}
	end := 0
	for end < len(p.rest) && strings.IndexByte(" )]&|,=!<>", p.rest[end]) < 0 {
		end++
	}
	word := p.rest[:end]
	text := []byte(word)
	if !isScalar(text) {
		return nil, fmt.Errorf("%q is no value of a filter", word)
	}
	p.rest = p.rest[end:]
	s := scanner{data: text}
	v := s.scalar(text)
	return &operand{literal: &v}, nil
}

// regexp reads /…/ with the flag i.
func (p *queryParser) regexp() (*operand, error) {
	for i := 1; i < len(p.rest); i++ {
		if p.rest[i] == '\\' {
			i++
			continue
		}
		if p.rest[i] != '/' {
			continue
		}
		text := p.rest[1:i]
		p.rest = p.rest[i+1:]
		flags := ""
		if strings.HasPrefix(p.rest, "i") {
			p.rest = p.rest[1:]
			flags = "(?i)"
		}
		// The whole text must match, as with Java's matches.
		re, err := regexp.Compile(flags + `^(?:` + strings.ReplaceAll(text, `\/`, "/") + `)$`)
		return &operand{pattern: re}, err
	}
	return nil, fmt.Errorf("the regular expression of a filter is not closed")
}

func (p *queryParser) listLiteral() (*operand, error) {
	list := &Value{Kind: Array}
	p.rest = p.rest[1:]
	for {
		p.blanks()
		if strings.HasPrefix(p.rest, "]") {
			p.rest = p.rest[1:]
			return &operand{literal: list}, nil
		}
		item, err := p.operand()
		if err != nil {
			return nil, err
		}
		if item.literal == nil {
			return nil, fmt.Errorf("a list of a filter holds literals only")
		}
		list.Items = append(list.Items, *item.literal)
		p.blanks()
		if strings.HasPrefix(p.rest, ",") {
			p.rest = p.rest[1:]
		} else if !strings.HasPrefix(p.rest, "]") {
			return nil, fmt.Errorf("a list of a filter is not closed")
		}
	}
}

// resolve returns the operand's value, nil when it has none.
func (o *operand) resolve(element, root *Value) (*Value, error) {
	if o.query == nil {
		return o.literal, nil
	}
	from := element
	if o.fromRoot {
		from = root
	}
	found, err := o.query.values(from, root)
	if err == nil && o.query.function != "" {
		found, err = o.query.apply(found)
	}
	if err != nil {
		return nil, err
	}
	if o.query.Definite() {
		if len(found) == 0 {
			return nil, nil
		}
		return found[0], nil
	}
	list := &Value{Kind: Array}
	for _, v := range found {
		list.Items = append(list.Items, *v)
	}
	return list, nil
}

func (f *filter) holds(element, root *Value) (bool, error) {
	switch f.kind {
	case filterNot:
		b, err := f.left.holds(element, root)
		return !b, err
	case filterAnd, filterOr:
		b, err := f.left.holds(element, root)
		if err != nil || b == (f.kind == filterOr) {
			return b, err
		}
		return f.right.holds(element, root)
	}
	a, err := f.a.resolve(element, root)
	if err != nil {
		return false, err
	}
	if f.operator == "" {
		return a != nil, nil
	}
	if f.operator == "=~" {
		return a != nil && a.Kind == String && f.b.pattern.MatchString(a.Text), nil
	}
	b, err := f.b.resolve(element, root)
	if err != nil {
		return false, err
	}
	if a == nil || b == nil {
		return (f.operator == "!=" || f.operator == "!==") && (a == nil) != (b == nil), nil
	}
	return compare(f.operator, a, b), nil
}

func compare(operator string, a, b *Value) bool {
	switch operator {
	case "==", "===":
		return same(a, b)
	case "!=", "!==":
		return !same(a, b)
	case "in", "nin":
		return contains(b, a) == (operator == "in")
	case "contains":
		if a.Kind == String && b.Kind == String {
			return strings.Contains(a.Text, b.Text)
		}
		return contains(a, b)
	case "size":
		n, ok := b.number()
		size := len(a.Items)
		if a.Kind == String {
			size = len(a.Text)
		}
		return ok && a.Kind >= String && float64(size) == n
	case "empty":
		empty := a.Kind == String && a.Text == "" || a.Kind >= Array && len(a.Items) == 0
		return strconv.FormatBool(empty) == b.Text
	}
	order := 0
	x, ok := a.number()
	y, ok2 := b.number()
	switch {
	case ok && ok2 && x < y:
		order = -1
	case ok && ok2 && x > y:
		order = 1
	case ok && ok2:
	case a.Kind == String && b.Kind == String:
		order = strings.Compare(a.Text, b.Text)
	default:
		return false
	}
	switch operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func contains(list, v *Value) bool {
	if list.Kind == Array {
		for i := range list.Items {
			if same(&list.Items[i], v) {
				return true
			}
		}
	}
	return false
}

// same compares by value: numbers by theirs, containers by their parts.
func same(a, b *Value) bool {
	if a.Kind != b.Kind || len(a.Items) != len(b.Items) {
		return false
	}
	if a.Kind == Number {
		x, _ := a.number()
		y, _ := b.number()
		return x == y
	}
	if a.Text != b.Text {
		return false
	}
	for i := range a.Items {
		if a.Kind == Array {
			if !same(&a.Items[i], &b.Items[i]) {
				return false
			}
			continue
		}
		if other, ok := b.Member(a.Items[i].Name); !ok || !same(&a.Items[i], other) {
			return false
		}
	}
	return true
}
