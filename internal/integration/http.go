package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"tidegate/internal/event"
	"tidegate/internal/upstream"
)

// An HTTPConfig says how HTTP backends are called.
type HTTPConfig struct {
	Client   *upstream.Client // shared by all invokers
	Timeout  time.Duration    // the integration's; 0 means apigw.MaxIntegrationTimeout
	Announce *Announcer       // says more of the event than AWS does; nil: nothing
	MaxBody  int              // bytes of an answer's body; 0 means MaxHTTPBody
}

// Bounds of the calls to HTTP backends.
const (
	MaxHTTPBody = 6 << 20 // bytes of an answer, unless HTTPConfig says otherwise
	maxHTTPURI  = 8 << 10 // of a definition
)

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
	if c.MaxBody == 0 {
		c.MaxBody = MaxHTTPBody
	}
	u, err := url.Parse(placeholder.ReplaceAllString(uri, "x"))
	if err != nil {
		return nil, err // which checkURI has told better
	}
	h := &httpProxy{
		origin: c.Client.Origin(u), host: strings.TrimSuffix(u.Host, ":"),
		timeout: orMax(c.Timeout), method: method, uri: uri, announcer: c.Announce, maxBody: c.MaxBody,
	}
	if !strings.Contains(uri, "{") {
		h.target = u
	}
	return h, nil
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
	origin    *upstream.Origin
	host      string // and port, as the URI has them
	timeout   time.Duration
	method    string
	uri       string   // with its placeholders
	target    *url.URL // of a URI without placeholders, else nil
	announcer *Announcer
	maxBody   int
}

var _ Starter = (*httpProxy)(nil)

// Invoke sends the request and waits for the backend's answer, whatever its
// status.
func (h *httpProxy) Invoke(ctx context.Context, r *Request) (*Response, error) {
	b, err := h.request(r)
	if err != nil {
		return nil, &Error{Kind: ErrRefused, Detail: err.Error()}
	}
	defer b.release()
	resp, err := h.origin.Do(ctx, &b.request)
	if err != nil {
		return nil, h.failure(err)
	}
	out := &Response{}
	h.respond(out, resp)
	return out, nil
}

// Start implements Starter.
func (h *httpProxy) Start(ctx context.Context, r *Request, to Receiver) {
	b, err := h.request(r)
	if err != nil {
		to.Receive(nil, &Error{Kind: ErrRefused, Detail: err.Error()})
		return
	}
	defer b.release()
	h.origin.Start(ctx, &b.request, &httpCall{of: h, to: to})
}

// An httpCall puts an answer into an integration's words.
type httpCall struct {
	of       *httpProxy
	to       Receiver
	response Response
}

// Receive implements upstream.Receiver.
func (c *httpCall) Receive(resp *upstream.Response, err error) {
	if err != nil {
		c.to.Receive(nil, c.of.failure(err))
		return
	}
	c.of.respond(&c.response, resp)
	c.to.Receive(&c.response, nil)
}

// respond fills out with what an answer means.
func (h *httpProxy) respond(out *Response, resp *upstream.Response) {
	out.Status, out.Header, out.Body = resp.Status, resp.Header, resp.Body
	if resp.Status >= 300 {
		out.Detail = fmt.Sprintf("%s answered %d", h.host, resp.Status)
	}
}

// failure is what the absence of an answer means.
func (h *httpProxy) failure(err error) error {
	switch {
	case errors.Is(err, upstream.ErrTooBig):
		return &Error{Kind: ErrMalformed, Detail: fmt.Sprintf("the answer of %s has more than %d bytes", h.host, h.maxBody)}
	case errors.Is(err, upstream.ErrSwitched):
		return &Error{Kind: ErrMalformed, Detail: h.host + " " + upstream.ErrSwitched.Error()}
	case errors.Is(err, upstream.ErrRequest):
		return &Error{Kind: ErrRefused, Detail: err.Error()}
	}
	return transportError(context.Background(), h.host, h.timeout, err)
}

// A builder is a request under way; it is kept for the next.
type builder struct {
	request upstream.Request
	header  fields
}

var builders = sync.Pool{New: func() any { return &builder{header: make(fields, 0, 16)} }}

func (b *builder) release() {
	clear(b.header)
	b.header = b.header[:0]
	b.request = upstream.Request{}
	builders.Put(b)
}

// fields are a header under way. Names are compared in any letter case.
type fields []event.Field

// Set replaces what the header has of that name.
func (f *fields) Set(name, value string) {
	f.Del(name)
	f.Add(name, value)
}

// Add adds a field.
func (f *fields) Add(name, value string) { *f = append(*f, event.Field{Name: name, Value: value}) }

// Del removes all fields of that name.
func (f *fields) Del(name string) {
	*f = slices.DeleteFunc(*f, func(one event.Field) bool { return strings.EqualFold(one.Name, name) })
}

// request builds what goes to the backend. The builder is to be released.
func (h *httpProxy) request(r *Request) (*builder, error) {
	u := h.target
	if u == nil {
		filled, err := fill(h.uri, r.Parameters)
		if err != nil {
			return nil, err
		}
		if u, err = url.Parse(filled); err != nil {
			return nil, errors.New("the URI, with its parameters filled in, is not a URL")
		}
	}
	b := builders.Get().(*builder)
	b.request = upstream.Request{Method: h.method, Host: h.host, Body: r.Payload, MaxBody: h.maxBody, Timeout: h.timeout}
	identify(&b.header, r.Context)
	if len(r.Payload) > 0 || r.Context.Binary { // an empty binary message is told from an empty text
		b.header.Set("Content-Type", contentType(r.Context))
	}
	if r.Connect != nil {
		forwardHeader(&b.header, r.Connect)
	}
	if err := mapHeader(&b.header, &b.request.Host, r.Parameters); err != nil {
		b.release()
		return nil, err
	}
	b.request.Target = requestTarget(u, mergeQuery(u.RawQuery, r))
	if h.announcer != nil {
		h.announcer.announce(&b.header, r)
	}
	b.request.Header = b.header
	return b, nil
}

// requestTarget is a URL's path, and the query in place of its own.
func requestTarget(u *url.URL, query string) string {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if query == "" && !u.ForceQuery {
		return path
	}
	return path + "?" + query
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
func identify(h header, c *event.Context) {
	h.Set("User-Agent", "AmazonAPIGateway_"+c.APIID)
	h.Set("X-Amzn-Apigateway-Api-Id", c.APIID)
}

// A header is a request's: http.Header's, or fields.
type header interface {
	Set(name, value string)
	Add(name, value string)
	Del(name string)
}

// forwardHeader copies the client's header but for what belongs to its
// connection: the fields that RFC 9110, section 7.6.1 names, those that the
// Connection header names, and Host (WS-03-067, WS-03-145).
func forwardHeader(to header, r *event.ConnectRequest) {
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
	case "Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// mapHeader sets the mapped headers. Their values may be a client's: one that
// would break the header's form is refused (WS-03-173). What the client sent under
// the same name goes (WS-03-068). A nil host stays as it is: it is what an AWS
// service is found by.
func mapHeader(to header, host *string, parameters []event.Parameter) error {
	for i, p := range parameters {
		if p.Location != event.InHeader {
			continue
		}
		if !validHeaderValue(p.Value) {
			return fmt.Errorf("the value mapped to the header %s has control characters", p.Name)
		}
		if strings.EqualFold(p.Name, "Host") {
			if host == nil {
				return errors.New("the header Host is an AWS service's own and can't be mapped")
			}
			if p.Value != "" {
				*host = p.Value
			}
			continue
		}
		if firstOf(parameters, i) {
			to.Del(p.Name)
		}
		to.Add(p.Name, p.Value)
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
	if r.Connect == nil && !slices.ContainsFunc(r.Parameters, func(p event.Parameter) bool { return p.Location == event.InQuery }) {
		return query
	}
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
