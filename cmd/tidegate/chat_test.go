package main

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestChat is the README's story with the ws client of npm: two chat, a silent
// third is pushed to by a rule, who leaves leaves the table, and Ctrl-C tells
// the last one.
func TestChat(t *testing.T) {
	t.Parallel()
	clients := needClients(t)
	s := start(t, example(t, "chat"))
	table := s.table("Connections")

	cmd := exec.CommandContext(t.Context(), "node", filepath.Join(clients, "chat.mjs"), s.url())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	line := func() string {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("the clients ended: %v; tidegate up said:\n%s", cmd.Wait(), s.log)
		}
		return lines.Text()
	}

	got := line()
	var heard struct{ A, B, Silent []string }
	if err := json.Unmarshal([]byte(got), &heard); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if want := []string{"hello from a", "grüße 🌊"}; !slices.Equal(heard.A, want) || !slices.Equal(heard.Silent, want) {
		t.Errorf("a got %q, the silent one %q; want %q", heard.A, heard.Silent, want)
	}
	if !strings.HasPrefix(heard.B[1], `{"message": "Internal server error", "connectionId":"`) {
		t.Errorf("a handler that throws told its client %q", heard.B[1])
	}
	if want := `Send {"action":"sendmessage","data":"your text"}`; heard.B[3] != want {
		t.Errorf("$default answered %q, want %q", heard.B[3], want)
	}

	var ids []string
	for _, c := range s.connections() {
		ids = append(ids, c.ID)
	}
	if len(ids) != 3 || !sameSet(ids, s.rows(table, "connectionId")) {
		t.Errorf("connected are %v, in the table are %v; want the same three", ids, s.rows(table, "connectionId"))
	}

	if _, stderr, code := output(t, s.dir, "", "fire", "HelloEveryMinute"); code != 0 {
		t.Fatalf("fire: exit %d: %s", code, stderr)
	}
	stdin.Close()
	line()
	if line() != "left" {
		t.Error("want the clients to leave")
	}
	s.await("those who left to leave the table", func() bool { return len(s.rows(table, "connectionId")) == 1 })
	s.await("the close codes to be told", func() bool {
		return strings.Contains(s.log.String(), "4001 bye") && strings.Contains(s.log.String(), "1006")
	})

	s.stop()
	if got := line(); got != "1001 Going away" {
		t.Errorf("the last client was closed with %q", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	// What Ctrl-C closed had its $disconnect: after a restart nobody is left.
	s = start(t, s.dir)
	if rows := s.rows(table, "connectionId"); len(rows) != 0 {
		t.Errorf("after a restart the table holds %v", rows)
	}
}

// TestClassic waits for the real clock: a nodejs8.10 function with SDK v2 pushes
// to a client that never said a word.
func TestClassic(t *testing.T) {
	t.Parallel()
	need(t, "node", "npm")
	s := start(t, example(t, "classic"))
	silent := s.dial()
	silent.want("Hello from Lambda")
	silent.Close()
	s.await("the table to be empty", func() bool { return len(s.rows("chatIdTable", "connectionId")) == 0 })
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
