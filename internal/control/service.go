// Package control is the control plane's logic: the resources of Amazon API
// Gateway V2's WebSocket APIs, their defaults, validation and updates, and the
// deployments that freeze them. It knows no HTTP; control/controlapi is its
// face. What Tidegate doesn't serve yet is refused by name.
//
// Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/
package control

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/clock"
	"tidegate/internal/control/catalog"
)

// A Config says what a Service works on. Catalog and Region are required.
type Config struct {
	Catalog *catalog.Catalog // nil is for CheckDeclared alone
	Region  string           // of endpoints and ARNs
	Clock   clock.Clock      // dates resources; nil means the machine's
	// Limits bound resources; the zero value means AWS's.
	Limits apigw.Limits
	// Check compiles a definition for a stage and throws the result away. Its
	// error refuses the deployment, and so does a change under auto-deploy. Nil
	// means that everything compiles.
	Check func(*apigw.Definition, *apigw.Stage) error
	// Applied waits until the API is served as of the revision, so that what a
	// call created can be used when it returns. Its error is noticed, and the call
	// succeeds all the same. Nil means not to wait.
	Applied func(ctx context.Context, apiID string, revision uint64) error
	// DomainApplied is Applied for a custom domain name.
	DomainApplied func(ctx context.Context, name string, revision uint64) error
	// Notice is told about settings that are kept and read back but have no
	// effect yet. It must not block. Nil means that nobody listens.
	Notice func(text string)
}

// A Service is safe for concurrent use.
type Service struct {
	config Config
	seed   maphash.Seed
	// locks keep this process's writers of one API apart, which would otherwise
	// race for the compare-and-swap.
	locks [64]sync.Mutex
	// create keeps the count of APIs exact.
	create sync.Mutex
	// domains keeps mappings and the stages they lead to in step: whoever changes a
	// domain or deletes a stage or an API holds it.
	domains sync.Mutex
}

// New returns a service.
func New(c Config) *Service {
	if c.Clock == nil {
		c.Clock = clock.System
	}
	c.Limits = c.Limits.OrAWS()
	if c.Check == nil {
		c.Check = func(*apigw.Definition, *apigw.Stage) error { return nil }
	}
	if c.Notice == nil {
		c.Notice = func(string) {}
	}
	return &Service{config: c, seed: maphash.MakeSeed()}
}

// now returns the time without the machine's monotonic reading, which can't be
// stored.
func (s *Service) now() time.Time { return s.config.Clock.Now().UTC().Round(0) }

// get returns the API, or a NotFound error.
func (s *Service) get(ctx context.Context, apiID string) (*apigw.API, error) {
	api, _, err := s.config.Catalog.Get(ctx, apiID)
	return api, translate(err, apiID)
}

// deploys says whether a change touches what deployments freeze.
type deploys bool

const (
	frozen    deploys = true  // routes, integrations, responses, expressions
	notFrozen deploys = false // names, tags, stages' own settings
)

// change runs fn on the API and stores what it made of it; fn may run more than
// once. When the change touches what deployments freeze, the stages with
// auto-deploy get a new deployment in the same write. A definition that doesn't
// compile then refuses the change, unless it takes something away.
func (s *Service) change(ctx context.Context, apiID string, d deploys, fn func(*apigw.API) error) error {
	return s.write(ctx, apiID, d, false, fn)
}

// remove is change for what takes something away: auto-deploy that fails then
// leaves the stages as they are and says so in their status.
func (s *Service) remove(ctx context.Context, apiID string, fn func(*apigw.API) error) error {
	return s.write(ctx, apiID, frozen, true, fn)
}

func (s *Service) write(ctx context.Context, apiID string, d deploys, tolerant bool, fn func(*apigw.API) error) error {
	revision, stale, err := s.swap(ctx, apiID, func(api *apigw.API) (string, []string, error) {
		if err := fn(api); err != nil {
			return "", nil, err
		}
		if d == frozen {
			return s.autoDeploy(ctx, api, autoDeployed(api), tolerant)
		}
		return "", nil, nil
	})
	if err != nil {
		return err
	}
	s.discard(ctx, apiID, stale)
	s.applied(ctx, apiID, revision)
	return nil
}

// swap updates the API under its lock. fn returns the deployment whose
// definition it stored, taken back when the update fails, and the deployments
// whose definitions nobody needs after it.
func (s *Service) swap(ctx context.Context, apiID string, fn func(*apigw.API) (made string, stale []string, err error)) (uint64, []string, error) {
	lock := s.lockOf(apiID)
	lock.Lock()
	defer lock.Unlock()
	var made, stale []string
	_, revision, err := s.config.Catalog.Update(ctx, apiID, func(api *apigw.API) error {
		if err := changeable(api); err != nil {
			return err
		}
		s.discard(ctx, apiID, made) // of an attempt that lost its race
		m, st, err := fn(api)
		made, stale = nil, st
		if m != "" {
			made = []string{m}
		}
		return err
	})
	if err != nil {
		s.discard(ctx, apiID, made)
		return 0, nil, translate(err, apiID)
	}
	return revision, stale, nil
}

func (s *Service) lockOf(apiID string) *sync.Mutex {
	return &s.locks[maphash.String(s.seed, apiID)%uint64(len(s.locks))]
}

// changeable refuses to change what a file declares.
func changeable(api *apigw.API) error {
	if api.File == "" {
		return nil
	}
	return conflict("API %s is declared in %s, and changed there alone: edit the file, and send Tidegate a SIGHUP", api.ID, api.File)
}

// discard removes definitions that nothing refers to. A failure leaves garbage
// and is no reason to fail the call.
func (s *Service) discard(ctx context.Context, apiID string, deploymentIDs []string) {
	for _, id := range deploymentIDs {
		if err := s.config.Catalog.DeleteDefinition(context.WithoutCancel(ctx), apiID, id); err != nil {
			s.config.Notice(fmt.Sprintf("the definition of deployment %s of API %s stays on disk: %v", id, apiID, err))
		}
	}
}

// applied waits until this node serves the API as of the revision.
func (s *Service) applied(ctx context.Context, apiID string, revision uint64) {
	if s.config.Applied == nil {
		return
	}
	if err := s.config.Applied(ctx, apiID, revision); err != nil && ctx.Err() == nil {
		s.config.Notice(fmt.Sprintf("API %s was changed, and it isn't sure that the change is served yet: %v", apiID, err))
	}
}

// translate turns the catalog's errors into this package's.
func translate(err error, apiID string) error {
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return notFound("Api", "Invalid API identifier specified %s", cut(apiID))
	case errors.Is(err, catalog.ErrBusy):
		return conflict("Unable to complete operation due to concurrent modification. Please try again later.")
	case errors.Is(err, catalog.ErrTooLarge):
		return badRequest("the API has grown larger than Tidegate can store: %v", err)
	}
	return err
}

// sorted returns a map's values in the order of their keys, which is the order
// in which lists are paged.
func sorted[K ~string, V any](m map[K]V) []V {
	values := make([]V, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		values = append(values, m[k])
	}
	return values
}
