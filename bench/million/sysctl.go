package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A setting is one of the kernel's, and the least that it must be.
type setting struct {
	name  string
	field int // of several numbers, which one
	least func(p *plan) int64
	why   string
}

var settings = []setting{
	{"fs.file-max", 0, func(p *plan) int64 { return 2*int64(p.connections) + 200_000 }, "files of the whole machine: two a connection"},
	{"net.core.somaxconn", 0, func(*plan) int64 { return 4096 }, "clients that wait to be accepted"},
	{"net.ipv4.tcp_max_syn_backlog", 0, func(*plan) int64 { return 2048 }, "handshakes of TCP under way"},
	{"net.ipv4.tcp_mem", 2, func(p *plan) int64 { return int64(p.connections) / 4 }, "pages of all sockets' buffers; idle ones have none"},
	{"net.netfilter.nf_conntrack_max", 0, func(p *plan) int64 { return int64(p.connections) + 100_000 }, "connections that a firewall tracks"},
}

func (s setting) file() string { return "/proc/sys/" + strings.ReplaceAll(s.name, ".", "/") }

// tracked reports whether the setting matters here: a firewall may track nothing.
func (s setting) tracked() bool {
	if s.name != "net.netfilter.nf_conntrack_max" {
		return true
	}
	count, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	return err == nil && strings.TrimSpace(string(count)) != "0"
}

// settle tells of settings that are too low; with --sysctls it raises them, and
// restore sets them back.
func settle(p *plan) (restore func(), err error) {
	before := map[string]string{}
	restore = func() {
		for file, value := range before {
			if err := os.WriteFile(file, []byte(value), 0); err != nil {
				fmt.Fprintln(os.Stderr, "million: set back:", err)
			}
		}
	}
	low := 0
	for _, s := range settings {
		text, err := os.ReadFile(s.file())
		if err != nil || !s.tracked() {
			continue // this kernel lacks it
		}
		fields := strings.Fields(string(text))
		have, err := strconv.ParseInt(fields[s.field], 10, 64)
		least := s.least(p)
		if err != nil || have >= least {
			continue
		}
		low++
		fields[s.field] = strconv.FormatInt(least, 10)
		value := strings.Join(fields, " ")
		fmt.Fprintf(os.Stderr, "sysctl -w %s=%q   # it is %s: %s\n", s.name, value, strings.TrimSpace(string(text)), s.why)
		if !p.sysctls {
			continue
		}
		if err := os.WriteFile(s.file(), []byte(value), 0); err != nil {
			restore()
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		before[s.file()] = string(text)
	}
	if low > 0 && !p.sysctls {
		return nil, fmt.Errorf("%d of the kernel's settings are too low for %d connections: set them as above, or give --sysctls as root", low, p.connections)
	}
	return restore, nil
}
