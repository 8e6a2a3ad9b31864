package functions

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"tidegate/internal/awshttp"
)

// Quotas of an invocation:
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const (
	maxSyncPayload   = 6 << 20 // bytes, of a synchronous event
	maxEventPayload  = 1 << 20 // bytes, of an asynchronous event
	maxResponse      = 6291556 // bytes; Lambda's own figure, 6 MiB and 100
	maxInvokeBody    = 8 << 20 // read at most, so that the refusal is Lambda's own
	maxClientContext = 3583    // bytes of the header
	maxTail          = 4 << 10 // bytes of log in an answer
)

// An invocation is one event on its way through a function.
type invocation struct {
	requestID     string
	payload       []byte
	clientContext string // JSON on one line
	traceID       string
	event         bool   // asynchronous
	caller        string // the ARN of who invokes, or a service's name
	origin        string // the gateway's request id
	arn           string // by which the function was called; empty means its own
	attempt       int
	tail          *tail // collects the log, nil unless asked for

	// Set before it is handed to an environment.
	deadline time.Time
	started  time.Time
	answer   chan answer // room for one
}

// An answer is what the runtime said, or what Lambda says for it.
type answer struct {
	payload []byte
	failed  bool // payload is a function error
}

// A result is an invocation's outcome for its caller.
type result struct {
	answer
	cold     bool
	init     time.Duration
	duration time.Duration
	memory   int // MB at most, 0 when unknown
	hint     string
}

// invokeFunction is the Invoke operation.
func (s *Service) invokeFunction(c *awshttp.Call, text, _ string) (any, error) {
	ref, err := s.parseReference(text, c.Request.URL.Query().Get("Qualifier"))
	if err != nil {
		return nil, err
	}
	fn, err := s.findBy(ref, true, alias.pick)
	if err != nil {
		// Who may not call it doesn't learn whether it is there.
		if denied := c.Authorize("lambda:InvokeFunction", s.arn(ref.name)); denied != nil {
			return nil, denied
		}
		return nil, err
	}
	if err := c.Authorize("lambda:InvokeFunction", s.qualifiedARN(ref), s.policyOf(ref.name)...); err != nil {
		return nil, err
	}
	inv, kind, err := newInvocation(c)
	if err != nil {
		return nil, err
	}
	inv.arn = s.qualifiedARN(ref)
	switch kind {
	case "DryRun":
		return &awshttp.Response{Status: http.StatusNoContent}, nil
	case "Event":
		if err := s.queue.add(c.Context(), fn, inv); err != nil {
			return nil, err
		}
		return &awshttp.Response{Status: http.StatusAccepted}, nil
	}
	res, err := s.run(c.Context(), fn, inv)
	if err != nil {
		return nil, err
	}
	h := http.Header{"X-Amz-Executed-Version": {fn.version()}, "Content-Type": {"application/json"}}
	if res.failed {
		h["X-Amz-Function-Error"] = []string{"Unhandled"}
	}
	if inv.tail != nil {
		h["X-Amz-Log-Result"] = []string{base64.StdEncoding.EncodeToString(inv.tail.bytes())}
	}
	return &awshttp.Response{Header: h, Raw: res.payload}, nil
}

// newInvocation reads an Invoke request.
func newInvocation(c *awshttp.Call) (*invocation, string, error) {
	h := c.Request.Header
	inv := &invocation{requestID: c.RequestID, payload: c.Body, caller: c.Principal.ARN, traceID: traceID(h.Get("X-Amzn-Trace-Id")), attempt: 1}
	if c.Principal.Kind == awshttp.Service {
		inv.origin = h.Get("X-Tidegate-Request-Id")
	}
	kind := h.Get("X-Amz-Invocation-Type")
	switch kind {
	case "":
		kind = "RequestResponse"
	case "RequestResponse", "DryRun", "Event":
	default:
		return nil, "", constraint(kind, "invocationType", "Member must satisfy enum value set: [Event, RequestResponse, DryRun]")
	}
	inv.event = kind == "Event"
	switch log := h.Get("X-Amz-Log-Type"); log {
	case "", "None":
	case "Tail":
		if kind == "RequestResponse" {
			inv.tail = &tail{}
		}
	default:
		return nil, "", constraint(log, "logType", "Member must satisfy enum value set: [None, Tail]")
	}
	for _, name := range []string{"X-Amz-Tenant-Id", "X-Amz-Durable-Execution-Name"} {
		if h.Get(name) != "" {
			return nil, "", invalidParameter("Tidegate's Lambda doesn't support " + name + ".")
		}
	}
	var err error
	if inv.clientContext, err = clientContext(h.Get("X-Amz-Client-Context")); err != nil {
		return nil, "", err
	}
	limit := maxSyncPayload
	if inv.event {
		limit = maxEventPayload
	}
	if len(inv.payload) > limit {
		return nil, "", userError(http.StatusRequestEntityTooLarge, "RequestTooLargeException", fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", limit))
	}
	if len(inv.payload) == 0 {
		inv.payload = []byte("{}")
	}
	return inv, kind, checkJSON(inv.payload)
}

// checkJSON refuses a payload that isn't JSON.
func checkJSON(b []byte) error {
	const prefix = "Could not parse request body into json: Could not parse payload into json: "
	reason := ""
	if !json.Valid(b) {
		var v json.RawMessage
		reason = strings.TrimPrefix(json.Unmarshal(b, &v).Error(), "json: ")
	}
	if !utf8.Valid(b) {
		for i := 0; i < len(b); {
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				reason = fmt.Sprintf("Invalid UTF-8 start byte 0x%02x", b[i])
				break
			}
			i += n
		}
	}
	if reason == "" {
		return nil
	}
	return &awshttp.Error{Code: "InvalidRequestContentException", Status: http.StatusBadRequest, Message: prefix + reason, Fields: map[string]any{"Type": "User"}}
}

// clientContext decodes the header to JSON on one line, as it goes into the
// runtime's header.
func clientContext(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	refuse := func(why string) (string, error) {
		return "", &awshttp.Error{Code: "InvalidRequestContentException", Status: http.StatusBadRequest, Message: "Client context " + why, Fields: map[string]any{"Type": "User"}}
	}
	if len(header) > maxClientContext {
		return refuse(fmt.Sprintf("must be no more than %d bytes when base64-encoded.", maxClientContext))
	}
	b, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return refuse("must be base64-encoded.")
	}
	var line bytes.Buffer
	if err := json.Compact(&line, b); err != nil || !utf8.Valid(b) {
		return refuse("must be a valid Base64-encoded JSON object.")
	}
	return line.String(), nil
}

// traceID returns the caller's trace header, or a new one that isn't sampled.
func traceID(header string) string {
	if strings.HasPrefix(header, "Root=1-") && len(header) < 300 && !strings.ContainsAny(header, "\r\n") {
		return header
	}
	id := strings.ReplaceAll(awshttp.NewRequestID(), "-", "")
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", uint32(time.Now().Unix()), id[:24], awshttp.NewRequestID()[:8]+id[24:])
}

// run invokes the function and tells the listener. It doesn't end with the
// caller: an invocation that has begun runs on, as on Lambda.
func (s *Service) run(ctx context.Context, fn *function, inv *invocation) (result, error) {
	s.cfg.Events.begin(InvocationBegin{Function: fn.Name, RequestID: inv.requestID, Origin: inv.origin, Event: inv.event, Attempt: inv.attempt})
	inv.answer = make(chan answer, 1)
	var res result
	err := s.enter(fn.Name)
	if err == nil {
		res, err = s.execute(ctx, fn, inv)
		s.leave(fn.Name)
	}
	var refused *startFailure
	if errors.As(err, &refused) {
		res.answer, res.hint, err = refused.answer(inv), refused.hint, nil
	}
	end := InvocationEnd{
		Function: fn.Name, RequestID: inv.requestID, Caller: inv.caller, Origin: inv.origin, Event: inv.event, Cold: res.cold, Init: res.init,
		Duration: res.duration, Billed: billed(res.duration), Memory: res.memory, MemorySize: fn.MemorySize, Hint: res.hint,
	}
	if err != nil {
		end.ErrorType, end.ErrorMessage = "ServiceException", err.Error()
		if own, ok := err.(*awshttp.Error); ok {
			end.ErrorType, end.ErrorMessage = own.Code, own.Message
		}
	} else if res.failed {
		end.ErrorType, end.ErrorMessage, end.Trace = readError(res.payload)
	}
	if inv.tail != nil {
		inv.tail.finish(fn, inv, res)
	}
	s.cfg.Events.end(end)
	return res, err
}

func billed(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

// readError takes a function error apart.
func readError(payload []byte) (kind, message string, trace []string) {
	var v struct {
		ErrorType    string          `json:"errorType"`
		ErrorMessage string          `json:"errorMessage"`
		Trace        json.RawMessage `json:"trace"`
		StackTrace   json.RawMessage `json:"stackTrace"`
	}
	if json.Unmarshal(payload, &v) != nil || v.ErrorType == "" && v.ErrorMessage == "" {
		return "Unhandled", string(payload[:min(len(payload), 1024)]), nil
	}
	if json.Unmarshal(v.Trace, &trace) != nil {
		json.Unmarshal(v.StackTrace, &trace) // a runtime may leave it out
	}
	if v.ErrorType == "" {
		v.ErrorType = "Unhandled"
	}
	return v.ErrorType, v.ErrorMessage, trace
}

// errorPayload is a function error that Lambda makes, not the runtime.
func errorPayload(kind, message string) []byte {
	b, err := json.Marshal(struct {
		ErrorType    string `json:"errorType"`
		ErrorMessage string `json:"errorMessage"`
	}{kind, message})
	if err != nil {
		return []byte(`{"errorType":"` + kind + `"}`)
	}
	return b
}

// timedOut is the answer of a function that took longer than d.
func timedOut(inv *invocation, d time.Duration) answer {
	return answer{failed: true, payload: errorPayload("Sandbox.Timedout",
		fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", inv.requestID, d.Seconds()))}
}

// exited is the answer of a function whose process ended before it answered.
func exited(inv *invocation, status string) answer {
	reason := "Runtime exited without providing a reason"
	if status != "exit status 0" {
		reason = "Runtime exited with error: " + status
	}
	return answer{failed: true, payload: errorPayload("Runtime.ExitError", "RequestId: "+inv.requestID+" Error: "+reason)}
}

// tooLarge is the answer in place of one that exceeds maxResponse.
func tooLarge() answer {
	return answer{failed: true, payload: errorPayload("Function.ResponseSizeTooLarge",
		fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponse))}
}
