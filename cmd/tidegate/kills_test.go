package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const killStack = `AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Items: { Type: AWS::Serverless::SimpleTable, Properties: { TableName: items } }
  Left: { Type: AWS::Serverless::SimpleTable, Properties: { TableName: left } }
  Right: { Type: AWS::Serverless::SimpleTable, Properties: { TableName: right } }
`

// ddb calls an operation of DynamoDB and returns its answer's status and body.
func (s *stackUnderTest) ddb(operation string, body any) (int, []byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	header := http.Header{"X-Amz-Target": {"DynamoDB_20120810." + operation}, "Content-Type": {"application/x-amz-json-1.0"}}
	resp, answer, err := s.client.Do(s.t.Context(), "dynamodb", http.MethodPost, "/", header, text)
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, answer, nil
}

// A killWriter puts items, counts up an item, and counts up two items of two
// tables in a transaction. acknowledged and tried are over all rounds.
type killWriter struct {
	name                      string
	puts                      []string // acknowledged
	counts, triedCounts       int
	transactions, triedTransa int
	// doubtful is the transaction whose answer never came.
	doubtful any
}

type object map[string]any

func (w *killWriter) countUp(table string) object {
	return object{"TableName": table, "Key": object{"id": object{"S": w.name}},
		"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": object{":one": object{"N": "1"}}}
}

// run writes until a write isn't acknowledged.
func (w *killWriter) run(s *stackUnderTest, acknowledged *atomic.Int64) {
	done := func(operation string, body any) bool {
		status, _, err := s.ddb(operation, body)
		if err != nil || status != http.StatusOK {
			return false
		}
		acknowledged.Add(1)
		return true
	}
	for {
		id := fmt.Sprintf("%s-%d", w.name, len(w.puts))
		if !done("PutItem", object{"TableName": "items", "Item": object{"id": object{"S": id}, "pad": object{"S": fmt.Sprintf("%0300d", len(w.puts))}}}) {
			return
		}
		w.puts = append(w.puts, id)
		w.triedCounts++
		if !done("UpdateItem", w.countUp("items")) {
			return
		}
		w.counts++
		w.triedTransa++
		w.doubtful = object{"ClientRequestToken": fmt.Sprintf("%s-%d", w.name, w.triedTransa),
			"TransactItems": []object{{"Update": w.countUp("left")}, {"Update": w.countUp("right")}}}
		if !done("TransactWriteItems", w.doubtful) {
			return
		}
		w.transactions, w.doubtful = w.transactions+1, nil
	}
}

// check finds what was acknowledged, all of it and nothing twice.
func (w *killWriter) check(t *testing.T, s *stackUnderTest) {
	t.Helper()
	count := func(table string) int {
		status, body, err := s.ddb("GetItem", object{"TableName": table, "Key": object{"id": object{"S": w.name}}, "ConsistentRead": true})
		var got struct {
			Item struct{ N struct{ N string } }
		}
		if err == nil {
			err = json.Unmarshal(body, &got)
		}
		if err != nil || status != http.StatusOK {
			t.Fatalf("GetItem: %d %s %v", status, body, err)
		}
		n, _ := strconv.Atoi(got.Item.N.N)
		return n
	}
	if n := count("items"); n < w.counts || n > w.triedCounts {
		t.Errorf("%s: %d updates were acknowledged, %d sent, and the item has %d", w.name, w.counts, w.triedCounts, n)
	} else {
		w.counts, w.triedCounts = n, n
	}
	left, right := count("left"), count("right")
	if left != right || left < w.transactions || left > w.triedTransa {
		t.Errorf("%s: %d transactions were acknowledged, %d sent, and the two items have %d and %d", w.name, w.transactions, w.triedTransa, left, right)
	}
	if w.doubtful != nil { // sent again with its token, it has happened once
		if status, body, err := s.ddb("TransactWriteItems", w.doubtful); err != nil || status != http.StatusOK {
			t.Fatalf("TransactWriteItems again: %d %s %v", status, body, err)
		}
		w.doubtful = nil
	}
	if left, right = count("left"), count("right"); left != w.triedTransa || right != left {
		t.Errorf("%s: after %d transactions, the last sent again with its token, the two items have %d and %d", w.name, w.triedTransa, left, right)
	}
	w.transactions = w.triedTransa
}

// TestKillsUnderWriters kills the process again and again under eight writers.
// After each start no acknowledged write is lost, no transaction is half there and
// nothing happened twice. The long run, about two minutes:
//
//	TIDEGATE_KILLS=100 go test ./cmd/tidegate -run TestKillsUnderWriters -v
func TestKillsUnderWriters(t *testing.T) {
	t.Parallel()
	rounds := 5
	if n, err := strconv.Atoi(os.Getenv("TIDEGATE_KILLS")); err == nil {
		rounds = n
	}
	dir := folder(t, map[string]string{"template.yaml": killStack})
	var writers []*killWriter
	for i := range 8 {
		writers = append(writers, &killWriter{name: fmt.Sprintf("w%d", i)})
	}
	var acknowledged atomic.Int64
	s := start(t, dir)
	for round := range rounds {
		var group sync.WaitGroup
		goal := acknowledged.Load() + 100 + rand.Int64N(400)
		for _, w := range writers {
			group.Go(func() { w.run(s, &acknowledged) })
		}
		s.await("some writes", func() bool { return acknowledged.Load() > goal })
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) // so that the kill falls anywhere
		s.kill()
		group.Wait()
		s = start(t, dir)
		for _, w := range writers {
			w.check(t, s)
		}
		if t.Failed() {
			t.Fatalf("in round %d", round+1)
		}
	}
	there := map[string]bool{}
	for _, id := range s.rows("items", "id") {
		there[id] = true
	}
	for _, w := range writers {
		for _, id := range w.puts {
			if !there[id] {
				t.Errorf("the acknowledged item %s is lost", id)
			}
		}
	}
	t.Logf("%d writes were acknowledged before %d kills", acknowledged.Load(), rounds)
}
