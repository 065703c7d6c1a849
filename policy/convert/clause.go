package convert

import (
	"fmt"
	"slices"
)

// clause wants a number of parties out of a list.
type clause struct {
	place   string
	need    int
	parties []party
}

// signatures says all clauses with one demand. One clause is a number of signers;
// several make one signer each of their alternatives, and all must sign.
func (c *converter) signatures(clauses []clause) *signaturesText {
	clauses = absorb(clauses)
	if len(clauses) > 1 {
		for i, one := range clauses {
			if one.need > 1 {
				c.lose(one.place, fmt.Sprintf("%d of %d signers, and others beside them", one.need, len(one.parties)), "all of them must sign")
				clauses[i].need = len(one.parties)
			}
		}
		clauses = absorb(clauses)
	}
	if len(clauses) > 1 && !separate(clauses) {
		c.lose(clauses[0].place, "more things asked than there are signers for them", "all of these must sign")
		clauses = allOf(clauses)
	}
	if len(clauses) == 1 {
		from := c.named(clauses[0].parties)
		return &signaturesText{From: from, AtLeast: threshold(min(clauses[0].need, len(from)))}
	}
	var from []string
	for _, one := range clauses {
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

// allOf wants every party of the clauses.
func allOf(clauses []clause) []clause {
	all := clause{place: clauses[0].place}
	for _, one := range clauses {
		for _, p := range one.parties {
			if !slices.ContainsFunc(all.parties, func(q party) bool { return p.text() == q.text() }) {
				all.parties = append(all.parties, p)
			}
		}
	}
	all.need = len(all.parties)
	return []clause{all}
}

// separate reports whether each clause can have a party of its own: Hallmark counts no
// signer twice.
func separate(clauses []clause) bool {
	taken := make(map[string]int) // party to clause
	var place func(i int, tried map[string]bool) bool
	place = func(i int, tried map[string]bool) bool {
		for _, p := range clauses[i].parties {
			if tried[p.text()] {
				continue
			}
			tried[p.text()] = true
			if other, used := taken[p.text()]; !used || place(other, tried) {
				taken[p.text()] = i
				return true
			}
		}
		return false
	}
	for i := range clauses {
		if !place(i, make(map[string]bool)) {
			return false
		}
	}
	return true
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
		one.parties = allOf([]clause{one})[0].parties
		one.need = min(one.need, len(one.parties))
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

// within reports whether meeting one clause meets the other: as many of its parties as
// are wanted, without those that the other does not list, are enough.
func (one clause) within(other clause) bool {
	strangers := 0
	for _, p := range one.parties {
		if !slices.ContainsFunc(other.parties, func(q party) bool { return p.text() == q.text() }) {
			strangers++
		}
	}
	return one.need-strangers >= other.need
}
