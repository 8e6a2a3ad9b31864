package control

import (
	"slices"
	"strings"
	"unicode/utf8"

	"tidegate/internal/apigw"
	"tidegate/selection"
)

// Bounds of AWS's model (StringWithLengthBetween…), in characters.
const (
	maxRouteKey = 256 // Tidegate's own; AWS documents none
	maxURI      = 2048
	maxMapKey   = 512
	maxMapValue = 4096 // of parameters; templates have their own
)

// set copies a member that was given.
func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// checkText bounds a text in characters.
func checkText(name string, text *string, least, most int) error {
	if text == nil {
		return nil
	}
	if n := utf8.RuneCountInString(*text); n < least || n > most {
		return badRequest("%s must have %d to %d characters, not %d", name, least, most, n)
	}
	return nil
}

func checkEnum(name string, value *string, allowed ...string) error {
	if value == nil || slices.Contains(allowed, *value) {
		return nil
	}
	return badRequest("Invalid %s %q specified. Must be one of [%s]", name, cut(*value), strings.Join(allowed, ", "))
}

// checkExpression parses a selection expression; an empty one clears it.
func checkExpression(name string, kind selection.Kind, text *string) error {
	if text == nil || *text == "" { // WS-09-007, WS-09-044
		return nil
	}
	if _, err := selection.Parse(kind, *text); err != nil {
		return badRequest("Invalid %s: %v", name, err)
	}
	return nil
}

// checkMap bounds a map of parameters or templates. maxValue is in bytes.
func checkMap(name string, m map[string]string, maxValue int) error {
	const maxEntries = 100
	if len(m) > maxEntries {
		return badRequest("%s has %d entries; at most %d fit", name, len(m), maxEntries)
	}
	for k, v := range m {
		if k == "" || len(k) > maxMapKey {
			return badRequest("%s has a key of %d bytes; 1 to %d fit", name, len(k), maxMapKey)
		}
		if len(v) > maxValue {
			return badRequest("%s: the value of %q has %d bytes; at most %d fit", name, cut(k), len(v), maxValue)
		}
	}
	return nil
}

// checkConstraints bounds a map of declared parameters.
func checkConstraints(name string, m map[string]apigw.ParameterConstraint) error {
	keys := make(map[string]string, len(m))
	for k := range m {
		keys[k] = ""
	}
	return checkMap(name, keys, 0)
}

// cut shortens a caller's text for an error.
func cut(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
