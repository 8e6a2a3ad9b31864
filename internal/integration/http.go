package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"tidegate/internal/event"
)

// An HTTPConfig says how HTTP backends are called.
type HTTPConfig struct {
	Transport http.RoundTripper // shared by all invokers; NewTransport makes one
	Timeout   time.Duration     // the integration's; 0 means apigw.MaxIntegrationTimeout
	Announce  *Announcer        // says more of the event than AWS does; nil: nothing
	MaxBody   int               // bytes of an answer's body; 0 means MaxHTTPBody
}

// Bounds of the calls to HTTP backends.
const (
	MaxHTTPBody      = 6 << 20 // bytes of an answer, unless HTTPConfig says otherwise
	maxHTTPHeader    = 64 << 10
	maxHTTPURI       = 8 << 10 // of a definition
	httpDialTimeout  = 10 * time.Second
	httpIdleTimeout  = 90 * time.Second
	httpIdlePerHost  = 64 // kept connections to one backend
	httpIdleConns    = 512
	httpConnsPerHost = 1024 // as many as an integration may have messages on their way
)

// NewTransport returns a transport for HTTP backends: connections are kept and
// reused, certificates are checked against the machine's roots, proxies come
// from the environment, and bodies are left as the backend encoded them.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: httpDialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    httpDialTimeout,
		IdleConnTimeout:        httpIdleTimeout,
		MaxIdleConns:           httpIdleConns,
		MaxIdleConnsPerHost:    httpIdlePerHost,
		MaxConnsPerHost:        httpConnsPerHost,
		MaxResponseHeaderBytes: maxHTTPHeader,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// NewHTTP returns an invoker of the HTTP_PROXY and HTTP integrations that sends
// method to uri, in which stage variables are filled in. uri may have {NAME} in its path
// and query, to be filled by path parameters.
//
// A message is the request's body as it is. On $connect the client's headers
// and query go to the backend instead, without those that belong to the
// client's connection. Without a payload, as on $connect and $disconnect unless a
// request template makes one, there is no body. Mapped parameters replace what
// has the same name. Redirects are not followed.
//
// The error says what is wrong with method or uri.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html
func NewHTTP(c HTTPConfig, method, uri string) (Invoker, error) {
	if err := checkMethod(method); err != nil {
		return nil, err
	}
	if err := checkURI(uri); err != nil {
		return nil, err
	}
	if c.Transport == nil {
		c.Transport = NewTransport()
	}
	if c.MaxBody == 0 {
		c.MaxBody = MaxHTTPBody
	}
	return &httpProxy{transport: c.Transport, timeout: orMax(c.Timeout), method: method, uri: uri, announcer: c.Announce, maxBody: int64(c.MaxBody)}, nil
}

// checkMethod checks the method of a definition.
func checkMethod(method string) error {
	switch method {
	case http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPatch, http.MethodPost, http.MethodPut:
		return nil
	case "ANY":
		return errors.New("the integration method ANY has no meaning for messages, which have no method of their own; name one, such as POST")
	}
	return fmt.Errorf("the integration method %.32q is none of DELETE, GET, HEAD, OPTIONS, PATCH, POST and PUT", method)
}

// placeholder is a path parameter in a URI; {NAME+} takes slashes as well.
var placeholder = regexp.MustCompile(`\{([A-Za-z0-9._$-]+)(\+?)\}`)

// checkURI checks the URI of a definition.
func checkURI(uri string) error {
	if len(uri) > maxHTTPURI {
		return fmt.Errorf("the URI has %d bytes; at most %d are allowed", len(uri), maxHTTPURI)
	}
	if strings.Contains(uri, "${") {
		return fmt.Errorf("the URI %.256q has a variable other than ${stageVariables.NAME}", uri)
	}
	u, err := url.Parse(placeholder.ReplaceAllString(uri, "x"))
	switch {
	case err != nil:
		return fmt.Errorf("the integration's URI is not a URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the URI %.256q begins with neither http:// nor https://", uri)
	case u.Hostname() == "":
		return fmt.Errorf("the URI %.256q has no host; is a stage variable empty?", uri)
	case u.User != nil:
		return errors.New("the URI has a user or password, which would end up in logs; map an Authorization header instead")
	case u.Fragment != "":
		return fmt.Errorf("the URI %.256q has a fragment (#), which a backend never sees", uri)
	}
	authority, _, _ := strings.Cut(uri[strings.Index(uri, "//")+2:], "/")
	authority, _, _ = strings.Cut(authority, "?")
	if strings.ContainsAny(authority, "{}") {
		return fmt.Errorf("the URI %.256q has a path parameter in its host; only path and query may have them", uri)
	}
	return nil
}

type httpProxy struct {
	transport http.RoundTripper
	timeout   time.Duration
	method    string
	uri       string // with its placeholders
	announcer *Announcer
	maxBody   int64
}

var _ Invoker = (*httpProxy)(nil)

// Invoke sends the request and waits for the backend's answer, whatever its
// status.
func (h *httpProxy) Invoke(ctx context.Context, r *Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := h.request(ctx, r)
	if err != nil {
		return nil, &Error{Kind: ErrRefused, Detail: err.Error()}
	}
	// A round trip and not a client's Do: that would follow redirects (WS-03-147).
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return nil, transportError(ctx, req.URL.Host, h.timeout, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, &Error{Kind: ErrMalformed, Detail: req.URL.Host + " switched protocols, though it was not asked to"}
	}
	if h.method == http.MethodHead {
		resp.ContentLength = 0 // the header tells what GET would give
	}
	body, err := readBody(resp, h.maxBody)
	switch {
	case errors.Is(err, errTooBig):
		return nil, &Error{Kind: ErrMalformed, Detail: fmt.Sprintf("the answer of %s has more than %d bytes", req.URL.Host, h.maxBody)}
	case err != nil:
		return nil, transportError(ctx, req.URL.Host, h.timeout, err)
	}
	out := &Response{Status: resp.StatusCode, Header: fields(resp.Header), Body: body}
	if resp.StatusCode >= 300 {
		out.Detail = fmt.Sprintf("%s answered %d", req.URL.Host, resp.StatusCode)
	}
	return out, nil
}

// fields returns a header as fields, sorted by name.
func fields(header http.Header) []event.Field {
	out := make([]event.Field, 0, len(header))
	for name, values := range header {
		for _, value := range values {
			out = append(out, event.Field{Name: name, Value: value})
		}
	}
	slices.SortStableFunc(out, func(a, b event.Field) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// request builds what goes to the backend.
func (h *httpProxy) request(ctx context.Context, r *Request) (*http.Request, error) {
	target, err := fill(h.uri, r.Parameters)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if len(r.Payload) > 0 {
		body = bytes.NewReader(bytes.Clone(r.Payload)) // a call that is cut short may read on after it has returned
	}
	req, err := http.NewRequestWithContext(ctx, h.method, target, body)
	if err != nil {
		return nil, errors.New("the URI, with its parameters filled in, is not a URL")
	}
	identify(req, r.Context)
	if body != nil || r.Context.Binary { // an empty binary message is told from an empty text
		req.Header.Set("Content-Type", contentType(r.Context))
	}
	if r.Connect != nil {
		forwardHeader(req.Header, r.Connect)
	}
	if err := mapHeader(req, r.Parameters, true); err != nil {
		return nil, err
	}
	req.URL.RawQuery = mergeQuery(req.URL.RawQuery, r)
	if h.announcer != nil {
		h.announcer.announce(req.Header, r)
	}
	return req, nil
}

// contentType is that of a message, unless one is mapped (WS-03-149).
func contentType(c *event.Context) string {
	if c.Binary {
		return "application/octet-stream"
	}
	return "application/json"
}

// identify tells the backend which API calls (WS-03-150), but not for whom
// (WS-03-066).
func identify(req *http.Request, c *event.Context) {
	req.Header.Set("User-Agent", "AmazonAPIGateway_"+c.APIID)
	req.Header.Set("X-Amzn-Apigateway-Api-Id", c.APIID)
}

// forwardHeader copies the client's header but for what belongs to its
// connection: the fields that RFC 9110, section 7.6.1 names, those that the
// Connection header names, and Host (WS-03-067, WS-03-145).
func forwardHeader(to http.Header, r *event.ConnectRequest) {
	var hop []string
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, "Connection") {
			hop = append(hop, strings.Split(f.Value, ",")...)
		}
	}
	seen := map[string]bool{}
	for _, f := range r.EventHeader() {
		name := http.CanonicalHeaderKey(f.Name)
		if isHop(name) || slices.ContainsFunc(hop, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), name) }) {
			continue
		}
		if !seen[name] {
			seen[name] = true
			to.Del(name)
		}
		to.Add(name, f.Value)
	}
}

// isHop reports whether a header, in canonical form, is between client and
// gateway only.
func isHop(name string) bool {
	switch name {
	case "Connection", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// mapHeader sets the mapped headers. Their values may be a client's: one that
// would break the header's form is refused (WS-03-173). What the client sent under
// the same name goes (WS-03-068). Without host the host stays: it is what an AWS
// service is found by.
func mapHeader(req *http.Request, parameters []event.Parameter, host bool) error {
	for i, p := range parameters {
		if p.Location != event.InHeader {
			continue
		}
		if !validHeaderValue(p.Value) {
			return fmt.Errorf("the value mapped to the header %s has control characters", p.Name)
		}
		if strings.EqualFold(p.Name, "Host") {
			if !host {
				return errors.New("the header Host is an AWS service's own and can't be mapped")
			}
			req.Host = p.Value
			continue
		}
		if firstOf(parameters, i) {
			req.Header.Del(p.Name)
		}
		req.Header.Add(p.Name, p.Value)
	}
	return nil
}

// firstOf reports whether no parameter before the i-th has its location and
// name.
func firstOf(parameters []event.Parameter, i int) bool {
	return !slices.ContainsFunc(parameters[:i], func(p event.Parameter) bool {
		return p.Location == parameters[i].Location && p.Name == parameters[i].Name
	})
}

// mergeQuery returns the URI's own query, then the client's on $connect, then
// the mapped parameters, which replace the client's of the same name (WS-03-057,
// WS-03-069, WS-03-154).
func mergeQuery(query string, r *Request) string {
	b := []byte(query)
	add := func(name, value string) {
		if len(b) > 0 {
			b = append(b, '&')
		}
		b = append(b, url.QueryEscape(name)...)
		b = append(b, '=')
		b = append(b, url.QueryEscape(value)...)
	}
	isMapped := func(name string) bool {
		return slices.ContainsFunc(r.Parameters, func(p event.Parameter) bool {
			return p.Location == event.InQuery && p.Name == name
		})
	}
	if r.Connect != nil {
		for _, f := range r.Connect.Query {
			if !isMapped(f.Name) {
				add(f.Name, f.Value)
			}
		}
	}
	for _, p := range r.Parameters {
		if p.Location == event.InQuery {
			add(p.Name, p.Value)
		}
	}
	return string(b)
}

// fill fills the path parameters in. A value can't leave its place: it is
// escaped, and one that would mean another path is refused (WS-03-058,
// WS-03-174, WS-03-177).
func fill(uri string, parameters []event.Parameter) (string, error) {
	var err error
	if !strings.Contains(uri, "{") {
		return uri, nil
	}
	path, query, hasQuery := strings.Cut(uri, "?")
	replace := func(text string, escape func(value string, slashes bool) (string, error)) string {
		return placeholder.ReplaceAllStringFunc(text, func(match string) string {
			m := placeholder.FindStringSubmatch(match)
			for _, p := range parameters {
				if p.Location == event.InPath && p.Name == m[1] {
					value, failed := escape(p.Value, m[2] == "+")
					if failed != nil {
						err = fmt.Errorf("path parameter %s: %w", p.Name, failed)
					}
					return value
				}
			}
			err = fmt.Errorf("there is no value for the path parameter %s", match)
			return ""
		})
	}
	filled := replace(path, escapePath)
	if hasQuery {
		filled += "?" + replace(query, func(value string, _ bool) (string, error) { return url.QueryEscape(value), nil })
	}
	return filled, err
}

func escapePath(value string, slashes bool) (string, error) {
	segments := []string{value}
	if slashes {
		segments = strings.Split(value, "/")
	}
	for i, s := range segments {
		if s == "." || s == ".." {
			return "", fmt.Errorf("the value %q would lead to another path", s)
		}
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/"), nil
}
