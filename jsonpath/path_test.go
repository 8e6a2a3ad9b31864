package jsonpath

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, printed string }{
		{"", ""},
		{".a", ".a"},
		{".a.b.c", ".a.b.c"},
		{"['a']", ".a"},
		{`["a"]`, ".a"},
		{"[ 'a' ]", ".a"},
		{".a['b c'].d", ".a['b c'].d"},
		{`['it\'s']`, `['it\'s']`},
		{`["it's"]`, `['it\'s']`},
		{`['a\\b']`, `['a\\b']`},
		{"['a.b']", "['a.b']"},
		{"['']", "['']"},
		{"['*']", "['*']"},
		{".a[0]", ".a[0]"},
		{".a[ 01 ]", ".a[1]"},
		{".a[-1].b", ".a[-1].b"},
		{".a[*].b", ".a[*].b"},
		{".*", "[*]"},
		{".a-b", ".a-b"},
		{".0", ".0"},
		{".$a", "['$a']"},
		{".a:b", "['a:b']"},
		{".é", "['é']"},
		{".a*", "['a*']"},
	} {
		p, err := Parse(c.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.text, err)
			continue
		}
		if got := p.String(); got != c.printed {
			t.Errorf("Parse(%q).String() = %q, want %q", c.text, got, c.printed)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"a":                           `"." or "["`,
		" .a":                         `"." or "["`,
		".":                           "name is missing",
		".a.":                         "name is missing",
		".[0]":                        "name is missing",
		"..a":                         "deep scans",
		".a..b":                       "deep scans",
		".a b":                        "' ' can't be in a name",
		".a]":                         "']' can't be in a name",
		".a\n":                        `'\n' can't be in a name`,
		".a[":                         "not closed",
		".a[ ":                        "not closed",
		".a[0":                        "not closed",
		".a['b'":                      "not closed",
		".a['b":                       "quoted name is not closed",
		".a['b'x]":                    "not closed",
		".a[]":                        "[] is neither",
		".a[b]":                       "[b] is neither",
		".a[99999999999]":             "neither an index",
		".a['b','c']":                 "several names",
		".a[0,1]":                     "several indexes",
		".a[0:1]":                     "slices",
		".a[?(@.b)]":                  "filters",
		".a[(@.length-1)]":            "filters and scripts",
		".a.length()":                 "functions",
		".\xff":                       "not UTF-8",
		strings.Repeat(".a", MaxPath): "at most 1024",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%.40q) = %v, want an error with %q", text, err, want)
		}
	}
}

// FuzzParse holds Parse and String together: what parses prints as text that
// parses to the same path.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", ".a.b", "['a']", `["it's"][0]`, ".a[-1][*].*", `['\\\'']`, "..a", ".a[?(1)]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		printed := p.String()
		if len(printed) > MaxPath {
			return // escapes have made it longer than what is read
		}
		q, err := Parse(printed)
		if err != nil {
			t.Fatalf("%q prints as %q: %v", text, printed, err)
		}
		if !reflect.DeepEqual(p, q) || q.String() != printed {
			t.Fatalf("%q prints as %q, which is %#v, not %#v", text, printed, q, p)
		}
	})
}
