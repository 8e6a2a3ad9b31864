package client

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A Look is how a person sees messages. The zero value shows them as they are.
type Look struct {
	Pretty bool // JSON over several lines, control characters as escapes, binary as hex
	Color  bool // with Pretty
	Clock  bool // the time in front
}

// clock is the time of a line, in front of it.
func (l Look) clock() string {
	if !l.Clock {
		return ""
	}
	return time.Now().Format("15:04:05.000") + " "
}

// message is one message for a line of output.
func (l Look) message(payload []byte, binary bool) string {
	switch {
	case !l.Pretty:
		return string(payload)
	case binary:
		return fmt.Sprintf("binary, %d bytes\n%s", len(payload), strings.TrimSuffix(hex.Dump(payload), "\n"))
	}
	trimmed := bytes.TrimSpace(payload)
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		var b bytes.Buffer
		if json.Indent(&b, trimmed, "", "  ") == nil {
			text := visible(b.String())
			if l.Color {
				text = paintJSON(text)
			}
			return text
		}
	}
	return visible(string(payload))
}

// visible keeps what a server sent from steering the terminal: control
// characters but tab and newline are shown as escapes.
func visible(text string) string {
	safe := func(r rune) bool {
		return r == '\t' || r == '\n' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f)
	}
	if strings.IndexFunc(text, func(r rune) bool { return !safe(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if safe(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\x%02x", r)
		}
	}
	return b.String()
}

// ANSI escape codes of JSON's parts.
const (
	colorName   = "\x1b[36m"
	colorString = "\x1b[32m"
	colorOther  = "\x1b[33m" // numbers, true, false, null
	colorEnd    = "\x1b[0m"
)

// paintJSON colours indented JSON.
func paintJSON(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			end := i + 1
			for end < len(text) && text[end] != '"' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(text))
			color := colorString
			if end < len(text) && text[end] == ':' {
				color = colorName
			}
			b.WriteString(color + text[i:end] + colorEnd)
			i = end
		case strings.IndexByte("-0123456789tfn", c) >= 0:
			end := i
			for end < len(text) && strings.IndexByte(",]} \n", text[end]) < 0 {
				end++
			}
			b.WriteString(colorOther + text[i:end] + colorEnd)
			i = end
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}
