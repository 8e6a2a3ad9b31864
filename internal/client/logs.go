package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tidegate/sigv4"
)

// A LogQuery says which lines of the log are wanted.
type LogQuery struct {
	Function  string // its name; "" for everything
	RequestID string // the gateway's or Lambda's; "" for any
	Since     time.Time
	Follow    bool // go on with what comes, until ctx ends
}

// A LogLine is one line of the log: what happened, and as JSON in whole.
type LogLine struct {
	Time   time.Time `json:"time"`
	Level  string    `json:"level"`
	Kind   string    `json:"kind"`
	Text   string    `json:"msg"`
	Detail []string  `json:"detail"`
	Do     string    `json:"do"` // what to do about it

	Raw []byte `json:"-"` // the whole object; valid until the next line
}

// maxLogLine bounds a line of the log: a function's line of 256 KB, escaped twice.
const maxLogLine = 4 << 20

// Logs tells each line of the log, oldest first.
func (c *Client) Logs(ctx context.Context, q LogQuery, tell func(LogLine) error) error {
	v := url.Values{"since": {strconv.FormatInt(q.Since.UnixMilli(), 10)}}
	if q.Function != "" {
		v.Set("function", q.Function)
	}
	if q.RequestID != "" {
		v.Set("requestId", q.RequestID)
	}
	if q.Follow {
		v.Set("follow", "1")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Run.Endpoint+"/_tidegate/logs?"+v.Encode(), nil)
	if err != nil {
		return err
	}
	sigv4.Sign(req, nil, c.keys, "tidegate", c.Run.Region, time.Now())
	resp, err := (&http.Client{Transport: c.HTTP.Transport}).Do(req) // without c.HTTP's timeout
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return answerError(resp, b)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLogLine)
	for lines.Scan() {
		l := LogLine{Raw: lines.Bytes()}
		if err := json.Unmarshal(l.Raw, &l); err != nil {
			return fmt.Errorf("the log: unexpected answer: %w", err)
		}
		if err := tell(l); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("the log broke off: %w", err)
	case q.Follow:
		return errors.New("the log ended: Tidegate has stopped")
	}
	return nil
}

// unreachable words that nobody answers.
func (c *Client) unreachable(err error) error {
	return fmt.Errorf("Tidegate does not answer at %s (%v); is Tidegate still running?", c.Run.Endpoint, errors.Unwrap(err))
}

// Disconnect closes a client's connection, through the public @connections API.
func (c *Client) Disconnect(ctx context.Context, id string) error {
	return c.manage(ctx, http.MethodDelete, id, nil, http.StatusNoContent)
}
