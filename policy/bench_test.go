package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// manyRules is a policy of n rules over the images of one registry.
func manyRules(n int) string {
	var rules strings.Builder
	for i := range n {
		fmt.Fprintf(&rules, "  - name: rule %d\n    images: [registry.acme.example/team-%d/**]\n    require:\n      signatures: {from: [a, b]}\n      provenance: {from: [a], builder: [%s], source: https://github.com/acme/app%d, ref: refs/tags/v*}\n      statements: [{type: test-result, from: [b], cel: [\"statement.predicate.result == 'PASSED'\"]}]\n", i, i, hosted, i)
	}
	return policyOf(rules.String())
}

// fiftyFacts are evidence on one image: some that counts, much that does not.
func fiftyFacts(t testing.TB) Image {
	var facts []verify.Fact
	for i := range 25 {
		facts = append(facts, signed(t, fmt.Sprint("x", i)), attested(t, fmt.Sprint("x", i), testType, passed))
	}
	facts[48] = attested(t, "a", predicate.TypeProvenanceV1, provenanceBody(hosted, source, tagRef))
	facts[49] = attested(t, "b", testType, passed)
	facts[47] = attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/good@1"))
	facts[46] = signed(t, "a")
	img := found(facts...)
	return img
}

func BenchmarkParse1000Rules(b *testing.B) {
	data, read := []byte(manyRules(1000)), keyFiles(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse("policy.yaml", data, read); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlanAmong1000Rules(b *testing.B) {
	p := parse(b, manyRules(1000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Plan("registry.acme.example/team-700/app"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecide50Facts(b *testing.B) {
	p := parse(b, strings.NewReplacer("release, ops], atLeast: 2", "release]", "platforms: all", "platforms: index", "test-result/v0.1\n          from: [release]", "test-result/v0.1\n          from: [ops]").Replace(full))
	img := fiftyFacts(b)
	if d := p.Decide(img, noon); d.Verdict != Allow {
		b.Fatal(d)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(img, noon)
	}
}

// TestAllocations keeps budgets that may only fall; the benchmarks measure time.
func TestAllocations(t *testing.T) {
	p := parse(t, strings.NewReplacer("release, ops], atLeast: 2", "release]", "platforms: all", "platforms: index", "test-result/v0.1\n          from: [release]", "test-result/v0.1\n          from: [ops]").Replace(full))
	img := fiftyFacts(t)
	if n := testing.AllocsPerRun(20, func() { p.Decide(img, noon) }); n > 500+poolSlack {
		t.Errorf("a decision on 50 facts makes %.0f allocations", n)
	}
	many := parse(t, manyRules(1000))
	if n := testing.AllocsPerRun(20, func() { many.governs("registry.acme.example/team-700/app", noon) }); n > 5 {
		t.Errorf("finding a rule among 1,000 makes %.0f allocations", n)
	}
}
