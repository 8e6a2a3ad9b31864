package iampolicy

import (
	"errors"
	"fmt"
	"strings"
)

// A Pattern is a string of a policy that is matched against a value of the
// request: with '*' and '?', and with policy variables such as
// ${aws:PrincipalArn} when the document's Version is 2012-10-17.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
type Pattern struct {
	text string // as written
	// glob is text with '*' and '?' as the bytes star and any, so that a literal
	// '*' (of ${*}, or of a variable's value) is none. Empty when there are parts.
	glob  string
	parts []part // when there are variables
	form  form
	fold  bool // case doesn't matter
}

// A part of a pattern is a piece of glob, or a variable when name is set.
type part struct {
	glob       string
	name       string // in lower case
	fallback   string
	hasDefault bool
}

// A form is a shape of pattern that has a short way to match.
type form uint8

const (
	formGlob   form = iota
	formAny         // "*"
	formExact       // no wildcard
	formPrefix      // one wildcard, '*' at the end
	formARN         // the six parts of an ARN match one by one
)

const (
	star = 1 // stands for '*' in a glob
	any1 = 2 // stands for '?'
)

// maxPattern bounds one string of a policy, in bytes.
const maxPattern = 2048

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.text }

// A patternStyle tells how newPattern reads a string.
type patternStyle struct {
	wild, variables, fold, arn bool
}

func newPattern(text string, style patternStyle) (Pattern, error) {
	p := Pattern{text: text, fold: style.fold}
	if len(text) > maxPattern {
		return p, fmt.Errorf("it is longer than %d bytes", maxPattern)
	}
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' {
			return p, errors.New("it has a control character")
		}
	}
	rest := text
	var literal strings.Builder
	for rest != "" {
		c := rest[0]
		if style.variables && strings.HasPrefix(rest, "${") {
			inner, after, closed := strings.Cut(rest[2:], "}")
			if !closed {
				return p, fmt.Errorf("the variable %q is not closed", cut(rest))
			}
			rest = after
			if inner == "*" || inner == "?" || inner == "$" {
				literal.WriteString(inner)
				continue
			}
			v, err := parseVariable(inner)
			if err != nil {
				return p, err
			}
			if literal.Len() > 0 {
				p.parts = append(p.parts, part{glob: literal.String()})
				literal.Reset()
			}
			p.parts = append(p.parts, v)
			continue
		}
		switch {
		case c == '*' && style.wild:
			literal.WriteByte(star)
		case c == '?' && style.wild:
			literal.WriteByte(any1)
		default:
			literal.WriteByte(c)
		}
		rest = rest[1:]
	}
	if p.parts != nil {
		if literal.Len() > 0 {
			p.parts = append(p.parts, part{glob: literal.String()})
		}
		return p, nil
	}
	p.glob = literal.String()
	p.form = formOf(p.glob, style.arn)
	return p, nil
}

// parseVariable reads what stands between ${ and }: a key, and perhaps a
// default in quotes.
func parseVariable(s string) (part, error) {
	name, fallback, hasDefault := strings.Cut(s, ",")
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" || strings.ContainsAny(name, " '\"${") {
		return part{}, fmt.Errorf("the variable ${%s} has no valid key", cut(s))
	}
	if hasDefault {
		fallback = strings.TrimSpace(fallback)
		if len(fallback) < 2 || fallback[0] != '\'' || fallback[len(fallback)-1] != '\'' {
			return part{}, fmt.Errorf("the default of the variable ${%s} must be in single quotes", cut(s))
		}
		fallback = fallback[1 : len(fallback)-1]
	}
	return part{name: name, fallback: fallback, hasDefault: hasDefault}, nil
}

func formOf(glob string, arn bool) form {
	wild := strings.IndexAny(glob, "\x01\x02")
	switch {
	case wild < 0:
		return formExact
	case len(glob) == 1 && glob[0] == star:
		return formAny
	case wild == len(glob)-1 && glob[wild] == star:
		return formPrefix
	case arn && fixedParts(glob):
		return formARN
	}
	return formGlob
}

// fixedParts reports whether a '*' of the pattern's first five parts stays
// within its part. IAM lets one that ends its part reach beyond the colon.
func fixedParts(glob string) bool {
	parts := strings.SplitN(glob, ":", 6)
	if len(parts) < 6 {
		return false
	}
	inner := false
	for _, s := range parts[:5] {
		if strings.HasSuffix(s, "\x01") {
			return false
		}
		inner = inner || strings.IndexByte(s, star) >= 0
	}
	return inner
}

// match reports whether s fits. A variable that context lacks, or that has
// several values there, fits nothing, unless the pattern gives a default.
func (p *Pattern) match(s string, context map[string][]string) bool {
	if p.parts == nil {
		return matchForm(p.form, p.glob, s, p.fold)
	}
	var b strings.Builder
	for _, part := range p.parts {
		if part.name == "" {
			b.WriteString(part.glob)
			continue
		}
		switch values := context[part.name]; {
		case len(values) == 1 && strings.IndexAny(values[0], "\x01\x02") < 0:
			b.WriteString(values[0])
		case len(values) == 0 && part.hasDefault:
			b.WriteString(part.fallback)
		default:
			return false
		}
	}
	return matchGlob(b.String(), s, p.fold)
}

func matchForm(f form, glob, s string, fold bool) bool {
	switch f {
	case formAny:
		return true
	case formExact:
		return len(s) == len(glob) && equal(glob, s, fold)
	case formPrefix:
		n := len(glob) - 1
		return len(s) >= n && equal(glob[:n], s[:n], fold)
	case formARN:
		return matchARN(glob, s)
	}
	return matchGlob(glob, s, fold)
}

// matchARN matches the six parts of an ARN one by one.
func matchARN(glob, s string) bool {
	for range 5 {
		g, restG, okG := strings.Cut(glob, ":")
		v, restS, okS := strings.Cut(s, ":")
		if !okG || !okS || !matchGlob(g, v, false) {
			return false
		}
		glob, s = restG, restS
	}
	return matchGlob(glob, s, false)
}

func equal(a, b string, fold bool) bool {
	if fold {
		return strings.EqualFold(a, b)
	}
	return a == b
}

// matchGlob matches with wildcards. It goes back to the last star only, so it
// takes at most len(glob)·len(s) steps.
func matchGlob(glob, s string, fold bool) bool {
	g, i := 0, 0
	backG, backI := -1, 0
	for i < len(s) {
		switch {
		case g < len(glob) && glob[g] == star:
			g++
			backG, backI = g, i
		case g < len(glob) && (glob[g] == any1 || sameByte(glob[g], s[i], fold)):
			g++
			i++
		case backG >= 0:
			backI++
			g, i = backG, backI
		default:
			return false
		}
	}
	for g < len(glob) && glob[g] == star {
		g++
	}
	return g == len(glob)
}

func sameByte(a, b byte, fold bool) bool {
	return a == b || fold && lower(a) == lower(b)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// cut shortens a piece of a document for an error.
func cut(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
