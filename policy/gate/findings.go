package gate

import (
	"context"
	"fmt"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/evidence"
)

// place is one digest with what has been found about it so far.
type place struct {
	part     policy.Part
	search   *evidence.Search
	checkers checkers
}

func (j *judging) place(subject verify.Subject, platform string) *place {
	want := evidence.Want{Signatures: j.plan.Signatures, PredicateTypes: j.plan.PredicateTypes}
	search := evidence.New(j.target.Source, j.target.Reference.At(subject.Digest), subject.Digest, want).Within(j.budget)
	if j.target.Layout != "" {
		search = search.InLayout(j.target.Layout)
	}
	return &place{part: policy.Part{Subject: subject, Platform: platform}, search: search, checkers: j.checkers}
}

// lookAtSummaries looks at the referrers that claim to be a summary.
func (p *place) lookAtSummaries(ctx context.Context, types []string) {
	p.add(ctx, p.search.ReferrersOf(ctx, types))
}

func (p *place) lookAtReferrers(ctx context.Context) { p.add(ctx, p.search.Referrers(ctx)) }
func (p *place) lookAtTags(ctx context.Context)      { p.add(ctx, p.search.Tags(ctx)) }

// add checks what was found and keeps the outcome. What is not checked when the time is
// up is missing.
func (p *place) add(ctx context.Context, found evidence.Found) {
	f := &p.part.Findings
	f.Rejected = append(f.Rejected, found.Rejected...)
	f.Missing = append(f.Missing, missing(found.Missing)...)
	for i, e := range found.Evidence {
		if err := ctx.Err(); err != nil {
			err = fmt.Errorf("checking the evidence: time is up, %d of %d pieces were checked: %w", i, len(found.Evidence), err)
			f.Missing = append(f.Missing, missing([]error{err})...)
			break
		}
		fact, rejection := check(p.checkers, p.part.Subject, e)
		if rejection != nil {
			f.Rejected = append(f.Rejected, rejection)
			continue
		}
		f.Facts = append(f.Facts, fact)
	}
}

// check proves one piece. The payload alone says what it is: a piece whose
// unsigned annotation claims another predicate type is refused. The claim of a bare
// signature is passed over: cosign 2.6 writes it on every bundle.
func check(all checkers, s verify.Subject, e verify.Evidence) (verify.Fact, *verify.Rejection) {
	fact, rejection := all.check(s, e)
	if rejection != nil {
		return verify.Fact{}, rejection
	}
	claimed := e.Origin.ClaimedType
	if fact.Statement == nil || claimed == "" || claimed == fact.Statement.PredicateType || claimed == verify.SignaturePredicateType {
		return fact, nil
	}
	return verify.Fact{}, &verify.Rejection{
		Origin: e.Origin, Step: verify.StepStatement, Reason: verify.ReasonPredicateType,
		Found: fact.Statement.PredicateType, Wanted: claimed,
		Err: fmt.Errorf("its annotation claims %q, the signed statement is %q", claimed, fact.Statement.PredicateType),
	}
}
