// Package filekv keeps kv's buckets and queues in one bbolt file.
//
// One goroutine writes. It takes whatever waits and commits it in a single
// transaction, so a lone write costs one fsync and a crowd shares one. Reads go
// to bbolt's memory map and wait for nobody. Watches live in memory.
package filekv

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"tidegate/internal/kv"
)

const (
	// lockTimeout is how long Open waits for another process to let go of the
	// file: long enough for one that is just exiting, short for a person.
	lockTimeout = 200 * time.Millisecond
	// maxBatch is how many writes share a transaction at most.
	maxBatch = 256
	// maxBatchBytes is how many bytes of values a transaction takes before it
	// takes no further write.
	maxBatchBytes = 8 << 20
	// revisionSize is the length of the revision, big-endian, in front of each
	// stored value.
	revisionSize = 8
)

// ErrLocked says that another process, or this one, has the file open.
var ErrLocked = errors.New("kv: in use by another process; stop it or use another data directory")

// A Store is a kv.Store in a file. Make one with Open.
type Store struct {
	path   string
	db     atomic.Pointer[bbolt.DB]
	writes chan *write
	quit   chan struct{} // closed by Close: no new writes
	done   chan struct{} // closed when the writer has ended

	closeOnce sync.Once
	closeErr  error

	mu      sync.Mutex
	closed  bool
	watches map[*watch]struct{}
	queues  map[string]*queue
}

// Open opens the file, made with mode 0600 when it doesn't exist; its folder
// must exist. A file that another process holds is ErrLocked, and the error names it.
func Open(path string) (*Store, error) { return OpenWithin(path, 0) }

// OpenWithin is Open that waits for another process to let go of the file, for as
// long as patience; 0 is Open's own.
func OpenWithin(path string, patience time.Duration) (*Store, error) {
	db, err := openFile(path, cmp.Or(patience, lockTimeout))
	if err != nil {
		return nil, err
	}
	s := &Store{
		path:    path,
		writes:  make(chan *write, maxBatch),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
		watches: make(map[*watch]struct{}),
		queues:  make(map[string]*queue),
	}
	s.db.Store(db)
	go s.writeLoop()
	return s, nil
}

func openFile(path string, patience time.Duration) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: patience,
		// The list of free pages is rebuilt at the start instead of being
		// written whole with each commit, and kept in a map.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("kv: open %s: %w", path, err)
	}
	return db, nil
}

// Suspend closes the file, so that another process can open it. Until Resume every
// call answers kv.ErrClosed; watches stay.
func (s *Store) Suspend() error {
	if err := s.db.Load().Close(); err != nil {
		return fmt.Errorf("kv: close %s: %w", s.path, err)
	}
	return nil
}

// Resume opens the file again, or returns ErrLocked. What another process changed
// meanwhile is there, but watches don't tell of it.
func (s *Store) Resume() error {
	db, err := openFile(s.path, lockTimeout)
	if err != nil {
		return err
	}
	s.db.Store(db)
	return nil
}

// Close commits the writes under way, closes every watch and the file.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.quit)
		<-s.done
		s.mu.Lock()
		s.closed = true
		watches := s.watches
		s.watches = nil
		s.mu.Unlock()
		for w := range watches {
			w.stop()
		}
		if err := s.db.Load().Close(); err != nil {
			s.closeErr = fmt.Errorf("kv: close %s: %w", s.path, err)
		}
	})
	return s.closeErr
}

// Bucket returns the bucket of that name, made when it doesn't exist.
func (s *Store) Bucket(ctx context.Context, name string) (kv.Bucket, error) {
	if err := kv.CheckBucketName(name); err != nil {
		return nil, err
	}
	b := &bucket{store: s, name: []byte(name)}
	if err := s.make(ctx, b); err != nil {
		return nil, err
	}
	return b, nil
}

// make makes the top-level bucket unless it exists.
func (s *Store) make(ctx context.Context, b *bucket) error {
	exists := false
	err := s.db.Load().View(func(tx *bbolt.Tx) error {
		exists = tx.Bucket(b.name) != nil
		return nil
	})
	if err != nil {
		return s.wrap(err)
	}
	if !exists {
		_, err = s.commit(ctx, &write{bucket: b, kind: makeBucket})
	}
	return err
}

// wrap names the file in an error of bbolt's.
func (s *Store) wrap(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return kv.ErrClosed
	}
	return fmt.Errorf("kv: %s: %w", s.path, err)
}

// A bucket is a kv.Bucket: a top-level bucket of the file.
type bucket struct {
	store *Store
	name  []byte
}

// Get returns the entry, or kv.ErrNotFound.
func (b *bucket) Get(ctx context.Context, key string) (kv.Entry, error) {
	if err := kv.CheckKey(key); err != nil {
		return kv.Entry{}, err
	}
	if err := ctx.Err(); err != nil {
		return kv.Entry{}, err
	}
	var e kv.Entry
	err := b.store.db.Load().View(func(tx *bbolt.Tx) error {
		if raw := tx.Bucket(b.name).Get([]byte(key)); raw != nil {
			e = decode(key, raw)
		}
		return nil
	})
	if err != nil {
		return kv.Entry{}, b.store.wrap(err)
	}
	if e.Revision == 0 {
		return kv.Entry{}, fmt.Errorf("%w: %s", kv.ErrNotFound, key)
	}
	return e, nil
}

// Put writes the value and returns its revision.
func (b *bucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	return b.write(ctx, &write{bucket: b, kind: put, key: key, value: value})
}

// Swap writes the value if the key is still at the revision.
func (b *bucket) Swap(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return b.write(ctx, &write{bucket: b, kind: swap, key: key, value: value, revision: revision})
}

// Delete removes the key if it is there.
func (b *bucket) Delete(ctx context.Context, key string) error {
	_, err := b.write(ctx, &write{bucket: b, kind: remove, key: key})
	return err
}

func (b *bucket) write(ctx context.Context, w *write) (uint64, error) {
	if err := kv.CheckKey(w.key); err != nil {
		return 0, err
	}
	if err := kv.CheckValue(w.key, w.value); err != nil {
		return 0, err
	}
	// A caller may reuse its slice after giving up on ctx, while the writer still
	// holds it; the stored form needs a copy anyway.
	w.value = append(make([]byte, revisionSize, revisionSize+len(w.value)), w.value...)
	return b.store.commit(ctx, w)
}

// List returns the entries under prefix, sorted by key.
func (b *bucket) List(ctx context.Context, prefix string) ([]kv.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, _, err := b.snapshot(prefix)
	return entries, err
}

// snapshot returns the entries under prefix and the bucket's revision, both of
// one moment.
func (b *bucket) snapshot(prefix string) ([]kv.Entry, uint64, error) {
	var entries []kv.Entry
	var revision uint64
	err := b.store.db.Load().View(func(tx *bbolt.Tx) error {
		bb := tx.Bucket(b.name)
		revision = bb.Sequence()
		c := bb.Cursor()
		p := []byte(prefix)
		for k, v := c.Seek(p); k != nil && bytes.HasPrefix(k, p); k, v = c.Next() {
			entries = append(entries, decode(string(k), v))
		}
		return nil
	})
	if err != nil {
		return nil, 0, b.store.wrap(err)
	}
	return entries, revision, nil
}

// decode copies a stored value out of the memory map.
func decode(key string, raw []byte) kv.Entry {
	return kv.Entry{Key: key, Revision: binary.BigEndian.Uint64(raw), Value: bytes.Clone(raw[revisionSize:])}
}
