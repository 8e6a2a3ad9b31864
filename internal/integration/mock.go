package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

// NewMock returns an invoker of the MOCK integration, which answers with the
// status that its request template yields: {"statusCode": 200}. constant is the
// template when it is a constant, read here once; when it is nil, each
// request's Payload is what the template yielded. The response has no body.
// The error is an *Error of kind ErrMalformed.
func NewMock(constant []byte) (Invoker, error) {
	if constant == nil {
		return mock{}, nil
	}
	status, err := mockStatus(constant)
	if err != nil {
		return nil, err
	}
	return fixedMock{&Response{Status: status}}, nil
}

// mock answers with the status in each payload.
type mock struct{}

var _ Invoker = mock{}

func (mock) Invoke(_ context.Context, r *Request) (*Response, error) {
	status, err := mockStatus(r.Payload)
	if err != nil {
		return nil, err
	}
	return &Response{Status: status}, nil
}

// fixedMock always gives the same response, which nobody may change.
type fixedMock struct{ response *Response }

var _ Invoker = fixedMock{}

func (m fixedMock) Invoke(context.Context, *Request) (*Response, error) { return m.response, nil }

// mockStatus reads the status out of a template's output. Strict JSON may have
// any shape around it (WS-03-008). Sloppy JSON, such as { statusCode: 204 }, which
// AWS takes and generators of templates write, may not be nested (WS-03-157).
func mockStatus(output []byte) (int, error) {
	text := ""
	var members map[string]json.RawMessage
	if json.Unmarshal(output, &members) == nil {
		text = string(members["statusCode"])
	} else {
		text = flatMember(output, "statusCode")
	}
	n, err := strconv.Atoi(trimQuotes(text))
	if err != nil || n < 100 || n > 999 {
		return 0, &Error{Kind: ErrMalformed, Detail: fmt.Sprintf(
			`the request template of a MOCK integration must yield {"statusCode": N} with N from 100 to 999, but yielded %s`, clip(string(output)))}
	}
	return n, nil
}

// flatMember returns the text of a member of a sloppy object without nesting,
// or "".
func flatMember(output []byte, name string) string {
	inner, open := bytes.CutPrefix(bytes.TrimSpace(output), []byte("{"))
	inner, closed := bytes.CutSuffix(inner, []byte("}"))
	if !open || !closed || bytes.ContainsAny(inner, "{}[]") {
		return ""
	}
	value := ""
	for member := range bytes.SplitSeq(inner, []byte(",")) {
		k, v, ok := bytes.Cut(member, []byte(":"))
		if ok && trimQuotes(string(bytes.TrimSpace(k))) == name {
			value = string(bytes.TrimSpace(v))
		}
	}
	return value
}

// trimQuotes removes one pair of quotes, single or double.
func trimQuotes(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}
