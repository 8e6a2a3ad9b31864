package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// kinds are what a placeholder may stand for.
var kinds = map[string]string{
	"any":          `[\s\S]*`,
	"text":         `[\s\S]+`,
	"number":       `-?[0-9]+(?:\.[0-9]+)?`,
	"epochMillis":  `[0-9]{13}`,
	"connectionId": `[A-Za-z0-9_-]{15}=`,
	"requestId":    `[A-Za-z0-9_-]{15}=`,
	"messageId":    `[A-Za-z0-9_-]{15}=`,
	"uuid":         `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"id":           `[a-z0-9]{6,10}`,
	"parentId":     `[a-z0-9]{10}`,
	"childId":      `[a-z0-9]{6,7}`,
	"requestTime":  `[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2} \+0000`,
	"isoTime":      `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z`,
	"ip":           `[0-9a-f.:]+`,
}

// numeric kinds stand for JSON numbers when they are all of a JSON value.
var numeric = map[string]bool{"number": true, "epochMillis": true}

// absent stands for a member that must not be there.
const absent = "<absent>"

// placeholder is <kind>, <kind:name> or <name>.
var placeholder = regexp.MustCompile(`<([A-Za-z][A-Za-z0-9]*)(?::([A-Za-z][A-Za-z0-9]*))?((?:\.[A-Za-z0-9_$./ -]+)?)>`)

// values are what names stand for, captured or given.
type values map[string]string

// fill replaces <name> by what it stands for. Kinds have no value to send.
func (v values) fill(text string) (string, error) {
	var err error
	filled := placeholder.ReplaceAllStringFunc(text, func(p string) string {
		name := strings.Trim(p, "<>")
		value, ok := v.lookup(name)
		if !ok && err == nil {
			err = fmt.Errorf("%s stands for nothing here; captured so far: %s", p, strings.Join(v.names(), ", "))
		}
		return value
	})
	return filled, err
}

// lookup is what a name stands for; bytes.N is a text of N bytes.
func (v values) lookup(name string) (string, bool) {
	if size, ok := strings.CutPrefix(name, "bytes."); ok {
		if n, err := strconv.Atoi(size); err == nil && n >= 0 && n <= 8<<20 {
			return strings.Repeat("x", n), true
		}
	}
	value, ok := v[name]
	return value, ok
}

func (v values) names() []string { return slices.Sorted(maps.Keys(v)) }

// A mismatch is where what came isn't what was wanted.
type mismatch struct{ at, want, got string }

// matchText compares a text with a pattern, to the byte, and captures.
func (v values) matchText(pattern, got string) ([]mismatch, error) {
	var expr, want strings.Builder
	expr.WriteString(`\A`)
	var captures []string
	rest := pattern
	for {
		at := placeholder.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		literal, p := rest[:at[0]], rest[at[0]:at[1]]
		kind, name := rest[at[2]:at[3]], ""
		if at[4] >= 0 {
			name = rest[at[4]:at[5]]
		}
		rest = rest[at[1]:]
		expr.WriteString(regexp.QuoteMeta(literal))
		want.WriteString(literal)
		shape, isKind := kinds[kind]
		value, known := v.lookup(strings.Trim(p, "<>"))
		if name != "" {
			value, known = v[name]
		}
		switch {
		case name != "" && !isKind:
			return nil, fmt.Errorf("%s: there is no kind %q; kinds are %s", p, kind, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		case known:
			expr.WriteString(regexp.QuoteMeta(value))
			want.WriteString(value)
		case !isKind || at[6] != at[7]:
			return nil, fmt.Errorf("%s is no kind and was not captured; kinds are %s; captured so far: %s",
				p, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "), strings.Join(v.names(), ", "))
		default:
			if name != "" {
				expr.WriteString("(" + shape + ")")
				captures = append(captures, name)
			} else {
				expr.WriteString("(?:" + shape + ")")
			}
			want.WriteString(p)
		}
	}
	expr.WriteString(regexp.QuoteMeta(rest) + `\z`)
	want.WriteString(rest)
	re, err := regexp.Compile(expr.String())
	if err != nil {
		return nil, err
	}
	m := re.FindStringSubmatch(got)
	if m == nil {
		return []mismatch{{"", want.String(), got}}, nil
	}
	seen := values{}
	for i, name := range captures {
		if before, ok := seen[name]; ok && before != m[i+1] {
			return []mismatch{{"", "the same " + name + " twice: " + want.String(), got}}, nil
		}
		seen[name] = m[i+1]
	}
	maps.Copy(v, seen)
	return nil, nil
}

// parseValue reads JSON, or YAML that means the same.
func parseValue(text string) (any, error) {
	var value any
	if json.Unmarshal([]byte(text), &value) == nil {
		return value, nil
	}
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		return nil, err
	}
	b, err := json.Marshal(value) // YAML's integers become JSON's numbers
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(b, &value)
	return value, err
}

// matchJSON compares a value with a pattern: members that the pattern doesn't
// name may be there too, unless whole.
func (v values) matchJSON(pattern, got any, whole bool, at string) ([]mismatch, error) {
	switch want := pattern.(type) {
	case map[string]any:
		return v.matchObject(want, got, whole, at)
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return []mismatch{{at, asJSON(want), asJSON(got)}}, nil
		}
		var all []mismatch
		for i := range want {
			found, err := v.matchJSON(want[i], list[i], whole, fmt.Sprintf("%s[%d]", at, i))
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		return all, nil
	case string:
		text, isText := got.(string)
		if m := placeholder.FindStringSubmatch(want); m != nil && m[0] == want && (numeric[m[1]] || m[1] == "any") && !isText {
			if _, isNumber := got.(float64); m[1] == "any" || isNumber {
				text, isText = asJSON(got), true
			}
		}
		if !isText {
			return []mismatch{{at, asJSON(want), asJSON(got)}}, nil
		}
		found, err := v.matchText(want, text)
		for i := range found {
			found[i] = mismatch{at, asJSON(found[i].want), asJSON(found[i].got)}
		}
		return found, err
	default:
		if asJSON(pattern) != asJSON(got) {
			return []mismatch{{at, asJSON(pattern), asJSON(got)}}, nil
		}
		return nil, nil
	}
}

func (v values) matchObject(want map[string]any, got any, whole bool, at string) ([]mismatch, error) {
	object, ok := got.(map[string]any)
	if !ok {
		return []mismatch{{at, asJSON(want), asJSON(got)}}, nil
	}
	var all []mismatch
	for _, name := range slices.Sorted(maps.Keys(want)) {
		member, there := object[name]
		place := strings.TrimPrefix(at+"."+name, ".")
		switch {
		case want[name] == absent && there:
			all = append(all, mismatch{place, "(no such member)", asJSON(member)})
		case want[name] == absent:
		case !there:
			all = append(all, mismatch{place, asJSON(want[name]), "(no such member)"})
		default:
			found, err := v.matchJSON(want[name], member, whole, place)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	if whole {
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if _, named := want[name]; !named {
				all = append(all, mismatch{strings.TrimPrefix(at+"."+name, "."), "(no such member)", asJSON(object[name])})
			}
		}
	}
	return all, nil
}

func asJSON(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
