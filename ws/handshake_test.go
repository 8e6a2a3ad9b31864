package ws

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

func TestAcceptKey(t *testing.T) {
	// The example of RFC 6455 section 1.3.
	if got, want := AcceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; got != want {
		t.Errorf("AcceptKey = %q, want %q", got, want)
	}
}

func TestCheckHandshake(t *testing.T) {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	good := func() http.Header {
		return http.Header{
			"Upgrade": {"websocket"}, "Connection": {"Upgrade"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {key},
		}
	}
	tests := []struct {
		name   string
		method string
		minor  int
		change func(http.Header)
		want   *HandshakeError
	}{
		{"good", "GET", 1, func(h http.Header) {}, nil},
		{"tokens in lists and any case", "GET", 1, func(h http.Header) {
			h["Connection"] = []string{"keep-alive, UPGRADE"}
			h["Upgrade"] = []string{"h2c", "WebSocket"}
		}, nil},
		{"POST", "POST", 1, func(h http.Header) {}, ErrHandshakeMethod},
		{"HTTP/1.0", "GET", 0, func(h http.Header) {}, ErrHandshakeProtocol},
		{"no Upgrade", "GET", 1, func(h http.Header) { h.Del("Upgrade") }, ErrHandshakeUpgrade},
		{"Upgrade names another", "GET", 1, func(h http.Header) { h.Set("Upgrade", "websocket2") }, ErrHandshakeUpgrade},
		{"no Connection", "GET", 1, func(h http.Header) { h.Del("Connection") }, ErrHandshakeConnection},
		{"version 8", "GET", 1, func(h http.Header) { h.Set("Sec-Websocket-Version", "8") }, ErrHandshakeVersion},
		{"no version", "GET", 1, func(h http.Header) { h.Del("Sec-Websocket-Version") }, ErrHandshakeVersion},
		{"no key", "GET", 1, func(h http.Header) { h.Del("Sec-Websocket-Key") }, ErrHandshakeKey},
		{"two keys", "GET", 1, func(h http.Header) { h.Add("Sec-Websocket-Key", key) }, ErrHandshakeKey},
		{"short key", "GET", 1, func(h http.Header) { h.Set("Sec-Websocket-Key", "dGhlIHNhbXBsZQ==") }, ErrHandshakeKey},
		{"key of 17 bytes", "GET", 1, func(h http.Header) { h.Set("Sec-Websocket-Key", strings.Repeat("A", 23)+"=") }, ErrHandshakeKey},
		{"key not base64", "GET", 1, func(h http.Header) { h.Set("Sec-Websocket-Key", strings.Repeat("!", 24)) }, ErrHandshakeKey},
		{"key with a line break", "GET", 1, func(h http.Header) { h.Set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ\r\n") }, ErrHandshakeKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := good()
			tt.change(h)
			got, err := CheckHandshake(tt.method, tt.minor, h.Values)
			if err != tt.want {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil && got != key {
				t.Errorf("key %q, want %q", got, key)
			}
		})
	}
}

// FuzzCheckHandshake holds what is let in to be a handshake, whatever its fields are.
func FuzzCheckHandshake(f *testing.F) {
	f.Add("GET", 1, "websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ==", "permessage-deflate")
	f.Add("GET", 1, "h2c, WebSocket", "keep-alive , upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ==", "permessage-deflate; client_max_window_bits; server_max_window_bits=15, x")
	f.Add("POST", 0, ",", "\t", "8", strings.Repeat("=", 24), `permessage-deflate; server_max_window_bits="10", ;`)
	f.Fuzz(func(t *testing.T, method string, minor int, upgrade, connection, version, key, offer string) {
		h := http.Header{"Upgrade": {upgrade}, "Connection": {connection}, "Sec-Websocket-Version": {version}, "Sec-Websocket-Key": {key}}
		got, err := CheckHandshake(method, minor, h.Values)
		switch raw, bad := base64.StdEncoding.DecodeString(key); {
		case err != nil && (err.Status < 400 || err.Text() == "" || got != ""):
			t.Errorf("refused with %d %q, key %q", err.Status, err.Text(), got)
		case err == nil && (got != key || method != "GET" || minor < 1 || version != "13" || bad != nil || len(raw) != 16):
			t.Errorf("let in: %s, minor %d, version %q, key %q", method, minor, version, key)
		}
		// What answers an offer is one of two lines, and an offer itself.
		if answer := NegotiateDeflate([]string{offer}); answer != "" {
			if again := NegotiateDeflate([]string{answer}); again != answer {
				t.Errorf("%q is answered with %q, and that with %q", offer, answer, again)
			}
		}
	})
}

func TestAppendClose(t *testing.T) {
	tests := []struct {
		name string
		code CloseCode
		text string
		want string
	}{
		{"code and text", 1001, "Going away", "\x88\x0c\x03\xe9Going away"},
		{"code alone", 1000, "", "\x88\x02\x03\xe8"},
		{"no status", CloseNoStatusReceived, "x", "\x88\x00"},
		{"text cut at a rune", 1000, strings.Repeat("é", 70), "\x88\x7c\x03\xe8" + strings.Repeat("é", 61)},
		{"text not UTF-8", 1000, "\xff", "\x88\x02\x03\xe8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendClose(nil, tt.code, tt.text)); got != tt.want {
				t.Errorf("AppendClose = %q, want %q", got, tt.want)
			}
		})
	}
}
