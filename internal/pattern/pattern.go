// Package pattern is regular expressions that are compiled when they are first
// used. A counted one, such as {1,140}, costs some hundred kilobytes to compile,
// and there are many of which a run needs few: the program starts sooner and stays
// smaller.
package pattern

import (
	"regexp"
	"sync"
)

// A Pattern is a regular expression in Go's syntax. It is safe for concurrent use.
type Pattern struct {
	expr string
	once sync.Once
	re   *regexp.Regexp
}

// New returns the pattern; one that can't be compiled panics when it is used. The
// package's test compiles all of the program's.
func New(expr string) *Pattern { return &Pattern{expr: expr} }

func (p *Pattern) compiled() *regexp.Regexp {
	p.once.Do(func() { p.re = regexp.MustCompile(p.expr) })
	return p.re
}

// String returns the expression.
func (p *Pattern) String() string { return p.expr }

// MatchString reports whether the pattern matches in s.
func (p *Pattern) MatchString(s string) bool { return p.compiled().MatchString(s) }

// FindStringSubmatch returns the leftmost match in s and its groups, or nil.
func (p *Pattern) FindStringSubmatch(s string) []string { return p.compiled().FindStringSubmatch(s) }

// ReplaceAllStringFunc returns s with each match replaced by what repl returns.
func (p *Pattern) ReplaceAllStringFunc(s string, repl func(string) string) string {
	return p.compiled().ReplaceAllStringFunc(s, repl)
}
