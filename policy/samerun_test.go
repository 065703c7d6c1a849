package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

const (
	runOne = "https://github.com/acme/app/actions/runs/1/attempts/1"
	runTwo = "https://github.com/acme/app/actions/runs/2/attempts/1"
)

// provenanceOf is provenance that names a run.
func provenanceOf(run string) string {
	return strings.Replace(provenanceBody(hosted, source, tagRef), `"runDetails":{`, fmt.Sprintf(`"runDetails":{"metadata":{"invocationId":%q},`, run), 1)
}

// scanIn is cosign's scan by a run.
func scanIn(run string) string {
	return fmt.Sprintf(`{"invocation":{"uri":%q},"scanner":{"uri":"x"}}`, run)
}

// inRun is a statement that a certificate of GitHub signed, in a run.
func inRun(t testing.TB, p *Policy, keyID, run, predicateType, body string) verify.Fact {
	t.Helper()
	c := github()
	if run != "" {
		c = github(say("21", run))
	}
	c.Digest, c.Lifetime = digest.FromBytes([]byte(keyID+run)), 10*time.Minute
	f := certified(t, p, "public", c)
	statement := attested(t, "a", predicateType, body)
	f.Kind, f.Statement, f.Origin, f.Signer.KeyID = statement.Kind, statement.Statement, statement.Origin, keyID
	return f
}

// keylessRule is a policy whose signer `it` is acme/app at a tag.
func keylessRule(demands string) string {
	yaml := keyless(trusted + ", github: {repository: acme/app, ref: " + tagRef + "}}")
	return strings.Replace(yaml, "signatures: {from: [it]}", demands, 1)
}

// TestSameRun: DS-15, statements of two runs are not mixed.
func TestSameRun(t *testing.T) {
	t.Parallel()
	const demands = "provenance: {from: [it]}, sbom: {from: [it]}, sameRun: [provenance, sbom]"
	p := parse(t, keylessRule(demands))
	prov := func(key, cert, says string) verify.Fact {
		return inRun(t, p, key, cert, predicate.TypeProvenanceV1, provenanceOf(says))
	}
	sbom := func(key, cert string) verify.Fact {
		return inRun(t, p, key, cert, predicate.TypeSPDX, spdx("pkg:npm/good@1"))
	}
	lived := func(f verify.Fact) verify.Fact {
		f.Signer.Certificate.Lifetime = 2 * 365 * 24 * time.Hour
		return f
	}
	for _, row := range []struct {
		name  string
		facts []verify.Fact
		want  Verdict
	}{
		{"one run by both certificates", []verify.Fact{prov("k1", runOne, runOne), sbom("k2", runOne)}, Allow},
		{"two runs", []verify.Fact{prov("k1", runOne, runOne), sbom("k2", runTwo)}, Deny},
		{"two attempts of one run", []verify.Fact{prov("k1", runOne, runOne), sbom("k2", strings.Replace(runOne, "attempts/1", "attempts/2", 1))}, Deny},
		{"what provenance says and what a certificate proves", []verify.Fact{prov("k1", "", runOne), sbom("k2", runOne)}, Allow},
		{"provenance that contradicts its certificate", []verify.Fact{prov("k1", runTwo, runOne), sbom("k2", runOne)}, Deny},
		{"the same, one certificate", []verify.Fact{prov("k1", runTwo, runOne), sbom("k1", runTwo)}, Deny},
		{"one certificate that names no run", []verify.Fact{prov("k1", "", "x"), sbom("k1", "")}, Allow},
		{"one certificate of years that names no run", []verify.Fact{lived(prov("k1", "", "x")), lived(sbom("k1", ""))}, Deny},
		{"one key for the certificates of two runs", []verify.Fact{prov("k1", runOne, runOne), sbom("k1", runTwo)}, Deny},
		{"two certificates that name no run", []verify.Fact{prov("k1", "", "x"), sbom("k2", "")}, Deny},
		{"mixed, and a pair that fits", []verify.Fact{prov("k1", runOne, runOne), sbom("k2", runTwo), prov("k3", runTwo, runTwo)}, Allow},
		{"only one of them", []verify.Fact{prov("k1", runOne, runOne)}, Deny},
	} {
		t.Run("DS-15 "+row.name, func(t *testing.T) {
			t.Parallel()
			d := p.Decide(found(row.facts...), noon)
			if d.Verdict != row.want {
				t.Errorf("decided %+v", d)
			}
			last := d.Demands[len(d.Demands)-1]
			if last.Name != "sameRun" || last.Verdict != row.want || row.want == Deny && last.Reason != ReasonPolicyDeny {
				t.Errorf("sameRun: %+v", last)
			}
			img := found(row.facts...)
			img.Target.Findings.Missing = []error{errors.New("503")}
			if d := p.Decide(img, noon); d.Verdict == Deny {
				t.Errorf("with a place missing: %+v", d)
			}
		})
	}
	every := parse(t, keylessRule("provenance: {from: [it], which: all}, sbom: {from: [it]}, sameRun: [provenance, sbom]"))
	expect(t, every.Decide(found(prov("k1", runOne, runOne), sbom("k2", runOne)), noon), Allow, "")
	expect(t, every.Decide(found(prov("k1", runOne, runOne), sbom("k2", runOne), prov("k3", runTwo, runTwo)), noon), Deny, ReasonPolicyDeny)
}

// TestSameRunOfKeys: what is signed with keys is of a run if it says so.
func TestSameRunOfKeys(t *testing.T) {
	t.Parallel()
	p := parse(t, require("provenance: {from: [a]}\nstatements: [{type: vuln, from: [b]}]\nsameRun: ['statements[0]', provenance]"))
	for _, row := range []struct {
		provenance, scan string
		want             Verdict
	}{
		{runOne, runOne, Allow},
		{runOne, runTwo, Deny},
		{"7", "7", Deny},
		{"", "", Deny},
		{runOne, "http" + runOne[5:], Deny},
	} {
		img := found(attested(t, "a", predicate.TypeProvenanceV1, provenanceOf(row.provenance)), attested(t, "b", predicate.TypeVuln, scanIn(row.scan)))
		if d := p.Decide(img, noon); d.Verdict != row.want {
			t.Errorf("DS-15 %s and %s: %+v", row.provenance, row.scan, d)
		}
	}
}

// TestSameRunOnPlatforms: an index is not asked for an SBOM, and its platforms each by
// itself.
func TestSameRunOnPlatforms(t *testing.T) {
	t.Parallel()
	yaml := strings.Replace(keylessRule("provenance: {from: [it]}, sbom: {from: [it]}, sameRun: [provenance, sbom]"), "require:", "platforms: all, require:", 1)
	p := parse(t, yaml)
	platform := verify.Subject{Repository: image, Digest: digest.FromBytes([]byte("platform"))}
	at := func(s verify.Subject, f verify.Fact) verify.Fact { f.Subject = s; return f }
	img := found(inRun(t, p, "k1", runOne, predicate.TypeProvenanceV1, provenanceOf(runOne)))
	img.Index = true
	facts := []verify.Fact{at(platform, inRun(t, p, "k2", runTwo, predicate.TypeProvenanceV1, provenanceOf(runTwo))), at(platform, inRun(t, p, "k3", runTwo, predicate.TypeSPDX, spdx("pkg:npm/good@1")))}
	img.Platforms = []Part{{Subject: platform, Platform: "linux/amd64", Findings: Findings{Facts: facts}}}
	expect(t, p.Decide(img, noon), Allow, "")
	facts[1].Signer.Certificate = inRun(t, p, "k3", runOne, predicate.TypeSPDX, "{}").Signer.Certificate
	expect(t, p.Decide(img, noon), Deny, ReasonPolicyDeny)
}

// relationCases are the fields whose effect shows on several statements.
var relationCases = map[string]contentCase{
	"rules[].require.sameRun[]":    {"provenance: {from: [a]}\nstatements: [{type: vuln, from: [a]}, {type: test-result, from: [a]}]\nsameRun: [provenance, 'statements[0]']", "'statements[0]'", "'statements[1]'", ReasonPolicyDeny},
	"rules[].require.join[]":       {"provenance: {from: [a]}\nstatements: [{type: vuln, from: [a]}]\n#join", "#join", "join: [{of: {p: provenance, s: vuln}, cel: ['p.predicate.runDetails.metadata.invocationId != s.predicate.invocation.uri']}]", ReasonPolicyDeny},
	"rules[].require.join[].of":    {"statements: [{type: vuln, from: [a]}, {type: test-result, from: [a]}]\nprovenance: {from: [a]}\njoin: [{of: {a: vuln, b: provenance}, cel: [has(a.predicate.scanner), has(b.predicate.runDetails)]}]", "b: provenance", "b: test-result", ReasonPolicyDeny},
	"rules[].require.join[].cel[]": {"provenance: {from: [a]}\nstatements: [{type: vuln, from: [a]}]\njoin: [{of: {p: provenance, s: 'statements[0]'}, cel: [p.predicate.runDetails.metadata.invocationId == s.predicate.invocation.uri]}]", "==", "!=", ReasonPolicyDeny},
}

// TestEveryRelationHasAnEffect: PO-10 for what [relationCases] lists.
func TestEveryRelationHasAnEffect(t *testing.T) {
	t.Parallel()
	known := paths(reflect.TypeFor[document](), "")
	img := found(attested(t, "a", predicate.TypeProvenanceV1, provenanceOf(runOne)), attested(t, "a", predicate.TypeVuln, scanIn(runOne)), attested(t, "a", testType, passed))
	for path, c := range relationCases {
		t.Run("PO-10 "+path, func(t *testing.T) {
			t.Parallel()
			if !slices.Contains(known, path) {
				t.Error("the case is about no field")
			}
			p := parse(t, require(c.demands))
			again, err := Parse("again", p.YAML(), nil)
			if err != nil || again.Digest() != p.Digest() {
				t.Fatalf("the canonical form is another policy: %v\n%s", err, p.YAML())
			}
			expect(t, again.Decide(img, noon), Allow, "")
			expect(t, parse(t, require(replaceOnce(t, c.demands, c.from, c.to))).Decide(img, noon), Deny, c.reason)
		})
	}
}

// joinTwo joins provenance and scans by run; which holds for the scans.
func joinTwo(which string) string {
	return require("provenance: {from: [a]}\nstatements: [{type: vuln, from: [a], which: " + which + "}]\njoin: [{of: {p: provenance, s: vuln}, cel: [p.predicate.runDetails.metadata.invocationId == s.predicate.invocation.uri, has(s.predicate.scanner)]}]")
}

// TestJoin: one statement for each name, or each of those that each must fit.
func TestJoin(t *testing.T) {
	t.Parallel()
	prov := func(run string) verify.Fact {
		return attested(t, "a", predicate.TypeProvenanceV1, provenanceOf(run))
	}
	scan := func(run string) verify.Fact { return attested(t, "a", predicate.TypeVuln, scanIn(run)) }
	foreign := attested(t, "b", predicate.TypeVuln, scanIn(runTwo))
	for _, row := range []struct {
		which  string
		facts  []verify.Fact
		reason verify.Reason
	}{
		{"any", []verify.Fact{prov(runOne), scan(runOne)}, ""},
		{"any", []verify.Fact{prov(runOne), scan(runTwo)}, ReasonPolicyDeny},
		{"any", []verify.Fact{prov(runOne), scan(runTwo), scan(runOne), foreign}, ""},
		{"any", []verify.Fact{prov(runTwo), scan(runOne), foreign}, ReasonPolicyDeny},
		{"all", []verify.Fact{prov(runOne), scan(runTwo), scan(runOne)}, ReasonPolicyDeny},
		{"all", []verify.Fact{prov(runOne), prov(runTwo), scan(runOne)}, ""},
		{"any", []verify.Fact{prov(runOne), attested(t, "a", predicate.TypeVuln, `{}`)}, ReasonPolicyDeny},
	} {
		p := parse(t, joinTwo(row.which))
		want := p.Decide(found(row.facts...), noon)
		if want.Reason != row.reason {
			t.Errorf("%s: %+v", row.which, want)
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range 5 {
			got := p.Decide(found(shuffle(random, row.facts)...), noon)
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); diff != "" {
				t.Fatalf("SB-26 the order of the findings matters:\n%s", diff)
			}
		}
	}
}

// TestJoinIsBounded: PO-14, many statements cannot keep a decision busy.
func TestJoinIsBounded(t *testing.T) {
	t.Parallel()
	facts := []verify.Fact{}
	for i := range 20 {
		facts = append(facts, attested(t, "a", predicate.TypeProvenanceV1, provenanceOf(fmt.Sprint(runOne, i))), attested(t, "a", predicate.TypeVuln, scanIn(fmt.Sprint(runTwo, i))))
	}
	expect(t, parse(t, joinTwo("any")).Decide(found(facts...), noon), Deny, verify.ReasonLimitExceeded)
	loop := require("provenance: {from: [a]}\nstatements: [{type: vuln, from: [a]}]\njoin: [{of: {p: provenance, s: vuln}, cel: ['s.predicate.all(x, s.predicate.all(y, s.predicate.all(z, p.predicate.all(w, s.predicate.all(v, true)))))']}]")
	var fields []string
	for i := range 60 {
		fields = append(fields, fmt.Sprintf(`"f%d":1`, i))
	}
	img := found(attested(t, "a", predicate.TypeProvenanceV1, provenanceOf(runOne)), attested(t, "a", predicate.TypeVuln, "{"+strings.Join(fields, ",")+"}"))
	start := time.Now()
	expect(t, parse(t, loop).Decide(img, noon), Deny, ReasonPolicyDeny)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("PO-14 it took %s", took)
	}
}

// TestBadRelations: what can mean nothing is refused.
func TestBadRelations(t *testing.T) {
	t.Parallel()
	const base = "provenance: {from: [a]}\nstatements: [{type: vuln, from: [a]}, {type: vuln, from: [b]}, {type: test-result, from: [a]}]\nsignatures: {from: [a]}\n"
	for _, text := range []string{
		"sameRun: []", "sameRun: [provenance]", "sameRun: [provenance, provenance]", "sameRun: [provenance, sbom]", "sameRun: [provenance, signatures]", "sameRun: [provenance, sameRun]", "sameRun: [provenance, 'statements[7]']",
		"join: []", "join: [{of: {p: provenance, s: 'statements[0]'}}]", "join: [{cel: ['true']}]",
		"join: [{of: {p: provenance}, cel: ['has(p.x)']}]",
		"join: [{of: {p: provenance, s: vuln}, cel: ['has(p.x) && has(s.x)']}]", // two entries have the type
		"join: [{of: {p: provenance, s: 'statements[2]'}, cel: ['has(p.x)']}]",  // s is not used
		"join: [{of: {p: provenance, s: 'statements[2]'}, cel: ['true']}]",
		"join: [{of: {p: provenance, s: 'statements[2]'}, cel: ['statement.x']}]",
		"join: [{of: {p: provenance, s: 'statements[2]'}, cel: ['p.x == ']}]",
		"join: [{of: {map: provenance, s: 'statements[2]'}, cel: ['has(map.x) && has(s.x)']}]",
		"join: [{of: {P: provenance, s: 'statements[2]'}, cel: ['has(P.x) && has(s.x)']}]",
		"join: [{of: {p: provenance, s: 'join[0]'}, cel: ['has(p.x) && has(s.x)']}]",
		"join: [{of: {p: null, s: 'statements[2]'}, cel: ['has(p.x) && has(s.x)']}]",
		"join: [{of: {p: signatures, s: 'statements[2]'}, cel: ['has(p.x) && has(s.x)']}]",
		"join: [{of: [p, s], cel: ['has(p.x)']}]",
	} {
		if e := fault(t, require(base+text)); e.Line == 0 {
			t.Errorf("%s: no place in %v", text, e)
		}
	}
}
