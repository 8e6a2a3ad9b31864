package transport

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseHead(t *testing.T) {
	const head = "\r\nGET /Prod?x=1 HTTP/1.1\r\nHost: a.example:8420\r\nX-Thing:  two words \r\nx-thing:\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
	l := DefaultLimits()
	var scan HeadScanner
	end, rerr := scan.Scan([]byte(head+"behind"), &l)
	if rerr != nil || end != len(head) {
		t.Fatalf("Scan: %d, %v, want %d", end, rerr, len(head))
	}
	r, f, rerr := ParseHead([]byte(head))
	if rerr != nil {
		t.Fatal(rerr)
	}
	want := &Request{Method: "GET", Target: "/Prod?x=1", Host: "a.example:8420", Header: []Field{
		{"Host", "a.example:8420"}, {"X-Thing", "two words"}, {"x-thing", ""},
		{"Connection", "keep-alive, Upgrade"}, {"Upgrade", "websocket"},
	}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Framing{Minor: 1, KeepAlive: true, Upgrade: true, OriginForm: true}, f); diff != "" {
		t.Errorf("framing (-want +got):\n%s", diff)
	}
	if got := r.Values("x-THING"); !slices.Equal(got, []string{"two words", ""}) {
		t.Errorf("Values = %q", got)
	}
	if list := r.Get("connection"); !listHasToken(list, "upgrade") || !listHasToken(list, "Keep-Alive") || listHasToken(list, "up") || listHasToken("", "") {
		t.Errorf("the tokens of %q are wrong", list)
	}
}

// Cut anywhere, a head is found or refused as it is whole; and what is accepted
// net/http reads as the same request, so that the fallback sees what was seen
// here.
func FuzzHead(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /x?y HTTP/1.1\r\nHost: a:1\r\nContent-Length: 12\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		"\r\n\r\nGET * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET http://b/ HTTP/1.1\r\nHost: a\r\nX:\t\x80\r\n\r\n",
		"\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\n X: 1\r\n\r\n", "A",
	} {
		f.Add([]byte(s), uint8(3))
	}
	l := DefaultLimits()
	l.Header, l.HeaderLines = 256, 8
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		var whole HeadScanner
		end, rerr := whole.Scan(in, &l)
		var parts HeadScanner
		end2, rerr2 := 0, (*RequestError)(nil)
		for n := 0; n < len(in) && end2 == 0 && rerr2 == nil; {
			n = min(len(in), n+int(step)+1)
			end2, rerr2 = parts.Scan(in[:n], &l)
		}
		if end != end2 || rerr != rerr2 {
			t.Fatalf("whole %d, %v; in parts %d, %v", end, rerr, end2, rerr2)
		}
		if end == 0 {
			return
		}
		r, framing, rerr := ParseHead(in[:end])
		if rerr != nil {
			return
		}
		if len(r.Header) > l.HeaderLines {
			t.Fatalf("%d fields", len(r.Header))
		}
		if !framing.OriginForm {
			return // net/http reads other forms in its own way
		}
		head := string(in[:end])
		for strings.HasPrefix(head, "\r\n") { // which net/http doesn't pass over
			head = head[2:]
		}
		theirs, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			return // stricter about the URL; the fallback then answers 400 itself
		}
		length := theirs.ContentLength
		if framing.Chunked != (length == -1) || !framing.Chunked && length != framing.ContentLength {
			t.Fatalf("length %d and %v, net/http says %d", framing.ContentLength, framing.Chunked, length)
		}
		if theirs.Method != r.Method || theirs.RequestURI != r.Target || theirs.Host != r.Host && r.Host != "" {
			t.Fatalf("%q %q %q, net/http says %q %q %q", r.Method, r.Target, r.Host, theirs.Method, theirs.RequestURI, theirs.Host)
		}
		for _, field := range r.Header {
			if name := http.CanonicalHeaderKey(field.Name); name != "Host" && name != "Transfer-Encoding" && !slices.Contains(theirs.Header[name], field.Value) {
				t.Fatalf("field %q, net/http says %q", field, theirs.Header[name])
			}
		}
	})
}

func TestAppendResponse(t *testing.T) {
	date := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name    string
		r       Response
		want    string
		dropped int
	}{
		{"small", Response{Status: 200, Header: []Field{{"X-A", "b"}}, Body: []byte("hi"), Minor: 1},
			"HTTP/1.1 200 OK\r\nX-A: b\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: 2\r\n\r\nhi", 0},
		{"no body allowed", Response{Status: 204, Body: []byte("hi"), Minor: 1, Close: true},
			"HTTP/1.1 204 No Content\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nConnection: close\r\n\r\n", 0},
		{"HEAD", Response{Status: 200, Body: []byte("hi"), Minor: 1, Head: true},
			"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: 2\r\n\r\n", 0},
		{"what can't be written", Response{Status: 200, Minor: 1, Header: []Field{{"X", "a\r\nY: b"}, {"X Y", "a"}, {"", "a"}, {"content-length", "9"}}},
			"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: 0\r\n\r\n", 3},
		{"unknown status", Response{Status: 499, Minor: 1},
			"HTTP/1.1 499 \r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: 0\r\n\r\n", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.Date = date
			got, dropped := AppendResponse(nil, tt.r)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" || dropped != tt.dropped {
				t.Errorf("dropped %d, want %d; answer (-want +got):\n%s", dropped, tt.dropped, diff)
			}
			if _, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got)), nil); err != nil {
				t.Errorf("net/http can't read it: %v", err)
			}
		})
	}
}

// What a backend and the gateway say in an answer's fields ends the head nowhere: a
// client reads the fields that were written, and the body behind them.
func FuzzAppendResponse(f *testing.F) {
	f.Add(uint16(200), "X-A", "b", []byte("hi"), false)
	f.Add(uint16(204), "X\r\n", "b\r\n\r\n", []byte("hi"), true)
	f.Add(uint16(101), "Content-Length", "9", []byte(nil), true)
	f.Fuzz(func(t *testing.T, status uint16, name, value string, body []byte, end bool) {
		r := Response{Status: FinalStatus(int(status)), Header: []Field{{name, value}, {"X-Last", "1"}}, Body: body, Close: end, Minor: 1}
		out, dropped := AppendResponse(nil, r)
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
		if err != nil {
			t.Fatalf("net/http can't read %q: %v", out, err)
		}
		got, err := io.ReadAll(theirs.Body)
		if err != nil || theirs.StatusCode != r.Status {
			t.Fatalf("%q: status %d, %v", out, theirs.StatusCode, err)
		}
		if r.Status != 204 && r.Status != 304 && !bytes.Equal(got, body) {
			t.Errorf("%q: body %q, want %q", out, got, body)
		}
		if theirs.Header.Get("X-Last") != "1" || theirs.Close != end {
			t.Errorf("%q: %v, close %v", out, theirs.Header, theirs.Close)
		}
		if _, err := AppendSwitching(nil, "", "", []Field{{name, value}}); err == nil && dropped > 0 {
			t.Errorf("a 101 has the field %q: %q, which another answer hasn't", name, value)
		}
	})
}

func TestLimits(t *testing.T) {
	if err := DefaultLimits().Validate(); err != nil {
		t.Errorf("default limits: %v", err)
	}
	l := DefaultLimits()
	l.OutFrame = 0
	if err := l.Validate(); err == nil || !strings.Contains(err.Error(), "OutFrame") {
		t.Errorf("error %v, want one that names OutFrame", err)
	}
}

func TestEventText(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{CloseReason{Code: 1001, Text: "Going away", Drop: DropIdle}.String(), `1001 Going Away "Going away" (idle)`},
		{CloseReason{Code: 1000, ByClient: true}.String(), `1000 Normal Closure by the client`},
		{DropInfo{Reason: DropFrameTooBig, Bytes: 9, Code: 1009}.String(), "dropped: frame-too-big, client <nil>, 9 bytes, close code 1009 Message Too Big"},
		{UpgradeInfo{}.String(), "upgrade from <nil>: the client left"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func BenchmarkParseHead(b *testing.B) {
	head := []byte("GET /Prod?x=1 HTTP/1.1\r\nHost: a.example:8420\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUser-Agent: bench\r\n\r\n")
	l := DefaultLimits()
	b.ReportAllocs()
	for b.Loop() {
		var scan HeadScanner
		end, _ := scan.Scan(head, &l)
		if _, _, err := ParseHead(head[:end]); err != nil {
			b.Fatal(err)
		}
	}
}

// TestValidValue puts each byte at each place of values of each short length.
func TestValidValue(t *testing.T) {
	for n := range 20 {
		for at := range n {
			for b := range 256 {
				v := []byte(strings.Repeat("a", n))
				v[at] = byte(b)
				if got, want := validValue(string(v)), validBytes(string(v)); got != want {
					t.Fatalf("%q: %v", v, got)
				}
			}
		}
	}
}

// BenchmarkParseHeadInto is a signed push's head.
func BenchmarkParseHeadInto(b *testing.B) {
	head := []byte("POST /prod/@connections/L0SM9cOFvHcCIhw%3D HTTP/1.1\r\nHost: 127.0.0.1:8420\r\nContent-Type: application/octet-stream\r\nX-Amz-Date: 20261122T000000Z\r\n" +
		"X-Amz-Content-Sha256: " + strings.Repeat("a", 64) + "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=backend/20261122/us-east-1/execute-api/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, Signature=" +
		strings.Repeat("b", 64) + "\r\nContent-Length: 100\r\n\r\n")
	var r Request
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseHeadInto(&r, head); err != nil {
			b.Fatal(err)
		}
	}
}
