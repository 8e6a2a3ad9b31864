package vtl

import (
	"errors"
	"fmt"
)

// How #stop and #break travel to where they end.
var (
	errStop  = errors.New("#stop")
	errBreak = errors.New("#break")
)

// An evaluation is one use of a template.
type evaluation struct {
	text   string // the template's
	at     int    // where in it the evaluation is
	out    []byte
	base   int // where the template's output begins in out
	scope  Scope
	limits Limits
	steps  int
	depth  int
	macros map[string]*macro

	set    map[string]any // what the template set
	frames []*frame       // the macro calls that are under way, the innermost last
	loop   *loop          // the innermost #foreach
	given  []any          // the arguments of the calls that are under way
	room   [4]any         // for those of most templates
}

// A frame is a call of a macro: its parameters stand for the caller's
// expressions, evaluated anew at each use.
type frame struct {
	arguments map[string]expression
	set       map[string]any // parameters that the macro set; they are its own
	caller    int            // how many frames the arguments see
}

// A definition is what #define stores: a block evaluated at each use.
type definition struct{ body block }

// step counts work; n is a share of bytes handled.
func (e *evaluation) step(n int) error {
	if e.steps += 1 + n/64; e.steps > e.limits.Steps {
		return fmt.Errorf("%w: more than %d steps", ErrLimit, e.limits.Steps)
	}
	return nil
}

// sized counts the work of making a text, and refuses one that is too long.
func (e *evaluation) sized(n int) error {
	if n > e.limits.Output {
		return fmt.Errorf("%w: a text of more than %d bytes", ErrLimit, e.limits.Output)
	}
	return e.step(n)
}

// deeper enters a macro, a block or #evaluate; leave it with e.depth--.
func (e *evaluation) deeper() error {
	if e.depth++; e.depth > maxDepth {
		return fmt.Errorf("%w: macros, blocks and #evaluate lie more than %d deep within each other", ErrLimit, maxDepth)
	}
	return nil
}

func (e *evaluation) write(s string) error {
	if len(e.out)-e.base+len(s) > e.limits.Output {
		return fmt.Errorf("%w: more than %d bytes of output", ErrLimit, e.limits.Output)
	}
	e.out = append(e.out, s...)
	return e.step(len(s))
}

// capture renders into a text of its own.
func (e *evaluation) capture(body block) (string, error) {
	if err := e.deeper(); err != nil {
		return "", err
	}
	at := len(e.out)
	err := body.render(e)
	s := string(e.out[at:])
	e.out = e.out[:at]
	e.depth--
	return s, err
}

func (b block) render(e *evaluation) error {
	for _, n := range b {
		if err := n.render(e); err != nil {
			return err
		}
	}
	return nil
}

func (n textNode) render(e *evaluation) error { return e.write(string(n)) }
func (stopNode) render(*evaluation) error     { return errStop }
func (breakNode) render(*evaluation) error    { return errBreak }

func (n referenceNode) render(e *evaluation) error {
	v, err := n.reference.value(e)
	if err != nil {
		return err
	}
	text, err := e.print(v)
	if err != nil {
		return err
	}
	switch {
	case n.escaped && v == nil: // the backslash escapes nothing that would be replaced
		return e.write(n.slashes + `\` + n.literal)
	case n.escaped:
		return e.write(n.slashes + n.literal)
	case v != nil:
		return e.write(n.slashes + text)
	case n.quiet:
		return e.write(n.slashes + n.slashes)
	}
	return e.write(n.slashes + n.slashes + e.unresolved(n.reference))
}

// unresolved is what a reference without a value prints: itself, or in a macro
// what the call gave for it.
func (e *evaluation) unresolved(r *reference) string {
	if len(r.steps) == 0 && len(e.frames) > 0 {
		f := e.frames[len(e.frames)-1]
		if _, set := f.set[r.name]; !set {
			if given, ok := f.arguments[r.name].(*reference); ok {
				return e.unsaid(given)
			}
		}
	}
	return e.unsaid(r)
}

// unsaid is what a reference without a value prints: itself, or nothing when its
// name is Silent.
func (e *evaluation) unsaid(r *reference) string {
	if _, set := e.set[r.name]; !set && e.scope != nil {
		if v, ok := e.scope(r.name); ok {
			if _, silent := v.(Silent); silent {
				return ""
			}
		}
	}
	return r.text
}

func (n setNode) render(e *evaluation) error {
	e.at = n.target.at
	if err := e.step(0); err != nil {
		return err
	}
	v, err := n.value.value(e)
	if err != nil || v == nil { // directive.set.null.allowed is false: the reference keeps its value
		return err
	}
	return e.assign(n.target, v)
}

// assign gives a reference a value: a name, a map's entry or a list's item.
func (e *evaluation) assign(r *reference, v any) error {
	if len(r.steps) == 0 {
		e.put(r.name, v)
		return nil
	}
	parent := *r
	last := r.steps[len(r.steps)-1]
	parent.steps = r.steps[:len(r.steps)-1]
	owner, err := parent.value(e)
	if err != nil {
		return err
	}
	switch last.kind {
	case stepProperty:
		if m, ok := owner.(*Map); ok {
			m.Put(last.name, v)
		}
	case stepIndex:
		at, err := last.arguments[0].value(e)
		if err != nil {
			return err
		}
		switch o := owner.(type) {
		case *Map:
			o.Put(at, v)
		case *List:
			i, ok := index(at, len(o.items))
			if !ok {
				return e.fail(r, fmt.Errorf("no item %s in a list of %d", Print(at), len(o.items)))
			}
			o.items[i] = v
		}
	}
	return nil
}

// fail says which reference can't be followed; what lies within it may have said
// so already.
func (e *evaluation) fail(r *reference, err error) error {
	if errors.As(err, new(*EvaluationError)) {
		return err
	}
	line, column := position(e.text, r.at)
	return &EvaluationError{Line: line, Column: column, Reference: r.text, Err: err}
}

// located is how an evaluation ended: an error that says nowhere comes from where
// it had got to.
func (e *evaluation) located(err error) error {
	switch {
	case err == nil, errors.Is(err, errStop), errors.Is(err, errBreak):
		return nil
	case errors.As(err, new(*EvaluationError)):
		return err
	}
	line, column := position(e.text, e.at)
	return &EvaluationError{Line: line, Column: column, Err: err}
}

func (e *evaluation) put(name string, v any) {
	if len(e.frames) > 0 {
		f := e.frames[len(e.frames)-1]
		if _, parameter := f.arguments[name]; parameter {
			if f.set == nil {
				f.set = map[string]any{}
			}
			f.set[name] = v
			return
		}
	}
	if e.set == nil {
		e.set = map[string]any{}
	}
	e.set[name] = v
}

// find returns a name's value, nil when it has none.
func (e *evaluation) find(name string) (any, error) {
	if len(e.frames) > 0 {
		f := e.frames[len(e.frames)-1]
		if v, ok := f.set[name]; ok {
			return v, nil
		}
		if given, ok := f.arguments[name]; ok {
			frames := e.frames
			e.frames = frames[:f.caller]
			if err := e.deeper(); err != nil {
				return nil, err
			}
			v, err := given.value(e)
			e.depth--
			e.frames = frames
			return v, err
		}
	}
	if v, ok := e.set[name]; ok {
		return v, nil
	}
	if e.loop != nil {
		switch name {
		case "foreach":
			return e.loop, nil
		case "velocityCount":
			return int64(e.loop.index + 1), nil
		case "velocityHasNext":
			return e.loop.hasNext(), nil
		}
	}
	if e.scope != nil {
		if v, ok := e.scope(name); ok {
			if s, silent := v.(Silent); silent {
				v = s.Value
			}
			return normal(v), nil
		}
	}
	return nil, nil
}

func (n ifNode) render(e *evaluation) error {
	for i, c := range n.conditions {
		if err := e.step(0); err != nil {
			return err
		}
		holds, err := c.truth(e)
		if err != nil {
			return err
		}
		if holds {
			return n.blocks[i].render(e)
		}
	}
	if len(n.blocks) > len(n.conditions) {
		return n.blocks[len(n.conditions)].render(e)
	}
	return nil
}

// A loop is a #foreach under way: the value of $foreach.
type loop struct {
	index, size int
	parent      *loop
}

func (l *loop) hasNext() bool { return l.index+1 < l.size }

// Get returns index, count, hasNext, first, last, parent and topmost.
func (l *loop) Get(name string) (any, bool) {
	switch name {
	case "index":
		return int64(l.index), true
	case "count":
		return int64(l.index + 1), true
	case "hasNext":
		return l.hasNext(), true
	case "first":
		return l.index == 0, true
	case "last":
		return !l.hasNext(), true
	case "parent":
		if l.parent == nil {
			return nil, true
		}
		return l.parent, true
	case "topmost":
		for l.parent != nil {
			l = l.parent
		}
		return l, true
	}
	return nil, false
}

// Call calls the properties' getters, and stop.
func (l *loop) Call(name string, arguments []any) (any, bool, error) {
	if len(arguments) > 0 {
		return nil, false, nil
	}
	if name == "stop" {
		return nil, true, errBreak
	}
	property, ok := getter(name)
	if name == "hasNext" {
		property, ok = name, true
	}
	if !ok {
		return nil, false, nil
	}
	v, ok := l.Get(property)
	return v, ok, nil
}

// String is what $foreach prints.
func (l *loop) String() string { return "{}" }

func (n foreachNode) render(e *evaluation) error {
	e.at = n.at
	over, err := n.over.value(e)
	if err != nil {
		return err
	}
	items, ok := items(over)
	if !ok {
		return nil
	}
	l := &loop{size: len(items), parent: e.loop}
	before, had := e.set[n.name]
	e.loop = l
	defer func() {
		e.loop = l.parent
		if had {
			e.set[n.name] = before
		} else {
			delete(e.set, n.name)
		}
	}()
	for i, item := range items {
		if i == e.limits.Loop {
			return nil
		}
		e.at = n.at
		if err := e.step(0); err != nil {
			return err
		}
		l.index = i
		e.put(n.name, item)
		if err := n.body.render(e); errors.Is(err, errBreak) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// bodyContent is the name of a block macro's body.
const bodyContent = "bodyContent"

func (n callNode) render(e *evaluation) error {
	m, ok := e.macros[n.name]
	if !ok {
		return e.write(n.literal)
	}
	e.at = n.at
	if err := e.deeper(); err != nil {
		return err
	}
	f := &frame{arguments: map[string]expression{}, caller: len(e.frames)}
	for i, parameter := range m.parameters {
		if i < len(n.arguments) {
			f.arguments[parameter] = n.arguments[i]
		}
	}
	if n.hasBody {
		f.arguments[bodyContent] = interpolated{n.body}
	}
	e.frames = append(e.frames, f)
	err := m.body.render(e)
	e.frames = e.frames[:f.caller]
	e.depth--
	return err
}

func (n defineNode) render(e *evaluation) error {
	e.put(n.name, definition{n.body})
	return e.step(0)
}

func (n evaluateNode) render(e *evaluation) error {
	e.at = n.at
	v, err := n.source.value(e)
	if err != nil || v == nil {
		return err
	}
	e.at = n.at
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("#evaluate takes a string, not %s", typeName(v))
	}
	if err := e.sized(len(text)); err != nil {
		return err
	}
	if err := e.deeper(); err != nil {
		return err
	}
	p := &parser{text: text, macros: map[string]*macro{}, evaluated: true, offset: n.at}
	body, err := p.template()
	if err != nil {
		return fmt.Errorf("#evaluate: %w", err)
	}
	macros := e.macros
	if len(p.macros) > 0 { // its own, and those of the template
		for name, m := range macros {
			p.macros[name] = m
		}
		e.macros = p.macros
	}
	err = body.render(e)
	e.macros = macros
	e.depth--
	return err
}

// value follows the reference; nil means that it has no value.
func (r *reference) value(e *evaluation) (any, error) {
	e.at = r.at
	if err := e.step(0); err != nil {
		return nil, err
	}
	v, err := e.find(r.name)
	if err != nil {
		return nil, err
	}
	if d, ok := v.(definition); ok {
		if v, err = e.capture(d.body); err != nil {
			return nil, err
		}
	}
	for i := range r.steps {
		if v == nil {
			return nil, nil
		}
		if v, err = r.steps[i].follow(e, v); err != nil {
			if errors.Is(err, ErrLimit) || errors.Is(err, errBreak) {
				return nil, err
			}
			return nil, e.fail(r, err)
		}
	}
	return v, nil
}

func (r *reference) truth(e *evaluation) (bool, error) {
	v, err := r.value(e)
	if b, ok := v.(bool); ok {
		return b, err
	}
	return v != nil, err
}

func (s *step) follow(e *evaluation, owner any) (any, error) {
	if s.kind == stepProperty {
		return normal(property(owner, s.name)), nil
	}
	start := len(e.given) // what an error leaves there is dropped with the evaluation
	for _, a := range s.arguments {
		v, err := a.value(e)
		if err != nil {
			return nil, err
		}
		e.given = append(e.given, v)
	}
	arguments := e.given[start:len(e.given):len(e.given)]
	if s.kind == stepIndex {
		e.given = e.given[:start]
		return at(owner, arguments[0])
	}
	v, _, err := e.call(owner, s.name, arguments)
	e.given = e.given[:start]
	return normal(v), err
}

func (x literalExpression) value(*evaluation) (any, error) { return x.constant, nil }
func (x literalExpression) truth(*evaluation) (bool, error) {
	b, _ := x.constant.(bool)
	return b, nil
}

func (x interpolated) value(e *evaluation) (any, error)  { return e.capture(x.body) }
func (x interpolated) truth(*evaluation) (bool, error)   { return false, nil }
func (listExpression) truth(*evaluation) (bool, error)   { return false, nil }
func (mapExpression) truth(*evaluation) (bool, error)    { return false, nil }
func (rangeExpression) truth(*evaluation) (bool, error)  { return false, nil }
func (x notExpression) value(e *evaluation) (any, error) { return boxed(x.truth(e)) }

func (x notExpression) truth(e *evaluation) (bool, error) {
	b, err := x.of.truth(e)
	return !b, err
}

func (x listExpression) value(e *evaluation) (any, error) {
	l := &List{}
	for _, item := range x.items {
		v, err := item.value(e)
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, v)
	}
	return l, e.step(len(x.items))
}

func (x mapExpression) value(e *evaluation) (any, error) {
	m := NewMap()
	for i := range x.keys {
		k, err := x.keys[i].value(e)
		if err != nil {
			return nil, err
		}
		v, err := x.values[i].value(e)
		if err != nil {
			return nil, err
		}
		m.Put(k, v)
	}
	return m, e.step(len(x.keys))
}

// maxRange bounds the items of a range.
const maxRange = 100_000

func (x rangeExpression) value(e *evaluation) (any, error) {
	from, err := x.from.value(e)
	if err != nil {
		return nil, err
	}
	to, err := x.to.value(e)
	if err != nil {
		return nil, err
	}
	a, ok := from.(int64)
	b, ok2 := to.(int64)
	if !ok || !ok2 {
		return nil, nil
	}
	n := uint64(b - a)
	if b < a {
		n = uint64(a - b)
	}
	if n >= maxRange {
		return nil, fmt.Errorf("%w: a range of more than %d items", ErrLimit, maxRange)
	}
	l := &List{}
	for ; ; a++ {
		l.items = append(l.items, a)
		if a == b {
			return l, e.step(8 * len(l.items))
		}
		if b < a {
			a -= 2
		}
	}
}

func boxed(b bool, err error) (any, error) { return b, err }

func (x *binaryExpression) value(e *evaluation) (any, error) {
	if x.operator < opAdd {
		return boxed(x.truth(e))
	}
	left, right, err := x.sides(e)
	if err != nil {
		return nil, err
	}
	if x.operator == opAdd {
		_, leftText := left.(string)
		_, rightText := right.(string)
		if leftText || rightText {
			return e.concat(x, left, right)
		}
	}
	return arithmetic(x.operator, left, right)
}

// concat puts texts together; a side without a value is as it is written.
func (e *evaluation) concat(x *binaryExpression, left, right any) (any, error) {
	text := func(side expression, v any) (string, error) {
		if r, ok := side.(*reference); ok && v == nil {
			return r.text, nil
		}
		return e.print(v)
	}
	a, err := text(x.left, left)
	if err != nil {
		return nil, err
	}
	b, err := text(x.right, right)
	if err != nil {
		return nil, err
	}
	if err := e.sized(len(a) + len(b)); err != nil {
		return nil, err
	}
	return a + b, nil
}

func (x *binaryExpression) sides(e *evaluation) (left, right any, err error) {
	if left, err = x.left.value(e); err != nil {
		return nil, nil, err
	}
	if right, err = x.right.value(e); err != nil {
		return nil, nil, err
	}
	return left, right, e.step(0)
}

func (x *binaryExpression) truth(e *evaluation) (bool, error) {
	switch x.operator {
	case opOr, opAnd:
		left, err := x.left.truth(e)
		if err != nil || left == (x.operator == opOr) {
			return left, err
		}
		return x.right.truth(e)
	case opEqual, opNotEqual:
		left, right, err := x.sides(e)
		if err != nil {
			return false, err
		}
		same, err := e.equal(left, right)
		return same == (x.operator == opEqual), err
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		left, right, err := x.sides(e)
		if err != nil {
			return false, err
		}
		order, ok := compareNumbers(left, right)
		if !ok {
			return false, nil
		}
		switch x.operator {
		case opLess:
			return order < 0, nil
		case opLessEqual:
			return order <= 0, nil
		case opGreater:
			return order > 0, nil
		}
		return order >= 0, nil
	}
	return false, nil // arithmetic is neither true nor false
}

// equal is Velocity's ==: numbers by their value, other things of one kind by
// theirs, things of different kinds by what they print.
func (e *evaluation) equal(left, right any) (bool, error) {
	if left == nil || right == nil {
		return left == nil && right == nil, nil
	}
	if order, ok := compareNumbers(left, right); ok {
		return order == 0, nil
	}
	a, err := e.print(left)
	if err != nil {
		return false, err
	}
	b, err := e.print(right)
	return a == b, err
}

// print is Print, counted.
func (e *evaluation) print(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "null", nil
	case string:
		return v, nil
	}
	p := printer{limit: e.limits.Output}
	p.java(v, 0)
	if p.exceeded {
		return "", fmt.Errorf("%w: a value of more than %d bytes", ErrLimit, e.limits.Output)
	}
	return string(p.out), e.step(len(p.out))
}
