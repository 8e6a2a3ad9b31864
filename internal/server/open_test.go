package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/internal/observe"
	"tidegate/internal/stage"
	"tidegate/sigv4"
)

// open opens a server in clean folders, on a free port of 127.0.0.1.
func open(t *testing.T, change func(*Options)) *Server {
	t.Helper()
	dir := t.TempDir()
	o := Options{
		DataDir: filepath.Join(dir, "data"), StateDir: filepath.Join(dir, "state"), CacheDir: filepath.Join(dir, "cache"),
		Hosts: []string{"127.0.0.1"}, Ports: []int{0}, Region: "us-east-1", Account: "000000000000",
		IAM: awshttp.Enforce, Loopback: true, Observer: observe.New(), Display: func(name string) string { return name },
	}
	if change != nil {
		change(&o)
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// getAPIs is a signed GetApis, and what it answers.
func getAPIs(t *testing.T, s *Server, key sigv4.Credentials) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Endpoint()+"/v2/apis", nil)
	if err != nil {
		t.Fatal(err)
	}
	sigv4.Sign(r, nil, key, "apigateway", "us-east-1", time.Now())
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// TestWellKnownKeysAreForLoopback: where others can reach us, the root's key is
// a random one in a file.
func TestWellKnownKeysAreForLoopback(t *testing.T) {
	test, known := sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, sigv4.Credentials{AccessKeyID: "tidegate", SecretAccessKey: "tidegate"}
	s := open(t, nil)
	for _, key := range []sigv4.Credentials{test, known, s.RootKey()} {
		if status := getAPIs(t, s, key); status != 200 {
			t.Errorf("loopback, key %s: %d", key.AccessKeyID, status)
		}
	}
	if file := s.RootKeyFile(); file != "" {
		t.Errorf("loopback: the root's key is in %s", file)
	}

	s = open(t, func(o *Options) { o.Loopback = false })
	for _, key := range []sigv4.Credentials{test, known} {
		if status := getAPIs(t, s, key); status != 403 {
			t.Errorf("not loopback, key %s: %d, want 403", key.AccessKeyID, status)
		}
	}
	if status := getAPIs(t, s, s.RootKey()); status != 200 {
		t.Errorf("not loopback, the root's key: %d", status)
	}
	if b, err := os.ReadFile(s.RootKeyFile()); err != nil || strings.TrimSpace(string(b)) != s.RootKey().SecretAccessKey {
		t.Errorf("the root's key file holds %q, %v", b, err)
	}
}

// TestIDsAcrossRestarts: an id of yesterday is understood, and is nobody's today.
func TestIDsAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	old := map[string]uint32{} // with the incarnation that gave it
	for run := range 3 {
		store, err := openData(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		node, err := store.Bucket(t.Context(), "node")
		if err != nil {
			t.Fatal(err)
		}
		r, err := openRegistry(t.Context(), node, 10)
		if err != nil {
			t.Fatal(err)
		}
		c, err := r.Reserve(connection.Info{APIID: "abc", Stage: "Prod"})
		if err != nil {
			t.Fatal(err)
		}
		for text, incarnation := range old {
			if c, found, err := r.LookupText(text); found || err != nil {
				t.Errorf("run %d: the id %s of an earlier one means %v, %v", run, text, c, err)
			}
			if id, err := r.Codec().ParseID(text); err != nil || id.Home() != incarnation {
				t.Errorf("run %d: the id %s comes from incarnation %d, %v, want %d", run, text, id.Home(), err, incarnation)
			}
		}
		if _, found, err := r.LookupText(c.String()); !found || err != nil {
			t.Errorf("run %d: its own id: found %v, %v", run, found, err)
		}
		old[c.String()] = r.Incarnation()
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// serveStage publishes an API's stage without routes.
func serveStage(t *testing.T, s *Server, api, name string) {
	t.Helper()
	st, err := stage.Compile(&apigw.Definition{APIID: api, RouteSelectionExpression: "$request.body.action"}, &apigw.Stage{Name: apigw.StageName(name)}, &binder{})
	if err != nil {
		t.Fatal(err)
	}
	s.gateway.Publish(st)
}

func TestStageURL(t *testing.T) {
	s := open(t, nil)
	serveStage(t, s, "aaaaaaaaaa", "dev")
	host := strings.TrimPrefix(s.Endpoint(), "http://")
	if got := s.StageURL("aaaaaaaaaa", "dev"); got != "ws://"+host+"/dev" {
		t.Errorf("one API: %s", got)
	}
	serveStage(t, s, "bbbbbbbbbb", "dev")
	if got := s.StageURL("aaaaaaaaaa", "dev"); got != "ws://"+host+"/aaaaaaaaaa/dev" {
		t.Errorf("two APIs: %s", got)
	}
}

// TestConnectionsAreOpen: who is still in its handshake is not told of.
func TestConnectionsAreOpen(t *testing.T) {
	s := open(t, nil)
	serveStage(t, s, "aaaaaaaaaa", "dev")
	a, err := s.gateway.Connect(t.Context(), &event.ConnectRequest{APIID: "aaaaaaaaaa", Stage: "dev", DomainName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	if all := s.connections(); len(all) != 0 {
		t.Errorf("during the handshake: %v", all)
	}
	s.gateway.Open(a.Connection, deaf{})
	if all := s.connections(); len(all) != 1 || all[0].ID != a.Connection.String() {
		t.Errorf("after it: %v", all)
	}
	s.gateway.Disconnect(context.Background(), a.Connection, event.CloseReason{Code: 1006})
}

// deaf is a socket that takes everything.
type deaf struct{}

func (deaf) Send([]byte, bool) error { return nil }
func (deaf) Close(int, string) error { return nil }
func (deaf) LastActive() time.Time   { return time.Time{} }
func (deaf) PauseReads()             {}
func (deaf) ResumeReads()            {}

// TestEveryAddress: who listens on all addresses is told so by names that lead
// here, and serves requests to each.
func TestEveryAddress(t *testing.T) {
	s := open(t, func(o *Options) { o.Hosts, o.Loopback = []string{"0.0.0.0"}, false })
	if !strings.HasPrefix(s.Endpoint(), "http://localhost:") || !strings.HasPrefix(s.address(), "127.0.0.1:") {
		t.Errorf("the endpoint is %s, the address %s", s.Endpoint(), s.address())
	}
	all, _, err := s.reachable()
	if err != nil {
		t.Fatal(err)
	}
	loopback := false
	for _, a := range all {
		loopback = loopback || a.IsLoopback()
		if a.IsUnspecified() {
			t.Errorf("%s is nobody's address", a)
		}
	}
	if !loopback {
		t.Errorf("%v lack loopback", all)
	}
}

func TestFireUnknownRule(t *testing.T) {
	var e *awshttp.Error
	if err := open(t, nil).fire(t.Context(), "nope"); !errors.As(err, &e) || e.Status != 404 || !strings.Contains(e.Message, "nope") {
		t.Errorf("%v, want a 404 that names the rule", err)
	}
}

// TestRefusalsAreTold, those of a request to the server as a whole too.
func TestRefusalsAreTold(t *testing.T) {
	s := open(t, nil)
	notices, stop := s.options.Observer.Subscribe()
	defer stop()
	for _, line := range []string{"GET /v2/apis HTTP/1.1", "OPTIONS * HTTP/1.1"} {
		c, err := net.Dial("tcp", s.address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(c, "%s\r\nHost: evil.example\r\n\r\n", line)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s: %+v, %v, want 421", line, resp, err)
			continue
		}
		for told := false; !told; {
			select {
			case n := <-notices:
				told = n.Kind == observe.KindRefused && strings.Contains(n.Text, "evil.example")
			case <-time.After(time.Minute):
				t.Fatalf("%s: nobody is told", line)
			}
		}
	}
}
