package tables

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"

	"tidegate/internal/awshttp"
)

// All items are held in memory. Before the system ends the process for want of
// it, writes that would add to it are refused, by name.

// Bytes that an item takes beside its content: the row and its place in the
// table, and for each attribute its name's and value's headers
// (BenchmarkMemory).
const (
	rowOverhead       = 120
	attributeOverhead = 112
)

// cost is what the row takes in memory, about.
func (r *row) cost() int64 {
	return int64(len(r.key)+r.size+rowOverhead) + int64(len(r.item))*attributeOverhead
}

// fallbackMemory is taken for a machine that doesn't say how much it has.
const fallbackMemory = 4 << 30

// memoryLimit is what items may take: half of GOMEMLIMIT when that is set, else
// half of what the machine or the container has. The rest is for requests and the
// garbage collector.
func memoryLimit() int64 {
	if n := debug.SetMemoryLimit(-1); n != math.MaxInt64 {
		return n / 2
	}
	most := int64(math.MaxInt64)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kb int64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kb); err == nil {
			most = kb << 10
		}
	}
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(name); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				most = min(most, n)
			}
		}
	}
	if most == math.MaxInt64 {
		most = fallbackMemory
	}
	return most / 2
}

// memory counts what all items take; held may be read by anyone.
type memory struct {
	held  atomic.Int64
	limit int64
}

// room refuses a change that makes an item grow beyond what memory is for.
func (m *memory) room(c change) error {
	if c.new == nil || c.old != nil && c.new.cost() <= c.old.cost() || m.held.Load()+c.new.cost() <= m.limit {
		return nil
	}
	return &awshttp.Error{Code: codeLimit, Status: http.StatusBadRequest, Message: m.full()}
}

func (m *memory) full() string {
	return fmt.Sprintf("Tidegate holds all items in memory, and those there are take about %d MiB of the %d MiB that are for them, half of the machine's or of GOMEMLIMIT. Delete items or tables, or give the process more memory",
		m.held.Load()>>20, m.limit>>20)
}
