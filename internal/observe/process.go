package observe

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
)

// A Process is what this process holds at a moment.
type Process struct {
	Goroutines    int    `json:"goroutines"`
	HeapBytes     uint64 `json:"heapBytes"`  // objects, those that are garbage by now included
	StackBytes    uint64 `json:"stackBytes"` // of goroutines
	OpenFiles     int    `json:"openFiles"`  // descriptors, sockets included; -1 where the system doesn't tell
	ResidentBytes int64  `json:"residentBytes"`
}

// ReadProcess reads what this process holds, without stopping it.
func ReadProcess() Process {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	p := Process{Goroutines: runtime.NumGoroutine(), HeapBytes: samples[0].Value.Uint64(), StackBytes: samples[1].Value.Uint64()}
	p.OpenFiles, p.ResidentBytes = systemCounts()
	return p
}

// FreeMemory collects garbage, gives what is free back to the system, and returns
// what is left. Nothing else runs for some of that time.
func FreeMemory() Process {
	runtime.GC() // pools let go at the second collection
	debug.FreeOSMemory()
	return ReadProcess()
}

// write writes the counts under the names that Prometheus's own clients use.
func (p Process) write(b *strings.Builder) {
	gauge := func(name, help string, value int64) {
		if value >= 0 {
			fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s gauge\n%s %d\n", name, help, name, name, value)
		}
	}
	gauge("go_goroutines", "Goroutines that exist.", int64(p.Goroutines))
	gauge("go_memstats_heap_alloc_bytes", "Bytes of objects on the heap.", int64(p.HeapBytes))
	gauge("go_memstats_stack_inuse_bytes", "Bytes of goroutines' stacks.", int64(p.StackBytes))
	gauge("process_open_fds", "Descriptors that are open.", int64(p.OpenFiles))
	gauge("process_resident_memory_bytes", "Resident memory.", p.ResidentBytes)
}
