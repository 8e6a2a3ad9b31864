package edge

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"tidegate/internal/event"
)

// A Reason says why a request was refused at the door: metric label, log field
// and test assertion are the same constant.
type Reason string

// The reasons of refusals.
const (
	NoSuchStage      Reason = "no-such-stage"
	NoMapping        Reason = "no-mapping" // on a custom domain name
	AmbiguousStage   Reason = "ambiguous-stage"
	EndpointDisabled Reason = "endpoint-disabled"
	WrongHost        Reason = "wrong-host"
	ForeignOrigin    Reason = "foreign-origin"
	CrossSite        Reason = "cross-site"
	OwnPath          Reason = "own-path"       // a handshake to /_tidegate
	WrongListener    Reason = "wrong-listener" // what another listener serves
	NoTLS            Reason = "no-tls"         // without TLS, where it must be
	URLTooLong       Reason = "url-too-long"
	HeaderTooLarge   Reason = "header-too-large"
	Panicked         Reason = "panic"      // a fault of Tidegate's
	NoUpgrade        Reason = "no-upgrade" // a plain request where a handshake belongs
	// Of calls to AWS's services.
	NoSuchService  Reason = "no-such-service"
	FallbackSilent Reason = "fallback-silent" // it didn't answer
)

// ClosedByClient is why a connection ended that the client closed in good order.
const ClosedByClient = "closed-by-client"

const textForbidden = "Forbidden"

// A refusal is an answer that ends a request at the door.
type refusal struct {
	status int
	reason Reason
	text   string // the message that the caller sees
	why    string // for listeners
}

// An EventListener hears what happens at the door. Its funcs may be nil, must
// not block, and are called concurrently. What becomes of a handshake that
// passes, the gateway's listener hears.
type EventListener struct {
	Refused        func(RefusedInfo)
	UnknownService func(UnknownServiceInfo)
	// FellBack: such a call goes to the fallback endpoint.
	FellBack func(UnknownServiceInfo)
	// FallbackFailed: the fallback endpoint didn't answer such a call.
	FallbackFailed func(UnknownServiceInfo, error)
	// StageOmitted: a request named no stage, and got to the only one.
	StageOmitted func(StageOmittedInfo)
}

// A StageOmittedInfo tells of an address that would lead nowhere on AWS.
type StageOmittedInfo struct {
	Method, Host, Path string
	WebSocket          bool   // it was a handshake
	Trace              string // X-Amzn-Trace-Id: which invocation calls
}

// String is what was asked of which host.
func (i StageOmittedInfo) String() string {
	return fmt.Sprintf("%s %q on host %q", i.Method, i.Path, i.Host)
}

// A RefusedInfo tells of a request that led nowhere or wasn't let in.
type RefusedInfo struct {
	Reason       Reason
	RequestID    string // as the caller was told
	Status       int
	Why          string
	Method       string
	Host         string
	Path         string
	RemoteAddr   string
	WebSocket    bool // it was a handshake
	Origin       string
	SecFetchSite string
	Trace        string // X-Amzn-Trace-Id: which invocation calls
}

// String returns one line for a log.
func (i RefusedInfo) String() string {
	return fmt.Sprintf("%s %q on host %q from %s: %d %s: %s", i.Method, i.Path, i.Host, i.RemoteAddr, i.Status, i.Reason, i.Why)
}

// An UnknownServiceInfo tells of a call to a service that Tidegate lacks.
type UnknownServiceInfo struct {
	Service string // its signing name
	Method  string
	Path    string
	Target  string // X-Amz-Target
	// RequestID is as the caller was told; "" of a call that falls back.
	RequestID string
	Trace     string // X-Amzn-Trace-Id: which invocation calls
}

func unknownService(r *http.Request, service, requestID string) UnknownServiceInfo {
	return UnknownServiceInfo{Service: service, Method: r.Method, Path: r.URL.Path, Target: r.Header.Get("X-Amz-Target"), RequestID: requestID, Trace: r.Header.Get("X-Amzn-Trace-Id")}
}

// String returns one line for a log.
func (i UnknownServiceInfo) String() string {
	what := i.Target
	if what == "" {
		what = i.Method + " " + i.Path
	}
	return fmt.Sprintf("%s to %s, which Tidegate lacks: %s", what, i.Service, remedy(i.Service))
}

// refuse answers with the refusal and reports it.
func (e *Edge) refuse(w http.ResponseWriter, r *http.Request, no *refusal) {
	requestID := newUUID()
	e.report(no, RefusedInfo{
		RequestID: requestID, Method: r.Method, Host: r.Host, Path: r.URL.Path, RemoteAddr: r.RemoteAddr,
		Origin: r.Header.Get("Origin"), SecFetchSite: r.Header.Get("Sec-Fetch-Site"), Trace: r.Header.Get("X-Amzn-Trace-Id"),
	})
	writeError(w, requestID, no.status, errorType(no.status), no.text)
}

func (e *Edge) report(no *refusal, info RefusedInfo) {
	if e.events.Refused == nil {
		return
	}
	info.Reason, info.Status, info.Why = no.reason, no.status, no.why
	e.events.Refused(info)
}

// errorType is x-amzn-ErrorType by status.
func errorType(status int) string {
	switch status {
	case http.StatusForbidden:
		return "ForbiddenException"
	case http.StatusMisdirectedRequest:
		return "MisdirectedRequestException"
	case http.StatusUpgradeRequired:
		return "UpgradeRequiredException"
	}
	return "BadRequestException"
}

// writeError answers in the shape of API Gateway's data plane.
func writeError(w http.ResponseWriter, requestID string, status int, kind, text string) {
	h := w.Header()
	for _, f := range errorFields(kind, requestID) {
		h[f.Name] = []string{f.Value}
	}
	body := errorBody(text)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

// errorFields are the header of an error, spelt as AWS spells them.
func errorFields(kind, requestID string) []event.Field {
	return []event.Field{
		{Name: "Content-Type", Value: "application/json"},
		{Name: "x-amzn-RequestId", Value: requestID},
		{Name: "x-amzn-ErrorType", Value: kind},
		{Name: "x-amz-apigw-id", Value: event.NewRequestID()},
	}
}

func errorBody(text string) []byte {
	b, err := json.Marshal(map[string]string{"message": text})
	if err != nil { // a map of strings has no way to fail
		return nil
	}
	return b
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	x := hex.EncodeToString(b[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}
