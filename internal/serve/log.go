package serve

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"tidegate/internal/observe"
)

// mostTroubles is how many lines of a second tell of what callers and backends did
// wrong: whoever reaches a listener can cause them, and disks are finite.
const mostTroubles = 20

// A journal writes notices: a line each, as text or JSON.
type journal struct {
	json bool
	out  *bufio.Writer
	text slog.Handler
	told chan struct{} // closed when all is written

	second   time.Time // that troubles are of
	troubles int
}

// newJournal follows the observer until it is closed.
func newJournal(observer *observe.Observer, out io.Writer, json bool) *journal {
	w := bufio.NewWriterSize(out, 64<<10)
	j := &journal{json: json, out: w, told: make(chan struct{}), text: slog.NewTextHandler(w, nil)}
	notices, _ := observer.Subscribe()
	go j.follow(notices)
	return j
}

// follow writes what waits together: a busy server spends its time on clients.
func (j *journal) follow(notices <-chan observe.Notice) {
	defer close(j.told)
	for n := range notices {
		if n.Level >= slog.LevelInfo && j.admits(n) { // below that, another line tells it
			j.write(n)
		}
		if len(notices) == 0 {
			j.out.Flush() // whether anybody reads is not ours to say
		}
	}
	j.out.Flush()
}

// admits says whether the notice gets a line. It tells how many didn't, once their
// second is over.
func (j *journal) admits(n observe.Notice) bool {
	if second := n.Time.Truncate(time.Second); second != j.second {
		if left := j.troubles - mostTroubles; left > 0 {
			j.write(observe.Notice{Time: n.Time, Kind: observe.KindNote, Level: slog.LevelWarn,
				Text: fmt.Sprintf("%d more lines of what went wrong within a second were left out; /metrics counts all", left), Attrs: []slog.Attr{slog.Int("count", left)}})
		}
		j.second, j.troubles = second, 0
	}
	if n.Kind == observe.KindNote || n.Kind == observe.KindFailed || n.Level < slog.LevelWarn {
		return true
	}
	j.troubles++
	return j.troubles <= mostTroubles
}

func (j *journal) write(n observe.Notice) {
	if j.json {
		j.out.Write(append(n.AppendJSON(nil), '\n'))
		return
	}
	r := slog.NewRecord(n.Time, n.Level, n.Text, 0)
	r.AddAttrs(n.Attrs...)
	for _, detail := range n.Detail {
		r.AddAttrs(slog.String("detail", detail))
	}
	j.text.Handle(context.Background(), r)
}
