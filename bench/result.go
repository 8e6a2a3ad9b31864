package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"tidegate/bench/proc"
)

// A Result is one measured run. Values are by name, with their unit in it.
type Result struct {
	Test    string             `json:"test"`
	Target  string             `json:"target"`
	Clients int                `json:"clients"`
	Run     int                `json:"run"`
	Time    time.Time          `json:"time"`
	Values  map[string]float64 `json:"values"`
	Errors  map[string]int     `json:"errors,omitempty"`
	Aborted string             `json:"aborted,omitempty"`
}

// failed reports whether something went wrong.
func (r *Result) failed() bool { return r.Aborted != "" || len(r.Errors) > 0 }

// A Machine is where the results were made.
type Machine struct {
	CPUs      int    `json:"cpus"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
	MemoryMiB int64  `json:"memoryMiB"`
}

func thisMachine() Machine {
	var u syscall.Utsname
	syscall.Uname(&u)
	var release []byte
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		release = append(release, byte(c))
	}
	return Machine{CPUs: runtime.NumCPU(), Kernel: string(release), Go: runtime.Version(), MemoryMiB: proc.Meminfo()["MemTotal"] >> 20}
}

// A Spread is a figure over the runs.
type Spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func spreadOf(all []float64) Spread {
	slices.Sort(all)
	n := len(all)
	return Spread{Median: (all[(n-1)/2] + all[n/2]) / 2, Least: all[0], Most: all[n-1]}
}

// A Summary is one test against one target over the runs that didn't abort.
type Summary struct {
	Test    string            `json:"test"`
	Target  string            `json:"target"`
	Clients int               `json:"clients"`
	Runs    int               `json:"runs"`
	Values  map[string]Spread `json:"values"`
	// CostOfTidegate is Tidegate's cost as a multiple of this target's, of the same
	// round: CPU per message, or memory per connection.
	CostOfTidegate *Spread `json:"costOfTidegate,omitempty"`
}

// costOf names the figure that targets are compared by.
func costOf(test string) string {
	if test == testIdle {
		return "rss_bytes_per_connection"
	}
	return "cpu_us_per_message"
}

// summarize keeps the order in which tests, sizes and targets came first.
func summarize(all []*Result) []*Summary {
	type key struct {
		test, target string
		clients      int
	}
	var order []key
	by := map[key][]*Result{}
	for _, r := range all {
		k := key{r.Test, r.Target, r.Clients}
		if by[k] == nil {
			order = append(order, k)
		}
		by[k] = append(by[k], r)
	}
	var sums []*Summary
	for _, k := range order {
		s := &Summary{Test: k.test, Target: k.target, Clients: k.clients, Values: map[string]Spread{}}
		values, ratios := map[string][]float64{}, []float64(nil)
		for _, r := range by[k] {
			if r.Aborted != "" {
				continue
			}
			s.Runs++
			for name, v := range r.Values {
				values[name] = append(values[name], v)
			}
			cost := costOf(k.test)
			for _, ours := range by[key{k.test, tidegateName, k.clients}] {
				if k.target != tidegateName && ours.Run == r.Run && ours.Aborted == "" && r.Values[cost] > 0 {
					ratios = append(ratios, ours.Values[cost]/r.Values[cost])
				}
			}
		}
		for name, v := range values {
			s.Values[name] = spreadOf(v)
		}
		if len(ratios) > 0 {
			spread := spreadOf(ratios)
			s.CostOfTidegate = &spread
		}
		sums = append(sums, s)
	}
	return sums
}

// A column of a test's table; values are divided by scale.
type column struct {
	name, title string
	scale       float64
	digits      int
}

var common = []column{
	{"messages_per_second", "messages/s", 1, 0}, {"p50_us", "p50 ms", 1000, 2}, {"p99_us", "p99 ms", 1000, 2},
	{"server_cpu_seconds", "CPU s", 1, 2}, {"cpu_us_per_message", "CPU µs/message", 1, 2}, {"rss_mib", "RSS MiB", 1, 1},
	{"client_cores", "client cores", 1, 2}, {"other_cores", "others' cores", 1, 2},
}

// columnsOf are a test's columns.
func columnsOf(test string) []column {
	switch test {
	case testIdle:
		return []column{{"rss_bytes_per_connection", "RSS B/connection", 1, 0}, {"pss_bytes_per_connection", "PSS B/connection", 1, 0}, {"heap_bytes_per_connection", "of it on the heap", 1, 0}, {"base_rss_mib", "base MiB", 1, 1}, {"rss_mib", "RSS MiB", 1, 1}, {"idle_cpu_percent", "idle CPU %", 1, 2}}
	case testStorm:
		return append([]column{{"messages_per_second", "connects/s", 1, 0}}, common[1:]...)
	case testFanout:
		columns := slices.Clone(common)
		columns[0].title, columns[1].title, columns[2].title = "deliveries/s", "last p50 ms", "last p99 ms"
		return append(columns, column{"rounds", "rounds", 1, 0})
	case testSoak:
		return []column{{"seconds", "seconds", 1, 0}, {"clients", "clients", 1, 0}, {"answers", "answers", 1, 0}, {"pushes", "pushes", 1, 0},
			{"goroutines_begin", "goroutines", 1, 0}, {"goroutines_end", "at the end", 1, 0}, {"files_begin", "descriptors", 1, 0}, {"files_end", "at the end", 1, 0},
			{"heap_kib_begin", "heap KiB", 1, 0}, {"heap_kib_end", "at the end", 1, 0}}
	case testUpgrade:
		return []column{{"pause_ms", "pause ms", 1, 1}, {"gap_without_ms", "gap without ms", 1, 1}, {"gap_with_ms", "gap with ms", 1, 1}, {"took_ms", "hand-off ms", 1, 0},
			{"closed", "closed", 1, 0}, {"lost", "lost", 1, 0}, {"doubled", "doubled", 1, 0}, {"reordered", "reordered", 1, 0}, {"moved", "moved", 1, 0}}
	}
	return common
}

// text is a spread as people read it: the median, and what lies around it.
func (c column) text(s Spread) string {
	median := fmt.Sprintf("%.*f", c.digits, s.Median/c.scale)
	if s.Least == s.Most {
		return median
	}
	return fmt.Sprintf("%s (%.*f to %.*f)", median, c.digits, s.Least/c.scale, c.digits, s.Most/c.scale)
}

// printTables prints a table for each test, medians with least and most.
func printTables(w io.Writer, sums []*Summary, all []*Result) {
	for len(sums) > 0 {
		n := slices.IndexFunc(sums, func(s *Summary) bool { return s.Test != sums[0].Test })
		if n < 0 {
			n = len(sums)
		}
		printTable(w, sums[:n])
		sums = sums[n:]
	}
	for _, r := range all {
		if r.failed() {
			fmt.Fprintf(w, "%s %s, %d clients, run %d:", r.Test, r.Target, r.Clients, r.Run)
			if r.Aborted != "" {
				fmt.Fprintf(w, " aborted: %s", r.Aborted)
			}
			for what, n := range r.Errors {
				fmt.Fprintf(w, " %d × %s;", n, what)
			}
			fmt.Fprintln(w)
		}
	}
}

func printTable(w io.Writer, sums []*Summary) {
	columns := columnsOf(sums[0].Test)
	fmt.Fprintf(w, "\n%s: medians of %d runs, least and most in brackets\n", sums[0].Test, sums[0].Runs)
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprint(t, "target\tclients")
	for _, c := range columns {
		fmt.Fprintf(t, "\t%s", c.title)
	}
	fmt.Fprintln(t, "\ttidegate's cost")
	for _, s := range sums {
		fmt.Fprintf(t, "%s\t%d", s.Target, s.Clients)
		for _, c := range columns {
			v, ok := s.Values[c.name]
			if !ok {
				fmt.Fprint(t, "\t–")
				continue
			}
			fmt.Fprintf(t, "\t%s", c.text(v))
		}
		ratio := ""
		if s.CostOfTidegate != nil {
			ratio = column{scale: 1, digits: 2}.text(*s.CostOfTidegate) + " ×"
		}
		fmt.Fprintf(t, "\t%s\n", ratio)
	}
	t.Flush()
}

// printJSON prints everything as one document.
func printJSON(w io.Writer, sums []*Summary, all []*Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"machine": thisMachine(), "command": strings.Join(os.Args[1:], " "), "summaries": sums, "results": all})
}
