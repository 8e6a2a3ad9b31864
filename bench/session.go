package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidegate/bench/gateway"
	"tidegate/bench/load"
	"tidegate/bench/peers"
	"tidegate/bench/proc"
)

// A session is one measured run: fresh servers, and the clients of one test.
type session struct {
	*bench
	target  *target
	backend *proc.Group
	loop    *load.Loop
	result  *Result
	clients []*load.Conn // by their index; nil once lost
	live    int
}

// measure runs one test once against one target.
func (b *bench) measure(ctx context.Context, c planned, run int) *Result {
	r := &Result{Test: c.test, Target: c.target, Clients: c.n, Run: run, Time: time.Now().UTC().Truncate(time.Second), Values: map[string]float64{}, Errors: map[string]int{}}
	if err := b.measureInto(ctx, r); err != nil {
		r.Aborted = err.Error()
	}
	return r
}

func (b *bench) measureInto(ctx context.Context, r *Result) error {
	address, err := gateway.FreeAddress()
	if err != nil {
		return err
	}
	s := &session{bench: b, result: r}
	if s.backend, err = peers.StartSelf(b.dir, []string{address}, commandBackend, address); err != nil {
		return err
	}
	defer s.backend.End()
	if s.target, err = b.startTarget(ctx, r.Target, r.Test, address); err != nil {
		return err
	}
	defer s.target.group.End()
	if s.loop, err = load.NewLoop(); err != nil {
		return err
	}
	defer s.loop.Close()
	time.Sleep(b.settle) // what ends with the start has ended
	if err := tests[r.Test].run(ctx, s); err != nil {
		return err
	}
	if !s.target.group.Alive() {
		return fmt.Errorf("%s ended during the test", r.Target)
	}
	return nil
}

// mostErrors is how many kinds of errors a result tells apart.
const mostErrors = 10

// failed counts an error by its text, which ids aren't part of.
func (s *session) failed(what string) {
	what, _, _ = strings.Cut(what, ` "connectionId"`)
	what = what[:min(len(what), 100)]
	if s.result.Errors[what] == 0 && len(s.result.Errors) >= mostErrors {
		what = "others"
	}
	s.result.Errors[what]++
}

// channelOf is the channel of a client that receives pushes.
func channelOf(i int) string { return "c" + strconv.Itoa(i) }

// connect opens clients until there are n, a bounded number of handshakes at a
// time, and returns how long that took and what each handshake took, in µs. A
// client with a channel receives there, and knows its id.
func (s *session) connect(n int, channel func(i int) string) (time.Duration, []uint32, error) {
	const atOnce, limit = 128, 2 * time.Minute
	next, done, lost, pending := len(s.clients), len(s.clients), 0, 0
	s.clients = append(s.clients, make([]*load.Conn, max(n-len(s.clients), 0))...)
	var took []uint32
	ready := func(c *load.Conn) {
		took = append(took, uint32((load.Now()-c.SentAt)/1000))
		s.clients[c.Index] = c
		pending--
		done++
		s.live++
	}
	ask := load.AppendFrame(nil, load.OpText, []byte(`{"action":"whoami"}`))
	s.loop.OnOpen = func(c *load.Conn) {
		if s.target.whoami && channel(c.Index) != "" {
			c.Write(ask)
			return
		}
		ready(c)
	}
	s.loop.OnMessage = func(c *load.Conn, _ byte, p []byte) {
		if c.ID != "" || s.clients[c.Index] != nil {
			return
		}
		if c.ID = idOf(p); c.ID == "" {
			s.failed(fmt.Sprintf("whoami was answered with %s", p))
			return
		}
		ready(c)
	}
	s.loop.OnClose = func(c *load.Conn, err error) {
		s.failed("connecting: " + err.Error())
		if s.clients[c.Index] == c {
			s.clients[c.Index] = nil
			s.live--
			return
		}
		pending--
		lost++
	}
	began := load.Now()
	passed := func() time.Duration { return time.Duration(load.Now() - began) }
	for done+lost < n {
		for ; pending < atOnce && next < n; next++ {
			c, err := s.loop.Dial(s.target.clients, true, next, load.Handshake(s.target.clients, s.target.path(next, channel(next))))
			if err != nil {
				return passed(), nil, err
			}
			c.SentAt = load.Now()
			pending++
		}
		s.loop.Step(5 * time.Millisecond)
		if passed() > limit || lost > n/20+20 {
			return passed(), nil, fmt.Errorf("%d of %d clients connected, %d failed, after %v", done, n, lost, passed())
		}
	}
	s.loop.OnClose = s.lost
	return passed(), took, nil
}

// lost is OnClose once clients are connected.
func (s *session) lost(c *load.Conn, err error) {
	s.failed("a client was lost: " + err.Error())
	if c.Index < len(s.clients) && s.clients[c.Index] == c {
		s.clients[c.Index] = nil
		s.live--
	}
}

// A reading is the clocks at a moment, in seconds.
type reading struct {
	at                               int64
	server, backend, client, machine float64
}

func (s *session) read() reading {
	return reading{load.Now(), proc.CPU(proc.Tree(s.target.group.Roots())), proc.CPU(s.backend.Roots()), proc.CPU([]int{os.Getpid()}), proc.MachineCPU()}
}

// since records what was used from a reading on, for so many messages.
func (s *session) since(a reading, messages int) {
	z := s.read()
	seconds := float64(z.at-a.at) / 1e9
	v := s.result.Values
	v["seconds"] = seconds
	v["messages"] = float64(messages)
	v["messages_per_second"] = float64(messages) / seconds
	v["server_cpu_seconds"] = z.server - a.server
	v["server_cores"] = (z.server - a.server) / seconds
	v["backend_cores"] = (z.backend - a.backend) / seconds
	v["client_cores"] = (z.client - a.client) / seconds
	// What nobody here accounts for disturbs the measurement.
	v["other_cores"] = max(0, (z.machine-a.machine)/seconds-v["server_cores"]-v["backend_cores"]-v["client_cores"])
	if messages > 0 {
		v["cpu_us_per_message"] = (z.server - a.server) * 1e6 / float64(messages)
	}
	s.memory()
}

func (s *session) memory() {
	u := proc.Memory(proc.Tree(s.target.group.Roots()))
	s.result.Values["rss_mib"] = float64(u.RSS) / (1 << 20)
	s.result.Values["pss_mib"] = float64(u.PSS) / (1 << 20)
}

// latency records quantiles of microseconds.
func (s *session) latency(prefix string, all []uint32) {
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	for name, q := range map[string]float64{"p50_us": 0.5, "p99_us": 0.99, "max_us": 1} {
		s.result.Values[prefix+name] = float64(all[min(int(q*float64(len(all))), len(all)-1)])
	}
}

// postFree asks a Go peer to collect garbage.
func postFree(ctx context.Context, address string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/free", nil)
	if err != nil {
		return err
	}
	q.Close = true
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
