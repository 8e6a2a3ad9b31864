package transporttest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tidegate/ws"
)

// patience is how long the suite waits for what must come; reaching it fails
// the test.
const patience = 20 * time.Second

const (
	testKey    = "dGhlIHNhbXBsZSBub25jZQ=="     // RFC 6455 section 1.3's
	testAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" // and its answer
)

// handshake is a whole handshake request for target; extra are further fields.
func handshake(target string, extra ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: gateway.test:8420\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + testKey + "\r\n" + lines(extra) + "\r\n"
}

func lines(ls []string) string {
	var b strings.Builder
	for _, l := range ls {
		b.WriteString(l + "\r\n")
	}
	return b.String()
}

// A client is the other end of a connection under test.
type client struct {
	t testing.TB
	net.Conn
	r   *bufio.Reader
	dec ws.Decoder
	buf []byte // read, not yet decoded

	deflate bool // was agreed
}

func newClient(t testing.TB, nc net.Conn) *client {
	nc.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { nc.Close() })
	return &client{t: t, Conn: nc, r: bufio.NewReader(nc)}
}

// write sends raw bytes. The server may have hung up already; reading tells.
func (c *client) write(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Logf("write: %v", err)
	}
}

// response reads one HTTP answer, its body included.
func (c *client) response(method string) (*http.Response, string) {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading the answer: %v", err)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res, ""
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("reading the answer's body: %v", err)
	}
	return res, string(body)
}

// open does the handshake.
func (c *client) open(target string, extra ...string) *http.Response {
	c.t.Helper()
	c.write(handshake(target, extra...))
	res, body := c.response("GET")
	if res.StatusCode != http.StatusSwitchingProtocols {
		c.t.Fatalf("handshake answered %d %s, want 101", res.StatusCode, body)
	}
	return res
}

// frame encodes a frame as a client sends it.
func frame(op ws.Opcode, fin bool, payload string) string {
	return string(ws.AppendMaskedFrame(nil, op, fin, [4]byte{1, 2, 3, 4}, []byte(payload)))
}

func text(payload string) string { return frame(ws.OpText, true, payload) }

// closeFrame encodes a close frame as a client sends it.
func closeFrame(code ws.CloseCode, reason string) string {
	return frame(ws.OpClose, true, string([]byte{byte(code >> 8), byte(code)})+reason)
}

// An event is what a client received. Code is a close frame's.
type event struct {
	Kind    ws.Kind
	Payload string
	Code    ws.CloseCode
}

// next reads the next message or control frame. io.EOF and resets are returned.
func (c *client) next() (event, error) {
	l := ws.Limits{Frame: 1 << 20, Message: 1 << 24, Binary: true, FromServer: true, Deflate: c.deflate}
	for {
		for len(c.buf) > 0 {
			ev, n, err := c.dec.Next(c.buf, &l)
			if err != nil {
				return event{}, fmt.Errorf("the server's frames: %w", err)
			}
			got := event{ev.Kind, string(ev.Payload), ev.Code}
			c.buf = c.buf[n:]
			if ev.Kind != ws.None {
				return got, nil
			}
		}
		b := make([]byte, 64<<10)
		n, err := c.r.Read(b)
		if n == 0 && err != nil {
			return event{}, err
		}
		c.buf = b[:n]
	}
}

// want reads the next event and fails the test unless it is that.
func (c *client) want(want event) {
	c.t.Helper()
	got, err := c.next()
	if err != nil {
		c.t.Fatalf("reading: %v, want %s", err, short(want))
	}
	if got != want {
		c.t.Fatalf("received %s, want %s", short(got), short(want))
	}
}

// wantCode reads to the close frame, whose code must be that, and returns its text.
func (c *client) wantCode(code ws.CloseCode) string {
	c.t.Helper()
	for {
		got, err := c.next()
		if err != nil {
			c.t.Fatalf("reading: %v, want a close frame with %v", err, code)
		}
		if got.Kind != ws.Close {
			continue
		}
		if got.Code != code {
			c.t.Fatalf("close code %v, want %v", got.Code, code)
		}
		return got.Payload
	}
}

// wantEnd reads until the server has hung up.
func (c *client) wantEnd() {
	c.t.Helper()
	for {
		got, err := c.next()
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			c.t.Fatalf("the server has not hung up")
		}
		if err != nil {
			return
		}
		if got.Kind != ws.Close {
			c.t.Fatalf("received %s, want the end", short(got))
		}
	}
}

func short(e event) string {
	if len(e.Payload) > 60 {
		return fmt.Sprintf("{kind %d, %d bytes, code %v}", e.Kind, len(e.Payload), e.Code)
	}
	return fmt.Sprintf("{kind %d, %q, code %v}", e.Kind, e.Payload, e.Code)
}
