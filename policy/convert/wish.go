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

// clause wants a number of parties out of a list.
type clause struct {
	place   string
	need    int
	parties []party
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
	return merge(all)
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

// signatures says all clauses with one demand. One clause is a number of signers;
// several make one signer each of their alternatives, and all must sign.
func (c *converter) signatures(clauses []clause) *signaturesText {
	clauses = absorb(clauses)
	if len(clauses) == 1 {
		from := c.named(clauses[0].parties)
		return &signaturesText{From: from, AtLeast: threshold(min(clauses[0].need, len(from)))}
	}
	var from []string
	for _, one := range clauses {
		if one.need > 1 {
			c.lose(one.place, fmt.Sprintf("%d of %d signers, and others beside them", one.need, len(one.parties)), "all of them must sign")
			from = append(from, c.named(one.parties)...)
			continue
		}
		signer, more := union(one.parties)
		for _, p := range one.parties {
			if len(p.Keys) > 0 && p.Times != signer.Times {
				c.lose(one.place, "keys, of which some need a log entry and some do not", "all of them need one")
			}
		}
		if more {
			c.lose(one.place, "several identities, of which one must sign beside others", "only the first of them counts")
		}
		from = append(from, c.parties.add(signer))
	}
	from = distinct(from)
	c.loseShared(clauses[0].place, from)
	return &signaturesText{From: from, AtLeast: threshold(len(from))}
}

// loseShared tells that one signature does not meet two clauses here.
func (c *converter) loseShared(place string, from []string) {
	seen := make(map[string]bool)
	for _, name := range from {
		for _, key := range c.parties.known[name].Keys {
			if seen[key.PEM] {
				c.lose(place, "one signature that is enough for two of the things asked", "each needs a signature by another key")
				return
			}
			seen[key.PEM] = true
		}
	}
}

func threshold(need int) int {
	if need == 1 {
		return 0 // the default
	}
	return need
}

// absorb writes "all of them" as clauses of one party each, and leaves out what
// another clause implies.
func absorb(clauses []clause) []clause {
	var single []clause
	for _, one := range clauses {
		if one.need < len(one.parties) || one.need == 1 {
			single = append(single, one)
			continue
		}
		for _, p := range one.parties {
			single = append(single, clause{one.place, 1, []party{p}})
		}
	}
	var kept []clause
	for i, one := range single {
		implied := slices.ContainsFunc(single, func(other clause) bool { return other.within(one) && !one.within(other) })
		equal := slices.ContainsFunc(single[:i], func(other clause) bool { return other.within(one) && one.within(other) })
		if !implied && !equal {
			kept = append(kept, one)
		}
	}
	if len(kept) > 1 && !slices.ContainsFunc(kept, func(one clause) bool { return one.need > 1 || len(one.parties) > 1 }) {
		all := clause{kept[0].place, len(kept), nil}
		for _, one := range kept {
			all.parties = append(all.parties, one.parties...)
		}
		return []clause{all}
	}
	return kept
}

// within reports whether meeting one clause meets the other.
func (one clause) within(other clause) bool {
	return one.need >= other.need && !slices.ContainsFunc(one.parties, func(p party) bool {
		return !slices.ContainsFunc(other.parties, func(q party) bool { return p.text() == q.text() })
	})
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
