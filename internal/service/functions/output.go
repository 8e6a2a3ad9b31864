package functions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxLine is where a line is cut, in bytes (CloudWatch's largest event).
const maxLine = 256 << 10

// output takes what a process writes and tells it line by line.
type output struct {
	events   *EventListener
	function string
	version  string
	log      string // the name of the log stream
	logging  logging
	request  atomic.Pointer[string] // the invocation that runs, or the last
	streams  [2]*stream             // stdout, stderr

	mu   sync.Mutex
	tail *tail // of the invocation that runs, nil unless asked for
}

func newOutput(events *EventListener, fn *function) *output {
	o := &output{events: events, function: fn.Name, version: fn.version(), logging: fn.logging()}
	for i := range o.streams {
		o.streams[i] = &stream{out: o, stderr: i == 1}
	}
	return o
}

// begin says that from here on lines belong to the invocation.
func (o *output) begin(inv *invocation) {
	o.request.Store(&inv.requestID)
	start := o.logging.opening(inv.requestID, o.version)
	if start != "" {
		o.logged(inv.requestID, start)
	}
	if inv.tail == nil {
		return
	}
	if start != "" {
		inv.tail.add(start + "\n")
	}
	o.mu.Lock()
	o.tail = inv.tail
	o.mu.Unlock()
}

// flush reads what the process has written by now, so that its lines come
// before the answer.
func (o *output) flush() {
	for _, st := range o.streams {
		st.drain()
	}
}

// end says that the invocation is over.
func (o *output) end() {
	o.mu.Lock()
	o.tail = nil
	o.mu.Unlock()
}

// close reads what is left when the process has ended.
func (o *output) close() {
	for _, st := range o.streams {
		st.close()
	}
}

func (o *output) line(line []byte, stderr bool) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	var id string
	if p := o.request.Load(); p != nil {
		id = *p
	}
	for _, e := range entries(strings.ToValidUTF8(string(line), "\uFFFD"), stderr) {
		o.mu.Lock()
		if o.tail != nil {
			o.tail.add(e.event + "\n")
		}
		o.mu.Unlock()
		if o.events.Output != nil {
			for _, told := range strings.Split(e.told, "\n") {
				o.events.Output(Output{Function: o.function, RequestID: id, Stderr: e.stderr, Line: told})
			}
		}
		o.logged(id, e.event)
	}
}

// logged tells one event of the function's log.
func (o *output) logged(requestID, line string) {
	if o.events.Logged != nil {
		o.events.Logged(Logged{Function: o.function, RequestID: requestID, Stream: o.log, Time: time.Now(), Line: line})
	}
}

// A stream is stdout or stderr of a process. Reading is done under mu, by the
// goroutine that waits for data and by drain.
type stream struct {
	out    *output
	stderr bool
	pipe   pipe // of the system

	mu      sync.Mutex
	partial []byte // a line without its end
	closed  bool
}

// feed splits what was read into lines. The caller holds mu.
func (st *stream) feed(b []byte) {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			break
		}
		line := b[:i]
		if len(st.partial) > 0 {
			line = append(st.partial, line...)
			st.partial = st.partial[:0]
		}
		st.long(line)
		b = b[i+1:]
	}
	st.partial = append(st.partial, b...)
	for len(st.partial) >= maxLine {
		st.out.line(st.partial[:maxLine], st.stderr)
		st.partial = append(st.partial[:0], st.partial[maxLine:]...)
	}
}

// long tells a line, in pieces when it is too long for one.
func (st *stream) long(line []byte) {
	for len(line) > maxLine {
		st.out.line(line[:maxLine], st.stderr)
		line = line[maxLine:]
	}
	st.out.line(line, st.stderr)
}

// rest tells a line that has no end yet. The caller holds mu.
func (st *stream) rest() {
	if len(st.partial) > 0 {
		st.out.line(st.partial, st.stderr)
		st.partial = st.partial[:0]
	}
}

// A tail keeps the last bytes of an invocation's log.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) add(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, s...)
	if len(t.b) > maxTail {
		t.b = append(t.b[:0], t.b[len(t.b)-maxTail:]...)
	}
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.b)
}

// finish writes what Lambda's log has at the end of an invocation.
func (t *tail) finish(fn *function, inv *invocation, res result) {
	for _, line := range closing(fn, inv, res) {
		t.add(line + "\n")
	}
}

// closing are the lines of Lambda's log at the end of an invocation.
// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-logging.html
func closing(fn *function, inv *invocation, res result) []string {
	var lines []string
	l := fn.logging()
	if res.failed {
		lines = append(lines, failure(fn, inv, res.payload))
	}
	if l.json() {
		return append(lines, l.report(fn, inv, res)...)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\t",
		inv.requestID, float64(res.duration)/1e6, billed(res.duration).Milliseconds(), fn.MemorySize)
	if res.memory > 0 {
		fmt.Fprintf(&b, "Max Memory Used: %d MB\t", res.memory)
	}
	if res.cold {
		fmt.Fprintf(&b, "Init Duration: %.2f ms\t", float64(res.init)/1e6)
	}
	return append(lines, "END RequestId: "+inv.requestID, b.String())
}

// failure is the event about a function error: what Lambda says itself of a
// timeout or an exit, what the runtime's own words are for all others.
func failure(fn *function, inv *invocation, payload []byte) string {
	now := time.Now().UTC().Format(eventTime)
	kind, message, _ := readError(payload)
	if kind == "Sandbox.Timedout" || kind == "Runtime.ExitError" {
		if _, what, ok := strings.Cut(message, " Error: "); ok {
			return now + " " + inv.requestID + " " + what
		}
	}
	if fn.logging().json() {
		return jsonFailure(fn, inv, now, payload)
	}
	if _, ok := fn.language().(python); ok {
		var told struct{ StackTrace []string }
		json.Unmarshal(payload, &told)
		text := "[ERROR] " + kind + ": " + message
		if len(told.StackTrace) > 0 {
			text += "\nTraceback (most recent call last):\n" + strings.TrimRight(strings.Join(told.StackTrace, ""), "\n")
		}
		return text
	}
	return now + "\t" + inv.requestID + "\tERROR\tInvoke Error \t" + string(payload)
}

// jsonFailure is failure in the format JSON.
func jsonFailure(fn *function, inv *invocation, now string, payload []byte) string {
	var told struct {
		ErrorType, ErrorMessage string
		Trace, StackTrace       []string
	}
	json.Unmarshal(payload, &told)
	type problem struct {
		ErrorType    string   `json:"errorType"`
		ErrorMessage string   `json:"errorMessage"`
		StackTrace   []string `json:"stackTrace,omitempty"`
	}
	p := problem{told.ErrorType, told.ErrorMessage, append(told.Trace, told.StackTrace...)}
	var v any = struct {
		Timestamp string `json:"timestamp"`
		Level     string `json:"level"`
		RequestID string `json:"requestId"`
		problem
	}{now, "ERROR", inv.requestID, p}
	if _, ok := fn.language().(node); ok {
		v = struct {
			Timestamp string  `json:"timestamp"`
			Level     string  `json:"level"`
			RequestID string  `json:"requestId"`
			Message   problem `json:"message"`
		}{now, "ERROR", inv.requestID, p}
	}
	b, _ := json.Marshal(v)
	return string(b)
}
