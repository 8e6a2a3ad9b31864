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

// deliver invokes a target until it worked, the target's retry policy ends, or
// the failure is one that trying again doesn't mend. Retries live in memory:
// they end with the process.
func (s *Service) deliver(r *Rule, t Target, payload []byte) {
	retries, age := defaultRetries, defaultAge
	if t.Retry != nil && t.Retry.MaximumRetryAttempts != nil {
		retries = *t.Retry.MaximumRetryAttempts
	}
	if t.Retry != nil && t.Retry.MaximumEventAgeInSeconds != nil {
		age = time.Duration(*t.Retry.MaximumEventAgeInSeconds) * time.Second
	}
	end := s.clock.Now().Add(age)
	backoff := firstBackoff
	for attempt := 1; ; attempt++ {
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		f := s.invoke(s.ctx, r, t, payload)
		<-s.slots
		if s.ctx.Err() != nil {
			return // cut off by Close
		}
		f.Attempt = attempt
		var refused *refusal
		if f.Err != nil && attempt <= retries && !(errors.As(f.Err, &refused) && !refused.temporary()) && s.clock.Now().Add(backoff).Before(end) {
			f.Retry = backoff
		}
		s.fired(f)
		if f.Retry == 0 {
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

func (s *Service) fired(f Firing) {
	if s.events.Fired != nil {
		s.events.Fired(f)
	}
}

// A refusal is an answer of Lambda's that isn't a success.
type refusal struct {
	status  int
	code    string
	message string
}

// Error says what Lambda said, and what to do when it is the permission.
func (r *refusal) Error() string {
	text := fmt.Sprintf("Lambda answered %d %s: %s", r.status, r.code, r.message)
	if r.status == http.StatusForbidden {
		text += " (the function's policy must allow lambda:InvokeFunction to events.amazonaws.com for this rule: an AWS::Lambda::Permission)"
	}
	return text
}

// temporary reports whether trying again may help.
func (r *refusal) temporary() bool {
	return r.status == http.StatusTooManyRequests || r.status >= 500
}

// invoke calls the target's function asynchronously, once, as
// events.amazonaws.com on behalf of the rule.
func (s *Service) invoke(ctx context.Context, r *Rule, t Target, payload []byte) Firing {
	begin := time.Now()
	f := Firing{Rule: r.Name, ARN: r.ARN, Target: t.ARN, Time: s.clock.Now()}
	f.RequestID, f.Err = s.call(ctx, r, t, payload)
	f.Duration = time.Since(begin)
	return f
}

func (s *Service) call(ctx context.Context, r *Rule, t Target, payload []byte) (requestID string, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint+"/2015-03-31/functions/"+url.PathEscape(t.ARN)+"/invocations", bytes.NewReader(payload))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Amz-Invocation-Type", "Event")
	req.Header.Set(awshttp.HeaderSourceARN, r.ARN)
	req.Header.Set(awshttp.HeaderSourceAccount, s.account)
	sigv4.Sign(req, payload, s.credentials, "lambda", s.region, time.Now()) // signatures live by the machine's time
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
	refused := &refusal{status: resp.StatusCode, code: resp.Header.Get("X-Amzn-Errortype"), message: string(body)}
	var parsed struct{ Message string } // matches "message" and "Message"
	if json.Unmarshal(body, &parsed) == nil && parsed.Message != "" {
		refused.message = parsed.Message
	}
	return requestID, refused
}
