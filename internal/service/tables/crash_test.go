//go:build unix

package tables

import (
	"bufio"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"tidegate/internal/awshttp"
)

// TestKill kills a serving process amid concurrent writes and finds every
// acknowledged write in what it left, and every transaction whole.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, childEnv+"_LISTEN=127.0.0.1:0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child said no address: %v", err)
	}
	c := newClient("http://" + strings.TrimSpace(addr))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := c.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            aws.String("simple"),
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		BillingMode:          types.BillingModePayPerRequest,
	}); err != nil {
		t.Fatal(err)
	}

	for _, table := range []string{"left", "right"} {
		if _, err := c.CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName:            aws.String(table),
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
			BillingMode:          types.BillingModePayPerRequest,
		}); err != nil {
			t.Fatal(err)
		}
	}

	// Each worker owns an item that counts its acknowledged updates, and puts an
	// item per round; every fifth is deleted again. It also owns an item in each
	// of two more tables, which its transactions count up together.
	const workers, enough = 16, 300
	var wg sync.WaitGroup
	var mu sync.Mutex
	counts, transactions := make([]int, workers), make([]int, workers)
	present, absent := map[string]bool{}, map[string]bool{}
	acknowledged := 0
	reached := make(chan struct{})
	for w := range workers {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("w%d-%d", w, i)
				if _, err := c.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("simple"), Item: map[string]types.AttributeValue{"id": s(id)}}); err != nil {
					return
				}
				mu.Lock()
				present[id] = true
				mu.Unlock()
				if i%5 == 0 {
					mu.Lock()
					delete(present, id) // unknown until the deletion is acknowledged
					mu.Unlock()
					if _, err := c.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String("simple"), Key: map[string]types.AttributeValue{"id": s(id)}}); err != nil {
						return
					}
					mu.Lock()
					absent[id] = true
					mu.Unlock()
				}
				if _, err := c.UpdateItem(ctx, &dynamodb.UpdateItemInput{
					TableName: aws.String("simple"), Key: map[string]types.AttributeValue{"id": s(fmt.Sprint("count", w))},
					UpdateExpression: aws.String("ADD c :one"), ExpressionAttributeValues: map[string]types.AttributeValue{":one": n(1)},
				}); err != nil {
					return
				}
				if _, err := c.TransactWriteItems(ctx, countBoth(w, i)); err != nil {
					return
				}
				mu.Lock()
				transactions[w]++
				counts[w]++
				if acknowledged++; acknowledged == enough {
					close(reached)
				}
				mu.Unlock()
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	select {
	case <-reached:
	case <-ended:
		t.Fatal("the writers stopped before the child was killed")
	}
	if err := cmd.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	cmd.Wait()
	<-ended

	sv, err := New(t.Context(), Config{Dir: dir, Gate: newGate(awshttp.Warn)})
	if err != nil {
		t.Fatal(err)
	}
	defer sv.Close()
	tb := sv.lookup("simple")
	get := func(id string) *row { return tb.read(tb.primaryKey(item{{"id", value{kind: kindString, text: id}}})) }
	for id := range present {
		if get(id) == nil {
			t.Errorf("the acknowledged item %s is gone", id)
		}
	}
	for id := range absent {
		if get(id) != nil {
			t.Errorf("the item %s, whose deletion was acknowledged, is back", id)
		}
	}
	for w, want := range counts {
		r := get(fmt.Sprint("count", w))
		if want == 0 {
			continue
		}
		if r == nil || compareNumbers(r.item.get("c").text, fmt.Sprint(want)) < 0 {
			t.Errorf("worker %d was acknowledged %d updates, the table has %v", w, want, r)
		}
	}
	for w, n := range transactions {
		count := func(table string) value {
			tb := sv.lookup(table)
			if r := tb.read(tb.primaryKey(item{{"id", value{kind: kindString, text: fmt.Sprint("count", w)}}})); r != nil {
				return r.item.get("c")
			}
			return value{kind: kindNumber, text: "0"}
		}
		left, right := count("left"), count("right")
		if !left.equal(right) || compareNumbers(left.text, fmt.Sprint(n)) < 0 {
			t.Errorf("worker %d was acknowledged %d transactions, the tables have %s and %s", w, n, left.text, right.text)
		}
		if n == 0 {
			continue
		}
		// The last one that was acknowledged happened, and doesn't again.
		srv := httptest.NewServer(sv)
		_, err := newClient(srv.URL).TransactWriteItems(t.Context(), countBoth(w, n-1))
		srv.Close()
		if err != nil || !count("left").equal(left) {
			t.Errorf("asked again, a transaction changed %s to %s (%v)", left.text, count("left").text, err)
		}
	}
	t.Logf("%d updates and transactions, %d items, %d deletions acknowledged before the kill", acknowledged, len(present), len(absent))
}

// countBoth is worker w's transaction i: two items in two tables are one more.
func countBoth(w, i int) *dynamodb.TransactWriteItemsInput {
	one := func(table string) types.TransactWriteItem {
		return types.TransactWriteItem{Update: &types.Update{
			TableName: aws.String(table), Key: id(fmt.Sprint("count", w)),
			UpdateExpression: aws.String("ADD c :one"), ExpressionAttributeValues: map[string]types.AttributeValue{":one": n(1)},
		}}
	}
	return &dynamodb.TransactWriteItemsInput{
		ClientRequestToken: aws.String(fmt.Sprintf("%d-%d", w, i)),
		TransactItems:      []types.TransactWriteItem{one("left"), one("right")},
	}
}
