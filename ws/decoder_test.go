package ws

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	gobwas "github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
)

var testLimits = Limits{Frame: 32 << 10, Message: 128 << 10, Binary: true}

// c encodes a client's frame.
func c(op Opcode, fin bool, payload string) string {
	return string(AppendMaskedFrame(nil, op, fin, [4]byte{0x37, 0xfa, 0x21, 0x3d}, []byte(payload)))
}

// seen is an event as a test writes it down.
type seen struct {
	Kind    Kind
	Payload string
	Code    CloseCode
}

// decode feeds the parts one after the other, each in a buffer of its own.
func decode(d *Decoder, l *Limits, parts ...string) (evs []seen, err error) {
	for _, part := range parts {
		in := []byte(part)
		for len(in) > 0 {
			ev, n, err := d.Next(in, l)
			if err != nil {
				return evs, err
			}
			if ev.Kind != None {
				evs = append(evs, seen{ev.Kind, string(ev.Payload), ev.Code})
			} else if n != len(in) {
				panic("None with input left")
			}
			in = in[n:]
		}
	}
	return evs, nil
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// The cases follow the groups of the RFC's rules: framing, control frames,
// reserved bits, opcodes, fragmentation, UTF-8, close, limits.
func TestDecoder(t *testing.T) {
	kosme := "κόσμε"
	tests := []struct {
		name string
		in   string
		want []seen
		err  error
	}{
		{"text empty", c(OpText, true, ""), []seen{{Kind: Text}}, nil},
		{"text 125", c(OpText, true, repeat("*", 125)), []seen{{Kind: Text, Payload: repeat("*", 125)}}, nil},
		{"text 126", c(OpText, true, repeat("*", 126)), []seen{{Kind: Text, Payload: repeat("*", 126)}}, nil},
		{"text 32768", c(OpText, true, repeat("*", 32768)), []seen{{Kind: Text, Payload: repeat("*", 32768)}}, nil},
		{"binary", c(OpBinary, true, "\xfe\xff\x00"), []seen{{Kind: Binary, Payload: "\xfe\xff\x00"}}, nil},
		{"RFC 5.7 masked Hello", "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", []seen{{Kind: Text, Payload: "Hello"}}, nil},

		{"ping empty", c(OpPing, true, ""), []seen{{Kind: Ping}}, nil},
		{"ping binary payload", c(OpPing, true, "\x00\xff\xfe\xfd"), []seen{{Kind: Ping, Payload: "\x00\xff\xfe\xfd"}}, nil},
		{"ping 125", c(OpPing, true, repeat("p", 125)), []seen{{Kind: Ping, Payload: repeat("p", 125)}}, nil},
		{"ping 126", c(OpPing, true, repeat("p", 126)), nil, ErrControlTooLong},
		{"ping fragmented", c(OpPing, false, "a"), nil, ErrControlFragmented},
		{"pong unsolicited", c(OpPong, true, "x") + c(OpPing, true, "y"), []seen{{Kind: Pong, Payload: "x"}, {Kind: Ping, Payload: "y"}}, nil},
		{"three pings", repeat(c(OpPing, true, "z"), 3), []seen{{Kind: Ping, Payload: "z"}, {Kind: Ping, Payload: "z"}, {Kind: Ping, Payload: "z"}}, nil},

		{"RSV1", "\xc1\x80\x00\x00\x00\x00", nil, ErrReservedBits},
		{"RSV2", "\xa1\x80\x00\x00\x00\x00", nil, ErrReservedBits},
		{"RSV3 after a message", c(OpText, true, "ok") + "\x91\x80\x00\x00\x00\x00", []seen{{Kind: Text, Payload: "ok"}}, ErrReservedBits},
		{"RSV1 on a ping", "\xc9\x80\x00\x00\x00\x00", nil, ErrReservedBits},
		{"opcode 3", c(3, true, ""), nil, ErrReservedOpcode},
		{"opcode 7 with payload", c(7, true, "x"), nil, ErrReservedOpcode},
		{"opcode 11", c(11, true, ""), nil, ErrReservedOpcode},
		{"opcode 15", c(15, true, "x"), nil, ErrReservedOpcode},
		{"unmasked", "\x81\x02hi", nil, ErrUnmasked},
		{"length 125 in two bytes", "\x81\xfe\x00\x7d\x00\x00\x00\x00", nil, ErrLengthEncoding},
		{"length 65535 in eight bytes", "\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00", nil, ErrLengthEncoding},
		{"length over 63 bits", "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", nil, ErrLengthEncoding},

		{"two fragments", c(OpText, false, "fra") + c(OpContinuation, true, "gment"), []seen{{Kind: Text, Payload: "fragment"}}, nil},
		{"empty fragments", c(OpText, false, "") + c(OpContinuation, false, "") + c(OpContinuation, true, ""), []seen{{Kind: Text}}, nil},
		{"empty, middle, empty", c(OpBinary, false, "") + c(OpContinuation, false, "mid") + c(OpContinuation, true, ""), []seen{{Kind: Binary, Payload: "mid"}}, nil},
		{"ping between fragments", c(OpText, false, "a") + c(OpPing, true, "p") + c(OpContinuation, true, "b"), []seen{{Kind: Ping, Payload: "p"}, {Kind: Text, Payload: "ab"}}, nil},
		{"continuation first", c(OpContinuation, true, "x"), nil, ErrNothingToContinue},
		{"continuation after a whole message", c(OpText, true, "a") + c(OpContinuation, false, "x"), []seen{{Kind: Text, Payload: "a"}}, ErrNothingToContinue},
		{"text inside a message", c(OpText, false, "a") + c(OpText, true, "b"), nil, ErrExpectedContinuation},
		{"binary inside a message", c(OpText, false, "a") + c(OpBinary, true, "b"), nil, ErrExpectedContinuation},

		{"UTF-8 whole", c(OpText, true, kosme), []seen{{Kind: Text, Payload: kosme}}, nil},
		{"UTF-8 cut in a rune", c(OpText, false, kosme[:1]) + c(OpContinuation, true, kosme[1:]), []seen{{Kind: Text, Payload: kosme}}, nil},
		{"UTF-8 highest", c(OpText, true, "\U0010ffff"), []seen{{Kind: Text, Payload: "\U0010ffff"}}, nil},
		{"UTF-8 noncharacter", c(OpText, true, "\uffff\ufffd"), []seen{{Kind: Text, Payload: "\uffff\ufffd"}}, nil},
		{"UTF-8 surrogate", c(OpText, true, "\xed\xa0\x80"), nil, ErrInvalidUTF8},
		{"UTF-8 above U+10FFFF", c(OpText, true, "\xf4\x90\x80\x80"), nil, ErrInvalidUTF8},
		{"UTF-8 overlong", c(OpText, true, "\xc0\xaf"), nil, ErrInvalidUTF8},
		{"UTF-8 lone continuation", c(OpText, true, "\x80"), nil, ErrInvalidUTF8},
		{"UTF-8 cut at the end", c(OpText, true, kosme+"\xce"), nil, ErrInvalidUTF8},
		{"UTF-8 cut at the end of the last fragment", c(OpText, false, kosme) + c(OpContinuation, true, "\xce"), nil, ErrInvalidUTF8},
		{"UTF-8 cut, then an empty last fragment", c(OpText, false, "\xce") + c(OpContinuation, true, ""), nil, ErrInvalidUTF8},
		{"UTF-8 bad in the first fragment", c(OpText, false, "a\xff"), nil, ErrInvalidUTF8},
		{"UTF-8 fails in the middle of a frame", c(OpText, true, "\xce\xba\xed\xa0"+repeat("x", 100))[:10], nil, ErrInvalidUTF8},
		{"UTF-8 is not asked of binary", c(OpBinary, false, "\xff") + c(OpContinuation, true, "\xfe"), []seen{{Kind: Binary, Payload: "\xff\xfe"}}, nil},

		{"close empty", c(OpClose, true, ""), []seen{{Kind: Close, Code: CloseNoStatusReceived}}, nil},
		{"close 1000", c(OpClose, true, "\x03\xe8"), []seen{{Kind: Close, Code: 1000}}, nil},
		{"close with text", c(OpClose, true, "\x03\xe8bye"), []seen{{Kind: Close, Code: 1000, Payload: "bye"}}, nil},
		{"close longest text", c(OpClose, true, "\x03\xe8"+repeat("b", 123)), []seen{{Kind: Close, Code: 1000, Payload: repeat("b", 123)}}, nil},
		{"close too long", c(OpClose, true, "\x03\xe8"+repeat("b", 124)), nil, ErrControlTooLong},
		{"close one byte", c(OpClose, true, "\x03"), nil, ErrCloseLength},
		{"close bad text", c(OpClose, true, "\x03\xe8\xce"), nil, ErrCloseText},
		{"close 4999", c(OpClose, true, "\x13\x87"), []seen{{Kind: Close, Code: 4999}}, nil},
		{"after close all is ignored", c(OpClose, true, "\x03\xe8") + c(OpText, true, "late") + "\xff\xff", []seen{{Kind: Close, Code: 1000}}, nil},
		{"close inside a message", c(OpText, false, "a") + c(OpClose, true, "\x03\xe8"), []seen{{Kind: Close, Code: 1000}}, nil},

		{"frame over the limit fails on its header", c(OpText, true, repeat("*", 32769))[:8], nil, ErrFrameTooBig},
		{"frame of 2^62: fragments would not help", "\x82\xff\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", nil, ErrMessageTooBig},
		{"frame over both limits, behind a fragment", c(OpText, false, "a") + c(OpContinuation, true, repeat("*", 131072))[:14], nil, ErrMessageTooBig},
		{"message at the limit", c(OpText, false, repeat("*", 32768)) + repeat(c(OpContinuation, false, repeat("*", 32768)), 3) + c(OpContinuation, true, ""), []seen{{Kind: Text, Payload: repeat("*", 131072)}}, nil},
		{"message one over the limit", c(OpText, false, repeat("*", 32768)) + repeat(c(OpContinuation, false, repeat("*", 32768)), 3) + c(OpContinuation, true, "*")[:6], nil, ErrMessageTooBig},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d Decoder
			got, err := decode(&d, &testLimits, tt.in)
			if err != tt.err && !(err == nil && tt.err == nil) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			// The same bytes, one at a time.
			var d1 Decoder
			got1, err1 := decode(&d1, &testLimits, bytewise(tt.in)...)
			if !errors.Is(err1, err) || cmp.Diff(got, got1) != "" {
				t.Errorf("one byte at a time: error %v, events\n%s", err1, cmp.Diff(got, got1))
			}
			if err != nil {
				if _, _, again := d.Next([]byte(c(OpText, true, "more")), &testLimits); again != err {
					t.Errorf("after an error: %v, want %v again", again, err)
				}
			}
		})
	}
}

func bytewise(s string) []string {
	parts := make([]string, len(s))
	for i := range parts {
		parts[i] = s[i : i+1]
	}
	return parts
}

// The mask is checked against RFC 6455 section 5.3's definition, byte by byte,
// and not only against its own inverse.
func TestMask(t *testing.T) {
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	plain := make([]byte, 700)
	for i := range plain {
		plain[i] = byte(i * 7)
	}
	l := Limits{Frame: 1 << 10, Message: 1 << 10, Binary: true}
	for size := range len(plain) {
		frame := AppendMaskedFrame(nil, OpBinary, true, mask, plain[:size])
		body := frame[len(frame)-size:]
		for i, b := range body {
			if b != plain[i]^mask[i%4] {
				t.Fatalf("size %d: byte %d masked wrongly", size, i)
			}
		}
		cut := len(frame) - size + size*(size%5)/5 // part by part, at all offsets
		var d Decoder
		evs, err := decode(&d, &l, string(frame[:cut]), string(frame[cut:]))
		if err != nil || len(evs) != 1 || evs[0].Payload != string(plain[:size]) {
			t.Fatalf("size %d cut at %d: unmasked wrongly, error %v", size, cut, err)
		}
	}
}

func TestBinaryRefused(t *testing.T) {
	l := testLimits
	l.Binary = false
	var d Decoder
	_, err := decode(&d, &l, c(OpBinary, true, "x")[:1])
	if err != ErrBinary {
		t.Fatalf("error %v, want %v on the first byte", err, ErrBinary)
	}
	if ErrBinary.Code != CloseUnsupportedData {
		t.Errorf("close code %v, want 1003", ErrBinary.Code)
	}
}

func TestCloseCodes(t *testing.T) {
	for code := range 1 << 16 {
		want := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
		if got := CloseCode(code).Sendable(); got != want {
			t.Errorf("Sendable(%d) = %v, want %v", code, got, want)
		}
		var d Decoder
		_, err := decode(&d, &testLimits, c(OpClose, true, string([]byte{byte(code >> 8), byte(code)})))
		if (err == nil) != want {
			t.Errorf("close %d: error %v", code, err)
		}
	}
	if got := CloseGoingAway.String(); got != "1001 Going Away" {
		t.Errorf("String = %q", got)
	}
	if got := CloseCode(4000).String(); got != "4000" {
		t.Errorf("String = %q", got)
	}
}

// A message that is whole in the input costs no allocation and is no copy.
func TestDecodeNoAllocation(t *testing.T) {
	frame := []byte(c(OpText, true, "hello, world"))
	in := make([]byte, len(frame))
	var d Decoder
	allocs := testing.AllocsPerRun(100, func() {
		copy(in, frame)
		ev, n, err := d.Next(in, &testLimits)
		if err != nil || n != len(in) || ev.Kind != Text || &ev.Payload[0] != &in[6] {
			t.Fatalf("event %v, %d bytes, error %v", ev.Kind, n, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// splitAt cuts s into parts at the places that cuts name.
func splitAt(s string, cuts []byte) (parts []string) {
	for _, k := range cuts {
		n := int(k) % 19
		if n >= len(s) {
			break
		}
		parts = append(parts, s[:n])
		s = s[n:]
	}
	return append(parts, s)
}

// However the bytes are cut, and with the decoder frozen and thawed at every
// cut, the result is that of the whole.
func FuzzDecoderSplit(f *testing.F) {
	f.Add([]byte(c(OpText, false, "κόσ")+c(OpPing, true, "p")+c(OpContinuation, true, "με")+c(OpClose, true, "\x03\xe8bye")), []byte{1, 2, 3, 5, 8})
	f.Add([]byte(c(OpBinary, true, repeat("\xff", 300))+"\x81\xff\x80"), []byte{7, 0, 13})
	f.Add([]byte("\x81\xfe\x00\x7d"), []byte{1, 1, 1})
	f.Add([]byte("\x41\x83\x00\x00\x00\x00\xf2\x48\xcd"+c(OpPing, true, "p")+c(OpContinuation, true, "\xc9\xc9\x07\x00")), []byte{3, 4, 9, 1})
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		for _, deflate := range []bool{false, true} {
			decodeSplit(t, &Limits{Frame: 400, Message: 600, Binary: true, Deflate: deflate}, in, cuts)
		}
	})
}

// decodeSplit is FuzzDecoderSplit within limits.
func decodeSplit(t *testing.T, l *Limits, in, cuts []byte) {
	var whole Decoder
	want, wantErr := decode(&whole, l, string(in))
	var d Decoder
	var got []seen
	var gotErr error
	for _, part := range splitAt(string(in), cuts) {
		evs, err := decode(&d, l, part)
		got = append(got, evs...)
		if err != nil {
			gotErr = err
			break
		}
		state, _ := d.AppendBinary(nil)
		d = Decoder{}
		if err := d.UnmarshalBinary(state); err != nil {
			t.Fatalf("thaw: %v", err)
		}
	}
	if gotErr != wantErr {
		t.Fatalf("error %v in parts, %v whole", gotErr, wantErr)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("events (-whole +parts):\n%s", diff)
	}
	for _, ev := range got {
		if ev.Kind <= Binary && len(ev.Payload) > l.Message {
			t.Fatalf("message of %d bytes", len(ev.Payload))
		}
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	var d Decoder
	decode(&d, &testLimits, c(OpText, false, "κ")+c(OpContinuation, true, "abcdef")[:8])
	state, _ := d.AppendBinary(nil)
	f.Add(state, []byte("x"))
	f.Fuzz(func(t *testing.T, state, in []byte) {
		var d Decoder
		if d.UnmarshalBinary(state) != nil {
			return
		}
		again, _ := d.AppendBinary(nil)
		var e Decoder
		if err := e.UnmarshalBinary(again); err != nil {
			t.Fatalf("own state refused: %v", err)
		}
		decode(&d, &testLimits, string(in)) // must not panic
	})
}

// What another implementation's client writes is read as it was meant, and the
// other way round.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello"), uint16(2), true, uint32(0xdeadbeef))
	f.Add([]byte("κόσμε κόσμε κόσμε κόσμε"), uint16(7), false, uint32(1))
	f.Fuzz(func(t *testing.T, payload []byte, frame uint16, isBinary bool, key uint32) {
		if len(payload) > 100<<10 {
			return
		}
		mask := [4]byte{byte(key), byte(key >> 8), byte(key >> 16), byte(key >> 24)}
		op := gobwas.OpText
		if isBinary {
			op = gobwas.OpBinary
		}
		var wire bytes.Buffer
		if err := gobwas.WriteFrame(&wire, gobwas.MaskFrameWith(gobwas.NewFrame(op, true, bytes.Clone(payload)), mask)); err != nil {
			t.Fatal(err)
		}
		l := Limits{Frame: 100 << 10, Message: 100 << 10, Binary: true}
		var d Decoder
		evs, err := decode(&d, &l, wire.String())
		switch {
		case err == ErrInvalidUTF8 && !isBinary && !utf8.Valid(payload):
		case err != nil:
			t.Fatal(err)
		case len(evs) != 1 || evs[0].Payload != string(payload):
			t.Fatalf("read %q", evs)
		}
		if got := AppendMaskedFrame(nil, Opcode(op), true, mask, payload); !bytes.Equal(got, wire.Bytes()) {
			t.Fatalf("masked frame differs from gobwas's")
		}

		out := AppendMessage(nil, payload, isBinary, int(frame))
		if len(out) != MessageSize(len(payload), int(frame)) {
			t.Fatalf("%d bytes, MessageSize says %d", len(out), MessageSize(len(payload), int(frame)))
		}
		var joined []byte
		for r := bytes.NewReader(out); r.Len() > 0; {
			fr, err := gobwas.ReadFrame(r)
			if err != nil {
				t.Fatal(err)
			}
			if frame > 0 && len(fr.Payload) > int(frame) {
				t.Fatalf("frame of %d bytes, want %d at most", len(fr.Payload), frame)
			}
			joined = append(joined, fr.Payload...)
			if fr.Header.Fin != (r.Len() == 0) {
				t.Fatal("FIN is not on the last frame alone")
			}
		}
		if !bytes.Equal(joined, payload) {
			t.Fatal("payload differs")
		}
		l.FromServer = true
		var back Decoder
		evs, err = decode(&back, &l, string(out))
		if (isBinary || utf8.Valid(payload)) && (err != nil || len(evs) != 1 || evs[0].Payload != string(payload)) {
			t.Fatalf("own client reads %v, error %v", evs, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{64, 1024, 32 << 10} {
		frame := []byte(c(OpText, true, repeat("x", size)))
		in := make([]byte, len(frame))
		b.Run("size="+strconv.Itoa(size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			var d Decoder
			for b.Loop() {
				copy(in, frame)
				if ev, _, err := d.Next(in, &testLimits); err != nil || ev.Kind != Text {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("cut", func(b *testing.B) {
		b.ReportAllocs()
		frame := []byte(c(OpText, true, repeat("x", 1024)))
		in := make([]byte, len(frame))
		var d Decoder
		for b.Loop() {
			copy(in, frame)
			d.Next(in[:500], &testLimits)
			if ev, _, err := d.Next(in[500:], &testLimits); err != nil || ev.Kind != Text {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppendMessage(b *testing.B) {
	payload := []byte(repeat("x", 1024))
	var dst []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		dst = AppendMessage(dst[:0], payload, false, 32<<10)
	}
}
