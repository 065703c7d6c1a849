package policy

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// TestLawsOfSeveralStatements: SB-26, DS-14, DS-15: under rules that look at several
// statements, and at summaries, the order of the findings does not matter; what does not
// count changes no verdict; and less evidence never allows.
func TestLawsOfSeveralStatements(t *testing.T) {
	t.Parallel()
	several := require("provenance: {from: [a]}\nstatements: [{type: vuln, from: [a]}]\nsameRun: [provenance, 'statements[0]']\njoin: [{of: {p: provenance, s: vuln}, cel: [p.predicate.runDetails.metadata.invocationId == s.predicate.invocation.uri]}]")
	word := parse(t, summarising(week))
	good := summaryBy(t, word, noon)
	bad := good
	bad.Rule = "lax"
	pools := map[string][]verify.Fact{
		several: {
			attested(t, "a", predicate.TypeProvenanceV1, provenanceOf(runOne)), attested(t, "a", predicate.TypeProvenanceV1, provenanceOf(runTwo)),
			attested(t, "a", predicate.TypeVuln, scanIn(runOne)), attested(t, "a", predicate.TypeVuln, scanIn(runTwo+"x")), attested(t, "a", predicate.TypeVuln, `{}`),
		},
		summarising(week): append([]verify.Fact{summaryFact(t, "b", good), summaryFact(t, "b", bad), signed(t, "b")}, evidenceOfA(t).Target.Findings.Facts...),
	}
	foreign := []verify.Fact{
		attested(t, "x", predicate.TypeProvenanceV1, provenanceOf(runTwo)), attested(t, "x", predicate.TypeVuln, scanIn(runTwo)), attested(t, "c", predicate.TypeVuln, scanIn(runOne)),
		summaryFact(t, "a", good), summaryFact(t, "x", good), summaryFact(t, "b", bad), attested(t, "b", predicate.TypeVSA, `{}`),
	}
	same := cmp.Comparer(func(a, b digest.Digest) bool { return a == b })
	for yaml, pool := range pools {
		p := parse(t, yaml)
		random := rand.New(rand.NewPCG(9, 10))
		verdicts := make(map[Verdict]int)
		for range 60 {
			facts := sample(random, pool)
			want := p.Decide(found(facts...), noon)
			verdicts[want.Verdict]++
			if diff := cmp.Diff(want, p.Decide(found(shuffle(random, facts)...), noon), same); diff != "" {
				t.Fatalf("SB-26 the order of the findings matters:\n%s", diff)
			}
			more := slices.Concat(facts, sample(random, foreign))
			if got := p.Decide(found(more...), noon); got.Verdict != want.Verdict {
				t.Fatalf("evidence that does not count turns %s into %s", want.Verdict, got.Verdict)
			}
			for i := range facts {
				less := found(slices.Delete(slices.Clone(facts), i, i+1)...)
				if p.Decide(less, noon).Verdict == Allow && want.Verdict != Allow {
					t.Fatal("without a fact, a refusal becomes allow")
				}
				less.Target.Findings.Missing = []error{errors.New("503")}
				if got := p.Decide(less, noon).Verdict; got == Deny {
					t.Fatal("with a place missing, it is denied")
				}
			}
		}
		if verdicts[Allow] == 0 || verdicts[Deny] == 0 {
			t.Errorf("the samples give only %v: the test has lost its grip", verdicts)
		}
	}
}
