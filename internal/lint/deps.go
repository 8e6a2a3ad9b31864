package lint

import (
	"fmt"
	"slices"
	"strings"
)

// none is the rules' word for "no package": what stands behind it may import
// none of the module's packages.
const none = "NONE"

// Rules are a partial order of packages, read by ParseRules.
type Rules struct {
	below map[string]map[string]bool // package → all it may import, closed transitively
}

// A rule is one statement: groups of names with an operator between each two.
type rule struct {
	line   int
	groups [][]string
	walls  []bool // walls[i]: the operator between groups i and i+1 is !<
}

// ParseRules reads rules in the language of go/build's deps_test.go:
//
//	# a comment to the end of the line
//	NONE < a, b < c;   c may import a and b, and all that these may import
//	d !< c;            c may not import d, not even through others
//
// A name that stands left of '<' must also stand right of one. A cycle, or a
// wall that the order breaks, is an error that names the line.
func ParseRules(text string) (*Rules, error) {
	statements, err := parseStatements(text)
	if err != nil {
		return nil, err
	}
	direct := map[string]map[string]int{} // package → import → line
	used := map[string]int{}
	for _, s := range statements {
		for i, wall := range s.walls {
			for _, lower := range s.groups[i] {
				if lower != none && !wall {
					used[lower] = s.line
				}
				for _, upper := range s.groups[i+1] {
					if upper == none {
						return nil, fmt.Errorf("line %d: %s stands right of an operator", s.line, none)
					}
					if wall {
						continue
					}
					if direct[upper] == nil {
						direct[upper] = map[string]int{}
					}
					if lower != none {
						direct[upper][lower] = s.line
					}
				}
			}
		}
	}
	for name, line := range used {
		if direct[name] == nil {
			return nil, fmt.Errorf("line %d: %s stands left of '<' but never right of it; say what it may import (%s < %s)", line, name, none, name)
		}
	}
	r := &Rules{below: map[string]map[string]bool{}}
	for name := range direct {
		if err := r.close(name, direct, nil); err != nil {
			return nil, err
		}
	}
	return r, r.checkWalls(statements)
}

// close computes all that name may import. path is the way that led here.
func (r *Rules) close(name string, direct map[string]map[string]int, path []string) error {
	if slices.Contains(path, name) {
		return fmt.Errorf("the rules go in a circle: %s", strings.Join(append(path, name), " > "))
	}
	if r.below[name] != nil {
		return nil
	}
	all := map[string]bool{}
	for lower := range direct[name] {
		if err := r.close(lower, direct, append(path, name)); err != nil {
			return err
		}
		all[lower] = true
		for l := range r.below[lower] {
			all[l] = true
		}
	}
	r.below[name] = all
	return nil
}

func (r *Rules) checkWalls(statements []rule) error {
	for _, s := range statements {
		for i, wall := range s.walls {
			if !wall {
				continue
			}
			for _, lower := range s.groups[i] {
				for _, upper := range s.groups[i+1] {
					for _, name := range []string{lower, upper} {
						if !r.Names(name) {
							return fmt.Errorf("line %d: the wall names %s, which no other rule does", s.line, name)
						}
					}
					if r.Allows(upper, lower) {
						return fmt.Errorf("line %d: the wall %s !< %s is broken: the rules let %s reach %s", s.line, lower, upper, upper, lower)
					}
				}
			}
		}
	}
	return nil
}

// Names says whether the rules name the package.
func (r *Rules) Names(pkg string) bool { return r.below[pkg] != nil }

// Allows says whether the package from may import the package to.
func (r *Rules) Allows(from, to string) bool { return r.below[from][to] }

// parseStatements splits the text at ';' and the statements at operators and
// commas.
func parseStatements(text string) ([]rule, error) {
	var statements []rule
	s := rule{groups: [][]string{nil}}
	open := false // a statement has begun
	wantName := true
	for _, tok := range tokenize(text) {
		switch {
		case tok.text == ";" || tok.text == "," || tok.text == "<" || tok.text == "!<":
			if wantName {
				return nil, fmt.Errorf("line %d: a package's name is missing before %q", tok.line, tok.text)
			}
			wantName = tok.text != ";"
			switch tok.text {
			case ";":
				if len(s.walls) == 0 {
					return nil, fmt.Errorf("line %d: the statement has no '<'", tok.line)
				}
				statements = append(statements, s)
				s = rule{groups: [][]string{nil}}
				wantName, open = true, false
			case "<", "!<":
				s.walls = append(s.walls, tok.text == "!<")
				s.groups = append(s.groups, nil)
			}
		case !wantName:
			return nil, fmt.Errorf("line %d: ',', '<', '!<' or ';' is missing before %q", tok.line, tok.text)
		default:
			if !open {
				s.line, open = tok.line, true
			}
			last := len(s.groups) - 1
			s.groups[last] = append(s.groups[last], tok.text)
			wantName = false
		}
	}
	if open {
		return nil, fmt.Errorf("line %d: the statement that begins here has no ';'", s.line)
	}
	return statements, nil
}

type word struct {
	text string
	line int
}

// tokenize returns names and operators; comments and white space go.
func tokenize(text string) []word {
	var tokens []word
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		for _, operator := range []string{",", ";"} {
			line = strings.ReplaceAll(line, operator, " "+operator+" ")
		}
		line = strings.ReplaceAll(line, "!<", " \x00 ")
		line = strings.ReplaceAll(line, "<", " < ")
		for _, text := range strings.Fields(strings.ReplaceAll(line, "\x00", "!<")) {
			tokens = append(tokens, word{text, n})
		}
	}
	return tokens
}
