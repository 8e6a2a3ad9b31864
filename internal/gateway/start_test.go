package gateway

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"tidegate/internal/apigw"
	"tidegate/internal/integration"
	"tidegate/internal/stage"
)

// A later is an HTTP backend that answers when a test says so.
type later struct {
	mu      sync.Mutex
	waiting []integration.Receiver
	bodies  []string
	blocked int // calls that came by Invoke
}

// Invoke implements integration.Invoker.
func (l *later) Invoke(context.Context, *integration.Request) (*integration.Response, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocked++
	return &integration.Response{Status: 200, Body: []byte("waited")}, nil
}

// Start implements integration.Starter.
func (l *later) Start(_ context.Context, r *integration.Request, to integration.Receiver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting, l.bodies = append(l.waiting, to), append(l.bodies, string(r.Payload))
}

// answer has the first call that waits end.
func (l *later) answer(r *integration.Response, err error) {
	l.mu.Lock()
	to := l.waiting[0]
	l.waiting = l.waiting[1:]
	l.mu.Unlock()
	to.Receive(r, err)
	if r != nil {
		clear(r.Body) // it is the client's again
	}
}

// A laterBinder binds every HTTP integration to one backend.
type laterBinder struct {
	*rig
	backend *later
}

func (b laterBinder) HTTP(*apigw.Integration, string) (integration.Invoker, error) {
	return b.backend, nil
}

// newLater returns a rig whose route a is two-way and calls the backend, as an
// integration that change has its way with.
func newLater(t *testing.T, c Config, change func(*apigw.Definition)) (*rig, *later) {
	return newLaterOf(t, 1, c, change)
}

// newLaterOf is newLater for an incarnation.
func newLaterOf(t *testing.T, incarnation uint32, c Config, change func(*apigw.Definition)) (*rig, *later) {
	g, l := newRigOf(t, incarnation, c, nil), &later{}
	def := &apigw.Definition{APIID: "abc", RouteSelectionExpression: "$request.body.action",
		Routes:       []*apigw.Route{{Key: "a", Target: "integrations/i", Responses: map[string]*apigw.RouteResponse{"x": {Key: "$default"}}}},
		Integrations: []*apigw.Integration{{ID: "i", Type: apigw.IntegrationHTTPProxy, Method: "POST", URI: "http://h.example/"}},
	}
	if change != nil {
		change(def)
	}
	s, err := stage.Compile(def, &apigw.Stage{Name: "Prod"}, laterBinder{g, l})
	if err != nil {
		t.Fatal(err)
	}
	g.gateway.Publish(s)
	return g, l
}

// TestStartWithoutGoroutine: a backend that needs no goroutine gets none, and what
// becomes of the message is the same.
func TestStartWithoutGoroutine(t *testing.T) {
	g, l := newLater(t, Config{}, nil)
	s := g.connect()
	buf := []byte(`{"action":"a","n":1}`)
	g.gateway.Start(t.Context(), g.gateway.Plan(s.c, buf, false))
	clear(buf) // the engine's buffer is used again at once
	if l.bodies[0] != `{"action":"a","n":1}` || s.c.InFlight() != 1 || len(g.gateway.slots) != 1 {
		t.Errorf("%q was sent; %d in flight, %d places taken", l.bodies, s.c.InFlight(), len(g.gateway.slots))
	}
	l.answer(&integration.Response{Status: 200, Body: []byte("hello")}, nil)
	s.send(`{"action":"a"}`)
	l.answer(nil, &integration.Error{Kind: integration.ErrTimeout})
	s.send(`{"action":"a"}`)
	l.answer(&integration.Response{Status: 503, Detail: "h.example answered 503", Body: []byte("busy")}, nil)
	got := s.got()
	if len(got) != 3 || got[0] != "hello" || !strings.Contains(got[1], textTimeout) || got[2] != "busy" {
		t.Errorf("the client got %q", got)
	}
	m, x := g.messages, g.exchanges[len(g.exchanges)-3:]
	if m[0].Outcome != Done || m[0].BackendStatus != 200 || m[1].Outcome != IntegrationTimeout || m[2].Outcome != Done || m[2].Err == nil || m[0].RequestID == m[1].RequestID {
		t.Errorf("told %+v", m)
	}
	if string(x[0].Payload) != `{"action":"a","n":1}` || x[0].MessageID == "" || x[0].Answer == nil {
		t.Errorf("exchange %+v", x[0])
	}
	if s.c.InFlight() != 0 || len(g.gateway.slots) != 0 || g.gateway.active.Load() != 1 || l.blocked != 0 {
		t.Errorf("%d in flight, %d places taken, %d active, %d waited for", s.c.InFlight(), len(g.gateway.slots), g.gateway.active.Load(), l.blocked)
	}
}

// TestStartAtBounds: at the connection's bound reads pause; at the integration's
// and the process's a message waits on a goroutine.
func TestStartAtBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, l := newLater(t, Config{InFlightConnection: 2, InFlightProcess: 3}, nil)
		s, other := g.connect(), g.connect()
		s.send(`{"action":"a"}`)
		s.send(`{"action":"a"}`)
		if !s.isPaused() {
			t.Error("reads go on at the bound")
		}
		other.send(`{"action":"a"}`)
		other.send(`{"action":"a"}`) // the process is full
		synctest.Wait()
		if len(l.waiting) != 3 || l.blocked != 0 || !other.isPaused() {
			t.Errorf("%d calls, %d that were waited for; paused: %v", len(l.waiting), l.blocked, other.isPaused())
		}
		for range 3 {
			l.answer(&integration.Response{Status: 200, Body: []byte("x")}, nil)
			synctest.Wait()
		}
		if l.blocked != 1 || s.isPaused() || other.isPaused() || len(g.gateway.slots) != 0 {
			t.Errorf("%d calls that were waited for; %d places taken", l.blocked, len(g.gateway.slots))
		}
		if got := append(s.got(), other.got()...); strings.Join(got, " ") != "x x waited x" {
			t.Errorf("clients got %q", got)
		}

		slots := g.gateway.Stages()[0].SelectRoute([]byte(`{"action":"a"}`)).Integration.Slots
		for range cap(slots) {
			slots <- struct{}{}
		}
		s.send(`{"action":"a"}`)
		synctest.Wait()
		<-slots
		synctest.Wait()
		if l.blocked != 2 || len(slots) != cap(slots)-1 {
			t.Errorf("%d calls that were waited for; %d places of the integration taken", l.blocked, len(slots))
		}
	})
}

// TestStartIsForLightWork: what may take long is done on a goroutine.
func TestStartIsForLightWork(t *testing.T) {
	for name, change := range map[string]func(*apigw.Definition){
		"a request template": func(d *apigw.Definition) {
			d.Integrations[0].Type, d.Integrations[0].RequestTemplates = apigw.IntegrationHTTP, map[string]string{"$default": "x"}
		},
		"a response template": func(d *apigw.Definition) {
			d.Integrations[0].Type = apigw.IntegrationHTTP
			d.Integrations[0].Responses = map[string]*apigw.IntegrationResponse{"r": {Key: "$default", ResponseTemplates: map[string]string{"$default": "x"}}}
		},
		"a model": func(d *apigw.Definition) {
			d.Routes[0].RequestModels = map[string]string{"$default": "m"}
			d.Models = []*apigw.Model{{Name: "m", ContentType: "application/json", Schema: "{}"}}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			g, l := newLater(t, Config{}, change)
			s := g.connect()
			s.send(`{"action":"a"}`)
			synctest.Wait()
			if l.blocked != 1 || len(l.waiting) != 0 || len(s.got()) != 1 {
				t.Errorf("%s: %d calls that were waited for, %d others; the client got %q, %v", name, l.blocked, len(l.waiting), s.got(), g.messages)
			}
		})
	}
	g, l := newLater(t, Config{}, func(d *apigw.Definition) {
		d.Integrations[0].Type, d.Integrations[0].Responses = apigw.IntegrationHTTP, map[string]*apigw.IntegrationResponse{"r": {Key: "$default"}}
	})
	s := g.connect()
	s.send(`{"action":"a"}`)
	l.answer(&integration.Response{Status: 200, Body: []byte("mapped")}, nil)
	if got := s.got(); len(got) != 1 || got[0] != "mapped" {
		t.Errorf("HTTP without templates: %q", got)
	}
}

// TestStartRefused: a request that can't be built holds nothing.
func TestStartRefused(t *testing.T) {
	g, l := newLater(t, Config{}, func(d *apigw.Definition) {
		d.Integrations[0].ContentHandlingStrategy = "CONVERT_TO_BINARY"
	})
	s := g.connect()
	s.send(`{"action":"a"}`) // isn't base64
	if len(l.waiting) != 0 || len(g.gateway.slots) != 0 || s.c.InFlight() != 0 || g.messages[0].Outcome != MappingFailed {
		t.Errorf("%+v", g.messages)
	}
	if got := s.got(); len(got) != 1 || !strings.Contains(got[0], textInternal) {
		t.Errorf("the client got %q", got)
	}
}

// TestStartedAndGone: the client leaves before the answer.
func TestStartedAndGone(t *testing.T) {
	g, l := newLater(t, Config{}, nil)
	s := g.connect()
	s.send(`{"action":"a"}`)
	s.leave(1000, "bye")
	body := []byte("late")
	l.answer(&integration.Response{Status: 200, Body: body}, nil)
	if g.messages[0].Outcome != ClientGone || !errors.Is(g.messages[0].Err, apigw.ErrGone) || g.gateway.active.Load() != 0 || !bytes.Equal(body, make([]byte, 4)) {
		t.Errorf("%+v, %d active", g.messages[0], g.gateway.active.Load())
	}
}

// TestStartedAndMoved: another process has the client when the backend answers. Who
// brings the answer waits for nothing.
func TestStartedAndMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var next successor
		old, l := newLater(t, Config{Elsewhere: &next}, nil)
		new, _ := newLaterOf(t, 2, Config{}, nil)
		next.to.Store(new)
		s := old.connect()
		s.send(`{"action":"a"}`)
		moved := s.move(t, new)
		l.answer(&integration.Response{Status: 200, Body: []byte("hello")}, nil)
		synctest.Wait()
		if got := moved.got(); len(got) != 1 || got[0] != "hello" || moved.c.InFlight() != 0 {
			t.Errorf("the client got %q; %d in flight", got, moved.c.InFlight())
		}
		old.mu.Lock()
		defer old.mu.Unlock()
		m, x := old.messages, old.exchanges[len(old.exchanges)-1]
		if len(m) != 1 || m[0].Outcome != Done || string(x.Answer.Body) != "hello" || len(old.gateway.slots) != 0 || old.gateway.active.Load() != 0 {
			t.Errorf("told %+v; %d active", m, old.gateway.active.Load())
		}
	})
}
