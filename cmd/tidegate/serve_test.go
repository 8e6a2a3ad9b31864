package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tidegate/internal/client"
	"tidegate/sigv4"
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
	s.ready()
	return s
}

// ready waits until the program says where it listens.
func (s *serveUnderTest) ready() {
	s.t.Helper()
	s.await("the server to be ready", func() bool {
		if s.ended() {
			s.stopped = true
			s.t.Fatalf("tidegate serve ended: %v:\n%s", s.err, s.log)
		}
		for line := range strings.Lines(s.log.String()) {
			if strings.Contains(line, `"msg":"ready"`) {
				return json.Unmarshal([]byte(line), s) == nil
			}
		}
		return false
	})
}

// call sends a request signed with one of the keys and returns status and body.
func (s *serveUnderTest) call(key, service, method, address, path, body string) (int, string) {
	s.t.Helper()
	return callSigned(s.t, key, service, method, address, path, body)
}

// callSigned is serveUnderTest.call, of whatever has that key.
func callSigned(t *testing.T, key, service, method, address, path, body string) (int, string) {
	t.Helper()
	run := client.Run{Endpoint: "http://" + address, Region: "us-east-1", AccessKeyID: key, SecretFile: filepath.Join(t.TempDir(), "secret")}
	if err := os.WriteFile(run.SecretFile, []byte(serveSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(run)
	if err != nil {
		t.Fatal(err)
	}
	resp, answer, err := c.Do(t.Context(), service, method, path, nil, []byte(body))
	if err != nil {
		t.Fatal(err)
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
	t.Parallel()
	b := newBackend(t, echo)
	s := startServe(t, serveHead+"access_log: true\n"+chatAPI(b.URL))
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
	log := s.log.String()
	if strings.Contains(log, serveSecret) || strings.Contains(log, serveToken) {
		t.Error("the log holds a secret")
	}
	for _, kind := range []string{"connect", "message", "push", "disconnect"} {
		if !strings.Contains(log, `"kind":"`+kind+`"`) {
			t.Errorf("the access log has no line of kind %s:\n%s", kind, log)
		}
	}
	for _, said := range []string{"hello", "pong", "pushed by", "by token"} {
		if strings.Contains(log, said) {
			t.Errorf("the log repeats what was said, %q:\n%s", said, log)
		}
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

// configure writes the configuration anew and has it read; it waits for the line
// that says what came of it.
func (s *serveUnderTest) configure(configuration, want string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "tidegate.yaml"), []byte(configuration), 0o600); err != nil {
		s.t.Fatal(err)
	}
	before := len(s.log.String())
	s.cmd.Process.Signal(syscall.SIGHUP)
	s.await("the reload: "+want, func() bool { return strings.Contains(s.log.String()[before:], want) })
}

// TestServeReload: SIGHUP serves a new definition to clients who are connected, and
// lets in whom the file names now; a bad file changes nothing, and the error names
// its line.
func TestServeReload(t *testing.T) {
	t.Parallel()
	b := newBackend(t, echo)
	first := serveHead + chatAPI(b.URL)
	s := startServe(t, first)
	sock := s.dialURL(s.URLs[0], client.DialOptions{})
	sock.say(`{"action":"ping"}`)
	sock.want("pong")

	s.configure(strings.Replace(first, "response_templates: {$default: pong}", "response_templates: {$default: pang}", 1), "the configuration was reloaded")
	sock.say(`{"action":"ping"}`)
	sock.want("pang")

	s.configure(first+"    routs: []\n", `tidegate.yaml:29:5: apis[0]: there is no key \"routs\"; did you mean routes?`)
	s.configure(strings.Replace(first, "integration_type: MOCK", "integration_type: MUCK", 1), `tidegate.yaml:25:11: Invalid IntegrationType \"MUCK\" specified`)
	s.configure(strings.Replace(first, "$default: pong", `$default: "#if(1)"`, 1), "tidegate.yaml:22:9: ")
	sock.say(`{"action":"ping"}`)
	sock.want("pang")

	s.configure(strings.Replace(first, "name: script, ", "name: script, apis: [other], ", 1), "the configuration was reloaded")
	if status, body := post(t, "http://"+s.Management+"/prod/@connections/AAAAAAAAAAAAAAA=", serveToken, "x"); status != 403 {
		t.Errorf("who may no longer push: %d %s", status, body)
	}
	s.configure(strings.Replace(first, "data_dir: data", "data_dir: elsewhere", 1), "to have what changed at data_dir, restart Tidegate, or `tidegate handoff`, which disconnects nobody")

	s.configure(serveHead, "the configuration was reloaded")
	if code := sock.closed(); code != 1001 {
		t.Errorf("the client of an API that is gone was closed with %d, want 1001", code)
	}
}

// TestServeListeners: each listener serves what it is for and says where the rest
// is; nothing is served to who isn't let in.
func TestServeListeners(t *testing.T) {
	t.Parallel()
	b := newBackend(t, echo)
	s := startServe(t, serveHead+"management: {public: false}\n"+chatAPI(b.URL))
	sock := s.dialURL(s.URLs[0], client.DialOptions{})
	sock.say("hello")
	sock.want("echo of hello")
	path := "/prod/@connections/" + b.calls("/say")[0].header.Get("Tidegate-Connection-Id")
	for _, c := range []struct {
		name, key, service, method, address, path, body string
		status                                          int
		want                                            string
	}{
		{"health, public", "", "", "GET", s.Public, "/_tidegate/health", "", 200, "alive"},
		{"ready, public", "", "", "GET", s.Public, "/_tidegate/ready", "", 200, "ready"},
		{"own pages, public", "ops", "tidegate", "GET", s.Public, "/_tidegate/connections", "", 403, "admin listener"},
		{"push, public", "backend", "execute-api", "POST", s.Public, path, "x", 403, "management listener"},
		{"push to all, public", "backend", "execute-api", "POST", s.Public, "/prod/@all", "x", 403, "management listener"},
		{"AWS's APIs, public", "ops", "apigateway", "GET", s.Public, "/v2/apis", "", 403, "admin listener"},
		{"a stage's URL, public", "", "", "GET", s.Public, "/prod", "", 426, "Upgrade Required"},
		{"push, management", "backend", "execute-api", "POST", s.Management, path, "x", 200, ""},
		{"push to all, management", "backend", "execute-api", "POST", s.Management, "/prod/@all", "x", 200, `"queued":1`},
		{"AWS's APIs, management", "ops", "apigateway", "GET", s.Management, "/v2/apis", "", 403, "admin listener"},
		{"a stage's URL, management", "", "", "GET", s.Management, "/prod", "", 403, "Nothing is served at this path"},
		{"probes, admin", "", "", "GET", s.Admin, "/readyz", "", 200, "ready"},
		{"metrics, admin", "", "", "GET", s.Admin, "/metrics", "", 200, "tidegate_connections"},
		{"own pages, admin", "ops", "tidegate", "GET", s.Admin, "/_tidegate/connections", "", 200, `"connectionId"`},
		{"own pages, admin, who isn't one", "backend", "tidegate", "GET", s.Admin, "/_tidegate/connections", "", 403, "only the root key"},
		{"own pages, admin, unsigned", "", "", "GET", s.Admin, "/_tidegate/connections", "", 403, ""},
		{"AWS's APIs, admin", "ops", "apigateway", "GET", s.Admin, "/v2/apis/chat", "", 200, `"name":"chat"`},
		{"AWS's APIs, admin, who isn't one", "backend", "apigateway", "GET", s.Admin, "/v2/apis/chat", "", 403, "is not authorized to perform: apigateway:GET"},
		{"AWS's APIs, admin, unsigned", "", "", "GET", s.Admin, "/v2/apis/chat", "", 403, "Missing Authentication Token"},
		{"AWS's APIs, admin, up's keys", "tidegate", "apigateway", "GET", s.Admin, "/v2/apis/chat", "", 403, "invalid"},
		{"push, admin", "backend", "execute-api", "POST", s.Admin, path, "x", 200, ""},
		{"a service there isn't", "ops", "dynamodb", "POST", s.Admin, "/", "{}", 400, ""},
		{"a change of what the file declares", "ops", "apigateway", "PATCH", s.Admin, "/v2/apis/chat", `{"description":"x"}`, 409, "tidegate.yaml"},
		{"its end", "ops", "apigateway", "DELETE", s.Admin, "/v2/apis/chat", "", 409, "tidegate.yaml"},
		{"a change of its stage", "ops", "apigateway", "PATCH", s.Admin, "/v2/apis/chat/stages/prod", `{"description":"x"}`, 409, "tidegate.yaml"},
		{"a route of it", "ops", "apigateway", "POST", s.Admin, "/v2/apis/chat/routes", `{"routeKey":"x"}`, 409, "tidegate.yaml"},
		{"an API beside it", "ops", "apigateway", "POST", s.Admin, "/v2/apis", `{"name":"x","protocolType":"WEBSOCKET","routeSelectionExpression":"$request.body.a"}`, 201, `"name":"x"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var status int
			var body string
			if c.key == "" {
				status, body = get(t, "http://"+c.address+c.path, nil)
			} else {
				status, body = s.call(c.key, c.service, c.method, c.address, c.path, c.body)
			}
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, status, body, c.status, c.want)
			}
		})
	}
	admin := []string{"TIDEGATE_ENDPOINT=http://" + s.Admin, "TIDEGATE_ACCESS_KEY_ID=ops", "TIDEGATE_SECRET_ACCESS_KEY=" + serveSecret}
	for _, c := range []struct {
		env  []string
		args []string
		want string // of what it says
	}{
		{admin, []string{"post", strings.TrimPrefix(path, "/prod/@connections/"), "by command"}, ""},
		{admin, []string{"post", "-hAAAAAAAAAAAAA=", "x"}, `GoneException: no client holds the connection "-hAAAAAAAAAAAAA="`},
		{admin, []string{"disconnect", "-AAAAAAAAAAAAAA="}, `GoneException: no client holds the connection "-AAAAAAAAAAAAAA="`},
		{admin[:1], []string{"connections"}, "name it in TIDEGATE_ACCESS_KEY_ID and TIDEGATE_SECRET_ACCESS_KEY"},
		{admin[:2], []string{"connections"}, "TIDEGATE_ACCESS_KEY_ID and TIDEGATE_SECRET_ACCESS_KEY go together"},
	} {
		cmd := tidegate(t.Context(), t.TempDir(), c.args...)
		cmd.Env = append(cmd.Env, c.env...)
		if said, err := cmd.CombinedOutput(); (err == nil) != (c.want == "") || !strings.Contains(string(said), c.want) {
			t.Errorf("tidegate %s: %v %s, want %q", strings.Join(c.args, " "), err, said, c.want)
		}
	}
	for _, text := range []string{"x", "x", "x", "by command"} { // management, to all, admin
		sock.want(text)
	}
	for _, address := range []string{s.Management, s.Admin} {
		if _, err := client.Dial(t.Context(), "ws://"+address+"/prod", client.DialOptions{}); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("a handshake at %s: %v, want 403", address, err)
		}
	}
	for name, header := range map[string]http.Header{"an origin": {"Origin": {"https://evil.example"}}, "a name that was made to lead here": {"Host": {"evil.example"}}} {
		if status, body := get(t, "http://"+s.Admin+"/metrics", header); status != 403 && status != 421 {
			t.Errorf("a page with %s reads /metrics: %d %s", name, status, body)
		}
	}
	if sock, err := client.Dial(t.Context(), s.URLs[0], client.DialOptions{Header: http.Header{"Origin": {"https://app.example"}}}); err != nil {
		t.Errorf("a page connects to a stage: %v", err)
	} else {
		sock.Close()
	}
}

// TestServeAgain: a second one on the same data dir is refused with the pid of the
// first; after kill -9 the next one serves the file as it is then, and what was
// made through the API.
func TestServeAgain(t *testing.T) {
	t.Parallel()
	b := newBackend(t, echo)
	s := startServe(t, serveHead+chatAPI(b.URL))
	if status, body := s.call("ops", "apigateway", "POST", s.Admin, "/v2/apis", `{"name":"made","protocolType":"WEBSOCKET","routeSelectionExpression":"$request.body.a","tags":{"_custom_id_":"made"}}`); status != 201 {
		t.Fatalf("create an API: %d %s", status, body)
	}
	cmd := tidegate(t.Context(), s.dir, "serve")
	cmd.Env = append(cmd.Env, s.env...)
	said, err := cmd.CombinedOutput()
	if pid := fmt.Sprintf("(pid %d)", s.cmd.Process.Pid); err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(said), pid) {
		t.Errorf("a second one: %v %s, want exit code 1 and %s", err, said, pid)
	}
	s.kill()
	if err := os.WriteFile(filepath.Join(s.dir, "tidegate.yaml"), []byte(strings.ReplaceAll(serveHead+chatAPI(b.URL), "name: chat", "name: talk")), 0o600); err != nil {
		t.Fatal(err)
	}
	again := serveIn(t, s.dir)
	for path, want := range map[string]int{"/v2/apis/made": 200, "/v2/apis/talk": 200, "/v2/apis/chat": 404} {
		if status, body := again.call("ops", "apigateway", "GET", again.Admin, path, ""); status != want {
			t.Errorf("GET %s after a restart: %d %s, want %d", path, status, body, want)
		}
	}
}

// TestServeBackendConnections: more messages than there may be connections wait for
// one, and all are answered.
func TestServeBackendConnections(t *testing.T) {
	t.Parallel()
	const clients, most = 12, 3
	var mu sync.Mutex
	opened, waiting := 0, 0
	release := make(chan struct{})
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/say" {
			mu.Lock()
			waiting++
			mu.Unlock()
			<-release
		}
		echo(w, r.URL.Path, string(body))
	}))
	b.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			opened++
			mu.Unlock()
		}
	}
	b.Start()
	t.Cleanup(b.Close)
	s := startServe(t, serveHead+fmt.Sprintf("limits: {backend_connections: %d}\n", most)+chatAPI(b.URL))
	socks := make([]*testSocket, clients)
	for i := range socks {
		socks[i] = s.dialURL(s.URLs[0], client.DialOptions{})
	}
	for i, sock := range socks {
		sock.say(fmt.Sprint("message ", i))
	}
	s.await("as many messages with the backend as connections", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return waiting >= most
	})
	close(release)
	for i, sock := range socks {
		sock.want(fmt.Sprint("echo of message ", i))
	}
	mu.Lock()
	defer mu.Unlock()
	if opened > most {
		t.Errorf("%d connections to the backend, want %d at most", opened, most)
	}
}

// TestServeDrains: at SIGTERM who waits for an answer gets it before the close, and
// nobody new is let in.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := newBackend(t, func(w http.ResponseWriter, path, body string) {
		if path == "/say" {
			<-release
		}
		echo(w, path, body)
	})
	s := startServe(t, serveHead+chatAPI(b.URL))
	sock := s.dialURL(s.URLs[0], client.DialOptions{})
	sock.say("late")
	s.await("the backend to be called", func() bool { return len(b.calls("/say")) == 1 })
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.await("the server not to be ready", func() bool {
		status, _ := get(t, "http://"+s.Public+"/_tidegate/ready", nil)
		return status == 503
	})
	if _, err := client.Dial(t.Context(), s.URLs[0], client.DialOptions{}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a client while it drains: %v, want 503", err)
	}
	close(release)
	sock.want("echo of late")
	if code := sock.closed(); code != 1001 {
		t.Errorf("closed with %d, want 1001", code)
	}
	s.await("tidegate serve to end", s.ended)
	s.stopped = true
	if s.err != nil || len(b.calls("/hook")) != 2 {
		t.Errorf("it ended with %v, after %d hooks, want 2", s.err, len(b.calls("/hook")))
	}
}

// TestServeTLS: with a certificate the public listener speaks TLS alone, and a
// reload takes a new one.
func TestServeTLS(t *testing.T) {
	t.Parallel()
	b := newBackend(t, echo)
	dir := folder(t, map[string]string{"tidegate.yaml": serveHead + "tls: {certificate_file: a.crt, private_key_file: a.key}\n" + chatAPI(b.URL)})
	first := writeCertificate(t, filepath.Join(dir, "a"))
	s := serveIn(t, dir)
	if !strings.HasPrefix(s.URLs[0], "wss://") {
		t.Errorf("the URL is %s", s.URLs[0])
	}
	url := "wss://localhost:" + s.Public[strings.LastIndex(s.Public, ":")+1:] + "/prod"
	sock := s.dialURL(url, client.DialOptions{CACert: first, Address: s.Public})
	sock.say("hello")
	sock.want("echo of hello")
	if _, err := client.Dial(t.Context(), "ws://"+s.Public+"/prod", client.DialOptions{}); err == nil || !strings.Contains(err.Error(), "speaks TLS alone") {
		t.Errorf("without TLS: %v", err)
	}
	if status, body := get(t, "http://"+s.Public+"/_tidegate/health", nil); status != 403 {
		t.Errorf("health without TLS: %d %s", status, body)
	}
	before, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "old.crt")
	if err := os.WriteFile(old, before, 0o600); err != nil {
		t.Fatal(err)
	}
	renewed := writeCertificate(t, filepath.Join(dir, "a"))
	s.configure(serveHead+"tls: {certificate_file: a.crt, private_key_file: a.key}\n"+chatAPI(b.URL), "the configuration was reloaded")
	s.dialURL(url, client.DialOptions{CACert: renewed, Address: s.Public})
	if _, err := client.Dial(t.Context(), url, client.DialOptions{CACert: old, Address: s.Public}); err == nil {
		t.Error("the old certificate is still served")
	}
}

// writeCertificate makes a certificate for localhost that signs itself: FILE.crt
// and FILE.key. It returns the former.
func writeCertificate(t *testing.T, file string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}, &x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file+name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file + ".crt"
}

// TestServeMistakes: a configuration that can't be served ends the program with 2
// and all mistakes' lines, before anything is made.
func TestServeMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		code       int
		want       []string
	}{
		{"unknown keys", "listners: {}\napis:\n  - nam: chat\n", 2, []string{"tidegate.yaml:1:1: there is no key \"listners\"; did you mean listeners?", "tidegate.yaml:3:5: apis[0]: there is no key \"nam\"; did you mean name?"}},
		{"the control plane's", serveHead + `
apis:
  - name: chat
    route_selection_expression: $request.body.action
    stages: [{name: "no good"}, {name: prod}]
    routes:
      - {route_key: $connekt}
      - {route_key: a, integration: {integration_type: HTTP_PROXY, integration_uri: "ftp://x"}}
      - {route_key: b, integration: {integration_type: AWS_PROXY, integration_uri: "arn:aws:lambda:us-east-1:000000000000:function:f"}}
`, 2, []string{"tidegate.yaml:13:14: Invalid stage name", "tidegate.yaml:15:9: Invalid route key", "tidegate.yaml:16:37: Invalid HTTP endpoint"}},
		{"a function", serveHead + `
apis:
  - name: chat
    route_selection_expression: $request.body.action
    stages: [{name: prod}]
    routes:
      - {route_key: b, integration: {integration_type: AWS_PROXY, integration_uri: "arn:aws:lambda:us-east-1:000000000000:function:f"}}
`, 2, []string{"tidegate.yaml:15:9: Unable to deploy API: integration b: ", "tidegate serve calls HTTP backends and mocks, not functions"}},
		{"a taken address", strings.Replace(serveHead, "127.0.0.1:0", "192.0.2.1:1", 1), 1, []string{"listen on 192.0.2.1:1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, map[string]string{"tidegate.yaml": c.text})
			cmd := tidegate(t.Context(), dir, "serve", "--config", "tidegate.yaml")
			cmd.Env = append(cmd.Env, "BACKEND_SECRET="+serveSecret, "SCRIPT_TOKEN="+serveToken)
			said, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			check := tidegate(t.Context(), dir, "validate", "--json=false", "tidegate.yaml")
			check.Env = cmd.Env
			validated, _ := check.CombinedOutput()
			if code, want := check.ProcessState.ExitCode(), c.code&^1; code != want {
				t.Errorf("validate: exit code %d, want %d", code, want)
			}
			for _, want := range c.want {
				if !strings.Contains(string(said), want) || c.code == 2 && !strings.Contains(string(validated), strings.ReplaceAll(want, `"`, `\"`)) {
					t.Errorf("it doesn't say %q:\n%s\nvalidate says\n%s", want, said, validated)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "data")); c.code == 2 && err == nil {
				t.Error("there is a data dir")
			}
		})
	}
	if _, said, code := output(t, t.TempDir(), "", "serve"); code != 2 || !strings.Contains(said, "tidegate serve --print-config > tidegate.yaml") {
		t.Errorf("without a configuration: %d %s", code, said)
	}
	if text, _, code := output(t, t.TempDir(), "", "serve", "--print-config"); code != 0 || !strings.Contains(text, "listeners:") {
		t.Errorf("--print-config: %d %s", code, text)
	}
	sound := folder(t, map[string]string{"tidegate.yaml": "identities: []\n"})
	for _, args := range [][]string{{"validate"}, {"validate", "."}, {"validate", "tidegate.yaml"}} {
		if stdout, stderr, code := output(t, sound, "", args...); code != 0 || !strings.Contains(stdout, `"config": "tidegate.yaml"`) {
			t.Errorf("tidegate %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
		}
	}
}

// TestServeSystemd: a service manager is told of each step.
func TestServeSystemd(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"tidegate.yaml": serveHead})
	socket := filepath.Join(t.TempDir(), "n")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Skip("no unix datagram sockets here: ", err)
	}
	defer l.Close()
	s := &serveUnderTest{stackUnderTest: &stackUnderTest{t: t, dir: dir, log: &logBuffer{}, exited: make(chan struct{}),
		env: []string{"BACKEND_SECRET=" + serveSecret, "SCRIPT_TOKEN=" + serveToken, "NOTIFY_SOCKET=" + socket}}}
	s.launch("serve")
	told := func(want string) {
		t.Helper()
		l.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 1024)
		n, err := l.Read(b)
		if got, _, _ := strings.Cut(string(b[:n]), "\n"); err != nil || got != want {
			t.Fatalf("systemd was told %q, %v; want %q", b[:n], err, want)
		}
	}
	told("READY=1")
	s.cmd.Process.Signal(syscall.SIGHUP)
	told("RELOADING=1")
	told("READY=1")
	s.cmd.Process.Signal(syscall.SIGTERM)
	told("STOPPING=1")
	s.await("tidegate serve to end", s.ended)
	s.stopped = true
}

// TestServeIAM: a route with AWS_IAM lets in whose key the file names and whom it
// allows to connect.
func TestServeIAM(t *testing.T) {
	t.Parallel()
	b := newBackend(t, echo)
	text := strings.Replace(serveHead+chatAPI(b.URL), "{route_key: $connect, target: hook}", "{route_key: $connect, target: hook, authorization_type: AWS_IAM}", 1)
	text = strings.Replace(text, "identities:", `identities:
  - {name: anna, access_key_id: anna, secret_access_key: "{env.BACKEND_SECRET}", actions: ["execute-api:Invoke"], apis: [chat]}`, 1)
	s := startServe(t, text)
	for key, want := range map[string]string{"anna": "", "backend": "403", "nobody": "403", "": "403"} {
		r, err := http.NewRequest("GET", "http"+strings.TrimPrefix(s.URLs[0], "ws"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			sigv4.Sign(r, nil, sigv4.Credentials{AccessKeyID: key, SecretAccessKey: serveSecret}, "execute-api", "us-east-1", time.Now())
		}
		sock, err := client.Dial(t.Context(), s.URLs[0], client.DialOptions{Header: r.Header})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", key, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %s", key, err, want)
		case err == nil:
			sock.Close()
		}
	}
	if hooks := b.calls("/hook"); len(hooks) == 0 || hooks[0].header.Get("Tidegate-Principal") != "arn:aws:iam::000000000000:user/anna" {
		t.Errorf("the backend's hooks: %+v", hooks)
	}
}

// TestServeMetrics: where others reach the admin listener, metrics are for
// identities alone, as everything else there.
func TestServeMetrics(t *testing.T) {
	t.Parallel()
	s := startServe(t, strings.Replace(serveHead, `admin: "127.0.0.1:0"`, `admin: "0.0.0.0:0"`, 1))
	address := "127.0.0.1" + s.Admin[strings.LastIndex(s.Admin, ":"):]
	for token, want := range map[string]int{"": 403, "x" + serveToken: 403, serveToken: 200} {
		header := http.Header{"Host": {"tidegate.internal.example"}}
		if token != "" {
			header.Set("Authorization", "Bearer "+token)
		}
		if status, body := get(t, "http://"+address+"/metrics", header); status != want {
			t.Errorf("/metrics with the token %q: %d %s, want %d", token, status, body, want)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, "http://"+address+path, nil); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}
