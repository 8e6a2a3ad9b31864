package filekv

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"tidegate/internal/kv"
)

// queuePrefix tells a queue's top-level bucket from a kv.Bucket's, whose names
// have no colon.
const queuePrefix = "queue:"

// A queue is a kv.Queue: a top-level bucket of the file. A message's key is its
// due time and its id, both big-endian, so that a cursor meets first what is due
// first. Leases and sums live in memory: the file has one process.
type queue struct {
	store *Store
	name  []byte

	mu     sync.Mutex
	limits kv.QueueLimits
	size   kv.QueueSize        // of what is committed
	leased map[string]struct{} // by key

	pending kv.QueueSize // what the present batch adds; the writer's alone
	freed   [][]byte     // keys that the present batch removes; the writer's alone
}

// Queue returns the queue of that name, made when it doesn't exist.
func (s *Store) Queue(ctx context.Context, name string, limits kv.QueueLimits) (kv.Queue, error) {
	if err := kv.CheckBucketName(name); err != nil {
		return nil, err
	}
	b := &bucket{store: s, name: []byte(queuePrefix + name)}
	if err := s.make(ctx, b); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[name]; q != nil {
		q.mu.Lock()
		q.limits = limits
		q.mu.Unlock()
		return q, nil
	}
	q := &queue{store: s, name: b.name, limits: limits, leased: map[string]struct{}{}}
	err := s.db.Load().View(func(tx *bbolt.Tx) error {
		return tx.Bucket(q.name).ForEach(func(_, v []byte) error {
			q.size.Count++
			q.size.Bytes += int64(len(v))
			return nil
		})
	})
	if err != nil {
		return nil, s.wrap(err)
	}
	s.queues[name] = q
	return q, nil
}

// messageKey is where a message lies.
func messageKey(due int64, id uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(due)), id)
}

// Put stores a message.
func (q *queue) Put(ctx context.Context, due time.Time, body []byte) error {
	if err := kv.CheckMessage(due, body); err != nil {
		return err
	}
	_, err := q.store.commit(ctx, &write{queue: q, kind: enqueue, value: bytes.Clone(body), due: due.UnixNano()})
	return err
}

// Lease takes messages that are due.
func (q *queue) Lease(ctx context.Context, now time.Time, n int) ([]kv.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []kv.Message
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.store.db.Load().View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(q.name).Cursor()
		for k, v := c.First(); k != nil && len(out) < n; k, v = c.Next() {
			due := int64(binary.BigEndian.Uint64(k))
			if due > now.UnixNano() {
				break
			}
			if _, taken := q.leased[string(k)]; !taken {
				out = append(out, kv.Message{ID: binary.BigEndian.Uint64(k[8:]), Due: time.Unix(0, due).UTC(), Body: bytes.Clone(v)})
			}
		}
		return nil
	})
	if err != nil {
		return nil, q.store.wrap(err)
	}
	for _, m := range out {
		q.leased[string(messageKey(m.Due.UnixNano(), m.ID))] = struct{}{}
	}
	return out, nil
}

// Ack removes a leased message.
func (q *queue) Ack(ctx context.Context, m kv.Message) error {
	_, err := q.store.commit(ctx, &write{queue: q, kind: dequeue, old: messageKey(m.Due.UnixNano(), m.ID)})
	return err
}

// Return replaces a leased message.
func (q *queue) Return(ctx context.Context, m kv.Message, due time.Time, body []byte) error {
	if err := kv.CheckMessage(due, body); err != nil {
		return err
	}
	_, err := q.store.commit(ctx, &write{queue: q, kind: requeue, old: messageKey(m.Due.UnixNano(), m.ID), value: bytes.Clone(body), due: due.UnixNano()})
	return err
}

// Next returns when the first message that isn't leased is due.
func (q *queue) Next(ctx context.Context) (time.Time, bool, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, false, err
	}
	var due time.Time
	found := false
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.store.db.Load().View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(q.name).Cursor()
		for k, _ := c.First(); k != nil && !found; k, _ = c.Next() {
			if _, taken := q.leased[string(k)]; !taken {
				due, found = time.Unix(0, int64(binary.BigEndian.Uint64(k))).UTC(), true
			}
		}
		return nil
	})
	if err != nil {
		return time.Time{}, false, q.store.wrap(err)
	}
	return due, found, nil
}

// Size returns how much the queue holds.
func (q *queue) Size(ctx context.Context) (kv.QueueSize, error) {
	if err := ctx.Err(); err != nil {
		return kv.QueueSize{}, err
	}
	q.store.mu.Lock()
	closed := q.store.closed
	q.store.mu.Unlock()
	if closed {
		return kv.QueueSize{}, kv.ErrClosed
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size, nil
}

// settle ends a batch for the queue: what it did has happened, or has not. It
// may be called more than once.
func (q *queue) settle(committed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if committed {
		q.size.Count += q.pending.Count
		q.size.Bytes += q.pending.Bytes
		for _, key := range q.freed {
			delete(q.leased, string(key))
		}
	}
	q.pending, q.freed = kv.QueueSize{}, nil
}

// room returns an error unless a body fits beside what is there.
func (q *queue) room(body int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	count, size := q.size.Count+q.pending.Count+1, q.size.Bytes+q.pending.Bytes+int64(body)
	if count > q.limits.Count || size > q.limits.Bytes {
		return fmt.Errorf("%w: it may hold %d messages of %d bytes", kv.ErrFull, q.limits.Count, q.limits.Bytes)
	}
	return nil
}

func (q *queue) isLeased(key []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, ok := q.leased[string(key)]
	return ok
}

// runQueue does one write to a queue, as run does for a bucket.
func (w *write) runQueue(tx *bbolt.Tx) error {
	q := w.queue
	b := tx.Bucket(q.name)
	if w.kind == enqueue {
		if w.err = q.room(len(w.value)); w.err != nil {
			return nil
		}
	} else {
		old := b.Get(w.old)
		if old == nil || !q.isLeased(w.old) {
			w.err = kv.ErrNotLeased
			return nil
		}
		q.pending.Count--
		q.pending.Bytes -= int64(len(old))
		q.freed = append(q.freed, w.old)
		if err := b.Delete(w.old); err != nil {
			return err
		}
	}
	w.changed = true
	if w.kind == dequeue {
		return nil
	}
	id, err := b.NextSequence()
	if err != nil {
		return err
	}
	q.pending.Count++
	q.pending.Bytes += int64(len(w.value))
	return b.Put(messageKey(w.due, id), w.value)
}
