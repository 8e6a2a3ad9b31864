//go:build linux || darwin

package functions

import (
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// oldProgram builds testdata/oldgo, whose aws-lambda-go is of before the Runtime
// API.
func oldProgram(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "github.com/aws/aws-lambda-go")
	cmd.Dir = filepath.Join("testdata", "oldgo")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("aws-lambda-go v1.13.3 is not here and can't be fetched: %v\n%s", err, out)
	}
	return program(t, "oldgo")
}

func TestOldGo(t *testing.T) {
	t.Parallel()
	old := oldProgram(t)
	f := openFixture(t)
	dir := t.TempDir()
	install(t, old, filepath.Join(dir, "main"), 0o755)
	f.create("old", nil, "Runtime", "go1.x", "Handler", "main", "Timeout", 2, "Code", map[string]any{"S3Bucket": folderBucket, "S3Key": dir})

	type saw struct {
		ID, Arn, Trace string
		Custom         map[string]string
		Left           float64
		PID            int
	}
	look := func() (v saw) {
		t.Helper()
		_, got, h := f.invoke("old", `"context"`, "X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
			"X-Amz-Client-Context", base64.StdEncoding.EncodeToString([]byte(`{"custom":{"of":"mine"}}`)))
		if err := json.Unmarshal([]byte(got), &v); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		if v.ID != h.Get("X-Amzn-RequestId") || v.Arn != "arn:aws:lambda:us-east-1:000000000000:function:old" || v.Custom["of"] != "mine" ||
			v.Trace != "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1" || v.Left <= 0 || v.Left > 2 {
			t.Errorf("the context is %+v", v)
		}
		return v
	}
	first := look()
	tests := []struct {
		event, want, kind string
		ends              bool // the program
	}{
		{event: `{"a":[1,"ü"]}`, want: `{"a":[1,"ü"]}`},
		{event: `"fail"`, want: `{"errorMessage":"it failed","errorType":"errorString"}`, kind: "errorString"},
		{event: `"large"`, want: `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`, kind: "Function.ResponseSizeTooLarge"},
		{event: `"panic"`, want: `{"errorMessage":"it panicked","errorType":"string","stackTrace":[{"path":"`, kind: "string", ends: true},
		{event: `"huge"`, want: `{"errorType":"Function.ResponseSizeTooLarge"`, kind: "Function.ResponseSizeTooLarge", ends: true},
		{event: `"exit"`, want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 3"}`, kind: "Runtime.ExitError", ends: true},
		{event: `"sleep"`, want: `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ID Error: Task timed out after 2.00 seconds"}`, kind: "Sandbox.Timedout", ends: true},
	}
	pid := first.PID
	for _, tt := range tests {
		status, got, h := f.invoke("old", tt.event)
		got = strings.ReplaceAll(got, h.Get("X-Amzn-RequestId"), "ID")
		if status != 200 || !strings.HasPrefix(got, tt.want) || (h.Get("X-Amz-Function-Error") == "Unhandled") != (tt.kind != "") || f.last().ErrorType != tt.kind {
			t.Errorf("%s: %d %.300s; the listener heard of %q", tt.event, status, got, f.last().ErrorType)
		}
		now := look().PID
		if (now != pid) != tt.ends {
			t.Errorf("%s: pid %d before, %d now", tt.event, pid, now)
		}
		pid = now
	}
	f.Service.rpcPorts.mu.Lock()
	if n := len(f.Service.rpcPorts.given); n != 1 {
		t.Errorf("%d ports are given to one program", n)
	}
	f.Service.rpcPorts.mu.Unlock()
}

// On an OS-only runtime nobody calls such a program, on AWS neither.
func TestOldGoOnProvided(t *testing.T) {
	t.Parallel()
	old := oldProgram(t)
	f := openFixture(t)
	dir := t.TempDir()
	install(t, old, filepath.Join(dir, "bootstrap"), 0o755)
	f.create("old", nil, "Runtime", "provided.al2", "Handler", "bootstrap", "Timeout", 1, "Code", map[string]any{"S3Bucket": folderBucket, "S3Key": dir})
	f.initLimit = 100 * time.Millisecond
	if _, got, _ := f.invoke("old", `1`); !strings.Contains(got, "Task timed out after 1.00 seconds") {
		t.Error(got)
	}
	if hint := f.last().Hint; !strings.Contains(hint, "aws-lambda-go v1.13.3") || !strings.Contains(hint, "v1.18.0 or later") {
		t.Errorf("hint %q", hint)
	}
}
