package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A process is one of this machine, at one time: ids are used again.
type process struct {
	pid     int
	command string
	start   string // in clock ticks since boot
}

// runs says whether it has not ended.
func (p process) runs() bool {
	now, _, zombie, ok := stat(p.pid)
	return ok && !zombie && now == p
}

// stat reads what Linux tells of a process. ok is false when there is none.
//
// Source: proc_pid_stat(5)
func stat(pid int) (p process, parent int, zombie, ok bool) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return p, 0, false, false
	}
	// The name, in parentheses, may hold anything; behind it are state, parent,
	// and, as the 22nd field of all, the start.
	open, closing := strings.IndexByte(string(b), '('), strings.LastIndexByte(string(b), ')')
	if open < 0 || closing < open {
		return p, 0, false, false
	}
	fields := strings.Fields(string(b[closing+1:]))
	if len(fields) < 20 {
		return p, 0, false, false
	}
	parent, err = strconv.Atoi(fields[1])
	return process{pid, string(b[open+1 : closing]), fields[19]}, parent, fields[0] == "Z", err == nil
}

// descendants are the processes that pid started, and those that they did.
func descendants(t *testing.T, pid int) []process {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no processes in /proc: %v", err)
	}
	children := map[int][]process{}
	for _, dir := range dirs {
		id, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if p, parent, _, ok := stat(id); ok { // else it ended meanwhile
			children[parent] = append(children[parent], p)
		}
	}
	var all []process
	for of := []int{pid}; len(of) > 0; of = of[1:] {
		for _, p := range children[of[0]] {
			all, of = append(all, p), append(of, p.pid)
		}
	}
	return all
}
