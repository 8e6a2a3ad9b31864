package filekv

import (
	"context"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"tidegate/internal/kv"
)

// A writeKind is what a write does.
type writeKind int

const (
	put writeKind = iota
	swap
	remove
	makeBucket
	enqueue
	dequeue
	requeue
)

// A write waits for the writer. Its fields after done are the writer's until
// done is closed.
type write struct {
	bucket   *bucket
	kind     writeKind
	key      string
	value    []byte // the stored form: room for the revision, then the value
	revision uint64 // expected, of a swap

	queue *queue // of enqueue, dequeue and requeue
	old   []byte // the message's present key, of dequeue and requeue
	due   int64  // ns since 1970, of enqueue and requeue

	done    chan struct{}
	result  uint64
	changed bool
	err     error
}

// commit hands w to the writer and waits for it.
func (s *Store) commit(ctx context.Context, w *write) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	w.done = make(chan struct{})
	select {
	case s.writes <- w:
	case <-s.quit:
		return 0, kv.ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case <-w.done:
		return w.result, w.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.done:
		// The writer has ended. It may have answered just before.
		select {
		case <-w.done:
			return w.result, w.err
		default:
			return 0, kv.ErrClosed
		}
	}
}

// writeLoop commits writes until the store is closed and none is left.
func (s *Store) writeLoop() {
	defer close(s.done)
	batch := make([]*write, 0, maxBatch)
	for {
		batch = batch[:0]
		select {
		case w := <-s.writes:
			batch = append(batch, w)
		case <-s.quit:
			select {
			case w := <-s.writes:
				batch = append(batch, w)
			default:
				return
			}
		}
		size := len(batch[0].value)
		for more := true; more && len(batch) < maxBatch && size < maxBatchBytes; {
			select {
			case w := <-s.writes:
				batch = append(batch, w)
				size += len(w.value)
			default:
				more = false
			}
		}
		s.apply(batch)
		s.publish(batch)
		for i, w := range batch {
			close(w.done)
			batch[i] = nil
		}
	}
}

// apply runs the batch in one transaction. When that fails nothing of it
// happened, and every write gets the error.
func (s *Store) apply(batch []*write) {
	fail := func(err error) {
		for _, w := range batch {
			w.changed, w.result, w.err = false, 0, s.wrap(err)
			if w.queue != nil {
				w.queue.settle(false)
			}
		}
	}
	tx, err := s.db.Load().Begin(true)
	if err != nil {
		fail(err)
		return
	}
	changed := false
	for _, w := range batch {
		if err := w.run(tx); err != nil {
			tx.Rollback()
			fail(err)
			return
		}
		changed = changed || w.changed
	}
	if !changed {
		tx.Rollback()
		return
	}
	if err := tx.Commit(); err != nil {
		fail(err)
		return
	}
	for _, w := range batch {
		if w.queue != nil {
			w.queue.settle(true)
		}
	}
}

// run does one write. The error it returns dooms the transaction; what concerns
// only this write goes to w.err.
func (w *write) run(tx *bbolt.Tx) error {
	if w.kind == makeBucket {
		w.changed = true
		_, err := tx.CreateBucketIfNotExists(w.bucket.name)
		return err
	}
	if w.queue != nil {
		return w.runQueue(tx)
	}
	b := tx.Bucket(w.bucket.name)
	key := []byte(w.key)
	old := b.Get(key)
	switch w.kind {
	case swap:
		var present uint64
		if old != nil {
			present = binary.BigEndian.Uint64(old)
		}
		if present != w.revision {
			w.err = fmt.Errorf("%w: %s is at revision %d, not %d", kv.ErrConflict, w.key, present, w.revision)
			return nil
		}
	case remove:
		if old == nil {
			return nil
		}
	}
	revision, err := b.NextSequence()
	if err != nil {
		return err
	}
	w.result, w.changed = revision, true
	if w.kind == remove {
		return b.Delete(key)
	}
	binary.BigEndian.PutUint64(w.value, revision)
	return b.Put(key, w.value)
}
