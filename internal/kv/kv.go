// Package kv is the durable key-value store under the control plane and the
// side services: buckets of small values with compare-and-swap and a watch, and
// queues of messages that are due at a moment. kv/filekv keeps them in one bbolt file; kvtest is the suite that every
// implementation passes.
package kv

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Errors that every implementation returns, to be tested with errors.Is.
var (
	// ErrNotFound says that the bucket holds no such key.
	ErrNotFound = errors.New("kv: key not found")
	// ErrConflict says that the revision given is not the key's present one.
	ErrConflict = errors.New("kv: revision conflict")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("kv: closed")
	// ErrInvalid says that a key, a bucket's name or a value breaks the rules
	// below; nothing was written.
	ErrInvalid = errors.New("kv: invalid key or value")
)

const (
	// MaxValue is the size in bytes that a value may have at most (1 MiB: what a
	// JetStream key-value bucket takes as well).
	MaxValue = 1 << 20
	// MaxKey is the length in bytes that a key may have at most.
	MaxKey = 1024
	// MaxBucketName is the length in bytes that a bucket's name may have at most.
	MaxBucketName = 64
)

// An Entry is a key with its value. Value must not be changed; it stays valid.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64 // grows with each write to the bucket; never zero
	Deleted  bool   // only in a Watch: the key was deleted, at Revision
}

// A Store holds buckets and queues. It may be used by many goroutines at once.
type Store interface {
	// Bucket returns the bucket of that name, made when it doesn't exist. Names
	// are 1 to MaxBucketName bytes of [A-Za-z0-9_-].
	Bucket(ctx context.Context, name string) (Bucket, error)
	// Queue returns the queue of that name, made when it doesn't exist, with the
	// limits of this call. Names are as for buckets; a bucket and a queue may have
	// the same.
	Queue(ctx context.Context, name string, limits QueueLimits) (Queue, error)
	// Close waits for writes under way and closes every watch. Afterwards all
	// calls but Close answer ErrClosed.
	Close() error
}

// A Bucket maps keys to values. A write that returned nil survives the death
// of the process. One that returned the error of its context may have happened
// or may happen yet. Keys are as CheckKey says.
type Bucket interface {
	// Get returns the entry, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// Put writes the value, whatever the key held, and returns the new revision.
	// The value may be reused once Put has returned nil.
	Put(ctx context.Context, key string, value []byte) (uint64, error)
	// Swap writes the value if the key's revision is the one given (0: the key
	// doesn't exist), else it returns ErrConflict.
	Swap(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Delete removes the key; one that doesn't exist is no error and no change.
	Delete(ctx context.Context, key string) error
	// List returns every entry whose key begins with prefix, sorted by key: the
	// state of one moment.
	List(ctx context.Context, prefix string) ([]Entry, error)
	// Watch sends every present entry whose key begins with prefix, then one
	// Entry with an empty Key, then each change as it happens. A slow reader may
	// miss values in between, never the last one of a key; revisions of one key
	// only grow. The channel is closed when ctx ends or the store is closed.
	Watch(ctx context.Context, prefix string) (<-chan Entry, error)
}

// CheckKey returns an error wrapping ErrInvalid unless the key is 1 to MaxKey
// bytes of [A-Za-z0-9_./=-] that neither begins nor ends with a dot nor holds
// two in a row: what every implementation can store, JetStream included.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("%w: a key has 1 to %d bytes, this one %d", ErrInvalid, MaxKey, len(key))
	}
	if i := strings.IndexFunc(key, notKeyRune); i >= 0 {
		return fmt.Errorf("%w: key %q holds a character that is not one of A-Z a-z 0-9 _ . / = -", ErrInvalid, key)
	}
	if key[0] == '.' || key[len(key)-1] == '.' || strings.Contains(key, "..") {
		return fmt.Errorf("%w: key %q has a dot at an end or two in a row", ErrInvalid, key)
	}
	return nil
}

// CheckBucketName returns an error wrapping ErrInvalid unless a bucket or a queue
// may have the name.
func CheckBucketName(name string) error {
	if name == "" || len(name) > MaxBucketName || strings.IndexFunc(name, notNameRune) >= 0 {
		return fmt.Errorf("%w: a name is 1 to %d characters of A-Z a-z 0-9 _ -, not %q", ErrInvalid, MaxBucketName, name)
	}
	return nil
}

// CheckValue returns an error wrapping ErrInvalid if the value is over MaxValue.
func CheckValue(key string, value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("%w: the value of %q has %d bytes, over the %d that fit", ErrInvalid, key, len(value), MaxValue)
	}
	return nil
}

func notNameRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

func notKeyRune(r rune) bool {
	return notNameRune(r) && r != '.' && r != '/' && r != '='
}
