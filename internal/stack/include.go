package stack

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// includeMacro is the one macro with parameters that Tidegate knows: it puts the
// content of a file where it stands.
const includeMacro = "AWS::Include"

// maxIncludes bounds how many files a template may include.
const maxIncludes = 100

// An includer replaces Fn::Transform with what the macro gives.
type includer struct {
	e     *evaluator
	s     *Stack
	r     *reporter
	count int
}

// include returns v with every Fn::Transform in it replaced.
func (x *includer) include(v *value, at place) *value {
	if !v.hasMember("Fn::Transform") {
		return v
	}
	at = at.at(v)
	c := *v
	switch v.kind {
	case list:
		c.items = make([]*value, len(v.items))
		for i, item := range v.items {
			c.items[i] = x.include(item, at.index(i))
		}
	case object:
		c.members = nil
		for _, m := range v.members {
			if m.name != "Fn::Transform" {
				m.value = x.include(m.value, at.in(m.name))
				c.members = append(c.members, m)
				continue
			}
			here := at.in(m.name)
			here.line, here.column = m.line, m.column
			content := x.macro(m.value, here)
			switch {
			case content == nil:
			case len(v.members) == 1:
				return content
			case content.kind != object:
				x.r.errorf(here, "what is included beside other members must be a map, not %s", kindOf(content))
			default:
				c.members = merged(c.members, content.members)
			}
		}
	}
	return &c
}

// includeAtRoot merges what AWS::Include in the section Transform names into the
// template.
func (x *includer) includeAtRoot(root, transform *value) *value {
	items := []*value{transform}
	if transform.kind == list {
		items = transform.items
	}
	c := *root
	for _, item := range items {
		if item.kind != object {
			continue
		}
		content := x.macro(item, place{property: "Transform"}.at(item))
		if content == nil {
			continue
		}
		if content.kind != object {
			x.r.errorf(place{property: "Transform"}.at(item), "what is included at the root must be a map, not %s", kindOf(content))
			continue
		}
		c.members = merged(slices.Clone(c.members), content.members)
	}
	return &c
}

// merged adds members that aren't there yet.
func merged(into, more []member) []member {
	for _, m := range more {
		if !slices.ContainsFunc(into, func(o member) bool { return o.name == m.name }) {
			into = append(into, m)
		}
	}
	return into
}

// eachMember calls f for every member of every map in v.
func (v *value) eachMember(f func(member)) {
	if v == nil {
		return
	}
	for _, x := range v.items {
		x.eachMember(f)
	}
	for _, m := range v.members {
		f(m)
		m.value.eachMember(f)
	}
}

// hasMember reports whether a map in v has a member of that name.
func (v *value) hasMember(name string) bool {
	if v == nil {
		return false
	}
	return slices.ContainsFunc(v.items, func(x *value) bool { return x.hasMember(name) }) ||
		slices.ContainsFunc(v.members, func(m member) bool { return m.name == name || m.value.hasMember(name) })
}

// macro returns what the macro gives, or nil after a problem.
func (x *includer) macro(v *value, at place) *value {
	name, ok := v.get("Name").scalar()
	switch {
	case v.kind != object || !ok:
		x.r.errorf(at, "Fn::Transform takes a map with the Name of a macro and its Parameters")
		return nil
	case name != includeMacro:
		x.r.report(at, didYouMean(name, []string{includeMacro}), "macro %s is not supported; only %s is", clip(name), includeMacro)
		return nil
	}
	location := v.get("Parameters").get("Location")
	if location == nil {
		x.r.errorf(at, "%s needs the parameter Location", includeMacro)
		return nil
	}
	at = at.in("Location").at(location)
	path, ok := x.e.argument(location, at).scalar()
	if !ok || path == "" {
		x.r.errorf(at, "the Location of %s is a path that is known before resources exist", includeMacro)
		return nil
	}
	if strings.HasPrefix(path, "s3://") || strings.HasPrefix(path, "https://") || strings.HasPrefix(path, "http://") {
		x.r.report(at, "give the path of a file beside the template", "nothing is downloaded, so %s can't be included", clip(path))
		return nil
	}
	return x.read(path, at)
}

// read parses a file. Its values get the place of the macro, since the file has
// lines of its own; what is wrong in it is told with those.
func (x *includer) read(path string, at place) *value {
	if x.count++; x.count > maxIncludes {
		x.r.errorf(at, "more than %d files are included", maxIncludes)
		return nil
	}
	full := filepath.FromSlash(path)
	if !filepath.IsAbs(full) {
		full = filepath.Join(filepath.Dir(x.s.Path), full)
	}
	data, err := readTemplate(full)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			x.r.report(at, didYouMean(filepath.Base(full), entries(filepath.Dir(full))), "there is no file %s", shown(x.s, full))
			return nil
		}
		x.r.errorf(at, "can't read %s: %v", shown(x.s, full), err)
		return nil
	}
	x.s.Files = append(x.s.Files, full)
	inner := &reporter{file: oneSource(shown(x.s, full))}
	v := parse(data, inner)
	x.r.diagnostics = append(x.r.diagnostics, inner.diagnostics...)
	if v == nil || len(inner.diagnostics) > 0 {
		return nil
	}
	return v.movedTo(&value{line: at.line, column: at.column})
}

// movedTo returns a copy of v, all of it at another place.
func (v *value) movedTo(at *value) *value {
	c := *v
	c.line, c.column = at.line, at.column
	c.items = make([]*value, len(v.items))
	for i, x := range v.items {
		c.items[i] = x.movedTo(at)
	}
	c.members = slices.Clone(v.members)
	for i, m := range v.members {
		c.members[i] = member{name: m.name, line: at.line, column: at.column, value: m.value.movedTo(at)}
	}
	return &c
}
