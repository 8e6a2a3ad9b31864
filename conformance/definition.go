package conformance

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A definition is the API of a script: members of the apigatewayv2 calls that
// make it, with defaults for what the script doesn't care about.
type definition struct {
	api          map[string]any // of CreateApi
	integrations map[string]*integrationDef
	routes       map[string]*routeDef
	models       map[string]map[string]any
	authorizers  map[string]*authorizerDef
	stage        map[string]any    // of CreateStage; nil: neither deployed nor staged
	backends     map[string]bool   // name → it is a function
	services     map[string]string // name of an HTTP backend → the service that it stands for
}

// An integrationDef is an integration and its integration responses.
type integrationDef struct {
	members   map[string]any
	backend   string // whom it calls; "" for nobody of ours
	path      string // behind the HTTP backend's URL
	responses map[string]map[string]any
}

// A routeDef is a route and its route response.
type routeDef struct {
	members    map[string]any
	target     string
	authorizer string
	response   map[string]any // nil: none
}

// An authorizerDef is an authorizer and the function that decides.
type authorizerDef struct {
	members  map[string]any
	function string
}

// parseDefinition reads the api section, YAML.
func parseDefinition(text string) (*definition, error) {
	var sections map[string]any
	if err := yaml.Unmarshal([]byte(text), &sections); err != nil {
		return nil, err
	}
	d := &definition{
		api:          map[string]any{"protocolType": "WEBSOCKET", "routeSelectionExpression": "$request.body.action"},
		integrations: map[string]*integrationDef{}, routes: map[string]*routeDef{}, models: map[string]map[string]any{},
		authorizers: map[string]*authorizerDef{}, stage: map[string]any{"stageName": "prod"}, backends: map[string]bool{}, services: map[string]string{},
	}
	for name, value := range sections {
		var err error
		switch name {
		case "integrations":
			err = each(value, d.addIntegration)
		case "routes":
			err = each(value, d.addRoute)
		case "models":
			err = each(value, func(name string, value any) error {
				members, err := object(value)
				d.models[name] = members
				return err
			})
		case "authorizers":
			err = each(value, d.addAuthorizer)
		case "stage":
			err = d.setStage(value)
		default:
			d.api[name] = value
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for key, r := range d.routes {
		if _, ok := d.integrations[r.target]; !ok && r.target != "" {
			return nil, fmt.Errorf("route %s: there is no integration %q", key, r.target)
		}
		if _, ok := d.authorizers[r.authorizer]; !ok && r.authorizer != "" {
			return nil, fmt.Errorf("route %s: there is no authorizer %q", key, r.authorizer)
		}
	}
	return d, nil
}

// each calls add with every member of an object.
func each(value any, add func(name string, value any) error) error {
	members, err := object(value)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if err := add(name, members[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func object(value any) (map[string]any, error) {
	members, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("want members, got %v", value)
	}
	return members, nil
}

// take removes a text member that is ours and not the API's.
func take(members map[string]any, name string) string {
	text, _ := members[name].(string)
	delete(members, name)
	return text
}

func (d *definition) setStage(value any) error {
	if value == "none" {
		d.stage = nil
		return nil
	}
	members, err := object(value)
	if err != nil {
		return errors.New("want members, or none")
	}
	maps.Copy(d.stage, members)
	return nil
}

// addIntegration takes `name: TYPE`, or `name:` with members.
func (d *definition) addIntegration(name string, value any) error {
	if kind, ok := value.(string); ok {
		value = map[string]any{"integrationType": kind}
	}
	members, err := object(value)
	if err != nil {
		return err
	}
	i := &integrationDef{members: members, path: take(members, "path"), responses: map[string]map[string]any{}}
	if responses, ok := members["responses"]; ok {
		delete(members, "responses")
		err := each(responses, func(key string, value any) error {
			i.responses[key], err = object(value)
			return err
		})
		if err != nil {
			return fmt.Errorf("responses: %w", err)
		}
	}
	if says, ok := members["says"].(string); ok {
		delete(members, "says")
		i.responses["$default"] = map[string]any{"templateSelectionExpression": `\$default`, "responseTemplates": map[string]any{"$default": says}}
	}
	if service := take(members, "service"); service != "" {
		if members["integrationType"] != "AWS" || members["integrationUri"] == nil {
			return errors.New("service is of an AWS integration with an integrationUri")
		}
		if serviceVariables[service] == "" {
			return fmt.Errorf("service is one of %s, not %q", strings.Join(slices.Sorted(maps.Keys(serviceVariables)), ", "), service)
		}
		d.backends[name], d.services[name] = false, service
	}
	defaults := map[string]any{}
	switch members["integrationType"] {
	case "AWS", "AWS_PROXY":
		defaults["integrationMethod"] = "POST"
		if members["integrationUri"] == nil {
			i.backend = name
			d.backends[name] = true
		}
	case "HTTP", "HTTP_PROXY":
		defaults["integrationMethod"] = "POST"
		if members["integrationUri"] == nil {
			i.backend = name
			d.backends[name] = false
		}
	case "MOCK":
		if members["requestTemplates"] == nil {
			defaults["requestTemplates"] = map[string]any{"$default": `{"statusCode":200}`}
			defaults["templateSelectionExpression"] = `\$default`
		}
	default:
		return fmt.Errorf("integrationType is AWS, AWS_PROXY, HTTP, HTTP_PROXY or MOCK, not %v", members["integrationType"])
	}
	if other := take(members, "function"); other != "" {
		delete(d.backends, i.backend)
		i.backend = other
		d.backends[other] = true
	}
	for k, v := range defaults {
		if _, ok := members[k]; !ok {
			members[k] = v
		}
	}
	d.integrations[name] = i
	return nil
}

// addRoute takes `key: integration`, or `key:` with members.
func (d *definition) addRoute(key string, value any) error {
	if target, ok := value.(string); ok {
		value = map[string]any{"target": target}
	}
	members, err := object(value)
	if err != nil {
		return err
	}
	r := &routeDef{members: members, target: take(members, "target"), authorizer: take(members, "authorizer")}
	switch response := members["routeResponse"].(type) {
	case nil:
	case bool:
		if response {
			r.response = map[string]any{"routeResponseKey": "$default"}
		}
	case map[string]any:
		r.response = response
	default:
		return errors.New("routeResponse is true or members")
	}
	delete(members, "routeResponse")
	members["routeKey"] = key
	if _, ok := members["routeResponseSelectionExpression"]; !ok && r.response != nil {
		members["routeResponseSelectionExpression"] = "$default"
	}
	d.routes[key] = r
	return nil
}

// addAuthorizer takes `name:` with members; its function is of the same name
// unless it says function.
func (d *definition) addAuthorizer(name string, value any) error {
	members, err := object(value)
	if err != nil {
		return err
	}
	a := &authorizerDef{members: members, function: take(members, "function")}
	if a.function == "" {
		a.function = name
	}
	if members["authorizerUri"] == nil {
		d.backends[a.function] = true
	}
	for k, v := range map[string]any{"name": name, "authorizerType": "REQUEST"} {
		if _, ok := members[k]; !ok {
			members[k] = v
		}
	}
	d.authorizers[name] = a
	return nil
}

// fillAll replaces what placeholders stand for in every text of a value; what
// looks like one and isn't is a template's own.
func fillAll(v values, value any) any {
	switch value := value.(type) {
	case string:
		return placeholder.ReplaceAllStringFunc(value, func(p string) string {
			if known, ok := v.lookup(strings.Trim(p, "<>")); ok {
				return known
			}
			return p
		})
	case map[string]any:
		out := map[string]any{}
		for k, member := range value {
			out[k] = fillAll(v, member)
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, member := range value {
			out[i] = fillAll(v, member)
		}
		return out
	}
	return value
}
