// Package proc starts the processes of the bench, ends them, and reads from /proc
// what they use.
package proc

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Usage is what some processes hold, in bytes.
type Usage struct {
	RSS int64 // resident
	PSS int64 // resident, what is shared with others divided among them
}

// Memory sums over the processes.
func Memory(pids []int) Usage {
	var u Usage
	for _, pid := range pids {
		f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
		if err != nil {
			continue // it ended
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ":")
			kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				continue
			}
			switch name {
			case "Rss":
				u.RSS += kB << 10
			case "Pss":
				u.PSS += kB << 10
			}
		}
		f.Close()
	}
	return u
}

// A stat is a process as /proc/PID/stat has it.
type stat struct {
	parent int
	cpu    float64 // seconds
	zombie bool
}

// ticks is how many of the kernel's clock ticks make a second, on every Linux
// since 2.6.
const ticks = 100

func readStat(pid int) (stat, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, false
	}
	// pid (name) state ppid …, the name with whatever characters it has
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		return stat{}, false
	}
	number := func(i int) int { n, _ := strconv.Atoi(fields[i]); return n }
	return stat{parent: number(1), cpu: float64(number(11)+number(12)) / ticks, zombie: fields[0] == "Z"}, true
}

// CPU sums what the processes have used, in seconds of user and system time.
func CPU(pids []int) float64 {
	sum := 0.0
	for _, pid := range pids {
		s, _ := readStat(pid)
		sum += s.cpu
	}
	return sum
}

// Alive reports whether the process runs.
func Alive(pid int) bool {
	s, ok := readStat(pid)
	return ok && !s.zombie
}

// Tree returns the processes and their descendants.
func Tree(roots []int) []int {
	children := map[int][]int{}
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		if s, ok := readStat(pid); ok {
			children[s.parent] = append(children[s.parent], pid)
		}
	}
	var all []int
	seen := map[int]bool{}
	for queue := append([]int(nil), roots...); len(queue) > 0; queue = queue[1:] {
		pid := queue[0]
		if seen[pid] {
			continue
		}
		seen[pid] = true
		if Alive(pid) {
			all = append(all, pid)
		}
		queue = append(queue, children[pid]...)
	}
	return all
}

// MachineCPU is what the whole machine has worked, in seconds.
func MachineCPU() float64 {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq …
	sum := 0.0
	for i, field := range fields {
		if i == 0 || i == 4 || i == 5 || i > 7 {
			continue
		}
		n, _ := strconv.ParseFloat(field, 64)
		sum += n / ticks
	}
	return sum
}

// Meminfo reads /proc/meminfo, in bytes by name.
func Meminfo() map[string]int64 {
	all := map[string]int64{}
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return all
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
			all[name] = kB << 10
		}
	}
	return all
}
