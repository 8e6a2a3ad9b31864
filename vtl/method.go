package vtl

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// call calls a method; ok is false when there is none of this name that takes
// such arguments, which is no error in Velocity.
func (e *evaluation) call(owner any, name string, args []any) (v any, ok bool, err error) {
	switch o := owner.(type) {
	case Lazy:
		owner = o.Map()
	case Object:
		for _, arg := range args {
			if err := e.printable(arg); err != nil {
				return nil, false, err
			}
		}
		v, ok, err = o.Call(name, args)
		if text, isText := v.(string); isText && err == nil {
			err = e.sized(len(text))
		}
		return v, ok, err
	}
	switch {
	case name == "toString" && len(args) == 0:
		s, err := e.textOf(owner)
		return s, true, err
	case name == "equals" && len(args) == 1:
		v, err := e.sameAs(owner, args[0])
		return v, true, err
	case name == "hashCode" && len(args) == 0:
		return hashCode(owner)
	}
	switch o := owner.(type) {
	case string:
		return e.callString(o, name, args)
	case int64, *big.Int, float64:
		return callNumber(o, name, args)
	case bool:
		return callBoolean(o, name, args)
	case *List:
		return e.callList(o, name, args)
	case *Map:
		return e.callMap(o, name, args)
	case entry:
		if len(args) == 0 && name == "getKey" {
			return o.key, true, nil
		}
		if len(args) == 0 && name == "getValue" {
			return o.value, true, nil
		}
	case *iterator:
		return callIterator(o, name, args)
	case *array: // Velocity lends arrays the methods of lists that don't change them
		switch name {
		case "size", "isEmpty", "get", "contains":
			return e.callList(&List{items: o.items}, name, args)
		}
	}
	return nil, false, nil
}

// sameAs is Java's equals: a number is no string, and 1 is not 1.0.
func (e *evaluation) sameAs(a, b any) (bool, error) {
	switch a.(type) {
	case int64, *big.Int:
		if _, ok := integer(b); !ok {
			return false, nil
		}
	case float64:
		if _, ok := b.(float64); !ok {
			return false, nil
		}
	case string:
		if _, ok := b.(string); !ok {
			return false, nil
		}
	case bool:
		if _, ok := b.(bool); !ok {
			return false, nil
		}
	}
	return e.equal(a, b)
}

// hashCode is Java's for strings and small integers, which templates use to
// spread keys.
func hashCode(v any) (any, bool, error) {
	switch v := v.(type) {
	case string:
		var h int32
		for _, c := range utf16(v) {
			h = 31*h + int32(c)
		}
		return int64(h), true, nil
	case int64:
		if v == int64(int32(v)) {
			return v, true, nil
		}
		return int64(int32(v ^ int64(uint64(v)>>32))), true, nil
	case bool:
		if v {
			return int64(1231), true, nil
		}
		return int64(1237), true, nil
	}
	return nil, false, nil
}

func callBoolean(b bool, name string, args []any) (any, bool, error) {
	switch {
	case name == "booleanValue" && len(args) == 0:
		return b, true, nil
	case (name == "parseBoolean" || name == "valueOf") && len(args) == 1:
		s, ok := args[0].(string)
		return strings.EqualFold(s, "true"), ok, nil
	case name == "compareTo" && len(args) == 1:
		other, ok := args[0].(bool)
		switch {
		case b == other:
			return int64(0), ok, nil
		case b:
			return int64(1), ok, nil
		}
		return int64(-1), ok, nil
	}
	return nil, false, nil
}

// callNumber calls a number's methods, and those static ones of its class that
// templates reach through a number, such as $n.parseInt('5').
func callNumber(v any, name string, args []any) (any, bool, error) {
	if len(args) == 0 {
		switch name {
		case "intValue", "longValue", "shortValue", "byteValue":
			return narrow(v, name), true, nil
		case "doubleValue", "floatValue":
			f, _ := double(v)
			return f, true, nil
		case "isNaN", "isInfinite":
			if f, ok := v.(float64); ok {
				return name == "isNaN" && math.IsNaN(f) || name == "isInfinite" && math.IsInf(f, 0), true, nil
			}
		}
		return nil, false, nil
	}
	switch name {
	case "compareTo", "compare":
		a, b := v, args[0]
		if name == "compare" {
			if len(args) != 2 {
				return nil, false, nil
			}
			a, b = args[0], args[1]
		}
		order, ok := compareNumbers(a, b)
		return int64(order), ok, nil
	case "max", "min":
		if len(args) != 2 {
			return nil, false, nil
		}
		order, ok := compareNumbers(args[0], args[1])
		if (order > 0) == (name == "max") {
			return args[0], ok, nil
		}
		return args[1], ok, nil
	case "toString":
		if len(args) == 2 {
			n, ok := integer(args[0])
			radix, ok2 := args[1].(int64)
			if ok && ok2 && radix >= 2 && radix <= 36 {
				return n.Text(int(radix)), true, nil
			}
			return nil, false, nil
		}
		if _, ok := double(args[0]); ok && len(args) == 1 {
			return Print(args[0]), true, nil
		}
	case "toHexString", "toBinaryString", "toOctalString":
		n, ok := args[0].(int64)
		if !ok || len(args) != 1 {
			return nil, false, nil
		}
		u := uint64(n)
		if n == int64(int32(n)) {
			u = uint64(uint32(n))
		}
		return strconv.FormatUint(u, map[string]int{"toHexString": 16, "toBinaryString": 2, "toOctalString": 8}[name]), true, nil
	case "parseInt", "parseLong", "valueOf", "parseDouble", "parseFloat":
		return parseNumber(v, name, args)
	}
	return nil, false, nil
}

// narrow is Java's conversion to an integer type.
func narrow(v any, name string) any {
	var n int64
	switch v := v.(type) {
	case int64:
		n = v
	case *big.Int:
		n = int64(new(big.Int).And(v, new(big.Int).SetUint64(math.MaxUint64)).Uint64())
	case float64:
		switch {
		case math.IsNaN(v):
		case v >= math.MaxInt64:
			n = math.MaxInt64
		case v <= math.MinInt64:
			n = math.MinInt64
		default:
			n = int64(v)
		}
		if name == "intValue" {
			return min(max(n, math.MinInt32), math.MaxInt32)
		}
	}
	switch name {
	case "intValue":
		return int64(int32(n))
	case "shortValue":
		return int64(int16(n))
	case "byteValue":
		return int64(int8(n))
	}
	return n
}

func parseNumber(v any, name string, args []any) (any, bool, error) {
	s, ok := args[0].(string)
	if !ok {
		if _, number := double(args[0]); name == "valueOf" && number && len(args) == 1 {
			return args[0], true, nil
		}
		return nil, false, nil
	}
	if _, isFloat := v.(float64); name == "parseDouble" || name == "parseFloat" || name == "valueOf" && isFloat {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil && !math.IsInf(f, 0) {
			return nil, false, fmt.Errorf("NumberFormatException: for input string: %q", clip(s))
		}
		return f, true, nil
	}
	radix := 10
	if len(args) == 2 {
		r, ok := args[1].(int64)
		if !ok || r < 2 || r > 36 {
			return nil, false, nil
		}
		radix = int(r)
	}
	n, err := strconv.ParseInt(s, radix, 64)
	if err != nil || strings.Contains(s, "_") {
		return nil, false, fmt.Errorf("NumberFormatException: for input string: %q", clip(s))
	}
	return n, true, nil
}

func callIterator(it *iterator, name string, args []any) (any, bool, error) {
	switch {
	case len(args) > 0:
	case name == "hasNext":
		return it.next < len(it.items), true, nil
	case name == "next":
		if it.next == len(it.items) {
			return nil, false, fmt.Errorf("NoSuchElementException: the iterator has no more items")
		}
		it.next++
		return it.items[it.next-1], true, nil
	}
	return nil, false, nil
}

func (e *evaluation) callList(l *List, name string, args []any) (v any, ok bool, err error) {
	if err := e.step(len(l.items)); err != nil {
		return nil, false, err
	}
	switch name + "/" + strconv.Itoa(len(args)) {
	case "size/0":
		return int64(len(l.items)), true, nil
	case "isEmpty/0":
		return len(l.items) == 0, true, nil
	case "iterator/0", "listIterator/0":
		return &iterator{items: l.items}, true, nil
	case "get/1":
		return l.item(args[0], "get")
	case "set/2":
		before, ok, err := l.item(args[0], "set")
		if ok && err == nil {
			l.items[args[0].(int64)] = args[1]
		}
		return before, ok, err
	case "add/1":
		l.items = append(l.items, args[0])
		return true, true, nil
	case "add/2":
		at, ok := args[0].(int64)
		if !ok {
			return nil, false, nil
		}
		if at < 0 || at > int64(len(l.items)) {
			return nil, false, outOfBounds(at, len(l.items))
		}
		l.items = append(l.items[:at:at], append([]any{args[1]}, l.items[at:]...)...)
		return nil, true, nil
	case "addAll/1":
		more, ok := items(args[0])
		if err := e.sized(16 * (len(l.items) + len(more))); err != nil {
			return nil, false, err
		}
		l.items = append(l.items, more...)
		return len(more) > 0, ok, nil
	case "clear/0":
		l.items = nil
		return nil, true, nil
	case "remove/1":
		if _, position := args[0].(int64); position {
			before, ok, err := l.item(args[0], "remove")
			if ok && err == nil {
				l.cut(int(args[0].(int64)))
			}
			return before, ok, err
		}
		i, err := e.position(l.items, args[0])
		if i >= 0 {
			l.cut(i)
		}
		return i >= 0, true, err
	case "contains/1":
		i, err := e.position(l.items, args[0])
		return i >= 0, true, err
	case "containsAll/1":
		all, ok := items(args[0])
		for _, one := range all {
			if i, err := e.position(l.items, one); i < 0 || err != nil {
				return false, ok, err
			}
		}
		return true, ok, nil
	case "indexOf/1":
		i, err := e.position(l.items, args[0])
		return int64(i), true, err
	case "subList/2":
		from, ok := args[0].(int64)
		to, ok2 := args[1].(int64)
		if !ok || !ok2 {
			return nil, false, nil
		}
		if from < 0 || to > int64(len(l.items)) || from > to {
			return nil, false, fmt.Errorf("IndexOutOfBoundsException: from %d to %d in a list of %d", from, to, len(l.items))
		}
		return &List{items: append([]any(nil), l.items[from:to]...), json: l.json}, true, nil
	case "toArray/0":
		return &array{items: l.items}, true, nil
	}
	return nil, false, nil
}

func outOfBounds(at int64, size int) error {
	return fmt.Errorf("IndexOutOfBoundsException: index %d in a list of %d", at, size)
}

func (l *List) item(at any, _ string) (any, bool, error) {
	i, ok := at.(int64)
	if !ok {
		return nil, false, nil
	}
	if i < 0 || i >= int64(len(l.items)) {
		return nil, false, outOfBounds(i, len(l.items))
	}
	return l.items[i], true, nil
}

func (l *List) cut(i int) { l.items = append(l.items[:i:i], l.items[i+1:]...) }

// position finds an item by Java's equals; -1 means that there is none.
func (e *evaluation) position(list []any, v any) (int, error) {
	for i, item := range list {
		if item == nil || v == nil {
			if item == nil && v == nil {
				return i, nil
			}
			continue
		}
		same, err := e.sameAs(item, v)
		if err != nil {
			return -1, err
		}
		if same {
			return i, nil
		}
		if err := e.step(0); err != nil {
			return -1, err
		}
	}
	return -1, nil
}

func (e *evaluation) callMap(m *Map, name string, args []any) (v any, ok bool, err error) {
	if err := e.step(len(m.keys)); err != nil {
		return nil, false, err
	}
	if len(args) > 0 && name != "putAll" && name != "containsValue" {
		if err := e.printable(args[0]); err != nil {
			return nil, false, err
		}
	}
	switch name + "/" + strconv.Itoa(len(args)) {
	case "size/0":
		return int64(len(m.keys)), true, nil
	case "isEmpty/0":
		return len(m.keys) == 0, true, nil
	case "get/1":
		v, _ := m.Get(args[0])
		return v, true, nil
	case "getOrDefault/2":
		v, ok := m.Get(args[0])
		if !ok {
			v = args[1]
		}
		return v, true, nil
	case "put/2":
		return m.Put(args[0], args[1]), true, nil
	case "putIfAbsent/2":
		v, _ := m.Get(args[0])
		if v == nil {
			m.Put(args[0], args[1])
		}
		return v, true, nil
	case "putAll/1":
		if l, lazy := args[0].(Lazy); lazy {
			args[0] = l.Map()
		}
		other, ok := args[0].(*Map)
		if ok {
			for _, k := range other.Keys() {
				v, _ := other.Get(k)
				m.Put(k, v)
			}
		}
		return nil, ok, nil
	case "remove/1":
		return m.remove(args[0]), true, nil
	case "clear/0":
		m.keys, m.values, m.index = nil, nil, nil
		return nil, true, nil
	case "containsKey/1":
		_, ok := m.Get(args[0])
		return ok, true, nil
	case "containsValue/1":
		i, err := e.position(m.list(), args[0])
		return i >= 0, true, err
	case "keySet/0":
		return &List{items: append([]any(nil), m.keys...)}, true, nil
	case "values/0":
		return &List{items: m.list()}, true, nil
	case "entrySet/0":
		l := &List{}
		for i, k := range m.keys {
			l.items = append(l.items, entry{k, m.values[i]})
		}
		return l, true, nil
	}
	return nil, false, nil
}

// clip shortens a text for an error.
func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
