// Package nearest finds what somebody meant who mistyped a word.
package nearest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// most is how many words are suggested.
const most = 3

// Words are the candidates that word may stand for, the likeliest first: those
// at a distance of at most a third of its length, and those that begin with it.
func Words(word string, candidates []string) []string {
	type match struct {
		word     string
		distance int
	}
	var found []match
	for _, c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		switch {
		case word != "" && strings.HasPrefix(strings.ToLower(c), strings.ToLower(word)):
			found = append(found, match{c, 0})
		case d <= max(1, len(word)/3):
			found = append(found, match{c, d})
		}
	}
	slices.SortStableFunc(found, func(a, b match) int { return cmp.Compare(a.distance, b.distance) })
	var words []string
	for _, m := range found[:min(most, len(found))] {
		words = append(words, m.word)
	}
	return words
}

// Hint is "; did you mean A, B?" for the words that [Words] finds, or "".
func Hint(word string, candidates []string) string {
	words := Words(word, candidates)
	if len(words) == 0 {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", strings.Join(words, ", "))
}

// distance counts the letters to insert, to leave out, to replace, or to swap
// with their neighbour.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([][]int, len(x)+1)
	for i := range row {
		row[i] = make([]int, len(y)+1)
		row[i][0] = i
	}
	for j := range row[0] {
		row[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			row[i][j] = min(row[i-1][j]+1, row[i][j-1]+1, row[i-1][j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[i][j] = min(row[i][j], row[i-2][j-2]+1)
			}
		}
	}
	return row[len(x)][len(y)]
}
