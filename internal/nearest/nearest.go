// Package nearest finds the name that a misspelt one was probably meant to be.
package nearest

import "strings"

// longest is how many bytes a name may have to be near anything.
const longest = 256

// Name returns the candidate that word was probably meant to be, or "": the one
// with the fewest edits, at most a third of its letters. Case doesn't count.
func Name(word string, candidates []string) string {
	best, bestDistance := "", 0
	lower := strings.ToLower(word)
	for _, c := range candidates {
		if c == word {
			continue
		}
		d := Distance(lower, strings.ToLower(c))
		if d > max(1, min(len(c), len(word))/3) {
			continue
		}
		if best == "" || d < bestDistance || d == bestDistance && c < best {
			best, bestDistance = c, d
		}
	}
	return best
}

// Distance is the Damerau-Levenshtein distance (a swap of neighbours is one
// edit) in bytes. Names longer than 256 bytes are too far from anything.
func Distance(a, b string) int {
	if len(a) > longest || len(b) > longest {
		return max(len(a), len(b))
	}
	older, old, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range old {
		old[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(old[j]+1, cur[j-1]+1, old[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], older[j-2]+1)
			}
		}
		older, old, cur = old, cur, older
	}
	return old[len(b)]
}
