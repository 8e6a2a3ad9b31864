package functions

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
	"tidegate/internal/kv"
	"tidegate/internal/kv/filekv"
)

var newYear = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// asEvent makes an invocation an asynchronous one.
var asEvent = []string{"X-Amz-Invocation-Type", "Event"}

// appends is a function that writes a line for each invocation, then fails if it
// is told to.
const appends = `exports.handler = async (e, c) => { require('fs').appendFileSync(e.file, c.awsRequestId + '\n'); if (e.fail) throw new Error('again'); return {fine: '<' + e.file.length}; };`

// keeps is a function that writes its event to the file in FILE.
const keeps = `exports.handler = async (e) => { require('fs').writeFileSync(process.env.FILE + '.tmp', JSON.stringify(e)); require('fs').renameSync(process.env.FILE + '.tmp', process.env.FILE); };`

// queued invokes a function asynchronously and returns the request's id.
func (f *fixture) queued(name string, payload any) string {
	f.t.Helper()
	b, err := json.Marshal(payload)
	if err != nil {
		f.t.Fatal(err)
	}
	status, got, h := f.invoke(name, string(b), asEvent...)
	if status != http.StatusAccepted || got != "" {
		f.t.Fatalf("%d %s", status, got)
	}
	return h.Get("X-Amzn-Requestid")
}

// lines are those of a file, none when it isn't there.
func lines(file string) []string {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// settled waits until the queue holds n events, none of them under way.
func (f *fixture) settled(n int) {
	f.t.Helper()
	eventually(f.t, "a quiet queue", func() bool {
		size, err := f.cfg.Queue.Size(context.Background())
		return err == nil && size.Count == n && len(f.queue.slots) == 0
	})
}

// told waits until n retries were told, and returns what was.
func (f *fixture) told(n int) []Retry {
	f.t.Helper()
	var agains []Retry
	eventually(f.t, "a retry to be told", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		agains = slices.Clone(f.agains)
		return len(agains) >= n
	})
	return agains
}

// pass moves the clock on, once the queue waits for it.
func (f *fixture) pass(c *clock.Manual, d time.Duration) {
	f.t.Helper()
	eventually(f.t, "a queue that sleeps", func() bool { return c.Waiting() == 1 })
	c.Advance(d)
}

func TestEventRetries(t *testing.T) {
	c := clock.NewManual(newYear)
	f := newFixture(t, func(cfg *Config) { cfg.Clock = c })
	count := filepath.Join(t.TempDir(), "count")
	f.create("fails", map[string]string{"index.js": appends})
	id := f.queued("fails", map[string]any{"file": count, "fail": true})
	want := []string{id}
	for i, wait := range []time.Duration{time.Minute, 2 * time.Minute} {
		f.told(i + 1)
		if diff := cmp.Diff(want, lines(count)); diff != "" {
			t.Errorf("runs before retry %d: %s", i+1, diff)
		}
		f.mu.Lock()
		told := f.agains[i]
		f.mu.Unlock()
		if told.Attempt != i+2 || told.After != wait || told.Throttled || told.RequestID != id || !told.At.Equal(c.Now().Add(wait)) {
			t.Errorf("told of retry %d: %+v", i+1, told)
		}
		// The queue sleeps a minute at most and looks again.
		for left := wait - time.Second; left > 0; left -= min(left, 50*time.Second) {
			f.pass(c, min(left, 50*time.Second))
		}
		f.settled(1)
		if n := len(lines(count)); n != i+1 {
			t.Errorf("retry %d came before %v", i+1, wait)
		}
		f.pass(c, time.Second)
		want = append(want, id)
		eventually(t, "the retry", func() bool { return len(lines(count)) == i+2 })
	}
	f.settled(0)
	eventually(t, "the end of the retries", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.gone) == 1 })
	if diff := cmp.Diff(want, lines(count)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Discarded{Function: "fails", RequestID: id, Attempts: 3, Reason: discardRetries}, f.gone[0]); diff != "" {
		t.Error(diff)
	}
}

// What is stored when the process ends goes on with the next: what waits for its
// retry, and what Close cut off.
func TestEventsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(newYear)
	dir, bucket := t.TempDir(), newBucket()
	file := filepath.Join(t.TempDir(), "kv.db")
	open := func() (*fixture, func()) {
		store, err := filekv.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		q, err := store.Queue(context.Background(), "events", QueueLimits)
		if err != nil {
			t.Fatal(err)
		}
		f := newFixture(t, func(cfg *Config) { cfg.Clock, cfg.Bucket, cfg.Queue, cfg.Dir = c, bucket, q, dir })
		return f, func() { f.Close(context.Background()); store.Close() }
	}
	first, end := open()
	count, begun, done := filepath.Join(t.TempDir(), "count"), filepath.Join(t.TempDir(), "begun"), filepath.Join(t.TempDir(), "done")
	first.create("fails", map[string]string{"index.js": appends})
	first.create("hangs", map[string]string{"index.js": `
const fs = require('fs');
exports.handler = async (e) => { if (!fs.existsSync(e.begun)) { fs.writeFileSync(e.begun, ''); await new Promise((r) => setTimeout(r, 60000)); } fs.writeFileSync(e.done, 'x'); };`}, "Timeout", 100)
	id := first.queued("fails", map[string]any{"file": count, "fail": true})
	first.told(1) // an attempt that Close cuts off would be made again
	first.queued("hangs", map[string]any{"begun": begun, "done": done})
	eventually(t, "the invocation that Close will cut off", func() bool { _, err := os.Stat(begun); return err == nil })
	end()
	if len(first.gone) != 0 {
		t.Errorf("given up: %v", first.gone)
	}

	second, end := open()
	defer end()
	eventually(t, "the event that was cut off", func() bool { return len(lines(done)) == 1 })
	second.settled(1)
	second.pass(c, time.Minute)
	eventually(t, "the retry", func() bool { return len(lines(count)) == 2 })
	if diff := cmp.Diff([]string{id, id}, lines(count)); diff != "" {
		t.Error(diff)
	}
	if agains := second.told(1); len(agains) != 1 || agains[0].Attempt != 3 {
		t.Errorf("told %v, want that attempt 3 follows", agains)
	}
}

func TestEventsAreBounded(t *testing.T) {
	c := clock.NewManual(newYear)
	store, err := filekv.Open(filepath.Join(t.TempDir(), "kv.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	q, err := store.Queue(t.Context(), "events", kv.QueueLimits{Count: 1, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(cfg *Config) { cfg.Clock, cfg.Queue = c, q })
	defer f.Close(context.Background())
	f.create("fails", map[string]string{"index.js": appends})
	f.queued("fails", map[string]any{"file": filepath.Join(t.TempDir(), "count"), "fail": true})
	f.settled(1)
	if status, got, h := f.invoke("fails", `{}`, asEvent...); status != 429 || h.Get("X-Amzn-Errortype") != "TooManyRequestsException" || !strings.Contains(got, `"Reason"`) {
		t.Errorf("a full queue: %d %s", status, got)
	}
}

// A throttle isn't a failure of the function: it is tried again, ever more
// slowly, until the event is too old.
func TestEventThrottles(t *testing.T) {
	c := clock.NewManual(newYear)
	f := newFixture(t, func(cfg *Config) { cfg.Clock = c })
	f.create("gone", map[string]string{"index.js": appends}, "DeadLetterConfig", map[string]string{"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"})
	if status, out, _ := f.call("PUT", "/2019-09-25/functions/gone/event-invoke-config", map[string]any{"MaximumEventAgeInSeconds": 60}); status != 200 {
		t.Fatalf("%d %v", status, out)
	}
	fn, err := f.find(reference{name: "gone"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(fn.codeDir); err != nil { // it can't be started: Lambda's own failure
		t.Fatal(err)
	}
	id := f.queued("gone", map[string]any{})
	var pauses []time.Duration
	for {
		over := false
		eventually(t, "the end of an attempt", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			over = len(f.sent) > 0
			return over || len(f.agains) > len(pauses)
		})
		if over {
			break
		}
		f.mu.Lock()
		told := f.agains[len(pauses)]
		f.mu.Unlock()
		if !told.Throttled {
			t.Fatalf("told %+v", told)
		}
		pauses = append(pauses, told.After)
		f.pass(c, told.After)
	}
	f.settled(0)
	want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}
	if diff := cmp.Diff(want, pauses); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Discarded{{Function: "gone", RequestID: id, Attempts: 6, Reason: discardAge}}, f.gone); diff != "" {
		t.Error(diff)
	}
	if len(f.sent) != 1 || f.sent[0].Err == nil || !strings.Contains(f.sent[0].Err.Error(), "Tidegate has no SQS") || f.sent[0].Condition != "EventAgeExceeded" {
		t.Errorf("the dead-letter queue: %v", f.sent)
	}
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(newYear)
	f := newFixture(t, func(cfg *Config) { cfg.Clock = c })
	dir := t.TempDir()
	for _, name := range []string{"won", "failed"} {
		f.create(name, map[string]string{"index.js": keeps}, "Environment", map[string]any{"Variables": map[string]string{"FILE": filepath.Join(dir, name)}})
	}
	f.create("works", map[string]string{"index.js": appends})
	config := "/2019-09-25/functions/works/event-invoke-config"
	if status, out, _ := f.call("PUT", config, map[string]any{
		"MaximumRetryAttempts": 0,
		"DestinationConfig":    map[string]any{"OnSuccess": map[string]string{"Destination": f.arn("won")}, "OnFailure": map[string]string{"Destination": f.arn("failed")}},
	}); status != 200 {
		t.Fatalf("%d %v", status, out)
	}
	file := filepath.Join(dir, "count")
	got := func(name string) map[string]any {
		t.Helper()
		var record map[string]any
		eventually(t, "a record for "+name, func() bool {
			b, err := os.ReadFile(filepath.Join(dir, name))
			return err == nil && json.Unmarshal(b, &record) == nil
		})
		return record
	}
	expected := func(id string, fail bool) map[string]any {
		payload := map[string]any{"file": file}
		out := map[string]any{
			"version": "1.0", "timestamp": "2026-01-01T00:00:00.000Z", "requestPayload": payload,
			"requestContext": map[string]any{"requestId": id, "functionArn": f.arn("works") + ":$LATEST", "condition": "Success", "approximateInvokeCount": 1.0},
		}
		response := map[string]any{"statusCode": 200.0, "executedVersion": "$LATEST"}
		out["responseContext"] = response
		out["responsePayload"] = map[string]any{"fine": "<" + string(mustJSON(t, len(file)))}
		if fail {
			payload["fail"] = true
			response["functionError"] = "Unhandled"
			out["requestContext"].(map[string]any)["condition"] = "RetriesExhausted"
			delete(out, "responsePayload")
		}
		return out
	}
	id := f.queued("works", map[string]any{"file": file})
	if diff := cmp.Diff(expected(id, false), got("won")); diff != "" {
		t.Error(diff)
	}
	id = f.queued("works", map[string]any{"file": file, "fail": true})
	failed := got("failed")
	if p, _ := failed["responsePayload"].(map[string]any); p["errorMessage"] != "again" || p["errorType"] != "Error" {
		t.Errorf("responsePayload %v", failed["responsePayload"])
	}
	delete(failed, "responsePayload") // its trace names this machine's folders
	if diff := cmp.Diff(expected(id, true), failed); diff != "" {
		t.Error(diff)
	}
	f.settled(0)
	// A queue is kept, and each record that it misses is told by name.
	if status, out, _ := f.call("POST", config, map[string]any{"DestinationConfig": map[string]any{"OnSuccess": map[string]string{"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}}}); status != 200 {
		t.Fatalf("%d %v", status, out)
	}
	f.queued("works", map[string]any{"file": file})
	// A function that isn't there is no reason to try for ever.
	eventually(t, "word of the queue", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.sent) == 3 })
	if err := f.sent[2].Err; err == nil || !strings.Contains(err.Error(), "Tidegate has no SQS, so nothing was sent to arn:aws:sqs:us-east-1:000000000000:q") {
		t.Errorf("told %v", err)
	}
	f.settled(0)
	f.call("PUT", config, map[string]any{"DestinationConfig": map[string]any{"OnSuccess": map[string]string{"Destination": f.arn("nobody")}}})
	f.queued("works", map[string]any{"file": file})
	eventually(t, "word of the absent function", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.sent) == 4 })
	if err := f.sent[3].Err; err == nil || !strings.Contains(err.Error(), "404 ResourceNotFoundException") {
		t.Errorf("told %v", err)
	}
	f.settled(0)
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEventInvokeConfig(t *testing.T) {
	bucket, dir := newBucket(), t.TempDir()
	f := newFixture(t, func(c *Config) { c.Bucket, c.Dir, c.Clock = bucket, dir, clock.NewManual(newYear) })
	f.create("one", map[string]string{"index.js": appends})
	const config = "/2019-09-25/functions/one/event-invoke-config"
	queue := map[string]any{"OnFailure": map[string]string{"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}}
	described := func(more map[string]any, failure map[string]any) map[string]any {
		out := map[string]any{"LastModified": float64(newYear.Unix()), "FunctionArn": f.arn("one") + ":$LATEST",
			"DestinationConfig": map[string]any{"OnSuccess": map[string]any{}, "OnFailure": failure}}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	for _, step := range []struct {
		method, path string
		body         any
		status       int
		text         string
		want         map[string]any
	}{
		{"GET", config, nil, 404, "The function arn:aws:lambda:us-east-1:000000000000:function:one:$LATEST doesn't have an EventInvokeConfig", nil},
		{"POST", config, map[string]any{"MaximumRetryAttempts": 1}, 404, "ResourceNotFoundException", nil},
		{"DELETE", config, nil, 404, "ResourceNotFoundException", nil},
		{"GET", config + "/list", nil, 200, "", map[string]any{"FunctionEventInvokeConfigs": []any{}}},
		{"PUT", config, map[string]any{}, 400, "at least one", nil},
		{"PUT", config, map[string]any{"MaximumRetryAttempts": 3}, 400, "maximumRetryAttempts", nil},
		{"PUT", config, map[string]any{"MaximumEventAgeInSeconds": 59}, 400, "maximumEventAgeInSeconds", nil},
		{"PUT", config, map[string]any{"MaximumEventAgeInSeconds": 21601}, 400, "21600", nil},
		{"PUT", config, map[string]any{"Retries": 1}, 400, "Retries", nil},
		{"PUT", config, map[string]any{"DestinationConfig": map[string]any{"OnSuccess": map[string]string{"Destination": "queue"}}}, 400, "destinationConfig.OnSuccess.destination", nil},
		{"PUT", config, map[string]any{"DestinationConfig": map[string]any{"OnSuccess": map[string]string{"Destination": "arn:aws:s3:::b"}}}, 400, "OnSuccess", nil},
		{"PUT", config, map[string]any{"DestinationConfig": map[string]any{"OnSuccess": map[string]string{"Destination": f.arn("one")}}}, 400, "itself", nil},
		{"PUT", config + "?Qualifier=live", map[string]any{"MaximumRetryAttempts": 1}, 404, "live", nil},
		{"PUT", config + "?Qualifier=$LATEST", map[string]any{"MaximumRetryAttempts": 1}, 200, "", described(map[string]any{"MaximumRetryAttempts": 1.0}, map[string]any{})},
		{"POST", config, map[string]any{"MaximumEventAgeInSeconds": 90, "DestinationConfig": queue}, 200, "",
			described(map[string]any{"MaximumRetryAttempts": 1.0, "MaximumEventAgeInSeconds": 90.0}, map[string]any{"Destination": "arn:aws:sqs:us-east-1:000000000000:q"})},
		{"GET", config + "/list", nil, 200, "", map[string]any{"FunctionEventInvokeConfigs": []any{
			described(map[string]any{"MaximumRetryAttempts": 1.0, "MaximumEventAgeInSeconds": 90.0}, map[string]any{"Destination": "arn:aws:sqs:us-east-1:000000000000:q"})}}},
		{"PUT", config, map[string]any{"MaximumEventAgeInSeconds": 60}, 200, "", described(map[string]any{"MaximumEventAgeInSeconds": 60.0}, map[string]any{})},
		{"GET", config + "/other", nil, 400, "UnknownOperationException", nil},
	} {
		status, raw, h := f.raw(step.method, step.path, step.body)
		if status != step.status || !strings.Contains(string(raw)+h.Get("X-Amzn-Errortype"), step.text) {
			t.Errorf("%s %s %v: %d %s, want %d %s", step.method, step.path, step.body, status, raw, step.status, step.text)
			continue
		}
		if step.want != nil {
			var got map[string]any
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(step.want, got); diff != "" {
				t.Errorf("%s %s %v: %s", step.method, step.path, step.body, diff)
			}
		}
	}
	// It is kept with the function, and a change of the code leaves it alone.
	f.Close(context.Background())
	again := newFixture(t, func(c *Config) { c.Bucket, c.Dir = bucket, dir })
	if status, out, _ := again.call("GET", config, nil); status != 200 || out["MaximumEventAgeInSeconds"] != 60.0 {
		t.Errorf("after a restart: %d %v", status, out)
	}
	if status, raw, _ := again.raw("DELETE", config, nil); status != 204 || len(raw) != 0 {
		t.Errorf("DELETE: %d %s", status, raw)
	}
	if status, _, _ := again.raw("GET", config, nil); status != 404 {
		t.Errorf("GET after DELETE: %d", status)
	}
}

// A record goes out in the name of the function's role, which must be allowed to
// invoke the destination.
func TestDestinationPermission(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.Gate = &awshttp.Gate{Mode: awshttp.Enforce, Account: testAccount, Region: testRegion, Identities: identities{}}
	})
	ev := &event{Function: "gone", RequestID: "r", Destination: f.arn("other"), payload: []byte(`{}`)}
	status, err := f.queue.invokeDestination(ev)
	if status != http.StatusForbidden || err == nil {
		t.Errorf("an unsigned record under enforce: %d %v", status, err)
	}
}

func FuzzEvent(f *testing.F) {
	ev := event{Function: "f", RequestID: "r", Accepted: newYear, Pause: firstThrottle, payload: []byte("{\"a\":\n1}")}
	b, err := ev.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("{}"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		ev, err := decodeEvent(body)
		if err != nil {
			return
		}
		b, err := ev.encode()
		if err != nil {
			t.Skip("a time that JSON can read and not write")
		}
		again, err := decodeEvent(b)
		if err != nil || string(again.payload) != string(ev.payload) || again.Function != ev.Function || !again.Accepted.Equal(ev.Accepted) {
			t.Errorf("%q became %q, %v", body, b, err)
		}
	})
}
