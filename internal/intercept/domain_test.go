package intercept

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDomains: a domain's authority vouches for it alone, lasts, and goes when the
// domain goes.
func TestDomains(t *testing.T) {
	dir := t.TempDir()
	d := OpenDomains(dir)
	for _, name := range []string{"ws.example.test", "*.dev.example.test", "ws.example.test"} {
		if err := d.Add(name); err != nil {
			t.Fatal(err)
		}
	}
	user := mustOpen(t, t.TempDir())
	l, err := tls.Listen("tcp", "127.0.0.1:0", user.TLSConfig(d.Certificate))
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
			go func() { c.(*tls.Conn).Handshake(); c.Close() }()
		}
	}()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(d.CertPEM())
	for name, want := range map[string]string{
		"ws.example.test": "domain", "WS.Example.Test": "domain", "a.dev.example.test": "domain", "x.ws.example.test": "none",
		"a.b.dev.example.test": "none", "dev.example.test": "none", "example.test": "none", "app.localhost": "user",
	} {
		got := "none"
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err == nil {
			got = "user"
			if _, err := conn.ConnectionState().PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err == nil {
				got = "domain"
			}
			conn.Close()
		}
		if got != want || d.Covers(name) != (want == "domain") {
			t.Errorf("%s got the certificate of %s (covered: %v), want %s", name, got, d.Covers(name), want)
		}
	}
	// A thief of the domain's key gets nowhere else.
	for _, name := range []string{"localhost", "www.example.com", "example.test"} {
		c := forge(t, d.owned["ws.example.test"], name, nil)
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
			t.Errorf("the authority of ws.example.test vouches for %s", name)
		}
	}
	again := OpenDomains(dir)
	if err := again.Add("ws.example.test"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(d.CertPEM(), again.CertPEM()) || len(again.CertPEM()) == 0 {
		t.Error("a second start made another authority")
	}
	again.Remove("ws.example.test")
	if again.Covers("ws.example.test") || len(again.CertPEM()) > 0 {
		t.Error("a domain that was removed is still served")
	}
	for _, name := range []string{"", "com", "../x.test", "*.*.test", "a/b.test"} {
		if err := d.Add(name); err == nil {
			t.Errorf("%q was added", name)
		}
	}
}

// TestGivenCertificate: a domain is served with what its owner gives, if it is the
// domain's.
func TestGivenCertificate(t *testing.T) {
	issuer := OpenDomains(t.TempDir())
	if err := issuer.Add("ws.example.test"); err != nil {
		t.Fatal(err)
	}
	made, err := issuer.Certificate("ws.example.test")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: made.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	given, err := LoadCertificate("ws.example.test", certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	d := OpenDomains(t.TempDir())
	d.Give("ws.example.test", given)
	if c, err := d.Certificate("ws.example.test"); c != nil || err != nil {
		t.Errorf("before the domain is made: %v, %v", c, err)
	}
	if err := d.Add("ws.example.test"); err != nil {
		t.Fatal(err)
	}
	if c, err := d.Certificate("ws.example.test"); err != nil || !bytes.Equal(c.Certificate[0], made.Certificate[0]) || d.CertPath("ws.example.test") != "" {
		t.Errorf("the given certificate isn't served: %v", err)
	}
	for what, try := range map[string][3]string{
		"is not for chat.example.test, but for ws.example.test": {"chat.example.test", certFile, keyFile},
		"no such file": {"ws.example.test", filepath.Join(dir, "none"), keyFile},
		"PEM":          {"ws.example.test", keyFile, certFile},
	} {
		if _, err := LoadCertificate(try[0], try[1], try[2]); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v: %v, want %q", try, err, what)
		}
		if err != nil && strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("the error holds a key: %v", err)
		}
	}
}
