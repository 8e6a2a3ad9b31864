package event

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// TraceHeader is the header by which AWS's SDKs hand on the trace of the
// invocation that they run in.
const TraceHeader = "X-Amzn-Trace-Id"

// traceMark ends the trace ids that carry a request id.
const traceMark = "d7"

// Trace returns the X-Ray trace header of an event's invocation. It carries the
// request id: SDKs send the header with each call that the invocation makes, so
// that RequestIDOf tells which request a call is due to. An id that isn't one of
// NewRequestID's has no trace ("").
//
// Source: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
func Trace(requestID string, at time.Time) string {
	raw, err := base64.URLEncoding.DecodeString(requestID)
	if err != nil || len(raw) != 11 {
		return ""
	}
	text := hex.EncodeToString(raw)
	return fmt.Sprintf("Root=1-%08x-%s%s;Parent=%s;Sampled=0", uint32(at.Unix()), text, traceMark, text[:16])
}

// RequestIDOf returns the request id that a trace header of Trace's carries,
// "" when it carries none.
func RequestIDOf(trace string) string {
	_, root, ok := strings.Cut(trace, "Root=1-")
	if !ok || len(root) < 8+1+24 || root[8] != '-' {
		return ""
	}
	text, ok := strings.CutSuffix(root[9:33], traceMark)
	if !ok {
		return ""
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return ""
	}
	return base64.URLEncoding.EncodeToString(raw)
}
