// Package catalog keeps the control plane's resources on a kv.Store: one key an
// API with all it owns, changed by compare-and-swap, and beside it the
// definitions that deployments froze, which never change.
//
// Keys: apis/{id}; deployments/{api}/{deployment}/{chunk}; domains/{name};
// vpclinks/{id}.
package catalog

import (
	"context"
	"errors"
	"fmt"

	"tidegate/internal/apigw"
	"tidegate/internal/kv"
)

const (
	bucketName       = "catalog"
	apiPrefix        = "apis/"
	deploymentPrefix = "deployments/"
	// maxAttempts bounds the retries of Update. Each lost race means that another
	// writer won, so only a crowd on one resource gets there.
	maxAttempts = 50
)

// Errors to be tested with errors.Is.
var (
	// ErrNotFound says that there is no such resource or definition.
	ErrNotFound = errors.New("catalog: not found")
	// ErrExists says that the resource's id is taken.
	ErrExists = errors.New("catalog: exists already")
	// ErrBusy says that other writers won every race for the resource.
	ErrBusy = errors.New("catalog: too many writers at once")
	// ErrTooLarge says that a resource or a definition is over what can be stored.
	ErrTooLarge = errors.New("catalog: too large")
)

// A Catalog is the collection of APIs, and of what belongs to none. It is safe for
// concurrent use.
type Catalog struct {
	Collection[apigw.API]
	Domains  Collection[apigw.Domain] // custom domain names, each with its mappings
	VPCLinks Collection[apigw.VPCLink]
}

// Open returns the catalog in the store.
func Open(ctx context.Context, store kv.Store) (*Catalog, error) {
	b, err := store.Bucket(ctx, bucketName)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return over(b), nil
}

// over returns the catalog that a bucket holds.
func over(b kv.Bucket) *Catalog {
	return &Catalog{
		Collection: apis(b),
		Domains:    Collection[apigw.Domain]{b, "domains/", "domain", "domain", func(d *apigw.Domain) string { return d.Name }},
		VPCLinks:   Collection[apigw.VPCLink]{b, "vpclinks/", "VPC link", "link", func(l *apigw.VPCLink) string { return l.ID }},
	}
}

func apis(b kv.Bucket) Collection[apigw.API] {
	return Collection[apigw.API]{b, apiPrefix, "API", "api", func(a *apigw.API) string { return a.ID }}
}

// Delete removes the API and all definitions that its deployments froze, and
// returns a revision above its last one. No such API is ErrNotFound.
func (c *Catalog) Delete(ctx context.Context, id string) (uint64, error) {
	rev, err := c.Collection.Delete(ctx, id)
	if err != nil {
		return 0, err
	}
	return rev, c.deletePrefix(ctx, deploymentPrefix+id+"/")
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
