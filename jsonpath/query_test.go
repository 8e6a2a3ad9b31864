package jsonpath

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestQueryGoldens compares with what Jayway JsonPath 2.0 made of the same
// paths, but for what later versions have (negative indexes, functions, lists
// in filters).
func TestQueryGoldens(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "jayway.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Document json.RawMessage
		Cases    []struct{ Path, Out string } // Out is JSON, "missing" or "fails"
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	root, err := Read(file.Document)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Cases {
		if got := selected(c.Path, &root); got != c.Out {
			t.Errorf("%s:\n got %s\nwant %s", c.Path, got, c.Out)
		}
	}
}

func selected(path string, root *Value) string {
	q, err := ParseQuery(path)
	if err != nil {
		return "fails"
	}
	found, err := q.Select(root)
	switch {
	case err != nil:
		return "fails"
	case q.Definite() && len(found) == 0:
		if one, err := q.Find(root); err != nil || one != nil {
			return fmt.Sprintf("Find finds %v, %v", one, err)
		}
		return "missing"
	case q.Definite():
		got := string(found[0].AppendJSON(nil))
		if one, err := q.Find(root); err != nil || one == nil || string(one.AppendJSON(nil)) != got {
			return fmt.Sprintf("Find differs from Select's %s: %v, %v", got, one, err)
		}
		return got
	}
	list := Value{Kind: Array}
	for _, v := range found {
		list.Items = append(list.Items, *v)
	}
	return string(list.AppendJSON(nil))
}

func TestQueryFunctions(t *testing.T) {
	root, err := Read([]byte(`{a: [3, 1, 2], s: "häll", o: {x: 1, y: 2}, e: []}`))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"$.a.length()": "3", "$.a.min()": "1", "$.a.max()": "3", "$.a.sum()": "6", "$.a.avg()": "2", "$.s.length()": "4",
		"$.o.keys()": `["x","y"]`, "$.o.length()": "2", "$.a[*].length()": "3", "$.x.length()": "missing", "$.e.min()": "fails", "$.a.none()": "fails", "$.a.length().x": "fails",
		"$.a[-1]": "2", "$.a[?(@ in [1, 2])]": "[1,2]", "$.a[?(@ nin [1, 2])]": "[3]", "$[?(@.a contains 3)].s": `["häll"]`, "$[?(@.a size 3)].s": `["häll"]`, "$[?(@.e empty true)].s": `["häll"]`,
	} {
		if got := selected(path, &root); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestReadIsLenient(t *testing.T) {
	for text, want := range map[string]string{
		`{action: send, 'n': 012, "u": "\u00e9\/\u2028", }`: `{"action":"send","n":"012","u":"é/\u2028"}`,
		`[1 2,,true null nil "x"]`:                          `["1 2","true null nil \"x\""]`,
		` 5 `:                                               `5`,
		`"x"`:                                               `"x"`,
		`{"a":1,"b":2,"a":3}`:                               `{"a":3,"b":2}`,
	} {
		v, err := Read([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string(v.AppendJSON(nil)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "hello", `{"a":}`, `{"a":1} x`, "{"} {
		if v, err := Read([]byte(text)); err == nil {
			t.Errorf("%q is %s", text, v.AppendJSON(nil))
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, path := range []string{"$.a[?(@.b > 1 && !@.c)]", "$..a[1:2]['x','y']", "$.a.length()", "$[?(@.a =~ /x.*/i)]", "$[?(@.a in [1, 'b'])]"} {
		f.Add(path, `{"a":[{"b":2},{"c":"x"}]}`)
	}
	f.Fuzz(func(t *testing.T, path, text string) {
		root, err := Read([]byte(text))
		if err != nil {
			return
		}
		q, err := ParseQuery(path)
		if err != nil {
			return
		}
		if found, err := q.Select(&root); err == nil && q.Definite() && len(found) > 1 {
			t.Errorf("%s is definite and leads to %d values", path, len(found))
		}
	})
}
