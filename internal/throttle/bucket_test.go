package throttle

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	start := time.Unix(1e9, 0)
	for _, tt := range []struct {
		name  string
		rate  float64
		burst int
		after []time.Duration // when events come
		want  []bool
	}{
		{"a burst, then the rate", 2, 2, []time.Duration{0, 0, 0, 499 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond}, []bool{true, true, false, false, true, false}},
		{"never more than the burst", 1000, 1, []time.Duration{0, time.Hour, time.Hour}, []bool{true, true, false}},
		{"less than one a second", 0.5, 1, []time.Duration{0, time.Second, 2 * time.Second}, []bool{true, false, true}},
		{"time that goes back adds nothing", 1, 1, []time.Duration{0, -time.Hour, 0, time.Second}, []bool{true, false, false, true}},
		{"zero rate", 0, 5, []time.Duration{0, time.Hour}, []bool{false, false}},
		{"zero burst", 5, 0, []time.Duration{0, time.Hour}, []bool{false, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := New(tt.rate, tt.burst)
			for i, d := range tt.after {
				if got := b.Allow(start.Add(d)); got != tt.want[i] {
					t.Errorf("event %d after %v: %v, want %v", i, d, got, tt.want[i])
				}
			}
		})
	}
	if !(*Bucket)(nil).Allow(start) {
		t.Error("without a bucket something is refused")
	}
}

// TestChange keeps what was taken: a new limit is no new burst.
func TestChange(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := New(1, 5)
	allow := func(want ...bool) {
		t.Helper()
		for i, w := range want {
			if got := b.Allow(now); got != w {
				t.Errorf("%v: event %d: %v, want %v", b, i, got, w)
			}
		}
	}
	allow(true)
	b.Change(10, 2)
	allow(true, true, false)
	b.Change(10, 5)
	allow(false)
	now = now.Add(time.Second)
	allow(true, true, true, true, true, false)
}

func BenchmarkAllow(b *testing.B) {
	bucket := New(10000, 5000)
	now := time.Unix(1e9, 0)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(50 * time.Microsecond)
		bucket.Allow(now)
	}
}
