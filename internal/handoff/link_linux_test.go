package handoff

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/cluster"
	"tidegate/internal/connection"
	"tidegate/internal/event"
)

// A socket is a client's end that notes what comes; once moved it refuses.
type socket struct {
	mu    sync.Mutex
	got   []string
	moved bool
}

func (s *socket) Send(p []byte, binary bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved {
		return connection.ErrMoved
	}
	s.got = append(s.got, string(p))
	return nil
}

func (s *socket) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func (s *socket) Close(int, string) error { return s.Send([]byte("closed"), false) }
func (s *socket) LastActive() time.Time   { return time.UnixMilli(5) }
func (s *socket) PauseReads()             {}
func (s *socket) ResumeReads()            {}

// A side is one process of a hand-off.
type side struct {
	table  *connection.Registry
	router *cluster.Router
	link   *Link
}

func sides(t *testing.T) (old, new *side) {
	t.Helper()
	codec, err := connection.NewCodec(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	a, b := channels(t)
	both := []*side{{}, {}}
	for i, s := range both {
		if s.table, err = connection.NewRegistry(codec, uint32(i+1), 0); err != nil {
			t.Fatal(err)
		}
		s.router = cluster.NewRouter(cluster.Node{Registry: s.table}, cluster.EventListener{})
		s.link = newLink([]*channel{a, b}[i], Home{Local: s.router.Local(), Codec: codec, Release: s.release}, i == 0)
		go s.link.serve()
		s.router.SetPeer(s.link)
	}
	return both[0], both[1]
}

func (s *side) release(id connection.ID, ended, unheld int) error {
	c, ok := s.table.Lookup(id)
	if !ok {
		return cluster.ErrNotHere
	}
	for range ended {
		c.End(16)
	}
	return nil
}

func (s *side) client(t *testing.T) (*connection.Connection, *socket) {
	t.Helper()
	c, err := s.table.Reserve(connection.Info{APIID: "api", Stage: "Prod", Identity: event.Identity{SourceIP: "192.0.2.1", UserAgent: "x"}, ConnectedAt: time.UnixMilli(3)})
	if err != nil {
		t.Fatal(err)
	}
	at := &socket{}
	c.Open(at)
	return c, at
}

// move does to a connection what a batch of one does.
func move(t *testing.T, old, new *side, c *connection.Connection, at *socket, to *socket) {
	at.mu.Lock() // as an engine stops it
	at.moved = true
	at.mu.Unlock()
	old.link.still.Lock()
	defer old.link.still.Unlock()
	b, err := c.Freeze()
	if err != nil {
		t.Error(err)
		return
	}
	new.link.still.Lock()
	old.table.HandOff(c) // it was acknowledged, and is not yet there
	time.Sleep(time.Millisecond)
	if _, err := new.table.Thaw(b, to, 16); err != nil {
		t.Error(err)
	}
	new.link.still.Unlock()
}

func TestLink(t *testing.T) {
	old, new := sides(t)
	ctx := t.Context()
	c, at := old.client(t)
	c.Begin(16)
	target := cluster.Target{ID: c.ID(), APIID: "api", Stage: "Prod"}
	if err := new.router.Push(ctx, target, []byte("1"), false); err != nil {
		t.Error(err)
	}
	if s, err := new.router.Get(ctx, target); err != nil || s.LastActiveAt.UnixMilli() != 5 || s.ConnectedAt.UnixMilli() != 3 || s.Identity.SourceIP != "192.0.2.1" || s.Identity.UserAgent != "x" {
		t.Errorf("%+v, %v", s, err)
	}
	wrong := target
	wrong.Stage = "other"
	if err := new.router.Push(ctx, wrong, nil, false); !errors.Is(err, cluster.ErrElsewhere) {
		t.Errorf("another stage's: %v", err)
	}
	to := &socket{}
	move(t, old, new, c, at, to)
	if err := old.router.Send(c.ID(), []byte("2"), true); err != nil {
		t.Error(err)
	}
	if err := old.router.Release(c.ID(), 1, 0); err != nil {
		t.Error(err)
	}
	there, _ := new.table.Lookup(c.ID())
	if there.InFlight() != 0 {
		t.Errorf("%d in flight", there.InFlight())
	}
	if api, stage, ok := old.router.Find(ctx, c.String()); !ok || api != "api" || stage != "Prod" {
		t.Error("the old process can't find it")
	}
	if err := old.router.Delete(ctx, target); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(at.heard(), to.heard()) != "[1] [2 closed]" {
		t.Errorf("the client got %q from the old process and %q from the new one", at.heard(), to.heard())
	}
	new.table.Release(there)
	for _, r := range []*cluster.Router{old.router, new.router} {
		if err := r.Push(ctx, target, nil, false); !errors.Is(err, apigw.ErrGone) {
			t.Errorf("a client that left: %v", err)
		}
	}
	old.link.Close()
	<-new.link.Ended()
	if err := new.router.Push(ctx, target, nil, false); !errors.Is(err, apigw.ErrGone) {
		t.Errorf("after the old process's end: %v", err)
	}
	other, mine := new.client(t)
	if d, err := new.router.PushAll(ctx, cluster.Audience{APIID: "api", Stage: "Prod"}, []byte("all"), false); err != nil || d.Queued != 1 || len(mine.heard()) != 1 {
		t.Errorf("to all, after its end: %+v, %v, %v", d, err, other)
	}
}

// TestNothingLostWhileMoving pushes, each push in its own number, to clients that
// change sides meanwhile: every client gets every message once, in order where one
// poster sent them.
func TestNothingLostWhileMoving(t *testing.T) {
	old, new := sides(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const clients, rounds = 40, 60
	type client struct {
		c        *connection.Connection
		at, then *socket
	}
	all := make([]client, clients)
	for i := range all {
		all[i].c, all[i].at = old.client(t)
		all[i].then = &socket{}
	}
	var posting sync.WaitGroup
	for _, r := range []*cluster.Router{old.router, new.router} {
		posting.Go(func() {
			for n := range rounds {
				for i := range all {
					if err := r.Push(ctx, cluster.Target{ID: all[i].c.ID(), APIID: "api", Stage: "Prod"}, fmt.Appendf(nil, "%p %03d", r, n), false); err != nil {
						t.Errorf("push %d: %v", n, err)
						return
					}
				}
			}
		})
		posting.Go(func() {
			for n := range rounds {
				d, err := r.PushAll(ctx, cluster.Audience{APIID: "api", Stage: "Prod"}, fmt.Appendf(nil, "all %p %03d", r, n), false)
				if err != nil || d.Queued != clients {
					t.Errorf("message %d for all: %+v, %v", n, d, err)
					return
				}
			}
		})
	}
	for i := range all {
		move(t, old, new, all[i].c, all[i].at, all[i].then)
	}
	posting.Wait()
	for i, c := range all {
		last := map[string]string{}
		got := append(c.at.heard(), c.then.heard()...)
		if len(got) != 4*rounds {
			t.Fatalf("client %d got %d messages, want %d", i, len(got), 4*rounds)
		}
		for _, m := range got {
			who, n := m[:len(m)-4], m[len(m)-3:]
			if last[who] >= n && last[who] != "" {
				t.Fatalf("client %d got %s of %s behind %s", i, n, who, last[who])
			}
			last[who] = n
		}
	}
}
