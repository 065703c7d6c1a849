package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// signer is one party of a policy. A keyless identity will be a second way to
// be one.
type signer struct {
	name string
	keys []trust.Key
}

// is reports whether a proven signer is this party. Certificates never are: no
// entry of this version names one.
func (s *signer) is(proven verify.Signer) bool {
	if proven.Certificate != nil || proven.KeyID == "" {
		return false
	}
	return slices.ContainsFunc(s.keys, func(k trust.Key) bool { return k.ID() == proven.KeyID })
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

// count returns how many different parties have signed, where each party needs
// a proven signer of its own: two keys of one party are one, and so is one key
// that stands under two names. It is the size of the largest matching.
func (all signers) count(proven []verify.Signer) int {
	var distinct []verify.Signer
	for _, p := range proven {
		if !slices.ContainsFunc(distinct, p.Same) {
			distinct = append(distinct, p)
		}
	}
	holder := make([]int, len(distinct)) // the party that each proven signer stands for, from 1
	var assign func(party int, tried []bool) bool
	assign = func(party int, tried []bool) bool {
		for i, p := range distinct {
			if tried[i] || !all[party].is(p) {
				continue
			}
			tried[i] = true
			if holder[i] == 0 || assign(holder[i]-1, tried) {
				holder[i] = party + 1
				return true
			}
		}
		return false
	}
	parties := 0
	for party := range all {
		if assign(party, make([]bool, len(distinct))) {
			parties++
		}
	}
	return parties
}

// possible returns the most parties that could ever sign.
func (all signers) possible() int {
	var proven []verify.Signer
	for _, s := range all {
		for _, key := range s.keys {
			proven = append(proven, verify.Signer{KeyID: key.ID()})
		}
	}
	return all.count(proven)
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
