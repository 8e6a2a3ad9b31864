package ws

import (
	"crypto/sha1"
	"encoding/base64"
	"strings"
)

// Version is the only Sec-WebSocket-Version that RFC 6455 knows.
const Version = "13"

// acceptGUID is what section 1.3 appends to the client's key.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// keyLen is the length of a Sec-WebSocket-Key.
const keyLen = 24

// AcceptKey returns the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key.
func AcceptKey(key string) string { return string(AppendAcceptKey(nil, key)) }

// AppendAcceptKey appends what AcceptKey returns.
func AppendAcceptKey(dst []byte, key string) []byte {
	text := make([]byte, 0, keyLen+len(acceptGUID))
	sum := sha1.Sum(append(append(text, key...), acceptGUID...))
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// ValidKey reports whether a Sec-WebSocket-Key is the base64 of 16 bytes.
func ValidKey(key string) bool {
	if len(key) != keyLen {
		return false
	}
	var b [18]byte // what DecodedLen(keyLen) asks for
	n, err := base64.StdEncoding.Decode(b[:], []byte(key))
	return err == nil && n == 16
}

// A HandshakeError says why a handshake request is refused.
type HandshakeError struct {
	Status int // of the HTTP answer; 426 wants a "Sec-WebSocket-Version: 13" with it
	text   string
}

// Error returns what the request lacks.
func (e *HandshakeError) Error() string { return "ws: handshake: " + e.text }

// Text returns what the request lacks, for the client.
func (e *HandshakeError) Text() string { return e.text }

// What CheckHandshake refuses (RFC 6455 sections 4.2.1 and 4.4).
var (
	ErrHandshakeMethod     = &HandshakeError{400, "the method must be GET"}
	ErrHandshakeProtocol   = &HandshakeError{400, "the protocol must be HTTP/1.1"}
	ErrHandshakeUpgrade    = &HandshakeError{400, "Upgrade must list websocket"}
	ErrHandshakeConnection = &HandshakeError{400, "Connection must list upgrade"}
	ErrHandshakeKey        = &HandshakeError{400, "Sec-WebSocket-Key must be sent once, the base64 of 16 bytes"}
	ErrHandshakeVersion    = &HandshakeError{426, "Sec-WebSocket-Version must be 13"}
)

// CheckHandshake checks a client's handshake request and returns its key. minor
// is the HTTP/1 minor version; values returns a header's values by its canonical
// name (http.Header.Values will do). Extensions and subprotocols are the
// caller's: answering without them declines them.
func CheckHandshake(method string, minor int, values func(name string) []string) (key string, err *HandshakeError) {
	switch {
	case method != "GET":
		return "", ErrHandshakeMethod
	case minor < 1:
		return "", ErrHandshakeProtocol
	case !hasToken(values("Upgrade"), "websocket"):
		return "", ErrHandshakeUpgrade
	case !hasToken(values("Connection"), "upgrade"):
		return "", ErrHandshakeConnection
	}
	if v := values("Sec-Websocket-Version"); len(v) != 1 || v[0] != Version {
		return "", ErrHandshakeVersion
	}
	k := values("Sec-Websocket-Key")
	if len(k) != 1 || !ValidKey(k[0]) {
		return "", ErrHandshakeKey
	}
	return k[0], nil
}

func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		for item := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.Trim(item, " \t"), token) {
				return true
			}
		}
	}
	return false
}
