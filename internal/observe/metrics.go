package observe

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/cluster"
	"tidegate/internal/gateway"
	"tidegate/internal/service/functions"
	"tidegate/internal/transport"
)

// maxSeries bounds the label values of one metric; what comes beyond is counted
// under "other".
const maxSeries = 2000

// Metrics count what the gateway, the sockets, pushes and functions do, in the
// text format of Prometheus. Counting allocates nothing once a series is known.
//
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/
type Metrics struct {
	connects, disconnects, disconnectRoutes  counter
	messages, sent, bytes, integrations      counter
	pushes, drops, invocations, cold, tables counter
	refusals, handOffs, handedOff            counter
	routeTime, integrationTime, functionRun  histogram
	known                                    atomic.Pointer[map[messageKey]*messageSeries]

	lastPushed atomic.Pointer[pushSeries]
}

// NewMetrics returns metrics that have counted nothing.
func NewMetrics() *Metrics {
	m := &Metrics{
		connects:         newCounter("tidegate_connects_total", "Handshakes decided.", "api", "stage", "outcome"),
		disconnects:      newCounter("tidegate_disconnects_total", "Connections ended, by close code.", "api", "stage", "code"),
		disconnectRoutes: newCounter("tidegate_disconnect_routes_total", "What became of $disconnect.", "api", "stage", "outcome"),
		messages:         newCounter("tidegate_messages_total", "Messages of clients.", "api", "stage", "route", "outcome"),
		sent:             newCounter("tidegate_messages_sent_total", "Messages to clients: reply, error, push.", "api", "stage", "kind"),
		bytes:            newCounter("tidegate_message_bytes_total", "Payload bytes of messages, in and out.", "api", "stage", "direction"),
		integrations:     newCounter("tidegate_integrations_total", "Calls of backends: done, 4xx, 5xx or why they failed.", "api", "stage", "route", "outcome"),
		pushes:           newCounter("tidegate_pushes_total", "Messages posted to @connections.", "api", "stage", "outcome"),
		refusals:         newCounter("tidegate_refusals_total", "Requests refused with 4xx or 5xx: at the door, or by a service.", "service", "reason"),
		handOffs:         newCounter("tidegate_handoffs_total", "Hand-offs to another process: done, failed, or taken over from one.", "outcome"),
		handedOff:        newCounter("tidegate_handoff_connections_total", "Connections that were handed off, out or in.", "direction"),
		drops:            newCounter("tidegate_drops_total", "What sockets discarded, by reason.", "reason"),
		invocations:      newCounter("tidegate_invocations_total", "Invocations of functions.", "function", "outcome"),
		cold:             newCounter("tidegate_cold_starts_total", "Invocations for which an environment was started.", "function"),
		tables:           newCounter("tidegate_table_operations_total", "Calls of DynamoDB's API, by the class of their status.", "operation", "status"),
		routeTime:        newHistogram("tidegate_route_seconds", "From a message to its outcome.", "api", "stage", "route"),
		integrationTime:  newHistogram("tidegate_integration_seconds", "What backends took.", "api", "stage", "route"),
		functionRun:      newHistogram("tidegate_invocation_seconds", "What handlers took.", "function"),
	}
	m.known.Store(&map[messageKey]*messageSeries{})
	return m
}

// Gateway returns a listener that counts and passes on.
func (m *Metrics) Gateway(next gateway.EventListener) gateway.EventListener {
	connect, message, disconnect := next.ConnectEnd, next.MessageEnd, next.DisconnectEnd
	next.ConnectEnd = func(i gateway.ConnectInfo) {
		m.connects.with(i.APIID, string(i.Stage), string(i.Outcome)).Add(1)
		m.integration(i.Subject, i.Outcome, i.BackendStatus, i.IntegrationLatency)
		if connect != nil {
			connect(i)
		}
	}
	next.MessageEnd = func(i gateway.MessageInfo) {
		s := m.ofMessage(&i)
		s.count.Add(1)
		s.took.observe(i.Duration)
		s.in.Add(int64(i.Size))
		if i.Frame != nil {
			s.sent.Add(1)
			s.out.Add(int64(len(i.Frame)))
		}
		m.integration(i.Subject, i.Outcome, i.BackendStatus, i.IntegrationLatency)
		if message != nil {
			message(i)
		}
	}
	next.DisconnectEnd = func(i gateway.DisconnectInfo) {
		m.disconnects.with(i.APIID, string(i.Stage), closeCode(i.Close.Code)).Add(1)
		if i.Target != "" {
			m.disconnectRoutes.with(i.APIID, string(i.Stage), string(i.Outcome)).Add(1)
		}
		m.integration(i.Subject, i.Outcome, i.BackendStatus, i.IntegrationLatency)
		if disconnect != nil {
			disconnect(i)
		}
	}
	return next
}

// A messageKey is what decides in which series a message counts.
type messageKey struct {
	api, stage, route, outcome string
	answered                   bool // the client was sent a frame
}

// messageSeries are the series that a message counts in, found together: there is
// one for every message that a client sends.
type messageSeries struct {
	count, in *atomic.Int64
	took      *timing
	sent, out *atomic.Int64 // nil when the client was sent nothing
}

// ofMessage returns the series of a message.
func (m *Metrics) ofMessage(i *gateway.MessageInfo) *messageSeries {
	key := messageKey{i.APIID, string(i.Stage), string(i.RouteKey), string(i.Outcome), i.Frame != nil}
	if s := (*m.known.Load())[key]; s != nil {
		return s
	}
	return m.findSeries(key)
}

// findSeries is ofMessage at the first message of its kind.
func (m *Metrics) findSeries(key messageKey) *messageSeries {
	s := &messageSeries{
		count: m.messages.with(key.api, key.stage, key.route, key.outcome), in: m.bytes.with(key.api, key.stage, "in"),
		took: m.routeTime.with(key.api, key.stage, key.route),
	}
	if key.answered {
		kind := "reply"
		if key.outcome != string(gateway.Done) {
			kind = "error"
		}
		s.sent, s.out = m.sent.with(key.api, key.stage, kind), m.bytes.with(key.api, key.stage, "out")
	}
	if known := *m.known.Load(); len(known) < maxSeries {
		next := maps.Clone(known)
		next[messageKey{strings.Clone(key.api), strings.Clone(key.stage), strings.Clone(key.route), strings.Clone(key.outcome), key.answered}] = s
		m.known.Store(&next) // another's addition at the same time may be lost until its next message
	}
	return s
}

// integration counts a call of a backend; nothing was called when it took no
// time.
func (m *Metrics) integration(s gateway.Subject, outcome gateway.Outcome, status int, took time.Duration) {
	if took == 0 {
		return
	}
	label := string(outcome)
	switch {
	case outcome != gateway.Done && outcome != gateway.RejectedByBackend:
	case status >= 500:
		label = "5xx"
	case status >= 400:
		label = "4xx"
	}
	m.integrations.with(s.APIID, string(s.Stage), string(s.RouteKey), label).Add(1)
	m.integrationTime.with(s.APIID, string(s.Stage), string(s.RouteKey)).observe(took)
}

// closeCode keeps the codes of RFC 6455 apart, and those that applications
// choose together.
func closeCode(code int) string {
	switch {
	case 1000 <= code && code <= 1015:
		return closeCodes[code-1000]
	case 3000 <= code && code < 5000:
		return "application"
	}
	return "other"
}

var closeCodes = func() (all [16]string) {
	for i := range all {
		all[i] = strconv.Itoa(1000 + i)
	}
	return all
}()

// Cluster returns a listener that counts pushes and passes on.
func (m *Metrics) Cluster(next cluster.EventListener) cluster.EventListener {
	push := next.PushEnd
	next.PushEnd = func(i cluster.PushInfo) {
		if i.Outcome == cluster.PushQueued {
			m.pushed(i.APIID, string(i.Stage), i.Size)
		} else {
			m.pushes.with(i.APIID, string(i.Stage), string(i.Outcome)).Add(1)
		}
		if push != nil {
			push(i)
		}
	}
	fanOut := next.FanOutEnd
	next.FanOutEnd = func(i cluster.FanOutInfo) {
		m.pushes.with(i.APIID, string(i.Stage), string(cluster.PushQueued)).Add(int64(i.Queued))
		m.pushes.with(i.APIID, string(i.Stage), string(cluster.PushQueueFull)).Add(int64(i.Refused))
		m.sent.with(i.APIID, string(i.Stage), "push").Add(int64(i.Queued))
		m.bytes.with(i.APIID, string(i.Stage), "out").Add(int64(i.Size) * int64(i.Queued))
		if fanOut != nil {
			fanOut(i)
		}
	}
	return next
}

// pushSeries are what a push to a stage counts in.
type pushSeries struct {
	api, stage            string
	queued, frames, bytes *atomic.Int64
}

// pushed counts a push that was queued. The stage of the last one is at hand.
func (m *Metrics) pushed(api, stage string, size int) {
	s := m.lastPushed.Load()
	if s == nil || s.api != api || s.stage != stage {
		s = &pushSeries{strings.Clone(api), strings.Clone(stage), m.pushes.with(api, stage, string(cluster.PushQueued)),
			m.sent.with(api, stage, "push"), m.bytes.with(api, stage, "out")}
		m.lastPushed.Store(s)
	}
	s.queued.Add(1)
	s.frames.Add(1)
	s.bytes.Add(int64(size))
}

// Transport returns a listener that counts what is dropped and passes on.
func (m *Metrics) Transport(next transport.EventListener) transport.EventListener {
	dropped := next.Dropped
	next.Dropped = func(i transport.DropInfo) {
		m.drops.with(i.Reason).Add(1)
		if dropped != nil {
			dropped(i)
		}
	}
	return next
}

// Refused counts a request that was refused: at the door, or by a service.
func (m *Metrics) Refused(service, reason string) { m.refusals.with(service, reason).Add(1) }

// HandOff counts one and how many connections went with it: out, to another
// process, or in, from one.
func (m *Metrics) HandOff(outcome, direction string, connections int) {
	m.handOffs.with(outcome).Add(1)
	m.HandedOff(direction, connections)
}

// HandedOff counts connections that went or came later.
func (m *Metrics) HandedOff(direction string, connections int) {
	if connections > 0 {
		m.handedOff.with(direction).Add(int64(connections))
	}
}

// AWS returns a listener that counts what AWS-shaped services refuse and passes on.
func (m *Metrics) AWS(next awshttp.EventListener) awshttp.EventListener {
	refused, denied, failed := next.Refused, next.Denied, next.Failed
	next.Refused = func(r awshttp.Refusal) {
		m.Refused(r.Service, r.Err.Code)
		refused(r)
	}
	next.Denied = func(d awshttp.Denial) {
		if d.Enforced {
			service, _, _ := strings.Cut(d.Action, ":")
			m.Refused(service, "AccessDeniedException")
		}
		denied(d)
	}
	next.Failed = func(service, operation, requestID string, err error) {
		m.Refused(service, "failed")
		failed(service, operation, requestID, err)
	}
	return next
}

// Functions returns a listener that counts invocations and passes on.
func (m *Metrics) Functions(next functions.EventListener) functions.EventListener {
	end := next.InvocationEnd
	next.InvocationEnd = func(i functions.InvocationEnd) {
		outcome := "done"
		if i.ErrorType != "" {
			outcome = "error"
		}
		m.invocations.with(i.Function, outcome).Add(1)
		if i.Cold {
			m.cold.with(i.Function).Add(1)
		}
		m.functionRun.with(i.Function).observe(i.Duration)
		if end != nil {
			end(i)
		}
	}
	return next
}

// Tables returns a handler that counts calls of DynamoDB's API and passes them
// on. What a client calls an operation counts as other when known says it is none.
func (m *Metrics) Tables(next http.Handler, known func(operation string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(s, r)
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if !known(operation) {
			operation = "other"
		}
		m.tables.with(operation, statusClasses[min(max(s.status/100, 0), len(statusClasses)-1)]).Add(1)
	})
}

var statusClasses = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// A statusWriter keeps the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// An OpenCount is how many connections of a stage are open.
type OpenCount struct {
	API, Stage string
	Count      int
}

// Write writes every metric, how many connections are open, and what the process holds.
func (m *Metrics) Write(w io.Writer, open []OpenCount) error {
	var b strings.Builder
	b.WriteString("# HELP tidegate_connections Connections that are open.\n# TYPE tidegate_connections gauge\n")
	for _, o := range open[:min(len(open), maxSeries)] {
		sample(&b, "tidegate_connections", []string{"api", "stage"}, []string{o.API, o.Stage}, "", strconv.Itoa(o.Count))
	}
	for _, c := range []*counter{&m.connects, &m.disconnects, &m.disconnectRoutes, &m.messages, &m.sent, &m.bytes, &m.integrations, &m.pushes, &m.refusals, &m.handOffs, &m.handedOff, &m.drops, &m.invocations, &m.cold, &m.tables} {
		c.write(&b)
	}
	for _, h := range []*histogram{&m.routeTime, &m.integrationTime, &m.functionRun} {
		h.write(&b)
	}
	ReadProcess().write(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// maxLabels is how many labels a metric has at most.
const maxLabels = 4

type labels [maxLabels]string

// A family is the series of one metric by their label values.
type family[T any] struct {
	name, help string
	names      []string
	series     atomic.Pointer[map[labels]*T]
	mu         sync.Mutex // serializes additions
}

type (
	counter   struct{ *family[atomic.Int64] }
	histogram struct{ *family[timing] }
)

func newCounter(name, help string, labels ...string) counter {
	return counter{newFamily[atomic.Int64](name, help, labels)}
}

func newHistogram(name, help string, labels ...string) histogram {
	return histogram{newFamily[timing](name, help, labels)}
}

func newFamily[T any](name, help string, names []string) *family[T] {
	f := &family[T]{name: name, help: help, names: names}
	f.series.Store(&map[labels]*T{})
	return f
}

// with returns the series of the label values, which are as many as the
// metric's labels.
func (f *family[T]) with(values ...string) *T {
	var key labels
	copy(key[:], values)
	if s := (*f.series.Load())[key]; s != nil {
		return s
	}
	return f.add(key)
}

func (f *family[T]) add(key labels) *T {
	for i := range f.names {
		key[i] = strings.Clone(key[i]) // not a part of something larger
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := *f.series.Load()
	if len(now) >= maxSeries {
		for i := range f.names {
			key[i] = "other"
		}
	}
	if s := now[key]; s != nil {
		return s
	}
	next := maps.Clone(now)
	next[key] = new(T)
	f.series.Store(&next)
	return next[key]
}

// each calls fn for each series, in the order of their labels.
func (f *family[T]) each(fn func(values []string, s *T)) {
	all := *f.series.Load()
	keys := slices.SortedFunc(maps.Keys(all), func(a, b labels) int { return slices.Compare(a[:], b[:]) })
	for _, k := range keys {
		fn(k[:len(f.names)], all[k])
	}
}

func (f *family[T]) head(b *strings.Builder, kind string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, kind)
}

func (c counter) write(b *strings.Builder) {
	c.head(b, "counter")
	c.each(func(values []string, n *atomic.Int64) {
		sample(b, c.name, c.names, values, "", strconv.FormatInt(n.Load(), 10))
	})
}

// bounds are the upper bounds of timings' buckets: up to the integration's 29 s.
var bounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
	5 * time.Second, 10 * time.Second, 29 * time.Second,
}

// A timing counts durations by bucket; the last bucket has no bound.
type timing struct {
	buckets [len(bounds) + 1]atomic.Int64
	sum     atomic.Int64 // ns
}

func (t *timing) observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	t.buckets[i].Add(1)
	t.sum.Add(int64(d))
}

func (h histogram) write(b *strings.Builder) {
	h.head(b, "histogram")
	h.each(func(values []string, t *timing) {
		var n int64
		for i := range t.buckets {
			n += t.buckets[i].Load()
			bound := "+Inf"
			if i < len(bounds) {
				bound = strconv.FormatFloat(bounds[i].Seconds(), 'g', -1, 64)
			}
			sample(b, h.name+"_bucket", h.names, values, bound, strconv.FormatInt(n, 10))
		}
		sample(b, h.name+"_sum", h.names, values, "", strconv.FormatFloat(time.Duration(t.sum.Load()).Seconds(), 'g', -1, 64))
		sample(b, h.name+"_count", h.names, values, "", strconv.FormatInt(n, 10))
	})
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// sample writes one line; le is a bucket's bound, or empty.
func sample(b *strings.Builder, name string, names, values []string, le, value string) {
	b.WriteString(name + "{")
	for i, n := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(n + `="` + labelEscaper.Replace(strings.ToValidUTF8(values[i], "�")) + `"`)
	}
	if le != "" {
		b.WriteString(`,le="` + le + `"`)
	}
	b.WriteString("} " + value + "\n")
}
