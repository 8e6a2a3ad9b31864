package kvtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tidegate/internal/kv"
)

// noon is the moment around which messages are due.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 1, time.UTC)

// wide are limits that nothing here reaches.
var wide = kv.QueueLimits{Count: 1 << 20, Bytes: 1 << 40}

func mustQueue(t *testing.T, s kv.Store, limits kv.QueueLimits) kv.Queue {
	t.Helper()
	q, err := s.Queue(t.Context(), "bucket", limits) // a bucket of this name is another thing
	if err != nil {
		t.Fatalf("Queue: %v", err)
	}
	return q
}

func openQueue(t *testing.T, open Open, limits kv.QueueLimits) kv.Queue {
	t.Helper()
	s, _ := openBucket(t, open)
	return mustQueue(t, s, limits)
}

func send(t *testing.T, q kv.Queue, due time.Time, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := q.Put(t.Context(), due, []byte(body)); err != nil {
			t.Fatalf("Put(%.20q): %v", body, err)
		}
	}
}

func lease(t *testing.T, q kv.Queue, now time.Time, n int) []kv.Message {
	t.Helper()
	messages, err := q.Lease(t.Context(), now, n)
	if err != nil {
		t.Fatalf("Lease: %v", err)
	}
	return messages
}

func bodies(messages []kv.Message) []string {
	var out []string
	for _, m := range messages {
		out = append(out, string(m.Body))
	}
	return out
}

func expectSize(t *testing.T, q kv.Queue, count int, bytes int64) {
	t.Helper()
	if got, err := q.Size(t.Context()); err != nil || got != (kv.QueueSize{Count: count, Bytes: bytes}) {
		t.Errorf("Size is %+v, %v; want %d messages of %d bytes", got, err, count, bytes)
	}
}

func expectNext(t *testing.T, q kv.Queue, due time.Time) {
	t.Helper()
	if got, ok, err := q.Next(t.Context()); err != nil || ok == due.IsZero() || !got.Equal(due) {
		t.Errorf("Next is %v, %t, %v; want %v", got, ok, err, due)
	}
}

// Messages come in the order in which they are due, then in the order in which
// they were put, and none before its time.
func testQueueOrder(t *testing.T, open Open) {
	q := openQueue(t, open, wide)
	expectNext(t, q, time.Time{})
	send(t, q, noon.Add(time.Second), "late")
	send(t, q, noon, "one", "two", "three")
	send(t, q, noon.Add(-time.Hour), "early")
	expectNext(t, q, noon.Add(-time.Hour))
	if got := lease(t, q, noon.Add(-time.Hour-1), 9); len(got) != 0 {
		t.Errorf("before anything is due came %q", bodies(got))
	}
	if got := bodies(lease(t, q, noon, 3)); !slices.Equal(got, []string{"early", "one", "two"}) {
		t.Errorf("the first three are %q", got)
	}
	expectNext(t, q, noon)
	if got := bodies(lease(t, q, noon, 9)); !slices.Equal(got, []string{"three"}) {
		t.Errorf("then came %q", got)
	}
	expectNext(t, q, noon.Add(time.Second))
	expectSize(t, q, 5, int64(len("lateonetwothreeearly")))
}

func testQueueLease(t *testing.T, open Open) {
	ctx := t.Context()
	q := openQueue(t, open, wide)
	send(t, q, noon, "a", "bb")
	got := lease(t, q, noon, 1)
	if !slices.Equal(bodies(got), []string{"a"}) || !got[0].Due.Equal(noon) {
		t.Fatalf("leased %+v", got)
	}
	if err := q.Ack(ctx, got[0]); err != nil {
		t.Fatalf("Ack: %v", err)
	}
	expectSize(t, q, 1, 2)
	for name, call := range map[string]func() error{
		"a second Ack":                  func() error { return q.Ack(ctx, got[0]) },
		"Return after Ack":              func() error { return q.Return(ctx, got[0], noon, nil) },
		"Ack of what nobody has leased": func() error { return q.Ack(ctx, kv.Message{ID: got[0].ID + 1, Due: noon}) },
	} {
		if err := call(); !errors.Is(err, kv.ErrNotLeased) {
			t.Errorf("%s: %v, want ErrNotLeased", name, err)
		}
	}
	expectSize(t, q, 1, 2)
	if got := bodies(lease(t, q, noon, 9)); !slices.Equal(got, []string{"bb"}) {
		t.Errorf("what is left is %q", got)
	}
}

func testQueueReturn(t *testing.T, open Open) {
	ctx := t.Context()
	q := openQueue(t, open, wide)
	send(t, q, noon, "first try")
	m := lease(t, q, noon, 1)[0]
	later := noon.Add(time.Minute)
	if err := q.Return(ctx, m, later, []byte("second")); err != nil {
		t.Fatalf("Return: %v", err)
	}
	expectSize(t, q, 1, int64(len("second")))
	expectNext(t, q, later)
	if got := lease(t, q, later.Add(-1), 9); len(got) != 0 {
		t.Errorf("before its time came %q", bodies(got))
	}
	again := lease(t, q, later, 9)
	if !slices.Equal(bodies(again), []string{"second"}) || again[0].ID <= m.ID {
		t.Fatalf("after Return came %+v, want a newer id than %d", again, m.ID)
	}
	if err := q.Ack(ctx, m); !errors.Is(err, kv.ErrNotLeased) {
		t.Errorf("Ack of what was returned: %v, want ErrNotLeased", err)
	}
	if err := q.Ack(ctx, again[0]); err != nil {
		t.Errorf("Ack: %v", err)
	}
	expectSize(t, q, 0, 0)
	expectNext(t, q, time.Time{})
}

func testQueueLimits(t *testing.T, open Open) {
	ctx := t.Context()
	q := openQueue(t, open, kv.QueueLimits{Count: 3, Bytes: 10})
	send(t, q, noon, "four", "five")
	if err := q.Put(ctx, noon, []byte("six")); !errors.Is(err, kv.ErrFull) {
		t.Errorf("Put over the bytes: %v, want ErrFull", err)
	}
	send(t, q, noon, "2x")
	expectSize(t, q, 3, 10)
	if err := q.Put(ctx, noon, nil); !errors.Is(err, kv.ErrFull) {
		t.Errorf("Put over the count: %v, want ErrFull", err)
	}
	got := lease(t, q, noon, 2)
	if err := q.Put(ctx, noon, nil); !errors.Is(err, kv.ErrFull) {
		t.Errorf("Put while leased messages fill the queue: %v, want ErrFull", err)
	}
	// What is in the queue may grow: it could not be kept otherwise.
	if err := q.Return(ctx, got[0], noon, []byte("longer than before")); err != nil {
		t.Errorf("Return over the bytes: %v", err)
	}
	for _, m := range append(lease(t, q, noon, 9), got[1]) {
		if err := q.Ack(ctx, m); err != nil {
			t.Errorf("Ack: %v", err)
		}
	}
	send(t, q, noon, "0123456789")
	expectSize(t, q, 1, 10)
	// Many at once don't slip past the limit together.
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	roomy := openQueue(t, open, kv.QueueLimits{Count: 5, Bytes: 1000})
	for range 20 {
		wg.Go(func() {
			err := roomy.Put(ctx, noon, []byte("x"))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			} else if !errors.Is(err, kv.ErrFull) {
				t.Errorf("Put: %v", err)
			}
		})
	}
	wg.Wait()
	if taken != 5 {
		t.Errorf("%d of 20 were taken where 5 fit", taken)
	}
	expectSize(t, roomy, 5, 5)
}

// What was put, and not acknowledged, is there after the store was opened again:
// leased or not, with its body and its time.
func testQueueReopen(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	q := mustQueue(t, s, wide)
	send(t, q, noon, "done", "leased", "returned", "waiting")
	got := lease(t, q, noon, 3)
	if err := q.Ack(t.Context(), got[0]); err != nil {
		t.Fatal(err)
	}
	if err := q.Return(t.Context(), got[2], noon.Add(time.Hour), []byte("to come")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	t.Cleanup(func() { s.Close() })
	q = mustQueue(t, s, wide)
	expectSize(t, q, 3, int64(len("leasedwaitingto come")))
	if got := bodies(lease(t, q, noon, 9)); !slices.Equal(got, []string{"leased", "waiting"}) {
		t.Errorf("after reopening came %q", got)
	}
	if got := bodies(lease(t, q, noon.Add(time.Hour), 9)); !slices.Equal(got, []string{"to come"}) {
		t.Errorf("an hour later came %q", got)
	}
}

// Several put while several take: each message arrives once.
func testQueueUnderContention(t *testing.T, open Open) {
	const writers, readers, each = 4, 4, 25
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q := openQueue(t, open, wide)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := q.Put(ctx, noon, fmt.Appendf(nil, "%d/%d", w, i)); err != nil {
					t.Errorf("Put: %v", err)
				}
			}
		})
	}
	var mu sync.Mutex
	seen := map[string]int{}
	done := func() bool { mu.Lock(); defer mu.Unlock(); return len(seen) == writers*each }
	for range readers {
		wg.Go(func() {
			for !done() && ctx.Err() == nil {
				messages, err := q.Lease(ctx, noon, 3)
				if err != nil {
					t.Errorf("Lease: %v", err)
					return
				}
				for _, m := range messages {
					mu.Lock()
					seen[string(m.Body)]++
					mu.Unlock()
					if err := q.Ack(ctx, m); err != nil {
						t.Errorf("Ack: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != writers*each {
		t.Errorf("%d of %d messages arrived", len(seen), writers*each)
	}
	for body, n := range seen {
		if n != 1 {
			t.Errorf("%s arrived %d times", body, n)
		}
	}
	expectSize(t, q, 0, 0)
}

func testQueueInvalid(t *testing.T, open Open) {
	ctx := t.Context()
	s, _ := openBucket(t, open)
	for _, name := range []string{"", "a/b", "a:b", strings.Repeat("n", kv.MaxBucketName+1)} {
		if _, err := s.Queue(ctx, name, wide); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Queue(%.20q): %v, want ErrInvalid", name, err)
		}
	}
	q := mustQueue(t, s, wide)
	send(t, q, noon, strings.Repeat("x", kv.MaxMessage))
	if err := q.Put(ctx, noon, make([]byte, kv.MaxMessage+1)); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("Put of a body over MaxMessage: %v, want ErrInvalid", err)
	}
	m := lease(t, q, noon, 1)[0]
	for _, due := range []time.Time{{}, time.Unix(-1, 0), time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if err := q.Put(ctx, due, nil); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Put due at %v: %v, want ErrInvalid", due, err)
		}
		if err := q.Return(ctx, m, due, nil); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Return due at %v: %v, want ErrInvalid", due, err)
		}
	}
	expectSize(t, q, 1, kv.MaxMessage)
}
