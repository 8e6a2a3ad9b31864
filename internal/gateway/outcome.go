package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/integration"
	"tidegate/internal/model"
	"tidegate/internal/stage"
)

// An Outcome is how an event ended; all but Done are reasons why something was
// refused or dropped. Metric label, log field and test assertion are the same
// constant.
type Outcome string

// The outcomes of connects, messages and disconnects.
const (
	Done Outcome = "done"

	UnknownStage      Outcome = "unknown-stage"
	Draining          Outcome = "draining"
	NoSlot            Outcome = "no-slot" // the registry is full
	MissingParameter  Outcome = "missing-parameter"
	IdentityMissing   Outcome = "identity-missing"  // an identity source of the authorizer's
	Unauthorized      Outcome = "unauthorized"      // the authorizer said so
	AuthorizerDenied  Outcome = "authorizer-denied" // by its policy, or by the caller's own
	AuthorizerFailed  Outcome = "authorizer-failed"
	AuthorizerAnswer  Outcome = "authorizer-answer" // what it answered isn't an authorizer's answer
	Unsigned          Outcome = "unsigned"
	SignatureRefused  Outcome = "signature-refused"
	RejectedByBackend Outcome = "rejected-by-backend" // $connect answered another status than 2xx

	NoRoute               Outcome = "no-route"
	NoIntegration         Outcome = "no-integration" // the route has no target
	InvalidKey            Outcome = "invalid-api-key"
	KeyThrottled          Outcome = "api-key-throttled"
	KeyQuota              Outcome = "api-key-quota"
	Throttled             Outcome = "throttled"          // by the route's or the stage's settings
	AccountThrottled      Outcome = "account-throttled"  // by the account's rate and burst
	ConnectionThrottled   Outcome = "connection-rate"    // by the account's rate of new connections
	Misbehaving           Outcome = "misbehaving-client" // throttled so often that its connection is closed with 1008
	IntegrationBusy       Outcome = "integration-busy"   // at its bound for longer than a message waits
	InvalidBody           Outcome = "invalid-body"       // it fits no model of the route
	UnsupportedMediaType  Outcome = "unsupported-media-type"
	NoIntegrationResponse Outcome = "no-integration-response"
	MappingFailed         Outcome = "mapping-failed" // a template, or content handling
	IntegrationTimeout    Outcome = "integration-timeout"
	FunctionError         Outcome = "function-error"
	MalformedResponse     Outcome = "malformed-response"
	InvocationRefused     Outcome = "invocation-refused"
	BackendUnreachable    Outcome = "backend-unreachable"
	ReplyTooLarge         Outcome = "reply-too-large"
	ReplyQueueFull        Outcome = "reply-queue-full" // the client reads too slowly
	ClientGone            Outcome = "client-gone"      // it left before the answer
	Stopped               Outcome = "stopped"          // the process ended before the call
	Failed                Outcome = "failed"           // a fault of Tidegate's
)

// Errors that have no other home.
var (
	errUnknownStage  = errors.New("the API has no such stage, or has it no more")
	errThrottled     = errors.New("a throttling setting's rate or burst is used up")
	errAccount       = errors.New("the account's rate or burst (account_rate, account_burst) is used up")
	errConnections   = errors.New("the account's rate of new connections (connection_rate) is used up")
	errNoIntegration = errors.New("the route has no integration")
	errBusy          = errors.New("the integration has as many messages as it may have, and none ended in time")
	errStopped       = errors.New("the process stops")
	errReplyTooLarge = errors.New("the reply is larger than a message may be")
)

// A verdict is what an outcome means to the client: the status of a rejected
// handshake and the text of a rejection or an error frame.
type verdict struct {
	outcome Outcome
	status  int
	text    string
}

// Texts that clients see.
const (
	textForbidden       = "Forbidden"
	textInternal        = "Internal server error"
	textTimeout         = "Endpoint request timed out"
	textTooManyRequests = "Too Many Requests"
	textMediaType       = "Unsupported Media Type"
	textLimitExceeded   = "Limit Exceeded"
	textInvalidBody     = "Invalid request body"
	textUnauthorized    = "Unauthorized"
	textNotAuthorized   = "User is not authorized to access this resource"
	textUnsigned        = "Missing Authentication Token"
)

// verdicts says what a failed integration means.
var verdicts = []struct {
	err error
	verdict
}{
	// Those of an authorizer first: they may wrap its function's failure.
	{authorizer.ErrNoIdentity, verdict{IdentityMissing, http.StatusUnauthorized, textUnauthorized}},    // WS-06-032
	{authorizer.ErrUnauthorized, verdict{Unauthorized, http.StatusUnauthorized, textUnauthorized}},     // WS-06-027
	{authorizer.ErrDenied, verdict{AuthorizerDenied, http.StatusForbidden, textNotAuthorized}},         // WS-06-008
	{authorizer.ErrFailed, verdict{AuthorizerFailed, http.StatusInternalServerError, textInternal}},    // WS-06-028
	{authorizer.ErrMalformed, verdict{AuthorizerAnswer, http.StatusInternalServerError, textInternal}}, // WS-06-029
	{authorizer.ErrUnsigned, verdict{Unsigned, http.StatusForbidden, textUnsigned}},                    // WS-06-060
	{authorizer.ErrSignature, verdict{SignatureRefused, http.StatusForbidden, textForbidden}},          // WS-06-064
	{apigw.ErrKeyForbidden, verdict{InvalidKey, http.StatusForbidden, textForbidden}},                  // WS-06-091
	{apigw.ErrKeyThrottled, verdict{KeyThrottled, http.StatusTooManyRequests, textTooManyRequests}},    // WS-06-099
	{apigw.ErrKeyQuota, verdict{KeyQuota, http.StatusTooManyRequests, textLimitExceeded}},              // WS-06-100
	{integration.ErrTimeout, verdict{IntegrationTimeout, http.StatusGatewayTimeout, textTimeout}},      // WS-01-014, WS-02-023
	{integration.ErrFunction, verdict{FunctionError, http.StatusBadGateway, textInternal}},             // WS-01-011, WS-02-020
	{integration.ErrMalformed, verdict{MalformedResponse, http.StatusBadGateway, textInternal}},        // WS-01-012
	{integration.ErrRefused, verdict{InvocationRefused, http.StatusInternalServerError, textInternal}}, // WS-01-013, WS-02-021
	{integration.ErrUnreachable, verdict{BackendUnreachable, http.StatusInternalServerError, textInternal}},
	{stage.ErrUnsupportedMediaType, verdict{UnsupportedMediaType, http.StatusUnsupportedMediaType, textMediaType}}, // WS-02-029
	{stage.ErrNoIntegrationResponse, verdict{NoIntegrationResponse, http.StatusInternalServerError, textInternal}},
	{stage.ErrMapping, verdict{MappingFailed, http.StatusInternalServerError, textInternal}}, // WS-02-041
	{errNoIntegration, verdict{NoIntegration, http.StatusInternalServerError, textInternal}}, // WS-02-022
	{errBusy, verdict{IntegrationBusy, http.StatusTooManyRequests, textTooManyRequests}},
	{errReplyTooLarge, verdict{ReplyTooLarge, http.StatusInternalServerError, textInternal}},
	{errStopped, verdict{Stopped, http.StatusServiceUnavailable, textInternal}},
	// The gateway's own deadline, where an invoker returned the context's error.
	{context.DeadlineExceeded, verdict{IntegrationTimeout, http.StatusGatewayTimeout, textTimeout}},
}

func judge(err error) verdict {
	var invalid *model.Invalid
	if errors.As(err, &invalid) {
		return verdict{InvalidBody, http.StatusBadRequest, textInvalidBody} // WS-02-024
	}
	for _, v := range verdicts {
		if errors.Is(err, v.err) {
			return v.verdict
		}
	}
	return verdict{Failed, http.StatusInternalServerError, textInternal}
}

// recovered turns a panic below into an error, so that one message's bad luck
// doesn't end the process.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	}
}

// appendErrorFrame appends an error frame with AWS's spacing (captured): a
// space after "message": and after commas, none after the other two (WS-02-010).
func appendErrorFrame(dst []byte, text, connectionID, requestID string) []byte {
	dst = append(dst, `{"message": "`...)
	dst = append(dst, text...)
	dst = append(dst, `", "connectionId":"`...)
	dst = append(dst, connectionID...)
	dst = append(dst, `", "requestId":"`...)
	dst = append(dst, requestID...)
	return append(dst, `"}`...)
}

// A Rejection is a handshake that was refused.
type Rejection struct {
	Status    int    // of the HTTP answer
	Text      string // message of its JSON body
	Type      string // x-amzn-ErrorType
	RequestID string
	Outcome   Outcome
	Err       error // the cause, for logs; may be nil
}

// Error says why the handshake was refused.
func (r *Rejection) Error() string {
	if r.Err != nil {
		return fmt.Sprintf("%d %s: %s: %v", r.Status, r.Text, r.Outcome, r.Err)
	}
	return fmt.Sprintf("%d %s: %s", r.Status, r.Text, r.Outcome)
}

// Unwrap returns the cause.
func (r *Rejection) Unwrap() error { return r.Err }

// errorType is x-amzn-ErrorType by status.
func errorType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "UnauthorizedException"
	case http.StatusForbidden:
		return "ForbiddenException"
	case http.StatusTooManyRequests:
		return "TooManyRequestsException"
	case http.StatusServiceUnavailable:
		return "ServiceUnavailableException"
	}
	if status >= 500 {
		return "InternalServerErrorException"
	}
	return "BadRequestException"
}

// textOf is the message of a handshake that a backend rejected with the status.
func textOf(status int) string {
	switch {
	case status >= 500:
		return textInternal
	case http.StatusText(status) != "":
		return http.StatusText(status)
	}
	return textForbidden
}
