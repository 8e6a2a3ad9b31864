package functions

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/kv"
	"tidegate/internal/kv/filekv"
)

const (
	testRegion  = "us-east-1"
	testAccount = "000000000000"
	testRole    = "arn:aws:iam::000000000000:role/chat"
)

// memoryBucket is a kv.Bucket in memory.
type memoryBucket struct {
	mu       sync.Mutex
	values   map[string][]byte
	revision uint64
}

func newBucket() *memoryBucket { return &memoryBucket{values: map[string][]byte{}} }

func (b *memoryBucket) Get(_ context.Context, key string) (kv.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.values[key]
	if !ok {
		return kv.Entry{}, kv.ErrNotFound
	}
	return kv.Entry{Key: key, Value: v, Revision: b.revision}, nil
}

func (b *memoryBucket) Put(_ context.Context, key string, value []byte) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.revision++
	b.values[key] = bytes.Clone(value)
	return b.revision, nil
}

func (b *memoryBucket) Swap(ctx context.Context, key string, value []byte, _ uint64) (uint64, error) {
	return b.Put(ctx, key, value)
}

func (b *memoryBucket) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.values, key)
	return nil
}

func (b *memoryBucket) List(_ context.Context, prefix string) ([]kv.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []kv.Entry
	for k, v := range b.values {
		if strings.HasPrefix(k, prefix) {
			out = append(out, kv.Entry{Key: k, Value: v, Revision: 1})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out, nil
}

func (b *memoryBucket) Watch(context.Context, string) (<-chan kv.Entry, error) {
	return nil, fmt.Errorf("not watched")
}

// identities knows one key by its id.
type identities map[string]awshttp.Identity

func (i identities) Lookup(id string) (awshttp.Identity, bool) {
	v, ok := i[id]
	return v, ok
}

// A fixture is a service with what it told its listener.
type fixture struct {
	t testing.TB
	*Service

	mu     sync.Mutex
	ends   []InvocationEnd
	lines  []Output
	starts []EnvironmentStart
	exits  []EnvironmentExit
	gone   []Discarded
	agains []Retry
	sent   []Destination
	said   []Progress
}

// newFixture opens a service and closes it at the test's end. It skips without
// Node.js.
func newFixture(t testing.TB, change ...func(*Config)) *fixture {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("needs node on PATH")
	}
	return openFixture(t, change...)
}

// openFixture is newFixture for functions that don't run on Node.js.
func openFixture(t testing.TB, change ...func(*Config)) *fixture {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("functions don't run on Windows")
	}
	f := &fixture{t: t}
	cfg := Config{
		Bucket: newBucket(), Queue: newTestQueue(t), Dir: t.TempDir(), Region: testRegion, Account: testAccount, Folders: true,
		Gate:   &awshttp.Gate{Identities: identities{}, Mode: awshttp.Off, Account: testAccount, Region: testRegion},
		Events: f.listener(),
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Service = s
	s.readyGrace = 10 * time.Second // a busy machine must not look like a busy handler
	t.Cleanup(func() { s.Close(context.Background()) })
	return f
}

// newTestQueue is a queue in a file of its own.
func newTestQueue(t testing.TB) kv.Queue {
	t.Helper()
	store, err := filekv.Open(filepath.Join(t.TempDir(), "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	q, err := store.Queue(context.Background(), "events", QueueLimits)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func (f *fixture) listener() EventListener {
	return EventListener{
		InvocationEnd:    func(i InvocationEnd) { f.mu.Lock(); f.ends = append(f.ends, i); f.mu.Unlock() },
		Output:           func(o Output) { f.mu.Lock(); f.lines = append(f.lines, o); f.mu.Unlock() },
		EnvironmentStart: func(e EnvironmentStart) { f.mu.Lock(); f.starts = append(f.starts, e); f.mu.Unlock() },
		EnvironmentExit:  func(e EnvironmentExit) { f.mu.Lock(); f.exits = append(f.exits, e); f.mu.Unlock() },
		Retry:            func(r Retry) { f.mu.Lock(); f.agains = append(f.agains, r); f.mu.Unlock() },
		Destination:      func(d Destination) { f.mu.Lock(); f.sent = append(f.sent, d); f.mu.Unlock() },
		Progress:         func(p Progress) { f.mu.Lock(); f.said = append(f.said, p); f.mu.Unlock() },
		Discarded:        func(d Discarded) { f.mu.Lock(); f.gone = append(f.gone, d); f.mu.Unlock() },
	}
}

func (f *fixture) last() InvocationEnd {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ends) == 0 {
		f.t.Fatal("no invocation ended")
	}
	return f.ends[len(f.ends)-1]
}

func (f *fixture) startCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.starts)
}

// call sends a request and decodes a JSON answer.
func (f *fixture) call(method, path string, body any, headers ...string) (int, map[string]any, http.Header) {
	f.t.Helper()
	status, raw, h := f.raw(method, path, body, headers...)
	var out map[string]any
	if len(raw) > 0 {
		json.Unmarshal(raw, &out) // not every answer is an object
	}
	return status, out, h
}

func (f *fixture) raw(method, path string, body any, headers ...string) (int, []byte, http.Header) {
	f.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case []byte:
		r = bytes.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			f.t.Fatal(err)
		}
		r = bytes.NewReader(data)
	}
	req := httptest.NewRequest(method, path, r)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, req)
	return w.Code, w.Body.Bytes(), w.Header()
}

// folder writes files and returns where.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func zipped(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// create makes a function of the files, with further members of CreateFunction.
func (f *fixture) create(name string, files map[string]string, more ...any) string {
	f.t.Helper()
	dir := folder(f.t, files)
	in := map[string]any{
		"FunctionName": name, "Runtime": "nodejs20.x", "Role": testRole, "Handler": "index.handler",
		"Code": map[string]any{"S3Bucket": folderBucket, "S3Key": dir},
	}
	for i := 0; i < len(more); i += 2 {
		in[more[i].(string)] = more[i+1]
	}
	if status, out, _ := f.call("POST", "/2015-03-31/functions", in); status != http.StatusCreated {
		f.t.Fatalf("CreateFunction: %d %v", status, out)
	}
	return dir
}

func (f *fixture) invoke(name, payload string, headers ...string) (int, string, http.Header) {
	f.t.Helper()
	status, raw, h := f.raw("POST", "/2015-03-31/functions/"+name+"/invocations", payload, headers...)
	return status, string(raw), h
}

// eventually waits for a condition that another goroutine brings about. Its
// minute says nothing about speed.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came: %s", what)
}
