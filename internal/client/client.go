// Package client is how the commands talk to a running Tidegate: finding it,
// calling its HTTP APIs with a signature, and holding a WebSocket to it. It
// knows only what any client may know.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tidegate/sigv4"
)

// RunFile is the name, below a data dir, of the file that says where its
// Tidegate listens.
const RunFile = "run.json"

// A Run is what the run file holds.
type Run struct {
	Endpoint    string `json:"endpoint"` // http://localhost:8420
	PID         int    `json:"pid"`
	Region      string `json:"region"`
	AccessKeyID string `json:"accessKeyId"`
	// SecretFile holds the secret key when it isn't the well-known one; it is
	// readable by its owner alone.
	SecretFile string `json:"secretFile,omitempty"`
	// Secret is the secret key when someone gave it; no file holds it.
	Secret   string `json:"-"`
	CACert   string `json:"caCert"`   // the certificate authority, PEM
	CABundle string `json:"caBundle"` // the system's roots and ours, PEM
	Stack    string `json:"stack"`
}

// WriteRun writes the run file of a data dir.
func WriteRun(dataDir string, r Run) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dataDir, RunFile), append(b, '\n'), 0o600)
}

// ErrNotFound says that no Tidegate was found.
var ErrNotFound = errors.New("no running Tidegate found in this folder or one above: go to its template's folder, start one with `tidegate up`, or say where it is with --endpoint URL or TIDEGATE_ENDPOINT")

// Find locates a Tidegate: the endpoint given (a flag's or the environment's),
// else the run file in the .tidegate of dir or of a folder above it. Of an
// endpoint without a run file the region isn't known.
func Find(endpoint, dir string) (Run, error) {
	if endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return Run{}, fmt.Errorf("the endpoint %q is not a URL such as http://localhost:8420", endpoint)
		}
		endpoint = strings.TrimSuffix(endpoint, "/")
		if r, err := findRunFile(dir); err == nil && r.Endpoint == endpoint {
			return r, nil // the same Tidegate, with its keys and its authority
		}
		return Run{Endpoint: endpoint, AccessKeyID: "tidegate"}, nil
	}
	return findRunFile(dir)
}

// findRunFile reads the nearest run file: in dir's .tidegate, or above.
func findRunFile(dir string) (Run, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Run{}, err
	}
	for {
		r, err := readRun(filepath.Join(dir, ".tidegate", RunFile))
		if err == nil {
			return r, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return Run{}, err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return Run{}, ErrNotFound
		}
		dir = parent
	}
}

func readRun(file string) (Run, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Run{}, err
	}
	var r Run
	if err := json.Unmarshal(b, &r); err != nil {
		return Run{}, fmt.Errorf("%s is damaged (%v); start `tidegate up` again", file, err)
	}
	return r, nil
}

// A Client calls a Tidegate's HTTP APIs.
type Client struct {
	Run  Run
	HTTP *http.Client
	keys sigv4.Credentials
}

// New returns a client of the Tidegate that Find found.
func New(r Run) (*Client, error) {
	keys := sigv4.Credentials{AccessKeyID: r.AccessKeyID, SecretAccessKey: "tidegate"}
	if r.Secret != "" {
		keys.SecretAccessKey = r.Secret
	} else if r.SecretFile != "" {
		b, err := os.ReadFile(r.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("read the root key: %w", err)
		}
		keys.SecretAccessKey = strings.TrimSpace(string(b))
	}
	return &Client{Run: r, HTTP: &http.Client{Timeout: 16 * time.Minute}, keys: keys}, nil
}

// Credentials are the keys that the client signs with.
func (c *Client) Credentials() sigv4.Credentials { return c.keys }

// Do sends a signed request for the service of that signing name and returns
// the whole answer. A failure to reach Tidegate says what to do about it.
func (c *Client) Do(ctx context.Context, service, method, path string, header http.Header, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Run.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for k, vs := range header {
		req.Header[k] = vs
	}
	sigv4.Sign(req, body, c.keys, service, c.Run.Region, time.Now())
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, nil, c.unreachable(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer of %s %s: %w", method, path, err)
	}
	return resp, b, nil
}

// GetJSON reads one of Tidegate's own pages into v.
func (c *Client) GetJSON(ctx context.Context, path string, v any) error {
	resp, b, err := c.Do(ctx, "tidegate", http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return answerError(resp, b)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("GET %s: unexpected answer: %w", path, err)
	}
	return nil
}

// answerError turns a refusal into an error with AWS's code and message.
func answerError(resp *http.Response, body []byte) error {
	code := resp.Header.Get("X-Amzn-Errortype")
	var m struct {
		Message  string `json:"message"`
		Message2 string `json:"Message"`
	}
	json.Unmarshal(body, &m)
	text := m.Message + m.Message2
	if m.Message == m.Message2 {
		text = m.Message
	}
	if text == "" {
		text = strings.TrimSpace(string(body))
	}
	if code == "" {
		code = resp.Status
	}
	if text == "" {
		return errors.New(code)
	}
	if code == "UnrecognizedClientException" {
		text += " A `tidegate serve` lets in an identity of its configuration that is admin: name it in TIDEGATE_ACCESS_KEY_ID and TIDEGATE_SECRET_ACCESS_KEY."
	}
	return errors.New(code + ": " + text)
}

// A Stack is what /_tidegate/stack tells.
type Stack struct {
	APIs      []API             `json:"apis"`
	Functions []Resource        `json:"functions"`
	Rules     []Resource        `json:"rules"`
	Schedules []Resource        `json:"schedules"`
	Tables    []Resource        `json:"tables"`
	Outputs   map[string]string `json:"outputs"`
}

// An API of a Stack.
type API struct {
	LogicalID string  `json:"logicalId"`
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Stages    []Stage `json:"stages"`
}

// A Stage of an API, with the URL that clients connect to.
type Stage struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	// Domains are the URLs by custom domain names.
	Domains []string `json:"domains,omitempty"`
}

// A Resource of a Stack.
type Resource struct {
	LogicalID string `json:"logicalId"`
	Name      string `json:"name"`
	ARN       string `json:"arn"`
}

// Stack asks what runs.
func (c *Client) Stack(ctx context.Context) (*Stack, error) {
	var s Stack
	if err := c.GetJSON(ctx, "/_tidegate/stack", &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Named returns the resource with that name, logical id or ARN. kind is the
// word for what is sought, in the error that lists what there is.
func Named(kind string, all []Resource, name string) (Resource, error) {
	var have []string
	for _, r := range all {
		if name == r.LogicalID || name == r.Name || name == r.ARN {
			return r, nil
		}
		have = append(have, r.LogicalID)
	}
	if len(have) == 0 {
		return Resource{}, fmt.Errorf("there is no %s %q: the stack has none", kind, name)
	}
	if near := nearestName(name, have); near != "" {
		return Resource{}, fmt.Errorf("there is no %s %q; did you mean %s? There is %s", kind, name, near, strings.Join(have, ", "))
	}
	return Resource{}, fmt.Errorf("there is no %s %q; there is %s", kind, name, strings.Join(have, ", "))
}

// A Connection is one that is open, as /_tidegate/connections tells.
type Connection struct {
	ID          string    `json:"connectionId"`
	APIID       string    `json:"apiId"`
	Stage       string    `json:"stage"`
	SourceIP    string    `json:"sourceIp"`
	UserAgent   string    `json:"userAgent,omitempty"`
	ConnectedAt time.Time `json:"connectedAt"`
	LastActive  time.Time `json:"lastActiveAt"`
}

// Connections lists the open connections.
func (c *Client) Connections(ctx context.Context) ([]Connection, error) {
	var page struct {
		Connections []Connection `json:"connections"`
	}
	err := c.GetJSON(ctx, "/_tidegate/connections", &page)
	return page.Connections, err
}

// Post pushes data to a connection, through the public @connections API.
func (c *Client) Post(ctx context.Context, id string, data []byte) error {
	return c.manage(ctx, http.MethodPost, id, data, http.StatusOK)
}

// manage calls the Management API of the stage that holds the connection.
func (c *Client) manage(ctx context.Context, method, id string, data []byte, want int) error {
	all, err := c.Connections(ctx)
	if err != nil {
		return err
	}
	var have []string
	for _, conn := range all {
		if conn.ID != id {
			have = append(have, conn.ID)
			continue
		}
		path := "/" + conn.APIID + "/" + url.PathEscape(conn.Stage) + "/@connections/" + url.PathEscape(id)
		resp, b, err := c.Do(ctx, "execute-api", method, path, nil, data)
		if err != nil {
			return err
		}
		if resp.StatusCode != want {
			return answerError(resp, b)
		}
		return nil
	}
	hint := "`tidegate connections` lists those that are open"
	if near := nearestName(id, have); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	return fmt.Errorf("GoneException: no client holds the connection %q (%s)", id, hint)
}

// Fire fires a rule now.
func (c *Client) Fire(ctx context.Context, rule string) error {
	resp, b, err := c.Do(ctx, "tidegate", http.MethodPost, "/_tidegate/rules/"+url.PathEscape(rule)+"/fire", nil, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return answerError(resp, b)
	}
	return nil
}

// Invoke invokes a function synchronously. failed is Lambda's word for a
// function error (Unhandled), "" when there was none.
func (c *Client) Invoke(ctx context.Context, function string, payload []byte) (result []byte, failed string, err error) {
	resp, b, err := c.Do(ctx, "lambda", http.MethodPost, "/2015-03-31/functions/"+url.PathEscape(function)+"/invocations", nil, payload)
	if err != nil {
		return nil, "", err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, "", answerError(resp, b)
	}
	return b, resp.Header.Get("X-Amz-Function-Error"), nil
}
