// Package authorizer decides who may connect: by asking a Lambda function
// (REQUEST authorizers), or by the signature of the handshake and the caller's
// policies (AWS_IAM). It is asked once, on $connect; nothing is cached. JWT
// authorizers belong to HTTP APIs.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-control-access.html
package authorizer

import (
	"context"
	"errors"
	"time"

	"tidegate/internal/event"
)

// An Authorizer decides on one handshake. Its error is a *Refusal. It is safe for
// concurrent use.
type Authorizer interface {
	// What passed is noted in t, also when it ends in an error.
	Authorize(ctx context.Context, c *event.Context, connect *event.ConnectRequest, t *Trace) (event.Grant, error)
}

// A Trace is how a decision came about, in the phases that access logs know: IAM
// has Authenticate, a function Authorizer, and both Authorize, which holds the
// policy against the route.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html
type Trace struct {
	Authenticate, Authorizer, Authorize Phase

	Called             bool // the function was
	IntegrationLatency time.Duration
	IntegrationStatus  int    // with which Lambda answered; 0: it didn't
	RequestID          string // Lambda's
}

// A Phase is one of a decision's.
type Phase struct {
	Status  int // 0: it wasn't reached
	Latency time.Duration
	Err     error
}

// end notes how a phase ended that began at start.
func (p *Phase) end(status int, start, end time.Time, err error) {
	*p = Phase{Status: status, Latency: end.Sub(start), Err: err}
}

// The kinds of refusal, to be tested with errors.Is; each has a status of its own.
var (
	// ErrNoIdentity says that the handshake lacks an identity source: the function
	// wasn't asked (401).
	ErrNoIdentity = errors.New("an identity source is missing or empty")
	// ErrUnauthorized says that the function threw the text Unauthorized (401).
	ErrUnauthorized = errors.New("the authorizer answered Unauthorized")
	// ErrDenied says that a policy doesn't allow the connection (403).
	ErrDenied = errors.New("denied")
	// ErrFailed says that the function threw something else, took too long, or
	// couldn't be invoked (500).
	ErrFailed = errors.New("the authorizer failed")
	// ErrMalformed says that what the function returned is no answer of an
	// authorizer (500).
	ErrMalformed = errors.New("malformed authorizer response")
	// ErrUnsigned says that a handshake must be signed and isn't (403).
	ErrUnsigned = errors.New("the handshake is not signed")
	// ErrSignature says that the signature isn't good: malformed, of an unknown
	// key, expired, or wrong (403).
	ErrSignature = errors.New("the handshake's signature is refused")
)

// A Refusal is a handshake that may not go on.
type Refusal struct {
	Kind   error  // one of the Err… above
	Detail string // for logs: which source, statement or step
	Err    error  // the cause; may be nil
}

// Error returns the kind and the detail.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return r.Kind.Error()
	}
	return r.Kind.Error() + ": " + r.Detail
}

// Unwrap returns the kind and the cause, so that errors.Is finds both.
func (r *Refusal) Unwrap() []error {
	if r.Err == nil {
		return []error{r.Kind}
	}
	return []error{r.Kind, r.Err}
}
