package stack

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Values that on AWS come from outside the template: another stack's exports,
// Systems Manager's parameters, Secrets Manager's secrets. Here they come from
// the parameter overrides, by the export's name, the parameter's path or the
// secret's name; one that isn't given gets a placeholder and a note.

// given returns the override of that name. It counts as used.
func (env *environment) given(name string) (string, bool) {
	v, ok := env.overrides[name]
	if ok {
		env.used[name] = true
	}
	return v, ok
}

// stand makes a text that stands in for a value nobody gave.
func stand(s string, at *value) *value {
	v := textAt(s, at)
	v.placeholder = true
	return v
}

// importValue evaluates Fn::ImportValue.
func (e *evaluator) importValue(v, arg *value, at place) *value {
	x := e.argument(arg, at)
	if x.kind == unknown {
		return x
	}
	if _, _, call := x.intrinsic(); call {
		return e.wrong(v, at, "the name of Fn::ImportValue can't depend on a resource")
	}
	name, ok := x.scalar()
	if !ok || name == "" {
		return e.wrong(v, at, "Fn::ImportValue takes the name of an export, not %s", kindOf(x))
	}
	if s, ok := e.env.given(name); ok {
		return textAt(s, v)
	}
	e.r.lacking(at, "there is no other stack to import %q from, so a placeholder stands in for it: give the value with --parameter-overrides %s=VALUE", clip(name), quoted(name))
	return stand("import-"+name, v)
}

// quoted is an override's name as a shell takes it.
func quoted(name string) string {
	if strings.ContainsAny(name, " \t'\"$&|;<>()*?") {
		return "'" + name + "'"
	}
	return name
}

const dynamicStart = "{{resolve:"

// dynamic returns v with every dynamic reference in its texts resolved.
func (e *evaluator) dynamic(v *value, at place) *value {
	if !v.mentions(dynamicStart) {
		return v
	}
	at = at.at(v)
	c := *v
	switch v.kind {
	case list:
		c.items = make([]*value, len(v.items))
		for i, x := range v.items {
			c.items[i] = e.dynamic(x, at.index(i))
		}
	case object:
		c.members = slices.Clone(v.members)
		for i, m := range v.members {
			c.members[i].value = e.dynamic(m.value, at.in(m.name))
		}
	case text:
		return e.resolveText(v, at)
	}
	return &c
}

// mentions reports whether a text of v holds s.
func (v *value) mentions(s string) bool {
	if v == nil {
		return false
	}
	return v.kind == text && strings.Contains(v.text, s) ||
		slices.ContainsFunc(v.items, func(x *value) bool { return x.mentions(s) }) ||
		slices.ContainsFunc(v.members, func(m member) bool { return m.value.mentions(s) })
}

// resolveText resolves the references in one text. One that a call left
// unfinished, since a resource's name is part of it, stays for later.
func (e *evaluator) resolveText(v *value, at place) *value {
	out := textAt("", v)
	for rest := v.text; ; {
		before, after, found := strings.Cut(rest, dynamicStart)
		out.text += before
		if !found {
			return out
		}
		reference, next, closed := strings.Cut(after, "}}")
		if !closed {
			out.text += dynamicStart + after
			return out
		}
		rest = next
		x := e.resolveReference(reference, v, at)
		out.text += x.text
		out.placeholder = out.placeholder || x.placeholder
		if len(out.text) > maxTextBytes || !e.spend(len(x.text), at) {
			return e.wrong(v, at, "the text grows over %d bytes", maxTextBytes)
		}
	}
}

// resolveReference resolves service:reference.
func (e *evaluator) resolveReference(reference string, v *value, at place) *value {
	service, rest, _ := strings.Cut(reference, ":")
	switch service {
	case "ssm", "ssm-secure":
		name, _, _ := strings.Cut(rest, ":") // a version may follow
		if name == "" {
			return e.wrong(v, at, "{{resolve:%s:…}} needs the name of a parameter", service)
		}
		return e.fromSystemsManager(name, v, at)
	case "secretsmanager":
		return e.secret(rest, v, at)
	}
	e.r.report(at, didYouMean(service, []string{"ssm", "ssm-secure", "secretsmanager"}), "{{resolve:%s:…}}: there is no such kind of dynamic reference", clip(service))
	return textAt("", v)
}

// fromSystemsManager returns the value of the parameter of that path.
func (e *evaluator) fromSystemsManager(name string, v *value, at place) *value {
	if s, ok := e.env.given(name); ok {
		return textAt(s, v)
	}
	e.r.lacking(at, "Tidegate has no Systems Manager to read the parameter %s from, so a placeholder stands in for it: give the value with --parameter-overrides %s=VALUE", clip(name), quoted(name))
	return stand("ssm-"+strings.TrimPrefix(name, "/"), v)
}

// secret resolves id:SecretString:key:stage:version, of which all but the id may
// be missing.
func (e *evaluator) secret(rest string, v *value, at place) *value {
	parts := strings.Split(rest, ":")
	id := parts[0]
	if id == "arn" && len(parts) >= 7 {
		id, parts = strings.Join(parts[:7], ":"), parts[6:]
	}
	key := ""
	if len(parts) > 2 {
		key = parts[2]
	}
	if id == "" || len(parts) > 1 && parts[1] != "" && parts[1] != "SecretString" {
		return e.wrong(v, at, "{{resolve:secretsmanager:…}} is NAME:SecretString:KEY, not %q", clip(rest))
	}
	named := id
	if key != "" {
		named += ":" + key
		if s, ok := e.env.given(named); ok {
			return textAt(s, v)
		}
	}
	s, ok := e.env.given(id)
	if !ok {
		e.r.lacking(at, "Tidegate has no Secrets Manager to read the secret %s from, so a placeholder stands in for it: give the value with --parameter-overrides %s=VALUE", clip(id), quoted(named))
		return stand("secret-"+strings.ReplaceAll(named, ":", "-"), v)
	}
	if key == "" {
		return textAt(s, v)
	}
	members := map[string]any{}
	d := json.NewDecoder(bytes.NewReader([]byte(s)))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		return e.wrong(v, at, "the value given for the secret %s is no JSON object, so it has no key %q; give --parameter-overrides %s=VALUE", clip(id), clip(key), quoted(named))
	}
	switch x := members[key].(type) {
	case nil:
		return e.wrong(v, at, "the value given for the secret %s has no key %q", clip(id), clip(key))
	case string:
		return textAt(x, v)
	default:
		return textAt(encodeJSON(x), v)
	}
}
