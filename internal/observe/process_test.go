package observe

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestProcessCounts(t *testing.T) {
	runtime.GC() // what others left would go meanwhile
	before := ReadProcess()
	stop := make(chan struct{})
	defer close(stop)
	for range 10 {
		go func() { <-stop }()
	}
	hold := make([]byte, 8<<20)
	for range 1000 { // their names take several reads
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	after := ReadProcess()
	runtime.KeepAlive(hold)
	if more := after.Goroutines - before.Goroutines; more < 10 {
		t.Errorf("10 more goroutines are told as %d", more)
	}
	if after.HeapBytes < before.HeapBytes+4<<20 {
		t.Errorf("8 MiB more are told as %d after %d", after.HeapBytes, before.HeapBytes)
	}
	if runtime.GOOS == "linux" && (after.OpenFiles != before.OpenFiles+1000 || after.ResidentBytes <= 0) {
		t.Errorf("after 1000 files were opened: %+v, before %+v", after, before)
	}
	var b strings.Builder
	if err := NewMetrics().Write(&b, nil); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"# TYPE go_goroutines gauge\ngo_goroutines ", "\ngo_memstats_heap_alloc_bytes "} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("the metrics lack %q", line)
		}
	}
}

func TestFreeMemory(t *testing.T) {
	garbage := make([]byte, 64<<20)
	garbage[0] = 1
	before := ReadProcess().HeapBytes
	runtime.KeepAlive(garbage)
	if after := FreeMemory().HeapBytes; after > before-32<<20 {
		t.Errorf("the heap had %d bytes, 64 MiB of them garbage, and has %d", before, after)
	}
}
