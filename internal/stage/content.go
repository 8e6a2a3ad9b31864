package stage

import (
	"encoding/base64"
	"fmt"
	"unicode/utf8"
)

// The values of contentHandlingStrategy. Without one a body passes as it is.
const (
	convertToBinary = "CONVERT_TO_BINARY" // base64 becomes the bytes it stands for
	convertToText   = "CONVERT_TO_TEXT"   // bytes become base64
)

func checkStrategy(strategy string) error {
	switch strategy {
	case "", convertToBinary, convertToText:
		return nil
	}
	return fmt.Errorf("contentHandlingStrategy %q is neither CONVERT_TO_BINARY nor CONVERT_TO_TEXT", strategy)
}

// binary decodes base64, of the standard alphabet (WS-03-045). The error is of
// kind ErrMapping and names what (WS-03-048).
func binary(what string, body []byte) ([]byte, error) {
	out := make([]byte, base64.StdEncoding.DecodedLen(len(body)))
	n, err := base64.StdEncoding.Decode(out, body)
	if err != nil {
		return nil, fmt.Errorf("%w: contentHandlingStrategy CONVERT_TO_BINARY: the %s is no base64: %v", ErrMapping, what, err)
	}
	return out[:n], nil
}

// text encodes what isn't text already; text stays as it is.
func text(body []byte) []byte {
	if utf8.Valid(body) {
		return body
	}
	return base64.StdEncoding.AppendEncode(nil, body)
}
