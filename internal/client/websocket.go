package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	gobwas "github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// A WebSocket is one connection to a stage. Send may be called beside Receive.
type WebSocket struct {
	conn     net.Conn
	reader   io.Reader
	Protocol string // the subprotocol that the server chose, or ""
	// Control hears of each "ping" and "pong"; set it before the first Receive.
	Control func(what string)

	mu sync.Mutex // one frame at a time
}

// DialOptions are what a handshake may carry.
type DialOptions struct {
	Header       http.Header
	Subprotocols []string
	CACert       string // a PEM file to trust beside the system's roots; "" for none
	Address      string // host:port to connect to instead of the URL's; "" for the URL's
}

// Closed is the end of a WebSocket as the server told it.
type Closed struct {
	Code int
	Text string
}

// Error says code and text, and what the code means.
func (c Closed) Error() string { return "closed by the server: " + c.explained() }

// explained is code and text, and what the code means where the text doesn't say.
func (c Closed) explained() string {
	text := strings.TrimSpace(fmt.Sprintf("%d %s", c.Code, visible(c.Text)))
	if meaning := closeMeanings[c.Code]; meaning != "" {
		text += " (" + meaning + ")"
	}
	return text
}

// closeMeanings are what API Gateway's close codes mean to a client.
// https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
var closeMeanings = map[int]string{
	1001: "it was idle for 10 minutes, open for 2 hours, or the server stops",
	1003: "it takes no message of this kind",
	1005: "without a code",
	1007: "a text message wasn't UTF-8",
	1008: "a policy forbids it",
	1009: "a message or frame was too large: 128 KB and 32 KB at most",
	1011: "an error of the server's",
	1012: "the server restarts",
	1013: "try again later",
}

// Dial opens a WebSocket. A refused handshake says its status and body.
func Dial(ctx context.Context, url string, o DialOptions) (*WebSocket, error) {
	var body bytes.Buffer
	var status int
	d := gobwas.Dialer{
		Timeout:   40 * time.Second, // $connect may take 29 s
		Header:    gobwas.HandshakeHeaderHTTP(o.Header),
		Protocols: o.Subprotocols,
		OnStatusError: func(code int, _ []byte, resp io.Reader) {
			status = code
			if r, err := http.ReadResponse(bufio.NewReader(resp), nil); err == nil {
				io.Copy(&body, io.LimitReader(r.Body, 4<<10))
			}
		},
	}
	if o.CACert != "" {
		config, err := trusting(o.CACert)
		if err != nil {
			return nil, err
		}
		d.TLSConfig = config
	}
	if o.Address != "" {
		d.NetDial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, o.Address)
		}
	}
	conn, buffered, handshake, err := d.Dial(ctx, url)
	if status != 0 {
		return nil, fmt.Errorf("%s refused the handshake: %d %s %s", url, status, http.StatusText(status), strings.TrimSpace(body.String()))
	}
	if err != nil {
		var unknown *net.DNSError
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" && !errors.As(err, &unknown) {
			return nil, fmt.Errorf("connect to %s: %w; is `tidegate up` running there?", url, err)
		}
		return nil, fmt.Errorf("connect to %s: %w", url, err)
	}
	w := &WebSocket{conn: conn, reader: conn, Protocol: handshake.Protocol}
	if buffered != nil {
		w.reader = io.MultiReader(buffered, conn)
	}
	return w, nil
}

// Send sends one text message.
func (w *WebSocket) Send(text []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return wsutil.WriteClientText(w.conn, text)
}

// Receive waits for the next message. The end of the connection is a Closed or
// a network error. Pings are answered.
func (w *WebSocket) Receive() ([]byte, error) {
	payload, _, err := w.ReceiveMessage()
	return payload, err
}

// ReceiveMessage is Receive that also says whether the message is binary.
func (w *WebSocket) ReceiveMessage() (payload []byte, binary bool, err error) {
	answer := wsutil.ControlFrameHandler(lockedWriter{w}, gobwas.StateClientSide)
	control := func(h gobwas.Header, r io.Reader) error {
		if w.Control != nil && h.OpCode != gobwas.OpClose {
			w.Control(map[bool]string{true: "ping", false: "pong"}[h.OpCode == gobwas.OpPing])
		}
		return answer(h, r)
	}
	rd := wsutil.Reader{Source: w.reader, State: gobwas.StateClientSide, CheckUTF8: true, OnIntermediate: control}
	for {
		h, err := rd.NextFrame()
		if err != nil {
			return nil, false, err
		}
		if h.OpCode.IsControl() {
			if err := control(h, &rd); err != nil {
				return nil, false, asClosed(err)
			}
			continue
		}
		payload, err := io.ReadAll(&rd)
		return payload, h.OpCode == gobwas.OpBinary, asClosed(err)
	}
}

// asClosed makes a close frame a Closed.
func asClosed(err error) error {
	var closed wsutil.ClosedError
	if errors.As(err, &closed) {
		return Closed{Code: int(closed.Code), Text: closed.Reason}
	}
	return err
}

// Ping sends a ping; its pong goes to Control.
func (w *WebSocket) Ping() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return gobwas.WriteFrame(w.conn, gobwas.MaskFrameInPlace(gobwas.NewPingFrame(nil)))
}

// Close says farewell with code 1000 and hangs up.
func (w *WebSocket) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn.SetWriteDeadline(time.Now().Add(time.Second))
	gobwas.WriteFrame(w.conn, gobwas.MaskFrameInPlace(gobwas.NewCloseFrame(gobwas.NewCloseFrameBody(gobwas.StatusNormalClosure, ""))))
	return w.conn.Close()
}

// lockedWriter keeps the answers to pings apart from what Send writes.
type lockedWriter struct{ w *WebSocket }

// Write writes one control frame.
func (l lockedWriter) Write(b []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.conn.Write(b)
}

// trusting returns a TLS configuration that trusts the system and one CA more.
func trusting(file string) (*tls.Config, error) {
	pem, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: roots}, nil
}
