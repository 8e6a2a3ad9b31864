package intercept

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustOpen(t testing.TB, dir string, domains ...string) *Authority {
	t.Helper()
	a, err := Open(dir, domains...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOpenKeepsTheAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "ca")
	a := mustOpen(t, dir)
	again := mustOpen(t, dir)
	if !bytes.Equal(a.CertPEM(), again.CertPEM()) {
		t.Error("a second Open made another authority")
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]os.FileMode{keyFile: 0o600, certFile: 0o644, ".": 0o700} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v; want %v", name, info.Mode().Perm(), err, want)
			}
		}
	}
	if bytes.Contains(a.CertPEM(), []byte("PRIVATE")) {
		t.Error("CertPEM holds the key")
	}
	other := mustOpen(t, dir, "Chat.Example.com.")
	if bytes.Equal(a.CertPEM(), other.CertPEM()) || !other.Covers("ws.chat.example.com") {
		t.Error("other domains did not make another authority")
	}
	if a.cert.Subject.String() == other.cert.Subject.String() {
		t.Error("two authorities have one name")
	}
}

func TestOpenAtTheSameTime(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	got := make([][]byte, 8)
	for i := range got {
		wg.Go(func() {
			a, err := Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = a.CertPEM()
		})
	}
	wg.Wait()
	for _, b := range got {
		if !bytes.Equal(b, got[0]) {
			t.Error("two authorities came of one folder")
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, domain := range []string{"", "com", "exa mple.com", "*", "a..b", "-a.com", strings.Repeat("a", 64) + ".com"} {
		if _, err := Open(t.TempDir(), domain); err == nil {
			t.Errorf("domain %q was accepted", domain)
		}
	}
	spoil := map[string]func(dir string) error{
		"a readable key": func(dir string) error { return os.Chmod(filepath.Join(dir, keyFile), 0o644) },
		"a broken key":   func(dir string) error { return os.WriteFile(filepath.Join(dir, keyFile), []byte("x"), 0o600) },
		"a broken certificate": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, certFile), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o644)
		},
		"another's key": func(dir string) error {
			b, err := os.ReadFile(filepath.Join(mustOpen(t, t.TempDir()).dir, keyFile))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, keyFile), b, 0o600)
		},
	}
	for what, do := range spoil {
		if what == "a readable key" && runtime.GOOS == "windows" {
			continue
		}
		dir := t.TempDir()
		mustOpen(t, dir)
		if err := do(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil {
			t.Errorf("%s was accepted", what)
		} else if strings.Contains(err.Error(), "BEGIN PRIVATE") {
			t.Errorf("%s: the error holds the key", what)
		}
	}
}

// serve answers every TLS connection with its SNI, and returns the address.
func serve(t testing.TB, a *Authority) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", a.TLSConfig(nil))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.TLS.ServerName, r.Proto)
	})}
	srv.ErrorLog = log.New(io.Discard, "", 0) // refused names are expected
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return l.Addr().String()
}

func TestHandshakeByName(t *testing.T) {
	a := mustOpen(t, t.TempDir(), "ws.example.com")
	addr := serve(t, a)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.CertPEM())
	tests := []struct {
		sni, verify string
		ok          bool
	}{
		{"localhost", "localhost", true},
		{"app.localhost", "app.localhost", true},
		{"", "127.0.0.1", true},
		{"", "::1", true},
		{"", "localhost", true},
		{"abc123.execute-api.us-east-1.amazonaws.com", "abc123.execute-api.us-east-1.amazonaws.com", true},
		{"DynamoDB.us-east-1.amazonaws.com", "dynamodb.us-east-1.amazonaws.com", true},
		{"ws.example.com", "ws.example.com", true},
		{"a.ws.example.com", "a.ws.example.com", true},
		{"example.com", "example.com", false},
		{"www.google.com", "www.google.com", false},
		{"evilamazonaws.com", "evilamazonaws.com", false},
		{"amazonaws.com.evil.example", "amazonaws.com.evil.example", false},
	}
	for _, tt := range tests {
		conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: tt.sni, InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			if tt.ok {
				t.Errorf("%q: %v", tt.sni, err)
			}
			continue
		}
		state := conn.ConnectionState()
		conn.Close()
		_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: tt.verify})
		if (err == nil) != tt.ok {
			t.Errorf("%q verified as %q: %v, want ok %v", tt.sni, tt.verify, err, tt.ok)
		}
		if state.NegotiatedProtocol != "http/1.1" {
			t.Errorf("protocol %q", state.NegotiatedProtocol)
		}
		if life := state.PeerCertificates[0].NotAfter.Sub(state.PeerCertificates[0].NotBefore); life > leafLife+backdate {
			t.Errorf("a leaf lives for %v", life)
		}
	}
	if _, err := a.Certificate("example.org"); !errors.Is(err, ErrName) {
		t.Errorf("example.org: %v", err)
	}
}

// TestHTTP2Alone: services speak HTTP/2 with who speaks nothing else; stages and
// this machine's own names don't, and the refusal names the host.
func TestHTTP2Alone(t *testing.T) {
	config := mustOpen(t, t.TempDir()).TLSConfig(nil)
	const service = "bedrock-runtime.us-east-1.amazonaws.com"
	for _, tt := range []struct {
		host   string
		offers []string
		agreed string
	}{
		{service, []string{"h2"}, "h2"},
		{"Kinesis.us-east-1.amazonaws.com", []string{"h2"}, "h2"},
		{service, []string{"h2", "http/1.1"}, "http/1.1"},
		{service, []string{"http/1.1"}, "http/1.1"},
		{service, nil, ""},
		{"abc123.execute-api.us-east-1.amazonaws.com", []string{"h2"}, "refused"},
		{"localhost", []string{"h2"}, "refused"},
		{"localhost", []string{"h2", "http/1.1"}, "http/1.1"},
	} {
		near, far := net.Pipe()
		client := tls.Client(far, &tls.Config{ServerName: tt.host, NextProtos: tt.offers, InsecureSkipVerify: true})
		go client.Handshake()
		server := tls.Server(near, config)
		err := server.Handshake()
		near.Close()
		if tt.agreed == "refused" {
			if !errors.Is(err, ErrHTTP2) || !strings.Contains(err.Error(), tt.host) {
				t.Errorf("%s, %v: %v, want ErrHTTP2 with the host", tt.host, tt.offers, err)
			}
			continue
		}
		if got := server.ConnectionState().NegotiatedProtocol; err != nil || got != tt.agreed {
			t.Errorf("%s, %v: %q, %v, want %q", tt.host, tt.offers, got, err, tt.agreed)
		}
	}
}

func TestLeavesAreKeptAndBounded(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	first, err := a.Certificate("x.localhost")
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := a.Certificate("X.localhost."); again != first {
		t.Error("one name got two certificates")
	}
	for i := range maxLeaves + 20 {
		if _, err := a.Certificate(fmt.Sprintf("n%d.localhost", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(a.leaves.held); n > maxLeaves {
		t.Errorf("%d certificates are kept", n)
	}
}

// forge makes a certificate for a name that the authority must not vouch for,
// with the authority's key: what a thief of the key would do.
func forge(t *testing.T, a *Authority, name string, ip net.IP) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: newSerial(), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if name != "" {
		template.DNSNames = []string{name}
	}
	if ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestNameConstraints(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.CertPEM())
	for _, forged := range []struct {
		name string
		ip   net.IP
	}{{name: "www.example.com"}, {name: "evilamazonaws.com"}, {ip: net.IPv4(10, 0, 0, 1)}, {ip: net.ParseIP("2001:db8::1")}} {
		c := forge(t, a, forged.name, forged.ip)
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
			t.Errorf("Go accepts a certificate for %s%s", forged.name, forged.ip)
		}
	}
}

func TestNameConstraintsWithOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("needs openssl on PATH")
	}
	a := mustOpen(t, t.TempDir())
	good, err := a.Certificate("dynamodb.us-east-1.amazonaws.com")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		cert []byte
		ok   bool
	}{
		"good": {good.Certificate[0], true},
		"bad":  {forge(t, a, "www.example.com", nil).Certificate[0], false},
		"ip":   {forge(t, a, "", net.IPv4(10, 0, 0, 1)).Certificate[0], false},
	} {
		file := filepath.Join(t.TempDir(), "leaf.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tt.cert}), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(openssl, "verify", "-CAfile", a.CertPath(), file).CombinedOutput()
		if (err == nil) != tt.ok {
			t.Errorf("%s: openssl says %s", name, out)
		}
	}
}

func TestNameConstraintsWithNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node on PATH")
	}
	a := mustOpen(t, t.TempDir())
	bad := forge(t, a, "www.example.com", nil)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{bad}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { c.(*tls.Conn).Handshake(); io.Copy(io.Discard, c); c.Close() }()
		}
	}()
	const script = `
const tls = require('tls');
const [host, port, servername] = process.argv.slice(1);
const s = tls.connect({ host, port, servername }, () => { console.log('ok'); s.destroy(); });
s.on('error', (e) => console.log(e.message));`
	for _, tt := range []struct{ addr, name, want string }{
		{serve(t, a), "abc.execute-api.us-east-1.amazonaws.com", "ok"},
		{l.Addr().String(), "www.example.com", "permitted subtree violation"},
	} {
		host, port, _ := net.SplitHostPort(tt.addr)
		cmd := exec.Command(node, "-e", script, host, port, tt.name)
		cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+a.CertPath())
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != tt.want {
			t.Errorf("%s: node says %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestBundle(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	roots := mustOpen(t, t.TempDir()) // another authority stands for the system's roots
	t.Setenv("SSL_CERT_FILE", roots.CertPath())
	path := filepath.Join(t.TempDir(), "bundle.pem")
	if err := a.Bundle(path, nil); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, a.CertPEM()) || !bytes.Contains(b, roots.CertPEM()) {
		t.Errorf("the bundle lacks one of the two:\n%s", b)
	}
	t.Setenv("SSL_CERT_FILE", filepath.Join(t.TempDir(), "absent"))
	if err := a.Bundle(path, nil); err == nil {
		t.Error("a bundle without roots was written")
	}
}

func FuzzCertificate(f *testing.F) {
	a := mustOpen(f, f.TempDir())
	for _, name := range []string{"", "localhost", "a.amazonaws.com", "*.localhost", "x\x00.localhost", "127.0.0.1", "..localhost", "ü.localhost"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		c, err := a.Certificate(name)
		if err != nil {
			return
		}
		for _, got := range c.Leaf.DNSNames {
			if got != "localhost" && got != "amazonaws.com" && !strings.HasSuffix(got, ".localhost") && !strings.HasSuffix(got, ".amazonaws.com") {
				t.Errorf("%q got a certificate for %q", name, got)
			}
		}
	})
}

func BenchmarkCertificate(b *testing.B) {
	a := mustOpen(b, b.TempDir())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Certificate("abc.execute-api.us-east-1.amazonaws.com"); err != nil {
			b.Fatal(err)
		}
	}
}

// TestOldTLS: a client that speaks nothing newer than TLS 1.1 gets no further than
// its greeting, as at API Gateway's endpoints.
func TestOldTLS(t *testing.T) {
	addr := serve(t, mustOpen(t, t.TempDir()))
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v, want ok %v", tls.VersionName(version), err, ok)
		}
		if err == nil {
			conn.Close()
		}
	}
}
