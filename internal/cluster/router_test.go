package cluster

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/event"
)

type fakeSocket struct {
	sent   []string
	closed string
	active time.Time
	err    error
}

func (s *fakeSocket) Send(p []byte, binary bool) error {
	if s.err == nil {
		s.sent = append(s.sent, string(p))
	}
	return s.err
}
func (s *fakeSocket) Close(code int, reason string) error {
	s.closed = reason
	return nil
}
func (s *fakeSocket) LastActive() time.Time { return s.active }
func (s *fakeSocket) PauseReads()           {}
func (s *fakeSocket) ResumeReads()          {}

func newRegistry(t testing.TB) *connection.Registry {
	t.Helper()
	return registryOf(t, 1)
}

func registryOf(t testing.TB, incarnation uint32) *connection.Registry {
	t.Helper()
	codec, err := connection.NewCodec(bytes.Repeat([]byte{1}, 16))
	if err != nil {
		t.Fatal(err)
	}
	r, err := connection.NewRegistry(codec, incarnation, 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func reserve(t testing.TB, r *connection.Registry) *connection.Connection {
	t.Helper()
	c, err := r.Reserve(connection.Info{APIID: "api", Stage: "Prod", Identity: event.Identity{SourceIP: "192.0.2.1"}, ConnectedAt: at})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRouter(t *testing.T) {
	ctx := context.Background()
	registry := newRegistry(t)
	var heard []PushInfo
	router := NewRouter(Node{Registry: registry}, EventListener{PushEnd: func(i PushInfo) { heard = append(heard, i) }})

	c := reserve(t, registry)
	to := Target{ID: c.ID(), APIID: "api", Stage: "Prod", Caller: "arn:x"}
	all := func(to Target, want error) {
		t.Helper()
		if err := router.Push(ctx, to, []byte("m"), false); !errors.Is(err, want) {
			t.Errorf("Push: %v, want %v", err, want)
		}
		if _, err := router.Get(ctx, to); !errors.Is(err, want) {
			t.Errorf("Get: %v, want %v", err, want)
		}
		if want != nil {
			if err := router.Delete(ctx, to); !errors.Is(err, want) {
				t.Errorf("Delete: %v, want %v", err, want)
			}
		}
	}
	all(to, apigw.ErrGone) // $connect still runs
	s := &fakeSocket{active: at.Add(time.Minute)}
	c.Open(s)
	all(to, nil)
	all(Target{ID: c.ID(), APIID: "other", Stage: "Prod"}, ErrElsewhere)
	all(Target{ID: c.ID(), APIID: "api", Stage: "other"}, ErrElsewhere)
	all(Target{Text: "neverissuedatall=", APIID: "api", Stage: "Prod"}, apigw.ErrGone)
	if id := heard[len(heard)-1].ConnectionID; id != "neverissuedatall=" {
		t.Errorf("an id that was never issued was told as %q", id)
	}
	if id := heard[1].ConnectionID; id != c.String() {
		t.Errorf("a push to %s was told as one to %q", c, id)
	}

	s.err = apigw.ErrQueueFull
	if err := router.Push(ctx, to, []byte("much"), false); !errors.Is(err, apigw.ErrQueueFull) {
		t.Error(err)
	}
	status, err := router.Get(ctx, to)
	if err != nil || !status.ConnectedAt.Equal(at) || !status.LastActiveAt.Equal(s.active) || status.Identity.SourceIP != "192.0.2.1" {
		t.Errorf("Get = %+v, %v", status, err)
	}
	if err := router.Delete(ctx, to); err != nil || s.closed != deleteText {
		t.Errorf("Delete: %v; the client saw %q", err, s.closed)
	}
	all(to, apigw.ErrGone)

	if want := []string{"m"}; !slices.Equal(s.sent, want) {
		t.Errorf("the client got %q", s.sent)
	}
	var outcomes []PushOutcome
	for _, i := range heard {
		outcomes = append(outcomes, i.Outcome)
	}
	if want := []PushOutcome{PushGone, PushQueued, PushElsewhere, PushElsewhere, PushGone, PushQueueFull, PushGone}; !slices.Equal(outcomes, want) {
		t.Errorf("outcomes %q, want %q", outcomes, want)
	}
	if line := heard[1].String(); !strings.Contains(line, c.String()) || !strings.Contains(line, "queued") || heard[1].Caller != "arn:x" {
		t.Errorf("the notice reads %q", line)
	}
}

func BenchmarkPush(b *testing.B) {
	registry := newRegistry(b)
	router := NewRouter(Node{Registry: registry}, EventListener{})
	c := reserve(b, registry)
	c.Open(discard{})
	to := Target{ID: c.ID(), APIID: "api", Stage: "Prod"}
	payload := []byte("hello")
	b.ReportAllocs()
	for b.Loop() {
		if err := router.Push(context.Background(), to, payload, false); err != nil {
			b.Fatal(err)
		}
	}
}

// discard is a socket that takes everything.
type discard struct{ *fakeSocket }

func (discard) Send([]byte, bool) error { return nil }
