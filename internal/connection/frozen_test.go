package connection

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
)

// newProcess returns the registry of another process of the same data dir.
func newProcess(t testing.TB, incarnation uint32) *Registry {
	t.Helper()
	r, err := NewRegistry(testCodec(t), incarnation, 5000)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func testGrant() event.Grant {
	return event.Grant{
		Authorizer: event.NewAuthorizerContext("alice", "key-7", 12*time.Millisecond, map[string]string{"tenant": "7", "empty": ""}),
		Caller:     &event.Caller{AccountID: "000000000000", AccessKeyID: "AKIA", ID: "AROA:x", ARN: "arn:aws:iam::000000000000:user/x"},
		Key:        &event.APIKey{ID: "k1", Value: "secret"},
	}
}

func TestFreezeThaw(t *testing.T) {
	old := newProcess(t, 5)
	for range 2000 { // beyond a chunk
		reserve(t, old)
	}
	c := reserve(t, old)
	c.Grant(testGrant())
	c.Open(&fakeSocket{})
	for range 3 {
		c.Begin(2)
	}
	c.Hold(2)
	c.Refused(time.UnixMilli(1000), time.Second)
	b, err := c.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Freeze(); err == nil {
		t.Error("frozen twice")
	}
	if id, err := FrozenID(b); err != nil || id != c.ID() {
		t.Errorf("FrozenID = %v, %v", id, err)
	}
	s := &fakeSocket{active: time.UnixMilli(99)}
	r := newProcess(t, 6)
	got, err := r.Thaw(b, s, 2)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != c.String() || got.APIID() != c.APIID() || got.Stage() != c.Stage() || got.DomainName() != c.DomainName() ||
		!got.ConnectedAt().Equal(c.ConnectedAt()) || got.State() != Open || got.InFlight() != 3 || !got.LastActive().Equal(s.active) {
		t.Errorf("another connection arrived: %+v", got)
	}
	if diff := cmp.Diff(c.Identity(), got.Identity()); diff != "" {
		t.Error(diff)
	}
	wantContext, _ := c.Authorizer().MarshalJSON()
	gotContext, _ := got.Authorizer().MarshalJSON()
	if string(wantContext) != string(gotContext) {
		t.Errorf("the authorizer said %s, and %s arrived", wantContext, gotContext)
	}
	if n := got.Refused(time.UnixMilli(1500), time.Second); n != 2 {
		t.Errorf("%d messages refused in a row, want 2", n)
	}
	if found, ok := r.Lookup(c.ID()); !ok || found != got || r.Len() != 1 {
		t.Error("it is not found by its id")
	}
	if _, err := r.Thaw(b, s, 2); !errors.Is(err, ErrFrozen) {
		t.Errorf("taken twice: %v", err)
	}
	// The bound goes on where it was: three in flight and a hold.
	got.Unhold(2)
	got.End(2)
	got.End(2)
	got.End(2)
	if want := []string{"pause", "resume"}; !slices.Equal(s.calls, want) {
		t.Errorf("the socket saw %q, want %q", s.calls, want)
	}
	if !slices.Equal(slices.Collect(r.All()), []*Connection{got}) {
		t.Error("All doesn't show it")
	}
	if !r.Release(got) || r.Len() != 0 {
		t.Error("it can't be released")
	}
	if fresh := reserve(t, r); fresh.ID().Home() != 6 {
		t.Errorf("a new client got a slot of incarnation %d", fresh.ID().Home())
	}
}

// TestThawResumes holds that a socket which arrives paused is read from when the
// connection is within its bound.
func TestThawResumes(t *testing.T) {
	c := reserve(t, newProcess(t, 5))
	c.Open(&fakeSocket{})
	b, err := c.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeSocket{}
	if _, err := newProcess(t, 6).Thaw(b, s, 2); err != nil || !slices.Equal(s.calls, []string{"resume"}) {
		t.Errorf("the socket saw %q, %v", s.calls, err)
	}
}

func TestFrozenCountsNothing(t *testing.T) {
	r := newProcess(t, 5)
	c := reserve(t, r)
	c.Open(&fakeSocket{})
	c.Begin(2)
	if _, err := c.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := c.End(2); !errors.Is(err, ErrMoved) || c.InFlight() != 1 {
		t.Errorf("End of a frozen connection: %v, %d in flight", err, c.InFlight())
	}
	c.Unfreeze()
	if err := c.End(2); err != nil || c.InFlight() != 0 {
		t.Errorf("End of one that stayed: %v, %d in flight", err, c.InFlight())
	}
	if _, err := c.Freeze(); err != nil {
		t.Errorf("frozen again: %v", err)
	}
	if !r.HandOff(c) || r.HandOff(c) || r.Release(c) || c.State() != Moved || r.Len() != 0 {
		t.Errorf("handed off: state %v, %d left", c.State(), r.Len())
	}
	if err := c.Send(nil, false); !errors.Is(err, ErrMoved) {
		t.Errorf("Send: %v", err)
	}
	if err := c.Close(1000, ""); !errors.Is(err, ErrMoved) {
		t.Errorf("Close: %v", err)
	}
}

func TestReach(t *testing.T) {
	r := newProcess(t, 5)
	c := reserve(t, r)
	c.Open(&fakeSocket{})
	there := func() error { return errors.New("there") }
	if err := c.Reach(func() error { return nil }, there); err != nil {
		t.Error(err)
	}
	asked := 0
	undone := func() error { // the batch comes back
		if asked++; asked < 3 {
			return ErrMoved
		}
		return apigw.ErrQueueFull
	}
	if err := c.Reach(undone, there); !errors.Is(err, apigw.ErrQueueFull) {
		t.Error(err)
	}
	gone := func() error { r.HandOff(c); return ErrMoved }
	if err := c.Reach(gone, there); err == nil || err.Error() != "there" {
		t.Error(err)
	}
}

func TestThawRefuses(t *testing.T) {
	old := newProcess(t, 5)
	c := reserve(t, old)
	if _, err := c.Freeze(); err == nil {
		t.Error("a connecting client was frozen")
	}
	c.Open(&fakeSocket{})
	b, err := c.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	r := newProcess(t, 6)
	for name, bad := range map[string][]byte{
		"empty": {}, "cut": b[:len(b)-1], "longer": append(slices.Clone(b), 0), "version": append([]byte{FrozenVersion + 1}, b[1:]...),
		"state": append([]byte{FrozenVersion, byte(Closed)}, b[2:]...),
	} {
		if _, err := r.Thaw(bad, &fakeSocket{}, 1); !errors.Is(err, ErrFrozen) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := old.Thaw(b, &fakeSocket{}, 1); !errors.Is(err, ErrFrozen) {
		t.Errorf("a process took its own incarnation: %v", err)
	}
	small, err := NewRegistry(testCodec(t), 6, 1)
	if err != nil {
		t.Fatal(err)
	}
	second := reserve(t, old)
	second.Open(&fakeSocket{})
	if b, err = second.Freeze(); err != nil {
		t.Fatal(err)
	}
	if _, err := small.Thaw(b, &fakeSocket{}, 1); !errors.Is(err, ErrFull) || small.Len() != 0 {
		t.Errorf("a slot beyond the bound: %v, %d taken", err, small.Len())
	}
}

func FuzzThaw(f *testing.F) {
	r := newProcess(f, 5)
	for _, g := range []event.Grant{{}, testGrant()} {
		c := reserve(f, r)
		c.Grant(g)
		c.Open(&fakeSocket{})
		b, err := c.Freeze()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newProcess(t, 6)
		c, err := r.Thaw(b, &fakeSocket{}, 16)
		if err != nil {
			if r.Len() != 0 {
				t.Fatal("something was taken")
			}
			return
		}
		again, err := c.Freeze()
		if err != nil {
			t.Fatalf("what was thawed can't be frozen: %v", err)
		}
		if _, err := newProcess(t, 7).Thaw(again, &fakeSocket{}, 16); err != nil && c.ID().Home() != 7 {
			t.Fatalf("what was frozen again can't be thawed: %v", err)
		}
	})
}
