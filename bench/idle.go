package main

import (
	"context"
	"fmt"

	"tidegate/bench/proc"
)

// nothing is the channel of clients that receive nothing.
func nothing(int) string { return "" }

// idle connects clients in steps and reads the servers' memory at each, when
// garbage has been collected. What a connection costs is the slope.
func idle(ctx context.Context, s *session) error {
	n := s.result.Clients
	var at, rss, pss, heap []float64
	for _, step := range []int{0, n * 5 / 19, n * 10 / 19, n * 15 / 19, n} {
		if _, _, err := s.connect(step, nothing); err != nil {
			return err
		}
		u, err := s.leanest(ctx)
		if err != nil {
			return err
		}
		if step == 0 {
			s.result.Values["base_rss_mib"] = float64(u.RSS) / (1 << 20)
			continue // the first clients pay for what all share
		}
		if g := s.target.gateway; g != nil {
			c, err := g.Free(ctx)
			if err != nil {
				return err
			}
			heap = append(heap, float64(c.HeapBytes))
		}
		at, rss, pss = append(at, float64(s.live)), append(rss, float64(u.RSS)), append(pss, float64(u.PSS))
		s.result.Values[fmt.Sprintf("rss_mib_at_%d", step)] = float64(u.RSS) / (1 << 20)
	}
	s.result.Values["rss_bytes_per_connection"] = slope(at, rss)
	s.result.Values["pss_bytes_per_connection"] = slope(at, pss)
	if heap != nil {
		s.result.Values["heap_bytes_per_connection"] = slope(at, heap)
	}
	a := s.read()
	s.loop.Spin(s.duration)
	s.since(a, 0)
	s.result.Values["idle_cpu_percent"] = 100 * s.result.Values["server_cores"]
	s.result.Values["open"] = float64(s.live)
	return nil
}

// Rounds of collecting garbage: each gives back what the one before could not, until
// little follows.
const (
	mostRounds = 8
	fewBytes   = 64 << 10
)

// leanest has the server collect garbage until its memory falls no more.
func (s *session) leanest(ctx context.Context) (proc.Usage, error) {
	var u proc.Usage
	for range mostRounds {
		s.loop.Spin(s.settle)
		if s.target.free != nil {
			if err := s.target.free(ctx); err != nil {
				return u, err
			}
		}
		last := u
		u = proc.Memory(proc.Tree(s.target.group.Roots()))
		if last.RSS > 0 && last.RSS-u.RSS < fewBytes {
			break
		}
	}
	return u, nil
}

// slope is that of the line of least squares through the points.
func slope(x, y []float64) float64 {
	mx, my := mean(x), mean(y)
	above, below := 0.0, 0.0
	for i := range x {
		above += (x[i] - mx) * (y[i] - my)
		below += (x[i] - mx) * (x[i] - mx)
	}
	return above / below
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// storm connects clients as fast as they are let in.
func storm(_ context.Context, s *session) error {
	a := s.read()
	took, each, err := s.connect(s.result.Clients, nothing)
	if err != nil {
		return err
	}
	s.since(a, s.live)
	s.result.Values["messages_per_second"] = float64(s.live) / took.Seconds()
	s.latency("", each)
	return nil
}
