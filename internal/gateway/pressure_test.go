package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/internal/integration"
	"tidegate/internal/stage"
)

// gate is a backend that answers when it is let.
func gate(release <-chan struct{}) backend {
	return func(ctx context.Context, r *integration.Request) (*integration.Response, error) {
		select {
		case <-release:
			return &integration.Response{Status: 200, Body: []byte("done")}, nil
		case <-ctx.Done():
			return nil, &integration.Error{Kind: integration.ErrTimeout}
		}
	}
}

func TestOrderedStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newRig(t, Config{}, map[string]backend{"f": gate(release)})
		g.compile(definition("$default=>f"), &apigw.Stage{Name: "Prod", Ordered: true})
		s := g.connect()
		for range 3 {
			s.send("x")
			if !s.isPaused() {
				t.Fatal("not paused while a message is with its backend")
			}
			release <- struct{}{}
			synctest.Wait()
			if s.isPaused() {
				t.Fatal("paused although every message has been answered")
			}
		}
		s.send("x")
		g.publish("$default=>f") // the bound that holds now is the one of now
		g.gateway.Plan(s.c, []byte("y"), false)
		if s.isPaused() {
			t.Error("paused by a stage that isn't ordered any more")
		}
		close(release)
		synctest.Wait()
	})
}

func TestConnectionBoundPausesReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newRig(t, Config{}, map[string]backend{"f": gate(release)})
		g.publish("$default=>f")
		s := g.connect()
		for i := range apigw.MaxInFlightConnection {
			if s.isPaused() {
				t.Fatalf("paused after %d messages", i)
			}
			s.send("x")
		}
		if !s.isPaused() {
			t.Fatal("not paused at the bound")
		}
		release <- struct{}{}
		synctest.Wait()
		if s.isPaused() {
			t.Error("still paused below the bound")
		}
		close(release)
		synctest.Wait()
		if n := len(s.got()); n != apigw.MaxInFlightConnection {
			t.Errorf("%d replies", n)
		}
	})
}

func TestProcessBoundHoldsReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newRig(t, Config{InFlightProcess: 2}, map[string]backend{"f": gate(release)})
		g.publish("$default=>f")
		a, b := g.connect(), g.connect()
		a.send("1")
		a.send("2")
		b.send("3")
		synctest.Wait()
		if a.isPaused() || !b.isPaused() || len(g.events) != 2 {
			t.Fatalf("paused %v and %v, %d calls", a.isPaused(), b.isPaused(), len(g.events))
		}
		release <- struct{}{}
		synctest.Wait()
		if b.isPaused() || len(g.events) != 3 {
			t.Errorf("the third message waits although there is a place")
		}
		close(release)
		synctest.Wait()
		if len(a.got()) != 2 || len(b.got()) != 1 {
			t.Errorf("replies %q and %q", a.got(), b.got())
		}
	})
}

func TestHeldMessageStopsWithTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newRig(t, Config{InFlightProcess: 1}, map[string]backend{"f": gate(release)})
		g.publish("$default=f")
		s := g.connect()
		ctx, cancel := context.WithCancel(context.Background())
		s.send("1")
		p := g.gateway.Plan(s.c, []byte("2"), false)
		cancel()
		g.gateway.Run(ctx, p)
		if len(g.messages) != 1 || g.messages[0].Outcome != Stopped {
			t.Errorf("%v", g.messages)
		}
		close(release)
	})
}

func TestBusyIntegration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newRig(t, Config{InFlightConnection: 1 << 20}, map[string]backend{"slow": gate(release), "fast": answer(200, "fast")})
		g.publish("slow=>slow", "fast=>fast")
		s := g.connect()
		for range apigw.MaxInFlightIntegration {
			s.send(`{"action":"slow"}`)
		}
		synctest.Wait()
		excess := g.connect()
		excess.send(`{"action":"slow"}`)
		excess.send(`{"action":"fast"}`)
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if got := excess.got(); len(got) != 1 || got[0] != "fast" {
			t.Fatalf("a slow backend costs another route: %q", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := excess.got(); len(got) != 2 || !strings.HasPrefix(got[1], `{"message": "Too Many Requests", "connectionId":"`+excess.c.String()) {
			t.Errorf("after a second: %q", got)
		}
		excess.send(`{"action":"slow"}`)
		time.Sleep(500 * time.Millisecond)
		close(release)
		synctest.Wait()
		if got := excess.got(); len(got) != 3 || got[2] != "done" {
			t.Errorf("a place came free in time: %q", got)
		}
	})
}

func TestDisconnect(t *testing.T) {
	for _, tt := range []struct {
		name   string
		code   int
		text   string
		reason string
	}{
		{"browser", 1001, "", ""},
		{"no status", 1005, "", "Client-side close frame status not set"},
		{"lost", 1006, "", ""},
		{"own code", 4000, `say "bye"`, `say "bye"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []*event.Context
				g := newRig(t, Config{}, map[string]backend{"bye": func(_ context.Context, r *integration.Request) (*integration.Response, error) {
					got = append(got, r.Context)
					return &integration.Response{Status: 500}, nil // the answer means nothing
				}})
				g.publish("$disconnect=bye")
				s := g.connect()
				time.Sleep(time.Minute)
				s.leave(tt.code, tt.text)
				s.leave(1006, "again")
				if g.registry.Len() != 0 {
					t.Error("the slot is kept while $disconnect runs")
				}
				synctest.Wait()
				if len(got) != 1 || got[0].Close.Code != tt.code || got[0].Close.Text != tt.reason || got[0].EventType != event.TypeDisconnect || got[0].RouteKey != "$disconnect" || got[0].ConnectionID != s.c.String() {
					t.Fatalf("events %+v", got)
				}
				if len(g.disconnects) != 1 || g.disconnects[0].Lifetime != time.Minute || g.disconnects[0].Outcome != Done || !strings.Contains(g.disconnects[0].String(), fmt.Sprint(tt.code)) {
					t.Errorf("notices %v", g.disconnects)
				}
			})
		})
	}
}

// TestDisconnectWaitsForABusyIntegration, much longer than a message would.
func TestDisconnectWaitsForABusyIntegration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newRig(t, Config{InFlightConnection: 1 << 20}, map[string]backend{"f": gate(release)})
		def := &apigw.Definition{APIID: "abc", RouteSelectionExpression: "$request.body.action",
			Integrations: []*apigw.Integration{{ID: "one", Type: apigw.IntegrationAWSProxy, URI: "arn:aws:lambda:us-east-1:000000000000:function:f"}},
			Routes:       []*apigw.Route{{Key: "slow", Target: "integrations/one"}, {Key: "$disconnect", Target: "integrations/one"}}}
		g.compile(def, &apigw.Stage{Name: "Prod"})
		s := g.connect()
		for range apigw.MaxInFlightIntegration {
			s.send(`{"action":"slow"}`)
		}
		synctest.Wait()
		g.connect().leave(1001, "")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if len(g.disconnects) != 0 {
			t.Fatalf("while the integration is busy: %v", g.disconnects)
		}
		close(release)
		synctest.Wait()
		if len(g.disconnects) != 1 || g.disconnects[0].Outcome != Done {
			t.Errorf("%v", g.disconnects)
		}
	})
}

func TestDisconnectWithoutRoute(t *testing.T) {
	g := newRig(t, Config{}, nil)
	g.publish()
	g.connect().leave(1000, "")
	if len(g.disconnects) != 1 || g.disconnects[0].Outcome != NoRoute {
		t.Errorf("%v", g.disconnects)
	}
}

// A client that leaves during $connect: the function's yes is followed by a
// $disconnect with 1006, its no by nothing.
func TestClientLeavesDuringConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newRig(t, Config{}, map[string]backend{"hi": gate(release), "bye": answer(200, "")})
		g.publish("$connect=hi", "$disconnect=bye")
		go func() {
			a, err := g.gateway.Connect(context.Background(), request())
			if err != nil {
				t.Error(err)
				return
			}
			g.gateway.Disconnect(context.Background(), a.Connection, event.CloseReason{Code: 1006})
		}()
		synctest.Wait()
		close(release)
		synctest.Wait()
		if len(g.disconnects) != 1 || g.disconnects[0].Close.Code != 1006 || strings.Join(g.events, ",") != "hi CONNECT,bye DISCONNECT" {
			t.Errorf("%v after %v", g.disconnects, g.events)
		}
	})
}

// TestSettle: who waits for an answer gets it, and nothing more is heard, before
// clients are closed; ctx bounds the wait.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		backends := map[string]backend{
			"slow": func(context.Context, *integration.Request) (*integration.Response, error) {
				calls++
				time.Sleep(3 * time.Second)
				return &integration.Response{Status: 200, Body: []byte("x")}, nil
			},
		}
		g := newRig(t, Config{}, backends)
		g.publish("$default=>slow")
		c, quiet := g.connect(), g.connect()
		c.send("x")
		start := time.Now()
		g.gateway.Settle(t.Context())
		if d := time.Since(start); d < 3*time.Second || d > 3100*time.Millisecond {
			t.Errorf("settling took %v, the only message 3s", d)
		}
		if len(c.frames) != 1 || len(quiet.frames) != 0 || c.paused || quiet.paused {
			t.Errorf("clients got %q and %q; reads are paused: %v, %v", c.frames, quiet.frames, c.paused, quiet.paused)
		}
		// What was read before the close is refused: a backend would be called for nothing.
		c.send("too late")
		synctest.Wait()
		if len(c.frames) != 2 || !strings.Contains(c.frames[1], "Internal server error") || calls != 1 || g.messages[len(g.messages)-1].Outcome != Stopped {
			t.Errorf("a message behind the end: %d calls, the client got %q", calls, c.frames)
		}
		g = newRig(t, Config{}, backends)
		g.publish("$default=>slow")
		c = g.connect()
		c.send("x")
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		g.gateway.Settle(short)
		if d := time.Since(start); d != time.Second {
			t.Errorf("settling took %v, the time for it was 1s", d)
		}
		synctest.Wait()
		time.Sleep(3 * time.Second)
	})
}

func TestDrainDeliversDisconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, Config{}, map[string]backend{
			"hi": func(context.Context, *integration.Request) (*integration.Response, error) {
				time.Sleep(time.Second)
				return &integration.Response{Status: 200}, nil
			},
			"bye": func(context.Context, *integration.Request) (*integration.Response, error) {
				time.Sleep(time.Second)
				return &integration.Response{Status: 200}, nil
			},
			"msg": func(context.Context, *integration.Request) (*integration.Response, error) {
				time.Sleep(3 * time.Second)
				return &integration.Response{Status: 200, Body: []byte("x")}, nil
			},
		})
		g.publish("$disconnect=bye", "$default=>msg")
		var clients []*client
		for range 50 {
			clients = append(clients, g.connect())
		}
		clients[0].send("x")
		g.publish("$connect=hi", "$disconnect=bye", "$default=msg")
		go func() { // one that is admitted while the gateway drains
			a, err := g.gateway.Connect(context.Background(), request())
			if err != nil {
				t.Error(err)
				return
			}
			late := &client{rig: g, c: a.Connection}
			g.gateway.Open(a.Connection, late)
		}()
		synctest.Wait()
		start := time.Now()
		if err := g.gateway.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("draining took %v, the slowest message 3s", d)
		}
		if len(g.disconnects) != 51 || g.registry.Len() != 0 {
			t.Errorf("%d disconnects, %d connections left", len(g.disconnects), g.registry.Len())
		}
		for _, i := range g.disconnects {
			if i.Close.Code != 1001 || i.Outcome != Done {
				t.Errorf("%v", i)
			}
		}
		_, err := g.gateway.Connect(context.Background(), request())
		var no *Rejection
		if !errors.As(err, &no) || no.Status != 503 || no.Outcome != Draining {
			t.Errorf("a client that comes while draining: %v", err)
		}
		if err := g.gateway.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestDrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, Config{}, map[string]backend{"bye": hang})
		g.publish("$disconnect=bye")
		g.connect()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := g.gateway.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 connections") {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(g.disconnects) != 1 || g.disconnects[0].Outcome != IntegrationTimeout {
			t.Errorf("%v", g.disconnects)
		}
	})
}

func TestWithdraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newRig(t, Config{}, map[string]backend{"hi": gate(release), "bye": answer(200, "")})
		g.publish("$disconnect=bye")
		s := g.connect()
		g.publish("$connect=hi", "$disconnect=bye")
		var late *client
		go func() {
			a, err := g.gateway.Connect(context.Background(), request())
			if err != nil {
				t.Error(err)
				return
			}
			late = &client{rig: g, c: a.Connection}
			g.gateway.Open(a.Connection, late)
		}()
		synctest.Wait()
		g.gateway.Withdraw("abc", "Prod")
		g.gateway.Withdraw("abc", "Prod")
		close(release)
		synctest.Wait()
		if s.closed != "1001 Going away" || late.closed != "1001 Going away" {
			t.Errorf("closed with %q and %q", s.closed, late.closed)
		}
		if len(g.disconnects) != 2 || g.disconnects[0].Outcome != Done || g.disconnects[1].Outcome != Done {
			t.Errorf("%v", g.disconnects)
		}
		if _, ok := g.gateway.Lookup("abc", "Prod"); ok || len(g.gateway.Stages()) > 0 || len(g.gateway.StagesNamed("Prod")) > 0 {
			t.Error("the stage is still there")
		}
		n := 0
		g.gateway.withdrawn.Range(func(any, any) bool { n++; return true })
		if n > 0 {
			t.Errorf("%d snapshots are kept", n)
		}
	})
}

// TestWithdrawDuringARefusedConnect keeps no snapshot for whom $connect refused.
func TestWithdrawDuringARefusedConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, Config{}, map[string]backend{"no": func(ctx context.Context, _ *integration.Request) (*integration.Response, error) {
			time.Sleep(time.Second)
			return &integration.Response{Status: 403}, nil
		}})
		g.publish("$connect=no")
		refused := make(chan error, 1)
		go func() {
			_, err := g.gateway.Connect(context.Background(), request())
			refused <- err
		}()
		synctest.Wait()
		g.gateway.Withdraw("abc", "Prod")
		if err := <-refused; err == nil {
			t.Error("admitted")
		}
		g.gateway.withdrawn.Range(func(any, any) bool { t.Error("a snapshot is kept"); return true })
	})
}

// nobody takes everything.
type nobody struct{}

func (nobody) Send([]byte, bool) error { return nil }
func (nobody) Close(int, string) error { return nil }
func (nobody) LastActive() time.Time   { return time.Time{} }
func (nobody) PauseReads()             {}
func (nobody) ResumeReads()            {}

// mockStage has a two-way MOCK route with a constant reply.
func mockStage(tb testing.TB) *stage.Stage {
	tb.Helper()
	s, err := stage.Compile(&apigw.Definition{APIID: "abc", RouteSelectionExpression: "$request.body.action",
		Routes: []*apigw.Route{{Key: "ping", Target: "integrations/m", Responses: map[string]*apigw.RouteResponse{"r": {Key: "$default"}}}},
		Integrations: []*apigw.Integration{{ID: "m", Type: apigw.IntegrationMock, RequestTemplates: map[string]string{"$default": `{"statusCode":200}`},
			Responses: map[string]*apigw.IntegrationResponse{"d": {Key: "$default", ResponseTemplates: map[string]string{"$default": `{"pong":true}`}}}}},
	}, &apigw.Stage{Name: "Prod"}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestMockRepliesWithoutCallingOut(t *testing.T) {
	g := newRig(t, Config{}, nil)
	g.gateway.Publish(mockStage(t))
	s := g.connect()
	p := g.gateway.Plan(s.c, []byte(`{"action":"ping"}`), false)
	if p.calls {
		t.Error("a constant reply needs a goroutine")
	}
	g.gateway.Run(context.Background(), p)
	if got := s.got(); len(got) != 1 || got[0] != `{"pong":true}` || g.messages[0].Target != "MOCK" || g.messages[0].BackendStatus != 200 {
		t.Errorf("%q, %v", got, g.messages)
	}
}

func benchmarkMessage(b *testing.B, payload string, events EventListener, publish func(*Gateway)) {
	codec, err := connection.NewCodec(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	registry, err := connection.NewRegistry(codec, 1, 0)
	if err != nil {
		b.Fatal(err)
	}
	g := New(Config{Registry: registry, Events: events, Limits: apigw.LimitsOf(apigw.ModeExtended)})
	publish(g)
	a, err := g.Connect(context.Background(), request())
	if err != nil {
		b.Fatal(err)
	}
	g.Open(a.Connection, nobody{})
	ctx := context.Background()
	message := []byte(payload)
	b.ReportAllocs()
	for b.Loop() {
		g.Run(ctx, g.Plan(a.Connection, message, false))
	}
}

func BenchmarkMock(b *testing.B) {
	benchmarkMessage(b, `{"action":"ping","data":"hello"}`, EventListener{}, func(g *Gateway) { g.Publish(mockStage(b)) })
}

func BenchmarkMockListened(b *testing.B) {
	benchmarkMessage(b, `{"action":"ping","data":"hello"}`, EventListener{MessageEnd: func(MessageInfo) {}}, func(g *Gateway) { g.Publish(mockStage(b)) })
}

func BenchmarkForbidden(b *testing.B) {
	benchmarkMessage(b, `{"action":"nothing"}`, EventListener{}, func(g *Gateway) { g.Publish(mockStage(b)) })
}

func BenchmarkFunction(b *testing.B) {
	r := &rig{t: b, functions: map[string]backend{"f": answer(200, "reply")}}
	benchmarkMessage(b, `{"action":"a","data":"hello"}`, EventListener{}, func(g *Gateway) {
		r.gateway = g
		r.publish("a=>f")
	})
}
