// Package kv is the durable key-value store under the control plane and the
// side services: buckets of small values with compare-and-swap and a watch.
// kv/filekv keeps them in one bbolt file; kvtest is the suite that every
// implementation passes.
package kv

import (
	"context"
	"errors"
)

// Errors that every implementation returns, to be tested with errors.Is.
var (
	// ErrNotFound says that the bucket holds no such key.
	ErrNotFound = errors.New("kv: key not found")
	// ErrConflict says that the revision given is not the key's present one.
	ErrConflict = errors.New("kv: revision conflict")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("kv: closed")
)

// MaxValue is the size in bytes that a value may have at most (1 MiB: what a
// JetStream key-value bucket takes as well).
const MaxValue = 1 << 20

// An Entry is a key with its value. Value must not be changed.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64 // grows with each write to the bucket; never zero
	Deleted  bool   // only in a Watch: the key was deleted
}

// A Store holds buckets.
type Store interface {
	// Bucket returns the bucket of that name, made when it doesn't exist.
	Bucket(ctx context.Context, name string) (Bucket, error)
	// Close waits for writes under way and closes every watch.
	Close() error
}

// A Bucket maps keys to values. A write that returned nil survives the death
// of the process. Keys are 1 to 1,024 bytes of [A-Za-z0-9_./=-].
type Bucket interface {
	// Get returns the entry, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// Put writes the value, whatever the key held, and returns the new revision.
	Put(ctx context.Context, key string, value []byte) (uint64, error)
	// Swap writes the value if the key's revision is the one given (0: the key
	// doesn't exist), else it returns ErrConflict.
	Swap(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Delete removes the key; one that doesn't exist is no error.
	Delete(ctx context.Context, key string) error
	// List returns every entry whose key begins with prefix, sorted by key.
	List(ctx context.Context, prefix string) ([]Entry, error)
	// Watch sends every present entry whose key begins with prefix, then one
	// Entry with an empty Key, then each change as it happens. A slow reader may
	// miss values in between, never the last one of a key. The channel is closed
	// when ctx ends or the store is closed.
	Watch(ctx context.Context, prefix string) (<-chan Entry, error)
}
