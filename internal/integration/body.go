package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// errTooBig says that a response's body is over its bound.
var errTooBig = errors.New("body too big")

// readBody reads a response's body of at most limit bytes; errTooBig says that
// it has more.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, errTooBig
	}
	if resp.ContentLength >= 0 {
		body := make([]byte, resp.ContentLength)
		_, err := io.ReadFull(resp.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		return nil, errTooBig
	}
	return body, err
}

// transportError says why no complete answer came: the integration's deadline
// or the network. Its detail holds no URL, whose query may hold secrets.
func transportError(ctx context.Context, who string, timeout time.Duration, err error) *Error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Kind: ErrTimeout, Detail: fmt.Sprintf("no answer from %s within %v", who, timeout)}
	}
	if errors.Is(err, context.Canceled) {
		return &Error{Kind: ErrUnreachable, Detail: "the call to " + who + " was given up", Err: context.Canceled}
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return &Error{Kind: ErrUnreachable, Detail: fmt.Sprintf("no answer from %s: %v", who, err), Err: err}
}
