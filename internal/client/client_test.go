package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "a", "b")
	data := filepath.Join(root, ".tidegate")
	for _, dir := range []string{deep, data} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	want := Run{Endpoint: "http://localhost:1234", PID: 7, Region: "eu-west-1", AccessKeyID: "tidegate", CACert: "ca", CABundle: "bundle", Stack: "s"}
	if err := WriteRun(data, want); err != nil {
		t.Fatal(err)
	}
	if got, err := Find("", deep); err != nil || got != want {
		t.Errorf("from a folder below: %+v, %v", got, err)
	}
	if got, err := Find("http://other:1/", deep); err != nil || got.Endpoint != "http://other:1" {
		t.Errorf("an endpoint wins: %+v, %v", got, err)
	}
	if got, err := Find(want.Endpoint+"/", deep); err != nil || got != want {
		t.Errorf("the endpoint of the run file: %+v, %v", got, err)
	}
	for _, bad := range []string{"localhost:8420", "ws://x", "http://", "%"} {
		if _, err := Find(bad, deep); err == nil || !strings.Contains(err.Error(), "http://localhost:8420") {
			t.Errorf("endpoint %q: %v", bad, err)
		}
	}
	if err := os.WriteFile(filepath.Join(data, RunFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Find("", deep); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged run file: %v", err)
	}
	os.Remove(filepath.Join(data, RunFile))
	if _, err := Find("", deep); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing runs: %v", err)
	}
}

func TestNamed(t *testing.T) {
	all := []Resource{{LogicalID: "A", Name: "stack-A", ARN: "arn:a"}, {LogicalID: "B", Name: "stack-B", ARN: "arn:b"}}
	for _, name := range []string{"B", "stack-B", "arn:b"} {
		if r, err := Named("rule", all, name); err != nil || r.LogicalID != "B" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := Named("rule", all, "C"); err == nil || !strings.Contains(err.Error(), "A, B") {
		t.Errorf("an unknown name: %v", err)
	}
	if _, err := Named("rule", nil, "C"); err == nil || !strings.Contains(err.Error(), "has none") {
		t.Errorf("no rules: %v", err)
	}
}

func TestRefusalsAreWorded(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/_tidegate/rules/shape/fire":
			w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
			w.WriteHeader(404)
			w.Write([]byte(`{"message":"no such rule"}`))
		default:
			w.WriteHeader(502)
			w.Write([]byte("plain words\n"))
		}
	}))
	c, err := New(Run{Endpoint: srv.URL, Region: "us-east-1", AccessKeyID: "tidegate"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Fire(t.Context(), "shape"); err == nil || err.Error() != "ResourceNotFoundException: no such rule" {
		t.Errorf("AWS's shape: %v", err)
	}
	if err := c.Fire(t.Context(), "plain"); err == nil || err.Error() != "502 Bad Gateway: plain words" {
		t.Errorf("plain words: %v", err)
	}
	srv.Close()
	if err := c.Fire(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "still running") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestClosedIsWorded(t *testing.T) {
	if err := ended(Closed{Code: 1000}); err != nil {
		t.Errorf("an ordinary end is an error: %v", err)
	}
	if err := ended(Closed{Code: 1001, Text: "Going away"}); err == nil || !strings.HasPrefix(err.Error(), "closed by the server: 1001 Going away (") {
		t.Errorf("got %v", err)
	}
}
