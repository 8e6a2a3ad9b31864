package goconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tidegate/internal/transport"
)

// testTLS returns a server's and a client's configuration that trust each other.
func testTLS(t testing.TB) (server, client *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"gateway.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"http/1.1"}},
		&tls.Config{RootCAs: roots, ServerName: "gateway.test"}
}

// echoHandler echoes messages, answers /tls with whether TLS is seen, and
// leaves other requests to the fallback.
type echoHandler struct{ closes chan transport.CloseReason }

func (h echoHandler) OnUpgrade(r *transport.Request, u transport.Upgrade) {
	u.Accept([]transport.Field{{Name: "X-TLS", Value: fmt.Sprint(r.TLS)}}, func(transport.Conn) {})
}
func (h echoHandler) OnRequest(r *transport.Request, w transport.Reply) bool {
	if r.Target != "/tls" {
		return false
	}
	w.Respond(200, nil, fmt.Append(nil, r.TLS))
	return true
}
func (h echoHandler) OnMessage(c transport.Conn, m transport.Message)            { c.Send(m.Payload, m.Binary) }
func (echoHandler) OnBreach(transport.Conn, transport.CloseReason) time.Duration { return 0 }
func (h echoHandler) OnClose(_ transport.Conn, why transport.CloseReason) {
	if h.closes != nil {
		h.closes <- why
	}
}
func (h echoHandler) Freeze(transport.Conn) ([]byte, error) { return nil, errors.ErrUnsupported }
func (h echoHandler) Thaw(transport.Conn, []byte) error     { return errors.ErrUnsupported }

// serve starts an engine on a port of this machine and returns its address.
func serve(t testing.TB, cfg Config, wrap func(net.Listener) net.Listener, h transport.Handler, fallback func(net.Conn)) (*Engine, string) {
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if wrap != nil {
		l = wrap(l)
	}
	done := make(chan struct{})
	go func() { defer close(done); e.Serve(l, h, fallback) }()
	t.Cleanup(func() { e.Close(); <-done })
	return e, addr
}

// One port takes plain and TLS, in the engine or from the listener; the
// fallback sees TLS too.
func TestTLS(t *testing.T) {
	serverTLS, clientTLS := testTLS(t)
	fallback := func(c net.Conn) {
		defer c.Close()
		state, ok := c.(interface{ ConnectionState() tls.ConnectionState })
		body := fmt.Sprint(ok && state.ConnectionState().HandshakeComplete)
		buf := make([]byte, 1024)
		n, _ := c.Read(buf)
		if !strings.HasPrefix(string(buf[:n]), "GET /other HTTP/1.1\r\n") {
			t.Errorf("the fallback reads %q", buf[:n])
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	}
	run := func(t *testing.T, addr string, useTLS bool) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS.Clone()}}
		defer client.CloseIdleConnections()
		scheme := map[bool]string{false: "", true: "s"}[useTLS]
		for _, path := range []string{"/tls", "/tls", "/other"} {
			res, err := client.Get("http" + scheme + "://" + addr + path)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if string(body) != fmt.Sprint(useTLS) {
				t.Errorf("%s says TLS is %s, want %v", path, body, useTLS)
			}
		}
		d := gobwas.Dialer{TLSConfig: clientTLS.Clone(), Timeout: 10 * time.Second}
		c, _, _, err := d.Dial(t.Context(), "ws"+scheme+"://"+addr+"/Prod")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, n := range []int{0, 1, 2048, 2049, 30000} {
			want := strings.Repeat("x", n)
			if err := wsutil.WriteClientText(c, []byte(want)); err != nil {
				t.Fatal(err)
			}
			if got, err := wsutil.ReadServerText(c); err != nil || string(got) != want {
				t.Fatalf("echo of %d bytes: %d bytes, %v", n, len(got), err)
			}
		}
	}
	cfg := Config{Limits: transport.DefaultLimits()}
	withTLS := cfg
	withTLS.TLS = serverTLS
	clientTLS.ServerName = "gateway.test"
	_, one := serve(t, withTLS, nil, echoHandler{}, fallback)
	t.Run("one port, TLS", func(t *testing.T) { run(t, one, true) })
	t.Run("one port, plain", func(t *testing.T) { run(t, one, false) })
	_, listener := serve(t, cfg, func(l net.Listener) net.Listener { return tls.NewListener(l, serverTLS) }, echoHandler{}, fallback)
	t.Run("TLS listener", func(t *testing.T) { run(t, listener, true) })
}

// A client that leaves, stalls or lies in its TLS handshake ends nothing else.
func TestTLSHandshakeFails(t *testing.T) {
	serverTLS, _ := testTLS(t)
	drops := make(chan transport.DropInfo, 10)
	l := transport.DefaultLimits()
	l.HandshakeTimeout = 50 * time.Millisecond
	_, addr := serve(t, Config{Limits: l, TLS: serverTLS, Events: transport.EventListener{
		Dropped: func(i transport.DropInfo) { drops <- i },
	}}, nil, echoHandler{}, nil)
	for _, sent := range []string{"\x16\x03\x01\x00\x05hello", "\x16\x03\x01"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, sent)
		io.Copy(io.Discard, c)
		c.Close()
		if i := <-drops; i.Reason != transport.DropTLSHandshake || i.Err == nil {
			t.Errorf("%q: %v, want %s", sent, i, transport.DropTLSHandshake)
		}
	}
}

func TestUnsupported(t *testing.T) {
	e, err := New(Config{Limits: transport.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Freeze(t.Context(), 1, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Freeze: %v, want ErrUnsupported", err)
	}
	if err := e.Thaw(nil, nil, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Thaw: %v, want ErrUnsupported", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("New without limits: no error")
	}
}
