package autobahn

import (
	"unicode/utf8"

	"tidegate/ws"
)

const (
	greek    = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
	greeting = "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!"
	edited   = "edited"
)

// utf8Fragments are the cases 6.1 to 6.3: text cut at and within runes.
func utf8Fragments() []Case {
	ok := func(id, want string, frames ...Frame) Case {
		return Case{ID: id, Frames: frames, Strict: []Event{echoed(want)}, End: normal()}
	}
	bytewise := func(payload string) Frame {
		f := text(payload)
		f.Fragment = 1
		return f
	}
	const half = len("Hello-\u00b5@\u00df\u00f6\u00e4")
	const bad = greek + "\xed\xa0\x80" + edited
	return []Case{
		ok("6.1.1", "", text("")),
		ok("6.1.2", "", start(""), more(""), last("")),
		ok("6.1.3", "middle frame payload", start(""), more("middle frame payload"), last("")),
		ok("6.2.1", greeting, text(greeting)),
		ok("6.2.2", greeting, start(greeting[:half]), last(greeting[half:])),
		ok("6.2.3", greeting, bytewise(greeting)),
		ok("6.2.4", greek, bytewise(greek)),
		{ID: "6.3.1", Frames: []Frame{text(bad)}, End: fails(ws.CloseInvalidPayload)},
		{ID: "6.3.2", Frames: []Frame{bytewise(bad)}, End: fails(ws.CloseInvalidPayload)},
	}
}

// utf8FailFast are the cases 6.4: what makes text invalid is to be refused before
// the rest of it comes.
func utf8FailFast() []Case {
	const bad = greek + "\xf4\x90\x80\x80" + edited
	fast := func(id string, frames ...Frame) Case {
		return Case{
			ID: id, Frames: frames, End: fails(ws.CloseInvalidPayload),
			Strict: []Event{{Kind: Quiet}}, Lenient: &[]Event{{Kind: Quiet}, {Kind: Quiet}},
		}
	}
	quiet := func(f Frame) Frame { f.Quiet = true; return f }
	cut := func(at ...int) Frame {
		f := text(bad)
		f.Cuts = at
		return f
	}
	const n, m = len(greek), len(greek) + 4
	return []Case{
		fast("6.4.1", quiet(start(bad[:n])), quiet(more(bad[n:m])), last(bad[m:])),
		fast("6.4.2", quiet(start(bad[:12])), quiet(more(bad[12:13])), last(bad[13:])),
		fast("6.4.3", cut(n, m)),
		fast("6.4.4", cut(12, 13)),
	}
}

// utf8Sequences are the cases 6.5 to 6.23. Whether a sequence is valid is what the
// suite's group says, not what this program's own validation finds.
func utf8Sequences() []Case {
	type group struct {
		valid     string // "+": all are, "-": none is, "?": as the runes are whole or not
		sequences []string
	}
	missing := []string{
		"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf",
	}
	var joined string
	for _, s := range missing {
		joined += s
	}
	groups := []group{
		{"+", []string{"hello\x24world", "hello\xc2\xa2world", "hello\xe2\x82\xacworld", "hello\xf0\xa4\xad\xa2world", greek}},
		{"?", prefixes(greek)},
		{"+", []string{"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"}},
		{"-", []string{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"}},
		{"+", []string{"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"}},
		{"-", []string{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"}},
		{"++++-", []string{"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80"}},
		{"-", []string{
			"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf",
			run(0x80, 0xbf, ""),
		}},
		{"-", []string{run(0xc0, 0xdf, " "), run(0xe0, 0xef, " "), run(0xf0, 0xf7, " "), run(0xf8, 0xfb, " "), run(0xfc, 0xfd, " ")}},
		{"-", missing},
		{"-", []string{joined}},
		{"-", []string{"\xfe", "\xff", "\xfe\xfe\xff\xff"}},
		{"-", []string{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"}},
		{"-", []string{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"}},
		{"-", []string{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"}},
		{"-", []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"}},
		{"-", []string{
			"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf",
			"\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf",
		}},
		{"+", nonCharacters()},
		{"+", []string{"\xef\xbf\xb9", "\xef\xbf\xba", "\xef\xbf\xbb", "\xef\xbf\xbc", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xbf\xbf"}},
	}
	var cases []Case
	for i, g := range groups {
		for j, s := range g.sequences {
			valid := g.valid[min(j, len(g.valid)-1)]
			c := Case{ID: number(number("6", i+5), j+1), Frames: []Frame{text(s)}, End: fails(ws.CloseInvalidPayload)}
			if valid == '+' || valid == '?' && utf8.ValidString(s) {
				c.Strict, c.End = []Event{echoed(s)}, normal()
			}
			cases = append(cases, c)
		}
	}
	return cases
}

// prefixes returns all that text begins with, to the whole of it.
func prefixes(text string) []string {
	var all []string
	for i := range len(text) {
		all = append(all, text[:i+1])
	}
	return all
}

// run returns the bytes from first to before end, each with what follows it.
func run(first, end int, behind string) string {
	var s string
	for b := first; b < end; b++ {
		s += string([]byte{byte(b)}) + behind
	}
	return s
}

// nonCharacters returns the last two of the first plane, and the last two of each
// 64 Ki behind whose encodings the suite lists.
func nonCharacters() []string {
	all := []string{"\xef\xbf\xbe", "\xef\xbf\xbf"}
	for first := byte(0xf0); first <= 0xf4; first++ {
		for _, second := range []byte{0x8f, 0x9f, 0xaf, 0xbf} {
			overlong, beyond := first == 0xf0 && second == 0x8f, first == 0xf4 && second != 0x8f
			if overlong || beyond {
				continue
			}
			for _, fourth := range []byte{0xbe, 0xbf} {
				all = append(all, string([]byte{first, second, 0xbf, fourth}))
			}
		}
	}
	return all
}
