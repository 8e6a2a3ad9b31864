package tables

import (
	"slices"
	"strconv"
	"strings"

	"tidegate/internal/awshttp"
)

// A bindings is what an expression's placeholders stand for. Expressions of one
// request share it: what none of them used is an error.
type bindings struct {
	names      map[string]string
	values     map[string]value
	usedNames  map[string]bool
	usedValues map[string]bool
	// broken says that the request has a problem (input.problem).
	broken bool
}

// checkUsed refuses placeholders that no expression of the request mentions.
func (b *bindings) checkUsed() error {
	if unused := unusedKeys(b.names, b.usedNames); unused != "" {
		return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {" + unused + "}")
	}
	if unused := unusedKeys(b.values, b.usedValues); unused != "" {
		return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {" + unused + "}")
	}
	return nil
}

func unusedKeys[V any](given map[string]V, used map[string]bool) string {
	if len(given) == len(used) {
		return ""
	}
	var keys []string
	for k := range given {
		if !used[k] {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, ", ")
}

// A step is one part of a document path: a name, or an index into a list.
type step struct {
	name  string
	index int // -1 for a name
}

// A path leads from an item to a value inside it.
type path []step

// String is the path as DynamoDB prints it: [a, b, [0]].
func (p path) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, s := range p {
		if i > 0 {
			b.WriteString(", ")
		}
		if s.index < 0 {
			b.WriteString(s.name)
		} else {
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		}
	}
	b.WriteByte(']')
	return b.String()
}

// lookup returns the value at the path, of kindNone when there is none.
func (p path) lookup(it item) value {
	v := it.get(p[0].name)
	for _, s := range p[1:] {
		switch {
		case s.index < 0 && v.kind == kindMap:
			v = v.m.get(s.name)
		case s.index >= 0 && v.kind == kindList && s.index < len(v.list):
			v = v.list[s.index]
		default:
			return value{}
		}
	}
	return v
}

// checkPaths refuses paths of which one is or contains another (overlap), or,
// when none does, that take the same value for a map and for a list (conflict).
func checkPaths(paths []path) string {
	for _, word := range []string{"overlap", "conflict"} {
		for j := 1; j < len(paths); j++ {
			for i := range j {
				if a, b := paths[i], paths[j]; clash(a, b) == word {
					return "Two document paths " + word + " with each other; must remove or rewrite one of these paths; path one: " + a.String() + ", path two: " + b.String()
				}
			}
		}
	}
	return ""
}

// clash says in which way two paths can't be in one expression, if any.
func clash(a, b path) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	switch {
	case n == len(a) || n == len(b):
		return "overlap"
	case n > 0 && a[n].index < 0 != (b[n].index < 0):
		return "conflict"
	}
	return ""
}

// A parser reads one expression. Syntax comes first: what is wrong beyond it is
// kept, the gravest kind of which the earliest, and told when the text parsed.
type parser struct {
	kind   string // ConditionExpression, …: begins every message
	text   string
	tokens []token
	pos    int
	bind   *bindings
	depth  int // of parentheses and calls

	problem     string
	problemRank problemRank
	operands    int
}

// A problemRank orders what can be wrong beyond syntax, as DynamoDB does: it
// looks for one kind after the other.
type problemRank int

const (
	rankParens problemRank = iota
	rankFunction
	rankReserved
	rankName
	rankValue
	rankSection
	rankPaths
	rankUse
	rankOperands
	rankNone
)

// Bounds of an expression (Service quotas, "Expression parameters").
const (
	maxOperators        = 300
	maxExpressionNested = 64 // of ours: parentheses in one another
)

// A syntaxError ends the parse by panicking; parse recovers it.
type syntaxError struct{ err *awshttp.Error }

func newParser(kind, text string, b *bindings) *parser {
	return &parser{kind: kind, text: text, bind: b, problemRank: rankNone}
}

// run parses the whole text with f and returns the first error found.
func (p *parser) run(f func()) (err error) {
	if strings.TrimSpace(p.text) == "" {
		return p.errorf("The expression can not be empty;")
	}
	if len(p.text) > maxExpression {
		return p.errorf("Expression size has exceeded the maximum allowed size; expression size: " + strconv.Itoa(len(p.text)))
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case syntaxError:
			err = r.err
		default:
			panic(r)
		}
	}()
	p.tokens = scanTokens(p.text)
	f()
	if p.peek().kind != tokEnd {
		p.fail()
	}
	if p.problemRank != rankNone {
		return p.errorf(p.problem)
	}
	if p.operands > maxOperators {
		return p.errorf("The expression contains too many operators; maximum allowed: " + strconv.Itoa(maxOperators))
	}
	return nil
}

func (p *parser) errorf(message string) *awshttp.Error {
	return invalid("Invalid " + p.kind + ": " + message)
}

// complain keeps a problem that is not one of syntax.
func (p *parser) complain(rank problemRank, message string) {
	if rank < p.problemRank {
		p.problem, p.problemRank = message, rank
	}
}

// fail reports the token at hand, and the text from the one before it to the
// one behind it.
func (p *parser) fail() {
	t := p.tokens[p.pos]
	from, to := t.start, t.end
	if p.pos > 0 {
		from = p.tokens[p.pos-1].start
	}
	if p.pos+1 < len(p.tokens) {
		to = p.tokens[p.pos+1].end
	}
	panic(syntaxError{p.errorf(`Syntax error; token: "` + t.text + `", near: "` + p.text[from:to] + `"`)})
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != tokEnd {
		p.pos++
	}
	return t
}

// symbol takes the symbol if it is next.
func (p *parser) symbol(s string) bool {
	if t := p.peek(); t.kind == tokSymbol && t.text == s {
		p.pos++
		return true
	}
	return false
}

func (p *parser) want(s string) {
	if !p.symbol(s) {
		p.fail()
	}
}

// keyword takes the word, in any case, if it is next.
func (p *parser) keyword(word string) bool {
	if t := p.peek(); t.kind == tokName && strings.EqualFold(t.text, word) {
		p.pos++
		return true
	}
	return false
}

// nest bounds recursion; the function it returns ends the level.
func (p *parser) nest() func() {
	if p.depth++; p.depth > maxExpressionNested {
		panic(syntaxError{p.errorf("The expression has too many nested parentheses or functions; maximum allowed: " + strconv.Itoa(maxExpressionNested))})
	}
	return func() { p.depth-- }
}

// path reads a document path.
func (p *parser) path() path {
	out := path{p.nameStep()}
	for {
		switch {
		case p.symbol("."):
			out = append(out, p.nameStep())
		case p.symbol("["):
			t := p.peek()
			if t.kind != tokNumber {
				p.fail()
			}
			n, err := strconv.Atoi(t.text)
			if err != nil || n > 1<<31-1 {
				p.complain(rankName, "List index is not within the allowable range; index: ["+t.text+"]")
				n = 0
			}
			p.pos++
			p.want("]")
			out = append(out, step{index: n})
		default:
			if len(out) > maxDepth {
				p.complain(rankPaths, "The document path has too many nesting elements; nesting level: "+strconv.Itoa(len(out)))
			}
			return out
		}
	}
}

func (p *parser) nameStep() step {
	switch t := p.next(); t.kind {
	case tokName:
		if isReserved(t.text) {
			p.complain(rankReserved, "Attribute name is a reserved keyword; reserved keyword: "+t.text)
		}
		return step{name: t.text, index: -1}
	case tokAlias:
		name, ok := p.bind.names[t.text]
		if !ok {
			p.complain(rankName, "An expression attribute name used in the document path is not defined; attribute name: "+t.text)
			return step{name: t.text, index: -1}
		}
		if p.bind.usedNames == nil {
			p.bind.usedNames = map[string]bool{}
		}
		p.bind.usedNames[t.text] = true
		return step{name: name, index: -1}
	case tokEnd:
	default:
		p.pos--
	}
	p.fail()
	return step{}
}

// bound reads :value.
func (p *parser) bound() value {
	t := p.peek()
	if t.kind != tokBind {
		p.fail()
	}
	p.pos++
	v, ok := p.bind.values[t.text]
	if !ok {
		p.complain(rankValue, "An expression attribute value used in expression is not defined; attribute value: "+t.text)
		return value{}
	}
	if p.bind.usedValues == nil {
		p.bind.usedValues = map[string]bool{}
	}
	p.bind.usedValues[t.text] = true
	return v
}

// printValue is a value in messages: {S:abc}.
func printValue(v value) string {
	text := v.text
	if v.kind == kindBinary {
		text = string(v.appendScalar(nil))
	}
	return "AttributeValue: {" + v.kind.String() + ":" + text + "}"
}

// parseProjection reads a ProjectionExpression.
func parseProjection(text string, b *bindings) ([]path, error) {
	var paths []path
	p := newParser("ProjectionExpression", text, b)
	err := p.run(func() {
		for {
			paths = append(paths, p.path())
			if !p.symbol(",") {
				break
			}
		}
		if m := checkPaths(paths); m != "" {
			p.complain(rankPaths, m)
		}
	})
	return paths, err
}
