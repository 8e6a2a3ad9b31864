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

// ServeHTTP is the Runtime API of one environment.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func (e *environment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// No browser has a business here, whatever page it shows.
	if r.Host != e.host || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		apiError(w, http.StatusForbidden, "Forbidden", "the Runtime API serves its own runtime only")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, apiPrefix)
	switch {
	case ok && r.Method == http.MethodGet && path == "/invocation/next":
		e.next(w, r)
		return
	case ok && r.Method == http.MethodPost && path == "/init/error":
		e.initError(w, r)
		return
	case ok && r.Method == http.MethodPost && strings.HasPrefix(path, "/invocation/"):
		if id, what, ok := strings.Cut(path[len("/invocation/"):], "/"); ok && (what == "response" || what == "error") {
			e.respond(w, r, id, what == "error")
			return
		}
	case ok && strings.HasPrefix(path, "/restore/"):
		apiError(w, http.StatusNotFound, "NotFound", "Tidegate has no SnapStart: "+r.Method+" "+r.URL.Path)
		return
	}
	apiError(w, http.StatusNotFound, "NotFound", "the Runtime API has no "+r.Method+" "+r.URL.Path)
}

// next gives the runtime its next invocation, however long that takes.
func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	switch e.state {
	case stateStarted:
		close(e.ready)
	case stateRunning, stateInitError:
		from := e.state
		e.mu.Unlock()
		invalidTransition(w, from, stateReady)
		return
	}
	e.state, e.answered = stateReady, ""
	e.mu.Unlock()
	var inv *invocation
	select {
	case inv = <-e.deliver:
	case <-r.Context().Done():
		return
	case <-e.ended:
		return
	}
	e.mu.Lock()
	e.state, e.current = stateRunning, inv
	e.mu.Unlock()
	e.out.begin(inv)
	h := w.Header()
	h["Lambda-Runtime-Aws-Request-Id"] = []string{inv.requestID}
	h["Lambda-Runtime-Deadline-Ms"] = []string{strconv.FormatInt(inv.deadline.UnixMilli(), 10)}
	h["Lambda-Runtime-Invoked-Function-Arn"] = []string{cmp.Or(inv.arn, e.fn.arn)}
	h["Lambda-Runtime-Trace-Id"] = []string{inv.traceID}
	if inv.clientContext != "" {
		h["Lambda-Runtime-Client-Context"] = []string{inv.clientContext}
	}
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(inv.payload))}
	w.Write(inv.payload)
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
