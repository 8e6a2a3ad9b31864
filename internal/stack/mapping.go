package stack

import "slices"

// findInMap evaluates Fn::FindInMap; with AWS::LanguageExtensions a fourth
// argument {DefaultValue: …} may follow the two keys.
func (e *evaluator) findInMap(v, arg *value, at place) *value {
	n := 0
	if arg.kind == list {
		n = len(arg.items)
	}
	var fallback *value
	if n == 4 {
		fallback = arg.items[3].get("DefaultValue")
	}
	switch {
	case n == 4 && fallback != nil && !e.env.extended:
		e.r.report(at, "add Transform: "+extensionsTransform, "Fn::FindInMap takes a default value only with %s", extensionsTransform)
		return textAt("", v)
	case n != 3 && fallback == nil:
		return e.wrong(v, at, "Fn::FindInMap takes a map's name and two keys")
	}
	path := "Mappings"
	here := e.env.mappings
	for _, x := range arg.items[:3] {
		y := e.argument(x, at)
		if y.kind == unknown {
			return y
		}
		key, ok := y.scalar()
		if !ok {
			return e.wrong(v, at, "the keys of Fn::FindInMap must be known before resources exist")
		}
		next := here.get(key)
		if next == nil && fallback != nil {
			return e.eval(fallback, at)
		}
		if next == nil {
			e.r.report(at, didYouMean(key, here.names()), "%s has no %q", path, clip(key))
			return textAt("", v)
		}
		here, path = next, joinPath(path, key)
	}
	if here.kind == object {
		return e.wrong(v, at, "%s is a map; a mapping's value is a text or a list", path)
	}
	cost := len(here.text)
	for _, x := range here.items {
		cost += 100 + len(x.text)
	}
	if !e.spend(cost, at) {
		return textAt("", v)
	}
	c := *here
	c.items = slices.Clone(here.items)
	return c.placed(v)
}
