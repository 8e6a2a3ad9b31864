package functions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tidegate/internal/kv"
	"tidegate/sigv4"
)

// Conditions of a record, Lambda's own words.
const (
	conditionSuccess = "Success"
	conditionRetries = "RetriesExhausted"
	conditionAge     = "EventAgeExceeded"
)

// An invocationRecord is what a destination gets.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
type invocationRecord struct {
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	RequestContext  recordRequest    `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	ResponseContext *recordResponse  `json:"responseContext,omitempty"`
	ResponsePayload *json.RawMessage `json:"responsePayload,omitempty"`
}

type recordRequest struct {
	RequestID              string `json:"requestId"`
	FunctionArn            string `json:"functionArn"`
	Condition              string `json:"condition"`
	ApproximateInvokeCount int    `json:"approximateInvokeCount"`
}

type recordResponse struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

// outcomeRecord tells what came of an event. res is nil when the function was not run.
func outcomeRecord(fn *function, ev *event, condition string, res *result, now time.Time) ([]byte, error) {
	r := invocationRecord{
		Version: "1.0", Timestamp: now.UTC().Format("2006-01-02T15:04:05.000Z"),
		RequestContext: recordRequest{RequestID: ev.RequestID, FunctionArn: fn.versionARN(), Condition: condition, ApproximateInvokeCount: ev.Attempts},
		RequestPayload: ev.payload,
	}
	if res != nil {
		r.ResponseContext = &recordResponse{StatusCode: http.StatusOK, ExecutedVersion: fn.version()}
		if res.failed {
			r.ResponseContext.FunctionError = "Unhandled"
		}
		payload := json.RawMessage(res.payload)
		if !json.Valid(payload) { // a custom runtime may answer anything
			text, err := json.Marshal(string(res.payload))
			if err != nil {
				return nil, err
			}
			payload = text
		}
		r.ResponsePayload = &payload
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// finish ends an event. With a destination that is a function, the event becomes
// the record for it in one step, so that neither is lost nor both are there.
func (q *queue) finish(m kv.Message, fn *function, ev *event, condition string, res *result) {
	target := fn.Asynchronous.destination(condition)
	if target == "" {
		q.ack(m)
		return
	}
	err := unsupportedDestination(target)
	now := q.s.cfg.Clock.Now()
	var body []byte
	if err == nil {
		body, err = q.recordEvent(fn, ev, condition, target, res, now)
	}
	if err != nil {
		q.told(ev, condition, target, err)
		q.ack(m)
		return
	}
	if err := q.put(m, now, body); err != nil {
		q.lost(ev, err)
		return
	}
	q.poke()
}

// recordEvent is the record in the form of the queue.
func (q *queue) recordEvent(fn *function, ev *event, condition, target string, res *result, now time.Time) ([]byte, error) {
	payload, err := outcomeRecord(fn, ev, condition, res, now)
	if err != nil {
		return nil, fmt.Errorf("the record can't be made: %w", err)
	}
	if len(payload) > maxEventPayload {
		return nil, fmt.Errorf("the record has %d bytes, over the %d of an asynchronous invocation", len(payload), maxEventPayload)
	}
	out := event{Function: ev.Function, RequestID: ev.RequestID, TraceID: ev.TraceID, Caller: ev.Caller, Accepted: now, Pause: firstThrottle,
		Destination: target, Condition: condition, payload: payload}
	return out.encode()
}

// unsupportedDestination says why nothing can be sent to an ARN; nil when it is
// a function.
func unsupportedDestination(arn string) error {
	service := arnService(arn)
	if service == "lambda" {
		return nil
	}
	name := destinationServices[service]
	if name == "" {
		name = service
	}
	return fmt.Errorf("Tidegate has no %s, so nothing was sent to %s", name, arn)
}

// destinationServices are the ones that Lambda can send a record to.
var destinationServices = map[string]string{"sqs": "SQS", "sns": "SNS", "events": "EventBridge buses", "lambda": "Lambda", "s3": "S3"}

// arnService is the third part of an ARN.
func arnService(arn string) string {
	parts := strings.SplitN(arn, ":", 4)
	if len(parts) < 4 || parts[0] != "arn" {
		return ""
	}
	return parts[2]
}

// send invokes the function that is a destination, in the name of the role of
// the function whose outcome the record tells, as Lambda does.
func (q *queue) send(m kv.Message, ev *event) {
	status, err := q.invokeDestination(ev)
	switch {
	case err == nil:
		q.told(ev, ev.Condition, ev.Destination, nil)
		q.ack(m)
		return
	case q.s.ctx.Err() != nil:
		return
	}
	pause := ev.Pause
	at := q.s.cfg.Clock.Now().Add(pause)
	temporary := status == 0 || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
	if !temporary || at.Sub(ev.Accepted) > maxEventAge {
		q.told(ev, ev.Condition, ev.Destination, err)
		q.ack(m)
		return
	}
	ev.Pause = min(2*pause, lastThrottle)
	body, err := ev.encode()
	if err == nil {
		err = q.put(m, at, body)
	}
	if err != nil {
		q.lost(ev, err)
		return
	}
	q.poke()
}

// invokeDestination calls our own Invoke; the status is 0 when it didn't come to
// that.
func (q *queue) invokeDestination(ev *event) (int, error) {
	s := q.s
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, "http://lambda.tidegate.internal/2015-03-31/functions/"+url.PathEscape(ev.Destination)+"/invocations", bytes.NewReader(ev.payload))
	if err != nil {
		return http.StatusBadRequest, err
	}
	req.Header.Set("X-Amz-Invocation-Type", "Event")
	if fn, err := s.find(reference{name: ev.Function}, false); err == nil {
		keys, err := s.session.get(s.ctx, fn)
		if err != nil {
			return 0, err
		}
		if keys.AccessKeyID != "" {
			sigv4.Sign(req, ev.payload, keys.Credentials, "lambda", s.cfg.Region, time.Now())
		}
	}
	w := &heldAnswer{status: http.StatusOK, header: http.Header{}}
	s.ServeHTTP(w, req)
	if w.status == http.StatusAccepted {
		return w.status, nil
	}
	var refusal struct{ Message string } // matches message, too
	if json.Unmarshal(w.body.Bytes(), &refusal) != nil || refusal.Message == "" {
		refusal.Message = w.body.String()
	}
	return w.status, fmt.Errorf("Lambda answered %d %s: %s", w.status, w.header.Get("X-Amzn-Errortype"), refusal.Message)
}

// told says where a record went, or why it didn't.
func (q *queue) told(ev *event, condition, target string, err error) {
	if f := q.s.cfg.Events.Destination; f != nil {
		f(Destination{Function: ev.Function, RequestID: ev.RequestID, Condition: condition, Target: target, Err: err})
	}
}

// A heldAnswer is a http.ResponseWriter in memory.
type heldAnswer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *heldAnswer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *heldAnswer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *heldAnswer) Write(b []byte) (int, error) { return a.body.Write(b) }
