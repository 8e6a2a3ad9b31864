package stack

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"tidegate/internal/nearest"
)

// maxDiagnostics bounds how many problems are collected; past it reading goes
// on but nothing more is kept.
const maxDiagnostics = 100

// A Position is a place in a file; line and column count from 1. The zero
// Position is no place.
type Position struct {
	File         string
	Line, Column int
}

// String returns file:line:column, or the file alone.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// A Diagnostic is one thing that is wrong with a template.
type Diagnostic struct {
	Position
	Resource string // logical id, if it is about one
	Property string // path from the resource, such as Properties.Environment.Variables
	Message  string // what is wrong
	Hint     string // what to do, such as: did you mean "Timeout"?
}

// Error returns the diagnostic in one line, as compilers print theirs.
func (d Diagnostic) Error() string {
	var b strings.Builder
	b.WriteString(d.Position.String())
	b.WriteString(": ")
	if where := joinPath(d.Resource, d.Property); where != "" {
		b.WriteString(where)
		b.WriteString(": ")
	}
	b.WriteString(d.Message)
	if d.Hint != "" {
		b.WriteString("; ")
		b.WriteString(d.Hint)
	}
	return b.String()
}

// Diagnostics are everything that is wrong with a template, in the order of the
// file. It is an error when it isn't empty.
type Diagnostics []Diagnostic

// Error returns one line for each diagnostic.
func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.Error()
	}
	return strings.Join(lines, "\n")
}

// A Note is something about a template that is no error but that a person
// should know.
type Note struct {
	Position
	Resource string
	Property string
	Message  string
}

// String returns the note in one line.
func (n Note) String() string {
	return Diagnostic{Position: n.Position, Resource: n.Resource, Property: n.Property, Message: n.Message}.Error()
}

// A place says what a problem is about; the reporter adds the file.
type place struct {
	line, column       int
	resource, property string
}

// at returns the place of a value inside the same resource and property.
func (p place) at(v *value) place {
	if v != nil && v.line != 0 {
		p.line, p.column = v.line, v.column
	}
	return p
}

// in returns the place of a part of the property.
func (p place) in(part string) place {
	p.property = joinPath(p.property, part)
	return p
}

// index returns the place of an element of the property, a list.
func (p place) index(i int) place {
	p.property = fmt.Sprintf("%s[%d]", p.property, i)
	return p
}

func joinPath(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "." + b
}

// A reporter collects what is wrong and what is worth a note.
type reporter struct {
	file        sources
	strict      bool
	diagnostics Diagnostics
	notes       []Note
	// made are the resources that SAM made, which the template's author never wrote.
	made map[string]*resource
}

func (r *reporter) position(p place) Position {
	return r.file.position(p.line, p.column)
}

func (r *reporter) errorf(p place, format string, args ...any) {
	r.report(p, "", format, args...)
}

// report adds a problem with a hint. The same problem at the same place is told
// once, whichever resources it reaches from there, as from SAM's Globals.
func (r *reporter) report(p place, hint, format string, args ...any) {
	if len(r.diagnostics) >= maxDiagnostics {
		return
	}
	p = r.traced(p)
	d := Diagnostic{Position: r.position(p), Resource: p.resource, Property: p.property, Message: fmt.Sprintf(format, args...), Hint: hint}
	told := func(o Diagnostic) bool {
		return o == d || o.Position == d.Position && d.Line != 0 && o.Message == d.Message
	}
	if !slices.ContainsFunc(r.diagnostics, told) {
		r.diagnostics = append(r.diagnostics, d)
	}
}

func (r *reporter) notef(p place, format string, args ...any) {
	p = r.traced(p)
	n := Note{Position: r.position(p), Resource: p.resource, Property: p.property, Message: fmt.Sprintf(format, args...)}
	if !slices.Contains(r.notes, n) && len(r.notes) < maxDiagnostics*10 {
		r.notes = append(r.notes, n)
	}
}

// lacking reports something of a service that Tidegate lacks: a note, or under
// strict an error.
func (r *reporter) lacking(p place, format string, args ...any) {
	if r.strict {
		r.report(p, "without --strict it is only noted", format, args...)
		return
	}
	r.notef(p, format, args...)
}

// err returns the sorted diagnostics, or nil when there are none.
func (r *reporter) err() error {
	if len(r.diagnostics) == 0 {
		return nil
	}
	sort.SliceStable(r.diagnostics, func(i, j int) bool {
		return before(r.diagnostics[i].Position, r.diagnostics[j].Position)
	})
	return r.diagnostics
}

func (r *reporter) sortedNotes() []Note {
	sort.SliceStable(r.notes, func(i, j int) bool { return before(r.notes[i].Position, r.notes[j].Position) })
	return r.notes
}

func before(a, b Position) bool {
	if a.Line != b.Line {
		return a.Line < b.Line
	}
	return a.Column < b.Column
}

// didYouMean returns a hint that names the candidate nearest to word, or "".
func didYouMean(word string, candidates []string) string {
	if n := nearest.Name(word, candidates); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return ""
}
