package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"tidegate/internal/event"
	"tidegate/internal/pattern"
	"tidegate/internal/upstream"
	"tidegate/sigv4"
)

// A ServiceURI is what the URI of an AWS integration names that is no function:
// an action of a service, or a path of its HTTP API.
type ServiceURI struct {
	Region  string
	Service string // as in its hosts: dynamodb, states, monitoring
	Signing string // the name in signatures, mostly the same
	// Subdomain comes before the service in the host: a bucket's name, or an API's
	// id before execute-api; mostly "".
	Subdomain string
	Action    string // of the action style, else ""
	Path      string // of the path style, with its {PLACEHOLDERS}, begins with /

	partition string
	model     serviceModel
}

// serviceURI is arn:aws:apigateway:REGION:[SUBDOMAIN.]SERVICE:action|path/REST.
var serviceURI = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):apigateway:([a-z0-9-]+):([A-Za-z0-9.-]+):(action|path)/(.*)$`)

var actionName = pattern.New(`^[A-Za-z][A-Za-z0-9]{0,127}$`)

// ParseServiceURI reads the URI of an AWS integration, in which
// ${stageVariables.NAME} may stand anywhere:
//
//	arn:aws:apigateway:REGION:SERVICE:action/ACTION
//	arn:aws:apigateway:REGION:[SUBDOMAIN.]SERVICE:path/PATH
//
// A service whose protocol has no actions, such as S3, takes paths only. The
// error says what is wrong.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/api/API_Integration.html#apigw-Type-Integration-uri
func ParseServiceURI(uri string, vars map[string]string) (*ServiceURI, error) {
	filled := event.SubstituteStageVariables(uri, vars)
	if len(filled) > maxHTTPURI {
		return nil, fmt.Errorf("the URI has %d bytes; at most %d are allowed", len(filled), maxHTTPURI)
	}
	m := serviceURI.FindStringSubmatch(filled)
	if m == nil {
		return nil, fmt.Errorf("%.256q names neither a Lambda function nor a service's action or path: arn:aws:apigateway:REGION:SERVICE:action/ACTION or :path/PATH", filled)
	}
	u := &ServiceURI{Region: m[2], Service: m[3], partition: m[1]}
	if _, known := serviceModels[u.Service]; !known {
		if i := strings.LastIndexByte(u.Service, '.'); i >= 0 {
			u.Subdomain, u.Service = u.Service[:i], u.Service[i+1:]
		}
	}
	if u.Service == "" || strings.HasPrefix(m[3], ".") || strings.HasPrefix(m[3], "-") {
		return nil, fmt.Errorf("%.256q names no service", filled)
	}
	u.model = serviceModels[u.Service]
	u.Signing = u.Service
	if u.model.signing != "" {
		u.Signing = u.model.signing
	}
	if m[4] == "path" { // WS-03-086, WS-03-098
		u.Path = "/" + strings.TrimPrefix(m[5], "/")
		return u, checkURI("https://" + u.Host() + u.Path)
	}
	switch {
	case !actionName.MatchString(m[5]):
		return nil, fmt.Errorf("%.256q names no action; an action's name is letters and digits", filled)
	case u.model.protocol == protocolNone:
		return nil, fmt.Errorf("Tidegate knows no actions of the service %s; name the path of its HTTP API (%s:path/…)", m[3], m[3])
	}
	u.Action = m[5]
	return u, nil
}

// String returns service:action/ACTION or service:path/PATH, for people.
func (u *ServiceURI) String() string {
	name := u.Service
	if u.Subdomain != "" {
		name = u.Subdomain + "." + name
	}
	if u.Action != "" {
		return name + ":action/" + u.Action
	}
	return name + ":path" + u.Path
}

// Host is the service's host on AWS.
func (u *ServiceURI) Host() string {
	host := u.Service + "." + u.Region
	if u.Service == "iam" {
		host = u.Service // the one service here that has no regions
	}
	if u.Subdomain != "" {
		host = u.Subdomain + "." + host
	}
	if u.partition == "aws-cn" {
		return host + ".amazonaws.com.cn"
	}
	return host + ".amazonaws.com"
}

// A ServiceConfig says where a service is and as whom it is called.
type ServiceConfig struct {
	// Endpoint is the base URL; "" means that of AWS's own host, for a Transport
	// that leads elsewhere.
	Endpoint  string
	Transport http.RoundTripper
	Account   string
	Region    string // of the API
	Roles     *Roles
	Role      string           // the integration's credentialsArn
	Timeout   time.Duration    // the integration's; 0 means apigw.MaxIntegrationTimeout
	Now       func() time.Time // dates the signatures; nil means time.Now
}

// NewService returns an invoker of a service's action or path by method. Each
// invocation is one call, signed with keys of the role; it is never repeated.
// The service's answer, whatever its status, is the response, and Detail tells
// of an error that it holds (WS-03-080, WS-03-083, WS-03-091).
//
// An action goes as a service's protocol has it: by X-Amz-Target, or by the
// parameters Action and Version, which come from the body when it is a form that
// has them. The body's type is application/json unless a header is mapped or the
// protocol is a JSON one. The client's header and query don't go along.
func NewService(c ServiceConfig, method string, u *ServiceURI) (Invoker, error) {
	if err := checkMethod(method); err != nil {
		return nil, err
	}
	if c.Role == "" {
		return nil, errors.New("an integration with an AWS service needs credentialsArn: the role as which it is called")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	base := c.Endpoint
	if base == "" {
		base = "http://" + u.Host()
	}
	path := u.Path
	if path == "" {
		path = "/"
	}
	s := &service{config: c, to: u, method: method, uri: strings.TrimSuffix(base, "/") + path, timeout: orMax(c.Timeout)}
	return s, checkURI(s.uri)
}

type service struct {
	config  ServiceConfig
	to      *ServiceURI
	method  string
	uri     string // with its placeholders
	timeout time.Duration
}

var _ Invoker = (*service)(nil)

// Invoke calls the service and waits for its answer.
func (s *service) Invoke(ctx context.Context, r *Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	keys, err := s.config.Roles.Keys(ctx, s.config.Role, executeAPI(s.to.partition, s.config.Region, s.config.Account, r.Context.APIID, routePart(r.Context)))
	if err != nil {
		return nil, err
	}
	req, err := s.request(ctx, r, keys)
	if err != nil {
		return nil, &Error{Kind: ErrRefused, Detail: err.Error()}
	}
	resp, err := s.config.Transport.RoundTrip(req) // follows no redirects
	if err != nil {
		return nil, transportError(ctx, s.to.Service, s.timeout, err)
	}
	defer resp.Body.Close()
	if s.method == http.MethodHead {
		resp.ContentLength = 0
	}
	body, err := readBody(resp, MaxHTTPBody)
	switch {
	case errors.Is(err, errTooBig):
		return nil, &Error{Kind: ErrMalformed, Detail: fmt.Sprintf("the answer of %s has more than %d bytes", s.to.Service, MaxHTTPBody)}
	case err != nil:
		return nil, transportError(ctx, s.to.Service, s.timeout, err)
	}
	out := &Response{Status: resp.StatusCode, Header: upstream.FieldsOf(resp.Header), Body: body}
	if resp.StatusCode >= 300 {
		out.Detail = clip(s.to.Service + " answered " + errorText(resp, body))
	}
	return out, nil
}

// request builds the signed call.
func (s *service) request(ctx context.Context, r *Request, keys sigv4.Credentials) (*http.Request, error) {
	target, err := fill(s.uri, r.Parameters)
	if err != nil {
		return nil, err
	}
	payload := bytes.Clone(r.Payload) // a call that is cut short may read on after it has returned
	if len(payload) == 0 && s.to.Action != "" && s.to.model.protocol == protocolJSON {
		payload = []byte("{}")
	}
	req, err := http.NewRequestWithContext(ctx, s.method, target, bytes.NewReader(payload))
	if err != nil {
		return nil, errors.New("the URI, with its parameters filled in, is not a URL")
	}
	if len(payload) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	identify(req.Header, r.Context)
	if s.to.Action != "" && s.to.model.protocol == protocolJSON {
		req.Header.Set("Content-Type", "application/x-amz-json-"+s.to.model.version)
		// WS-03-100, WS-03-101.
		req.Header.Set("X-Amz-Target", s.to.model.target+"."+s.to.Action)
	}
	if err := mapHeader(req.Header, nil, r.Parameters); err != nil {
		return nil, err
	}
	req.URL.RawQuery = mergeQuery(req.URL.RawQuery, &Request{Parameters: r.Parameters})
	if s.to.Action != "" && s.to.model.protocol == protocolQuery {
		s.nameAction(req, payload)
	}
	sigv4.Sign(req, payload, keys, s.to.Signing, s.to.Region, s.config.Now())
	return req, nil
}

// nameAction adds Action and Version to the query unless the form or the query
// has them (WS-03-097, WS-03-102).
func (s *service) nameAction(req *http.Request, payload []byte) {
	form := url.Values{}
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, _ = url.ParseQuery(string(payload)) // a bad part is the service's to name
	}
	query := req.URL.Query()
	var add []string
	for _, p := range [][2]string{{"Action", s.to.Action}, {"Version", s.to.model.version}} {
		if !form.Has(p[0]) && !query.Has(p[0]) {
			add = append(add, p[0]+"="+p[1])
		}
	}
	if req.URL.RawQuery != "" {
		add = append(add, req.URL.RawQuery)
	}
	req.URL.RawQuery = strings.Join(add, "&")
}

// errorText tells of an error in a service's answer: its status, code and text.
func errorText(resp *http.Response, body []byte) string {
	code, _, _ := strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
	var j struct {
		Type    string `json:"__type"`
		Message string // "message" as well: names match in any case
		Error   struct{ Code, Message string }
	}
	var x struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
		Bare    string `xml:"Code"` // S3's errors have no parent
		Text    string `xml:"Message"`
	}
	message := string(body)
	switch {
	case json.Unmarshal(body, &j) == nil && (j.Message != "" || j.Error.Message != "" || j.Type != ""):
		message = j.Message + j.Error.Message
		if code == "" {
			code = j.Type[strings.LastIndexByte(j.Type, '#')+1:] + j.Error.Code
		}
	case xml.Unmarshal(body, &x) == nil && x.Message+x.Text != "":
		code, message = x.Code+x.Bare, x.Message+x.Text
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, code)) + ": " + message
}

// NewMissing returns an invoker in place of one whose service isn't there:
// each invocation fails with ErrUnreachable, and the text says what to do.
func NewMissing(text string) Invoker { return missing(text) }

type missing string

func (m missing) Invoke(context.Context, *Request) (*Response, error) {
	return nil, &Error{Kind: ErrUnreachable, Detail: string(m)}
}
