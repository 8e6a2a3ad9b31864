package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"tidegate/internal/client"
)

// serveUnderTest is a `tidegate serve`.
type serveUnderTest struct {
	*stackUnderTest
	Public, Management, Admin string // HOST:PORT each
	URLs                      []string
}

// The identities of the configurations below.
const (
	serveSecret = "0123456789abcdef0123"
	serveToken  = "0123456789abcdef01234567"

	serveHead = `
listeners: {public: "127.0.0.1:0", management: "127.0.0.1:0", admin: "127.0.0.1:0"}
data_dir: data
identities:
  - {name: backend, access_key_id: backend, secret_access_key: "{env.BACKEND_SECRET}"}
  - {name: script, bearer_token: "{env.SCRIPT_TOKEN}"}
  - {name: elsewhere, access_key_id: elsewhere, secret_access_key: "{env.BACKEND_SECRET}", apis: [other]}
  - {name: ops, access_key_id: ops, secret_access_key: "{env.BACKEND_SECRET}", admin: true}
`
)

// startServe runs `tidegate serve` with a configuration in a clean directory and
// waits until it is ready.
func startServe(t *testing.T, configuration string) *serveUnderTest {
	t.Helper()
	dir := folder(t, map[string]string{"tidegate.yaml": configuration})
	return serveIn(t, dir)
}

// serveIn runs `tidegate serve` in a directory that holds a tidegate.yaml.
func serveIn(t *testing.T, dir string) *serveUnderTest {
	t.Helper()
	s := &serveUnderTest{stackUnderTest: &stackUnderTest{t: t, dir: dir, log: &logBuffer{}, exited: make(chan struct{}),
		env: []string{"BACKEND_SECRET=" + serveSecret, "SCRIPT_TOKEN=" + serveToken}}}
	s.launch("serve")
	s.await("the server to be ready", func() bool {
		if s.ended() {
			s.stopped = true
			t.Fatalf("tidegate serve ended: %v:\n%s", s.err, s.log)
		}
		for line := range strings.Lines(s.log.String()) {
			if strings.Contains(line, `"msg":"ready"`) {
				return json.Unmarshal([]byte(line), s) == nil
			}
		}
		return false
	})
	return s
}

// call sends a request signed with one of the keys and returns status and body.
func (s *serveUnderTest) call(key, service, method, address, path, body string) (int, string) {
	s.t.Helper()
	run := client.Run{Endpoint: "http://" + address, Region: "us-east-1", AccessKeyID: key, SecretFile: filepath.Join(s.dir, "secret")}
	if err := os.WriteFile(run.SecretFile, []byte(serveSecret), 0o600); err != nil {
		s.t.Fatal(err)
	}
	c, err := client.New(run)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, answer, err := c.Do(s.t.Context(), service, method, path, nil, []byte(body))
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// backend is a real HTTP backend that keeps what it was sent.
type backend struct {
	*httptest.Server
	mu  sync.Mutex
	got []backendCall
}

type backendCall struct {
	path, body string
	header     http.Header
}

// newBackend starts one that answers what answer says.
func newBackend(t *testing.T, answer func(w http.ResponseWriter, path, body string)) *backend {
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		b.got = append(b.got, backendCall{r.URL.Path, string(body), r.Header})
		b.mu.Unlock()
		answer(w, r.URL.Path, string(body))
	}))
	t.Cleanup(b.Close)
	return b
}

// calls are those of a path so far.
func (b *backend) calls(path string) []backendCall {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []backendCall
	for _, c := range b.got {
		if c.path == path {
			out = append(out, c)
		}
	}
	return out
}

func echo(w http.ResponseWriter, path, body string) {
	io.WriteString(w, "echo of "+body)
}

// chatAPI has an API with an HTTP backend and a mock.
func chatAPI(backend string) string {
	return strings.ReplaceAll(`
apis:
  - name: chat
    route_selection_expression: $request.body.action
    stages: [{name: prod, stage_variables: {backend: BACKEND}}]
    integrations:
      hook: {integration_type: HTTP_PROXY, integration_method: POST, integration_uri: "http://${stageVariables.backend}/hook"}
    routes:
      - {route_key: $connect, target: hook}
      - {route_key: $disconnect, target: hook}
      - route_key: $default
        route_response_key: $default
        integration: {integration_type: HTTP_PROXY, integration_method: POST, integration_uri: "http://${stageVariables.backend}/say"}
      - route_key: ping
        route_response_key: $default
        integration:
          integration_type: MOCK
          template_selection_expression: \$default
          request_templates: {$default: '{"statusCode": 200}'}
          integration_responses: [{integration_response_key: $default, template_selection_expression: \$default, response_templates: {$default: pong}}]
`, "BACKEND", strings.TrimPrefix(backend, "http://"))
}

// TestServe: clients talk to an HTTP backend, which learns whose message it got
// and pushes; each listener serves what it is for; the end is told to all.
func TestServe(t *testing.T) {
	b := newBackend(t, echo)
	s := startServe(t, serveHead+chatAPI(b.URL))
	sock := s.dialURL(s.URLs[0], client.DialOptions{})
	sock.say(`{"action":"ping"}`)
	sock.want("pong")
	sock.say("hello")
	sock.want("echo of hello")
	said := b.calls("/say")
	if len(said) != 1 || said[0].header.Get("Tidegate-Event") != "MESSAGE" || said[0].header.Get("Tidegate-Route-Key") != "$default" {
		t.Fatalf("the backend got %+v", said)
	}
	id := said[0].header.Get("Tidegate-Connection-Id")
	path := "/prod/@connections/" + id
	for _, address := range []string{s.Public, s.Management} {
		if status, body := s.call("backend", "execute-api", "POST", address, path, "pushed by "+address); status != 200 {
			t.Errorf("a signed push to %s: %d %s", address, status, body)
		}
		sock.want("pushed by " + address)
	}
	if status, body := s.call("elsewhere", "execute-api", "POST", s.Management, path, "x"); status != 403 || !strings.Contains(body, "user/elsewhere is not authorized to perform: execute-api:ManageConnections") {
		t.Errorf("a push by who may only call another API: %d %s", status, body)
	}
	if status, body := s.call("stranger", "execute-api", "POST", s.Management, path, "x"); status != 403 {
		t.Errorf("a push with an unknown key: %d %s", status, body)
	}
	for token, want := range map[string]int{serveToken: 200, serveToken + "x": 403, "": 403} {
		if status, body := post(t, "http://"+s.Management+path, token, "by token"); status != want {
			t.Errorf("a push with the token %q: %d %s, want %d", token, status, body, want)
		}
	}
	sock.want("by token")
	s.cmd.Process.Signal(syscall.SIGTERM)
	if code := sock.closed(); code != 1001 {
		t.Errorf("the client was closed with %d, want 1001", code)
	}
	s.await("tidegate serve to end", s.ended)
	s.stopped = true
	if s.err != nil {
		t.Errorf("SIGTERM: %v", s.err)
	}
	hooks := b.calls("/hook")
	if len(hooks) != 2 || hooks[1].header.Get("Tidegate-Event") != "DISCONNECT" || hooks[1].header.Get("Tidegate-Connection-Id") != id {
		t.Errorf("the backend's hooks: %+v", hooks)
	}
	if log := s.log.String(); strings.Contains(log, serveSecret) || strings.Contains(log, serveToken) {
		t.Error("the log holds a secret")
	}
}

// post sends a body with a bearer token, or nothing that says who it is.
func post(t *testing.T, url, token, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}
