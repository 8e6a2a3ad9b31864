package transport

import (
	"bytes"
	"strings"
)

// A RequestError says why a request is refused by its head. The connection ends after
// the answer: where the next request would begin can't be known.
type RequestError struct {
	Status int        // of the answer: 400, 408, 417, 426, 431 or 505
	Drop   DropReason // the name under which it is counted
	text   string
}

// Error returns what was wrong, without the client's bytes.
func (e *RequestError) Error() string { return "transport: request: " + e.text }

// Text returns what was wrong, for the client.
func (e *RequestError) Text() string { return e.text }

func badRequest(text string) *RequestError {
	return &RequestError{400, DropBadRequest, text}
}

// What HeadScanner, ParseHead and CheckHandshake refuse (RFC 9112).
var (
	ErrHeaderTooLarge  = &RequestError{431, DropHeaderTooLarge, "header too large"}
	ErrTooManyLines    = &RequestError{431, DropHeaderTooLarge, "too many header lines"}
	ErrRequestTimeout  = &RequestError{408, DropHandshakeTimeout, "the request did not arrive in time"}
	ErrRequestLine     = badRequest("malformed request line")
	ErrBareLineEnd     = badRequest("line does not end in CR LF")
	ErrFieldName       = badRequest("malformed header field name")
	ErrFieldFolded     = badRequest("folded header line")
	ErrFieldValue      = badRequest("control character in a header field value")
	ErrHost            = badRequest("Host must be sent exactly once, as host or host:port")
	ErrContentLength   = badRequest("malformed or repeated Content-Length")
	ErrTransferCoding  = badRequest("Transfer-Encoding must be chunked alone, without Content-Length, in HTTP/1.1")
	ErrBodyWithUpgrade = badRequest("a WebSocket handshake has no body")
	errHandshakeTarget = &RequestError{400, DropBadHandshake, "the target of a WebSocket handshake must be a path"}
	ErrHTTPVersion     = &RequestError{505, DropBadRequest, "HTTP/1.1 or HTTP/1.0 is spoken here"}
)

// A HeadScanner finds the end of a request's head in bytes that arrive in parts,
// looking at each byte once. Its zero value is ready for the next head. It is
// plain data.
type HeadScanner struct {
	seen  int // bytes looked at
	start int // where the line under way begins
	lines int // request line and fields
}

// Scan looks at b, the same bytes as before with more behind them, and returns
// the length of the head with its empty line, or 0 while that has not come.
// Limits are enforced as the bytes come.
func (s *HeadScanner) Scan(b []byte, l *Limits) (end int, err *RequestError) {
	for {
		if s.lines == 0 && s.start < len(b) && !isTokenByte(b[s.start]) && b[s.start] != '\r' && b[s.start] != '\n' {
			return 0, ErrRequestLine // not HTTP at all
		}
		i := bytes.IndexByte(b[s.seen:], '\n')
		if i < 0 {
			s.seen = len(b)
			if len(b) > l.Header {
				return 0, ErrHeaderTooLarge
			}
			return 0, nil
		}
		at := s.seen + i
		line := b[s.start:at]
		s.seen, s.start = at+1, at+1
		if s.seen > l.Header {
			return 0, ErrHeaderTooLarge
		}
		switch {
		case len(line) == 0 || line[len(line)-1] != '\r':
			return 0, ErrBareLineEnd
		case len(line) > 1:
			s.lines++
			if s.lines-1 > l.HeaderLines {
				return 0, ErrTooManyLines
			}
		case s.lines > 0:
			return s.seen, nil
		}
		// An empty line before the request line is passed over (RFC 9112 section 2.2).
	}
}

// Framing is what a head says about the bytes behind it and the connection.
type Framing struct {
	Minor         int   // of HTTP/1.x
	ContentLength int64 // 0 without one
	Chunked       bool  // the body comes in chunks, its length unknown
	KeepAlive     bool  // the client will send another request
	Upgrade       bool  // lists Upgrade: websocket and Connection: upgrade
	Expect        bool  // the client waits for a 100 before its body
	OriginForm    bool  // the target is a path: /Prod?x=1
}

// ParseHead parses one whole head, as a HeadScanner found it. It is strict, so that no
// other parser of the same bytes can see another request in them: lines end in
// CR LF, no folding, no space before the colon, one Host, one Content-Length or
// chunked but not both. The Request shares one copy of the head.
func ParseHead(head []byte) (*Request, Framing, *RequestError) {
	r := &Request{}
	f, err := ParseHeadInto(r, head)
	if err != nil {
		return nil, Framing{}, err
	}
	return r, f, nil
}

// ParseHeadInto is ParseHead for who has a Request to use again: the array of its
// Header is overwritten, nothing else of it stays.
func ParseHeadInto(r *Request, head []byte) (Framing, *RequestError) {
	*r = Request{Header: r.Header[:0]}
	text := string(head)
	for strings.HasPrefix(text, "\r\n") { // as Scan passes them over
		text = text[2:]
	}
	line, rest, ok := cutLine(text)
	if !ok {
		return Framing{}, ErrBareLineEnd
	}
	f := Framing{}
	if err := parseRequestLine(line, r, &f); err != nil {
		return Framing{}, err
	}
	if cap(r.Header) == 0 {
		r.Header = make([]Field, 0, strings.Count(rest, "\n"))
	}
	for {
		line, rest, ok = cutLine(rest)
		if !ok {
			return Framing{}, ErrBareLineEnd
		}
		if line == "" {
			break
		}
		field, err := parseField(line)
		if err != nil {
			return Framing{}, err
		}
		r.Header = append(r.Header, field)
	}
	if rest != "" {
		return Framing{}, ErrBareLineEnd // unreachable for what Scan found
	}
	if err := parseFraming(r, &f); err != nil {
		return Framing{}, err
	}
	return f, nil
}

// cutLine cuts the first line off, without its CR LF.
func cutLine(s string) (line, rest string, ok bool) {
	i := strings.IndexByte(s, '\n')
	if i < 1 || s[i-1] != '\r' {
		return "", "", false
	}
	return s[:i-1], s[i+1:], true
}

func parseRequestLine(line string, r *Request, f *Framing) *RequestError {
	method, rest, ok := strings.Cut(line, " ")
	if !ok || !isToken(method) {
		return ErrRequestLine
	}
	target, version, ok := strings.Cut(rest, " ")
	if !ok || target == "" {
		return ErrRequestLine
	}
	for i := range len(target) {
		if target[i] <= ' ' || target[i] >= 0x7f {
			return ErrRequestLine
		}
	}
	switch version {
	case "HTTP/1.1":
		f.Minor = 1
	case "HTTP/1.0":
	default:
		if len(version) == 8 && strings.HasPrefix(version, "HTTP/") {
			return ErrHTTPVersion
		}
		return ErrRequestLine
	}
	r.Method, r.Target = method, target
	f.OriginForm = target[0] == '/'
	return nil
}

func parseField(line string) (Field, *RequestError) {
	if line[0] == ' ' || line[0] == '\t' {
		return Field{}, ErrFieldFolded
	}
	colon := 0
	for colon < len(line) && tokenBytes[line[colon]] {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return Field{}, ErrFieldName
	}
	name, value := line[:colon], strings.Trim(line[colon+1:], " \t")
	if !validValue(value) {
		return Field{}, ErrFieldValue
	}
	return Field{name, value}, nil
}

// parseFraming reads the fields that decide where the request ends and what
// becomes of the connection.
func parseFraming(r *Request, f *Framing) *RequestError {
	hosts, lengths, codings := 0, 0, 0
	hangUp, keep, upgrade, websocket := false, false, false, false
	for i := range r.Header {
		name, value := r.Header[i].Name, r.Header[i].Value
		switch len(name) { // few names have one of these lengths
		case len("Host"):
			if !strings.EqualFold(name, "Host") {
				continue
			}
			hosts++
			if !validHost(value) {
				return ErrHost
			}
			r.Host = value
		case len("Expect"):
			if !strings.EqualFold(name, "Expect") {
				continue
			}
			if !strings.EqualFold(value, "100-continue") {
				return &RequestError{417, DropBadRequest, "unknown Expect"}
			}
			f.Expect = true
		case len("Upgrade"):
			websocket = websocket || strings.EqualFold(name, "Upgrade") && listHasToken(value, "websocket")
		case len("Connection"):
			if !strings.EqualFold(name, "Connection") {
				continue
			}
			hangUp = hangUp || listHasToken(value, "close")
			keep = keep || listHasToken(value, "keep-alive")
			upgrade = upgrade || listHasToken(value, "upgrade")
		case len("Content-Length"):
			if !strings.EqualFold(name, "Content-Length") {
				continue
			}
			lengths++
			n, ok := parseLength(value)
			if !ok || lengths > 1 {
				return ErrContentLength
			}
			f.ContentLength = n
		case len("Transfer-Encoding"):
			if !strings.EqualFold(name, "Transfer-Encoding") {
				continue
			}
			codings++
			if !strings.EqualFold(value, "chunked") {
				return ErrTransferCoding
			}
			f.Chunked = true
		}
	}
	if hosts > 1 || hosts == 0 && f.Minor > 0 {
		return ErrHost
	}
	if codings > 1 || codings == 1 && (lengths > 0 || f.Minor == 0) {
		return ErrTransferCoding
	}
	f.KeepAlive = f.Minor > 0 && !hangUp || f.Minor == 0 && keep
	f.Upgrade = upgrade && websocket
	if f.Upgrade && (f.ContentLength > 0 || f.Chunked) {
		return ErrBodyWithUpgrade
	}
	return nil
}

// listHasToken reports whether a comma-separated list holds the token, in any letter
// case: Connection's "upgrade".
func listHasToken(list, token string) bool {
	for list != "" {
		var item string
		item, list, _ = strings.Cut(list, ",")
		if strings.EqualFold(strings.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}

// parseLength reads a Content-Length: digits alone, at most 18 of them.
func parseLength(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// validHost reports whether s has only bytes that a host, an IP literal and a
// port are made of (RFC 3986 section 3.2.2). An empty Host is allowed by HTTP.
func validHost(s string) bool {
	for i := range len(s) {
		if !hostBytes[s[i]] {
			return false
		}
	}
	return true
}

// validValue reports whether s may be a field's value: no control character but tabs.
func validValue(s string) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 { // most values are long, and plain
		b := s[:8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		del := w ^ 0x7f*each
		// Bytes below a space, and DEL: "Determine if a word has a byte less than n",
		// Bit Twiddling Hacks. What it finds beside is looked at again.
		if ((w-' '*each)&^w|(del-each)&^del)&high != 0 && !validBytes(b) {
			return false
		}
		s = s[8:]
	}
	return validBytes(s)
}

func validBytes(s string) bool {
	for i := range len(s) {
		if b := s[i]; b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}

func isToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// isTokenByte reports whether b may stand in a token.
func isTokenByte(b byte) bool { return tokenBytes[b] }

// tokenBytes are those of a token (RFC 9110 section 5.6.2), hostBytes those of a Host.
var (
	tokenBytes = lettersDigitsAnd("!#$%&'*+-.^_`|~")
	hostBytes  = lettersDigitsAnd("-._~%!$&'()*+,;=:[]")
)

func lettersDigitsAnd(others string) (set [256]bool) {
	for b := range len(set) {
		c := byte(b)
		set[b] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(others, c) >= 0
	}
	return set
}
