package parity

import "fmt"

// Lines are a report for a person: each kind once, with what to do, and below it
// who relied on it. Without entries there are none.
func Lines(entries []Entry) []string {
	var lines []string
	var kind Kind
	for _, e := range entries {
		if e.Kind != kind {
			kind = e.Kind
			lines = append(lines, fmt.Sprintf("  %s: %s", e.Kind, e.Here),
				"      on AWS: "+e.OnAWS, "      to do:  "+e.Do)
		}
		lines = append(lines, "      - "+e.String())
	}
	return lines
}

// String says who, how often and where first: execute-api, 3 times, first POST
// /dev/@connections/abc= [REQUEST-ID].
func (e Entry) String() string {
	often, first := fmt.Sprintf(", %d times", e.Count), ", first"
	if e.Count == 1 {
		often, first = ", once", ","
	}
	text := e.Subject + often
	if e.Where != "" {
		text += first + " " + e.Where
	}
	if e.RequestID != "" {
		text += " [" + e.RequestID + "]"
	}
	return text
}
