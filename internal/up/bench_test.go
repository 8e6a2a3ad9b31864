package up

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tidegate/internal/client"
	"tidegate/ws"
)

// benchTemplate is an API whose one route answers by itself.
const benchTemplate = `
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: bench, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: Prod, AutoDeploy: true }
  Ping:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: ping, Target: !Sub "integrations/${Mock}", RouteResponseSelectionExpression: $default }
  PingResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref Ping, RouteResponseKey: $default }
  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { ApiId: !Ref Api, IntegrationType: MOCK, RequestTemplates: { "200": '{"statusCode":200}' }, TemplateSelectionExpression: "200" }
  MockResponse:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Mock
      IntegrationResponseKey: $default
      ResponseTemplates: { "200": '{"pong":true}' }
      TemplateSelectionExpression: "200"
`

// BenchmarkMock is a client's message to a MOCK route and the answer, over a
// loopback socket, through everything that up runs. The client allocates
// nothing: the allocations are the server's, those for telling of the message
// included.
func BenchmarkMock(b *testing.B) {
	for _, format := range []string{"text", "json"} {
		b.Run(format, func(b *testing.B) {
			c := dialBench(b, Options{LogFormat: format, Terminal: format == "text"}, `{"action":"ping","data":"0123456789"}`)
			in := make([]byte, ws.MessageSize(len(`{"pong":true}`), 0))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(c.frame); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A benchSocket sends one frame over and over.
type benchSocket struct {
	net.Conn
	frame []byte
}

// dialBench runs the template in this process and connects to it.
func dialBench(b *testing.B, o Options, message string) *benchSocket {
	b.Helper()
	dir := b.TempDir()
	b.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
	o.Template, o.Ports, o.Region, o.Out, o.Err = filepath.Join(dir, "template.yaml"), []int{0}, "us-east-1", io.Discard, io.Discard
	if err := os.WriteFile(o.Template, []byte(benchTemplate), 0o600); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	var host string
	for ; host == ""; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			b.Fatalf("up ended: %v", err)
		default:
		}
		host = readyHost(b, dir)
	}
	nc, err := net.Dial("tcp", host)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	fmt.Fprintf(nc, "GET /Prod HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", host)
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		b.Fatalf("handshake: %v %v", resp, err)
	}
	return &benchSocket{Conn: nc, frame: ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{1, 2, 3, 4}, []byte(message))}
}

// readyHost is the server's host and port once the template is applied.
func readyHost(b *testing.B, dir string) string {
	run, err := client.Find("", dir)
	if err != nil {
		return ""
	}
	resp, err := http.Get(run.Endpoint + "/_tidegate/ready")
	if err != nil {
		return ""
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return ""
	}
	u, err := url.Parse(run.Endpoint)
	if err != nil {
		b.Fatal(err)
	}
	return u.Host
}
