package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/service/functions"
)

func TestNodeTrust(t *testing.T) {
	const extra, store = "NODE_EXTRA_CA_CERTS=/ca.pem", "NODE_OPTIONS=--use-openssl-ca"
	for _, c := range []struct{ name, variable, bundle, want string }{
		{"a bundle", "TABLE_NAME", "/bundle.pem", store},
		{"no system roots", "TABLE_NAME", "/ca.pem", extra},
		{"own options", "NODE_OPTIONS", "/bundle.pem", extra},
		{"own roots", "SSL_CERT_FILE", "/bundle.pem", extra},
		{"own folder of roots", "SSL_CERT_DIR", "/bundle.pem", extra},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := functions.Function{Variables: map[string]string{c.variable: ""}}
			if diff := cmp.Diff([]string{c.want}, nodeTrust(f, "/ca.pem", c.bundle)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
