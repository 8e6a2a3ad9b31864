package conformance

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gobwas "github.com/gobwas/ws"
)

// A frameIn is what a client was sent, or its connection's end.
type frameIn struct {
	what   string // text, binary, pong, ping, close or end
	data   string
	frames []int  // bytes of each of the message's
	code   int    // of close
	reason string // of close
	err    error  // of end
}

// String says what came, for a failure.
func (f frameIn) String() string {
	switch f.what {
	case "text":
		return f.data
	case "binary":
		return fmt.Sprintf("binary %x", f.data)
	case "close":
		return strings.TrimSpace(fmt.Sprintf("(close frame) %d %s", f.code, f.reason))
	case "end":
		return fmt.Sprintf("(the connection's end: %v)", f.err)
	}
	return "(" + f.what + ") " + f.data
}

// A wsClient is a WebSocket client that does and sees what a script says, to the
// byte. It is none of Tidegate's own code.
type wsClient struct {
	name string
	conn net.Conn

	answered chan struct{} // closed when the handshake was
	status   int           // of the answer; 0: none came, see err
	header   http.Header
	body     string
	err      error
	asserted bool // a step has looked at the answer

	in   chan frameIn
	deaf atomic.Bool // it reads nothing more
	mu   sync.Mutex  // one frame at a time
}

// A handshake is what a client sends to connect.
type handshake struct {
	host, target string
	header       []headerLine
}

// A headerLine is one as it is written.
type headerLine struct{ name, value string }

// connect begins a handshake; answered tells its end.
func connect(ctx context.Context, name string, dial func(context.Context) (net.Conn, error), h handshake) *wsClient {
	c := &wsClient{name: name, answered: make(chan struct{}), in: make(chan frameIn, 1000)}
	go c.shake(ctx, dial, h)
	return c
}

func (c *wsClient) shake(ctx context.Context, dial func(context.Context) (net.Conn, error), h handshake) {
	conn, err := dial(ctx)
	if err != nil {
		c.err = err
		close(c.answered)
		return
	}
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	var key [16]byte
	rand.Read(key[:])
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n",
		h.target, h.host, base64.StdEncoding.EncodeToString(key[:]))
	for _, line := range h.header {
		fmt.Fprintf(&b, "%s: %s\r\n", line.name, line.value)
	}
	b.WriteString("\r\n")
	conn.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(conn)
	var resp *http.Response
	if _, err = io.WriteString(conn, b.String()); err == nil {
		resp, err = http.ReadResponse(r, nil)
	}
	if err != nil {
		c.err = err
		conn.Close()
		close(c.answered)
		return
	}
	c.status, c.header = resp.StatusCode, resp.Header
	if c.status != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		c.body = string(body)
		conn.Close()
		close(c.answered)
		return
	}
	conn.SetDeadline(time.Time{})
	close(c.answered)
	c.read(r)
}

// read takes frames in until the connection ends. Pings and the server's close
// frame are answered, as the protocol asks.
func (c *wsClient) read(r io.Reader) {
	var message []byte
	var frames []int
	var binary bool
	for !c.deaf.Load() {
		f, err := gobwas.ReadFrame(r)
		if err != nil {
			c.in <- frameIn{what: "end", err: err}
			return
		}
		switch f.Header.OpCode {
		case gobwas.OpPing:
			c.in <- frameIn{what: "ping", data: string(f.Payload)}
			c.write(gobwas.NewPongFrame(f.Payload))
		case gobwas.OpPong:
			c.in <- frameIn{what: "pong", data: string(f.Payload)}
		case gobwas.OpClose:
			code, reason := gobwas.ParseCloseFrameData(f.Payload)
			c.in <- frameIn{what: "close", code: int(code), reason: reason}
			c.write(gobwas.NewCloseFrame(f.Payload))
		default:
			if f.Header.OpCode != gobwas.OpContinuation {
				message, frames, binary = nil, nil, f.Header.OpCode == gobwas.OpBinary
			}
			message, frames = append(message, f.Payload...), append(frames, len(f.Payload))
			if f.Header.Fin {
				c.in <- frameIn{what: map[bool]string{true: "binary", false: "text"}[binary], data: string(message), frames: frames}
			}
		}
	}
}

// write sends one frame, masked.
func (c *wsClient) write(f gobwas.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return errors.New("it is not connected")
	}
	c.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	return gobwas.WriteFrame(c.conn, gobwas.MaskFrame(f))
}

// sendParts sends one message in frames.
func (c *wsClient) sendParts(op gobwas.OpCode, parts []string) error {
	for i, part := range parts {
		if i > 0 {
			op = gobwas.OpContinuation
		}
		if err := c.write(gobwas.NewFrame(op, i == len(parts)-1, []byte(part))); err != nil {
			return err
		}
	}
	return nil
}

// sendClose sends a close frame; a code of 0 sends one without.
func (c *wsClient) sendClose(code int, reason string) error {
	var payload []byte
	if code > 0 {
		payload = append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
	}
	return c.write(gobwas.NewCloseFrame(payload))
}

// vanish cuts the connection without a farewell.
func (c *wsClient) vanish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close()
	}
}
