package observe

import (
	"cmp"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/cluster"
	"tidegate/internal/event"
	"tidegate/internal/service/functions"
	"tidegate/internal/service/schedules"
)

// Cluster hears pushes.
func (o *Observer) Cluster() cluster.EventListener {
	return cluster.EventListener{FanOutEnd: func(i cluster.FanOutInfo) { o.Note(fanOut(i)) }, PushEnd: func(i cluster.PushInfo) {
		n := Notice{Kind: KindPush, Level: slog.LevelInfo, Text: pushText(&i),
			Attrs: append(make([]slog.Attr, 0, 11), // with room for three more
				slog.String("apiId", i.APIID), slog.String("stage", string(i.Stage)), slog.String("connectionId", i.ConnectionID),
				slog.String("caller", i.Caller), slog.Int("bytes", i.Size), slog.String("status", string(i.Outcome)), slog.Duration("ms", i.Duration),
				slog.String("requestId", i.RequestID))}
		if i.Origin != "" {
			n.Attrs = append(n.Attrs, slog.String(OriginAttr, i.Origin))
		}
		if i.Err != nil {
			n.Level = slog.LevelWarn
			n.Attrs = append(n.Attrs, slog.String("why", i.Err.Error()), slog.String("do", Next(string(i.Outcome))))
		}
		switch i.Outcome {
		case cluster.PushGone, cluster.PushElsewhere:
			if _, why, ok := strings.Cut(i.Err.Error(), ": "); ok {
				n.Text += "  (" + why + ")"
			}
		case cluster.PushFailed:
			n.Detail = []string{i.Err.Error()}
		}
		o.Note(n)
	}}
}

// pushText is the line of one push, and costs one allocation as messageText does.
func pushText(i *cluster.PushInfo) string {
	var buf [256]byte
	text := append(append(append(buf[:0], i.Stage...), "  to "...), i.ConnectionID...)
	text = append(strconv.AppendInt(append(text, "  "...), int64(i.Size), 10), " bytes  "...)
	text = appendShort(append(append(text, i.Outcome...), "  "...), i.Duration)
	if i.Origin != "" {
		text = append(append(append(text, "  ["...), i.Origin...), ']')
	}
	return string(text)
}

// fanOut tells of a message to many.
func fanOut(i cluster.FanOutInfo) Notice {
	n := Notice{Kind: KindPush, Level: slog.LevelInfo,
		Text: fmt.Sprintf("%s  to all  %d bytes  queued for %d  %s", i.Stage, i.Size, i.Queued, Short(i.Duration)),
		Attrs: []slog.Attr{slog.String("apiId", i.APIID), slog.String("stage", string(i.Stage)), slog.String("caller", i.Caller), slog.Int("bytes", i.Size),
			slog.Int("queued", i.Queued), slog.Int("refused", i.Refused), slog.Duration("ms", i.Duration), slog.String("requestId", i.RequestID)}}
	if i.Refused > 0 {
		n.Level = slog.LevelWarn
		n.Text += fmt.Sprintf("  %d clients read too slowly", i.Refused)
		n.Attrs = append(n.Attrs, slog.String("do", Next(string(cluster.PushQueueFull))))
	}
	return n
}

// Functions hears invocations and what functions write. display turns a
// function's name into what a person knows it by.
func (o *Observer) Functions(display func(name string) string) functions.EventListener {
	var running sync.Map // invocations that a request of the gateway's led to → its id
	return o.functionParity(display, functions.EventListener{
		InvocationBegin: func(i functions.InvocationBegin) {
			if i.Origin != "" {
				running.Store(i.RequestID, i.Origin)
			}
		},
		InvocationEnd: func(i functions.InvocationEnd) {
			running.Delete(i.RequestID)
			o.Note(invocation(&i, display(i.Function)))
		},
		Output: func(i functions.Output) {
			n := Notice{Kind: KindOutput, Level: slog.LevelInfo, Text: of(display(i.Function), i.RequestID) + "  " + i.Line,
				Attrs: []slog.Attr{slog.String("function", i.Function), slog.String("requestId", i.RequestID), slog.String("line", i.Line)}}
			if i.Stderr {
				n.Level = slog.LevelWarn
			}
			// Who follows one request hears its function while it runs.
			if origin, ok := running.Load(i.RequestID); ok {
				n.Text = of(display(i.Function), origin.(string)) + "  " + i.Line // as the message's own line has it
				n.Attrs = append(n.Attrs, slog.String(OriginAttr, origin.(string)))
			}
			o.Note(n)
		},
		Progress: func(i functions.Progress) {
			n := Notice{Kind: KindProgress, Level: slog.LevelInfo, Text: display(i.Function) + ": " + i.Text, Attrs: []slog.Attr{slog.String("function", i.Function)}}
			if i.Function == "" {
				n.Text = i.Text
			}
			if i.Err != nil {
				n.Level = slog.LevelError
				lines := strings.Split(i.Err.Error(), "\n")
				n.Text += ": " + lines[0]
				n.Detail = lines[1:]
			}
			o.Note(n)
		},
		Retry: func(i functions.Retry) {
			o.Note(Notice{Kind: KindInvocation, Level: slog.LevelWarn,
				Text: fmt.Sprintf("%s  %s: attempt %d follows in %s, at %s", of(display(i.Function), i.RequestID), retryCause(i), i.Attempt, Short(i.After), i.At.Local().Format(time.TimeOnly)),
				Attrs: []slog.Attr{slog.String("function", i.Function), slog.String("requestId", i.RequestID), slog.Int("attempt", i.Attempt),
					slog.Bool("throttled", i.Throttled), slog.Time("at", i.At)}})
		},
		Destination: func(i functions.Destination) {
			target := display(i.Target[strings.LastIndexByte(i.Target, ':')+1:])
			n := Notice{Kind: KindInvocation, Level: slog.LevelInfo, Text: fmt.Sprintf("%s  %s → %s", of(display(i.Function), i.RequestID), i.Condition, target),
				Attrs: []slog.Attr{slog.String("function", i.Function), slog.String("requestId", i.RequestID), slog.String("condition", i.Condition), slog.String("destination", i.Target)}}
			if i.Err != nil {
				n.Kind, n.Level = KindDropped, slog.LevelWarn
				n.Text = fmt.Sprintf("%s  %s: the record went nowhere", of(display(i.Function), i.RequestID), i.Condition)
				n.Detail = []string{i.Err.Error()}
				n.Attrs = append(n.Attrs, slog.String("why", i.Err.Error()))
			}
			o.Note(n)
		},
		Discarded: func(i functions.Discarded) {
			o.Note(Notice{Kind: KindDropped, Level: slog.LevelWarn, Text: of(display(i.Function), i.RequestID) + "  " + i.Outcome(),
				Attrs: []slog.Attr{slog.String("function", i.Function), slog.String("requestId", i.RequestID), slog.Int("attempts", i.Attempts), slog.String("reason", string(i.Reason))}})
		},
	})
}

// retryCause says why an asynchronous invocation is tried again.
func retryCause(i functions.Retry) string {
	if i.Throttled {
		return "could not be run"
	}
	return "failed"
}

// OriginAttr names, of an invocation, the gateway's request that led to it.
const OriginAttr = "gatewayRequestId"

// apiGateway is the caller whose invocations the gateway's notices tell.
const apiGateway = "apigateway.amazonaws.com"

// invocation tells of one. What the gateway asked a warm function, and went well,
// its own notice tells: that of the connect, message or disconnect.
func invocation(i *functions.InvocationEnd, name string) Notice {
	n := Notice{Kind: KindInvocation, Level: slog.LevelInfo, Attrs: []slog.Attr{slog.String("function", i.Function), slog.String("requestId", i.RequestID),
		slog.String("caller", i.Caller), slog.Duration("ms", i.Duration), slog.Bool("cold", i.Cold)}}
	if i.Origin != "" {
		n.Attrs = append(n.Attrs, slog.String(OriginAttr, i.Origin))
	}
	if i.Caller == apiGateway && !i.Cold && i.Hint == "" {
		n.Level = slog.LevelDebug
	}
	n.Text = name + "  " + Short(i.Duration)
	if i.ErrorType != "" {
		n.Level = slog.LevelError
		n.Text = of(name, i.RequestID) + "  " + Short(i.Duration)
	}
	if i.Cold {
		n.Text += "  (cold start " + Short(i.Init) + ")"
		n.Attrs = append(n.Attrs, slog.Duration("coldStartMs", i.Init))
	}
	if i.ErrorType != "" {
		what := i.ErrorType + ": " + firstLine(i.ErrorMessage)
		n.Text += "  " + what
		n.Attrs = append(n.Attrs, slog.String("errorType", i.ErrorType), slog.String("errorMessage", i.ErrorMessage), slog.Any("trace", i.Trace))
		n.Detail = ownTrace(i.Trace, what)
	}
	if i.Hint != "" {
		n.Detail = append(n.Detail, i.Hint)
	}
	return n
}

// of names a function and one of its invocations; there is none while it loads.
func of(function, requestID string) string {
	if requestID == "" {
		return function
	}
	return function + " [" + requestID + "]"
}

// ownTrace is a trace without what the line above it says, and without the
// frames between the function's handler and Node.js, which are Tidegate's.
func ownTrace(trace []string, said string) []string {
	if len(trace) > 0 && trace[0] == said {
		trace = trace[1:]
	}
	var own []string
	below := false // our frames and those they stand on
	for _, line := range trace {
		below = functions.OwnFrame(line) || below && (strings.Contains(line, "(<anonymous>)") || strings.Contains(line, "(node:"))
		if !below {
			own = append(own, strings.Split(strings.TrimSuffix(line, "\n"), "\n")...) // a frame may show its source
		}
	}
	return own
}

// Schedules hears rules and schedules that fire.
func (o *Observer) Schedules(display func(name string) string) schedules.EventListener {
	return schedules.EventListener{
		Fired: func(i schedules.Firing) {
			kind, name := "rule", display(i.Rule)
			if i.Schedule != "" {
				kind, name = "schedule", schedule(i.Schedule, display)
			}
			target := i.Target[strings.LastIndexByte(i.Target, ':')+1:]
			n := Notice{Kind: KindFired, Level: slog.LevelInfo, Text: fmt.Sprintf("%s → %s  %s", name, display(target), Short(i.Duration)),
				Attrs: []slog.Attr{slog.String(kind, i.Name()), slog.String("target", i.Target), slog.String("requestId", i.RequestID),
					slog.Bool("manual", i.Manual), slog.Int("attempt", i.Attempt), slog.Duration("ms", i.Duration)}}
			if i.Late > 0 {
				n.Text += fmt.Sprintf("  %s late: it was due while nothing ran", i.Late.Round(time.Second))
			}
			if i.Err != nil {
				n.Level = slog.LevelError
				n.Detail = []string{i.String()}
			}
			o.Note(n)
		},
		Missed: func(m schedules.Miss) {
			shown := m
			shown.Rule, shown.Schedule = display(m.Rule), schedule(m.Schedule, display)
			o.Note(Notice{Kind: KindDropped, Level: slog.LevelWarn, Text: shown.String(),
				Attrs: []slog.Attr{slog.String("rule", m.Rule), slog.String("schedule", m.Schedule), slog.Int("count", m.Count), slog.String("reason", "missed")}})
		},
		Failed: func(err error) {
			o.Note(Notice{Kind: KindFailed, Level: slog.LevelError, Text: "schedules: " + err.Error()})
		},
	}
}

// schedule is group/name as a person reads it: without the group default.
func schedule(name string, display func(name string) string) string {
	if short, ok := strings.CutPrefix(name, "default/"); ok {
		return display(short)
	}
	return name
}

// AWS hears what the AWS-shaped services refuse, or would.
func (o *Observer) AWS() awshttp.EventListener {
	return awshttp.EventListener{
		Lenient: o.lenient(),
		Denied: func(d awshttp.Denial) {
			text := "AWS would refuse this: " + d.String()
			if d.Enforced {
				text = "refused: " + d.String()
			}
			attrs := []slog.Attr{slog.String("principal", d.Principal), slog.String("action", d.Action), slog.String("resource", d.Resource),
				slog.Bool("enforced", d.Enforced), slog.String("why", d.Why), slog.String("requestId", d.RequestID)}
			o.Note(Notice{Kind: KindDenied, Level: slog.LevelWarn, Text: text, Attrs: withOrigin(attrs, d.Trace)})
			o.wouldDeny(d)
		},
		Failed: func(service, operation, requestID string, err error) {
			o.Note(Notice{Kind: KindFailed, Level: slog.LevelError, Text: fmt.Sprintf("%s %s failed: %v", service, operation, err),
				Attrs: []slog.Attr{slog.String("service", service), slog.String("operation", operation), slog.String("requestId", requestID)}})
		},
		Refused: func(r awshttp.Refusal) {
			attrs := []slog.Attr{slog.String("service", r.Service), slog.String("operation", r.Operation), slog.String("requestId", r.RequestID),
				slog.Int("status", r.Err.Status), slog.String("reason", r.Err.Code), slog.String("why", cmp.Or(r.Err.Why, r.Err.Message))}
			o.Note(Notice{Kind: KindRefused, Level: slog.LevelWarn, Text: r.String(), Attrs: withOrigin(attrs, r.Trace)})
		},
	}
}

// withOrigin adds the gateway's request that a trace header tells of, so that who
// follows a message hears of the calls that it led to.
func withOrigin(attrs []slog.Attr, trace string) []slog.Attr {
	if origin := event.RequestIDOf(trace); origin != "" {
		attrs = append(attrs, slog.String(OriginAttr, origin))
	}
	return attrs
}

// unverified warns once of unsigned calls, and once of each unknown key, however
// often they come; after a thousand keys it is silent.
func (o *Observer) unverified() func(service, key, requestID string) {
	var mu sync.Mutex
	seen := map[string]bool{}
	return func(service, key, requestID string) {
		mu.Lock()
		first := !seen[key] && len(seen) < 1000
		if first {
			seen[key] = true
		}
		mu.Unlock()
		if !first {
			return
		}
		who := "an unsigned call"
		if key != "" {
			who = "a call with the unknown key " + key
		}
		o.Note(Notice{Kind: KindDenied, Level: slog.LevelWarn, Text: fmt.Sprintf("%s to %s was taken for the account's root; AWS would refuse it (--iam enforce does too)", who, service),
			Attrs: []slog.Attr{slog.String("service", service), slog.String("accessKeyId", key), slog.String("requestId", requestID)}})
	}
}

// Short is a duration as a person reads it: 760µs, 1.2ms, 46ms, 3.5s, 1m30s.
func Short(d time.Duration) string { return string(appendShort(nil, d)) }

// appendShort is Short for who has a place to put it.
func appendShort(dst []byte, d time.Duration) []byte {
	const tenth = time.Millisecond / 10
	switch {
	case d < 0:
		return append(append(dst, '-'), appendShort(nil, -d)...)
	case d.Round(10*time.Microsecond) < time.Millisecond:
		return append(strconv.AppendInt(dst, d.Round(10*time.Microsecond).Microseconds(), 10), "µs"...)
	case d.Round(tenth) < 10*time.Millisecond:
		return append(strconv.AppendFloat(dst, float64(d.Round(tenth)/tenth)/10, 'f', -1, 64), "ms"...)
	case d.Round(time.Millisecond) < time.Second:
		return append(strconv.AppendInt(dst, d.Round(time.Millisecond).Milliseconds(), 10), "ms"...)
	case d.Round(100*time.Millisecond) < time.Minute:
		return append(strconv.AppendFloat(dst, float64(d.Round(100*time.Millisecond)/(100*time.Millisecond))/10, 'f', -1, 64), 's')
	}
	return append(dst, d.Round(time.Second).String()...)
}
