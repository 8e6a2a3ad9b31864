package control

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/model"
	"tidegate/internal/pattern"
)

var modelName = pattern.New(`^[A-Za-z0-9]{1,128}$`)

// A ModelInput is what CreateModel and UpdateModel are given; a nil member was
// left out.
type ModelInput struct {
	Name        *string // required on create
	ContentType *string
	Description *string
	Schema      *string // required on create: JSON Schema draft 4
}

func (in *ModelInput) check() error {
	if in.Name != nil && !modelName.MatchString(*in.Name) {
		return badRequest("Model name must be alphanumeric: %s", cut(*in.Name)) // WS-09-098
	}
	if in.Schema != nil && len(*in.Schema) > apigw.MaxModel {
		return badRequest("Schema has %d bytes; at most %d fit", len(*in.Schema), apigw.MaxModel)
	}
	if err := checkText("ContentType", in.ContentType, 1, 256); err != nil {
		return err
	}
	return checkText("Description", in.Description, 0, 1024)
}

// checkNew is check for one that is to be made.
func (in *ModelInput) checkNew() error {
	switch {
	case in.Name == nil:
		return badRequest("Name is required")
	case in.Schema == nil:
		return badRequest("Schema is required")
	}
	return in.check()
}

// apply sets what the input names, and checks it against the rest of the API.
func (in *ModelInput) apply(api *apigw.API, m *apigw.Model) error {
	if in.Name != nil && *in.Name != m.Name {
		for _, other := range api.Models {
			if other.ID != m.ID && other.Name == *in.Name {
				return conflict("Model name already exists for this REST API")
			}
		}
		if m.Name != "" {
			if where := usersOf(api, m); where != "" {
				return conflict("Cannot rename model '%s', is referenced in %s", m.Name, where)
			}
		}
		m.Name = *in.Name
	}
	set(&m.ContentType, in.ContentType)
	set(&m.Description, in.Description)
	set(&m.Schema, in.Schema)
	put(&api.Models, m.ID, m)
	if api.DisableSchemaValidation || in.Schema == nil && in.Name == nil { // WS-05-099
		return nil
	}
	if _, err := model.NewSet(api.ID, sorted(api.Models)).Compile(m.Name); err != nil {
		return badRequest("Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified. %v]", err) // WS-09-099
	}
	return nil
}

// usersOf says what refers to the model, or "".
func usersOf(api *apigw.API, m *apigw.Model) string {
	for _, r := range sorted(api.Routes) {
		if slices.Contains(slices.Collect(maps.Values(r.RequestModels)), m.Name) {
			return "route: " + string(r.Key)
		}
		for _, response := range r.Responses {
			if slices.Contains(slices.Collect(maps.Values(response.ResponseModels)), m.Name) {
				return "route response of route: " + string(r.Key)
			}
		}
	}
	for _, other := range sorted(api.Models) {
		if other.ID != m.ID && strings.Contains(other.Schema, model.URL(api.ID, m.Name)+`"`) {
			return "model: " + other.Name
		}
	}
	return ""
}

// CreateModel makes a model of the API.
func (s *Service) CreateModel(ctx context.Context, apiID string, in ModelInput) (*apigw.Model, error) {
	if err := in.checkNew(); err != nil {
		return nil, err
	}
	var out *apigw.Model
	err := s.change(ctx, apiID, frozen, func(api *apigw.API) error {
		if len(api.Models) >= apigw.MaxModels {
			return exceeded("Models", "API")
		}
		out = &apigw.Model{ID: freshID(api.Models, childIDLength), ContentType: "application/json"} // WS-09-096
		return in.apply(api, out)
	})
	return out, err
}

// Model returns the API's model.
func (s *Service) Model(ctx context.Context, apiID, id string) (*apigw.Model, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return findByID(api.Models, "Model", id)
}

// Models returns the API's models, sorted by id.
func (s *Service) Models(ctx context.Context, apiID string) ([]*apigw.Model, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return sorted(api.Models), nil
}

// UpdateModel changes what the input names.
func (s *Service) UpdateModel(ctx context.Context, apiID, id string, in ModelInput) (*apigw.Model, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var out *apigw.Model
	err := s.change(ctx, apiID, frozen, func(api *apigw.API) error {
		var err error
		if out, err = findByID(api.Models, "Model", id); err != nil {
			return err
		}
		return in.apply(api, out)
	})
	return out, err
}

// DeleteModel removes the model, unless a route or another model refers to it.
func (s *Service) DeleteModel(ctx context.Context, apiID, id string) error {
	return s.remove(ctx, apiID, func(api *apigw.API) error {
		m, err := findByID(api.Models, "Model", id)
		if err != nil {
			return err
		}
		if where := usersOf(api, m); where != "" {
			return conflict("Cannot delete model '%s', is referenced in %s", m.Name, where) // WS-09-102
		}
		delete(api.Models, id)
		return nil
	})
}

// ModelTemplate returns a sample mapping template that passes on what the
// model's schema describes.
func (s *Service) ModelTemplate(ctx context.Context, apiID, id string) (string, error) {
	m, err := s.Model(ctx, apiID, id)
	if err != nil {
		return "", err
	}
	var schema map[string]any
	if err := json.Unmarshal([]byte(m.Schema), &schema); err != nil {
		return "", badRequest("the schema of model %s is no JSON object: %v", m.Name, err)
	}
	var b strings.Builder
	b.WriteString("#set($inputRoot = $input.path('$'))\n")
	sample(&b, schema, "$inputRoot", "", 0)
	return b.String(), nil
}

// sample appends the template of one schema; path leads to its value.
func sample(b *strings.Builder, schema map[string]any, path, indent string, depth int) {
	const maxDepth = 16
	properties, _ := schema["properties"].(map[string]any)
	items, _ := schema["items"].(map[string]any)
	switch {
	case depth < maxDepth && len(properties) > 0:
		b.WriteString("{")
		for i, name := range slices.Sorted(maps.Keys(properties)) {
			if i > 0 {
				b.WriteString(",")
			}
			key, _ := json.Marshal(name)
			b.WriteString("\n" + indent + "  " + string(key) + " : ")
			child, _ := properties[name].(map[string]any)
			sample(b, child, path+"."+name, indent+"  ", depth+1)
		}
		b.WriteString("\n" + indent + "}")
	case depth < maxDepth && len(items) > 0:
		b.WriteString("[\n" + indent + "#foreach($elem in " + path + ")\n" + indent + "  ")
		sample(b, items, "$elem", indent+"  ", depth+1)
		b.WriteString("#if($foreach.hasNext),#end\n" + indent + "#end\n" + indent + "]")
	case schema["type"] == "string":
		b.WriteString(`"` + path + `"`)
	default:
		b.WriteString(path)
	}
}
