package ws

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

func TestNegotiateDeflate(t *testing.T) {
	const yes = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, tt := range []struct {
		name  string
		offer []string
		want  string
	}{
		{"none", nil, ""},
		{"a browser's", []string{"permessage-deflate; client_max_window_bits"}, yes},
		{"bare", []string{"permessage-deflate"}, yes},
		{"other letter case", []string{"Permessage-Deflate"}, yes},
		{"behind another extension", []string{"x-thing; a=1, permessage-deflate"}, yes},
		{"in a second header", []string{"x-thing", "permessage-deflate"}, yes},
		{"full windows", []string{"permessage-deflate; server_max_window_bits=15; client_max_window_bits=15"}, yes + "; server_max_window_bits=15"},
		{"a small client window", []string{"permessage-deflate; client_max_window_bits=9"}, yes},
		{"no takeover asked", []string{"permessage-deflate; server_no_context_takeover; client_no_context_takeover"}, yes},
		{"a small server window", []string{"permessage-deflate; server_max_window_bits=9"}, ""},
		{"a second offer without the small window", []string{"permessage-deflate; server_max_window_bits=9, permessage-deflate"}, yes},
		{"unknown parameter", []string{"permessage-deflate; speed=9"}, ""},
		{"window of 16 bits", []string{"permessage-deflate; client_max_window_bits=16"}, ""},
		{"a value where none is", []string{"permessage-deflate; server_no_context_takeover=1"}, ""},
		{"malformed", []string{"permessage-deflate; ="}, ""},
		{"another extension", []string{"x-webkit-deflate-frame"}, ""},
	} {
		if got := NegotiateDeflate(tt.offer); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// packed returns a compressed message's frames as a client sends them, in n parts.
func packed(t *testing.T, payload []byte, isBinary bool, n int) string {
	t.Helper()
	frame := AppendDeflated(nil, payload, isBinary, 0)
	if frame[0]&rsv1 == 0 {
		t.Fatal("not compressed")
	}
	body := frame[headerSize(frame[1]):]
	op := Opcode(frame[0] & 0xF)
	var b strings.Builder
	for i := range n {
		part := body[i*len(body)/n : (i+1)*len(body)/n]
		at := b.Len()
		b.WriteString(c(op, i == n-1, string(part)))
		if i == 0 {
			s := []byte(b.String())
			s[at] |= rsv1
			b.Reset()
			b.Write(s)
		}
		op = OpContinuation
	}
	return b.String()
}

func TestDecodeDeflated(t *testing.T) {
	l := testLimits
	l.Deflate = true
	text := repeat("many words, mostly alike; ", 100)
	for _, n := range []int{1, 2, 5} {
		whole := packed(t, []byte(text), false, n)
		for _, parts := range [][]string{{whole}, bytewise(whole), {whole[:7], whole[7:]}} {
			var d Decoder
			evs, err := decode(&d, &l, append(parts, c(OpText, true, "plain"))...)
			if err != nil || len(evs) != 2 || evs[0].Payload != text || evs[0].Kind != Text || evs[1].Payload != "plain" {
				t.Fatalf("%d frames in %d parts: %d events, %v", n, len(parts), len(evs), err)
			}
		}
	}
	// What a decoder in the middle of a compressed message is taken over with.
	whole := packed(t, []byte(text), false, 3)
	var d, e Decoder
	if _, err := decode(&d, &l, whole[:len(whole)/2]); err != nil {
		t.Fatal(err)
	}
	state, _ := d.AppendBinary(nil)
	if err := e.UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	if evs, err := decode(&e, &l, whole[len(whole)/2:]); err != nil || len(evs) != 1 || evs[0].Payload != text {
		t.Errorf("thawed: %d events, %v", len(evs), err)
	}
	// RFC 7692 section 7.2.3.2: two blocks, and a message of a stored block.
	for _, in := range []string{"\xc1\x87\x00\x00\x00\x00\xf2\x48\xcd\xc9\xc9\x07\x00", "\xc1\x8b\x00\x00\x00\x00\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"} {
		var d Decoder
		if evs, err := decode(&d, &l, in); err != nil || len(evs) != 1 || evs[0].Payload != "Hello" {
			t.Errorf("%q: %v, %v", in, evs, err)
		}
	}
}

func TestDeflatedRefused(t *testing.T) {
	l := testLimits
	l.Deflate = true
	mark := func(s string) string { return string([]byte{s[0] | rsv1}) + s[1:] }
	for _, tt := range []struct {
		name string
		in   string
		l    Limits
		want error
	}{
		{"not agreed", packed(t, make([]byte, 1000), true, 1), testLimits, ErrReservedBits},
		{"on a ping", mark(c(OpPing, true, "")), l, ErrReservedBits},
		{"on a continuation", packed(t, make([]byte, 100_000), true, 1)[:0] + c(OpText, false, "a") + mark(c(OpContinuation, true, "a")), l, ErrReservedBits},
		{"with RSV2", "\xe1\x80\x00\x00\x00\x00", l, ErrReservedBits},
		{"a bomb", packed(t, make([]byte, 1<<20), true, 1), l, ErrMessageTooBig},
		{"one byte over", packed(t, make([]byte, 128<<10+1), true, 1), l, ErrMessageTooBig},
		{"not deflate", mark(c(OpText, true, "\xff\xff\xff")), l, ErrDeflate},
		{"not UTF-8", packed(t, bytes.Repeat([]byte{0xff}, 1000), false, 1), l, ErrInvalidUTF8},
	} {
		var d Decoder
		if _, err := decode(&d, &tt.l, tt.in); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	var d Decoder
	if evs, err := decode(&d, &l, packed(t, make([]byte, 128<<10), true, 1)); err != nil || len(evs) != 1 || len(evs[0].Payload) != 128<<10 {
		t.Errorf("a message at the limit: %v", err)
	}
}

// What doesn't get smaller is sent as it is, and nothing is more than MessageSize.
func TestAppendDeflated(t *testing.T) {
	random := make([]byte, 5000)
	rand.Read(random)
	for _, tt := range []struct {
		payload []byte
		packed  bool
	}{{nil, false}, {[]byte("short"), false}, {random, false}, {make([]byte, 5000), true}, {bytes.Repeat([]byte("0123456789"), 100_000), true}} {
		got := AppendDeflated([]byte("x"), tt.payload, true, 1000)[1:]
		if got[0]&rsv1 != 0 != tt.packed {
			t.Errorf("%d bytes: compressed is %v", len(tt.payload), !tt.packed)
		}
		if len(got) > MessageSize(len(tt.payload), 1000) {
			t.Errorf("%d bytes became %d", len(tt.payload), len(got))
		}
		l := Limits{Frame: 1000, Message: 1 << 20, Binary: true, FromServer: true, Deflate: true}
		var d Decoder
		evs, err := decode(&d, &l, string(got))
		if err != nil || len(evs) != 1 || evs[0].Payload != string(tt.payload) {
			t.Errorf("%d bytes: %d events, %v", len(tt.payload), len(evs), err)
		}
	}
}

func FuzzInflate(f *testing.F) {
	f.Add(AppendDeflated(nil, make([]byte, 1000), true, 0)[2:])
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		out, err := inflate(p, 10_000)
		if err == nil && len(out) > 10_000 {
			t.Errorf("%d bytes", len(out))
		}
	})
}

func BenchmarkDeflate(b *testing.B) {
	payload := []byte(strings.Repeat(`{"action":"tick","symbol":"ABC","price":123.45},`, 21))
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		out = AppendDeflated(out[:0], payload, false, 0)
	}
}
