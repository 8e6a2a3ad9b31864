package stack

import (
	"fmt"
	"strings"
)

// lacksService ends what is said of a resource of a service that Tidegate lacks.
const lacksService = " belongs to a service that Tidegate lacks: a placeholder stands in for it"

// maxAlso bounds how many more resources a line of notes names.
const maxAlso = 12

// NoteLines returns the notes as a person reads them: what is said of several
// resources is one line, with the place of the first and the names of the others.
func NoteLines(notes []Note) []string {
	type subject struct{ file, property, message string }
	var order []subject
	groups := map[subject][]Note{}
	for _, n := range notes {
		s := subject{n.File, n.Property, n.Message}
		if strings.HasSuffix(n.Message, lacksService) {
			s.message = lacksService
		}
		if n.Resource == "" { // about the template, not one of several
			s = subject{message: n.String()}
		}
		if _, seen := groups[s]; !seen {
			order = append(order, s)
		}
		groups[s] = append(groups[s], n)
	}
	lines := make([]string, len(order))
	for i, s := range order {
		group := groups[s]
		lines[i] = group[0].String() + also(group[1:], s.message == lacksService)
	}
	return lines
}

// also names the resources of which the same is to be said, with their types if
// the types are part of it.
func also(notes []Note, types bool) string {
	if len(notes) == 0 {
		return ""
	}
	var names []string
	for i, n := range notes {
		if i == maxAlso {
			names = append(names, fmt.Sprintf("%d more", len(notes)-maxAlso))
			break
		}
		name := n.Resource
		if types {
			name += " " + strings.TrimSuffix(n.Message, lacksService)
		}
		names = append(names, name)
	}
	return " (so it is with " + strings.Join(names, ", ") + ")"
}
