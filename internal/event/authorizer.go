package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unique"
)

// A Caller is who signed a handshake.
type Caller struct {
	AccountID   string `json:"accountId"`
	AccessKeyID string `json:"accessKeyId"`
	ID          string `json:"id"` // the principal's unique id: AROA…:SESSION of a role's session, else the account
	ARN         string `json:"arn"`
}

// Append appends the caller as JSON, as json.Marshal has it, and doesn't allocate.
func (c *Caller) Append(dst []byte) []byte {
	dst = appendString(append(dst, `{"accountId":`...), c.AccountID)
	dst = appendString(append(dst, `,"accessKeyId":`...), c.AccessKeyID)
	dst = appendString(append(dst, `,"id":`...), c.ID)
	return append(appendString(append(dst, `,"arn":`...), c.ARN), '}')
}

// A Grant is what came of a $connect route's authorization.
type Grant struct {
	Authorizer *AuthorizerContext // of a Lambda authorizer
	Caller     *Caller            // of IAM
	Key        *APIKey            // of a route that requires one
}

// An APIKey is the key with which a client connected.
type APIKey struct {
	ID    string
	Value string // a secret; no business of Tidegate's own logs
}

// Identify adds to an identity who signed and with which API key.
func (g Grant) Identify(i *Identity) {
	i.Caller = g.Caller
	if g.Key != nil {
		i.APIKey, i.APIKeyID = g.Key.Value, g.Key.ID
	}
}

// An AuthorizerContext is what an authorizer said of a client: who it is, and
// values for the routes. It never changes. Its texts are held once however many
// connections share them.
type AuthorizerContext struct {
	principalID  unique.Handle[string]
	usageKey     string
	hasPrincipal bool
	latency      int64             // of the authorizer's integration, in ms
	values       []authorizerValue // by name
}

type authorizerValue struct{ name, value unique.Handle[string] }

// The names that are not the authorizer's to give.
const (
	keyPrincipal = "principalId"
	keyLatency   = "integrationLatency"
	keyUsage     = "usageIdentifierKey"
)

// NewAuthorizerContext returns what an authorizer said. Values named principalId,
// integrationLatency and usageIdentifierKey are left out: those come from beside
// its context. usageKey is an API key, or "".
func NewAuthorizerContext(principalID, usageKey string, latency time.Duration, values map[string]string) *AuthorizerContext {
	a := &AuthorizerContext{
		principalID: unique.Make(principalID), hasPrincipal: principalID != "", usageKey: usageKey,
		latency: latency.Milliseconds(), values: make([]authorizerValue, 0, len(values)),
	}
	for name, value := range values {
		if name != keyPrincipal && name != keyLatency && name != keyUsage {
			a.values = append(a.values, authorizerValue{unique.Make(name), unique.Make(value)})
		}
	}
	slices.SortFunc(a.values, func(x, y authorizerValue) int { return strings.Compare(x.name.Value(), y.name.Value()) })
	return a
}

// lookup returns $context.authorizer.KEY. Every value is text.
func (a *AuthorizerContext) lookup(key string) (string, bool) {
	if a == nil {
		return "", false
	}
	switch key {
	case keyPrincipal:
		return a.principalID.Value(), a.hasPrincipal
	case keyLatency:
		return strconv.FormatInt(a.latency, 10), true
	case keyUsage:
		return a.usageKey, a.usageKey != ""
	}
	i, ok := slices.BinarySearchFunc(a.values, key, func(v authorizerValue, key string) int { return strings.Compare(v.name.Value(), key) })
	if !ok {
		return "", false
	}
	return a.values[i].value.Value(), true
}

// keys returns the names that templates can iterate over; the API key is to be
// asked for by name.
func (a *AuthorizerContext) keys() []string {
	if a == nil {
		return nil
	}
	keys := make([]string, 0, len(a.values)+2)
	keys = append(keys, keyPrincipal, keyLatency)
	for _, v := range a.values {
		keys = append(keys, v.name.Value())
	}
	return keys
}

// append appends the authorizer object of a proxy event (WS-06-022, WS-06-024).
func (a *AuthorizerContext) append(dst []byte) []byte {
	dst = append(dst, '{')
	if a.hasPrincipal {
		dst = append(dst, `"principalId":`...)
		dst = appendString(dst, a.principalID.Value())
		dst = append(dst, ',')
	}
	dst = append(dst, `"integrationLatency":`...)
	dst = strconv.AppendInt(dst, a.latency, 10)
	for _, v := range a.values {
		dst = append(dst, ',')
		dst = appendString(dst, v.name.Value())
		dst = append(dst, ':')
		dst = appendString(dst, v.value.Value())
	}
	return append(dst, '}')
}

// Append appends all of a as JSON, for a file, and doesn't allocate: the object of
// a proxy event, and the API key. UnmarshalJSON reads it.
func (a *AuthorizerContext) Append(dst []byte) []byte {
	dst = a.append(dst)
	if a.usageKey != "" {
		dst = append(dst[:len(dst)-1], `,"`+keyUsage+`":`...)
		dst = append(appendString(dst, a.usageKey), '}')
	}
	return dst
}

// MarshalJSON returns what Append appends.
func (a *AuthorizerContext) MarshalJSON() ([]byte, error) { return a.Append(nil), nil }

// UnmarshalJSON reads what Append appended. A value that isn't text is an error.
func (a *AuthorizerContext) UnmarshalJSON(b []byte) error {
	var beside struct {
		Latency int64 `json:"integrationLatency"`
	}
	var members map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(b, &beside), json.Unmarshal(b, &members)); err != nil {
		return fmt.Errorf("authorizer's context: %w", err)
	}
	delete(members, keyLatency)
	values := make(map[string]string, len(members))
	for name, raw := range members {
		var value string
		if err := json.Unmarshal(raw, &value); err != nil {
			return fmt.Errorf("authorizer's context: %q: %w", name, err)
		}
		values[name] = value
	}
	latency := time.Duration(beside.Latency) * time.Millisecond
	*a = *NewAuthorizerContext(values[keyPrincipal], values[keyUsage], latency, values)
	return nil
}

// AppendAuthorizer appends the event that a Lambda authorizer receives, as JSON.
// It is the CONNECT event with the hop-by-hop headers that this lacks, maps that
// are there even when empty, the ARN that the policy is to allow, and neither
// body nor isBase64Encoded (WS-06-001 to WS-06-006).
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
func AppendAuthorizer(dst []byte, c *Context, connect *ConnectRequest, methodARN string) []byte {
	dst = append(dst, `{"type":"REQUEST","methodArn":`...)
	dst = appendString(dst, methodARN)
	dst = append(dst, ',')
	headers := connect.eventHeader(true)
	if !connect.HasHeader("Content-Length") {
		headers = append(headers, Field{Name: "content-length", Value: "0"}) // a handshake has no body; AWS says so
	}
	dst = appendHeaders(dst, headers)
	dst = appendQuery(dst, connect.Query)
	dst = append(dst, `"stageVariables":`...)
	if len(c.StageVariables) == 0 {
		dst = append(dst, `{}`...)
	} else {
		dst = appendMap(dst, c.StageVariables)
	}
	dst = append(dst, `,"requestContext":`...)
	return append(appendContext(dst, c), '}')
}
