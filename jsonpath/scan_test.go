package jsonpath

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// notFound and notJSON stand for outcomes without a value in tables.
const (
	notFound = "<not found>"
	notJSON  = "<not JSON>"
)

// pick runs Pick and returns its outcome as one string.
func pick(t *testing.T, path, body string) string {
	t.Helper()
	p, err := Parse(path)
	if err != nil {
		t.Fatalf("Parse(%q): %v", path, err)
	}
	out, found, err := p.Pick([]byte("dst:"), []byte(body))
	value, ok := strings.CutPrefix(string(out), "dst:")
	switch {
	case !ok:
		t.Fatalf("Pick(%q, %q) lost what was in dst: %q", path, body, out)
	case err != nil && (found || value != ""):
		t.Fatalf("Pick(%q, %q) has a value and an error", path, body)
	case errors.Is(err, ErrNotJSON):
		return notJSON
	case err != nil:
		t.Fatalf("Pick(%q, %q): %v is not ErrNotJSON", path, body, err)
	case !found && value != "":
		t.Fatalf("Pick(%q, %q) appended %q though nothing is found", path, body, value)
	case !found:
		return notFound
	}
	return value
}

func TestPick(t *testing.T) {
	for _, c := range []struct{ path, body, want string }{
		{".action", `{"service":"chat","action":"join"}`, "join"},
		{".service.do", `{"service":{"do":"x"}}`, "x"},
		{".a", `{"b":1}`, notFound},
		{".a.b", `{"a":"text"}`, notFound},
		{".a.b", `{"a":null}`, notFound},
		{".a.b", `{"a":[{"b":1}]}`, notFound},
		{"['a.b']", `{"a.b":7}`, "7"},
		{"['']", `{"":1}`, "1"},
		{".0", `{"0":5}`, "5"},
		{".é", `{"é":1}`, "1"},
		{".é", `{"\u00e9":1}`, "1"},
		{".a", `{"\u0061":1}`, "1"},
		{".a", `{"a":1,"a":2}`, "2"},
		{".a.b", `{"a":{"b":1},"a":{"c":2}}`, notFound},
		{".a.b", `{"a":{"b":1,"b":{"x":2}},"c":3}`, "{x=2}"},
		{".a[0]", `{"a":["x","y"]}`, "x"},
		{".a[1]", `{"a":["x","y"]}`, "y"},
		{".a[2]", `{"a":["x","y"]}`, notFound},
		{".a[-1]", `{"a":["x","y"]}`, "y"},
		{".a[-3]", `{"a":["x","y"]}`, notFound},
		{".a[-1].b[0]", `{"a":[0,{"b":["z"]}]}`, "z"},
		{".a[0]", `{"a":{"0":5}}`, notFound},
		{".a[0]", `{"a":"text"}`, notFound},
		{".a[-1]", `{"a":"text"}`, notFound},
		{"[0].a", `[{"a":1},{"a":2}]`, "1"},
		{"[*].a", `[{"a":1},{"a":2},{"b":3}]`, "[1, 2]"},
		{".a[*].b", `{"a":[{"b":"x"},{"b":null}]}`, "[x, null]"},
		{".*", `{"a":1,"b":"x"}`, "[1, x]"},
		{".a[*]", `{"b":1}`, "[]"},
		{".a[*]", `{"a":"text"}`, "[]"},
		{".a[*]", `{"a":[1],"a":2}`, "[]"},

		// How values become text.
		{".a", `{"a":1}`, "1"},
		{".a", `{"a":-1.50e+3}`, "-1.50e+3"},
		{".a", `{"a":12345678901234567890}`, "12345678901234567890"},
		{".a", `{"a":true}`, "true"},
		{".a", `{"a":false}`, "false"},
		{".a", `{"a":null}`, ""},
		{".a", `{"a":""}`, ""},
		{".a", `{"a":"null"}`, "null"},
		{".a", `{"a":"q\" b\\ s\/ \b\f\n\r\t \u00e9 \ud83d\ude00"}`, "q\" b\\ s/ \b\f\n\r\t é 😀"},
		{".a", `{"a":"\ud83d \ud83dx \ud83d\u0041 \ude00"}`, "\uFFFD \uFFFDx \uFFFDA \uFFFD"},
		{".a", "{\"a\":\"\xff\"}", "\uFFFD"},
		{".a", `{"a":["x","y"]}`, "[x, y]"},
		{".a", `{"a":[]}`, "[]"},
		{".a", `{"a":{"k":1}}`, "{k=1}"},
		{".a", `{"a":{}}`, "{}"},
		{".a", `{"a":["x",null,1.50,{"k":[1,"z"]},[2,"y"]]}`, "[x, null, 1.50, {k=[1, z]}, [2, y]]"},
		{".a", `{"a":{"k":1,"l":null,"k":2}}`, "{k=2, l=null}"},
		{"", `{"a":1}`, "{a=1}"},
		{"", `"hello"`, "hello"},
		{"", ` 42 `, "42"},
		{"", `null`, ""},

		// A document that is no container has no members.
		{".a", `"hello"`, notFound},
		{".a", `42`, notFound},
		{".a", `null`, notFound},
		{".a", `hello`, notJSON},
		{".a", `hello {"a":1}`, notJSON},
		{".a", `42 x`, notJSON},
		{".a", `NaN`, notJSON},
		{".a", ``, notJSON},
		{".a", " \n", notJSON},
		{".a", "\x01{\"a\":1}", notJSON},
		{".a", "\uFEFF{\"a\":1}", notJSON},
	} {
		if got := pick(t, c.path, c.body); got != c.want {
			t.Errorf("Pick(%q, %q) = %q, want %q", c.path, c.body, got, c.want)
		}
	}
}

// TestPickLenient has texts that no strict parser takes. What is expected is
// what Jayway JsonPath 2.0 on json-smart 2.2 answered, but for text after the
// document, which it ignores and we refuse.
func TestPickLenient(t *testing.T) {
	for _, c := range []struct{ path, body, want string }{
		{".action", `{"action":"sendMessage", body:"hello"}`, "sendMessage"},
		{".a", `{a:b c , d:1}`, "b c"},
		{".a", `{'a':'x"y'}`, `x"y`},
		{".a", `{"a":"x'y"}`, `x'y`},
		{".a", `{"a":"x\qy"}`, "xy"},
		{".a", `{"a":"x\éy"}`, "xy"},
		{".a", `{"a":"x\x41\xe9y"}`, "xAéy"},
		{".a", `{"a":"x\'y"}`, "x'y"},
		{".a", `{"a":1,}`, "1"},
		{".a", `{,"a":1}`, "1"},
		{".a", `{"a":1,,"b":2}`, "1"},
		{".a", `{"a":}`, notJSON},
		{".a", `{"a":,"b":1}`, ""},
		{".a", `{"a":1}garbage`, notJSON},
		{".a", `{"a":1} {"b":2}`, notJSON},
		{".a", `{"a":1}}`, notJSON},
		{".a", "{\"a\":1}\x00\n", "1"},
		{".a", `{"a":1`, notJSON},
		{".a", `{"a"`, notJSON},
		{".a", `{"a":`, notJSON},
		{".a", `{`, notJSON},
		{".a", `{"a":"x`, notJSON},
		{".a", `{"a":"x\`, notJSON},
		{".a", `{"a":"x\"`, notJSON},
		{".a", `{"a":"x\"}`, notJSON},
		{".a", `{"a":[1,2,]}`, "[1, 2]"},
		{".a", `{"a":[,1]}`, "[1]"},
		{".a", `{"a":["x" "y"]}`, "[x, y]"},
		{".a[1]", `{"a":["x" "y"]}`, "y"},
		{".a", `{"a":[1 2]}`, "[1 2]"},
		{".a", `{"a":[hello world, 'x y', 1 a]}`, "[hello world, x y, 1 a]"},
		{".a", `{"a":+1}`, "+1"},
		{".a", `{"a":.5}`, ".5"},
		{".a", `{"a":NaN}`, "NaN"},
		{".a", `{"a":nullx}`, "nullx"},
		{".a", `{"a":true x}`, "true x"},
		{".a", `{"a":1.5x}`, "1.5x"},
		{".a", `{"a":1e}`, "1e"},
		{".a", `{"a":1 2}`, "1 2"},
		{".a", `{"a":1 /*c*/}`, "1 /*c*/"},
		{".a", "{\"a\":\"x\ny\"}", "x\ny"},
		{".a", `{"a" 1}`, notJSON},
		{".a", `{"a"b:1}`, notJSON},
		{"['a b']", `{a b:1}`, "1"},
		{`['a"b']`, `{a"b:1}`, "1"},
		{".a", `{"a":"b" "c":1}`, notJSON},
		{".a", `{"a":b"c}`, `b"c`},
		{".a", `{"a":"b"c}`, notJSON},
		{".a", `{"a":{b}}`, notJSON},
		{".a", `{:1}`, notJSON},
		{".a", `{[1]}`, notJSON},
		{".a", `{{}}`, notJSON},
		{".a", `{"a":1]`, notJSON},
		{".a", `{"a":[1}}`, notJSON},
		{".a", `{"a":[:1]}`, notJSON},
		{".a", `{"a":[}]}`, notJSON},
		{".a", `{"a":{"b":1]}`, notJSON},
		{".a", `{"a":"\uZZZZ"}`, notJSON},
		{".b", `{"a":"\uZZZZ","b":1}`, notJSON},
		{".b", `{"a":"\u12`, notJSON},
		{"", `'hello'`, "hello"},
	} {
		if got := pick(t, c.path, c.body); got != c.want {
			t.Errorf("Pick(%q, %q) = %q, want %q", c.path, c.body, got, c.want)
		}
	}
}

func TestPickBounds(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if got := pick(t, ".a", nested(MaxDepth)); got != notFound {
		t.Errorf("%d levels: %s", MaxDepth, got)
	}
	if got := pick(t, ".a", nested(MaxDepth+1)); got != notJSON {
		t.Errorf("%d levels: %s", MaxDepth+1, got)
	}
	if got := pick(t, "", nested(MaxDepth+1)); got != notJSON {
		t.Errorf("%d levels as a tree: %s", MaxDepth+1, got)
	}
	if got := pick(t, ".a", strings.Repeat(`{"a":`, 200_000)); got != notJSON {
		t.Errorf("200,000 open objects: %s", got)
	}
	siblings := "[" + strings.Repeat("[],{},", 1000) + "]"
	if got := pick(t, "[3]", siblings); got != "{}" {
		t.Errorf("siblings count as depth: %s", got)
	}
	if got := pick(t, ".a", `"`+strings.Repeat("x", MaxText)+`"`); got != notJSON {
		t.Errorf("a text over MaxText: %s", got)
	}
}

// TestPickManyMembers passes the point at which an object's names are indexed.
func TestPickManyMembers(t *testing.T) {
	var body, want strings.Builder
	body.WriteString(`{"a":{`)
	want.WriteString("{")
	for i := range 3 * fewMembers {
		fmt.Fprintf(&body, `"k%d":0,"k%[1]d":%[1]d,`, i)
		if i > 0 {
			want.WriteString(", ")
		}
		fmt.Fprintf(&want, "k%d=%[1]d", i)
	}
	body.WriteString(`}}`)
	want.WriteString("}")
	if got := pick(t, ".a", body.String()); got != want.String() {
		t.Errorf("got %s, want %s", got, want.String())
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	p, err := Parse(".action")
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 0, 64)
	body := []byte(`{"data":{"text":"hello \"you\"","n":[1,2,{"x":null}]},"action":"sendmessage"}`)
	if n := testing.AllocsPerRun(100, func() {
		if out, found, err := p.Pick(dst, body); err != nil || !found || string(out) != "sendmessage" {
			t.Fatal(string(out), found, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzPick checks that no text makes Pick panic or change dst, and that what
// encoding/json takes is taken with equal values.
func FuzzPick(f *testing.F) {
	for _, path := range []string{"", ".a", ".a.b", "[0]", "[-1]", ".a[*].b", ".*", "['a b']"} {
		for _, body := range []string{
			`{"a":{"b":1,"b":[2]},"a b":"x"}`, `[1,"x",{"a":null},[]]`, `{"a":[{"b":"\ud83d\ude00"},{"b":"\ud83d"}]}`,
			`{a:b c,'d':"e\x41",}`, `"x"`, `-1.5e3`, "{\"\xff\":\"\xff\"}", `{"a":1}x`, `{"a":"\\"}`,
		} {
			f.Add(path, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		p, err := Parse(path)
		if err != nil {
			return
		}
		got := pick(t, path, string(body))
		if got != notJSON && got != notFound && !utf8.ValidString(got) {
			t.Fatalf("Pick(%q, %q) = %q is not UTF-8", path, body, got)
		}
		want, ok := reference(p, body)
		if ok && got != want {
			t.Fatalf("Pick(%q, %q) = %q, want %q", path, body, got, want)
		}
	})
}

// reference answers as pick does, by way of encoding/json. ok is false for what
// that doesn't take or what is too deep.
func reference(p Path, body []byte) (outcome string, ok bool) {
	if !json.Valid(body) {
		return "", false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	root, depth := decode(d)
	if depth > MaxDepth {
		return "", false
	}
	values := []any{root}
	for _, s := range p.steps {
		var next []any
		for _, v := range values {
			next = append(next, walk(v, s)...)
		}
		values = next
	}
	var texts []string
	for _, v := range values {
		text := java(v)
		if v == nil && !p.indefinite {
			text = ""
		}
		texts = append(texts, text)
	}
	switch {
	case p.indefinite:
		return "[" + strings.Join(texts, ", ") + "]", true
	case len(texts) == 0:
		return notFound, true
	}
	return texts[0], true
}

// An object keeps its members' order, as encoding/json's maps don't.
type object struct {
	names  []string
	values map[string]any
}

func decode(d *json.Decoder) (v any, depth int) {
	token, err := d.Token()
	if err != nil {
		panic(err) // unreachable: the text is valid
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			item, n := decode(d)
			list = append(list, item)
			depth = max(depth, n)
		}
		d.Token()
		return list, depth + 1
	case json.Delim('{'):
		o := object{values: map[string]any{}}
		for d.More() {
			key, _ := d.Token()
			name := key.(string)
			if _, known := o.values[name]; !known {
				o.names = append(o.names, name)
			}
			var n int
			o.values[name], n = decode(d)
			depth = max(depth, n)
		}
		d.Token()
		return o, depth + 1
	}
	return token, 0
}

func walk(v any, s step) (parts []any) {
	switch v := v.(type) {
	case object:
		for _, name := range v.names {
			if s.kind == stepWildcard || s.kind == stepMember && s.name == name {
				parts = append(parts, v.values[name])
			}
		}
	case []any:
		for i, item := range v {
			if s.kind == stepWildcard || s.kind == stepIndex && (s.index == i || s.index == i-len(v)) {
				parts = append(parts, item)
			}
		}
	}
	return parts
}

func java(v any) string {
	var parts []string
	switch v := v.(type) {
	case nil:
		return "null"
	case object:
		for _, name := range v.names {
			parts = append(parts, name+"="+java(v.values[name]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		for _, item := range v {
			parts = append(parts, java(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(v)
}

func BenchmarkPick(b *testing.B) {
	long := `{"action":"sendmessage","data":"` + strings.Repeat("lorem ipsum ", 2500) + `"}`
	for _, c := range []struct{ name, path, body string }{
		{"short", ".action", `{"action":"sendmessage","data":"hello"}`},
		{"nested", ".a.b[1].c", `{"x":[1,2,{"y":"z"}],"a":{"b":[0,{"c":"join"}]},"n":null}`},
		{"30KiB", ".action", long},
		{"lenient", ".action", `{action:sendmessage, data:'hello',}`},
		{"object", ".a", `{"a":{"k":1,"l":[1,2,3]}}`},
		{"notJSON", ".action", `hello world`},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, err := Parse(c.path)
			if err != nil {
				b.Fatal(err)
			}
			body, dst := []byte(c.body), make([]byte, 0, 256)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				p.Pick(dst, body)
			}
		})
	}
}
