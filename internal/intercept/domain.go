package intercept

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Domains are certificates for custom domain names. The user's authority can't
// vouch for those: its names are written into it, and whoever trusts it trusts
// exactly them. So each domain has an authority of its own, which vouches for that
// domain and what lies below it, in a folder of the data dir's; or a certificate
// that its owner gave. Domains are safe for concurrent use.
type Domains struct {
	dir string

	mu     sync.RWMutex
	owned  map[string]*Authority       // by domain, without its star
	names  map[string]bool             // domains as they were added
	givens map[string]*tls.Certificate // by domain
}

// OpenDomains returns certificates that are kept in dir, of no domain yet.
func OpenDomains(dir string) *Domains {
	return &Domains{dir: dir, owned: map[string]*Authority{}, names: map[string]bool{}, givens: map[string]*tls.Certificate{}}
}

// Give has a domain served with a certificate of its owner's, whenever it is added.
func (d *Domains) Give(name string, c *tls.Certificate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.givens[name] = c
}

// Add serves a domain (ws.example.com, *.example.com). Its authority is made when
// the folder holds none.
func (d *Domains) Add(name string) error {
	base := strings.TrimPrefix(name, "*.")
	if !validName(base) || !strings.Contains(base, ".") {
		return fmt.Errorf("intercept: %q can't be a domain; give one such as ws.example.com", name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] {
		return nil
	}
	if d.owned[base] == nil {
		a, err := open(filepath.Join(d.dir, base), []string{base})
		if err != nil {
			return err
		}
		d.owned[base] = a
	}
	d.names[name] = true
	return nil
}

// Remove serves a domain no longer. Its authority stays in the folder: who trusts
// it needn't be told again when the domain is made again.
func (d *Domains) Remove(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, name)
	base := strings.TrimPrefix(name, "*.")
	if !d.names[base] && !d.names["*."+base] {
		delete(d.owned, base)
	}
}

// Certificate returns the certificate of a host name as a client gives it in its
// handshake, or nil when it is no domain's.
func (d *Domains) Certificate(host string) (*tls.Certificate, error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	name, ok := d.find(host)
	if !ok {
		return nil, nil
	}
	d.mu.RLock()
	given, a := d.givens[name], d.owned[strings.TrimPrefix(name, "*.")]
	d.mu.RUnlock()
	switch {
	case given != nil:
		return given, nil
	case a == nil: // removed meanwhile
		return nil, nil
	}
	return a.Certificate(host)
}

// find returns the domain that a host is one of.
func (d *Domains) find(host string) (string, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.names[host] {
		return host, true
	}
	_, parent, _ := strings.Cut(host, ".")
	return "*." + parent, d.names["*."+parent]
}

// Covers says whether a host is a domain's.
func (d *Domains) Covers(host string) bool {
	_, ok := d.find(strings.ToLower(strings.TrimSuffix(host, ".")))
	return ok
}

// CertPEM returns the authorities' certificates, not their keys; none is needed
// for a domain whose certificate was given.
func (d *Domains) CertPEM() []byte {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var b bytes.Buffer
	for _, base := range slices.Sorted(maps.Keys(d.owned)) {
		b.Write(d.owned[base].pem)
	}
	return b.Bytes()
}

// CertPath returns the file that holds the certificate of a domain's authority, or
// "" when the domain's certificate was given.
func (d *Domains) CertPath(name string) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if a := d.owned[strings.TrimPrefix(name, "*.")]; a != nil && d.givens[name] == nil {
		return a.CertPath()
	}
	return ""
}

// maxCertificate bounds a file of certificates or a key.
const maxCertificate = 1 << 20

// LoadCertificate reads the certificate of a domain, with its chain, and its key,
// PEM. One that isn't the domain's is an error.
func LoadCertificate(domain, certFile, keyFile string) (*tls.Certificate, error) {
	for _, name := range []string{certFile, keyFile} {
		if info, err := os.Stat(name); err != nil {
			return nil, err
		} else if info.Size() > maxCertificate {
			return nil, fmt.Errorf("%s has %d bytes; a certificate or key has at most %d", name, info.Size(), maxCertificate)
		}
	}
	c, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	host := strings.Replace(domain, "*", "any", 1)
	if err := c.Leaf.VerifyHostname(host); err != nil {
		var mismatch x509.HostnameError
		if errors.As(err, &mismatch) {
			return nil, fmt.Errorf("the certificate in %s is not for %s, but for %s", certFile, domain, strings.Join(c.Leaf.DNSNames, ", "))
		}
		return nil, err
	}
	return &c, nil
}
