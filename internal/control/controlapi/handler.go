// Package controlapi is the HTTP face of the control plane: Amazon API Gateway
// V2's rest-json protocol under /v2, as far as WebSocket APIs need it. Every
// other operation of API Gateway's, version 1 included, is refused by name.
//
// Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/
package controlapi

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// signingName is what callers sign for.
const signingName = "apigateway"

// maxPage is how many items a list returns at most, and when the caller doesn't
// say how many.
const maxPage = 500

// A face answers calls with what the service says.
type face struct {
	service  *control.Service
	protocol awshttp.Protocol
	mux      *http.ServeMux
}

// New returns the handler of everything that is signed for apigateway.
func New(gate *awshttp.Gate, service *control.Service) http.Handler {
	f := &face{service: service, protocol: awshttp.Protocol{Gate: gate, Service: signingName}, mux: http.NewServeMux()}
	f.apis()
	f.routes()
	f.routeResponses()
	f.authorizers()
	f.integrations()
	f.integrationResponses()
	f.deployments()
	f.models()
	f.stages()
	f.domains()
	f.mappings()
	f.tags()
	f.vpcLinks()
	f.unserved()
	return f.mux
}

// on serves an operation: fn's value is sent with the status (204: none is).
func (f *face) on(method, path string, status int, fn awshttp.HandlerFunc) {
	f.mux.Handle(method+" "+path, f.protocol.REST(func(c *awshttp.Call) (any, error) {
		if err := c.Authorize("apigateway:"+method, resource(c)); err != nil {
			return nil, err
		}
		v, err := fn(c)
		if err != nil {
			return nil, translate(err)
		}
		return &awshttp.Response{Status: status, Value: v}, nil
	}))
}

// resource returns the ARN that policies know the call's target by: the path
// without the protocol's version. A tagged resource's ARN stays percent-encoded
// in it.
func resource(c *awshttp.Call) string {
	path := c.Request.URL.Path
	if strings.HasPrefix(path, "/v2/tags/") {
		path = c.Request.URL.EscapedPath()
	}
	return "arn:aws:apigateway:" + c.Region + "::" + strings.TrimPrefix(path, "/v2")
}

// translate gives the service's refusals their codes and statuses.
func translate(err error) error {
	var e *control.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case control.NotFound:
		return &awshttp.Error{Code: "NotFoundException", Status: http.StatusNotFound, Message: e.Message, Fields: map[string]any{"resourceType": e.ResourceType}}
	case control.Conflict:
		return awshttp.Errorf(http.StatusConflict, "ConflictException", "%s", e.Message)
	case control.TooMany:
		return &awshttp.Error{Code: "TooManyRequestsException", Status: http.StatusTooManyRequests, Message: e.Message, Fields: map[string]any{"limitType": e.LimitType}}
	}
	return badRequest(e.Message)
}

func badRequest(message string) error {
	return awshttp.Errorf(http.StatusBadRequest, "BadRequestException", "%s", message)
}

// A list is the answer of every operation that lists.
type list[T any] struct {
	Items     []T    `json:"items"`
	NextToken string `json:"nextToken,omitempty"`
}

// page returns the part of the items that the call asks for. They are sorted by
// key; the token holds the last one sent, so that a page stays right when
// others come and go meanwhile.
func page[T, W any](c *awshttp.Call, items []T, key func(T) string, wire func(T) W) (any, error) {
	query := c.Request.URL.Query()
	size := maxPage
	if text := query.Get("maxResults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, badRequest("Invalid value for maxResults: it must be a whole number from 1")
		}
		size = min(n, maxPage) // WS-09-013
	}
	after := ""
	if token := query.Get("nextToken"); token != "" {
		b, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(b) == 0 {
			return nil, badRequest("Invalid value for nextToken: it isn't one that a list returned")
		}
		after = string(b)
	}
	out := list[W]{Items: []W{}} // WS-09-012
	last := ""
	for _, item := range items {
		k := key(item)
		if after != "" && k <= after {
			continue
		}
		if len(out.Items) == size {
			out.NextToken = base64.RawURLEncoding.EncodeToString([]byte(last))
			break
		}
		out.Items = append(out.Items, wire(item))
		last = k
	}
	return out, nil
}

// timestamp returns the time as the service's JSON has it: ISO 8601 in UTC, in
// whole seconds.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) } // WS-09-023

// orEmpty returns the map, or an empty one, which JSON shows as {}.
func orEmpty[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return m
}
