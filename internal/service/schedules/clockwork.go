package schedules

import (
	"container/heap"
	"time"

	"tidegate/internal/awshttp"
)

// maxSleep bounds how long the loop sleeps at a time: a clock that was set, or
// a machine that slept, is noticed after it.
const maxSleep = time.Minute

// A queue holds the rules that will fire, the next one first (container/heap).
type queue []*ruleState

// Len implements heap.Interface.
func (q queue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

// Swap implements heap.Interface.
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	state := x.(*ruleState)
	state.index = len(*q)
	*q = append(*q, state)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	state := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	state.index = -1
	return state
}

// place puts the state where its due time belongs; a zero one takes it out.
func (q *queue) place(state *ruleState, due time.Time) {
	state.due = due
	switch {
	case due.IsZero():
		q.drop(state)
	case state.index < 0:
		heap.Push(q, state)
	default:
		heap.Fix(q, state.index)
	}
}

func (q *queue) drop(state *ruleState) {
	if state.index >= 0 {
		heap.Remove(q, state.index)
	}
}

// set makes r the state's rule and queues its next firing. A change that leaves
// the schedule alone leaves the queue alone, so that a firing which is due this
// moment isn't lost.
func (s *Service) set(state *ruleState, r *Rule, now time.Time) error {
	if old := state.rule; old != nil && old.ScheduleExpression == r.ScheduleExpression && old.State == r.State && old.Anchor.Equal(r.Anchor) {
		state.rule = r
		return nil
	}
	e, err := Parse(r.ScheduleExpression)
	if err != nil {
		return err
	}
	state.rule, state.expression = r, e
	due := time.Time{}
	if r.State == Enabled {
		due = e.Next(r.Anchor, now)
	}
	s.queue.place(state, due)
	return nil
}

// poke lets the loop look at the queue again.
func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// A due is a rule whose time has come.
type due struct {
	rule   *Rule
	at     time.Time
	missed int // firings that came and went since
}

// run fires rules when they are due, until the service closes. One timer waits
// for the next of all rules.
func (s *Service) run() {
	for {
		firings, wait := s.takeDue()
		for _, d := range firings {
			if d.missed > 0 {
				s.missed(d.rule.Name, d.missed)
			}
			s.start(d)
		}
		if len(firings) > 0 {
			if err := s.store.putThrough(s.ctx, s.clock.Now()); err != nil && s.ctx.Err() == nil && s.events.Failed != nil {
				s.events.Failed(err)
			}
		}
		var tick <-chan time.Time
		stop := func() bool { return true }
		if wait >= 0 {
			timer := s.clock.NewTimer(wait)
			tick, stop = timer.C(), timer.Stop
		}
		select {
		case <-tick:
		case <-s.wake:
		case <-s.ctx.Done():
			stop()
			return
		}
		stop()
	}
}

// takeDue returns the rules that are due, each queued for its next firing, and
// how long to wait for the one after; -1 when no rule will fire.
func (s *Service) takeDue() (firings []due, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	for len(s.queue) > 0 && !s.queue[0].due.After(now) {
		state := s.queue[0]
		r := state.rule
		firings = append(firings, due{r, state.due, state.expression.Count(r.Anchor, state.due, now)})
		s.queue.place(state, state.expression.Next(r.Anchor, now))
	}
	if len(s.queue) == 0 {
		return firings, -1
	}
	return firings, min(s.queue[0].due.Sub(now), maxSleep)
}

// start invokes the rule's targets, each on its own goroutine.
func (s *Service) start(d due) {
	id := awshttp.NewRequestID()
	for _, t := range d.rule.Targets {
		payload := s.payload(d.rule, t, id, d.at)
		s.wg.Go(func() { s.deliver(d.rule, t, payload) })
	}
}
