package clock

import (
	"testing"
	"testing/synctest"
	"time"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestManualFiresWhatIsDue(t *testing.T) {
	m := NewManual(start)
	soon, late, now := m.NewTimer(time.Minute), m.NewTimer(time.Hour), m.NewTimer(0)
	if got := <-now.C(); !got.Equal(start) {
		t.Errorf("a timer of nothing fired at %v", got)
	}
	if m.Waiting() != 2 {
		t.Errorf("%d timers wait, want 2", m.Waiting())
	}
	m.Advance(59 * time.Second)
	select {
	case <-soon.C():
		t.Error("a timer fired a second early")
	default:
	}
	m.Advance(time.Second)
	if got := <-soon.C(); !got.Equal(start.Add(time.Minute)) || !m.Now().Equal(got) {
		t.Errorf("fired at %v, and it is %v", got, m.Now())
	}
	if soon.Stop() {
		t.Error("a timer that fired says that it was stopped")
	}
	if !late.Stop() || late.Stop() {
		t.Error("a waiting timer is stopped once")
	}
	m.Advance(2 * time.Hour)
	select {
	case <-late.C():
		t.Error("a stopped timer fired")
	default:
	}
}

func TestSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := System.Now()
		timer := System.NewTimer(time.Hour)
		if at := <-timer.C(); at.Sub(begin) != time.Hour {
			t.Errorf("fired after %v, want an hour", at.Sub(begin))
		}
		if timer.Stop() {
			t.Error("a timer that fired says that it was stopped")
		}
	})
}
