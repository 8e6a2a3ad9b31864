//go:build linux

package epoll

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tidegate/internal/transport"
)

// A process with an engine has room for descriptors before clients come.
func TestDescriptorTable(t *testing.T) {
	const child = "TIDEGATE_TEST_TABLE"
	if os.Getenv(child) == "" { // the table never shrinks: a process without a past is needed
		c := exec.Command(os.Args[0], "-test.run=^TestDescriptorTable$", "-test.v")
		c.Env = append(os.Environ(), child+"=1")
		if said, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, said)
		}
		return
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	want := min(limit.Cur, mostAtOnce)
	if n := tableSize(t); n >= want {
		t.Fatalf("there is room for %d descriptors before there is an engine", n)
	}
	e, err := New(Config{Limits: transport.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for end := time.Now().Add(20 * time.Second); tableSize(t) < want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("there is room for %d descriptors, want %d", tableSize(t), want)
		}
	}
}

// tableSize is how many descriptors the process has room for.
func tableSize(t *testing.T) uint64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "FDSize:")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
