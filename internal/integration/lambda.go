package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/internal/pattern"
	"tidegate/sigv4"
)

// A LambdaConfig says where and as whom functions are invoked.
type LambdaConfig struct {
	Endpoint    string            // base URL of the Lambda API, such as http://localhost:8420
	Client      *http.Client      // shared by all invokers; its transport may dial an in-memory listener; nil means http.DefaultClient
	Region      string            // of the signature and of the route's ARN
	Account     string            // the API's account, 12 digits
	Credentials sigv4.Credentials // of the principal apigateway.amazonaws.com
	Roles       *Roles            // needed with a Role only
	Role        string            // credentialsArn: who invokes instead of Credentials; may be ""
	Timeout     time.Duration     // the integration's; 0 means apigw.MaxIntegrationTimeout
	Patience    time.Duration     // instead of Timeout when it is longer: the function is under a debugger
	Now         func() time.Time  // dates the signatures; nil means time.Now
}

// maxLambdaResult is the most bytes of a function's result that are read:
// Lambda's own limit of a synchronous invocation.
const maxLambdaResult = 6291556

// NewLambda returns an invoker of the Lambda proxy integration with the given
// function ARN. Each invocation is one signed call of Lambda's Invoke, which
// names the route in X-Amz-Source-Arn for the function's resource policy. It is
// never repeated.
//
// The response is the function's proxy result. Its Status is 0 when the result
// names none, which is an ErrMalformed on $connect.
func NewLambda(c LambdaConfig, functionARN string) Invoker {
	return &lambda{NewFunction(c, functionARN)}
}

// A Function is a Lambda function as API Gateway calls it, whatever for.
type Function struct {
	config    LambdaConfig
	arn       string
	partition string // of the ARNs: aws, aws-cn, aws-us-gov
	url       *url.URL
	err       error // the endpoint's, if it isn't a URL
	timeout   time.Duration
}

// NewFunction returns the function with the given ARN, perhaps with a qualifier.
func NewFunction(c LambdaConfig, functionARN string) *Function {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Client == nil {
		c.Client = http.DefaultClient
	}
	f := &Function{config: c, arn: functionARN, partition: "aws"}
	if parts := strings.SplitN(functionARN, ":", 3); len(parts) == 3 {
		f.partition = parts[1]
	}
	f.timeout = max(orMax(c.Timeout), c.Patience)
	f.url, f.err = url.Parse(strings.TrimSuffix(c.Endpoint, "/") + "/2015-03-31/functions/" + url.PathEscape(functionARN) + "/invocations")
	return f
}

// orMax returns an integration's timeout; one that isn't set is AWS's longest.
func orMax(timeout time.Duration) time.Duration {
	if timeout <= 0 {
		return apigw.MaxIntegrationTimeout
	}
	return timeout
}

// A Call is one invocation of a function.
type Call struct {
	// SourceARN says on whose behalf it is, for the function's resource policy.
	SourceARN string
	RequestID string // the gateway's
	Payload   []byte // the event; the caller's again when Invoke returns
	// Parameters are mapped; those that are headers go along.
	Parameters []event.Parameter
	// Invocation is set to the request id that Lambda gave the call. It may be nil.
	Invocation *string
}

// A result is a function's answer.
type result struct {
	status  int    // of the invocation: 200, 202 of an asynchronous one
	id      string // Lambda's request id
	payload []byte
	thrown  *Thrown // nil unless the function failed; then payload is its error object
}

// Invoke calls the function and returns what it returned, at most maxResult
// bytes of JSON. The error is an *Error; one of kind ErrFunction wraps what the
// function threw, a *Thrown.
//
// Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func (f *Function) Invoke(ctx context.Context, c Call, maxResult int64) ([]byte, error) {
	r, err := f.call(ctx, c, maxResult)
	switch {
	case err != nil:
		return nil, err
	case r.thrown != nil:
		failure := r.thrown.failure()
		failure.Status, failure.RequestID = r.status, r.id
		return nil, failure
	case r.status != http.StatusOK:
		return nil, &Error{Kind: ErrRefused, Detail: fmt.Sprintf("Lambda answered %d to a synchronous invocation", r.status), Status: r.status, RequestID: r.id}
	}
	return r.payload, nil
}

// call is one signed call of Lambda's Invoke. The error is an *Error.
func (f *Function) call(ctx context.Context, c Call, maxResult int64) (*result, error) {
	if f.err != nil {
		return nil, &Error{Kind: ErrUnreachable, Detail: "the Lambda endpoint is no URL", Err: f.err}
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	keys := f.config.Credentials
	if f.config.Role != "" { // WS-03-089
		var err error
		if keys, err = f.config.Roles.Keys(ctx, f.config.Role, c.SourceARN); err != nil {
			return nil, err
		}
	}
	req, err := f.request(ctx, c, keys)
	if err != nil {
		return nil, &Error{Kind: ErrRefused, Detail: err.Error()}
	}
	resp, err := f.config.Client.Do(req)
	if err != nil {
		return nil, transportError(ctx, "Lambda", f.timeout, err)
	}
	defer resp.Body.Close()
	id := resp.Header.Get("X-Amzn-Requestid")
	if c.Invocation != nil {
		*c.Invocation = id
	}
	payload, err := readBody(resp, maxResult)
	if err != nil {
		if errors.Is(err, errTooBig) {
			return nil, &Error{Kind: ErrMalformed, Detail: fmt.Sprintf("the result of %s has more than %d bytes", f.arn, maxResult), Status: resp.StatusCode, RequestID: id}
		}
		return nil, transportError(ctx, "Lambda", f.timeout, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, &Error{Kind: ErrRefused, Detail: refusal(resp, payload), Status: resp.StatusCode, RequestID: id}
	}
	r := &result{status: resp.StatusCode, id: id, payload: payload}
	if resp.Header.Get("X-Amz-Function-Error") != "" {
		r.thrown = newThrown(payload)
	}
	return r, nil
}

// lambda is the Lambda proxy integration.
type lambda struct{ function *Function }

var _ Invoker = (*lambda)(nil)

// Invoke calls the function and waits for its result.
func (l *lambda) Invoke(ctx context.Context, r *Request) (*Response, error) {
	var id string
	payload, err := l.function.Invoke(ctx, Call{SourceARN: l.function.routeARN(r.Context), RequestID: r.Context.RequestID, Payload: r.Payload, Invocation: &id}, maxLambdaResult)
	if err != nil {
		return nil, err
	}
	reply, err := event.ParseReply(payload)
	if err != nil {
		return nil, &Error{Kind: ErrMalformed, Detail: err.Error(), Err: err, Status: http.StatusOK, RequestID: id}
	}
	if reply.Status == 0 && r.Context.EventType == event.TypeConnect {
		return nil, &Error{Kind: ErrMalformed, Detail: "the function's result has no statusCode, which $connect needs", Status: http.StatusOK, RequestID: id}
	}
	return &Response{Status: reply.Status, Header: reply.Header, Body: reply.Body, Binary: reply.Binary, RequestID: id}, nil
}

// NewCustomLambda returns an invoker of the AWS integration with the given
// function ARN. It differs from NewLambda's in this: the payload, or {} when
// there is none, is the function's event; mapped headers go along
// (X-Amz-Invocation-Type 'Event' invokes asynchronously, WS-03-092); the response is the
// function's result as it is, with the status of the invocation: 200, or 202 of
// an asynchronous one. A function that fails leaves its error object as the body,
// and Failed says so.
func NewCustomLambda(c LambdaConfig, functionARN string) Invoker {
	return &customLambda{NewFunction(c, functionARN)}
}

type customLambda struct{ function *Function }

var _ Invoker = (*customLambda)(nil)

// Invoke calls the function and waits for its result, or only until it is
// queued.
func (l *customLambda) Invoke(ctx context.Context, r *Request) (*Response, error) {
	var id string
	c := Call{SourceARN: l.function.routeARN(r.Context), RequestID: r.Context.RequestID, Payload: r.Payload, Parameters: r.Parameters, Invocation: &id}
	if len(c.Payload) == 0 {
		c.Payload = []byte("{}")
	}
	got, err := l.function.call(ctx, c, maxLambdaResult)
	if err != nil {
		return nil, err
	}
	out := &Response{Status: got.status, RequestID: id, Body: got.payload, Header: []event.Field{{Name: "Content-Type", Value: "application/json"}}}
	if got.thrown != nil {
		out.Failed = got.thrown.failure()
		out.Detail = out.Failed.Error()
	}
	return out, nil
}

// RequestIDHeader carries the gateway's request id to Tidegate's Lambda, which
// tells of it beside its own: so one leads to the other in the log.
const RequestIDHeader = "X-Tidegate-Request-Id"

// request builds the signed call.
func (f *Function) request(ctx context.Context, c Call, keys sigv4.Credentials) (*http.Request, error) {
	u := *f.url
	payload := bytes.Clone(c.Payload) // a call that is cut short may read on after it has returned
	req := (&http.Request{
		Method: http.MethodPost, URL: &u, Host: u.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        make(http.Header, 8),
		Body:          io.NopCloser(bytes.NewReader(payload)),
		ContentLength: int64(len(payload)),
		GetBody: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(payload)), nil
		},
	}).WithContext(ctx)
	if err := mapHeader(req.Header, nil, c.Parameters); err != nil {
		return nil, err
	}
	req.Header["Content-Type"] = []string{"application/json"}
	req.Header["X-Amz-Source-Arn"] = []string{c.SourceARN}
	req.Header["X-Amz-Source-Account"] = []string{f.config.Account}
	req.Header[RequestIDHeader] = []string{c.RequestID}
	if req.Header.Get(event.TraceHeader) == "" { // the template may hand on the client's
		req.Header[event.TraceHeader] = []string{event.Trace(c.RequestID, f.config.Now())}
	}
	sigv4.Sign(req, payload, keys, "lambda", f.config.Region, f.config.Now())
	return req, nil
}

// routeARN names the route that calls, as the SourceArn of a function's
// permission does.
func (f *Function) routeARN(c *event.Context) string {
	return f.ARN(c.APIID, routePart(c))
}

// routePart is STAGE/ROUTEKEY.
func routePart(c *event.Context) string {
	return string(c.Stage) + "/" + headerSafe(string(c.RouteKey))
}

// ARN names a part of an API for policies, in the function's partition:
// arn:aws:execute-api:REGION:ACCOUNT:API/PART, where part is STAGE/ROUTEKEY or
// authorizers/ID.
func (f *Function) ARN(apiID, part string) string {
	return executeAPI(f.partition, f.config.Region, f.config.Account, apiID, part)
}

func executeAPI(partition, region, account, apiID, part string) string {
	return "arn:" + partition + ":execute-api:" + region + ":" + account + ":" + apiID + "/" + part
}

// headerSafe returns s with the bytes percent-encoded that a header's value
// can't have. A route key may hold any.
func headerSafe(s string) string {
	if validHeaderValue(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if validHeaderValue(s[i : i+1]) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

// validHeaderValue reports whether s may be a header's value (RFC 9110,
// section 5.5).
func validHeaderValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// maxDetail bounds what a backend says in an error's detail.
const maxDetail = 1024

// Thrown is what a failed function left: the error object, or in Message all of
// it when it is none.
type Thrown struct {
	Type    string // such as Error, Exception or Runtime.ExitError; may be ""
	Message string
}

// Error returns type and message.
func (t *Thrown) Error() string {
	if t.Type == "" {
		return clip(t.Message)
	}
	return clip(t.Type + ": " + t.Message)
}

// failure is what an invocation that ended so fails with.
func (t *Thrown) failure() *Error { return &Error{Kind: ErrFunction, Detail: t.Error(), Err: t} }

func newThrown(payload []byte) *Thrown {
	var e struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(payload, &e) != nil || e.Type == "" && e.Message == "" {
		return &Thrown{Message: string(payload)}
	}
	return &Thrown{Type: e.Type, Message: e.Message}
}

// refusal tells of an error that the Lambda API answered.
func refusal(resp *http.Response, payload []byte) string {
	var e struct {
		Message string // "message" as well: names match in any case
	}
	kind, _, _ := strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
	if json.Unmarshal(payload, &e) != nil || e.Message == "" {
		e.Message = string(payload)
	}
	return clip(fmt.Sprintf("Lambda answered %s", strings.TrimSpace(fmt.Sprintf("%d %s: %s", resp.StatusCode, kind, e.Message))))
}

// clip cuts s to what a log line can take, as valid UTF-8.
func clip(s string) string {
	if len(s) > maxDetail {
		s = s[:maxDetail] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

// functionARN is an ARN of a function, with or without a qualifier.
var functionARN = pattern.New(`^arn:[a-z0-9-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]{1,140}(:[A-Za-z0-9$_-]{1,128})?$`)

// proxyURI is the URI of a Lambda integration, around the function's ARN.
var proxyURI = pattern.New(`^arn:[a-z0-9-]+:apigateway:[a-z0-9-]+:lambda:path/[0-9]{4}-[0-9]{2}-[0-9]{2}/functions/(.*)/invocations$`)

// ParseLambdaURI returns the function ARN, with its qualifier, in an
// integration's URI. It takes
//
//	arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/FUNCTIONARN/invocations
//
// and the function ARN alone, each with ${stageVariables.NAME} anywhere. The
// error says what is wrong.
//
// Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-integrations-integrationid.html
func ParseLambdaURI(uri string, vars map[string]string) (arn string, err error) {
	filled := event.SubstituteStageVariables(uri, vars)
	arn = filled
	if m := proxyURI.FindStringSubmatch(filled); m != nil {
		arn = m[1]
	}
	if functionARN.MatchString(arn) {
		return arn, nil
	}
	if filled != uri {
		return "", fmt.Errorf("%.256q, with its stage variables filled in, is %.256q, which names no Lambda function", uri, filled)
	}
	return "", fmt.Errorf("%.256q names no Lambda function; it must be a function's ARN or arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations", uri)
}
