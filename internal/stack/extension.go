package stack

import (
	"strconv"
	"strings"
)

// extensionsTransform adds Fn::ForEach, Fn::Length, Fn::ToJsonString and default
// values of Fn::FindInMap to the language.
const extensionsTransform = "AWS::LanguageExtensions"

// extension evaluates Fn::Length and Fn::ToJsonString.
func (e *evaluator) extension(v *value, name string, arg *value, at place) *value {
	if !e.env.extended {
		e.r.report(at, "add Transform: "+extensionsTransform, "%s needs the transform %s", name, extensionsTransform)
		return textAt("", v)
	}
	x := e.argument(arg, at)
	if x.kind == unknown || x.has(unknown) {
		return &value{kind: unknown, text: "?", line: v.line, column: v.column}
	}
	_, _, call := x.intrinsic()
	if name == "Fn::Length" {
		switch {
		case call:
			return objectAt(v, name, x)
		case x.kind != list:
			return e.wrong(v, at, "Fn::Length takes a list, not %s", kindOf(x))
		}
		return (&value{kind: number, text: strconv.Itoa(len(x.items))}).placed(v)
	}
	switch {
	case call || x.calls():
		return objectAt(v, name, x)
	case x.kind != object && x.kind != list:
		return e.wrong(v, at, "Fn::ToJsonString takes a map or a list, not %s", kindOf(x))
	}
	s := x.json()
	if !e.spend(len(s), at) {
		return textAt("", v)
	}
	return textAt(s, v)
}

// calls reports whether a part of v is a call that isn't evaluated yet.
func (v *value) calls() bool {
	if _, _, call := v.intrinsic(); call {
		return true
	}
	for _, x := range v.items {
		if x.calls() {
			return true
		}
	}
	for _, m := range v.members {
		if m.value.calls() {
			return true
		}
	}
	return false
}

const loopPrefix = "Fn::ForEach::"

// maxLoopItems bounds what one loop repeats.
const maxLoopItems = 1000

// A looper unrolls Fn::ForEach: a member named Fn::ForEach::Name of a map, whose
// value is the loop's identifier, its collection, and the members to repeat.
type looper struct {
	e      *evaluator
	r      *reporter
	budget int
}

// unroll returns v with every loop in it repeated.
func (l *looper) unroll(v *value, bound map[string]string, at place) *value {
	if v == nil || l.budget < 0 {
		return v
	}
	if l.budget--; l.budget < 0 {
		l.r.errorf(at.at(v), "more than %d values once loops are repeated", maxValues)
		return v
	}
	at = at.at(v)
	c := *v
	switch v.kind {
	case text:
		c.text = bind(v.text, bound)
	case list:
		c.items = make([]*value, len(v.items))
		for i, x := range v.items {
			c.items[i] = l.unroll(x, bound, at.index(i))
		}
	case object:
		if name, ok := v.get("Ref").scalar(); ok && len(v.members) == 1 {
			if s, isBound := bound[name]; isBound {
				return textAt(s, v)
			}
		}
		c.members = nil
		for _, m := range v.members {
			if strings.HasPrefix(m.name, loopPrefix) {
				c.members = append(c.members, l.loop(m, bound, at.in(m.name))...)
				continue
			}
			m.name = bind(m.name, bound)
			m.value = l.unroll(m.value, bound, at.in(m.name))
			c.members = append(c.members, m)
		}
		l.unique(c.members, at)
	}
	return &c
}

// unique reports members that a loop made twice.
func (l *looper) unique(members []member, at place) {
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		if seen[m.name] {
			here := at
			here.line, here.column = m.line, m.column
			l.r.errorf(here, "a loop makes %q twice", clip(m.name))
		}
		seen[m.name] = true
	}
}

// loop repeats what one loop holds.
func (l *looper) loop(m member, bound map[string]string, at place) []member {
	at.line, at.column = m.line, m.column
	if m.value.kind != list || len(m.value.items) != 3 || m.value.items[0].kind != text || m.value.items[2].kind != object {
		l.r.errorf(at, "a loop is a list of an identifier, a collection and a map to repeat")
		return nil
	}
	identifier := m.value.items[0].text
	collection := l.e.eval(l.unroll(m.value.items[1], bound, at), at)
	if collection == nil || collection.kind != list {
		l.r.errorf(at.at(m.value.items[1]), "the collection of a loop is a list that is known before resources exist, not %s", kindOf(collection))
		return nil
	}
	if len(collection.items) > maxLoopItems {
		l.r.errorf(at, "the loop has %d rounds; at most %d are allowed", len(collection.items), maxLoopItems)
		return nil
	}
	var out []member
	for _, x := range collection.items {
		s, ok := x.scalar()
		if !ok {
			l.r.errorf(at, "the collection of a loop holds texts, not %s", kindOf(x))
			return out
		}
		inner := map[string]string{identifier: s}
		for k, v := range bound {
			if k != identifier {
				inner[k] = v
			}
		}
		out = append(out, l.unroll(m.value.items[2], inner, at).members...)
	}
	return out
}

// bind puts the loops' values into a text: ${Name}, and &{Name}, which leaves out
// what isn't a letter or digit.
func bind(s string, bound map[string]string) string {
	if len(bound) == 0 || !strings.Contains(s, "{") {
		return s
	}
	for name, v := range bound {
		s = strings.ReplaceAll(s, "${"+name+"}", v)
		s = strings.ReplaceAll(s, "&{"+name+"}", strings.Map(func(c rune) rune {
			if isLogicalID(string(c)) {
				return c
			}
			return -1
		}, v))
	}
	return s
}
