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
	// reach[j]: the first i bytes of a and the first j of b can match one text.
	reach := make([]bool, len(b)+1)
	reach[0] = true
	for j := range len(b) {
		reach[j+1] = reach[j] && b[j] == '*'
	}
	for i := range len(a) {
		diagonal := reach[0]
		reach[0] = reach[0] && a[i] == '*'
		for j := range len(b) {
			next := diagonal && (a[i] == b[j] && a[i] != '*')
			if a[i] == '*' || b[j] == '*' {
				// A star takes nothing, or one more character of the other side.
				next = reach[j] || reach[j+1] || diagonal
			}
			diagonal, reach[j+1] = reach[j+1], next
		}
	}
	return reach[len(b)]
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
