package policy

import (
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
)

// hearing is what a demand is judged on: one digest's findings without those that
// count for nobody, at one time.
type hearing struct {
	Part
	at time.Time
	// index is the index that a platform belongs to; zero for the target itself.
	index digest.Digest
	// name is the canonical name of the image.
	name string
	// holder says that it is an index whose platforms are judged too.
	holder bool
	// met are the statements that meet each demand that was judged already, by its
	// name; nil where no demand of the rule asks for them.
	met map[string][]met
	// ends are the first instants at which the facts, in their order, count no more;
	// zero is never.
	ends []time.Time
	// tried describe the facts, in their order, before any demand has judged them.
	tried []Attempt
}

// attempt describes the fact at an index as tried evidence.
func (h hearing) attempt(i int) Attempt {
	if len(h.tried) == len(h.Findings.Facts) { // else some facts were left out
		return h.tried[i]
	}
	return attempt(h.Findings.Facts[i])
}

// refused describes facts of another type than is wanted.
func (h hearing) refused(facts []int, why string) []Attempt {
	all := make([]Attempt, len(facts))
	for n, i := range facts {
		all[n] = h.attempt(i)
		all[n].Reason, all[n].Detail = verify.ReasonPredicateType, why
	}
	return all
}

// describe fills tried: several demands look at each fact.
func (h hearing) describe() hearing {
	h.tried = make([]Attempt, len(h.Findings.Facts))
	for i, f := range h.Findings.Facts {
		h.tried[i] = attempt(f)
	}
	return h
}

// end returns the first instant at which the fact at an index counts no more; zero
// is never.
func (h hearing) end(i int) time.Time {
	if i < len(h.ends) {
		return h.ends[i]
	}
	return time.Time{}
}

// earlier returns the first of two instants, of which zero is never.
func earlier(a, b time.Time) time.Time {
	switch {
	case a.IsZero(), !b.IsZero() && b.Before(a):
		return b
	}
	return a
}

// later returns the last of two instants, of which zero is never.
func later(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return a
	}
	return b
}

// inForce opens the hearing of a part: the facts of revoked signers, and of keys
// outside their time, are refused. The part itself stays as it is.
func (p *Policy) inForce(part Part, at time.Time) hearing {
	h := hearing{Part: part, at: at, index: part.Index}
	if len(p.revoked) == 0 && len(p.terms) == 0 && len(p.rootEnds) == 0 {
		return h.describe()
	}
	facts := make([]verify.Fact, 0, len(part.Findings.Facts))
	rejected := slices.Clone(part.Findings.Rejected)
	for _, f := range part.Findings.Facts {
		if by := slices.IndexFunc(p.revoked, func(r revocation) bool { return r.refuses(f) }); by >= 0 {
			rejected = append(rejected, p.revoked[by].rejection(f))
			continue
		}
		var end time.Time
		if own, found := p.terms[f.Signer.KeyID]; found && f.Signer.Certificate == nil {
			var reason verify.Reason
			var err error
			if end, reason, err = own.judge(f, at); reason != "" {
				rejected = append(rejected, refusal(f, reason, err))
				continue
			}
		}
		if f.Signer.Certificate != nil {
			end = p.rootEnds[f.Signer.Certificate.Root]
		}
		facts, h.ends = append(facts, f), append(h.ends, end)
	}
	h.Findings.Facts, h.Findings.Rejected = facts, rejected
	return h.describe()
}

// refusal is what becomes of a fact that does not count.
func refusal(f verify.Fact, reason verify.Reason, cause error) *verify.Rejection {
	o, step := f.Origin, verify.StepSignature
	switch {
	case f.Kind == verify.KindSignature:
		o.ClaimedType = verify.SignaturePredicateType
	case f.Statement != nil:
		o.ClaimedType = f.Statement.PredicateType
	}
	if f.Signer.Certificate != nil {
		step = verify.StepCertificate
	}
	return &verify.Rejection{Origin: o, Step: step, Reason: reason, Found: f.Signer.String(), Err: cause}
}
