package policy

import (
	"cmp"
	"slices"
	"strings"
)

// mavenToken is one part of a Maven version with the separator before it.
type mavenToken struct {
	separator byte // '.' or '-'
	text      string
}

// compareMaven is the version order of Maven's POM reference: parts are split
// at ".", "-", and between digits and letters; trailing parts that mean nothing
// are dropped; qualifiers have their own order.
func compareMaven(a, b string) (int, bool) {
	if a == "" || b == "" || strings.ContainsAny(a+b, " \t<>=,") {
		return 0, false
	}
	p, q := mavenTokens(a), mavenTokens(b)
	for i := range max(len(p), len(q)) {
		var x, y mavenToken
		switch {
		case i >= len(p):
			y = q[i]
			x = mavenPad(y)
		case i >= len(q):
			x = p[i]
			y = mavenPad(x)
		default:
			x, y = p[i], q[i]
		}
		if order := compareMavenToken(x, y); order != 0 {
			return order, true
		}
	}
	return 0, true
}

// mavenPad is the part that means nothing, to compare t with.
func mavenPad(t mavenToken) mavenToken {
	if isNumber(t.text) {
		return mavenToken{t.separator, "0"}
	}
	return mavenToken{t.separator, ""}
}

func mavenTokens(s string) []mavenToken {
	s = strings.ToLower(s)
	tokens := []mavenToken{}
	separator, start := byte('-'), 0
	flush := func(end int, next byte) {
		token := s[start:end]
		if token == "" {
			token = "0"
		}
		tokens = append(tokens, mavenToken{separator, token})
		separator = next
	}
	for i := range len(s) {
		switch {
		case s[i] == '.' || s[i] == '-' || s[i] == '_':
			next := s[i]
			if next == '_' {
				next = '-'
			}
			flush(i, next)
			start = i + 1
		case i > start && isDigit(s[i]) != isDigit(s[i-1]):
			// "a1" is alpha 1, "b" beta, "m" milestone, but only before a number.
			if short := map[string]string{"a": "alpha", "b": "beta", "m": "milestone"}[s[start:i]]; short != "" && isDigit(s[i]) {
				tokens = append(tokens, mavenToken{separator, short})
				separator = '-'
			} else {
				flush(i, '-')
			}
			start = i
		}
	}
	flush(len(s), 0)
	for i := len(tokens) - 1; i > 0; i-- {
		// Drop what means nothing, at the end and before each hyphen.
		if (i == len(tokens)-1 || tokens[i+1].separator == '-') && mavenMeansNothing(tokens[i].text) {
			tokens = slices.Delete(tokens, i, i+1)
		}
	}
	return tokens
}

func mavenMeansNothing(s string) bool {
	return isNumber(s) && strings.Trim(s, "0") == "" || s == "" || s == "final" || s == "ga" || s == "release"
}

func compareMavenToken(x, y mavenToken) int {
	xn, yn := isNumber(x.text), isNumber(y.text)
	switch {
	case xn && yn && x.separator == y.separator:
		return compareNumbers(x.text, y.text)
	case xn && yn:
		// A number behind a dot is more than one behind a hyphen.
		if x.separator == '.' {
			return 1
		}
		return -1
	case xn:
		return 1
	case yn:
		return -1
	}
	return cmp.Or(cmp.Compare(mavenRank(x.text), mavenRank(y.text)), cmp.Compare(mavenKnown(x.text), mavenKnown(y.text)))
}

// mavenRank orders the qualifiers; an unknown one comes last.
func mavenRank(s string) int {
	switch s {
	case "alpha":
		return 0
	case "beta":
		return 1
	case "milestone":
		return 2
	case "rc", "cr":
		return 3
	case "snapshot":
		return 4
	case "", "final", "ga", "release":
		return 5
	case "sp":
		return 6
	}
	return 7
}

// mavenKnown makes the spellings of a known qualifier equal.
func mavenKnown(s string) string {
	if mavenRank(s) < 7 {
		return ""
	}
	return s
}
