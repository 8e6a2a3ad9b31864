package rollout

import (
	"context"
	"errors"
	"sync"

	"tidegate/internal/control/catalog"
)

// revisions are those that are served, by the name of what has them, and let
// others wait for one.
type revisions struct {
	mu      sync.Mutex
	applied map[string]uint64
	changed chan struct{} // closed and replaced when applied changes
}

func newRevisions() *revisions {
	return &revisions{applied: map[string]uint64{}, changed: make(chan struct{})}
}

// mark wakes those who wait for the revision. What is gone has none; wait asks
// the catalog about it.
func (r *revisions) mark(name string, revision uint64, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gone {
		delete(r.applied, name)
	} else {
		r.applied[name] = revision
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait returns when the revision is served, or nothing is and get says
// catalog.ErrNotFound.
func (r *revisions) wait(ctx context.Context, done <-chan struct{}, name string, revision uint64, get func() error) error {
	for {
		r.mu.Lock()
		at, known := r.applied[name]
		changed := r.changed
		r.mu.Unlock()
		if known && at >= revision {
			return nil
		}
		if !known && errors.Is(get(), catalog.ErrNotFound) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			return ErrStopped
		}
	}
}
