//go:build linux

package epoll

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/edge"
	"tidegate/internal/gateway"
	"tidegate/internal/observe"
	"tidegate/internal/stage"
	"tidegate/internal/transport"
	"tidegate/ws"
)

// million is how many connections BenchmarkMillion holds.
const million = 1_000_000

const (
	millionMessage = `{"action":"mock","data":"01234567890123456789012345678901234567"}`
	millionAnswer  = `{"answer":"012345678901234567890123456789012345678901234567890"}`
)

// BenchmarkMillion holds a million connections in this process: the engine's, with
// its loops and sweeps, the gateway's and the registry's, each admitted by a whole
// handshake through $connect. A process has no descriptors for as many: the
// connections of a loop share one socket pair, which one of them uses at a time, and
// the kernel's poller knows of none. Run it alone, with -benchtime 1x; it takes
// about a minute and 1 GB.
func BenchmarkMillion(b *testing.B) {
	h := newMillion(b)
	before := footprint()
	began := time.Now()
	h.admitAll(b, million)
	admitting := time.Since(began)
	perConnection := float64(footprint()-before) / million
	if n := h.registry.Len(); n != million {
		b.Fatalf("the registry holds %d connections, want %d", n, million)
	}
	for b.Loop() {
		b.ReportMetric(float64(admitting.Microseconds())/million, "µs-admit")
		b.ReportMetric(perConnection, "B-heap/conn")
		h.lookUps(b)
		h.sweeps(b)
		h.collections(b)
		b.ReportMetric(float64(footprint()-before)/million, "B-heap/conn-after")
	}
	runtime.KeepAlive(h)
}

// footprint is the live heap, in bytes.
func footprint() int64 {
	runtime.GC()
	runtime.GC() // pools let go at the second collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A millionRig is an engine whose connections share a socket pair for each loop.
type millionRig struct {
	engine   *Engine
	registry *connection.Registry
	served   served
	lanes    []*lane
}

// A lane is one loop, its socket and the other end.
type lane struct {
	loop  *loop
	fd    int
	peer  net.Conn
	r     *bufio.Reader
	conns []*conn
}

func newMillion(b *testing.B) *millionRig {
	codec, err := connection.NewCodec(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	h := &millionRig{}
	if h.registry, err = connection.NewRegistry(codec, 1, 0); err != nil {
		b.Fatal(err)
	}
	events := observe.NewMetrics().Gateway(gateway.EventListener{})
	g := gateway.New(gateway.Config{Registry: h.registry, Events: events, Limits: apigw.LimitsOf(apigw.ModeExtended)})
	g.Publish(millionStage(b))
	h.served = served{handler: edge.New(edge.Config{Gateway: g})}
	l := transport.DefaultLimits()
	l.Ping = time.Hour // checked, and never due: pings would be answers to nobody here
	l.Idle = 2 * time.Hour
	if h.engine, err = New(Config{Limits: l}); err != nil {
		b.Fatal(err)
	}
	for _, loop := range h.engine.loops {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := syscall.SetNonblock(pair[0], true); err != nil {
			b.Fatal(err)
		}
		f := os.NewFile(uintptr(pair[1]), "clients")
		peer, err := net.FileConn(f)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
		b.Cleanup(func() { peer.Close() })
		h.lanes = append(h.lanes, &lane{loop: loop, fd: pair[0], peer: peer, r: bufio.NewReader(peer)})
	}
	h.engine.mu.Lock()
	h.engine.startLocked()
	h.engine.mu.Unlock()
	return h
}

// millionStage has a $connect that says yes and a route with a constant answer.
func millionStage(b *testing.B) *stage.Stage {
	constant := func(id, answer string) *apigw.Integration {
		return &apigw.Integration{ID: id, Type: apigw.IntegrationMock, RequestTemplates: map[string]string{"$default": `{"statusCode":200}`},
			Responses: map[string]*apigw.IntegrationResponse{"d": {Key: "$default", ResponseTemplates: map[string]string{"$default": answer}}}}
	}
	s, err := stage.Compile(&apigw.Definition{APIID: "abcdef0123", RouteSelectionExpression: "$request.body.action",
		Routes: []*apigw.Route{
			{Key: apigw.RouteConnect, Target: "integrations/admit"},
			{Key: "mock", Target: "integrations/mock", Responses: map[string]*apigw.RouteResponse{"r": {Key: "$default"}}},
		},
		Integrations: []*apigw.Integration{constant("admit", ""), constant("mock", millionAnswer)},
	}, &apigw.Stage{Name: "prod"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// admitAll has n clients do their handshakes, one after the other on each loop.
func (h *millionRig) admitAll(b *testing.B, n int) {
	var wg sync.WaitGroup
	errs := make([]error, len(h.lanes))
	for i, ln := range h.lanes {
		wg.Go(func() {
			for j := i; j < n && errs[i] == nil; j += len(h.lanes) {
				errs[i] = h.admit(ln, j)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
}

// admit takes one client in as accept and begin do, but for the poller.
func (h *millionRig) admit(ln *lane, i int) error {
	fmt.Fprintf(ln.peer, "GET /prod HTTP/1.1\r\nHost: abcdef0123.execute-api.us-east-1.amazonaws.com\r\nUser-Agent: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	l := ln.loop
	l.do(func() {
		c := newConn(l, &h.served, ln.fd, address{ip: [16]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}, port: 40000, kind: address4})
		h.engine.count.Add(1)
		l.time(c)
		c.phase = phaseHead
		c.slot = uint32(len(l.slots))
		l.slots = append(l.slots, c)
		l.generation++
		c.generation, c.registered = l.generation, true
		ln.conns = append(ln.conns, c)
		c.readable = true
		l.serve(c)
	})
	resp, err := http.ReadResponse(ln.r, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("client %d: %s", i, resp.Status)
	}
	return nil
}

// lookUps times finding connections by their ids, at random.
func (h *millionRig) lookUps(b *testing.B) {
	ids := make([]string, 100_000)
	for i := range ids {
		ln := h.lanes[rand.IntN(len(h.lanes))]
		ids[i] = ln.conns[rand.IntN(len(ln.conns))].Data().(*connection.Connection).String()
	}
	began := time.Now()
	for _, id := range ids {
		if _, ok, err := h.registry.LookupText(id); !ok || err != nil {
			b.Fatalf("the id %s isn't found: %v", id, err)
		}
	}
	b.ReportMetric(float64(time.Since(began).Nanoseconds())/float64(len(ids)), "ns-look-up")
}

// sweeps times the sweep over all idle connections, and how much of it is done at
// once, which holds up a loop's others.
func (h *millionRig) sweeps(b *testing.B) {
	type sweep struct{ whole, longest time.Duration }
	took := make(chan sweep)
	var whole, longest []float64
	for range 5 {
		for _, ln := range h.lanes {
			ln.loop.do(func() {
				var s sweep
				ln.loop.resting = 0 // in case that one was under way
				for more := true; more; more = ln.loop.resting > 0 {
					began := time.Now()
					ln.loop.sweepIdle()
					d := time.Since(began)
					s.whole, s.longest = s.whole+d, max(s.longest, d)
				}
				took <- s
			})
		}
		for range h.lanes {
			s := <-took
			whole = append(whole, float64(s.whole.Microseconds())/1000)
			longest = append(longest, float64(s.longest.Microseconds())/1000)
		}
	}
	slices.Sort(whole)
	slices.Sort(longest)
	b.ReportMetric(whole[len(whole)/2], "ms-sweep-of-a-loop")
	b.ReportMetric(longest[len(longest)/2], "ms-sweep-at-once")
}

// collections has the garbage collector run while messages come and go on
// random connections, and tells of both.
func (h *millionRig) collections(b *testing.B) {
	stop := make(chan struct{})
	times := make([][]float64, len(h.lanes))
	errs := make([]error, len(h.lanes))
	var wg sync.WaitGroup
	for i, ln := range h.lanes {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				if errs[i] = ln.echo(ln.conns[rand.IntN(len(ln.conns))]); errs[i] != nil {
					return
				}
				times[i] = append(times[i], float64(time.Since(began).Nanoseconds())/1000)
			}
		})
	}
	const collections = 5
	cpu, pauses := gcCPU(), &debug.GCStats{}
	debug.ReadGCStats(pauses)
	count := pauses.NumGC
	var took []float64
	for range collections {
		began := time.Now()
		runtime.GC()
		took = append(took, float64(time.Since(began).Microseconds())/1000)
		time.Sleep(500 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
	debug.ReadGCStats(pauses)
	n := int(pauses.NumGC - count)
	b.ReportMetric((gcCPU()-cpu)*1000/float64(n), "ms-GC-CPU")
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "ms-GC")
	b.ReportMetric(float64(slices.Max(pauses.Pause[:min(n, len(pauses.Pause))]).Microseconds()), "µs-GC-pause-max")
	all := slices.Concat(times...)
	slices.Sort(all)
	b.ReportMetric(all[len(all)/2], "µs-echo-p50")
	b.ReportMetric(all[len(all)*99/100], "µs-echo-p99")
	b.ReportMetric(all[len(all)-1]/1000, "ms-echo-max")
}

// echo is a message of one of the lane's clients and its answer.
func (ln *lane) echo(c *conn) error {
	if _, err := ln.peer.Write(ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{1, 2, 3, 4}, []byte(millionMessage))); err != nil {
		return err
	}
	l := ln.loop
	l.do(func() {
		c.readable = true
		l.serve(c)
	})
	answer := make([]byte, ws.MessageSize(len(millionAnswer), 0))
	if _, err := io.ReadFull(ln.r, answer); err != nil {
		return err
	}
	if got := string(answer[len(answer)-len(millionAnswer):]); got != millionAnswer {
		return fmt.Errorf("the answer is %q", got)
	}
	return nil
}

// gcCPU is what the collector has used, in seconds of CPU.
func gcCPU() float64 {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64()
}
