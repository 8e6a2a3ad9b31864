package load

import (
	"bytes"
	"testing"
)

func TestFrames(t *testing.T) {
	for _, n := range []int{0, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte("x"), n)
		masked := AppendFrame(nil, OpText, payload)
		// A server's frame is the same without mask.
		head := len(masked) - n - 4
		plain := append(bytes.Clone(masked[:head]), payload...)
		plain[1] &= 0x7f
		for cut := range min(len(plain), head+1) {
			if _, _, _, size := cutFrame(plain[:cut]); size != 0 {
				t.Errorf("%d bytes of a frame of %d are taken for %d", cut, len(plain), size)
			}
		}
		final, opcode, got, size := cutFrame(plain)
		if !final || opcode != OpText || !bytes.Equal(got, payload) || size != len(plain) {
			t.Errorf("a frame of %d bytes is read as %v, %d, %d bytes of payload, %d in all", n, final, opcode, len(got), size)
		}
	}
}

// FuzzCut gives the client what servers under test could say: nothing of it may end
// the bench.
func FuzzCut(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nhi"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xfe"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := cutResponse(b); r.size < 0 || r.size > len(b) || err != nil && r.size > 0 {
			t.Errorf("%+v, %v of %d bytes", r, err, len(b))
		}
		if _, _, payload, size := cutFrame(b); size > len(b) || len(payload) > size {
			t.Errorf("%d bytes of payload, %d in all, of %d", len(payload), size, len(b))
		}
	})
}

func TestResponses(t *testing.T) {
	for _, tt := range []struct {
		text string
		want response
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", response{0, 200, []byte("hi"), false}},
		{"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\nConnection: close\r\n\r\n", response{0, 410, []byte{}, true}},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", response{0, 200, []byte("abc"), false}},
	} {
		got, err := cutResponse([]byte(tt.text + "HTTP/1.1 500"))
		if err != nil || got.size != len(tt.text) || got.status != tt.want.status || !bytes.Equal(got.body, tt.want.body) || got.last != tt.want.last {
			t.Errorf("%q is read as %+v, %v", tt.text, got, err)
		}
		for n := range tt.text {
			if got, err := cutResponse([]byte(tt.text[:n])); err != nil || got.size != 0 {
				t.Fatalf("%q is read as %+v, %v", tt.text[:n], got, err)
			}
		}
	}
	if _, err := cutResponse([]byte("SSH-2.0-none\r\n\r\n")); err == nil {
		t.Error("what isn't HTTP is no error")
	}
}
