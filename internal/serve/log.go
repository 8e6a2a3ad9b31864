package serve

import (
	"bufio"
	"context"
	"io"
	"log/slog"

	"tidegate/internal/observe"
)

// A journal writes notices: a line each, as text or JSON.
type journal struct {
	json bool
	out  *bufio.Writer
	text slog.Handler
	told chan struct{} // closed when all is written
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
		if n.Level >= slog.LevelInfo { // below that, another line tells it
			j.write(n)
		}
		if len(notices) == 0 {
			j.out.Flush() // whether anybody reads is not ours to say
		}
	}
	j.out.Flush()
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
