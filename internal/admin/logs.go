package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"tidegate/internal/observe"
)

// A logQuery is what /_tidegate/logs is asked for.
type logQuery struct {
	function  string // its name; "" for everything
	requestID string // the gateway's or Lambda's
	since     time.Time
	follow    bool
}

func parseLogQuery(v url.Values) (logQuery, error) {
	q := logQuery{function: v.Get("function"), requestID: v.Get("requestId"), follow: v.Get("follow") != ""}
	if text := v.Get("since"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return q, err
		}
		q.since = time.UnixMilli(ms)
	}
	return q, nil
}

// related are the request ids that belong together: a gateway's request and the
// invocations it led to.
func related(id string, notices []observe.Notice) []string {
	ids := []string{id}
	for _, n := range notices {
		own, origin := n.Attr("requestId"), n.Attr(observe.OriginAttr)
		if origin == "" || own == "" {
			continue
		}
		switch {
		case origin == id && !slices.Contains(ids, own):
			ids = append(ids, own)
		case own == id && !slices.Contains(ids, origin):
			ids = append(ids, origin)
		}
	}
	return ids
}

// wants says whether a notice is asked for; ids are the related request ids.
func (q *logQuery) wants(n *observe.Notice, ids []string) bool {
	if q.requestID != "" && !slices.Contains(ids, n.Attr("requestId")) {
		return false
	}
	return q.function == "" || n.Attr("function") == q.function
}

// getLogs writes the log, a JSON object a line: what is remembered, before it
// what functions' logs kept, and with ?follow=1 what comes, until the reader
// leaves.
func (s *Service) getLogs(w http.ResponseWriter, r *http.Request) {
	q, err := parseLogQuery(r.URL.Query())
	if err != nil {
		say(w, http.StatusBadRequest, "since is a number of milliseconds since 1970")
		return
	}
	live, stop := s.Observer.Subscribe() // first, so that nothing falls between
	defer stop()
	recent, oldest := s.Observer.Recent(q.since)
	ids := related(q.requestID, recent)
	var out []byte
	write := func(n *observe.Notice) {
		if q.wants(n, ids) {
			out = append(n.AppendJSON(out), '\n')
		}
	}
	if s.Kept != nil && (oldest.IsZero() || q.since.Before(oldest)) {
		if oldest.IsZero() {
			oldest = time.Now()
		}
		kept, err := s.Kept(r.Context(), q.function, q.requestID, q.since, oldest)
		if err != nil {
			say(w, http.StatusInternalServerError, err.Error())
			return
		}
		for i := range kept {
			out = append(kept[i].AppendJSON(out), '\n')
		}
	}
	var last uint64
	for i := range recent {
		last = recent[i].Seq
		write(&recent[i])
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w)
	send := func() bool {
		flush.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, err := w.Write(out)
		out = out[:0]
		return err == nil && flush.Flush() == nil
	}
	if !send() || !q.follow {
		return
	}
	for {
		select {
		case n, open := <-live:
			if !open {
				return
			}
			if n.Seq != 0 && n.Seq <= last {
				continue // told already
			}
			if own, origin := n.Attr("requestId"), n.Attr(observe.OriginAttr); q.requestID != "" && own != "" && slices.Contains(ids, origin) && !slices.Contains(ids, own) {
				ids = append(ids, own)
			}
			write(&n)
			if len(out) > 0 && !send() {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
