package intercept

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxLeaves bounds how many certificates are kept; making one takes well under
// a millisecond.
const maxLeaves = 256

// ErrName says that a name was asked for that the authority doesn't vouch for.
var ErrName = errors.New("intercept: not a name that Tidegate answers for")

// ErrHTTP2 says that a client of a stage, or of this machine's own name, speaks
// nothing but HTTP/2, in which there is no WebSocket here.
var ErrHTTP2 = errors.New("intercept: a client that speaks HTTP/2 alone; a stage speaks HTTP/1.1")

// leaves are the certificates made so far, by name.
type leaves struct {
	mu   sync.Mutex
	held map[string]*tls.Certificate
}

// TLSConfig returns what a server needs: certificates by name, TLS 1.2 and newer,
// HTTP/1.1 (WebSocket needs it), and HTTP/2 with clients of AWS's services that
// speak nothing else. A client that names no host gets a
// certificate for localhost and the loopback addresses; one that names a host
// outside of the authority's domains gets none. others, which may be nil, are asked
// first; they have no certificate for most names (nil, nil).
func (a *Authority) TLSConfig(others func(name string) (*tls.Certificate, error)) *tls.Config {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if others != nil {
				if c, err := others(hello.ServerName); c != nil || err != nil {
					return c, err
				}
			}
			return a.Certificate(hello.ServerName)
		},
	}
	// SDKs speak HTTP/2 alone to a few services that Tidegate lacks, Bedrock and
	// Kinesis among them: they are to read which service that is.
	second := config.Clone()
	second.NextProtos = []string{"h2"}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		switch {
		case !slices.Contains(hello.SupportedProtos, "h2") || slices.Contains(hello.SupportedProtos, "http/1.1"):
			return nil, nil
		case isService(hello.ServerName):
			return second, nil
		}
		return nil, fmt.Errorf("%w: %.253q", ErrHTTP2, hello.ServerName)
	}
	return config
}

// isService says whether a host is one of AWS's services, and no stage.
func isService(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.HasSuffix(host, ".amazonaws.com") && !strings.Contains(host, ".execute-api.")
}

// Certificate returns a certificate for a host name as a client gives it in its
// handshake; an empty name is localhost. Names outside of the authority's
// domains get ErrName.
func (a *Authority) Certificate(name string) (*tls.Certificate, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" {
		name = "localhost"
	}
	if !a.Covers(name) {
		return nil, fmt.Errorf("%w: %.253q", ErrName, name)
	}
	now := time.Now()
	a.leaves.mu.Lock()
	defer a.leaves.mu.Unlock()
	if c := a.leaves.held[name]; c != nil && now.Add(leafRenew).Before(c.Leaf.NotAfter) {
		return c, nil
	}
	c, err := a.issue(name, now)
	if err != nil {
		return nil, err
	}
	if len(a.leaves.held) >= maxLeaves {
		// Which one goes matters little: it is made again when it is asked for.
		for other := range a.leaves.held {
			delete(a.leaves.held, other)
			break
		}
	}
	if a.leaves.held == nil {
		a.leaves.held = map[string]*tls.Certificate{}
	}
	a.leaves.held[name] = c
	return c, nil
}

// Covers says whether the authority vouches for the host name: one of its
// domains, or a name below.
func (a *Authority) Covers(name string) bool {
	if !validName(name) {
		return false
	}
	return slices.ContainsFunc(a.domains, func(domain string) bool {
		return name == domain || strings.HasSuffix(name, "."+domain)
	})
}

// issue makes a certificate. localhost's is for the loopback addresses as well.
func (a *Authority) issue(name string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("intercept: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{Organization: []string{"Tidegate"}},
		NotBefore:    now.Add(-backdate),
		NotAfter:     earlier(now.Add(leafLife), a.cert.NotAfter),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{name},
	}
	if name == "localhost" {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("intercept: making a certificate for %s: %w", name, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("intercept: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
