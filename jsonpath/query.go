package jsonpath

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Query is a path of Jayway's whole dialect, evaluated over a Value: besides
// members, indexes and wildcards it has deep scans (..), slices ([1:3]), several
// names or indexes in one bracket, filters ([?(@.a > 1)]) and functions at the
// end (length(), min(), max(), sum(), avg(), keys()). A Query is immutable.
type Query struct {
	text     string
	steps    []queryStep
	function string
	definite bool
}

type queryKind uint8

const (
	queryMembers queryKind = iota
	queryIndexes
	queryWildcard
	querySlice
	queryFilter
	queryDeep // every value below, and the value itself; what follows applies to each
)

type queryStep struct {
	kind     queryKind
	names    []string
	indexes  []int
	from, to *int
	filter   *filter
}

// maxSelected bounds the values that a query finds.
const maxSelected = 100_000

// ParseQuery parses a path with its root, $; a text without one is taken for a
// member's name or names, as Jayway does. The error says what is wrong.
func ParseQuery(text string) (*Query, error) {
	if len(text) > MaxPath {
		return nil, fmt.Errorf("JSON path of %d bytes: at most %d are allowed", len(text), MaxPath)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("JSON path %q is not UTF-8", text)
	}
	rest := strings.TrimSpace(text)
	switch {
	case rest == "":
		return nil, fmt.Errorf("the JSON path is empty; $ is the whole")
	case rest[0] == '$', rest[0] == '@':
		rest = rest[1:]
	case rest[0] != '[' && rest[0] != '.':
		rest = "." + rest
	}
	p := queryParser{rest: rest}
	q, err := p.path()
	if err == nil && p.rest != "" {
		err = fmt.Errorf("%q stands where a \".\" or \"[\" is expected", p.rest)
	}
	if err != nil {
		return nil, fmt.Errorf("JSON path %q: %w", text, err)
	}
	q.text = text
	return q, nil
}

// String returns the path's text.
func (q *Query) String() string { return q.text }

// Definite says that the query leads to one value at most; another yields the
// list of what it finds.
func (q *Query) Definite() bool { return q.definite || q.function != "" }

// A queryParser reads a path; in a filter it stops at what can't be one.
type queryParser struct {
	rest   string
	inside int // filters that are open
}

func (p *queryParser) path() (*Query, error) {
	q := &Query{definite: true}
	for p.rest != "" && (p.rest[0] == '.' || p.rest[0] == '[') {
		if q.function != "" {
			return nil, fmt.Errorf("nothing can follow the function %s()", q.function)
		}
		if err := p.step(q); err != nil {
			return nil, err
		}
	}
	return q, nil
}

var functions = []string{"length", "min", "max", "sum", "avg", "keys", "size"}

func (p *queryParser) step(q *Query) error {
	add := func(s queryStep) {
		q.steps = append(q.steps, s)
		switch s.kind {
		case queryMembers:
			// Several names yield one object.
		case queryIndexes:
			q.definite = q.definite && len(s.indexes) == 1
		default:
			q.definite = false
		}
	}
	if p.rest[0] == '[' {
		s, err := p.bracket()
		if err == nil {
			add(s)
		}
		return err
	}
	p.rest = p.rest[1:]
	if strings.HasPrefix(p.rest, ".") {
		p.rest = p.rest[1:]
		add(queryStep{kind: queryDeep})
		if p.rest == "" {
			return fmt.Errorf("a name is missing after ..")
		}
		if p.rest[0] == '[' {
			return nil
		}
	}
	if strings.HasPrefix(p.rest, "*") {
		p.rest = p.rest[1:]
		add(queryStep{kind: queryWildcard})
		return nil
	}
	end := 0
	for end < len(p.rest) && !p.endsName(p.rest[end]) {
		end++
	}
	name := p.rest[:end]
	if name == "" {
		return fmt.Errorf("a name is missing after a dot")
	}
	p.rest = p.rest[end:]
	if strings.HasPrefix(p.rest, "(") {
		arguments, rest, ok := strings.Cut(p.rest[1:], ")")
		if !ok || strings.TrimSpace(arguments) != "" || !slices.Contains(functions, name) {
			return fmt.Errorf("there is no function %s(%s)", name, arguments)
		}
		p.rest = rest
		q.function = name
		return nil
	}
	add(queryStep{kind: queryMembers, names: []string{name}})
	return nil
}

// endsName says whether a byte can't be part of a name after a dot.
func (p *queryParser) endsName(c byte) bool {
	switch c {
	case '.', '[', '(', ']':
		return true
	case ')', '=', '!', '<', '>', '&', '|', '~', ',':
		return p.inside > 0 || c == ')'
	}
	return c <= ' '
}

func (p *queryParser) blanks() { p.rest = strings.TrimLeft(p.rest, " ") }

// bracket reads what stands in brackets.
func (p *queryParser) bracket() (s queryStep, err error) {
	p.rest = p.rest[1:]
	p.blanks()
	switch {
	case p.rest == "":
		return s, errUnclosed
	case p.rest[0] == '?':
		p.rest = p.rest[1:]
		s.kind = queryFilter
		if s.filter, err = p.filterBracket(); err != nil {
			return s, err
		}
	case p.rest[0] == '(':
		return s, fmt.Errorf("scripts ([(…)]) are not part of Jayway's dialect")
	case p.rest[0] == '\'' || p.rest[0] == '"':
		for {
			name, err := p.quoted()
			if err != nil {
				return s, err
			}
			s.names = append(s.names, name)
			p.blanks()
			if !strings.HasPrefix(p.rest, ",") {
				break
			}
			p.rest = p.rest[1:]
			p.blanks()
			if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
				return s, fmt.Errorf("a quoted name is missing after a comma")
			}
		}
	default:
		inner, _, ok := strings.Cut(p.rest, "]")
		if !ok {
			return s, errUnclosed
		}
		p.rest = p.rest[len(inner):]
		if s, err = parseIndexes(strings.TrimSpace(inner)); err != nil {
			return s, err
		}
	}
	p.blanks()
	if !strings.HasPrefix(p.rest, "]") {
		return s, errUnclosed
	}
	p.rest = p.rest[1:]
	return s, nil
}

// quoted reads a text in quotes; a backslash takes the next character.
func (p *queryParser) quoted() (string, error) {
	quote := p.rest[0]
	var b []byte
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == quote:
			p.rest = p.rest[i+1:]
			return string(b), nil
		case c == '\\' && i+1 < len(p.rest):
			i++
			b = append(b, p.rest[i])
		default:
			b = append(b, c)
		}
	}
	return "", fmt.Errorf("a quoted text is not closed")
}

// parseIndexes reads *, indexes or a slice.
func parseIndexes(inner string) (queryStep, error) {
	if inner == "*" {
		return queryStep{kind: queryWildcard}, nil
	}
	number := func(text string) (*int, error) {
		text = strings.TrimSpace(text)
		if text == "" {
			return nil, nil
		}
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("[%s] is neither an index, nor a quoted name, nor *", inner)
		}
		i := int(n)
		return &i, nil
	}
	if from, to, slice := strings.Cut(inner, ":"); slice {
		s := queryStep{kind: querySlice}
		var err error
		if s.from, err = number(from); err != nil {
			return s, err
		}
		s.to, err = number(to)
		return s, err
	}
	s := queryStep{kind: queryIndexes}
	for _, text := range strings.Split(inner, ",") {
		n, err := number(text)
		if err == nil && n == nil {
			err = fmt.Errorf("[%s] lacks an index", inner)
		}
		if err != nil {
			return s, err
		}
		s.indexes = append(s.indexes, *n)
	}
	return s, nil
}

// Select returns what the query leads to, in document order; nothing when it
// leads nowhere. A definite query yields one value at most. An error means that
// it finds more than is allowed, or that a function doesn't apply.
func (q *Query) Select(root *Value) ([]*Value, error) {
	found, err := q.values(root, root)
	if err != nil || q.function == "" {
		return found, err
	}
	return q.apply(found)
}

// Find returns what a definite query leads to, as Select does; nil when it
// leads nowhere.
func (q *Query) Find(root *Value) (*Value, error) {
	if !q.definite { // a function of a list
		found, err := q.Select(root)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		return found[0], nil
	}
	v := root
	for i := range q.steps {
		s := &q.steps[i]
		switch {
		case s.kind == queryMembers && len(s.names) == 1:
			v, _ = v.Member(s.names[0])
		case s.kind == queryIndexes && len(s.indexes) == 1:
			v = v.element(s.indexes[0])
		default:
			found, err := s.follow(nil, v, root)
			if err != nil {
				return nil, err
			}
			if v = nil; len(found) > 0 {
				v = found[0]
			}
		}
		if v == nil {
			return nil, nil
		}
	}
	if q.function == "" {
		return v, nil
	}
	found, err := q.apply([]*Value{v})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// values follows the steps from v; root is what $ means in filters.
func (q *Query) values(v, root *Value) ([]*Value, error) {
	now := []*Value{v}
	for i := range q.steps {
		var next []*Value
		for _, v := range now {
			var err error
			if next, err = q.steps[i].follow(next, v, root); err != nil {
				return nil, err
			}
			if len(next) > maxSelected {
				return nil, fmt.Errorf("the JSON path %s leads to more than %d values", q.text, maxSelected)
			}
		}
		now = next
		if i > 0 && q.steps[i-1].kind == queryDeep && q.steps[i].kind == queryFilter {
			now = once(now) // an element was met in its array, and then by itself
		}
	}
	return now, nil
}

// once drops all but the first of the same values.
func once(values []*Value) []*Value {
	seen := make(map[*Value]bool, len(values))
	return slices.DeleteFunc(values, func(v *Value) bool {
		again := seen[v]
		seen[v] = true
		return again
	})
}

func (s *queryStep) follow(out []*Value, v, root *Value) ([]*Value, error) {
	switch s.kind {
	case queryMembers:
		if len(s.names) == 1 {
			if m, ok := v.Member(s.names[0]); ok {
				out = append(out, m)
			}
			return out, nil
		}
		if v.Kind == Object { // several names give an object of them
			part := &Value{Kind: Object}
			for _, name := range s.names {
				if m, ok := v.Member(name); ok {
					part.Items = append(part.Items, *m)
				}
			}
			out = append(out, part)
		}
	case queryIndexes:
		for _, i := range s.indexes {
			if item := v.element(i); item != nil {
				out = append(out, item)
			}
		}
	case queryWildcard:
		for i := range v.Items {
			out = append(out, &v.Items[i])
		}
	case querySlice:
		if v.Kind == Array {
			from, to := bounds(s.from, s.to, len(v.Items))
			for i := from; i < to; i++ {
				out = append(out, &v.Items[i])
			}
		}
	case queryFilter:
		// Jayway filters the elements of an array; an object is one element.
		candidates := []*Value{v}
		switch v.Kind {
		case Object:
		case Array:
			candidates = candidates[:0]
			for i := range v.Items {
				candidates = append(candidates, &v.Items[i])
			}
		default:
			return out, nil
		}
		for _, candidate := range candidates {
			holds, err := s.filter.holds(candidate, root)
			if err != nil {
				return nil, err
			}
			if holds {
				out = append(out, candidate)
			}
		}
	case queryDeep:
		return deep(out, v)
	}
	return out, nil
}

// bounds are those of a slice, within a list of size items.
func bounds(from, to *int, size int) (int, int) {
	at := func(p *int, otherwise int) int {
		if p == nil {
			return otherwise
		}
		i := *p
		if i < 0 {
			i += size
		}
		return min(max(i, 0), size)
	}
	return at(from, 0), at(to, size)
}

// deep appends v and all containers below it.
func deep(out []*Value, v *Value) ([]*Value, error) {
	if v.Kind != Array && v.Kind != Object {
		return out, nil
	}
	if len(out) > maxSelected {
		return nil, fmt.Errorf("a deep scan meets more than %d values", maxSelected)
	}
	out = append(out, v)
	for i := range v.Items {
		var err error
		if out, err = deep(out, &v.Items[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// apply calls the function at the query's end.
func (q *Query) apply(found []*Value) ([]*Value, error) {
	if q.definite && len(found) == 0 {
		return nil, nil
	}
	items := found
	if q.definite {
		v := found[0]
		switch {
		case q.function == "keys" && v.Kind == Object:
			keys := &Value{Kind: Array}
			for i := range v.Items {
				keys.Items = append(keys.Items, Value{Kind: String, Text: v.Items[i].Name})
			}
			return []*Value{keys}, nil
		case (q.function == "length" || q.function == "size") && v.Kind == String:
			return []*Value{numberOf(float64(utf8.RuneCountInString(v.Text)))}, nil
		case v.Kind != Array && v.Kind != Object:
			return nil, fmt.Errorf("the JSON path %s: %s() applies to arrays", q.text, q.function)
		}
		items = nil
		for i := range v.Items {
			items = append(items, &v.Items[i])
		}
	}
	if q.function == "length" || q.function == "size" {
		return []*Value{numberOf(float64(len(items)))}, nil
	}
	var numbers []float64
	sum := 0.0
	for _, v := range items {
		if f, ok := v.number(); ok {
			numbers = append(numbers, f)
			sum += f
		}
	}
	if len(numbers) == 0 {
		return nil, fmt.Errorf("the JSON path %s: %s() needs numbers", q.text, q.function)
	}
	switch q.function {
	case "min":
		return []*Value{numberOf(slices.Min(numbers))}, nil
	case "max":
		return []*Value{numberOf(slices.Max(numbers))}, nil
	case "sum":
		return []*Value{numberOf(sum)}, nil
	case "avg":
		return []*Value{numberOf(sum / float64(len(numbers)))}, nil
	}
	return nil, fmt.Errorf("the JSON path %s: %s() applies to objects", q.text, q.function)
}

func numberOf(f float64) *Value {
	return &Value{Kind: Number, Text: strconv.FormatFloat(f, 'f', -1, 64)}
}
