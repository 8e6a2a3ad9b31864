package stack

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"
)

// The types of API Gateway's version 1 that WebSocket APIs use: API keys and
// usage plans. Source: the CloudFormation reference of AWS::ApiGateway.

const keptTags = "tags of API keys and usage plans are set once, and nothing here reads them"

var apiGatewayTypes = map[string]*resourceType{
	"AWS::ApiGateway::ApiKey": {
		name:       "AWS::ApiGateway::ApiKey",
		attributes: []string{"APIKeyId"},
		properties: map[string]property{
			"CustomerId":         textProperty,
			"Description":        textProperty,
			"Enabled":            booleanProperty,
			"GenerateDistinctId": noEffect(aBoolean, "a key's id is never its value"),
			"Name":               replaces(textProperty),
			"StageKeys":          noEffect(anyJSON, "keys have been used through usage plans since 2016"),
			"Tags":               noEffect(tagList, keptTags),
			"Value":              replaces(textProperty),
		},
	},
	"AWS::ApiGateway::UsagePlan": {
		name:       "AWS::ApiGateway::UsagePlan",
		attributes: []string{"Id"},
		properties: map[string]property{
			"ApiStages": fields(objects, map[string]property{
				"ApiId":    required(textProperty),
				"Stage":    required(textProperty),
				"Throttle": {form: anyJSON, notBuilt: "is not built yet: a plan's own Throttle is, for all its stages"},
			}),
			"Description": textProperty,
			"Quota": fields(anObject, map[string]property{
				"Limit": integerProperty, "Offset": integerProperty, "Period": oneOf("DAY", "WEEK", "MONTH"),
			}),
			"Tags":          noEffect(tagList, keptTags),
			"Throttle":      fields(anObject, map[string]property{"BurstLimit": integerProperty, "RateLimit": {form: aNumber}}),
			"UsagePlanName": textProperty,
		},
	},
	"AWS::ApiGateway::UsagePlanKey": {
		name:       "AWS::ApiGateway::UsagePlanKey",
		attributes: []string{"Id"},
		properties: map[string]property{
			"KeyId":       required(replaces(textProperty)),
			"KeyType":     required(replaces(oneOf("API_KEY"))),
			"UsagePlanId": required(replaces(textProperty)),
		},
	},
}

// A patchOperation is one of version 1's PATCH.
type patchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value,omitempty"`
}

func patchBody(ops []patchOperation) map[string]any { return map[string]any{"patchOperations": ops} }

type apiKeyHandler struct{}

func apiKeyPath(id string) string { return "/apikeys/" + url.PathEscape(id) }

func (apiKeyHandler) recorded(c *change, id string) RecordedResource {
	out := c.recorded(id, "")
	out.Attributes["APIKeyId"] = id
	return out
}

func (h apiKeyHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	body := wireObject(c.properties, c.res.schema.properties, true)
	if body["name"] == nil {
		body["name"] = a.s.Name + "-" + c.res.id
	}
	var answer struct{ ID string }
	err := a.rest(ctx, apiGateway, "CreateApiKey", http.MethodPost, "/apikeys", body, &answer)
	if !isConflict(err) {
		return h.recorded(c, answer.ID), err
	}
	// Made by a run that didn't come to record it: its value says which it is.
	var all struct {
		Item []struct{ ID, Value string }
	}
	if found := a.rest(ctx, apiGateway, "GetApiKeys", http.MethodGet, "/apikeys?limit=500&includeValues=true", nil, &all); found != nil {
		return RecordedResource{}, found
	}
	for _, k := range all.Item {
		if k.Value == c.get("Value") {
			return h.patch(ctx, a, c, k.ID)
		}
	}
	return RecordedResource{}, err
}

func (h apiKeyHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.patch(ctx, a, c, c.old.PhysicalID)
}

func (h apiKeyHandler) patch(ctx context.Context, a *applier, c *change, id string) (RecordedResource, error) {
	ops := []patchOperation{
		{"replace", "/enabled", cmp.Or(strings.ToLower(c.get("Enabled")), "false")},
		{"replace", "/description", c.get("Description")}, {"replace", "/customerId", c.get("CustomerId")},
	}
	return h.recorded(c, id), a.rest(ctx, apiGateway, "UpdateApiKey", http.MethodPatch, apiKeyPath(id), patchBody(ops), nil)
}

func (apiKeyHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, apiGateway, "DeleteApiKey", http.MethodDelete, apiKeyPath(old.PhysicalID), nil, nil)
}

type usagePlanHandler struct{}

func usagePlanPath(segments ...string) string {
	path := "/usageplans"
	for _, s := range segments {
		path += "/" + url.PathEscape(s)
	}
	return path
}

func (usagePlanHandler) recorded(c *change, id string) RecordedResource {
	out := c.recorded(id, "")
	out.Attributes["Id"] = id
	return out
}

func (h usagePlanHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	body := wireObject(c.properties, c.res.schema.properties, true, "UsagePlanName")
	body["name"] = cmp.Or(c.get("UsagePlanName"), a.s.Name+"-"+c.res.id)
	var answer struct{ ID string }
	err := a.rest(ctx, apiGateway, "CreateUsagePlan", http.MethodPost, usagePlanPath(), body, &answer)
	return h.recorded(c, answer.ID), err
}

// update takes the plan apart and puts it together as the template says, in one
// call.
func (h usagePlanHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	path := usagePlanPath(c.old.PhysicalID)
	ops, err := h.clear(ctx, a, path)
	if err != nil {
		return RecordedResource{}, err
	}
	ops = append(ops, patchOperation{"remove", "/throttle", ""}, patchOperation{"remove", "/quota", ""},
		patchOperation{"replace", "/name", cmp.Or(c.get("UsagePlanName"), a.s.Name+"-"+c.res.id)}, patchOperation{"replace", "/description", c.get("Description")})
	for _, of := range []string{"Throttle", "Quota"} {
		if v := c.properties.get(of); v != nil {
			for _, m := range v.members {
				text, _ := m.value.scalar()
				ops = append(ops, patchOperation{"replace", "/" + lowerFirst(of) + "/" + lowerFirst(m.name), text})
			}
		}
	}
	if stages := c.properties.get("ApiStages"); stages != nil {
		for _, s := range stages.items {
			api, _ := s.get("ApiId").scalar()
			name, _ := s.get("Stage").scalar()
			ops = append(ops, patchOperation{"add", "/apiStages", api + ":" + name})
		}
	}
	return h.recorded(c, c.old.PhysicalID), a.rest(ctx, apiGateway, "UpdateUsagePlan", http.MethodPatch, path, patchBody(ops), nil)
}

// clear returns the operations that take all stages from the plan.
func (usagePlanHandler) clear(ctx context.Context, a *applier, path string) ([]patchOperation, error) {
	var now struct {
		APIStages []struct{ APIID, Stage string }
	}
	if err := a.rest(ctx, apiGateway, "GetUsagePlan", http.MethodGet, path, nil, &now); err != nil {
		return nil, err
	}
	var ops []patchOperation
	for _, s := range now.APIStages {
		ops = append(ops, patchOperation{"remove", "/apiStages", s.APIID + ":" + s.Stage})
	}
	return ops, nil
}

func (h usagePlanHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	path := usagePlanPath(old.PhysicalID)
	ops, err := h.clear(ctx, a, path)
	if err == nil && len(ops) > 0 { // a plan with stages can't be deleted
		err = a.rest(ctx, apiGateway, "UpdateUsagePlan", http.MethodPatch, path, patchBody(ops), nil)
	}
	if err != nil {
		return err
	}
	return a.rest(ctx, apiGateway, "DeleteUsagePlan", http.MethodDelete, path, nil, nil)
}

type usagePlanKeyHandler struct{}

func (usagePlanKeyHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	plan, key := c.get("UsagePlanId"), c.get("KeyId")
	out := c.recorded(key+":"+plan, "")
	out.Attributes["Id"], out.Details["UsagePlanId"], out.Details["KeyId"] = out.PhysicalID, plan, key
	err := a.rest(ctx, apiGateway, "CreateUsagePlanKey", http.MethodPost, usagePlanPath(plan, "keys"), map[string]any{"keyId": key, "keyType": "API_KEY"}, nil)
	if isConflict(err) {
		// Made by a run that didn't come to record it, if it is there.
		if there := a.rest(ctx, apiGateway, "GetUsagePlanKey", http.MethodGet, usagePlanPath(plan, "keys", key), nil, nil); there == nil {
			err = nil
		}
	}
	return out, err
}

// update has nothing to change: every property makes a new one.
func (h usagePlanKeyHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.create(ctx, a, c)
}

func (usagePlanKeyHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, apiGateway, "DeleteUsagePlanKey", http.MethodDelete, usagePlanPath(old.Details["UsagePlanId"], "keys", old.Details["KeyId"]), nil, nil)
}
