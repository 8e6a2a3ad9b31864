package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReplay has a message of a chat happen again: as it was, dry, after an edit,
// and after the client has left. The function pushes with the SDK that Lambda
// brings.
func TestReplay(t *testing.T) {
	t.Parallel()
	need(t, "node")
	s := start(t, example(t, "chat"))
	c := s.dial()
	c.say(`{"action":"sendmessage","data":"secret"}`)
	c.want("secret")

	type replay struct {
		Now         struct{ Outcome string }
		Pushes      []struct{ ConnectionID, Outcome string }
		Differences []struct {
			Path    string
			Was, Is any
		}
		ConnectionOpen bool
	}
	again := func(args ...string) (r replay) {
		t.Helper()
		out, stderr, code := output(t, s.dir, "", append([]string{"replay"}, args...)...)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		return r
	}
	var page struct {
		Recordings []struct {
			RequestID, EventType, Payload string
			Invocations                   []string
		}
	}
	s.await("the message to be recorded", func() bool {
		out, _, _ := output(t, s.dir, "", "replay")
		return json.Unmarshal([]byte(out), &page) == nil && len(page.Recordings) == 2
	})
	if page.Recordings[0].EventType != "CONNECT" || page.Recordings[1].Payload != `{"action":"sendmessage","data":"secret"}` {
		t.Fatalf("recorded: %+v", page)
	}
	id := page.Recordings[1].RequestID

	if r := again(id, "--dry"); len(r.Differences) != 0 || len(r.Pushes) != 1 || r.Pushes[0].Outcome != "withheld" || !r.ConnectionOpen {
		t.Errorf("dry: %+v", r)
	}
	r := again(id)
	c.want("secret") // and once: the dry one came before
	if len(r.Differences) != 0 || r.Now.Outcome != "done" || len(r.Pushes) != 1 || r.Pushes[0].Outcome != "queued" {
		t.Errorf("as it was: %+v", r)
	}

	handler := filepath.Join(s.dir, "src", "sendmessage.mjs")
	code, err := os.ReadFile(handler)
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(string(code), "return { statusCode: 200 }", "return { statusCode: 202, body: JSON.stringify({ sent: [1] }) }", 1)
	if err := os.WriteFile(handler, []byte(edited), 0o644); err != nil {
		t.Fatal(err)
	}
	r = again(id)
	c.want("secret")
	if len(r.Differences) != 3 || r.Differences[0].Path != "status" || r.Differences[1].Path != "answer.body" || r.Differences[2].Path != "answer.statusCode" {
		t.Errorf("after the edit: %+v", r)
	}
	if out := terminal(t, s.dir, []string{"replay", id}, nil); !strings.Contains(out, "3 things differ:\r\n") || !strings.Contains(out, "answer.statusCode\r\n    was  200\r\n    is   202") {
		t.Errorf("on a terminal:\n%s", out)
	}
	c.want("secret")
	if out := terminal(t, s.dir, []string{"replay"}, nil); !strings.Contains(out, id+"  MESSAGE  sendmessage") {
		t.Errorf("the list on a terminal:\n%s", out)
	}

	log, _, _ := output(t, s.dir, "", "logs", "--request-id", id)
	if !strings.Contains(log, `"kind":"push"`) {
		t.Errorf("the request's log lacks its push:\n%s", log)
	}
	for _, line := range strings.Split(log, "\n") {
		var n struct{ Kind, RequestID, GatewayRequestID string }
		if json.Unmarshal([]byte(line), &n) == nil && n.Kind == "push" {
			if n.GatewayRequestID != id {
				t.Errorf("the push isn't told to be of %s: %s", id, line)
			}
		}
	}
	if _, stderr, code := output(t, s.dir, "", "replay", "none="); code != 1 || !strings.Contains(stderr, "is not recorded") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if info, err := os.Stat(filepath.Join(s.dir, ".tidegate", "recordings", "new.jsonl")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}

	s.stop()
	s = start(t, s.dir)
	if r := again(id); r.ConnectionOpen || len(r.Pushes) != 0 {
		t.Errorf("with nobody there: %+v", r)
	}
	s.stop()
	s = start(t, s.dir, "--no-record")
	if _, stderr, code := output(t, s.dir, "", "replay"); code != 1 || !strings.Contains(stderr, "--no-record") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
