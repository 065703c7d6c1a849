package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// TestVectors: small policies, evidence, and what must come out.
func TestVectors(t *testing.T) {
	t.Parallel()
	sig := func(names ...string) []verify.Fact {
		var facts []verify.Fact
		for _, name := range names {
			facts = append(facts, signed(t, name))
		}
		return facts
	}
	doc := func(name, predicateType, body string) []verify.Fact {
		return []verify.Fact{attested(t, name, predicateType, body)}
	}
	elsewhere := signed(t, "a")
	elsewhere.Subject.Digest = digest.FromBytes([]byte("another image"))
	keyless := signed(t, "a")
	keyless.Signer.Certificate = &verify.Certificate{Issuer: "https://issuer.example", SAN: "a@acme.example", SANType: "Email"}
	good := provenanceBody(hosted, source, tagRef)
	prov := "provenance: {from: [a], builder: [" + hosted + "], source: " + source + ", ref: refs/tags/v*}"
	test := "statements: [{type: test-result, from: [a], cel: [\"statement.predicate.result == 'PASSED'\"]}]"
	for _, row := range []struct {
		name, demands string
		facts         []verify.Fact
		verdict       Verdict
		reason        verify.Reason
	}{
		{"nothing at all", "signatures: {from: [a]}", nil, Deny, ReasonNoSignature},
		{"one signature", "signatures: {from: [a]}", sig("a"), Allow, ""},
		{"a stranger's", "signatures: {from: [a]}", sig("x"), Deny, verify.ReasonIdentityMismatch},
		{"a stranger's beside a good one", "signatures: {from: [a]}", sig("x", "a", "y"), Allow, ""},
		{"an attestation is not a signature", "signatures: {from: [a]}", doc("a", testType, passed), Deny, ReasonNoSignature},
		{"a signature about another digest", "signatures: {from: [a]}", []verify.Fact{elsewhere}, Deny, verify.ReasonSubjectMismatch},
		{"a certificate never is a key", "signatures: {from: [a]}", []verify.Fact{keyless}, Deny, verify.ReasonIdentityMismatch},
		{"two signers", "signatures: {from: [a, b], atLeast: 2}", sig("a", "b"), Allow, ""},
		{"SB-30 one signer twice", "signatures: {from: [a, b], atLeast: 2}", sig("a", "a"), Deny, verify.ReasonThreshold},
		{"one of two", "signatures: {from: [a, b], atLeast: 2}", sig("a", "x"), Deny, verify.ReasonThreshold},
		{"two of three", "signatures: {from: [a, b, c], atLeast: 2}", sig("c", "a"), Allow, ""},
		{"good provenance", prov, doc("a", predicate.TypeProvenanceV1, good), Allow, ""},
		{"no provenance", prov, sig("a"), Deny, ReasonNoAttestation},
		{"a stranger's provenance", prov, doc("b", predicate.TypeProvenanceV1, good), Deny, verify.ReasonIdentityMismatch},
		{"another builder", prov, doc("a", predicate.TypeProvenanceV1, provenanceBody(hosted+"x", source, tagRef)), Deny, ReasonPolicyDeny},
		{"another source", prov, doc("a", predicate.TypeProvenanceV1, provenanceBody(hosted, source+"-evil", tagRef)), Deny, ReasonPolicyDeny},
		{"another ref", prov, doc("a", predicate.TypeProvenanceV1, provenanceBody(hosted, source, "refs/heads/main")), Deny, ReasonPolicyDeny},
		{"a ref below", prov, doc("a", predicate.TypeProvenanceV1, provenanceBody(hosted, source, "refs/tags/v1/evil")), Deny, ReasonPolicyDeny},
		{"a v0.2 type with a v1 body", prov, doc("a", predicate.TypeProvenanceV02, good), Deny, verify.ReasonStatementMalformed},
		{"a foreign statement hides nothing", prov, append(doc("x", predicate.TypeProvenanceV1, good), doc("a", predicate.TypeProvenanceV1, good)...), Allow, ""},
		{"an SPDX SBOM", "sbom: {from: [a]}", doc("a", predicate.TypeSPDX, spdx("pkg:npm/a@1")), Allow, ""},
		{"a CycloneDX SBOM", "sbom: {from: [a]}", doc("a", predicate.TypeCycloneDX, cyclonedx("pkg:npm/a@1")), Allow, ""},
		{"the other format", "sbom: {from: [a], format: [spdx]}", doc("a", predicate.TypeCycloneDX, cyclonedx("pkg:npm/a@1")), Deny, ReasonNoAttestation},
		{"a hollow SBOM", "sbom: {from: [a]}", doc("a", predicate.TypeSPDX, spdx()), Deny, ReasonSBOMHollow},
		{"a hollow SBOM contains nothing denied", "sbom: {from: [a], deny: {packages: ['pkg:npm/evil']}}", doc("a", predicate.TypeCycloneDX, cyclonedx()), Deny, ReasonSBOMHollow},
		{"a denied package", "sbom: {from: [a], deny: {packages: ['pkg:npm/evil@<2']}}", doc("a", predicate.TypeSPDX, spdx("pkg:npm/a@1", "pkg:npm/evil@1.9.9")), Deny, ReasonPolicyDeny},
		{"no denied package", "sbom: {from: [a], deny: {packages: ['pkg:npm/evil@<2']}}", doc("a", predicate.TypeSPDX, spdx("pkg:npm/a@1", "pkg:npm/evil@2.0.0")), Allow, ""},
		{"DS-12 an SBOM that is a text", "sbom: {from: [a]}", doc("a", predicate.TypeSPDX, `"SPDXVersion: SPDX-2.3"`), Deny, verify.ReasonStatementMalformed},
		{"a condition holds", test, doc("a", testType, passed), Allow, ""},
		{"a condition does not hold", test, doc("a", testType, failed), Deny, ReasonPolicyDeny},
		{"DS-01 only another type", test, doc("a", predicate.TypeVuln, `{"result":"PASSED"}`), Deny, ReasonNoAttestation},
		{"DS-02 another type with a good body", "sbom: {from: [a], format: [spdx]}", doc("a", testType, spdx("pkg:npm/a@1")), Deny, ReasonNoAttestation},
		{"DS-14 good old, bad new", test, append(doc("a", testType, passed), doc("a", testType, failed)...), Allow, ""},
		{"DS-14 bad new, good old", test, append(doc("a", testType, failed), doc("a", testType, passed)...), Allow, ""},
		{"all demands", "signatures: {from: [a]}\n" + prov, append(sig("a"), doc("a", predicate.TypeProvenanceV1, good)...), Allow, ""},
		{"one of two demands", "signatures: {from: [a]}\n" + prov, sig("a"), Deny, ReasonNoAttestation},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := parse(t, require(row.demands)).Decide(found(row.facts...), noon)
			expect(t, d, row.verdict, row.reason)
			for _, demand := range d.Demands {
				if demand.Wanted == "" || demand.Found == "" || demand.Verdict != Allow && (demand.Hint == "" || demand.Reason == "") || demand.Digest != imageDigest {
					t.Errorf("an incomplete demand: %+v", demand)
				}
				for _, tried := range demand.Tried {
					if tried.Origin == "" || !tried.Accepted && (tried.Reason == "" || tried.Detail == "") || tried.Accepted && tried.Reason != "" {
						t.Errorf("an incomplete attempt: %+v", tried)
					}
				}
			}
			if d.Rule != "one" {
				t.Errorf("the rule is %q", d.Rule)
			}
		})
	}
}

// TestWantedTypeMissing: DS-01, the types that were found are listed.
func TestWantedTypeMissing(t *testing.T) {
	t.Parallel()
	p := parse(t, require("sbom: {from: [a]}"))
	d := p.Decide(found(attested(t, "a", predicate.TypeVuln, `{}`)), noon)
	expect(t, d, Deny, ReasonNoAttestation)
	if !strings.Contains(d.Demands[0].Found, predicate.TypeVuln) {
		t.Errorf("DS-01 found: %q", d.Demands[0].Found)
	}
}

// TestOnlyWhatPassedIsAccepted: DS-03, the statement that violates the policy is
// reported as refused beside the one that is accepted.
func TestOnlyWhatPassedIsAccepted(t *testing.T) {
	t.Parallel()
	p := parse(t, require("statements: [{type: test-result, from: [a], cel: [\"statement.predicate.result == 'PASSED'\"]}]"))
	d := p.Decide(found(attested(t, "a", testType, failed), attested(t, "a", testType, passed), attested(t, "x", testType, passed)), noon)
	expect(t, d, Allow, "")
	tried := d.Demands[0].Tried
	if len(tried) != 3 || !tried[0].Accepted || tried[1].Accepted || tried[2].Accepted {
		t.Fatalf("DS-03 tried: %+v", tried)
	}
	reasons := []verify.Reason{tried[1].Reason, tried[2].Reason}
	if reasons[0] == "" || reasons[1] == "" || reasons[0] == reasons[1] {
		t.Errorf("DS-03 the reasons are %v", reasons)
	}
}

// TestSubjectOfSeveral: DS-05, the fact's subject counts, wherever it stands in
// the statement.
func TestSubjectOfSeveral(t *testing.T) {
	t.Parallel()
	p := parse(t, require("statements: [{type: test-result, from: [a], cel: ['size(statement.subject) == 3']}]"))
	fact := attested(t, "a", testType, passed)
	own := fact.Statement.Subject[0]
	other := own
	other.Digest = map[string]string{"sha256": digest.FromBytes([]byte("other")).Hex()}
	fact.Statement.Subject = append(fact.Statement.Subject[:0:0], other, own, other)
	expect(t, p.Decide(found(fact), noon), Allow, "")
	fact.Subject.Digest = digest.FromBytes([]byte("other"))
	expect(t, p.Decide(found(fact), noon), Deny, verify.ReasonSubjectMismatch)
	fact.Subject.Digest = digest.Digest{}
	expect(t, p.Decide(found(fact), noon), Deny, verify.ReasonSubjectMismatch)
	img := found(fact)
	img.Target.Subject.Digest = digest.Digest{}
	expect(t, p.Decide(img, noon), Deny, verify.ReasonSubjectMismatch)
}

// TestUnmatched: PO-01, an image that no rule governs.
func TestUnmatched(t *testing.T) {
	t.Parallel()
	yaml := policyOf("  - {name: one, images: [registry.acme.example/a/**], require: {signatures: {from: [a]}}}\n")
	img := found(signed(t, "a"))
	img.Name = "registry.acme.example/b/x"
	p := parse(t, yaml)
	d := p.Decide(img, noon)
	expect(t, d, Deny, ReasonNoMatch)
	if d.Rule != "" || d.Demands[0].Hint == "" {
		t.Errorf("PO-01 %+v", d)
	}
	_, err := p.Plan(img.Name)
	var denial *Denial
	if !errors.As(err, &denial) || denial.Decision.Reason != ReasonNoMatch || !strings.Contains(err.Error(), img.Name) {
		t.Errorf("PO-01 the plan's error is %v", err)
	}
	warning := parse(t, yaml+"unmatched: warn\n")
	d = warning.Decide(img, noon)
	expect(t, d, Allow, "")
	if len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "unmatched: warn") {
		t.Errorf("PO-01 a warned image has the warnings %v", d.Warnings)
	}
	if plan, err := warning.Plan(img.Name); err != nil || plan.Rule != "" || len(plan.Roots) != 0 || plan.Signatures {
		t.Errorf("PO-01 the plan of a warned image is %+v, %v", plan, err)
	}
	img.Name = "registry.acme.example/a/x"
	img.Target.Findings = Findings{}
	expect(t, warning.Decide(img, noon), Deny, ReasonNoSignature)
	expect(t, (&Policy{}).Decide(img, noon), Deny, ReasonNoMatch)
	expect(t, p.Decide(Image{Name: img.Name}, noon), Deny, ReasonNoSignature)
}

// TestUndetermined: what could not be looked at is neither good nor bad.
func TestUndetermined(t *testing.T) {
	t.Parallel()
	p := parse(t, require("signatures: {from: [a]}\nstatements: [{type: test-result, from: [b]}]"))
	down := errors.New("registry.acme.example answered 503")
	locked := fmt.Errorf("listing referrers: %w", &Missing{Reason: ReasonUnauthorized, Err: errors.New("401")})
	for _, row := range []struct {
		name    string
		facts   []verify.Fact
		missing []error
		verdict Verdict
		reason  verify.Reason
	}{
		{"down", nil, []error{down}, Undetermined, ReasonUnreachable},
		{"locked", nil, []error{locked}, Undetermined, ReasonUnauthorized},
		{"both", nil, []error{locked, down}, Undetermined, ReasonUnreachable},
		{"half met", []verify.Fact{signed(t, "a")}, []error{down}, Undetermined, ReasonUnreachable},
		{"met all the same", []verify.Fact{signed(t, "a"), attested(t, "b", testType, passed)}, []error{down}, Allow, ""},
		{"a stranger's does not make it denied", []verify.Fact{signed(t, "x")}, []error{down}, Undetermined, ReasonUnreachable},
		{"nothing missing", []verify.Fact{signed(t, "a")}, nil, Deny, ReasonNoAttestation},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			img := found(row.facts...)
			img.Target.Findings.Missing = row.missing
			expect(t, p.Decide(img, noon), row.verdict, row.reason)
		})
	}
}

// TestDenialWinsOverError: a demand that is denied on one platform stays denied
// when another platform could not be looked at.
func TestDenialWinsOverError(t *testing.T) {
	t.Parallel()
	p := parse(t, strings.Replace(require("signatures: {from: [a]}"), "    require", "    platforms: all\n    require", 1))
	img := found(signed(t, "a"))
	img.Index = true
	down := Part{Subject: verify.Subject{Digest: digest.FromBytes([]byte("p1"))}, Platform: "linux/amd64", Findings: Findings{Missing: []error{errors.New("503")}}}
	bare := Part{Subject: verify.Subject{Digest: digest.FromBytes([]byte("p2"))}, Platform: "linux/arm64"}
	img.Platforms = []Part{down, bare}
	expect(t, p.Decide(img, noon), Deny, ReasonNoSignature)
	img.Platforms = []Part{down}
	expect(t, p.Decide(img, noon), Undetermined, ReasonUnreachable)
}

// TestPlatforms: the index, or the index and everything below it.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	index := parse(t, require("signatures: {from: [a]}"))
	all := parse(t, strings.Replace(require("signatures: {from: [a]}"), "    require", "    platforms: all\n    require", 1))
	part := func(name string, names ...string) Part {
		p := Part{Subject: verify.Subject{Digest: digest.FromBytes([]byte(name))}, Platform: name}
		for _, signer := range names {
			fact := signed(t, signer)
			fact.Subject = p.Subject
			p.Findings.Facts = append(p.Findings.Facts, fact)
		}
		return p
	}
	img := found(signed(t, "a"))
	img.Index = true
	expect(t, index.Decide(img, noon), Allow, "")
	d := all.Decide(img, noon)
	expect(t, d, Deny, ReasonNoPlatform) // OC-22: an index without platforms proves nothing about any
	if last := d.Demands[len(d.Demands)-1]; last.Reason != ReasonNoPlatform || last.Hint == "" {
		t.Errorf("OC-22 %+v", last)
	}
	img.Platforms = []Part{part("linux/amd64", "a"), part("linux/arm64", "a")}
	d = all.Decide(img, noon)
	expect(t, d, Allow, "")
	if len(d.Demands) != 3 || d.Demands[2].Platform != "linux/arm64" {
		t.Errorf("the demands are %+v", d.Demands)
	}
	img.Platforms = []Part{part("linux/amd64", "a"), part("linux/arm64", "x")}
	expect(t, all.Decide(img, noon), Deny, verify.ReasonIdentityMismatch)
	expect(t, index.Decide(img, noon), Allow, "")
	img.Platforms = []Part{part("linux/amd64", "a"), part("linux/arm64")}
	expect(t, all.Decide(img, noon), Deny, ReasonNoSignature)
	img.Platforms = []Part{part("linux/amd64", "a")}
	img.Target.Findings.Facts = nil
	expect(t, all.Decide(img, noon), Deny, ReasonNoSignature)
	single := found(signed(t, "a"))
	expect(t, all.Decide(single, noon), Allow, "")
	// A fact of one platform on another counts for nothing.
	img = found(signed(t, "a"))
	img.Index, img.Platforms = true, []Part{part("linux/amd64")}
	img.Platforms[0].Findings.Facts = img.Target.Findings.Facts
	expect(t, all.Decide(img, noon), Deny, verify.ReasonSubjectMismatch)
}

// TestRulesDoNotLeak: PO-23, the signers of one rule say nothing for another.
func TestRulesDoNotLeak(t *testing.T) {
	t.Parallel()
	p := parse(t, policyOf(`  - {name: one, images: [x.io/a], require: {signatures: {from: [a]}, statements: [{type: test-result, from: [b]}]}}
  - {name: two, images: [x.io/b], require: {signatures: {from: [b]}, statements: [{type: test-result, from: [a]}]}}
`))
	for name, img := range map[string]Image{
		"x.io/a": found(signed(t, "b"), attested(t, "a", testType, passed)),
		"x.io/b": found(signed(t, "a"), attested(t, "b", testType, passed)),
	} {
		img.Name = name
		d := p.Decide(img, noon)
		expect(t, d, Deny, verify.ReasonIdentityMismatch)
		for _, demand := range d.Demands {
			if demand.Verdict != Deny {
				t.Errorf("PO-23 %s: %s is %s", name, demand.Name, demand.Verdict)
			}
		}
	}
	plan, err := parse(t, policyOf("  - {name: one, images: [x.io/a], require: {signatures: {from: [a]}}}\n  - {name: two, images: [x.io/b], require: {signatures: {from: [b]}}}\n")).Plan("x.io/a")
	if err != nil || len(plan.Roots[0].Root.Keys()) != 1 || plan.Roots[0].Root.Keys()[0].ID() != key(t, "a").ID() {
		t.Errorf("PO-23 the plan's root has the keys of another rule: %+v, %v", plan, err)
	}
}

// TestThreshold: SB-26 and SB-30, different signers are counted, not signatures,
// keys or names.
func TestThreshold(t *testing.T) {
	t.Parallel()
	yaml := func(demand string) string {
		return strings.Replace(require(demand), "  c: {keys: [{file: c.pub}]}", "  c: {keys: [{file: c.pub}, {file: d.pub}]}\n  twin: {keys: [{file: a.pub}]}\n  both: {keys: [{file: a.pub}, {file: e.pub}]}", 1)
	}
	for _, row := range []struct {
		name, from string
		signers    []string
		want       Verdict
	}{
		{"SB-30 two signatures of one key", "[a, b]", []string{"a", "a"}, Deny},
		{"SB-30 two keys of one signer", "[a, c]", []string{"c", "d"}, Deny},
		{"SB-30 one key under two names", "[a, both]", []string{"a"}, Deny},
		{"two parties, one of them in two ways", "[a, both]", []string{"a", "e"}, Allow},
		{"the only assignment", "[a, both]", []string{"e", "a"}, Allow},
		{"a party of two keys and another", "[b, c]", []string{"d", "b", "c"}, Allow},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := parse(t, yaml("signatures: {from: "+row.from+", atLeast: 2}"))
			var facts []verify.Fact
			for _, name := range row.signers {
				facts = append(facts, signed(t, name))
			}
			if d := p.Decide(found(facts...), noon); d.Verdict != row.want {
				t.Errorf("decided %s: %+v", d.Verdict, d.Demands)
			}
		})
	}
	for _, from := range []string{"[a, twin]", "[c]", "[a, a]"} {
		if e := fault(t, yaml("signatures: {from: "+from+", atLeast: 2}")); !strings.Contains(e.Error(), "at most 1") {
			t.Errorf("SB-30 %s: %v", from, e)
		}
	}
	any := parse(t, yaml("signatures: {from: [c]}"))
	for _, order := range [][]string{{"c"}, {"d"}, {"x", "d"}, {"d", "x"}} {
		var facts []verify.Fact
		for _, name := range order {
			facts = append(facts, signed(t, name))
		}
		if d := any.Decide(found(facts...), noon); d.Verdict != Allow {
			t.Errorf("SB-26 %v: %s", order, d.Verdict)
		}
	}
}

// TestPrimaryReason: what came closest to counting names the denial.
func TestPrimaryReason(t *testing.T) {
	t.Parallel()
	p := parse(t, require("signatures: {from: [a]}"))
	rejected := func(claimed, place string, reason verify.Reason) *verify.Rejection {
		o := origin(int(reason[0]))
		o.ClaimedType, o.Place = claimed, place
		return &verify.Rejection{Origin: o, Step: verify.StepSignature, Reason: reason, Err: errors.New("no")}
	}
	for _, row := range []struct {
		name     string
		rejected []*verify.Rejection
		want     verify.Reason
		tried    int
	}{
		{"wrong key", []*verify.Rejection{rejected("", "referrers-api", verify.ReasonKeyMismatch)}, verify.ReasonKeyMismatch, 1},
		{"another image's", []*verify.Rejection{rejected("", "referrers-api", verify.ReasonKeyMismatch), rejected(verify.SignaturePredicateType, "referrers-api", verify.ReasonSubjectMismatch)}, verify.ReasonSubjectMismatch, 2},
		{"another scheme's", []*verify.Rejection{rejected("", "referrers-api", verify.ReasonForeignFormat)}, ReasonNoSignature, 1},
		{"BuildKit's", []*verify.Rejection{rejected("", "index", verify.ReasonUnsigned)}, ReasonNoSignature, 0},
		{"an attestation's", []*verify.Rejection{rejected(testType, "referrers-api", verify.ReasonKeyMismatch)}, ReasonNoSignature, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			img := found()
			img.Target.Findings.Rejected = row.rejected
			d := p.Decide(img, noon)
			expect(t, d, Deny, row.want)
			if len(d.Demands[0].Tried) != row.tried {
				t.Errorf("tried %+v", d.Demands[0].Tried)
			}
		})
	}
}
