package stack

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
)

// The types of Lambda. Source: the CloudFormation reference of AWS::Lambda.

const onThisMachine = "functions run as processes of this machine"

var lambdaTypes = map[string]*resourceType{
	"AWS::Lambda::Function": {
		name:         "AWS::Lambda::Function",
		attributes:   []string{"Arn"},
		nameProperty: "FunctionName",
		nameLimit:    64,
		properties: map[string]property{
			"Architectures":          noEffect(texts, onThisMachine),
			"CapacityProviderConfig": notBuilt(anyJSON),
			"Code":                   required(property{form: anyJSON}),
			"CodeSigningConfigArn":   noEffect(aText, "code signatures are not checked"),
			"DeadLetterConfig":       fields(anObject, map[string]property{"TargetArn": textProperty}),
			"Description":            textProperty,
			"DurableConfig":          notBuilt(anyJSON),
			"Environment":            fields(anObject, map[string]property{"Variables": {form: textMap}}),
			"EphemeralStorage":       noEffect(anyJSON, onThisMachine),
			"FileSystemConfigs":      notBuilt(anyJSON),
			"FunctionName":           replaces(textProperty),
			"FunctionScalingConfig":  notBuilt(anyJSON),
			"Handler":                textProperty,
			"ImageConfig":            notBuilt(anyJSON),
			"KmsKeyArn":              noEffect(aText, "environment variables are not encrypted with KMS"),
			"Layers":                 {form: texts},
			"LoggingConfig": fields(anObject, map[string]property{
				"ApplicationLogLevel": textProperty, "LogFormat": textProperty, "SystemLogLevel": textProperty,
				"LogGroup": noEffect(aText, "a function logs to /aws/lambda/ and its name"),
			}),
			"MemorySize":                   integerProperty,
			"PackageType":                  {form: aText, notBuilt: "container images don't run here: give the code as a folder or zip file, with Handler and Runtime", harmless: "Zip"},
			"RecursiveLoop":                noEffect(aText, "loops are not detected"),
			"ReservedConcurrentExecutions": integerProperty,
			"Role":                         required(textProperty),
			"Runtime":                      textProperty,
			"RuntimeManagementConfig":      noEffect(anyJSON, "the machine's own runtime is used"),
			"SnapStart":                    noEffect(anyJSON, onThisMachine),
			"Tags":                         {form: tagList},
			"TenancyConfig":                notBuilt(anyJSON),
			"Timeout":                      integerProperty,
			"TracingConfig":                noEffect(anyJSON, "there is no X-Ray"),
			"VpcConfig":                    noEffect(anyJSON, onThisMachine),
		},
	},
	"AWS::Lambda::EventInvokeConfig": eventInvokeType,
	"AWS::Lambda::LayerVersion":      layerType,
	"AWS::Lambda::Version":           versionType,
	"AWS::Lambda::Alias":             aliasType,
	"AWS::Lambda::Permission": {
		name: "AWS::Lambda::Permission",
		properties: map[string]property{
			"Action":                required(replaces(textProperty)),
			"EventSourceToken":      notBuilt(aText),
			"FunctionName":          required(replaces(textProperty)),
			"FunctionUrlAuthType":   notBuilt(aText),
			"InvokedViaFunctionUrl": notBuilt(aBoolean),
			"Principal":             required(replaces(textProperty)),
			"PrincipalOrgID":        notBuilt(aText),
			"SourceAccount":         replaces(textProperty),
			"SourceArn":             replaces(textProperty),
		},
	},
}

// checkFunction reports what a function's properties say together; its code is
// checked with the files.
func checkFunction(res *resource, r *reporter) {
	for _, name := range []string{"Handler", "Runtime"} {
		if res.properties.get(name) == nil {
			r.errorf(res.place().in("Properties"), "a function needs the property %s", name)
		}
	}
	runtime, known := res.properties.get("Runtime").scalar()
	if known && languageOf(runtime) == nil {
		hint := didYouMean(runtime, []string{"nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x", "python3.11", "python3.12", "python3.13", "python3.14", "provided.al2", "provided.al2023"})
		if hint == "" {
			hint = "make it a program named bootstrap (provided.al2023), or leave the function to AWS"
		}
		r.report(res.propertyPlace("Runtime"), hint, "runtime %s doesn't run here; nodejs*, python3.*, provided* and go1.x do", clip(runtime))
	}
}

const lambdaService = "lambda" // the signing name

const lambdaPath = "/2015-03-31/functions"

type functionHandler struct{}

// payload is the function's code as CreateFunction and UpdateFunctionCode take
// it.
func (c *codePayload) payload() map[string]any {
	if c.folder != "" {
		m := map[string]any{"S3Bucket": folderBucket, "S3Key": c.folder}
		if c.build != nil {
			m["TidegateBuild"] = c.build
		}
		return m
	}
	return map[string]any{"ZipFile": base64.StdEncoding.EncodeToString(c.zip)}
}

// configuration is what CreateFunction and UpdateFunctionConfiguration share,
// with Lambda's defaults for what isn't given, so that an update clears it.
func (functionHandler) configuration(a *applier, c *change) map[string]any {
	m := map[string]any{
		"Role": c.get("Role"), "Handler": c.get("Handler"), "Runtime": c.get("Runtime"), "Description": c.get("Description"),
		"Timeout": 3, "MemorySize": 128, "Environment": map[string]any{"Variables": map[string]any{}},
		"LoggingConfig":    map[string]any{"LogFormat": "Text"},
		"DeadLetterConfig": map[string]any{"TargetArn": ""}, "Layers": a.s.ownLayers(c.properties.get("Layers")),
	}
	if v := c.properties.get("DeadLetterConfig"); v != nil {
		m["DeadLetterConfig"] = v.plain()
	}
	for _, name := range []string{"Timeout", "MemorySize", "LoggingConfig"} {
		if v := c.properties.get(name); v != nil {
			m[name] = v.plain()
		}
	}
	if v := c.properties.get("Environment").get("Variables"); v != nil {
		m["Environment"] = map[string]any{"Variables": v.plain()}
	}
	return m
}

// tagMap turns CloudFormation's list of tags into a map.
func tagMap(tags *value) map[string]any {
	m := map[string]any{}
	if tags == nil {
		return m
	}
	for _, t := range tags.items {
		k, _ := t.get("Key").scalar()
		v, _ := t.get("Value").scalar()
		m[k] = v
	}
	return m
}

func (h functionHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	body := h.configuration(a, c)
	body["FunctionName"], body["Code"], body["PackageType"] = c.name, c.code.payload(), "Zip"
	if tags := tagMap(c.properties.get("Tags")); len(tags) > 0 {
		body["Tags"] = tags
	}
	var answer struct{ FunctionArn string }
	err := a.rest(ctx, lambdaService, "CreateFunction", http.MethodPost, lambdaPath, body, &answer)
	if isConflict(err) {
		// Made by a run that didn't come to record it.
		return h.change(ctx, a, c, true, true)
	}
	if err != nil {
		return RecordedResource{}, err
	}
	return h.recorded(a, c, answer.FunctionArn), h.reserve(ctx, a, c)
}

// reserve sets how many invocations may run at once, or lifts the bound.
func (functionHandler) reserve(ctx context.Context, a *applier, c *change) error {
	path := "/2017-10-31/functions/" + url.PathEscape(c.name) + "/concurrency"
	if v := c.properties.get("ReservedConcurrentExecutions"); v != nil {
		return a.rest(ctx, lambdaService, "PutFunctionConcurrency", http.MethodPut, path, map[string]any{"ReservedConcurrentExecutions": v.plain()}, nil)
	}
	if !c.has("ReservedConcurrentExecutions") {
		return nil
	}
	return a.rest(ctx, lambdaService, "DeleteFunctionConcurrency", http.MethodDelete, path, nil, nil)
}

func (functionHandler) recorded(a *applier, c *change, arn string) RecordedResource {
	if arn == "" {
		arn = "arn:aws:lambda:" + a.s.Region + ":" + a.s.Account + ":function:" + c.name
	}
	out := c.recorded(c.name, arn)
	out.Attributes["Arn"] = arn
	return out
}

func (h functionHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	code := c.has("Code")
	settings := !(len(c.changed) == 1 && code) && !(len(c.changed) == 1 && c.has("Tags"))
	if c.has("Tags") {
		if err := h.retag(ctx, a, c); err != nil {
			return RecordedResource{}, err
		}
	}
	return h.change(ctx, a, c, code, settings)
}

// change updates the code, the configuration or both.
func (h functionHandler) change(ctx context.Context, a *applier, c *change, code, settings bool) (RecordedResource, error) {
	path := lambdaPath + "/" + url.PathEscape(c.name)
	var answer struct{ FunctionArn string }
	if settings {
		if err := a.rest(ctx, lambdaService, "UpdateFunctionConfiguration", http.MethodPut, path+"/configuration", h.configuration(a, c), &answer); err != nil {
			return RecordedResource{}, err
		}
	}
	if code {
		if err := a.rest(ctx, lambdaService, "UpdateFunctionCode", http.MethodPut, path+"/code", c.code.payload(), &answer); err != nil {
			return RecordedResource{}, err
		}
	}
	if settings {
		if err := h.reserve(ctx, a, c); err != nil {
			return RecordedResource{}, err
		}
	}
	arn := answer.FunctionArn
	if arn == "" && c.old != nil {
		arn = c.old.ARN
	}
	return h.recorded(a, c, arn), nil
}

func (functionHandler) retag(ctx context.Context, a *applier, c *change) error {
	path := "/2017-03-31/tags/" + url.PathEscape(c.old.ARN)
	wanted := tagMap(c.properties.get("Tags"))
	var now struct{ Tags map[string]string }
	if err := a.optional(c, "Tags", a.rest(ctx, lambdaService, "ListTags", http.MethodGet, path, nil, &now)); err != nil {
		return err
	}
	gone := url.Values{}
	for k := range now.Tags {
		if _, ok := wanted[k]; !ok {
			gone.Add("tagKeys", k)
		}
	}
	if len(gone) > 0 {
		if err := a.optional(c, "Tags", a.rest(ctx, lambdaService, "UntagResource", http.MethodDelete, path+"?"+gone.Encode(), nil, nil)); err != nil {
			return err
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	return a.optional(c, "Tags", a.rest(ctx, lambdaService, "TagResource", http.MethodPost, path, map[string]any{"Tags": wanted}, nil))
}

func (functionHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, lambdaService, "DeleteFunction", http.MethodDelete, lambdaPath+"/"+url.PathEscape(old.PhysicalID), nil, nil)
}

func (functionHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	return there(a.rest(ctx, lambdaService, "GetFunction", http.MethodGet, lambdaPath+"/"+url.PathEscape(old.PhysicalID), nil, nil))
}

type permissionHandler struct{}

// permissionPath is the path of a permission, or of all with an empty id. A
// qualifier is a version or an alias, which has permissions of its own.
func permissionPath(function, qualifier, id string) string {
	path := lambdaPath + "/" + url.PathEscape(function) + "/policy"
	if id != "" {
		path += "/" + url.PathEscape(id)
	}
	if qualifier != "" {
		path += "?Qualifier=" + url.QueryEscape(qualifier)
	}
	return path
}

func (h permissionHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	id := a.s.generatedName(c.res.id, 100)
	function, qualifier := splitFunction(c.get("FunctionName"))
	body := map[string]any{"StatementId": id, "Action": c.get("Action"), "Principal": c.get("Principal")}
	for _, name := range []string{"SourceArn", "SourceAccount"} {
		if s := c.get(name); s != "" {
			body[name] = s
		}
	}
	out := c.recorded(id, "")
	out.Details["FunctionName"] = function
	if qualifier != "" {
		out.Details["Qualifier"] = qualifier
	}
	err := a.rest(ctx, lambdaService, "AddPermission", http.MethodPost, permissionPath(function, qualifier, ""), body, nil)
	if isConflict(err) {
		if err := h.remove(ctx, a, out); err != nil && !isNotFound(err) {
			return out, err
		}
		err = a.rest(ctx, lambdaService, "AddPermission", http.MethodPost, permissionPath(function, qualifier, ""), body, nil)
	}
	return out, err
}

// update never happens: every property of a permission replaces it.
func (h permissionHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.create(ctx, a, c)
}

func (permissionHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, lambdaService, "RemovePermission", http.MethodDelete,
		permissionPath(old.Details["FunctionName"], old.Details["Qualifier"], old.PhysicalID), nil, nil)
}
