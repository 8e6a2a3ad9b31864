package observe

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReasonsAreAll wants each constant by which something is refused, dropped or
// ended in Reasons, and no other.
func TestReasonsAreAll(t *testing.T) {
	good := []string{"done", "queued"}
	declared := map[string]bool{}
	for file, most := range map[string]int{"gateway/outcome.go": 30, "edge/refusal.go": 12, "transport/event.go": 20, "cluster/router.go": 4} {
		names := constants(t, "../"+file)
		if len(names) < most {
			t.Errorf("%s: only %d constants were found", file, len(names))
		}
		for _, n := range names {
			declared[n] = !slices.Contains(good, n)
		}
	}
	listed := map[string]bool{}
	for _, group := range Reasons {
		for _, r := range group.List {
			if listed[r.Name] || !declared[r.Name] || r.Next == "" {
				t.Errorf("%s is twice in Reasons, no constant, or says nothing to do", r.Name)
			}
			listed[r.Name] = true
		}
	}
	for name, bad := range declared {
		if bad && !listed[name] {
			t.Errorf("%s is not in Reasons", name)
		}
	}
}

// constants are the values of a file's constants that name reasons: words with
// hyphens, no sentences.
func constants(t *testing.T, file string) (values []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			for _, v := range spec.(*ast.ValueSpec).Values {
				l, ok := v.(*ast.BasicLit)
				if !ok || l.Kind != token.STRING {
					continue
				}
				if text, err := strconv.Unquote(l.Value); err == nil && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" {
					values = append(values, text)
				}
			}
		}
	}
	return values
}

// TestReasonsAreDocumented wants each in docs/debugging.md, in these words.
func TestReasonsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/debugging.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, group := range Reasons {
		want = append(want, "### "+group.Of)
		for _, r := range group.List {
			want = append(want, fmt.Sprintf("| `%s` | %s | %s |", r.Name, r.Says, r.Next))
		}
	}
	_, section, _ := strings.Cut(string(b), "\n## Why\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "### ") || strings.HasPrefix(line, "| `") {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/debugging.md (-want +got):\n%s", diff)
	}
}
