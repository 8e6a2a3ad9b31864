package filekv

import (
	"context"
	"strings"
	"sync"

	"tidegate/internal/kv"
)

// A watch holds the changes that its reader hasn't taken yet: at most one a
// key, the newest, in the order in which the keys first changed.
type watch struct {
	bucket string
	prefix string

	mu      sync.Mutex
	pending map[string]kv.Entry
	order   []string
	wake    chan struct{} // holds one token when pending isn't empty

	quit     chan struct{}
	stopOnce sync.Once
}

// Watch sends the present entries, an empty one, and then every change.
func (b *bucket) Watch(ctx context.Context, prefix string) (<-chan kv.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &watch{
		bucket:  string(b.name),
		prefix:  prefix,
		pending: make(map[string]kv.Entry),
		wake:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
	}
	// Registered before the snapshot is taken, so that no change falls between;
	// what the snapshot already holds is told apart by its revision.
	if !b.store.register(w) {
		return nil, kv.ErrClosed
	}
	entries, revision, err := b.snapshot(prefix)
	if err != nil {
		b.store.unregister(w)
		return nil, err
	}
	out := make(chan kv.Entry)
	go func() {
		defer close(out)
		defer b.store.unregister(w)
		w.run(ctx, out, entries, revision)
	}()
	return out, nil
}

// run sends until the context ends or the store is closed.
func (w *watch) run(ctx context.Context, out chan<- kv.Entry, entries []kv.Entry, revision uint64) {
	send := func(e kv.Entry) bool {
		select {
		case out <- e:
			return true
		case <-ctx.Done():
		case <-w.quit:
		}
		return false
	}
	for _, e := range entries {
		if !send(e) {
			return
		}
	}
	if !send(kv.Entry{}) {
		return
	}
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		case <-w.quit:
			return
		}
		for {
			e, ok := w.take()
			if !ok {
				break
			}
			if e.Revision > revision && !send(e) {
				return
			}
		}
	}
}

// take returns the next pending change.
func (w *watch) take() (kv.Entry, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		w.order = nil
		return kv.Entry{}, false
	}
	key := w.order[0]
	w.order = w.order[1:]
	e := w.pending[key]
	delete(w.pending, key)
	return e, true
}

// add notes a change; an older one of the same key that still waits is replaced.
func (w *watch) add(e kv.Entry) {
	w.mu.Lock()
	if _, waits := w.pending[e.Key]; !waits {
		w.order = append(w.order, e.Key)
	}
	w.pending[e.Key] = e
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watch) stop() { w.stopOnce.Do(func() { close(w.quit) }) }

// publish tells the watches what the batch changed, before the writers know.
func (s *Store) publish(batch []*write) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.watches) == 0 {
		return
	}
	for _, w := range batch {
		if !w.changed || w.kind > remove { // only buckets' keys are watched
			continue
		}
		e := kv.Entry{Key: w.key, Revision: w.result, Deleted: w.kind == remove}
		for watch := range s.watches {
			if watch.bucket != string(w.bucket.name) || !strings.HasPrefix(w.key, watch.prefix) {
				continue
			}
			if !e.Deleted && e.Value == nil {
				e.Value = w.value[revisionSize:] // nobody else holds the slice any more
			}
			watch.add(e)
		}
	}
}

func (s *Store) register(w *watch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.watches[w] = struct{}{}
	return true
}

func (s *Store) unregister(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watches, w)
}
