package functions

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// logging is a function's LoggingConfig, with Lambda's defaults.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html
type logging struct {
	LogFormat           string
	ApplicationLogLevel string `json:",omitempty"`
	SystemLogLevel      string `json:",omitempty"`
	LogGroup            string
}

// levels are what ApplicationLogLevel may be, in order; SystemLogLevel is one of
// systemLevels.
var (
	levels       = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}
	systemLevels = []string{"DEBUG", "INFO", "WARN"}
)

// logging is never invalid: checkLogging has seen it.
func (fn *function) logging() logging {
	l := logging{LogFormat: "Text"}
	if raw, ok := fn.Kept["LoggingConfig"]; ok {
		json.Unmarshal(raw, &l)
	}
	if l.LogGroup == "" {
		l.LogGroup = "/aws/lambda/" + fn.Name
	}
	if l.LogFormat != "JSON" {
		return logging{LogFormat: "Text", LogGroup: l.LogGroup}
	}
	if l.ApplicationLogLevel == "" {
		l.ApplicationLogLevel = "INFO"
	}
	if l.SystemLogLevel == "" {
		l.SystemLogLevel = "INFO"
	}
	return l
}

func (l logging) json() bool { return l.LogFormat == "JSON" }

// variables tell the runtime how to write.
func (l logging) variables(vars map[string]string) {
	vars["AWS_LAMBDA_LOG_FORMAT"] = l.LogFormat
	if l.json() {
		vars["AWS_LAMBDA_LOG_LEVEL"] = l.ApplicationLogLevel
	}
}

// checkLogging refuses a LoggingConfig that Lambda would.
func checkLogging(raw json.RawMessage) error {
	if !given(raw) {
		return nil
	}
	var l logging
	if err := json.Unmarshal(raw, &l); err != nil {
		return invalidParameter("LoggingConfig could not be read: " + err.Error())
	}
	for _, m := range []struct {
		name, value string
		allowed     []string
	}{
		{"logFormat", l.LogFormat, []string{"JSON", "Text"}},
		{"applicationLogLevel", l.ApplicationLogLevel, levels},
		{"systemLogLevel", l.SystemLogLevel, systemLevels},
	} {
		if m.value != "" && !slices.Contains(m.allowed, m.value) {
			return constraint(m.value, "loggingConfig."+m.name, "Member must satisfy enum value set: ["+strings.Join(m.allowed, ", ")+"]")
		}
	}
	if l.LogFormat != "JSON" && (l.ApplicationLogLevel != "" || l.SystemLogLevel != "") {
		return invalidParameter("ApplicationLogLevel and SystemLogLevel need the LogFormat JSON.")
	}
	return nil
}

const eventTime = "2006-01-02T15:04:05.000Z"

// opening is the line at the begin of an invocation; empty when its level is not
// wanted.
func (l logging) opening(requestID, version string) string {
	switch {
	case !l.json():
		return fmt.Sprintf("START RequestId: %s Version: %s", requestID, version)
	case l.SystemLogLevel == "WARN":
		return ""
	}
	return platform("platform.start", map[string]any{"requestId": requestID, "version": version})
}

// platform is an event of Lambda's own in JSON.
func platform(kind string, record map[string]any) string {
	b, _ := json.Marshal(struct {
		Time   string         `json:"time"`
		Type   string         `json:"type"`
		Record map[string]any `json:"record"`
	}{time.Now().UTC().Format(eventTime), kind, record})
	return string(b)
}

// report is the platform.report of an invocation.
func (l logging) report(fn *function, inv *invocation, res result) []string {
	status := "success"
	if res.failed {
		status = "error"
		if kind, _, _ := readError(res.payload); kind == "Sandbox.Timedout" {
			status = "timeout"
		}
	}
	if l.SystemLogLevel == "WARN" && status == "success" {
		return nil
	}
	hundredths := func(d time.Duration) float64 { return float64(d/10_000) / 100 }
	metrics := map[string]any{
		"durationMs": hundredths(res.duration), "billedDurationMs": billed(res.duration).Milliseconds(), "memorySizeMB": fn.MemorySize,
	}
	if res.memory > 0 {
		metrics["maxMemoryUsedMB"] = res.memory
	}
	if res.cold {
		metrics["initDurationMs"] = hundredths(res.init)
	}
	return []string{platform("platform.report", map[string]any{"requestId": inv.requestID, "metrics": metrics, "status": status})}
}

// stamped is the beginning of a line of text as a runtime's logger writes it:
// time, request id and level in the order of Node.js's or of Python's.
var stamped = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t(?:[0-9a-f-]{36}|undefined)\t(TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\t|\[[A-Z]{4,8}\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t(?:[0-9a-f-]{36})?\t`)

// An entry is one event of the log and what of it a person at a terminal wants.
type entry struct {
	event, told string
	stderr      bool
}

// entries takes a line apart that a runtime's logger wrote, whose line ends are
// carriage returns, and what was written before it without a line end.
func entries(line string, stderr bool) []entry {
	at := stamped.FindStringSubmatchIndex(line)
	if at == nil {
		return []entry{{line, line, stderr}}
	}
	var out []entry
	if at[0] > 0 {
		if at[2] < 0 { // Python's streams are the function's own: it may quote a log
			return []entry{{line, line, stderr}}
		}
		out = append(out, entry{line[:at[0]], line[:at[0]], stderr})
	}
	event := strings.ReplaceAll(line[at[0]:], "\r", "\n")
	told := event
	if at[2] >= 0 {
		told = event[at[1]-at[0]:]
		switch line[at[2]:at[3]] {
		case "TRACE", "WARN", "ERROR", "FATAL":
			stderr = true
		}
	}
	return append(out, entry{event, told, stderr})
}
