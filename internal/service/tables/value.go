package tables

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// A kind is an attribute value's data type.
type kind byte

// The data types; the letters are the wire's.
const (
	kindNone   kind = iota // no value: what a path that leads nowhere has
	kindString             // S
	kindNumber             // N
	kindBinary             // B
	kindBool               // BOOL
	kindNull               // NULL
	kindMap                // M
	kindList               // L
	kindStringSet
	kindNumberSet
	kindBinarySet
)

var kindNames = [...]string{"", "S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}

// String is the data type's name on the wire.
func (k kind) String() string { return kindNames[k] }

func (k kind) isSet() bool { return k >= kindStringSet }

// element is the type of a set's members.
func (k kind) element() kind { return k - kindStringSet + kindString }

// A value is one attribute value. Values are immutable once they are part of
// an item: whoever changes one copies what leads to it.
type value struct {
	kind kind
	flag bool    // BOOL
	text string  // S; N in its canonical spelling; B's bytes
	list []value // L; a set's members, sorted
	m    item    // M
}

// An attribute is a named value.
type attribute struct {
	name  string
	value value
}

// An item is a row, or a map: attributes sorted by name, no name twice.
type item []attribute

func (it item) find(name string) (int, bool) {
	if len(it) <= 8 { // shorter than a binary search's branches
		for i := range it {
			if it[i].name == name {
				return i, true
			}
			if it[i].name > name {
				return i, false
			}
		}
		return len(it), false
	}
	return slices.BinarySearchFunc(it, name, func(a attribute, n string) int { return strings.Compare(a.name, n) })
}

// get returns the attribute's value, of kindNone when there is none.
func (it item) get(name string) value {
	if i, ok := it.find(name); ok {
		return it[i].value
	}
	return value{}
}

// with returns a copy in which name has the value v; of kindNone removes it.
func (it item) with(name string, v value) item {
	i, found := it.find(name)
	switch {
	case found && v.kind == kindNone:
		return slices.Delete(slices.Clone(it), i, i+1)
	case found:
		c := slices.Clone(it)
		c[i].value = v
		return c
	case v.kind == kindNone:
		return it
	}
	c := make(item, 0, len(it)+1)
	c = append(append(c, it[:i]...), attribute{name, v})
	return append(c, it[i:]...)
}

// sortItem brings decoded attributes in order; of equal names the last wins.
func sortItem(it item) item {
	sorted := true
	for i := 1; i < len(it); i++ {
		if it[i-1].name >= it[i].name {
			sorted = false
			break
		}
	}
	if sorted {
		return it
	}
	slices.SortStableFunc(it, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	out := it[:0]
	for i := range it {
		if i+1 < len(it) && it[i+1].name == it[i].name {
			continue
		}
		out = append(out, it[i])
	}
	return out
}

// size is the item's size in bytes as DynamoDB counts it.
func (it item) size() int {
	n := 0
	for i := range it {
		n += len(it[i].name) + it[i].value.size()
	}
	return n
}

func (v value) size() int {
	switch v.kind {
	case kindString, kindBinary:
		return len(v.text)
	case kindNumber:
		return numberSize(v.text)
	case kindBool, kindNull:
		return 1
	case kindMap:
		return 3 + len(v.m) + v.m.size()
	case kindList:
		n := 3 + len(v.list)
		for i := range v.list {
			n += v.list[i].size()
		}
		return n
	}
	n := 0
	for i := range v.list {
		n += v.list[i].size()
	}
	return n
}

// depth is how many maps and lists are inside one another, v included.
func (v value) depth() int {
	d := 0
	switch v.kind {
	case kindMap:
		for i := range v.m {
			d = max(d, v.m[i].value.depth())
		}
	case kindList:
		for i := range v.list {
			d = max(d, v.list[i].depth())
		}
	default:
		return 0
	}
	return d + 1
}

// equal compares two values as expressions do: by type and content.
func (v value) equal(w value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case kindString, kindNumber, kindBinary:
		return v.text == w.text
	case kindBool:
		return v.flag == w.flag
	case kindMap:
		return slices.EqualFunc(v.m, w.m, func(a, b attribute) bool { return a.name == b.name && a.value.equal(b.value) })
	case kindNone, kindNull:
		return true
	}
	return slices.EqualFunc(v.list, w.list, value.equal) // sets are sorted
}

// compare orders two strings, numbers or binaries; ok is false when the types
// differ or have no order.
func (v value) compare(w value) (order int, ok bool) {
	if v.kind != w.kind {
		return 0, false
	}
	switch v.kind {
	case kindString, kindBinary:
		return strings.Compare(v.text, w.text), true
	case kindNumber:
		return compareNumbers(v.text, w.text), true
	}
	return 0, false
}

// newSet returns a set of the members, sorted. A member twice is an error.
func newSet(k kind, members []value) (value, bool) {
	slices.SortFunc(members, compareScalars)
	for i := 1; i < len(members); i++ {
		if members[i].text == members[i-1].text {
			return value{}, false
		}
	}
	return value{kind: k, list: members}, true
}

func compareScalars(a, b value) int {
	c, _ := a.compare(b)
	return c
}

func (v value) hasMember(m value) bool {
	_, found := slices.BinarySearchFunc(v.list, m, compareScalars)
	return found
}

// union returns the members of both sets.
func (v value) union(w value) value {
	out := make([]value, 0, len(v.list)+len(w.list))
	out = append(out, v.list...)
	for _, m := range w.list {
		if !v.hasMember(m) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, compareScalars)
	return value{kind: v.kind, list: out}
}

// minus returns the members of v that w lacks; none left is kindNone, for
// DynamoDB has no empty sets.
func (v value) minus(w value) value {
	var out []value
	for _, m := range v.list {
		if !w.hasMember(m) {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		return value{}
	}
	return value{kind: v.kind, list: out}
}

// appendJSON appends the value in the wire's form, {"S":"x"}.
func (v value) appendJSON(dst []byte) []byte {
	dst = append(dst, '{', '"')
	dst = append(dst, kindNames[v.kind]...)
	dst = append(dst, '"', ':')
	switch v.kind {
	case kindString, kindNumber, kindBinary:
		dst = v.appendScalar(dst)
	case kindBool:
		if v.flag {
			dst = append(dst, "true"...)
		} else {
			dst = append(dst, "false"...)
		}
	case kindNull:
		dst = append(dst, "true"...)
	case kindMap:
		dst = v.m.appendJSON(dst)
	case kindList:
		dst = append(dst, '[')
		for i := range v.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.list[i].appendJSON(dst)
		}
		dst = append(dst, ']')
	default:
		dst = append(dst, '[')
		for i := range v.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.list[i].appendScalar(dst)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func (v value) appendScalar(dst []byte) []byte {
	if v.kind == kindBinary {
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, []byte(v.text))
		return append(dst, '"')
	}
	return appendJSONString(dst, v.text)
}

// appendJSON appends the attributes as a JSON object of attribute values.
func (it item) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i := range it {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, it[i].name)
		dst = append(dst, ':')
		dst = it[i].value.appendJSON(dst)
	}
	return append(dst, '}')
}

// The durable form of an item: the number of attributes, then for each its
// name and value; a value is its kind's byte, then its content. Lengths and
// counts are unsigned varints. The file's format names this as version 1.

func (it item) appendBinary(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(it)))
	for i := range it {
		dst = appendText(dst, it[i].name)
		dst = it[i].value.appendBinary(dst)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func (v value) appendBinary(dst []byte) []byte {
	dst = append(dst, byte(v.kind))
	switch v.kind {
	case kindString, kindNumber, kindBinary:
		return appendText(dst, v.text)
	case kindBool:
		if v.flag {
			return append(dst, 1)
		}
		return append(dst, 0)
	case kindNull:
		return dst
	case kindMap:
		return v.m.appendBinary(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(len(v.list)))
	for i := range v.list {
		dst = v.list[i].appendBinary(dst)
	}
	return dst
}

var errCorrupt = errors.New("tables: an item on disk is damaged; restore the data dir from a copy, or remove the tables file to begin empty")

// decodeItem reads what appendBinary wrote. The strings share one copy of b.
func decodeItem(b []byte) (item, error) {
	d := binaryDecoder{s: string(b)}
	it := d.item(0)
	if d.failed || d.s != "" {
		return nil, errCorrupt
	}
	return it, nil
}

type binaryDecoder struct {
	s      string
	failed bool
}

func (d *binaryDecoder) uvarint() int {
	var n uint64
	for i := 0; i < len(d.s) && i < 5; i++ {
		n |= uint64(d.s[i]&0x7f) << (7 * i)
		if d.s[i] < 0x80 {
			d.s = d.s[i+1:]
			if n > uint64(len(d.s)) { // every count is followed by at least as many bytes
				break
			}
			return int(n)
		}
	}
	d.failed, d.s = true, ""
	return 0
}

func (d *binaryDecoder) text() string {
	n := d.uvarint()
	if d.failed {
		return ""
	}
	t := d.s[:n]
	d.s = d.s[n:]
	return t
}

func (d *binaryDecoder) byte() byte {
	if d.s == "" {
		d.failed = true
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *binaryDecoder) item(depth int) item {
	n := d.uvarint()
	if d.failed || depth > maxDepth {
		d.failed = true
		return nil
	}
	it := make(item, 0, n)
	for range n {
		if d.failed {
			return nil
		}
		name := d.text()
		it = append(it, attribute{name, d.value(depth)})
	}
	return it
}

func (d *binaryDecoder) value(depth int) value {
	v := value{kind: kind(d.byte())}
	if depth > maxDepth {
		d.failed = true
	}
	switch {
	case d.failed:
	case v.kind == kindString, v.kind == kindNumber, v.kind == kindBinary:
		v.text = d.text()
	case v.kind == kindBool:
		v.flag = d.byte() == 1
	case v.kind == kindNull:
	case v.kind == kindMap:
		v.m = d.item(depth + 1)
	case v.kind >= kindList && v.kind <= kindBinarySet:
		n := d.uvarint()
		v.list = make([]value, 0, n)
		for range n {
			if d.failed {
				break
			}
			v.list = append(v.list, d.value(depth+1))
		}
	default:
		d.failed = true
	}
	return v
}
