package tables

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"tidegate/internal/awshttp"
)

// BenchmarkMemory holds items of 300 bytes, a million with TIDEGATE_ITEMS=1000000,
// and tells what each takes on the heap, and how long a writer waits at most while
// the table is scanned and swept for expired items.
func BenchmarkMemory(b *testing.B) {
	items := 50000
	if n, err := strconv.Atoi(os.Getenv("TIDEGATE_ITEMS")); err == nil {
		items = n
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		sv, _ := newService(b, nil, nil)
		must(b, sv, "CreateTable", createSimple)
		before := heap()
		for i := 0; i < items; i += 25 {
			var puts []string
			for k := range 25 {
				puts = append(puts, fmt.Sprintf(`{"PutRequest":{"Item":{"id":{"S":"connection-%08d"},"room":{"S":"lobby"},"expires":{"N":"9999999999"},"pad":{"S":"%s"}}}}`, i+k, strings.Repeat("x", 300-19-2-9-12-7-3)))
			}
			must(b, sv, "BatchWriteItem", `{"RequestItems":{"simple":[`+strings.Join(puts, ",")+`]}}`)
		}
		used := heap() - before
		table := sv.lookup("simple")
		b.ReportMetric(float64(used)/float64(items), "heap-B/item")
		b.ReportMetric(float64(table.bytes)/float64(items), "size-B/item")
		b.ReportMetric(float64(sv.memory.held.Load())/float64(items), "counted-B/item")
		must(b, sv, "UpdateTimeToLive", `{"TableName":"simple","TimeToLiveSpecification":{"AttributeName":"expires","Enabled":true}}`)
		slowest := func(work func()) float64 {
			done := make(chan struct{})
			go func() { defer close(done); work() }()
			var most time.Duration
			for {
				select {
				case <-done:
					return float64(most.Microseconds()) / 1000
				default:
				}
				began := time.Now()
				must(b, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"one more"}}}`)
				most = max(most, time.Since(began))
			}
		}
		began := time.Now()
		b.ReportMetric(slowest(func() { sv.expire(table) }), "put-during-sweep-ms")
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "sweep-ms")
		b.ReportMetric(slowest(func() {
			for in := `{"TableName":"simple"}`; ; {
				var page struct{ LastEvaluatedKey json.RawMessage }
				json.Unmarshal([]byte(must(b, sv, "Scan", in)), &page)
				if page.LastEvaluatedKey == nil {
					return
				}
				in = `{"TableName":"simple","ExclusiveStartKey":` + string(page.LastEvaluatedKey) + `}`
			}
		}), "put-during-scan-ms")
	}
}

// TestMemoryLimit: writes that would add are refused by name, others go on, and
// deleting makes room.
func TestMemoryLimit(t *testing.T) {
	dir := t.TempDir()
	open := func(limit int64) (*Service, error) {
		return New(t.Context(), Config{Dir: dir, Gate: newGate(awshttp.Warn), MemoryLimit: limit})
	}
	sv, err := open(20000)
	if err != nil {
		t.Fatal(err)
	}
	must(t, sv, "CreateTable", createSimple)
	put := func(i int, pad int) (int, string) {
		code, body, _ := post(t, sv, "PutItem", fmt.Sprintf(`{"TableName":"simple","Item":{"id":{"S":"%d"},"pad":{"S":"%s"}}}`, i, strings.Repeat("x", pad)))
		return code, body
	}
	n, refusal := 0, ""
	for code := 200; code == 200; {
		if n++; n > 100 {
			t.Fatal("there is no end")
		}
		code, refusal = put(n, 1000)
	}
	if !strings.Contains(refusal, "#LimitExceededException") || !strings.Contains(refusal, "GOMEMLIMIT") {
		t.Errorf("refused with %s", refusal)
	}
	if code, body := put(1, 900); code != 200 {
		t.Errorf("a smaller item in place of one: %d %s", code, body)
	}
	if code, body, _ := post(t, sv, "TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"simple","Item":{"id":{"S":"new"},"pad":{"S":"`+strings.Repeat("x", 2000)+`"}}}}]}`); code != 400 || !strings.Contains(body, "GOMEMLIMIT") {
		t.Errorf("a transaction: %d %s", code, body)
	}
	must(t, sv, "DeleteItem", `{"TableName":"simple","Key":{"id":{"S":"2"}}}`)
	if code, body := put(n, 1000); code != 200 {
		t.Errorf("after a deletion: %d %s", code, body)
	}
	sv.Close()
	if _, err := open(10000); err == nil || !strings.Contains(err.Error(), "GOMEMLIMIT") {
		t.Errorf("opened with less memory: %v", err)
	}
	if sv, err = open(20000); err != nil {
		t.Fatal(err)
	}
	defer sv.Close()
	must(t, sv, "DeleteTable", `{"TableName":"simple"}`)
	if held := sv.memory.held.Load(); held != 0 {
		t.Errorf("%d bytes are held by no table", held)
	}
}
