package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// maxKept bounds how many lines Kept returns: the latest.
const maxKept = 10000

// Kept reads functions' log lines from CloudWatch Logs as notices, between two
// moments, oldest first: of one function or, with "", of all; of one request or,
// with "", of any. display turns a function's name into what a person calls it.
func Kept(ctx context.Context, c ShipperConfig, display func(string) string, function, requestID string, from, to time.Time) ([]Notice, error) {
	names, err := keptNames(ctx, c, function)
	if err != nil {
		return nil, err
	}
	var all []Notice
	for _, name := range names {
		notices, err := keptOf(ctx, c, name, display(name), requestID, from, to)
		if err != nil {
			return nil, fmt.Errorf("read the log of %s: %w", display(name), err)
		}
		all = append(all, notices...)
	}
	slices.SortStableFunc(all, func(a, b Notice) int { return a.Time.Compare(b.Time) })
	return all[max(0, len(all)-maxKept):], nil
}

// keptNames are the functions that have a log: the one asked for, or all.
func keptNames(ctx context.Context, c ShipperConfig, function string) ([]string, error) {
	const prefix = "/aws/lambda/"
	var names []string
	for input := map[string]any{"logGroupNamePrefix": prefix + function}; ; {
		b, err := callLogs(ctx, c, "DescribeLogGroups", input)
		if err != nil {
			return nil, err
		}
		var page struct {
			LogGroups []struct{ LogGroupName string }
			NextToken string
		}
		if err := json.Unmarshal(b, &page); err != nil {
			return nil, err
		}
		for _, g := range page.LogGroups {
			if name := strings.TrimPrefix(g.LogGroupName, prefix); function == "" || name == function {
				names = append(names, name)
			}
		}
		if page.NextToken == "" {
			return names, nil
		}
		input["nextToken"] = page.NextToken
	}
}

// keptOf is Kept of one function.
func keptOf(ctx context.Context, c ShipperConfig, name, display, requestID string, from, to time.Time) ([]Notice, error) {
	input := map[string]any{"logGroupName": "/aws/lambda/" + name, "startTime": max(from.UnixMilli(), 0), "endTime": to.UnixMilli()}
	var out []Notice
	running := map[string]string{} // stream → request id
	for {
		b, err := callLogs(ctx, c, "FilterLogEvents", input)
		if err != nil {
			return nil, err
		}
		var page struct {
			Events []struct {
				LogStreamName, Message string
				Timestamp              int64
			}
			NextToken string
		}
		if err := json.Unmarshal(b, &page); err != nil {
			return nil, err
		}
		for _, e := range page.Events {
			line := strings.TrimSuffix(e.Message, "\n")
			if id := begun(line); id != "" {
				running[e.LogStreamName] = id
			}
			id := running[e.LogStreamName]
			if requestID != "" && id != requestID {
				continue
			}
			out = append(out, Notice{Time: time.UnixMilli(e.Timestamp), Kind: KindOutput, Level: slog.LevelInfo, Text: of(display, id) + "  " + line,
				Attrs: []slog.Attr{slog.String("function", name), slog.String("requestId", id), slog.String("line", line)}})
		}
		if page.NextToken == "" {
			return out, nil
		}
		out = out[max(0, len(out)-maxKept):]
		input["nextToken"] = page.NextToken
	}
}

// begun is the id of the invocation that begins with the line, if one does.
func begun(line string) string {
	if id, ok := strings.CutPrefix(line, "START RequestId: "); ok {
		id, _, _ = strings.Cut(id, " ")
		return id
	}
	if !strings.Contains(line, `"platform.start"`) {
		return ""
	}
	var start struct {
		Type   string
		Record struct{ RequestID string }
	}
	if json.Unmarshal([]byte(line), &start) != nil || start.Type != "platform.start" {
		return ""
	}
	return start.Record.RequestID
}
