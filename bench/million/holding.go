package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"tidegate/bench/gateway"
	"tidegate/bench/proc"
)

// A holding is the processes that hold connections.
type holding struct {
	*plan
	started    *proc.Group // of clients
	gateways   []*gateway.Gateway
	clients    []*clientProcess
	open       int
	connecting time.Duration
	base       []proc.Usage // of each gateway, before it had clients
}

// A clientProcess is one process of clients, and how it is spoken to.
type clientProcess struct {
	pid int
	in  io.Writer
	out *bufio.Reader
}

// A clientReport is what a process of clients says, one line of JSON.
type clientReport struct {
	Open     int    `json:"open"`
	Lost     int    `json:"lost"`
	Asked    int    `json:"asked"`
	Answered int    `json:"answered"`
	Error    string `json:"error,omitempty"`
}

// add starts a gateway, and a process whose n clients connect to it.
func (h *holding) add(ctx context.Context, dir string, i, n int) error {
	g, err := gateway.Start(ctx, h.program, dir, "127.0.0.1:9") // no message goes to a backend
	if err != nil {
		return err
	}
	h.gateways = append(h.gateways, g)
	if _, err := g.Free(ctx); err != nil {
		return err
	}
	h.base = append(h.base, proc.Memory(g.Group.Roots()))
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, self, commandClients, g.Address, strconv.Itoa(n))
	in, err := c.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	c.Stderr = os.Stderr
	began := time.Now()
	if err := h.started.Run(c); err != nil {
		return err
	}
	p := &clientProcess{pid: c.Process.Pid, in: in, out: bufio.NewReader(out)}
	h.clients = append(h.clients, p)
	r, err := p.hear()
	if err != nil {
		return err
	}
	h.connecting += time.Since(began)
	h.open += r.Open
	if r.Open != n {
		return fmt.Errorf("%d of %d clients connected", r.Open, n)
	}
	return nil
}

// hear reads the next report.
func (p *clientProcess) hear() (clientReport, error) {
	var r clientReport
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return r, fmt.Errorf("the clients' process ended: %w", err)
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, err
	}
	if r.Error != "" {
		return r, fmt.Errorf("the clients' process: %s", r.Error)
	}
	return r, nil
}

func (h *holding) endGateways() {
	for _, g := range h.gateways {
		g.Group.End()
	}
}

// read sums what is held.
func (h *holding) read(ctx context.Context, r *report, before map[string]int64) error {
	for i, g := range h.gateways {
		for range 2 {
			if _, err := g.Free(ctx); err != nil {
				return err
			}
		}
		n, err := g.Metric(ctx, "tidegate_connections")
		if err != nil {
			return err
		}
		r.MetricConnections += int(n)
		r.GatewayBasePSS += h.base[i].PSS
		r.GatewayBaseRSS += h.base[i].RSS
		r.BaseOfEach = append(r.BaseOfEach, h.base[i].RSS)
		u := proc.Memory(g.Group.Roots())
		r.GatewayRSS += u.RSS
		r.GatewayPSS += u.PSS
	}
	// A process's share of what all map gets smaller with each: its own pages are what
	// connections cost, so RSS is compared.
	r.GatewayPerClient = float64(r.GatewayRSS-r.GatewayBaseRSS) / float64(r.Connections)
	for _, c := range h.clients {
		r.ClientPSS += proc.Memory([]int{c.pid}).PSS
	}
	now := proc.Meminfo()
	r.KernelSlab = now["Slab"] - before["Slab"]
	r.KernelPerConnection = float64(r.KernelSlab) / float64(r.Connections)
	r.Available = now["MemAvailable"]
	r.SocketBuffers = socketBuffers()
	return nil
}

// talk has each process of clients send a message from some of its clients.
func (h *holding) talk(_ context.Context, r *report) error {
	for _, c := range h.clients {
		if _, err := fmt.Fprintln(c.in, "talk"); err != nil {
			return err
		}
		said, err := c.hear()
		if err != nil {
			return err
		}
		r.Asked += said.Asked
		r.Answered += said.Answered
		r.Lost += said.Lost
	}
	return nil
}

// socketBuffers is the memory of TCP's buffers, in bytes.
func socketBuffers() int64 {
	b, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line) // TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 0
		for i := 0; strings.HasPrefix(line, "TCP:") && i+1 < len(fields); i++ {
			if fields[i] == "mem" {
				pages, _ := strconv.ParseInt(fields[i+1], 10, 64)
				return pages * int64(os.Getpagesize())
			}
		}
	}
	return 0
}
