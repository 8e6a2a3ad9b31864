package event

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// ErrMalformed says that a function's result has not the shape that a proxy
// integration must return.
var ErrMalformed = errors.New("malformed Lambda proxy response")

// maxStatus is the highest status code that a reply may name.
const maxStatus = 999

// ParseReply reads the result of a Lambda proxy integration:
//
//	{"statusCode": 200, "headers": {…}, "multiValueHeaders": {…}, "body": "…", "isBase64Encoded": false}
//
// Each key may be missing or null, and Status is 0 when there is no
// statusCode: a message's reply may lack it, that of $connect may not (WS-03-115,
// WS-03-122, WS-03-180). The check is as strict as AWS's: any other key at the top
// makes the reply malformed (WS-03-116, WS-03-120), as does a body that isn't a
// string (WS-03-117) and a result that isn't an object (WS-03-119). A status code
// may be a number or a string of digits (WS-03-181); header values may be strings,
// numbers or booleans (WS-03-118). Headers come in the reply's order, single values
// before multiple ones. Body is decoded when isBase64Encoded says so (WS-03-121).
// Errors are ErrMalformed and name what is wrong.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-output-format
func ParseReply(payload []byte) (*Reply, error) {
	if !json.Valid(payload) {
		return nil, malformed("the result is not JSON")
	}
	s := span{payload}
	if s.next() != '{' {
		return nil, malformed("the result is %s, not an object", s.kind())
	}
	r := &Reply{}
	base64Encoded := false
	var single, multi span
	err := s.members(func(key string, value span) (err error) {
		null := value.next() == 'n'
		switch key {
		case "statusCode":
			r.Status, err = parseStatus(value)
		case "headers":
			if single = value; !null && value.next() != '{' {
				err = malformed("headers is %s, not an object", value.kind())
			}
		case "multiValueHeaders":
			if multi = value; !null && value.next() != '{' {
				err = malformed("multiValueHeaders is %s, not an object", value.kind())
			}
		case "body":
			r.Body = nil
			if !null && value.next() != '"' {
				return malformed("body is %s, not a string", value.kind())
			}
			if !null {
				r.Body = value.text()
			}
		case "isBase64Encoded":
			base64Encoded = value.next() == 't'
			if !null && !base64Encoded && value.next() != 'f' {
				err = malformed("isBase64Encoded is %s, not a boolean", value.kind())
			}
		default:
			err = malformed("the key %.64q is not one of statusCode, headers, multiValueHeaders, body and isBase64Encoded", key)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.addHeaders(single, multi); err != nil {
		return nil, err
	}
	if base64Encoded {
		n, err := base64.StdEncoding.Decode(r.Body, r.Body)
		if err != nil {
			return nil, malformed("isBase64Encoded is true, but body is not base64")
		}
		r.Body, r.Binary = r.Body[:n], true
	}
	return r, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// parseStatus parses a status code; null is 0.
func parseStatus(value span) (int, error) {
	var digits []byte
	switch c := value.next(); {
	case c == 'n':
		return 0, nil
	case c == '"':
		digits = value.text()
	case c == '-' || '0' <= c && c <= '9':
		digits = value.data
	default:
		return 0, malformed("statusCode is %s, not a number", value.kind())
	}
	n, err := strconv.ParseUint(string(digits), 10, 16)
	if err != nil || n < 100 || n > maxStatus {
		return 0, malformed("statusCode %.32q is not between 100 and %d", digits, maxStatus)
	}
	return int(n), nil
}

// addHeaders adds what headers and multiValueHeaders hold; nil spans and nulls
// hold nothing.
func (r *Reply) addHeaders(single, multi span) error {
	if single.next() == '{' {
		if err := single.members(func(name string, value span) error {
			return r.addHeader("headers", name, value)
		}); err != nil {
			return err
		}
	}
	if multi.next() != '{' {
		return nil
	}
	return multi.members(func(name string, value span) error {
		if value.next() == 'n' {
			return nil
		}
		if value.next() != '[' {
			return malformed("%.64q in multiValueHeaders is %s, not an array", name, value.kind())
		}
		return value.elements(func(item span) error {
			return r.addHeader("multiValueHeaders", name, item)
		})
	})
}

func (r *Reply) addHeader(where, name string, value span) error {
	switch value.next() {
	case 'n':
		return nil
	case '{', '[':
		return malformed("%.64q in %s is %s, not a string", name, where, value.kind())
	case '"':
		r.Header = append(r.Header, Field{name, string(value.text())})
	default:
		r.Header = append(r.Header, Field{name, string(value.data)})
	}
	return nil
}
