package policy

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// epochOf splits "epoch:rest"; a missing epoch is 0.
func epochOf(s string) (epoch, rest string, ok bool) {
	before, after, found := strings.Cut(s, ":")
	if !found {
		return "0", s, s != ""
	}
	return before, after, isNumber(before) && after != ""
}

var debianText = regexp.MustCompile(`^[0-9A-Za-z.+:~-]+$`)

// compareDebian is deb-version(7).
func compareDebian(a, b string) (int, bool) {
	if !debianText.MatchString(a) || !debianText.MatchString(b) {
		return 0, false
	}
	ea, ra, okA := epochOf(a)
	eb, rb, okB := epochOf(b)
	if !okA || !okB {
		return 0, false
	}
	cut := func(s string) (string, string) {
		if at := strings.LastIndexByte(s, '-'); at >= 0 {
			return s[:at], s[at+1:]
		}
		return s, ""
	}
	ua, va := cut(ra)
	ub, vb := cut(rb)
	return cmp.Or(compareNumbers(ea, eb), compareDebianPart(ua, ub), compareDebianPart(va, vb)), true
}

// compareDebianPart compares runs of non-digits and digits in turn; "~" sorts
// before the end, letters before other characters.
func compareDebianPart(a, b string) int {
	weight := func(s string, i int) int {
		switch {
		case i >= len(s) || isDigit(s[i]):
			return 0
		case s[i] == '~':
			return -1
		case isLetter(s[i]):
			return int(s[i])
		}
		return int(s[i]) + 256
	}
	for a != "" || b != "" {
		i := 0
		for (i < len(a) && !isDigit(a[i])) || (i < len(b) && !isDigit(b[i])) {
			if order := cmp.Compare(weight(a, i), weight(b, i)); order != 0 {
				return order
			}
			i++
		}
		a, b = a[min(i, len(a)):], b[min(i, len(b)):]
		na, nb := digits(a), digits(b)
		if order := compareNumbers(na, nb); order != 0 {
			return order
		}
		a, b = a[len(na):], b[len(nb):]
	}
	return 0
}

func digits(s string) string { return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))] }

var rpmText = regexp.MustCompile(`^[0-9A-Za-z._+~^:-]+$`)

// compareRPM is rpm-version(7): epoch, version, and the release if both have one.
func compareRPM(a, b string) (int, bool) {
	if !rpmText.MatchString(a) || !rpmText.MatchString(b) {
		return 0, false
	}
	ea, ra, okA := epochOf(a)
	eb, rb, okB := epochOf(b)
	if !okA || !okB {
		return 0, false
	}
	va, la, hasA := strings.Cut(ra, "-")
	vb, lb, hasB := strings.Cut(rb, "-")
	order := cmp.Or(compareNumbers(ea, eb), compareRPMPart(va, vb))
	if order == 0 && hasA && hasB {
		order = compareRPMPart(la, lb)
	}
	return order, true
}

func compareRPMPart(a, b string) int {
	separator := func(c rune) bool {
		return c != '~' && c != '^' && (c > 0x7f || !isDigit(byte(c)) && !isLetter(byte(c)))
	}
	for {
		a, b = strings.TrimLeftFunc(a, separator), strings.TrimLeftFunc(b, separator)
		switch ta, tb := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~"); {
		case ta && tb:
			a, b = a[1:], b[1:]
			continue
		case ta:
			return -1
		case tb:
			return 1
		}
		switch ca, cb := strings.HasPrefix(a, "^"), strings.HasPrefix(b, "^"); {
		case ca && cb:
			a, b = a[1:], b[1:]
			continue
		case ca && b == "", cb && a != "":
			return 1
		case cb && a == "", ca:
			return -1
		}
		if a == "" || b == "" {
			return cmp.Compare(len(a), len(b))
		}
		ra, rb := runs(a)[0], runs(b)[0]
		switch na, nb := isDigit(ra[0]), isDigit(rb[0]); {
		case na && nb:
			if order := compareNumbers(ra, rb); order != 0 {
				return order
			}
		case na:
			return 1
		case nb:
			return -1
		default:
			if order := cmp.Compare(ra, rb); order != 0 {
				return order
			}
		}
		a, b = a[len(ra):], b[len(rb):]
	}
}

var alpineText = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)*)([a-z]?)((?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*)(?:~[0-9a-f]+)?(?:-r([0-9]+))?$`)

// compareAlpine is apk-package(5), "version".
func compareAlpine(a, b string) (int, bool) {
	x, y := alpineText.FindStringSubmatch(a), alpineText.FindStringSubmatch(b)
	if x == nil || y == nil {
		return 0, false
	}
	dotsA, dotsB := strings.Split(x[1], "."), strings.Split(y[1], ".")
	for i := range min(len(dotsA), len(dotsB)) {
		order := compareNumbers(dotsA[i], dotsB[i])
		if i > 0 && (dotsA[i][0] == '0' || dotsB[i][0] == '0') {
			order = cmp.Compare(dotsA[i], dotsB[i]) // a fraction: 1.05 comes before 1.1
		}
		if order != 0 {
			return order, true
		}
	}
	return cmp.Or(cmp.Compare(len(dotsA), len(dotsB)), cmp.Compare(x[2], y[2]), compareAlpineSuffix(x[3], y[3]), compareNumbers(x[4], y[4])), true
}

func compareAlpineSuffix(a, b string) int {
	order := []string{"alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p"}
	split := func(s string) []string { return strings.FieldsFunc(s, func(c rune) bool { return c == '_' }) }
	p, q := split(a), split(b)
	for i := range max(len(p), len(q)) {
		x, y := "", ""
		if i < len(p) {
			x = p[i]
		}
		if i < len(q) {
			y = q[i]
		}
		nameX, nameY := strings.TrimRight(x, "0123456789"), strings.TrimRight(y, "0123456789")
		if difference := cmp.Or(cmp.Compare(slices.Index(order, nameX), slices.Index(order, nameY)), compareNumbers(x[len(nameX):], y[len(nameY):])); difference != 0 {
			return difference
		}
	}
	return 0
}
