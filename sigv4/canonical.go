package sigv4

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	scopeEnd  = "aws4_request"

	basicFormat = "20060102T150405Z" // ISO 8601's basic format, as X-Amz-Date has it
	dayFormat   = "20060102"

	unsignedPayload = "UNSIGNED-PAYLOAD"
	emptyPayload    = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// Bounds on what a request may make the verifier work on. They are far above
// what signers send: a query-protocol call by GET holds a policy of 10 KiB.
const (
	maxPath          = 16 << 10
	maxQuery         = 128 << 10
	maxParams        = 2048
	maxAuthorization = 16 << 10
	maxSignedHeaders = 128
	maxHeaderBytes   = 64 << 10 // of all signed headers together
	maxName          = 128      // of a header, region, service or key id
)

// unreserved holds the bytes that stay as they are in a canonical request (RFC
// 3986, section 2.3).
var unreserved = func() (set [256]bool) {
	for b := range len(set) {
		c := byte(b)
		set[b] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == '-' || c == '.' || c == '_' || c == '~'
	}
	return set
}()

const upperHex = "0123456789ABCDEF"

// appendEscaped percent-encodes every byte of s but the unreserved ones and,
// when slash is set, '/'.
func appendEscaped(b []byte, s string, slash bool) []byte {
	plain := 0 // where the bytes begin that stay as they are
	for i := 0; i < len(s); i++ {
		c := s[i]
		if unreserved[c] || slash && c == '/' {
			continue
		}
		b = append(b, s[plain:i]...)
		b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		plain = i + 1
	}
	return append(b, s[plain:]...)
}

var errEscape = errors.New("malformed percent-encoding")

// unescape decodes percent-encoding; plus says that '+' is a space, as in a
// query.
func unescape(s string, plus bool) (string, error) {
	if strings.IndexByte(s, '%') < 0 && !(plus && strings.IndexByte(s, '+') >= 0) {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) {
				return "", errEscape
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", errEscape
			}
			b = append(b, byte(v))
			i += 2
		case c == '+' && plus:
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	return string(b), nil
}

// appendPath appends the canonical URI. S3 encodes a path once, every other
// service encodes once more what was sent, so that a %3D becomes %253D.
func appendPath(b []byte, path, service string) ([]byte, error) {
	if path == "" {
		return append(b, '/'), nil
	}
	if service == "s3" {
		decoded, err := unescape(path, false)
		if err != nil {
			return b, err
		}
		return appendEscaped(b, decoded, true), nil
	}
	return appendEscaped(b, path, true), nil
}

// normalize removes empty and dot segments (RFC 3986, section 6.2.2.3), and
// keeps a slash at the end.
func normalize(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	segments := strings.Split(path, "/")
	kept := segments[:0]
	for _, s := range segments {
		switch s {
		case "", ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, s)
		}
	}
	out := "/" + strings.Join(kept, "/")
	if len(kept) > 0 && strings.HasSuffix(path, "/") {
		out += "/"
	}
	return out
}

// A param is one parameter of the query, key and value in canonical encoding.
type param struct{ key, value string }

// The query parameters of a presigned request.
const (
	paramAlgorithm     = "X-Amz-Algorithm"
	paramCredential    = "X-Amz-Credential"
	paramDate          = "X-Amz-Date"
	paramExpires       = "X-Amz-Expires"
	paramSignedHeaders = "X-Amz-SignedHeaders"
	paramSignature     = "X-Amz-Signature"
	paramToken         = "X-Amz-Security-Token"
	paramPayload       = "X-Amz-Content-Sha256"
)

// eachParam calls f with every parameter of a raw query, decoded.
func eachParam(query string, f func(key, value string)) error {
	if len(query) > maxQuery {
		return errors.New("the query is longer than " + strconv.Itoa(maxQuery) + " bytes")
	}
	for n := 0; query != ""; n++ {
		if n == maxParams {
			return errors.New("the query has more than " + strconv.Itoa(maxParams) + " parameters")
		}
		var part string
		part, query, _ = strings.Cut(query, "&")
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		key, err := unescape(k, true)
		if err != nil {
			return errors.New("the query has a " + err.Error())
		}
		value, err := unescape(v, true)
		if err != nil {
			return errors.New("the query has a " + err.Error())
		}
		f(key, value)
	}
	return nil
}

// canonicalQuery returns the parameters sorted, without X-Amz-Signature.
func canonicalQuery(query string) ([]param, error) {
	if query == "" {
		return nil, nil
	}
	var params []param
	err := eachParam(query, func(k, v string) {
		if k != paramSignature {
			params = append(params, param{escape(k), escape(v)})
		}
	})
	slices.SortFunc(params, func(a, b param) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	return params, err
}

// escape is appendEscaped for a string, which it returns as it is when nothing
// needs encoding.
func escape(s string) string {
	for i := 0; i < len(s); i++ {
		if !unreserved[s[i]] {
			return string(appendEscaped(make([]byte, 0, len(s)+16), s, false))
		}
	}
	return s
}

// appendQuery appends the canonical query string; skip names a parameter to
// leave out.
func appendQuery(b []byte, params []param, skip string) []byte {
	first := true
	for _, p := range params {
		if p.key == skip {
			continue
		}
		if !first {
			b = append(b, '&')
		}
		first = false
		b = append(b, p.key...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b
}

// appendHeaders appends the canonical headers, each with its newline.
func appendHeaders(b []byte, q *Request, names []string) []byte {
	for _, name := range names {
		b = append(b, name...)
		b = append(b, ':')
		switch name {
		case "host":
			b = appendFolded(b, q.Host)
		case "content-length":
			if v := q.Get(name); v != "" {
				b = appendFolded(b, v)
			} else {
				b = strconv.AppendInt(b, max(q.Length, 0), 10)
			}
		default:
			b = appendValues(b, q.Header, name)
		}
		b = append(b, '\n')
	}
	return b
}

// appendValues appends the values of all fields of that name.
func appendValues(b []byte, header []Field, name string) []byte {
	first := true
	for i := range header {
		f := &header[i]
		if len(f.Name) != len(name) || !strings.EqualFold(f.Name, name) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendFolded(b, f.Value)
	}
	return b
}

// appendFolded appends a header's value, trimmed and with every run of white
// space as one space.
func appendFolded(b []byte, v string) []byte {
	if strings.IndexByte(v, ' ') < 0 && strings.IndexByte(v, '\t') < 0 && strings.IndexByte(v, '\r') < 0 && strings.IndexByte(v, '\n') < 0 {
		return append(b, v...)
	}
	start, space := len(b), false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; c {
		case ' ', '\t', '\r', '\n':
			space = true
		default:
			if space && len(b) > start {
				b = append(b, ' ')
			}
			space = false
			b = append(b, c)
		}
	}
	return b
}

// A signed request is what a signature covers, taken apart once for all attempts.
type signed struct {
	*Request
	params        []param
	signedHeaders []string
	service       string
}

// append appends the canonical request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request
func (q *signed) append(b []byte, path, skipParam, payload string) ([]byte, error) {
	b = append(b, q.Method...)
	b = append(b, '\n')
	b, err := appendPath(b, path, q.service)
	if err != nil {
		return b, err
	}
	b = append(b, '\n')
	b = appendQuery(b, q.params, skipParam)
	b = append(b, '\n')
	b = appendHeaders(b, q.Request, q.signedHeaders)
	b = append(b, '\n')
	for i, name := range q.signedHeaders {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	b = append(b, '\n')
	return append(b, payload...), nil
}
