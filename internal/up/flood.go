package up

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"tidegate/internal/observe"
)

// Bounds on what a person is shown of one kind of event in a second, and on how
// many such kinds are told apart.
const (
	floodLines    = 20
	floodTime     = time.Second
	floodSubjects = 200
)

// A flood counts what happens in one second, so that a person is told of the
// first of many and how many more there were. Trouble counts apart from what went
// well, so that it isn't lost among it.
type flood struct {
	display func(name string) string
	began   time.Time
	timer   *time.Timer // runs to the second's end; nil until there was a flood
	armed   bool
	left    int // lines that were left out
	seen    map[subject]int
}

// A subject is what lines are alike in.
type subject struct {
	kind, name string
	trouble    bool
}

func newFlood(display func(name string) string) *flood {
	return &flood{display: display, seen: map[subject]int{}}
}

// subjectOf returns what a notice counts as; ok is false for what is always told.
func subjectOf(n *observe.Notice) (s subject, ok bool) {
	s = subject{kind: n.Kind, trouble: n.Level >= slog.LevelWarn}
	switch n.Kind {
	case observe.KindMessage:
		s.name = n.Attr("routeKey")
	case observe.KindOutput, observe.KindInvocation:
		s.name = n.Attr("function")
	case observe.KindConnect, observe.KindDisconnect, observe.KindPush, observe.KindDropped, observe.KindRefused, observe.KindDenied:
	default:
		return s, false
	}
	return s, true
}

// admits says whether the notice is told, and counts it.
func (f *flood) admits(n *observe.Notice) bool {
	s, ok := subjectOf(n)
	if !ok {
		return true
	}
	if _, known := f.seen[s]; !known && len(f.seen) >= floodSubjects {
		s.name = "" // any other
	}
	f.seen[s]++
	if f.seen[s] <= floodLines {
		return true
	}
	f.left++
	return false
}

// over is told when the second is over.
func (f *flood) over() <-chan time.Time {
	left := time.Until(f.began.Add(floodTime))
	switch {
	case f.timer == nil:
		f.timer = time.NewTimer(left)
	case !f.armed:
		f.timer.Reset(left)
	}
	f.armed = true
	return f.timer.C
}

// end begins a new second, and says what was left out of the one before.
func (f *flood) end(now time.Time) []string {
	var texts []string
	if f.left > 0 {
		for s, n := range f.seen {
			if n > floodLines {
				texts = append(texts, f.text(s, n-floodLines))
			}
		}
		slices.Sort(texts)
	}
	f.began, f.left, f.armed = now, 0, false
	clear(f.seen)
	return texts
}

// text says that n more lines of a subject were left out.
func (f *flood) text(s subject, n int) string {
	what := map[string]string{
		observe.KindMessage: "messages", observe.KindOutput: "lines", observe.KindInvocation: "invocations", observe.KindConnect: "connects",
		observe.KindDisconnect: "disconnects", observe.KindPush: "pushes", observe.KindDropped: "drops", observe.KindRefused: "refusals", observe.KindDenied: "denials",
	}[s.kind]
	if s.trouble && (s.kind == observe.KindMessage || s.kind == observe.KindInvocation || s.kind == observe.KindConnect || s.kind == observe.KindPush) {
		what = "failed " + what
	}
	switch {
	case s.name == "":
	case s.kind == observe.KindMessage:
		what += " on " + s.name
	default:
		what += " of " + f.display(s.name)
	}
	return fmt.Sprintf("… %d more %s in the last second (tidegate logs shows them)", n, what)
}
