package vtl

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A List is Java's: a sequence that methods may change.
type List struct {
	items []any
	json  bool
}

// NewList returns a list that prints as Java's do: [a, b].
func NewList(items ...any) *List { return &List{items: items} }

// NewJSONList returns a list that prints as JSON, as those do that JSON was
// parsed into.
func NewJSONList(items ...any) *List { return &List{items: items, json: true} }

// Items returns the list's items, which are not to be changed.
func (l *List) Items() []any { return l.items }

// A Map is Java's LinkedHashMap: its entries keep the order in which their keys
// were first put. Keys are any values; a string and a number differ.
type Map struct {
	keys, values []any
	index        map[any]int // from what a key is told apart by to its place, once there are more than fewEntries
}

// fewEntries is up to how many entries a key is searched for without an index.
const fewEntries = 8

// NewMap returns an empty map, which prints as Java's do: {k=v}.
func NewMap() *Map { return &Map{} }

// NewMapSize returns an empty map with room for n entries.
func NewMapSize(n int) *Map {
	room := make([]any, 2*n)
	return &Map{keys: room[:0:n], values: room[n:n]}
}

// mapKey is what a key is told apart by.
func mapKey(k any) any {
	switch k.(type) {
	case nil, string, bool, int64, float64:
		return k
	}
	return struct{ text string }{Print(k)}
}

// Put gives a key a value and returns the one that it had.
func (m *Map) Put(key, value any) (before any) {
	if i, had := m.place(key); had {
		before, m.values[i] = m.values[i], value
		return before
	}
	m.keys, m.values = append(m.keys, key), append(m.values, value)
	switch {
	case m.index != nil:
		m.index[mapKey(key)] = len(m.keys) - 1
	case len(m.keys) > fewEntries:
		m.index = make(map[any]int, 2*fewEntries)
		m.reindex(0)
	}
	return nil
}

// place returns where a key's entry is.
func (m *Map) place(key any) (at int, ok bool) {
	k := mapKey(key)
	if m.index != nil {
		at, ok = m.index[k]
		return at, ok
	}
	for i, other := range m.keys {
		if mapKey(other) == k {
			return i, true
		}
	}
	return 0, false
}

// reindex notes the places of the entries from one on.
func (m *Map) reindex(from int) {
	if m.index == nil {
		return
	}
	for i := from; i < len(m.keys); i++ {
		m.index[mapKey(m.keys[i])] = i
	}
}

// Get returns a key's value; ok is false when there is none.
func (m *Map) Get(key any) (value any, ok bool) {
	i, ok := m.place(key)
	if !ok {
		return nil, false
	}
	return m.values[i], true
}

// Len is the number of entries.
func (m *Map) Len() int { return len(m.keys) }

// Keys returns the keys in their order; they are not to be changed.
func (m *Map) Keys() []any { return m.keys }

func (m *Map) remove(key any) any {
	i, had := m.place(key)
	if !had {
		return nil
	}
	before := m.values[i]
	delete(m.index, mapKey(key))
	m.keys, m.values = append(m.keys[:i:i], m.keys[i+1:]...), append(m.values[:i:i], m.values[i+1:]...)
	m.reindex(i)
	return before
}

func (m *Map) list() []any {
	return append([]any(nil), m.values...)
}

// An entry is one of a map's.
type entry struct{ key, value any }

// An iterator goes over a list once.
type iterator struct {
	items []any
	next  int
}

// An array is what Java's split returns: it can be indexed and gone over.
type array struct{ items []any }

// normal turns Go's other integers into int64, so that callers may put any in
// scope.
func normal(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case int32:
		return int64(v)
	case []byte:
		return string(v)
	}
	return v
}

// items is what #foreach goes over; ok is false for what isn't a collection.
func items(v any) (list []any, ok bool) {
	switch v := v.(type) {
	case *List:
		return v.items, true
	case *array:
		return v.items, true
	case *Map:
		return v.list(), true
	case Lazy:
		return v.Map().list(), true
	case *iterator:
		rest := v.items[v.next:]
		v.next = len(v.items)
		return rest, true
	}
	return nil, false
}

// index turns a number into a position; a negative one counts from the end.
func index(v any, size int) (int, bool) {
	n, ok := v.(int64)
	if !ok {
		return 0, false
	}
	if n < 0 {
		n += int64(size)
	}
	return int(n), n >= 0 && n < int64(size)
}

// at follows an index.
func at(owner, key any) (any, error) {
	var list []any
	switch o := owner.(type) {
	case *Map:
		v, _ := o.Get(key)
		return v, nil
	case Lazy:
		return at(o.Map(), key)
	case Object:
		name, ok := key.(string)
		if !ok {
			return nil, nil
		}
		v, _ := o.Get(name)
		return normal(v), nil
	case *List:
		list = o.items
	case *array:
		list = o.items
	default:
		return nil, nil
	}
	if _, number := key.(int64); !number {
		return nil, nil
	}
	i, ok := index(key, len(list))
	if !ok {
		return nil, noItem(key, len(list))
	}
	return list[i], nil
}

func noItem(key any, size int) error {
	return fmt.Errorf("no item %s in a list of %d", clip(Print(key)), size)
}

// property follows a property: a map's entry, an object's own, or what a getter
// of Java's would give.
func property(owner any, name string) any {
	switch o := owner.(type) {
	case *Map:
		v, _ := o.Get(name)
		return v
	case Lazy:
		v, _ := o.Get(name)
		return v
	case Object:
		v, _ := o.Get(name)
		return v
	case entry:
		switch name {
		case "key":
			return o.key
		case "value":
			return o.value
		}
	case string:
		if name == "empty" {
			return o == ""
		}
	case *List:
		if name == "empty" {
			return len(o.items) == 0
		}
	}
	return nil
}

// getter returns the property that a getter is for.
func getter(name string) (string, bool) {
	for _, prefix := range []string{"get", "is"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			return strings.ToLower(rest[:1]) + rest[1:], true
		}
	}
	return "", false
}

// typeName is Java's name for a value's type, for errors.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64, *big.Int, float64:
		return "a number"
	case *List, *array:
		return "a list"
	case *Map, Lazy:
		return "a map"
	}
	return "an object"
}

// Print returns a value as Java's toString does: what a reference to it prints.
// Maps are {k=v}, lists [a, b] or, when they come from JSON, JSON. What is longer
// than 10 MiB is cut off.
func Print(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	p := printer{limit: defaultOutput}
	p.java(v, 0)
	return string(p.out)
}

// A printer writes values until limit bytes.
type printer struct {
	out      []byte
	limit    int
	exceeded bool
}

// maxPrintDepth bounds how deep values may hold each other, themselves included.
const maxPrintDepth = 100

func (p *printer) full(depth int) bool {
	if len(p.out) > p.limit || depth > maxPrintDepth {
		p.exceeded = true
	}
	return p.exceeded
}

func (p *printer) java(v any, depth int) {
	if p.full(depth) {
		return
	}
	switch v := v.(type) {
	case nil:
		p.out = append(p.out, "null"...)
	case string:
		p.out = append(p.out, v...)
	case bool:
		p.out = strconv.AppendBool(p.out, v)
	case int64:
		p.out = strconv.AppendInt(p.out, v, 10)
	case *big.Int:
		p.out = v.Append(p.out, 10)
	case float64:
		p.out = appendDouble(p.out, v)
	case *List:
		if v.json {
			p.json(v, depth)
			return
		}
		p.sequence(v.items, depth)
	case *array:
		p.out = append(p.out, "[Ljava.lang.String;"...)
	case *Map:
		p.out = append(p.out, '{')
		for i, k := range v.keys {
			if i > 0 {
				p.out = append(p.out, ", "...)
			}
			p.java(k, depth+1)
			p.out = append(p.out, '=')
			p.java(v.values[i], depth+1)
		}
		p.out = append(p.out, '}')
	case Lazy:
		p.java(v.Map(), depth)
	case entry:
		p.java(v.key, depth+1)
		p.out = append(p.out, '=')
		p.java(v.value, depth+1)
	case *iterator:
		p.out = append(p.out, "java.util.Iterator"...)
	case fmt.Stringer:
		p.out = append(p.out, v.String()...)
	default:
		p.out = fmt.Append(p.out, v)
	}
}

func (p *printer) sequence(items []any, depth int) {
	p.out = append(p.out, '[')
	for i, item := range items {
		if i > 0 {
			p.out = append(p.out, ", "...)
		}
		p.java(item, depth+1)
	}
	p.out = append(p.out, ']')
}

// json writes a value as the library does that parses JSON for API Gateway
// (json-smart): no spaces, slashes escaped.
func (p *printer) json(v any, depth int) {
	if p.full(depth) {
		return
	}
	switch v := v.(type) {
	case *List:
		p.out = append(p.out, '[')
		for i, item := range v.items {
			if i > 0 {
				p.out = append(p.out, ',')
			}
			p.json(item, depth+1)
		}
		p.out = append(p.out, ']')
	case *Map:
		p.out = append(p.out, '{')
		for i, k := range v.keys {
			if i > 0 {
				p.out = append(p.out, ',')
			}
			p.quoted(k, depth+1)
			p.out = append(p.out, ':')
			p.json(v.values[i], depth+1)
		}
		p.out = append(p.out, '}')
	case nil, bool, int64, *big.Int, float64:
		p.java(v, depth)
	case Lazy:
		p.json(v.Map(), depth)
	default:
		p.quoted(v, depth)
	}
}

// quoted writes what a value prints as a JSON string.
func (p *printer) quoted(v any, depth int) {
	if s, ok := v.(string); ok {
		p.quote(s)
		return
	}
	inner := printer{limit: p.limit}
	inner.java(v, depth+1) // what holds itself is found by its depth
	if inner.full(0) {
		p.exceeded = true
		return
	}
	p.quote(string(inner.out))
}

// quote escapes as json-smart does.
func (p *printer) quote(s string) {
	p.out = append(p.out, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\' || c == '/':
			p.out = append(p.out, '\\', byte(c))
		case c == '\b':
			p.out = append(p.out, `\b`...)
		case c == '\f':
			p.out = append(p.out, `\f`...)
		case c == '\n':
			p.out = append(p.out, `\n`...)
		case c == '\r':
			p.out = append(p.out, `\r`...)
		case c == '\t':
			p.out = append(p.out, `\t`...)
		case c < 0x20 || 0x7f <= c && c <= 0x9f || 0x2000 <= c && c <= 0x20ff:
			p.out = fmt.Appendf(p.out, `\u%04X`, c)
		default:
			p.out = utf8.AppendRune(p.out, c)
		}
	}
	p.out = append(p.out, '"')
}

// appendDouble writes a number as Java's Double.toString does.
func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case f == 0:
		if math.Signbit(f) {
			dst = append(dst, '-')
		}
		return append(dst, "0.0"...)
	}
	if size := math.Abs(f); size >= 1e-3 && size < 1e7 {
		at := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		if !strings.Contains(string(dst[at:]), ".") {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return strconv.AppendInt(append(append(dst, mantissa...), 'E'), int64(n), 10)
}
