package cluster

import (
	"fmt"
	"testing"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
)

func TestPushAll(t *testing.T) {
	registry := newRegistry(t)
	var heard []FanOutInfo
	router := NewRouter(Node{Registry: registry}, EventListener{FanOutEnd: func(i FanOutInfo) { heard = append(heard, i) }})
	client := func(api, stage string, err error) *fakeSocket {
		c, rerr := registry.Reserve(connection.Info{APIID: api, Stage: apigw.StageName(stage)})
		if rerr != nil {
			t.Fatal(rerr)
		}
		s := &fakeSocket{err: err}
		c.Open(s)
		return s
	}
	var here []*fakeSocket
	for range 2000 { // more than a chunk of the registry
		here = append(here, client("api", "Prod", nil))
	}
	elsewhere := []*fakeSocket{client("api", "other", nil), client("other", "Prod", nil)}
	client("api", "Prod", apigw.ErrQueueFull)
	client("api", "Prod", apigw.ErrGone)
	if _, err := registry.Reserve(connection.Info{APIID: "api", Stage: "Prod"}); err != nil { // still connecting
		t.Fatal(err)
	}
	to := Audience{APIID: "api", Stage: "Prod", Caller: "arn:x"}
	d, err := router.PushAll(t.Context(), to, []byte("all"), false)
	if want := (Delivery{Queued: 2000, Refused: 1}); err != nil || d != want {
		t.Errorf("PushAll: %+v, %v, want %+v", d, err, want)
	}
	for i, s := range here {
		if fmt.Sprint(s.sent) != "[all]" {
			t.Fatalf("client %d got %q", i, s.sent)
		}
	}
	for _, s := range elsewhere {
		if len(s.sent) > 0 {
			t.Errorf("a client of another stage got %q", s.sent)
		}
	}
	if len(heard) != 1 || heard[0].Audience != to || heard[0].Delivery != d || heard[0].Size != 3 {
		t.Errorf("heard %v", heard)
	}
}

// BenchmarkPushAll is what a message for 10,000 clients costs without its sockets.
func BenchmarkPushAll(b *testing.B) {
	const clients = 10_000
	registry := newRegistry(b)
	router := NewRouter(Node{Registry: registry}, EventListener{})
	for range clients {
		reserve(b, registry).Open(discard{})
	}
	to, payload := Audience{APIID: "api", Stage: "Prod"}, []byte("hello")
	b.ReportAllocs()
	for b.Loop() {
		if d, err := router.PushAll(b.Context(), to, payload, false); err != nil || d.Queued != clients {
			b.Fatal(d, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/clients, "ns/delivery")
}
