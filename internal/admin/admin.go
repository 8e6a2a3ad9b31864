// Package admin serves Tidegate's own pages below /_tidegate: whether it lives
// and is ready, what runs, who is connected, what happens, and the records of
// stacks.
package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"sync/atomic"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/kv"
	"tidegate/internal/observe"
	"tidegate/internal/recording"
)

// MaxRecord bounds a stack's record, in bytes.
const MaxRecord = kv.MaxValue

// SigningName is the service that a signed request to these pages names.
const SigningName = "tidegate"

// Config is what the pages show and who may see them.
type Config struct {
	// Gate checks signatures. Its mode Enforce asks the root's signature of
	// everything but health and readiness; otherwise who reaches the port may.
	Gate    *awshttp.Gate
	Records kv.Bucket // stacks' records by name
	// StageURL is where clients reach a stage: ws://localhost:8420/dev.
	StageURL func(apiID, stage string) string
	// DomainURLs are where they reach it by custom domain names.
	DomainURLs  func(apiID, stage string) []string
	Connections func() []Connection
	// Mode is aws or extended, and Limits are those that were set, as NAME=VALUE.
	Mode   string
	Limits []string
	// Fire fires a rule by name. An *awshttp.Error reaches the caller.
	Fire     func(ctx context.Context, rule string) error
	Observer *observe.Observer
	// Metrics writes the metrics, in Prometheus's text format.
	Metrics func(io.Writer) error
	// MetricsOpen lets everybody who reaches /metrics read them.
	MetricsOpen bool
	// Kept returns the lines of a function's log between two moments, from before
	// this process's memory; function "" means all, and requestID "" any. It may
	// be nil.
	Kept func(ctx context.Context, function, requestID string, from, to time.Time) ([]observe.Notice, error)
	// Replays has recorded requests happen again; nil when nothing is recorded.
	Replays *recording.Replayer
}

// A Connection is one line of /_tidegate/connections.
type Connection struct {
	ID          string    `json:"connectionId"`
	APIID       string    `json:"apiId"`
	Stage       string    `json:"stage"`
	SourceIP    string    `json:"sourceIp"`
	UserAgent   string    `json:"userAgent,omitempty"`
	ConnectedAt time.Time `json:"connectedAt"`
	LastActive  time.Time `json:"lastActiveAt"`
}

// A Service serves the pages. Make one with New.
type Service struct {
	Config
	mux   *http.ServeMux
	ready atomic.Bool
	life  string // begins the ids of events: numbers mean nothing to another process
}

// New returns the pages; they are not ready until SetReady.
func New(c Config) *Service {
	s := &Service{Config: c, mux: http.NewServeMux(), life: rand.Text()[:8] + "-"}
	rest := awshttp.Protocol{Gate: c.Gate, Service: SigningName, MaxBody: MaxRecord}
	page := func(pattern string, fn awshttp.HandlerFunc) {
		s.mux.Handle(pattern, s.guard(rest, fn))
	}
	for _, path := range []string{"/_tidegate/health", "/healthz"} {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") })
	}
	for _, path := range []string{"/_tidegate/ready", "/readyz"} {
		s.mux.HandleFunc("GET "+path, s.getReady)
	}
	s.mux.Handle("GET /metrics", s.openMetrics())
	s.mux.Handle("GET /_tidegate/events", s.guardRaw(s.getEvents))
	s.mux.Handle("GET /_tidegate/metrics", s.guardRaw(s.getMetrics))
	s.mux.Handle("GET /_tidegate/logs", s.guardRaw(s.getLogs))
	page("GET /_tidegate/stack", s.getStack)
	page("GET /_tidegate/stacks/{name}", s.getRecord)
	page("PUT /_tidegate/stacks/{name}", s.putRecord)
	page("DELETE /_tidegate/stacks/{name}", s.deleteRecord)
	page("GET /_tidegate/connections", s.getConnections)
	page("POST /_tidegate/memory/free", func(*awshttp.Call) (any, error) { return observe.FreeMemory(), nil })
	page("POST /_tidegate/rules/{name}/fire", s.postFire)
	page("GET /_tidegate/recordings", s.getRecordings)
	page("POST /_tidegate/recordings/{requestId}/replay", s.postReplay)
	page("/_tidegate/", func(c *awshttp.Call) (any, error) {
		return nil, awshttp.Errorf(http.StatusNotFound, "NotFoundException", "Tidegate has no page %s %s", c.Request.Method, c.Request.URL.Path)
	})
	return s
}

// ServeHTTP serves what lies below /_tidegate, and /healthz, /readyz and /metrics.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// SetReady makes /_tidegate/ready answer 200: everything that was asked for runs.
func (s *Service) SetReady() { s.ready.Store(true) }

// SetUnready makes it answer 503 again: nobody is admitted any more.
func (s *Service) SetUnready() { s.ready.Store(false) }

// openMetrics is /metrics: for whoever reaches it where Config says so, else for
// any identity, since Prometheus can send a bearer token and sign nothing.
func (s *Service) openMetrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.MetricsOpen {
			if _, err := s.Gate.Open(r, SigningName, 0); err != nil {
				say(w, http.StatusForbidden, "metrics are for identities of the configuration: send Authorization: Bearer TOKEN")
				return
			}
		}
		s.getMetrics(w, r)
	})
}

// guard lets the root alone in where the gate enforces.
func (s *Service) guard(p awshttp.Protocol, fn awshttp.HandlerFunc) http.Handler {
	if s.Gate.Mode == awshttp.Enforce {
		return p.REST(func(c *awshttp.Call) (any, error) {
			if c.Principal.Kind != awshttp.Root {
				return nil, awshttp.Errorf(http.StatusForbidden, "AccessDeniedException", "only the root key, or an identity with admin: true of tidegate serve, may see Tidegate's own pages")
			}
			return fn(c)
		})
	}
	// Whoever reaches the port is the root here; nobody need be warned of it.
	g := s.Gate
	p.Gate = &awshttp.Gate{Identities: g.Identities, Mode: awshttp.Off, Account: g.Account, Region: g.Region, Events: g.Events}
	return p.REST(fn)
}

// guardRaw is guard for an answer that isn't JSON.
func (s *Service) guardRaw(fn http.HandlerFunc) http.Handler {
	if s.Gate.Mode != awshttp.Enforce {
		return fn
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.Gate.Open(r, SigningName, 0)
		if err != nil || c.Principal.Kind != awshttp.Root {
			say(w, http.StatusForbidden, "only the root key, or an identity with admin: true of tidegate serve, may see Tidegate's own pages")
			return
		}
		fn(w, r)
	})
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(text + "\n"))
}

func (s *Service) getReady(w http.ResponseWriter, _ *http.Request) {
	if !s.ready.Load() {
		say(w, http.StatusServiceUnavailable, "not ready: it is starting, or about to end")
		return
	}
	say(w, http.StatusOK, "ready")
}

// getMetrics answers Prometheus.
func (s *Service) getMetrics(w http.ResponseWriter, _ *http.Request) {
	if s.Metrics == nil {
		say(w, http.StatusNotFound, "nothing is counted here")
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s.Metrics(w) // an error means that the reader left
}

func (s *Service) getConnections(*awshttp.Call) (any, error) {
	all := s.Connections()
	sort.Slice(all, func(i, j int) bool { return all[i].ConnectedAt.Before(all[j].ConnectedAt) })
	if all == nil {
		all = []Connection{}
	}
	return map[string]any{"connections": all}, nil
}

func (s *Service) postFire(c *awshttp.Call) (any, error) {
	if err := s.Fire(c.Context(), c.Request.PathValue("name")); err != nil {
		return nil, err
	}
	return &awshttp.Response{Status: http.StatusAccepted}, nil
}

func (s *Service) getRecord(c *awshttp.Call) (any, error) {
	name := c.Request.PathValue("name")
	e, err := s.Records.Get(c.Context(), recordKey(name))
	if errors.Is(err, kv.ErrNotFound) {
		// Asking is how a deployer finds out; nothing worth a warning.
		return &awshttp.Response{Status: http.StatusNotFound, Value: map[string]string{"message": fmt.Sprintf("there is no stack %q", name)}}, nil
	}
	if err != nil {
		return nil, refused(err)
	}
	return &awshttp.Response{Raw: e.Value}, nil
}

func (s *Service) putRecord(c *awshttp.Call) (any, error) {
	// One that can't be read would break the page of all stacks.
	if err := json.Unmarshal(c.Body, &record{}); err != nil {
		return nil, awshttp.Errorf(http.StatusBadRequest, "BadRequestException", "this is no stack's record: %v", err)
	}
	_, err := s.Records.Put(c.Context(), recordKey(c.Request.PathValue("name")), c.Body)
	return nil, refused(err)
}

func (s *Service) deleteRecord(c *awshttp.Call) (any, error) {
	return &awshttp.Response{Status: http.StatusNoContent}, refused(s.Records.Delete(c.Context(), recordKey(c.Request.PathValue("name"))))
}

// refused makes a name or record that can't be kept the caller's mistake.
func refused(err error) error {
	if errors.Is(err, kv.ErrInvalid) {
		return awshttp.Errorf(http.StatusBadRequest, "BadRequestException", "%v", err)
	}
	return err
}

// recordKey makes any name a key: kv takes fewer characters than a URL.
func recordKey(name string) string {
	escaped := []byte(url.QueryEscape(name))
	for i, b := range escaped {
		if b == '%' || b == '+' || b == '~' {
			escaped[i] = '='
		}
	}
	return string(escaped)
}
