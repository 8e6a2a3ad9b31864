package vtl

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A golden is a template and what Apache Velocity 1.7 made of it.
type golden struct {
	Template string
	In       bool   // the file's values are in scope
	Out      string // what it printed
	Fails    bool   // it refused the template, or stopped with an exception
	Differs  string // why ours is meant to differ, and then Out is ours
}

func TestGoldens(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "velocity17.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		In    json.RawMessage
		Cases []golden
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Cases {
		var scope Scope
		if c.In {
			scope = scopeOf(t, file.In)
		}
		got, err := run(c.Template, scope)
		switch {
		case c.Fails && err == nil:
			t.Errorf("%q: no error, output %q", c.Template, got)
		case !c.Fails && err != nil:
			t.Errorf("%q: %v, want %q", c.Template, err, c.Out)
		case !c.Fails && got != c.Out:
			t.Errorf("%q:\n got %q\nwant %q", c.Template, got, c.Out)
		}
	}
}

func run(text string, scope Scope) (string, error) {
	template, err := Parse(text)
	if err != nil {
		return "", err
	}
	out, err := template.Append(nil, scope, Limits{})
	return string(out), err
}

// scopeOf reads JSON as Java's own collections.
func scopeOf(t *testing.T, text []byte) Scope {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	m, ok := decode(t, d).(*Map)
	if !ok {
		t.Fatal("the scope is no object")
	}
	return func(name string) (any, bool) { return m.Get(name) }
}

func decode(t *testing.T, d *json.Decoder) any {
	token, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch v := token.(type) {
	case json.Delim:
		m, l := NewMap(), NewList()
		for d.More() {
			if v == '[' {
				l.items = append(l.items, decode(t, d))
				continue
			}
			key := decode(t, d)
			m.Put(key, decode(t, d))
		}
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
		if v == '[' {
			return l
		}
		return m
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, _ := v.Float64()
			return f
		}
		n, _ := v.Int64()
		return n
	}
	return token
}

// TestVectors runs the cases of others' test suites that lie outside the
// repository.
func TestVectors(t *testing.T) {
	dir := os.Getenv("TIDEGATE_VECTORS")
	if dir == "" {
		t.Skip("TIDEGATE_VECTORS names no folder with vectors of others' making")
	}
	text, err := os.ReadFile(filepath.Join(dir, "vtl-cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Template, Expected string
		Context                  json.RawMessage
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if got, err := run(c.Template, scopeOf(t, c.Context)); err != nil || got != c.Expected {
			t.Errorf("%s: %q\n got %q, %v\nwant %q", c.Name, c.Template, got, err, c.Expected)
		}
	}
}
