package gateway

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tidegate/internal/apigw"
)

// TestBreached holds when a client that broke the protocol is closed: once the
// messages that it has with backends are answered, in mode aws without waiting.
func TestBreached(t *testing.T) {
	for _, tt := range []struct {
		name     string
		mode     apigw.Mode
		inFlight int
		wait     time.Duration
		closed   string // once all is answered
	}{
		{"two in flight", apigw.ModeExtended, 2, 3*time.Second + 29*time.Second, "0 "},
		{"nothing in flight", apigw.ModeExtended, 0, 0, ""},
		{"as on AWS", apigw.ModeAWS, 2, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				g := newRig(t, Config{Limits: apigw.LimitsOf(tt.mode), IntegrationWait: 3 * time.Second}, map[string]backend{"f": gate(release)})
				g.publish("$default=>f")
				s := g.connect()
				var want []string
				for range tt.inFlight {
					s.send("{}")
					want = append(want, "done")
				}
				synctest.Wait()
				if got := g.gateway.Breached(s.c); got != tt.wait {
					t.Errorf("its closing waits %v, want %v", got, tt.wait)
				}
				for range tt.inFlight {
					if s.closedBy() != "" {
						t.Errorf("closed with %q before the last answer", s.closedBy())
					}
					release <- struct{}{}
					synctest.Wait()
				}
				if got := s.got(); !slices.Equal(got, want) || s.closedBy() != tt.closed {
					t.Errorf("it got %q and was closed with %q, want %q and %q", got, s.closedBy(), want, tt.closed)
				}
			})
		})
	}
}

// TestBreachedAndHandedOff holds that who has the client when its last message is
// answered closes it.
func TestBreachedAndHandedOff(t *testing.T) {
	for _, moves := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			functions := map[string]backend{"f": gate(release)}
			var next successor
			old, new := newRig(t, Config{Elsewhere: &next}, functions), newRigOf(t, 2, Config{}, functions)
			for _, g := range []*rig{old, new} {
				g.publish("$default=>f")
			}
			next.to.Store(new)
			s := old.connect()
			s.send("1")
			s.send("2")
			synctest.Wait()
			old.gateway.Breached(s.c)
			at := s
			if moves {
				at = s.move(t, new)
				if new.gateway.Breached(at.c) == 0 {
					t.Error("nothing waits in the second process")
				}
			} else {
				if _, err := s.c.Freeze(); err != nil {
					t.Fatal(err)
				}
			}
			release <- struct{}{}
			if release <- struct{}{}; !moves {
				time.Sleep(time.Second)
				if s.closedBy() != "" {
					t.Errorf("closed with %q on its way", s.closedBy())
				}
				s.c.Unfreeze()
			}
			time.Sleep(time.Second) // who has it is asked again and again
			if got := at.got(); !slices.Equal(got, []string{"done", "done"}) || at.closedBy() != "0 " {
				t.Errorf("moved %v: it got %q and was closed with %q", moves, got, at.closedBy())
			}
			if moves && (s.closedBy() != "" || len(s.got()) > 0) {
				t.Errorf("the old process sent %q and closed with %q", s.got(), s.closedBy())
			}
		})
	}
}
