package convert

import "strings"

// glob is a Hallmark pattern in parts: its host, "" for every host, and the segments
// of its path.
type glob struct {
	host     string
	segments []string
	rest     bool // ends in `/**`
}

// globOf takes a pattern apart that policy has read.
func globOf(pattern string) glob {
	if pattern == everything {
		return glob{rest: true}
	}
	host, path, found := strings.Cut(pattern, "/")
	if !found || !strings.ContainsAny(host, ".:[") && host != "localhost" {
		host, path = "docker.io", pattern
	}
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		host = "docker.io"
	}
	host = strings.TrimSuffix(host, ":443")
	if host == "docker.io" && !strings.Contains(path, "/") && path != everything {
		path = "library/" + path
	}
	g := glob{host: host, segments: strings.Split(path, "/")}
	if last := len(g.segments) - 1; g.segments[last] == everything {
		g.segments, g.rest = g.segments[:last], true
	}
	return g
}

// meets reports whether some name may match both; it may say so too often.
func (g glob) meets(other glob) bool {
	if !hostTakes(g.host, other.host) && !hostTakes(other.host, g.host) {
		return false
	}
	short, long := g, other
	if len(short.segments) > len(long.segments) {
		short, long = long, short
	}
	if len(short.segments) < len(long.segments) && !short.rest || len(short.segments) == len(long.segments) && short.rest != long.rest {
		return false
	}
	for i, segment := range short.segments {
		if !segmentsMeet(segment, long.segments[i]) {
			return false
		}
	}
	return true
}

// takes reports whether everything that other matches matches g.
func (g glob) takes(other glob) bool {
	if !hostTakes(g.host, other.host) || len(g.segments) > len(other.segments) {
		return false
	}
	if !g.rest && (other.rest || len(g.segments) != len(other.segments)) || g.rest && !other.rest && len(g.segments) == len(other.segments) {
		return false
	}
	for i, segment := range g.segments {
		if !segmentTakes(segment, other.segments[i]) {
			return false
		}
	}
	return true
}

func hostTakes(wide, narrow string) bool {
	if wide == "" || wide == narrow {
		return true
	}
	below, wild := strings.CutPrefix(wide, "*")
	first, _, _ := strings.Cut(narrow, ".")
	return wild && narrow == first+below
}

// segmentsMeet compares what is literal at both ends.
func segmentsMeet(a, b string) bool {
	headA, tailA := ends(a)
	headB, tailB := ends(b)
	if !strings.Contains(a, "*") && !strings.Contains(b, "*") {
		return a == b
	}
	return (strings.HasPrefix(headA, headB) || strings.HasPrefix(headB, headA)) && (strings.HasSuffix(tailA, tailB) || strings.HasSuffix(tailB, tailA))
}

// ends are the literal texts before the first and behind the last star.
func ends(segment string) (head, tail string) {
	first, last := strings.IndexByte(segment, '*'), strings.LastIndexByte(segment, '*')
	if first < 0 {
		return segment, segment
	}
	return segment[:first], segment[last+1:]
}

// segmentTakes reports whether a segment's pattern takes everything that another
// takes: a star of the other is taken by a star alone.
func segmentTakes(wide, narrow string) bool {
	parts := strings.Split(wide, "*")
	if len(parts) == 1 {
		return wide == narrow
	}
	head, tail := parts[0], parts[len(parts)-1]
	if len(narrow) < len(head)+len(tail) || !strings.HasPrefix(narrow, head) || !strings.HasSuffix(narrow, tail) {
		return false
	}
	rest := narrow[len(head) : len(narrow)-len(tail)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return true
}
