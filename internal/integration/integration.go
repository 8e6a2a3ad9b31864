// Package integration calls backends: Lambda functions, AWS services, HTTP
// endpoints and mocks. An invoker performs one integration; it is bound when a deployment is
// compiled and then used by many messages at once.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integrations.html
package integration

import (
	"context"
	"errors"

	"tidegate/internal/event"
)

// An Invoker performs an integration. Invoke blocks until the backend has
// answered, the integration's timeout has passed or ctx is done; its error is
// an *Error. It is safe for concurrent use.
type Invoker interface {
	Invoke(ctx context.Context, r *Request) (*Response, error)
}

// A Starter is an Invoker that can do without a goroutine that waits.
type Starter interface {
	Invoker
	// Start begins what Invoke does, and returns. The outcome goes to to, once.
	Start(ctx context.Context, r *Request, to Receiver)
}

// A Receiver takes what Invoke would have returned. The response, its header and
// body are valid until Receive returns. It is called on a goroutine that others' answers wait for,
// perhaps before Start has returned: it must not block.
type Receiver interface {
	Receive(*Response, error)
}

// A Request is what goes to a backend, after mapping.
type Request struct {
	Context    *event.Context
	Connect    *event.ConnectRequest // the handshake, on $connect only
	Payload    []byte                // the event for a Lambda proxy, else the body; the caller's again when Invoke or Start returns
	Parameters []event.Parameter     // mapped header, query and path parameters
}

// A Response is what a backend answered.
type Response struct {
	Status int
	Header []event.Field
	Body   []byte
	Binary bool // a function said so, by isBase64Encoded
	// Failed is why a function behind a non-proxy integration failed; its error
	// object is the body, for an integration response to map.
	Failed *Error
	// Detail says for logs what is wrong with an answer that is none of success.
	Detail string
	// RequestID is the one that an AWS service gave the call; empty: it isn't one.
	RequestID string
}

// The kinds of failure, to be tested with errors.Is. Statuses of a rejected
// handshake and frames of a failed message follow from them.
var (
	// ErrTimeout says that the backend took longer than the integration's
	// timeout (504; Endpoint request timed out).
	ErrTimeout = errors.New("integration timed out")
	// ErrFunction says that the function threw, exited or ran into its own
	// timeout (502; Internal server error).
	ErrFunction = errors.New("function error")
	// ErrMalformed says that the backend's answer has not the shape it must
	// have (502; Internal server error).
	ErrMalformed = errors.New("malformed integration response")
	// ErrRefused says that the function was not invoked: no permission, no such
	// function, throttled, payload too large (500; Internal server error).
	ErrRefused = errors.New("invocation refused")
	// ErrUnreachable says that no answer came from the backend: connection
	// refused, name not found, TLS failed (500; Internal server error).
	ErrUnreachable = errors.New("backend unreachable")
)

// An Error is a failed invocation.
type Error struct {
	Kind   error  // one of the Err… above
	Detail string // for logs: what the backend said or which check failed
	Err    error  // the cause, may be nil
	// Status and RequestID are those of the answer that Lambda gave to the call; 0
	// and empty when there was none, or the backend is another.
	Status    int
	RequestID string
}

// Error returns the kind and the detail.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Kind.Error()
	}
	return e.Kind.Error() + ": " + e.Detail
}

// Unwrap returns the kind and the cause, so that errors.Is finds both.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
