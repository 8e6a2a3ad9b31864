// Package tidegatetest starts a Tidegate inside a Go test: with a template, as
// `tidegate up` runs it, or with nothing, to be filled through the AWS APIs. It
// listens on a free port of loopback, keeps everything in the test's temporary
// folder, and ends with the test.
package tidegatetest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/client"
	"tidegate/internal/clock"
	"tidegate/internal/observe"
	"tidegate/internal/server"
	"tidegate/internal/stack"
	"tidegate/internal/up"
)

// The account and region of every Server.
const (
	Account = "000000000000"
	Region  = "us-east-1"
)

// patience is how long a Server may take to end, and a Client waits for what
// must come. It is no assertion about speed.
const patience = 30 * time.Second

// logLines is how much of its log a Server keeps, and toldLines how much of that
// a test that fails is told.
const (
	logLines  = 5000
	toldLines = 200
)

// Options say what a Server runs. The zero value runs nothing: no API, no function.
type Options struct {
	Template   string   // a template's file or its folder; "" for none
	Parameters []string // the template's, "Name=value"
	IAM        string   // enforce, warn or off, as of `tidegate up`; "" is warn
	// Extended lifts AWS's limits and semantics as `tidegate up --mode extended` does.
	Extended bool
	// Limits are set as --limit of `tidegate up` sets them: "message_size=1MiB".
	Limits []string
	// FrozenClock stops the clock by which clients are idle or too old, rules fire
	// and items expire; Advance moves it.
	FrozenClock bool
	// Endpoints say where services are that integrations call, by the environment
	// variable that the SDKs know: AWS_ENDPOINT_URL_SQS.
	Endpoints map[string]*url.URL
}

// A Server is a Tidegate inside this process.
type Server struct {
	Outputs map[string]string // the template's
	// AccessKeyID and SecretAccessKey are the key of the account's root.
	AccessKeyID, SecretAccessKey string

	server *server.Server
	apis   []stack.API
	clock  *clock.Manual // nil unless frozen

	mu  sync.Mutex
	log []logLine // the newest
}

// A logLine is what a Server would tell on a terminal, and the API that it is about.
type logLine struct{ apiID, text string }

// Start starts a Server that ends with t. When the test fails, its log is the
// test's too.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	dir := t.TempDir()
	_, cache, err := server.UserDirs()
	if err != nil {
		t.Fatal(err)
	}
	mode := awshttp.Mode(o.IAM)
	switch mode {
	case "":
		mode = awshttp.Warn
	case awshttp.Enforce, awshttp.Warn, awshttp.Off:
	default:
		t.Fatalf("tidegatetest: IAM is enforce, warn or off, not %q", o.IAM)
	}
	s := &Server{}
	observer := observe.New()
	options := server.Options{
		DataDir: filepath.Join(dir, "data"), StateDir: filepath.Join(dir, "state"), CacheDir: cache,
		Hosts: []string{"127.0.0.1"}, Ports: []int{0}, Region: Region, Account: Account,
		IAM: mode, Loopback: true, Folders: true, NoRecord: true,
		Endpoints: o.Endpoints,
		Observer:  observer, Display: func(name string) string { return name },
	}
	if o.Extended {
		options.Limits = apigw.LimitsOf(apigw.ModeExtended)
	} else if len(o.Limits) > 0 {
		options.Limits = apigw.LimitsOf(apigw.ModeAWS)
	}
	for _, text := range o.Limits {
		name, value, _ := strings.Cut(text, "=")
		if err := options.Limits.Set(name, value); err != nil {
			t.Fatalf("tidegatetest: limit %s: %v", text, err)
		}
	}
	if o.FrozenClock {
		s.clock = clock.NewManual(time.Now())
		options.Clock = s.clock
	}
	s.follow(t, observer)
	if s.server, err = server.Open(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	key := s.server.RootKey()
	s.AccessKeyID, s.SecretAccessKey = key.AccessKeyID, key.SecretAccessKey
	t.Cleanup(func() { s.end(t) })
	if o.Template != "" {
		s.apply(t, o)
	}
	s.server.SetReady()
	return s
}

// follow keeps what the observer hears until the test ends.
func (s *Server) follow(t testing.TB, observer *observe.Observer) {
	notices, _ := observer.Subscribe()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for n := range notices {
			line := logLine{n.Attr("apiId"), fmt.Sprintf("%s %s %s", n.Time.Format("15:04:05.000"), n.Kind, n.Text)}
			s.mu.Lock()
			s.log = append(s.log[max(0, len(s.log)-logLines+1):], line)
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		observer.Close()
		<-heard
		if t.Failed() {
			all := s.Log("")
			for _, line := range all[max(0, len(all)-toldLines):] {
				t.Log(line)
			}
		}
	})
}

// apply runs the template.
func (s *Server) apply(t testing.TB, o Options) {
	t.Helper()
	template, err := up.Load(up.Options{Template: o.Template, Overrides: o.Parameters, DefaultRegion: Region})
	if err != nil {
		t.Fatal(err)
	}
	deployer := &stack.Deployer{Endpoint: s.Endpoint(), Client: s.server.Client(), Credentials: s.server.RootKey(), Region: Region}
	result, err := deployer.Apply(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	s.Outputs, s.apis = result.Outputs, result.APIs
}

// end tells the clients, lets $disconnect functions work, and stops.
func (s *Server) end(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.server.Drain(ctx); err != nil {
		t.Errorf("tidegatetest: draining: %v", err)
	}
	if err := s.server.Close(); err != nil {
		t.Errorf("tidegatetest: closing: %v", err)
	}
}

// Endpoint is the base URL of every AWS API that it serves: AWS_ENDPOINT_URL.
func (s *Server) Endpoint() string { return s.server.Endpoint() }

// URL is where clients connect to the template's only stage. The test fails when
// it has none, or several: those are at Endpoint's host, /{apiId}/{stage}.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	if len(s.apis) != 1 || len(s.apis[0].Stages) != 1 {
		t.Fatalf("tidegatetest: URL wants a template with one WebSocket API of one stage; this has %d APIs", len(s.apis))
	}
	return s.server.StageURL(s.apis[0].ID, s.apis[0].Stages[0].Name)
}

// Advance moves a frozen clock forward. Clients that are then past a deadline
// are closed within a second or two.
func (s *Server) Advance(d time.Duration) {
	if s.clock == nil {
		panic("tidegatetest: Advance of a clock that isn't frozen; set Options.FrozenClock")
	}
	s.clock.Advance(d)
}

// Log returns the newest lines (5,000 at most) of what `tidegate up` would say of
// an API, or of all with "".
func (s *Server) Log(apiID string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, l := range s.log {
		if apiID == "" || l.apiID == apiID {
			lines = append(lines, l.text)
		}
	}
	return lines
}

// A Client is one connection to a stage.
type Client struct {
	t  testing.TB
	ws *client.WebSocket
	in chan received
}

// A received is a message or the connection's end.
type received struct {
	text string
	err  error
}

// Dial connects a client to the URL of a stage; the test fails when it is
// refused. The client hangs up with the test.
func Dial(t testing.TB, url string, header http.Header) *Client {
	t.Helper()
	ws, err := client.Dial(t.Context(), url, client.DialOptions{Header: header})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	c := &Client{t: t, ws: ws, in: make(chan received, 1000)}
	go func() {
		for {
			text, err := ws.Receive()
			c.in <- received{string(text), err}
			if err != nil {
				return
			}
		}
	}()
	return c
}

// Send sends one text message.
func (c *Client) Send(text string) {
	c.t.Helper()
	if err := c.ws.Send([]byte(text)); err != nil {
		c.t.Fatalf("tidegatetest: send %s: %v", text, err)
	}
}

// Receive returns the next message; the test fails when none comes.
func (c *Client) Receive() string {
	c.t.Helper()
	r := c.next()
	if r.err != nil {
		c.t.Fatalf("tidegatetest: no message came: %v", r.err)
	}
	return r.text
}

// Closed waits for the connection's end and returns the server's close code; the
// test fails when a message comes, or nothing.
func (c *Client) Closed() (code int, reason string) {
	c.t.Helper()
	r := c.next()
	closed, ok := r.err.(client.Closed)
	if !ok {
		c.t.Fatalf("tidegatetest: want the server's close frame, got message %q, error %v", r.text, r.err)
	}
	return closed.Code, closed.Text
}

func (c *Client) next() received {
	select {
	case r := <-c.in:
		return r
	case <-time.After(patience):
		return received{err: fmt.Errorf("nothing came in %v", patience)}
	}
}
