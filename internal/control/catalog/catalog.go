// Package catalog keeps the control plane's resources on a kv.Store: one key an
// API with all it owns, changed by compare-and-swap, and beside it the
// definitions that deployments froze, which never change.
//
// Keys: apis/{id}; deployments/{api}/{deployment}/{chunk}; domains/{name}.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/kv"
)

const (
	bucketName       = "catalog"
	apiPrefix        = "apis/"
	deploymentPrefix = "deployments/"
	// maxAttempts bounds the retries of Update. Each lost race means that another
	// writer won, so only a crowd on one API gets there.
	maxAttempts = 50
)

// Errors to be tested with errors.Is.
var (
	// ErrNotFound says that there is no such API or definition.
	ErrNotFound = errors.New("catalog: not found")
	// ErrExists says that the API's id is taken.
	ErrExists = errors.New("catalog: the API exists already")
	// ErrBusy says that other writers won every race for the API.
	ErrBusy = errors.New("catalog: too many writers change the API at once")
	// ErrTooLarge says that an API or a definition is over what can be stored.
	ErrTooLarge = errors.New("catalog: too large")
)

// A Catalog is safe for concurrent use.
type Catalog struct {
	bucket kv.Bucket
}

// Open returns the catalog in the store.
func Open(ctx context.Context, store kv.Store) (*Catalog, error) {
	b, err := store.Bucket(ctx, bucketName)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return &Catalog{bucket: b}, nil
}

// Create stores a new API and returns its revision, or ErrExists.
func (c *Catalog) Create(ctx context.Context, api *apigw.API) (uint64, error) {
	value, err := encodeAPI(api)
	if err != nil {
		return 0, err
	}
	rev, err := c.bucket.Swap(ctx, apiPrefix+api.ID, value, 0)
	if errors.Is(err, kv.ErrConflict) {
		return 0, fmt.Errorf("%w: %s", ErrExists, api.ID)
	}
	return rev, err
}

// Get returns the API, a copy of the caller's own, and its revision.
func (c *Catalog) Get(ctx context.Context, id string) (*apigw.API, uint64, error) {
	e, err := c.bucket.Get(ctx, apiPrefix+id)
	// An id that can't be a key can't be an API's either.
	if errors.Is(err, kv.ErrNotFound) || errors.Is(err, kv.ErrInvalid) || strings.Contains(id, "/") {
		return nil, 0, fmt.Errorf("%w: API %q", ErrNotFound, id)
	}
	if err != nil {
		return nil, 0, err
	}
	api, err := decodeAPI(e)
	return api, e.Revision, err
}

// List returns every API, sorted by id.
func (c *Catalog) List(ctx context.Context) ([]*apigw.API, error) {
	entries, err := c.bucket.List(ctx, apiPrefix)
	if err != nil {
		return nil, err
	}
	apis := make([]*apigw.API, 0, len(entries))
	for _, e := range entries {
		api, err := decodeAPI(e)
		if err != nil {
			return nil, err
		}
		apis = append(apis, api)
	}
	return apis, nil
}

// Update reads the API, lets fn change it, and writes it back if nobody else
// did meanwhile; otherwise it begins again, so fn may run more than once. It
// returns what was written and its revision. An error of fn's ends it and is
// returned as it is.
func (c *Catalog) Update(ctx context.Context, id string, fn func(*apigw.API) error) (*apigw.API, uint64, error) {
	for range maxAttempts {
		api, rev, err := c.Get(ctx, id)
		if err != nil {
			return nil, 0, err
		}
		if err := fn(api); err != nil {
			return nil, 0, err
		}
		value, err := encodeAPI(api)
		if err != nil {
			return nil, 0, err
		}
		rev, err = c.bucket.Swap(ctx, apiPrefix+id, value, rev)
		if errors.Is(err, kv.ErrConflict) {
			continue
		}
		return api, rev, err
	}
	return nil, 0, fmt.Errorf("%w: %s", ErrBusy, id)
}

// Delete removes the API and all definitions that its deployments froze, and
// returns a revision above its last one. No such API is ErrNotFound.
func (c *Catalog) Delete(ctx context.Context, id string) (uint64, error) {
	_, rev, err := c.Get(ctx, id)
	if err != nil {
		return 0, err
	}
	if err := c.bucket.Delete(ctx, apiPrefix+id); err != nil {
		return 0, err
	}
	return rev + 1, c.deletePrefix(ctx, deploymentPrefix+id+"/")
}

func (c *Catalog) deletePrefix(ctx context.Context, prefix string) error {
	entries, err := c.bucket.List(ctx, prefix)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.bucket.Delete(ctx, e.Key); err != nil {
			return err
		}
	}
	return nil
}

// A Change is what a Watch sends.
type Change struct {
	ID       string     // the API's; empty once, after all that was present
	API      *apigw.API // nil when the API was deleted or couldn't be read
	Revision uint64
	Err      error // why the API couldn't be read
}

// Watch sends every API, then one Change with an empty ID, then each change. A
// slow reader misses states in between, never the last one of an API. The
// channel is closed when ctx ends or the store is closed.
func (c *Catalog) Watch(ctx context.Context) (<-chan Change, error) {
	return watch(ctx, c.bucket, apiPrefix, func(e kv.Entry) Change {
		change := Change{ID: strings.TrimPrefix(e.Key, apiPrefix), Revision: e.Revision}
		if e.Key != "" && !e.Deleted {
			change.API, change.Err = decodeAPI(e)
		}
		return change
	})
}

// watch sends what read makes of the entries below a prefix.
func watch[C any](ctx context.Context, bucket kv.Bucket, prefix string, read func(kv.Entry) C) (<-chan C, error) {
	entries, err := bucket.Watch(ctx, prefix)
	if err != nil {
		return nil, err
	}
	changes := make(chan C)
	go func() {
		defer close(changes)
		for e := range entries {
			select {
			case changes <- read(e):
			case <-ctx.Done():
				// entries is closed soon; what it still holds must not block its sender.
				for range entries {
				}
				return
			}
		}
	}()
	return changes, nil
}
