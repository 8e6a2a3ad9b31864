package serverless

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// otherEvents are the events of services that Tidegate lacks, with a hint.
var otherEvents = map[string]string{
	"http": "REST APIs are not run here", "httpApi": "HTTP APIs are not run here", "sqs": "there are no queues here", "sns": "there are no topics here",
	"stream": "streams are not read here", "s3": "there are no buckets here", "eventBridge": "event patterns are not matched here",
	"cloudwatchEvent": "event patterns are not matched here", "cloudwatchLog": "log subscriptions are not run here",
	"cognitoUserPool": "there are no user pools here", "alb": "there are no load balancers here", "iot": "there is no IoT here",
	"iotFleetProvisioning": "there is no IoT here", "alexaSkill": "there is no Alexa here", "alexaSmartHome": "there is no Alexa here",
	"kafka": "there is no Kafka here", "msk": "there is no Kafka here", "activemq": "there are no brokers here", "rabbitmq": "there are no brokers here",
	"cloudFront": "there is no CloudFront here",
}

// events makes a function's events, and reports whether one is a WebSocket route.
func (c *compiler) events(f function) bool {
	n := get(f.n, "events")
	if isNull(n) {
		return false
	}
	if n.Kind != yaml.SequenceNode {
		c.errorf(n, "", "events of the function %s must be a list", clip(f.key))
		return false
	}
	websocket, schedules := false, 0
	for _, e := range n.Content {
		if isNull(e) {
			continue
		}
		kind, v := kindOf(e)
		hint, other := otherEvents[kind]
		switch {
		case kind == "websocket":
			c.websocket(f, v, e)
			websocket = true
		case kind == "schedule":
			schedules = c.schedule(f, v, e, schedules)
		case kind == "eventBridge" && !isNull(get(v, "schedule")):
			schedules = c.schedule(f, c.busSchedule(f, v), e, schedules)
		case other:
			c.notef(e, true, "function %s: the event %s never happens here, %s; tidegate invoke %s calls the function", clip(f.key), kind, hint, f.logicalID())
		default:
			c.notef(e, true, "function %s: the event %q isn't known here and never happens", clip(f.key), clip(kind))
		}
	}
	return websocket
}

// kindOf is an event's name and what it says. Of several keys it is the first that
// says something: what is indented too little stands beside its event, and the
// framework then takes the key that it knows.
func kindOf(e *yaml.Node) (string, *yaml.Node) {
	ps := pairs(e)
	if len(ps) == 0 {
		return scalar(e), nil
	}
	for _, p := range ps {
		if _, other := otherEvents[p.key.Value]; !isNull(p.value) && (other || p.key.Value == "websocket" || p.key.Value == "schedule") {
			return p.key.Value, p.value
		}
	}
	return ps[0].key.Value, ps[0].value
}

// routeID is a route key as logical ids have it.
func routeID(key string) string {
	return strings.NewReplacer("$", "S", "/", "Slash", "-", "Dash", "_", "Underscore", ".", "Period").Replace(key)
}

func (c *compiler) websocket(f function, v, at *yaml.Node) {
	route := v
	var response, guard *yaml.Node
	if v != nil && v.Kind == yaml.MappingNode {
		route, response = get(v, "route"), get(v, "routeResponseSelectionExpression")
		if route == nil {
			route = get(v, "routeKey") // the plugin serverless-websockets-plugin's
		}
		for _, m := range pairs(v) {
			switch m.key.Value {
			case "routeKey", "route", "routeResponseSelectionExpression":
			case "authorizer":
				guard = m.value
			default:
				c.notef(m.key, false, "function %s: %q of a websocket event isn't known here and has no effect", clip(f.key), clip(m.key.Value))
			}
		}
	}
	key := scalar(route)
	if key == "" {
		hint := ""
		if get(at, "route") != nil {
			hint = "indent route further than websocket: here it stands beside it"
		}
		c.errorf(at, hint, "function %s: a websocket event needs a route", clip(f.key))
		return
	}
	integration := f.id + "WebsocketsIntegration"
	set(c.resources, f.id+"LambdaPermissionWebsockets", object(at, "Type", "AWS::Lambda::Permission", "DependsOn", list(at, text(apiID, at), text(f.logicalID(), at)),
		"Properties", object(at, "FunctionName", getAtt(f.logicalID(), "Arn", at), "Action", "lambda:InvokeFunction", "Principal", "apigateway.amazonaws.com")))
	set(c.resources, integration, object(at, "Type", "AWS::ApiGatewayV2::Integration", "Properties", object(at,
		"ApiId", ref(apiID, at), "IntegrationType", "AWS_PROXY",
		"IntegrationUri", sub("arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${"+f.logicalID()+".Arn}/invocations", at))))
	id := routeID(key) + "WebsocketsRoute"
	if get(c.resources, id) != nil {
		c.errorf(at, "", "function %s: the route %s has a function already", clip(f.key), clip(key))
		return
	}
	authorization, authorizerID := c.authorizer(f, guard)
	set(c.resources, id, object(at, "Type", "AWS::ApiGatewayV2::Route", "Properties", object(at,
		"ApiId", ref(apiID, at), "RouteKey", route, "AuthorizationType", authorization, "AuthorizerId", authorizerID, "RouteResponseSelectionExpression", response,
		"Target", object(at, "Fn::Join", list(at, text("/", at), list(at, text("integrations", at), ref(integration, at)))))))
	if !isNull(response) {
		set(c.resources, id+"Response", object(at, "Type", "AWS::ApiGatewayV2::RouteResponse", "Properties", object(at,
			"ApiId", ref(apiID, at), "RouteId", ref(id, at), "RouteResponseKey", "$default")))
	}
}

func (c *compiler) description() *yaml.Node {
	if n := get(c.settings, "websocketsDescription"); !isNull(n) {
		return n
	}
	return text("Serverless Websockets", c.root)
}

func (c *compiler) api() {
	at := c.root
	name, selection := get(c.settings, "websocketsApiName"), get(c.settings, "websocketsApiRouteSelectionExpression")
	if isNull(name) {
		name = get(c.settings, "websocketApiName") // as serverless-websockets-plugin calls both
	}
	if isNull(selection) {
		selection = get(c.settings, "websocketApiRouteSelectionExpression")
	}
	if isNull(name) {
		name = text(c.Stage+"-"+c.Name+"-websockets", at)
	}
	if isNull(selection) {
		selection = text("$request.body.action", at)
	}
	set(c.resources, apiID, object(at, "Type", "AWS::ApiGatewayV2::Api", "Properties", object(at,
		"Name", name, "RouteSelectionExpression", selection, "Description", c.description(), "ProtocolType", "WEBSOCKET")))
}

// endpoint is where the same API would be on AWS.
func (c *compiler) endpoint(at *yaml.Node) *yaml.Node {
	return sub("wss://${"+apiID+"}.execute-api.${AWS::Region}.${AWS::URLSuffix}/"+c.Stage, at)
}

// busSchedule is an eventBridge event that has a schedule, as the event schedule
// says the same.
func (c *compiler) busSchedule(f function, v *yaml.Node) *yaml.Node {
	settings := object(v, "rate", get(v, "schedule"))
	for _, m := range pairs(v) {
		switch key := m.key.Value; key {
		case "schedule":
		case "input", "inputPath", "inputTransformer", "retryPolicy":
			set(settings, key, m.value)
		case "state":
			if scalar(m.value) == "DISABLED" {
				set(settings, "enabled", text("false", m.value))
			}
		case "pattern":
			c.notef(m.key, true, "function %s: the pattern of an eventBridge event is never matched here; its schedule runs", clip(f.key))
		default:
			c.notef(m.key, false, "function %s: %q of an eventBridge event has no effect here", clip(f.key), clip(key))
		}
	}
	return settings
}

// schedule makes one rule for each expression; count is how many the function has.
func (c *compiler) schedule(f function, v, at *yaml.Node, count int) int {
	expressions, state := []*yaml.Node{v}, "ENABLED"
	settings := object(at)
	if v != nil && v.Kind == yaml.MappingNode && get(v, "rate") != nil {
		settings = v
		rate := get(v, "rate")
		if expressions = []*yaml.Node{rate}; rate.Kind == yaml.SequenceNode {
			expressions = rate.Content
		}
		if enabled := scalar(get(v, "enabled")); enabled == "false" {
			state = "DISABLED"
		}
	}
	for _, m := range pairs(settings) {
		switch m.key.Value {
		case "rate", "enabled", "name", "description", "input", "inputPath", "inputTransformer", "retryPolicy", "method", "roleArn", "timezone":
		default:
			c.notef(m.key, false, "function %s: %q of a schedule isn't known here and has no effect", clip(f.key), clip(m.key.Value))
		}
	}
	input := get(settings, "input")
	if !isNull(input) && !isText(input) {
		b, err := json.Marshal(jsonOf(input, 0))
		if err != nil {
			c.errorf(input, "", "function %s: a schedule's input must be JSON: %v", clip(f.key), err)
		}
		input = text(string(b), input)
	}
	for _, e := range expressions {
		count++
		n := strconv.Itoa(count)
		if scalar(get(settings, "method")) == "scheduler" {
			c.scheduler(f, settings, e, input, state, n, at)
			continue
		}
		rule := f.id + "EventsRuleSchedule" + n
		goal := object(at, "Arn", getAtt(f.logicalID(), "Arn", at), "Id", f.key+"Schedule", "Input", input, "InputPath", get(settings, "inputPath"))
		if t := get(settings, "inputTransformer"); t != nil {
			set(goal, "InputTransformer", object(t, "InputTemplate", get(t, "inputTemplate"), "InputPathsMap", get(t, "inputPathsMap")))
		}
		if p := get(settings, "retryPolicy"); !isNull(p) {
			set(goal, "RetryPolicy", object(p, "MaximumEventAgeInSeconds", get(p, "maximumEventAge"), "MaximumRetryAttempts", get(p, "maximumRetryAttempts")))
		}
		set(c.resources, rule, object(at, "Type", "AWS::Events::Rule", "Properties", object(at, "ScheduleExpression", e, "State", state,
			"Name", get(settings, "name"), "Description", get(settings, "description"), "Targets", list(at, goal))))
		set(c.resources, f.id+"LambdaPermissionEventsRuleSchedule"+n, object(at, "Type", "AWS::Lambda::Permission", "Properties", object(at,
			"FunctionName", getAtt(f.logicalID(), "Arn", at), "Action", "lambda:InvokeFunction", "Principal", "events.amazonaws.com",
			"SourceArn", getAtt(rule, "Arn", at))))
	}
	return count
}

// scheduler makes a schedule of EventBridge Scheduler.
func (c *compiler) scheduler(f function, settings, expression, input *yaml.Node, state, n string, at *yaml.Node) {
	role := get(settings, "roleArn")
	if isNull(role) {
		role = c.roleOf(f)
		if id := c.madeRole(f); id != "" && !slices.ContainsFunc(c.scheduled[id], func(other function) bool { return other.key == f.key }) {
			c.scheduled[id] = append(c.scheduled[id], f)
		}
	}
	set(c.resources, f.id+"EventsRuleSchedule"+n, object(at, "Type", "AWS::Scheduler::Schedule", "Properties", object(at,
		"ScheduleExpression", expression, "ScheduleExpressionTimezone", get(settings, "timezone"), "State", state,
		"Name", get(settings, "name"), "Description", get(settings, "description"), "FlexibleTimeWindow", object(at, "Mode", "OFF"),
		"Target", object(at, "Arn", getAtt(f.logicalID(), "Arn", at), "RoleArn", role, "Input", input))))
}

// jsonOf is a resolved tree as encoding/json takes it.
func jsonOf(n *yaml.Node, depth int) any {
	if isNull(n) || depth > 200 {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for _, p := range pairs(n) {
			m[p.key.Value] = jsonOf(p.value, depth+1)
		}
		return m
	case yaml.SequenceNode:
		all := make([]any, 0, len(n.Content))
		for _, x := range n.Content {
			all = append(all, jsonOf(x, depth+1))
		}
		return all
	}
	switch n.Tag {
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value)
		}
	}
	return n.Value
}
