package vtl

import (
	"math/big"
	"strconv"
	"strings"
)

// reference parses a reference at a $. It returns nil, with the position at the
// $, when what stands there is none.
func (p *parser) reference() (*reference, error) {
	at := p.pos
	p.pos++
	r := &reference{at: p.place(at)}
	if strings.HasPrefix(p.text[p.pos:], "!") {
		r.quiet = true
		p.pos++
	}
	braces := strings.HasPrefix(p.text[p.pos:], "{")
	if braces {
		p.pos++
	}
	if r.name = p.identifier(); r.name == "" {
		p.pos = at
		return nil, nil
	}
	for {
		more, err := p.step(r)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	if braces {
		if p.pos == len(p.text) || p.text[p.pos] != '}' {
			return nil, p.fail(at, "the reference %s isn't closed by }", p.text[at:p.pos])
		}
		p.pos++
	}
	r.text = p.text[at:p.pos]
	return r, nil
}

// identifier reads a name; a hyphen may be a part of it.
func (p *parser) identifier() string {
	at := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		if !isLetter(c) && c != '_' && (p.pos == at || !isDigit(c) && c != '-') {
			break
		}
		p.pos++
	}
	return p.text[at:p.pos]
}

// step parses a property, a method or an index of a reference; more is false
// when there is none.
func (p *parser) step(r *reference) (more bool, err error) {
	rest := p.text[p.pos:]
	switch {
	case strings.HasPrefix(rest, "["):
		if err := p.nest(p.pos); err != nil {
			return false, err
		}
		defer func() { p.depth-- }()
		at := p.pos
		p.pos++
		p.space()
		index, err := p.parameter()
		if err != nil {
			return false, err
		}
		p.space()
		if p.pos == len(p.text) || p.text[p.pos] != ']' {
			return false, p.fail(at, "the index of %s isn't closed by ]; write ${%s} before a bracket that is text", "$"+r.name, r.name)
		}
		p.pos++
		r.steps = append(r.steps, step{kind: stepIndex, arguments: []expression{index}})
		return true, nil
	case !strings.HasPrefix(rest, "."):
		return false, nil
	}
	dot := p.pos
	p.pos++
	name := p.identifier()
	if name == "" {
		p.pos = dot
		return false, nil
	}
	if p.pos+1 >= len(p.text) || p.text[p.pos] != '(' {
		r.steps = append(r.steps, step{kind: stepProperty, name: name})
		return true, nil
	}
	arguments, err := p.arguments(name)
	if err != nil {
		return false, err
	}
	r.steps = append(r.steps, step{kind: stepMethod, name: name, arguments: arguments})
	return true, nil
}

// arguments parses a method's, from its parenthesis on.
func (p *parser) arguments(method string) ([]expression, error) {
	at := p.pos
	if err := p.nest(at); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	p.pos++
	var list []expression
	for {
		p.space()
		if p.pos == len(p.text) {
			return nil, p.fail(at, "the parenthesis of %s isn't closed", method)
		}
		if p.text[p.pos] == ')' && len(list) == 0 {
			p.pos++
			return nil, nil
		}
		argument, err := p.parameter()
		if err != nil {
			return nil, err
		}
		list = append(list, argument)
		p.space()
		switch {
		case p.pos == len(p.text):
			return nil, p.fail(at, "the parenthesis of %s isn't closed", method)
		case p.text[p.pos] == ')':
			p.pos++
			return list, nil
		case p.text[p.pos] != ',':
			return nil, p.fail(p.pos, "%q stands where a comma or the ) of %s is expected; calculate with #set first", p.glimpse(), method)
		}
		p.pos++
	}
}

// binding are the binary operators by how loosely they bind.
var binding = [][]struct {
	text     string
	operator operator
}{
	{{"||", opOr}, {"or", opOr}},
	{{"&&", opAnd}, {"and", opAnd}},
	{{"==", opEqual}, {"eq", opEqual}, {"!=", opNotEqual}, {"ne", opNotEqual}},
	{{"<=", opLessEqual}, {"le", opLessEqual}, {"<", opLess}, {"lt", opLess}, {">=", opGreaterEqual}, {"ge", opGreaterEqual}, {">", opGreater}, {"gt", opGreater}},
	{{"+", opAdd}, {"-", opSubtract}},
	{{"*", opMultiply}, {"/", opDivide}, {"%", opModulo}},
}

// expression parses operators and what they connect.
func (p *parser) expression() (expression, error) { return p.binary(0) }

func (p *parser) binary(level int) (expression, error) {
	if level == len(binding) {
		return p.unary()
	}
	if level == 0 {
		if err := p.nest(p.pos); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
	}
	left, err := p.binary(level + 1)
	if err != nil {
		return nil, err
	}
	for {
		op, ok := p.operator(level)
		if !ok {
			return left, nil
		}
		right, err := p.binary(level + 1)
		if err != nil {
			return nil, err
		}
		left = &binaryExpression{op, left, right}
	}
}

// operator reads one of a level's operators, if one stands here.
func (p *parser) operator(level int) (operator, bool) {
	at := p.pos
	p.space()
	rest := p.text[p.pos:]
	for _, candidate := range binding[level] {
		if !strings.HasPrefix(rest, candidate.text) {
			continue
		}
		after := rest[len(candidate.text):]
		if isLetter(candidate.text[0]) && after != "" && (isLetter(after[0]) || isDigit(after[0]) || after[0] == '_') {
			continue
		}
		if candidate.operator == opSubtract && after != "" && isDigit(after[0]) {
			continue // -3 is a number in Velocity, wherever it stands
		}
		p.pos += len(candidate.text)
		return candidate.operator, true
	}
	p.pos = at
	return 0, false
}

func (p *parser) unary() (expression, error) {
	p.space()
	rest := p.text[p.pos:]
	negation := ""
	switch {
	case strings.HasPrefix(rest, "!"):
		negation = "!"
	case strings.HasPrefix(rest, "not") && (len(rest) == 3 || !isLetter(rest[3]) && !isDigit(rest[3])):
		negation = "not"
	}
	if negation != "" {
		if err := p.nest(p.pos); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
		p.pos += len(negation)
		of, err := p.unary()
		if err != nil {
			return nil, err
		}
		return notExpression{of}, nil
	}
	if !strings.HasPrefix(rest, "(") {
		return p.parameter()
	}
	at := p.pos
	p.pos++
	inner, err := p.expression()
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos == len(p.text) || p.text[p.pos] != ')' {
		return nil, p.fail(at, "the parenthesis isn't closed")
	}
	p.pos++
	return inner, nil
}

// parameter parses what an argument may be: a literal, a reference, a list, a
// range or a map. Velocity 1.7 has no operators there.
func (p *parser) parameter() (expression, error) {
	p.space()
	if p.pos == len(p.text) {
		return nil, p.fail(p.pos, "the template ends where a value is expected")
	}
	if err := p.nest(p.pos); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	switch c := p.text[p.pos]; {
	case c == '$':
		at := p.pos
		r, err := p.reference()
		if err == nil && r == nil {
			err = p.fail(at, "%q stands where a value is expected", p.glimpse())
		}
		return r, err
	case c == '\'' || c == '"':
		return p.quoted(c)
	case c == '[':
		return p.list()
	case c == '{':
		return p.mapLiteral()
	case isDigit(c), c == '-', c == '.':
		return p.number()
	}
	at := p.pos
	switch word := p.identifier(); word {
	case "true":
		return literalExpression{true}, nil
	case "false":
		return literalExpression{false}, nil
	case "":
	default:
		// A bare word is an argument without a value.
		if next := strings.TrimLeft(p.text[p.pos:], " \t\r\n"); strings.HasPrefix(next, ")") || strings.HasPrefix(next, ",") {
			return literalExpression{nil}, nil
		}
	}
	p.pos = at
	return nil, p.fail(at, "%q stands where a value is expected", p.glimpse())
}

// quoted parses a string; its quote is doubled within it.
func (p *parser) quoted(quote byte) (expression, error) {
	at := p.pos
	p.pos++
	begin := p.pos
	doubled := false
	for {
		n := strings.IndexByte(p.text[p.pos:], quote)
		if n < 0 {
			return nil, p.fail(at, "the string isn't closed by %c", quote)
		}
		p.pos += n + 1
		if p.pos == len(p.text) || p.text[p.pos] != quote {
			break
		}
		doubled = true
		p.pos++
	}
	text := p.text[begin : p.pos-1]
	if doubled {
		text = strings.ReplaceAll(text, string([]byte{quote, quote}), string(quote))
	}
	if quote == '\'' || !strings.ContainsAny(text, "$#") {
		return literalExpression{text}, nil
	}
	inner := &parser{text: text, depth: p.depth, macros: p.macros, origin: p, offset: begin}
	body, err := inner.template()
	if err != nil {
		return nil, err
	}
	return interpolated{body}, nil
}

// number parses an integer or a floating-point number.
func (p *parser) number() (expression, error) {
	at := p.pos
	if p.text[p.pos] == '-' {
		p.pos++
	}
	digits := func() int {
		begin := p.pos
		for p.pos < len(p.text) && isDigit(p.text[p.pos]) {
			p.pos++
		}
		return p.pos - begin
	}
	whole := digits()
	float := false
	if strings.HasPrefix(p.text[p.pos:], ".") && !strings.HasPrefix(p.text[p.pos:], "..") {
		p.pos++
		if digits() == 0 && whole == 0 {
			p.pos = at
			return nil, p.fail(at, "%q stands where a value is expected", p.glimpse())
		}
		float = true
	} else if whole == 0 {
		p.pos = at
		return nil, p.fail(at, "%q stands where a value is expected", p.glimpse())
	}
	if mark := p.pos; p.pos < len(p.text) && (p.text[p.pos] == 'e' || p.text[p.pos] == 'E') {
		p.pos++
		if p.pos < len(p.text) && (p.text[p.pos] == '+' || p.text[p.pos] == '-') {
			p.pos++
		}
		if digits() == 0 {
			p.pos = mark
		} else {
			float = true
		}
	}
	text := p.text[at:p.pos]
	if float {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, p.fail(at, "the number %s is out of range", text)
		}
		return literalExpression{f}, nil
	}
	if len(text) > maxDigits {
		return nil, p.fail(at, "the number has %d digits; at most %d are allowed", len(text), maxDigits)
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, p.fail(at, "%q is no number", text)
	}
	return literalExpression{shrink(n)}, nil
}

// list parses a list or a range.
func (p *parser) list() (expression, error) {
	at := p.pos
	p.pos++
	var l listExpression
	for {
		p.space()
		if p.pos == len(p.text) {
			return nil, p.fail(at, "the list isn't closed by ]")
		}
		if p.text[p.pos] == ']' && len(l.items) == 0 {
			p.pos++
			return l, nil
		}
		item, err := p.parameter()
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, item)
		p.space()
		rest := p.text[p.pos:]
		switch {
		case strings.HasPrefix(rest, "..") && len(l.items) == 1:
			p.pos += 2
			to, err := p.parameter()
			if err != nil {
				return nil, err
			}
			p.space()
			if p.pos == len(p.text) || p.text[p.pos] != ']' {
				return nil, p.fail(at, "the range isn't closed by ]")
			}
			p.pos++
			return rangeExpression{item, to}, nil
		case strings.HasPrefix(rest, "]"):
			p.pos++
			return l, nil
		case !strings.HasPrefix(rest, ","):
			return nil, p.fail(p.pos, "%q stands where a comma or the ] of a list is expected", p.glimpse())
		}
		p.pos++
	}
}

// mapLiteral parses a map.
func (p *parser) mapLiteral() (expression, error) {
	at := p.pos
	p.pos++
	var m mapExpression
	for {
		p.space()
		if p.pos == len(p.text) {
			return nil, p.fail(at, "the map isn't closed by }")
		}
		if p.text[p.pos] == '}' && len(m.keys) == 0 {
			p.pos++
			return m, nil
		}
		key, err := p.parameter()
		if err != nil {
			return nil, err
		}
		p.space()
		if p.pos == len(p.text) || p.text[p.pos] != ':' {
			return nil, p.fail(p.pos, "%q stands where the : of a map is expected", p.glimpse())
		}
		p.pos++
		value, err := p.parameter()
		if err != nil {
			return nil, err
		}
		m.keys, m.values = append(m.keys, key), append(m.values, value)
		p.space()
		switch {
		case strings.HasPrefix(p.text[p.pos:], "}"):
			p.pos++
			return m, nil
		case !strings.HasPrefix(p.text[p.pos:], ","):
			return nil, p.fail(p.pos, "%q stands where a comma or the } of a map is expected", p.glimpse())
		}
		p.pos++
	}
}
