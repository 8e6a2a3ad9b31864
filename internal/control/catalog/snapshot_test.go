package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/control/catalog"
)

// TestSnapshot holds that a snapshot has what is to be kept, as it is stored, and
// nothing else.
func TestSnapshot(t *testing.T) {
	c, _ := open(t)
	big := &apigw.Definition{APIID: "a", Integrations: []*apigw.Integration{{ID: strings.Repeat("random enough? ", 1<<10)}}}
	for _, id := range []string{"a", "b", "c"} {
		for _, deployment := range []string{"old", "new"} {
			def := &apigw.Definition{APIID: id}
			if id == "a" {
				def = big
			}
			if err := c.PutDefinition(t.Context(), id, deployment, def); err != nil {
				t.Fatal(err)
			}
		}
		api := &apigw.API{ID: id, Stages: map[apigw.StageName]*apigw.Stage{"live": {Name: "live", DeploymentID: "new"}, "empty": {Name: "empty"}}}
		if id == "c" {
			delete(api.Stages, "live")
		}
		if _, err := c.Create(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}
	nothing, err := c.Snapshot(t.Context(), func(*apigw.API, apigw.StageName) bool { return false })
	if nothing != nil || err != nil {
		t.Errorf("of nothing: %d bytes, %v", len(nothing), err)
	}
	b, err := c.Snapshot(t.Context(), func(api *apigw.API, name apigw.StageName) bool { return api.ID != "b" && name == "live" })
	if err != nil {
		t.Fatal(err)
	}
	got, err := catalog.OpenSnapshot(b)
	if err != nil {
		t.Fatal(err)
	}
	apis, err := got.List(t.Context())
	if err != nil || len(apis) != 1 || apis[0].ID != "a" || len(apis[0].Stages) != 1 || apis[0].Stages["live"].DeploymentID != "new" {
		t.Errorf("APIs %+v, %v", apis, err)
	}
	if def, err := got.Definition(t.Context(), "a", "new"); err != nil || !cmp.Equal(def, big) {
		t.Errorf("the definition: %v", err)
	}
	for _, id := range []string{"b", "c"} {
		if _, _, err := got.Get(t.Context(), id); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("API %s: %v", id, err)
		}
	}
	if _, err := got.Definition(t.Context(), "a", "old"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("a deployment that no stage serves: %v", err)
	}
	if _, err := got.Create(t.Context(), &apigw.API{ID: "d"}); err == nil {
		t.Error("it can be changed")
	}
	if _, err := got.Watch(t.Context()); err == nil {
		t.Error("it can be followed")
	}
	if _, err := catalog.OpenSnapshot([]byte("[{")); err == nil {
		t.Error("half of one was opened")
	}
}
