package autobahn

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

// A corpus is what the messages of a case are cut from, of the kind and size of the
// suite's own file, which stays with the suite.
type corpus struct {
	text   bool
	data   []byte
	starts []int // of the runes, of text alone
}

// message returns a corpus's n units (runes of text, else bytes) from the i-th
// message on, the corpus following itself.
func (c *corpus) message(i, n int) []byte {
	size := len(c.data)
	if c.text {
		size = len(c.starts)
	}
	from := i * n % size
	to := (from + n) % size
	at := func(unit int) int {
		if c.text {
			return c.starts[unit]
		}
		return unit
	}
	if to > from {
		return c.data[at(from):at(to)]
	}
	return append(bytes.Clone(c.data[at(from):]), c.data[:at(to)]...)
}

func newCorpus(text bool, data []byte) *corpus {
	c := &corpus{text: text, data: data}
	if text {
		for i := range string(data) {
			c.starts = append(c.starts, i)
		}
	}
	return c
}

// corpora are the suite's five, in its order: JSON, a bitmap, a play, HTML, a PDF.
// They are the same in every run.
func corpora() []*corpus {
	r := rand.New(rand.NewPCG(7692, 6455))
	return []*corpus{
		newCorpus(true, records(r, 194056)),
		newCorpus(false, bitmap(r, 512)),
		newCorpus(false, words(r, 222218, "%s ", "\n")),
		newCorpus(true, append([]byte("<!DOCTYPE html>\n<table>\n"), words(r, 263600, "<td class=\"cell\">%s</td>", "</tr>\n<tr>")...)),
		newCorpus(false, document(r, 1042328)),
	}
}

var vocabulary = strings.Fields(`der die das und nicht ein Gewässer Straße größer Übermut geh komm sprich Tür Licht
	Nacht Morgen alte neue Bücher welcher jener wohl kaum immer nie Worte Geist Natur Kraft Leben Welt Herz Zeit`)

// words returns words in a form, a line's end behind every tenth, of about size bytes.
func words(r *rand.Rand, size int, form, end string) []byte {
	var b []byte
	for n := 1; len(b) < size; n++ {
		b = fmt.Appendf(b, form, vocabulary[r.IntN(len(vocabulary))])
		if n%10 == 0 {
			b = append(b, end...)
		}
	}
	for b = b[:size]; !utf8.Valid(b); { // not in the middle of a rune
		b = b[:len(b)-1]
	}
	return b
}

// records returns an array of JSON objects.
func records(r *rand.Rand, size int) []byte {
	b := []byte("[")
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, "{\"id\": %d, \"name\": %q, \"score\": %.6f, \"tags\": [%q, %q], \"active\": %t},\n", i,
			vocabulary[r.IntN(len(vocabulary))], r.Float64(), vocabulary[r.IntN(len(vocabulary))], vocabulary[r.IntN(len(vocabulary))], r.IntN(2) == 0)
	}
	return append(b, "{}]"...)
}

// bitmap returns a grey picture of side times side pixels: slopes with noise.
func bitmap(r *rand.Rand, side int) []byte {
	b := binary.LittleEndian.AppendUint32([]byte("BM"), uint32(1078+side*side))
	for len(b) < 1078 {
		b = append(b, byte(len(b)/4))
	}
	for y := range side {
		for x := range side {
			b = append(b, byte(x/3+y/5+r.IntN(6)))
		}
	}
	return b
}

// document returns streams that can't be compressed, with text between them.
func document(r *rand.Rand, size int) []byte {
	b := []byte("%PDF-1.4\n")
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, "%d 0 obj\n<< /Length 4096 /Filter /FlateDecode >>\nstream\n", i)
		for range 512 {
			b = binary.LittleEndian.AppendUint64(b, r.Uint64())
		}
		b = append(b, "\nendstream\nendobj\n"...)
	}
	return b[:size]
}

// perMessage is how many messages a case of compression sends in the suite.
const perMessage = 1000

// offer is the suite's offer of permessage-deflate with more parameters.
func offer(parameters string) string {
	return "permessage-deflate; client_no_context_takeover; client_max_window_bits" + parameters
}

// compression are the cases 12, one group a corpus with the plain offer, and 13,
// one group a set of parameters.
func compression() []Case {
	all := corpora()
	var cases []Case
	group := func(id string, c *corpus, offers ...string) {
		// The size of a message and that of a frame.
		for i, s := range [][2]int{
			{16}, {64}, {256}, {kib}, {4 * kib}, {8 * kib}, {16 * kib}, {32 * kib}, {64 * kib}, {128 * kib},
			{8 * kib, 256}, {16 * kib, 256}, {32 * kib, 256}, {64 * kib, 256}, {128 * kib, 256},
			{128 * kib, kib}, {128 * kib, 4 * kib}, {128 * kib, 32 * kib},
		} {
			cases = append(cases, Case{ID: number(id, i+1), Offers: offers, End: normal(), Rounds: &Rounds{
				Count: perMessage, Binary: !c.text, Fragment: s[1], Message: func(n int) []byte { return c.message(n, s[0]) },
			}})
		}
	}
	for i, c := range all {
		group(number("12", i+1), c, offer(""))
	}
	const none = "; server_no_context_takeover"
	for i, offers := range [][]string{
		{offer("")}, {offer(none)},
		{offer("; server_max_window_bits=9")}, {offer("; server_max_window_bits=15")},
		{offer(none + "; server_max_window_bits=9")}, {offer(none + "; server_max_window_bits=15")},
		{offer(none + "; server_max_window_bits=9"), offer(none), offer("")},
	} {
		group(number("13", i+1), all[0], offers...)
	}
	return cases
}
