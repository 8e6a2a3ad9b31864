package lint

import (
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestParseRules(t *testing.T) {
	r, err := ParseRules(`
# a comment; with < signs
NONE < a, b
< c; # behind a rule
c < d, e;
b !< f; NONE < f < g;
d !< e;`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"c", "a", true}, {"c", "b", true}, {"d", "c", true}, {"d", "a", true},
		{"g", "f", true}, {"a", "b", false}, {"a", "c", false}, {"d", "e", false},
		{"f", "b", false}, {"a", "a", false}, {"unknown", "a", false},
	} {
		if got := r.Allows(c.from, c.to); got != c.want {
			t.Errorf("may %s import %s: %t, want %t", c.from, c.to, got, c.want)
		}
	}
	if !r.Names("a") || !r.Names("g") || r.Names("NONE") || r.Names("unknown") {
		t.Error("Names is wrong about a, g, NONE or unknown")
	}
}

func TestParseRulesErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no semicolon", "NONE < a", "line 1: the statement that begins here has no ';'"},
		{"no operator", "a, b;", "line 1: the statement has no '<'"},
		{"two names", "NONE < a b;", `line 1: ',', '<', '!<' or ';' is missing before "b"`},
		{"no name", "NONE < a,\n< b;", `line 2: a package's name is missing before "<"`},
		{"empty end", "NONE < ;", `a package's name is missing before ";"`},
		{"undeclared", "a < b;", "a stands left of '<' but never right"},
		{"none on the right", "NONE < a < NONE;", "NONE stands right"},
		{"circle", "NONE < a < b < c; c < a;", "circle"},
		{"wall broken", "NONE < a < b < c;\na !< c;", "line 2: the wall a !< c is broken"},
		{"wall of nothing", "NONE < a; b !< a;", "the wall names b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ParseRules(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one with %q", err, c.want)
			}
		})
	}
}

// tree is a module that breaks every rule once or more.
var tree = fstest.MapFS{
	"go.mod": {Data: []byte("module house\n\ngo 1.26\n")},
	"a/a.go": {Data: []byte(`// Package a is fine.
package a

import _ "third.example/party/sub"

// Fine has a comment.
type Fine struct{}

// A group's comment counts for values.
const (
	One = 1
	two = 2
)

var Three = 3 // behind the name

type thing struct{}

func (thing) Exported() {}
`)},
	"a/other_windows.go": {Data: []byte("package a\n\nimport _ \"house/b\"\n")},
	"a/a_test.go":        {Data: []byte("package a\n\nimport (\n\t_ \"house/b\"\n\t_ \"fourth.example/x\"\n)\n")},
	"a/gen.go":           {Data: []byte("//go:build ignore\n\npackage main\n\nfunc init() {}\n")},
	"b/b.go": {Data: []byte(`package b

import (
	_ "house/a"
	_ "third.example/party"
	_ "fifth.example/y"
	_ "strings"
)

type Bare struct{}

func (b *Bare) Method() {}

func Func() {}

var V, w = 1, 2

type (
	Grouped int
)

func init() {}

func (Bare) init() {}
`)},
	"c/util/u.go":         {Data: []byte("// Package util is badly named.\npackage util\n")},
	"d/d.go":              {Data: []byte("// Package e is elsewhere.\npackage e\n")},
	"testdata/x.go":       {Data: []byte("package x\nfunc init() {}\n")},
	"node_modules/y/y.go": {Data: []byte("package y\nfunc init() {}\n")},
	"nested/go.mod":       {Data: []byte("module other\n")},
	"nested/n.go":         {Data: []byte("package n\nfunc init() {}\n")},
	"doc.md":              {Data: []byte("one\nsee SECRET here\nSECRET\n")},
	"image.png":           {Data: []byte("\x00SECRET")},
}

var secret = regexp.MustCompile("SECRET")

func texts(found []Finding) []string {
	var out []string
	for _, f := range found {
		text, _, _ := strings.Cut(f.String(), ";")
		out = append(out, text)
	}
	return out
}

// The checks must find what is wrong, and nothing else.
func TestChecks(t *testing.T) {
	m, err := Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := ParseRules("NONE < a < b, d;")
	if err != nil {
		t.Fatal(err)
	}
	found, err := CheckWords(tree, []Word{{Pattern: words[0].Pattern, Advice: "no"}, {Pattern: secret, Advice: "keep it"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		found []Finding
		want  []string
	}{
		{"imports", CheckImports(m, rules), []string{
			"a/other_windows.go:3: internal/lint/deps.rules doesn't let a import b",
			"c/util/u.go:2: internal/lint/deps.rules doesn't name c/util",
		}},
		{"third party", CheckThirdParty(m, []Wall{{Module: "third.example/party", Packages: []string{"a"}}}), []string{
			"b/b.go:5: third.example/party may be imported only by a",
			"b/b.go:6: fifth.example/y is a dependency that no wall in internal/lint names",
		}},
		{"comments", CheckComments(m), []string{
			"b/b.go:1: package b has no package comment",
			"b/b.go:10: Bare has no doc comment",
			"b/b.go:12: Method has no doc comment",
			"b/b.go:14: Func has no doc comment",
			"b/b.go:16: V has no doc comment",
			"b/b.go:19: Grouped has no doc comment",
		}},
		{"init", CheckInit(m), []string{"b/b.go:22: func init runs unseen"}},
		{"names", CheckNames(m), []string{
			`c/util/u.go:2: a package called "util" gathers what doesn't belong together`,
			"d/d.go:2: package e lies in the folder d",
		}},
		{"words", found, []string{"doc.md:2: SECRET: keep it", "doc.md:3: SECRET: keep it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, texts(c.found)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWordPatterns(t *testing.T) {
	machine, host := words[0].Pattern, words[1].Pattern
	slash := "/"
	for _, c := range []struct {
		text string
		want bool
	}{
		{slash + "work/main/x", true},
		{"see " + slash + "farm/y", true},
		{`"` + slash + "tmp/bash_jobs.0/1", true},
		{"~" + slash + "work/chat", false},
		{"net" + slash + "work/x", false},
		{"home" + slash + "work/x", false},
	} {
		if got := machine.MatchString(c.text); got != c.want {
			t.Errorf("a machine's path in %q: %t, want %t", c.text, got, c.want)
		}
	}
	for _, h := range []string{"https://registry.npm" + "js.org/ws", "py" + "pi.org"} {
		if !host.MatchString(h) {
			t.Errorf("%q is not seen as a registry's host", h)
		}
	}
	if host.MatchString("docs.aws.amazon.com pkg.go.dev") {
		t.Error("a page of documents is taken for a registry")
	}
}
