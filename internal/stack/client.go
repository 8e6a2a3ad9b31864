package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tidegate/sigv4"
)

const (
	maxAnswerBytes = 16 << 20
	maxAttempts    = 5 // of a call that is throttled
)

// An APIError is what an AWS-shaped API answered instead of doing what it was
// asked for.
type APIError struct {
	Operation string // such as CreateFunction
	Status    int
	Code      string // such as ResourceConflictException
	Message   string
}

// Error returns the operation, the code and the API's own message.
func (e *APIError) Error() string {
	return fmt.Sprintf("%s: %s (%d): %s", e.Operation, e.Code, e.Status, e.Message)
}

// hasCode reports whether err is an APIError with one of the codes.
func hasCode(err error, codes ...string) bool {
	var e *APIError
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}

// isNotFound reports whether err says that the thing isn't there.
func isNotFound(err error) bool {
	return hasCode(err, "NotFoundException", "ResourceNotFoundException", "NoSuchEntity", "NoSuchEntityException")
}

// isConflict reports whether err says that the thing is there already.
func isConflict(err error) bool {
	return hasCode(err, "ConflictException", "ResourceConflictException", "ResourceInUseException", "EntityAlreadyExists", "EntityAlreadyExistsException")
}

// isUnbuilt reports whether err says that the service has no such operation.
func isUnbuilt(err error) bool {
	var e *APIError
	return errors.As(err, &e) &&
		(slices.Contains([]string{"UnknownOperationException", "UnknownOperation", "InvalidAction", "NotImplementedException", "NotImplemented"}, e.Code) ||
			e.Status == http.StatusNotImplemented || e.Status == http.StatusMethodNotAllowed)
}

// A client makes signed calls of AWS's three protocols.
type client struct {
	endpoint    string // without a slash at the end
	http        *http.Client
	credentials sigv4.Credentials
	region      string
}

// rest calls a rest-json operation: path is escaped already. in is the body and
// may be nil; out may be nil.
func (c *client) rest(ctx context.Context, service, operation, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		body = []byte(encodeJSON(in))
	}
	answer, err := c.do(ctx, service, operation, method, path, http.Header{"Content-Type": {"application/json"}}, body)
	if err != nil {
		return err
	}
	return decodeAnswer(operation, answer, out)
}

// json calls an operation of a json-1.x service; target is its X-Amz-Target.
func (c *client) json(ctx context.Context, service, version, target string, in, out any) error {
	_, operation, _ := strings.Cut(target, ".")
	header := http.Header{"Content-Type": {"application/x-amz-json-" + version}, "X-Amz-Target": {target}}
	answer, err := c.do(ctx, service, operation, http.MethodPost, "/", header, []byte(encodeJSON(in)))
	if err != nil {
		return err
	}
	return decodeAnswer(operation, answer, out)
}

// query calls an operation of a query service and returns its XML.
func (c *client) query(ctx context.Context, service, version, action string, form url.Values) ([]byte, error) {
	form.Set("Action", action)
	form.Set("Version", version)
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}
	return c.do(ctx, service, action, http.MethodPost, "/", header, []byte(form.Encode()))
}

func decodeAnswer(operation string, answer []byte, out any) error {
	if out == nil || len(bytes.TrimSpace(answer)) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s: the answer can't be read: %w", operation, err)
	}
	return nil
}

// do sends one signed request and returns the body of a 2xx answer. A call
// that is throttled is tried again after a pause.
func (c *client) do(ctx context.Context, service, operation, method, path string, header http.Header, body []byte) ([]byte, error) {
	pause := 50 * time.Millisecond
	for attempt := 1; ; attempt++ {
		answer, err := c.once(ctx, service, operation, method, path, header, body)
		var e *APIError
		if attempt == maxAttempts || !errors.As(err, &e) || e.Status != http.StatusTooManyRequests && e.Status != http.StatusServiceUnavailable {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w", operation, ctx.Err())
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func (c *client) once(ctx context.Context, service, operation, method, path string, header http.Header, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	for k, vs := range header {
		r.Header[k] = vs
	}
	sigv4.Sign(r, body, c.credentials, service, c.region, time.Now())
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: the answer broke off: %w", operation, err)
	}
	if len(answer) > maxAnswerBytes {
		return nil, fmt.Errorf("%s: the answer has more than %d bytes", operation, maxAnswerBytes)
	}
	if resp.StatusCode/100 != 2 {
		return nil, readError(operation, resp, answer)
	}
	return answer, nil
}

// readError reads an error in the shape of any of the three protocols.
func readError(operation string, resp *http.Response, body []byte) *APIError {
	e := &APIError{Operation: operation, Status: resp.StatusCode, Code: resp.Header.Get("X-Amzn-Errortype")}
	var j struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"` // encoding/json also takes Message
	}
	var x struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	switch {
	case json.Unmarshal(body, &j) == nil:
		e.Message = j.Message
		for _, code := range []string{j.Type, j.Code} {
			if e.Code == "" {
				e.Code = code
			}
		}
	case xml.Unmarshal(body, &x) == nil:
		e.Code, e.Message = x.Code, x.Message
	default:
		e.Message = clip(strings.TrimSpace(string(body)))
	}
	// com.amazonaws.dynamodb.v20120810#ResourceInUseException, or Name:http://…
	if i := strings.LastIndexByte(e.Code, '#'); i >= 0 {
		e.Code = e.Code[i+1:]
	}
	e.Code, _, _ = strings.Cut(e.Code, ":")
	if e.Code == "" {
		e.Code = http.StatusText(resp.StatusCode)
	}
	return e
}

// xmlText returns the text of the first element of the name in an XML document,
// or "".
func xmlText(doc []byte, name string) string {
	d := xml.NewDecoder(bytes.NewReader(doc))
	for {
		t, err := d.Token()
		if err != nil {
			return ""
		}
		if start, ok := t.(xml.StartElement); ok && start.Name.Local == name {
			var s string
			if d.DecodeElement(&s, &start) == nil {
				return strings.TrimSpace(s)
			}
			return ""
		}
	}
}
