package transport

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tidegate/ws"
)

// A Response is a small HTTP answer on its way to bytes.
type Response struct {
	Status int
	Header []Field
	Body   []byte
	Close  bool      // say that the connection ends behind it
	Head   bool      // answers HEAD: lengths as if, but no body
	Minor  int       // of the request's HTTP/1.x
	Date   time.Time // for the Date field
}

// ErrorResponse is the answer to a request that the engine itself refuses, in
// the shape of API Gateway's: {"message": text}.
func ErrorResponse(status int, text string, now time.Time) Response {
	body, _ := json.Marshal(struct { // a struct of a string can't fail
		Message string `json:"message"`
	}{http.StatusText(status) + ": " + text})
	r := Response{Status: status, Body: body, Close: true, Minor: 1, Date: now,
		Header: []Field{{"Content-Type", "application/json"}}}
	if status == http.StatusUpgradeRequired {
		// RFC 9110 section 15.5.22 and RFC 6455 section 4.4.
		r.Header = append(r.Header, Field{"Upgrade", "websocket"}, Field{"Sec-WebSocket-Version", ws.Version})
	}
	return r
}

// FinalStatus returns status, or 500 for what can't stand in a final answer's
// status line: three digits, and not a provisional one.
func FinalStatus(status int) int {
	if status < 200 || status > 999 {
		return http.StatusInternalServerError
	}
	return status
}

// AppendResponse appends the answer. It writes Content-Length, Connection and
// Date itself. Fields of those names, and fields that would break the head (a
// name that is no token, a control character in a value), are left out: dropped
// counts the latter.
func AppendResponse(dst []byte, r Response) (out []byte, dropped int) {
	dst = appendStatusLine(dst, r.Status)
	upgrade := false
	for _, f := range r.Header {
		if !isToken(f.Name) || !validValue(f.Value) {
			dropped++
			continue
		}
		if engineField(f.Name) {
			continue
		}
		upgrade = upgrade || strings.EqualFold(f.Name, "Upgrade")
		dst = appendField(dst, f.Name, f.Value)
	}
	dst = append(dst, "Date: "...)
	dst = appendDate(dst, r.Date)
	dst = append(dst, "\r\n"...)
	switch {
	case upgrade && r.Close:
		dst = appendField(dst, "Connection", "upgrade, close")
	case r.Close:
		dst = appendField(dst, "Connection", "close")
	case upgrade:
		dst = appendField(dst, "Connection", "upgrade")
	case r.Minor == 0:
		dst = appendField(dst, "Connection", "keep-alive")
	}
	if r.Status >= 200 && r.Status != http.StatusNoContent {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(r.Body)), 10)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	if !r.Head && r.Status >= 200 && r.Status != http.StatusNoContent && r.Status != http.StatusNotModified {
		dst = append(dst, r.Body...)
	}
	return dst, dropped
}

// AppendSwitching appends the 101 that accepts a handshake (RFC 6455 section
// 4.2.2). extensions is what the engine agreed on; "" for none. ErrBadField, and
// nothing appended, if a field can't be written or belongs to the handshake itself.
func AppendSwitching(dst []byte, key, extensions string, header []Field) ([]byte, error) {
	for _, f := range header {
		if !isToken(f.Name) || !validValue(f.Value) || engineField(f.Name) || strings.EqualFold(f.Name, "Upgrade") ||
			strings.EqualFold(f.Name, "Sec-WebSocket-Accept") || strings.EqualFold(f.Name, "Sec-WebSocket-Extensions") {
			return dst, ErrBadField
		}
	}
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = ws.AppendAcceptKey(dst, key)
	dst = append(dst, "\r\n"...)
	if extensions != "" {
		dst = appendField(dst, "Sec-WebSocket-Extensions", extensions)
	}
	for _, f := range header {
		dst = appendField(dst, f.Name, f.Value)
	}
	return append(dst, "\r\n"...), nil
}

// engineField reports whether a response field is the engine's to write.
func engineField(name string) bool {
	switch len(name) {
	case 4:
		return strings.EqualFold(name, "Date")
	case 10:
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case 14:
		return strings.EqualFold(name, "Content-Length")
	case 17:
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// lastDate is the Date field's text that was written last: thousands of answers
// have the same.
var lastDate atomic.Pointer[date]

// A date is a moment as the Date field has it.
type date struct {
	second int64 // since 1970
	text   string
}

func appendDate(dst []byte, t time.Time) []byte {
	d := lastDate.Load()
	if d == nil || d.second != t.Unix() {
		d = &date{t.Unix(), t.UTC().Format(http.TimeFormat)}
		lastDate.Store(d)
	}
	return append(dst, d.text...)
}

func appendStatusLine(dst []byte, status int) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(status)...)
	return append(dst, "\r\n"...)
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}
