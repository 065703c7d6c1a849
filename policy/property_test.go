package policy

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// evidencePool has good, bad and foreign facts for the full policy.
func evidencePool(t *testing.T) []verify.Fact {
	elsewhere := signed(t, "a")
	elsewhere.Subject.Digest = digest.FromBytes([]byte("another"))
	return []verify.Fact{
		signed(t, "a"), signed(t, "a"), signed(t, "b"), signed(t, "c"), signed(t, "x"), elsewhere,
		attested(t, "a", predicate.TypeProvenanceV1, provenanceBody(hosted, source, tagRef)),
		attested(t, "a", predicate.TypeProvenanceV1, provenanceBody(hosted, source, "refs/heads/main")),
		attested(t, "x", predicate.TypeProvenanceV1, provenanceBody(hosted, source, tagRef)),
		attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/good@1")),
		attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/event-stream@3.3.6")),
		attested(t, "a", predicate.TypeCycloneDX, cyclonedx()),
		attested(t, "a", testType, passed), attested(t, "a", testType, failed), attested(t, "b", testType, passed),
		attested(t, "a", testType, `"text"`), attested(t, "a", predicate.TypeVuln, passed),
	}
}

func rejectionPool() []*verify.Rejection {
	var all []*verify.Rejection
	for i, reason := range []verify.Reason{verify.ReasonKeyMismatch, verify.ReasonSubjectMismatch, verify.ReasonUnsigned, verify.ReasonForeignFormat, verify.ReasonSignatureFormat} {
		o := origin(i)
		o.ClaimedType = []string{"", testType, verify.SignaturePredicateType, predicate.TypeSPDX, "x"}[i]
		all = append(all, &verify.Rejection{Origin: o, Step: verify.StepSignature, Reason: reason, Err: errors.New("refused")})
	}
	return all
}

// TestOrderDoesNotMatter and the laws below run on random subsets of the pool,
// from fixed seeds.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	p := parse(t, full)
	random := rand.New(rand.NewPCG(1, 2))
	pool, rejected := evidencePool(t), rejectionPool()
	verdicts := make(map[Verdict]int)
	for range 150 {
		img := found(sample(random, pool)...)
		img.Target.Findings.Rejected = sample(random, rejected)
		if random.IntN(3) == 0 {
			img.Target.Findings.Missing = []error{errors.New("503"), errors.New("timeout")}
		}
		want := p.Decide(img, noon)
		verdicts[want.Verdict]++
		for range 3 {
			shuffled := img
			shuffled.Target.Findings.Facts = shuffle(random, img.Target.Findings.Facts)
			shuffled.Target.Findings.Rejected = shuffle(random, img.Target.Findings.Rejected)
			shuffled.Target.Findings.Missing = shuffle(random, img.Target.Findings.Missing)
			if diff := cmp.Diff(want, p.Decide(shuffled, noon), cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); diff != "" {
				t.Fatalf("SB-26, DS-14: the order of the findings matters (-one +other):\n%s", diff)
			}
		}
	}
	if verdicts[Allow] == 0 || verdicts[Deny] == 0 || verdicts[Undetermined] == 0 {
		t.Errorf("the samples give only %v: the test has lost its grip", verdicts)
	}
}

// TestEvidenceThatDoesNotCount: adding rejected or foreign evidence never turns
// a refusal into Allow, nor Allow into a refusal.
func TestEvidenceThatDoesNotCount(t *testing.T) {
	t.Parallel()
	p := parse(t, full)
	random := rand.New(rand.NewPCG(3, 4))
	pool := evidencePool(t)
	foreign := []verify.Fact{signed(t, "x"), attested(t, "x", testType, passed), attested(t, "x", predicate.TypeSPDX, spdx("pkg:npm/event-stream@3.3.6")), attested(t, "x", predicate.TypeSPDX, spdx("pkg:npm/good@1"))}
	elsewhere := attested(t, "a", testType, passed)
	elsewhere.Subject.Digest = digest.FromBytes([]byte("another"))
	foreign = append(foreign, elsewhere, verify.Fact{}, verify.Fact{Subject: subject(), Kind: verify.KindStatement})
	allowed := 0
	for range 150 {
		img := found(sample(random, pool)...)
		before := p.Decide(img, noon).Verdict
		if before == Allow {
			allowed++
		}
		more := found(slices.Concat(img.Target.Findings.Facts, sample(random, foreign))...)
		more.Target.Findings.Rejected = rejectionPool()
		if after := p.Decide(more, noon).Verdict; after != before {
			t.Fatalf("evidence that does not count turns %s into %s", before, after)
		}
	}
	if allowed == 0 {
		t.Error("no sample is allowed: the test has lost its grip")
	}
}

// TestLessEvidenceNeverAllows: taking a fact away, or losing a place to look at,
// never turns a refusal into Allow.
func TestLessEvidenceNeverAllows(t *testing.T) {
	t.Parallel()
	p := parse(t, full)
	random := rand.New(rand.NewPCG(5, 6))
	pool := evidencePool(t)
	for range 60 {
		img := found(sample(random, pool)...)
		before := p.Decide(img, noon).Verdict
		for i := range img.Target.Findings.Facts {
			less := found(slices.Delete(slices.Clone(img.Target.Findings.Facts), i, i+1)...)
			if p.Decide(less, noon).Verdict == Allow && before != Allow {
				t.Fatalf("without a fact, %s becomes allow", before)
			}
			less.Target.Findings.Missing = []error{errors.New("503")}
			if after := p.Decide(less, noon).Verdict; after == Allow && before != Allow || after == Deny {
				t.Fatalf("with a place missing, %s becomes %s", before, after)
			}
		}
	}
}

// TestInputIsNotChanged: deciding leaves its input alone.
func TestInputIsNotChanged(t *testing.T) {
	t.Parallel()
	p := parse(t, full)
	pool := evidencePool(t)
	img, same := found(pool...), found(evidencePool(t)...)
	p.Decide(img, noon)
	if !reflect.DeepEqual(img, same) {
		t.Error("the findings were changed")
	}
	plan, err := p.Plan(image)
	if err != nil {
		t.Fatal(err)
	}
	plan.PredicateTypes[0] = "changed"
	if again, err := p.Plan(image); err != nil || again.PredicateTypes[0] == "changed" {
		t.Error("a caller changed the policy's plan")
	}
}

func sample[T any](random *rand.Rand, pool []T) []T {
	var some []T
	for _, one := range pool {
		if random.IntN(4) > 0 {
			some = append(some, one)
		}
	}
	return some
}

func shuffle[T any](random *rand.Rand, list []T) []T {
	list = slices.Clone(list)
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// TestOrderOfIdentities: SB-26, certificates that share a subject and differ in a
// claim are one signer, and the order in which they come does not matter.
func TestOrderOfIdentities(t *testing.T) {
	t.Parallel()
	builder := "https://github.com/acme/builders/.github/workflows/build.yml@refs/tags/v2"
	of := func(repository string) string {
		return "{trustRoot: public, issuer: " + actions + ", github: {repository: " + repository + ", workflow: acme/builders/.github/workflows/build.yml}}"
	}
	yaml := replaceOnce(t, keyless(of("acme/a")), "rules:", "  b: {keyless: "+of("acme/b")+"}\n  c: {keys: [{file: a.pub}], keyless: "+of("acme/a")+"}\nrules:")
	p := parse(t, replaceOnce(t, yaml, "from: [it]", "from: [it, b, c], atLeast: 2"))
	inA := certified(t, p, "public", github(name("URI", builder), say("12", "https://github.com/acme/a"), say("5", "acme/a")))
	inB := certified(t, p, "public", github(name("URI", builder), say("12", "https://github.com/acme/b"), say("5", "acme/b")))
	inOther := certified(t, p, "public", github(name("URI", builder), say("12", "https://github.com/evil/b"), say("5", "evil/b")))
	random := rand.New(rand.NewPCG(7, 8))
	for _, row := range []struct {
		facts []verify.Fact
		want  Verdict
	}{
		{[]verify.Fact{inA, inB, inOther}, Deny}, // one subject is one signer
		{[]verify.Fact{inA, inB, signed(t, "a")}, Allow},
		{[]verify.Fact{inA, inOther, signed(t, "a")}, Allow},
		{[]verify.Fact{inOther, signed(t, "a")}, Deny},
		{[]verify.Fact{inA, inA, inB, inB}, Deny},
	} {
		want := p.Decide(found(row.facts...), noon)
		if want.Verdict != row.want {
			t.Errorf("decided %+v, expected %s", want, row.want)
		}
		for range 10 {
			got := p.Decide(found(shuffle(random, row.facts)...), noon)
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); diff != "" {
				t.Fatalf("SB-26 the order of the findings matters (-one +other):\n%s", diff)
			}
		}
	}
}
