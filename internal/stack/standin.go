package stack

import (
	"slices"
	"strings"
)

// What isn't run although Tidegate has the service: such resources are
// placeholders, decided here before anything is checked.

const stands = ": a placeholder stands in for it"

// notedTypes are types of services that Tidegate has, and why they are
// placeholders all the same.
var notedTypes = map[string]string{
	"AWS::ApiGateway::Account":                 "stages write their logs without a role here, so API Gateway's account settings have no effect",
	"AWS::Events::ApiDestination":              "rules call functions only" + stands,
	"AWS::Events::Archive":                     "events are not archived here" + stands,
	"AWS::Events::Connection":                  "rules call functions only" + stands,
	"AWS::Events::EventBus":                    "there is only the bus default, and only schedules fire" + stands,
	"AWS::Events::EventBusPolicy":              "there is only the bus default, and nobody else may use it",
	"AWS::Logs::LogGroup":                      "a log group is made here when something first writes to it, without the template's retention" + stands,
	"AWS::IAM::AccessKey":                      "there are roles, no users" + stands,
	"AWS::IAM::Group":                          "there are roles, no groups" + stands,
	"AWS::IAM::GroupPolicy":                    "there are roles, no groups" + stands,
	"AWS::IAM::InstanceProfile":                "there are no instances" + stands,
	"AWS::IAM::OIDCProvider":                   "roles are not assumed through identity providers here" + stands,
	"AWS::IAM::SAMLProvider":                   "roles are not assumed through identity providers here" + stands,
	"AWS::IAM::ServiceLinkedRole":              "services here need no role" + stands,
	"AWS::IAM::User":                           "there are roles, no users" + stands,
	"AWS::IAM::UserPolicy":                     "there are roles, no users" + stands,
	"AWS::IAM::UserToGroupAddition":            "there are roles, no users" + stands,
	"AWS::Lambda::CapacityProvider":            onThisMachine + stands,
	"AWS::Lambda::CodeSigningConfig":           "code signatures are not checked" + stands,
	"AWS::Lambda::EventSourceMapping":          "nothing polls the source and calls the function here; to call it: tidegate invoke FUNCTION EVENT",
	"AWS::Lambda::Url":                         "function URLs are not served here; to call the function: tidegate invoke FUNCTION EVENT",
	"AWS::Serverless::CapacityProvider":        onThisMachine + stands,
	"AWS::CloudFormation::WaitCondition":       "nothing is waited for here" + stands,
	"AWS::CloudFormation::WaitConditionHandle": "nothing is waited for here" + stands,
}

// markStandIns decides which resources are placeholders.
func (s *Stack) markStandIns(r *reporter) {
	s.markHTTPAPIs(r)
	s.inlineManagedPolicies(r)
	for _, res := range s.resources {
		switch {
		case res.standIn:
		case notedTypes[res.typ] != "":
			res.standInAs(r, "", notedTypes[res.typ])
		case res.typ == "AWS::Lambda::Permission":
			for _, name := range []string{"EventSourceToken", "FunctionUrlAuthType", "InvokedViaFunctionUrl", "PrincipalOrgID"} {
				if res.properties.get(name) != nil {
					res.standInAs(r, name, "a permission with it is for callers that aren't here, so it is not given")
					break
				}
			}
		case res.typ == "AWS::Events::Rule" && res.properties.get("EventPattern") != nil && res.properties.get("ScheduleExpression") == nil:
			res.standInAs(r, "EventPattern", "no events come that a pattern could match, so the rule never fires"+stands)
		}
	}
}

// standInAs makes the resource a placeholder and says why.
func (res *resource) standInAs(r *reporter, property, why string) {
	res.standIn = true
	at := res.place().in("Type")
	if property != "" {
		at = res.propertyPlace(property)
	}
	r.lacking(at, "%s", why)
}

// markHTTPAPIs makes placeholders of HTTP APIs and what belongs to them. One is
// an error when the template has no WebSocket API: then nothing of it would run.
func (s *Stack) markHTTPAPIs(r *reporter) {
	http := map[string]bool{}
	sockets := false
	for _, res := range s.resources {
		if res.typ != "AWS::ApiGatewayV2::Api" {
			continue
		}
		protocol := res.properties.get("ProtocolType")
		name, _ := protocol.scalar()
		if name == "HTTP" || protocol == nil && (res.properties.get("Body") != nil || res.properties.get("BodyS3Location") != nil) {
			http[res.id] = true
		} else {
			sockets = true
		}
	}
	if len(http) == 0 {
		return
	}
	for _, res := range s.resources {
		if http[res.id] && sockets {
			res.standInAs(r, "ProtocolType", "HTTP APIs are not served"+stands+" and what belongs to it")
		}
		if strings.HasPrefix(res.typ, "AWS::ApiGatewayV2::") && res.typ != "AWS::ApiGatewayV2::Api" {
			s.references(res.properties.get("ApiId"), func(id string) { res.standIn = res.standIn || http[id] })
		}
	}
}

// inlineManagedPolicies gives the statements of the template's managed policies
// to the roles that they are for, as inline policies: what a role may do is the
// same.
func (s *Stack) inlineManagedPolicies(r *reporter) {
	policies := map[string]*resource{}
	for _, res := range s.resources {
		if res.typ == "AWS::IAM::ManagedPolicy" && res.properties.get("PolicyDocument") != nil {
			policies[res.id] = res
		}
	}
	var all []*resource
	for _, res := range s.resources {
		all = append(all, res)
		switch {
		case policies[res.id] != nil:
			res.standIn = true
			r.notef(res.place().in("Type"), "its statements are given to its roles as an inline policy")
			if roles := res.properties.get("Roles"); roles != nil {
				id := res.id + "Inline"
				for s.byID[id] != nil {
					id += "x"
				}
				made := &resource{id: id, typ: "AWS::IAM::Policy", line: res.line, column: res.column, source: res.id, deletionPolicy: res.deletionPolicy,
					dependsOn: res.dependsOn, properties: objectAt(roles, "PolicyName", textAt(res.id, roles), "PolicyDocument", res.properties.get("PolicyDocument"), "Roles", roles)}
				s.byID[made.id] = made
				all = append(all, made)
			}
		case res.typ == "AWS::IAM::RolePolicy":
			p := res.properties
			res.typ = "AWS::IAM::Policy"
			res.properties = objectAt(p, "PolicyName", p.get("PolicyName"), "PolicyDocument", p.get("PolicyDocument"))
			if role := p.get("RoleName"); role != nil {
				res.properties = res.properties.with("Roles", listAt(role, role))
			}
		case res.typ == "AWS::IAM::Role":
			res.inlineManaged(policies)
		}
	}
	s.resources = all
}

// inlineManaged replaces the role's references to managed policies of the
// template by their statements.
func (res *resource) inlineManaged(policies map[string]*resource) {
	managed := res.properties.get("ManagedPolicyArns")
	if managed == nil || managed.kind != list {
		return
	}
	inline := res.properties.get("Policies")
	if inline == nil || inline.kind != list {
		inline = listAt(managed)
	}
	kept, given := listAt(managed), listAt(inline, slices.Clone(inline.items)...)
	for _, item := range managed.items {
		id, _ := item.get("Ref").scalar()
		if arg := item.get("Fn::GetAtt"); arg != nil {
			id, _, _ = getAttParts(arg) // PolicyArn
		}
		if policy := policies[id]; policy != nil {
			given.items = append(given.items, objectAt(item, "PolicyName", textAt(id, item), "PolicyDocument", policy.properties.get("PolicyDocument")))
			continue
		}
		kept.items = append(kept.items, item)
	}
	if len(kept.items) == len(managed.items) {
		return
	}
	res.properties = res.properties.with("ManagedPolicyArns", kept).with("Policies", given)
}
