package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"tidegate/internal/event"
	"tidegate/internal/stage"
)

// logExecution writes the steps of an event, in the words of AWS's execution
// logs, each led by the request id. Payloads are in it only when the route
// traces them (WS-05-090 to WS-05-093).
func (g *Gateway) logExecution(to stage.LogTarget, setting stage.LogSetting, l *logged) {
	now := g.now()
	c := l.context
	id := "(" + c.RequestID + ") "
	entry := func(format string, args ...any) {
		line := id + fmt.Sprintf(format, args...)
		if len(line) > stage.MaxLogEntry {
			const mark = " [TRUNCATED]"
			n := stage.MaxLogEntry - len(mark)
			for n > 0 && !utf8.RuneStart(line[n]) {
				n--
			}
			line = line[:n] + mark
		}
		g.logs.WriteLog(to, now, []byte(line))
	}
	if setting.Level == stage.LogInfo {
		entry("Extended Request Id: %s", c.RequestID)
		l.logStart(entry)
		l.logCall(entry, setting.Trace)
	}
	switch {
	case l.outcome != Done && l.err != nil:
		entry("Execution failed: %s: %v", l.outcome, l.err)
	case l.outcome != Done:
		entry("Execution failed: %s", l.outcome)
	default:
		entry("Successfully completed execution")
	}
	if setting.Level == stage.LogInfo && l.status > 0 {
		entry("Method completed with status: %d", l.status)
	}
}

// logStart says what the event was.
func (l *logged) logStart(entry func(string, ...any)) {
	c := l.context
	switch c.EventType {
	case event.TypeConnect:
		entry("Client [UserAgent: %s, SourceIp: %s] is connecting to WebSocket API [%s].", c.Identity.UserAgent, c.Identity.SourceIP, c.APIID)
	case event.TypeMessage:
		entry("Client [Connection Id: %s] sent a message to %s route in WebSocket API [%s].", c.ConnectionID, orNo(string(c.RouteKey)), c.APIID)
	case event.TypeDisconnect:
		entry("Client [Connection Id: %s] disconnected from WebSocket API [%s] with status code %d.", c.ConnectionID, c.APIID, c.Close.Code)
	}
	if l.target != nil {
		entry("Starting execution for request: %s", c.RequestID)
	}
}

func orNo(key string) string {
	if key == "" {
		return "no"
	}
	return key
}

// logCall says what went to the backend and what came back.
func (l *logged) logCall(entry func(string, ...any), trace bool) {
	if l.target == nil || !l.called {
		return
	}
	if trace && l.request != nil {
		entry("Endpoint request body after transformations: %s", l.request.Payload)
	}
	entry("Sending request to %s", l.target.Target)
	if l.response == nil {
		entry("Received no response after %d ms", l.latency.Milliseconds())
		return
	}
	entry("Received response. Status: %d, Integration latency: %d ms", l.response.Status, l.latency.Milliseconds())
	if trace {
		names := make([]string, len(l.response.Header))
		for i, f := range l.response.Header {
			names[i] = f.Name + "=" + strconv.Quote(f.Value)
		}
		entry("Endpoint response headers: {%s}", strings.Join(names, ", "))
		entry("Endpoint response body before transformations: %s", l.response.Body)
	}
}
