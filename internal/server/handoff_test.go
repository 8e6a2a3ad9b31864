package server

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// TestChanges holds that calls which change something are refused with 503 while
// the stores are another process's, behind those that are under way.
func TestChanges(t *testing.T) {
	var c changes
	entered, leave := make(chan struct{}), make(chan struct{})
	h := c.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-leave
		}
	}), changing)
	do := func(method, path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
			t.Error("it doesn't say when to come again")
		}
		return w.Code
	}
	slow := make(chan int)
	go func() { slow <- do(http.MethodPost, "/slow") }()
	<-entered
	stopped := make(chan error)
	go func() { stopped <- c.stop() }()
	select {
	case <-stopped:
		t.Error("the stores are closed under a call")
	case <-time.After(20 * time.Millisecond):
	}
	close(leave)
	if got := <-slow; got != http.StatusOK {
		t.Errorf("the call under way was answered %d", got)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if got := do(http.MethodPut, "/"); got != http.StatusServiceUnavailable {
		t.Errorf("a change was answered %d", got)
	}
	if got := do(http.MethodGet, "/"); got != http.StatusOK {
		t.Errorf("what changes nothing was answered %d", got)
	}
	c.resume()
	if got := do(http.MethodPut, "/"); got != http.StatusOK {
		t.Errorf("afterwards a change was answered %d", got)
	}
}

// TestInherit gives each listener what the old process had under its name, also
// where two have the same address.
func TestInherit(t *testing.T) {
	all := []Listener{{Role: RolePublic, Address: ":0"}, {Role: RolePublic, Address: ":0"}, {Role: RoleAdmin, Address: ":0"}, {Role: RoleAdmin, Address: ":1"}}
	if got, want := names(all), []string{"public :0 0", "public :0 1", "admin :0 0", "admin :1 0"}; !slices.Equal(got, want) {
		t.Fatalf("names %q, want %q", got, want)
	}
	theirs := map[string]net.Listener{"public :0 1": newMemoryListener(), "admin :1 0": newMemoryListener()}
	Inherit(all, func(name string) net.Listener { return theirs[name] })
	for i, want := range []net.Listener{nil, theirs["public :0 1"], nil, theirs["admin :1 0"]} {
		if all[i].Open != want {
			t.Errorf("listener %d got %v", i, all[i].Open)
		}
	}
}
