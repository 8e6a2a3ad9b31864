package serverless

import (
	"fmt"
	"regexp"
	"strings"
)

// A text of serverless.yml is literal parts and variables: ${opt:stage, 'dev'}.
// What only looks like one, as Fn::Sub's ${AWS::Region} and ${Table.Arn}, is
// literal.
type part struct {
	literal string
	// sources are tried in order; nil for a literal part.
	sources []source
	text    string // the variable as it is written
	offset  int    // of the variable in the text, in bytes
}

// A source is one place that a variable may take its value from: a literal, or
// type(params):address, both of which may hold variables.
type source struct {
	literal *literal
	nested  []part // a variable in a source's place
	typ     string
	params  [][]part
	address []part
}

type literal struct {
	text   string
	quoted bool // false for numbers, true, false and null
}

const (
	// maxVariableDepth bounds variables in variables, in a text and through values.
	maxVariableDepth = 64
	// maxSources bounds the sources of one variable.
	maxSources = 64
)

var (
	// opening is how a variable begins; two colons are CloudFormation's.
	opening   = regexp.MustCompile(`^\$\{\s*[a-z][A-Za-z0-9_.-]*(:($|[^:])|\()`)
	typeStart = regexp.MustCompile(`^([a-z][A-Za-z0-9_.-]*)([:(])`)
	number    = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
)

// parseText takes a text apart. Texts without variables have one literal part,
// the empty text has none.
func parseText(s string) ([]part, error) {
	p := &variableParser{text: s}
	parts, err := p.parts("", 0)
	if err != nil {
		return nil, fmt.Errorf("%s at character %d of %q", err, p.at+1, clip(s))
	}
	return parts, nil
}

type variableParser struct {
	text string
	at   int
}

// parts reads until one of the characters in stop, which is left.
func (p *variableParser) parts(stop string, depth int) ([]part, error) {
	if depth > maxVariableDepth {
		return nil, fmt.Errorf("variables nest more than %d deep", maxVariableDepth)
	}
	var parts []part
	var plain strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		switch {
		case c == '\\' && strings.HasPrefix(p.text[p.at:], `\${`): // \${self:…} stays as it is
			plain.WriteString("${")
			p.at += 3
			continue
		case strings.IndexByte(stop, c) >= 0:
			return appendLiteral(parts, &plain), nil
		case c == '$' && opening.MatchString(p.text[p.at:]):
			parts = appendLiteral(parts, &plain)
			v, err := p.variable(depth)
			if err != nil {
				return nil, err
			}
			parts = append(parts, v)
			continue
		}
		plain.WriteByte(c)
		p.at++
	}
	if stop != "" {
		return nil, fmt.Errorf("a variable isn't closed")
	}
	return appendLiteral(parts, &plain), nil
}

func appendLiteral(parts []part, b *strings.Builder) []part {
	if b.Len() > 0 {
		parts = append(parts, part{literal: b.String()})
		b.Reset()
	}
	return parts
}

// variable reads ${…}.
func (p *variableParser) variable(depth int) (part, error) {
	v := part{offset: p.at}
	p.at += len("${")
	for {
		s, err := p.source(depth)
		if err != nil {
			return v, err
		}
		if v.sources = append(v.sources, s); len(v.sources) > maxSources {
			return v, fmt.Errorf("more than %d sources", maxSources)
		}
		p.space()
		switch p.next() {
		case ',':
		case '}':
			v.text = p.text[v.offset:p.at]
			return v, nil
		case 0:
			return v, fmt.Errorf("a variable isn't closed")
		default:
			p.at--
			return v, fmt.Errorf("a comma or closing brace is missing")
		}
	}
}

func (p *variableParser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// next returns the next byte and goes past it; 0 at the end.
func (p *variableParser) next() byte {
	if p.at >= len(p.text) {
		return 0
	}
	p.at++
	return p.text[p.at-1]
}

// source reads one source, up to the comma or brace behind it.
func (p *variableParser) source(depth int) (source, error) {
	p.space()
	rest := p.text[p.at:]
	switch {
	case rest == "":
		return source{}, fmt.Errorf("a variable isn't closed")
	case rest[0] == '\'' || rest[0] == '"':
		text, err := p.quoted()
		return source{literal: &literal{text, true}}, err
	case strings.HasPrefix(rest, "${"):
		if !opening.MatchString(rest) {
			return source{}, fmt.Errorf("a variable's source can't begin like this")
		}
		if depth >= maxVariableDepth {
			return source{}, fmt.Errorf("variables nest more than %d deep", maxVariableDepth)
		}
		v, err := p.variable(depth + 1)
		return source{nested: []part{v}}, err
	}
	m := typeStart.FindStringSubmatch(rest)
	if m == nil {
		end := strings.IndexAny(rest, ",}")
		if end < 0 {
			return source{}, fmt.Errorf("a variable isn't closed")
		}
		word := strings.TrimSpace(rest[:end])
		if word != "true" && word != "false" && word != "null" && !number.MatchString(word) {
			return source{}, fmt.Errorf("%q is no source such as self:custom.name, and no literal (texts are quoted)", clip(word))
		}
		p.at += end
		return source{literal: &literal{word, false}}, nil
	}
	s := source{typ: m[1]}
	p.at += len(m[1])
	if m[2] == "(" {
		if err := p.params(&s, depth); err != nil {
			return s, err
		}
	}
	p.space()
	if p.at >= len(p.text) || p.text[p.at] != ':' {
		return s, nil
	}
	p.at++
	p.space()
	if p.at < len(p.text) && (p.text[p.at] == '\'' || p.text[p.at] == '"') {
		text, err := p.quoted()
		s.address = []part{{literal: text}}
		return s, err
	}
	address, err := p.parts(",}", depth+1)
	s.address = trimmed(address)
	return s, err
}

// params reads (a, b).
func (p *variableParser) params(s *source, depth int) error {
	p.at++
	for {
		p.space()
		if p.at < len(p.text) && (p.text[p.at] == '\'' || p.text[p.at] == '"') {
			text, err := p.quoted()
			if err != nil {
				return err
			}
			s.params = append(s.params, []part{{literal: text}})
			p.space()
		} else {
			one, err := p.parts(",)", depth+1)
			if err != nil {
				return err
			}
			s.params = append(s.params, trimmed(one))
		}
		if len(s.params) > maxSources {
			return fmt.Errorf("more than %d parameters", maxSources)
		}
		switch p.next() {
		case ',':
		case ')':
			return nil
		default:
			return fmt.Errorf("a parenthesis isn't closed")
		}
	}
}

// trimmed takes the spaces at the end away.
func trimmed(parts []part) []part {
	if n := len(parts); n > 0 && parts[n-1].sources == nil {
		if parts[n-1].literal = strings.TrimRight(parts[n-1].literal, " \t\r\n"); parts[n-1].literal == "" {
			return parts[:n-1]
		}
	}
	return parts
}

// quoted reads a text in quotes of either kind.
func (p *variableParser) quoted() (string, error) {
	quote := p.next()
	var b strings.Builder
	for {
		switch c := p.next(); {
		case c == quote:
			return b.String(), nil
		case c == 0 && p.at >= len(p.text):
			return "", fmt.Errorf("a quote isn't closed")
		case c == '\\' && quote == '"' && p.at < len(p.text):
			b.WriteByte(p.next())
		default:
			b.WriteByte(c)
		}
	}
}

// clip shortens a text for a message.
func clip(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:77], "") + "..."
}
