package autobahn

import (
	"bytes"

	"tidegate/ws"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// limits are the cases 9: large messages, in one frame and in many, whole and in
// small writes, and the time of a thousand messages one after the other. The
// suite compares an echo's length; here it is the whole of it.
func limits() []Case {
	sorts := []struct {
		op       ws.Opcode
		kind     Kind
		fill     string // of 9.1, 9.2, 9.5 and 9.6
		fragment string // of 9.3 and 9.4
		round    string // of 9.7 and 9.8
	}{
		{ws.OpText, Text, "BAsd7&jh23", "*", "*"},
		{ws.OpBinary, Binary, "\x00\xfe\x23\xfa\xf0", "\xfe", "\xfe"},
	}
	var sizes, fragments, chops, rounds [2][]Case
	for s, sort := range sorts {
		one := func(id int, n int, f Frame) Case {
			f.Op = sort.op
			return Case{ID: number(number("9", id+s), n+1), Frames: []Frame{f}, Strict: []Event{{sort.kind, string(f.Payload), f.Size}}, End: normal()}
		}
		for i, size := range []int{64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, 16 * mib} {
			sizes[s] = append(sizes[s], one(1, i, Frame{Payload: []byte(sort.fill), Size: size}))
		}
		for i, fragment := range []int{64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib, 4 * mib} {
			fill := sort.fragment
			if i >= 1 {
				fill = "*" // of binary messages too, but for the first
			}
			fragments[s] = append(fragments[s], one(3, i, Frame{Payload: []byte(fill), Size: 4 * mib, Fragment: fragment}))
		}
		for i, chop := range []int{64, 128, 256, 512, 1024, 2048} {
			chops[s] = append(chops[s], one(5, i, Frame{Payload: []byte(sort.fill), Size: mib, Chop: chop}))
		}
		for i, size := range []int{0, 16, 64, 256, kib, 4 * kib} {
			message := bytes.Repeat([]byte(sort.round), size)
			rounds[s] = append(rounds[s], Case{
				ID: number(number("9", 7+s), i+1), End: normal(),
				Rounds: &Rounds{Count: 1000, Binary: sort.kind == Binary, Message: func(int) []byte { return message }},
			})
		}
	}
	var cases []Case
	for _, group := range [][2][]Case{sizes, fragments, chops, rounds} {
		cases = append(append(cases, group[0]...), group[1]...)
	}
	return cases
}

// autoFragmentation is the case 10.1.1.
func autoFragmentation() []Case {
	f := Frame{Op: ws.OpText, Payload: []byte("*"), Size: 64 * kib, Fragment: 1300}
	return []Case{{ID: "10.1.1", Frames: []Frame{f}, Strict: []Event{{Text, "*", f.Size}}, End: normal()}}
}

// sized returns the payload, repeated and cut to a size unless that is 0.
func sized(payload []byte, size int) []byte {
	if size == 0 {
		return payload
	}
	return bytes.Repeat(payload, size/len(payload)+1)[:size]
}
