package schedules

import (
	"container/heap"
	"crypto/sha256"
	"fmt"
	"time"
)

// maxSleep bounds how long the loop sleeps at a time: a clock that was set, or
// a machine that slept, is noticed after it.
const maxSleep = time.Minute

// An alarm is what a rule or a schedule has in the queue.
type alarm struct {
	due   time.Time // when in the queue
	index int       // in the queue; -1: not there
	owner ringer
}

// A ringer is a rule's or a schedule's state.
type ringer interface {
	// ring returns what is due by now, and when the alarm rings next; a zero time:
	// never.
	ring(now time.Time) (due, time.Time)
}

// A queue holds the alarms that will ring, the next one first (container/heap).
type queue []*alarm

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
	a := x.(*alarm)
	a.index = len(*q)
	*q = append(*q, a)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	a := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	a.index = -1
	return a
}

// place puts the alarm where its due time belongs; a zero one takes it out.
func (q *queue) place(a *alarm, due time.Time) {
	a.due = due
	switch {
	case due.IsZero():
		q.drop(a)
	case a.index < 0:
		heap.Push(q, a)
	default:
		heap.Fix(q, a.index)
	}
}

func (q *queue) drop(a *alarm) {
	if a.index >= 0 {
		heap.Remove(q, a.index)
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
	s.queue.place(&state.alarm, due)
	return nil
}

// poke lets the loop look at the queue again.
func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// A due is a rule or a schedule whose time has come.
type due struct {
	rule     *Rule     // nil for a schedule
	schedule *Schedule // nil for a rule
	at       time.Time // the moment that the expression names
	missed   int       // firings that came and went since
	tooLate  bool      // what is due is missed itself
	last     bool      // the schedule has no further one
}

// ring implements ringer.
func (st *ruleState) ring(now time.Time) (due, time.Time) {
	r := st.rule
	d := due{rule: r, at: st.due, missed: st.expression.Count(r.Anchor, st.due, now)}
	return d, st.expression.Next(r.Anchor, now)
}

// run fires rules when they are due, until the service closes. One timer waits
// for the next of all rules.
func (s *Service) run() {
	for {
		firings, wait := s.takeDue()
		for _, d := range firings {
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

// takeDue returns what is due, each queued for its next firing, and how long to
// wait for the one after; -1 when nothing will fire.
func (s *Service) takeDue() (firings []due, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	for len(s.queue) > 0 && !s.queue[0].due.After(now) {
		a := s.queue[0]
		d, next := a.owner.ring(now)
		if !next.IsZero() && !next.After(now) {
			next = now.Add(1) // never twice in one look
		}
		firings = append(firings, d)
		s.queue.place(a, next)
	}
	if len(s.queue) == 0 {
		return firings, -1
	}
	return firings, min(s.queue[0].due.Sub(now), maxSleep)
}

// start invokes the targets, each on its own goroutine.
func (s *Service) start(d due) {
	if d.schedule != nil {
		s.startSchedule(d)
		return
	}
	if d.missed > 0 {
		s.missed(Miss{Rule: d.rule.Name, Count: d.missed})
	}
	id := firingID(d.rule.ARN, d.rule.Anchor, d.at)
	for _, t := range d.rule.Targets {
		delivery, err := s.ruleDelivery(d.rule, t, id, d.at)
		if err != nil {
			s.fired(Firing{Rule: d.rule.Name, ARN: d.rule.ARN, Target: t.ARN, Time: s.clock.Now(), Due: d.at, Attempt: 1, Err: err})
			continue
		}
		s.wg.Go(func() { s.deliver(delivery) })
	}
}

// firingID is the id that the event of one firing carries: a UUID that is the
// same should the firing be made again after a crash.
func firingID(arn string, anchor, at time.Time) string {
	h := sha256.Sum256([]byte(arn + " " + anchor.UTC().Format(time.RFC3339Nano) + " " + at.UTC().Format(time.RFC3339Nano)))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // RFC 9562, version 8
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
