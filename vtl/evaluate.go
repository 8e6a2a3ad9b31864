package vtl

import (
	"errors"
	"fmt"
	"slices"
	"sync"
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

	set    names    // what the template set
	frames []*frame // the macro calls that are under way, the innermost last
	loop   *loop    // the innermost #foreach
	given  []any    // the arguments of the calls that are under way
}

// evaluations keeps the room of those that ended.
var evaluations = sync.Pool{New: func() any { return new(evaluation) }}

// maxKept bounds how many arguments room is kept for.
const maxKept = 64

// release ends the use of an evaluation, which keeps nothing of it but room.
func (e *evaluation) release() {
	e.set.clear()
	set, given := e.set, e.given
	clear(given[:cap(given)])
	if cap(given) > maxKept {
		given = nil
	}
	*e = evaluation{set: set, given: given[:0]}
	evaluations.Put(e)
}

// names are the values of names.
type names struct {
	few  []named        // up to fewEntries of them
	many map[string]any // all, when there are more
}

type named struct {
	name  string
	value any
}

func (n *names) get(name string) (v any, ok bool) {
	if n.many != nil {
		v, ok = n.many[name]
		return v, ok
	}
	for i := range n.few {
		if n.few[i].name == name {
			return n.few[i].value, true
		}
	}
	return nil, false
}

func (n *names) put(name string, v any) {
	if n.many != nil {
		n.many[name] = v
		return
	}
	for i := range n.few {
		if n.few[i].name == name {
			n.few[i].value = v
			return
		}
	}
	if n.few = append(n.few, named{name, v}); len(n.few) > fewEntries {
		n.many = make(map[string]any, 2*fewEntries)
		for _, e := range n.few {
			n.many[e.name] = e.value
		}
	}
}

func (n *names) remove(name string) {
	delete(n.many, name)
	n.few = slices.DeleteFunc(n.few, func(e named) bool { return e.name == name })
}

// clear removes all of them and keeps the room of few.
func (n *names) clear() {
	clear(n.few[:cap(n.few)])
	*n = names{few: n.few[:0]}
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
		return e.outputExceeded()
	}
	e.out = append(e.out, s...)
	return e.step(len(s))
}

func (e *evaluation) outputExceeded() error {
	return fmt.Errorf("%w: more than %d bytes of output", ErrLimit, e.limits.Output)
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
	if n.escaped {
		v, err := n.reference.value(e)
		switch {
		case err != nil:
			return err
		case v == nil: // the backslash escapes nothing that would be replaced
			return e.write(n.slashes + `\` + n.literal)
		}
		return e.write(n.slashes + n.literal)
	}
	start := len(e.out)
	e.out = append(e.out, n.slashes...)
	printed, err := n.reference.print(e)
	switch {
	case err != nil:
		return err
	case printed:
		if len(e.out)-e.base > e.limits.Output {
			return e.outputExceeded()
		}
		return e.step(len(e.out) - start)
	case n.quiet:
		return e.write(n.slashes)
	}
	return e.write(n.slashes + e.unresolved(n.reference))
}

// print appends what the reference's value prints; printed is false when it has
// none, and then nothing was appended.
func (r *reference) print(e *evaluation) (printed bool, err error) {
	last := len(r.steps) - 1
	if last < 0 {
		v, err := r.value(e)
		if err != nil || v == nil {
			return false, err
		}
		return true, e.print(v)
	}
	v, err := r.follow(e, last)
	if err != nil || v == nil {
		return false, err
	}
	start := len(e.given)
	printed, err = r.steps[last].print(e, v)
	e.given = e.given[:start]
	if err != nil {
		return false, r.failed(e, err)
	}
	return printed, nil
}

// print appends what the step leads to.
func (s *step) print(e *evaluation, owner any) (printed bool, err error) {
	switch s.kind {
	case stepProperty:
		if a, able := owner.(PropertyAppender); able {
			if out, ok := a.AppendGet(e.out, s.name); ok {
				e.out = out
				return true, nil
			}
		}
	case stepMethod:
		arguments, err := s.evaluate(e)
		if err != nil {
			return false, err
		}
		if a, able := owner.(MethodAppender); able {
			if out, ok, err := a.AppendCall(e.out, s.name, arguments); ok || err != nil {
				e.out = out
				return ok, err
			}
		}
		v, _, err := e.call(owner, s.name, arguments)
		if err != nil || v == nil {
			return false, err
		}
		return true, e.print(normal(v))
	}
	v, err := s.follow(e, owner)
	if err != nil || v == nil {
		return false, err
	}
	return true, e.print(v)
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
	if _, set := e.set.get(r.name); !set && e.scope != nil {
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
	if l, ok := owner.(Lazy); ok {
		owner = l.Map()
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
		if err := e.printable(at); err != nil {
			return err
		}
		switch o := owner.(type) {
		case *Map:
			o.Put(at, v)
		case *List:
			i, ok := index(at, len(o.items))
			if !ok {
				return e.fail(r, noItem(at, len(o.items)))
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
	e.set.put(name, v)
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
	if v, ok := e.set.get(name); ok {
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
	before, had := e.set.get(n.name)
	e.loop = l
	defer func() {
		e.loop = l.parent
		if had {
			e.set.put(n.name, before)
		} else {
			e.set.remove(n.name)
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
func (r *reference) value(e *evaluation) (any, error) { return r.follow(e, len(r.steps)) }

// follow follows the reference's first steps.
func (r *reference) follow(e *evaluation, steps int) (any, error) {
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
	for i := range r.steps[:steps] {
		if v == nil {
			return nil, nil
		}
		if v, err = r.steps[i].follow(e, v); err != nil {
			return nil, r.failed(e, err)
		}
	}
	return v, nil
}

// failed is the error of a reference whose step failed.
func (r *reference) failed(e *evaluation, err error) error {
	if errors.Is(err, ErrLimit) || errors.Is(err, errBreak) {
		return err
	}
	return e.fail(r, err)
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
	start := len(e.given)
	arguments, err := s.evaluate(e)
	var v any
	switch {
	case err != nil:
	case s.kind == stepIndex:
		if err = e.printable(arguments[0]); err == nil {
			v, err = at(owner, arguments[0])
		}
	default:
		v, _, err = e.call(owner, s.name, arguments)
	}
	e.given = e.given[:start]
	return normal(v), err
}

// evaluate puts the step's arguments behind those of the calls under way, and
// counts what a method will have to go through.
func (s *step) evaluate(e *evaluation) ([]any, error) {
	start, size := len(e.given), 0
	for _, a := range s.arguments {
		v, err := a.value(e)
		if err != nil {
			return nil, err
		}
		if text, ok := v.(string); ok {
			size += len(text)
		}
		e.given = append(e.given, v)
	}
	return e.given[start:len(e.given):len(e.given)], e.step(size)
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
		if err := e.printable(k); err != nil {
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
		return e.textOf(v)
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
	switch a := left.(type) {
	case string:
		if b, ok := right.(string); ok {
			return a == b, nil
		}
	case bool:
		if b, ok := right.(bool); ok {
			return a == b, nil
		}
	default:
		if order, ok := compareNumbers(left, right); ok {
			return order == 0, nil
		}
	}
	a, err := e.textOf(left)
	if err != nil {
		return false, err
	}
	b, err := e.textOf(right)
	return a == b, err
}

// textOf is Print, counted.
func (e *evaluation) textOf(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	at := len(e.out)
	if err := e.print(v); err != nil {
		return "", err
	}
	s := string(e.out[at:])
	e.out = e.out[:at]
	return s, e.step(len(s))
}

// printable counts what it takes to print a value that is to be a map's key, or
// is given to an Object: lists that hold lists twice are short to make, not to
// print.
func (e *evaluation) printable(v any) error {
	switch v.(type) {
	case nil, string, bool, int64, float64:
		return nil
	}
	_, err := e.textOf(v)
	return err
}

// print appends what a value prints to the output.
func (e *evaluation) print(v any) error {
	if s, ok := v.(string); ok {
		e.out = append(e.out, s...)
		return nil
	}
	p := printer{out: e.out, limit: len(e.out) + e.limits.Output}
	p.java(v, 0)
	if p.exceeded {
		return fmt.Errorf("%w: a value of more than %d bytes", ErrLimit, e.limits.Output)
	}
	e.out = p.out
	return nil
}
