package integration

import (
	"errors"
	"net/http"
	"time"
)

// An HTTPConfig says how HTTP backends are called.
type HTTPConfig struct {
	Transport http.RoundTripper // shared by all invokers; NewTransport makes one
	Timeout   time.Duration     // the integration's; 0 means apigw.MaxIntegrationTimeout
}

// NewTransport returns a transport for HTTP backends.
func NewTransport() *http.Transport { return &http.Transport{} }

// NewHTTP returns an invoker of the HTTP_PROXY integration that sends method to
// uri, whose stage variables are already filled in.
func NewHTTP(c HTTPConfig, method, uri string) (Invoker, error) {
	return nil, errors.New("integration: not built yet")
}
