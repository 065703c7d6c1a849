package convert

import (
	"strings"

	"github.com/hallmark-project/hallmark/policy"
)

// scope is one pattern of a source, between two sets of Hallmark's: what matches
// inner matches the source's pattern, and what matches that, matches outer. Names are
// meant with every tag and digest: an image is judged by the digest that its tag
// leads to.
type scope struct {
	place, text  string
	inner, outer []string
}

// exact tells that the source's pattern can be said.
func (s scope) exact() bool { return strings.Join(s.inner, " ") == strings.Join(s.outer, " ") }

// exactly is a scope of patterns that say all.
func exactly(place, text string, patterns ...string) scope {
	return scope{place: place, text: text, inner: patterns, outer: patterns}
}

const everything = "**"

// readable reports whether Hallmark reads a pattern.
func readable(pattern string) bool {
	_, err := policy.MatchesImage(pattern, "registry.example/app")
	return err == nil
}

// splitTag separates what stands behind the name: a tag, a digest, or a wildcard for
// either.
func splitTag(glob string) (name, tag string) {
	slash := strings.LastIndexByte(glob, '/')
	if i := strings.IndexAny(glob[slash+1:], "@:"); i >= 0 {
		return glob[:slash+1+i], glob[slash+1+i:]
	}
	return glob, ""
}

// anyTag tells that a tag's pattern takes every tag, or every digest.
func anyTag(tag string) bool {
	switch tag {
	case ":*", ":**", "@*", "@**", "@sha256:*", "@sha256:**":
		return true
	}
	return false
}

// slashGlob reads a pattern in which `*` stays inside a segment and `**` does not.
// The whole reference is matched, so that a name without a wildcard behind it has no
// tag.
func slashGlob(place, glob string) scope {
	s := scope{place: place, text: glob, outer: []string{everything}}
	switch glob {
	case "**":
		s.inner = []string{everything}
		return s
	case "*":
		return exactly(place, glob, "docker.io/library/*")
	case "*/*":
		return exactly(place, glob, "docker.io/*/*")
	}
	name, tag := splitTag(glob)
	if !strings.Contains(glob, "/") && strings.Contains(tag, "**") {
		return s // the tag may be a port, and a path behind it
	}
	tagged := anyTag(tag) || tag == "" && strings.HasSuffix(name, "*")
	patterns, complete := expand(name)
	if complete {
		s.outer = patterns
		if tagged {
			s.inner = patterns
		}
		return s
	}
	if wide := widen(name); wide != nil {
		s.outer = wide
	}
	if tagged {
		s.inner = narrow(name)
	}
	return s
}

// expand says a name's pattern with Hallmark's, if it can be said.
func expand(name string) (patterns []string, complete bool) {
	if stem, found := strings.CutSuffix(name, "**"); found && !strings.Contains(stem, "**") {
		if strings.HasSuffix(stem, "/") {
			patterns = []string{name}
		} else {
			patterns = []string{stem + "*", stem + "*/**"}
		}
	} else {
		patterns = []string{name}
	}
	for _, pattern := range patterns {
		if !readable(pattern) || strings.HasPrefix(pattern, "*.") {
			return nil, false
		}
	}
	return patterns, true
}

// narrow finds patterns that take a part of what the name's pattern takes.
func narrow(name string) []string {
	var all []string
	for _, middle := range []string{"/*/", "/*/*/"} {
		pattern := strings.ReplaceAll(name, "/**/", middle)
		if readable(pattern) && !strings.Contains(strings.TrimSuffix(pattern, "/**"), "**") {
			all = append(all, pattern)
		}
		if pattern == name {
			break
		}
	}
	return all
}

// widen cuts a pattern at its first segment that cannot be said: everything below is
// taken. nil is every image.
func widen(name string) []string {
	segments := strings.Split(name, "/")
	if strings.ContainsAny(segments[0], "*?") {
		return nil
	}
	for end := len(segments); end > 1; end-- {
		head := strings.Join(segments[:end-1], "/")
		if !strings.ContainsAny(head, "?") && !strings.Contains(head, "**") && readable(head+"/**") {
			return []string{head + "/**"}
		}
	}
	return nil
}

// openGlob reads a pattern in which `*` takes everything, slashes too, and `?` one
// character. Only its outer side is made: the sources that have such patterns let
// every other image pass.
func openGlob(place, glob string) scope {
	s := scope{place: place, text: glob, outer: []string{everything}}
	if strings.Trim(glob, "*") == "" {
		s.inner = s.outer
		return s
	}
	name, tag := splitTag(glob)
	if !strings.Contains(glob, "/") && strings.ContainsAny(tag, "*?") && (!anyTag(tag) || strings.Contains(name, ".") || name == "localhost") {
		return s // the tag may be a port, and a path behind it
	}
	wild := strings.IndexAny(name, "*?")
	switch {
	case wild < 0:
		if readable(name) {
			s.outer = []string{name}
			if anyTag(tag) {
				s.inner = s.outer
			}
		}
		return s
	case wild == len(name)-1 && name[wild] == '*' && (tag == "" || anyTag(tag)):
		stem := name[:wild]
		patterns := []string{stem + "*", stem + "*/**"}
		if strings.HasSuffix(stem, "/") {
			patterns = []string{stem + "**"}
		}
		if strings.Contains(stem, "/") && readable(patterns[0]) {
			s.inner, s.outer = patterns, patterns
		}
		return s
	}
	if wide := widen(name[:wild] + "*"); wide != nil {
		s.outer = wide
	}
	return s
}
