// Package kvtest is the suite that every implementation of kv passes.
package kvtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tidegate/internal/kv"
)

// patience bounds a wait that can only end in success or in a failed test. It
// asserts nothing about speed.
const patience = 20 * time.Second

// An Open opens the store that lives in dir, empty the first time. The suite
// calls it again with the same dir, after Close, to see what lasted.
type Open func(t *testing.T, dir string) kv.Store

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"GetPutDelete", testGetPutDelete},
		{"Swap", testSwap},
		{"Revisions", testRevisions},
		{"List", testList},
		{"Buckets", testBuckets},
		{"Invalid", testInvalid},
		{"ValuesAreCopies", testValuesAreCopies},
		{"Reopen", testReopen},
		{"SwapUnderContention", testSwapUnderContention},
		{"WatchPresentThenChanges", testWatchPresentThenChanges},
		{"WatchPrefix", testWatchPrefix},
		{"WatchSlowReader", testWatchSlowReader},
		{"WatchMissesNothing", testWatchMissesNothing},
		{"WatchEnds", testWatchEnds},
		{"QueueOrder", testQueueOrder},
		{"QueueLease", testQueueLease},
		{"QueueReturn", testQueueReturn},
		{"QueueLimits", testQueueLimits},
		{"QueueReopen", testQueueReopen},
		{"QueueUnderContention", testQueueUnderContention},
		{"QueueInvalid", testQueueInvalid},
		{"Closed", testClosed},
		{"Cancelled", testCancelled},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

// openBucket returns a bucket in a new store that is closed with the test.
func openBucket(t *testing.T, open Open) (kv.Store, kv.Bucket) {
	t.Helper()
	s := open(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	b, err := s.Bucket(t.Context(), "bucket")
	if err != nil {
		t.Fatalf("Bucket: %v", err)
	}
	return s, b
}

func mustPut(t *testing.T, b kv.Bucket, key, value string) uint64 {
	t.Helper()
	rev, err := b.Put(t.Context(), key, []byte(value))
	if err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
	if rev == 0 {
		t.Fatalf("Put(%q) returned revision 0", key)
	}
	return rev
}

func testGetPutDelete(t *testing.T, open Open) {
	ctx := t.Context()
	_, b := openBucket(t, open)
	if _, err := b.Get(ctx, "a"); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("Get of no key: %v, want ErrNotFound", err)
	}
	for _, value := range []string{"one", "", "two", strings.Repeat("x", kv.MaxValue)} {
		rev := mustPut(t, b, "a", value)
		e, err := b.Get(ctx, "a")
		if err != nil || e.Key != "a" || string(e.Value) != value || e.Revision != rev || e.Deleted {
			t.Fatalf("Get after Put of %d bytes: key %q, %d bytes, revision %d (want %d), deleted %t, %v",
				len(value), e.Key, len(e.Value), e.Revision, rev, e.Deleted, err)
		}
	}
	for range 2 { // the second finds nothing and is no error
		if err := b.Delete(ctx, "a"); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		if _, err := b.Get(ctx, "a"); !errors.Is(err, kv.ErrNotFound) {
			t.Fatalf("Get after Delete: %v, want ErrNotFound", err)
		}
	}
}

func testSwap(t *testing.T, open Open) {
	ctx := t.Context()
	_, b := openBucket(t, open)
	if _, err := b.Swap(ctx, "a", []byte("x"), 7); !errors.Is(err, kv.ErrConflict) {
		t.Fatalf("Swap at revision 7 of no key: %v, want ErrConflict", err)
	}
	first, err := b.Swap(ctx, "a", []byte("1"), 0)
	if err != nil {
		t.Fatalf("Swap of a new key: %v", err)
	}
	if _, err := b.Swap(ctx, "a", []byte("x"), 0); !errors.Is(err, kv.ErrConflict) {
		t.Fatalf("Swap at revision 0 of a key that exists: %v, want ErrConflict", err)
	}
	second, err := b.Swap(ctx, "a", []byte("2"), first)
	if err != nil || second <= first {
		t.Fatalf("Swap at the present revision: revision %d after %d, %v", second, first, err)
	}
	if _, err := b.Swap(ctx, "a", []byte("x"), first); !errors.Is(err, kv.ErrConflict) {
		t.Fatalf("Swap at an old revision: %v, want ErrConflict", err)
	}
	if e, err := b.Get(ctx, "a"); err != nil || string(e.Value) != "2" || e.Revision != second {
		t.Fatalf("after refused swaps the key holds %q at %d, %v; want 2 at %d", e.Value, e.Revision, err, second)
	}
	if err := b.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Swap(ctx, "a", []byte("x"), second); !errors.Is(err, kv.ErrConflict) {
		t.Fatalf("Swap at the revision of a deleted key: %v, want ErrConflict", err)
	}
	if _, err := b.Swap(ctx, "a", []byte("3"), 0); err != nil {
		t.Fatalf("Swap at revision 0 of a deleted key: %v", err)
	}
}

// A key that comes back must not come back at an old revision: whoever holds
// that one would overwrite it unseen.
func testRevisions(t *testing.T, open Open) {
	_, b := openBucket(t, open)
	var last uint64
	for i, key := range []string{"a", "b", "a", "c", "a"} {
		rev := mustPut(t, b, key, fmt.Sprint(i))
		if rev <= last {
			t.Fatalf("write %d got revision %d, not over %d", i, rev, last)
		}
		last = rev
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
}

func testList(t *testing.T, open Open) {
	_, b := openBucket(t, open)
	for _, key := range []string{"b/2", "a", "b/10", "b", "b/1", "c/1", "B/1", "b=1"} {
		mustPut(t, b, key, "value of "+key)
	}
	for _, c := range []struct {
		prefix string
		want   []string
	}{
		{"", []string{"B/1", "a", "b", "b/1", "b/10", "b/2", "b=1", "c/1"}},
		{"b", []string{"b", "b/1", "b/10", "b/2", "b=1"}},
		{"b/", []string{"b/1", "b/10", "b/2"}},
		{"b/1", []string{"b/1", "b/10"}},
		{"d", nil},
	} {
		entries, err := b.List(t.Context(), c.prefix)
		if err != nil {
			t.Fatalf("List(%q): %v", c.prefix, err)
		}
		var keys []string
		for _, e := range entries {
			keys = append(keys, e.Key)
			if string(e.Value) != "value of "+e.Key || e.Revision == 0 {
				t.Errorf("List(%q): %s holds %q at revision %d", c.prefix, e.Key, e.Value, e.Revision)
			}
		}
		if !slices.Equal(keys, c.want) {
			t.Errorf("List(%q) = %q, want %q", c.prefix, keys, c.want)
		}
	}
}

func testBuckets(t *testing.T, open Open) {
	ctx := t.Context()
	s, one := openBucket(t, open)
	two, err := s.Bucket(ctx, "another")
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, one, "a", "1")
	if _, err := two.Get(ctx, "a"); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("a key of one bucket is in another: %v", err)
	}
	again, err := s.Bucket(ctx, "bucket")
	if err != nil {
		t.Fatal(err)
	}
	if e, err := again.Get(ctx, "a"); err != nil || string(e.Value) != "1" {
		t.Fatalf("the same bucket asked for twice: %q, %v", e.Value, err)
	}
}

func testInvalid(t *testing.T, open Open) {
	ctx := t.Context()
	s, b := openBucket(t, open)
	for _, key := range []string{"", "a b", "a*", "ä", "a\x00b", ".a", "a.", "a..b", strings.Repeat("k", kv.MaxKey+1)} {
		if _, err := b.Put(ctx, key, nil); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Put(%.20q): %v, want ErrInvalid", key, err)
		}
		if _, err := b.Swap(ctx, key, nil, 0); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Swap(%.20q): %v, want ErrInvalid", key, err)
		}
		if _, err := b.Get(ctx, key); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Get(%.20q): %v, want ErrInvalid", key, err)
		}
		if err := b.Delete(ctx, key); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Delete(%.20q): %v, want ErrInvalid", key, err)
		}
	}
	mustPut(t, b, strings.Repeat("k", kv.MaxKey), "longest key")
	if _, err := b.Put(ctx, "big", make([]byte, kv.MaxValue+1)); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("Put of a value over MaxValue: %v, want ErrInvalid", err)
	}
	for _, name := range []string{"", "a/b", "a.b", "ä", strings.Repeat("n", kv.MaxBucketName+1)} {
		if _, err := s.Bucket(ctx, name); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Bucket(%.20q): %v, want ErrInvalid", name, err)
		}
	}
}

func testValuesAreCopies(t *testing.T, open Open) {
	ctx := t.Context()
	_, b := openBucket(t, open)
	value := []byte("before")
	if _, err := b.Put(ctx, "a", value); err != nil {
		t.Fatal(err)
	}
	copy(value, "after!")
	e, err := b.Get(ctx, "a")
	if err != nil || string(e.Value) != "before" {
		t.Fatalf("the value changed with the slice that was put: %q, %v", e.Value, err)
	}
	mustPut(t, b, "a", "newer")
	if string(e.Value) != "before" {
		t.Fatalf("an entry's value changed under its reader: %q", e.Value)
	}
}

func testReopen(t *testing.T, open Open) {
	ctx := t.Context()
	dir := t.TempDir()
	s := open(t, dir)
	b, err := s.Bucket(ctx, "bucket")
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, b, "gone", "x")
	if err := b.Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	kept := mustPut(t, b, "kept", "value")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	t.Cleanup(func() { s.Close() })
	if b, err = s.Bucket(ctx, "bucket"); err != nil {
		t.Fatal(err)
	}
	e, err := b.Get(ctx, "kept")
	if err != nil || string(e.Value) != "value" || e.Revision != kept {
		t.Fatalf("after reopening: %q at %d, %v; want value at %d", e.Value, e.Revision, err, kept)
	}
	if _, err := b.Get(ctx, "gone"); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("a deleted key is back after reopening: %v", err)
	}
	if rev := mustPut(t, b, "new", "x"); rev <= kept {
		t.Fatalf("revisions began anew after reopening: %d, not over %d", rev, kept)
	}
}

// Many goroutines count in one key; a lost update would show in the sum.
func testSwapUnderContention(t *testing.T, open Open) {
	const goroutines, each = 8, 25
	ctx := t.Context()
	_, b := openBucket(t, open)
	increment := func() error {
		for {
			e, err := b.Get(ctx, "count")
			if err != nil && !errors.Is(err, kv.ErrNotFound) {
				return err
			}
			var n uint64
			if err == nil {
				n = binary.BigEndian.Uint64(e.Value)
			}
			_, err = b.Swap(ctx, "count", binary.BigEndian.AppendUint64(nil, n+1), e.Revision)
			if !errors.Is(err, kv.ErrConflict) {
				return err
			}
		}
	}
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				if err := increment(); err != nil {
					t.Errorf("increment: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	e, err := b.Get(ctx, "count")
	if err != nil {
		t.Fatal(err)
	}
	if n := binary.BigEndian.Uint64(e.Value); n != goroutines*each {
		t.Fatalf("the count is %d after %d increments", n, goroutines*each)
	}
}

// next receives one entry, or fails the test.
func next(t *testing.T, c <-chan kv.Entry) kv.Entry {
	t.Helper()
	select {
	case e, ok := <-c:
		if !ok {
			t.Fatal("the watch's channel was closed")
		}
		return e
	case <-time.After(patience):
		t.Fatal("the watch sent nothing")
	}
	panic("unreachable")
}

func watch(t *testing.T, b kv.Bucket, prefix string) <-chan kv.Entry {
	t.Helper()
	c, err := b.Watch(t.Context(), prefix)
	if err != nil {
		t.Fatalf("Watch: %v", err)
	}
	return c
}

func testWatchPresentThenChanges(t *testing.T, open Open) {
	_, b := openBucket(t, open)
	one := mustPut(t, b, "a", "1")
	two := mustPut(t, b, "b", "2")
	c := watch(t, b, "")
	got := []kv.Entry{next(t, c), next(t, c)}
	slices.SortFunc(got, func(x, y kv.Entry) int { return strings.Compare(x.Key, y.Key) })
	for i, want := range []kv.Entry{{Key: "a", Value: []byte("1"), Revision: one}, {Key: "b", Value: []byte("2"), Revision: two}} {
		if !equal(got[i], want) {
			t.Errorf("present entry %d is %+v, want %+v", i, got[i], want)
		}
	}
	if e := next(t, c); e.Key != "" {
		t.Fatalf("after the present entries came %+v, not the empty one", e)
	}
	three := mustPut(t, b, "a", "3")
	if e := next(t, c); !equal(e, kv.Entry{Key: "a", Value: []byte("3"), Revision: three}) {
		t.Errorf("a change arrived as %+v", e)
	}
	if err := b.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if e := next(t, c); e.Key != "a" || !e.Deleted || e.Revision <= three || len(e.Value) != 0 {
		t.Errorf("a deletion arrived as %+v, want revision over %d", e, three)
	}
	four, err := b.Swap(t.Context(), "a", []byte("4"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if e := next(t, c); !equal(e, kv.Entry{Key: "a", Value: []byte("4"), Revision: four}) {
		t.Errorf("a swap arrived as %+v", e)
	}
}

func equal(a, b kv.Entry) bool {
	return a.Key == b.Key && a.Revision == b.Revision && a.Deleted == b.Deleted && bytes.Equal(a.Value, b.Value)
}

func testWatchPrefix(t *testing.T, open Open) {
	_, b := openBucket(t, open)
	mustPut(t, b, "other", "x")
	c := watch(t, b, "mine/")
	if e := next(t, c); e.Key != "" {
		t.Fatalf("the watch of an empty prefix began with %+v", e)
	}
	mustPut(t, b, "other", "y")
	mustPut(t, b, "mine/1", "z")
	if e := next(t, c); e.Key != "mine/1" {
		t.Errorf("the watch sent %+v, want mine/1", e)
	}
}

// A reader that takes nothing for a while gets at least the last value of every
// key, and of each key only ever newer ones.
func testWatchSlowReader(t *testing.T, open Open) {
	_, b := openBucket(t, open)
	c := watch(t, b, "")
	if e := next(t, c); e.Key != "" {
		t.Fatalf("the watch of an empty bucket began with %+v", e)
	}
	const writes = 60
	last := map[string]uint64{}
	for i := range writes {
		key := fmt.Sprintf("k%d", i%3)
		last[key] = mustPut(t, b, key, fmt.Sprint(i))
	}
	seen := map[string]uint64{}
	for seen["k0"] != last["k0"] || seen["k1"] != last["k1"] || seen["k2"] != last["k2"] {
		e := next(t, c)
		if e.Revision <= seen[e.Key] {
			t.Fatalf("%s came at revision %d after %d", e.Key, e.Revision, seen[e.Key])
		}
		seen[e.Key] = e.Revision
	}
}

// Writers run while the watch begins: between the present entries and the
// changes nothing may fall through.
func testWatchMissesNothing(t *testing.T, open Open) {
	const writers, each = 4, 25
	ctx := t.Context()
	_, b := openBucket(t, open)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := b.Put(ctx, fmt.Sprintf("k/%d/%d", w, i), []byte("x")); err != nil {
					t.Errorf("Put: %v", err)
				}
			}
		})
	}
	c := watch(t, b, "k/")
	seen := map[string]int{}
	for len(seen) < writers*each {
		if e := next(t, c); e.Key != "" {
			seen[e.Key]++
		}
	}
	wg.Wait()
	for key, n := range seen {
		if n != 1 {
			t.Errorf("%s was written once and came %d times", key, n)
		}
	}
}

func ended(t *testing.T, c <-chan kv.Entry, why string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-c:
			if !ok {
				return
			}
		case <-deadline:
			t.Fatalf("the watch's channel stays open after %s", why)
		}
	}
}

func testWatchEnds(t *testing.T, open Open) {
	s, b := openBucket(t, open)
	mustPut(t, b, "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	one, err := b.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	two := watch(t, b, "") // nobody reads its first entry: closing must not hang on it
	cancel()
	ended(t, one, "its context ended")
	mustPut(t, b, "a", "2") // must not block on the watch that ended
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	ended(t, two, "the store was closed")
}

func testClosed(t *testing.T, open Open) {
	ctx := t.Context()
	s, b := openBucket(t, open)
	mustPut(t, b, "a", "1")
	q := mustQueue(t, s, wide)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"Get", func() error { _, err := b.Get(ctx, "a"); return err }},
		{"Put", func() error { _, err := b.Put(ctx, "a", nil); return err }},
		{"Swap", func() error { _, err := b.Swap(ctx, "a", nil, 0); return err }},
		{"Delete", func() error { return b.Delete(ctx, "a") }},
		{"List", func() error { _, err := b.List(ctx, ""); return err }},
		{"Watch", func() error { _, err := b.Watch(ctx, ""); return err }},
		{"Bucket", func() error { _, err := s.Bucket(ctx, "new"); return err }},
		{"Queue", func() error { _, err := s.Queue(ctx, "new", wide); return err }},
		{"Queue.Put", func() error { return q.Put(ctx, noon, nil) }},
		{"Queue.Lease", func() error { _, err := q.Lease(ctx, noon, 1); return err }},
		{"Queue.Ack", func() error { return q.Ack(ctx, kv.Message{ID: 1, Due: noon}) }},
		{"Queue.Return", func() error { return q.Return(ctx, kv.Message{ID: 1, Due: noon}, noon, nil) }},
		{"Queue.Next", func() error { _, _, err := q.Next(ctx); return err }},
		{"Queue.Size", func() error { _, err := q.Size(ctx); return err }},
	} {
		if err := c.call(); !errors.Is(err, kv.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", c.name, err)
		}
	}
}

func testCancelled(t *testing.T, open Open) {
	_, b := openBucket(t, open)
	mustPut(t, b, "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get with a context that ended: %v", err)
	}
	if _, err := b.Put(ctx, "a", []byte("2")); !errors.Is(err, context.Canceled) {
		t.Errorf("Put with a context that ended: %v", err)
	}
	if _, err := b.List(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("List with a context that ended: %v", err)
	}
	if _, err := b.Watch(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch with a context that ended: %v", err)
	}
}
