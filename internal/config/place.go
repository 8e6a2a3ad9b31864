package config

import (
	"fmt"
	"strings"
)

// A Place is where a value stands: a file's line, both from 1, or an environment
// variable. The zero Place is none.
type Place struct {
	File         string
	Line, Column int
	Variable     string // instead of a file
}

// String is FILE:LINE:COLUMN, or the variable.
func (p Place) String() string {
	switch {
	case p.Variable != "":
		return "environment variable " + p.Variable
	case p.Line == 0:
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// A Mistake is one thing wrong with a file.
type Mistake struct {
	Place Place
	Path  string // of the key: apis[0].routes[2].route_key; "" of the file as a whole
	Text  string
	Hint  string // what to do; "" when the text says it
}

// Error is PLACE: PATH: TEXT; HINT.
func (m *Mistake) Error() string {
	text := m.Text
	if m.Path != "" {
		text = m.Path + ": " + text
	}
	if m.Hint != "" {
		text += "; " + m.Hint
	}
	if place := m.Place.String(); place != "" {
		return place + ": " + text
	}
	return text
}

// Mistakes are all that is wrong with a file, in the file's order.
type Mistakes []*Mistake

// mostMistakes bounds how many are told.
const mostMistakes = 50

// Error is a line for each.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// add keeps the mistake, unless there are many.
func (m *Mistakes) add(at Place, path, hint, format string, args ...any) {
	if len(*m) < mostMistakes {
		*m = append(*m, &Mistake{Place: at, Path: path, Hint: hint, Text: fmt.Sprintf(format, args...)})
	}
}

// err is nil when there are none.
func (m Mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	return m
}
