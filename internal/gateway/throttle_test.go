package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/integration"
	"tidegate/internal/stage"
)

// settings returns route settings with a rate and a burst.
func settings(rate float64, burst int) apigw.RouteSettings {
	return apigw.RouteSettings{ThrottlingRateLimit: &rate, ThrottlingBurstLimit: &burst}
}

// publishThrottled publishes abc/Prod with the route a of a function "f".
func (g *rig) publishThrottled(stage apigw.RouteSettings, routes map[apigw.RouteKey]apigw.RouteSettings) {
	g.t.Helper()
	g.compile(&apigw.Definition{
		APIID: "abc", RouteSelectionExpression: "$request.body.action",
		Routes:       []*apigw.Route{{Key: "$connect", Target: "integrations/i"}, {Key: "a", Target: "integrations/i"}, {Key: "b", Target: "integrations/i"}},
		Integrations: []*apigw.Integration{{ID: "i", Type: apigw.IntegrationAWSProxy, URI: "arn:aws:lambda:us-east-1:000000000000:function:f"}},
	}, &apigw.Stage{Name: "Prod", DefaultRouteSettings: stage, RouteSettings: routes})
}

// outcomes of the messages so far.
func (g *rig) outcomes() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, m := range g.messages {
		all = append(all, string(m.Outcome))
	}
	return strings.Join(all, " ")
}

func limits(change func(*apigw.Limits)) apigw.Limits {
	l := apigw.LimitsOf(apigw.ModeAWS)
	change(&l)
	return l
}

// TestThrottles: a route's own throttle, else the stage's, then the account's; each
// is told by its own name.
func TestThrottles(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits apigw.Limits
		stage  apigw.RouteSettings
		routes map[apigw.RouteKey]apigw.RouteSettings
		send   string // actions, one after another
		want   string
	}{
		{"the route's", limits(func(*apigw.Limits) {}), apigw.RouteSettings{}, map[apigw.RouteKey]apigw.RouteSettings{"a": settings(1, 1)}, "a a b", "done throttled done"},
		{"the stage's, which $connect and the routes share", limits(func(*apigw.Limits) {}), settings(1, 3), nil, "a b a", "done done throttled"},
		{"the account's", limits(func(l *apigw.Limits) { l.AccountRate, l.AccountBurst = 1, 3 }), apigw.RouteSettings{}, nil, "a b a", "done done account-throttled"},
		{"the account's, by messages without a route", limits(func(l *apigw.Limits) { l.AccountRate, l.AccountBurst = 1, 3 }), apigw.RouteSettings{}, nil, "x x x", "no-route no-route account-throttled"},
		{"a throttled message takes nothing from the account", limits(func(l *apigw.Limits) { l.AccountRate, l.AccountBurst = 1, 3 }), apigw.RouteSettings{}, map[apigw.RouteKey]apigw.RouteSettings{"a": settings(0, 0)}, "a a b b", "throttled throttled done done"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, Config{Limits: tt.limits}, map[string]backend{"f": answer(200, "")})
				g.publishThrottled(tt.stage, tt.routes)
				s := g.connect()
				for action := range strings.FieldsSeq(tt.send) {
					s.send(`{"action":"` + action + `"}`)
					synctest.Wait()
				}
				if got := g.outcomes(); got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
				frames := s.got()
				if strings.HasSuffix(tt.want, "throttled") && !strings.HasPrefix(frames[len(frames)-1], `{"message": "Too Many Requests", "connectionId":"`+s.c.String()) {
					t.Errorf("frames %q", frames)
				}
			})
		})
	}
}

// TestHandshakeThrottles: status 429, each throttle by its name, and the backend
// hears nothing.
func TestHandshakeThrottles(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits apigw.Limits
		stage  apigw.RouteSettings
		admits int
		want   Outcome
	}{
		{"zeros on the stage", limits(func(*apigw.Limits) {}), settings(0, 0), 0, Throttled},
		{"the stage's burst", limits(func(*apigw.Limits) {}), settings(1, 2), 2, Throttled},
		{"new connections", limits(func(l *apigw.Limits) { l.ConnectionRate = 3 }), apigw.RouteSettings{}, 3, ConnectionThrottled},
		{"AWS's rate of new connections", limits(func(*apigw.Limits) {}), apigw.RouteSettings{}, 500, ConnectionThrottled},
		{"the account", limits(func(l *apigw.Limits) { l.AccountRate, l.AccountBurst = 1, 4 }), apigw.RouteSettings{}, 4, AccountThrottled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, Config{Limits: tt.limits}, map[string]backend{"f": answer(200, "")})
				g.publishThrottled(tt.stage, nil)
				for i := range tt.admits {
					if _, err := g.gateway.Connect(t.Context(), request()); err != nil {
						t.Fatalf("client %d: %v", i, err)
					}
				}
				_, err := g.gateway.Connect(t.Context(), request())
				var no *Rejection
				if !errors.As(err, &no) || no.Status != 429 || no.Text != "Too Many Requests" || no.Type != "TooManyRequestsException" || no.Outcome != tt.want {
					t.Fatalf("%+v, want 429 %s", err, tt.want)
				}
				if n := len(g.events); n != tt.admits {
					t.Errorf("the backend was called %d times, want %d", n, tt.admits)
				}
				time.Sleep(time.Second)
				if _, err := g.gateway.Connect(t.Context(), request()); (err == nil) != (tt.admits > 0) {
					t.Errorf("a second later: %v", err)
				}
			})
		})
	}
}

// TestCallsTakeFromTheAccount: calls of @connections and messages share its burst.
func TestCallsTakeFromTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, Config{Limits: limits(func(l *apigw.Limits) { l.AccountRate, l.AccountBurst = 2, 3 })}, map[string]backend{"f": answer(200, "")})
		g.publish("a=f")
		s := g.connect()
		first, second, third := g.gateway.AdmitCall(), g.gateway.AdmitCall(), g.gateway.AdmitCall()
		if !first || !second || third {
			t.Errorf("calls are admitted: %v %v %v", first, second, third)
		}
		s.send(`{"action":"a"}`)
		synctest.Wait()
		time.Sleep(500 * time.Millisecond)
		if !g.gateway.AdmitCall() || g.gateway.AdmitCall() {
			t.Error("half a second at a rate of 2 is one call")
		}
		if got := g.outcomes(); got != "account-throttled" {
			t.Error(got)
		}
	})
}

// TestMisbehavingClient: so many throttled messages in a row, within the window,
// and the client is closed; one that gets through, or time, begins anew.
func TestMisbehavingClient(t *testing.T) {
	for _, tt := range []struct {
		name   string
		most   int
		wait   time.Duration // after the messages
		mid    string        // sent then
		closed string
	}{
		{"in a row", 10, 0, "", "1008 Too Many Requests"},
		{"with one between that gets through", 10, 0, "b", ""},
		{"too slowly", 10, apigw.RefusedWindow + time.Second, "", ""},
		{"without a bound", 0, 0, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, Config{Limits: limits(func(l *apigw.Limits) { l.Refused = tt.most })}, map[string]backend{"f": answer(200, "")})
				g.publishThrottled(apigw.RouteSettings{}, map[apigw.RouteKey]apigw.RouteSettings{"a": settings(0, 0)})
				s, other := g.connect(), g.connect()
				for range 9 {
					s.send(`{"action":"a"}`)
					other.send(`{"action":"a"}`) // whose messages aren't the first one's
				}
				if s.closed != "" {
					t.Fatalf("closed too early: %s", s.closed)
				}
				time.Sleep(tt.wait)
				if tt.mid != "" {
					s.send(`{"action":"` + tt.mid + `"}`)
				}
				synctest.Wait()
				s.send(`{"action":"a"}`)
				synctest.Wait()
				if s.closed != tt.closed || other.closed != "" {
					t.Errorf("closed %q, want %q; the other %q", s.closed, tt.closed, other.closed)
				}
				if frames := s.got(); len(frames) != 10 {
					t.Errorf("%d frames; each throttled message has its own", len(frames))
				}
				if got := g.outcomes(); strings.HasSuffix(got, " "+string(Misbehaving)) != (tt.closed != "") {
					t.Error(got)
				}
				if tt.closed != "" && (len(g.disconnects) != 1 || g.disconnects[0].Close.Code != 1008) {
					t.Errorf("disconnects: %+v", g.disconnects)
				}
			})
		})
	}
}

// TestBinary: a function learns that a message is binary, and its reply that says
// isBase64Encoded goes out binary, unless that is as on AWS.
func TestBinary(t *testing.T) {
	for _, tt := range []struct {
		mode apigw.Mode
		want string
	}{
		{apigw.ModeExtended, "binary 6f6b"},
		{apigw.ModeAWS, "ok"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var got *integration.Request
			g := newRig(t, Config{Limits: apigw.LimitsOf(tt.mode)}, map[string]backend{"f": func(_ context.Context, r *integration.Request) (*integration.Response, error) {
				got = r
				return &integration.Response{Status: 200, Body: []byte("ok"), Binary: true}, nil
			}})
			g.publish("$default=>f")
			s := g.connect()
			g.gateway.Run(t.Context(), g.gateway.Plan(s.c, []byte("\x01\x02"), true))
			if !strings.HasSuffix(string(got.Payload), `"body":"AQI=","isBase64Encoded":true}`) {
				t.Errorf("the event is %s", got.Payload)
			}
			if frames := s.got(); len(frames) != 1 || frames[0] != tt.want {
				t.Errorf("mode %s: frames %q, want %q", tt.mode, frames, tt.want)
			}
			if x := g.exchanges[len(g.exchanges)-1]; !x.Binary {
				t.Error("a replay would send text")
			}
		})
	}
}

// TestEmptyReply: a backend's empty answer that says it is a message goes out in
// mode extended, and nothing does on AWS.
func TestEmptyReply(t *testing.T) {
	for _, mode := range []apigw.Mode{apigw.ModeExtended, apigw.ModeAWS} {
		g := New(Config{Limits: apigw.LimitsOf(mode)})
		for _, whole := range []bool{true, false} {
			r := g.reply(&stage.Route{TwoWay: true}, &stage.Answer{Status: 200, Whole: whole})
			if sent, want := r.frame != nil, whole && mode == apigw.ModeExtended; sent != want {
				t.Errorf("mode %s, a message %v: sent %v, want %v", mode, whole, sent, want)
			}
		}
	}
}

// benchmarkThrottle plans messages of a route with a throttle of its own, under the
// account's.
func benchmarkThrottle(b *testing.B, settings apigw.RouteSettings, want Outcome) {
	codec, err := connection.NewCodec(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	registry, err := connection.NewRegistry(codec, 1, 0)
	if err != nil {
		b.Fatal(err)
	}
	l := apigw.LimitsOf(apigw.ModeAWS)
	l.AccountRate, l.AccountBurst, l.Refused = 1e9, 1e9, 1<<30
	r := &rig{t: b}
	r.gateway = New(Config{Registry: registry, Limits: l})
	r.compile(&apigw.Definition{
		APIID: "abc", RouteSelectionExpression: "$request.body.action", Routes: []*apigw.Route{{Key: "a", Target: "integrations/i"}},
		Integrations: []*apigw.Integration{{ID: "i", Type: apigw.IntegrationMock, RequestTemplates: map[string]string{"$default": `{"statusCode":200}`}}},
	},
		&apigw.Stage{Name: "Prod", RouteSettings: map[apigw.RouteKey]apigw.RouteSettings{"a": settings}})
	a, err := r.gateway.Connect(context.Background(), request())
	if err != nil {
		b.Fatal(err)
	}
	message := []byte(`{"action":"a"}`)
	b.ReportAllocs()
	for b.Loop() {
		if p := r.gateway.Plan(a.Connection, message, false); p.refusal.outcome != want {
			b.Fatal(p.refusal)
		}
	}
}

func BenchmarkThrottleAdmits(b *testing.B) {
	benchmarkThrottle(b, settings(1e9, 1e9), "")
}

func BenchmarkThrottleRefuses(b *testing.B) { benchmarkThrottle(b, settings(0, 0), Throttled) }
