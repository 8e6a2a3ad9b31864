package control

import (
	"strings"
	"testing"

	"tidegate/internal/apigw"
	"tidegate/internal/model"
)

func TestModels(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	m, err := b.CreateModel(ctx, b.api, ModelInput{Name: ptr("Pet"), Schema: ptr(`{"type":"object","required":["legs"]}`)})
	if err != nil || m.ContentType != "application/json" || m.ID == "" {
		t.Fatalf("created %+v, %v", m, err)
	}
	person := `{"properties":{"pet":{"$ref":"` + model.URL(b.api, "Pet") + `"},"names":{"items":{"type":"string"}}}}`
	p, err := b.CreateModel(ctx, b.api, ModelInput{Name: ptr("Person"), ContentType: ptr("text/plain"), Schema: &person})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		in   ModelInput
		kind Kind
		want string
	}{
		{"no name", ModelInput{Schema: ptr("{}")}, BadRequest, "Name is required"},
		{"no schema", ModelInput{Name: ptr("A")}, BadRequest, "Schema is required"},
		{"odd name", ModelInput{Name: ptr("a-b"), Schema: ptr("{}")}, BadRequest, "must be alphanumeric"},
		{"taken", ModelInput{Name: ptr("Pet"), Schema: ptr("{}")}, Conflict, "already exists"},
		{"no JSON", ModelInput{Name: ptr("A"), Schema: ptr("{")}, BadRequest, "Invalid model schema specified"},
		{"no schema of draft 4", ModelInput{Name: ptr("A"), Schema: ptr(`{"type":7}`)}, BadRequest, "Invalid model schema specified"},
		{"unknown reference", ModelInput{Name: ptr("A"), Schema: ptr(`{"$ref":"` + model.URL(b.api, "None") + `"}`)}, BadRequest, `no model "None"`},
		{"large", ModelInput{Name: ptr("A"), Schema: ptr(strings.Repeat(" ", apigw.MaxModel) + "{}")}, BadRequest, "at most 409600 fit"},
	} {
		_, err := b.CreateModel(ctx, b.api, c.in)
		refused(t, c.name, err, c.kind, c.want)
	}
	r, err := b.CreateRoute(ctx, b.api, RouteInput{Key: ptr("say"), RequestModels: map[string]string{"$default": "Person"}, ModelSelectionExpression: ptr("$request.body.kind")})
	if err != nil || r.RequestModels["$default"] != "Person" {
		t.Fatalf("route %+v, %v", r, err)
	}
	refused(t, "delete what a model refers to", b.DeleteModel(ctx, b.api, m.ID), Conflict, "Cannot delete model 'Pet', is referenced in model: Person")
	refused(t, "delete what a route refers to", b.DeleteModel(ctx, b.api, p.ID), Conflict, "is referenced in route: say")
	_, err = b.UpdateModel(ctx, b.api, p.ID, ModelInput{Name: ptr("Human")})
	refused(t, "rename what a route refers to", err, Conflict, "Cannot rename model")
	_, err = b.UpdateModel(ctx, b.api, p.ID, ModelInput{Schema: ptr(`{"type":"none"}`)})
	refused(t, "update to nonsense", err, BadRequest, "Invalid model schema specified")
	if got, err := b.Model(ctx, b.api, p.ID); err != nil || got.Schema != person {
		t.Errorf("after that the model is %+v, %v", got, err)
	}
	text, err := b.ModelTemplate(ctx, b.api, p.ID)
	if want := "#set($inputRoot = $input.path('$'))\n{\n  \"names\" : [\n  #foreach($elem in $inputRoot.names)\n"; err != nil || !strings.HasPrefix(text, want) {
		t.Errorf("template %q, %v, want it to begin with %q", text, err, want)
	}
	if _, err := b.UpdateAPI(ctx, b.api, APIInput{DisableSchemaValidation: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CreateModel(ctx, b.api, ModelInput{Name: ptr("Odd"), Schema: ptr(`nonsense`)}); err != nil {
		t.Errorf("without schema validation: %v", err)
	}
	if _, err := b.UpdateRoute(ctx, b.api, r.ID, RouteInput{RequestModels: map[string]string{}}); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteModel(ctx, b.api, p.ID); err != nil {
		t.Error(err)
	}
	if err := b.DeleteModel(ctx, b.api, m.ID); err != nil {
		t.Error(err)
	}
	all, err := b.Models(ctx, b.api)
	if err != nil || len(all) != 1 {
		t.Errorf("%d models are left, %v", len(all), err)
	}
}
