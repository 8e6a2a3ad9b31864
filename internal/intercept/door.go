package intercept

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Bounds of the door.
const (
	maxTunnels     = 1024 // connections at one time
	maxDoorHeader  = 8 << 10
	doorHeaderTime = 10 * time.Second
	dialTime       = 30 * time.Second
)

// A DoorConfig says where the door leads.
type DoorConfig struct {
	// Covers says which hosts and ports are answered here; the host is in lower case.
	Covers func(host, port string) bool
	// Answer serves a connection whose next bytes are a TLS handshake for such a
	// host; read is what has been read of it. The connection is its from then on.
	Answer func(c net.Conn, read []byte)
	// Proxy returns the user's own proxy for a URL, nil when there is none; nil is
	// what the environment says (HTTPS_PROXY, NO_PROXY).
	Proxy func(*http.Request) (*url.URL, error)
}

// A Door is an HTTP proxy on a loopback port for functions whose programs know
// no other way to Tidegate than HTTPS_PROXY: CONNECT to a host that the authority
// vouches for is answered here, any other is tunnelled. It listens from the first
// Pass on; who comes without a password of a Pass is refused.
type Door struct {
	cfg    DoorConfig
	dialer net.Dialer
	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	slots  chan struct{}

	mu     sync.Mutex
	closed bool
	server *http.Server
	host   string
	passes map[string]*pass // by user name
	served sync.WaitGroup
}

// A pass is what one environment enters with.
type pass struct {
	password string
	tunnels  map[net.Conn]struct{} // guarded by Door.mu
}

// NewDoor returns a door that doesn't listen yet. Close it.
func NewDoor(cfg DoorConfig) *Door {
	if cfg.Proxy == nil {
		cfg.Proxy = http.ProxyFromEnvironment
	}
	d := &Door{cfg: cfg, dialer: net.Dialer{Timeout: dialTime}, slots: make(chan struct{}, maxTunnels), passes: map[string]*pass{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// Pass returns a URL for HTTPS_PROXY that holds a new password, and a func that
// ends it with all that was tunnelled by it.
func (d *Door) Pass() (address string, end func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return "", nil, net.ErrClosed
	}
	if d.server == nil {
		if err := d.listen(); err != nil {
			return "", nil, err
		}
	}
	user, p := secret(9), &pass{password: secret(24), tunnels: map[net.Conn]struct{}{}}
	d.passes[user] = p
	u := url.URL{Scheme: "http", User: url.UserPassword(user, p.password), Host: d.host}
	return u.String(), func() { d.revoke(user, p) }, nil
}

func secret(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails: crypto/rand aborts the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// listen begins to serve. The caller holds mu.
func (d *Door) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("intercept: the door's listener: %w", err)
	}
	d.host = l.Addr().String()
	d.server = &http.Server{
		Handler: d, ReadHeaderTimeout: doorHeaderTime, IdleTimeout: doorHeaderTime, MaxHeaderBytes: maxDoorHeader,
		ErrorLog: log.New(io.Discard, "", 0), // what net/http would log is the client's fault
	}
	d.served.Go(func() { d.server.Serve(&boundedListener{Listener: l, slots: d.slots}) })
	return nil
}

// revoke ends a pass.
func (d *Door) revoke(user string, p *pass) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passes[user] == p {
		delete(d.passes, user)
	}
	for c := range p.tunnels {
		c.Close()
	}
}

// Close ends the listener and every tunnel. What Answer was given is not ended.
func (d *Door) Close() error {
	d.cancel()
	d.mu.Lock()
	d.closed = true
	server := d.server
	for _, p := range d.passes {
		for c := range p.tunnels {
			c.Close()
		}
	}
	d.mu.Unlock()
	if server != nil {
		server.Close()
	}
	d.served.Wait()
	return nil
}

// ServeHTTP serves CONNECT (RFC 9110, section 9.3.6).
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := d.enter(r)
	if p == nil {
		w.Header().Set("Proxy-Authenticate", `Basic realm="Tidegate"`)
		http.Error(w, "This proxy is for the functions of one Tidegate, each with a password of its own in HTTPS_PROXY.", http.StatusProxyAuthRequired)
		return
	}
	host, port, err := net.SplitHostPort(r.Host)
	switch {
	case r.Method != http.MethodConnect:
		http.Error(w, "This proxy takes CONNECT only, as for https.", http.StatusMethodNotAllowed)
		return
	case err != nil || host == "" || port == "":
		http.Error(w, "CONNECT needs host:port.", http.StatusBadRequest)
		return
	case d.cfg.Covers(strings.ToLower(strings.TrimSuffix(host, ".")), port):
		if c, read := d.established(w); c != nil {
			d.cfg.Answer(c, read)
		}
		return
	}
	out, err := d.dial(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if c, read := d.established(w); c != nil {
		d.tunnel(p, c, out, read)
		return
	}
	out.Close()
}

// enter returns the pass that a request shows, or nil.
func (d *Door) enter(r *http.Request) *pass {
	text, ok := strings.CutPrefix(r.Header.Get("Proxy-Authorization"), "Basic ")
	b, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return nil
	}
	user, password, _ := strings.Cut(string(b), ":")
	d.mu.Lock()
	p := d.passes[user]
	d.mu.Unlock()
	if p == nil || subtle.ConstantTimeCompare([]byte(p.password), []byte(password)) != 1 {
		return nil
	}
	return p
}

// established takes the connection from net/http and says that it is open; nil
// when the client has gone.
func (d *Door) established(w http.ResponseWriter) (net.Conn, []byte) {
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil
	}
	c.SetDeadline(time.Time{})
	read, err := buffered.Reader.Peek(buffered.Reader.Buffered())
	if err == nil {
		_, err = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	}
	if err != nil {
		c.Close()
		return nil, nil
	}
	return c, read
}

// dial opens the way to a host: through the user's own proxy when there is one.
func (d *Door) dial(r *http.Request) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, dialTime)
	defer cancel()
	proxy, err := d.cfg.Proxy(&http.Request{URL: &url.URL{Scheme: "https", Host: r.Host}})
	if err != nil {
		return nil, fmt.Errorf("HTTPS_PROXY of the shell that runs Tidegate: %w", err)
	}
	if proxy == nil {
		c, err := d.dialer.DialContext(ctx, "tcp", r.Host)
		if err != nil {
			return nil, fmt.Errorf("%s can't be reached: %w", r.Host, err)
		}
		return c, nil
	}
	return d.dialThrough(ctx, proxy, r.Host)
}

// dialThrough asks another proxy for the tunnel.
func (d *Door) dialThrough(ctx context.Context, proxy *url.URL, host string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, fmt.Errorf("%s can't be reached through the proxy %s: %w", host, proxy.Host, err)
	}
	port := proxy.Port()
	switch {
	case proxy.Scheme != "http" && proxy.Scheme != "https":
		return fail(fmt.Errorf("Tidegate speaks to http and https proxies, not to %s", proxy.Scheme))
	case port == "" && proxy.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	c, err := d.dialer.DialContext(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), port))
	if err != nil {
		return fail(err)
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if proxy.Scheme == "https" {
		t := tls.Client(c, &tls.Config{ServerName: proxy.Hostname(), MinVersion: tls.VersionTLS12})
		if err := t.HandshakeContext(ctx); err != nil {
			c.Close()
			return fail(err)
		}
		c = t
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: host}, Host: host, Header: http.Header{}}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	answer := bufio.NewReader(io.LimitReader(c, maxDoorHeader))
	err = req.Write(c)
	var resp *http.Response
	if err == nil {
		resp, err = http.ReadResponse(answer, req)
	}
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err == nil && answer.Buffered() > 0 {
		err = errors.New("it spoke before the client did") // TLS: the client speaks first
	}
	if err != nil {
		c.Close()
		return fail(err)
	}
	return c, nil
}

// tunnel carries bytes both ways until both sides are done, or the pass ends.
func (d *Door) tunnel(p *pass, in, out net.Conn, read []byte) {
	d.mu.Lock()
	open := !d.closed
	for _, known := range d.passes {
		if known == p && open {
			p.tunnels[in], p.tunnels[out] = struct{}{}, struct{}{}
		}
	}
	_, ok := p.tunnels[in]
	d.mu.Unlock()
	defer func() {
		in.Close()
		out.Close()
		d.mu.Lock()
		delete(p.tunnels, in)
		delete(p.tunnels, out)
		d.mu.Unlock()
	}()
	if !ok {
		return // the pass ended while we dialled
	}
	if _, err := out.Write(read); err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		carry(in, out)
	}()
	carry(out, in)
	<-done
}

// carry copies one way and says its end to the other side. A side that broke
// ends both ways.
func carry(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		return
	}
	to.Close()
}

// A boundedListener accepts no more connections than there are slots.
type boundedListener struct {
	net.Listener
	slots chan struct{}
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &slotted{TCPConn: c.(*net.TCPConn), free: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
		}
		// Nobody waits for a place: a client that is told at once can say why. What is
		// so short fits the socket's buffer.
		io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		c.Close()
	}
}

// A slotted connection gives its slot back when it is closed.
type slotted struct {
	*net.TCPConn
	free func()
}

// Close implements net.Conn.
func (c *slotted) Close() error {
	c.free()
	return c.TCPConn.Close()
}
