package sigv4

import (
	"errors"
	"net/http"
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

// target returns path and query as the client sent them. On a server that is
// RequestURI, which no handler above us has rewritten; a client's request has
// only its URL.
func target(r *http.Request) (path, query string) {
	uri := r.RequestURI
	if uri == "" {
		if opaque, ok := strings.CutPrefix(r.URL.Opaque, "//"); ok {
			return afterHost(opaque), r.URL.RawQuery
		}
		return r.URL.EscapedPath(), r.URL.RawQuery
	}
	if !strings.HasPrefix(uri, "/") {
		if _, rest, absolute := strings.Cut(uri, "://"); absolute { // as a proxy is asked: RFC 9112, section 3.2.2
			uri = afterHost(rest)
		}
	}
	path, query, _ = strings.Cut(uri, "?")
	return path, query
}

// afterHost returns what follows the host in host/path?query.
func afterHost(s string) string {
	if i := strings.IndexAny(s, "/?"); i >= 0 {
		return s[i:]
	}
	return ""
}

// unreserved reports whether c stays as it is in a canonical request (RFC
// 3986, section 2.3).
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

const upperHex = "0123456789ABCDEF"

// appendEscaped percent-encodes every byte of s but the unreserved ones and,
// when slash is set, '/'.
func appendEscaped(b []byte, s string, slash bool) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if unreserved(c) || slash && c == '/' {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
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
		if !unreserved(s[i]) {
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
func appendHeaders(b []byte, r *http.Request, names []string) []byte {
	for _, name := range names {
		b = append(b, name...)
		b = append(b, ':')
		switch name {
		case "host":
			b = appendFolded(b, host(r))
		case "content-length":
			b = appendLength(b, r)
		case "transfer-encoding": // net/http takes it out of the header
			b = append(b, strings.Join(r.TransferEncoding, ",")...)
		default:
			for i, v := range headerValues(r.Header, name) {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendFolded(b, v)
			}
		}
		b = append(b, '\n')
	}
	return b
}

// host is the Host header as the client sends or sent it.
func host(r *http.Request) string {
	if r.Host == "" && r.URL != nil {
		return r.URL.Host
	}
	return r.Host
}

func appendLength(b []byte, r *http.Request) []byte {
	if v := r.Header.Get("Content-Length"); v != "" {
		return appendFolded(b, v)
	}
	return strconv.AppendInt(b, max(r.ContentLength, 0), 10)
}

// headerValues is h[http.CanonicalHeaderKey(name)] without allocating the key;
// name is in lower case.
func headerValues(h http.Header, name string) []string {
	var buf [maxName]byte
	key := append(buf[:0], name...)
	upper := true
	for i, c := range key {
		if upper && 'a' <= c && c <= 'z' {
			key[i] = c - 'a' + 'A'
		}
		upper = c == '-'
	}
	return h[string(key)]
}

// appendFolded appends a header's value, trimmed and with every run of white
// space as one space.
func appendFolded(b []byte, v string) []byte {
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

// A request is what is signed of an *http.Request, taken apart once for all
// attempts.
type request struct {
	r             *http.Request
	path          string
	params        []param
	signedHeaders []string
	service       string
}

// append appends the canonical request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request
func (q *request) append(b []byte, path, skipParam, payload string) ([]byte, error) {
	b = append(b, q.r.Method...)
	if q.r.Method == "" {
		b = append(b, http.MethodGet...)
	}
	b = append(b, '\n')
	b, err := appendPath(b, path, q.service)
	if err != nil {
		return b, err
	}
	b = append(b, '\n')
	b = appendQuery(b, q.params, skipParam)
	b = append(b, '\n')
	b = appendHeaders(b, q.r, q.signedHeaders)
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
