package sigv4

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse reads the signature that a request carries, in its Authorization
// header or its query string, without checking it. The error is ErrUnsigned
// when there is none (an Authorization of another scheme, such as Bearer, is
// none either), else ErrIncomplete with what is missing or malformed.
func Parse(r *http.Request) (*Authorization, error) {
	values := r.Header["Authorization"]
	inHeader := len(values) > 0 && isAWS(values[0])
	_, query := target(r)
	inQuery := strings.Contains(query, paramAlgorithm+"=") || strings.Contains(query, paramSignature+"=") || strings.Contains(query, paramCredential+"=")
	switch {
	case inHeader && inQuery:
		return nil, incomplete("the request is signed both in the Authorization header and in the query string; use one of them")
	case inHeader && len(values) > 1:
		return nil, incomplete("the request has %d Authorization headers", len(values))
	case inHeader:
		return parseHeader(r, values[0])
	case inQuery:
		return parseQuery(query)
	}
	return nil, ErrUnsigned
}

// isAWS reports whether an Authorization header's scheme is one of AWS's, so
// that the older and the asymmetric one are refused by name.
func isAWS(v string) bool { return strings.HasPrefix(v, "AWS4-") || strings.HasPrefix(v, "AWS ") }

func incomplete(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrIncomplete, fmt.Sprintf(format, args...))
}

func parseHeader(r *http.Request, v string) (*Authorization, error) {
	if len(v) > maxAuthorization {
		return nil, incomplete("the Authorization header is longer than %d bytes", maxAuthorization)
	}
	scheme, rest, _ := strings.Cut(v, " ")
	if scheme != algorithm {
		return nil, incomplete("the algorithm is %s; only %s is supported", quote(scheme), algorithm)
	}
	var credential, signedHeaders, sig string
	for part := range strings.SplitSeq(rest, ",") {
		part = strings.Trim(part, " \t")
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		var into *string
		switch key {
		case "Credential":
			into = &credential
		case "SignedHeaders":
			into = &signedHeaders
		case "Signature":
			into = &sig
		default:
			return nil, incomplete("the Authorization header has an unknown part %s", quote(key))
		}
		if *into != "" {
			return nil, incomplete("the Authorization header has two parts %s", key)
		}
		*into = value
	}
	date, err := requestDate(r.Header)
	if err != nil {
		return nil, err
	}
	a := &Authorization{Time: date, SessionToken: r.Header.Get(paramToken)}
	if err := a.fill(credential, signedHeaders, sig, "Authorization header requires a '%s' parameter", "Credential", "SignedHeaders", "Signature"); err != nil {
		return nil, err
	}
	return a, nil
}

// requestDate is X-Amz-Date or, without one, Date.
func requestDate(h http.Header) (time.Time, error) {
	if v := h.Get(paramDate); v != "" {
		return parseDate(v)
	}
	v := h.Get("Date")
	if v == "" {
		return time.Time{}, incomplete("the request needs an X-Amz-Date or a Date header")
	}
	if t, err := http.ParseTime(v); err == nil {
		return t.UTC(), nil
	}
	return parseDate(v)
}

func parseDate(v string) (time.Time, error) {
	t, err := time.Parse(basicFormat, v)
	if err != nil || len(v) != len(basicFormat) {
		return time.Time{}, incomplete("the date %s is not of the form 20060102T150405Z", quote(v))
	}
	return t, nil
}

func parseQuery(query string) (*Authorization, error) {
	var algo, credential, date, expires, token, signedHeaders, sig string
	twice := ""
	err := eachParam(query, func(k, v string) {
		var into *string
		switch k {
		case paramAlgorithm:
			into = &algo
		case paramCredential:
			into = &credential
		case paramDate:
			into = &date
		case paramExpires:
			into = &expires
		case paramToken:
			into = &token
		case paramSignedHeaders:
			into = &signedHeaders
		case paramSignature:
			into = &sig
		default:
			return
		}
		if *into != "" {
			twice = k
		}
		*into = v
	})
	switch {
	case err != nil:
		return nil, incomplete("%v", err)
	case twice != "":
		return nil, incomplete("the query has %s twice", twice)
	case algo != algorithm:
		return nil, incomplete("X-Amz-Algorithm is %s; only %s is supported", quote(algo), algorithm)
	}
	a := &Authorization{Presigned: true, SessionToken: token}
	if a.Time, err = parseDate(date); err != nil {
		return nil, err
	}
	if expires != "" {
		n, err := strconv.ParseUint(expires, 10, 31)
		if err != nil || n == 0 || time.Duration(n)*time.Second > MaxExpires {
			return nil, incomplete("X-Amz-Expires is %s; it must be a number of seconds from 1 to %d", quote(expires), MaxExpires/time.Second)
		}
		a.Expires = time.Duration(n) * time.Second
	}
	if err := a.fill(credential, signedHeaders, sig, "the query requires %s", paramCredential, paramSignedHeaders, paramSignature); err != nil {
		return nil, err
	}
	return a, nil
}

// fill parses what both forms have. missing words the error for a part that
// isn't there, whose names follow.
func (a *Authorization) fill(credential, signedHeaders, sig, missing, credentialName, headersName, sigName string) error {
	switch "" {
	case credential:
		return incomplete(missing, credentialName)
	case signedHeaders:
		return incomplete(missing, headersName)
	case sig:
		return incomplete(missing, sigName)
	}
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[4] != scopeEnd {
		return incomplete("the credential must have five parts, KEYID/YYYYMMDD/REGION/SERVICE/%s, and has %d", scopeEnd, len(parts))
	}
	for i, p := range parts {
		if !validName(p) {
			return incomplete("part %d of the credential is empty, too long or has characters outside printable ASCII", i+1)
		}
	}
	a.AccessKeyID, a.Region, a.Service = parts[0], parts[2], parts[3]
	var buf [len(dayFormat)]byte
	if day := appendDay(buf[:0], a.Time); parts[1] != string(day) {
		return incomplete("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s'", parts[1], day)
	}
	if len(sig) != 64 || !lowerHex(sig) {
		return incomplete("the signature must be 64 hexadecimal digits in lower case")
	}
	a.Signature = sig
	if strings.Count(signedHeaders, ";") >= maxSignedHeaders {
		return incomplete("SignedHeaders names more than %d headers", maxSignedHeaders)
	}
	a.SignedHeaders = strings.Split(signedHeaders, ";")
	for i, name := range a.SignedHeaders {
		if !headerName(name) {
			return incomplete("SignedHeaders has %s, which is not a header's name in lower case", quote(name))
		}
		if i > 0 && a.SignedHeaders[i-1] >= name {
			return incomplete("SignedHeaders must be sorted and name each header once; %s is out of place", quote(name))
		}
	}
	if _, found := slices.BinarySearch(a.SignedHeaders, "host"); !found {
		return incomplete("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return nil
}

// validName reports whether s can be a key id, a region or a service.
func validName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// headerName reports whether s is a header's name (RFC 9110, section 5.1) in
// lower case.
func headerName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			continue
		}
		return false
	}
	return true
}

func lowerHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

// quote quotes a piece of the request for an error, cut to a sane length.
func quote(s string) string {
	if len(s) > 80 {
		return strconv.QuoteToASCII(s[:80]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
