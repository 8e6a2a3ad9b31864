package selection

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"tidegate/jsonpath"
)

// MaxExpression is the most bytes that an expression may have.
const MaxExpression = 1024

// Parse parses an expression of the given kind. The error says what is wrong
// and which variables the kind may use.
func Parse(kind Kind, text string) (*Expr, error) {
	r, ok := rules[kind]
	if !ok {
		return nil, fmt.Errorf("%v is no kind of selection expression", kind)
	}
	if kind == RouteResponseSelection && text == "$default" {
		text = `\$default` // AWS has it without the backslash, here only
	}
	e, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s %.64q: %w", r.name, text, err)
	}
	for _, p := range e.parts {
		if p.root != "" && !slices.Contains(r.roots, p.root) {
			return nil, fmt.Errorf("%s %.64q: it can't use %s%s", r.name, text, p.root, r.allowed())
		}
	}
	if r.only != nil && !slices.Contains(r.only, normalize(e)) {
		return nil, fmt.Errorf("%s %.64q: it can only be %s", r.name, text, plainList(r.only))
	}
	return e, nil
}

// normalize returns what e prints as, with a header's name in lower case.
func normalize(e *Expr) string {
	if len(e.parts) == 1 && e.parts[0].root == rootHeader {
		return strings.ToLower(e.String())
	}
	return e.String()
}

// allowed says which variables a kind may use.
func (r rule) allowed() string {
	if len(r.roots) == 0 {
		return "; it can't use variables"
	}
	names := make([]string, len(r.roots))
	for i, root := range r.roots {
		names[i] = string(root)
	}
	return "; it can use " + strings.Join(names, ", ")
}

// plainList names expressions as people write them, without braces.
func plainList(list []string) string {
	names := make([]string, len(list))
	for i, text := range list {
		names[i] = strings.NewReplacer("{", "", "}", "", `\`, "").Replace(text)
	}
	return strings.Join(names, " or ")
}

// parse parses an expression of any kind.
func parse(text string) (*Expr, error) {
	switch {
	case text == "":
		return nil, fmt.Errorf("it is empty")
	case len(text) > MaxExpression:
		return nil, fmt.Errorf("it has %d bytes; at most %d are allowed", len(text), MaxExpression)
	case !utf8.ValidString(text):
		return nil, fmt.Errorf("it is not UTF-8")
	}
	e := &Expr{}
	var static strings.Builder
	flush := func() {
		if static.Len() > 0 {
			e.parts = append(e.parts, part{text: static.String()})
			static.Reset()
		}
	}
	for rest := text; rest != ""; {
		switch {
		case strings.HasPrefix(rest, `\$`):
			static.WriteByte('$')
			rest = rest[2:]
		case rest[0] == '$':
			reference, after, err := cutReference(rest[1:])
			if err != nil {
				return nil, err
			}
			p, err := parseVariable(reference)
			if err != nil {
				return nil, err
			}
			flush()
			e.parts = append(e.parts, p)
			rest = after
		default:
			static.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	flush()
	return e, nil
}

// cutReference cuts what follows a dollar sign after the variable's end.
func cutReference(text string) (reference, after string, err error) {
	if strings.HasPrefix(text, "{") {
		n := pathEnd(text, func(rest string) bool { return rest[0] == '}' || strings.HasPrefix(rest, "${") })
		if n < 0 || n == len(text) {
			return "", "", fmt.Errorf("${ is not closed by }")
		}
		if text[n] != '}' {
			return "", "", fmt.Errorf("a variable can't stand within another")
		}
		return text[1:n], text[n+1:], nil
	}
	n := pathEnd(text, endsBare)
	if n < 0 {
		return "", "", fmt.Errorf("a bracket after $ is not closed")
	}
	if n == 0 {
		return "", "", fmt.Errorf(`a variable's name is missing after $; write \$ for the sign itself`)
	}
	return text[:n], text[n:], nil
}

// endsBare reports whether a variable without braces ends before rest. Its
// names are made of letters, digits, '_' and '-'. A dot belongs to it if more
// of a path follows, be it one that is refused later.
func endsBare(rest string) bool {
	c := rest[0]
	if c == '.' {
		return len(rest) == 1 || !isNameByte(rest[1]) && !strings.ContainsRune(".*", rune(rest[1]))
	}
	return !isNameByte(c) && c != '*' && c != '('
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '_' || c == '-' || c >= utf8.RuneSelf
}

// pathEnd returns the index in text before which the first path ends, as ends
// tells outside of brackets, or -1 when a bracket isn't closed.
func pathEnd(text string, ends func(rest string) bool) int {
	bracket, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			switch c {
			case '\\':
				i++
			case quote:
				quote = 0
			}
		case bracket:
			switch c {
			case '\'', '"':
				quote = c
			case ']':
				bracket = false
			}
		case c == '[':
			bracket = true
		case ends(text[i:]):
			return i
		}
	}
	if bracket || quote != 0 {
		return -1
	}
	return len(text)
}

// parseVariable parses what stands after $ or between ${ and }.
func parseVariable(reference string) (part, error) {
	for _, r := range roots {
		rest, ok := strings.CutPrefix(reference, string(r.root))
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
			continue
		}
		p := part{root: r.root}
		switch r.follow {
		case followNothing:
			if rest != "" {
				return part{}, fmt.Errorf("%s has no parts, so %q can't follow it", r.root, rest)
			}
		case followName:
			name, _ := strings.CutPrefix(rest, ".")
			if rest == "" || !isName(name) {
				return part{}, fmt.Errorf("%s needs a name of letters, digits and .$_- after a dot, not %q", r.root, rest)
			}
			p.name = name
		case followPath:
			path, err := jsonpath.Parse(rest)
			if err != nil {
				return part{}, err
			}
			p.path = path
		}
		return p, nil
	}
	return part{}, fmt.Errorf("there is no variable %q", reference)
}

// isName reports whether name can be that of a header, query parameter,
// context or stage variable (AWS's ^[a-zA-Z0-9._$-]+$).
func isName(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c >= utf8.RuneSelf || !isNameByte(c) && c != '.' && c != '$' {
			return false
		}
	}
	return name != ""
}
