package conformance

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
)

// relaySource is the one function that all scripts share: it carries its event to
// the backend server, and what that says back.
const relaySource = `exports.handler = async (event, context) => {
  const response = await fetch(process.env.BACKEND, {
    method: 'POST',
    body: JSON.stringify({ event, context }),
  });
  const { result, throws } = await response.json();
  if (throws) {
    const error = new Error(throws.message);
    error.name = throws.name;
    throw error;
  }
  return result;
};
`

// relays are copies of the relay function. A script has as many as it names
// functions, for itself, while it runs.
type relays struct {
	target   *target
	backends *backendServer

	mu   sync.Mutex
	free []*relay
	made int
}

// A relay is one such function.
type relay struct {
	segment string // of the backend's URL
	arn     string
}

// lease returns a relay that is nobody's.
func (p *relays) lease(ctx context.Context) (*relay, error) {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		r := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		return r, nil
	}
	p.made++
	name := fmt.Sprintf("relay-%s-%d", p.target.run, p.made)
	p.mu.Unlock()
	return p.create(ctx, name)
}

// giveBack lets another script have the relay.
func (p *relays) giveBack(r *relay) {
	p.backends.unbind(r.segment)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, r)
}

// create makes one more relay and lets API Gateway invoke it.
func (p *relays) create(ctx context.Context, name string) (*relay, error) {
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	f, err := z.Create("index.js")
	if err != nil {
		return nil, err
	}
	if _, err := f.Write([]byte(relaySource)); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	input := map[string]any{
		"FunctionName": name, "Runtime": "nodejs22.x", "Handler": "index.handler", "Role": p.target.functionRole, "Timeout": 40,
		"Code":        map[string]any{"ZipFile": code.Bytes()},
		"Environment": map[string]any{"Variables": map[string]string{"BACKEND": p.backends.base + "/" + name}},
	}
	var made struct{ FunctionArn string }
	if err := p.lambda(ctx, http.MethodPost, "/2015-03-31/functions", input, &made); err != nil {
		return nil, err
	}
	permission := map[string]any{"StatementId": "apigateway", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
	if err := p.lambda(ctx, http.MethodPost, "/2015-03-31/functions/"+name+"/policy", permission, nil); err != nil {
		return nil, err
	}
	return &relay{segment: name, arn: made.FunctionArn}, nil
}

// close deletes every relay that was given back.
func (p *relays) close(ctx context.Context) {
	for _, r := range p.free {
		p.lambda(ctx, http.MethodDelete, "/2015-03-31/functions/"+r.segment, nil, nil)
	}
}

// lambda calls Lambda's API.
func (p *relays) lambda(ctx context.Context, method, path string, input, output any) error {
	resp, err := p.target.call(ctx, "lambda", method, path, input)
	if err != nil {
		return err
	}
	if resp.status/100 != 2 {
		return fmt.Errorf("Lambda's %s %s: %d %s", method, path, resp.status, resp.body)
	}
	if output == nil {
		return nil
	}
	return json.Unmarshal([]byte(resp.body), output)
}
