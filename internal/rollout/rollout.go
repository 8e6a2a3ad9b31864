// Package rollout follows the catalog on one node: what a stage is to serve is
// compiled and published, what is gone is withdrawn. The data plane gets
// finished snapshots and never looks into the catalog.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"

	"tidegate/internal/apigw"
	"tidegate/internal/control/catalog"
	"tidegate/internal/stage"
)

// ErrStopped says that Run has ended, so that what was waited for will not be.
var ErrStopped = errors.New("rollout: stopped")

// A Config says what to follow and whom to tell. The funcs are called by Run,
// one at a time; all but Failed are required.
type Config struct {
	Catalog *catalog.Catalog
	// Compile makes the snapshot of a definition for a stage.
	Compile func(*apigw.Definition, *apigw.Stage) (*stage.Stage, error)
	// Publish serves the snapshot instead of the stage's present one.
	Publish func(*stage.Stage)
	// Withdraw serves the stage no longer and closes its clients.
	Withdraw func(apiID string, name apigw.StageName)
	// Failed hears why a stage could not be brought up to date; what it serves
	// stays. name is empty when the whole API couldn't be read.
	Failed func(apiID string, name apigw.StageName, err error)
	// PublishDomain serves a custom domain name as it is now, WithdrawDomain no
	// longer, and DomainFailed hears why one couldn't be read. Nil means that nobody
	// serves domains. They are called by a goroutine of their own.
	PublishDomain  func(*apigw.Domain)
	WithdrawDomain func(name string)
	DomainFailed   func(name string, err error)
}

// A Rollout follows a catalog. Make one with New and let it Run.
type Rollout struct {
	config Config
	ready  chan struct{} // closed when all that was there at the start is served
	done   chan struct{} // closed when Run has ended

	served map[string]map[apigw.StageName]serving // by API; Run's own

	apis, domains *revisions // what is served, by API id and by domain name
}

// serving is all of an API that one of its stages' snapshots depends on.
type serving struct {
	deploymentID    string
	variables       map[string]string
	defaultSettings apigw.RouteSettings
	routeSettings   map[apigw.RouteKey]apigw.RouteSettings
	accessLog       apigw.AccessLogSettings
}

// New returns a rollout that doesn't run yet.
func New(c Config) *Rollout {
	if c.Failed == nil {
		c.Failed = func(string, apigw.StageName, error) {}
	}
	return &Rollout{
		config:  c,
		ready:   make(chan struct{}),
		done:    make(chan struct{}),
		served:  map[string]map[apigw.StageName]serving{},
		apis:    newRevisions(),
		domains: newRevisions(),
	}
}

// Ready is closed when all stages that were in the catalog at the start are
// served, or have failed.
func (r *Rollout) Ready() <-chan struct{} { return r.ready }

// Run follows the catalog until ctx ends (nil) or the store is closed
// (ErrStopped). It may be called once. What is served then stays.
func (r *Rollout) Run(ctx context.Context) error {
	defer close(r.done)
	changes, err := r.config.Catalog.Watch(ctx)
	if err != nil {
		return fmt.Errorf("rollout: %w", err)
	}
	domains, err := r.config.Catalog.Domains.Watch(ctx)
	if err != nil {
		return fmt.Errorf("rollout: %w", err)
	}
	// A domain's mapping leads nowhere until the stage is there, so that the two
	// may go their own ways; both are there when ready is closed.
	read := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.followDomains(domains, read)
	}()
	defer func() { <-ended }()
	for change := range changes {
		if change.ID == "" {
			select {
			case <-read:
			case <-ended:
			}
			close(r.ready)
			continue
		}
		r.apply(ctx, change)
		r.apis.mark(change.ID, change.Revision, change.Value == nil && change.Err == nil)
	}
	if ctx.Err() != nil {
		return nil
	}
	return ErrStopped
}

// Wait returns when the API is served as of the revision, or when it is gone
// and nothing of it is served. A revision whose stages failed counts as served.
func (r *Rollout) Wait(ctx context.Context, apiID string, revision uint64) error {
	return r.apis.wait(ctx, r.done, apiID, revision, func() error {
		_, _, err := r.config.Catalog.Get(ctx, apiID)
		return err
	})
}

// apply brings the API's stages up to date.
func (r *Rollout) apply(ctx context.Context, change catalog.Change[apigw.API]) {
	if change.Err != nil {
		r.config.Failed(change.ID, "", change.Err)
		return
	}
	served := r.served[change.ID]
	if served == nil {
		served = map[apigw.StageName]serving{}
		r.served[change.ID] = served
	}
	wanted := map[apigw.StageName]*apigw.Stage{}
	if change.Value != nil {
		for name, st := range change.Value.Stages {
			if st.DeploymentID != "" {
				wanted[name] = st
			}
		}
	}
	for name := range served {
		if wanted[name] == nil {
			delete(served, name)
			r.config.Withdraw(change.ID, name)
		}
	}
	definitions := map[string]*apigw.Definition{} // stages often share one
	for name, st := range wanted {
		next := serving{
			deploymentID:    st.DeploymentID,
			variables:       st.Variables,
			defaultSettings: st.DefaultRouteSettings,
			routeSettings:   st.RouteSettings,
			accessLog:       st.AccessLog,
		}
		if now, ok := served[name]; ok && reflect.DeepEqual(now, next) {
			continue // a tag or a description changed, or another stage
		}
		snapshot, err := r.compile(ctx, change.Value, st, definitions)
		if err != nil {
			if !r.outdated(ctx, change.ID, st) {
				r.config.Failed(change.ID, name, err)
			}
			continue // tried again with the next change
		}
		served[name] = next
		r.config.Publish(snapshot)
	}
	if change.Value == nil {
		delete(r.served, change.ID)
	}
}

func (r *Rollout) compile(ctx context.Context, api *apigw.API, st *apigw.Stage, definitions map[string]*apigw.Definition) (*stage.Stage, error) {
	def := definitions[st.DeploymentID]
	if def == nil {
		var err error
		if def, err = r.config.Catalog.Definition(ctx, api.ID, st.DeploymentID); err != nil {
			return nil, err
		}
		definitions[st.DeploymentID] = def
	}
	own := *st
	own.Variables = maps.Clone(st.Variables) // the snapshot keeps them
	return r.config.Compile(def, &own)
}

// outdated says whether the stage has moved on to another deployment meanwhile,
// so that a failure is of no interest: the next change is on its way.
func (r *Rollout) outdated(ctx context.Context, apiID string, st *apigw.Stage) bool {
	api, _, err := r.config.Catalog.Get(ctx, apiID)
	if errors.Is(err, catalog.ErrNotFound) || ctx.Err() != nil {
		return true
	}
	if err != nil {
		return false
	}
	now := api.Stages[st.Name]
	return now == nil || now.DeploymentID != st.DeploymentID
}
