package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"tidegate/sigv4"
)

// A target is what scripts run against.
type target struct {
	run         string // tells this run's functions from others'
	region      string
	account     string
	credentials sigv4.Credentials
	// endpoint is the base URL of every AWS API; "" means AWS's own hosts.
	endpoint     string
	functionRole string                      // whom relay functions run as
	advance      func(time.Duration)         // moves the clock; nil: it can't be
	log          func(apiID string) []string // what the target said of an API; nil: it doesn't tell
	settle       time.Duration               // how long a deployment takes to be everywhere
}

// isAWS says whether it is the real one.
func (t *target) isAWS() bool { return t.endpoint == "" }

// host is the execute-api host of an API. Other endpoints are dialled at their
// own address and told this name.
func (t *target) host(apiID string) string {
	return apiID + ".execute-api." + t.region + ".amazonaws.com"
}

// dial connects to where an API's host is.
func (t *target) dial(host string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		if t.isAWS() {
			d := &tls.Dialer{Config: &tls.Config{ServerName: host}}
			return d.DialContext(ctx, "tcp", host+":443")
		}
		u, err := url.Parse(t.endpoint)
		if err != nil {
			return nil, err
		}
		if u.Scheme == "https" {
			d := &tls.Dialer{}
			return d.DialContext(ctx, "tcp", u.Host)
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", u.Host)
	}
}

// A reply is what an HTTP call was answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// client follows no redirect and keeps no cookie; what it is answered is what
// the script sees.
var client = &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// call sends a signed request with a JSON body to an AWS service.
func (t *target) call(ctx context.Context, service, method, path string, input any) (*reply, error) {
	var body []byte
	if input != nil {
		var err error
		if body, err = json.Marshal(input); err != nil {
			return nil, err
		}
	}
	base := t.endpoint
	if t.isAWS() {
		base = "https://" + service + "." + t.region + ".amazonaws.com"
	}
	r, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if input != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	sigv4.Sign(r, body, t.credentials, service, t.region, time.Now())
	return send(r)
}

// logs calls CloudWatch Logs and returns what it answers.
func (t *target) logs(ctx context.Context, operation string, input any) (string, error) {
	body, err := json.Marshal(input)
	if err != nil {
		return "", err
	}
	base := t.endpoint
	if t.isAWS() {
		base = "https://logs." + t.region + ".amazonaws.com"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "Logs_20140328."+operation)
	sigv4.Sign(r, body, t.credentials, "logs", t.region, time.Now())
	resp, err := send(r)
	if err == nil && resp.status != http.StatusOK {
		err = fmt.Errorf("the logs' %s: %d %s", operation, resp.status, resp.body)
	}
	if err != nil {
		return "", err
	}
	return resp.body, nil
}

// request sends a request to an API's host, signed by sign unless that is nil.
func (t *target) request(ctx context.Context, host, method, path string, header []headerLine, body string, sign func(*http.Request, []byte)) (*reply, error) {
	base := t.endpoint
	if t.isAWS() {
		base = "https://" + host
	}
	r, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	r.Host = host
	for _, line := range header {
		r.Header[http.CanonicalHeaderKey(line.name)] = append(r.Header[http.CanonicalHeaderKey(line.name)], line.value)
	}
	if sign != nil {
		sign(r, []byte(body))
	}
	return send(r)
}

func send(r *http.Request) (*reply, error) {
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	return &reply{resp.StatusCode, resp.Header, string(body)}, err
}
