package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuaranteesHaveTheirTests wants every test that ARCHITECTURE.md names to
// exist: a guarantee whose test was renamed away is only a claim.
func TestGuaranteesHaveTheirTests(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		b, err := os.ReadFile(path)
		code.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(text), -1)
	for _, group := range regexp.MustCompile("`transporttest (\\w+)`(?:, `([A-Z]\\w+)`)?").FindAllStringSubmatch(string(text), -1) {
		for _, name := range group[1:] {
			if name != "" {
				named = append(named, "test"+name) // the suite's are functions of its own
			}
		}
	}
	if len(named) < 10 {
		t.Fatalf("ARCHITECTURE.md names %d tests; is its table of guarantees gone?", len(named))
	}
	for _, name := range named {
		if !strings.Contains(code.String(), "func "+name+"(") {
			t.Errorf("ARCHITECTURE.md names %s, and there is no such test", name)
		}
	}
}
