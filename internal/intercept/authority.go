// Package intercept makes Tidegate answer in the names of the services it
// stands for: a certificate authority of the user's own, and certificates by
// the name that a client asks for (SNI). Functions trust the authority; it can
// vouch for nothing but the names written into it, since they are critical name
// constraints (RFC 5280, section 4.2.1.10).
package intercept

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Lives of certificates. A client's clock may be a little behind, so all of
// them begin an hour ago.
const (
	authorityLife  = 10 * 365 * 24 * time.Hour
	authorityRenew = 90 * 24 * time.Hour // an authority with less before it is replaced
	leafLife       = 30 * 24 * time.Hour
	leafRenew      = 7 * 24 * time.Hour
	backdate       = time.Hour
)

// always are the domains that every authority may vouch for, with what lies
// below them.
var always = []string{"localhost", "amazonaws.com"}

// loopback are the addresses that every authority may vouch for.
var loopback = []*net.IPNet{
	{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
	{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
}

// An Authority is the user's certificate authority.
type Authority struct {
	dir     string
	domains []string // lower case, sorted
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	pem     []byte
	leaves  leaves
}

// File names in the authority's folder.
const (
	certFile = "ca.pem"
	keyFile  = "ca-key.pem"
)

// Open reads the authority in dir, or makes one: dir with mode 0700, its key
// with mode 0600. It may vouch for localhost, *.localhost, amazonaws.com and
// below, loopback addresses, and the given domains and below. An authority that
// was made for other domains, or is about to end, is replaced; clients that were
// given the old one must then be given the new.
func Open(dir string, domains ...string) (*Authority, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("intercept: %w", err)
	}
	all := slices.Clone(always)
	for _, d := range domains {
		d = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(d, "*."), "."))
		if !validName(d) || !strings.Contains(d, ".") {
			return nil, fmt.Errorf("intercept: %q can't be a domain of the certificate authority; give one such as ws.example.com", d)
		}
		all = append(all, d)
	}
	return open(dir, all)
}

// open is Open for exactly these domains.
func open(dir string, domains []string) (*Authority, error) {
	slices.Sort(domains)
	a := &Authority{dir: dir, domains: slices.Compact(domains)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("intercept: the certificate authority's folder: %w", err)
	}
	unlock, err := lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, fmt.Errorf("intercept: locking the certificate authority's folder: %w", err)
	}
	defer unlock()
	switch err := a.read(); {
	case err == nil && a.suits(time.Now()):
		return a, nil
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return a, a.make(time.Now())
	default:
		return nil, fmt.Errorf("intercept: the certificate authority in %s can't be read: %w; delete the folder to have a new one made", dir, err)
	}
}

// read loads the key and the certificate.
func (a *Authority) read() error {
	keyPath := filepath.Join(a.dir, keyFile)
	keyPEM, err := os.ReadFile(keyPath)
	if err != nil {
		return err
	}
	if err := private(keyPath); err != nil {
		return err
	}
	certPEM, err := os.ReadFile(filepath.Join(a.dir, certFile))
	if err != nil {
		return err
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return errors.New(keyFile + " holds no PEM block")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", keyFile, err)
	}
	var ok bool
	if a.key, ok = key.(*ecdsa.PrivateKey); !ok {
		return errors.New(keyFile + " holds no ECDSA key")
	}
	if block, _ = pem.Decode(certPEM); block == nil {
		return errors.New(certFile + " holds no PEM block")
	}
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return fmt.Errorf("%s: %w", certFile, err)
	}
	if !a.key.PublicKey.Equal(a.cert.PublicKey) {
		return errors.New("the key is not the certificate's")
	}
	a.pem = pem.EncodeToMemory(block)
	return nil
}

// suits says whether the authority read is for our domains and lasts.
func (a *Authority) suits(now time.Time) bool {
	names := slices.Clone(a.cert.PermittedDNSDomains)
	slices.Sort(names)
	return a.cert.IsCA && a.cert.PermittedDNSDomainsCritical && slices.Equal(names, a.domains) &&
		now.Add(authorityRenew).Before(a.cert.NotAfter)
}

// make writes a new authority, the key first, so that a certificate is never
// there without it.
func (a *Authority) make(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("intercept: %w", err)
	}
	serial := newSerial()
	template := &x509.Certificate{
		SerialNumber: serial,
		// Two authorities of one user must not share a name: clients that trust
		// both would take the wrong one.
		Subject:                     pkix.Name{Organization: []string{"Tidegate"}, CommonName: fmt.Sprintf("Tidegate local CA %x", serial.Bytes()[:4])},
		NotBefore:                   now.Add(-backdate),
		NotAfter:                    now.Add(authorityLife),
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         a.domains,
		PermittedIPRanges:           loopback,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("intercept: making the certificate authority: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("intercept: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("intercept: %w", err)
	}
	a.key = key
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	// A certificate left over from before would not be the new key's.
	if err := os.Remove(filepath.Join(a.dir, certFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("intercept: %w", err)
	}
	if err := writeFile(filepath.Join(a.dir, keyFile), keyPEM, 0o600); err != nil {
		return fmt.Errorf("intercept: writing the certificate authority's key: %w", err)
	}
	if err := writeFile(a.CertPath(), a.pem, 0o644); err != nil {
		return fmt.Errorf("intercept: writing the certificate authority: %w", err)
	}
	return nil
}

// CertPEM returns the authority's certificate, not its key.
func (a *Authority) CertPEM() []byte { return bytes.Clone(a.pem) }

// CertPath returns the file that holds the certificate, for
// NODE_EXTRA_CA_CERTS.
func (a *Authority) CertPath() string { return filepath.Join(a.dir, certFile) }

// Domains returns the domains that the authority may vouch for, sorted.
func (a *Authority) Domains() []string { return slices.Clone(a.domains) }

// newSerial returns a random serial number of 127 bits (CA/Browser Forum asks
// for at least 64).
func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}

// validName says whether name is a DNS name in lower case: labels of letters,
// digits, '-' and '_'.
func validName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// writeFile replaces a file in one step.
func writeFile(name string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = f.Chmod(mode) // before there is anything to read
	if err == nil {
		_, err = f.Write(b)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
