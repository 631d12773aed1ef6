package suggest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// most is how many words a hint names.
const most = 3

// Words are the candidates that word may stand for, the likeliest first: those
// that begin with it, or else those that differ from it in two letters or a third
// of them.
func Words(word string, candidates []string) []string {
	if begun := startingWith(word, candidates); len(begun) > 0 {
		return begun[:min(most, len(begun))]
	}
	type match struct {
		word string
		away int
	}
	var found []match
	for _, c := range candidates {
		away := Distance(strings.ToLower(word), strings.ToLower(c))
		if away < len(word) && away <= max(2, len(word)/3) {
			found = append(found, match{c, away})
		}
	}
	slices.SortStableFunc(found, func(a, b match) int { return cmp.Compare(a.away, b.away) })
	var words []string
	for _, m := range found[:min(most, len(found))] {
		words = append(words, m.word)
	}
	return words
}

func startingWith(word string, candidates []string) []string {
	var begun []string
	for _, c := range candidates {
		if word != "" && strings.HasPrefix(strings.ToLower(c), strings.ToLower(word)) {
			begun = append(begun, c)
		}
	}
	return begun
}

// Hint is "; did you mean A, B?" for the words that [Words] finds, or "".
func Hint(word string, candidates []string) string {
	words := Words(word, candidates)
	if len(words) == 0 {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", strings.Join(words, ", "))
}
