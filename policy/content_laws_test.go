package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// contentPool are scans, VEX documents and SBOMs of all kinds and ages; foreign are
// those that count for nobody.
func contentPool(t testing.TB) (own, foreign []verify.Fact) {
	bodies := [][2]string{
		{predicate.TypeVuln, scanOf()},
		{predicate.TypeVuln, scanOf(vulnerable("CVE-2026-1", "High", "pkg:npm/a@1"))},
		{predicate.TypeVulnsV01, scanOf(vulnerable("CVE-2026-2", "", "pkg:npm/b@1"))},
		{predicate.TypeVuln, `{"scanner":{},"metadata":{},"invocation":{}}`},
		{predicate.TypeOpenVEX, vexOf(vexAbout("CVE-2026-1", "not_affected", "pkg:npm/a@1"))},
		{predicate.TypeOpenVEX, vexOf(vexAbout("CVE-2026-1", "affected", "pkg:npm/a@1"))},
		{predicate.TypeOpenVEX, vexOf(vexAbout("CVE-2026-2", "fixed", imageDigest.String()))},
		{predicate.TypeOpenVEX, `{"@context":"https://openvex.dev/ns"}`},
		{predicate.TypeSPDX, spdx("pkg:npm/a@1", "pkg:npm/b@1")},
		{predicate.TypeCycloneDX, cyclonedx("pkg:npm/a@1")},
		{predicate.TypeSPDX, spdx()},
	}
	for i, body := range bodies {
		for _, hours := range []int{0, 1, 30, 60} {
			f := attested(t, []string{"a", "b"}[i%2], body[0], body[1])
			stranger, other := attested(t, "x", body[0], body[1]), attested(t, "a", body[0], body[1])
			other.Subject.Digest = digest.FromBytes([]byte("another"))
			if hours > 0 {
				f, stranger, other = hoursOld(f, hours), hoursOld(stranger, hours), hoursOld(other, hours)
			}
			f.Origin, stranger.Origin = origin(10*i+hours), origin(1000+10*i+hours)
			own, foreign = append(own, f), append(foreign, stranger, other)
		}
	}
	return own, foreign
}

// contentPolicies ask for what the pool has, in every way of combining it.
func contentPolicies(t *testing.T) []*Policy {
	t.Helper()
	var all []*Policy
	for _, which := range []string{"any", "all", "latest"} {
		for _, age := range []string{"", ", maxAge: 48h"} {
			all = append(all, parse(t, require("vulnerabilities: {from: [a, b], maxSeverity: medium, vex: [a, b], which: "+which+age+"}")),
				parse(t, require("sbom: {from: [a, b], matchesContent: true, tolerance: {missing: 1}, which: "+which+age+"}")))
		}
	}
	return all
}

// TestLawsOfContent: the order of what was found does not matter; what counts for
// nobody changes nothing; a place that could not be looked at, or a content that
// nobody has looked into, never allows; and a decision holds until its end.
func TestLawsOfContent(t *testing.T) {
	t.Parallel()
	own, foreign := contentPool(t)
	random := rand.New(rand.NewPCG(11, 12))
	few := func(pool []verify.Fact, n int) []verify.Fact { return shuffle(random, pool)[:random.IntN(n+1)] }
	verdicts := make(map[Verdict]int)
	sameDigest := cmp.Comparer(func(a, b digest.Digest) bool { return a == b })
	for i, p := range contentPolicies(t) {
		for round := range 60 {
			img := found(few(own, 6)...)
			if round%3 != 0 {
				img.Target.Content = &Content{Packages: []predicate.Package{{Name: "a", Version: "1", PURL: "pkg:npm/a@1"}, {Name: "b", Version: "1", PURL: "pkg:npm/b@1"}}}
			}
			want := p.Decide(img, noon)
			verdicts[want.Verdict]++
			other := img
			other.Target.Findings.Facts = shuffle(random, img.Target.Findings.Facts)
			if diff := cmp.Diff(want, p.Decide(other, noon), sameDigest); diff != "" {
				t.Fatalf("SB-26, DS-14: policy %d: the order matters (-one +other):\n%s", i, diff)
			}
			other.Target.Findings.Facts = slices.Concat(img.Target.Findings.Facts, few(foreign, 5))
			other.Target.Findings.Rejected = rejectionPool()
			if got := p.Decide(other, noon); got.Verdict != want.Verdict {
				t.Fatalf("policy %d: what counts for nobody turns %s into %s", i, want.Verdict, got.Verdict)
			}
			other = img
			other.Target.Findings.Missing = []error{errors.New("503")}
			if got := p.Decide(other, noon).Verdict; got == Deny || got == Allow && want.Verdict != Allow {
				t.Fatalf("policy %d: with a place missing, %s becomes %s", i, want.Verdict, got)
			}
			other = img
			other.Target.Content = nil
			if got := p.Decide(other, noon).Verdict; got == Allow && want.Verdict != Allow {
				t.Fatalf("policy %d: without a content, %s becomes %s", i, want.Verdict, got)
			}
			if want.Verdict == Allow && !want.Until.IsZero() {
				if before := p.Decide(img, want.Until.Add(-1)); before.Verdict != Allow {
					t.Fatalf("policy %d: before its end at %s the decision is %s", i, want.Until, before.Verdict)
				}
			}
		}
	}
	if verdicts[Allow] < 20 || verdicts[Deny] < 20 || verdicts[Undetermined] < 20 {
		t.Errorf("the samples give only %v: the test has lost its grip", verdicts)
	}
}

// TestDenialWins: DS-24, what is refused stays refused when something else could not
// be checked.
func TestDenialWins(t *testing.T) {
	t.Parallel()
	p := parse(t, require("signatures: {from: [a]}\nsbom: {from: [a], matchesContent: true}"))
	expect(t, p.Decide(found(attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/a@1"))), noon), Deny, ReasonNoSignature)
	expect(t, p.Decide(found(signed(t, "a"), attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/a@1"))), noon), Undetermined, ReasonContentUnchecked)
}

// FuzzContentIsItself: whatever a package calls itself, an SBOM that lists what the
// image contains matches it, and one that leaves it out does not.
func FuzzContentIsItself(f *testing.F) {
	f.Add("pkg:npm/a@1", "a", "1")
	f.Add("pkg:rpm/fedora/a@0:1?epoch=0&arch=x", "a", "")
	f.Add("", "name", "")
	f.Add("pkg:deb/debian/zlib1g@1%3A1.2?distro=debian-12", "", "x")
	f.Fuzz(func(t *testing.T, purl, name, version string) {
		packages := []predicate.Package{{PURL: "pkg:npm/always@1", Name: "always", Version: "1"}, {PURL: purl, Name: name, Version: version}}
		if reason, detail := (tolerance{}).compare(predicate.SBOM{Packages: packages}, &Content{Packages: slices.Clone(packages)}); reason != "" {
			t.Errorf("%s: %s", reason, detail)
		}
		if len(inventoryOf(packages).all) < 2 {
			return // it is the other one again
		}
		reason, _ := (tolerance{}).compare(predicate.SBOM{Packages: packages[:1]}, &Content{Packages: packages})
		if reason != ReasonSBOMMismatch && itemOf(packages[1]).packageKey != itemOf(packages[0]).packageKey && itemOf(packages[1]).bare != itemOf(packages[0]).bare {
			t.Errorf("%q is missing, and nothing is said", purl)
		}
	})
}

// BenchmarkMatchesContent compares a large SBOM with a large image.
func BenchmarkMatchesContent(b *testing.B) {
	var purls []string
	content := &Content{}
	for i := range 5000 {
		purl := fmt.Sprintf("pkg:npm/p%d@1", i)
		purls = append(purls, purl)
		content.Packages = append(content.Packages, predicate.Package{Name: fmt.Sprintf("p%d", i), Version: "1", PURL: purl})
	}
	p := parse(b, require("sbom: {from: [a], matchesContent: true, deny: {licenses: [AGPL-3.0-only]}}"))
	img := found(attested(b, "a", predicate.TypeSPDX, spdx(purls...)))
	img.Target.Content = content
	b.ReportAllocs()
	for b.Loop() {
		if p.Decide(img, noon).Verdict != Allow {
			b.Fatal("not allowed")
		}
	}
}
