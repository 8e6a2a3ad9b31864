package stack

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// policiesText holds SAM's policy templates, in a notation that its head
// explains.
//
//go:embed policies.txt
var policiesText string

// A policyTemplate is one of SAM's named policies.
type policyTemplate struct {
	parameters []string
	statements []policyStatement
}

// A policyStatement allows actions on resources, whose ARNs may hold a
// template's parameters in braces.
type policyStatement struct {
	actions   []string
	resources []string
	// condition is an operator, a key and a value, or empty.
	condition []string
}

// policyTemplates parses policies.txt, once.
var policyTemplates = sync.OnceValue(func() map[string]policyTemplate {
	all := map[string]policyTemplate{}
	name := ""
	for line := range strings.Lines(policiesText) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		t := all[name]
		last := len(t.statements) - 1
		switch {
		case line[0] != ' ':
			name, t = words[0], policyTemplate{parameters: words[1:]}
		case words[0] == "on":
			t.statements[last].resources = words[1:]
		case words[0] == "if":
			t.statements[last].condition = words[1:]
		default:
			service := words[0]
			s := policyStatement{}
			for _, action := range words[1:] {
				s.actions = append(s.actions, service+action)
			}
			t.statements = append(t.statements, s)
		}
		all[name] = t
	}
	return all
})

// serviceRolePolicies are AWS-managed policies below service-role/, for those
// who name them without a path.
var serviceRolePolicies = []string{
	"AWSLambdaBasicExecutionRole", "AWSLambdaDynamoDBExecutionRole", "AWSLambdaKinesisExecutionRole", "AWSLambdaMSKExecutionRole",
	"AWSLambdaRole", "AWSLambdaSQSQueueExecutionRole", "AWSLambdaVPCAccessExecutionRole", "AWSLambdaENIManagementAccess",
	"AmazonAPIGatewayPushToCloudWatchLogs",
}

// policies sorts a function's Policies into managed ARNs and inline documents.
func (x *expander) policies(res *resource, managed, inline *value) {
	v := res.properties.get("Policies")
	if v == nil || v.kind == null {
		return
	}
	at := res.propertyPlace("Policies")
	items := []*value{v}
	if v.kind == list {
		items = v.items
	}
	for i, item := range items {
		here := at
		if v.kind == list {
			here = at.index(i)
		}
		here = here.at(item)
		name := res.id + "RolePolicy" + strconv.Itoa(i)
		add := func(document *value) {
			if document != nil {
				inline.items = append(inline.items, objectAt(item, "PolicyName", textAt(name, item), "PolicyDocument", document))
			}
		}
		_, _, call := item.intrinsic()
		switch {
		case call:
			managed.items = append(managed.items, item)
		case item.kind == text:
			x.managedPolicy(item, managed, here)
		case item.kind == object && item.get("Statement") != nil:
			add(item)
		case item.kind == object && len(item.members) == 1:
			add(x.policyTemplate(item.members[0], here))
		default:
			x.r.errorf(here, "a policy is the name or ARN of a managed policy, a policy template, or a document with a Statement; this is %s", kindOf(item))
		}
	}
}

// managedPolicy adds a managed policy by name or ARN, each once.
func (x *expander) managedPolicy(item, managed *value, at place) {
	arn := item.text
	if _, isTemplate := policyTemplates()[arn]; isTemplate {
		x.r.errorf(at, "%s is a policy template: give it as a map with its parameters, such as {%s: {…}}", arn, arn)
		return
	}
	switch {
	case arn == "":
		x.r.errorf(at, "a policy can't be empty")
		return
	case strings.HasPrefix(arn, "arn:"):
	case slices.Contains(serviceRolePolicies, arn):
		arn = awsPolicies + "service-role/" + arn
	default:
		arn = awsPolicies + arn
	}
	if !slices.ContainsFunc(managed.items, func(v *value) bool { return v.kind == text && v.text == arn }) {
		managed.items = append(managed.items, textAt(arn, item))
	}
}

// policyTemplate returns the document that a policy template stands for, or nil
// after reporting what is wrong.
func (x *expander) policyTemplate(m member, at place) *value {
	here := at.in(m.name)
	here.line, here.column = m.line, m.column
	t, ok := policyTemplates()[m.name]
	if !ok {
		x.r.report(here, didYouMean(m.name, keys(policyTemplates())), "there is no policy template %q", clip(m.name))
		return nil
	}
	given := m.value
	if given.kind != object && given.kind != null {
		x.r.errorf(here, "the parameters of a policy template are a map, not %s", kindOf(given))
		return nil
	}
	for _, name := range t.parameters {
		if given.get(name) == nil {
			x.r.errorf(here, "the policy template needs the parameter %s", name)
			return nil
		}
	}
	for _, p := range given.members {
		if !slices.Contains(t.parameters, p.name) {
			x.r.report(here.in(p.name).at(p.value), didYouMean(p.name, t.parameters), "the policy template has no parameter %q", clip(p.name))
		}
	}
	document := listAt(m.value)
	for _, s := range t.statements {
		document.items = append(document.items, x.statement(s, given, here))
	}
	return objectAt(m.value, "Version", textAt("2012-10-17", m.value), "Statement", document)
}

func (x *expander) statement(s policyStatement, given *value, at place) *value {
	actions, resources := listAt(given), listAt(given)
	for _, a := range s.actions {
		actions.items = append(actions.items, textAt(a, given))
	}
	for _, r := range s.resources {
		resources.items = append(resources.items, x.fill(x.arn(r), given, at))
	}
	out := objectAt(given, "Effect", textAt("Allow", given), "Action", actions, "Resource", resources)
	if len(s.condition) == 3 {
		out = out.with("Condition", objectAt(given, s.condition[0], objectAt(given, s.condition[1], x.fill(x.arn(s.condition[2]), given, at))))
	}
	return out
}

// arn expands the short notation of policies.txt: ~service:rest is a resource
// of this account and region.
func (x *expander) arn(short string) string {
	if regional, ok := strings.CutPrefix(short, "~"); ok {
		service, rest, _ := strings.Cut(regional, ":")
		return "arn:aws:" + service + ":" + x.s.Region + ":" + x.s.Account + ":" + rest
	}
	return short
}

// fill puts the parameters given into a text that holds their names in braces.
func (x *expander) fill(s string, given *value, at place) *value {
	var parts []*value
	for s != "" {
		before, rest, found := strings.Cut(s, "{")
		if before != "" {
			parts = append(parts, textAt(before, given))
		}
		if !found {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		s = after
		parts = append(parts, given.get(name))
	}
	return x.e.concat(given, "", parts, at)
}
