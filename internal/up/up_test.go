package up

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/observe"
	"tidegate/internal/stack"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)

func TestStoryAsJSON(t *testing.T) {
	var out bytes.Buffer
	s := &story{out: &out, json: true}
	s.say("for people only")
	s.tell(observe.Notice{Time: noon, Kind: observe.KindPush, Level: slog.LevelWarn, Text: "a \"push\"", Attrs: []slog.Attr{slog.Int("bytes", 3)}})
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if got["msg"] != `a "push"` || got["kind"] != "push" || got["level"] != "WARN" || got["bytes"] != 3.0 {
		t.Errorf("got %v", got)
	}
}

func TestFindTemplate(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := findTemplate(dir); !errors.Is(err, ErrNoTemplate) || !strings.Contains(err.Error(), "template.yml") {
		t.Errorf("an empty folder: %v", err)
	}
	for _, name := range []string{"template.json", "template.yml", "template.yaml"} { // the later wins
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{dir, file} {
			if got, _, err := findTemplate(path); err != nil || got != file {
				t.Errorf("findTemplate(%s) = %s, %v; want %s", path, got, err, file)
			}
		}
	}
	if _, _, err := findTemplate(filepath.Join(dir, "other.yaml")); !errors.Is(err, ErrNoTemplate) {
		t.Errorf("a file that isn't there: %v", err)
	}
}

// TestServerOptions holds what --host and --iam mean together.
func TestServerOptions(t *testing.T) {
	template := &stack.Stack{Home: t.TempDir()}
	for _, tt := range []struct {
		hosts    []string
		iam      string
		mode     awshttp.Mode
		loopback bool
		fails    bool
	}{
		{nil, "", awshttp.Warn, true, false},
		{nil, "enforce", awshttp.Enforce, true, false},
		{[]string{"127.0.0.5", "::1", "localhost"}, "off", awshttp.Off, true, false},
		{[]string{"0.0.0.0"}, "", awshttp.Enforce, false, false},
		{[]string{"127.0.0.1", "192.0.2.1"}, "", awshttp.Enforce, false, false},
		{[]string{"0.0.0.0"}, "warn", "", false, true},
		{[]string{"::"}, "off", "", false, true},
	} {
		o, err := Options{Hosts: tt.hosts, IAM: tt.iam}.server(template)
		if (err != nil) != tt.fails {
			t.Errorf("--host %v --iam %q: %v", tt.hosts, tt.iam, err)
			continue
		}
		if err == nil && (o.IAM != tt.mode || o.Loopback != tt.loopback) {
			t.Errorf("--host %v --iam %q: mode %s, loopback %v; want %s, %v", tt.hosts, tt.iam, o.IAM, o.Loopback, tt.mode, tt.loopback)
		}
	}
}

func TestProgressSumsUp(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&story{out: &out})
	p.step(stack.Step{Action: stack.Create, LogicalID: "Role", Type: "AWS::IAM::Role"})
	p.step(stack.Step{Action: stack.Create, LogicalID: "Fn", Type: "AWS::Lambda::Function"})
	p.step(stack.Step{Action: stack.Keep, LogicalID: "Table", Type: "AWS::DynamoDB::Table"})
	p.step(stack.Step{Action: stack.Retain, LogicalID: "Old", Type: "AWS::DynamoDB::Table"})
	p.end()
	got := out.String()
	if strings.Contains(got, "Role") || !strings.Contains(got, "create Fn") || !strings.Contains(got, "retain Old") ||
		!strings.Contains(got, "create 2, retain 1, keep 1 resources") {
		t.Errorf("told\n%s", got)
	}
}

func TestUnreachable(t *testing.T) {
	apis := []stack.API{{LogicalID: "A", Stages: []stack.Stage{{Name: "dev"}}}, {LogicalID: "B"}}
	if notes := unreachable(apis); len(notes) != 1 || !strings.HasPrefix(notes[0], "B has no stage") {
		t.Errorf("%q", notes)
	}
}
