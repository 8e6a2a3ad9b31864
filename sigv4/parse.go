package sigv4

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Parse is Authorization.Parse for a request as net/http has it.
func Parse(r *http.Request) (*Authorization, error) {
	w := workspaces.Get().(*workspace)
	defer workspaces.Put(w)
	w.request.SetHTTP(r)
	a := new(Authorization)
	if err := a.Parse(&w.request); err != nil {
		return nil, err
	}
	return a, nil
}

// Parse reads the signature that a request carries, in its Authorization header or
// its query string, without checking it. SignedHeaders is valid until a parses
// another request. The error is ErrUnsigned when there is none (an Authorization of
// another scheme, such as Bearer, is none either), else ErrIncomplete with what is
// missing or malformed.
func (a *Authorization) Parse(q *Request) error {
	*a = Authorization{list: a.list, listText: a.listText}
	text, count := q.First("Authorization")
	inHeader := isAWS(text)
	inQuery := q.Query != "" && (strings.Contains(q.Query, paramAlgorithm+"=") || strings.Contains(q.Query, paramSignature+"=") || strings.Contains(q.Query, paramCredential+"="))
	switch {
	case inHeader && inQuery:
		return incomplete("the request is signed both in the Authorization header and in the query string; use one of them")
	case inHeader && count > 1:
		return incomplete("the request has %d Authorization headers", count)
	case inHeader:
		return a.parseHeader(q, text)
	case inQuery:
		return a.parseQuery(q.Query)
	}
	return ErrUnsigned
}

// isAWS reports whether an Authorization header's scheme is one of AWS's, so
// that the older and the asymmetric one are refused by name.
func isAWS(v string) bool { return strings.HasPrefix(v, "AWS4-") || strings.HasPrefix(v, "AWS ") }

func incomplete(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrIncomplete, fmt.Sprintf(format, args...))
}

func (a *Authorization) parseHeader(q *Request, v string) error {
	if len(v) > maxAuthorization {
		return incomplete("the Authorization header is longer than %d bytes", maxAuthorization)
	}
	scheme, rest, _ := strings.Cut(v, " ")
	if scheme != algorithm {
		return incomplete("the algorithm is %s; only %s is supported", quote(scheme), algorithm)
	}
	var credential, signedHeaders, sig string
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
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
			return incomplete("the Authorization header has an unknown part %s", quote(key))
		}
		if *into != "" {
			return incomplete("the Authorization header has two parts %s", key)
		}
		*into = value
	}
	var err error
	if a.Time, err = requestDate(q); err != nil {
		return err
	}
	a.SessionToken = q.Get(paramToken)
	return a.fill(credential, signedHeaders, sig, "Authorization header requires a '%s' parameter", "Credential", "SignedHeaders", "Signature")
}

// requestDate is X-Amz-Date or, without one, Date.
func requestDate(q *Request) (time.Time, error) {
	if v := q.Get(paramDate); v != "" {
		return parseDate(v)
	}
	v := q.Get("Date")
	if v == "" {
		return time.Time{}, incomplete("the request needs an X-Amz-Date or a Date header")
	}
	if t, err := http.ParseTime(v); err == nil {
		return t.UTC(), nil
	}
	return parseDate(v)
}

// parseDate is time.Parse of basicFormat, for a part of its time.
func parseDate(v string) (time.Time, error) {
	bad := func() (time.Time, error) {
		return time.Time{}, incomplete("the date %s is not of the form 20060102T150405Z", quote(v))
	}
	if len(v) != len(basicFormat) || v[8] != 'T' || v[15] != 'Z' {
		return bad()
	}
	number := func(from, to int) (n int) {
		for _, c := range []byte(v[from:to]) {
			if c < '0' || c > '9' {
				return -1 << 32
			}
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day := number(0, 4), number(4, 6), number(6, 8)
	hour, minute, second := number(9, 11), number(11, 13), number(13, 15)
	if year < 0 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return bad()
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	if t.Day() != day { // the month has fewer
		return bad()
	}
	return t, nil
}

func (a *Authorization) parseQuery(query string) error {
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
		return incomplete("%v", err)
	case twice != "":
		return incomplete("the query has %s twice", twice)
	case algo != algorithm:
		return incomplete("X-Amz-Algorithm is %s; only %s is supported", quote(algo), algorithm)
	}
	a.Presigned, a.SessionToken = true, token
	if a.Time, err = parseDate(date); err != nil {
		return err
	}
	if expires != "" {
		n, err := strconv.ParseUint(expires, 10, 31)
		if err != nil || n == 0 || time.Duration(n)*time.Second > MaxExpires {
			return incomplete("X-Amz-Expires is %s; it must be a number of seconds from 1 to %d", quote(expires), MaxExpires/time.Second)
		}
		a.Expires = time.Duration(n) * time.Second
	}
	return a.fill(credential, signedHeaders, sig, "the query requires %s", paramCredential, paramSignedHeaders, paramSignature)
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
	var parts [5]string
	count := strings.Count(credential, "/") + 1
	for i, rest := 0, credential; i < len(parts); i++ {
		parts[i], rest, _ = strings.Cut(rest, "/")
	}
	if count != len(parts) || parts[4] != scopeEnd {
		return incomplete("the credential must have five parts, KEYID/YYYYMMDD/REGION/SERVICE/%s, and has %d", scopeEnd, count)
	}
	for i, p := range parts {
		if !validName(p) {
			return incomplete("part %d of the credential is empty, too long or has characters outside printable ASCII", i+1)
		}
	}
	a.AccessKeyID, a.Region, a.Service = parts[0], parts[2], parts[3]
	var buf [len(dayFormat)]byte
	if day := appendDay(buf[:0], a.Time); parts[1] != string(day) {
		return incomplete("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s'", parts[1], string(day))
	}
	if len(sig) != 64 || !lowerHex(sig) {
		return incomplete("the signature must be 64 hexadecimal digits in lower case")
	}
	a.Signature = sig
	if a.listText != signedHeaders {
		if err := a.parseList(signedHeaders); err != nil {
			return err
		}
	}
	a.SignedHeaders = a.list
	return nil
}

// parseList reads the names of the signed headers.
func (a *Authorization) parseList(text string) error {
	a.list, a.listText = a.list[:0], ""
	if strings.Count(text, ";") >= maxSignedHeaders {
		return incomplete("SignedHeaders names more than %d headers", maxSignedHeaders)
	}
	text = strings.Clone(text) // it is kept, and the request isn't
	host := false
	for rest, more := text, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, ";")
		if !headerName(name) {
			return incomplete("SignedHeaders has %s, which is not a header's name in lower case", quote(name))
		}
		if n := len(a.list); n > 0 && a.list[n-1] >= name {
			return incomplete("SignedHeaders must be sorted and name each header once; %s is out of place", quote(name))
		}
		host = host || name == "host"
		a.list = append(a.list, name)
	}
	if !host {
		return incomplete("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	a.listText = text
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
		if 'a' <= c && c <= 'z' || c == '-' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+.^_`|~", c) >= 0 {
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
