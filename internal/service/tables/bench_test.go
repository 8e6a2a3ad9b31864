package tables

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// call serves one request without a socket.
func call(b *testing.B, h http.Handler, operation, body string) {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 {
		b.Fatalf("%s: %d %s", operation, w.Code, w.Body)
	}
}

const benchItem = `{"id":{"S":"connection-%d"},"room":{"S":"lobby"},"joined":{"N":"1764000000"},"tags":{"SS":["a","b"]},"profile":{"M":{"name":{"S":"somebody"},"age":{"N":"41"}}},"pad":{"S":"` + "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789" + `"}}`

// BenchmarkPut is 64 callers that wait for the disk; BenchmarkPutAlone is one.
func BenchmarkPut(b *testing.B) { benchmarkPut(b, 32) } // times GOMAXPROCS, 2 on the machine of record

func BenchmarkPutAlone(b *testing.B) { benchmarkPut(b, 0) }

func benchmarkPut(b *testing.B, parallel int) {
	sv, _ := newService(b, nil, nil)
	must(b, sv, "CreateTable", createSimple)
	var next atomic.Int64
	put := func() {
		call(b, sv, "PutItem", fmt.Sprintf(`{"TableName":"simple","Item":`+benchItem+`}`, next.Add(1)%10000))
	}
	b.ReportAllocs()
	if parallel == 0 {
		for b.Loop() {
			put()
		}
		return
	}
	b.SetParallelism(parallel)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			put()
		}
	})
}

// BenchmarkTransact is 64 callers, each of whose transactions puts four items.
func BenchmarkTransact(b *testing.B) {
	sv, _ := newService(b, nil, nil)
	must(b, sv, "CreateTable", createSimple)
	var next atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			turn := next.Add(4)
			body := []byte(`{"TransactItems":[`)
			for i := range int64(4) {
				if i > 0 {
					body = append(body, ',')
				}
				body = fmt.Appendf(body, `{"Put":{"TableName":"simple","Item":`+benchItem+`}}`, (turn+i)%10000)
			}
			call(b, sv, "TransactWriteItems", string(fmt.Appendf(body, `],"ClientRequestToken":"%d"}`, turn)))
		}
	})
}

func BenchmarkGet(b *testing.B) {
	sv, _ := newService(b, nil, nil)
	must(b, sv, "CreateTable", createSimple)
	must(b, sv, "PutItem", fmt.Sprintf(`{"TableName":"simple","Item":`+benchItem+`}`, 1))
	b.ReportAllocs()
	for b.Loop() {
		call(b, sv, "GetItem", `{"TableName":"simple","Key":{"id":{"S":"connection-1"}}}`)
	}
}

func BenchmarkDecodeItem(b *testing.B) {
	text := []byte(fmt.Sprintf(benchItem, 1))
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s := &scanner{b: text}
		if _, err := s.attributes(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeItem(b *testing.B) {
	s := &scanner{b: []byte(fmt.Sprintf(benchItem, 1))}
	it, err := s.attributes()
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = it.appendJSON(dst[:0])
	}
}

func BenchmarkParseCondition(b *testing.B) {
	bind := sampleBindings(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseCondition("ConditionExpression", "attribute_exists(s) AND #s = :s AND (n < :ten OR contains(ss, :a))", bind); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseUpdate(b *testing.B) {
	bind := sampleBindings(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseUpdate("SET n = n + :one, m.a = if_not_exists(m.a, :n) REMOVE l[0]", bind); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	sv, _ := newService(b, nil, nil)
	must(b, sv, "CreateTable", createSimple)
	for i := range 1000 {
		must(b, sv, "PutItem", fmt.Sprintf(`{"TableName":"simple","Item":`+benchItem+`}`, i))
	}
	b.ReportAllocs()
	for b.Loop() {
		call(b, sv, "Scan", `{"TableName":"simple","ProjectionExpression":"id"}`)
	}
}
