package autobahn

import (
	"strings"

	"tidegate/ws"
)

// closeFrame is one from the client; what follows the code is its reason, or
// anything else.
func closeFrame(code ws.CloseCode, reason string) Frame {
	return Frame{Op: ws.OpClose, Payload: append([]byte{byte(code >> 8), byte(code)}, reason...)}
}

// closing are the cases 7.
func closing() []Case {
	const greeting = "Hello World!"
	sent := func(id string, end End, frames ...Frame) Case {
		end.Sent = true
		return Case{ID: id, Frames: frames, End: end}
	}
	refused := func(codes ...ws.CloseCode) End { return End{Codes: codes} }
	close1000 := closeFrame(ws.CloseNormalClosure, "")
	big := Frame{Op: ws.OpText, Payload: []byte("BAsd7&jh23"), Size: 256 << 10}
	busy := sent("7.1.6", normal(), big, text(greeting), close1000, ping(""))
	busy.Strict, busy.Informational = []Event{echoed(greeting)}, true
	cases := []Case{
		{ID: "7.1.1", Frames: []Frame{text(greeting)}, Strict: []Event{echoed(greeting)}, End: normal()},
		sent("7.1.2", normal(), close1000, Frame{Op: ws.OpClose}),
		sent("7.1.3", normal(), close1000, ping("")),
		sent("7.1.4", normal(), close1000, text(greeting)),
		sent("7.1.5", normal(), start("fragment1"), close1000, last("fragment2")),
		busy,
		sent("7.3.1", normal(), Frame{Op: ws.OpClose}),
		sent("7.3.2", refused(ws.CloseProtocolError), Frame{Op: ws.OpClose, Payload: []byte("a")}),
		sent("7.3.3", normal(), close1000),
		sent("7.3.4", normal(), closeFrame(ws.CloseNormalClosure, greeting)),
		sent("7.3.5", normal(), closeFrame(ws.CloseNormalClosure, strings.Repeat("*", 123))),
		sent("7.3.6", refused(ws.CloseProtocolError), closeFrame(ws.CloseNormalClosure, strings.Repeat("*", 124))),
		sent("7.5.1", refused(ws.CloseProtocolError, ws.CloseInvalidPayload), closeFrame(ws.CloseNormalClosure, greek+"\xed\xa0\x80"+edited)),
	}
	for i, code := range []ws.CloseCode{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		end := End{Clean: true, Codes: []ws.CloseCode{ws.CloseNormalClosure, code}}
		cases = append(cases, sent(number("7.7", i+1), end, closeFrame(code, "")))
	}
	for i, code := range []ws.CloseCode{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		cases = append(cases, sent(number("7.9", i+1), refused(ws.CloseProtocolError), closeFrame(code, "")))
	}
	for i, code := range []ws.CloseCode{5000, 65535} {
		c := sent(number("7.13", i+1), refused(ws.CloseNormalClosure, ws.CloseProtocolError, code), closeFrame(code, ""))
		c.Informational = true
		cases = append(cases, c)
	}
	return cases
}
