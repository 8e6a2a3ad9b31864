package observe

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"tidegate/internal/gateway"
	"tidegate/internal/transport"
)

// Gateway hears what becomes of handshakes, messages and disconnects. display
// turns a function's name into what a person knows it by.
func (o *Observer) Gateway(display func(name string) string) gateway.EventListener {
	return gateway.EventListener{
		ConnectEnd: func(i gateway.ConnectInfo) {
			o.backend(&i.Subject)
			n := subjectNotice(KindConnect, "CONNECT", i.Subject, i.Outcome, i.Err, i.Duration)
			n.Text = strings.Join(words(i.Stage, i.ConnectionID, arrow("$connect", i.Target, display), fmt.Sprint(i.Status), outcome(i.Outcome), Short(i.Duration), "["+i.RequestID+"]"), "  ")
			n.Attrs = append(n.Attrs, slog.Int("status", i.Status), slog.String("sourceIp", i.SourceIP))
			o.Note(n)
		},
		MessageEnd: func(i gateway.MessageInfo) {
			o.backend(&i.Subject)
			n := subjectNotice(KindMessage, "MESSAGE", i.Subject, i.Outcome, i.Err, i.Duration)
			n.Text = messageText(&i, display)
			n.Attrs = append(n.Attrs, slog.Int("status", i.BackendStatus), slog.Int("bytes", i.Size))
			if i.Frame != nil {
				n.Detail = append(n.Detail, clip("client got ", i.Frame))
			}
			o.Note(n)
		},
		DisconnectEnd: func(i gateway.DisconnectInfo) {
			o.backend(&i.Subject)
			n := subjectNotice(KindDisconnect, "DISCONNECT", i.Subject, i.Outcome, i.Err, i.Duration)
			n.Level = slog.LevelInfo // nobody waits for $disconnect; only a failure of it is trouble
			if i.Err != nil {
				n.Level = slog.LevelWarn
			}
			if i.Outcome == gateway.NoRoute { // most have none, and nobody need do anything
				n.Attrs = slices.DeleteFunc(n.Attrs, func(a slog.Attr) bool { return a.Key == "do" })
			}
			said := fmt.Sprintf("%d %s", i.Close.Code, i.Close.Text)
			parts := words(i.Stage, i.ConnectionID, strings.TrimSpace(said), i.Close.Reason, "after "+Short(i.Lifetime))
			if i.Close.Why != "" && i.Close.Why != i.Close.Reason {
				n.Detail = append(n.Detail, "closed: "+firstLine(i.Close.Why))
			}
			if i.Target != "" {
				parts = append(parts, arrow("$disconnect", i.Target, display), string(i.Outcome), Short(i.Duration), "["+i.RequestID+"]")
			}
			n.Text = strings.Join(parts, "  ")
			n.Attrs = append(n.Attrs, slog.Int("status", i.BackendStatus), slog.Int("disconnectStatusCode", i.Close.Code), slog.String("disconnectReason", i.Close.Text),
				slog.String("reason", i.Close.Reason), slog.String("closeWhy", i.Close.Why))
			o.Note(n)
		},
	}
}

// Transport hears what an engine discards and what panics.
func (o *Observer) Transport() transport.EventListener {
	return transport.EventListener{
		Dropped: func(i transport.DropInfo) {
			level := slog.LevelDebug
			switch i.Reason {
			case transport.DropConnectionLost, transport.DropIdle, transport.DropLifetime, transport.DropEngineClosed:
			default:
				level = slog.LevelWarn
			}
			o.Note(Notice{Kind: KindDropped, Level: level, Text: strings.TrimPrefix(i.String(), "dropped: "), Attrs: []slog.Attr{slog.String("reason", i.Reason)}})
		},
		AcceptFailed: func(i transport.AcceptFailedInfo) {
			o.Note(Notice{Kind: KindFailed, Level: slog.LevelError, Text: i.String()})
		},
		Panicked: func(i transport.PanicInfo) {
			o.Note(Notice{Kind: KindFailed, Level: slog.LevelError, Text: i.String(), Detail: strings.Split(string(i.Stack), "\n")})
		},
	}
}

// firstLine is what a line of the story tells of a text that may have more; the
// rest is in the trace, and whole in the attributes.
func firstLine(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	return strings.TrimSuffix(first, "\r")
}

// subjectNotice begins a notice about one event of a connection.
func subjectNotice(kind, eventType string, s gateway.Subject, outcome gateway.Outcome, err error, d time.Duration) Notice {
	n := Notice{Kind: kind, Level: slog.LevelInfo, Attrs: append(make([]slog.Attr, 0, 12), // with room for three more
		slog.String("apiId", s.APIID), slog.String("stage", string(s.Stage)), slog.String("routeKey", string(s.RouteKey)),
		slog.String("connectionId", s.ConnectionID), slog.String("requestId", s.RequestID), slog.String("eventType", eventType),
		slog.String("target", s.Target), slog.String("outcome", string(outcome)), slog.Duration("ms", d))}
	if outcome != gateway.Done {
		n.Level = slog.LevelWarn
		if do := Next(string(outcome)); do != "" {
			n.Attrs = append(n.Attrs, slog.String("do", do))
		}
	}
	if err != nil {
		n.Attrs = append(n.Attrs, slog.String("why", err.Error()))
		if outcome != gateway.FunctionError { // whose invocation told it, with its trace
			n.Detail = append(n.Detail, "why: "+firstLine(err.Error()))
		}
	}
	return n
}

// messageText is the line of one message. There is one for every message that a
// client sends, so it costs one allocation.
func messageText(i *gateway.MessageInfo, display func(string) string) string {
	var buf [256]byte
	text := append(append(buf[:0], i.Stage...), "  "...)
	text = append(append(text, i.ConnectionID...), "  "...)
	if i.RouteKey == "" {
		text = append(text, "(no route)"...)
	} else {
		text = append(text, i.RouteKey...)
	}
	if i.Target != "" {
		text = append(append(text, " → "...), targetName(i.Target, display)...)
	}
	text = append(append(text, "  "...), i.Outcome...)
	text = append(appendShort(append(text, "  "...), i.Duration), "  ["...)
	return string(append(append(text, i.RequestID...), ']'))
}

// arrow says what a route calls, by a function's own name.
func arrow(route, target string, display func(string) string) string {
	if target == "" {
		return route
	}
	return route + " → " + targetName(target, display)
}

// targetName is what a person calls an integration's target.
func targetName(target string, display func(string) string) string {
	if i := strings.LastIndex(target, ":function:"); i >= 0 {
		return display(target[i+len(":function:"):])
	}
	return target
}

// outcome is silent about what went well.
func outcome(o gateway.Outcome) string {
	if o == gateway.Done {
		return ""
	}
	return string(o)
}

// words are the parts that aren't empty.
func words[S ~string](first S, rest ...string) []string {
	out := []string{string(first)}
	for _, w := range rest {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

// clip is a frame behind what is said of it, shortened to what fits a line.
func clip(says string, frame []byte) string {
	const most = 200
	if len(frame) <= most {
		return says + string(frame)
	}
	return fmt.Sprintf("%s%s… (%d bytes)", says, strings.ToValidUTF8(string(frame[:most]), ""), len(frame))
}
