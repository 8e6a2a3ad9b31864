package main

import (
	"testing"
)

// TestPython is the chat in Python: boto3 reaches the table and the clients by
// the hosts that it makes up itself, under enforced policies.
func TestPython(t *testing.T) {
	t.Parallel()
	needBoto3(t)
	s := start(t, example(t, "python"), "--iam", "enforce")
	table := s.table("Connections")
	speaker, silent := s.dial(), s.dial()
	var ids []string
	for _, c := range s.connections() {
		ids = append(ids, c.ID)
	}
	if len(ids) != 2 || !sameSet(ids, s.rows(table, "connectionId")) {
		t.Errorf("connected are %v, in the table are %v; want the same two", ids, s.rows(table, "connectionId"))
	}
	speaker.say(`{"action":"sendmessage","data":"grüße 🌊"}`)
	speaker.want("grüße 🌊")
	silent.want("grüße 🌊")
	speaker.Close()
	s.await("who left to leave the table", func() bool { return len(s.rows(table, "connectionId")) == 1 })
	if _, stderr, code := output(t, s.dir, "", "fire", "HelloEveryMinute"); code != 0 {
		t.Fatalf("fire: exit %d: %s", code, stderr)
	}
	silent.want("Hello from Lambda")
	silent.Close()
	s.await("the table to be empty", func() bool { return len(s.rows(table, "connectionId")) == 0 })
}
