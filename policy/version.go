package policy

import (
	"cmp"
	"regexp"
	"strings"
)

// comparer puts two versions in order; ok is false where one of them is no
// version of its kind.
type comparer func(a, b string) (order int, ok bool)

// maxVersion bounds a version; longer ones are no versions.
const maxVersion = 256

// comparerOf returns the order of a package URL type's versions, or nil where
// none is known.
func comparerOf(kind string) comparer {
	switch kind {
	case "npm", "golang", "cargo", "nuget", "composer", "pub", "hex", "swift", "conan", "github", "cocoapods":
		return bounded(compareSemantic)
	case "maven":
		return bounded(compareMaven)
	case "deb":
		return bounded(compareDebian)
	case "rpm":
		return bounded(compareRPM)
	case "apk":
		return bounded(compareAlpine)
	case "pypi":
		return bounded(comparePython)
	case "gem":
		return bounded(compareGem)
	}
	return nil
}

func bounded(compare comparer) comparer {
	return func(a, b string) (int, bool) {
		if len(a) > maxVersion || len(b) > maxVersion {
			return 0, false
		}
		return compare(a, b)
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// compareNumbers compares decimal numbers of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// compareDotted compares lists of numbers; a missing one is 0.
func compareDotted(a, b []string) int {
	for i := range max(len(a), len(b)) {
		x, y := "0", "0"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if order := compareNumbers(x, y); order != 0 {
			return order
		}
	}
	return 0
}

var semanticText = regexp.MustCompile(`^(?:v|go)?([0-9]+(?:\.[0-9]+)*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$`)

// compareSemantic is Semantic Versioning 2.0.0, section 11, with any count of
// numbers in front, as NuGet and Composer have them.
func compareSemantic(a, b string) (int, bool) {
	x, y := semanticText.FindStringSubmatch(a), semanticText.FindStringSubmatch(b)
	if x == nil || y == nil {
		return 0, false
	}
	if order := compareDotted(strings.Split(x[1], "."), strings.Split(y[1], ".")); order != 0 {
		return order, true
	}
	switch {
	case x[2] == y[2]:
		return 0, true
	case x[2] == "":
		return 1, true
	case y[2] == "":
		return -1, true
	}
	p, q := strings.Split(x[2], "."), strings.Split(y[2], ".")
	for i := range min(len(p), len(q)) {
		var order int
		switch pn, qn := isNumber(p[i]), isNumber(q[i]); {
		case pn && qn:
			order = compareNumbers(p[i], q[i])
		case pn:
			order = -1
		case qn:
			order = 1
		default:
			order = cmp.Compare(p[i], q[i])
		}
		if order != 0 {
			return order, true
		}
	}
	return cmp.Compare(len(p), len(q)), true
}

var pythonText = regexp.MustCompile(`^v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)` +
	`(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?([0-9]*))?` +
	`(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]*))?` +
	`(?:[-_.]?(dev)[-_.]?([0-9]*))?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// comparePython is PEP 440.
func comparePython(a, b string) (int, bool) {
	x, y := pythonText.FindStringSubmatch(strings.ToLower(a)), pythonText.FindStringSubmatch(strings.ToLower(b))
	if x == nil || y == nil {
		return 0, false
	}
	// phase orders dev < a < b < rc < final < post.
	phase := func(m []string) (int, string) {
		switch {
		case m[3] != "":
			return map[byte]int{'a': 1, 'b': 2, 'c': 3, 'r': 3, 'p': 3}[m[3][0]], m[4]
		case m[8] != "" && m[5] == "" && m[6] == "":
			return 0, ""
		}
		return 4, ""
	}
	post := func(m []string) string {
		switch {
		case m[5] != "":
			return "1" + m[5]
		case m[6] != "":
			return "1" + cmp.Or(m[7], "0")
		}
		return "0"
	}
	px, nx := phase(x)
	py, ny := phase(y)
	order := cmp.Or(
		compareNumbers(x[1], y[1]),
		compareDotted(strings.Split(x[2], "."), strings.Split(y[2], ".")),
		cmp.Compare(px, py), compareNumbers(nx, ny),
		comparePost(post(x), post(y)),
		compareDev(x[8], x[9], y[8], y[9]),
		compareLocal(x[10], y[10]),
	)
	return order, true
}

// comparePost compares "0" (none) with "1" and a number.
func comparePost(a, b string) int {
	return cmp.Or(cmp.Compare(a[:1], b[:1]), compareNumbers(a[1:], b[1:]))
}

// compareDev: a development release comes before the release itself.
func compareDev(a, an, b, bn string) int {
	switch {
	case a == b:
		return compareNumbers(an, bn)
	case a == "":
		return 1
	}
	return -1
}

func compareLocal(a, b string) int {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(c rune) bool { return c == '-' || c == '_' || c == '.' })
	}
	p, q := split(a), split(b)
	for i := range min(len(p), len(q)) {
		var order int
		switch pn, qn := isNumber(p[i]), isNumber(q[i]); {
		case pn && qn:
			order = compareNumbers(p[i], q[i])
		case pn:
			order = 1
		case qn:
			order = -1
		default:
			order = cmp.Compare(p[i], q[i])
		}
		if order != 0 {
			return order
		}
	}
	return cmp.Compare(len(p), len(q))
}

var gemText = regexp.MustCompile(`^[0-9]+(?:[.-]?[0-9A-Za-z]+)*$`)

// compareGem is Gem::Version: letters come before numbers.
func compareGem(a, b string) (int, bool) {
	if !gemText.MatchString(a) || !gemText.MatchString(b) {
		return 0, false
	}
	split := func(s string) []string {
		return runs(strings.NewReplacer("-", ".pre.").Replace(s))
	}
	p, q := split(a), split(b)
	for i := range max(len(p), len(q)) {
		x, y := "0", "0"
		if i < len(p) {
			x = p[i]
		}
		if i < len(q) {
			y = q[i]
		}
		var order int
		switch xn, yn := isNumber(x), isNumber(y); {
		case xn && yn:
			order = compareNumbers(x, y)
		case xn:
			order = 1
		case yn:
			order = -1
		default:
			order = cmp.Compare(x, y)
		}
		if order != 0 {
			return order, true
		}
	}
	return 0, true
}

// runs splits a version into its runs of digits and of letters.
func runs(s string) []string {
	var all []string
	for i := 0; i < len(s); {
		j := i
		switch {
		case isDigit(s[i]):
			for j < len(s) && isDigit(s[j]) {
				j++
			}
		case isLetter(s[i]):
			for j < len(s) && isLetter(s[j]) {
				j++
			}
		default:
			i++
			continue
		}
		all = append(all, s[i:j])
		i = j
	}
	return all
}
