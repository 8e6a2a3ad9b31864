package observe

import (
	"encoding/json"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends the notice as one JSON object: time, level, kind, msg and
// the details. Durations are in milliseconds. It runs for every message when the
// log is JSON, so it allocates only for values of no usual kind.
func (n *Notice) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"time":"`...)
	dst = n.Time.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00")
	dst = appendString(append(dst, `","level":`...), n.Level.String())
	dst = appendString(append(dst, `,"kind":`...), n.Kind)
	dst = appendString(append(dst, `,"msg":`...), n.Text)
	if len(n.Detail) > 0 {
		dst = append(dst, `,"detail":[`...)
		for i, line := range n.Detail {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, line)
		}
		dst = append(dst, ']')
	}
	for _, a := range n.Attrs {
		dst = append(appendString(append(dst, ','), a.Key), ':')
		dst = appendValue(dst, a.Value)
	}
	return append(dst, '}')
}

func appendValue(dst []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendString(dst, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(dst, v.Int64(), 10)
	case slog.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case slog.KindDuration:
		ms := float64(v.Duration()/time.Microsecond) / 1000
		return strconv.AppendFloat(dst, ms, 'f', -1, 64)
	}
	return appendMarshaled(dst, v.Any())
}

// appendString appends a JSON string (RFC 8259, section 7). Bytes that aren't
// UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0 // what is before is in dst
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[done:i]...), "\uFFFD"...)
				done = i + 1
			}
			i += n
			continue
		}
		if c < ' ' || c == '"' || c == '\\' || c == 0x7f {
			dst = append(dst, s[done:i]...)
			done = i + 1
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
			}
		}
		i++
	}
	return append(append(dst, s[done:]...), '"')
}

func appendMarshaled(dst []byte, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		b, _ = json.Marshal(err.Error())
	}
	return append(dst, b...)
}
