// Package recording keeps the latest events of connections on disk, with what
// they were answered, and has one happen again: a replay.
//
// The newest line is in recordings/new.jsonl. When that file is half of what may
// be kept it becomes old.jsonl, in place of the one before. Nothing is synced:
// what was recorded shortly before a power cut may be lost.
package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tidegate/internal/event"
	"tidegate/internal/gateway"
)

// Bounds on what is kept, and on what waits to be written: what comes faster is
// left out, and counted.
const (
	maxFile    = 16 << 20 // bytes of each of the two files
	maxLines   = 10000    // of each of the two files
	maxWaiting = 1 << 20  // bytes
	gatherTime = 100 * time.Millisecond
)

// How lines begin, by what they tell.
const (
	exchangeLine   = `{"requestId":`
	pushLine       = `{"push":`
	invocationLine = `{"invocation":`
)

// ErrUnknown says that no such request is recorded.
var ErrUnknown = errors.New("no such request is recorded")

// A Recorder keeps exchanges. Whoever tells it of one never waits for the disk.
type Recorder struct {
	dir    string
	failed func(error)
	wake   chan struct{}
	stop   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	waiting []byte // lines
	count   int    // of waiting
	lost    int64

	disk  sync.Mutex // before mu
	spare []byte     // what waiting becomes
	file  *os.File
	size  int64
	lines int
	told  bool // that the disk refused
}

// Open returns a recorder at work in that folder, which is made when there is
// none. failed hears once that nothing can be written; it may be nil. Close it.
func Open(dir string, failed func(error)) (*Recorder, error) {
	r := &Recorder{dir: dir, failed: failed, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	b, err := os.ReadFile(r.path(false))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("recording: %w", err)
	}
	r.size, r.lines = int64(len(b)), bytes.Count(b, []byte("\n"))
	if r.file, err = os.OpenFile(r.path(false), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	if len(b) > 0 && b[len(b)-1] != '\n' { // the process was killed while it wrote
		r.waiting = append(r.waiting, '\n')
	}
	go r.run()
	return r, nil
}

func (r *Recorder) path(old bool) string {
	if old {
		return filepath.Join(r.dir, "old.jsonl")
	}
	return filepath.Join(r.dir, "new.jsonl")
}

// Close writes what waits, and ends.
func (r *Recorder) Close() error {
	close(r.stop)
	<-r.done
	r.flush()
	r.disk.Lock()
	defer r.disk.Unlock()
	return r.file.Close()
}

// Exchange records one. It keeps nothing that x points to.
func (r *Recorder) Exchange(x gateway.Exchange) {
	r.mu.Lock()
	if r.room() {
		r.waiting = appendExchange(r.waiting, &x)
	}
	r.mu.Unlock()
	r.woken()
}

// Pushed records a call of the Management API that the request led to.
func (r *Recorder) Pushed(requestID string, p Push) {
	r.mu.Lock()
	if r.room() {
		r.waiting = appendMarshaled(append(r.waiting, pushLine...), p)
		r.waiting = append(event.AppendString(append(r.waiting, `,"requestId":`...), requestID), "}\n"...)
	}
	r.mu.Unlock()
	r.woken()
}

// Invoked records that the request led to Lambda's invocation of that id.
func (r *Recorder) Invoked(requestID, invocation string) {
	r.mu.Lock()
	if r.room() {
		r.waiting = event.AppendString(append(r.waiting, invocationLine...), invocation)
		r.waiting = append(event.AppendString(append(r.waiting, `,"requestId":`...), requestID), "}\n"...)
	}
	r.mu.Unlock()
	r.woken()
}

// room counts one more line, unless there is no place for it. The caller holds mu.
func (r *Recorder) room() bool {
	if len(r.waiting) >= maxWaiting {
		r.lost++
		return false
	}
	r.count++
	return true
}

func (r *Recorder) woken() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Recorder) run() {
	defer close(r.done)
	for {
		select {
		case <-r.wake:
			select { // more will come with it
			case <-time.After(gatherTime):
			case <-r.stop:
				return
			}
			r.flush()
		case <-r.stop:
			return
		}
	}
}

// flush writes what waits.
func (r *Recorder) flush() {
	r.disk.Lock()
	defer r.disk.Unlock()
	r.mu.Lock()
	lines, count := r.waiting, r.count
	r.waiting, r.count = r.spare[:0], 0
	r.mu.Unlock()
	if r.spare = lines; cap(lines) > 2*maxWaiting {
		r.spare = nil // a long answer is no measure for what follows
	}
	if len(lines) == 0 {
		return
	}
	err := r.turn(int64(len(lines)))
	if err == nil {
		_, err = r.file.Write(lines)
	}
	r.size += int64(len(lines))
	r.lines += count
	if err != nil {
		r.mu.Lock()
		r.waiting = append([]byte{'\n'}, r.waiting...) // what was cut off must not spoil the next line
		r.mu.Unlock()
		if !r.told && r.failed != nil {
			r.failed(fmt.Errorf("messages can't be recorded for replay: %w", err))
		}
		r.told = true
	}
}

// turn begins a new file when the present one is full. The caller holds disk.
func (r *Recorder) turn(more int64) error {
	if r.size == 0 || r.size+more <= maxFile && r.lines < maxLines {
		return nil
	}
	r.file.Close()
	err := os.Rename(r.path(false), r.path(true))
	f, openErr := os.OpenFile(r.path(false), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if openErr != nil {
		return openErr
	}
	if r.file = f; err != nil {
		return err
	}
	r.size, r.lines = 0, 0
	return nil
}

// read returns every line, oldest first; they share two buffers.
func (r *Recorder) read() ([][]byte, error) {
	r.flush()
	r.disk.Lock()
	defer r.disk.Unlock()
	var lines [][]byte
	for _, old := range []bool{true, false} {
		b, err := os.ReadFile(r.path(old))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("recording: %w", err)
		}
		lines = slices.AppendSeq(lines, bytes.Lines(b))
	}
	return lines, nil
}

// Find returns a recorded exchange by the gateway's request id or that of an
// invocation that it led to. The error is ErrUnknown when there is none.
func (r *Recorder) Find(id string) (*Entry, error) {
	lines, err := r.read()
	if err != nil {
		return nil, err
	}
	if origin := originOf(lines, id); origin != "" {
		id = origin
	}
	quoted := event.AppendString([]byte(nil), id)
	var found *Entry
	var pushes []Push
	var invocations []string
	for _, line := range lines {
		if !bytes.Contains(line, quoted) {
			continue
		}
		var l struct {
			Entry
			Push       *Push
			Invocation string
		}
		if json.Unmarshal(line, &l) != nil || l.RequestID != id { // cut off by a kill, or the client's own text
			continue
		}
		switch {
		case l.Push != nil:
			pushes = append(pushes, *l.Push)
		case l.Invocation != "":
			invocations = append(invocations, l.Invocation)
		default:
			found = &l.Entry
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknown, id)
	}
	found.Pushes, found.Invocations = pushes, invocations
	return found, nil
}

// originOf returns the gateway's request that led to an invocation, "" when id
// isn't an invocation's.
func originOf(lines [][]byte, id string) string {
	prefix := event.AppendString([]byte(invocationLine), id)
	for _, line := range lines {
		var l struct{ RequestID string }
		if bytes.HasPrefix(line, prefix) && json.Unmarshal(line, &l) == nil {
			return l.RequestID
		}
	}
	return ""
}

// Latest returns the last n exchanges, oldest first, and how many lines were
// left out since the recorder was opened because they came too fast.
func (r *Recorder) Latest(n int) ([]Entry, int64, error) {
	lines, err := r.read()
	if err != nil {
		return nil, 0, err
	}
	entries := []Entry{}
	for _, line := range slices.Backward(lines) {
		if len(entries) == n {
			break
		}
		var e Entry
		if strings.HasPrefix(string(line[:min(len(line), len(exchangeLine))]), exchangeLine) && json.Unmarshal(line, &e) == nil {
			entries = append(entries, e)
		}
	}
	slices.Reverse(entries)
	r.mu.Lock()
	defer r.mu.Unlock()
	return entries, r.lost, nil
}
