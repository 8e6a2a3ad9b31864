package stack

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

var parameterMembers = []string{
	"Type", "Default", "AllowedValues", "AllowedPattern", "MinLength", "MaxLength",
	"MinValue", "MaxValue", "NoEcho", "Description", "ConstraintDescription",
}

// readParameters gives every parameter its value, overridden or default, and
// checks it against the parameter's constraints.
func (env *environment) readParameters(declared *value, r *reporter) {
	if declared == nil {
		declared = &value{kind: object}
	}
	for _, m := range declared.members {
		p := parameter{name: m.name, at: place{line: m.line, column: m.column, property: joinPath("Parameters", m.name)}, decl: m.value}
		if m.value.kind != object {
			r.errorf(p.at, "a parameter is a map with a Type, not %s", kindOf(m.value))
			continue
		}
		for _, a := range m.value.members {
			if !slices.Contains(parameterMembers, a.name) {
				r.report(p.at.in(a.name).at(a.value), didYouMean(a.name, parameterMembers), "a parameter has no member %q", clip(a.name))
			}
		}
		override, overridden := env.given(m.name)
		env.parameters[m.name] = env.value(p, override, overridden, r)
	}
}

// checkOverrides tells of overrides that nothing in the template asks for: a
// parameter that isn't there, unless it comes from a file that may serve other
// templates too, and an export, path or secret that nobody reads.
func (env *environment) checkOverrides(declared *value, opts Options, r *reporter) {
	for _, name := range keys(env.overrides) {
		_, given := opts.Parameters[name]
		at := place{property: "Parameters"}
		switch {
		case env.used[name]:
		case !isLogicalID(name):
			r.notef(at, "nothing in the template asks for %q, which the overrides set", clip(name))
		case given:
			r.report(at, didYouMean(name, declared.names()), "the template has no parameter %q, which the overrides set", clip(name))
		default:
			r.notef(at, "the template has no parameter %q, which the configuration file sets", clip(name))
		}
	}
}

// A parameter is one entry of the section Parameters.
type parameter struct {
	name string
	at   place
	decl *value
}

func (p parameter) member(name string) string {
	s, _ := p.decl.get(name).scalar()
	return s
}

// value returns the parameter's value. What is wrong with it is reported; a value
// that breaks a constraint is still returned, and one that there isn't is
// unknown, so that what refers to it isn't reported too.
func (env *environment) value(p parameter, override string, overridden bool, r *reporter) *value {
	missing := &value{kind: unknown, text: "?"}
	typ := p.member("Type")
	if problem := checkParameterType(typ); problem != "" {
		r.report(p.at.in("Type").at(p.decl.get("Type")), didYouMean(typ, []string{"String", "Number", "List<Number>", "CommaDelimitedList"}), "%s", problem)
		return missing
	}
	given := override
	if !overridden {
		fallback := p.decl.get("Default")
		if fallback == nil {
			r.report(p.at, fmt.Sprintf("give one with --parameter-overrides %s=VALUE", p.name), "the parameter has no Default and no value was given")
			return missing
		}
		s, ok := fallback.scalar()
		if !ok && fallback.kind != null {
			r.errorf(p.at.in("Default").at(fallback), "must be a text or number, not %s", kindOf(fallback))
		}
		given = s
	}
	inner := typ
	if kept, ok := strings.CutPrefix(typ, ssmValue); ok {
		inner = strings.TrimSuffix(kept, ">")
		value, found := env.stored(p, given, overridden)
		if !found {
			// CDK declares one in every template and never uses it, so only use is
			// worth a word.
			env.onUse[p.name] = func() {
				r.lacking(p.at.in("Type").at(p.decl.get("Type")),
					"Tidegate has no Systems Manager to read the parameter %s from, so a placeholder stands in for it: give the value with --parameter-overrides %s=VALUE", clip(given), p.name)
			}
			return env.storedPlaceholder(p, given, inner)
		}
		given, overridden = value, true
	}
	if inner == "CommaDelimitedList" || strings.HasPrefix(inner, "List<") {
		return p.listValue(given, inner, r)
	}
	p.check(given, inner == "Number", overridden, r)
	v := &value{kind: text, text: given}
	if inner == "Number" && isNumber(given) {
		v.kind = number
	}
	return v.placed(p.decl)
}

const ssmValue = "AWS::SSM::Parameter::Value<"

// stored returns the value of a parameter that Systems Manager would hold. An
// override that begins with a slash is the path, as CloudFormation takes it; any
// other is the value itself.
func (env *environment) stored(p parameter, given string, overridden bool) (string, bool) {
	if v, ok := env.given(given); ok {
		return v, true
	}
	return given, overridden && !strings.HasPrefix(given, "/")
}

func (env *environment) storedPlaceholder(p parameter, path, typ string) *value {
	v := stand("ssm-"+strings.TrimPrefix(path, "/"), p.decl)
	if typ == "CommaDelimitedList" || strings.HasPrefix(typ, "List<") {
		return listAt(p.decl, v)
	}
	return v
}

func (p parameter) listValue(given, typ string, r *reporter) *value {
	v := (&value{kind: list}).placed(p.decl)
	if given == "" {
		return v
	}
	for _, item := range strings.Split(given, ",") {
		item = strings.TrimSpace(item)
		p.check(item, typ == "List<Number>", true, r)
		v.items = append(v.items, textAt(item, p.decl))
	}
	return v
}

func checkParameterType(typ string) string {
	switch {
	case typ == "":
		return "a parameter needs a Type"
	case slices.Contains([]string{"String", "Number", "List<Number>", "CommaDelimitedList"}, typ):
		return ""
	case strings.HasPrefix(typ, "AWS::") && !strings.Contains(typ, "<"):
		return "" // AWS::EC2::KeyPair::KeyName, AWS::SSM::Parameter::Name: texts
	case strings.HasPrefix(typ, "List<") && strings.HasSuffix(typ, ">"):
		if inner := typ[len("List<") : len(typ)-1]; inner == "String" || strings.HasPrefix(inner, "AWS::") {
			return ""
		}
	case strings.HasPrefix(typ, ssmValue) && strings.HasSuffix(typ, ">"):
		return ""
	}
	return fmt.Sprintf("unknown parameter type %q", clip(typ))
}

// check holds one value against the parameter's constraints.
func (p parameter) check(given string, numeric, overridden bool, r *reporter) {
	at := p.at
	if d := p.decl.get("Default"); d != nil && !overridden {
		at = at.in("Default").at(d)
	}
	shown := fmt.Sprintf("the value %q", clip(given))
	if p.member("NoEcho") == "true" {
		shown = "the value"
	}
	fail := func(format string, args ...any) {
		why := fmt.Sprintf(format, args...)
		if d := p.member("ConstraintDescription"); d != "" {
			why += " (" + clip(d) + ")"
		}
		r.errorf(at, "%s of parameter %s %s", shown, p.name, why)
	}
	if numeric && !isNumber(given) {
		fail("is no number")
		return
	}
	if allowed := p.decl.get("AllowedValues"); allowed != nil {
		if !slices.ContainsFunc(allowed.items, func(x *value) bool { s, _ := x.scalar(); return s == given }) {
			var names []string
			for _, x := range allowed.items {
				s, _ := x.scalar()
				names = append(names, s)
			}
			fail("is not one of %s", clip(strings.Join(names, ", ")))
		}
	}
	if pattern := p.decl.get("AllowedPattern"); pattern != nil {
		p.checkPattern(given, pattern, fail, r)
	}
	p.checkBounds(given, numeric, fail, r)
}

func (p parameter) checkPattern(given string, pattern *value, fail func(string, ...any), r *reporter) {
	re, err := regexp.Compile(`^(?:` + pattern.text + `)$`)
	if err != nil {
		// Java's syntax has constructs that RE2 lacks.
		r.notef(p.at.in("AllowedPattern").at(pattern), "the pattern can't be checked here: %v", err)
		return
	}
	if !re.MatchString(given) {
		fail("doesn't match the pattern %s", clip(pattern.text))
	}
}

func (p parameter) checkBounds(given string, numeric bool, fail func(string, ...any), r *reporter) {
	measure, unit := float64(utf8.RuneCountInString(given)), "characters"
	low, high := "MinLength", "MaxLength"
	if numeric {
		measure, _ = strconv.ParseFloat(given, 64)
		low, high, unit = "MinValue", "MaxValue", ""
	}
	for _, name := range []string{low, high} {
		bound := p.decl.get(name)
		if bound == nil {
			continue
		}
		limit, err := strconv.ParseFloat(bound.text, 64)
		switch {
		case err != nil:
			r.errorf(p.at.in(name).at(bound), "must be a number")
		case name == low && measure < limit:
			fail("is less than %s %s", bound.text, strings.TrimSpace("("+name+") "+unit))
		case name == high && measure > limit:
			fail("is more than %s %s", bound.text, strings.TrimSpace("("+name+") "+unit))
		}
	}
}
