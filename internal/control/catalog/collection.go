package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"tidegate/internal/kv"
)

// A Collection is the resources of one kind, a key each. What it returns is the
// caller's own; it is safe for concurrent use.
type Collection[T any] struct {
	bucket kv.Bucket
	prefix string // of its keys
	kind   string // for errors: "API"
	member string // of the stored form, which holds the resource
	id     func(*T) string
}

// A star begins names of domains, and is no letter of a key's.
const (
	star      = "*"
	starInKey = "_wildcard"
)

func (c *Collection[T]) key(id string) string {
	return c.prefix + strings.Replace(id, star, starInKey, 1)
}

// Create stores a new resource and returns its revision, or ErrExists.
func (c *Collection[T]) Create(ctx context.Context, v *T) (uint64, error) {
	value, err := c.encode(v)
	if err != nil {
		return 0, err
	}
	rev, err := c.bucket.Swap(ctx, c.key(c.id(v)), value, 0)
	if errors.Is(err, kv.ErrConflict) {
		return 0, fmt.Errorf("%w: %s %s", ErrExists, c.kind, c.id(v))
	}
	return rev, err
}

// Get returns the resource and its revision, or ErrNotFound.
func (c *Collection[T]) Get(ctx context.Context, id string) (*T, uint64, error) {
	e, err := c.bucket.Get(ctx, c.key(id))
	// An id that can't be a key can't be a resource's either.
	if errors.Is(err, kv.ErrNotFound) || errors.Is(err, kv.ErrInvalid) || strings.Contains(id, "/") {
		return nil, 0, fmt.Errorf("%w: %s %q", ErrNotFound, c.kind, id)
	}
	if err != nil {
		return nil, 0, err
	}
	v, err := c.decode(e)
	return v, e.Revision, err
}

// List returns every resource, sorted by key.
func (c *Collection[T]) List(ctx context.Context) ([]*T, error) {
	entries, err := c.bucket.List(ctx, c.prefix)
	if err != nil {
		return nil, err
	}
	all := make([]*T, 0, len(entries))
	for _, e := range entries {
		v, err := c.decode(e)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// Update reads the resource, lets fn change it, and writes it back if nobody else
// did meanwhile; otherwise it begins again, so fn may run more than once. It
// returns what was written and its revision. An error of fn's ends it and is
// returned as it is.
func (c *Collection[T]) Update(ctx context.Context, id string, fn func(*T) error) (*T, uint64, error) {
	for range maxAttempts {
		v, rev, err := c.Get(ctx, id)
		if err != nil {
			return nil, 0, err
		}
		if err := fn(v); err != nil {
			return nil, 0, err
		}
		value, err := c.encode(v)
		if err != nil {
			return nil, 0, err
		}
		rev, err = c.bucket.Swap(ctx, c.key(id), value, rev)
		if errors.Is(err, kv.ErrConflict) {
			continue
		}
		return v, rev, err
	}
	return nil, 0, fmt.Errorf("%w: %s %s", ErrBusy, c.kind, id)
}

// Delete removes the resource and returns a revision above its last one. No such
// resource is ErrNotFound.
func (c *Collection[T]) Delete(ctx context.Context, id string) (uint64, error) {
	_, rev, err := c.Get(ctx, id)
	if err != nil {
		return 0, err
	}
	return rev + 1, c.bucket.Delete(ctx, c.key(id))
}

// A Change is what a Watch sends.
type Change[T any] struct {
	ID       string // the resource's; empty once, after all that was present
	Value    *T     // nil when it was deleted or couldn't be read
	Revision uint64
	Err      error // why it couldn't be read
}

// Watch sends every resource, then one Change with an empty ID, then each change.
// A slow reader misses states in between, never the last one of a resource. The
// channel is closed when ctx ends or the store is closed.
func (c *Collection[T]) Watch(ctx context.Context) (<-chan Change[T], error) {
	entries, err := c.bucket.Watch(ctx, c.prefix)
	if err != nil {
		return nil, err
	}
	changes := make(chan Change[T])
	go func() {
		defer close(changes)
		for e := range entries {
			select {
			case changes <- c.change(e):
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

func (c *Collection[T]) change(e kv.Entry) Change[T] {
	id := strings.Replace(strings.TrimPrefix(e.Key, c.prefix), starInKey, star, 1)
	change := Change[T]{ID: id, Revision: e.Revision}
	if e.Key != "" && !e.Deleted {
		change.Value, change.Err = c.decode(e)
	}
	return change
}
