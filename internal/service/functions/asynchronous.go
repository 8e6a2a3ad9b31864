package functions

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"tidegate/internal/awshttp"
)

// Lambda's rules for asynchronous invocations:
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
const (
	maxQueued     = 1000 // ours: events that wait or run, in all functions
	maxEventAge   = 6 * time.Hour
	firstThrottle = time.Second
	lastThrottle  = 5 * time.Minute
)

// retryAfter is how long a function error waits before its next attempt; there
// are no more attempts than that.
var retryAfter = []time.Duration{time.Minute, 2 * time.Minute}

// A queue holds the asynchronous invocations, each on a goroutine of its own.
// It is in memory: what waits is lost with the process.
type queue struct {
	s    *Service
	held atomic.Int64
}

func newQueue(s *Service) *queue { return &queue{s: s} }

// add accepts an event, or refuses it when too many are held.
func (q *queue) add(name string, inv *invocation) error {
	if q.held.Add(1) > maxQueued {
		q.held.Add(-1)
		return throttled("ConcurrentInvocationLimitExceeded")
	}
	go func() {
		defer q.held.Add(-1)
		q.deliver(name, inv)
	}()
	return nil
}

// deliver runs an event until it succeeds or is given up. Function errors are
// retried twice; throttles and failures of the service, with growing pauses,
// until the event is too old.
func (q *queue) deliver(name string, inv *invocation) {
	s := q.s
	born := s.cfg.Clock.Now()
	pause := firstThrottle
	failures := 0
	for {
		fn, err := s.find(reference{name: name}, false)
		if err != nil {
			q.discard(name, inv, discardGone)
			return
		}
		res, err := s.run(s.ctx, fn, inv)
		wait := pause
		switch {
		case err == nil && !res.failed:
			return
		case err == nil && failures == len(retryAfter):
			q.discard(name, inv, discardRetries)
			return
		case err == nil:
			wait = retryAfter[failures]
			failures++
		default:
			pause = min(2*pause, lastThrottle)
		}
		if s.cfg.Clock.Now().Add(wait).Sub(born) > maxEventAge {
			q.discard(name, inv, discardAge)
			return
		}
		t := s.cfg.Clock.NewTimer(wait)
		select {
		case <-t.C():
		case <-s.ctx.Done():
			t.Stop()
			q.discard(name, inv, discardClosed)
			return
		}
		next := *inv
		next.attempt++
		inv = &next
	}
}

func (q *queue) discard(name string, inv *invocation, why DiscardReason) {
	q.s.cfg.Events.discarded(Discarded{Function: name, RequestID: inv.requestID, Reason: why})
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
