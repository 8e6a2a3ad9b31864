package stack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// AWS::Lambda::Version and AWS::Lambda::Alias, and SAM's AutoPublishAlias, which
// makes both. Source: the CloudFormation reference, and SAM's specification.

const noProvisioned = "an environment starts when it is needed"

var versionType = &resourceType{
	name:       "AWS::Lambda::Version",
	attributes: []string{"FunctionArn", "Version"},
	properties: map[string]property{
		"CodeSha256":                   noEffect(aText, "the version is of the code that is there"),
		"Description":                  replaces(textProperty),
		"FunctionName":                 required(replaces(textProperty)),
		"FunctionScalingConfig":        notBuilt(anyJSON),
		"ProvisionedConcurrencyConfig": noEffect(anyJSON, noProvisioned),
		"RuntimePolicy":                noEffect(anyJSON, "the machine's own runtime is used"),
	},
}

var aliasType = &resourceType{
	name:       "AWS::Lambda::Alias",
	attributes: []string{"AliasArn"},
	properties: map[string]property{
		"Description":                  textProperty,
		"FunctionName":                 required(replaces(textProperty)),
		"FunctionVersion":              required(textProperty),
		"Name":                         required(replaces(textProperty)),
		"ProvisionedConcurrencyConfig": noEffect(anyJSON, noProvisioned),
		"RoutingConfig": fields(anObject, map[string]property{"AdditionalVersionWeights": fields(objects, map[string]property{
			"FunctionVersion": required(textProperty), "FunctionWeight": required(property{form: aNumber}),
		})}),
	},
}

// autoPublish adds the version and the alias of AutoPublishAlias; fn are the
// function's properties. As in SAM, the version has another logical id when the
// function has changed, so that there is a new one.
func (x *expander) autoPublish(res *resource, fn *value) {
	alias := res.properties.get("AutoPublishAlias")
	if alias == nil {
		return
	}
	name, ok := alias.scalar()
	if !ok || name == "" {
		x.r.errorf(res.propertyPlace("AutoPublishAlias"), "must be a text that is known before anything is made")
		return
	}
	state := fn.json()
	if code, ok := fn.get("Code").scalar(); ok && strings.HasSuffix(code, ".zip") {
		if !filepath.IsAbs(code) {
			code = filepath.Join(filepath.Dir(x.s.Path), filepath.FromSlash(code))
		}
		if info, err := os.Stat(code); err == nil { // one that isn't there is reported elsewhere
			state += fmt.Sprint(info.Size(), info.ModTime().UnixNano())
		}
	}
	version := res.id + "Version" + hashText(state)[:10]
	made := x.made(res, version, "AWS::Lambda::Version", objectAt(alias, "FunctionName", refAt(res.id, alias), "Description", res.properties.get("VersionDescription")))
	x.add(made)
	aliasID := res.id + "Alias" + strings.Map(func(c rune) rune {
		if isLogicalID(string(c)) {
			return c
		}
		return -1
	}, name)
	x.add(x.made(res, aliasID, "AWS::Lambda::Alias", objectAt(alias, "FunctionName", refAt(res.id, alias), "FunctionVersion", attAt(version, "Version", alias), "Name", alias)))
	x.s.env.aliases[res.id+".Version"] = version
	x.s.env.aliases[res.id+".Alias"] = aliasID
}

// invoked returns what events of a SAM function call: its alias, when it has one
// by AutoPublishAlias.
func (x *expander) invoked(res *resource, attribute string, at *value) *value {
	if alias := x.s.env.aliases[res.id+".Alias"]; alias != "" {
		return refAt(alias, at)
	}
	if attribute == "" {
		return refAt(res.id, at)
	}
	return attAt(res.id, attribute, at)
}

// splitFunction returns the name and the qualifier in a function's name or ARN.
func splitFunction(s string) (name, qualifier string) {
	parts := strings.Split(s, ":")
	switch {
	case len(parts) >= 7 && parts[0] == "arn" && parts[5] == "function":
		parts = parts[6:]
	case len(parts) >= 3 && parts[1] == "function": // 123456789012:function:name
		parts = parts[2:]
	}
	if len(parts) > 1 {
		return parts[0], parts[1]
	}
	return parts[0], ""
}

type versionHandler struct{}

func (versionHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	name, _ := splitFunction(c.get("FunctionName"))
	var answer struct{ FunctionArn, Version string }
	err := a.rest(ctx, lambdaService, "PublishVersion", http.MethodPost, lambdaPath+"/"+url.PathEscape(name)+"/versions",
		map[string]any{"Description": c.get("Description")}, &answer)
	if err != nil {
		return RecordedResource{}, err
	}
	out := c.recorded(answer.FunctionArn, answer.FunctionArn)
	out.Attributes["Version"], out.Attributes["FunctionArn"] = answer.Version, answer.FunctionArn
	out.Details["FunctionName"], out.Details["Version"] = name, answer.Version
	return out, nil
}

// update never happens: every property of a version replaces it.
func (h versionHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.create(ctx, a, c)
}

func (versionHandler) path(old RecordedResource) string {
	return lambdaPath + "/" + url.PathEscape(old.Details["FunctionName"])
}

func (h versionHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, lambdaService, "DeleteFunction", http.MethodDelete, h.path(old)+"?Qualifier="+url.QueryEscape(old.Details["Version"]), nil, nil)
}

func (h versionHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	return there(a.rest(ctx, lambdaService, "GetFunctionConfiguration", http.MethodGet, h.path(old)+"/configuration?Qualifier="+url.QueryEscape(old.Details["Version"]), nil, nil))
}

type aliasHandler struct{}

func aliasPath(function string) string {
	return lambdaPath + "/" + url.PathEscape(function) + "/aliases"
}

func (h aliasHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	name, _ := splitFunction(c.get("FunctionName"))
	body := h.body(c)
	body["Name"] = c.get("Name")
	var answer struct{ AliasArn string }
	err := a.rest(ctx, lambdaService, "CreateAlias", http.MethodPost, aliasPath(name), body, &answer)
	if isConflict(err) { // made by a run that didn't come to record it
		return h.update(ctx, a, c)
	}
	return h.recorded(c, name, answer.AliasArn), err
}

// body is what CreateAlias and UpdateAlias share: what isn't given is cleared.
func (aliasHandler) body(c *change) map[string]any {
	weights := map[string]any{}
	if w := c.properties.get("RoutingConfig").get("AdditionalVersionWeights"); w != nil {
		for _, item := range w.items {
			version, _ := item.get("FunctionVersion").scalar()
			weights[version] = item.get("FunctionWeight").plain()
		}
	}
	return map[string]any{"FunctionVersion": c.get("FunctionVersion"), "Description": c.get("Description"), "RoutingConfig": map[string]any{"AdditionalVersionWeights": weights}}
}

func (aliasHandler) recorded(c *change, function, arn string) RecordedResource {
	out := c.recorded(arn, arn)
	out.Attributes["AliasArn"] = arn
	out.Details["FunctionName"], out.Details["Alias"] = function, c.get("Name")
	return out
}

func (h aliasHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	name, _ := splitFunction(c.get("FunctionName"))
	var answer struct{ AliasArn string }
	err := a.rest(ctx, lambdaService, "UpdateAlias", http.MethodPut, aliasPath(name)+"/"+url.PathEscape(c.get("Name")), h.body(c), &answer)
	return h.recorded(c, name, answer.AliasArn), err
}

func (aliasHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, lambdaService, "DeleteAlias", http.MethodDelete, aliasPath(old.Details["FunctionName"])+"/"+url.PathEscape(old.Details["Alias"]), nil, nil)
}

func (aliasHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	return there(a.rest(ctx, lambdaService, "GetAlias", http.MethodGet, aliasPath(old.Details["FunctionName"])+"/"+url.PathEscape(old.Details["Alias"]), nil, nil))
}
