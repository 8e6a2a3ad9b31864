package serve

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tidegate/internal/config"
	"tidegate/internal/observe"
	"tidegate/sigv4"
	"tidegate/ws"
)

// pushConfig is one API whose clients are told their ids, and three who may push.
const pushConfig = `
data_dir: data
listeners: { public: "127.0.0.1:0", management: off, admin: off }
identities:
  - { name: backend, access_key_id: backend, secret_access_key: "backend-secret-key" }
  - { name: script, bearer_token: "the-token-of-a-script-on-loopback" }
apis:
  - name: bench
    route_selection_expression: $request.body.action
    stages: [{ name: bench }]
    routes:
      - route_key: whoami
        route_response_key: $default
        integration:
          integration_type: MOCK
          template_selection_expression: \$default
          request_templates: { $default: '{"statusCode":200}' }
          integration_responses:
            - integration_response_key: $default
              template_selection_expression: \$default
              response_templates: { $default: '$context.connectionId' }
`

// serveFile serves a configuration, and returns where its first listener is.
func serveFile(b *testing.B, text string) (host string) {
	b.Helper()
	dir := b.TempDir()
	b.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
	file := filepath.Join(dir, "tidegate.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	conf, _, err := config.Load(file, nil)
	if err != nil {
		b.Fatal(err)
	}
	p := &process{config: conf, observer: observe.New(), identities: newIdentities()}
	if err := p.open(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.server.Close(); p.observer.Close() })
	return p.server.Listeners()[0].Open.Addr().String()
}

// servePush serves pushConfig and returns where, and one client with its id.
func servePush(b *testing.B) (host string, client net.Conn, id string) {
	b.Helper()
	host = serveFile(b, pushConfig)
	c, err := net.Dial("tcp", host)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET /bench HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", host)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		b.Fatalf("handshake: %v %v", resp, err)
	}
	c.Write(ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{1, 2, 3, 4}, []byte(`{"action":"whoami"}`)))
	frame := make([]byte, 2+16)
	if _, err := io.ReadFull(c, frame); err != nil {
		b.Fatal(err)
	}
	return host, c, string(frame[2:])
}

// BenchmarkPush is a push, from a backend's socket to the client's, through
// everything that serve runs. Backend and client allocate nothing: the allocations
// are the server's.
func BenchmarkPush(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 100)
	for _, who := range []string{"signed", "bearer"} {
		b.Run(who, func(b *testing.B) {
			host, client, id := servePush(b)
			q, err := http.NewRequest("POST", "http://"+host+"/bench/@connections/"+url.QueryEscape(id), bytes.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			q.Header.Set("Content-Type", "application/octet-stream")
			if who == "signed" {
				sigv4.Sign(q, body, sigv4.Credentials{AccessKeyID: "backend", SecretAccessKey: "backend-secret-key"}, "execute-api", "us-east-1", time.Now())
			} else {
				q.Header.Set("Authorization", "Bearer the-token-of-a-script-on-loopback")
			}
			var request bytes.Buffer
			if err := q.Write(&request); err != nil {
				b.Fatal(err)
			}
			backend, err := net.Dial("tcp", host)
			if err != nil {
				b.Fatal(err)
			}
			defer backend.Close()
			frame, answer := make([]byte, ws.MessageSize(len(body), 0)), make([]byte, 4<<10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := backend.Write(request.Bytes()); err != nil {
					b.Fatal(err)
				}
				n, err := backend.Read(answer)
				if err != nil || !strings.HasPrefix(string(answer[:min(n, 12)]), "HTTP/1.1 200") {
					b.Fatalf("%q, %v", answer[:n], err)
				}
				if _, err := io.ReadFull(client, frame); err != nil {
					b.Fatal(err)
				}
			}
			if got := string(frame[len(frame)-len(body):]); got != string(body) {
				b.Errorf("the client got %s", strconv.Quote(got))
			}
		})
	}
}
