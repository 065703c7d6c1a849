// Package wording helps messages that quote words of somebody else: it cuts them
// short, and finds the word that was probably meant.
//
//	fmt.Errorf("unknown entry %q", wording.Short(key))
//	if near, found := wording.Nearest(key, known); found { … }
//
// It is a leaf and escapes nothing: package policy/report does, where a text is
// printed.
package wording

import "strings"

const (
	shortBytes = 120 // a few words
	maxTypo    = 64  // a longer word is no typo of anything
)

// Short returns the text, or its first words and an ellipsis. The cut never
// leaves half a character.
func Short(text string) string {
	if len(text) > shortBytes {
		return strings.ToValidUTF8(text[:shortBytes], "") + "…"
	}
	return text
}

// Nearest returns the candidate with the fewest wrong letters, whatever their
// case, if at most a third of the word's letters, and at least one, may be wrong.
// The first of equally near candidates wins.
func Nearest(word string, candidates []string) (nearest string, found bool) {
	if len(word) > maxTypo {
		return "", false
	}
	distance := 1 + max(1, len(word)/3)
	for _, candidate := range candidates {
		if d := edits(strings.ToLower(word), strings.ToLower(candidate)); d < distance {
			nearest, distance, found = candidate, d, true
		}
	}
	return nearest, found
}

// edits is the Levenshtein distance of two short texts.
func edits(a, b string) int {
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
