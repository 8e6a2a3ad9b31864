package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// TestKillLosesNothingAcknowledged kills the process under a burst of writes.
// After the restart every acknowledged item is there, the URLs are the same, and
// the rule still fires.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	need(t, "node", "npm")
	dir := example(t, "chat")
	port := lastingPort(t)
	s := start(t, dir, "--port", port)
	table, url := s.table("Connections"), s.url()

	var mu sync.Mutex
	var acknowledged []string
	var writers sync.WaitGroup
	header := http.Header{"X-Amz-Target": {"DynamoDB_20120810.PutItem"}, "Content-Type": {"application/x-amz-json-1.0"}}
	for w := range 8 {
		writers.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("w%d-%012d=", w, i) // has the look of a connection's: pushing to it says gone
				body, _ := json.Marshal(map[string]any{"TableName": table, "Item": map[string]any{"connectionId": map[string]string{"S": id}}})
				resp, _, err := s.client.Do(t.Context(), "dynamodb", http.MethodPost, "/", header, body)
				if err != nil || resp.StatusCode != http.StatusOK {
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, id)
				mu.Unlock()
			}
		})
	}
	s.await("some writes", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged) > 400
	})
	s.kill()
	writers.Wait()

	s = start(t, dir, "--port", port)
	if s.url() != url {
		t.Errorf("the URL was %s and is %s", url, s.url())
	}
	rows := s.rows(table, "connectionId")
	slices.Sort(rows)
	for _, id := range acknowledged {
		if _, ok := slices.BinarySearch(rows, id); !ok {
			t.Errorf("the acknowledged item %s is lost", id)
		}
	}
	c := s.dial()
	if _, stderr, code := output(t, dir, "", "fire", "HelloEveryMinute"); code != 0 {
		t.Fatalf("fire after the restart: exit %d: %s", code, stderr)
	}
	c.want("Hello from Lambda")
}

// lastingPort is a free port that the system gives to nobody unasked, so that it
// is still free after a restart.
func lastingPort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := fmt.Sprint(20000 + rand.IntN(10000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port between 20000 and 30000 is free")
	return ""
}
