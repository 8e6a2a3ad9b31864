package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// badHandlers is an API whose functions go wrong, one way each.
const badHandlers = `
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Runtime: nodejs22.x, CodeUri: ., Timeout: 2 } }
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: dev
      Routes:
        throws: { FunctionArn: !GetAtt Throws.Arn }
        hangs: { FunctionArn: !GetAtt Hangs.Arn }
        exits: { FunctionArn: !GetAtt Exits.Arn }
        junk: { FunctionArn: !GetAtt Junk.Arn }
        fine: { FunctionArn: !GetAtt Fine.Arn }
  Throws: { Type: AWS::Serverless::Function, Properties: { Handler: app.throws } }
  Hangs: { Type: AWS::Serverless::Function, Properties: { Handler: app.hangs } }
  Exits: { Type: AWS::Serverless::Function, Properties: { Handler: app.exits } }
  Junk: { Type: AWS::Serverless::Function, Properties: { Handler: app.junk } }
  Fine: { Type: AWS::Serverless::Function, Properties: { Handler: app.fine } }
`

const badCode = `
const { spawn } = require("node:child_process");
exports.throws = async () => { throw new TypeError("broken on purpose"); };
exports.hangs = async () => { spawn("sleep", ["600"]); await new Promise(() => setInterval(() => {}, 1000)); };
exports.exits = async () => { process.exit(3); };
exports.junk = async () => ({ ConnectionId: "x", Data: "y", statusCode: 200 });
exports.fine = async () => { console.log("fine indeed"); return { statusCode: 200 }; };
`

func TestHandlersThatFail(t *testing.T) {
	t.Parallel()
	need(t, "node")
	dir := folder(t, map[string]string{"template.yaml": badHandlers, "app.js": badCode})
	s := start(t, dir)
	c := s.dial()
	for _, action := range []string{"throws", "exits", "junk", "hangs"} {
		c.say(fmt.Sprintf(`{"action":%q}`, action))
		if m := c.next(); !strings.HasPrefix(m, `{"message": "Internal server error", "connectionId":"`) {
			t.Errorf("%s: client got %s", action, m)
		}
	}
	for _, said := range []string{"TypeError: broken on purpose", "app.js:3", "Runtime.ExitError", "exit status 3", "Task timed out after 2.00 seconds", "malformed Lambda proxy response"} {
		s.await("the terminal to tell "+said, func() bool { return strings.Contains(s.log.String(), said) })
	}
	c.say(`{"action":"nowhere"}`)
	if m := c.next(); !strings.HasPrefix(m, `{"message": "Forbidden", "connectionId":"`) {
		t.Errorf("no route: client got %s", m)
	}
	c.say(`{"action":"fine"}`)
	s.await("the function's output", func() bool { return strings.Contains(s.log.String(), "fine indeed") })

	// A saved file is live on the next invocation.
	code := strings.Replace(badCode, "fine indeed", "even better", 1)
	if err := os.WriteFile(filepath.Join(dir, "app.js"), []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	c.say(`{"action":"fine"}`)
	s.await("the saved file to be live", func() bool { return strings.Contains(s.log.String(), "even better") })
}

// TestClientsThatMisbehave wants each to be refused or closed with its code, and
// a well-behaved client to notice nothing.
func TestClientsThatMisbehave(t *testing.T) {
	t.Parallel()
	s := upMock(t)
	good := s.dial()
	u, err := url.Parse(s.run.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	raw := func() net.Conn {
		c, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
	handshake := "GET /Prod HTTP/1.1\r\nHost: " + u.Host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

	for _, tt := range []struct {
		name  string
		frame []byte
		code  int
	}{
		{"invalid UTF-8", frame(0x81, "\xff\xfe"), 1007},
		{"a binary frame", frame(0x82, "x"), 1003},
		{"reserved bits", frame(0xf1, "x"), 1002},
		{"an unknown opcode", frame(0x83, "x"), 1002},
		{"an unmasked frame", []byte{0x81, 1, 'x'}, 1002},
		{"a frame of 32 KB and one byte", frame(0x81, strings.Repeat("x", 32<<10+1)), 1009},
		{"a message of 129 KB", fragments(129<<10, 30<<10), 1009},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := raw()
			io.WriteString(c, handshake+"\r\n")
			r := bufio.NewReader(c)
			if status, err := r.ReadString('\n'); err != nil || !strings.Contains(status, "101") {
				t.Fatalf("handshake: %q %v", status, err)
			}
			for line := ""; line != "\r\n"; {
				if line, err = r.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			go c.Write(tt.frame)
			var head [4]byte
			if _, err := io.ReadFull(r, head[:]); err != nil {
				t.Fatal(err)
			}
			if code := int(binary.BigEndian.Uint16(head[2:])); head[0] != 0x88 || code != tt.code {
				t.Errorf("answered % x, want a close frame with %d", head, tt.code)
			}
		})
	}
	for _, tt := range []struct{ name, request, status string }{
		{"1,000 header lines", handshake + strings.Repeat("X: y\r\n", 1000) + "\r\n", "431"},
		{"no key", "GET /Prod HTTP/1.1\r\nHost: " + u.Host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n", "400"},
		{"an old version", strings.Replace(handshake, "Version: 13", "Version: 8", 1) + "\r\n", "426"},
		{"an unknown stage", strings.Replace(handshake, "/Prod", "/Nope", 1) + "\r\n", "403"},
		{"a foreign host", strings.Replace(handshake, u.Host, "evil.example", 1) + "\r\n", "421"},
		{"not HTTP", "hello there\r\n\r\n", "400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := raw()
			go io.WriteString(c, tt.request)
			status, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || !strings.HasPrefix(status, "HTTP/1.1 "+tt.status) {
				t.Errorf("answered %q %v, want %s", status, err, tt.status)
			}
		})
	}
	t.Run("half a handshake", func(t *testing.T) {
		c := raw()
		io.WriteString(c, handshake)
		if status, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(status, "408") {
			t.Errorf("after the deadline: %q %v, want 408", status, err)
		}
	})
	if status, body := get(t, s.httpURL(), nil); status != 426 {
		t.Errorf("plain HTTP to a stage: %d %s, want 426", status, body)
	}
	good.say(`{"action":"ping"}`)
	good.want(`{"pong":true}`)
}

// frame is one masked frame with a mask of zeros.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// fragments is one text message of n bytes in frames of size.
func fragments(n, size int) []byte {
	var b []byte
	for first := byte(0x01); n > 0; first = 0 {
		k := min(n, size)
		if n -= k; n == 0 {
			first |= 0x80
		}
		b = append(b, frame(first, strings.Repeat("x", k))...)
	}
	return b
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		old, new string
		want     []string
	}{
		"a wrong Ref":        {"RouteId: !Ref Ping,", "RouteId: !Ref Pong,", []string{"template.yaml:", "PingResponse", "RouteId", "Pong", `"Ping"`}},
		"a misspelt name":    {"IntegrationType: MOCK", "IntegrationTyp: MOCK", []string{"Mock", "IntegrationTyp", "IntegrationType"}},
		"an unbuilt feature": {"RouteKey: ping,", "RouteKey: ping, AuthorizationType: AWS_IAM,", []string{"Ping", "AuthorizationType"}},
		"an unbuilt type":    {"Type: AWS::ApiGatewayV2::RouteResponse", "Type: AWS::ApiGatewayV2::Authorizer", []string{"PingResponse", "AWS::ApiGatewayV2::Authorizer"}},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(mockAPI, tt.old) {
				t.Fatalf("the template has no %q", tt.old)
			}
			dir := folder(t, map[string]string{"template.yaml": strings.Replace(mockAPI, tt.old, tt.new, 1)})
			for _, verb := range []string{"validate", "up"} {
				_, stderr, code := output(t, dir, "", verb)
				if code != 2 {
					t.Errorf("%s: exit %d, want 2; it said %s", verb, code, stderr)
				}
				for _, w := range tt.want {
					if !strings.Contains(stderr, w) {
						t.Errorf("%s doesn't tell %q; it said %s", verb, w, stderr)
					}
				}
			}
		})
	}
	dir := folder(t, map[string]string{"template.yaml": badHandlers, "app.mjs.bak": ""})
	if _, stderr, code := output(t, dir, "", "validate"); code != 2 || !strings.Contains(stderr, "Handler") || !strings.Contains(stderr, "app.js") {
		t.Errorf("a missing handler file: exit %d: %s", code, stderr)
	}
	if _, stderr, code := output(t, t.TempDir(), "", "up"); code != 2 || !strings.Contains(stderr, "template.yaml") {
		t.Errorf("no template: exit %d: %s", code, stderr)
	}
	if out, stderr, code := output(t, folder(t, map[string]string{"template.yaml": mockAPI}), "", "validate"); code != 0 || !strings.Contains(out, `"valid": true`) {
		t.Errorf("a valid template: exit %d: %s%s", code, out, stderr)
	}
}

// TestHandshakeOnAUsedConnection: a proxy may reuse the connection that it made
// for plain requests.
func TestHandshakeOnAUsedConnection(t *testing.T) {
	t.Parallel()
	s := upMock(t)
	host := strings.TrimPrefix(s.run.Endpoint, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(c)
	for _, step := range []struct {
		send string
		want int
	}{
		{"GET /_tidegate/health HTTP/1.1\r\nHost: " + host + "\r\n\r\n", 200},
		{"GET /Prod HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 101},
	} {
		io.WriteString(c, step.send)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != step.want {
			t.Fatalf("%q: %+v, %v", step.send, resp, err)
		}
		if step.want == 200 {
			io.Copy(io.Discard, resp.Body)
		}
	}
	io.WriteString(c, "\x81\x91\x00\x00\x00\x00{\"action\":\"ping\"}")
	want := "\x81\x0d{\"pong\":true}"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}
