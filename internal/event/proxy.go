package event

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clfTime is the layout of requestTime: the Common Log Format, always in UTC.
const clfTime = "02/Jan/2006:15:04:05 -0700"

// AppendProxy appends the event that a proxy integration receives, as JSON in
// AWS's key order. c.EventType decides its shape:
//
//   - CONNECT (WS-04-001, WS-04-004): headers and query of connect, no body. connect must be set.
//   - MESSAGE (WS-04-002, WS-04-026): body as a string, base64 of a binary message; connect is not
//     looked at.
//   - DISCONNECT (WS-04-003): the fixed headers, close code and reason from c.Close.
//
// Keys that don't apply are left out, never null. For MESSAGE it allocates
// nothing when dst has room.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
// and events captured on AWS between 2023-11 and 2024-12.
func AppendProxy(dst []byte, c *Context, connect *ConnectRequest, body []byte) []byte {
	dst = append(dst, '{')
	switch c.EventType {
	case TypeConnect:
		dst = appendConnectFields(dst, connect)
	case TypeDisconnect:
		dst = appendDisconnectHeaders(dst, c.DomainName)
	}
	// The captures don't show stageVariables. A REST API's event has them just
	// before requestContext, so this has too (WS-04-010).
	if len(c.StageVariables) > 0 {
		dst = append(dst, `"stageVariables":`...)
		dst = appendMap(dst, c.StageVariables)
		dst = append(dst, ',')
	}
	dst = append(dst, `"requestContext":`...)
	dst = appendContext(dst, c)
	if c.EventType == TypeMessage {
		dst = append(dst, `,"body":`...)
		if c.Binary {
			dst = append(base64.StdEncoding.AppendEncode(append(dst, '"'), body), `","isBase64Encoded":true}`...)
			return dst
		}
		dst = appendString(dst, body)
	}
	return append(dst, `,"isBase64Encoded":false}`...)
}

// appendContext appends the requestContext object. What is one event type's alone is
// in no other's (WS-04-030).
func appendContext(dst []byte, c *Context) []byte {
	dst = append(dst, `{"routeKey":`...)
	dst = appendString(dst, string(c.RouteKey))
	if c.Authorizer != nil {
		dst = append(dst, `,"authorizer":`...)
		dst = c.Authorizer.append(dst)
	}
	if c.EventType == TypeMessage {
		dst = append(dst, `,"messageId":`...)
		dst = appendString(dst, c.MessageID)
	}
	if c.EventType == TypeDisconnect && c.Close != nil {
		dst = append(dst, `,"disconnectStatusCode":`...)
		dst = strconv.AppendInt(dst, int64(c.Close.Code), 10)
	}
	dst = append(dst, `,"eventType":`...)
	dst = appendString(dst, string(c.EventType))
	dst = append(dst, `,"extendedRequestId":`...)
	dst = appendString(dst, c.RequestID)
	dst = append(dst, `,"requestTime":"`...)
	dst = c.RequestTime.UTC().AppendFormat(dst, clfTime)
	dst = append(dst, `","messageDirection":"IN"`...)
	if c.EventType == TypeDisconnect && c.Close != nil {
		dst = append(dst, `,"disconnectReason":`...)
		dst = appendString(dst, c.Close.Text)
	}
	dst = append(dst, `,"stage":`...)
	dst = appendString(dst, string(c.Stage))
	dst = append(dst, `,"connectedAt":`...)
	dst = appendMillis(dst, c.ConnectedAt)
	dst = append(dst, `,"requestTimeEpoch":`...)
	dst = appendMillis(dst, c.RequestTime)
	dst = append(dst, `,"identity":`...)
	dst = appendIdentity(dst, &c.Identity)
	dst = append(dst, `,"requestId":`...)
	dst = appendString(dst, c.RequestID)
	dst = append(dst, `,"domainName":`...)
	dst = appendString(dst, c.DomainName)
	dst = append(dst, `,"connectionId":`...)
	dst = appendString(dst, c.ConnectionID)
	dst = append(dst, `,"apiId":`...)
	dst = appendString(dst, c.APIID)
	return append(dst, '}')
}

// appendIdentity appends the identity object. The order of the caller's members is
// that of older captures, which show them as null; now they are left out (WS-04-024),
// or say who signed (WS-04-023) and with which API key (WS-04-025).
func appendIdentity(dst []byte, i *Identity) []byte {
	member := func(name, value string) {
		dst = append(dst, '"')
		dst = append(dst, name...)
		dst = append(dst, `":`...)
		dst = appendString(dst, value)
		dst = append(dst, ',')
	}
	dst = append(dst, '{')
	if i.APIKey != "" {
		member("apiKey", i.APIKey)
	}
	if i.Caller != nil {
		member("userArn", i.Caller.ARN)
	}
	if i.APIKeyID != "" {
		member("apiKeyId", i.APIKeyID)
	}
	if i.UserAgent != "" {
		member("userAgent", i.UserAgent)
	}
	if i.Caller != nil {
		member("accountId", i.Caller.AccountID)
		member("caller", i.Caller.ID)
	}
	member("sourceIp", i.SourceIP)
	if i.Caller != nil {
		member("accessKey", i.Caller.AccessKeyID)
		member("user", i.Caller.ID)
	}
	dst[len(dst)-1] = '}'
	return dst
}

func appendMillis(dst []byte, t time.Time) []byte {
	return strconv.AppendInt(dst, t.UnixMilli(), 10)
}

// appendMap appends m as an object, its keys sorted so that equal contexts give
// equal events.
func appendMap(dst []byte, m map[string]string) []byte {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		dst = append(dst, separator(i))
		dst = appendString(dst, k)
		dst = append(dst, ':')
		dst = appendString(dst, m[k])
	}
	return append(dst, '}')
}

// separator is what stands before the i-th member of an object.
func separator(i int) byte {
	if i == 0 {
		return '{'
	}
	return ','
}

// appendDisconnectHeaders appends the two header maps that AWS sends with
// DISCONNECT: always these four names, only Host with a value (WS-04-031).
func appendDisconnectHeaders(dst []byte, host string) []byte {
	dst = append(dst, `"headers":{"Host":`...)
	dst = appendString(dst, host)
	dst = append(dst, `,"x-api-key":"","X-Forwarded-For":"","x-restapi":""},"multiValueHeaders":{"Host":[`...)
	dst = appendString(dst, host)
	return append(dst, `],"x-api-key":[""],"X-Forwarded-For":[""],"x-restapi":[""]},`...)
}

// appendConnectFields appends the header maps of CONNECT, and the query maps
// when the client's URL had a query (WS-04-005).
func appendConnectFields(dst []byte, r *ConnectRequest) []byte {
	dst = appendHeaders(dst, r.EventHeader())
	if len(r.Query) > 0 {
		dst = appendQuery(dst, r.Query)
	}
	return dst
}

func appendHeaders(dst []byte, headers []Field) []byte {
	byName := func(a, b string) int { return compareFold(a, b) }
	slices.SortStableFunc(headers, func(a, b Field) int { return byName(a.Name, b.Name) })
	return appendFields(dst, "headers", "multiValueHeaders", headers, byName)
}

func appendQuery(dst []byte, query []Field) []byte {
	query = slices.Clone(query)
	slices.SortStableFunc(query, func(a, b Field) int { return cmp.Compare(a.Name, b.Name) })
	return appendFields(dst, "queryStringParameters", "multiValueQueryStringParameters", query, cmp.Compare[string])
}

// EventHeader returns the handshake's header as the CONNECT event shows it, in
// the client's order: Connection, Upgrade and Content-Length are stripped (WS-04-012), and
// an X-Amzn-Trace-Id is added when the client sent none. X-Forwarded-Port and
// -Proto tell of the gateway's own socket; the client's address is appended to
// the X-Forwarded-For that it sent, so that the last one there can be trusted.
// The result is the caller's.
func (r *ConnectRequest) EventHeader() []Field { return r.eventHeader(false) }

// eventHeader is EventHeader, with the fields about the client's own HTTP
// connection if hops is set.
func (r *ConnectRequest) eventHeader(hops bool) []Field {
	fields := make([]Field, 0, len(r.Header)+4)
	var forwardedFor []string
	for _, f := range r.Header {
		switch {
		case strings.EqualFold(f.Name, "X-Forwarded-For"):
			if f.Value != "" {
				forwardedFor = append(forwardedFor, f.Value)
			}
		case strings.EqualFold(f.Name, "X-Forwarded-Port"), strings.EqualFold(f.Name, "X-Forwarded-Proto"):
		case !hops && (strings.EqualFold(f.Name, "Connection") ||
			strings.EqualFold(f.Name, "Upgrade") ||
			strings.EqualFold(f.Name, "Content-Length")):
		default:
			fields = append(fields, f)
		}
	}
	if r.ForwardedFor != "" {
		forwardedFor = append(forwardedFor, r.ForwardedFor)
	}
	if !r.HasHeader("X-Amzn-Trace-Id") {
		fields = appendField(fields, "X-Amzn-Trace-Id", r.TraceID)
	}
	fields = appendField(fields, "X-Forwarded-For", strings.Join(forwardedFor, ", "))
	fields = appendField(fields, "X-Forwarded-Port", r.ForwardedPort)
	return appendField(fields, "X-Forwarded-Proto", r.ForwardedProto)
}

// appendField appends a field that has a value.
func appendField(fields []Field, name, value string) []Field {
	if value == "" {
		return fields
	}
	return append(fields, Field{Name: name, Value: value})
}

// appendFields appends a single-value map, which takes the last value of a
// repeated name (WS-04-016, WS-04-017), and a multi-value map. Fields whose names compare equal are
// neighbours; the first one's spelling names the key.
func appendFields(dst []byte, single, multi string, fields []Field, compare func(a, b string) int) []byte {
	dst = appendString(dst, single)
	dst = append(dst, ':')
	for i, n := 0, 0; i < len(fields); i, n = lastOf(fields, i, compare)+1, n+1 {
		dst = append(dst, separator(n))
		dst = appendString(dst, fields[i].Name)
		dst = append(dst, ':')
		dst = appendString(dst, fields[lastOf(fields, i, compare)].Value)
	}
	dst = closeObject(dst, len(fields))
	dst = append(dst, ',')
	dst = appendString(dst, multi)
	dst = append(dst, ':')
	for i, n := 0, 0; i < len(fields); n++ {
		dst = append(dst, separator(n))
		dst = appendString(dst, fields[i].Name)
		dst = append(dst, `:[`...)
		last := lastOf(fields, i, compare)
		for first := i; i <= last; i++ {
			if i > first {
				dst = append(dst, ',')
			}
			dst = appendString(dst, fields[i].Value)
		}
		dst = append(dst, ']')
	}
	dst = closeObject(dst, len(fields))
	return append(dst, ',')
}

// lastOf returns the index of the last field that has the name of fields[i].
func lastOf(fields []Field, i int, compare func(a, b string) int) int {
	for i+1 < len(fields) && compare(fields[i].Name, fields[i+1].Name) == 0 {
		i++
	}
	return i
}

// closeObject ends an object of n members that separator began.
func closeObject(dst []byte, n int) []byte {
	if n == 0 {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}

// compareFold compares a and b as ASCII without regard to case; that is how the
// captured events order header names.
func compareFold(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if d := int(lower(a[i])) - int(lower(b[i])); d != 0 {
			return d
		}
	}
	return len(a) - len(b)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// HasHeader reports whether the client sent a header of that name, in any case.
func (r *ConnectRequest) HasHeader(name string) bool {
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}
