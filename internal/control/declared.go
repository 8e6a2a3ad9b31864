package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"tidegate/internal/apigw"
	"tidegate/internal/control/catalog"
)

// A DeclaredAPI is a whole API as a file has it: with routes and stages, deployed.
// Such an API is changed by its file alone.
type DeclaredAPI struct {
	ID           string
	File         string // that declares it; callers of the API are told
	Place        string // of the API in there; begins errors, as all Places do
	API          APIInput
	Integrations []DeclaredIntegration
	Models       []DeclaredModel
	Routes       []DeclaredRoute
	Stages       []DeclaredStage
}

// A DeclaredIntegration has an id of the file's choice.
type DeclaredIntegration struct {
	Place     string
	ID        string
	Input     IntegrationInput
	Responses []DeclaredIntegrationResponse
}

// A DeclaredIntegrationResponse is one of an integration's.
type DeclaredIntegrationResponse struct {
	Place string
	Input IntegrationResponseInput
}

// A DeclaredModel is a model by its name.
type DeclaredModel struct {
	Place string
	Input ModelInput
}

// A DeclaredRoute is a route; its target names an integration of the API.
type DeclaredRoute struct {
	Place    string
	Input    RouteInput
	Response *RouteResponseInput // makes it two-way
}

// A DeclaredStage serves the API as it is declared.
type DeclaredStage struct {
	Place   string
	Ordered bool // a client's messages one after the other
	Input   StageInput
}

// placed puts the place in front of an error.
func placed(place string, err error) error {
	if err == nil || place == "" {
		return err
	}
	return fmt.Errorf("%s: %w", place, err)
}

// CheckDeclared says what of the APIs can't be, each with its place, and changes
// nothing.
func (s *Service) CheckDeclared(ctx context.Context, declared []DeclaredAPI) error {
	if most := s.config.Limits.APIs; len(declared) > most {
		return exceeded("APIs", "account")
	}
	var errs []error
	for i := range declared {
		d := &declared[i]
		_, _, err := s.build(d)
		errs = append(errs, err)
		if s.config.Catalog == nil {
			continue
		}
		there, _, err := s.config.Catalog.Get(ctx, d.ID)
		switch {
		case errors.Is(err, catalog.ErrNotFound):
		case err != nil:
			errs = append(errs, err)
		case there.File == "":
			errs = append(errs, placed(d.Place, conflict("An API with the id %s was made through the API already; give this one another id, or delete that one", d.ID)))
		}
	}
	return errors.Join(errs...)
}

// Declare makes the APIs that files declare just these: those that differ are
// replaced, each in one step and without closing a client of a stage that stays,
// and those that no file declares any more are gone. Check them first.
func (s *Service) Declare(ctx context.Context, declared []DeclaredAPI) error {
	wanted := map[string]bool{}
	for i := range declared {
		wanted[declared[i].ID] = true
	}
	apis, err := s.config.Catalog.List(ctx)
	if err != nil {
		return err
	}
	for _, api := range apis {
		if api.File == "" || wanted[api.ID] {
			continue
		}
		revision, err := s.config.Catalog.Delete(ctx, api.ID)
		if err != nil {
			return err
		}
		s.applied(ctx, api.ID, revision)
	}
	for i := range declared {
		if err := s.declare(ctx, &declared[i]); err != nil {
			return err
		}
	}
	return nil
}

// declare writes one API, unless it is as the file says already.
func (s *Service) declare(ctx context.Context, d *DeclaredAPI) error {
	api, def, err := s.build(d)
	if err != nil {
		return err
	}
	lock := s.lockOf(api.ID)
	lock.Lock()
	defer lock.Unlock()
	before, _, err := s.config.Catalog.Get(ctx, api.ID)
	fresh := errors.Is(err, catalog.ErrNotFound)
	if err != nil && !fresh {
		return err
	}
	if !fresh {
		if before.File == "" {
			return placed(d.Place, conflict("An API with the id %s was made through the API already", api.ID))
		}
		keepDates(api, before)
		if same(before, api) {
			return nil
		}
	}
	for id := range api.Deployments { // the only one
		if err := s.config.Catalog.PutDefinition(ctx, api.ID, id, def); err != nil {
			return translate(err, api.ID)
		}
	}
	var revision uint64
	if fresh {
		revision, err = s.config.Catalog.Create(ctx, api)
	} else {
		_, revision, err = s.config.Catalog.Update(ctx, api.ID, func(now *apigw.API) error {
			*now = *api
			return nil
		})
	}
	if err != nil {
		return translate(err, api.ID)
	}
	s.applied(ctx, api.ID, revision)
	if !fresh {
		var stale []string
		for id := range before.Deployments {
			if api.Deployments[id] == nil {
				stale = append(stale, id)
			}
		}
		s.discard(ctx, api.ID, stale)
	}
	return nil
}

// keepDates keeps when what was there before was made.
func keepDates(api, before *apigw.API) {
	api.Created = before.Created
	for name, st := range api.Stages {
		if old := before.Stages[name]; old != nil {
			st.Created = old.Created
			if old.DeploymentID == st.DeploymentID {
				st.Updated = old.Updated
			}
		}
	}
	for id, deployment := range api.Deployments {
		if old := before.Deployments[id]; old != nil {
			deployment.Created = old.Created
		}
	}
}

// same compares what is stored.
func same(a, b *apigw.API) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && string(x) == string(y)
}

// build makes the API and what its deployment froze. Ids come of what they stand
// for, so that a file that says the same makes the same API. All that is wrong is
// told together.
func (s *Service) build(d *DeclaredAPI) (*apigw.API, *apigw.Definition, error) {
	api := &apigw.API{ID: d.ID, File: d.File, APIKeySelectionExpression: defaultAPIKeySelection, IPAddressType: "ipv4", Created: s.now()}
	if d.API.RouteSelectionExpression == nil {
		d.API.RouteSelectionExpression = new(string) // refused with the text for an empty one
	}
	var errs []error
	note := func(place string, err error) bool {
		if err != nil {
			errs = append(errs, placed(place, err))
		}
		return err == nil
	}
	if !validCustomID(d.ID) {
		note(d.Place, badRequest("an API's id must be 3 to 63 characters of [a-z0-9-] that neither begin nor end with '-', not %q", cut(d.ID)))
	}
	if note(d.Place, d.API.check()) {
		d.API.apply(api)
	}
	l := s.config.Limits
	for _, m := range []struct {
		n, most int
		what    string
	}{{len(d.Integrations), l.Integrations, "Integrations"}, {len(d.Routes), l.Routes, "Routes"}, {len(d.Stages), l.Stages, "Stages"}, {len(d.Models), apigw.MaxModels, "Models"}} {
		if m.n > m.most {
			note(d.Place, exceeded(m.what, "API"))
		}
	}
	for i := range d.Models {
		note(d.Models[i].Place, d.Models[i].build(api))
	}
	for i := range d.Integrations {
		s.buildIntegration(api, &d.Integrations[i], note)
	}
	for i := range d.Routes {
		note(d.Routes[i].Place, d.Routes[i].build(api))
	}
	stages := make([]*apigw.Stage, len(d.Stages))
	for i := range d.Stages {
		in := &d.Stages[i].Input
		if !note(d.Stages[i].Place, in.checkNew()) {
			continue
		}
		st, err := s.newStage(api, in)
		if note(d.Stages[i].Place, err) {
			st.Ordered = d.Stages[i].Ordered
		}
		stages[i] = st
	}
	if len(api.Routes) == 0 {
		note(d.Place, badRequest("At least one route is required before deploying the Api"))
	}
	if len(errs) > 0 { // what is missing would be found again, and told in other words
		return nil, nil, errors.Join(errs...)
	}
	def := freeze(api)
	deployment, err := deploymentOf(def)
	if err != nil {
		return nil, nil, err
	}
	put(&api.Deployments, deployment, &apigw.Deployment{ID: deployment, Status: statusDeployed, Created: s.now(), Description: "Declared in " + d.File})
	for i, st := range stages {
		st.DeploymentID = deployment
		note("", s.checkParts(def, st, d, d.Stages[i].Place))
	}
	return api, def, errors.Join(errs...)
}

// checkParts compiles the whole for a stage; what is wrong with one route or its
// integration is told with that one's place, anything else with the stage's.
func (s *Service) checkParts(def *apigw.Definition, st *apigw.Stage, d *DeclaredAPI, place string) error {
	whole := s.check(def, st)
	if whole == nil {
		return nil
	}
	var errs []error
	for _, r := range d.Routes {
		part := *def
		part.Routes = slices.DeleteFunc(slices.Clone(def.Routes), func(o *apigw.Route) bool { return string(o.Key) != *r.Input.Key })
		part.Integrations = slices.DeleteFunc(slices.Clone(def.Integrations), func(i *apigw.Integration) bool {
			return r.Input.Target == nil || *r.Input.Target != "integrations/"+i.ID
		})
		errs = append(errs, placed(r.Place, s.check(&part, st)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return placed(place, whole)
}

// buildIntegration adds the integration and its responses to the API.
func (s *Service) buildIntegration(api *apigw.API, d *DeclaredIntegration, note func(string, error) bool) {
	i, err := s.newIntegration(&d.Input)
	if !note(d.Place, err) { // routes that name it shall not be told of too
		put(&api.Integrations, d.ID, &apigw.Integration{ID: d.ID})
		return
	}
	i.ID = d.ID
	for n := range d.Responses {
		in := &d.Responses[n].Input
		r := &apigw.IntegrationResponse{ID: fmt.Sprintf("response%02d", n+1)}
		err := in.checkNew()
		if err == nil {
			err = in.apply(i, r)
		}
		if note(d.Responses[n].Place, err) {
			put(&i.Responses, r.ID, r)
		}
	}
	put(&api.Integrations, i.ID, i)
}

func (d *DeclaredModel) build(api *apigw.API) error {
	if err := d.Input.checkNew(); err != nil {
		return err
	}
	return d.Input.apply(api, &apigw.Model{ID: digest([]byte(*d.Input.Name), childIDLength), ContentType: "application/json"})
}

func (d *DeclaredRoute) build(api *apigw.API) error {
	if d.Input.Key == nil {
		return badRequest("RouteKey is required")
	}
	if err := d.Input.check(); err != nil {
		return err
	}
	r := &apigw.Route{ID: routeID(*d.Input.Key), AuthorizationType: apigw.AuthorizationNone}
	if err := d.Input.apply(api, r); err != nil {
		return err
	}
	if in := d.Response; in != nil {
		if err := in.check(); err != nil {
			return err
		}
		response := &apigw.RouteResponse{ID: "default"}
		if err := in.apply(api, response); err != nil {
			return err
		}
		put(&r.Responses, response.ID, response)
	}
	put(&api.Routes, r.ID, r)
	return nil
}

// routeID is an id that a route key always has.
func routeID(key string) string { return digest([]byte(key), childIDLength) }

// deploymentOf is an id that what a deployment froze always has.
func deploymentOf(def *apigw.Definition) (string, error) {
	b, err := json.Marshal(def)
	if err != nil {
		return "", fmt.Errorf("control: encode the definition of %s: %w", def.APIID, err)
	}
	return digest(b, 2*deploymentIDLength), nil
}

// digest is a letter and n-1 hexadecimal digits of a text's digest.
func digest(text []byte, n int) string {
	sum := sha256.Sum256(text)
	return "d" + hex.EncodeToString(sum[:])[:n-1]
}
