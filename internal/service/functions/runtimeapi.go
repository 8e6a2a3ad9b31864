package functions

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const apiPrefix = "/2018-06-01/runtime"

// serveRuntime is the Runtime API of one environment. It returns a taker when the
// answer is to be the next invocation; else the answer is in w.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func (e *environment) serveRuntime(w http.ResponseWriter, r *http.Request) *taker {
	// No browser has a business here, whatever page it shows.
	if r.Host != e.host || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		apiError(w, http.StatusForbidden, "Forbidden", "the Runtime API serves its own runtime only")
		return nil
	}
	path, ok := strings.CutPrefix(r.URL.Path, apiPrefix)
	switch {
	case ok && r.Method == http.MethodGet && path == "/invocation/next":
		return e.next(w)
	case ok && r.Method == http.MethodPost && path == "/init/error":
		e.initError(w, r)
		return nil
	case ok && r.Method == http.MethodPost && strings.HasPrefix(path, "/invocation/"):
		if id, what, ok := strings.Cut(path[len("/invocation/"):], "/"); ok && (what == "response" || what == "error") {
			e.respond(w, r, id, what == "error")
			return nil
		}
	case ok && strings.HasPrefix(path, "/restore/"):
		apiError(w, http.StatusNotFound, "NotFound", "Tidegate has no SnapStart: "+r.Method+" "+r.URL.Path)
		return nil
	}
	apiError(w, http.StatusNotFound, "NotFound", "the Runtime API has no "+r.Method+" "+r.URL.Path)
	return nil
}

// next returns who waits for the runtime's next invocation, however long that
// takes, or refuses.
func (e *environment) next(w http.ResponseWriter) *taker {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch e.state {
	case stateStarted:
		close(e.ready)
	case stateRunning, stateInitError:
		invalidTransition(w, e.state, stateReady)
		return nil
	}
	e.state, e.answered = stateReady, ""
	return newTaker()
}

// give hands the invocation to a runtime that asked for it; false says that the
// runtime has left meanwhile.
func (e *environment) give(t *taker, inv *invocation) bool {
	if !t.claimed() {
		return false
	}
	e.mu.Lock()
	e.state, e.current = stateRunning, inv
	e.mu.Unlock()
	e.out.begin(inv)
	b := append(make([]byte, 0, len(t.pending)+512+len(inv.clientContext)+len(inv.payload)), t.pending...)
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(inv.payload)), 10), "\r\n"...)
	b = appendField(b, "Lambda-Runtime-Aws-Request-Id", inv.requestID)
	b = appendField(b, "Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	b = appendField(b, "Lambda-Runtime-Invoked-Function-Arn", cmp.Or(inv.arn, e.fn.arn))
	b = appendField(b, "Lambda-Runtime-Trace-Id", inv.traceID)
	if inv.clientContext != "" {
		b = appendField(b, "Lambda-Runtime-Client-Context", inv.clientContext)
	}
	if t.last {
		b = appendField(b, "Connection", "close")
	}
	t.give(append(append(b, "\r\n"...), inv.payload...), inv.deadline)
	return true
}

// respond takes the answer to the present invocation.
func (e *environment) respond(w http.ResponseWriter, r *http.Request, id string, failed bool) {
	to := state("InvocationResponse")
	if failed {
		to = "InvocationErrorResponse"
	}
	e.mu.Lock()
	from, inv, known := e.state, e.current, e.answered
	if inv != nil {
		known = inv.requestID
	}
	e.mu.Unlock()
	switch { // in the order in which Lambda looks
	case id != known:
		apiError(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	case from != stateRunning:
		invalidTransition(w, from, to)
		return
	}
	switch mode := r.Header.Get("Lambda-Runtime-Function-Response-Mode"); {
	case mode == "streaming": // collected, for a caller that takes the whole
	case mode != "":
		apiError(w, http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode")
		return
	}
	body, err := readAtMost(r, maxResponse+1)
	if err != nil {
		apiError(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
		return
	}
	if len(body) > maxResponse {
		io.Copy(io.Discard, io.LimitReader(r.Body, 64<<20)) // so that the runtime reads our answer
		e.settle(inv, tooLarge())
		apiError(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxResponse))
		return
	}
	if kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); kind != "" { // it failed half way
		failed, body = true, streamError(kind, r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
	}
	if failed && len(body) == 0 {
		body = errorPayload(errorType(r), "")
	}
	if !e.settle(inv, answer{payload: body, failed: failed}) {
		apiError(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	accepted(w)
}

// streamError is the function error that the trailers of a streamed response
// tell of.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
func streamError(kind, body string) []byte {
	if b, err := base64.StdEncoding.DecodeString(body); err == nil && json.Valid(b) {
		return b
	}
	return errorPayload(kind, "")
}

// settle gives the invocation its answer, once.
func (e *environment) settle(inv *invocation, a answer) bool {
	e.mu.Lock()
	if e.state != stateRunning || e.current != inv {
		e.mu.Unlock()
		return false
	}
	e.state, e.current, e.answered = stateSent, nil, inv.requestID
	e.mu.Unlock()
	e.out.flush()
	inv.answer <- a
	return true
}

// initError takes the runtime's word that the function can't be loaded.
func (e *environment) initError(w http.ResponseWriter, r *http.Request) {
	body, err := readAtMost(r, maxResponse)
	if err != nil {
		apiError(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
		return
	}
	if len(body) == 0 {
		body = errorPayload(errorType(r), "")
	}
	e.mu.Lock()
	from := e.state
	if from == stateStarted {
		e.state, e.initBody = stateInitError, body
		close(e.failed)
	}
	e.mu.Unlock()
	if from != stateStarted {
		invalidTransition(w, from, stateInitError)
		return
	}
	accepted(w)
}

// errorType is the error's name in the header, for a body that is empty.
func errorType(r *http.Request) string {
	if v := r.Header.Get("Lambda-Runtime-Function-Error-Type"); v != "" {
		return v
	}
	return "Runtime.Unknown"
}

// readAtMost reads the body, at most n bytes of it, in one allocation when its
// length is known.
func readAtMost(r *http.Request, n int64) ([]byte, error) {
	if r.ContentLength >= 0 {
		b := make([]byte, min(r.ContentLength, n))
		_, err := io.ReadFull(r.Body, b)
		return b, err
	}
	return io.ReadAll(io.LimitReader(r.Body, n))
}

var acceptedBody = []byte("{\"status\":\"OK\"}\n")

func accepted(w http.ResponseWriter) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(acceptedBody))}
	w.WriteHeader(http.StatusAccepted)
	w.Write(acceptedBody)
}

func invalidTransition(w http.ResponseWriter, from, to state) {
	apiError(w, http.StatusForbidden, "InvalidStateTransition",
		fmt.Sprintf("State transition from %s to %s failed for runtime. Error: State transition is not allowed", from, to))
}

func apiError(w http.ResponseWriter, status int, kind, message string) {
	b, err := json.Marshal(struct {
		ErrorMessage string `json:"errorMessage"`
		ErrorType    string `json:"errorType"`
	}{message, kind})
	if err != nil {
		b = []byte("{}")
	}
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.WriteHeader(status)
	w.Write(b)
}
