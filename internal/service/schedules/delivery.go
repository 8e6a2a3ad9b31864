package schedules

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/sigv4"
)

const (
	// maxDeliveries is how many targets are invoked at one time; further ones
	// wait.
	maxDeliveries = 64
	// attemptTimeout bounds one invocation: Lambda answers an asynchronous one as
	// soon as it is queued.
	attemptTimeout = 30 * time.Second
	firstBackoff   = time.Second
	maxBackoff     = time.Minute
	maxAnswer      = 4 << 10 // bytes of an error that are read
)

// A delivery is one firing on its way to one target.
type delivery struct {
	firing Firing // what all attempts have in common
	retry  *RetryPolicy
	// deadLetter is the queue that AWS would send the event to once it is given up.
	deadLetter string
	// invocation makes the call of an attempt, counted from 1.
	invocation func(ctx context.Context, attempt int) (invocation, error)
	// done, unless nil, is called once there will be no further attempt.
	done func()
}

// An invocation is one call of Lambda's Invoke.
type invocation struct {
	function    string // ARN or name
	qualifier   string
	kind        string // Event, RequestResponse or DryRun
	client      string // X-Amz-Client-Context
	payload     []byte
	credentials sigv4.Credentials
	sourceARN   string // on whose behalf a service calls; empty for a role
}

// retries returns how often a delivery is tried again.
func (p *RetryPolicy) retries() int {
	if p == nil || p.MaximumRetryAttempts == nil {
		return defaultRetries
	}
	return *p.MaximumRetryAttempts
}

// age returns how old an event may become.
func (p *RetryPolicy) age() time.Duration {
	if p == nil || p.MaximumEventAgeInSeconds == nil {
		return defaultAge
	}
	return time.Duration(*p.MaximumEventAgeInSeconds) * time.Second
}

// deliver invokes a target until it worked, the target's retry policy ends, or
// the failure is one that trying again doesn't mend. Retries live in memory:
// they end with the process.
func (s *Service) deliver(d delivery) {
	end := s.clock.Now().Add(d.retry.age())
	backoff := firstBackoff
	for attempt := 1; ; attempt++ {
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		f := s.attempt(s.ctx, d, attempt)
		<-s.slots
		if s.ctx.Err() != nil {
			return // cut off by Close
		}
		var refused *refusal
		if f.Err != nil && attempt <= d.retry.retries() && !(errors.As(f.Err, &refused) && !refused.temporary()) && s.clock.Now().Add(backoff).Before(end) {
			f.Retry = backoff
		}
		if f.Err != nil && f.Retry == 0 {
			f.DeadLetter = d.deadLetter
		}
		s.fired(f)
		if f.Retry == 0 {
			if d.done != nil {
				d.done()
			}
			return
		}
		timer := s.clock.NewTimer(backoff)
		select {
		case <-timer.C():
		case <-s.ctx.Done():
			timer.Stop()
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// attempt invokes a delivery's target once.
func (s *Service) attempt(ctx context.Context, d delivery, n int) Firing {
	begin := time.Now()
	f := d.firing
	f.Time, f.Attempt = s.clock.Now(), n
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	var in invocation
	if in, f.Err = d.invocation(ctx, n); f.Err == nil {
		f.RequestID, f.Err = s.call(ctx, in)
	}
	f.Duration = time.Since(begin)
	return f
}

// ruleDelivery is the delivery of a rule's firing to a target, made as
// events.amazonaws.com on behalf of the rule.
func (s *Service) ruleDelivery(r *Rule, t Target, id string, at time.Time) (delivery, error) {
	payload, err := s.payload(r, t, id, at)
	if err != nil {
		return delivery{}, err
	}
	return delivery{
		firing: Firing{Rule: r.Name, ARN: r.ARN, Target: t.ARN, Due: at}, retry: t.Retry, deadLetter: t.DeadLetter,
		invocation: func(context.Context, int) (invocation, error) {
			return invocation{function: t.ARN, kind: "Event", payload: payload, credentials: s.credentials, sourceARN: r.ARN}, nil
		},
	}, nil
}

func (s *Service) fired(f Firing) {
	if s.events.Fired != nil {
		s.events.Fired(f)
	}
}

// A refusal is an answer of Lambda's that isn't a success.
type refusal struct {
	service string // whose answer it is: Lambda or STS
	status  int
	code    string
	message string
	remedy  string // of a 403
}

// Error says what was answered, and what to do when it is the permission.
func (r *refusal) Error() string {
	text := fmt.Sprintf("%s answered %d %s: %s", r.service, r.status, r.code, r.message)
	if r.remedy != "" && r.status == http.StatusForbidden {
		text += " (" + r.remedy + ")"
	}
	return text
}

// temporary reports whether trying again may help.
func (r *refusal) temporary() bool {
	return r.status == http.StatusTooManyRequests || r.status >= 500
}

// call invokes a function, once.
func (s *Service) call(ctx context.Context, in invocation) (requestID string, err error) {
	path := "/2015-03-31/functions/" + url.PathEscape(in.function) + "/invocations"
	if in.qualifier != "" {
		path += "?Qualifier=" + url.QueryEscape(in.qualifier)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint+path, bytes.NewReader(in.payload))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Amz-Invocation-Type", in.kind)
	if in.client != "" {
		req.Header.Set("X-Amz-Client-Context", in.client)
	}
	remedy := "the schedule's role must allow lambda:InvokeFunction on the function"
	if in.sourceARN != "" {
		remedy = "the function's policy must allow lambda:InvokeFunction to events.amazonaws.com for this rule: an AWS::Lambda::Permission"
		req.Header.Set(awshttp.HeaderSourceARN, in.sourceARN)
		req.Header.Set(awshttp.HeaderSourceAccount, s.account)
	}
	sigv4.Sign(req, in.payload, in.credentials, "lambda", s.region, time.Now()) // signatures live by the machine's time
	resp, err := s.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("Lambda at %s did not answer: %w", s.endpoint, err)
	}
	defer resp.Body.Close()
	requestID = resp.Header.Get("X-Amzn-Requestid")
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 == 2 {
		return requestID, nil
	}
	if err != nil {
		return requestID, fmt.Errorf("Lambda's answer %d could not be read: %w", resp.StatusCode, err)
	}
	refused := &refusal{service: "Lambda", remedy: remedy, status: resp.StatusCode, code: resp.Header.Get("X-Amzn-Errortype"), message: string(body)}
	var parsed struct{ Message string } // matches "message" and "Message"
	if json.Unmarshal(body, &parsed) == nil && parsed.Message != "" {
		refused.message = parsed.Message
	}
	return requestID, refused
}
