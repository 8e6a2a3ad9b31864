package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/kv/filekv"
	"tidegate/internal/observe"
	"tidegate/internal/service/functions"
	"tidegate/sigv4"
)

type rootOnly struct{}

func (rootOnly) Lookup(id string) (awshttp.Identity, bool) {
	switch id {
	case "root":
		return awshttp.Identity{Secret: "s", Principal: awshttp.Principal{Kind: awshttp.Root}}, true
	case "role":
		return awshttp.Identity{Secret: "s", Principal: awshttp.Principal{Kind: awshttp.Role}}, true
	}
	return awshttp.Identity{}, false
}

func newPages(t *testing.T, mode awshttp.Mode) (*Service, *observe.Observer) {
	t.Helper()
	store, err := filekv.Open(filepath.Join(t.TempDir(), "kv"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	records, err := store.Bucket(t.Context(), "stacks")
	if err != nil {
		t.Fatal(err)
	}
	o := observe.New()
	return New(Config{
		Gate:       &awshttp.Gate{Identities: rootOnly{}, Mode: mode, Region: "us-east-1"},
		Records:    records,
		StageURL:   func(api, stage string) string { return "ws://h/" + api + "/" + stage },
		DomainURLs: func(api, stage string) []string { return []string{"wss://" + api + ".test/" + stage + "/"} },
		Connections: func() []Connection {
			return []Connection{{ID: "b", ConnectedAt: time.Unix(2, 0)}, {ID: "a", ConnectedAt: time.Unix(1, 0)}}
		},
		Fire: func(_ context.Context, rule string) error {
			if rule != "r" {
				return awshttp.Errorf(http.StatusNotFound, "ResourceNotFoundException", "no rule %s", rule)
			}
			return nil
		},
		Observer: o,
	}), o
}

// ask sends one request, signed with the key unless it is empty.
func ask(s http.Handler, method, path, body, key string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	if key != "" {
		sigv4.Sign(r, []byte(body), sigv4.Credentials{AccessKeyID: key, SecretAccessKey: "s"}, SigningName, "us-east-1", time.Now())
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

const chatRecord = `{"name":"chat","resources":{
	"Api":{"type":"AWS::ApiGatewayV2::Api","physicalId":"abc","details":{"Name":"My API"}},
	"Prod":{"type":"AWS::ApiGatewayV2::Stage","physicalId":"Prod","details":{"ApiId":"abc"}},
	"Fn":{"type":"AWS::Lambda::Function","physicalId":"chat-Fn","arn":"arn:fn"},
	"Every":{"type":"AWS::Events::Rule","physicalId":"chat-Every","arn":"arn:rule"},
	"Table":{"type":"AWS::DynamoDB::Table","physicalId":"chat-Table","arn":"arn:table"}},
	"outputs":{"Out":"value"}}`

func TestStackPage(t *testing.T) {
	s, _ := newPages(t, awshttp.Warn)
	if w := ask(s, "GET", "/_tidegate/stacks/chat", "", ""); w.Code != 404 {
		t.Errorf("no record yet: %d", w.Code)
	}
	for _, broken := range []string{"{", "[1]", `{"resources":7}`, ""} {
		if w := ask(s, "PUT", "/_tidegate/stacks/chat", broken, ""); w.Code != 400 {
			t.Errorf("the broken record %q: %d", broken, w.Code)
		}
	}
	for _, name := range []string{"..%2f..%2fx", strings.Repeat("a", 3000), "%2e%2ex"} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			if w := ask(s, method, "/_tidegate/stacks/"+name, chatRecord, ""); w.Code != 400 {
				t.Errorf("%s of the name %.20q: %d %s", method, name, w.Code, w.Body)
			}
		}
	}
	if w := ask(s, "PUT", "/_tidegate/stacks/chat%20%2B", chatRecord, ""); w.Code != 200 {
		t.Fatalf("PUT: %d %s", w.Code, w.Body)
	}
	if w := ask(s, "GET", "/_tidegate/stacks/chat%20%2B", "", ""); w.Body.String() != chatRecord {
		t.Errorf("GET gave %s", w.Body)
	}
	want := `{"apis":[{"logicalId":"Api","id":"abc","name":"My API","stages":[{"name":"Prod","url":"ws://h/abc/Prod","domains":["wss://abc.test/Prod/"]}]}],` +
		`"functions":[{"logicalId":"Fn","name":"chat-Fn","arn":"arn:fn"}],"rules":[{"logicalId":"Every","name":"chat-Every","arn":"arn:rule"}],"schedules":[],` +
		`"tables":[{"logicalId":"Table","name":"chat-Table","arn":"arn:table"}],"outputs":{"Out":"value"}}`
	if w := ask(s, "GET", "/_tidegate/stack", "", ""); w.Body.String() != want {
		t.Errorf("the page is\n%s\nwant\n%s", w.Body, want)
	}
	ask(s, "DELETE", "/_tidegate/stacks/chat%20%2B", "", "")
	if w := ask(s, "GET", "/_tidegate/stacks/chat%20%2B", "", ""); w.Code != 404 {
		t.Errorf("after DELETE: %d", w.Code)
	}
}

func TestReadyAndHealth(t *testing.T) {
	s, _ := newPages(t, awshttp.Enforce)
	if w := ask(s, "GET", "/_tidegate/health", "", ""); w.Code != 200 {
		t.Errorf("health: %d", w.Code)
	}
	if w := ask(s, "GET", "/_tidegate/ready", "", ""); w.Code != 503 {
		t.Errorf("before: %d, want 503", w.Code)
	}
	s.SetReady()
	if w := ask(s, "GET", "/_tidegate/ready", "", ""); w.Code != 200 {
		t.Errorf("after: %d, want 200", w.Code)
	}
}

func TestFreeMemoryPage(t *testing.T) {
	s, _ := newPages(t, awshttp.Warn)
	w := ask(s, "POST", "/_tidegate/memory/free", "", "")
	var left observe.Process
	if err := json.Unmarshal(w.Body.Bytes(), &left); err != nil || w.Code != 200 || left.HeapBytes == 0 || left.Goroutines == 0 {
		t.Errorf("%d %s: %v", w.Code, w.Body, err)
	}
}

func TestOnlyTheRootWhenEnforced(t *testing.T) {
	s, _ := newPages(t, awshttp.Enforce)
	for _, page := range [][2]string{{"GET", "/_tidegate/stack"}, {"GET", "/_tidegate/connections"}, {"GET", "/_tidegate/events"},
		{"PUT", "/_tidegate/stacks/x"}, {"POST", "/_tidegate/rules/r/fire"}, {"POST", "/_tidegate/memory/free"}, {"GET", "/_tidegate/nowhere"}} {
		for _, key := range []string{"", "stranger", "role"} {
			if w := ask(s, page[0], page[1], "{}", key); w.Code != 403 {
				t.Errorf("%s %s with key %q: %d, want 403", page[0], page[1], key, w.Code)
			}
		}
	}
	if w := ask(s, "GET", "/_tidegate/connections", "", "root"); w.Code != 200 {
		t.Errorf("the root: %d %s", w.Code, w.Body)
	}
}

func TestConnectionsAndFire(t *testing.T) {
	s, _ := newPages(t, awshttp.Warn)
	var page struct {
		Connections []struct {
			ID string `json:"connectionId"`
		}
	}
	if err := json.Unmarshal(ask(s, "GET", "/_tidegate/connections", "", "").Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Connections) != 2 || page.Connections[0].ID != "a" {
		t.Errorf("want the oldest first: %+v", page)
	}
	if w := ask(s, "POST", "/_tidegate/rules/r/fire", "", ""); w.Code != 202 {
		t.Errorf("fire: %d", w.Code)
	}
	if w := ask(s, "POST", "/_tidegate/rules/q/fire", "", ""); w.Code != 404 || !strings.Contains(w.Body.String(), "no rule q") {
		t.Errorf("fire an unknown rule: %d %s", w.Code, w.Body)
	}
	if w := ask(s, "GET", "/_tidegate/nowhere", "", ""); w.Code != 404 {
		t.Errorf("an unknown page: %d", w.Code)
	}
}

func TestEventsAreStreamed(t *testing.T) {
	s, o := newPages(t, awshttp.Warn)
	srv := httptest.NewServer(s)
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := func(last string) *bufio.Reader {
		req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/_tidegate/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", last)
		resp, err := http.DefaultClient.Do(req) // returns once the headers came: we are subscribed
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return bufio.NewReader(resp.Body)
	}
	// next is the next event; its id, kind and data are three lines and a blank one.
	next := func(r *bufio.Reader) (id, kind, data string) {
		var lines [4]string
		for i := range lines {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			lines[i] = strings.TrimSuffix(line, "\n")
		}
		for i, prefix := range []string{"id: ", "event: ", "data: ", ""} {
			if !strings.HasPrefix(lines[i], prefix) {
				t.Fatalf("event %q", lines)
			}
		}
		return lines[0][4:], lines[1][7:], lines[2][6:]
	}
	live := events("")
	o.Note(observe.Notice{Kind: observe.KindPush, Text: "hello"})
	id, kind, data := next(live)
	if kind != observe.KindPush || !strings.Contains(data, `"msg":"hello"`) {
		t.Errorf("got %s %s", kind, data)
	}
	o.Note(observe.Notice{Kind: observe.KindNote, Text: "missed"})
	if _, _, data := next(events(id)); !strings.Contains(data, `"msg":"missed"`) {
		t.Errorf("who comes back got %s", data)
	}
	stranger := events("ANOTHER1-1") // an id of a process before
	o.Note(observe.Notice{Kind: observe.KindNote, Text: "now"})
	if _, _, data := next(stranger); !strings.Contains(data, `"msg":"now"`) {
		t.Errorf("who comes from another process got %s", data)
	}
}

// TestLogOfARunningRequest follows a request by the gateway's id: its function's
// lines come while it runs, and nobody else's.
func TestLogOfARunningRequest(t *testing.T) {
	s, o := newPages(t, awshttp.Warn)
	srv := httptest.NewServer(s)
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/_tidegate/logs?follow=1&requestId=gw%3D", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req) // returns once the headers came: we are subscribed
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	l := o.Functions(func(name string) string { return name })
	for _, origin := range []string{"other=", "gw="} {
		l.InvocationBegin(functions.InvocationBegin{Function: "f", RequestID: "of " + origin, Origin: origin})
		l.Output(functions.Output{Function: "f", RequestID: "of " + origin, Line: "line of " + origin})
	}
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || !strings.Contains(line, `"line":"line of gw="`) {
		t.Errorf("%v: %s", err, line)
	}
}
