package admin

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/observe"
)

// getEvents streams what happens as server-sent events, until the reader leaves:
// id, event (the notice's kind) and data (a JSON object) each. A reader that falls
// behind is told how many it missed; one that reads nothing for ten seconds is
// dropped. Last-Event-ID brings back what came since, as far as it is remembered.
// Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
func (s *Service) getEvents(w http.ResponseWriter, r *http.Request) {
	notices, stop := s.Observer.Subscribe() // first, so that nothing falls between
	defer stop()
	var out []byte
	var last uint64
	if seen, ok := s.seen(r.Header.Get("Last-Event-ID")); ok {
		recent, _ := s.Observer.Recent(time.Time{})
		for i := range recent {
			if last = recent[i].Seq; last > seen {
				out = s.appendEvent(out, &recent[i])
			}
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w)
	send := func() bool {
		flush.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, err := w.Write(out)
		out = out[:0]
		return err == nil && flush.Flush() == nil
	}
	keepAlive := time.NewTicker(15 * time.Second)
	defer keepAlive.Stop()
	for send() {
		select {
		case n, open := <-notices:
			if !open {
				return
			}
			if n.Seq == 0 || n.Seq > last { // else it was told already
				out = s.appendEvent(out, &n)
			}
		case <-keepAlive.C:
			out = append(out, ": still here\n\n"...)
		case <-r.Context().Done():
			return
		}
	}
}

// seen reads Last-Event-ID; ok is false for an id of another process.
func (s *Service) seen(id string) (seq uint64, ok bool) {
	number, ok := strings.CutPrefix(id, s.life)
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(number, 10, 64)
	return seq, err == nil
}

// appendEvent appends one event. That some were left out has no number: a reader
// that comes back asks for what followed the last one that has.
func (s *Service) appendEvent(dst []byte, n *observe.Notice) []byte {
	if n.Seq > 0 {
		dst = append(append(dst, "id: "...), s.life...)
		dst = append(strconv.AppendUint(dst, n.Seq, 10), '\n')
	}
	dst = append(append(dst, "event: "...), n.Kind...)
	return append(n.AppendJSON(append(dst, "\ndata: "...)), "\n\n"...)
}
