package main

import (
	"testing"
)

// TestGo is the chat in Go: its program is built, and its SDK reaches the table
// and the clients by the hosts that it would call on AWS.
func TestGo(t *testing.T) {
	t.Parallel()
	need(t, "go")
	s := start(t, example(t, "go"), "--iam", "enforce")
	table := s.table("Connections")
	speaker, silent := s.dial(), s.dial()
	speaker.say(`{"action":"sendmessage","data":"grüße 🌊"}`)
	speaker.want("grüße 🌊")
	silent.want("grüße 🌊")
	speaker.Close()
	s.await("who left to leave the table", func() bool { return len(s.rows(table, "connectionId")) == 1 })
	if _, stderr, code := output(t, s.dir, "", "fire", "ServerEveryMinute"); code != 0 {
		t.Fatalf("fire: exit %d: %s", code, stderr)
	}
	silent.want("Hello from Lambda")
	silent.Close()
	s.await("the table to be empty", func() bool { return len(s.rows(table, "connectionId")) == 0 })
}
