// Package observe turns what the other packages notice into what people and
// machines read: each EventListener they declare is implemented here, and every
// Info becomes a Notice that goes to the log, to the terminal and to whoever
// follows /_tidegate/events.
package observe

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tidegate/internal/parity"
)

// A Notice is one thing that happened.
type Notice struct {
	Seq   uint64 // grows by one with each notice of an observer
	Time  time.Time
	Kind  string // one of the Kind constants
	Level slog.Level
	Text  string // one line for a person; Output's is the function's own
	// Detail are further lines for a person: a trace, the frame that a client got.
	Detail []string
	// Attrs are the details, spelled as $context does: apiId, stage, routeKey,
	// connectionId, requestId, eventType, status.
	Attrs []slog.Attr
}

// The kinds of notice.
const (
	KindConnect    = "connect"    // a handshake was answered
	KindMessage    = "message"    // a message went its way, or was refused
	KindDisconnect = "disconnect" // a connection ended
	KindPush       = "push"       // a backend sent to a client
	KindInvocation = "invocation" // a function ended
	KindOutput     = "output"     // a function's line of output
	KindFired      = "fired"      // a rule fired
	KindProgress   = "progress"   // something long is under way
	KindDenied     = "denied"     // a policy refuses, or would on AWS
	KindRefused    = "refused"    // a request was answered with 4xx
	KindDropped    = "dropped"    // something was discarded, with its reason
	KindFailed     = "failed"     // a fault of Tidegate's own
	KindParity     = "parity"     // the app relies on what AWS doesn't do, or does otherwise
	KindNote       = "note"       // anything else worth a line
)

// Attr returns the value of the named detail as text, "" when there is none.
func (n *Notice) Attr(name string) string {
	for _, a := range n.Attrs {
		if a.Key == name {
			return a.Value.String()
		}
	}
	return ""
}

// backlog is how many notices may wait for a reader before further ones are
// left out for it (and counted).
const backlog = 8192

// backlogBytes is how much they may hold: a function's line has up to 256 KB.
const backlogBytes = 16 << 20

// An Observer collects notices. Its listeners never block: a reader that falls
// behind loses notices, and is told how many.
type Observer struct {
	mu      sync.Mutex
	readers map[*reader]struct{}
	recent  memory
	closed  bool
	relied  parity.Report
}

type reader struct {
	ch   chan Notice
	lost atomic.Int64
	// Of what may still wait in ch, oldest first; guarded by Observer.mu.
	weights []int
	bytes   int
}

// New returns an observer without readers.
func New() *Observer { return &Observer{readers: map[*reader]struct{}{}} }

// Subscribe returns a channel of every notice from now on. stop ends it; it is
// closed then, and when the observer is.
func (o *Observer) Subscribe() (notices <-chan Notice, stop func()) {
	r := &reader{ch: make(chan Notice, backlog)}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		close(r.ch)
		return r.ch, func() {}
	}
	o.readers[r] = struct{}{}
	return r.ch, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if _, ok := o.readers[r]; ok {
			delete(o.readers, r)
			close(r.ch)
		}
	}
}

// Close ends every subscription; what was noted before can still be read.
func (o *Observer) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for r := range o.readers {
		close(r.ch)
	}
	clear(o.readers)
}

// Note gives a notice to every reader.
func (o *Observer) Note(n Notice) {
	if n.Time.IsZero() {
		n.Time = time.Now()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.recent.add(&n)
	for r := range o.readers {
		r.give(n)
	}
}

// give never waits. The first notice that fits after some were lost is preceded
// by one that says how many.
func (r *reader) give(n Notice) {
	w := r.room(&n)
	if lost := r.lost.Load(); lost > 0 {
		if len(r.ch) > cap(r.ch)-2 || w == 0 {
			r.lost.Add(1)
			return
		}
		r.lost.Store(0)
		r.weights = append(r.weights, 0)
		r.ch <- Notice{Time: n.Time, Kind: KindNote, Level: slog.LevelWarn, Text: fmt.Sprintf("%d events were left out: they came faster than they could be shown", lost), Attrs: []slog.Attr{slog.Int64("count", lost)}}
	}
	if w == 0 || len(r.ch) == cap(r.ch) { // nobody else sends
		r.lost.Add(1)
		return
	}
	r.weights, r.bytes = append(r.weights, w), r.bytes+w
	r.ch <- n
}

// room returns the notice's weight, 0 when it would be too much with what waits.
func (r *reader) room(n *Notice) int {
	read := max(0, len(r.weights)-len(r.ch)) // since the last one was given
	for _, w := range r.weights[:read] {
		r.bytes -= w
	}
	r.weights = r.weights[read:]
	if w := weight(n); r.bytes == 0 || r.bytes+w <= backlogBytes {
		return w
	}
	return 0
}
