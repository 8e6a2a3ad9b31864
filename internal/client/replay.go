package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Recording is a recorded event of a connection, as /_tidegate/recordings tells.
type Recording struct {
	RequestID    string    `json:"requestId"`
	Time         time.Time `json:"time"`
	EventType    string    `json:"eventType"` // CONNECT, MESSAGE or DISCONNECT
	Stage        string    `json:"stage"`
	ConnectionID string    `json:"connectionId"`
	Payload      string    `json:"payload"`
	ReplayResult
	Pushes []ReplayPush `json:"pushes"`
}

// A ReplayResult is what became of an event.
type ReplayResult struct {
	RouteKey string  `json:"routeKey"`
	Outcome  string  `json:"outcome"`
	Error    string  `json:"error"`
	MS       float64 `json:"ms"`
}

// A ReplayPush is one call of the Management API that an event led to.
type ReplayPush struct {
	Method       string `json:"method"`
	ConnectionID string `json:"connectionId"`
	Bytes        int    `json:"bytes"`
	Outcome      string `json:"outcome"`
}

// A ReplayDifference is what is not as it was recorded; a value that is missing
// is nil.
type ReplayDifference struct {
	Path string          `json:"path"`
	Was  json.RawMessage `json:"was"`
	Is   json.RawMessage `json:"is"`
}

// A Replay is a recorded event and what becomes of it now.
type Replay struct {
	Record         Recording          `json:"record"`
	Now            ReplayResult       `json:"now"`
	Pushes         []ReplayPush       `json:"pushes"`
	ConnectionOpen bool               `json:"connectionOpen"`
	Dry            bool               `json:"dry"`
	Differences    []ReplayDifference `json:"differences"`

	Raw []byte `json:"-"` // the whole answer
}

// Recordings returns the last n recorded events, oldest first, how many could not
// be recorded because they came too fast, and the whole answer.
func (c *Client) Recordings(ctx context.Context, n int) (list []Recording, leftOut int64, raw []byte, err error) {
	resp, b, err := c.Do(ctx, "tidegate", http.MethodGet, "/_tidegate/recordings?limit="+strconv.Itoa(n), nil, nil)
	if err != nil {
		return nil, 0, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, 0, nil, answerError(resp, b)
	}
	var page struct {
		Recordings []Recording `json:"recordings"`
		LeftOut    int64       `json:"leftOut"`
	}
	if err := json.Unmarshal(b, &page); err != nil {
		return nil, 0, nil, fmt.Errorf("GET /_tidegate/recordings: unexpected answer: %w", err)
	}
	return page.Recordings, page.LeftOut, b, nil
}

// Replay has the recorded event of a request happen again. With dry, nothing is
// sent to clients.
func (c *Client) Replay(ctx context.Context, requestID string, dry bool) (*Replay, error) {
	path := "/_tidegate/recordings/" + url.PathEscape(requestID) + "/replay"
	if dry {
		path += "?dry=1"
	}
	resp, b, err := c.Do(ctx, "tidegate", http.MethodPost, path, nil, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, answerError(resp, b)
	}
	r := &Replay{Raw: b}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("POST %s: unexpected answer: %w", path, err)
	}
	return r, nil
}

// String tells a person what became of it, and what differs.
func (r *Replay) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s of %s on %s, recorded %s\n", strings.ToLower(r.Record.EventType), visible(r.Record.RouteKey), who(r.Record.ConnectionID), r.Record.Stage, r.Record.Time.Local().Format("2006-01-02 15:04:05"))
	fmt.Fprintf(&b, "  then  %s\n  now   %s\n", r.Record.ReplayResult, r.Now)
	for _, p := range r.Pushes {
		fmt.Fprintf(&b, "  now   %s to %s: %d bytes, %s\n", p.Method, p.ConnectionID, p.Bytes, p.Outcome)
	}
	switch {
	case len(r.Differences) == 0:
		b.WriteString("Nothing differs.\n")
	case len(r.Differences) == 1:
		b.WriteString("One thing differs:\n")
	default:
		fmt.Fprintf(&b, "%d things differ:\n", len(r.Differences))
	}
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "  %s\n    was  %s\n    is   %s\n", visible(d.Path), shortValue(d.Was), shortValue(d.Is))
	}
	switch {
	case r.Dry:
		b.WriteString("Nothing was sent to clients (--dry).\n")
	case !r.ConnectionOpen && r.Record.EventType != "DISCONNECT" && r.Record.ConnectionID != "":
		b.WriteString("The client has left: what is pushed to it gets 410, as on AWS.\n")
	}
	return b.String()
}

// who is a connection's id, or says that there was none.
func who(connectionID string) string {
	if connectionID == "" {
		return "a client without a connection"
	}
	return connectionID
}

// String is one line of a result.
func (r ReplayResult) String() string {
	text := fmt.Sprintf("%s in %s", r.Outcome, time.Duration(r.MS*float64(time.Millisecond)).Round(10*time.Microsecond))
	if r.Error != "" {
		first, _, _ := strings.Cut(r.Error, "\n")
		text += ": " + visible(first)
	}
	return text
}

// shortValue is a value of JSON for a line.
func shortValue(v json.RawMessage) string {
	const most = 500
	if len(v) == 0 {
		return "(nothing)"
	}
	text := visible(string(v))
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + fmt.Sprintf("… (%d bytes)", len(v))
	}
	return text
}
