package autobahn

import (
	"bufio"
	"bytes"
	"testing"
	"unicode/utf8"
)

// Whatever a server sends, the client hears of it frame by frame, and of its end.
func FuzzReceive(f *testing.F) {
	f.Add([]byte(helloBack+pong+close1000), false, false)
	f.Add([]byte("\x41\x03\xf2\x48\xcd"+pong+"\x80\x04\xc9\xc9\x07\x00"+closeEmpty), true, true)
	f.Add([]byte("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), true, false)
	f.Fuzz(func(t *testing.T, b []byte, agreed, takeover bool) {
		n := 0
		var last arrival
		receive(bufio.NewReader(bytes.NewReader(b)), &deflation{agreed: agreed, takeover: takeover}, func(a arrival) bool {
			n, last = n+1, a
			if a.event.Kind == Text && !utf8.ValidString(a.event.Payload) {
				t.Errorf("text %q", a.event.Payload)
			}
			return true
		})
		if last.err == nil || n > len(b)/2+1 {
			t.Errorf("%d arrivals of %d bytes, at last %+v", n, len(b), last)
		}
	})
}
