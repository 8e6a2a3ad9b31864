package filekv_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidegate/internal/kv"
	"tidegate/internal/kv/filekv"
	"tidegate/internal/kv/kvtest"
)

// childEnv makes the test binary a writer that TestKilled kills; it holds the
// path of the store.
const childEnv = "FILEKV_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		writeForever(path)
	}
	os.Exit(m.Run())
}

func open(t testing.TB, dir string) *filekv.Store {
	t.Helper()
	s, err := filekv.Open(filepath.Join(dir, "kv.db"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	kvtest.Run(t, func(t *testing.T, dir string) kv.Store { return open(t, dir) })
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	path := filepath.Join(dir, "kv.db")
	if second, err := filekv.Open(path); err == nil {
		second.Close()
		t.Fatal("a file was opened twice")
	} else if !errors.Is(err, filekv.ErrLocked) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("the error %q does not name the file and say that it is in use", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir).Close()
}

// TestSuspend holds that another process can have the file in between, and that a
// watch goes on behind it.
func TestSuspend(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	s := open(t, dir)
	b, err := s.Bucket(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	watch, err := b.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	<-watch // there is nothing yet
	if err := s.Suspend(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(ctx, "k", nil); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("Put while it is suspended: %v", err)
	}
	if _, err := b.Get(ctx, "k"); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("Get while it is suspended: %v", err)
	}
	other := open(t, dir)
	if err := s.Resume(); !errors.Is(err, filekv.ErrLocked) {
		t.Errorf("Resume while another has it: %v", err)
	}
	theirs, err := other.Bucket(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Put(ctx, "k", []byte("theirs")); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if e, err := b.Get(ctx, "k"); err != nil || string(e.Value) != "theirs" {
		t.Errorf("Get behind it: %q, %v", e.Value, err)
	}
	if _, err := b.Put(ctx, "k", []byte("ours")); err != nil {
		t.Error(err)
	}
	if e := <-watch; string(e.Value) != "ours" {
		t.Errorf("the watch sent %q", e.Value)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{junk, filepath.Join(dir, "missing", "kv.db"), dir} {
		s, err := filekv.Open(path)
		if err == nil {
			s.Close()
			t.Errorf("Open(%s) worked", path)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%s): %q does not name the file", path, err)
		}
	}
}

// writeForever acknowledges on its standard output each write that returned.
func writeForever(path string) {
	s, err := filekv.Open(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx := context.Background()
	b, err := s.Bucket(ctx, "bucket")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	q, err := s.Queue(ctx, "queue", kv.QueueLimits{Count: 1 << 20, Bytes: 1 << 30})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	acks := make(chan string)
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d/%d", w, i)
				if _, err := b.Put(ctx, key, []byte("value of "+key)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				if err := q.Put(ctx, time.Unix(int64(i), 0), []byte(key)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				acks <- key
			}
		}()
	}
	for key := range acks {
		fmt.Println(key)
	}
}

// A process that is killed while it writes loses nothing that it acknowledged.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+filepath.Join(dir, "kv.db"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		acknowledged = append(acknowledged, lines.Text())
		if len(acknowledged) == 200 {
			cmd.Process.Kill()
			break
		}
	}
	for lines.Scan() { // what was acknowledged before the kill took effect
		acknowledged = append(acknowledged, lines.Text())
	}
	cmd.Wait()
	if len(acknowledged) < 200 {
		t.Fatalf("the writer ended by itself after %d writes", len(acknowledged))
	}
	s := open(t, dir)
	defer s.Close()
	b, err := s.Bucket(t.Context(), "bucket")
	if err != nil {
		t.Fatal(err)
	}
	q, err := s.Queue(t.Context(), "queue", kv.QueueLimits{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := q.Lease(t.Context(), time.Now(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	queued := map[string]bool{}
	for _, m := range messages {
		queued[string(m.Body)] = true
	}
	for _, key := range acknowledged {
		if !queued[key] {
			t.Errorf("%s was acknowledged and is not in the queue", key)
		}
		if e, err := b.Get(t.Context(), key); err != nil || string(e.Value) != "value of "+key {
			t.Errorf("%s was acknowledged and now holds %q, %v", key, e.Value, err)
		}
	}
}
