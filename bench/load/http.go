package load

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// AppendRequest appends an HTTP/1.1 request; fields are whole header lines, each
// with its end.
func AppendRequest(b []byte, method, host, path, fields string, body []byte) []byte {
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	b = append(b, fields...)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}

func (l *Loop) parseHTTP(c *Conn, b []byte) (used int) {
	for c.state == open {
		r, err := cutResponse(b[used:])
		if err != nil {
			l.fail(c, err)
			return used
		}
		if r.size == 0 {
			return used
		}
		used += r.size
		if r.last {
			c.Kill()
		}
		l.OnResponse(c, r.status, r.body)
	}
	return used
}

// A response is an HTTP answer that was cut off what came.
type response struct {
	size   int // 0 while it isn't complete
	status int
	body   []byte
	last   bool // the server closes behind it
}

// cutResponse takes one response off b.
func cutResponse(b []byte) (response, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return response{}, nil
	}
	if len(b) < 12 || !bytes.HasPrefix(b, []byte("HTTP/1.")) {
		return response{}, fmt.Errorf("%.40q is no HTTP response", b)
	}
	r := response{last: b[7] == '0'}
	var err error
	if r.status, err = strconv.Atoi(string(b[9:12])); err != nil {
		return response{}, fmt.Errorf("%.40q is no HTTP response", b)
	}
	length, chunked := 0, false
	for head := b[:end]; len(head) > 0; {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch len(name) { // few names need a comparison
		case len("content-length"):
			if strings.EqualFold(string(name), "content-length") {
				if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || length < 0 {
					return response{}, fmt.Errorf("the response has a Content-Length of %q", value)
				}
			}
		case len("transfer-encoding"):
			chunked = chunked || strings.EqualFold(string(name), "transfer-encoding")
		case len("connection"):
			if strings.EqualFold(string(name), "connection") {
				r.last = strings.EqualFold(string(bytes.TrimSpace(value)), "close")
			}
		}
	}
	if chunked {
		return cutChunks(r, b, end+4)
	}
	if len(b)-end-4 < length {
		return response{}, nil
	}
	r.size, r.body = end+4+length, b[end+4:end+4+length]
	return r, nil
}

// cutChunks reads a chunked body that begins at the given place.
func cutChunks(r response, b []byte, at int) (response, error) {
	for {
		line := bytes.Index(b[at:], []byte("\r\n"))
		if line < 0 {
			return response{}, nil
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(b[at:at+line])), 16, 31)
		if err != nil {
			return response{}, err
		}
		at += line + 2
		if len(b) < at+int(size)+2 {
			return response{}, nil
		}
		r.body = append(r.body, b[at:at+int(size)]...)
		at += int(size) + 2
		if size == 0 {
			r.size = at
			return r, nil
		}
	}
}
