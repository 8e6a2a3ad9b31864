package iampolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Document is a parsed policy. It isn't changed after Parse and may be
// evaluated concurrently.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type Document struct {
	// Name is how results call the document, such as a role's inline policy's
	// name. It is not part of the JSON.
	Name       string
	Version    string // 2012-10-17, 2008-10-17 or empty, which means the latter
	ID         string
	Statements []Statement
}

// A Statement is one rule of a Document. Of the pairs Action and NotAction,
// Resource and NotResource, Principal and NotPrincipal at most one is set.
type Statement struct {
	Sid          string
	Effect       Decision    // Allow or ExplicitDeny
	Principal    *Principals // nil in identity policies
	NotPrincipal *Principals
	Action       []Pattern
	NotAction    []Pattern
	Resource     []Pattern // nil with NotResource nil: any, as in trust policies
	NotResource  []Pattern
	Conditions   []Condition
}

// maxDocument bounds a document in bytes. AWS's own bounds are lower and
// depend on the kind of policy; whoever stores one checks them.
const maxDocument = 128 << 10

// versionVariables is the Version from which on policy variables work.
const versionVariables = "2012-10-17"

// Parse reads a policy document. name is what results and errors call it. The
// error names the statement (by Sid or index) and the key that is wrong; an
// element or an operator that isn't IAM's is an error too.
func Parse(name string, data []byte) (*Document, error) {
	d, err := parse(name, data)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	return d, nil
}

func parse(name string, data []byte) (*Document, error) {
	if len(data) > maxDocument {
		return nil, fmt.Errorf("it has %d bytes; at most %d are read", len(data), maxDocument)
	}
	tree, err := readTree(data)
	if err != nil {
		return nil, err
	}
	members, ok := tree.([]member)
	if !ok {
		return nil, fmt.Errorf("it is %s, not a JSON object", kind(tree))
	}
	d := &Document{Name: name}
	var statements any
	for _, m := range members {
		switch m.key {
		case "Version":
			if d.Version, ok = m.value.(string); !ok || d.Version != versionVariables && d.Version != "2008-10-17" {
				return nil, fmt.Errorf("Version is %s; it must be 2012-10-17 or 2008-10-17", show(m.value))
			}
		case "Id":
			if d.ID, ok = m.value.(string); !ok {
				return nil, fmt.Errorf("Id is %s, not a string", kind(m.value))
			}
		case "Statement":
			statements = m.value
		default:
			return nil, fmt.Errorf("unknown element %q%s", cut(m.key), near(m.key, "Version", "Id", "Statement"))
		}
	}
	list, ok := statements.([]any)
	if !ok {
		if statements == nil {
			return nil, errors.New("it has no Statement")
		}
		list = []any{statements}
	}
	d.Statements = make([]Statement, len(list))
	for i, v := range list {
		members, ok := v.([]member)
		if !ok {
			return nil, fmt.Errorf("statement %d is %s, not an object", i, kind(v))
		}
		if err := d.Statements[i].parse(members, d.Version == versionVariables); err != nil {
			return nil, fmt.Errorf("statement %s: %w", d.Statements[i].name(i), err)
		}
	}
	return d, nil
}

// name is what results call the statement: its Sid or its index.
func (s *Statement) name(i int) string {
	if s.Sid != "" {
		return s.Sid
	}
	return strconv.Itoa(i)
}

func (s *Statement) parse(members []member, variables bool) error {
	for _, m := range members { // before the others, so that their errors can name it
		if m.key == "Sid" {
			sid, ok := m.value.(string)
			if !ok {
				return fmt.Errorf("Sid is %s, not a string", kind(m.value))
			}
			s.Sid = sid
		}
	}
	action := patternStyle{wild: true, fold: true}
	resource := patternStyle{wild: true, variables: variables, arn: true}
	for _, m := range members {
		var err error
		switch m.key {
		case "Sid":
		case "Effect":
			switch m.value {
			case "Allow":
				s.Effect = Allow
			case "Deny":
				s.Effect = ExplicitDeny
			default:
				err = fmt.Errorf("it is %s; it must be Allow or Deny", show(m.value))
			}
		case "Principal":
			s.Principal, err = parsePrincipals(m.value)
		case "NotPrincipal":
			s.NotPrincipal, err = parsePrincipals(m.value)
		case "Action":
			s.Action, err = parsePatterns(m.value, action, checkAction)
		case "NotAction":
			s.NotAction, err = parsePatterns(m.value, action, checkAction)
		case "Resource":
			s.Resource, err = parsePatterns(m.value, resource, checkResource)
		case "NotResource":
			s.NotResource, err = parsePatterns(m.value, resource, checkResource)
		case "Condition":
			s.Conditions, err = parseConditions(m.value, variables)
		default:
			return fmt.Errorf("unknown element %q%s", cut(m.key), near(m.key, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.key, err)
		}
	}
	return s.complete()
}

// complete checks that the statement has what it needs, and nothing twice.
func (s *Statement) complete() error {
	switch {
	case s.Effect == ImplicitDeny:
		return errors.New("it has no Effect")
	case s.Action == nil && s.NotAction == nil:
		return errors.New("it has neither Action nor NotAction")
	case s.Action != nil && s.NotAction != nil:
		return errors.New("it has both Action and NotAction")
	case s.Resource != nil && s.NotResource != nil:
		return errors.New("it has both Resource and NotResource")
	case s.Principal != nil && s.NotPrincipal != nil:
		return errors.New("it has both Principal and NotPrincipal")
	}
	return nil
}

// stringList reads a string or a list of strings with at least one.
func stringList(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if len(list) == 0 {
		return nil, errors.New("the list is empty")
	}
	out := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("it has %s where a string must be", kind(v))
		}
		out[i] = s
	}
	return out, nil
}

func parsePatterns(v any, style patternStyle, check func(string) error) ([]Pattern, error) {
	values, err := stringList(v)
	if err != nil {
		return nil, err
	}
	out := make([]Pattern, len(values))
	for i, s := range values {
		if err := check(s); err != nil {
			return nil, err
		}
		if out[i], err = newPattern(s, style); err != nil {
			return nil, fmt.Errorf("%q: %w", cut(s), err)
		}
	}
	return out, nil
}

// checkAction wants service:Operation or "*".
func checkAction(s string) error {
	service, name, ok := strings.Cut(s, ":")
	if s != "*" && (!ok || service == "" || name == "") {
		return fmt.Errorf("%q is not of the form service:Operation, such as execute-api:ManageConnections", cut(s))
	}
	return nil
}

// checkResource wants an ARN; a pattern may begin with a wildcard or a
// variable.
func checkResource(s string) error {
	if s == "" || s[0] != '*' && !strings.HasPrefix(s, "arn:") && !strings.HasPrefix(s, "${") {
		return fmt.Errorf("%q is neither an ARN nor \"*\"", cut(s))
	}
	return nil
}

// show renders a value for an error.
func show(v any) string {
	if s, ok := v.(string); ok {
		return strconv.Quote(cut(s))
	}
	return kind(v)
}

// near suggests a key that differs in case only.
func near(key string, keys ...string) string {
	for _, k := range keys {
		if strings.EqualFold(k, key) {
			return "; it is spelled " + k
		}
	}
	return "; there are " + strings.Join(keys, ", ")
}

// String returns the document as JSON on one line. Parse of it yields the same
// document.
func (d *Document) String() string {
	var b bytes.Buffer
	b.WriteByte('{')
	if d.Version != "" {
		b.WriteString(`"Version":` + quote(d.Version) + `,`)
	}
	if d.ID != "" {
		b.WriteString(`"Id":` + quote(d.ID) + `,`)
	}
	b.WriteString(`"Statement":[`)
	for i := range d.Statements {
		if i > 0 {
			b.WriteByte(',')
		}
		d.Statements[i].write(&b)
	}
	b.WriteString("]}")
	return b.String()
}

func (s *Statement) write(b *bytes.Buffer) {
	b.WriteByte('{')
	if s.Sid != "" {
		b.WriteString(`"Sid":` + quote(s.Sid) + `,`)
	}
	if s.Effect == Allow {
		b.WriteString(`"Effect":"Allow"`)
	} else {
		b.WriteString(`"Effect":"Deny"`)
	}
	writePrincipals(b, "Principal", s.Principal)
	writePrincipals(b, "NotPrincipal", s.NotPrincipal)
	writePatterns(b, "Action", s.Action)
	writePatterns(b, "NotAction", s.NotAction)
	writePatterns(b, "Resource", s.Resource)
	writePatterns(b, "NotResource", s.NotResource)
	writeConditions(b, s.Conditions)
	b.WriteByte('}')
}

func writePrincipals(b *bytes.Buffer, key string, p *Principals) {
	if p == nil {
		return
	}
	b.WriteString(`,"` + key + `":`)
	if p.Everyone {
		b.WriteString(`"*"`)
		return
	}
	separator := "{"
	for _, kind := range []struct {
		key    string
		values []string
	}{{"AWS", p.AWS}, {"Service", p.Service}, {"Federated", p.Federated}, {"CanonicalUser", p.CanonicalUser}} {
		if kind.values != nil {
			b.WriteString(separator + quote(kind.key) + ":")
			writeStrings(b, kind.values)
			separator = ","
		}
	}
	b.WriteByte('}')
}

func writePatterns(b *bytes.Buffer, key string, patterns []Pattern) {
	if patterns == nil {
		return
	}
	texts := make([]string, len(patterns))
	for i, p := range patterns {
		texts[i] = p.text
	}
	b.WriteString(`,"` + key + `":`)
	writeStrings(b, texts)
}

// writeStrings writes one string as itself and several as a list, as people
// do.
func writeStrings(b *bytes.Buffer, values []string) {
	if len(values) == 1 {
		b.WriteString(quote(values[0]))
		return
	}
	for i, v := range values {
		b.WriteByte("[,"[min(i, 1)])
		b.WriteString(quote(v))
	}
	b.WriteByte(']')
}

func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
