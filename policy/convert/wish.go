package convert

import (
	"fmt"
	"slices"
	"strings"
)

// wish is what one policy of a source asks of the images in its scopes. All its
// clauses and statements must be met; one without any allows everything.
type wish struct {
	place, name string
	scopes      []scope
	signatures  []clause
	statements  []statementWish
	never       bool // nothing meets it
	warn        bool // what does not meet it is allowed, and reported
}

// statementWish wants a statement that the parties of each clause signed.
type statementWish struct {
	place, kind string
	clauses     []clause
	cel         []string
	all         bool // each statement of the kind, not one of them
}

func (w *wish) open() bool { return !w.never && len(w.signatures) == 0 && len(w.statements) == 0 }

// governed is a pattern and the wishes that speak about its images.
type governed struct {
	pattern string
	wishes  []int
}

// gather finds for each pattern of the result what the sources ask of its images: all
// that may speak about one of them, unless a more specific pattern takes those away.
func (c *converter) gather() []governed {
	var all []governed
	find := func(pattern string) *governed {
		for i := range all {
			if all[i].pattern == pattern {
				return &all[i]
			}
		}
		all = append(all, governed{pattern: pattern})
		return &all[len(all)-1]
	}
	for i, w := range c.wishes {
		for _, s := range w.scopes {
			for _, pattern := range c.patterns(s) {
				one := find(globOf(pattern).String())
				if c.specific && !slices.Contains(one.wishes, i) {
					one.wishes = append(one.wishes, i)
				}
			}
		}
	}
	if c.specific {
		return all
	}
	for n := range all {
		taken := globOf(all[n].pattern)
		for i, w := range c.wishes {
			if w.speaksOf(taken, func(pattern string) bool {
				return slices.ContainsFunc(all, func(one governed) bool { return one.pattern == pattern })
			}) {
				all[n].wishes = append(all[n].wishes, i)
			}
		}
	}
	all = merge(all)
	for _, one := range all {
		for _, i := range one.wishes {
			c.losePart(c.wishes[i], one.pattern)
		}
	}
	return all
}

// losePart tells that a wish speaks of some images of a pattern, and is asked of all.
func (c *converter) losePart(w wish, pattern string) {
	governs := globOf(pattern)
	for _, s := range w.scopes {
		for _, mine := range s.outer {
			if globOf(mine).takes(governs) {
				return
			}
		}
	}
	c.lose(w.place, "patterns that have images in common with "+pattern+", and others", "what is asked holds for all of "+pattern)
}

// patterns are those of the result for a scope: its inner side where other images are
// refused, its outer side where they are not. Of the outer side are also those that
// another scope takes as a whole: so nothing is asked of its other images.
func (c *converter) patterns(s scope) []string {
	if c.unmatched == "warn" || c.specific {
		return s.outer
	}
	all := slices.Clone(s.inner)
	for _, pattern := range s.outer {
		inside := globOf(pattern)
		for _, w := range c.wishes {
			for _, other := range w.scopes {
				if slices.ContainsFunc(other.inner, func(wide string) bool { return globOf(wide).takes(inside) }) {
					all = append(all, pattern)
				}
			}
		}
	}
	return distinct(all)
}

// speaksOf reports whether a wish says something about images that a pattern governs.
// is tells which patterns the result has.
func (w *wish) speaksOf(governs glob, is func(pattern string) bool) bool {
	for _, s := range w.scopes {
		for _, pattern := range s.outer {
			mine := globOf(pattern)
			if !mine.meets(governs) {
				continue
			}
			elsewhere := is(mine.String()) && governs.takes(mine) && !mine.takes(governs)
			if !elsewhere {
				return true
			}
		}
	}
	return false
}

// merge puts patterns together that have names in common and none of which is more
// specific: one rule must govern them, with all that is asked of any of them.
func merge(all []governed) []governed {
	for changed := true; changed; {
		changed = false
		for i := range all {
			for j := i + 1; j < len(all); j++ {
				a, b := globOf(all[i].pattern), globOf(all[j].pattern)
				if !a.meets(b) || a.takes(b) || b.takes(a) {
					continue
				}
				both := slices.Compact(slices.Sorted(slices.Values(slices.Concat(all[i].wishes, all[j].wishes))))
				if !slices.Equal(all[i].wishes, both) || !slices.Equal(all[j].wishes, both) {
					all[i].wishes, all[j].wishes, changed = both, both, true
				}
			}
		}
	}
	return all
}

// demands makes one rule's demands of what several wishes ask together.
func (c *converter) demands(set []int) (require requireText, warn bool) {
	warn = true
	var clauses []clause
	var statements []statementWish
	never, warned := false, ""
	for _, i := range set {
		w := &c.wishes[i]
		if w.open() {
			continue
		}
		if w.warn {
			warned = w.place
		} else {
			warn = false
		}
		never = never || w.never
		clauses = append(clauses, w.signatures...)
		statements = append(statements, w.statements...)
	}
	if warned != "" && !warn {
		c.lose(warned, "a policy that only warns, about images that another one refuses", "it refuses too")
	}
	if never || len(clauses) == 0 && len(statements) == 0 {
		return c.impossible(), warn
	}
	if len(clauses) > 0 {
		require.Signatures = c.signatures(clauses)
	}
	for _, s := range statements {
		for _, one := range c.statement(s) {
			if !slices.ContainsFunc(require.Statements, func(other statementText) bool { return other.equal(one) }) {
				require.Statements = append(require.Statements, one)
			}
		}
	}
	return require, warn
}

// impossible is what nothing meets.
func (c *converter) impossible() requireText {
	return requireText{Signatures: &signaturesText{From: []string{c.parties.add(nobody())}}}
}

func (c *converter) named(all []party) []string {
	var names []string
	for _, p := range all {
		names = append(names, c.parties.add(p))
	}
	return distinct(names)
}

func distinct(names []string) []string {
	var all []string
	for _, name := range names {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// statement says a statement with a demand for each clause, or each party.
func (c *converter) statement(s statementWish) []statementText {
	var all []statementText
	one := statementText{Type: s.kind, CEL: s.cel}
	if s.all {
		one.Which = "all"
	}
	for _, clause := range s.clauses {
		names := c.named(clause.parties)
		if clause.need == 1 {
			one.From = names
			all = append(all, one)
			continue
		}
		if clause.need < len(names) {
			c.lose(clause.place, fmt.Sprintf("a statement by %d of %d signers", clause.need, len(names)), "each of them must have signed one")
		}
		for _, name := range names {
			one.From = []string{name}
			all = append(all, one)
		}
	}
	return all
}

// String is the pattern's canonical text.
func (g glob) String() string {
	if g.host == "" {
		return everything
	}
	all := append([]string{g.host}, g.segments...)
	if g.rest {
		all = append(all, everything)
	}
	return strings.Join(all, "/")
}
