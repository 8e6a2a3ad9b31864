// Package mgmtapi is API Gateway's Management API: POST, GET and DELETE on
// /@connections/{id}, by which backends push to clients, ask about them and
// disconnect them.
//
// Which API and stage a request means is decided before it comes here, by its
// host and path; this package says who calls, whether they may, and what comes
// of it.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
package mgmtapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"unicode/utf8"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/cluster"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/sigv4"
)

// Service is the signing name of the Management API.
const Service = "execute-api"

// A Router reaches connections by id; cluster.Router is one.
type Router interface {
	Push(ctx context.Context, to cluster.Target, payload []byte, binary bool) error
	Get(ctx context.Context, of cluster.Target) (cluster.Status, error)
	Delete(ctx context.Context, target cluster.Target) error
	PushAll(ctx context.Context, to cluster.Audience, payload []byte, binary bool) (cluster.Delivery, error)
	// MayBlock says that Push, Get and Delete may have to ask another process.
	MayBlock() bool
}

// A Config is what an API needs; Gate, Router and Codec must be set.
type Config struct {
	Gate   *awshttp.Gate
	Router Router
	Codec  *connection.Codec // reads connection ids
	// Admit takes a call from the account's rate, and returns false when that is
	// used up; nil admits every call.
	Admit func() bool
	// MaxPayload is the most bytes of a message; 0 means apigw.MaxMessage.
	MaxPayload int
}

// An API serves the Management API. It is safe for concurrent use.
type API struct {
	gate   *awshttp.Gate
	router Router
	codec  *connection.Codec
	admit  func() bool
	most   int // bytes of a message
}

// New returns the Management API over c.
func New(c Config) *API {
	if c.Admit == nil {
		c.Admit = func() bool { return true }
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = apigw.MaxMessage
	}
	return &API{gate: c.Gate, router: c.Router, codec: c.Codec, admit: c.Admit, most: c.MaxPayload}
}

// ServeConnection answers one request for the connection whose id is text
// (percent-encoding undone) in a stage of an API. An empty apiID says that
// several APIs have a stage of that name and none of them such a connection:
// whoever may call at all is told that it is gone.
func (a *API) ServeConnection(w http.ResponseWriter, r *http.Request, apiID string, stage apigw.StageName, text string) {
	q := requests.Get().(*sigv4.Request)
	defer requests.Put(q)
	q.SetHTTP(r)
	read := func() ([]byte, error) { return awshttp.ReadBody(r, int64(a.most)) }
	status, requestID, errorType, answer := a.answer(r.Context(), q, r.TLS != nil, r.ContentLength, read, place{apiID, stage, text})
	h := w.Header()
	// Written as AWS writes them; http.Header.Set would change the case.
	h["x-amzn-RequestId"] = []string{requestID}
	h["x-amz-apigw-id"] = []string{event.NewRequestID()}
	if errorType != "" {
		h["x-amzn-ErrorType"] = []string{errorType}
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	write(w, status, answer)
}

// requests hold what ServeConnection passes on, calls what is known of callers.
var (
	requests = sync.Pool{New: func() any { return new(sigv4.Request) }}
	calls    = sync.Pool{New: func() any { return new(awshttp.Call) }}
)

// Serve is ServeConnection for a request that isn't net/http's, with its whole body.
// It doesn't block unless MayBlock says so, and a loop of sockets may call it. Nothing
// of q and body is kept but strings. errorType is empty of a call that succeeds.
func (a *API) Serve(ctx context.Context, q *sigv4.Request, secure bool, body []byte, apiID string, stage apigw.StageName, text string) (status int, requestID, errorType string, answer []byte) {
	return a.answer(ctx, q, secure, int64(len(body)), func() ([]byte, error) { return body, nil }, place{apiID, stage, text})
}

// MayBlock says that a call may have to wait for another process.
func (a *API) MayBlock() bool { return a.router.MayBlock() }

// A place is where a call finds its connection.
type place struct {
	apiID string
	stage apigw.StageName
	text  string // the connection's id as the caller wrote it
}

// answer serves a request; length is the body's as far as it is known.
func (a *API) answer(ctx context.Context, q *sigv4.Request, secure bool, length int64, read func() ([]byte, error), at place) (status int, requestID, errorType string, answer []byte) {
	requestID, answer, err := a.serve(ctx, q, secure, length, read, at)
	switch {
	case err != nil:
		e := a.failed(q.Method, q.Get(awshttp.TraceHeader), requestID, at.text, err)
		return e.Status, requestID, e.Code, errorBody(e)
	case q.Method == http.MethodDelete:
		return http.StatusNoContent, requestID, "", nil // WS-07-003
	}
	return http.StatusOK, requestID, "", answer // WS-07-001
}

// serve authenticates, authorizes and performs the request.
func (a *API) serve(ctx context.Context, q *sigv4.Request, secure bool, length int64, read func() ([]byte, error), at place) (requestID string, answer []byte, err error) {
	switch q.Method {
	case http.MethodPost, http.MethodGet, http.MethodDelete:
	default:
		// What API Gateway says to a method that a resource doesn't have. WS-07-053
		return awshttp.NewRequestID(), nil, awshttp.Errorf(http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	if err := a.admissible(length); err != nil {
		return awshttp.NewRequestID(), nil, err
	}
	body, err := read()
	if err != nil {
		return awshttp.NewRequestID(), nil, a.inOwnWords(err)
	}
	call := calls.Get().(*awshttp.Call)
	defer calls.Put(call)
	if err := a.gate.Admit(call, q, secure, body, Service); err != nil {
		return call.RequestID, nil, err
	}
	if at.apiID != "" && call.Principal.Kind != awshttp.Root {
		// The connection's id is not filled in. WS-07-049, WS-07-050
		if err := a.authorize(call, at.apiID, at.stage, q.Method, "/@connections/{connectionId}"); err != nil {
			return call.RequestID, nil, err
		}
	}
	id, err := a.codec.ParseID(at.text)
	if err != nil {
		return call.RequestID, nil, awshttp.Errorf(http.StatusBadRequest, "BadRequestException", "Invalid connectionId: %s", at.text) // WS-07-033, WS-07-034
	}
	if at.apiID == "" {
		return call.RequestID, nil, apigw.ErrGone
	}
	target := cluster.Target{ID: id, Text: at.text, APIID: at.apiID, Stage: at.stage, Caller: call.Principal.ARN, RequestID: call.RequestID,
		Origin: event.RequestIDOf(q.Get(event.TraceHeader))}
	switch q.Method {
	case http.MethodPost:
		// AWS sends what is pushed in text frames. A text frame with invalid UTF-8
		// makes clients fail the connection (RFC 6455 section 8.1), so such a payload
		// goes out as a binary one: a choice, AWS's own is unknown. WS-07-005, WS-07-009
		if err = a.router.Push(ctx, target, body, !utf8.Valid(body)); err != nil {
			err = told{err}
		}
	case http.MethodDelete:
		err = a.router.Delete(ctx, target)
	default:
		var s cluster.Status
		if s, err = a.router.Get(ctx, target); err == nil {
			answer, err = json.Marshal(newConnectionOutput(s))
		}
	}
	return call.RequestID, answer, err
}

// open admits, authenticates and reads a call. Its result has a request id even
// with an error.
func (a *API) open(r *http.Request) (*awshttp.Call, error) {
	if err := a.admissible(r.ContentLength); err != nil {
		return &awshttp.Call{RequestID: awshttp.NewRequestID()}, err
	}
	call, err := a.gate.Open(r, Service, int64(a.most))
	return call, a.inOwnWords(err)
}

// admissible returns why a call is refused before anything of it is looked at, or nil.
func (a *API) admissible(length int64) error {
	if !a.admit() {
		return errThrottled
	}
	if length > int64(a.most) {
		return a.tooLarge()
	}
	return nil
}

// inOwnWords returns the error, that of a body which is too large in the words of
// this API.
func (a *API) inOwnWords(err error) error {
	var e *awshttp.Error
	if errors.As(err, &e) && e.Status == http.StatusRequestEntityTooLarge {
		return a.tooLarge()
	}
	return err
}

// authorize asks the caller's policies about a path of a stage, and refuses in AWS's
// words, with the account masked. WS-07-040 to WS-07-052
func (a *API) authorize(call *awshttp.Call, apiID string, stage apigw.StageName, method, path string) error {
	const action = "execute-api:ManageConnections"
	arn := func(account string) string {
		return "arn:aws:execute-api:" + a.gate.Region + ":" + account + ":" + apiID + "/" + string(stage) + "/" + method + path
	}
	if call.Denied(action, arn(a.gate.Account)) == nil {
		return nil
	}
	masked := a.gate.Account
	if len(masked) > 4 {
		masked = "********" + masked[len(masked)-4:]
	}
	return told{&awshttp.Error{
		Code: "AccessDeniedException", Status: http.StatusForbidden, MessageKey: "Message",
		Message: fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", call.Principal.ARN, action, arn(masked)),
	}}
}

// told is an error that a listener has heard of already: the router's of a push,
// the gate's of a denial.
type told struct{ error }

// Unwrap returns the error itself.
func (t told) Unwrap() error { return t.error }

// tooLarge has AWS's code; the text of its message is not known. WS-07-007, WS-07-008
func (a *API) tooLarge() error {
	return awshttp.Errorf(http.StatusRequestEntityTooLarge, "PayloadTooLargeException", "The payload is larger than %d bytes", a.most)
}

// errThrottled is the account's throttle: the one code of status 429 that this
// API's model has. WS-07-071
var errThrottled = awshttp.Errorf(http.StatusTooManyRequests, "LimitExceededException", "Too Many Requests")

// failed returns what the caller sees, and tells the gate's listener what no
// other was told. text is the connection's id as the caller wrote it.
func (a *API) failed(method, trace, requestID, text string, err error) *awshttp.Error {
	var e *awshttp.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, apigw.ErrGone):
		// The body is empty on AWS; the message is for the listener. WS-07-031, WS-07-032
		e = &awshttp.Error{Code: "GoneException", Status: http.StatusGone, BareBody: true, Message: method + " of connection " + text, Why: err.Error()}
	case errors.Is(err, cluster.ErrElsewhere): // WS-07-038, WS-07-039
		e = awshttp.Errorf(http.StatusForbidden, "ForbiddenException", "Forbidden")
		e.Why = err.Error()
	case errors.Is(err, apigw.ErrQueueFull): // WS-07-061, WS-07-072
		e = awshttp.Errorf(http.StatusTooManyRequests, "LimitExceededException", "The client's buffer is full: it reads too slowly")
	default:
		if a.gate.Events.Failed != nil {
			a.gate.Events.Failed(Service, method+" @connections", requestID, err)
		}
		return awshttp.Errorf(http.StatusInternalServerError, "InternalServerErrorException", "Internal server error")
	}
	if !errors.As(err, new(told)) && a.gate.Events.Refused != nil {
		a.gate.Events.Refused(awshttp.Refusal{Service: Service, Operation: method + " @connections", RequestID: requestID, Trace: trace, Err: e})
	}
	return e
}

func errorBody(e *awshttp.Error) []byte {
	if e.BareBody {
		return nil
	}
	key := e.MessageKey
	if key == "" {
		key = "message"
	}
	b, err := json.Marshal(map[string]string{key: e.Message})
	if err != nil { // a map of strings has no way to fail
		return nil
	}
	return b
}

func write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	// SDKs read an empty body's type too: without one net/http would guess.
	h["Content-Type"] = []string{"application/json"}
	w.WriteHeader(status)
	w.Write(body) // whether the caller still listens is its own affair
}

// connectionOutput is GetConnection's answer in AWS's spelling. WS-07-002, WS-07-012
type connectionOutput struct {
	ConnectedAt  string         `json:"connectedAt"`
	Identity     identityOutput `json:"identity"`
	LastActiveAt string         `json:"lastActiveAt"`
}

// identityOutput has both members always: the service model requires them.
// WS-07-010, WS-07-011
type identityOutput struct {
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

func newConnectionOutput(s cluster.Status) connectionOutput {
	const iso8601 = "2006-01-02T15:04:05.000Z"
	return connectionOutput{
		ConnectedAt:  s.ConnectedAt.UTC().Format(iso8601),
		Identity:     identityOutput{SourceIP: s.Identity.SourceIP, UserAgent: s.Identity.UserAgent},
		LastActiveAt: s.LastActiveAt.UTC().Format(iso8601),
	}
}

var _ Router = (*cluster.Router)(nil)
