package integration

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"tidegate/internal/event"
)

// TestSignWebhook holds the signature against the example that the libraries of the
// specification are tested with.
func TestSignWebhook(t *testing.T) {
	secret, err := ParseWebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := signWebhook(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestParseWebhookSecret(t *testing.T) {
	for _, bad := range []string{"", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_not base64", "whsec_c2hvcnQ=", "whsec_" + strings.Repeat("AAAA", 22)} {
		_, err := ParseWebhookSecret(bad)
		if err == nil || len(bad) > 6 && strings.Contains(err.Error(), strings.TrimPrefix(bad, "whsec_")) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestAnnounce: a backend learns whose message it got, and no client can claim it.
func TestAnnounce(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	secret := []byte("012345678901234567890123")
	forged := []event.Field{{Name: "tidegate-principal", Value: "admin"}, {Name: "Tidegate-Anything", Value: "x"}, {Name: "webhook-id", Value: "x"}, {Name: "webhook-signature", Value: "v1,x"},
		// What CGI and WSGI, Rack and PHP take for the same.
		{Name: "Tidegate_Principal", Value: "admin"}, {Name: "tidegate.event", Value: "x"}, {Name: "Webhook_Id", Value: "x"}, {Name: "WEBHOOK_TIMESTAMP", Value: "1"}, {Name: "webhook_signature", Value: "v1,x"},
		{Name: "Tidegates", Value: "x"}, {Name: "X-Kept", Value: "x"}}
	named := event.NewAuthorizerContext("caf\u00e9 7", "", 0, nil)
	for _, tt := range []struct {
		name      string
		announcer *Announcer
		request   *Request
		want      map[string]string // "" wants the header away
	}{
		{"a message, signed", &Announcer{Secret: secret, Now: func() time.Time { return at }}, message(`{"a":1}`), map[string]string{
			"Tidegate-Connection-Id": "c=", "Tidegate-Event": "MESSAGE", "Tidegate-Route-Key": "sendMessage", "Tidegate-Principal": "", "Tidegate-Request-Id": "r=",
			"Webhook-Id": "r=", "Webhook-Timestamp": "1700000000", "Webhook-Signature": "v1,*"}},
		{"a handshake of a client that forges, unsigned", &Announcer{}, connect(), map[string]string{
			"Tidegate-Connection-Id": "c=", "Tidegate-Event": "CONNECT", "Tidegate-Route-Key": "$connect", "Tidegate-Principal": "", "Tidegate-Anything": "",
			"Webhook-Id": "", "Webhook-Signature": "", "X-Kept": "x", "Tidegates": "x",
			"Tidegate_principal": "", "Tidegate.event": "", "Webhook_id": "", "Webhook_timestamp": "", "Webhook_signature": ""}},
		{"as AWS", nil, message("x"), map[string]string{"Tidegate-Connection-Id": "", "Tidegate-Event": "", "Webhook-Id": ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, last := newBackend(t, nil)
			h := newHTTP(t, HTTPConfig{Announce: tt.announcer}, "POST", server.URL)
			r := tt.request
			r.Context.ConnectionID, r.Context.RequestID = "c=", "r="
			if r.Connect != nil {
				r.Connect.Header = forged
			}
			if _, err := h.Invoke(context.Background(), r); err != nil {
				t.Fatal(err)
			}
			saw := last()
			for name, want := range tt.want {
				got := saw.Header.Get(name)
				if want == "v1,*" {
					mac := hmac.New(sha256.New, secret)
					mac.Write([]byte("r=.1700000000." + saw.Body))
					want = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
				}
				if got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
	server, last := newBackend(t, nil)
	h := newHTTP(t, HTTPConfig{Announce: &Announcer{}}, "POST", server.URL)
	r := message("\x00\xff")
	r.Context.Authorizer, r.Context.Binary = named, true
	if _, err := h.Invoke(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if saw := last(); saw.Header.Get("Tidegate-Principal") != "caf\u00e9 7" || saw.Header.Get("Content-Type") != "application/octet-stream" || saw.Body != "\x00\xff" {
		t.Errorf("a binary message of a named client: %v %q", saw.Header, saw.Body)
	}
}
