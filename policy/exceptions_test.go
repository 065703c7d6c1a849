package policy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

const excepted = `  - {image: "registry.acme.example/prod/app@DIGEST", rule: one, skip: [provenance], reason: built before provenance, owner: security@acme.example, ticket: SEC-12, expires: 2026-06-01}
`

func excepting(entries string) string {
	return require("signatures: {from: [a]}\nprovenance: {from: [a]}") + "exceptions:\n" + strings.ReplaceAll(entries, "DIGEST", imageDigest.String())
}

// TestExceptions: PO-16, PO-17: an exception is one image's, by digest, and one
// demand's, until it expires; what it skips is reported as skipped and never as good.
func TestExceptions(t *testing.T) {
	t.Parallel()
	p := parse(t, excepting(excepted))
	again, err := Parse("again", p.YAML(), nil)
	if err != nil || again.Digest() != p.Digest() {
		t.Fatalf("the canonical form is another policy: %v\n%s", err, p.YAML())
	}
	d := again.Decide(found(signed(t, "a")), noon)
	expect(t, d, Allow, "")
	skipped := d.Demands[1]
	if skipped.Verdict != Deny || skipped.Skipped == nil || skipped.Skipped.Ticket != "SEC-12" || d.Demands[0].Skipped != nil ||
		len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "SEC-12") || strings.Contains(d.Warnings[0], "days") {
		t.Errorf("PO-16 the exception does not show: %+v", d)
	}
	if stamp(d.Until) != "2026-06-01T00:00:00Z" {
		t.Errorf("the decision ends at %s", d.Until)
	}
	if d = p.Decide(found(signed(t, "a")), time.Date(2026, 5, 22, 0, 0, 0, 0, time.UTC)); d.Verdict != Allow || !strings.Contains(d.Warnings[0], "in 10 days") {
		t.Errorf("nothing is said before it expires: %+v", d)
	}
	d = p.Decide(found(signed(t, "a")), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
	expect(t, d, Deny, ReasonNoAttestation)
	if len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "expired") {
		t.Errorf("PO-22 the denial does not say that an exception expired: %+v", d)
	}
	expect(t, p.Decide(found(), noon), Deny, ReasonNoSignature)
	good := attested(t, "a", predicate.TypeProvenanceV1, provenanceBody(hosted, source, tagRef))
	if d = p.Decide(found(signed(t, "a"), good), noon); d.Demands[1].Skipped != nil || len(d.Warnings) != 0 || !d.Until.IsZero() {
		t.Errorf("what is met is skipped: %+v", d)
	}
	other := found(signed(t, "a"))
	other.Name += "2"
	expect(t, p.Decide(other, noon), Deny, ReasonNoAttestation)
	rebuilt := found(signed(t, "a"))
	rebuilt.Target.Subject.Digest = digest.FromBytes([]byte("rebuilt"))
	rebuilt.Target.Findings.Facts[0].Subject = rebuilt.Target.Subject
	expect(t, p.Decide(rebuilt, noon), Deny, ReasonNoAttestation)
	// Evidence cannot make an exception, whatever it says of itself.
	f := signed(t, "a")
	f.Annotations = map[string]string{"hallmark.dev/exception": "provenance"}
	expect(t, parse(t, require("signatures: {from: [a]}\nprovenance: {from: [a]}")).Decide(found(f), noon), Deny, ReasonNoAttestation)
	away := found(signed(t, "a"))
	away.Target.Findings.Missing = []error{errors.New("503")}
	expect(t, p.Decide(away, noon), Allow, "")
}

// TestExceptionsOfPlatforms: an exception of an index is one of its platforms too.
func TestExceptionsOfPlatforms(t *testing.T) {
	t.Parallel()
	p := parse(t, strings.Replace(excepting(excepted), "    require:", "    platforms: all\n    require:", 1))
	img := found(signed(t, "a"))
	f := signed(t, "a")
	f.Subject.Digest = digest.FromBytes([]byte("amd64"))
	img.Index, img.Platforms = true, []Part{{Subject: f.Subject, Platform: "linux/amd64", Findings: Findings{Facts: []verify.Fact{f}}}}
	expect(t, p.Decide(img, noon), Allow, "")
	img.Platforms[0].Findings = Findings{}
	expect(t, p.Decide(img, noon), Deny, ReasonNoSignature)
}

func TestBadExceptions(t *testing.T) {
	t.Parallel()
	parse(t, excepting(excepted+strings.Replace(excepted, "[provenance]", "[signatures]", 1)))
	for name, change := range map[string][2]string{
		"PO-22 soon":               {"2026-06-01", "soon"},
		"PO-22 never":              {", expires: 2026-06-01", ""},
		"PO-22 no date":            {"expires: 2026-06-01", "expires: "},
		"no reason":                {"reason: built before provenance, ", ""},
		"no owner":                 {"owner: security@acme.example, ", ""},
		"no ticket":                {"ticket: SEC-12, ", ""},
		"PO-09 skips nothing":      {"[provenance]", "[]"},
		"PO-16 skips what is not":  {"[provenance]", "[sbom]"},
		"PO-16 skips everything":   {"[provenance]", "['*']"},
		"PO-16 a wildcard":         {"prod/app@", "prod/*@"},
		"PO-16 a tag":              {"prod/app@DIGEST", "prod/app:v1"},
		"PO-16 every digest":       {"@DIGEST", ""},
		"a short digest":           {"@DIGEST", "@sha256:12ab"},
		"an unknown rule":          {"rule: one", "rule: two"},
		"PO-06 another rule's":     {"registry.acme.example/prod", "registry.other.example/prod"},
		"PO-11 misspelt":           {"expires", "expire"},
		"PO-12 a number":           {"ticket: SEC-12", "ticket: 12"},
		"PO-07 a second exception": {excepted, excepted + excepted},
	} {
		if e := fault(t, excepting(replaceOnce(t, excepted, change[0], change[1]))); e.Line == 0 {
			t.Errorf("%s: %v", name, e)
		}
	}
	fault(t, excepting("")+"  []\n")
}

// TestRevokedImages: an image that is revoked by its digest is denied under every
// rule, warning or not, and so is an index that holds it.
func TestRevokedImages(t *testing.T) {
	t.Parallel()
	revoked := "revoked:\n  - {digest: '" + imageDigest.String() + "', reason: leaked secret}\n"
	text := require("signatures: {from: [a]}")
	for name, yaml := range map[string]string{
		"enforced":  text + revoked,
		"warning":   strings.Replace(text, "    require:", "    mode: warn\n    require:", 1) + revoked,
		"unmatched": strings.Replace(text, "registry.acme.example/**", "x.io/a", 1) + revoked + "unmatched: warn\n",
		"excepted":  excepting(excepted) + revoked,
	} {
		p := parse(t, yaml)
		d := p.Decide(found(signed(t, "a")), noon)
		expect(t, d, Deny, ReasonImageRevoked)
		if d.Warned != nil || len(d.Demands) == 0 || !strings.Contains(d.Demands[0].Found, "leaked secret") {
			t.Errorf("%s: %+v", name, d)
		}
		img := found(signed(t, "a"))
		img.Index, img.Target.Subject.Digest = true, digest.FromBytes([]byte("index"))
		img.Platforms = []Part{{Subject: subject(), Platform: "linux/amd64"}}
		expect(t, p.Decide(img, noon), Deny, ReasonImageRevoked)
		img.Platforms, img.Target.Index = nil, imageDigest // one platform of a revoked index
		expect(t, p.Decide(img, noon), Deny, ReasonImageRevoked)
	}
	other := strings.Replace(revoked, imageDigest.String(), digest.FromBytes([]byte("other")).String(), 1)
	expect(t, parse(t, text+other).Decide(found(signed(t, "a")), noon), Allow, "")
	for name, entry := range map[string]string{
		"a short digest": "{digest: 'sha256:12', reason: x}", "since": "{digest: '" + imageDigest.String() + "', since: 2026-01-01, reason: x}",
		"and a key": "{digest: '" + imageDigest.String() + "', key: '" + key(t, "a").ID() + "', reason: x}", "no reason": "{digest: '" + imageDigest.String() + "'}",
		"and a name": "{digest: '" + imageDigest.String() + "', subject: a@acme.example, reason: x}",
	} {
		if e := fault(t, text+"revoked:\n  - "+entry+"\n"); e.Line == 0 {
			t.Errorf("%s: %v", name, e)
		}
	}
}
