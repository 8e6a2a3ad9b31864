package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEditedTemplate saves the template while it runs: a bad edit changes
// nothing and is told with its line, a good one serves a connected client.
func TestEditedTemplate(t *testing.T) {
	t.Parallel()
	s := upMock(t)
	c := s.dial()
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.dir, "template.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c.say(`{"action":"pong"}`)
	if m := c.next(); !strings.HasPrefix(m, `{"message": "Forbidden"`) {
		t.Fatalf("before the edit: %s", m)
	}

	save(strings.Replace(mockAPI, "IntegrationId: !Ref Mock", "IntegrationId: !Ref Muck", 1))
	s.await("the bad edit to be told", func() bool {
		log := s.log.String()
		return strings.Contains(log, "keeps running") && strings.Contains(log, `did you mean "Mock"?`)
	})
	c.say(`{"action":"ping"}`)
	c.want(`{"pong":true}`)

	save(strings.Replace(mockAPI, "RouteKey: ping", "RouteKey: pong", 1))
	s.await("the good edit to run", func() bool { return strings.Contains(s.log.String(), "the edited template runs") })
	c.say(`{"action":"pong"}`)
	c.want(`{"pong":true}`)
	c.say(`{"action":"ping"}`)
	if m := c.next(); !strings.HasPrefix(m, `{"message": "Forbidden"`) {
		t.Errorf("the route that was renamed: %s", m)
	}
	if n := len(s.connections()); n != 1 {
		t.Errorf("%d clients are connected after the edits, want the one", n)
	}
}
