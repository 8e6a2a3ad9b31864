// Bench measures Tidegate, and others beside it, from outside: real processes, real
// sockets of loopback, clients on one event-driven loop. README.md says what each
// command does. It needs Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tidegate/bench/gateway"
	"tidegate/bench/peers"
	"tidegate/bench/proc"
)

// Commands that the bench runs of itself.
const (
	commandBackend = "serve-backend"
	commandGWS     = "serve-gws"
)

// A test is one command.
type test struct {
	what    string
	clients []int // where none are given
	run     func(ctx context.Context, s *session) error
}

var tests = map[string]test{
	testIdle:    {"memory of idle connections: the slope over four steps, garbage collected at each", []int{19000}, idle},
	testStorm:   {"connects", []int{10000}, storm},
	testRoute:   {"client message, HTTP backend, reply; one in flight a client", []int{64, 512}, route},
	testMock:    {"client message, constant reply; one in flight a client (gws echoes)", []int{1000}, mock},
	testPush:    {"POST to @connections, signed (the peers' are not), to one of the clients", []int{10000}, push},
	testFanout:  {"POST to @all, signed (the peers' are not), to all clients", []int{10000}, fanout},
	testSoak:    {"clients that come, go and fail in every way; what is left of them", []int{soakMost}, soak},
	testUpgrade: {"a hand-off under busy clients: what they notice", []int{19000}, upgrade},
}

// compared is what the command compare runs.
var compared = []string{testRoute, testPush, testFanout, testMock}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: bench COMMAND [--runs N] [--peers nginx,nchan,gws] [--clients N,…] [--json] …\n\ncommands:")
	for _, name := range []string{testIdle, testStorm, testRoute, testMock, testPush, testFanout, testUpgrade, testSoak} {
		fmt.Fprintf(w, "  %-8s %s\n", name, tests[name].what)
	}
	fmt.Fprintf(w, "  %-8s %s, one after the other\n", "compare", strings.Join(compared, ", "))
	fmt.Fprintln(w, "\nbench COMMAND --help has the flags.")
}

func main() {
	raiseDescriptors()
	debug.SetGCPercent(400) // the client's memory is of no interest, its time is
	args := os.Args[1:]
	if len(args) == 0 {
		usage(os.Stderr)
		os.Exit(2)
	}
	if err := run(args[0], args[1:]); err != nil {
		proc.EndAll()
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
}

// raiseDescriptors takes as many as the system gives. It has the kernel make room for
// them now: where its table of them doubles, a process of several threads waits for ten
// milliseconds and more, and the first round would have what later ones don't.
func raiseDescriptors() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return
	}
	l.Cur = l.Max
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	const most = 32 << 10
	if high, _, errno := syscall.Syscall(syscall.SYS_FCNTL, os.Stderr.Fd(), syscall.F_DUPFD_CLOEXEC, uintptr(min(l.Cur, most)-1)); errno == 0 {
		syscall.Close(int(high))
	}
}

func run(command string, args []string) error {
	switch {
	case command == commandBackend && len(args) == 1:
		return peers.ServeBackend(args[0])
	case command == commandGWS && len(args) == 3:
		return peers.ServeGWS(args[0], args[1], args[2])
	case command == testSoak:
		return soakCommand(args)
	case command == "compare":
		return runTests(compared, command, args)
	case tests[command].run != nil:
		return runTests([]string{command}, command, args)
	case command == "help" || command == "--help" || command == "-h":
		usage(os.Stdout)
		return nil
	}
	usage(os.Stderr)
	return fmt.Errorf("there is no command %q", command)
}

// A bench is what the flags say, and where things lie.
type bench struct {
	program    string // the built Tidegate
	dir        string // for files of all processes; removed at the end
	limits     []string
	runs       int
	targets    []string
	clients    []int
	settle     time.Duration // for what begins or has just connected
	warm       time.Duration
	duration   time.Duration
	publishers int
	quiet      time.Duration // of a soak's rests
	json       bool
}

// open reads the flags and builds the program where none is named.
func open(command string, args []string, more func(*flag.FlagSet)) (*bench, error) {
	b := &bench{targets: []string{tidegateName}}
	f := flag.NewFlagSet(command, flag.ContinueOnError)
	f.IntVar(&b.runs, "runs", 1, "how often each is measured, in turns")
	others := f.String("peers", "", "what to measure beside Tidegate: nginx, nchan, gws, or all that are installed")
	without := f.Bool("peers-only", false, "leave Tidegate out")
	clients := f.String("clients", "", "how many clients, several with commas (default: the command's)")
	f.DurationVar(&b.settle, "settle", 300*time.Millisecond, "how long servers rest when they have started, and when clients have connected")
	f.DurationVar(&b.warm, "warm", time.Second, "how long before it is measured")
	f.DurationVar(&b.duration, "duration", 3*time.Second, "how long is measured")
	f.IntVar(&b.publishers, "publishers", 64, "how many connections post pushes")
	f.BoolVar(&b.json, "json", false, "print JSON")
	f.StringVar(&b.program, "tidegate", "", "the built program (default: it is built from the module around this one)")
	limits := f.String("limits", "", "limits of Tidegate's, NAME=VALUE with commas")
	if more != nil {
		more(f)
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag", f.Arg(0))
	}
	if *limits != "" {
		b.limits = strings.Split(*limits, ",")
	}
	if err := b.choose(*others, *without, *clients); err != nil {
		return nil, err
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "tidegate-bench-"); err != nil {
		return nil, err
	}
	if b.program == "" {
		b.program = filepath.Join(b.dir, "tidegate")
		err = gateway.Build(context.Background(), b.program)
	} else {
		b.program, err = filepath.Abs(b.program)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	proc.EndOnSignal()
	return b, nil
}

func (b *bench) close() { os.RemoveAll(b.dir) }

// choose sets targets and sizes.
func (b *bench) choose(others string, without bool, clients string) error {
	if without {
		b.targets = nil
	}
	all := others == "all"
	if all {
		others = "nginx,nchan,gws"
	}
	for name := range strings.SplitSeq(others, ",") {
		if name == "" {
			continue
		}
		if err := peers.Installed(name); err != nil {
			if !all {
				return err
			}
			fmt.Fprintln(os.Stderr, "bench: left out:", err)
			continue
		}
		b.targets = append(b.targets, name)
	}
	for text := range strings.SplitSeq(clients, ",") {
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("--clients %s is no number of clients", text)
		}
		b.clients = append(b.clients, n)
	}
	return nil
}

// A planned measurement, one a round.
type planned struct {
	test, target string
	n            int
}

// runTests measures round by round, every other one in the reverse order, so that
// what drifts with time falls on all alike.
func runTests(names []string, command string, args []string) error {
	b, err := open(command, args, nil)
	if err != nil {
		return err
	}
	defer b.close()
	var plan []planned
	for _, name := range names {
		sizes := b.clients
		if len(sizes) == 0 {
			sizes = tests[name].clients
		}
		for _, n := range sizes {
			for _, target := range b.targets {
				if does(target, name) {
					plan = append(plan, planned{name, target, n})
				}
			}
		}
	}
	if len(plan) == 0 {
		return fmt.Errorf("none of the peers has what %s measures", command)
	}
	var all []*Result
	for round := 1; round <= b.runs; round++ {
		results := make([]*Result, len(plan))
		for i := range plan {
			if round%2 == 0 {
				i = len(plan) - 1 - i
			}
			fmt.Fprintf(os.Stderr, "%s round %d of %d: %s %s, %d clients\n", time.Now().Format(time.TimeOnly), round, b.runs, plan[i].test, plan[i].target, plan[i].n)
			results[i] = b.measure(context.Background(), plan[i], round)
		}
		all = append(all, results...)
	}
	return b.print(all)
}

// print prints the results; an error says that some failed.
func (b *bench) print(all []*Result) error {
	sums := summarize(all)
	if b.json {
		if err := printJSON(os.Stdout, sums, all); err != nil {
			return err
		}
	} else {
		printTables(os.Stdout, sums, all)
	}
	if slices.ContainsFunc(all, (*Result).failed) {
		return errors.New("some runs had errors")
	}
	return nil
}
