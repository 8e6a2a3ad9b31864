package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// behaviour is the id of a conformance script.
var behaviour = regexp.MustCompile(`\bWS-\d\d-\d\d\d\b`)

// TestBehavioursExist wants every behaviour that a comment names to be in the
// index: code that points to nothing has lost its reason.
func TestBehavioursExist(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(root, "conformance", "index.txt"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(index)) {
		known[behaviour.FindString(line)] = true
	}
	var found []Finding
	for _, p := range house(t).Packages {
		if p.Dir == "conformance" {
			continue // its tests make ids up
		}
		for _, f := range p.Files {
			for _, group := range f.AST.Comments {
				for _, c := range group.List {
					for _, id := range behaviour.FindAllString(c.Text, -1) {
						if !known[id] {
							found = append(found, f.finding(c.Pos(), "%s is not in conformance/index.txt", id))
						}
					}
				}
			}
		}
	}
	report(t, found)
}
