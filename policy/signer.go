package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// signer is one party of a policy: it has keys, an identity, or both.
type signer struct {
	name    string
	keys    []trust.Key
	keyless *profile
}

// is reports whether a proven signer is this party. A key never stands for a
// certificate, nor a certificate for its key.
func (s *signer) is(proven verify.Signer) bool {
	if proven.Certificate != nil {
		return s.keyless != nil && s.keyless.mismatch(proven.Certificate) == nil
	}
	return proven.KeyID != "" && slices.ContainsFunc(s.keys, func(k trust.Key) bool { return k.ID() == proven.KeyID })
}

// signers are the parties that one demand accepts, ordered by name.
type signers []*signer

// has returns the names of the parties that a proven signer is.
func (all signers) has(proven verify.Signer) []string {
	var names []string
	for _, s := range all {
		if s.is(proven) {
			names = append(names, s.name)
		}
	}
	return names
}

// refusal says why a proven signer is none of the parties: for a certificate, how
// it differs from the nearest of the identities.
func (all signers) refusal(proven verify.Signer) (verify.Reason, string) {
	var best *mismatch
	var name string
	for _, s := range all {
		if proven.Certificate == nil || s.keyless == nil {
			continue
		}
		if m := s.keyless.mismatch(proven.Certificate); m != nil && (best == nil || m.passed > best.passed) {
			best, name = m, s.name
		}
	}
	if best == nil {
		return verify.ReasonIdentityMismatch, "its signer is not " + all.oneOf()
	}
	return best.reason, fmt.Sprintf("its signer is not %s: %s", name, best)
}

// refuser gives refusals and makes the one for keys, which is always the same, once.
type refuser struct {
	from signers
	keys string
}

func (r *refuser) of(proven verify.Signer) (verify.Reason, string) {
	if proven.Certificate != nil {
		return r.from.refusal(proven)
	}
	if r.keys == "" {
		_, r.keys = r.from.refusal(proven)
	}
	return verify.ReasonIdentityMismatch, r.keys
}

// count returns how many different parties have signed, where each party needs
// a proven signer of its own: two keys of one party are one, and so is one key
// that stands under two names. It is the size of the largest matching.
func (all signers) count(proven []verify.Signer) int {
	var distinct [][]verify.Signer // each a signer, as often as it was proved
	for _, p := range proven {
		at := slices.IndexFunc(distinct, func(same []verify.Signer) bool { return p.Same(same[0]) })
		if at < 0 {
			distinct = append(distinct, nil)
			at = len(distinct) - 1
		}
		distinct[at] = append(distinct[at], p)
	}
	fits := make([][]int, len(all))
	for party := range all {
		for i := range distinct {
			if slices.ContainsFunc(distinct[i], all[party].is) {
				fits[party] = append(fits[party], i)
			}
		}
	}
	return matching(fits, len(distinct))
}

// matching is the size of the largest set of pairs of parties and holders in which
// nobody stands twice. fits lists the holders that each party may have.
func matching(fits [][]int, holders int) int {
	holder := make([]int, holders) // the party that each stands for, from 1
	tried := make([]int, holders)  // the party that it was tried for last, from 1
	var assign func(party, turn int) bool
	assign = func(party, turn int) bool {
		for _, i := range fits[party] {
			if tried[i] == turn {
				continue
			}
			tried[i] = turn
			if holder[i] == 0 || assign(holder[i]-1, turn) {
				holder[i] = party + 1
				return true
			}
		}
		return false
	}
	pairs := 0
	for party := range fits {
		if assign(party, party+1) {
			pairs++
		}
	}
	return pairs
}

// possible returns the most parties that could ever sign: each key for one, and
// each different identity for one.
func (all signers) possible() int {
	number := make(map[string]int)
	fits := make([][]int, len(all))
	for party, s := range all {
		for _, name := range s.holders() {
			if _, known := number[name]; !known {
				number[name] = len(number)
			}
			fits[party] = append(fits[party], number[name])
		}
	}
	return matching(fits, len(number))
}

// holders name what the party can sign with.
func (s *signer) holders() []string {
	var names []string
	for _, key := range s.keys {
		names = append(names, key.ID())
	}
	if s.keyless != nil {
		names = append(names, s.keyless.canonical)
	}
	return names
}

// String lists the names for people: "ops, release".
func (all signers) String() string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.name
	}
	return strings.Join(names, ", ")
}

// oneOf says "ops" or "one of ops, release".
func (all signers) oneOf() string {
	if len(all) == 1 {
		return all[0].name
	}
	return fmt.Sprintf("one of %s", all)
}
