package filekv_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"tidegate/internal/kv"
)

func benchBucket(b *testing.B) kv.Bucket {
	s := open(b, b.TempDir())
	b.Cleanup(func() { s.Close() })
	bucket, err := s.Bucket(b.Context(), "bucket")
	if err != nil {
		b.Fatal(err)
	}
	return bucket
}

// A lone writer pays one fsync a write.
func BenchmarkPut(b *testing.B) {
	bucket := benchBucket(b)
	value := make([]byte, 300)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := bucket.Put(b.Context(), strconv.Itoa(i%1000), value); err != nil {
			b.Fatal(err)
		}
	}
}

// 64 writers share one.
func BenchmarkPutCrowd(b *testing.B) {
	bucket := benchBucket(b)
	value := make([]byte, 300)
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := bucket.Put(b.Context(), strconv.FormatInt(n.Add(1)%1000, 10), value); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	bucket := benchBucket(b)
	if _, err := bucket.Put(b.Context(), "key", make([]byte, 300)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bucket.Get(b.Context(), "key"); err != nil {
			b.Fatal(err)
		}
	}
}
