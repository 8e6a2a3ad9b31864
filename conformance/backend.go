package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// An answer is what a backend does with what it receives.
type answer struct {
	status int
	header []headerLine
	body   string
	// result is a function's raw result, JSON; throws its error.
	result string
	throws *thrown
}

type thrown struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

// A received is one invocation of a function, or one request to an HTTP backend.
type received struct {
	event   any // of a function
	raw     string
	method  string
	target  string
	header  http.Header
	body    string
	context any // of a function
}

// A backend is what a script's integration or authorizer calls: a function or an
// HTTP server. What it received waits until a step looks at it.
type backend struct {
	name     string
	function bool

	mu      sync.Mutex
	current *answer       // nil: who asks waits
	changed chan struct{} // closed when current changes
	in      chan *received
}

func newBackend(name string, function bool) *backend {
	b := &backend{name: name, function: function, changed: make(chan struct{}), in: make(chan *received, 1000)}
	b.current = &answer{status: http.StatusOK}
	return b
}

// set says what it answers from now on, to those who wait too; nil lets all wait.
func (b *backend) set(a *answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current = a
	close(b.changed)
	b.changed = make(chan struct{})
}

// take keeps what came and returns the answer once there is one.
func (b *backend) take(r *received, gone <-chan struct{}) *answer {
	select {
	case b.in <- r:
	default: // nobody looks at so many
	}
	for {
		b.mu.Lock()
		a, changed := b.current, b.changed
		b.mu.Unlock()
		if a != nil {
			return a
		}
		select {
		case <-changed:
		case <-gone:
			return &answer{status: http.StatusOK}
		}
	}
}

// A backendServer is the HTTP server behind every integration of every script:
// HTTP integrations call it, and so does the relay function, with the event that
// it was invoked with.
type backendServer struct {
	base string // its URL, as integrations and functions reach it
	http *http.Server

	taken map[string]*sync.Mutex // a service's name → held by the script that stands for it

	mu    sync.Mutex
	paths map[string]*backend // first segment of the path → whose it is
	apis  map[string]string   // relay's segment → the API whose events it takes now
}

// serveBackends listens on addr. base is the URL by which others reach it; ""
// means this machine's.
func serveBackends(addr, base string) (*backendServer, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	if base == "" {
		base = "http://" + l.Addr().String()
	}
	s := &backendServer{base: strings.TrimSuffix(base, "/"), taken: map[string]*sync.Mutex{}, paths: map[string]*backend{}, apis: map[string]string{}}
	for service := range serviceVariables {
		s.taken[service] = &sync.Mutex{}
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go s.http.Serve(l)
	return s, nil
}

func (s *backendServer) close() { s.http.Close() }

// serviceVariables are the services that a script's backend can stand for, by the
// variable that tells a target where the service is.
var serviceVariables = map[string]string{
	"sns":    "AWS_ENDPOINT_URL_SNS",
	"sqs":    "AWS_ENDPOINT_URL_SQS",
	"states": "AWS_ENDPOINT_URL_SFN",
}

// endpoints is where a target is to look for these services.
func (s *backendServer) endpoints() (map[string]*url.URL, error) {
	all := map[string]*url.URL{}
	for service, variable := range serviceVariables {
		u, err := url.Parse(s.base + "/" + serviceSegment(service))
		if err != nil {
			return nil, err
		}
		all[variable] = u
	}
	return all, nil
}

// serviceSegment begins the path of requests to a service.
func serviceSegment(service string) string { return "service-" + service }

// bind has the backend answer below /segment; unbind ends that.
func (s *backendServer) bind(segment string, b *backend, apiID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths[segment], s.apis[segment] = b, apiID
}

func (s *backendServer) unbind(segment string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.paths, segment)
	delete(s.apis, segment)
}

// ServeHTTP implements http.Handler.
func (s *backendServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	segment, rest, _ := strings.Cut(strings.TrimPrefix(r.RequestURI, "/"), "/")
	segment, query, hasQuery := strings.Cut(segment, "?")
	if hasQuery {
		rest = "?" + query
	}
	s.mu.Lock()
	b, apiID := s.paths[segment], s.apis[segment]
	s.mu.Unlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return
	}
	switch {
	case b == nil && strings.HasPrefix(segment, "relay-"): // a late event of a script that has ended
		io.WriteString(w, `{"result":{"statusCode":200}}`)
	case b == nil:
		http.NotFound(w, r)
	case b.function:
		s.invoke(w, r, b, apiID, body)
	default:
		a := b.take(&received{method: r.Method, target: "/" + rest, header: hostOf(r), body: string(body)}, r.Context().Done())
		for _, line := range a.header {
			w.Header()[line.name] = append(w.Header()[line.name], line.value)
		}
		w.WriteHeader(a.status)
		io.WriteString(w, a.body)
	}
}

// hostOf returns the header with Host, which net/http keeps apart.
func hostOf(r *http.Request) http.Header {
	h := r.Header.Clone()
	h.Set("Host", r.Host)
	return h
}

// invoke answers the relay function.
func (s *backendServer) invoke(w http.ResponseWriter, r *http.Request, b *backend, apiID string, body []byte) {
	var call struct {
		Event   json.RawMessage
		Context any
	}
	in := &received{}
	if json.Unmarshal(body, &call) != nil || json.Unmarshal(call.Event, &in.event) != nil {
		http.Error(w, "not what the relay sends", http.StatusBadRequest)
		return
	}
	in.raw, in.context = string(call.Event), call.Context
	var whose struct{ RequestContext struct{ APIID string } }
	if json.Unmarshal(call.Event, &whose) == nil && whose.RequestContext.APIID != "" && whose.RequestContext.APIID != apiID {
		io.WriteString(w, `{"result":{"statusCode":200}}`) // late, of the script that had this relay before
		return
	}
	a := b.take(in, r.Context().Done())
	var out bytes.Buffer
	switch {
	case a.throws != nil:
		text, _ := json.Marshal(map[string]any{"throws": a.throws})
		out.Write(text)
	case a.result != "":
		fmt.Fprintf(&out, `{"result":%s}`, a.result)
	default:
		result := map[string]any{"statusCode": a.status}
		if a.body != "" {
			result["body"] = a.body
		}
		if len(a.header) > 0 {
			header := map[string]string{}
			for _, line := range a.header {
				header[line.name] = line.value
			}
			result["headers"] = header
		}
		text, _ := json.Marshal(map[string]any{"result": result})
		out.Write(text)
	}
	w.Write(out.Bytes())
}
