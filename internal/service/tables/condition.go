package tables

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// An operator is what a condition's node does.
type operator byte

const (
	opNone operator = iota
	opAnd
	opOr
	opNot
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opBetween
	opIn
	opExists
	opNotExists
	opType
	opBeginsWith
	opContains
)

var operatorNames = [...]string{"", "AND", "OR", "NOT", "=", "<>", "<", "<=", ">", ">=", "BETWEEN", "IN",
	"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"}

func (o operator) String() string { return operatorNames[o] }

var comparators = map[string]operator{"=": opEqual, "<>": opNotEqual, "<": opLess, "<=": opLessEqual, ">": opGreater, ">=": opGreaterEqual}

// conditionFunctions are the functions of conditions with their number of
// operands; size is an operand itself.
var conditionFunctions = map[string]struct {
	op    operator
	arity int
}{
	"attribute_exists":     {opExists, 1},
	"attribute_not_exists": {opNotExists, 1},
	"attribute_type":       {opType, 2},
	"begins_with":          {opBeginsWith, 2},
	"contains":             {opContains, 2},
	"size":                 {opNone, 1},
}

// An operand is a document path, a bound value, or the size of one.
type operand struct {
	path  path  // nil for a value
	value value // of kindNone for a path
	size  bool
}

// A condition is a parsed condition or filter; its leaves have operands.
type condition struct {
	op          operator
	left, right *condition
	args        []operand
}

// parseCondition reads a ConditionExpression, FilterExpression or
// KeyConditionExpression; kind says which.
func parseCondition(kind, text string, b *bindings) (*condition, error) {
	var c *condition
	p := newParser(kind, text, b)
	err := p.run(func() { c = p.disjunction() })
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (p *parser) disjunction() *condition {
	left := p.conjunction()
	for p.keyword("OR") {
		p.operands++
		left = &condition{op: opOr, left: left, right: p.conjunction()}
	}
	return left
}

func (p *parser) conjunction() *condition {
	left := p.negation()
	for p.keyword("AND") {
		p.operands++
		left = &condition{op: opAnd, left: left, right: p.negation()}
	}
	return left
}

func (p *parser) negation() *condition {
	if p.keyword("NOT") {
		p.operands++
		defer p.nest()()
		return &condition{op: opNot, left: p.negation()}
	}
	t := p.term()
	if t.cond == nil {
		p.fail() // an operand with nothing that compares it
	}
	return t.cond
}

// A term is what stands between operators: a condition, or an operand that
// only parentheses may return.
type term struct {
	cond     *condition
	operand  operand
	function string // the name when it is a call
	parens   bool
}

// term reads a condition without AND, OR and NOT, or an operand in parentheses.
func (p *parser) term() term {
	t := p.primary()
	if t.cond != nil && t.function == "" {
		return t
	}
	op, found := operator(opNone), false
	if s := p.peek(); s.kind == tokSymbol {
		op, found = comparators[s.text]
		if found {
			p.pos++
		}
	}
	switch {
	case found:
		return p.comparison(op, t)
	case p.keyword("BETWEEN"):
		low := p.operand()
		if !p.keyword("AND") {
			p.fail()
		}
		return p.leaf(opBetween, t, low, p.operand())
	case p.keyword("IN"):
		return p.list(t)
	case t.function == "size":
		if s := p.peek(); s.kind != tokSymbol || s.text != ")" {
			p.complain(rankUse, "The function is not allowed to be used this way in an expression; function: size")
			t.cond = &condition{op: opExists, args: []operand{t.operand}}
		}
	}
	return t
}

func (p *parser) comparison(op operator, left term) term {
	return p.leaf(op, left, p.operand())
}

func (p *parser) list(left term) term {
	p.want("(")
	args := []operand{p.operand()}
	for p.symbol(",") {
		args = append(args, p.operand())
	}
	p.want(")")
	if len(args) > 100 {
		p.complain(rankOperands, "The IN operator is provided with too many operands; number of operands: "+fmt.Sprint(len(args)))
	}
	return p.leaf(opIn, left, args...)
}

// leaf builds a comparison and checks its operands' types.
func (p *parser) leaf(op operator, left term, right ...operand) term {
	p.operands++
	if left.cond != nil {
		p.complain(rankUse, "The function is not allowed to be used this way in an expression; function: "+left.function)
	}
	args := append([]operand{left.operand}, right...)
	p.distinct("operator: "+op.String(), args)
	if op == opBetween {
		p.checkBounds(args[1], args[2])
	}
	if op >= opLess && op <= opBetween {
		what := "operator"
		if p.kind == "KeyConditionExpression" {
			what = "operator or function"
		}
		for _, a := range args {
			if k := a.value.kind; !a.size && k != kindNone && k > kindBinary {
				p.complain(p.operandRank(), fmt.Sprintf("Incorrect operand type for operator or function; %s: %s, operand type: %s", what, op, k))
			}
		}
	}
	return term{cond: &condition{op: op, args: args}}
}

func (p *parser) distinct(what string, args []operand) {
	if args[0].path == nil {
		return
	}
	for _, a := range args[1:] {
		if a.path != nil && a.size == args[0].size && !a.size && slices.Equal(a.path, args[0].path) {
			p.complain(rankOperands, "The first operand must be distinct from the remaining operands for this operator or function; "+what+", first operand: "+args[0].path.String())
		}
	}
}

func (p *parser) checkBounds(low, high operand) {
	l, h := low.value, high.value
	if low.size || high.size || l.kind == kindNone || h.kind == kindNone {
		return
	}
	what := ""
	if l.kind != h.kind {
		what = "same data type for lower and upper bounds"
	} else if order, ok := l.compare(h); ok && order > 0 {
		what = "upper bound to be greater than or equal to lower bound"
	}
	if what != "" {
		p.complain(rankOperands, "The BETWEEN operator requires "+what+"; lower bound operand: "+printValue(l)+", upper bound operand: "+printValue(h))
	}
}

// operand reads what stands on either side of an operator.
func (p *parser) operand() operand {
	t := p.primary()
	if t.cond != nil {
		if t.function == "" {
			p.fail()
		}
		p.complain(rankUse, "The function is not allowed to be used this way in an expression; function: "+t.function)
	}
	return t.operand
}

// primary reads a parenthesis, a function call, a path or a value.
func (p *parser) primary() term {
	t := p.peek()
	switch {
	case t.kind == tokBind:
		return term{operand: operand{value: p.bound()}}
	case t.kind == tokName && p.tokens[p.pos+1].text == "(" && !isKeyword(t.text):
		return p.call()
	case p.symbol("("):
		defer p.nest()()
		inner := p.parenthesis()
		p.want(")")
		if inner.parens {
			p.complain(rankParens, "The expression has redundant parentheses;")
		}
		inner.parens = true
		return inner
	case t.kind == tokName && isKeyword(t.text):
		p.fail()
	}
	return term{operand: operand{path: p.path()}}
}

func isKeyword(word string) bool {
	switch strings.ToUpper(word) {
	case "AND", "OR", "NOT", "BETWEEN", "IN":
		return true
	}
	return false
}

// parenthesis reads what stands inside parentheses: a condition or an operand.
func (p *parser) parenthesis() term {
	if t := p.peek(); t.kind == tokName && strings.EqualFold(t.text, "NOT") {
		return term{cond: p.disjunction()}
	}
	first := p.term()
	if first.cond == nil {
		if s := p.peek(); s.kind != tokSymbol || s.text != ")" {
			p.fail()
		}
		return first
	}
	left := first.cond
	joined := false
	for p.keyword("AND") {
		p.operands++
		left, joined = &condition{op: opAnd, left: left, right: p.negation()}, true
	}
	for p.keyword("OR") {
		p.operands++
		left, joined = &condition{op: opOr, left: left, right: p.conjunction()}, true
	}
	if joined {
		return term{cond: left}
	}
	return first
}

// call reads a function and checks its operands.
func (p *parser) call() term {
	defer p.nest()()
	name := p.next().text
	p.want("(")
	args := []operand{p.operand()}
	for p.symbol(",") {
		args = append(args, p.operand())
	}
	p.want(")")
	p.operands++
	f, known := conditionFunctions[name]
	if !known {
		p.complain(rankFunction, "Invalid function name; function: "+name)
		return term{function: name, cond: &condition{op: opExists, args: args}}
	}
	if len(args) != f.arity {
		p.complain(rankOperands, fmt.Sprintf("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", name, len(args)))
		args = append(args, args...)
	}
	p.checkArguments(name, f.op, args)
	if name == "size" {
		o := args[0]
		if o.size {
			p.badOperand(name, "N")
		}
		o.size = true
		return term{function: name, operand: o}
	}
	return term{function: name, cond: &condition{op: f.op, args: args[:f.arity]}}
}

func (p *parser) badOperand(function, types string) {
	p.complain(p.operandRank(), "Incorrect operand type for operator or function; operator or function: "+function+", operand type: "+types)
}

// operandRank: the clauses of a key condition are checked one after the other,
// operands and undefined values alike.
func (p *parser) operandRank() problemRank {
	if p.kind == "KeyConditionExpression" {
		return rankValue
	}
	return rankOperands
}

func (p *parser) checkArguments(name string, op operator, args []operand) {
	switch op {
	case opExists, opNotExists:
		if args[0].path == nil || args[0].size {
			p.complain(rankOperands, "Operator or function requires a document path; operator or function: "+name)
		}
	case opType:
		switch k := args[1].value; {
		case args[1].path != nil:
			p.badOperand(name, "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
		case k.kind != kindString && k.kind != kindNone:
			p.badOperand(name, k.kind.String())
		case k.kind == kindString && !slices.Contains(kindNames[1:], k.text):
			p.complain(rankOperands, "Invalid attribute type name found; type: "+k.text+", valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}")
		}
	case opBeginsWith:
		for _, a := range args {
			if k := a.value.kind; k != kindNone && k != kindString && k != kindBinary {
				p.badOperand(name, k.String())
			}
		}
		p.distinct("operator: "+name, args)
	case opContains:
		p.distinct("operator: "+name, args)
	case opNone: // size
		switch k := args[0].value.kind; k {
		case kindNumber, kindBool, kindNull:
			p.badOperand(name, k.String())
		}
	}
}

// get is the operand's value for an item; of kindNone when it has none.
func (o operand) get(it item) value {
	v := o.value
	if o.path != nil {
		v = o.path.lookup(it)
	}
	if !o.size {
		return v
	}
	n := 0
	switch v.kind {
	case kindString:
		for _, r := range v.text {
			n += utf16.RuneLen(r)
		}
	case kindBinary:
		n = len(v.text)
	case kindMap:
		n = len(v.m)
	case kindList, kindStringSet, kindNumberSet, kindBinarySet:
		n = len(v.list)
	default:
		return value{}
	}
	return value{kind: kindNumber, text: fmt.Sprint(n)}
}

// holds evaluates the condition for an item, which may be nil.
func (c *condition) holds(it item) bool {
	switch c.op {
	case opAnd:
		return c.left.holds(it) && c.right.holds(it)
	case opOr:
		return c.left.holds(it) || c.right.holds(it)
	case opNot:
		return !c.left.holds(it)
	}
	v := c.args[0].get(it)
	switch c.op {
	case opExists:
		return v.kind != kindNone
	case opNotExists:
		return v.kind == kindNone
	case opNotEqual:
		return !equalOperands(v, c.args[1].get(it))
	case opEqual:
		return equalOperands(v, c.args[1].get(it))
	}
	if v.kind == kindNone {
		return false
	}
	switch c.op {
	case opIn:
		for _, a := range c.args[1:] {
			if equalOperands(v, a.get(it)) {
				return true
			}
		}
		return false
	case opBetween:
		low, ok1 := v.compare(c.args[1].get(it))
		high, ok2 := v.compare(c.args[2].get(it))
		return ok1 && ok2 && low >= 0 && high <= 0
	}
	w := c.args[1].get(it)
	switch c.op {
	case opType:
		return v.kind.String() == w.text
	case opBeginsWith:
		return v.kind == w.kind && (v.kind == kindString || v.kind == kindBinary) && strings.HasPrefix(v.text, w.text)
	case opContains:
		return contains(v, w)
	}
	order, ok := v.compare(w)
	if !ok {
		return false
	}
	switch c.op {
	case opLess:
		return order < 0
	case opLessEqual:
		return order <= 0
	case opGreater:
		return order > 0
	}
	return order >= 0
}

func equalOperands(v, w value) bool { return v.kind != kindNone && v.equal(w) }

func contains(v, w value) bool {
	switch {
	case v.kind == kindString || v.kind == kindBinary:
		return v.kind == w.kind && strings.Contains(v.text, w.text)
	case v.kind.isSet():
		return w.kind == v.kind.element() && v.hasMember(w)
	case v.kind == kindList:
		return slices.ContainsFunc(v.list, w.equal)
	}
	return false
}

// rootNames calls f with the first name of every path in the condition.
func (c *condition) rootNames(f func(name string)) {
	if c.left != nil {
		c.left.rootNames(f)
	}
	if c.right != nil {
		c.right.rootNames(f)
	}
	for _, a := range c.args {
		if a.path != nil {
			f(a.path[0].name)
		}
	}
}
