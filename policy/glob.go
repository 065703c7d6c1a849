package policy

import "strings"

// A glob is a path of segments. `*` stands for any run of characters inside one
// segment, `**` at the end for any number of whole segments, at least one.
type glob struct {
	segments []string
	rest     bool // ends in `**`
}

// parseGlob splits a pattern; the caller has checked its characters.
func parseGlob(pattern string) glob {
	segments := strings.Split(pattern, "/")
	if last := len(segments) - 1; segments[last] == "**" {
		return glob{segments: segments[:last], rest: true}
	}
	return glob{segments: segments}
}

func (g glob) String() string {
	if !g.rest {
		return strings.Join(g.segments, "/")
	}
	return strings.Join(append(g.segments[:len(g.segments):len(g.segments)], "**"), "/")
}

// match reports whether the whole name matches.
func (g glob) match(name string) bool {
	parts := strings.Split(name, "/")
	if len(parts) < len(g.segments) || g.rest == (len(parts) == len(g.segments)) {
		return false
	}
	for i, segment := range g.segments {
		if parts[i] == "" || !matchSegment(segment, parts[i]) {
			return false
		}
	}
	for _, part := range parts[len(g.segments):] {
		if part == "" {
			return false
		}
	}
	return true
}

// matchSegment matches one whole segment, in time proportional to the product
// of the lengths. A `*` in name is matched by `*` alone, so that the same
// function tells whether one pattern takes everything that another takes.
func matchSegment(pattern, name string) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// meetsSegment reports whether some text matches both patterns.
func meetsSegment(a, b string) bool {
	a, b, can := trimSegments(a, b)
	return can && meetsTrimmed(a, b)
}

// trimSegments takes away the letters that two patterns begin and end with; can is
// false where those already differ, as they do in most pairs.
func trimSegments(a, b string) (restA, restB string, can bool) {
	for a != "" && b != "" && a[0] != '*' && b[0] != '*' {
		if a[0] != b[0] {
			return a, b, false
		}
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] != '*' && b[len(b)-1] != '*' {
		if a[len(a)-1] != b[len(b)-1] {
			return a, b, false
		}
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b, true
}

// meetsTrimmed is meetsSegment for what is left. Where both have a star, a text can
// hold what stands between the stars of one behind that of the other.
func meetsTrimmed(a, b string) bool {
	switch {
	case !strings.Contains(a, "*"):
		return matchSegment(b, a)
	case !strings.Contains(b, "*"):
		return matchSegment(a, b)
	}
	return true
}

// meets reports whether some name matches both globs.
func (g glob) meets(other glob) bool {
	short, long := g, other
	if len(short.segments) > len(long.segments) {
		short, long = long, short
	}
	if len(short.segments) < len(long.segments) && !short.rest {
		return false
	}
	if len(short.segments) == len(long.segments) && short.rest != long.rest {
		return false
	}
	for i, segment := range short.segments {
		if !meetsSegment(segment, long.segments[i]) {
			return false
		}
	}
	return true
}

// moreSpecific compares two globs that some name matches both. From the left,
// the first segment in which they differ decides: a segment that takes less is
// more specific, and any segment is more specific than `**`. When neither takes
// less, neither is more specific, whatever follows.
func (g glob) moreSpecific(other glob) bool {
	for i, segment := range g.segments {
		if i >= len(other.segments) {
			return other.rest
		}
		if segment != other.segments[i] {
			return matchSegment(other.segments[i], segment)
		}
	}
	return false
}
