package vtl

import (
	"fmt"
	"strings"
)

// maxNesting bounds directives, strings, lists and parentheses within each other.
const maxNesting = 64

// A parser goes over a template once. Positions are byte offsets into text.
type parser struct {
	text   string
	pos    int
	depth  int
	macros map[string]*macro
	origin *parser // of an interpolated string: the parser of what holds it
	offset int     // where in origin's text this one's begins
	// evaluated says that the text is no part of the template: it came to be in
	// #evaluate, which stands at offset.
	evaluated bool
}

// fail returns the error for a position.
func (p *parser) fail(at int, format string, args ...any) error {
	if p.origin != nil {
		return p.origin.fail(p.offset+at, format, args...)
	}
	line, column := position(p.text, at)
	return &SyntaxError{Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}

// position returns line and column of a byte offset, from 1.
func position(text string, at int) (line, column int) {
	before := text[:min(at, len(text))]
	return 1 + strings.Count(before, "\n"), len(before) - strings.LastIndexByte(before, '\n')
}

// place is where a position lies in the template.
func (p *parser) place(at int) int {
	switch {
	case p.origin != nil:
		return p.origin.place(p.offset + at)
	case p.evaluated:
		return p.offset
	}
	return at
}

func (p *parser) nest(at int) error {
	if p.depth++; p.depth > maxNesting {
		return p.fail(at, "directives and expressions lie more than %d deep within each other", maxNesting)
	}
	return nil
}

func (p *parser) template() (block, error) {
	body, end, err := p.block()
	if err != nil {
		return nil, err
	}
	if end.name != "" {
		return nil, p.fail(end.at, "#%s stands where nothing is open", end.name)
	}
	return body, nil
}

// An ending is the directive that a block ended before, if any.
type ending struct {
	name string // end, else, elseif or nothing
	at   int
}

// A collector gathers a block's nodes; neighbouring text becomes one node.
type collector struct {
	nodes block
	text  strings.Builder
	fresh int // where in text the run of text began that no reference or directive has interrupted
}

func (c *collector) flush() {
	if c.text.Len() > 0 {
		c.nodes = append(c.nodes, textNode(c.text.String()))
		c.text.Reset()
	}
	c.fresh = 0
}

func (c *collector) add(n node) {
	c.flush()
	c.nodes = append(c.nodes, n)
}

// dropIndent removes the blanks between a #set and what isn't text before it,
// which Velocity takes for a part of the directive.
func (c *collector) dropIndent() {
	s := c.text.String()
	if strings.Trim(s[c.fresh:], " \t") == "" {
		c.text.Reset()
		c.text.WriteString(s[:c.fresh])
	}
}

// interrupt says that what follows is no part of the run of text so far.
func (c *collector) interrupt() { c.fresh = c.text.Len() }

// block parses up to the end of the text, or up to the #end, #else or #elseif
// that isn't its own; that directive's name is consumed.
func (p *parser) block() (block, ending, error) {
	if err := p.nest(p.pos); err != nil {
		return nil, ending{}, err
	}
	defer func() { p.depth-- }()
	var c collector
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case '$', '\\':
			if err := p.escapable(&c); err != nil {
				return nil, ending{}, err
			}
		case '#':
			end, err := p.hash(&c)
			if err != nil {
				return nil, ending{}, err
			}
			if end.name != "" {
				c.flush()
				return c.nodes, end, nil
			}
		default:
			n := strings.IndexAny(p.text[p.pos:], `$#\`)
			if n < 0 {
				n = len(p.text) - p.pos
			}
			c.text.WriteString(p.text[p.pos : p.pos+n])
			p.pos += n
		}
	}
	c.flush()
	return c.nodes, ending{}, nil
}

// escapable parses what may begin with backslashes: a reference, an escaped
// directive, or just text.
func (p *parser) escapable(c *collector) error {
	start := p.pos
	for p.pos < len(p.text) && p.text[p.pos] == '\\' {
		p.pos++
	}
	slashes := p.pos - start
	if p.pos == len(p.text) {
		c.text.WriteString(p.text[start:])
		return nil
	}
	switch p.text[p.pos] {
	case '#':
		if !p.atDirective() {
			break
		}
		c.text.WriteString(p.text[start : start+slashes/2])
		if slashes%2 == 1 {
			at := p.pos
			p.pos++
			p.directiveName()
			c.text.WriteString(p.text[at:p.pos])
		}
		c.interrupt()
		return nil
	case '$':
		// Further dollars stand before the reference's own, as text.
		at := p.pos
		for strings.HasPrefix(p.text[p.pos:], "$$") {
			p.pos++
		}
		dollars := p.text[at:p.pos]
		refAt := p.pos
		r, err := p.reference()
		if err != nil {
			return err
		}
		if r == nil {
			c.text.WriteString(p.text[start : refAt+1])
			p.pos = refAt + 1
			return nil
		}
		n := referenceNode{reference: r, escaped: slashes%2 == 1, slashes: p.text[start : start+slashes/2], literal: p.text[refAt:p.pos]}
		if dollars != "" {
			c.text.WriteString(dollars)
		}
		c.add(n)
		return nil
	}
	c.text.WriteString(p.text[start:p.pos])
	c.interrupt()
	return nil
}

// known are the directives that aren't macros.
var known = map[string]bool{
	"set": true, "if": true, "elseif": true, "else": true, "end": true, "foreach": true, "macro": true, "define": true,
	"evaluate": true, "stop": true, "break": true, "literal": true, "include": true, "parse": true,
}

// atDirective says whether a # begins a directive whose name Velocity knows.
func (p *parser) atDirective() bool {
	at := p.pos
	defer func() { p.pos = at }()
	p.pos++
	name, _ := p.directiveName()
	if known[name] {
		return true
	}
	_, macro := p.macros[name]
	return macro
}

// directiveName reads the name behind a #: bare or in braces, with an @ for a
// call with a body. An empty name means that there is none, and reads nothing.
func (p *parser) directiveName() (name string, body bool) {
	at := p.pos
	rest := p.text[p.pos:]
	braces := strings.HasPrefix(rest, "{")
	if braces {
		rest = rest[1:]
	}
	if strings.HasPrefix(rest, "@") {
		body = true
		rest = rest[1:]
	}
	n := 0
	for n < len(rest) && (isLetter(rest[n]) || rest[n] == '_' || n > 0 && isDigit(rest[n])) {
		n++
	}
	if n == 0 || braces && (n == len(rest) || rest[n] != '}') {
		return "", false
	}
	name, rest = rest[:n], rest[n:]
	if braces {
		rest = rest[1:]
	}
	p.pos = at + len(p.text[at:]) - len(rest)
	return name, body
}

// hash parses what begins with a #.
func (p *parser) hash(c *collector) (ending, error) {
	at := p.pos
	rest := p.text[p.pos:]
	switch {
	case strings.HasPrefix(rest, "##"):
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			p.pos += n + 1
		} else {
			p.pos = len(p.text)
		}
		c.interrupt()
		return ending{}, nil
	case strings.HasPrefix(rest, "#*"):
		n := strings.Index(rest[2:], "*#")
		if n < 0 {
			return ending{}, p.fail(at, "the comment #* isn't closed by *#")
		}
		p.pos += n + 4
		c.interrupt()
		return ending{}, nil
	case strings.HasPrefix(rest, "#[["):
		n := strings.Index(rest[3:], "]]#")
		if n < 0 {
			return ending{}, p.fail(at, "the literal #[[ isn't closed by ]]#")
		}
		c.text.WriteString(rest[3 : 3+n])
		p.pos += n + 6
		c.interrupt()
		return ending{}, nil
	}
	p.pos++
	name, body := p.directiveName()
	if name == "" {
		c.text.WriteByte('#')
		return ending{}, nil
	}
	switch name {
	case "end", "else":
		p.endOfLine()
		return ending{name, at}, nil
	case "elseif":
		return ending{name, at}, nil
	}
	return ending{}, p.directive(c, at, name, body)
}

// directive parses what follows a directive's name.
func (p *parser) directive(c *collector, at int, name string, body bool) error {
	if body {
		return p.call(c, at, name, true)
	}
	switch name {
	case "set":
		return p.set(c, at)
	case "if":
		return p.ifDirective(c, at)
	case "foreach":
		return p.foreach(c, at)
	case "macro":
		return p.macroDefinition(c, at)
	case "define":
		return p.define(c, at)
	case "literal":
		return p.literal(c, at)
	case "evaluate":
		if err := p.open(at, name); err != nil {
			return err
		}
		source, err := p.parameter()
		if err != nil {
			return err
		}
		if err := p.close(at, name); err != nil {
			return err
		}
		c.add(evaluateNode{at: p.place(at), source: source})
		return nil
	case "stop":
		c.add(stopNode{})
		return nil
	case "break":
		c.add(breakNode{})
		return nil
	case "include", "parse":
		return p.fail(at, "#%s: there are no files to include", name)
	}
	return p.call(c, at, name, false)
}

// open reads the parenthesis that a directive needs.
func (p *parser) open(at int, name string) error {
	p.blanks()
	if p.pos == len(p.text) || p.text[p.pos] != '(' {
		return p.fail(at, "#%s needs parentheses", name)
	}
	p.pos++
	return nil
}

// close reads the parenthesis that ends a directive, and the line's end if
// nothing else stands before it.
func (p *parser) close(at int, name string) error {
	p.space()
	if p.pos == len(p.text) {
		return p.fail(at, "the parenthesis of #%s isn't closed", name)
	}
	if p.text[p.pos] != ')' {
		return p.fail(p.pos, "%q stands where an operator or the ) of #%s is expected", p.glimpse(), name)
	}
	p.pos++
	p.endOfLine()
	return nil
}

// endOfLine skips blanks and a line's end, or nothing.
func (p *parser) endOfLine() {
	at := p.pos
	p.blanks()
	switch {
	case strings.HasPrefix(p.text[p.pos:], "\r\n"):
		p.pos += 2
	case p.pos < len(p.text) && (p.text[p.pos] == '\n' || p.text[p.pos] == '\r'):
		p.pos++
	default:
		p.pos = at
	}
}

// closed parses a block that #end must end.
func (p *parser) closed(at int, name string) (block, error) {
	body, end, err := p.block()
	switch {
	case err != nil:
		return nil, err
	case end.name == "":
		return nil, p.fail(at, "#%s isn't closed by #end", name)
	case end.name != "end":
		return nil, p.fail(end.at, "#%s stands within #%s, which has none", end.name, name)
	}
	return body, nil
}

func (p *parser) set(c *collector, at int) error {
	named := p.pos
	p.blanks()
	if p.pos == len(p.text) || p.text[p.pos] != '(' {
		p.pos = named
		c.text.WriteString(p.text[at:p.pos])
		c.interrupt()
		return nil
	}
	p.pos++
	c.dropIndent()
	p.space()
	if p.pos == len(p.text) || p.text[p.pos] != '$' {
		return p.fail(p.pos, "#set needs a reference to set, such as #set($x = 1)")
	}
	target, err := p.reference()
	if err != nil {
		return err
	}
	if target == nil {
		return p.fail(p.pos, "#set needs a reference to set, such as #set($x = 1)")
	}
	p.space()
	if p.pos == len(p.text) || p.text[p.pos] != '=' {
		return p.fail(p.pos, "%q stands where the = of #set is expected", p.glimpse())
	}
	p.pos++
	value, err := p.expression()
	if err != nil {
		return err
	}
	if err := p.close(at, "set"); err != nil {
		return err
	}
	c.add(setNode{target, value})
	return nil
}

func (p *parser) ifDirective(c *collector, at int) error {
	var n ifNode
	name := "if"
	for {
		if err := p.open(at, name); err != nil {
			return err
		}
		condition, err := p.expression()
		if err != nil {
			return err
		}
		if err := p.close(at, name); err != nil {
			return err
		}
		body, end, err := p.block()
		if err != nil {
			return err
		}
		n.conditions, n.blocks = append(n.conditions, condition), append(n.blocks, body)
		switch end.name {
		case "elseif":
			name = "elseif"
			continue
		case "else":
			last, err := p.closed(at, "if")
			if err != nil {
				return err
			}
			n.blocks = append(n.blocks, last)
		case "":
			return p.fail(at, "#if isn't closed by #end")
		}
		c.add(n)
		return nil
	}
}

func (p *parser) foreach(c *collector, at int) error {
	if err := p.open(at, "foreach"); err != nil {
		return err
	}
	p.space()
	name, err := p.plainReference("#foreach")
	if err != nil {
		return err
	}
	p.space()
	if !strings.HasPrefix(p.text[p.pos:], "in") {
		return p.fail(p.pos, "%q stands where the \"in\" of #foreach is expected", p.glimpse())
	}
	p.pos += len("in")
	p.space()
	n := foreachNode{at: p.place(at), name: name, over: literalExpression{nil}}
	if p.pos < len(p.text) && p.text[p.pos] != ')' {
		if n.over, err = p.parameter(); err != nil {
			return err
		}
	}
	if err := p.close(at, "foreach"); err != nil {
		return err
	}
	if n.body, err = p.closed(at, "foreach"); err != nil {
		return err
	}
	c.add(n)
	return nil
}

// plainReference reads a reference that is a name alone.
func (p *parser) plainReference(directive string) (string, error) {
	at := p.pos
	if p.pos < len(p.text) && p.text[p.pos] == '$' {
		r, err := p.reference()
		if err != nil {
			return "", err
		}
		if r != nil && len(r.steps) == 0 {
			return r.name, nil
		}
	}
	p.pos = at
	return "", p.fail(at, "%q stands where %s needs a reference such as $x", p.glimpse(), directive)
}

func (p *parser) macroDefinition(c *collector, at int) error {
	if err := p.open(at, "macro"); err != nil {
		return err
	}
	p.space()
	begin := p.pos
	for p.pos < len(p.text) && (isLetter(p.text[p.pos]) || p.text[p.pos] == '_' || p.pos > begin && (isDigit(p.text[p.pos]) || p.text[p.pos] == '-')) {
		p.pos++
	}
	name := p.text[begin:p.pos]
	if name == "" {
		return p.fail(p.pos, "#macro needs a name, such as #macro(row $item)")
	}
	m := &macro{}
	for {
		p.separator()
		if p.pos == len(p.text) || p.text[p.pos] == ')' {
			break
		}
		parameter, err := p.plainReference("#macro")
		if err != nil {
			return err
		}
		m.parameters = append(m.parameters, parameter)
	}
	if err := p.close(at, "macro"); err != nil {
		return err
	}
	body, err := p.closed(at, "macro")
	if err != nil {
		return err
	}
	m.body = body
	if _, defined := p.macros[name]; !defined { // the first one stands, as in Velocity
		p.macros[name] = m
	}
	c.flush()
	return nil
}

func (p *parser) define(c *collector, at int) error {
	if err := p.open(at, "define"); err != nil {
		return err
	}
	p.space()
	name, err := p.plainReference("#define")
	if err != nil {
		return err
	}
	if err := p.close(at, "define"); err != nil {
		return err
	}
	body, err := p.closed(at, "define")
	if err != nil {
		return err
	}
	c.add(defineNode{name, body})
	return nil
}

// literal parses #literal()…#end, whose body prints as it is written.
func (p *parser) literal(c *collector, at int) error {
	if err := p.open(at, "literal"); err != nil {
		return err
	}
	if err := p.close(at, "literal"); err != nil {
		return err
	}
	begin := p.pos
	_, end, err := p.block()
	if err != nil {
		return err
	}
	if end.name != "end" {
		return p.fail(at, "#literal isn't closed by #end")
	}
	c.flush()
	c.text.WriteString(p.text[begin:end.at])
	c.interrupt()
	return nil
}

// call parses the call of a macro, which may not be one.
func (p *parser) call(c *collector, at int, name string, body bool) error {
	named := p.pos
	p.blanks()
	if p.pos == len(p.text) || p.text[p.pos] != '(' {
		p.pos = named
		c.text.WriteString(p.text[at:p.pos])
		c.interrupt()
		return nil
	}
	p.pos++
	n := callNode{at: p.place(at), name: name, hasBody: body}
	for {
		p.separator()
		if p.pos == len(p.text) || p.text[p.pos] == ')' {
			break
		}
		argument, err := p.parameter()
		if err != nil {
			if _, defined := p.macros[name]; defined {
				return err
			}
			p.pos = named // text that happens to look like a call
			c.text.WriteString(p.text[at:p.pos])
			return nil
		}
		n.arguments = append(n.arguments, argument)
	}
	if err := p.close(at, name); err != nil {
		return err
	}
	if body {
		var err error
		if n.body, err = p.closed(at, name); err != nil {
			return err
		}
	}
	n.literal = p.text[at:p.pos]
	c.add(n)
	return nil
}

// blanks skips spaces and tabs.
func (p *parser) blanks() {
	for p.pos < len(p.text) && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t') {
		p.pos++
	}
}

// space skips lines' ends too.
func (p *parser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// separator skips space and commas.
func (p *parser) separator() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n,", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// glimpse is what stands here, for an error.
func (p *parser) glimpse() string {
	rest := p.text[p.pos:]
	if rest == "" {
		return "the end"
	}
	if n := strings.IndexAny(rest, " \t\r\n"); n > 0 {
		rest = rest[:n]
	}
	if len(rest) > 20 {
		rest = strings.ToValidUTF8(rest[:20], "") + "…"
	}
	return rest
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
