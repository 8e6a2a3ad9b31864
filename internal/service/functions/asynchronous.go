package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/kv"
)

// Lambda's rules for asynchronous invocations:
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
const (
	maxEventAge   = 6 * time.Hour
	minEventAge   = time.Minute
	firstThrottle = time.Second
	lastThrottle  = 5 * time.Minute
)

// QueueLimits are what Config.Queue should be opened with: more than a machine's
// functions get done in an hour, and no more than its disk bears. Ours; Lambda's
// queue has no bound that one could name.
var QueueLimits = kv.QueueLimits{Count: 10_000, Bytes: 256 << 20}

// retryAfter is how long a function error waits before its next attempt; there
// are no more attempts than that.
var retryAfter = []time.Duration{time.Minute, 2 * time.Minute}

// maxSleep bounds how long the queue sleeps at a time: a clock that was set, or a
// machine that slept, is noticed after it.
const maxSleep = time.Minute

// queueTime bounds a write to the queue, so that a full disk holds up nobody for
// ever.
const queueTime = 30 * time.Second

// An event is an asynchronous invocation as the queue keeps it: this on one line
// of JSON, then the payload as it came.
type event struct {
	Function      string
	Version       string `json:",omitempty"` // empty for $LATEST
	ARN           string `json:",omitempty"` // by which the function was called
	RequestID     string
	ClientContext string `json:",omitempty"`
	TraceID       string
	Caller        string
	Accepted      time.Time
	Attempts      int           // how often the function was tried
	Failures      int           // how many of them were errors of the function
	Pause         time.Duration // before the next attempt after a throttle
	// Destination, if set, is where the payload goes, a record of what came of
	// Function's invocation; Condition is the record's.
	Destination string `json:",omitempty"`
	Condition   string `json:",omitempty"`

	payload []byte
}

func (ev *event) encode() ([]byte, error) {
	head, err := json.Marshal(ev)
	if err != nil {
		return nil, fmt.Errorf("functions: queueing an event: %w", err)
	}
	return append(append(head, '\n'), ev.payload...), nil
}

func decodeEvent(body []byte) (*event, error) {
	head, payload, ok := bytes.Cut(body, []byte("\n"))
	ev := &event{payload: payload}
	if err := json.Unmarshal(head, ev); err != nil || !ok {
		return nil, errors.New("functions: an event in the queue can't be read")
	}
	return ev, nil
}

// A queue runs the asynchronous invocations that kv keeps.
type queue struct {
	s     *Service
	kept  kv.Queue
	slots chan struct{} // one for each event under way
	wake  chan struct{} // holds a token when there may be something to do
	work  sync.WaitGroup
}

func newQueue(s *Service) *queue {
	return &queue{s: s, kept: s.cfg.Queue, slots: make(chan struct{}, s.cfg.MaxEnvironments), wake: make(chan struct{}, 1)}
}

// add stores an event before it is accepted, or refuses it when too many wait.
func (q *queue) add(ctx context.Context, fn *function, inv *invocation) error {
	now := q.s.cfg.Clock.Now()
	ev := &event{Function: fn.Name, Version: fn.Version, ARN: inv.arn, RequestID: inv.requestID, ClientContext: inv.clientContext, TraceID: inv.traceID, Caller: inv.caller,
		Accepted: now, Pause: firstThrottle, payload: inv.payload}
	body, err := ev.encode()
	if err != nil {
		return err
	}
	err = q.kept.Put(ctx, now, body)
	switch {
	case errors.Is(err, kv.ErrFull):
		return throttled("ConcurrentInvocationLimitExceeded")
	case err != nil:
		return fmt.Errorf("functions: storing an event of %s: %w", fn.Name, err)
	}
	q.poke()
	return nil
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run begins what is due, until the service is closed.
func (q *queue) run() {
	for {
		next, err := q.begin()
		wait := maxSleep
		switch {
		case err != nil && q.s.ctx.Err() != nil:
			return
		case err != nil:
			q.s.cfg.Events.progress(Progress{Text: "the queue of asynchronous invocations can't be read", Err: err})
			wait = firstThrottle
		case !next.IsZero():
			wait = min(next.Sub(q.s.cfg.Clock.Now()), maxSleep)
		}
		t := q.s.cfg.Clock.NewTimer(wait)
		select {
		case <-t.C():
		case <-q.wake:
		case <-q.s.ctx.Done():
			t.Stop()
			return
		}
		t.Stop()
	}
}

// begin starts the events that are due, as far as there are slots, and returns
// when the next is; the zero time when that isn't known.
func (q *queue) begin() (time.Time, error) {
	free := cap(q.slots) - len(q.slots) // nobody else takes one
	if free == 0 {
		return time.Time{}, nil // a slot that becomes free wakes us
	}
	messages, err := q.kept.Lease(q.s.ctx, q.s.cfg.Clock.Now(), free)
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range messages {
		q.slots <- struct{}{}
		q.work.Go(func() {
			q.deliver(m)
			<-q.slots
			q.poke()
		})
	}
	if len(messages) == free {
		return time.Time{}, nil
	}
	due, some, err := q.kept.Next(q.s.ctx)
	if err != nil || !some {
		return time.Time{}, err
	}
	return due, nil
}

// deliver makes one attempt at an event, and decides what becomes of it. What
// the end of the process cuts off stays leased, so that the next one finds it.
func (q *queue) deliver(m kv.Message) {
	ev, err := decodeEvent(m.Body)
	if err != nil {
		q.s.cfg.Events.progress(Progress{Text: "an asynchronous invocation is lost", Err: err})
		q.ack(m)
		return
	}
	if ev.Destination != "" {
		q.send(m, ev)
		return
	}
	fn, err := q.function(ev)
	if err != nil {
		q.discard(ev, discardGone)
		q.ack(m)
		return
	}
	if q.s.cfg.Clock.Now().Sub(ev.Accepted) > fn.Asynchronous.age() {
		q.fail(m, fn, ev, discardAge, nil)
		return
	}
	ev.Attempts++
	res, err := q.s.run(q.s.ctx, fn, &invocation{requestID: ev.RequestID, payload: ev.payload, clientContext: ev.ClientContext,
		traceID: ev.TraceID, arn: ev.ARN, event: true, caller: ev.Caller, attempt: ev.Attempts})
	if q.s.ctx.Err() != nil && (err != nil || res.failed) {
		return // it was we who ended it
	}
	switch {
	case err == nil && !res.failed:
		q.finish(m, fn, ev, conditionSuccess, &res)
	case err == nil:
		ev.Failures++
		if ev.Failures > fn.Asynchronous.retries() {
			q.fail(m, fn, ev, discardRetries, &res)
			return
		}
		q.again(m, fn, ev, retryAfter[ev.Failures-1], &res)
	default:
		pause := ev.Pause
		ev.Pause = min(2*pause, lastThrottle)
		q.again(m, fn, ev, pause, nil)
	}
}

// function returns the version that the event is for. How events are handled is
// told of the function as a whole.
func (q *queue) function(ev *event) (*function, error) {
	fn, err := q.s.byKey((&record{Name: ev.Function, Version: ev.Version}).key())
	if err != nil || ev.Version == "" {
		return fn, err
	}
	whole, err := q.s.byKey(ev.Function)
	if err != nil {
		return nil, err
	}
	version := *fn
	version.Asynchronous = whole.Asynchronous
	return &version, nil
}

// again puts the event back for another attempt, unless it is too old by then.
// res is nil after a throttle.
func (q *queue) again(m kv.Message, fn *function, ev *event, after time.Duration, res *result) {
	at := q.s.cfg.Clock.Now().Add(after)
	if at.Sub(ev.Accepted) > fn.Asynchronous.age() {
		q.fail(m, fn, ev, discardAge, res)
		return
	}
	body, err := ev.encode()
	if err == nil {
		err = q.put(m, at, body)
	}
	if err != nil {
		q.lost(ev, err)
		return
	}
	if f := q.s.cfg.Events.Retry; f != nil {
		f(Retry{Function: ev.Function, RequestID: ev.RequestID, Attempt: ev.Attempts + 1, Throttled: res == nil, After: after, At: at})
	}
	q.poke()
}

// fail gives an event up.
func (q *queue) fail(m kv.Message, fn *function, ev *event, why DiscardReason, res *result) {
	q.discard(ev, why)
	condition := conditionRetries
	if why == discardAge {
		condition = conditionAge
	}
	if target := fn.deadLetterTarget(); target != "" {
		q.told(ev, condition, target, unsupportedDestination(target))
	}
	q.finish(m, fn, ev, condition, res)
}

// put returns the message to the queue with another body. It has its time even
// when the service is being closed.
func (q *queue) put(m kv.Message, due time.Time, body []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), queueTime)
	defer cancel()
	return q.kept.Return(ctx, m, due, body)
}

func (q *queue) ack(m kv.Message) {
	ctx, cancel := context.WithTimeout(context.Background(), queueTime)
	defer cancel()
	if err := q.kept.Ack(ctx, m); err != nil {
		q.s.cfg.Events.progress(Progress{Text: "an asynchronous invocation that is done stays in the queue, and runs again after a restart", Err: err})
	}
}

// lost says that the queue could not be written. The message stays leased, and
// the next process tries it again.
func (q *queue) lost(ev *event, err error) {
	q.s.cfg.Events.progress(Progress{Function: ev.Function, Text: "the asynchronous invocation " + ev.RequestID + " waits for a restart: the queue can't be written", Err: err})
}

func (q *queue) discard(ev *event, why DiscardReason) {
	q.s.cfg.Events.discarded(Discarded{Function: ev.Function, RequestID: ev.RequestID, Attempts: ev.Attempts, Reason: why})
}

// throttled is the refusal when too much runs at once.
func throttled(reason string) error {
	return &awshttp.Error{Code: "TooManyRequestsException", Status: http.StatusTooManyRequests, Message: "Rate Exceeded.",
		Fields: map[string]any{"Type": "User", "Reason": reason}}
}

// errClosed says that the service was closed.
var errClosed = &awshttp.Error{Code: "ServiceException", Status: http.StatusServiceUnavailable, Message: "Tidegate is shutting down.", MessageKey: "Message", Fields: map[string]any{"Type": "Service"}}

// errReplaced says that an environment ended before it took the invocation, so
// that another may take it.
var errReplaced = errors.New("functions: the environment ended before the invocation began")
