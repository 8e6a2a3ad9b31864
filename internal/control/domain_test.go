package control

import (
	"fmt"
	"testing"
)

// TestDomainQuota stops at as many domains as the limits say.
func TestDomainQuota(t *testing.T) {
	b := newBench(t)
	b.config.Limits.Domains = 2
	arn := "arn:aws:acm:eu-west-1:123456789012:certificate/1"
	in := func(n int) DomainInput {
		return DomainInput{Name: fmt.Sprintf("ws%d.example.com", n), Configurations: []DomainConfigurationInput{{CertificateARN: &arn}}}
	}
	for n := range 2 {
		if _, err := b.CreateDomain(t.Context(), in(n)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.CreateDomain(t.Context(), in(2))
	refused(t, "a domain too many", err, TooMany, "Maximum number of Domain Names for this account has been reached.  Please contact AWS if you need additional Domain Names.")
}
