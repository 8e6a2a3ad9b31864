package intercept

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
)

// systemRoots are the files in which systems keep the roots they trust, the
// first that exists counts (the same places that Go's crypto/x509 looks at).
var systemRoots = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS, RHEL 7
	"/etc/ssl/cert.pem",                                 // Alpine, macOS
}

// maxBundle bounds what is read of the system's roots; they take 200 KB.
const maxBundle = 16 << 20

// Bundle writes the system's roots and the authority's certificate to a file,
// for clients whose setting replaces the roots they trust (SSL_CERT_FILE,
// AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE). What the user's own SSL_CERT_FILE names
// comes in place of the system's. It fails when there are no roots to be found,
// since a bundle without them would cut the client off from the world. more is
// appended: certificates of other authorities, PEM.
func (a *Authority) Bundle(path string, more []byte) error {
	roots, err := readRoots()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.Write(bytes.TrimRight(roots, "\n"))
	b.WriteByte('\n')
	b.Write(a.pem)
	b.Write(more)
	if err := writeFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("intercept: writing the bundle of roots: %w", err)
	}
	return nil
}

func readRoots() ([]byte, error) {
	files := systemRoots
	if own := os.Getenv("SSL_CERT_FILE"); own != "" {
		files = []string{own}
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || info.Size() > maxBundle {
			continue
		}
		b, err := os.ReadFile(name)
		if err == nil && bytes.Contains(b, []byte("BEGIN CERTIFICATE")) {
			return b, nil
		}
	}
	if runtime.GOOS == "windows" {
		return nil, errors.New("intercept: Windows keeps its roots in no file, so there is nothing to bundle; set SSL_CERT_FILE to one")
	}
	return nil, fmt.Errorf("intercept: no file of trusted roots found (looked at %v); set SSL_CERT_FILE to one", files)
}

// Trust writes the authority's certificate and more, PEM, to a file: what a client
// that keeps the system's roots is to trust beside them (NODE_EXTRA_CA_CERTS).
func (a *Authority) Trust(path string, more []byte) error {
	if err := writeFile(path, append(a.CertPEM(), more...), 0o644); err != nil {
		return fmt.Errorf("intercept: writing the authorities' certificates: %w", err)
	}
	return nil
}
