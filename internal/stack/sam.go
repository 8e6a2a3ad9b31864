package stack

import (
	"fmt"
	"slices"
	"strings"
)

// SAM's types become CloudFormation's here, with the logical ids that SAM
// gives. Source: the SAM specification and the logical ids of
// docs/internals/generated_resources.rst of aws/serverless-application-model.

// globalsOf lists, by section of Globals, the properties that may stand there;
// nil marks sections whose types are placeholders here, which aren't checked.
var globalsOf = map[string][]string{
	"Function": {
		"Architectures", "AssumeRolePolicyDocument", "AutoPublishAlias", "AutoPublishAliasAllProperties", "CapacityProviderConfig",
		"CodeSigningConfigArn", "CodeUri", "DeadLetterQueue", "DeploymentPreference", "Description", "DurableConfig", "Environment",
		"EphemeralStorage", "EventInvokeConfig", "FileSystemConfigs", "FunctionScalingConfig", "FunctionUrlConfig", "Handler",
		"KmsKeyArn", "Layers", "LoggingConfig", "MemorySize", "PermissionsBoundary", "PropagateTags", "ProvisionedConcurrencyConfig",
		"PublishToLatestPublished", "RecursiveLoop", "ReservedConcurrentExecutions", "RolePath", "Runtime", "RuntimeManagementConfig",
		"SnapStart", "SourceKMSKeyArn", "Tags", "TenancyConfig", "Timeout", "Tracing", "VersionDeletionPolicy", "VpcConfig",
	},
	"WebSocketApi": {
		"AccessLogSettings", "ApiKeySelectionExpression", "DefaultRouteSettings", "DisableExecuteApiEndpoint", "DisableSchemaValidation",
		"Domain", "FailOnWarnings", "IpAddressType", "PropagateTags", "RouteSelectionExpression", "RouteSettings", "StageVariables", "Tags",
	},
	"SimpleTable":      {"SSESpecification"},
	"Api":              nil,
	"HttpApi":          nil,
	"StateMachine":     nil,
	"LayerVersion":     nil,
	"CapacityProvider": nil,
}

// passedThrough are the properties of AWS::Serverless::Function that are also
// Lambda's, under the same name and with the same form.
var passedThrough = []string{
	"Architectures", "CapacityProviderConfig", "CodeSigningConfigArn", "Description", "DurableConfig", "Environment", "EphemeralStorage",
	"FileSystemConfigs", "FunctionName", "FunctionScalingConfig", "Handler", "ImageConfig", "KmsKeyArn", "Layers", "LoggingConfig",
	"MemorySize", "PackageType", "RecursiveLoop", "ReservedConcurrentExecutions", "Runtime", "RuntimeManagementConfig", "SnapStart",
	"TenancyConfig", "Timeout", "VpcConfig",
}

// samProperties are the properties of the SAM types, as far as they aren't
// passed through.
func samProperties(typ string) map[string]property {
	any := property{form: anyJSON}
	switch typ {
	case "AWS::Serverless::Function":
		m := map[string]property{
			"AssumeRolePolicyDocument":      any,
			"AutoPublishAlias":              textProperty,
			"AutoPublishAliasAllProperties": any, /* as is done here always */
			"AutoPublishCodeSha256":         noEffect(aText, "the code itself is looked at"),
			"CodeUri":                       any,
			"DeadLetterQueue":               fields(anObject, map[string]property{"Type": required(oneOf("SQS", "SNS")), "TargetArn": required(any)}),
			"DeploymentPreference":          notBuilt(anyJSON),
			"EventInvokeConfig":             samEventInvoke,
			"Events":                        any,
			"FunctionUrlConfig":             noEffect(anyJSON, "function URLs are not served here; to call the function: tidegate invoke FUNCTION EVENT"),
			"ImageUri":                      {form: aText, notBuilt: "container images don't run here: give the code with CodeUri, Handler and Runtime"},
			"InlineCode":                    textProperty,
			"PermissionsBoundary":           any,
			"Policies":                      any,
			"PropagateTags":                 booleanProperty,
			"ProvisionedConcurrencyConfig":  noEffect(anyJSON, noProvisioned),
			"PublishToLatestPublished":      notBuilt(anyJSON),
			"Role":                          any,
			"RolePath":                      any,
			"SourceKMSKeyArn":               noEffect(aText, "code is not encrypted with KMS"),
			"Tags":                          {form: textMap},
			"Tracing":                       textProperty,
			"VersionDeletionPolicy":         noEffect(aText, "a version goes when the alias leaves it"),
			"VersionDescription":            textProperty,
		}
		for _, name := range passedThrough {
			m[name] = any
		}
		return m
	case "AWS::Serverless::LayerVersion":
		return samLayerProperties
	case "AWS::Serverless::SimpleTable":
		return map[string]property{
			"PointInTimeRecoverySpecification": any,
			"PrimaryKey": fields(anObject, map[string]property{
				"Name": required(textProperty), "Type": required(oneOf("String", "Number", "Binary")),
			}),
			"ProvisionedThroughput": any,
			"SSESpecification":      any,
			"TableName":             any,
			"Tags":                  {form: textMap},
		}
	}
	return map[string]property{
		"AccessLogSettings": any, "ApiKeySelectionExpression": any, "DefaultRouteSettings": any, "Description": any,
		"DisableExecuteApiEndpoint": any, "DisableSchemaValidation": any, "FailOnWarnings": any, "IpAddressType": any,
		"Name": any, "RouteSelectionExpression": any, "RouteSettings": any, "StageVariables": any,
		"Auth":          any,
		"Domain":        any,
		"PropagateTags": booleanProperty,
		"Routes":        any,
		"StageName":     textProperty,
		"Tags":          {form: textMap},
	}
}

var samRoute = map[string]property{
	"ApiKeyRequired": {form: anyJSON}, "FunctionArn": {form: anyJSON}, "IntegrationTimeout": {form: anyJSON},
	"ModelSelectionExpression": {form: anyJSON}, "OperationName": {form: anyJSON}, "RequestModels": {form: anyJSON},
	"RequestParameters": {form: anyJSON}, "RouteResponseSelectionExpression": {form: anyJSON},
}

// An expander turns SAM resources into CloudFormation's.
type expander struct {
	s       *Stack
	t       *template
	r       *reporter
	e       *evaluator
	globals map[string]*value
	out     []*resource
	// toldTransform says that the missing Transform was reported.
	toldTransform bool
}

// expandSAM returns the resources with every SAM type that is built replaced by
// what it stands for.
func expandSAM(s *Stack, t *template, all []*resource, r *reporter) []*resource {
	x := &expander{s: s, t: t, r: r, e: &evaluator{env: s.env, r: r}, globals: map[string]*value{}}
	if t.sam {
		x.readGlobals()
	}
	for _, res := range all {
		if !slices.Contains(samTypes, res.typ) {
			x.add(res)
			continue
		}
		if !t.sam {
			if x.toldTransform {
				continue
			}
			x.toldTransform = true
			r.report(res.place().in("Type"), "add Transform: "+samTransform, "%s belongs to SAM, and the template doesn't say that it is one", res.typ)
			continue
		}
		res.properties = x.merged(res)
		checked := conformObject(res.properties, samProperties(res.typ), res.propertyPlace(""), r)
		if checked.quiet {
			continue
		}
		res.properties = checked.value
		switch res.typ {
		case "AWS::Serverless::Function":
			x.function(res)
		case "AWS::Serverless::LayerVersion":
			x.layer(res)
		case "AWS::Serverless::SimpleTable":
			x.simpleTable(res)
		default:
			x.webSocketAPI(res)
		}
	}
	return x.out
}

// add appends a resource; two of the same id are an error.
func (x *expander) add(res *resource) {
	for _, other := range x.out {
		if other.id == res.id {
			x.r.errorf(res.place(), "there are two resources %s: SAM makes one of that name for %s", res.id, strings.TrimSpace(other.source+res.source))
			return
		}
	}
	x.out = append(x.out, res)
}

// made returns a resource that SAM makes for another.
func (x *expander) made(from *resource, id, typ string, properties *value) *resource {
	return &resource{id: id, typ: typ, line: from.line, column: from.column, properties: properties, source: from.id, deletionPolicy: from.deletionPolicy}
}

// readGlobals evaluates the section Globals.
func (x *expander) readGlobals() {
	if x.t.globals == nil {
		return
	}
	for _, m := range x.t.globals.members {
		at := place{line: m.line, column: m.column, property: joinPath("Globals", m.name)}
		allowed, ok := globalsOf[m.name]
		if !ok {
			x.r.report(at, didYouMean(m.name, keys(globalsOf)), "Globals has no section %q", clip(m.name))
			continue
		}
		if m.value.kind != object {
			x.r.errorf(at, "must be a map, not %s", kindOf(m.value))
			continue
		}
		if allowed == nil {
			continue
		}
		for _, p := range m.value.members {
			if !slices.Contains(allowed, p.name) {
				here := at.in(p.name)
				here.line, here.column = p.line, p.column
				x.r.report(here, didYouMean(p.name, allowed), "%q can't be given for all at once", clip(p.name))
			}
		}
		x.globals["AWS::Serverless::"+m.name] = x.e.eval(m.value, at)
	}
}

// merged returns the resource's properties with the globals of its type below.
func (x *expander) merged(res *resource) *value {
	g := x.globals[res.typ]
	if g == nil {
		return res.properties
	}
	if v := res.ignoreGlobals; v != nil {
		if v.text == "*" {
			return res.properties
		}
		kept := &value{kind: object}
		for _, m := range g.members {
			if !slices.ContainsFunc(v.items, func(i *value) bool { return i.text == m.name }) {
				kept.members = append(kept.members, m)
			}
		}
		g = kept
	}
	return mergeGlobal(g, res.properties)
}

// mergeGlobal merges as SAM does: maps member by member, lists one after the
// other, anything else is the local value.
func mergeGlobal(global, local *value) *value {
	_, _, call := global.intrinsic()
	_, _, call2 := local.intrinsic()
	switch {
	case call || call2 || global.kind != local.kind:
		return local
	case local.kind == list:
		return listAt(local, slices.Concat(global.items, local.items)...)
	case local.kind != object:
		return local
	}
	out := (&value{kind: object}).placed(local)
	for _, m := range global.members {
		if l := local.get(m.name); l != nil {
			m.value = mergeGlobal(m.value, l)
		}
		out.members = append(out.members, m)
	}
	for _, m := range local.members {
		if global.get(m.name) == nil {
			out.members = append(out.members, m)
		}
	}
	return out
}

// function expands AWS::Serverless::Function: the function, its role unless it
// names one, and what its events need.
func (x *expander) function(res *resource) {
	p := res.properties
	at := p
	fn := &value{kind: object, line: p.line, column: p.column}
	set := func(name string, v *value) {
		if v != nil {
			fn.members = append(fn.members, member{name: name, line: v.line, column: v.column, value: v})
		}
	}
	for _, name := range passedThrough {
		set(name, p.get(name))
	}
	set("Code", x.functionCode(res))
	if t := p.get("Tracing"); t != nil {
		set("TracingConfig", objectAt(t, "Mode", t))
	}
	if d := p.get("DeadLetterQueue"); d != nil {
		set("DeadLetterConfig", objectAt(d, "TargetArn", d.get("TargetArn")))
	}
	tags := tagsOf(p.get("Tags"), "lambda:createdBy", at)
	set("Tags", tags)
	role := p.get("Role")
	if role == nil {
		role = attAt(res.id+"Role", "Arn", at)
	}
	set("Role", role)
	lambda := *res
	lambda.typ, lambda.properties = "AWS::Lambda::Function", fn
	lambda.source, lambda.trails = res.id, functionTrails
	x.add(&lambda)
	x.autoPublish(res, fn)
	policies := x.eventInvoke(res)
	if p.get("Role") == nil {
		x.functionRole(res, tags, policies)
	}
	x.functionEvents(res)
}

// functionCode returns Lambda's Code for SAM's CodeUri or InlineCode.
func (x *expander) functionCode(res *resource) *value {
	p := res.properties
	inline, uri := p.get("InlineCode"), p.get("CodeUri")
	switch {
	case inline != nil:
		return objectAt(inline, "ZipFile", inline)
	case uri == nil:
		return textAt(".", p) // as SAM's tools do
	case uri.kind == object && uri.get("Bucket") != nil:
		return objectAt(uri, "S3Bucket", uri.get("Bucket"), "S3Key", uri.get("Key"), "S3ObjectVersion", uri.get("Version"))
	}
	if bucketAndKey, ok := strings.CutPrefix(uri.text, "s3://"); ok && uri.kind == text {
		bucket, key, _ := strings.Cut(bucketAndKey, "/")
		return objectAt(uri, "S3Bucket", textAt(bucket, uri), "S3Key", textAt(key, uri))
	}
	return uri
}

// tagsOf turns a map of tags into a list and adds the one that says that SAM
// made the resource.
func tagsOf(tags *value, createdBy string, at *value) *value {
	out := listAt(at)
	if tags != nil && tags.kind == object {
		for _, m := range tags.members {
			out.items = append(out.items, objectAt(m.value, "Key", textAt(m.name, m.value), "Value", m.value))
		}
	}
	if createdBy != "" {
		out.items = append(out.items, objectAt(at, "Key", textAt(createdBy, at), "Value", textAt("SAM", at)))
	}
	return out
}

const awsPolicies = "arn:aws:iam::aws:policy/"

// functionRole adds the role {Id}Role with the function's policies and others.
func (x *expander) functionRole(res *resource, tags *value, others []*value) {
	p, at := res.properties, res.properties
	trust := p.get("AssumeRolePolicyDocument")
	if trust == nil {
		trust = policyDocument(at, objectAt(at,
			"Action", listAt(at, textAt("sts:AssumeRole", at)),
			"Effect", textAt("Allow", at),
			"Principal", objectAt(at, "Service", listAt(at, textAt("lambda.amazonaws.com", at)))))
	}
	managed := listAt(at, textAt(awsPolicies+"service-role/AWSLambdaBasicExecutionRole", at))
	if mode, ok := p.get("Tracing").scalar(); ok && mode != "Disabled" {
		managed.items = append(managed.items, textAt(awsPolicies+"AWSXrayWriteOnlyAccess", at))
	}
	if p.get("VpcConfig") != nil {
		managed.items = append(managed.items, textAt(awsPolicies+"service-role/AWSLambdaVPCAccessExecutionRole", at))
	}
	inline := listAt(at, others...)
	if d := p.get("DeadLetterQueue"); d != nil {
		action := "sqs:SendMessage"
		if kind, _ := d.get("Type").scalar(); kind == "SNS" {
			action = "sns:Publish"
		}
		inline.items = append(inline.items, objectAt(d, "PolicyName", textAt("DeadLetterQueuePolicy", d),
			"PolicyDocument", policyDocument(d, objectAt(d, "Effect", textAt("Allow", d), "Action", textAt(action, d), "Resource", d.get("TargetArn")))))
	}
	x.policies(res, managed, inline)
	role := objectAt(at, "AssumeRolePolicyDocument", trust, "ManagedPolicyArns", managed, "Tags", tags,
		"Path", p.get("RolePath"), "PermissionsBoundary", p.get("PermissionsBoundary"))
	if len(inline.items) > 0 {
		role = role.with("Policies", inline)
	}
	made := x.made(res, res.id+"Role", "AWS::IAM::Role", role)
	made.trails = roleTrails
	x.add(made)
}

func policyDocument(at *value, statements ...*value) *value {
	return objectAt(at, "Version", textAt("2012-10-17", at), "Statement", listAt(at, statements...))
}

// Event types of functions of services that Tidegate lacks.
var (
	lackingEvents = []string{
		"Api", "HttpApi", "S3", "SNS", "SQS", "Kinesis", "MSK", "MQ", "SelfManagedKafka", "DocumentDB", "DynamoDB",
		"Cognito", "IoTRule", "AlexaSkill", "CloudWatchLogs", "EventBridgeRule", "CloudWatchEvent",
	}
	scheduleEvent = map[string]property{
		"DeadLetterConfig": {form: anyJSON}, "Description": {form: anyJSON}, "Enabled": booleanProperty, "Input": {form: anyJSON},
		"Name": {form: anyJSON}, "RetryPolicy": {form: anyJSON}, "RuleName": noEffect(aText, "SAM ignores it"),
		"Schedule": required(property{form: anyJSON}), "State": {form: anyJSON},
	}
)

func (x *expander) functionEvents(res *resource) {
	events := res.properties.get("Events")
	if events == nil {
		return
	}
	at := res.propertyPlace("Events")
	if events.kind != object {
		x.r.errorf(at, "must be a map, not %s", kindOf(events))
		return
	}
	for _, m := range events.members {
		here := at.in(m.name)
		here.line, here.column = m.line, m.column
		typ, _ := m.value.get("Type").scalar()
		switch {
		case m.value.kind != object || typ == "":
			x.r.errorf(here, "an event is a map with a Type")
		case typ == "Schedule":
			x.schedule(res, m, here)
		case typ == "ScheduleV2":
			x.scheduleV2(res, m, here)
		case slices.Contains(lackingEvents, typ):
			x.implicitAPI(m, typ)
			x.r.lacking(here, "no event of type %s happens here, so it never calls %s; to call it: tidegate invoke %s EVENT", typ, res.id, res.id)
		default:
			x.r.report(here.in("Type").at(m.value.get("Type")), didYouMean(typ, append([]string{"Schedule", "ScheduleV2"}, lackingEvents...)),
				"there is no event type %q", clip(typ))
		}
	}
}

// implicitAPI adds the API that SAM makes for events which name none, so that
// outputs may refer to it.
func (x *expander) implicitAPI(m member, typ string) {
	id, own := "ServerlessRestApi", "RestApiId"
	switch typ {
	case "HttpApi":
		id, own = "ServerlessHttpApi", "ApiId"
	case "Api":
	default:
		return
	}
	if m.value.get("Properties").get(own) != nil || x.t.resources.get(id) != nil || slices.ContainsFunc(x.out, func(r *resource) bool { return r.id == id }) {
		return
	}
	x.out = append(x.out, &resource{id: id, typ: "AWS::Serverless::" + typ, line: m.line, column: m.column, standIn: true,
		properties: (&value{kind: object}).placed(m.value)})
}

// schedule adds the rule {Fn}{Event} and its permission for a Schedule event.
func (x *expander) schedule(res *resource, m member, at place) {
	p := m.value.get("Properties")
	if p == nil {
		p = (&value{kind: object}).placed(m.value)
	}
	checked := conformFields(p, scheduleEvent, at.in("Properties"), x.r)
	id := res.id + m.name
	if !isLogicalID(id) {
		x.r.errorf(at, "an event's name has letters and digits only")
		return
	}
	state := checked.get("State")
	if enabled := checked.get("Enabled"); enabled != nil {
		if state != nil {
			x.r.errorf(at.in("Properties"), "give State or Enabled, not both")
		}
		state = textAt("DISABLED", enabled)
		if enabled.text == "true" {
			state = textAt("ENABLED", enabled)
		}
	}
	target := id + "LambdaTarget"
	if len(target) > 64 {
		target = id[:64-len("LambdaTarget")] + "LambdaTarget"
	}
	rule := x.made(res, id, "AWS::Events::Rule", objectAt(m.value,
		"ScheduleExpression", checked.get("Schedule"), "State", state, "Name", checked.get("Name"), "Description", checked.get("Description"),
		"Targets", listAt(m.value, objectAt(m.value,
			"Arn", x.invoked(res, "Arn", m.value), "Id", textAt(target, m.value), "Input", checked.get("Input"),
			"RetryPolicy", checked.get("RetryPolicy"), "DeadLetterConfig", x.eventDeadLetter(checked, at)))))
	rule.line, rule.column, rule.trails = m.line, m.column, eventTrails(m.name)
	x.add(rule)
	permission := x.made(res, id+"Permission", "AWS::Lambda::Permission", objectAt(m.value,
		"Action", textAt("lambda:InvokeFunction", m.value), "FunctionName", x.invoked(res, "", m.value),
		"Principal", textAt("events.amazonaws.com", m.value), "SourceArn", attAt(id, "Arn", m.value)))
	permission.line, permission.column, permission.trails = m.line, m.column, eventTrails(m.name)
	x.add(permission)
}

// eventDeadLetter returns the DeadLetterConfig of an event. SAM makes a queue
// for one that names no ARN; there is none here.
func (x *expander) eventDeadLetter(p *value, at place) *value {
	d := p.get("DeadLetterConfig")
	if d == nil || d.get("Arn") == nil {
		if d != nil {
			x.r.lacking(at.in("Properties").in("DeadLetterConfig").at(d), "the queue comes from a service that Tidegate lacks: what can't be delivered is said, and dropped")
		}
		return nil
	}
	return objectAt(d, "Arn", d.get("Arn"))
}

// scheduleV2Event are the properties of the event ScheduleV2.
var scheduleV2Event = map[string]property{
	"DeadLetterConfig": {form: anyJSON}, "Description": {form: anyJSON}, "EndDate": {form: anyJSON}, "FlexibleTimeWindow": {form: anyJSON},
	"GroupName": {form: anyJSON}, "Input": {form: anyJSON}, "KmsKeyArn": {form: anyJSON}, "Name": {form: anyJSON}, "OmitName": booleanProperty,
	"PermissionsBoundary": {form: anyJSON}, "RetryPolicy": {form: anyJSON}, "RoleArn": {form: anyJSON},
	"ScheduleExpression": required(property{form: anyJSON}), "ScheduleExpressionTimezone": {form: anyJSON}, "StartDate": {form: anyJSON},
	"State": {form: anyJSON},
}

// scheduleV2 adds the schedule {Fn}{Event}, and unless the event names a role
// the role {Fn}{Event}Role that lets Scheduler invoke the function.
func (x *expander) scheduleV2(res *resource, m member, at place) {
	p := m.value.get("Properties")
	if p == nil {
		p = (&value{kind: object}).placed(m.value)
	}
	checked := conformFields(p, scheduleV2Event, at.in("Properties"), x.r)
	id, here := res.id+m.name, m.value
	if !isLogicalID(id) {
		x.r.errorf(at, "an event's name has letters and digits only")
		return
	}
	role := checked.get("RoleArn")
	if role == nil {
		role = attAt(id+"Role", "Arn", here)
		trust := policyDocument(here, objectAt(here, "Effect", textAt("Allow", here), "Action", listAt(here, textAt("sts:AssumeRole", here)),
			"Principal", objectAt(here, "Service", listAt(here, textAt("scheduler.amazonaws.com", here)))))
		invoke := policyDocument(here, objectAt(here, "Effect", textAt("Allow", here), "Action", textAt("lambda:InvokeFunction", here), "Resource", x.invoked(res, "Arn", here)))
		made := x.made(res, id+"Role", "AWS::IAM::Role", objectAt(here, "AssumeRolePolicyDocument", trust, "PermissionsBoundary", checked.get("PermissionsBoundary"),
			"Policies", listAt(here, objectAt(here, "PolicyName", textAt(id+"LambdaInvokePolicy", here), "PolicyDocument", invoke))))
		made.line, made.column = m.line, m.column
		x.add(made)
	}
	name := checked.get("Name")
	if omit := checked.get("OmitName"); name == nil && (omit == nil || omit.text != "true") {
		name = textAt(id, here) // SAM names schedules by their logical id
	}
	window := checked.get("FlexibleTimeWindow")
	if window == nil {
		window = objectAt(here, "Mode", textAt("OFF", here))
	}
	schedule := x.made(res, id, "AWS::Scheduler::Schedule", objectAt(here,
		"ScheduleExpression", checked.get("ScheduleExpression"), "ScheduleExpressionTimezone", checked.get("ScheduleExpressionTimezone"),
		"FlexibleTimeWindow", window, "Name", name, "GroupName", checked.get("GroupName"), "Description", checked.get("Description"),
		"StartDate", checked.get("StartDate"), "EndDate", checked.get("EndDate"), "State", checked.get("State"), "KmsKeyArn", checked.get("KmsKeyArn"),
		"Target", objectAt(here, "Arn", x.invoked(res, "Arn", here), "RoleArn", role, "Input", checked.get("Input"),
			"RetryPolicy", checked.get("RetryPolicy"), "DeadLetterConfig", x.eventDeadLetter(checked, at))))
	schedule.line, schedule.column = m.line, m.column
	x.add(schedule)
}

// simpleTable expands AWS::Serverless::SimpleTable.
func (x *expander) simpleTable(res *resource) {
	p, at := res.properties, res.properties
	name, typ := textAt("id", at), textAt("S", at)
	if k := p.get("PrimaryKey"); k != nil {
		if n := k.get("Name"); n != nil {
			name = n
		}
		if t, ok := k.get("Type").scalar(); ok && t != "" {
			typ = textAt(t[:1], k)
		}
	}
	table := objectAt(at,
		"AttributeDefinitions", listAt(at, objectAt(at, "AttributeName", name, "AttributeType", typ)),
		"KeySchema", listAt(at, objectAt(at, "AttributeName", name, "KeyType", textAt("HASH", at))),
		"ProvisionedThroughput", p.get("ProvisionedThroughput"), "SSESpecification", p.get("SSESpecification"),
		"PointInTimeRecoverySpecification", p.get("PointInTimeRecoverySpecification"), "TableName", p.get("TableName"))
	if p.get("ProvisionedThroughput") == nil {
		table = table.with("BillingMode", textAt("PAY_PER_REQUEST", at))
	}
	if t := p.get("Tags"); t != nil {
		table = table.with("Tags", tagsOf(t, "", t))
	}
	dynamo := *res
	dynamo.typ, dynamo.properties, dynamo.source, dynamo.trails = "AWS::DynamoDB::Table", table, res.id, simpleTableTrails
	x.add(&dynamo)
}

// webSocketAPI expands AWS::Serverless::WebSocketApi: the API, for every route a
// route, an integration and a permission, and a stage that deploys itself.
func (x *expander) webSocketAPI(res *resource) {
	p, at := res.properties, res.properties
	x.checkWebSocketAPI(res)
	const tag = "websocketapi:createdBy"
	tags := (&value{kind: object}).placed(at)
	if t := p.get("Tags"); t != nil {
		tags = t
	}
	tags = tags.with(tag, textAt("SAM", at))
	name := p.get("Name")
	if name == nil {
		name = textAt(res.id, at)
	}
	api := *res
	api.typ, api.source = "AWS::ApiGatewayV2::Api", res.id
	api.properties = objectAt(at, "Name", name, "ProtocolType", textAt("WEBSOCKET", at),
		"RouteSelectionExpression", p.get("RouteSelectionExpression"), "ApiKeySelectionExpression", p.get("ApiKeySelectionExpression"),
		"Description", p.get("Description"), "DisableExecuteApiEndpoint", p.get("DisableExecuteApiEndpoint"),
		"DisableSchemaValidation", p.get("DisableSchemaValidation"), "FailOnWarnings", p.get("FailOnWarnings"),
		"IpAddressType", p.get("IpAddressType"), "Tags", tags)
	x.add(&api)

	stageName := p.get("StageName")
	if stageName == nil {
		stageName = textAt("default", at)
	}
	var routes []dependency
	authType, authorizerID := x.authorizer(res)
	for _, m := range outputMembers(p.get("Routes")) {
		var typ, authorizer *value
		if m.name == "$connect" {
			typ, authorizer = authType, authorizerID
		}
		if id := x.route(res, m, stageName, typ, authorizer); id != "" {
			routes = append(routes, dependency{id: id, line: m.line, column: m.column})
		}
	}
	prefix, _ := stageName.scalar()
	if prefix == "default" {
		prefix = "Default"
	}
	if !isLogicalID(prefix + "x") {
		prefix = strings.Map(func(c rune) rune {
			if isLogicalID(string(c)) {
				return c
			}
			return -1
		}, prefix)
	}
	stageTags := objectAt(at, tag, textAt("SAM", at))
	if b := p.get("PropagateTags"); b != nil && b.text == "true" {
		stageTags = tags
	}
	stage := x.made(res, res.id+prefix+"Stage", "AWS::ApiGatewayV2::Stage", objectAt(at,
		"ApiId", refAt(res.id, at), "StageName", stageName, "AutoDeploy", boolAt(true, at), "StageVariables", p.get("StageVariables"),
		"AccessLogSettings", p.get("AccessLogSettings"), "DefaultRouteSettings", p.get("DefaultRouteSettings"),
		"RouteSettings", p.get("RouteSettings"), "Tags", stageTags))
	if p.get("RouteSettings") != nil {
		stage.dependsOn = routes
	}
	x.add(stage)
	x.s.env.aliases[res.id+".Stage"] = stage.id
	x.domain(res, stage.id)
}

// checkWebSocketAPI reports what SAM refuses and what isn't built.
func (x *expander) checkWebSocketAPI(res *resource) {
	p, at := res.properties, res.place().in("Properties")
	routes := p.get("Routes")
	switch {
	case routes == nil:
		x.r.errorf(at, "AWS::Serverless::WebSocketApi needs the property Routes")
	case routes.kind != object:
		x.r.errorf(res.propertyPlace("Routes"), "must be a map, not %s", kindOf(routes))
	case len(routes.members) == 0:
		x.r.errorf(res.propertyPlace("Routes"), "a WebSocket API must have at least one route")
	}
	if s, _ := p.get("StageName").scalar(); s == "$default" {
		x.r.errorf(res.propertyPlace("StageName"), "stages cannot be named $default for WebSocket APIs")
	}
	auth := p.get("Auth")
	if auth == nil {
		return
	}
	if auth.kind != object {
		x.r.errorf(res.propertyPlace("Auth"), "must be a map, not %s", kindOf(auth))
		return
	}
	auth = conformFields(auth, samAuth, res.propertyPlace("Auth"), x.r)
	typ, _ := auth.get("AuthType").scalar()
	switch {
	case routes.get("$connect") == nil:
		x.r.errorf(res.propertyPlace("Auth"), "Auth needs a route $connect")
	case strings.EqualFold(typ, "CUSTOM") && auth.get("AuthArn") == nil:
		x.r.errorf(res.propertyPlace("Auth"), "AuthType CUSTOM needs the member AuthArn, the authorizer function's ARN")
	case !slices.ContainsFunc([]string{"NONE", "AWS_IAM", "CUSTOM"}, func(s string) bool { return strings.EqualFold(s, typ) }):
		x.r.errorf(res.propertyPlace("Auth"), "AuthType must be one of NONE, AWS_IAM and CUSTOM, not %q", clip(typ))
	}
}

// samAuth are the members of Auth of a WebSocketApi.
var samAuth = map[string]property{
	"AuthArn": {form: anyJSON}, "AuthType": required(textProperty), "IdentitySource": {form: anyJSON}, "InvokeRole": {form: anyJSON}, "Name": {form: anyJSON},
}

// authorizer adds the authorizer of a WebSocketApi's Auth, with the permission to
// ask it, and returns what the route $connect says of both.
func (x *expander) authorizer(res *resource) (typ, id *value) {
	auth := res.properties.get("Auth")
	kind, _ := auth.get("AuthType").scalar()
	kind = strings.ToUpper(kind)
	if kind == "" {
		return nil, nil
	}
	typ = textAt(kind, auth)
	function := auth.get("AuthArn")
	if kind != "CUSTOM" || function == nil {
		return typ, nil
	}
	name, sources := auth.get("Name"), auth.get("IdentitySource")
	logical := res.id + "ConnectAuthorizer"
	if name == nil {
		name = textAt(logical, auth)
	}
	if sources != nil && sources.kind == text {
		sources = listAt(sources, sources)
	}
	at := res.propertyPlace("Auth")
	made := func(id, typ string, properties *value) {
		r := x.made(res, id, typ, properties)
		r.trails = trailsOf("Properties.IdentitySource", "Properties.Auth.IdentitySource", "Properties.AuthorizerUri", "Properties.Auth.AuthArn",
			"Properties.FunctionName", "Properties.Auth.AuthArn", "Properties", "Properties.Auth")
		x.add(r)
	}
	made(logical, "AWS::ApiGatewayV2::Authorizer", objectAt(auth, "ApiId", refAt(res.id, auth), "Name", name, "AuthorizerType", textAt("REQUEST", auth),
		"AuthorizerCredentialsArn", auth.get("InvokeRole"), "IdentitySource", sources,
		"AuthorizerUri", x.e.concat(auth, "", []*value{
			textAt("arn:aws:apigateway:"+x.s.Region+":lambda:path/2015-03-31/functions/", auth), function, textAt("/invocations", auth),
		}, at)))
	made(res.id+"AuthorizerPermission", "AWS::Lambda::Permission", objectAt(auth, "Action", textAt("lambda:InvokeFunction", auth),
		"FunctionName", function, "Principal", textAt("apigateway.amazonaws.com", auth),
		"SourceArn", x.e.concat(auth, "", []*value{
			textAt(fmt.Sprintf("arn:aws:execute-api:%s:%s:", x.s.Region, x.s.Account), auth), attAt(res.id, "ApiId", auth), textAt("/authorizers/*", auth),
		}, at)))
	return typ, refAt(logical, auth)
}

// route adds what a route of a WebSocketApi stands for and returns the route's
// logical id.
func (x *expander) route(res *resource, m member, stageName, authType, authorizerID *value) string {
	at := res.propertyPlace("Routes").in(m.name)
	at.line, at.column = m.line, m.column
	clean := m.name
	switch {
	case slices.Contains([]string{"$connect", "$disconnect", "$default"}, m.name):
		clean = m.name[1:]
	case !isLogicalID(m.name):
		x.r.errorf(at, "route key %q must be alphanumeric; of those with $ there are only $connect, $disconnect and $default", clip(m.name))
		return ""
	}
	if m.value.kind != object {
		x.r.errorf(at, "a route is a map with a FunctionArn, not %s", kindOf(m.value))
		return ""
	}
	p := conformFields(m.value, samRoute, at, x.r)
	function := p.get("FunctionArn")
	if function == nil {
		x.r.errorf(at, "a route needs the member FunctionArn")
		return ""
	}
	if q := p.get("RequestParameters"); q != nil && m.name != "$connect" {
		x.r.errorf(at.in("RequestParameters").at(q), "request parameters are only for the route $connect")
	}
	// Capitalised as SAM does: the first letter upper case, all others lower.
	base := res.id + strings.ToUpper(clean[:1]) + strings.ToLower(clean[1:])
	here := m.value
	made := func(suffix, typ string, properties *value) {
		r := x.made(res, base+suffix, typ, properties)
		r.line, r.column, r.trails = m.line, m.column, routeTrails(m.name)
		x.add(r)
	}
	made("Route", "AWS::ApiGatewayV2::Route", objectAt(here, "ApiId", refAt(res.id, here), "RouteKey", textAt(m.name, here),
		"AuthorizationType", authType, "AuthorizerId", authorizerID,
		"ApiKeyRequired", p.get("ApiKeyRequired"), "ModelSelectionExpression", p.get("ModelSelectionExpression"),
		"OperationName", p.get("OperationName"), "RequestModels", p.get("RequestModels"), "RequestParameters", p.get("RequestParameters"),
		"RouteResponseSelectionExpression", p.get("RouteResponseSelectionExpression"),
		"Target", x.e.concat(here, "/", []*value{textAt("integrations", here), refAt(base+"Integration", here)}, at)))
	region := x.s.Region
	made("Integration", "AWS::ApiGatewayV2::Integration", objectAt(here, "ApiId", refAt(res.id, here),
		"IntegrationType", textAt("AWS_PROXY", here), "TimeoutInMillis", p.get("IntegrationTimeout"),
		"IntegrationUri", x.e.concat(here, "", []*value{
			textAt("arn:aws:apigateway:"+region+":lambda:path/2015-03-31/functions/", here), function, textAt("/invocations", here),
		}, at)))
	made("Permission", "AWS::Lambda::Permission", objectAt(here, "Action", textAt("lambda:InvokeFunction", here),
		"FunctionName", function, "Principal", textAt("apigateway.amazonaws.com", here),
		"SourceArn", x.e.concat(here, "", []*value{
			textAt(fmt.Sprintf("arn:aws:execute-api:%s:%s:", region, x.s.Account), here), attAt(res.id, "ApiId", here),
			textAt("/", here), stageName, textAt("/"+m.name, here),
		}, at)))
	return base + "Route"
}
