package integration

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/event"
)

// An Announcer tells HTTP backends in headers what a function has in its event, so
// that a backend needs no mapping to know whose message it got: in mode extended.
type Announcer struct {
	// Secret signs each request after the Standard Webhooks specification, so that
	// the backend knows who calls; nil: none is signed. See ParseWebhookSecret.
	Secret []byte
	Now    func() time.Time // dates signatures; nil means time.Now
}

// The headers that an Announcer sets. What a client sent under these names never
// reaches a backend.
const (
	headerConnectionID = "Tidegate-Connection-Id"
	headerEvent        = "Tidegate-Event" // CONNECT, MESSAGE or DISCONNECT
	headerRouteKey     = "Tidegate-Route-Key"
	headerPrincipal    = "Tidegate-Principal" // whom the authorizer named, or who signed the handshake
	headerRequestID    = "Tidegate-Request-Id"

	headerWebhookID        = "Webhook-Id"
	headerWebhookTimestamp = "Webhook-Timestamp"
	headerWebhookSignature = "Webhook-Signature"
)

// announce sets the headers of one request.
func (a *Announcer) announce(h *fields, r *Request) {
	*h = slices.DeleteFunc(*h, func(f event.Field) bool { return reserved(f.Name) })
	c := r.Context
	h.Add(headerConnectionID, c.ConnectionID)
	h.Add(headerEvent, string(c.EventType))
	h.Add(headerRouteKey, headerSafe(string(c.RouteKey)))
	h.Add(headerRequestID, c.RequestID)
	if p := principal(c); p != "" {
		h.Add(headerPrincipal, headerSafe(p))
	}
	if len(a.Secret) == 0 {
		return
	}
	now := time.Now
	if a.Now != nil {
		now = a.Now
	}
	at := strconv.FormatInt(now().Unix(), 10)
	h.Add(headerWebhookID, c.RequestID)
	h.Add(headerWebhookTimestamp, at)
	h.Add(headerWebhookSignature, signWebhook(a.Secret, c.RequestID, at, r.Payload))
}

// reserved says whether a backend could take name for a header that an Announcer sets.
// CGI, and with it WSGI, Rack and PHP, makes HTTP_TIDEGATE_PRINCIPAL of Tidegate-Principal
// and of Tidegate_Principal alike, and some servers of Tidegate.Principal too.
func reserved(name string) bool {
	const prefix = "Tidegate-"
	return len(name) >= len(prefix) && sameVariable(name[:len(prefix)], prefix) ||
		sameVariable(name, headerWebhookID) || sameVariable(name, headerWebhookTimestamp) || sameVariable(name, headerWebhookSignature)
}

// sameVariable compares two headers' names by the name of their variable: letters have no
// case, and what is neither letter nor digit is all the same.
func sameVariable(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if variableByte(a[i]) != variableByte(b[i]) {
			return false
		}
	}
	return true
}

func variableByte(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z':
		return c - 'a' + 'A'
	case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return c
	default:
		return '_'
	}
}

// principal is who the client is, as far as it was authorized.
func principal(c *event.Context) string {
	if p, ok := c.Lookup("authorizer.principalId"); ok && p != "" {
		return p
	}
	if c.Identity.Caller != nil {
		return c.Identity.Caller.ARN
	}
	return ""
}

// signWebhook returns the signature of a request: HMAC-SHA256 over its id, its time
// in seconds and its body.
//
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
func signWebhook(secret []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// ParseWebhookSecret reads a secret as the Standard Webhooks specification writes
// it: whsec_ and base64 of 24 to 64 bytes. The error doesn't hold it.
func ParseWebhookSecret(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, "whsec_")
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(secret) < 24 || len(secret) > 64 {
		return nil, errors.New("a webhook secret is whsec_ and base64 of 24 to 64 random bytes, such as $(echo whsec_$(openssl rand -base64 32))")
	}
	return secret, nil
}
