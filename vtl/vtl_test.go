package vtl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestConstant(t *testing.T) {
	for text, want := range map[string]string{"": "", `{"statusCode": 200}`: `{"statusCode": 200}`, "a## b": "a", "$a": "-", "#set($a = 1)": "-", "#[[$a]]#": "$a"} {
		template, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := template.Constant()
		if !ok {
			got = "-"
		}
		if got != want || template.String() != text {
			t.Errorf("%q: %q, want %q; prints %q", text, got, want, template)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a\n #if($x)":                  "line 2, column 2: #if isn't closed by #end",
		"#end":                         "line 1, column 1: #end stands where nothing is open",
		"#foreach($x in $l)#else#end":  "line 1, column 19: #else stands within #foreach, which has none",
		"#set($x = )":                  `line 1, column 11: ")" stands where a value is expected`,
		"#set(x = 1)":                  "line 1, column 6: #set needs a reference to set, such as #set($x = 1)",
		"${a":                          "line 1, column 1: the reference ${a isn't closed by }",
		"$a.b($c + 1)":                 `line 1, column 9: "+" stands where a comma or the ) of b is expected; calculate with #set first`,
		"$a.b('x)":                     "line 1, column 6: the string isn't closed by '",
		"#parse('x')":                  "line 1, column 1: #parse: there are no files to include",
		"\n#* x":                       "line 2, column 1: the comment #* isn't closed by *#",
		"$a[x]":                        `line 1, column 4: "x]" stands where a value is expected`,
		`#set($a = "x ${b")`:           "line 1, column 14: the reference ${b isn't closed by }",
		strings.Repeat("#if($a)", 100): "line 1, column 439: directives and expressions lie more than 64 deep within each other",
	} {
		_, err := Parse(text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("%.40q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// A taker is an Object that prints what it is given.
type taker struct{}

func (taker) Get(string) (any, bool) { return nil, false }
func (taker) String() string         { return "taker" }
func (taker) Call(name string, arguments []any) (any, bool, error) {
	text := Print(arguments[0])
	if name == "grow" {
		text += text
	}
	return text, true, nil
}

// TestLimits holds that no template takes more than its share.
func TestLimits(t *testing.T) {
	long := "#set($l = [0..999])"
	twice := "#set($l = [])#foreach($i in [1..90])#set($l = [$l, $l])#end"
	for _, text := range []string{
		"#set($s = 'x')#foreach($i in [1..60])#set($s = $s + $s)#end",
		"#set($s = 'xxxxxxxxxx')#foreach($i in [1..60])#set($s = $s.replaceAll('x', 'xxxxxxxxxx'))#end",
		"#set($s = 'xxxxxxxxxx')#foreach($i in [1..60])#set($s = $s.replace('x', 'xxxxxxxxxx'))#end",
		"#set($s = 'xx')#set($s = $s.repeat(9000000000000000000))",
		"#set($n = 2)#foreach($i in [1..999])#set($n = $n * $n)#end",
		"#macro(m)#m()#end#m()",
		"#define($d)$d#end$d",
		"#set($e = '#evaluate($e)')#evaluate($e)",
		"#macro(m $p)#m($p)#end#m($x)",
		"#set($l = [])#set($x = $l.add($l))$l",
		"#set($m = {})#set($m.m = $m)$m",
		"#set($l = [])#set($m = {'l': $l})#set($x = $l.addAll($m.entrySet()))$l",
		"#set($m = {'l': $json})#set($x = $json.addAll($m.entrySet()))$json",
		"#set($m = {})#set($x = $json.add($m))#set($m[$json] = 1)$json",
		twice + "#set($m = {})#set($m[$l] = 1)",
		twice + "#set($m = {$l: 1})",
		twice + "#set($m = {})#set($x = $m.get($l))",
		twice + "#set($m = {})#set($x = $m[$l])",
		twice + "#set($x = $object.take($l))",
		twice + "#if($l == 'x')#end",
		"#set($s = 'x')#foreach($i in [1..999])#set($s = $object.grow($s))#end",
		"#set($l = [1..1000000])",
		"#set($l = [-9000000000000000000..9000000000000000000])",
		"#set($l = [1])#foreach($i in [1..60])#set($x = $l.addAll($l))#end",
		long + "#foreach($a in $l)#foreach($b in $l)#foreach($c in $l)#end#end#end",
		long + "#foreach($a in $l)#foreach($b in $l)xxxxxxxxxxxxxxxxxxxxxxxxx#end#end",
	} {
		template, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		json := NewJSONList()
		out, err := template.Append([]byte("kept"), func(name string) (any, bool) {
			if name == "json" {
				return json, true
			}
			return taker{}, name == "object"
		}, Limits{})
		if !errors.Is(err, ErrLimit) || string(out) != "kept" {
			t.Errorf("%q: %d bytes, %v", text, len(out), err)
		}
	}
	// A loop ends at its bound, as Velocity's directive.foreach.maxloops says.
	out, err := run("#foreach($i in [1..2000])x#end", nil)
	if err != nil || len(out) != 1000 {
		t.Errorf("%d iterations, %v", len(out), err)
	}
}

// TestMethodErrors holds that exceptions end the evaluation.
func TestMethodErrors(t *testing.T) {
	for _, text := range []string{"$s.substring(9)", "$s.charAt(5)", "$l.get(9)", "$l[9]", "$n.parseInt('x')", "$s.replaceAll('(?=x)', 'y')", "$s.replaceAll('a', '$3')", "$l.iterator().next().x"} {
		scope := func(name string) (any, bool) {
			v, ok := map[string]any{"s": "abc", "l": NewList(), "n": 1}[name]
			return v, ok
		}
		if out, err := run(text, scope); err == nil || errors.Is(err, ErrLimit) {
			t.Errorf("%s: %q, %v", text, out, err)
		}
	}
}

// TestEvaluationErrorsSayWhere wants line and column of what can't be evaluated:
// of the innermost reference, in strings, macros and loops too.
func TestEvaluationErrorsSayWhere(t *testing.T) {
	scope := func(name string) (any, bool) {
		v, ok := map[string]any{"s": "abc", "l": NewList(int64(1))}[name]
		return v, ok
	}
	for text, want := range map[string]string{
		"$s.charAt(5)":                           "line 1, column 1: $s.charAt(5): ",
		"a\n  b $!{s.charAt(5)}":                 "line 2, column 5: $!{s.charAt(5)}: ",
		"\n#set($x = \"é\n$s.charAt(5)\")":       "line 3, column 1: $s.charAt(5): ",
		"$s.concat($s.charAt(5))":                "line 1, column 11: $s.charAt(5): ",
		"#set($l[4] = 1)":                        "line 1, column 6: $l[4]: no item 4 in a list of 1",
		"#macro(m $p)\n$p#end\n#m($s.charAt(5))": "line 3, column 4: $s.charAt(5): ",
		"#if($s == '')#elseif($l.get(9))#end":    "line 1, column 22: $l.get(9): ",
		"\n #evaluate('$s.charAt(5)')":           "line 2, column 2: $s.charAt(5): ",
		"\n#evaluate('#if(')":                    "line 2, column 1: #evaluate: line 1, column 5: ",
		"\n#evaluate($l)":                        "line 2, column 1: #evaluate takes a string, ",
		"x\n #foreach($i in [1..200000])#end":    "line 2, column 2: the template exceeds a limit: a range ",
		"\n#macro(r)#r()#end#r()":                "line 2, column 10: the template exceeds a limit: macros, ",
	} {
		out, err := run(text, scope)
		var e *EvaluationError
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %q, %v, want %s", text, out, err, want)
		}
	}
}

func TestJSONLists(t *testing.T) {
	inner := NewMap()
	inner.Put("id", int64(1))
	inner.Put("url", "a/b\n\u2028")
	outer := NewMap()
	outer.Put("items", NewJSONList(inner, nil, true, 1.5))
	scope := func(string) (any, bool) { return outer, true }
	got, err := run("$x $x.items[0].id $x.items.size()", scope)
	if want := `{items=[{"id":1,"url":"a\/b\n\u2028"},null,true,1.5]} 1 4`; err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

// A silentMap prints nothing for what it lacks.
type silentMap struct{ of *Map }

func (silentMap) Silent()                       {}
func (s silentMap) Get(name string) (any, bool) { return s.of.Get(name) }
func (s silentMap) Map() *Map                   { return s.of }

func TestSilent(t *testing.T) {
	m := NewMap()
	m.Put("k", "v")
	scope := func(name string) (any, bool) {
		switch name {
		case "quiet":
			return silentMap{m}, true
		case "loud":
			return m, true
		}
		return nil, false
	}
	got, err := run("$quiet.k <$quiet.x.y> $loud.k <$loud.x>#set($quiet = {})[$quiet.x]", scope)
	if want := "v <> v <$loud.x>[$quiet.x]"; err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, text := range []string{"#set($a = 1)$a", "#if($a == 'x')b#else c#end", "#foreach($x in [1..3])$x#end", "#macro(m $p)$p#end#m('x')", "$!{a.b('c', [1], {'k': 2})[0]}", "\\$a \\\\#if(true)#end", "#evaluate('$x')#define($y)z#end$y"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		template, err := Parse(text)
		if err != nil {
			return
		}
		scope := func(name string) (any, bool) {
			switch name {
			case "s":
				return "a,b", true
			case "l":
				return NewJSONList("a", int64(2), NewMap()), true
			}
			return nil, false
		}
		out, err := template.Append(nil, scope, Limits{Output: 1 << 16, Steps: 10_000})
		if len(out) > 1<<16 || err != nil && len(out) > 0 {
			t.Errorf("%d bytes, %v", len(out), err)
		}
	})
}

func BenchmarkTemplate(b *testing.B) {
	text := `#set($body = $input)
{ "TableName": "messages",
  "Item": { "id": { "S": "$body.id" }, "n": { "N": "${body.count}" }
  #foreach($tag in $body.tags), "$tag": { "S": "x" }#end
  #if($body.text.length() > 3), "text": { "S": "$body.text.replaceAll('"', '\\"')" }#end } }`
	template, err := Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	body := NewMap()
	body.Put("id", "abc")
	body.Put("count", int64(3))
	body.Put("text", "hello")
	body.Put("tags", NewJSONList("a", "b"))
	scope := func(string) (any, bool) { return body, true }
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		if out, err = template.Append(out[:0], scope, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// A map keeps the order of its keys and finds them, be they few or many, also
// after some were removed.
func TestMap(t *testing.T) {
	for _, n := range []int{3, 8, 9, 40} {
		m := NewMap()
		var want []string
		for i := range n {
			m.Put(int64(i), i)
			m.Put(fmt.Sprint(i), i) // a string is another key
		}
		m.Put("0", "again")
		for i := 1; i < n; i += 2 {
			if got := m.remove(fmt.Sprint(i)); got != i {
				t.Errorf("%d entries: removing %q gave %v", 2*n, fmt.Sprint(i), got)
			}
		}
		for i := range n {
			want = append(want, fmt.Sprintf("%d=%d", i, i))
			text := fmt.Sprint(i)
			got, ok := m.Get(text)
			switch {
			case i%2 == 1 && ok, i%2 == 0 && !ok:
				t.Errorf("%d entries: %q is there: %v", 2*n, text, ok)
			case i == 0:
				want = append(want, "0=again")
			case ok:
				want = append(want, text+"="+text)
				if got != i {
					t.Errorf("%d entries: %q is %v", 2*n, text, got)
				}
			}
		}
		if got, want := Print(m), "{"+strings.Join(want, ", ")+"}"; got != want || m.Len() != len(m.Keys()) {
			t.Errorf("%d entries: %s, want %s", 2*n, got, want)
		}
		if m.remove("none") != nil {
			t.Error("what isn't there was removed")
		}
	}
}
