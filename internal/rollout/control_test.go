package rollout_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/control"
	"tidegate/internal/control/catalog"
	"tidegate/internal/integration"
	"tidegate/internal/kv/filekv"
	"tidegate/internal/rollout"
	"tidegate/internal/stage"
)

// noBackends binds nothing: MOCK needs no backend.
type noBackends struct{}

func (noBackends) Lambda(*apigw.Integration, string) (integration.Invoker, error) {
	return nil, errors.New("no functions in this test")
}

func (noBackends) HTTP(*apigw.Integration, string) (integration.Invoker, error) {
	return nil, errors.New("no HTTP in this test")
}

func (noBackends) Service(*apigw.Integration, *integration.ServiceURI) (integration.Invoker, error) {
	return nil, errors.New("no services in this test")
}

// Authorizer implements stage.Binder.
func (noBackends) Authorizer(*apigw.Authorizer, string) (authorizer.Authorizer, error) {
	return nil, errors.New("the test has no authorizers")
}

// IAM implements stage.Binder.
func (noBackends) IAM() (authorizer.Authorizer, error) {
	return nil, errors.New("the test has no keys")
}

// What a call to the control plane made is served when the call returns, and
// what doesn't compile is refused by the call.
func TestServedWhenTheCallReturns(t *testing.T) {
	ctx := t.Context()
	store, err := filekv.Open(filepath.Join(t.TempDir(), "kv.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	resources, err := catalog.Open(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	served := map[apigw.StageName]*stage.Stage{}
	compile := func(def *apigw.Definition, st *apigw.Stage) (*stage.Stage, error) {
		return stage.Compile(def, st, noBackends{})
	}
	follower := rollout.New(rollout.Config{
		Catalog: resources,
		Compile: compile,
		Publish: func(s *stage.Stage) { mu.Lock(); defer mu.Unlock(); served[s.Name] = s },
		Withdraw: func(_ string, name apigw.StageName) {
			mu.Lock()
			defer mu.Unlock()
			delete(served, name)
		},
		Failed: func(_ string, name apigw.StageName, err error) { t.Errorf("stage %s: %v", name, err) },
	})
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { follower.Run(running) })
	t.Cleanup(func() { stop(); wg.Wait() })
	plane := control.New(control.Config{
		Catalog: resources, Region: "us-east-1", Applied: follower.Wait,
		Check: func(def *apigw.Definition, st *apigw.Stage) error { _, err := compile(def, st); return err },
	})
	ptr := func(s string) *string { return &s }
	look := func() *stage.Stage {
		mu.Lock()
		defer mu.Unlock()
		return served["dev"]
	}

	api, err := plane.CreateAPI(ctx, control.APIInput{Name: ptr("chat"), ProtocolType: ptr("WEBSOCKET"), RouteSelectionExpression: ptr("$request.body.action")})
	if err != nil {
		t.Fatal(err)
	}
	auto := true
	if _, err := plane.CreateStage(ctx, api.ID, control.StageInput{Name: ptr("dev"), AutoDeploy: &auto}); err != nil {
		t.Fatal(err)
	}
	mock, err := plane.CreateIntegration(ctx, api.ID, control.IntegrationInput{Type: ptr("MOCK"), RequestTemplates: map[string]string{"200": `{"statusCode":200}`}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"hello", "bye"} {
		if _, err := plane.CreateRoute(ctx, api.ID, control.RouteInput{Key: &key, Target: ptr("integrations/" + mock.ID)}); err != nil {
			t.Fatal(err)
		}
		s := look()
		if s == nil {
			t.Fatalf("after route %s was made the stage serves nothing", key)
		}
		if r := s.SelectRoute([]byte(`{"action":"` + key + `"}`)); r == nil || string(r.Key) != key {
			t.Errorf("after route %s was made its messages go to %+v", key, r)
		}
	}
	for _, template := range []string{"#if(true", "#set($x = )"} {
		_, err = plane.CreateIntegration(ctx, api.ID, control.IntegrationInput{Type: ptr("MOCK"), RequestTemplates: map[string]string{"main": template}})
		var refusal *control.Error
		if !errors.As(err, &refusal) || refusal.Kind != control.BadRequest || !strings.Contains(err.Error(), "main") {
			t.Errorf("a template that Velocity can't read (%s): %v", template, err)
		}
	}
	if err := plane.DeleteAPI(ctx, api.ID); err != nil {
		t.Fatal(err)
	}
	if s := look(); s != nil {
		t.Errorf("after the API was deleted the stage still serves %+v", s)
	}
}
