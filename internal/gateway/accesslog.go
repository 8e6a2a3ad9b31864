package gateway

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/event"
	"tidegate/internal/integration"
	"tidegate/internal/stage"
)

// Logs keeps lines of access and execution logs.
type Logs interface {
	// WriteLog takes one line without its end. It must not block and must not
	// keep line.
	WriteLog(target stage.LogTarget, at time.Time, line []byte)
}

// A backendCall is what passed between the gateway and a backend.
type backendCall struct {
	called   bool
	latency  time.Duration
	request  *integration.Request
	response *integration.Response
	err      error
}

// A logged is one event as logs see it.
type logged struct {
	context *event.Context
	target  *stage.Integration // nil when nothing was to be called
	status  int                // of the event as a whole
	text    string             // what the client was told; empty when all went well
	outcome Outcome
	err     error
	backendCall
	authorization *authorizer.Trace // of a handshake; else nil
}

// log writes an event to the stage's logs. setting is that of the event's route.
func (g *Gateway) log(s *stage.Stage, setting stage.LogSetting, l *logged) {
	if g.logs == nil || s == nil {
		return
	}
	if s.AccessLog != nil {
		g.logAccess(s.AccessLog, l)
	}
	if setting.Level == stage.LogInfo || setting.Level == stage.LogErrors && l.outcome != Done {
		g.logExecution(s.ExecutionLog, setting, l)
	}
}

// wantsLog says whether an event of the route leaves anything in the stage's logs.
func (g *Gateway) wantsLog(s *stage.Stage, setting stage.LogSetting) bool {
	return g.logs != nil && s != nil && (s.AccessLog != nil || setting.Level != stage.LogOff)
}

// settingOf is the logging of a route, or of the stage where there is none.
func settingOf(s *stage.Stage, r *stage.Route) stage.LogSetting {
	switch {
	case r != nil:
		return r.Logging
	case s != nil:
		return s.Logging
	}
	return stage.LogSetting{}
}

// A writer appends an event's values; it is kept so that a line allocates
// nothing.
type writer struct {
	event *logged
	line  []byte
	value func(dst []byte, variable string) []byte
}

var writers = sync.Pool{New: func() any {
	w := &writer{line: make([]byte, 0, 1024)}
	w.value = func(dst []byte, variable string) []byte { return w.event.append(dst, variable) }
	return w
}}

// maxKeptLine bounds what a writer keeps for the next line.
const maxKeptLine = 64 << 10

func (w *writer) release() {
	w.event = nil
	if cap(w.line) <= maxKeptLine {
		writers.Put(w)
	}
}

func (g *Gateway) logAccess(to *stage.AccessLog, l *logged) {
	w := writers.Get().(*writer)
	defer w.release()
	w.event = l
	w.line = to.Format.Append(w.line[:0], w.value)
	g.logs.WriteLog(to.LogTarget, g.now(), w.line)
}

// append appends the value of $context.NAME (WS-05-070 to WS-05-086); nothing when the
// event has none, which the line shows as a dash (WS-05-071).
func (l *logged) append(dst []byte, name string) []byte {
	c := l.context
	switch name {
	case "status":
		return appendPositive(dst, l.status)
	case "requestTime":
		return c.RequestTime.UTC().AppendFormat(dst, "02/Jan/2006:15:04:05 -0700")
	case "requestTimeEpoch":
		return strconv.AppendInt(dst, c.RequestTime.UnixMilli(), 10)
	case "connectedAt":
		if c.ConnectionID == "" {
			return dst // refused before it had one
		}
		return strconv.AppendInt(dst, c.ConnectedAt.UnixMilli(), 10)
	case "error.message":
		return appendValue(dst, l.text)
	case "error.messageString":
		if l.text == "" {
			return dst
		}
		return append(appendValue(append(dst, '"'), l.text), '"')
	case "error.responseType":
		return append(dst, responseTypes[l.outcome]...)
	case "integrationLatency", "integration.latency":
		if !l.called || l.target == nil || l.target.Type == apigw.IntegrationMock {
			return dst
		}
		return strconv.AppendInt(dst, l.latency.Milliseconds(), 10)
	case "integration.error", "integrationErrorMessage":
		return appendError(dst, l.backendCall.err)
	case "integration.status":
		if l.response == nil {
			return dst
		}
		return appendPositive(dst, l.response.Status)
	case "integration.integrationStatus", "integrationStatus":
		return appendPositive(dst, l.integrationStatus())
	case "integration.requestId", "awsEndpointRequestId":
		if l.response == nil {
			return appendValue(dst, l.failure().RequestID)
		}
		return appendValue(dst, l.response.RequestID)
	}
	if l.authorization != nil {
		if out, ok := appendAuthorization(dst, l.authorization, name); ok {
			return out
		}
	}
	v, _ := c.Lookup(name)
	return appendValue(dst, v)
}

// integrationStatus is the status with which the backend answered the call:
// Lambda's, not its function's. 0: none.
func (l *logged) integrationStatus() int {
	switch {
	case l.response == nil:
		return l.failure().Status
	case l.target != nil && l.target.Type == apigw.IntegrationAWSProxy:
		return 200 // Lambda's; else there is no response
	}
	return l.response.Status
}

// failure is the call's failure, as far as the backend answered it.
func (l *logged) failure() integration.Error {
	if failed := (*integration.Error)(nil); errors.As(l.backendCall.err, &failed) {
		return *failed
	}
	return integration.Error{}
}

// appendAuthorization appends what authorizing a handshake came to. ok is false of
// a variable that isn't about it: an authorizer's own values have other names.
func appendAuthorization(dst []byte, t *authorizer.Trace, name string) (out []byte, ok bool) {
	phase := func(p *authorizer.Phase, what string) ([]byte, bool) {
		switch {
		case p.Status == 0:
			return dst, true // the route has no such phase, or it wasn't reached
		case what == "status":
			return appendPositive(dst, p.Status), true
		case what == "latency":
			return strconv.AppendInt(dst, p.Latency.Milliseconds(), 10), true
		case what == "error":
			return appendError(dst, p.Err), true
		}
		return dst, false
	}
	group, what, _ := strings.Cut(name, ".")
	switch group {
	case "authenticate":
		return phase(&t.Authenticate, what)
	case "authorize":
		return phase(&t.Authorize, what)
	case "authorizer":
		switch what {
		case "status", "latency", "error":
			return phase(&t.Authorizer, what)
		case "requestId":
			return appendValue(dst, t.RequestID), true
		case "integrationStatus":
			return appendPositive(dst, t.IntegrationStatus), true
		case "integrationLatency":
			if t.Called {
				dst = strconv.AppendInt(dst, t.IntegrationLatency.Milliseconds(), 10)
			}
			return dst, true
		}
	}
	return dst, false
}

func appendError(dst []byte, err error) []byte {
	if err == nil {
		return dst
	}
	return appendValue(dst, err.Error())
}

func appendPositive(dst []byte, n int) []byte {
	if n <= 0 {
		return dst
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// responseTypes are the names that API Gateway's gateway responses have for
// what was refused.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
var responseTypes = map[Outcome]string{
	MissingParameter:      "BAD_REQUEST_PARAMETERS",
	Throttled:             "THROTTLED",
	AccountThrottled:      "THROTTLED",
	ConnectionThrottled:   "THROTTLED",
	Misbehaving:           "THROTTLED",
	IntegrationBusy:       "THROTTLED",
	UnsupportedMediaType:  "UNSUPPORTED_MEDIA_TYPE",
	NoIntegration:         "API_CONFIGURATION_ERROR",
	NoIntegrationResponse: "API_CONFIGURATION_ERROR",
	InvocationRefused:     "API_CONFIGURATION_ERROR",
	MalformedResponse:     "API_CONFIGURATION_ERROR",
	IntegrationTimeout:    "INTEGRATION_TIMEOUT",
	FunctionError:         "INTEGRATION_FAILURE",
	BackendUnreachable:    "INTEGRATION_FAILURE",
	IdentityMissing:       "UNAUTHORIZED",
	Unauthorized:          "UNAUTHORIZED",
	AuthorizerDenied:      "ACCESS_DENIED",
	AuthorizerFailed:      "AUTHORIZER_CONFIGURATION_ERROR", // as users saw of functions that throw
	AuthorizerAnswer:      "AUTHORIZER_CONFIGURATION_ERROR",
	Unsigned:              "MISSING_AUTHENTICATION_TOKEN",
	SignatureRefused:      "INVALID_SIGNATURE",
	InvalidKey:            "INVALID_API_KEY",
	KeyThrottled:          "THROTTLED",
	KeyQuota:              "QUOTA_EXCEEDED",
	InvalidBody:           "BAD_REQUEST_BODY",
}

// appendValue appends a value that a client may have chosen: quotes and
// backslashes are escaped, so that a JSON format stays JSON, and so are control
// characters, so that a line stays one.
func appendValue(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		if c == '"' || c == '\\' {
			dst = append(dst, '\\', c)
		} else {
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, s[from:]...)
}
