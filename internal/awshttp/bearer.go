package awshttp

import (
	"net/http"
	"strings"

	"tidegate/sigv4"
)

// Tokens finds whom a bearer token names. It is called on every such request, must
// not block, and must not tell by its time how much of a token is right.
type Tokens interface {
	LookupToken(token string) (Principal, bool)
}

// bearerToken is the token that a request carries (RFC 6750 section 2.1).
func bearerToken(r *sigv4.Request) (string, bool) {
	const scheme = "Bearer "
	v, count := r.First("Authorization")
	if count != 1 || len(v) < len(scheme) || !strings.EqualFold(v[:len(scheme)], scheme) {
		return "", false
	}
	return strings.TrimSpace(v[len(scheme):]), true
}

// bearer is who calls with a token. Only @connections and Tidegate's own pages
// take one: for what SDKs alone call, there are signatures.
func (g *Gate) bearer(token, service string) (Principal, string, error) {
	if service != "execute-api" && service != "tidegate" {
		return Principal{}, "", Errorf(http.StatusForbidden, "IncompleteSignatureException", "AWS's APIs take signed requests, not bearer tokens.")
	}
	p, known := g.Tokens.LookupToken(token)
	if !known {
		return Principal{}, "", Errorf(http.StatusForbidden, "UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	return p, "", nil
}
