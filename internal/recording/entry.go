package recording

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/internal/gateway"
	"tidegate/internal/stage"
)

// maxBody is how much of an answer is kept; a longer one is cut, and its size told.
const maxBody = 128 << 10

// An Entry is a recorded exchange, as it lies on disk, a line each, and as
// /_tidegate/recordings shows it.
type Entry struct {
	RequestID    string          `json:"requestId"`
	Time         time.Time       `json:"time"`
	EventType    event.Type      `json:"eventType"`
	APIID        string          `json:"apiId"`
	Stage        apigw.StageName `json:"stage"`
	ConnectionID string          `json:"connectionId,omitempty"` // none when the handshake was refused before it had one
	MessageID    string          `json:"messageId,omitempty"`
	DomainName   string          `json:"domainName"`
	SourceIP     string          `json:"sourceIp"`
	UserAgent    string          `json:"userAgent,omitempty"`
	ConnectedAt  int64           `json:"connectedAt"` // ms since 1970

	// Of what $connect was granted; a replay doesn't ask for it again.
	Authorizer *event.AuthorizerContext `json:"authorizer,omitempty"`
	Caller     *event.Caller            `json:"caller,omitempty"`

	Payload string `json:"payload,omitempty"`
	Binary  []byte `json:"payloadBase64,omitempty"` // instead, of a message that isn't UTF-8
	// InBinary says that the client sent a binary message.
	InBinary bool                  `json:"binary,omitempty"`
	Connect  *event.ConnectRequest `json:"connect,omitempty"`
	Close    *event.CloseReason    `json:"close,omitempty"`

	Result
	// Pushes are what the function sent meanwhile, as far as its SDK told whose
	// call each was; Invocations the ids that Lambda gave.
	Pushes      []Push   `json:"pushes,omitempty"`
	Invocations []string `json:"invocations,omitempty"`
}

// A Result is what became of an exchange.
type Result struct {
	RouteKey apigw.RouteKey  `json:"routeKey"`
	Target   string          `json:"target,omitempty"`
	Outcome  gateway.Outcome `json:"outcome"`
	Status   int             `json:"status,omitempty"`
	Answer   *Answer         `json:"answer,omitempty"`
	Error    string          `json:"error,omitempty"`
	Duration float64         `json:"ms"`
}

// An Answer is what the integration answered.
type Answer struct {
	Status int           `json:"statusCode,omitempty"`
	Header []event.Field `json:"headers,omitempty"`
	Body   string        `json:"body,omitempty"`
	Binary []byte        `json:"bodyBase64,omitempty"` // instead, of a body that isn't UTF-8
	Size   int           `json:"bytes,omitempty"`      // of the whole body, when what is kept was cut
}

// A Push is one call of the Management API by a function that ran for the exchange.
type Push struct {
	ConnectionID string `json:"connectionId"`
	Bytes        int    `json:"bytes"`
	Outcome      string `json:"outcome"`
	Method       string `json:"method"` // POST or DELETE
}

// exchange is the entry in the gateway's words.
func (e *Entry) exchange() gateway.Exchange {
	x := gateway.Exchange{
		Subject: gateway.Subject{APIID: e.APIID, Stage: e.Stage, RouteKey: e.RouteKey, ConnectionID: e.ConnectionID, RequestID: e.RequestID},
		Type:    e.EventType, MessageID: e.MessageID, DomainName: e.DomainName, Identity: event.Identity{SourceIP: e.SourceIP, UserAgent: e.UserAgent, Caller: e.Caller},
		Authorizer: e.Authorizer, ConnectedAt: time.UnixMilli(e.ConnectedAt), At: e.Time, Connect: e.Connect, Close: e.Close,
	}
	if x.Type == event.TypeMessage {
		if x.Payload = e.Binary; x.Payload == nil {
			x.Payload = []byte(e.Payload)
		}
		x.Binary = e.InBinary
	}
	return x
}

// resultOf is what became of an exchange, as it is recorded.
func resultOf(x *gateway.Exchange) (Result, error) {
	b := appendResult([]byte{'{'}, x)
	var r Result
	err := json.Unmarshal(append(b, '}'), &r)
	return r, err
}

// appendExchange appends the line of an exchange. It runs for every message, and
// allocates only for handshakes.
func appendExchange(dst []byte, x *gateway.Exchange) []byte {
	dst = event.AppendString(append(dst, exchangeLine...), x.RequestID)
	dst = x.At.UTC().AppendFormat(append(dst, `,"time":"`...), time.RFC3339Nano)
	dst = append(append(append(dst, `","eventType":"`...), x.Type...), `","apiId":`...)
	dst = event.AppendString(dst, x.APIID)
	dst = event.AppendString(append(dst, `,"stage":`...), string(x.Stage))
	dst = appendUnlessEmpty(dst, `,"connectionId":`, x.ConnectionID)
	dst = appendUnlessEmpty(dst, `,"messageId":`, x.MessageID)
	dst = event.AppendString(append(dst, `,"domainName":`...), x.DomainName)
	dst = event.AppendString(append(dst, `,"sourceIp":`...), x.Identity.SourceIP)
	dst = appendUnlessEmpty(dst, `,"userAgent":`, x.Identity.UserAgent)
	dst = strconv.AppendInt(append(dst, `,"connectedAt":`...), x.ConnectedAt.UnixMilli(), 10)
	if x.Authorizer != nil {
		dst = x.Authorizer.Append(append(dst, `,"authorizer":`...))
	}
	if x.Identity.Caller != nil {
		dst = x.Identity.Caller.Append(append(dst, `,"caller":`...))
	}
	dst = appendBytes(dst, `,"payload":`, `,"payloadBase64":"`, x.Payload)
	if x.Binary {
		dst = append(dst, `,"binary":true`...)
	}
	if x.Connect != nil {
		dst = appendMarshaled(append(dst, `,"connect":`...), x.Connect)
	}
	if x.Close != nil {
		dst = appendMarshaled(append(dst, `,"close":`...), x.Close)
	}
	return append(appendResult(append(dst, ','), x), "}\n"...)
}

// appendResult appends the members of a Result.
func appendResult(dst []byte, x *gateway.Exchange) []byte {
	dst = event.AppendString(append(dst, `"routeKey":`...), string(x.RouteKey))
	dst = appendUnlessEmpty(dst, `,"target":`, x.Target)
	dst = event.AppendString(append(dst, `,"outcome":`...), string(x.Outcome))
	if x.Status != 0 {
		dst = strconv.AppendInt(append(dst, `,"status":`...), int64(x.Status), 10)
	}
	if x.Answer != nil {
		dst = appendAnswer(append(dst, `,"answer":`...), x.Answer)
	}
	if x.Err != nil {
		dst = event.AppendString(append(dst, `,"error":`...), x.Err.Error())
	}
	ms := float64(x.Duration/time.Microsecond) / 1000
	return strconv.AppendFloat(append(dst, `,"ms":`...), ms, 'f', -1, 64)
}

func appendAnswer(dst []byte, a *stage.Answer) []byte {
	dst = append(dst, `{"statusCode":`...)
	dst = strconv.AppendInt(dst, int64(a.Status), 10)
	if len(a.Header) > 0 {
		dst = appendMarshaled(append(dst, `,"headers":`...), a.Header)
	}
	body := a.Body
	if len(body) > maxBody {
		dst = strconv.AppendInt(append(dst, `,"bytes":`...), int64(len(body)), 10)
		body = body[:maxBody]
		for i := 0; i < utf8.UTFMax && utf8.Valid(a.Body) && !utf8.Valid(body); i++ { // not within a character
			body = body[:len(body)-1]
		}
	}
	return append(appendBytes(dst, `,"body":`, `,"bodyBase64":"`, body), '}')
}

// appendBytes appends a member: text, or base64 of what is none. name64 ends with
// the quote that begins the value.
func appendBytes(dst []byte, name, name64 string, b []byte) []byte {
	switch {
	case len(b) == 0:
		return dst
	case utf8.Valid(b):
		return event.AppendString(append(dst, name...), b)
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, name64...), b), '"')
}

func appendUnlessEmpty(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return event.AppendString(append(dst, name...), value)
}

func appendMarshaled(dst []byte, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // structs of strings and numbers have no way to fail
		return append(dst, "null"...)
	}
	return append(dst, b...)
}
