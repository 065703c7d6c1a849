package policy

import "strings"

// patternIndex finds the patterns that a name matches without asking each of them:
// a tree of hosts and path segments.
type patternIndex struct {
	hosts map[string]*segmentNode // by literal host
	below map[string]*segmentNode // by what stands behind `*.`
	every *segmentNode            // every host
}

// segmentNode is what patterns say behind one beginning.
type segmentNode struct {
	literal map[string]*segmentNode
	globs   []globChild
	here    []*ownPattern // patterns that end here
	rest    []*ownPattern // patterns that end in `**` here
}

type globChild struct {
	segment string
	node    *segmentNode
}

// ownPattern is a pattern with its rule.
type ownPattern struct {
	pattern
	rule *rule
	at   text
}

func newPatternIndex() *patternIndex {
	return &patternIndex{hosts: make(map[string]*segmentNode), below: make(map[string]*segmentNode), every: &segmentNode{}}
}

func (x *patternIndex) add(p *ownPattern) {
	n := x.every
	if p.host != "" {
		in, key := x.hosts, p.host
		if below, wild := strings.CutPrefix(p.host, "*."); wild {
			in, key = x.below, below
		}
		if in[key] == nil {
			in[key] = &segmentNode{}
		}
		n = in[key]
	}
	for _, segment := range p.path.segments {
		n = n.child(segment)
	}
	if p.path.rest {
		n.rest = append(n.rest, p)
	} else {
		n.here = append(n.here, p)
	}
}

func (n *segmentNode) child(segment string) *segmentNode {
	if !strings.Contains(segment, "*") {
		if n.literal == nil {
			n.literal = make(map[string]*segmentNode)
		}
		if n.literal[segment] == nil {
			n.literal[segment] = &segmentNode{}
		}
		return n.literal[segment]
	}
	for _, g := range n.globs {
		if g.segment == segment {
			return g.node
		}
	}
	made := &segmentNode{}
	n.globs = append(n.globs, globChild{segment, made})
	return made
}

// matching calls yield for every pattern that a canonical name matches.
func (x *patternIndex) matching(canonical string, yield func(*ownPattern)) {
	host, path, found := strings.Cut(canonical, "/")
	if !found {
		return
	}
	x.every.matching(path, yield)
	x.hosts[host].matching(path, yield)
	if label, below, dotted := strings.Cut(host, "."); dotted && label != "" && !strings.HasPrefix(label, "[") {
		x.below[below].matching(path, yield)
	}
}

func (n *segmentNode) matching(path string, yield func(*ownPattern)) {
	if n == nil {
		return
	}
	segment, tail, more := strings.Cut(path, "/")
	for _, p := range n.rest {
		yield(p)
	}
	step := func(child *segmentNode) {
		if more {
			child.matching(tail, yield)
			return
		}
		for _, p := range child.here {
			yield(p)
		}
	}
	if child := n.literal[segment]; child != nil {
		step(child)
	}
	for _, g := range n.globs {
		if matchSegment(g.segment, segment) {
			step(g.node)
		}
	}
}

// meeting calls yield for every pattern that some name matches beside p, as far as
// steps last: what the comparisons of wildcards may still cost. It is below zero where
// they did not.
func (x *patternIndex) meeting(p pattern, steps *int, yield func(*ownPattern)) {
	m := meeting{steps, yield}
	visit := func(n *segmentNode) {
		if n != nil {
			m.below(n, p.path.segments, p.path.rest)
		}
	}
	visit(x.every)
	below, wild := strings.CutPrefix(p.host, "*.")
	if p.host != "" && !wild {
		visit(x.hosts[p.host])
		if label, rest, dotted := strings.Cut(p.host, "."); dotted && !strings.HasPrefix(label, "[") {
			visit(x.below[rest])
		}
		return
	}
	for host, n := range x.hosts {
		if matchHost(p.host, host) {
			visit(n)
		}
	}
	if p.host != "" {
		visit(x.below[below])
		return
	}
	for _, n := range x.below {
		visit(n)
	}
}

// meeting is one search for the patterns that a pattern meets.
type meeting struct {
	steps *int
	yield func(*ownPattern)
}

// meets compares two segments while steps last.
func (m meeting) meets(a, b string) bool {
	a, b, can := trimSegments(a, b)
	*m.steps--
	if can && strings.Contains(a, "*") != strings.Contains(b, "*") {
		*m.steps -= len(a) * len(b)
	}
	return can && *m.steps >= 0 && meetsTrimmed(a, b)
}

func (m meeting) below(n *segmentNode, segments []string, rest bool) {
	if len(segments) == 0 {
		if !rest {
			for _, p := range n.here {
				m.yield(p)
			}
			return
		}
		n.each(m.yield)
		return
	}
	for _, p := range n.rest {
		m.yield(p)
	}
	if !strings.Contains(segments[0], "*") {
		if child := n.literal[segments[0]]; child != nil {
			m.below(child, segments[1:], rest)
		}
	} else {
		for literal, child := range n.literal {
			if m.meets(segments[0], literal) {
				m.below(child, segments[1:], rest)
			}
		}
	}
	for _, g := range n.globs {
		if m.meets(segments[0], g.segment) {
			m.below(g.node, segments[1:], rest)
		}
	}
}

// each calls yield for every pattern that is longer than the beginning.
func (n *segmentNode) each(yield func(*ownPattern)) {
	for _, p := range n.rest {
		yield(p)
	}
	for _, child := range n.literal {
		for _, p := range child.here {
			yield(p)
		}
		child.each(yield)
	}
	for _, g := range n.globs {
		for _, p := range g.node.here {
			yield(p)
		}
		g.node.each(yield)
	}
}
