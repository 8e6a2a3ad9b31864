package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTypeScript is the chat in TypeScript: sources are bundled as the template
// says, a saved one is what the next message runs, and one with a mistake leaves
// the last good one serving.
func TestTypeScript(t *testing.T) {
	t.Parallel()
	needClients(t)
	s := start(t, example(t, "typescript"), "--iam", "enforce")
	table := s.table("Connections")
	speaker, silent := s.dial(), s.dial()
	if rows := s.rows(table, "connectionId"); len(rows) != 2 {
		t.Errorf("in the table are %v, want two", rows)
	}
	speaker.say(`{"action":"sendmessage","data":"grüße 🌊"}`)
	speaker.want("grüße 🌊")
	silent.want("grüße 🌊")
	source := filepath.Join(s.dir, "src", "sendmessage.ts")
	code, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(from, to string) {
		t.Helper()
		if !strings.Contains(string(code), from) {
			t.Fatalf("no %q in the example", from)
		}
		if err := os.WriteFile(source, []byte(strings.Replace(string(code), from, to, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit("(event), data)", "(event), `saved ${data}`)")
	speaker.say(`{"action":"sendmessage","data":"one"}`)
	speaker.want("saved one")
	silent.want("saved one")
	edit("(event), data)", "(event), data")
	speaker.say(`{"action":"sendmessage","data":"two"}`)
	speaker.want("saved two")
	silent.want("saved two")
	s.await("the mistake with its place", func() bool {
		return strings.Contains(s.log.String(), "sendmessage.ts:6:42: Expected \")\" but found \";\"")
	})
	if _, stderr, code := output(t, s.dir, "", "fire", "HelloEveryMinute"); code != 0 {
		t.Fatalf("fire: exit %d: %s", code, stderr)
	}
	silent.want("Hello from Lambda")
}
