package stack

import "strings"

// A trail leads from a property of a resource that SAM makes to the property
// of the template that it comes from; both are paths.
type trail struct{ from, to string }

// trailsOf pairs paths: from, to, from, to, ….
func trailsOf(pairs ...string) []trail {
	var all []trail
	for i := 0; i+1 < len(pairs); i += 2 {
		all = append(all, trail{pairs[i], pairs[i+1]})
	}
	return all
}

// Trails of what SAM makes, by the type made.
var (
	functionTrails = trailsOf("Properties.Code.ZipFile", "Properties.InlineCode", "Properties.Code", "Properties.CodeUri",
		"Properties.TracingConfig.Mode", "Properties.Tracing", "Properties.TracingConfig", "Properties.Tracing",
		"Properties.DeadLetterConfig", "Properties.DeadLetterQueue")
	roleTrails = trailsOf("Properties.AssumeRolePolicyDocument", "Properties.AssumeRolePolicyDocument",
		"Properties.PermissionsBoundary", "Properties.PermissionsBoundary", "Properties.Path", "Properties.RolePath",
		"Properties.Tags", "Properties.Tags", "Properties", "Properties.Policies")
	simpleTableTrails = trailsOf("Properties.KeySchema", "Properties.PrimaryKey", "Properties.AttributeDefinitions", "Properties.PrimaryKey")
)

// eventTrails are those of what the event at path makes.
func eventTrails(event string) []trail {
	at := "Properties.Events." + event
	p := at + ".Properties."
	return trailsOf("Properties.ScheduleExpression", p+"Schedule", "Properties.Name", p+"Name", "Properties.State", p+"State",
		"Properties.Description", p+"Description", "Properties.Targets[0].Input", p+"Input",
		"Properties.Targets[0].RetryPolicy", p+"RetryPolicy", "Properties.Targets[0].DeadLetterConfig", p+"DeadLetterConfig", "Properties", at)
}

// routeTrails are those of what the route of a WebSocketApi makes.
func routeTrails(key string) []trail {
	at := "Properties.Routes." + key
	var pairs []string
	for _, name := range keys(samRoute) {
		pairs = append(pairs, "Properties."+name, at+"."+name)
	}
	pairs = append(pairs, "Properties.TimeoutInMillis", at+".IntegrationTimeout", "Properties.IntegrationUri", at+".FunctionArn",
		"Properties.FunctionName", at+".FunctionArn", "Properties", at)
	return trailsOf(pairs...)
}

// traced returns the place that the template's author knows: of a resource that
// SAM made, the one it was made for.
func (r *reporter) traced(p place) place {
	res := r.made[p.resource]
	if res == nil {
		return p
	}
	p.resource = res.source
	for _, o := range res.trails {
		if rest, ok := strings.CutPrefix(p.property, o.from); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			if o.from == "Properties" { // the whole comes from there
				rest = ""
			}
			p.property = o.to + rest
			break
		}
	}
	return p
}

// trace remembers which resources SAM made.
func (r *reporter) trace(all []*resource) {
	r.made = map[string]*resource{}
	for _, res := range all {
		if res.source != "" {
			r.made[res.id] = res
		}
	}
}
