package stack

import (
	"slices"
	"strings"
)

// samTransform is the macro that makes a template SAM's.
const samTransform = "AWS::Serverless-2016-10-31"

// transforms are the macros that Tidegate knows.
var transforms = []string{samTransform, extensionsTransform, includeMacro}

// A template is a file's sections, read but not evaluated.
type template struct {
	description string
	sam         bool // Transform names SAM
	extended    bool // Transform names AWS::LanguageExtensions
	rules       *value
	globals     *value
	parameters  *value
	mappings    *value
	conditions  *value
	resources   *value
	outputs     *value

	// excluded are the resources whose condition is false, with the condition.
	excluded map[string]string
}

var sectionNames = []string{
	"AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings",
	"Conditions", "Transform", "Globals", "Resources", "Outputs", "Hooks",
}

// readSections splits the root into sections and checks their forms.
func readSections(root *value, r *reporter) *template {
	t := &template{excluded: map[string]string{}}
	top := place{}.at(root)
	if root == nil || root.kind != object {
		r.errorf(top, "a template is a map with a section Resources, not %s", kindOf(root))
		return t
	}
	for _, m := range root.members {
		at := place{line: m.line, column: m.column, property: m.name}
		switch m.name {
		case "AWSTemplateFormatVersion":
			if s, _ := m.value.scalar(); s != "2010-09-09" {
				r.errorf(at.at(m.value), "the only version is 2010-09-09")
			}
		case "Description":
			t.description, _ = m.value.scalar()
		case "Metadata":
		case "Rules":
			t.rules = section(m, at, r)
		case "Hooks":
			r.notef(at, "the section is not evaluated here")
		case "Parameters":
			t.parameters = section(m, at, r)
		case "Mappings":
			t.mappings = section(m, at, r)
		case "Conditions":
			t.conditions = section(m, at, r)
		case "Globals":
			t.globals = section(m, at, r)
		case "Resources":
			t.resources = section(m, at, r)
		case "Outputs":
			t.outputs = section(m, at, r)
		case "Transform":
			t.readTransform(m.value, at.at(m.value), r)
		default:
			r.report(at, didYouMean(m.name, sectionNames), "a template has no section %q", clip(m.name))
		}
	}
	if t.resources == nil || len(t.resources.members) == 0 {
		r.errorf(top, "the template has no Resources")
	}
	if t.globals != nil && !t.sam {
		r.report(place{property: "Globals"}.at(t.globals), "add Transform: "+samTransform, "Globals belong to SAM, and the template doesn't say that it is one")
	}
	return t
}

// section returns a section's map; an empty section is nil.
func section(m member, at place, r *reporter) *value {
	switch m.value.kind {
	case object:
		return m.value
	case null:
		return nil
	}
	r.errorf(at.at(m.value), "must be a map, not %s", m.value.kind)
	return nil
}

func (t *template) readTransform(v *value, at place, r *reporter) {
	items := []*value{v}
	if v.kind == list {
		items = v.items
	}
	for _, x := range items {
		name, ok := x.scalar()
		switch {
		case ok && name == samTransform:
			t.sam = true
		case ok && name == extensionsTransform:
			t.extended = true
		case ok:
			r.report(at.at(x), didYouMean(name, transforms), "macro %s is not supported; %s are", clip(name), strings.Join(transforms, ", "))
		case x.kind == object:
			// AWS::Include at the root, which Fn::Transform was made of before.
		default:
			r.errorf(at.at(x), "a transform is the name of a macro, or a map with its Name and Parameters, not %s", kindOf(x))
		}
	}
}

func kindOf(v *value) string {
	if v == nil {
		return "nothing"
	}
	if name, _, ok := v.intrinsic(); ok {
		return "a call of " + name
	}
	return v.kind.String()
}

// A resource is one resource of the stack, the template's own or one that SAM
// adds. Its properties are evaluated as far as they can be before any resource
// exists; what is left are calls that need a Ref or GetAtt of a resource.
type resource struct {
	id             string
	typ            string
	line, column   int // of the logical id
	properties     *value
	dependsOn      []dependency
	deletionPolicy string
	metadata       *value
	ignoreGlobals  *value
	// source is the SAM resource that this one was made for, or "".
	source string

	// standIn says that the resource is a placeholder although its type is known.
	standIn bool
	// trails lead from properties of a resource that SAM makes to those that the
	// template gives, the longest first.
	trails []trail

	schema *resourceType // nil for a placeholder
	code   *codeSource   // of a function
	needs  []string      // resources that must be there first
}

// A dependency is a name in DependsOn.
type dependency struct {
	id           string
	line, column int
}

func (res *resource) place() place {
	return place{line: res.line, column: res.column, resource: res.id}
}

// propertyPlace is where property name is given, or the resource.
func (res *resource) propertyPlace(name string) place {
	p := res.place()
	p.property = "Properties"
	if name != "" {
		p = p.in(name)
	}
	return p.at(res.properties.get(name))
}

var resourceAttributes = []string{
	"Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy",
	"Metadata", "UpdatePolicy", "CreationPolicy", "IgnoreGlobals", "Connectors",
}

// selectResources reads the resources whose condition holds and evaluates their
// properties.
func (t *template) selectResources(env *environment, r *reporter) []*resource {
	var all []*resource
	if t.resources == nil {
		return nil
	}
	if len(t.resources.members) > MaxResources {
		r.errorf(place{property: "Resources"}.at(t.resources), "%d resources; CloudFormation allows %d", len(t.resources.members), MaxResources)
		return nil
	}
	for _, m := range t.resources.members {
		if res := t.readResource(m, env, r); res != nil {
			all = append(all, res)
		}
	}
	return all
}

// readResource reads one resource; nil when its condition is false or it can't
// be read.
func (t *template) readResource(m member, env *environment, r *reporter) *resource {
	res := &resource{id: m.name, line: m.line, column: m.column, properties: &value{kind: object, line: m.line, column: m.column}}
	at := res.place()
	if !isLogicalID(m.name) {
		r.errorf(at, "a logical id has letters and digits only, at most 255")
		return nil
	}
	if m.value.kind != object {
		r.errorf(at, "a resource is a map with a Type, not %s", kindOf(m.value))
		return nil
	}
	typ := m.value.get("Type")
	if typ == nil || typ.kind != text {
		r.errorf(at, "a resource needs a Type, a text")
		return nil
	}
	res.typ = typ.text
	e := &evaluator{env: env, r: r}
	for _, a := range m.value.members {
		here := at.in(a.name)
		here.line, here.column = a.line, a.column
		switch a.name {
		case "Type":
		case "Condition":
			name, ok := a.value.scalar()
			if !ok {
				r.errorf(here, "must be the name of a condition, not %s", kindOf(a.value))
			} else if !env.holds(name, here.at(a.value), r) {
				t.excluded[res.id] = name
				return nil
			}
		case "Properties":
			if a.value.kind == object {
				if p := e.eval(a.value, here); p != nil {
					res.properties = e.dynamic(p, here)
				}
			} else if a.value.kind != null {
				r.errorf(here, "must be a map, not %s", kindOf(a.value))
			}
		case "DependsOn":
			res.readDependsOn(a.value, here, r)
		case "DeletionPolicy", "UpdateReplacePolicy":
			s, _ := e.argument(a.value, here).scalar() // a call, with AWS::LanguageExtensions
			if !slices.Contains([]string{"Delete", "Retain", "Snapshot", "RetainExceptOnCreate"}, s) {
				r.errorf(here.at(a.value), "must be Delete, Retain, RetainExceptOnCreate or Snapshot")
			}
			if a.name == "DeletionPolicy" {
				res.deletionPolicy = s
			}
		case "Metadata":
			res.metadata = a.value
		case "UpdatePolicy", "CreationPolicy":
			r.notef(here, "kept, without effect here")
		case "IgnoreGlobals":
			res.ignoreGlobals = a.value
		case "Connectors":
			r.errorf(here, "SAM connectors are not built yet; give the function a policy instead")
		default:
			r.report(here, didYouMean(a.name, resourceAttributes), "a resource has no attribute %q", clip(a.name))
		}
	}
	return res
}

func (res *resource) readDependsOn(v *value, at place, r *reporter) {
	items := []*value{v}
	if v.kind == list {
		items = v.items
	}
	for _, x := range items {
		if x.kind != text {
			r.errorf(at.at(x), "must be a logical id or a list of them, not %s", kindOf(x))
			continue
		}
		res.dependsOn = append(res.dependsOn, dependency{id: x.text, line: x.line, column: x.column})
	}
}

func isLogicalID(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// checkReferences reports every Ref, GetAtt and DependsOn that names nothing.
func (t *template) checkReferences(s *Stack, r *reporter) {
	for _, res := range s.resources {
		t.checkValue(s, res.properties, res.propertyPlace(""), r)
		for _, d := range res.dependsOn {
			at := place{line: d.line, column: d.column, resource: res.id, property: "DependsOn"}
			if s.byID[d.id] == nil {
				t.unknownID(s, d.id, at, r)
			}
		}
	}
}

// checkValue walks what evaluation left of a value.
func (t *template) checkValue(s *Stack, v *value, at place, r *reporter) {
	if v == nil {
		return
	}
	at = at.at(v)
	if name, arg, ok := v.intrinsic(); ok {
		switch name {
		case "Ref":
			id, _ := arg.scalar()
			if target, _ := s.target(id, ""); target == nil {
				t.unknownID(s, id, at, r)
			}
			return
		case "Fn::GetAtt":
			t.checkGetAtt(s, arg, at, r)
			return
		}
	}
	for i, x := range v.items {
		t.checkValue(s, x, at.index(i), r)
	}
	for _, m := range v.members {
		t.checkValue(s, m.value, at.in(m.name), r)
	}
}

func (t *template) checkGetAtt(s *Stack, arg *value, at place, r *reporter) {
	id, attribute, ok := getAttParts(arg)
	if !ok {
		return // reported when it was evaluated
	}
	res, attribute := s.target(id, attribute)
	if res == nil {
		t.unknownID(s, id, at, r)
		return
	}
	schema := res.known()
	if schema == nil || attribute == "" {
		return // a placeholder answers to any attribute
	}
	if attribute == "StreamArn" && res.properties.get("StreamSpecification") == nil {
		r.errorf(at, "table %s has no StreamArn: it has no StreamSpecification", id)
		return
	}
	if !slices.Contains(schema.attributes, attribute) {
		known := "it has none"
		if len(schema.attributes) > 0 {
			known = "it has " + strings.Join(schema.attributes, ", ")
		}
		hint := didYouMean(attribute, schema.attributes)
		r.report(at, hint, "%s, an %s, has no attribute %q; %s", id, res.typ, clip(attribute), known)
	}
}

// unknownID reports a name that no resource or parameter has.
func (t *template) unknownID(s *Stack, id string, at place, r *reporter) {
	if condition, ok := t.excluded[id]; ok {
		r.errorf(at, "%s exists only when condition %s holds, and it doesn't", id, condition)
		return
	}
	names := append(t.parameters.names(), pseudoNames...)
	for _, res := range s.resources {
		names = append(names, res.id)
	}
	if base, part, dotted := strings.Cut(id, "."); dotted && s.byID[base] != nil {
		r.errorf(at, "%s of %s is not built yet", clip(part), base)
		return
	}
	r.report(at, didYouMean(id, names), "%q is neither a resource nor a parameter of this template", clip(id))
}

func outputMembers(outputs *value) []member {
	if outputs == nil {
		return nil
	}
	return outputs.members
}

// readOutputs evaluates the outputs whose condition holds.
func (t *template) readOutputs(s *Stack, r *reporter) []output {
	var all []output
	e := &evaluator{env: s.env, r: r}
	for _, m := range outputMembers(t.outputs) {
		at := place{line: m.line, column: m.column, property: joinPath("Outputs", m.name)}
		if m.value.kind != object {
			r.errorf(at, "an output is a map with a Value, not %s", kindOf(m.value))
			continue
		}
		holds := true
		for _, a := range m.value.members {
			here := at.in(a.name)
			here.line, here.column = a.line, a.column
			switch a.name {
			case "Condition":
				name, _ := a.value.scalar()
				holds = s.env.holds(name, here.at(a.value), r)
			case "Value", "Description", "Export":
			default:
				r.report(here, didYouMean(a.name, []string{"Value", "Description", "Export", "Condition"}), "an output has no member %q", clip(a.name))
			}
		}
		if !holds {
			continue
		}
		raw := m.value.get("Value")
		if raw == nil {
			r.errorf(at, "an output needs a Value")
			continue
		}
		v := e.dynamic(e.eval(raw, at.in("Value")), at.in("Value"))
		if v == nil {
			r.errorf(at.in("Value").at(raw), "an output can't be AWS::NoValue")
			continue
		}
		t.checkValue(s, v, at.in("Value"), r)
		all = append(all, output{name: m.name, value: v})
	}
	return all
}
