package stack

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The functions of conditions, and all of them.
var (
	conditionFunctions = []string{"Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not"}
	functionNames      = append([]string{
		"Ref", "Fn::GetAtt", "Fn::Sub", "Fn::Join", "Fn::Select", "Fn::Split", "Fn::If", "Fn::FindInMap", "Fn::Base64", "Fn::GetAZs",
		"Fn::Cidr", "Fn::ImportValue", "Fn::Transform", "Fn::Length", "Fn::ToJsonString",
	}, conditionFunctions...)
	pseudoNames = []string{
		"AWS::AccountId", "AWS::Region", "AWS::Partition", "AWS::StackName", "AWS::StackId",
		"AWS::URLSuffix", "AWS::NoValue", "AWS::NotificationARNs",
	}
)

// maxEvaluated bounds what evaluating one template may cost, in values plus
// bytes of text: a short template can otherwise name a long text many times.
const maxEvaluated = 64 << 20

// An environment is what intrinsic functions see besides resources.
type environment struct {
	file   sources
	pseudo map[string]*value
	// overrides are the values given from outside, by parameter, export, path or
	// secret; used are those that something asked for.
	overrides map[string]string
	used      map[string]bool
	// extended says that the template has the transform AWS::LanguageExtensions.
	extended   bool
	parameters map[string]*value
	// onUse tells of a parameter that has no value when something first uses it.
	onUse      map[string]func()
	mappings   *value
	conditions map[string]*condition
	// aliases are SAM's names for what it made: MyApi.Stage is the stage.
	aliases map[string]string
	spent   int
}

// A condition is an entry of the section Conditions; it is evaluated once.
type condition struct {
	value *value
	at    place
	state byte // 0 not yet, 1 being evaluated, 2 known
	holds bool
}

func newEnvironment(s *Stack, t *template, overrides map[string]string, r *reporter) *environment {
	arn := fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%s", s.Region, s.Account, s.Name, s.uuid("stack"))
	env := &environment{
		file: r.file,
		pseudo: map[string]*value{
			"AWS::AccountId":        {kind: text, text: s.Account},
			"AWS::Region":           {kind: text, text: s.Region},
			"AWS::Partition":        {kind: text, text: "aws"},
			"AWS::StackName":        {kind: text, text: s.Name},
			"AWS::StackId":          {kind: text, text: arn},
			"AWS::URLSuffix":        {kind: text, text: "amazonaws.com"},
			"AWS::NotificationARNs": {kind: list},
		},
		parameters: map[string]*value{},
		onUse:      map[string]func(){},
		mappings:   t.mappings,
		conditions: map[string]*condition{},
		aliases:    map[string]string{},
		overrides:  overrides,
		used:       map[string]bool{},
		extended:   t.extended,
	}
	env.readParameters(t.parameters, r)
	if t.conditions != nil {
		for _, m := range t.conditions.members {
			env.conditions[m.name] = &condition{value: m.value, at: place{line: m.line, column: m.column, property: joinPath("Conditions", m.name)}}
		}
		for _, m := range t.conditions.members {
			env.holds(m.name, env.conditions[m.name].at, r)
		}
	}
	return env
}

// holds reports whether the named condition is true; at is where it is named.
func (env *environment) holds(name string, at place, r *reporter) bool {
	c := env.conditions[name]
	if c == nil {
		names := make([]string, 0, len(env.conditions))
		for n := range env.conditions {
			names = append(names, n)
		}
		r.report(at, didYouMean(name, names), "the template has no condition %q", clip(name))
		return false
	}
	switch c.state {
	case 1:
		r.errorf(c.at, "condition %s depends on itself", name)
		return false
	case 0:
		c.state = 1
		e := &evaluator{env: env, r: r}
		c.holds = e.condition(c.value, c.at, 0)
		c.state = 2
	}
	return c.holds
}

// An evaluator evaluates intrinsic functions. Without lookup it leaves what
// depends on resources as it is; with it everything must be found.
type evaluator struct {
	env *environment
	r   *reporter
	// lookup returns the value of a Ref (attribute "") or GetAtt of a resource.
	lookup func(id, attribute string) (*value, bool)
}

// spend counts the cost of evaluation; false means that it is too much.
func (e *evaluator) spend(n int, at place) bool {
	if e.env.spent > maxEvaluated {
		return false
	}
	if e.env.spent += n; e.env.spent > maxEvaluated {
		e.r.errorf(at, "evaluating the template takes more than %d bytes", maxEvaluated)
		return false
	}
	return true
}

// eval returns v with every function evaluated that can be; nil stands for
// AWS::NoValue.
func (e *evaluator) eval(v *value, at place) *value {
	at = at.at(v)
	if !e.spend(1+len(v.text), at) {
		return v
	}
	if name, arg, ok := v.intrinsic(); ok {
		return e.call(v, name, arg, at)
	}
	switch v.kind {
	case list:
		c := &value{kind: list, line: v.line, column: v.column, items: make([]*value, 0, len(v.items))}
		for i, x := range v.items {
			if y := e.eval(x, at.index(i)); y != nil {
				c.items = append(c.items, y)
			}
		}
		return c
	case object:
		c := &value{kind: object, line: v.line, column: v.column, members: make([]member, 0, len(v.members))}
		for _, m := range v.members {
			if y := e.eval(m.value, at.in(m.name)); y != nil {
				m.value = y
				c.members = append(c.members, m)
			}
		}
		return c
	}
	return v
}

// call evaluates one intrinsic function.
func (e *evaluator) call(v *value, name string, arg *value, at place) *value {
	switch name {
	case "Ref":
		return e.ref(v, arg, at)
	case "Fn::GetAtt":
		return e.getAtt(v, arg, at)
	case "Fn::Sub":
		return e.sub(v, arg, at)
	case "Fn::Join":
		return e.join(v, arg, at)
	case "Fn::Select":
		return e.selectItem(v, arg, at)
	case "Fn::Split":
		return e.split(v, arg, at)
	case "Fn::If":
		return e.choose(arg, at)
	case "Fn::FindInMap":
		return e.findInMap(v, arg, at)
	case "Fn::Base64":
		x := e.argument(arg, at)
		if s, ok := x.scalar(); ok {
			return textAt(base64.StdEncoding.EncodeToString([]byte(s)), v)
		}
		return objectAt(v, name, x)
	case "Fn::Cidr":
		return e.cidr(v, arg, at)
	case "Fn::ImportValue":
		return e.importValue(v, arg, at)
	case "Fn::Length", "Fn::ToJsonString":
		return e.extension(v, name, arg, at)
	case "Fn::GetAZs":
		region, _ := e.argument(arg, at).scalar()
		if region == "" {
			region = e.env.pseudo["AWS::Region"].text
		}
		return listAt(v, textAt(region+"a", v), textAt(region+"b", v), textAt(region+"c", v))
	}
	switch {
	case slices.Contains(conditionFunctions, name):
		e.r.errorf(at, "%s is only for the section Conditions", name)
	case slices.Contains(ruleFunctions, name):
		e.r.errorf(at, "%s is only for the section Rules", name)
	case name == "Fn::GetStackOutput":
		e.r.report(at, "use a parameter", "%s is not supported: there is no other stack", name)
	case strings.HasPrefix(name, "Fn::ForEach"):
		e.r.errorf(at, "%s stands here alone; a loop is a member of a map, such as Resources or Properties", clip(name))
	default:
		e.r.report(at, didYouMean(name, functionNames), "there is no function %s", clip(name))
	}
	return textAt("", v)
}

// argument evaluates an argument; AWS::NoValue is an empty text.
func (e *evaluator) argument(v *value, at place) *value {
	if x := e.eval(v, at); x != nil {
		return x
	}
	return textAt("", v)
}

// wrong reports a malformed call and returns a stand-in.
func (e *evaluator) wrong(v *value, at place, format string, args ...any) *value {
	e.r.errorf(at, format, args...)
	return textAt("", v)
}

func (e *evaluator) ref(v, arg *value, at place) *value {
	id, ok := arg.scalar()
	if !ok {
		return e.wrong(v, at, "Ref takes a name, not %s", kindOf(arg))
	}
	if id == "AWS::NoValue" {
		return nil
	}
	if x := e.env.named(id); x != nil {
		if !e.spend(len(x.text), at) {
			return textAt("", v)
		}
		c := *x
		return c.placed(v)
	}
	if strings.HasPrefix(id, "AWS::") {
		e.r.report(at, didYouMean(id, pseudoNames), "there is no pseudo parameter %s", clip(id))
		return textAt("", v)
	}
	return e.resource(v, id, "", at)
}

// named returns the value of a parameter or pseudo parameter, or nil.
func (env *environment) named(name string) *value {
	if x := env.pseudo[name]; x != nil {
		return x
	}
	if report := env.onUse[name]; report != nil {
		delete(env.onUse, name)
		report()
	}
	return env.parameters[name]
}

// resource looks a resource's value up, or leaves v for later.
func (e *evaluator) resource(v *value, id, attribute string, at place) *value {
	if e.lookup == nil {
		return v
	}
	x, ok := e.lookup(id, attribute)
	if !ok {
		return e.wrong(v, at, "%s has no value yet", joinPath(id, attribute))
	}
	c := *x
	return c.placed(v)
}

// getAttParts splits the argument of GetAtt: [Id, Attribute] or "Id.Attribute".
func getAttParts(arg *value) (id, attribute string, ok bool) {
	switch {
	case arg.kind == text:
		id, attribute, ok = strings.Cut(arg.text, ".")
	case arg.kind == list && len(arg.items) == 2:
		var ok1, ok2 bool
		id, ok1 = arg.items[0].scalar()
		attribute, ok2 = arg.items[1].scalar()
		ok = ok1 && ok2
	}
	return id, attribute, ok && id != "" && attribute != ""
}

func (e *evaluator) getAtt(v, arg *value, at place) *value {
	if arg.kind == list {
		arg = e.argument(arg, at) // the attribute may be a Ref to a parameter
	}
	id, attribute, ok := getAttParts(arg)
	if !ok {
		return e.wrong(v, at, "Fn::GetAtt takes a logical id and an attribute, such as MyFunction.Arn")
	}
	return e.resource(attAt(id, attribute, v), id, attribute, at)
}

// sub evaluates both forms of Fn::Sub. What depends on resources stays, as a
// Fn::Join of the parts.
func (e *evaluator) sub(v, arg *value, at place) *value {
	template, vars := arg, (*value)(nil)
	if arg.kind == list {
		if len(arg.items) != 2 || arg.items[1].kind != object {
			return e.wrong(v, at, "Fn::Sub takes a text, or a list of a text and a map")
		}
		template, vars = arg.items[0], arg.items[1]
	}
	s, ok := template.scalar()
	if !ok {
		return e.wrong(v, at, "Fn::Sub takes a text, not %s", kindOf(template))
	}
	values := map[string]*value{}
	if vars != nil {
		for _, m := range vars.members {
			values[m.name] = e.argument(m.value, at.in(m.name))
		}
	}
	var parts []*value
	for s != "" {
		before, rest, found := strings.Cut(s, "${")
		if before != "" {
			parts = append(parts, textAt(before, v))
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return e.wrong(v, at, "Fn::Sub: ${%s has no closing brace", clip(rest))
		}
		s = after
		parts = append(parts, e.subVariable(v, name, values, at))
	}
	return e.concat(v, "", parts, at)
}

// subVariable evaluates what stands between ${ and }.
func (e *evaluator) subVariable(v *value, name string, values map[string]*value, at place) *value {
	if literal, ok := strings.CutPrefix(name, "!"); ok {
		return textAt("${"+literal+"}", v)
	}
	if x := values[name]; x != nil {
		return x
	}
	name = strings.TrimSpace(name)
	for _, c := range name {
		if c != '.' && c != ':' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			e.r.report(at, fmt.Sprintf("write ${!%s} to keep it as it is", clip(name)), "Fn::Sub: %q is no name", clip(name))
			return textAt("", v)
		}
	}
	if id, attribute, dotted := strings.Cut(name, "."); dotted {
		return e.resource(attAt(id, attribute, v), id, attribute, at)
	}
	if x := e.ref(refAt(name, v), textAt(name, v), at); x != nil {
		return x
	}
	return e.wrong(v, at, "Fn::Sub can't hold %s", name)
}

// concat joins parts that may be unknown yet.
func (e *evaluator) concat(v *value, delimiter string, parts []*value, at place) *value {
	var b strings.Builder
	stands := false
	for i, p := range parts {
		stands = stands || p.placeholder
		if _, _, call := p.intrinsic(); call {
			return objectAt(v, "Fn::Join", listAt(v, textAt(delimiter, v), listAt(v, parts...)))
		}
		s, ok := p.scalar()
		if p.kind == unknown {
			return &value{kind: unknown, text: "?", line: v.line, column: v.column}
		}
		if p.kind == list { // a list parameter inside Sub
			var items []string
			for _, x := range p.items {
				t, _ := x.scalar()
				items = append(items, t)
			}
			s, ok = strings.Join(items, ","), true
		}
		if !ok {
			return e.wrong(v, at, "only texts can be joined, not %s", kindOf(p))
		}
		if i > 0 {
			b.WriteString(delimiter)
		}
		b.WriteString(s)
		if b.Len() > maxTextBytes {
			return e.wrong(v, at, "the text grows over %d bytes", maxTextBytes)
		}
	}
	if !e.spend(b.Len(), at) {
		return textAt("", v)
	}
	out := textAt(b.String(), v)
	out.placeholder = stands
	return out
}

func (e *evaluator) join(v, arg *value, at place) *value {
	if arg.kind != list || len(arg.items) != 2 {
		return e.wrong(v, at, "Fn::Join takes a delimiter and a list")
	}
	delimiter, ok := arg.items[0].scalar()
	if !ok && arg.items[0].kind != null {
		return e.wrong(v, at, "the delimiter of Fn::Join must be a text, not %s", kindOf(arg.items[0]))
	}
	items := e.argument(arg.items[1], at)
	if _, _, call := items.intrinsic(); call {
		return objectAt(v, "Fn::Join", listAt(v, textAt(delimiter, v), items))
	}
	if items.kind == unknown {
		return items
	}
	if items.kind != list {
		return e.wrong(v, at, "Fn::Join takes a list, not %s", kindOf(items))
	}
	return e.concat(v, delimiter, items.items, at)
}

func (e *evaluator) selectItem(v, arg *value, at place) *value {
	if arg.kind != list || len(arg.items) != 2 {
		return e.wrong(v, at, "Fn::Select takes an index and a list")
	}
	index, _ := e.argument(arg.items[0], at).scalar()
	i, err := strconv.Atoi(index)
	if err != nil {
		return e.wrong(v, at, "the index of Fn::Select must be a whole number that is known beforehand")
	}
	items := e.argument(arg.items[1], at)
	if _, _, call := items.intrinsic(); call {
		return objectAt(v, "Fn::Select", listAt(v, textAt(index, v), items))
	}
	if items.kind == unknown {
		return items
	}
	if items.kind != list || i < 0 || i >= len(items.items) {
		return e.wrong(v, at, "Fn::Select: there is no element %d", i)
	}
	return items.items[i]
}

func (e *evaluator) split(v, arg *value, at place) *value {
	if arg.kind != list || len(arg.items) != 2 {
		return e.wrong(v, at, "Fn::Split takes a delimiter and a text")
	}
	delimiter, ok := arg.items[0].scalar()
	if !ok || delimiter == "" {
		return e.wrong(v, at, "the delimiter of Fn::Split must be a text that isn't empty")
	}
	source := e.argument(arg.items[1], at)
	if _, _, call := source.intrinsic(); call {
		return objectAt(v, "Fn::Split", listAt(v, textAt(delimiter, v), source))
	}
	if source.kind == unknown {
		return source
	}
	s, ok := source.scalar()
	if !ok {
		return e.wrong(v, at, "Fn::Split takes a text, not %s", kindOf(source))
	}
	parts := strings.Split(s, delimiter)
	if !e.spend(100*len(parts), at) {
		return listAt(v)
	}
	out := listAt(v)
	for _, p := range parts {
		out.items = append(out.items, textAt(p, v))
	}
	return out
}

func (e *evaluator) choose(arg *value, at place) *value {
	if arg.kind != list || len(arg.items) != 3 {
		return e.wrong(arg, at, "Fn::If takes a condition, a value and another value")
	}
	name, ok := arg.items[0].scalar()
	if !ok {
		return e.wrong(arg, at, "Fn::If takes the name of a condition, not %s", kindOf(arg.items[0]))
	}
	if e.env.holds(name, at, e.r) {
		return e.eval(arg.items[1], at)
	}
	return e.eval(arg.items[2], at)
}

// condition evaluates an expression of the section Conditions.
func (e *evaluator) condition(v *value, at place, depth int) bool {
	at = at.at(v)
	if depth > maxDepth || !e.spend(1, at) {
		return false
	}
	if name := v.get("Condition"); name != nil && len(v.members) == 1 {
		s, _ := name.scalar()
		return e.env.holds(s, at, e.r)
	}
	name, arg, ok := v.intrinsic()
	if ok && slices.Contains(ruleFunctions[:3], name) {
		return e.contains(name, arg, at)
	}
	if !ok || !slices.Contains(conditionFunctions, name) {
		e.r.report(at, didYouMean(name, conditionFunctions), "a condition is a call of Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition, not %s", kindOf(v))
		return false
	}
	n := 0
	if arg.kind == list {
		n = len(arg.items)
	}
	switch name {
	case "Fn::Equals":
		if n != 2 {
			e.r.errorf(at, "Fn::Equals takes two values")
			return false
		}
		a, b := e.argument(arg.items[0], at), e.argument(arg.items[1], at)
		if e.onResource(a, at) || e.onResource(b, at) {
			return false
		}
		x, okx := a.scalar()
		y, oky := b.scalar()
		if okx && oky {
			return x == y
		}
		return a.json() == b.json()
	case "Fn::Not":
		if n != 1 {
			e.r.errorf(at, "Fn::Not takes a list of one condition")
			return false
		}
		return !e.condition(arg.items[0], at, depth+1)
	}
	if n < 2 || n > 10 {
		e.r.errorf(at, "%s takes two to ten conditions", name)
		return false
	}
	all, some := true, false
	for _, x := range arg.items {
		c := e.condition(x, at, depth+1)
		all, some = all && c, some || c
	}
	if name == "Fn::And" {
		return all
	}
	return some
}

// onResource reports, as a problem too, whether v needs a resource.
func (e *evaluator) onResource(v *value, at place) bool {
	if _, _, call := v.intrinsic(); !call {
		return false
	}
	id := "a resource"
	if r := v.get("Ref"); r != nil {
		id, _ = r.scalar()
		e.r.report(at, didYouMean(id, append(pseudoNames, keys(e.env.parameters)...)), "a condition can't depend on %q, which is no parameter", clip(id))
		return true
	}
	e.r.errorf(at, "a condition can't depend on %s", id)
	return true
}

func keys[V any](m map[string]V) []string {
	ks := make([]string, 0, len(m))
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}
