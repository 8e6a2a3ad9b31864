package mapping

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"tidegate/jsonpath"
	"tidegate/vtl"
)

// util is $util (WS-05-021 to WS-05-028).
type util struct{}

// Get finds nothing: $util has functions only.
func (util) Get(string) (any, bool) { return nil, false }

// String is what $util itself prints.
func (util) String() string { return "$util" }

// Call calls the functions.
func (util) Call(name string, arguments []any) (any, bool, error) {
	if len(arguments) != 1 {
		return nil, false, nil
	}
	if name == "escapeJavaScript" {
		if text, ok := arguments[0].(string); ok && !strings.ContainsFunc(text, escapes) {
			return arguments[0], true, nil
		}
		return string(appendEscaped(nil, vtl.Print(arguments[0]))), true, nil
	}
	if arguments[0] == nil {
		return nil, false, nil
	}
	text := vtl.Print(arguments[0])
	switch name {
	case "parseJson":
		v, err := jsonpath.Read([]byte(text))
		if err != nil {
			return nil, false, fmt.Errorf("$util.parseJson: the text is %w", err)
		}
		return velocity(&v), true, nil
	case "urlEncode":
		return javaEscaper.Replace(url.QueryEscape(text)), true, nil
	case "urlDecode":
		decoded, err := url.QueryUnescape(text)
		if err != nil {
			return nil, false, fmt.Errorf("$util.urlDecode: %w", err)
		}
		return decoded, true, nil
	case "base64Encode":
		return base64.StdEncoding.EncodeToString([]byte(text)), true, nil
	case "base64Decode":
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, false, fmt.Errorf("$util.base64Decode: %w", err)
		}
		return string(decoded), true, nil
	}
	return nil, false, nil
}

// AppendCall appends what escapeJavaScript and base64Encode give for texts.
func (util) AppendCall(dst []byte, name string, arguments []any) ([]byte, bool, error) {
	if len(arguments) != 1 {
		return dst, false, nil
	}
	text, ok := arguments[0].(string)
	if !ok {
		return dst, false, nil
	}
	switch name {
	case "escapeJavaScript":
		return appendEscaped(dst, text), true, nil
	case "base64Encode":
		return base64.StdEncoding.AppendEncode(dst, []byte(text)), true, nil
	}
	return dst, false, nil
}

// javaEscaper makes Go's query escapes those of Java's URLEncoder.
var javaEscaper = strings.NewReplacer("~", "%7E", "%2A", "*")

// appendEscaped appends a text escaped as Apache Commons Lang 2 does for
// JavaScript: quotes of both kinds, backslash, slash, control characters, and all
// beyond ASCII.
func appendEscaped(dst []byte, s string) []byte {
	plain := 0 // from where on nothing was appended yet
	for i, c := range s {
		if !escapes(c) {
			continue
		}
		dst = append(dst, s[plain:i]...)
		if plain = i + utf8.RuneLen(c); c == utf8.RuneError {
			_, size := utf8.DecodeRuneInString(s[i:])
			plain = i + size
		}
		switch c {
		case '\'', '"', '\\', '/':
			dst = append(dst, '\\', byte(c))
		case '\b':
			dst = append(dst, `\b`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			if high, low := utf16.EncodeRune(c); c > 0xffff {
				dst = appendUnit(appendUnit(dst, high), low)
			} else {
				dst = appendUnit(dst, c)
			}
		}
	}
	return append(dst, s[plain:]...)
}

// appendUnit appends a unit of UTF-16 as JavaScript escapes it.
func appendUnit(dst []byte, c rune) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '\\', 'u', digits[c>>12], digits[c>>8&15], digits[c>>4&15], digits[c&15])
}

func escapes(c rune) bool {
	return c < 0x20 || c > 0x7f || c == '\'' || c == '"' || c == '\\' || c == '/'
}
