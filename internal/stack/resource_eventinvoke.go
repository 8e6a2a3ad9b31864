package stack

import (
	"context"
	"net/http"
	"net/url"
)

// AWS::Lambda::EventInvokeConfig, and SAM's property of that name. Source: the
// CloudFormation reference, and the SAM specification of EventInvokeConfiguration.

var eventInvokeType = &resourceType{
	name: "AWS::Lambda::EventInvokeConfig",
	properties: map[string]property{
		"DestinationConfig": fields(anObject, map[string]property{
			"OnFailure": fields(anObject, map[string]property{"Destination": required(textProperty)}),
			"OnSuccess": fields(anObject, map[string]property{"Destination": required(textProperty)}),
		}),
		"FunctionName":             required(replaces(textProperty)),
		"MaximumEventAgeInSeconds": integerProperty,
		"MaximumRetryAttempts":     integerProperty,
		"Qualifier":                required(replaces(oneOf("$LATEST"))),
	},
}

type eventInvokeHandler struct{}

func eventInvokePath(function string) string {
	return "/2019-09-25/functions/" + url.PathEscape(function) + "/event-invoke-config"
}

func (h eventInvokeHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	function, _ := splitFunction(c.get("FunctionName"))
	out := c.recorded(function+":$LATEST", "")
	out.Details["FunctionName"] = function
	body := map[string]any{}
	for _, name := range []string{"DestinationConfig", "MaximumEventAgeInSeconds", "MaximumRetryAttempts"} {
		if v := c.properties.get(name); v != nil {
			body[name] = v.plain()
		}
	}
	return out, a.rest(ctx, lambdaService, "PutFunctionEventInvokeConfig", http.MethodPut, eventInvokePath(function), body, nil)
}

// update is create: Put takes away what isn't given.
func (h eventInvokeHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.create(ctx, a, c)
}

func (eventInvokeHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, lambdaService, "DeleteFunctionEventInvokeConfig", http.MethodDelete, eventInvokePath(old.Details["FunctionName"]), nil, nil)
}

func (eventInvokeHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	return there(a.rest(ctx, lambdaService, "GetFunctionEventInvokeConfig", http.MethodGet, eventInvokePath(old.Details["FunctionName"]), nil, nil))
}

// samEventInvoke is SAM's property EventInvokeConfig.
var samEventInvoke = fields(anObject, map[string]property{
	"DestinationConfig":        fields(anObject, map[string]property{"OnFailure": samDestination, "OnSuccess": samDestination}),
	"MaximumEventAgeInSeconds": {form: anyJSON},
	"MaximumRetryAttempts":     {form: anyJSON},
})

var samDestination = fields(anObject, map[string]property{
	"Destination": {form: anyJSON}, "Type": required(oneOf("SQS", "SNS", "Lambda", "EventBridge")),
})

// destinationActions are what a function's role needs, by SAM's type.
var destinationActions = map[string]string{
	"SQS": "sqs:SendMessage", "SNS": "sns:publish", "Lambda": "lambda:InvokeFunction", "EventBridge": "events:PutEvents",
}

// eventInvoke adds {Fn}EventInvokeConfig, with the queues and topics that SAM
// makes for destinations without an ARN, and returns the policies that the
// function's role needs.
func (x *expander) eventInvoke(res *resource) []*value {
	config := res.properties.get("EventInvokeConfig")
	if config == nil {
		return nil
	}
	id := res.id + "EventInvokeConfig"
	properties := objectAt(config, "FunctionName", refAt(res.id, config), "Qualifier", textAt("$LATEST", config),
		"MaximumEventAgeInSeconds", config.get("MaximumEventAgeInSeconds"), "MaximumRetryAttempts", config.get("MaximumRetryAttempts"))
	var policies []*value
	targets := (&value{kind: object}).placed(config)
	for _, name := range []string{"OnSuccess", "OnFailure"} {
		d := config.get("DestinationConfig").get(name)
		if d == nil {
			continue
		}
		kind, _ := d.get("Type").scalar()
		arn := d.get("Destination")
		switch {
		case arn != nil:
		case kind == "SQS":
			x.add(x.made(res, id+name+"Queue", "AWS::SQS::Queue", objectAt(d)))
			arn = attAt(id+name+"Queue", "Arn", d)
		case kind == "SNS":
			x.add(x.made(res, id+name+"Topic", "AWS::SNS::Topic", objectAt(d)))
			arn = refAt(id+name+"Topic", d)
		default:
			x.r.errorf(res.propertyPlace("EventInvokeConfig").in("DestinationConfig").in(name).at(d), "a destination of Type %s needs the member Destination, an ARN", kind)
			continue
		}
		targets = targets.with(name, objectAt(d, "Destination", arn))
		policies = append(policies, objectAt(d, "PolicyName", textAt(id+name+"Policy", d),
			"PolicyDocument", policyDocument(d, objectAt(d, "Effect", textAt("Allow", d), "Action", textAt(destinationActions[kind], d), "Resource", arn))))
	}
	if len(targets.members) > 0 {
		properties = properties.with("DestinationConfig", targets)
	}
	made := x.made(res, id, "AWS::Lambda::EventInvokeConfig", properties)
	made.line, made.column = config.line, config.column
	x.add(made)
	return policies
}
