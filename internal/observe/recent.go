package observe

import (
	"log/slog"
	"time"
)

// How many notices are remembered for who asks later, and how many bytes of
// text they may have together.
const (
	maxRecent      = 16384
	maxRecentBytes = 8 << 20
)

// A memory holds the latest notices. The observer's lock guards it.
type memory struct {
	ring  []Notice // of maxRecent once it is used
	first int      // index of the oldest
	count int
	bytes int
	seq   uint64 // of the last notice
}

// weight is about how many bytes a notice holds.
func weight(n *Notice) int {
	w := 512 + len(n.Text)
	for _, d := range n.Detail {
		w += len(d)
	}
	for _, a := range n.Attrs {
		if a.Value.Kind() == slog.KindString {
			w += len(a.Value.String())
		}
	}
	return w
}

// add remembers n under the next number.
func (m *memory) add(n *Notice) {
	m.seq++
	n.Seq = m.seq
	if m.ring == nil {
		m.ring = make([]Notice, maxRecent)
	}
	w := weight(n)
	for m.count == len(m.ring) || m.count > 0 && m.bytes+w > maxRecentBytes {
		m.bytes -= weight(&m.ring[m.first])
		m.ring[m.first] = Notice{}
		m.first = (m.first + 1) % len(m.ring)
		m.count--
	}
	m.ring[(m.first+m.count)%len(m.ring)] = *n
	m.count++
	m.bytes += w
}

// Recent returns the notices since a moment that the observer remembers, oldest
// first, and when the oldest of all happened (zero when there is none).
func (o *Observer) Recent(since time.Time) (notices []Notice, oldest time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := &o.recent
	for i := range m.count {
		n := m.ring[(m.first+i)%len(m.ring)]
		if i == 0 {
			oldest = n.Time
		}
		if !n.Time.Before(since) {
			notices = append(notices, n)
		}
	}
	return notices, oldest
}
