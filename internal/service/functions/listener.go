package functions

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// An EventListener hears what happens to functions. Every func may be nil; they
// may be called concurrently and must not block.
type EventListener struct {
	InvocationBegin  func(InvocationBegin)
	InvocationEnd    func(InvocationEnd)
	Output           func(Output)
	Logged           func(Logged)
	Progress         func(Progress)
	EnvironmentStart func(EnvironmentStart)
	EnvironmentExit  func(EnvironmentExit)
	// OtherRuntime: this machine's program runs a function of another version.
	OtherRuntime func(OtherRuntime)
	// Retry: an asynchronous invocation failed and is tried again.
	Retry func(Retry)
	// Discarded: an asynchronous invocation was given up.
	Discarded func(Discarded)
	// Destination: what came of an asynchronous invocation was sent on, or could
	// not be.
	Destination func(Destination)
}

// InvocationBegin says that a function was called. A retry of an asynchronous
// invocation begins again, with the same request id.
type InvocationBegin struct {
	Function, RequestID string
	Origin              string // the gateway's request id, when one led to the call
	Event               bool   // asynchronous
	Attempt             int    // from 1
}

// String is one line.
func (i InvocationBegin) String() string {
	return fmt.Sprintf("%s %s begins", i.Function, i.RequestID)
}

// InvocationEnd is what came of a call.
type InvocationEnd struct {
	Function, RequestID string
	Caller              string // the ARN of who invoked it, or a service's name
	Origin              string // the gateway's request id that led to it, "" when there is none
	Event               bool
	Cold                bool          // a new environment was started for it
	Init                time.Duration // of the environment, when Cold
	Duration            time.Duration // of the handler
	Billed              time.Duration // Duration rounded up to a millisecond
	// Memory is the most that its process used so far, 0 when unknown, and
	// MemorySize what the function may have, both in MB.
	Memory, MemorySize int
	// ErrorType, ErrorMessage and Trace are the function error's, empty when there
	// was none. Hint says what to do about it, when that is known.
	ErrorType, ErrorMessage string
	Trace                   []string
	Hint                    string
}

// OwnFrame says that a line of a trace is about Tidegate's own part of a
// function's process, not about the function's code.
func OwnFrame(line string) bool {
	_, file, ok := strings.Cut(strings.ReplaceAll(line, `\`, "/"), "/functions/runtime/")
	if !ok {
		return false
	}
	files, err := runtimeFiles.ReadDir("runtime")
	return err == nil && slices.ContainsFunc(files, func(f fs.DirEntry) bool { return strings.HasPrefix(file, f.Name()) })
}

// String is one line.
func (i InvocationEnd) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", i.Function, i.RequestID, i.Duration.Round(10*time.Microsecond))
	if i.Cold {
		fmt.Fprintf(&b, " (cold, init %s)", i.Init.Round(time.Millisecond))
	}
	if i.ErrorType != "" {
		fmt.Fprintf(&b, " %s: %s", i.ErrorType, i.ErrorMessage)
	}
	if i.Hint != "" {
		b.WriteString(" (" + i.Hint + ")")
	}
	return b.String()
}

// Output is one line that a function wrote, without its end of line. RequestID
// is that of the invocation that runs, or of the last; empty while the function
// is loaded. A line longer than 256 KB comes in pieces.
type Output struct {
	Function, RequestID string
	Stderr              bool
	Line                string
}

// Logged is one event of a function's log as CloudWatch Logs holds it: a line of
// output, or one that Lambda writes itself (START, END, REPORT, a failure). Those
// of one stream come in their order.
type Logged struct {
	Function, RequestID string
	Stream              string // of the environment: 2026/11/22/[$LATEST]hex
	Time                time.Time
	Line                string
}

// String is the line behind the function's name.
func (l Logged) String() string { return l.Function + ": " + l.Line }

// String is the line behind the function's name.
func (o Output) String() string { return o.Function + ": " + o.Line }

// Progress tells a person what takes long, such as an installation.
type Progress struct {
	Function string
	Text     string
	Err      error // what the work ended with, nil on success and in between
}

// String is one line.
func (p Progress) String() string {
	if p.Err != nil {
		return p.Function + ": " + p.Text + ": " + p.Err.Error()
	}
	return p.Function + ": " + p.Text
}

// EnvironmentStart says that a process was started.
type EnvironmentStart struct {
	Function string
	ID       string // the last part of its log stream's name
	PID      int
}

// String is one line.
func (e EnvironmentStart) String() string {
	return fmt.Sprintf("%s: environment %.8s started (pid %d)", e.Function, e.ID, e.PID)
}

// OtherRuntime says that a function's runtime is not what runs it.
type OtherRuntime struct {
	Function string
	Runtime  string // the function's: nodejs8.10
	Runs     string // what runs it: Node.js 20, Python 3.12
}

// String is one line.
func (o OtherRuntime) String() string { return o.Function + ": " + o.Runtime + " is run by " + o.Runs }

// An ExitReason says why an execution environment ended.
type ExitReason string

// The reasons.
const (
	exitIdle     ExitReason = "idle"          // nobody used it for a while
	exitStale    ExitReason = "code changed"  // its code or configuration is not the present one
	exitExpired  ExitReason = "keys expire"   // its credentials are half through their life
	exitEvicted  ExitReason = "evicted"       // its place was needed for another function
	exitTimedOut ExitReason = "timed out"     // the function took too long
	exitInit     ExitReason = "init failed"   // its code could not be loaded
	exitItself   ExitReason = "exited"        // the process ended by itself
	exitClosed   ExitReason = "service ended" // Close
	exitDeleted  ExitReason = "deleted"       // the function was deleted
)

// EnvironmentExit says that a process ended.
type EnvironmentExit struct {
	Function string
	ID       string
	PID      int
	Reason   ExitReason
	Status   string // exit status 1, signal: killed
}

// String is one line.
func (e EnvironmentExit) String() string {
	return fmt.Sprintf("%s: environment %.8s ended: %s (%s)", e.Function, e.ID, e.Reason, e.Status)
}

// A DiscardReason says why an asynchronous invocation was given up.
type DiscardReason string

// The reasons.
const (
	discardRetries DiscardReason = "retries exhausted" // it failed, and again
	discardAge     DiscardReason = "too old"           // it could not be run in time
	discardGone    DiscardReason = "function gone"     // the function was deleted meanwhile
)

// Discarded is an asynchronous invocation that was given up.
type Discarded struct {
	Function, RequestID string
	Attempts            int // how often it was tried
	Reason              DiscardReason
}

// String is one line.
func (d Discarded) String() string { return d.Function + " " + d.RequestID + " " + d.Outcome() }

// Outcome is the line without its names.
func (d Discarded) Outcome() string {
	if d.Attempts == 1 {
		return "given up after 1 attempt: " + string(d.Reason)
	}
	return fmt.Sprintf("given up after %d attempts: %s", d.Attempts, d.Reason)
}

// Retry says when an asynchronous invocation is tried again.
type Retry struct {
	Function, RequestID string
	Attempt             int  // the number of the one to come
	Throttled           bool // it could not be run; else the function failed
	After               time.Duration
	At                  time.Time
}

// String is one line.
func (r Retry) String() string {
	why := "failed"
	if r.Throttled {
		why = "could not be run"
	}
	return fmt.Sprintf("%s %s %s: attempt %d follows in %s, at %s", r.Function, r.RequestID, why, r.Attempt, r.After, r.At.Local().Format(time.TimeOnly))
}

// Destination says that the record of an asynchronous invocation was sent on.
type Destination struct {
	Function, RequestID string
	Condition           string // Success, RetriesExhausted or EventAgeExceeded
	Target              string // ARN
	Err                 error  // why it was not
}

// String is one line.
func (d Destination) String() string {
	if d.Err != nil {
		return fmt.Sprintf("%s %s %s: %v", d.Function, d.RequestID, d.Condition, d.Err)
	}
	return fmt.Sprintf("%s %s %s: told %s", d.Function, d.RequestID, d.Condition, d.Target)
}

func (l *EventListener) begin(i InvocationBegin) {
	if l.InvocationBegin != nil {
		l.InvocationBegin(i)
	}
}

func (l *EventListener) end(i InvocationEnd) {
	if l.InvocationEnd != nil {
		l.InvocationEnd(i)
	}
}

func (l *EventListener) progress(p Progress) {
	if l.Progress != nil {
		l.Progress(p)
	}
}

func (l *EventListener) discarded(d Discarded) {
	if l.Discarded != nil {
		l.Discarded(d)
	}
}
