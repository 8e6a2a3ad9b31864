package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"tidegate/internal/apigw"
)

// MaxLogEntry is how many bytes an entry of an execution log has at most; what
// is longer is cut.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html
const MaxLogEntry = 1024

// A LogFormat is a compiled access log format: text in which $context.NAME
// stands for a value of the event. CLF, JSON, XML and CSV are such texts.
type LogFormat struct {
	parts []logPart
}

// A logPart is either text or a variable.
type logPart struct {
	text     string
	variable string // without $context.; empty: text
}

// ParseLogFormat reads a format. It can't fail: what isn't $context.NAME is text.
func ParseLogFormat(format string) *LogFormat {
	const prefix = "$context."
	f := &LogFormat{}
	for format != "" {
		i := strings.Index(format, prefix)
		if i < 0 {
			break
		}
		rest := format[i+len(prefix):]
		n := strings.IndexFunc(rest, func(c rune) bool { return !isVariableRune(c) })
		if n < 0 {
			n = len(rest)
		}
		name := strings.TrimRight(rest[:n], ".")
		end := i + len(prefix) + len(name)
		if name == "" {
			f.text(format[:end])
		} else {
			f.text(format[:i])
			f.parts = append(f.parts, logPart{variable: name})
		}
		format = format[end:]
	}
	f.text(format)
	return f
}

func (f *LogFormat) text(s string) {
	if s != "" {
		f.parts = append(f.parts, logPart{text: s})
	}
}

func isVariableRune(c rune) bool {
	return c == '.' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// String returns the format as it was written.
func (f *LogFormat) String() string {
	var b strings.Builder
	for _, p := range f.parts {
		if p.variable != "" {
			b.WriteString("$context.")
		}
		b.WriteString(p.text + p.variable)
	}
	return b.String()
}

// Append appends a line; value appends what a variable stands for, and nothing
// when the event has no such value, which then is a dash.
func (f *LogFormat) Append(dst []byte, value func(dst []byte, variable string) []byte) []byte {
	for _, p := range f.parts {
		if p.variable == "" {
			dst = append(dst, p.text...)
			continue
		}
		n := len(dst)
		if dst = value(dst, p.variable); len(dst) == n {
			dst = append(dst, '-')
		}
	}
	return dst
}

// A LogTarget is where lines go: a log group and a stream of it.
type LogTarget struct {
	Group, Stream string
}

// An AccessLog is a stage's: one line for each connect, message and disconnect.
type AccessLog struct {
	LogTarget
	Format *LogFormat
}

// A LogLevel says what of a route's events goes to the execution log.
type LogLevel uint8

// The levels.
const (
	LogOff LogLevel = iota
	LogErrors
	LogInfo
)

// A LogSetting is how a route's events are logged.
type LogSetting struct {
	Level LogLevel
	Trace bool // payloads too
}

func logSetting(s apigw.RouteSettings) LogSetting {
	switch s.LoggingLevel {
	case "ERROR":
		return LogSetting{Level: LogErrors, Trace: s.DataTraceEnabled}
	case "INFO":
		return LogSetting{Level: LogInfo, Trace: s.DataTraceEnabled}
	}
	return LogSetting{} // AWS traces nothing when the level is OFF
}

// settingsOf are the stage's settings of a route: its own, else the default
// ones.
func settingsOf(st *apigw.Stage, key apigw.RouteKey) apigw.RouteSettings {
	if own, ok := st.RouteSettings[key]; ok {
		return own
	}
	return st.DefaultRouteSettings
}

// logStream names the stream of an API's stage: a hash, as on AWS.
func logStream(apiID string, name apigw.StageName) string {
	sum := sha256.Sum256([]byte(apiID + "/" + string(name)))
	return hex.EncodeToString(sum[:16])
}

// compileLogs makes what the stage's settings say of logs. A destination that no
// log can go to was refused when it was set.
func (c *compiler) compileLogs(st *apigw.Stage) {
	stream := logStream(c.def.APIID, st.Name)
	c.stage.ExecutionLog = LogTarget{Group: "API-Gateway-Execution-Logs_" + c.def.APIID + "/" + string(st.Name), Stream: stream}
	c.stage.Logging = logSetting(st.DefaultRouteSettings)
	a := st.AccessLog
	group, err := LogGroupOf(a.DestinationARN)
	if err != nil || a.Format == "" {
		return
	}
	c.stage.AccessLog = &AccessLog{LogTarget: LogTarget{Group: group, Stream: stream}, Format: ParseLogFormat(a.Format)}
}

// LogGroupOf returns the name in the ARN of a log group, with or without :* at
// its end.
func LogGroupOf(arn string) (string, error) {
	parts := strings.SplitN(arn, ":", 7)
	switch {
	case len(parts) >= 6 && parts[0] == "arn" && parts[2] == "firehose":
		return "", fmt.Errorf("the destination %.100q is a Firehose stream; Tidegate writes access logs to log groups only", arn)
	case len(parts) == 7 && parts[0] == "arn" && parts[2] == "logs" && parts[5] == "log-group":
		if name := strings.TrimSuffix(parts[6], ":*"); validLogGroup(name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("the destination %.100q is not the ARN of a CloudWatch Logs log group (arn:aws:logs:REGION:ACCOUNT:log-group:NAME)", arn)
}

// validLogGroup says whether CloudWatch Logs has groups of that name.
func validLogGroup(name string) bool {
	return name != "" && len(name) <= 512 &&
		!strings.ContainsFunc(name, func(c rune) bool { return !isVariableRune(c) && !strings.ContainsRune("-/#", c) })
}
