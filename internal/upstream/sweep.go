package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	hurried   = 20 * time.Millisecond // how late a deadline of a call is noticed
	leisurely = 5 * time.Second       // the same, of an idle connection
)

// A sweeper looks at deadlines: at a quick pace while there are calls, at a slow
// one while there are idle connections, else not at all. So a call costs no timer.
type sweeper struct {
	client *Client
	quick  atomic.Bool  // the next look is soon
	latest atomic.Int64 // when the latest look was, on the client's clock

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

// hurry says that there is a call.
func (s *sweeper) hurry() {
	if s.quick.Load() || s.quick.Swap(true) {
		return
	}
	s.next(hurried)
}

func (s *sweeper) next(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
	case s.timer == nil:
		s.timer = time.AfterFunc(d, s.look)
	default:
		s.timer.Reset(d)
	}
}

func (s *sweeper) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// look ends what is late and sets the pace.
func (s *sweeper) look() {
	s.quick.Store(false) // before it is known whether there is a call: one that comes now hurries
	c := s.client
	now := c.now()
	s.latest.Store(now)
	busy, idle := false, false
	var scratch []*conn
	c.mu.Lock()
	all := make([]*Origin, 0, len(c.origins))
	for _, o := range c.origins {
		all = append(all, o)
	}
	c.mu.Unlock()
	for _, o := range all {
		calls, resting := o.sweep(now, &scratch)
		busy, idle = busy || calls, idle || resting
	}
	switch {
	case busy:
		s.hurry()
	case idle && !s.quick.Load():
		s.next(leisurely)
	}
}
