package edge

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestSharing(t *testing.T) {
	const friend = "https://friend.example"
	guard := &Guard{AllowOrigins: []string{friend, "http://localhost:3000"}}
	const push = "http://localhost:8420/one/@connections/x"
	for _, tt := range []struct {
		name, method, url string
		origin            string
		ask               string // Access-Control-Request-Method
		status            int
		shared            bool
	}{
		{name: "an SDK", method: "GET", url: "http://localhost:8420/v2/apis", status: 200},
		{name: "a friend's call", method: "GET", url: "http://localhost:8420/v2/apis", origin: friend, status: 200, shared: true},
		{name: "a friend's push", method: "POST", url: push, origin: friend, status: 200, shared: true},
		{name: "a friend's mistake", method: "GET", url: "http://localhost:8420/none", origin: friend, status: 403, shared: true},
		{name: "a friend's preflight", method: "OPTIONS", url: push, origin: friend, ask: "POST", status: 204, shared: true},
		{name: "another friend's preflight", method: "OPTIONS", url: "http://localhost:8420/", origin: "http://localhost:3000", ask: "POST", status: 204, shared: true},
		{name: "OPTIONS that is no preflight", method: "OPTIONS", url: push, origin: friend, status: 200, shared: true},
		{name: "a foreign call", method: "GET", url: "http://localhost:8420/v2/apis", origin: "https://evil.example", status: 403},
		{name: "a foreign preflight", method: "OPTIONS", url: push, origin: "https://evil.example", ask: "POST", status: 403},
		{name: "a sandboxed page's preflight", method: "OPTIONS", url: push, origin: "null", ask: "POST", status: 403},
		{name: "a friend on a rebound host", method: "GET", url: "http://evil.example/v2/apis", origin: friend, status: 421},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, guard, "aaa/one")
			with := []func(*http.Request){header("Access-Control-Request-Headers", "authorization,x-amz-date")}
			if tt.origin != "" {
				with = append(with, header("Origin", tt.origin), header("Sec-Fetch-Site", "cross-site"))
			}
			if tt.ask != "" {
				with = append(with, header("Access-Control-Request-Method", tt.ask), header("Access-Control-Request-Private-Network", "true"))
			}
			w := f.do(tt.method, tt.url, "", with...)
			h := w.Header()
			want := ""
			if tt.shared {
				want = tt.origin
			}
			if w.Code != tt.status || h.Get("Access-Control-Allow-Origin") != want {
				t.Errorf("%d %q %v, want %d %q", w.Code, w.Body, h, tt.status, want)
			}
			if h.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies are allowed")
			}
			if tt.status < 400 && !slices.Contains(h.Values("Vary"), "Origin") {
				t.Errorf("Vary: %q", h.Values("Vary"))
			}
			if w.Code != 204 {
				return
			}
			if w.Body.Len() > 0 || !strings.Contains(h.Get("Access-Control-Allow-Methods"), tt.ask) ||
				h.Get("Access-Control-Allow-Headers") != "authorization,x-amz-date" || h.Get("Access-Control-Allow-Private-Network") != "true" {
				t.Errorf("preflight: %v %q", h, w.Body)
			}
		})
	}
}

func TestParseOrigin(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"https://app.example", "https://app.example"},
		{"https://App.Example/", "https://app.example"},
		{"http://localhost:3000", "http://localhost:3000"},
		{"https://app.example:443", "https://app.example"},
		{"http://[::1]:80", "http://[::1]"},
		{"http://app.example:443", "http://app.example:443"},
		{"*", ""}, {"null", ""}, {"", ""}, {"app.example", ""}, {"https://*.app.example", ""},
		{"https://app.example/page", ""}, {"https://u@app.example", ""}, {"https://app.example?x", ""}, {"file:///x", ""}, {"https://", ""},
	} {
		got, err := ParseOrigin(tt.text)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: %q, %v, want %q", tt.text, got, err, tt.want)
		}
	}
}
