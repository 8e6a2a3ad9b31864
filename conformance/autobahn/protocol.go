package autobahn

import (
	"strconv"
	"strings"

	"tidegate/ws"
)

const hello = "Hello, world!"

// framing are the cases 1: messages of the sizes at which the header changes.
func framing() []Case {
	type size struct{ bytes, chop int }
	sizes := []size{{0, 0}, {125, 0}, {126, 0}, {127, 0}, {128, 0}, {65535, 0}, {65536, 0}, {65536, 997}}
	var cases []Case
	for group, kind := range []struct {
		op   ws.Opcode
		kind Kind
		fill string
	}{{ws.OpText, Text, "*"}, {ws.OpBinary, Binary, "\xfe"}} {
		for i, s := range sizes {
			payload := strings.Repeat(kind.fill, s.bytes)
			cases = append(cases, Case{
				ID:     number(number("1", group+1), i+1),
				Frames: []Frame{{Op: kind.op, Payload: []byte(payload), Chop: s.chop}},
				Strict: []Event{{Kind: kind.kind, Payload: payload}}, End: normal(),
			})
		}
	}
	return cases
}

// pings are the cases 2.
func pings() []Case {
	long, odd := strings.Repeat("\xfe", 125), "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	pong := func(payload string) Frame { return Frame{Op: ws.OpPong, Payload: []byte(payload)} }
	answers := func(payloads ...string) []Event {
		var events []Event
		for _, p := range payloads {
			events = append(events, Event{Kind: Pong, Payload: p})
		}
		return events
	}
	var ten []Frame
	var tenAnswers []string
	for i := range 10 {
		tenAnswers = append(tenAnswers, "payload-"+strconv.Itoa(i))
		ten = append(ten, ping(tenAnswers[i]))
	}
	const unsolicited = "unsolicited pong payload"
	return []Case{
		{ID: "2.1", Frames: []Frame{ping("")}, Strict: answers(""), End: normal()},
		{ID: "2.2", Frames: []Frame{ping(hello)}, Strict: answers(hello), End: normal()},
		{ID: "2.3", Frames: []Frame{ping(odd)}, Strict: answers(odd), End: normal()},
		{ID: "2.4", Frames: []Frame{ping(long)}, Strict: answers(long), End: normal()},
		{ID: "2.5", Frames: []Frame{ping(long + "\xfe")}, End: fails(ws.CloseProtocolError)},
		{ID: "2.6", Frames: chopped(1, ping(long)), Strict: answers(long), End: normal()},
		{ID: "2.7", Frames: []Frame{pong("")}, End: normal()},
		{ID: "2.8", Frames: []Frame{pong(unsolicited)}, End: normal()},
		{ID: "2.9", Frames: []Frame{pong(unsolicited), ping("ping payload")}, Strict: answers("ping payload"), End: normal()},
		{ID: "2.10", Frames: ten, Strict: answers(tenAnswers...), End: normal()},
		{ID: "2.11", Frames: chopped(1, ten...), Strict: answers(tenAnswers...), End: normal()},
	}
}

// broken is a case in which a frame breaks the protocol.
func broken(id string, frames ...Frame) Case {
	return Case{ID: id, Frames: frames, End: fails(ws.CloseProtocolError)}
}

// brokenAfter is one in which a whole message stands before that frame: it should
// be echoed.
func brokenAfter(id, message string, frames ...Frame) Case {
	c := broken(id, frames...)
	c.Strict, c.Lenient = []Event{echoed(message)}, &[]Event{}
	return c
}

// reservedBits are the cases 3.
func reservedBits() []Case {
	rsv := func(bits byte, f Frame) Frame { f.RSV = bits; return f }
	odd := Frame{Op: ws.OpBinary, Payload: []byte("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")}
	return []Case{
		broken("3.1", rsv(1, text(hello))),
		brokenAfter("3.2", hello, text(hello), rsv(2, text(hello)), ping("")),
		brokenAfter("3.3", hello, synced(text(hello), rsv(3, text(hello)), ping(""))...),
		brokenAfter("3.4", hello, chopped(1, text(hello), rsv(4, text(hello)), ping(""))...),
		broken("3.5", rsv(5, odd)),
		// The suite calls it a ping, and sends a binary message.
		broken("3.6", rsv(6, Frame{Op: ws.OpBinary, Payload: []byte(hello)})),
		broken("3.7", rsv(7, Frame{Op: ws.OpClose})),
	}
}

// opcodes are the cases 4: the five reserved ones of each sort, in five ways.
func opcodes() []Case {
	var cases []Case
	for i, first := range []ws.Opcode{3, 11} {
		group := number("4", i+1)
		reserved := func(n ws.Opcode, payload string) Frame {
			return Frame{Op: first + n, Payload: []byte(payload)}
		}
		cases = append(cases,
			broken(group+".1", reserved(0, "")),
			broken(group+".2", reserved(1, "reserved opcode payload")),
			brokenAfter(group+".3", hello, text(hello), reserved(2, ""), ping("")),
			brokenAfter(group+".4", hello, text(hello), reserved(3, hello), ping("")),
			brokenAfter(group+".5", hello, chopped(1, text(hello), reserved(4, hello), ping(""))...),
		)
	}
	return cases
}

// fragmentation are the cases 5.
func fragmentation() []Case {
	const one, two, three, four, five = "fragment1", "fragment2", "fragment3", "fragment4", "fragment5"
	whole := []Event{echoed(one + two)}
	pinged := []Event{{Kind: Pong, Payload: "ping payload"}, echoed(one + two)}
	ok := func(id string, want []Event, frames ...Frame) Case {
		return Case{ID: id, Frames: frames, Strict: want, End: normal()}
	}
	cut := func(op ws.Opcode) []Frame {
		return []Frame{{Op: op, More: true, Payload: []byte(one)}, last(two)}
	}
	inTwo := []Frame{start(one), last(two)}
	withPing := []Frame{start(one), ping("ping payload"), last(two)}
	stray := []Frame{last("non-continuation payload"), text(hello)}
	strayMore := []Frame{more("non-continuation payload"), text(hello)}
	repeated := func(first Frame) []Frame {
		return []Frame{first, start(two), last(three), first, start(two), last(three)}
	}
	awaiting := func(f Frame, n int) Frame { f.Await = n; return f }
	slow := []Frame{start(one), more(two), awaiting(ping("pongme 1!"), 1), more(three), more(four), ping("pongme 2!"), last(five)}
	slowWant := []Event{{Kind: Pong, Payload: "pongme 1!"}, {Kind: Pong, Payload: "pongme 2!"}, echoed(one + two + three + four + five)}
	return []Case{
		broken("5.1", cut(ws.OpPing)...),
		broken("5.2", cut(ws.OpPong)...),
		ok("5.3", whole, inTwo...),
		ok("5.4", whole, synced(inTwo...)...),
		ok("5.5", whole, chopped(1, inTwo...)...),
		ok("5.6", pinged, withPing...),
		ok("5.7", pinged, synced(withPing...)...),
		ok("5.8", pinged, chopped(1, withPing...)...),
		broken("5.9", stray...),
		broken("5.10", synced(stray...)...),
		broken("5.11", chopped(1, stray...)...),
		broken("5.12", strayMore...),
		broken("5.13", synced(strayMore...)...),
		broken("5.14", chopped(1, strayMore...)...),
		brokenAfter("5.15", one+two, start(one), last(two), more(three), text(four)),
		broken("5.16", repeated(more(one))...),
		broken("5.17", repeated(last(one))...),
		broken("5.18", start(one), text(two)),
		// The suite waits a second after the first ping; here its pong is waited for.
		ok("5.19", slowWant, slow...),
		ok("5.20", slowWant, synced(slow...)...),
	}
}
