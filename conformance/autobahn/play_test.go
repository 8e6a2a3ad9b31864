package autobahn

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tidegate/ws"
)

// What a server of TestVerdicts writes.
var (
	helloBack  = string(ws.AppendFrame(nil, ws.OpText, true, []byte(hello)))
	close1000  = string(ws.AppendClose(nil, ws.CloseNormalClosure, ""))
	close1002  = string(ws.AppendClose(nil, ws.CloseProtocolError, ""))
	close1007  = string(ws.AppendClose(nil, ws.CloseInvalidPayload, ""))
	closeEmpty = "\x88\x00"
	pong       = "\x8a\x00"
)

// TestVerdicts: a server that does wrong is found out. Each step of a server is
// what it writes after it has read some bytes; then it hangs up, unless the last
// step is "stay".
func TestVerdicts(t *testing.T) {
	const none = 6 // bytes of a masked frame without payload
	for _, tt := range []struct {
		name, id string
		server   []string
		want     Verdict
		close    Verdict
	}{
		{"right", "2.1", []string{pong, close1000}, OK, OK},
		{"no code in the close frame", "2.1", []string{pong, closeEmpty}, OK, OK},
		{"no pong", "2.7", []string{"", close1000}, OK, OK},
		{"a pong for a pong", "2.7", []string{pong, close1000}, Failed, OK},
		{"another payload", "2.1", []string{"\x8a\x01x", close1000}, Failed, OK},
		{"another kind", "2.1", []string{"\x81\x00", close1000}, Failed, OK},
		{"two pongs", "2.1", []string{pong + pong, close1000}, Failed, OK},
		{"another code", "2.1", []string{pong, close1002}, OK, WrongCode},
		{"no close frame", "2.1", []string{pong, ""}, OK, Unclean},
		{"closed by the server", "2.1", []string{close1000}, Failed, Failed},
		{"not hung up", "2.1", []string{pong, close1000, "stay"}, OK, FailedByClient},
		{"a frame after the close frame", "2.1", []string{pong, close1000 + pong}, Failed, FailedByClient},
		{"masked", "2.1", []string{"\x8a\x80\x01\x02\x03\x04", close1000}, Failed, Unclean},
		{"reserved bits", "2.1", []string{"\xca\x00", close1000}, Failed, Unclean},
		{"failed", "4.1.1", []string{close1002}, OK, OK},
		{"failed without a close frame", "4.1.1", []string{""}, OK, OK},
		{"not failed", "4.1.1", []string{"", "stay"}, OK, Failed},
		{"failed with another code", "4.1.1", []string{close1007}, OK, WrongCode},
		{"failed before the echo", "4.1.3", []string{close1002}, NonStrict, OK},
		{"ponged after the breach", "4.1.3", []string{helloBack + pong + close1002}, Failed, OK},
		{"compression that was not offered", "2.1\r\nSec-WebSocket-Extensions: permessage-deflate", []string{pong, close1000}, Failed, Unclean},
		{"no compression", "13.1.1", []string{close1000}, Unimplemented, OK},
		{"a window that is not confirmed", "13.4.1\r\nSec-WebSocket-Extensions: permessage-deflate", []string{close1000}, Failed, Unclean},
		{"takeover though none was to be", "13.2.1\r\nSec-WebSocket-Extensions: permessage-deflate", []string{close1000}, Failed, Unclean},
		{"never failed", "6.4.1", []string{"", "", "stay"}, NonStrict, Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id, extra, _ := strings.Cut(tt.id, "\r\n")
			c := caseOf(t, id)
			p := &Player{Host: "h", Path: "/", Patience: 300 * time.Millisecond, Dial: func(context.Context) (net.Conn, error) {
				client, server := loopback(t)
				go serve(server, extra, tt.server, none)
				return client, nil
			}}
			if r := p.Play(t.Context(), c); r.Behavior != tt.want || r.Close != tt.close {
				t.Errorf("%s: %s, close %s (%s), want %s, close %s", id, r.Behavior, r.Close, r.Why, tt.want, tt.close)
			}
		})
	}
}

func caseOf(t *testing.T, id string) *Case {
	t.Helper()
	for _, c := range Cases() {
		if c.ID == id {
			return &c
		}
	}
	t.Fatalf("there is no case %s", id)
	return nil
}

// loopback returns both ends of a connection.
func loopback(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// serve answers the handshake and does the steps, each after at least so many bytes.
func serve(conn net.Conn, extra string, steps []string, atLeast int) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	request, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		ws.AcceptKey(request.Header.Get("Sec-WebSocket-Key")) + "\r\n"
	if extra != "" {
		answer += extra + "\r\n"
	}
	io.WriteString(conn, answer+"\r\n")
	for _, step := range steps {
		if step == "stay" {
			break
		}
		if _, err := io.ReadFull(r, make([]byte, atLeast)); err != nil {
			return
		}
		if step != "" {
			io.WriteString(conn, step)
		}
	}
	if len(steps) > 0 && steps[len(steps)-1] != "stay" {
		conn.(*net.TCPConn).CloseWrite()
	}
	io.Copy(io.Discard, r) // until the client hangs up
}
