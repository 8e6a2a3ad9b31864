package client

import "strings"

// nearest returns the name that was probably meant, "" when none is near: it
// differs in at most a third of its letters, or begins alike.
func nearest(name string, have []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, h := range have {
		d := distance(strings.ToLower(name), strings.ToLower(h))
		if len(name) >= 3 && strings.HasPrefix(strings.ToLower(h), strings.ToLower(name)) {
			d = 1
		}
		if d < least {
			best, least = h, d
		}
	}
	return best
}

// distance is how many letters must be put in, taken out or changed to make b of
// a (Levenshtein's). Names longer than 64 bytes are too far from anything.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
