package apigw

import (
	"strings"
	"time"
)

// A Domain is a custom domain name with the API mappings below it.
type Domain struct {
	Name        string // lower case; *.example.com takes what lies one label below
	Certificate DomainCertificate
	// GatewayName is what AWS's DNS would point the name to, and what stays the
	// same for the life of the domain.
	GatewayName   string
	IPAddressType string // ipv4 or dualstack
	Tags          map[string]string
	Mappings      map[string]*APIMapping // by mapping id
	Created       time.Time
}

// A DomainCertificate is what AWS would serve the domain with. Tidegate keeps the
// names and serves a certificate of its own.
type DomainCertificate struct {
	ARN, Name, OwnershipARN string
	Uploaded                time.Time
}

// An APIMapping leads from a path below a domain to a stage.
type APIMapping struct {
	ID    string
	Key   string // segments joined by '/'; empty: the domain's root
	APIID string
	Stage StageName
}

// Matches says whether requests for the host, in lower case and without port, are
// the domain's. A name without a star does better than one with it; see Wildcard.
func (d *Domain) Matches(host string) bool {
	if base, ok := strings.CutPrefix(d.Name, "*"); ok {
		label, found := strings.CutSuffix(host, base)
		return found && label != "" && !strings.Contains(label, ".")
	}
	return d.Name == host
}

// Wildcard says that the domain takes the names one label below another.
func (d *Domain) Wildcard() bool { return strings.HasPrefix(d.Name, "*.") }

// Map returns the mapping with the longest key that the path's segments begin
// with, and the segments behind it. WS-07-109, WS-07-111
func (d *Domain) Map(segments []string) (m *APIMapping, rest []string, ok bool) {
	most := -1
	for _, other := range d.Mappings {
		key := other.segments()
		if len(key) <= most || len(key) > len(segments) {
			continue
		}
		same := true
		for i := range key {
			same = same && key[i] == segments[i]
		}
		if same {
			m, most = other, len(key)
		}
	}
	if m == nil {
		return nil, nil, false
	}
	return m, segments[most:], true
}

// segments are those of the mapping's key.
func (m *APIMapping) segments() []string {
	if m.Key == "" {
		return nil
	}
	return strings.Split(m.Key, "/")
}
