// Package suggest finds what a misspelled word was meant to be, for errors.
package suggest

import (
	"fmt"
	"strings"
)

// Nearest is the candidate that is at most a third of its letters and one more away from the
// word, or "" where none is.
func Nearest[T ~string](word string, candidates []T) T {
	var best T
	least := len(word)/3 + 1
	for _, c := range candidates {
		if d := Distance(strings.ToLower(word), strings.ToLower(string(c))); d <= least && (best == "" || d < least) {
			best, least = c, d
		}
	}
	return best
}

// Unknown is the error for a word that is none of the candidates: what kind of
// word it is, what was meant, and what there is.
func Unknown[T ~string](kind, word string, candidates []T) error {
	all := make([]string, len(candidates))
	for i, c := range candidates {
		all[i] = string(c)
	}
	if near := Nearest(word, candidates); near != "" {
		return fmt.Errorf("%s %.40q is unknown: did you mean %q? There are %s", kind, word, near, strings.Join(all, ", "))
	}
	return fmt.Errorf("%s %.40q is unknown: want one of %s", kind, word, strings.Join(all, ", "))
}

// Distance is how many letters are to be added, taken away or changed to make b of
// a: the Levenshtein distance.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
