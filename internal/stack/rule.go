package stack

import "slices"

// ruleFunctions are only for the section Rules.
var ruleFunctions = []string{"Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn", "Fn::RefAll", "Fn::ValueOf", "Fn::ValueOfAll"}

// checkRules evaluates the section Rules: where a rule's condition holds its
// assertions must, or the parameters are wrong.
func (t *template) checkRules(env *environment, r *reporter) {
	if t.rules == nil {
		return
	}
	e := &evaluator{env: env, r: r}
	for _, m := range t.rules.members {
		at := place{line: m.line, column: m.column, property: joinPath("Rules", m.name)}
		if m.name == "CheckBootstrapVersion" {
			continue // the CDK's, in every template: about an account that there isn't
		}
		if m.value.kind != object {
			r.errorf(at, "a rule is a map with Assertions, not %s", kindOf(m.value))
			continue
		}
		for _, part := range m.value.members {
			if part.name != "RuleCondition" && part.name != "Assertions" {
				r.report(at.in(part.name).at(part.value), didYouMean(part.name, []string{"RuleCondition", "Assertions"}), "a rule has no member %q", clip(part.name))
			}
		}
		if m.value.hasMember("Fn::RefAll") || m.value.hasMember("Fn::ValueOf") || m.value.hasMember("Fn::ValueOfAll") {
			r.notef(at, "the rule asks the account for its resources, so it isn't checked here")
			continue
		}
		if c := m.value.get("RuleCondition"); c != nil && !e.condition(c, at.in("RuleCondition"), 0) {
			continue
		}
		assertions := m.value.get("Assertions")
		if assertions == nil || assertions.kind != list {
			r.errorf(at, "a rule needs a list of Assertions")
			continue
		}
		for i, a := range assertions.items {
			here := at.in("Assertions").index(i).at(a)
			if a.get("Assert") == nil {
				r.errorf(here, "an assertion is a map with Assert")
				continue
			}
			if before := len(r.diagnostics); !e.condition(a.get("Assert"), here, 0) && len(r.diagnostics) == before {
				why, _ := a.get("AssertDescription").scalar()
				if why == "" {
					why = "its parameters don't fit together"
				}
				r.report(here, "give other values with --parameter-overrides", "the template's rule %s doesn't hold: %s", m.name, clip(why))
			}
		}
	}
}

// contains evaluates Fn::Contains, Fn::EachMemberIn and Fn::EachMemberEquals.
func (e *evaluator) contains(name string, arg *value, at place) bool {
	if arg.kind != list || len(arg.items) != 2 {
		e.r.errorf(at, "%s takes two values", name)
		return false
	}
	a, b := e.argument(arg.items[0], at), e.argument(arg.items[1], at)
	if a.kind != list {
		e.r.errorf(at, "the first value of %s is a list, not %s", name, kindOf(a))
		return false
	}
	same := func(x, y *value) bool {
		s, ok := x.scalar()
		u, ok2 := y.scalar()
		return ok && ok2 && s == u
	}
	switch name {
	case "Fn::Contains":
		return slices.ContainsFunc(a.items, func(x *value) bool { return same(x, b) })
	case "Fn::EachMemberEquals":
		return !slices.ContainsFunc(a.items, func(x *value) bool { return !same(x, b) })
	}
	return !slices.ContainsFunc(a.items, func(x *value) bool {
		return !slices.ContainsFunc(b.items, func(y *value) bool { return same(x, y) })
	})
}
