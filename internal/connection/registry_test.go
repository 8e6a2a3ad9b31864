package connection

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
)

// A fakeSocket records what is asked of it.
type fakeSocket struct {
	mu     sync.Mutex
	calls  []string
	active time.Time
	err    error
}

func (s *fakeSocket) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

func (s *fakeSocket) Send(p []byte, binary bool) error {
	s.note("send %s %v", p, binary)
	return s.err
}
func (s *fakeSocket) Close(code int, reason string) error {
	s.note("close %d %s", code, reason)
	return s.err
}
func (s *fakeSocket) LastActive() time.Time { return s.active }
func (s *fakeSocket) PauseReads()           { s.note("pause") }
func (s *fakeSocket) ResumeReads()          { s.note("resume") }

func testRegistry(t testing.TB, bound int) *Registry {
	t.Helper()
	r, err := NewRegistry(testCodec(t), 5, bound)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var testInfo = Info{
	APIID: "abcdefghij", Stage: "Prod", DomainName: "localhost:8420",
	Identity:    event.Identity{SourceIP: "192.0.2.7", UserAgent: "agent/1"},
	ConnectedAt: time.Date(2026, 5, 6, 7, 8, 9, 123456789, time.UTC),
}

func reserve(t testing.TB, r *Registry) *Connection {
	t.Helper()
	c, err := r.Reserve(testInfo)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewRegistryBounds(t *testing.T) {
	for _, n := range []uint32{0, MaxIncarnation + 1} {
		if _, err := NewRegistry(testCodec(t), n, 0); err == nil {
			t.Errorf("incarnation %d was accepted", n)
		}
	}
	if _, err := NewRegistry(testCodec(t), 1, -1); err == nil {
		t.Error("a bound of -1 was accepted")
	}
}

func TestConnectionLife(t *testing.T) {
	r := testRegistry(t, 0)
	c := reserve(t, r)
	if c.APIID() != "abcdefghij" || c.Stage() != "Prod" || c.DomainName() != "localhost:8420" || c.Identity() != testInfo.Identity {
		t.Errorf("the connection forgot who it is: %+v", c)
	}
	if got := c.ConnectedAt().UnixMilli(); got != testInfo.ConnectedAt.UnixMilli() {
		t.Errorf("connected at %d", got)
	}
	if got, ok, err := r.LookupText(c.String()); got != c || !ok || err != nil {
		t.Errorf("LookupText = %v, %v, %v", got, ok, err)
	}
	if err := c.Send([]byte("early"), false); !errors.Is(err, apigw.ErrGone) || c.State() != Connecting {
		t.Errorf("a push during $connect: %v in state %v", err, c.State())
	}
	if c.Close(1000, "") == nil {
		t.Error("a connection that isn't open was closed")
	}
	s := &fakeSocket{active: testInfo.ConnectedAt.Add(time.Hour)}
	if !c.Open(s) || c.State() != Open {
		t.Fatalf("Open failed in state %v", c.State())
	}
	if c.Open(s) {
		t.Error("opened twice")
	}
	if err := c.Send([]byte("hi"), true); err != nil {
		t.Error(err)
	}
	if !c.LastActive().Equal(s.active) {
		t.Errorf("last active %v", c.LastActive())
	}
	if c.Close(1000, "bye") != nil || !errors.Is(c.Close(1001, "again"), apigw.ErrGone) || c.State() != Closing {
		t.Error("the first Close counts, and only the first")
	}
	if err := c.Send([]byte("late"), false); !errors.Is(err, apigw.ErrGone) {
		t.Errorf("a push after the close: %v", err)
	}
	if !r.Release(c) || r.Release(c) || c.State() != Closed {
		t.Error("Release works once")
	}
	if _, ok := r.Lookup(c.ID()); ok || r.Len() != 0 {
		t.Error("a released connection is still found")
	}
	if want := []string{"send hi true", "close 1000 bye"}; !slices.Equal(s.calls, want) {
		t.Errorf("the socket saw %q, want %q", s.calls, want)
	}
}

func TestSlotIsReusedUnderAnotherID(t *testing.T) {
	r := testRegistry(t, 2)
	a, b := reserve(t, r), reserve(t, r)
	if _, err := r.Reserve(testInfo); !errors.Is(err, ErrFull) {
		t.Fatalf("a third of two: %v", err)
	}
	r.Release(a)
	again := reserve(t, r)
	if again.ID().slot != a.ID().slot || again.String() == a.String() {
		t.Errorf("slot %d after %d, ids %s and %s", again.ID().slot, a.ID().slot, again, a)
	}
	if _, ok := r.Lookup(a.ID()); ok {
		t.Error("the old id finds the slot's new connection")
	}
	if got, ok := r.Lookup(b.ID()); !ok || got != b {
		t.Error("the neighbour was lost")
	}
}

func TestLookupOfStrangers(t *testing.T) {
	r := testRegistry(t, 0)
	reserve(t, r)
	for _, id := range []ID{{}, {4, 0, 1}, {5, 0, 0}, {5, 0, 2}, {5, 1, 1}, {5, 1 << 31, 1}, {5, 1<<32 - 1, 1<<32 - 1}} {
		if c, ok := r.Lookup(id); ok {
			t.Errorf("%+v found %v", id, c)
		}
	}
	if _, _, err := r.LookupText("nonsense"); !errors.Is(err, ErrMalformedID) {
		t.Error(err)
	}
}

func TestReadsPauseAtTheBound(t *testing.T) {
	r := testRegistry(t, 0)
	c := reserve(t, r)
	s := &fakeSocket{}
	c.Open(s)
	c.Begin(2)
	c.Begin(2) // pauses
	c.Begin(2) // one that was read already
	c.End(2)
	c.End(2) // resumes
	c.End(2)
	c.Begin(2)
	c.Begin(2) // pauses again
	c.Hold(2)
	c.End(2) // still held
	c.Unhold(2)
	c.Hold(2)
	c.Unhold(2)
	c.Begin(2)
	if want := []string{"pause", "resume", "pause", "resume", "pause", "resume", "pause"}; !slices.Equal(s.calls, want) {
		t.Errorf("the socket saw %q, want %q", s.calls, want)
	}
	if c.InFlight() != 2 {
		t.Errorf("%d in flight", c.InFlight())
	}
}

func TestAll(t *testing.T) {
	r := testRegistry(t, 0)
	var want []*Connection
	for i := range 3000 {
		c := reserve(t, r)
		if i%3 == 0 {
			defer r.Release(c)
		}
		want = append(want, c)
	}
	for _, c := range want[1000:2000] {
		r.Release(c)
	}
	want = slices.Delete(want, 1000, 2000)
	if got := slices.Collect(r.All()); !slices.Equal(got, want) || r.Len() != len(want) {
		t.Errorf("All gave %d connections, Len says %d, want %d", len(got), r.Len(), len(want))
	}
	for range r.All() {
		break
	}
}

func TestRegistryConcurrent(t *testing.T) {
	r := testRegistry(t, 0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				c, err := r.Reserve(testInfo)
				if err != nil {
					t.Error(err)
					return
				}
				if got, ok := r.Lookup(c.ID()); !ok || got != c {
					t.Errorf("%v is not found", c)
				}
				c.Open(&fakeSocket{})
				c.Send(nil, false)
				r.Release(c)
				if _, ok := r.Lookup(c.ID()); ok {
					t.Errorf("%v is found after its release", c)
				}
			}
		})
	}
	for range 50 {
		for c := range r.All() {
			c.Send(nil, false)
		}
	}
	wg.Wait()
	if r.Len() != 0 {
		t.Errorf("%d connections are left", r.Len())
	}
}

// TestConnectionSize guards what every client costs; see docs/performance.md.
func TestConnectionSize(t *testing.T) {
	size := unsafe.Sizeof(Connection{})
	t.Logf("a connection's struct: %d bytes; with its id %d, and its place in the registry %d", size, IDLen, unsafe.Sizeof(chunk{})/chunkSize)
	if size > 128 { // the next size that the allocator has is 144
		t.Errorf("%d bytes a connection, want 128 at most", size)
	}
}

func BenchmarkReserveRelease(b *testing.B) {
	r := testRegistry(b, 0)
	b.ReportAllocs()
	for b.Loop() {
		c, err := r.Reserve(testInfo)
		if err != nil {
			b.Fatal(err)
		}
		r.Release(c)
	}
}

func BenchmarkLookup(b *testing.B) {
	r := testRegistry(b, 0)
	ids := make([]ID, 1<<16)
	for i := range ids {
		ids[i] = reserve(b, r).ID()
	}
	b.ReportAllocs()
	for i := range b.N {
		if _, ok := r.Lookup(ids[i%len(ids)]); !ok {
			b.Fatal("lost")
		}
	}
}

// TestNoIDLooksLikeAnOption holds that ids can be arguments of command lines:
// aws refuses --connection-id -x.
func TestNoIDLooksLikeAnOption(t *testing.T) {
	r, err := NewRegistry(testCodec(t), 5, 5000)
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		c, err := r.Reserve(Info{})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok, err := r.LookupText(c.String()); c.String()[0] == '-' || err != nil || !ok || got != c {
			t.Fatalf("id %s: %v, %v", c, ok, err)
		}
	}
}
