// Package upstream is an HTTP/1.1 client for backends that are called once for
// every message of a client. It keeps connections, and while a backend works no
// goroutine and no timer waits for it: one write sends a request, the loop that
// finds the answer hands it on.
//
// Over TLS, and on systems other than Linux, a goroutine reads each connection.
// What the client doesn't speak goes by net/http: HTTP/2, hosts behind a proxy, and
// host names that aren't ASCII. What a host with TLS speaks, the first answer that
// net/http brings from it tells.
//
// Source: https://www.rfc-editor.org/rfc/rfc9112
package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tidegate/internal/event"
)

// A Config bounds a Client. Zero values mean the defaults.
type Config struct {
	MaxConns    int           // to one origin, idle or not
	MaxIdle     int           // kept to one origin
	IdleTimeout time.Duration // an idle connection is kept for as long
	Lifetime    time.Duration // a connection is used for as long
	DialTimeout time.Duration // name, connection and TLS
	MaxHead     int           // bytes of an answer's status line and header
	// Other reaches what the client itself doesn't; nil: a transport with these
	// bounds that takes proxies from the environment.
	Other *http.Transport

	streams bool // goroutines read connections, as where there are no loops
}

// The defaults of Config.
const (
	DefaultMaxConns    = 1024 // as many as an integration may have messages on their way
	DefaultMaxIdle     = 512
	DefaultIdleTimeout = 90 * time.Second
	DefaultLifetime    = 10 * time.Minute
	DefaultDialTimeout = 10 * time.Second
	DefaultMaxHead     = 64 << 10
)

func (c *Config) fill() {
	c.MaxConns = or(c.MaxConns, DefaultMaxConns)
	c.MaxIdle = min(or(c.MaxIdle, DefaultMaxIdle), c.MaxConns)
	c.IdleTimeout = or(c.IdleTimeout, DefaultIdleTimeout)
	c.Lifetime = or(c.Lifetime, DefaultLifetime)
	c.DialTimeout = or(c.DialTimeout, DefaultDialTimeout)
	c.MaxHead = or(c.MaxHead, DefaultMaxHead)
	if c.Other == nil {
		c.Other = NewTransport(*c)
	}
}

func or[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// NewTransport returns a transport of net/http with the bounds of c: connections
// are kept and reused, certificates are checked against the machine's roots,
// proxies come from the environment, HTTP/2 is spoken where it is offered, and
// bodies are left as the backend encoded them.
func NewTransport(c Config) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            newDialer(or(c.DialTimeout, DefaultDialTimeout)).DialContext,
		TLSHandshakeTimeout:    or(c.DialTimeout, DefaultDialTimeout),
		IdleConnTimeout:        or(c.IdleTimeout, DefaultIdleTimeout),
		MaxIdleConns:           4 * or(c.MaxIdle, DefaultMaxIdle),
		MaxIdleConnsPerHost:    or(c.MaxIdle, DefaultMaxIdle),
		MaxConnsPerHost:        or(c.MaxConns, DefaultMaxConns),
		MaxResponseHeaderBytes: int64(or(c.MaxHead, DefaultMaxHead)),
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

func newDialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}
}

// Errors of calls, to be tested with errors.Is. A call whose time is over fails
// with context.DeadlineExceeded.
var (
	// ErrMalformed says that an answer isn't HTTP/1.1 as RFC 9112 has it.
	ErrMalformed = errors.New("malformed HTTP response")
	// ErrTooBig says that an answer's body is over Request.MaxBody.
	ErrTooBig = errors.New("body too big")
	// ErrSwitched says that the backend switched protocols unasked (101).
	ErrSwitched = errors.New("switched protocols, though it was not asked to")
	// ErrRequest says that a request can't be written: a part of it would break its form.
	ErrRequest = errors.New("the request can't be sent")
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("the HTTP client is closed")
)

// A Client calls backends. It is safe for concurrent use.
type Client struct {
	config Config
	dialer *net.Dialer
	began  time.Time // what deadlines count from
	io     loops
	sweep  sweeper

	mu      sync.Mutex
	origins map[string]*Origin // by address
	closed  bool
}

// New returns a client without connections.
func New(c Config) *Client {
	c.fill()
	client := &Client{config: c, dialer: newDialer(c.DialTimeout), began: time.Now(), origins: map[string]*Origin{}}
	client.sweep.client = client
	return client
}

// Close ends all connections. Calls under way fail.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	var all []*Origin
	for _, o := range c.origins {
		all = append(all, o)
	}
	c.mu.Unlock()
	for _, o := range all {
		o.close()
	}
	c.io.close()
	c.sweep.stop()
	c.config.Other.CloseIdleConnections()
}

// now returns nanoseconds since the client began, never 0.
func (c *Client) now() int64 { return int64(time.Since(c.began)) + 1 }

// Origin returns the backend at the URL's scheme, host and port. Clients of the
// same origin share its connections.
func (c *Client) Origin(u *url.URL) *Origin {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	host := u.Hostname()
	can := isPlain(host)
	if can && c.config.Other.Proxy != nil {
		proxy, err := c.config.Other.Proxy(&http.Request{URL: u})
		can = proxy == nil && err == nil // of a proxy that can't be read, net/http tells
	}
	address := net.JoinHostPort(host, port)
	key := u.Scheme + "://" + address
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.origins[key]
	if o == nil {
		o = &Origin{client: c, address: address, base: u.Scheme + "://" + u.Host, closed: c.closed}
		if can && u.Scheme == "https" {
			o.secure = c.tlsConfig(host) // and net/http finds out what it speaks
		}
		o.own.Store(can && u.Scheme == "http")
		c.origins[key] = o
	}
	return o
}

// tlsConfig says how a host is spoken to with TLS: as net/http does, but HTTP/1.1.
func (c *Client) tlsConfig(host string) *tls.Config {
	config := c.config.Other.TLSClientConfig.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	config.NextProtos = []string{"http/1.1"}
	return config
}

// isPlain says that a host is the same in a Host field and for a dialer: no zone,
// nothing to encode.
func isPlain(host string) bool {
	return !strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 || r == '%' })
}

// A Request is what is sent, framed by the client: Header must hold neither Host,
// Content-Length nor what is between two hops.
type Request struct {
	Method string
	Target string // path and query: /in?x=1
	Host   string // of the Host field
	Header []event.Field
	Body   []byte // not looked at any more when Start or Do has returned
	// MaxBody bounds the answer's body, in bytes.
	MaxBody int
	Timeout time.Duration // until the whole answer is there
}

// A Response is an answer. Its fields have canonical names and are sorted by
// them; Transfer-Encoding is not among them.
type Response struct {
	Status int
	Header []event.Field
	Body   []byte
}

// A Receiver takes the outcome of a call, once. The response, its header and body
// are the client's again when Receive returns. It is called on a
// goroutine that others' answers wait for, perhaps before Start returns: it must
// not block.
type Receiver interface {
	Receive(*Response, error)
}

// Do sends the request and waits for the answer, until its timeout or ctx ends.
func (o *Origin) Do(ctx context.Context, r *Request) (*Response, error) {
	if !o.own.Load() {
		return o.other(ctx, r)
	}
	w := waiter{done: make(chan struct{})}
	call, err := o.start(ctx, r, &w)
	if err != nil {
		return nil, err
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		call.fail(ctx.Err())
		<-w.done
	}
	return w.response, w.err
}

// A waiter is a Receiver that keeps the outcome.
type waiter struct {
	done     chan struct{}
	response *Response
	err      error
}

// Receive implements Receiver.
func (w *waiter) Receive(r *Response, err error) {
	w.err = err
	if r != nil {
		w.response = &Response{Status: r.Status, Header: slices.Clone(r.Header), Body: bytes.Clone(r.Body)}
	}
	close(w.done)
}

// Start sends the request and returns. The outcome goes to to; ctx ending fails
// the call soon. A backend that net/http calls has a goroutine wait for it.
func (o *Origin) Start(ctx context.Context, r *Request, to Receiver) {
	if !o.own.Load() {
		kept := *r
		kept.Header, kept.Body = slices.Clone(r.Header), bytes.Clone(r.Body)
		go func() { to.Receive(o.other(ctx, &kept)) }()
		return
	}
	if _, err := o.start(ctx, r, to); err != nil {
		to.Receive(nil, err)
	}
}

// start makes a call of the request and gives it a connection, or has it wait for
// one. The error means that there is none to wait for.
func (o *Origin) start(ctx context.Context, r *Request, to Receiver) (*call, error) {
	buf := buffers.Get().(*[]byte)
	wire, err := AppendRequest((*buf)[:0], r)
	*buf = wire
	if err != nil {
		putBuffer(buf)
		return nil, err
	}
	now := o.client.now()
	c := &call{
		origin: o, request: buf, ctx: ctx, to: to, head: r.Method == http.MethodHead, maxBody: r.MaxBody,
		repeatable: repeatable(r.Method), began: now, deadline: now + int64(r.Timeout),
	}
	o.client.sweep.hurry()
	o.assign(c)
	return c, nil
}

// repeatable says that sending a request twice does what sending it once does
// (RFC 9110, section 9.2.2).
func repeatable(method string) bool {
	return method != http.MethodPost && method != http.MethodPatch
}

// buffers hold requests on their way.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

const keptBuffer = 64 << 10 // a buffer up to this size is used again

func putBuffer(b *[]byte) {
	if cap(*b) <= keptBuffer {
		buffers.Put(b)
	}
}

// A call is one request on its way to its answer.
type call struct {
	origin     *Origin
	request    *[]byte // from buffers
	ctx        context.Context
	to         Receiver
	began      int64 // on the client's clock
	deadline   int64 // the same
	maxBody    int
	head       bool // answered without a body
	repeatable bool
	repeated   bool // sent a second time

	settled  atomic.Bool
	response Response // of the loop that read it
}

// settle says whether the outcome is the caller's to tell: it is told once.
func (c *call) settle() bool { return !c.settled.Swap(true) }

// late returns why the call can't wait any longer, or nil.
func (c *call) late(now int64) error {
	if now >= c.deadline {
		return context.DeadlineExceeded
	}
	return c.ctx.Err()
}

// fail ends a call that has no connection, or is to lose it.
func (c *call) fail(err error) {
	if c.settle() {
		c.to.Receive(nil, err)
	}
}
