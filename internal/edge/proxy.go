package edge

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// proxyPatience is how long a service elsewhere may take to begin its answer:
// longer than any long poll.
const proxyPatience = 60 * time.Second

// via marks what went to the fallback endpoint, so that an endpoint which is this
// Tidegate itself makes no ring.
const via = "1.1 tidegate"

// newFallback returns a handler that passes calls to services that Tidegate lacks
// to the endpoint. They go as they came, with Host and signature, so that what
// answers there can tell services apart and check keys; path and query stay.
func newFallback(endpoint *url.URL, failed func(UnknownServiceInfo, error)) http.Handler {
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ResponseHeaderTimeout: proxyPatience,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
	}
	return &httputil.ReverseProxy{
		Transport: transport,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // told below
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = endpoint.Scheme, endpoint.Host
			r.Out.Host = r.In.Host
			r.Out.Header.Set("Via", via)
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			requestID := newUUID()
			failed(unknownService(r, serviceOf(r), requestID), err)
			writeError(w, requestID, http.StatusBadGateway, "BadGatewayException", "The fallback endpoint "+endpoint.Redacted()+" does not answer.")
		},
	}
}
