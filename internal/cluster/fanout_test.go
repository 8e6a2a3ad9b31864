package cluster

import (
	"context"
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

// A silentPeer has ended, or says what it was told to.
type silentPeer struct {
	Peer
	asked func() (Delivery, error)
}

func (p silentPeer) PushAll(context.Context, Audience, []byte, bool) (Delivery, error) {
	return p.asked()
}

// While two processes live the peer sees to a message for all. Once it has ended
// without doing so all clients are here, and each gets the message once.
func TestPushAllWithAPeer(t *testing.T) {
	registry := newRegistry(t)
	router := NewRouter(Node{Registry: registry}, EventListener{})
	s := &fakeSocket{}
	reserve(t, registry).Open(s)
	asked := 0
	for _, tt := range []struct {
		name string
		peer func() (Delivery, error)
		want Delivery
		sent string
	}{
		{"did it", func() (Delivery, error) { return Delivery{Queued: 5}, nil }, Delivery{Queued: 5}, "[]"},
		{"ended", func() (Delivery, error) { return Delivery{}, ErrNotHere }, Delivery{Queued: 1}, "[all]"},
		{"ended, and was taken off", func() (Delivery, error) { router.SetPeer(nil); return Delivery{}, ErrNotHere }, Delivery{Queued: 1}, "[all]"},
	} {
		s.sent = nil
		asked = 0
		router.SetPeer(silentPeer{asked: func() (Delivery, error) { asked++; return tt.peer() }})
		d, err := router.PushAll(t.Context(), Audience{APIID: "api", Stage: "Prod"}, []byte("all"), false)
		if d != tt.want || err != nil || fmt.Sprint(s.sent) != tt.sent || asked != 1 {
			t.Errorf("a peer that %s: %+v, %v; it was asked %d times, the client got %q", tt.name, d, err, asked, s.sent)
		}
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
