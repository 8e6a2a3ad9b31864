package tables

import (
	"slices"
	"strings"
)

// An update is a parsed UpdateExpression.
type update struct {
	set       []assignment
	remove    []path
	add, drop []setChange // ADD, DELETE
	// legacy says that it was AttributeUpdates.
	legacy bool
}

// An assignment is "path = expression" in a SET section.
type assignment struct {
	path path
	expr updateExpr
}

// A setChange is "path value" in an ADD or DELETE section.
type setChange struct {
	path  path
	value value
}

// An updateOp is what an updateExpr does.
type updateOp byte

const (
	updValue       updateOp = iota // a bound value
	updPath                        // another attribute's value
	updIfNotExists                 // the path's value, or args[0]
	updListAppend                  // args[0] then args[1]
	updPlus
	updMinus
)

var updateOpNames = [...]string{"", "", "if_not_exists", "list_append", "+", "-"}

// An updateExpr is the right side of an assignment.
type updateExpr struct {
	op     updateOp
	path   path
	value  value
	args   []updateExpr
	parens bool
}

// parseUpdate reads an UpdateExpression.
func parseUpdate(text string, b *bindings) (*update, error) {
	u := &update{}
	p := newParser("UpdateExpression", text, b)
	err := p.run(func() {
		seen := map[string]bool{}
		for p.peek().kind != tokEnd {
			section := strings.ToUpper(p.peek().text)
			if p.peek().kind != tokName || !isSection(section) {
				p.fail()
			}
			p.pos++
			if seen[section] {
				p.complain(rankSection, `The "`+section+`" section can only be used once in an update expression;`)
			}
			seen[section] = true
			p.section(u, section)
			for p.symbol(",") {
				p.section(u, section)
			}
		}
		if m := checkPaths(u.paths()); m != "" {
			p.complain(rankPaths, m)
		}
	})
	return u, err
}

func isSection(word string) bool {
	return word == "SET" || word == "REMOVE" || word == "ADD" || word == "DELETE"
}

// section reads one clause of the section.
func (p *parser) section(u *update, section string) {
	p.operands++
	target := p.path()
	switch section {
	case "SET":
		p.want("=")
		u.set = append(u.set, assignment{target, p.updateExpr()})
	case "REMOVE":
		u.remove = append(u.remove, target)
	case "ADD":
		v := p.bound()
		if v.kind != kindNone && v.kind != kindNumber && !v.kind.isSet() {
			p.complain(rankOperands, "Incorrect operand type for operator or function; operator: ADD, operand type: "+longKindName(v.kind))
		}
		u.add = append(u.add, setChange{target, v})
	case "DELETE":
		v := p.bound()
		if v.kind != kindNone && !v.kind.isSet() {
			p.complain(rankOperands, "Incorrect operand type for operator or function; operator: DELETE, operand type: "+longKindName(v.kind))
		}
		u.drop = append(u.drop, setChange{target, v})
	}
}

// longKindName is how the messages about ADD and DELETE name a type.
func longKindName(k kind) string {
	return [...]string{"", "STRING", "NUMBER", "BINARY", "BOOLEAN", "NULL", "MAP", "LIST", "STRING_SET", "NUMBER_SET", "BINARY_SET"}[k]
}

// updateExpr reads an operand, or two joined by + or -.
func (p *parser) updateExpr() updateExpr {
	left := p.updateOperand()
	op := updPlus
	switch {
	case p.symbol("+"):
	case p.symbol("-"):
		op = updMinus
	default:
		return left
	}
	p.operands++
	e := updateExpr{op: op, args: []updateExpr{left, p.updateOperand()}}
	for _, a := range e.args {
		p.checkUpdateOperand(updateOpNames[op], a, kindNumber)
	}
	return e
}

func (p *parser) updateOperand() updateExpr {
	t := p.peek()
	switch {
	case t.kind == tokBind:
		return updateExpr{op: updValue, value: p.bound()}
	case t.kind == tokName && p.tokens[p.pos+1].text == "(":
		return p.updateCall()
	case p.symbol("("):
		defer p.nest()()
		e := p.updateExpr()
		p.want(")")
		if e.parens {
			p.complain(rankParens, "The expression has redundant parentheses;")
		}
		e.parens = true
		return e
	}
	return updateExpr{op: updPath, path: p.path()}
}

// updateCall reads if_not_exists(path, operand) or list_append(operand, operand).
func (p *parser) updateCall() updateExpr {
	defer p.nest()()
	name := p.next().text
	p.want("(")
	args := []updateExpr{p.updateExpr()}
	for p.symbol(",") {
		args = append(args, p.updateExpr())
	}
	p.want(")")
	p.operands++
	e := updateExpr{args: args}
	switch name {
	case "if_not_exists":
		e.op = updIfNotExists
	case "list_append":
		e.op = updListAppend
	default:
		if _, known := conditionFunctions[name]; known {
			p.complain(rankFunction, "The function is not allowed in an update expression; function: "+name)
		} else {
			p.complain(rankFunction, "Invalid function name; function: "+name)
		}
		return e
	}
	if len(args) != 2 {
		p.complain(rankOperands, "Incorrect number of operands for operator or function; operator or function: "+name+", number of operands: "+itoa(len(args)))
		return e
	}
	if e.op == updIfNotExists {
		if args[0].op != updPath {
			p.complain(rankOperands, "Operator or function requires a document path; operator or function: if_not_exists")
		}
		e.path, e.args = args[0].path, args[1:]
		return e
	}
	for _, a := range args {
		p.checkUpdateOperand(name, a, kindList)
	}
	return e
}

// checkUpdateOperand refuses a bound value of the wrong type while parsing; what
// the item holds is seen when the update is applied.
func (p *parser) checkUpdateOperand(name string, e updateExpr, want kind) {
	if e.op == updValue && e.value.kind != kindNone && e.value.kind != want {
		p.badOperand(name, e.value.kind.String())
	}
}

// paths are all document paths that the update changes.
func (u *update) paths() []path {
	out := make([]path, 0, len(u.set)+len(u.remove)+len(u.add)+len(u.drop))
	for _, a := range u.set {
		out = append(out, a.path)
	}
	out = append(out, u.remove...)
	for _, a := range u.add {
		out = append(out, a.path)
	}
	for _, a := range u.drop {
		out = append(out, a.path)
	}
	return out
}

// The refusals of an update that parsed but doesn't fit the item.
const (
	errUpdatePath    = "The document path provided in the update expression is invalid for update"
	errMissingSource = "The provided expression refers to an attribute that does not exist in the item"
	errOperandType   = "An operand in the update expression has an incorrect data type"
)

// apply returns the item as the update leaves it. Every right side sees the
// item as it was, and list indexes count in the list as it was.
func (u *update) apply(old item) (item, error) {
	it := old
	var appends bool
	type change struct {
		path path
		v    value
	}
	changes := make([]change, 0, len(u.set)+len(u.add)+len(u.drop))
	for _, a := range u.set {
		v, err := a.expr.eval(old)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change{a.path, v})
	}
	for _, a := range u.add {
		v, err := addTo(a.path.lookup(old), a.value)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change{a.path, v})
	}
	for _, a := range u.drop {
		have := a.path.lookup(old)
		switch {
		case have.kind == kindNone:
			if !a.path.parentExists(old) {
				return nil, invalid(errUpdatePath)
			}
			continue
		case have.kind != a.value.kind:
			return nil, invalid(errOperandType)
		}
		changes = append(changes, change{a.path, have.minus(a.value)})
	}
	for _, p := range u.remove {
		if !p.parentExists(old) {
			return nil, invalid(errUpdatePath)
		}
		if p.lookup(old).kind != kindNone {
			changes = append(changes, change{p, value{}})
		}
	}
	// Of indexes behind a list's end, the smaller goes first; removals leave gaps
	// that are closed at the end, so that indexes hold until then.
	slices.SortStableFunc(changes, func(a, b change) int { return a.path.lastIndex() - b.path.lastIndex() })
	for _, c := range changes {
		v, ok := c.path.replace(value{kind: kindMap, m: it}, 0, c.v)
		if !ok {
			return nil, invalid(errUpdatePath)
		}
		it = v.m
		appends = appends || c.v.kind == kindNone && c.path[len(c.path)-1].index >= 0
	}
	if appends {
		it = closeGaps(value{kind: kindMap, m: it}).m
	}
	return it, nil
}

func (p path) lastIndex() int { return p[len(p)-1].index }

// parentExists tells whether the path's last step has a map or list to stand in.
func (p path) parentExists(it item) bool {
	if len(p) == 1 {
		return true
	}
	parent, last := p[:len(p)-1].lookup(it), p[len(p)-1]
	return parent.kind == kindMap && last.index < 0 || parent.kind == kindList && last.index >= 0
}

// replace returns a copy of v in which the path from step i on holds new; new of
// kindNone leaves a gap in a list. ok is false when the path leads nowhere.
func (p path) replace(v value, i int, new value) (value, bool) {
	s := p[i]
	last := i == len(p)-1
	switch {
	case s.index < 0 && v.kind == kindMap:
		if !last {
			child := v.m.get(s.name)
			if child.kind == kindNone {
				return value{}, false
			}
			var ok bool
			if new, ok = p.replace(child, i+1, new); !ok {
				return value{}, false
			}
		}
		v.m = v.m.with(s.name, new)
		return v, true
	case s.index >= 0 && v.kind == kindList:
		if !last {
			if s.index >= len(v.list) {
				return value{}, false
			}
			var ok bool
			if new, ok = p.replace(v.list[s.index], i+1, new); !ok {
				return value{}, false
			}
		}
		list := slices.Clone(v.list)
		if s.index < len(list) {
			list[s.index] = new
		} else if new.kind != kindNone {
			list = append(list, new)
		}
		v.list = list
		return v, true
	}
	return value{}, false
}

// closeGaps removes what replace left in lists.
func closeGaps(v value) value {
	switch v.kind {
	case kindMap:
		m := slices.Clone(v.m)
		for i := range m {
			m[i].value = closeGaps(m[i].value)
		}
		v.m = m
	case kindList:
		list := make([]value, 0, len(v.list))
		for _, e := range v.list {
			if e.kind != kindNone {
				list = append(list, closeGaps(e))
			}
		}
		v.list = list
	}
	return v
}

// addTo is what ADD makes of an attribute: a sum, or a union.
func addTo(have, v value) (value, error) {
	switch {
	case have.kind == kindNone:
		return v, nil
	case have.kind != v.kind:
		return value{}, invalid(errOperandType)
	case v.kind == kindNumber:
		return sum(have, v, false)
	case v.kind == kindList: // AttributeUpdates alone
		return value{kind: kindList, list: slices.Concat(have.list, v.list)}, nil
	}
	return have.union(v), nil
}

func sum(a, b value, subtract bool) (value, error) {
	if a.kind != kindNumber || b.kind != kindNumber {
		return value{}, invalid(errOperandType)
	}
	n, err := addNumbers(a.text, b.text, subtract)
	if err != nil {
		return value{}, invalid(err.Error())
	}
	return value{kind: kindNumber, text: n}, nil
}

// eval computes the right side of an assignment.
func (e *updateExpr) eval(it item) (value, error) {
	switch e.op {
	case updValue:
		return e.value, nil
	case updPath:
		v := e.path.lookup(it)
		if v.kind == kindNone {
			return v, invalid(errMissingSource)
		}
		return v, nil
	case updIfNotExists:
		if v := e.path.lookup(it); v.kind != kindNone {
			return v, nil
		}
		return e.args[0].eval(it)
	}
	a, err := e.args[0].eval(it)
	if err != nil {
		return value{}, err
	}
	b, err := e.args[1].eval(it)
	if err != nil {
		return value{}, err
	}
	if e.op != updListAppend {
		return sum(a, b, e.op == updMinus)
	}
	if a.kind != kindList || b.kind != kindList {
		return value{}, invalid(errOperandType)
	}
	return value{kind: kindList, list: slices.Concat(a.list, b.list)}, nil
}
