package autobahn

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidegate/tidegatetest"
)

// template is an API of which every message goes to an HTTP backend, whose answer
// is the client's.
const template = `Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: echo, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Backend:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: HTTP_PROXY, IntegrationMethod: POST, IntegrationUri: BACKEND}
  Default:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub 'integrations/${Backend}', RouteResponseSelectionExpression: $default}
  Response:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Api, RouteId: !Ref Default, RouteResponseKey: $default}
  Prod:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: prod, AutoDeploy: true}
`

// echo answers bytes with bytes and text with text.
func echo(w http.ResponseWriter, r *http.Request) {
	kind := "text/plain; charset=utf-8"
	if r.Header.Get("Content-Type") == "application/octet-stream" {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	body, err := io.ReadAll(r.Body) // all of it before any is answered: HTTP/1 isn't full duplex
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(body)
}

// TestGateway plays against all of Tidegate, with a backend that echoes. A client
// that breaks the protocol is closed behind the answers to what it sent before.
func TestGateway(t *testing.T) {
	if *targetURL != "" {
		t.Skip("-target is set")
	}
	backend := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(backend.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(strings.ReplaceAll(template, "BACKEND", backend.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := tidegatetest.Start(t, tidegatetest.Options{Template: dir, Extended: true, Limits: []string{
		"message_size=16MiB", "frame_size=16MiB", "compression=on",
	}})
	u, err := url.Parse(s.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	play(t, to(u.Host, u.Path), Cases())
}
