package client

import (
	"strings"

	"tidegate/internal/nearest"
)

// nearestName returns the name that was probably meant, "" when none is near: it
// differs in at most a third of its letters, or begins alike.
func nearestName(name string, have []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, h := range have {
		d := nearest.Distance(strings.ToLower(name), strings.ToLower(h))
		if len(name) >= 3 && strings.HasPrefix(strings.ToLower(h), strings.ToLower(name)) {
			d = 1
		}
		if d < least {
			best, least = h, d
		}
	}
	return best
}
