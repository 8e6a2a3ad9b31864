package intercept

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// noProxy is a machine without a proxy of its own, whatever the environment says.
func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

// openDoor returns a door that answers for the authority's names below
// amazonaws.com with their host and what was asked.
func openDoor(t *testing.T, proxy func(*http.Request) (*url.URL, error)) (*Door, *Authority) {
	t.Helper()
	ca, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := NewDoor(DoorConfig{
		Covers: func(host, port string) bool {
			return port == "443" && strings.HasSuffix(host, ".amazonaws.com") && ca.Covers(host)
		},
		Answer: func(c net.Conn, read []byte) {
			defer c.Close()
			secure := tls.Server(&prefixed{c, read}, ca.TLSConfig(nil))
			r, err := http.ReadRequest(bufio.NewReader(secure))
			if err != nil {
				return
			}
			text := "answered here: " + r.Host + r.URL.Path
			fmt.Fprintf(secure, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
		},
		Proxy: proxy,
	})
	t.Cleanup(func() { d.Close() })
	return d, ca
}

type prefixed struct {
	net.Conn
	read []byte
}

func (c *prefixed) Read(p []byte) (int, error) {
	if len(c.read) > 0 {
		n := copy(p, c.read)
		c.read = c.read[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func newPass(t *testing.T, d *Door) (*url.URL, func()) {
	t.Helper()
	address, end, err := d.Pass()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u, end
}

// through is a client whose HTTPS_PROXY is proxy, and that trusts roots.
func through(t *testing.T, proxy *url.URL, roots *x509.CertPool) *http.Client {
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func text(t *testing.T, c *http.Client, address string) string {
	t.Helper()
	resp, err := c.Get(address)
	if err != nil {
		t.Fatalf("GET %s: %v", address, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// world is an https server that is none of ours, and the roots that vouch for it
// and for the authority.
func world(t *testing.T, ca *Authority) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the world") }))
	t.Cleanup(other.Close)
	roots := x509.NewCertPool()
	roots.AddCert(other.Certificate())
	roots.AppendCertsFromPEM(ca.CertPEM())
	return other, roots
}

func TestDoor(t *testing.T) {
	d, ca := openDoor(t, noProxy)
	other, roots := world(t, ca)
	proxy, _ := newPass(t, d)
	if host := proxy.Hostname(); host != "127.0.0.1" {
		t.Errorf("it listens on %s", host)
	}
	c := through(t, proxy, roots)
	if got := text(t, c, "https://dynamodb.us-east-1.amazonaws.com/x"); got != "answered here: dynamodb.us-east-1.amazonaws.com/x" {
		t.Error(got)
	}
	if got := text(t, c, other.URL); got != "the world" {
		t.Error(got)
	}
	// What isn't there is told by name, and isn't answered here.
	if _, err := c.Get("https://amazonaws.com.example.invalid"); err == nil || !strings.Contains(err.Error(), "Bad Gateway") {
		t.Errorf("a host that isn't there: %v", err)
	}
}

// Only who has a living pass enters.
func TestDoorRefuses(t *testing.T) {
	d, _ := openDoor(t, noProxy)
	proxy, end := newPass(t, d)
	another, endAnother := newPass(t, d)
	password, _ := proxy.User.Password()
	basic := func(user, password string) string {
		return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\r\n"
	}
	good := basic(proxy.User.Username(), password)
	const connect = "CONNECT dynamodb.us-east-1.amazonaws.com:443 HTTP/1.1\r\nHost: dynamodb.us-east-1.amazonaws.com:443\r\n"
	ask := func(request string) string {
		t.Helper()
		c, err := net.Dial("tcp", proxy.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, request)
		status, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(status)
	}
	for _, tt := range []struct{ name, request, want string }{
		{"the password", connect + good + "\r\n", "HTTP/1.1 200 Connection established"},
		{"no password", connect + "\r\n", "HTTP/1.1 407 Proxy Authentication Required"},
		{"another's password", connect + basic(another.User.Username(), password) + "\r\n", "HTTP/1.1 407 Proxy Authentication Required"},
		{"no name", connect + basic("", password) + "\r\n", "HTTP/1.1 407 Proxy Authentication Required"},
		{"an empty password", connect + basic(proxy.User.Username(), "") + "\r\n", "HTTP/1.1 407 Proxy Authentication Required"},
		{"not Basic", connect + "Proxy-Authorization: Bearer " + password + "\r\n\r\n", "HTTP/1.1 407 Proxy Authentication Required"},
		{"plain http", "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n" + good + "\r\n", "HTTP/1.1 405 Method Not Allowed"},
		{"no port", strings.ReplaceAll(connect, ":443", "") + good + "\r\n", "HTTP/1.1 400 Bad Request"},
		{"a long header", connect + good + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large"},
	} {
		if got := ask(tt.request); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	end()
	if got := ask(connect + good + "\r\n"); got != "HTTP/1.1 407 Proxy Authentication Required" {
		t.Errorf("a pass that has ended: %s", got)
	}
	endAnother()
	d.Close()
	if c, err := net.Dial("tcp", proxy.Host); err == nil {
		c.Close()
		t.Error("it listens after Close")
	}
	if _, _, err := d.Pass(); err == nil {
		t.Error("a pass for a closed door")
	}
}

// The end of a pass cuts off what was tunnelled by it, and nothing else.
func TestDoorEndsTunnels(t *testing.T) {
	d, _ := openDoor(t, noProxy)
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	open := func(proxy *url.URL) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", proxy.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		password, _ := proxy.User.Password()
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic %s\r\n\r\nearly", echo.Addr(), echo.Addr(),
			base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password)))
		want := "HTTP/1.1 200 Connection established\r\n\r\nearly"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatalf("%q %v", got, err)
		}
		return c
	}
	one, end := newPass(t, d)
	two, _ := newPass(t, d)
	first, second := open(one), open(two)
	end()
	if n, err := first.Read(make([]byte, 1)); err == nil {
		t.Errorf("the tunnel lives after its pass: %d bytes", n)
	}
	io.WriteString(second, "more")
	got := make([]byte, 4)
	if _, err := io.ReadFull(second, got); err != nil || string(got) != "more" {
		t.Errorf("another's tunnel: %q %v", got, err)
	}
	// Half a close goes through: the other side still answers.
	second.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(second); err != nil || len(rest) != 0 {
		t.Errorf("after half a close: %q %v", rest, err)
	}
	third := open(two)
	d.Close()
	if n, err := third.Read(make([]byte, 1)); err == nil {
		t.Errorf("the tunnel lives after Close: %d bytes", n)
	}
}

// With a proxy of the user's own, the world is reached through it; we are not.
func TestDoorBehindAProxy(t *testing.T) {
	var connects atomic.Int32
	var said atomic.Pointer[string]
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth := r.Header.Get("Proxy-Authorization")
		said.Store(&auth)
		connects.Add(1)
		if strings.HasPrefix(r.Host, "forbidden.") {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			out.Close()
			return
		}
		io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { defer in.Close(); io.Copy(in, out) }()
		io.Copy(out, in)
		out.Close()
	}))
	defer own.Close()
	d, ca := openDoor(t, func(r *http.Request) (*url.URL, error) {
		u, err := url.Parse(own.URL)
		if err == nil {
			u.User = url.UserPassword("me", "mine")
		}
		return u, err
	})
	other, roots := world(t, ca)
	proxy, _ := newPass(t, d)
	c := through(t, proxy, roots)
	if got := text(t, c, other.URL); got != "the world" {
		t.Error(got)
	}
	if n := connects.Load(); n != 1 || *said.Load() != "Basic "+base64.StdEncoding.EncodeToString([]byte("me:mine")) {
		t.Errorf("the user's proxy was asked %d times, with %q", n, *said.Load())
	}
	if got := text(t, c, "https://sts.amazonaws.com/"); got != "answered here: sts.amazonaws.com/" || connects.Load() != 1 {
		t.Errorf("%s, after %d connections of the user's proxy", got, connects.Load())
	}
	if _, err := c.Get("https://forbidden.example"); err == nil || !strings.Contains(err.Error(), "Bad Gateway") {
		t.Errorf("what the user's proxy refuses: %v", err)
	}
	socks, _ := openDoor(t, func(*http.Request) (*url.URL, error) { return url.Parse("socks5://127.0.0.1:1") })
	proxy, _ = newPass(t, socks)
	if _, err := through(t, proxy, roots).Get(other.URL); err == nil {
		t.Error("a SOCKS proxy was passed by")
	}
}
