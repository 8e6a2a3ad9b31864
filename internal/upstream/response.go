package upstream

import (
	"bytes"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"tidegate/internal/event"
)

const (
	maxInformal  = 16  // 1xx answers before the one that counts
	maxFields    = 256 // of an answer
	maxChunkLine = 4 << 10
	maxTrailer   = 64 << 10
)

// A part is which part of an answer is read.
type part uint8

const (
	partHead    part = iota
	partLength       // a body of known length
	partEnd          // a body that ends with the connection
	partSize         // the line before a chunk
	partChunk        // a chunk's data
	partCRLF         // the line end behind it
	partTrailer      // the fields behind the last chunk
	partDone
)

// An answer reads one response, from pieces as they come. The zero value begins;
// head, maxHead and maxBody are set before the first piece.
type answer struct {
	head    bool // to HEAD: without a body
	maxHead int
	maxBody int

	part     part
	response Response
	keep     bool          // the connection may be used again
	rest     time.Duration // after it, idle, it had better not be; 0: that wasn't said
	informal int

	header []event.Field // memory of the last answer's, to be used again

	held []byte // a head, or a line of a chunked body, that hasn't come whole
	seen int    // bytes of held that have no end of the head in them
	left int    // bytes of the body or of the chunk that are still to come
	size int    // of the trailer so far
}

// feed takes what was read. It returns how many bytes are the answer's, and
// whether it is whole. A body that comes whole is a part of p.
func (a *answer) feed(p []byte) (n int, done bool, err error) {
	all := len(p)
	for a.part != partDone {
		if len(p) == 0 && !(a.part == partLength && a.left == 0) {
			return all, false, nil
		}
		var used int
		if used, err = a.step(p); err != nil {
			return all - len(p), false, err
		}
		p = p[used:]
	}
	return all - len(p), true, nil
}

// step takes what it can of p.
func (a *answer) step(p []byte) (int, error) {
	switch a.part {
	case partHead:
		return a.feedHead(p)
	case partLength:
		if len(a.response.Body) == 0 && len(p) >= a.left {
			a.response.Body = p[:a.left:a.left]
			a.part = partDone
			return a.left, nil
		}
		if a.response.Body == nil {
			a.response.Body = make([]byte, 0, min(a.left, 64<<10))
		}
		n := a.take(p)
		if a.left == 0 {
			a.part = partDone
		}
		return n, nil
	case partEnd:
		if len(a.response.Body)+len(p) > a.maxBody {
			return 0, ErrTooBig
		}
		a.response.Body = append(a.response.Body, p...)
		return len(p), nil
	case partChunk:
		n := a.take(p)
		if a.left == 0 {
			a.part = partCRLF
		}
		return n, nil
	}
	return a.feedLine(p)
}

// take moves bytes of known number to the body.
func (a *answer) take(p []byte) int {
	n := min(a.left, len(p))
	a.response.Body = append(a.response.Body, p[:n]...)
	a.left -= n
	return n
}

// end is told when the backend has closed its direction. It returns whether the
// answer is whole now.
func (a *answer) end() bool {
	if a.part == partEnd {
		a.part = partDone
	}
	return a.part == partDone
}

// begun says that something of the answer was read.
func (a *answer) begun() bool {
	return a.part != partHead || len(a.held) > 0 || a.informal > 0
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// feedHead looks for the end of the head.
func (a *answer) feedHead(p []byte) (int, error) {
	if len(a.held) == 0 {
		if n := headEnd(p, 0); n > 0 {
			if n > a.maxHead {
				return 0, malformed("its header has more than %d bytes", a.maxHead)
			}
			return n, a.parseHead(p[:n])
		}
		if len(p) > a.maxHead {
			return 0, malformed("its header has more than %d bytes", a.maxHead)
		}
		a.held, a.seen = append(a.held, p...), max(len(p)-2, 0)
		return len(p), nil
	}
	before := len(a.held)
	room := a.maxHead - before
	a.held = append(a.held, p[:min(len(p), room)]...)
	n := headEnd(a.held, a.seen)
	if n == 0 {
		if len(p) > room {
			return 0, malformed("its header has more than %d bytes", a.maxHead)
		}
		a.seen = max(len(a.held)-2, 0)
		return len(p), nil
	}
	held := a.held
	a.held = a.held[:0]
	return n - before, a.parseHead(held[:n])
}

// headEnd returns where the empty line ends that p has behind from, or 0.
func headEnd(p []byte, from int) int {
	for {
		i := bytes.IndexByte(p[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		switch {
		case from < len(p) && p[from] == '\n':
			return from + 1
		case from+1 < len(p) && p[from] == '\r' && p[from+1] == '\n':
			return from + 2
		}
	}
}

// cutLine returns the first line without its end, and what follows.
func cutLine(p []byte) (line, rest []byte) {
	i := bytes.IndexByte(p, '\n')
	line, rest = p[:i], p[i+1:]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest
}

// parseHead reads a whole head.
func (a *answer) parseHead(p []byte) error {
	line, rest := cutLine(p)
	minor, status, err := parseStatus(line)
	if err != nil {
		return err
	}
	f := framing{length: -1}
	text := string(rest) // the fields' names and values are parts of it
	header := a.header[:0]
	if header == nil {
		header = make([]event.Field, 0, 8)
	}
	for off := 0; ; {
		line, after := cutLine(rest)
		if len(line) == 0 {
			break
		}
		field, err := parseField(line, text[off:off+len(line)])
		if err != nil {
			return err
		}
		off += len(rest) - len(after)
		rest = after
		if len(header) == maxFields {
			return malformed("it has more than %d header fields", maxFields)
		}
		if header, err = f.note(header, field); err != nil {
			return err
		}
	}
	if status < 200 && status != 101 {
		if a.informal++; a.informal > maxInformal {
			return malformed("more than %d answers came before it", maxInformal)
		}
		return nil
	}
	if status == 101 {
		return ErrSwitched
	}
	sortFields(header)
	a.header = header
	a.response = Response{Status: status, Header: header}
	return a.frame(status, minor, &f)
}

// parseStatus reads HTTP/1.x CODE REASON.
func parseStatus(line []byte) (minor, status int, err error) {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return 0, 0, malformed("it begins with %.64q", line)
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return 0, 0, malformed("it begins with %.64q", line)
		}
		status = 10*status + int(c-'0')
	}
	if status < 100 {
		return 0, 0, malformed("its status is %03d", status)
	}
	return int(line[7] - '0'), status, nil
}

// parseField reads NAME: VALUE; text is the line as the string that the field's
// parts are taken from.
func parseField(line []byte, text string) (event.Field, error) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !isToken(line[:colon]) {
		return event.Field{}, malformed("its header has the line %.64q", line)
	}
	value := strings.Trim(text[colon+1:], " \t")
	if !isFieldValue(value) {
		return event.Field{}, malformed("its header %s has control characters", text[:colon])
	}
	return event.Field{Name: textproto.CanonicalMIMEHeaderKey(text[:colon]), Value: value}, nil
}

// framing is what a header says of the body's length and of the connection.
type framing struct {
	length      int // -1: not said
	chunked     bool
	close, keep bool // said of the connection
	rest        time.Duration
}

// note adds a field to the header, and heeds those that frame the answer.
func (f *framing) note(header []event.Field, field event.Field) ([]event.Field, error) {
	switch field.Name {
	case "Content-Length":
		n, ok := parseLength(field.Value)
		if !ok {
			return nil, malformed("its Content-Length is %.32q", field.Value)
		}
		if f.length >= 0 {
			if f.length != n {
				return nil, malformed("it has two lengths, %d and %d", f.length, n)
			}
			return header, nil
		}
		f.length = n
	case "Transfer-Encoding":
		if f.chunked || !strings.EqualFold(field.Value, "chunked") {
			return nil, malformed("its Transfer-Encoding is %.64q, not chunked", field.Value)
		}
		f.chunked = true
		return header, nil
	case "Connection":
		for option := range strings.SplitSeq(field.Value, ",") {
			option = strings.Trim(option, " \t")
			f.close = f.close || strings.EqualFold(option, "close")
			f.keep = f.keep || strings.EqualFold(option, "keep-alive")
		}
	case "Keep-Alive":
		f.rest = parseRest(field.Value)
	}
	return append(header, field), nil
}

// parseLength reads a Content-Length: digits only.
func parseLength(s string) (n int, ok bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, true
}

// parseRest reads how long a backend keeps a connection without a request, as Node.js,
// Apache and Tomcat say it: Keep-Alive: timeout=5, max=100, in seconds. What is
// returned is somewhat less: a request that crosses the backend's close is lost, and
// nobody knows whether it was heard.
func parseRest(value string) time.Duration {
	for option := range strings.SplitSeq(value, ",") {
		name, seconds, _ := strings.Cut(strings.Trim(option, " \t"), "=")
		if n, ok := parseLength(seconds); ok && n > 0 && n < 1e6 && strings.EqualFold(name, "timeout") {
			said := time.Duration(n) * time.Second
			return said - min(said/2, time.Second)
		}
	}
	return 0
}

// frame decides how the body is read (RFC 9112, section 6.3).
func (a *answer) frame(status, minor int, f *framing) error {
	a.keep, a.rest = !f.close && (minor > 0 || f.keep), f.rest
	switch {
	case f.chunked && minor == 0:
		return malformed("it is chunked, in HTTP/1.0")
	case a.head || status == 204 || status == 304:
		a.part = partDone
	case f.chunked:
		if f.length >= 0 {
			// Two lengths are an attack or a mistake: the one that counts is the
			// chunks', and the connection isn't used again.
			a.keep = false
			a.response.Header = slices.DeleteFunc(a.response.Header, func(f event.Field) bool { return f.Name == "Content-Length" })
		}
		a.part = partSize
	case f.length > a.maxBody:
		return ErrTooBig
	case f.length >= 0:
		a.part, a.left = partLength, f.length
	default:
		a.part, a.keep = partEnd, false
	}
	return nil
}

// feedLine takes the lines of a chunked body: sizes, ends of chunks, trailer.
func (a *answer) feedLine(p []byte) (int, error) {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		if len(a.held)+len(p) > maxChunkLine {
			return 0, malformed("a line of its chunked body has more than %d bytes", maxChunkLine)
		}
		a.held = append(a.held, p...)
		return len(p), nil
	}
	line := p[:i+1]
	if len(a.held) > 0 {
		a.held = append(a.held, line...)
		line = a.held
	}
	if len(line) > maxChunkLine {
		return 0, malformed("a line of its chunked body has more than %d bytes", maxChunkLine)
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return 0, malformed("a line of its chunked body ends with a bare line feed")
	}
	a.held = a.held[:0]
	return i + 1, a.line(text)
}

// line takes one whole line of a chunked body.
func (a *answer) line(text []byte) error {
	switch a.part {
	case partCRLF:
		if len(text) > 0 {
			return malformed("a chunk of its body is longer than it says")
		}
		a.part = partSize
	case partSize:
		n, ok := parseChunkSize(text)
		switch {
		case !ok:
			return malformed("a chunk of its body has the size %.32q", text)
		case n > a.maxBody-len(a.response.Body):
			return ErrTooBig
		case n == 0:
			a.part = partTrailer
		default:
			a.part, a.left = partChunk, n
		}
	case partTrailer:
		if len(text) == 0 {
			a.part = partDone
			break
		}
		if a.size += len(text); a.size > maxTrailer {
			return malformed("its trailer has more than %d bytes", maxTrailer)
		}
		if _, err := parseField(text, string(text)); err != nil {
			return err
		}
	}
	return nil
}

// parseChunkSize reads the hexadecimal size of a chunk, perhaps with extensions
// behind it.
func parseChunkSize(line []byte) (n int, ok bool) {
	size, extension, _ := bytes.Cut(line, []byte(";"))
	if !isFieldValue(extension) {
		return 0, false
	}
	size = bytes.TrimRight(size, " \t")
	if len(size) == 0 || len(size) > 12 {
		return 0, false
	}
	for _, c := range size {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | int(c-'a'+10)
		case 'A' <= c && c <= 'F':
			n = n<<4 | int(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}
