package stack

import (
	"maps"
	"slices"
)

// allFunctions is the section of Options.Variables that is for every function, by
// SAM's name.
const allFunctions = "Parameters"

// withVariables returns a function's properties with the values of its
// environment variables that were given from outside. Only variables that the
// template declares get one, as with SAM.
func (s *Stack) withVariables(res *resource, properties *value) *value {
	declared := properties.get("Environment").get("Variables")
	if declared == nil || declared.kind != object {
		return properties
	}
	given := s.variablesOf(res, properties)
	c := *declared
	c.members = slices.Clone(declared.members)
	changed := false
	for i, m := range c.members {
		x, ok := given[m.name]
		if !ok && (m.value.placeholder || m.value.kind == null || m.value.kind == text && m.value.text == "") {
			x, ok = s.blanks[m.name]
		}
		if ok {
			c.members[i].value, changed = textAt(x, m.value), true
		}
	}
	if !changed {
		return properties
	}
	return properties.with("Environment", properties.get("Environment").with("Variables", &c))
}

// variablesOf are the values for one function: those for all below those for its
// name below those for its logical id.
func (s *Stack) variablesOf(res *resource, properties *value) map[string]string {
	given := maps.Clone(s.variables[allFunctions])
	if given == nil {
		given = map[string]string{}
	}
	if name, ok := properties.get("FunctionName").scalar(); ok {
		maps.Copy(given, s.variables[name])
	}
	maps.Copy(given, s.variables[res.id])
	return given
}

// checkVariables notes functions and variables that the template doesn't have.
func (s *Stack) checkVariables(r *reporter) {
	used := map[string]bool{allFunctions: true}
	for _, res := range s.resources {
		if res.typ != "AWS::Lambda::Function" {
			continue
		}
		name, _ := res.properties.get("FunctionName").scalar()
		for _, section := range []string{res.id, name} {
			if s.variables[section] == nil {
				continue
			}
			used[section] = true
			declared := res.properties.get("Environment").get("Variables")
			for _, variable := range keys(s.variables[section]) {
				if declared.get(variable) == nil {
					r.notef(res.place(), "doesn't declare the variable %s, so the value given for it has no effect, as with SAM", clip(variable))
				}
			}
		}
	}
	for _, section := range keys(s.variables) {
		if !used[section] {
			r.notef(place{}, "values are given for the variables of %s, and there is no such function", clip(section))
		}
	}
}
