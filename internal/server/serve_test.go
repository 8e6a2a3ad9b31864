package server

import (
	"path/filepath"
	"strings"
	"testing"

	"tidegate/internal/apigw"
	"tidegate/internal/control"
	"tidegate/internal/control/catalog"
	"tidegate/internal/kv/filekv"
)

// TestTrial holds that what is stored and can't be served here is told, and so is a
// declared API whose id is taken.
func TestTrial(t *testing.T) {
	store, err := filekv.Open(filepath.Join(t.TempDir(), "kv.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c, err := catalog.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	for id, i := range map[string]*apigw.Integration{
		"served": {ID: "i", Type: apigw.IntegrationMock, RequestTemplates: map[string]string{"$default": `{"statusCode":200}`}},
		"calls":  {ID: "i", Type: apigw.IntegrationAWSProxy, URI: "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"},
	} {
		def := &apigw.Definition{APIID: id, RouteSelectionExpression: "$request.body.action", Integrations: []*apigw.Integration{i},
			Routes: []*apigw.Route{{Key: apigw.RouteDefault, Target: "integrations/i"}}}
		if err := c.PutDefinition(t.Context(), id, "d", def); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Create(t.Context(), &apigw.API{ID: id, Stages: map[apigw.StageName]*apigw.Stage{"live": {Name: "live", DeploymentID: "d"}}}); err != nil {
			t.Fatal(err)
		}
	}
	limits := apigw.LimitsOf(apigw.ModeExtended)
	name := "mine"
	declared := []control.DeclaredAPI{{ID: "served", File: "tidegate.yaml", API: control.APIInput{Name: &name}}}
	for _, tt := range []struct {
		name  string
		has   []string // stored APIs
		says  string   // of them
		taken bool     // the declared API's id
	}{
		{name: "nothing is stored"},
		{name: "one that can be served", has: []string{"served"}, taken: true},
		{name: "one that can't", has: []string{"calls", "served"}, says: "stage live of the API calls, which was made through the API and is served:", taken: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stored, err := c.Snapshot(t.Context(), func(api *apigw.API, _ apigw.StageName) bool {
				return strings.Contains(strings.Join(tt.has, " "), api.ID)
			})
			if err != nil {
				t.Fatal(err)
			}
			trial, err := Try(limits, stored)
			if err != nil {
				t.Fatal(err)
			}
			defer trial.Close()
			if err := trial.CheckStored(t.Context()); (err != nil) != (tt.says != "") || err != nil && (!strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "API served")) {
				t.Errorf("CheckStored: %v, want %q", err, tt.says)
			}
			if err := trial.CheckDeclared(t.Context(), declared); err == nil || strings.Contains(err.Error(), "was made through the API already") != tt.taken {
				t.Errorf("CheckDeclared: %v, want the id taken: %t", err, tt.taken)
			}
		})
	}
	if _, err := Try(limits, []byte("[")); err == nil {
		t.Error("half a snapshot was taken")
	}
}
