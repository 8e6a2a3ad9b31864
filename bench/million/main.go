// Million holds a million live connections on one machine, both ends: so many
// gateway processes, and as many of clients, as descriptors ask for. It prints what
// they take, has some of the clients exchange messages, and ends everything.
//
//	go run ./million [--connections 1000000] [--sysctls]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"tidegate/bench/gateway"
	"tidegate/bench/proc"
)

// commandClients is what this program runs of itself.
const commandClients = "clients"

// Bounds.
const (
	perProcess     = 19000            // of 20,000 descriptors that a process may have
	perConnection  = 12 << 10         // bytes of a connection, both ends, kernel included, with room to spare
	perGateway     = 40 << 20         // of a process, before it has clients
	leastAvailable = 1 << 30          // below it everything ends
	wholeTime      = 20 * time.Minute // at most
)

// A plan is what the flags say.
type plan struct {
	connections int
	processes   int
	program     string
	hold        time.Duration
	json        bool
	sysctls     bool
}

func main() {
	debug.SetGCPercent(400)
	var err error
	if len(os.Args) > 1 && os.Args[1] == commandClients {
		err = serveClients(os.Args[2:])
	} else {
		err = run(os.Args[1:])
		proc.EndAll()
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "million:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	p := &plan{}
	f := flag.NewFlagSet("million", flag.ContinueOnError)
	f.IntVar(&p.connections, "connections", 1_000_000, "how many")
	f.DurationVar(&p.hold, "hold", 10*time.Second, "how long they are held before memory is read")
	f.StringVar(&p.program, "tidegate", "", "the built program (default: it is built from the module around this one)")
	f.BoolVar(&p.sysctls, "sysctls", false, "set the kernel's settings that are too low, as root, and set them back at the end")
	f.BoolVar(&p.json, "json", false, "print JSON")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || p.connections < 1 {
		return fmt.Errorf("give a number of connections, and no more; go run ./million --help has the flags")
	}
	p.processes = (p.connections + perProcess - 1) / perProcess
	if err := p.fits(); err != nil {
		return err
	}
	restore, err := settle(p)
	if err != nil {
		return err
	}
	defer restore()
	proc.EndOnSignal()
	ctx, stop := context.WithTimeout(context.Background(), wholeTime)
	defer stop()
	dir, err := os.MkdirTemp("", "tidegate-million-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if p.program == "" {
		p.program = filepath.Join(dir, "tidegate")
		err = gateway.Build(ctx, p.program)
	} else {
		p.program, err = filepath.Abs(p.program)
	}
	if err != nil {
		return err
	}
	return p.measure(ctx, dir)
}

// fits says whether there is memory enough.
func (p *plan) fits() error {
	need := int64(p.connections)*perConnection + int64(p.processes)*perGateway + leastAvailable
	if have := proc.Meminfo()["MemAvailable"]; have < need {
		return fmt.Errorf("%d connections, both ends, want about %d MiB, and %d are available: take fewer with --connections", p.connections, need>>20, have>>20)
	}
	return nil
}

// measure starts everything, reads, and ends everything.
func (p *plan) measure(ctx context.Context, dir string) error {
	before := proc.Meminfo()
	began := time.Now()
	h := &holding{plan: p, started: proc.NewGroup()}
	defer h.started.End()
	defer h.endGateways()
	for i := range p.processes {
		n := p.connections/p.processes + b2i(i < p.connections%p.processes)
		if err := h.add(ctx, dir, i, n); err != nil {
			return fmt.Errorf("process %d of %d: %w", i+1, p.processes, err)
		}
		if have := proc.Meminfo()["MemAvailable"]; have < leastAvailable {
			return fmt.Errorf("only %d MiB are available with %d connections", have>>20, h.open)
		}
		fmt.Fprintf(os.Stderr, "%s %d connections\n", time.Now().Format(time.TimeOnly), h.open)
	}
	r := &report{Connections: h.open, Processes: p.processes, ConnectSeconds: time.Since(began).Seconds(), ConnectBusySeconds: h.connecting.Seconds()}
	select {
	case <-time.After(p.hold):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := h.read(ctx, r, before); err != nil {
		return err
	}
	if err := h.talk(ctx, r); err != nil {
		return err
	}
	return r.print(p.json)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A report is what was found. Sizes are bytes.
type report struct {
	Connections        int     `json:"connections"`
	Processes          int     `json:"processes"` // gateways; as many of clients
	ConnectSeconds     float64 `json:"connectSeconds"`
	ConnectBusySeconds float64 `json:"connectBusySeconds"` // without the starts of processes

	GatewayBasePSS      int64   `json:"gatewayBasePSS"` // all gateways, before they had clients
	GatewayBaseRSS      int64   `json:"gatewayBaseRSS"`
	GatewayPSS          int64   `json:"gatewayPSS"` // with clients, garbage collected
	GatewayRSS          int64   `json:"gatewayRSS"`
	GatewayPerClient    float64 `json:"gatewayBytesPerConnection"` // PSS less its base
	BaseOfEach          []int64 `json:"baseRSSOfEach"`
	ClientPSS           int64   `json:"clientPSS"`
	KernelSlab          int64   `json:"kernelSlab"` // more than before, both ends
	KernelPerConnection float64 `json:"kernelBytesPerConnection"`
	SocketBuffers       int64   `json:"socketBuffers"`
	Available           int64   `json:"available"`
	MetricConnections   int     `json:"metricConnections"` // what the gateways themselves count

	Asked    int `json:"asked"` // messages to a constant answer, from all processes
	Answered int `json:"answered"`
	Lost     int `json:"lost"` // clients that were closed
}

func (r *report) print(asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	} else {
		t := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', 0)
		mib := func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
		least, most := r.BaseOfEach[0], r.BaseOfEach[0]
		for _, n := range r.BaseOfEach {
			least, most = min(least, n), max(most, n)
		}
		for _, line := range [][2]string{
			{"connections, live", fmt.Sprintf("%d (the gateways count %d)", r.Connections, r.MetricConnections)},
			{"processes", fmt.Sprintf("%d gateways, %d of clients", r.Processes, r.Processes)},
			{"connecting", fmt.Sprintf("%.0f s, %.0f a second while clients connected", r.ConnectSeconds, float64(r.Connections)/r.ConnectBusySeconds)},
			{"gateways without clients", fmt.Sprintf("PSS %s in all; RSS of each %s to %s", mib(r.GatewayBasePSS), mib(least), mib(most))},
			{"gateways with clients", fmt.Sprintf("PSS %s, RSS %s in all", mib(r.GatewayPSS), mib(r.GatewayRSS))},
			{"user space, a connection", fmt.Sprintf("%.0f bytes", r.GatewayPerClient)},
			{"kernel's slabs", fmt.Sprintf("%s for both ends, %.0f bytes a connection", mib(r.KernelSlab), r.KernelPerConnection)},
			{"socket buffers", mib(r.SocketBuffers)},
			{"clients", "PSS " + mib(r.ClientPSS)},
			{"memory available still", mib(r.Available)},
			{"messages", fmt.Sprintf("%d of %d answered", r.Answered, r.Asked)},
			{"clients lost", fmt.Sprint(r.Lost)},
		} {
			fmt.Fprintf(t, "%s\t%s\n", line[0], line[1])
		}
		t.Flush()
	}
	var wrong []string
	if r.Lost > 0 {
		wrong = append(wrong, fmt.Sprintf("%d clients were lost", r.Lost))
	}
	if r.Answered != r.Asked {
		wrong = append(wrong, fmt.Sprintf("%d messages were not answered", r.Asked-r.Answered))
	}
	if r.MetricConnections != r.Connections {
		wrong = append(wrong, fmt.Sprintf("the gateways count %d connections", r.MetricConnections))
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// raiseDescriptors takes as many as the system gives.
func raiseDescriptors() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}
