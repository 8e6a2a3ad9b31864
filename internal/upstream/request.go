package upstream

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// AppendRequest appends a request as it is on the wire. The error, ErrRequest, says
// what of it can't be written, without values.
func AppendRequest(dst []byte, r *Request) ([]byte, error) {
	if !isToken(r.Method) {
		return dst, fmt.Errorf("%w: its method is no token", ErrRequest)
	}
	if !strings.HasPrefix(r.Target, "/") && r.Target != "*" || !isVisible(r.Target) {
		return dst, fmt.Errorf("%w: its path or query has white space or control characters", ErrRequest)
	}
	if !isVisible(r.Host) {
		return dst, fmt.Errorf("%w: its host has white space or control characters", ErrRequest)
	}
	dst = append(append(dst, r.Method...), ' ')
	dst = append(append(dst, r.Target...), " HTTP/1.1\r\nHost: "...)
	dst = append(append(dst, r.Host...), '\r', '\n')
	for i := range r.Header {
		f := &r.Header[i]
		if !isToken(f.Name) {
			return dst, fmt.Errorf("%w: the name of a header, %.64q, is no token", ErrRequest, f.Name)
		}
		if !isFieldValue(f.Value) {
			return dst, fmt.Errorf("%w: the header %s has control characters", ErrRequest, f.Name)
		}
		dst = append(append(dst, f.Name...), ':', ' ')
		dst = append(append(dst, f.Value...), '\r', '\n')
	}
	if len(r.Body) > 0 || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(r.Body)), 10)
		dst = append(dst, '\r', '\n')
	}
	dst = append(dst, '\r', '\n')
	return append(dst, r.Body...), nil
}

// isTokenChar says which bytes names and methods are of (RFC 9110, section 5.6.2).
var isTokenChar = func() (t [256]bool) {
	for c := range t {
		t[c] = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0 && c < 0x80
	}
	return t
}()

func isToken[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if !isTokenChar[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

// isFieldValue says that a value breaks no line: tabs are the only control
// characters in it.
func isFieldValue[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isVisible says that there is neither white space nor a control character.
func isVisible(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}
