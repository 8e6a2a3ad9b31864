//go:build unix

package tables

import (
	"bufio"
	"context"
	"fmt"
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
// acknowledged write in what it left.
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

	// Each worker owns an item that counts its acknowledged updates, and puts an
	// item per round; every fifth is deleted again.
	const workers, enough = 16, 400
	var wg sync.WaitGroup
	var mu sync.Mutex
	counts := make([]int, workers)
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
				mu.Lock()
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
	t.Logf("%d updates, %d items, %d deletions acknowledged before the kill", acknowledged, len(present), len(absent))
}
