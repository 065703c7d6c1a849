package policy

import (
	"reflect"
	"slices"
	"testing"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// contentCase is a demand on content that is met, and the same with one field
// changed, which is not.
type contentCase struct {
	demands, from, to string
	reason            verify.Reason
}

const sbomOf = "sbom: {from: [a]}"

// contentCases are the fields whose effect shows on an SBOM or a scan.
var contentCases = map[string]contentCase{
	"rules[].require.sbom.complete":               {sbomOf, "[a]", "[a], complete: ntia", ReasonSBOMIncomplete},
	"rules[].require.sbom.minPackages":            {"sbom: {from: [a], minPackages: 2}", "2", "3", ReasonSBOMHollow},
	"rules[].require.sbom.matchesContent":         {sbomOf, "[a]", "[a], matchesContent: true", ReasonSBOMMismatch},
	"rules[].require.sbom.tolerance":              {lenient, ", tolerance: {missing: 1, extra: 1}", "", ReasonSBOMMismatch},
	"rules[].require.sbom.tolerance.missing":      {lenient, "missing: 1", "missing: 0", ReasonSBOMMismatch},
	"rules[].require.sbom.tolerance.extra":        {lenient, "extra: 1", "extra: 0", ReasonSBOMMismatch},
	"rules[].require.vulnerabilities":             {sbomOf, "[a]}", "[a]}\nvulnerabilities: {from: [a], maxSeverity: low, which: any}", ReasonVulnerable},
	"rules[].require.vulnerabilities.from[]":      {accepting, "[a]", "[b]", verify.ReasonIdentityMismatch},
	"rules[].require.vulnerabilities.maxSeverity": {accepting, "medium", "low", ReasonVulnerable},
	"rules[].require.vulnerabilities.which":       {accepting, ", which: any", "", verify.ReasonTimeMissing},
	"rules[].require.vulnerabilities.maxAge":      {accepting, "which: any", "which: any, maxAge: 1h", verify.ReasonTimeMissing},
	"rules[].require.vulnerabilities.vex[]":       {accepting, "vex: [b]", "vex: [c]", ReasonVulnerable},
	"rules[].require.sbom.deny.licenses[]":        {"sbom: {from: [a], deny: {licenses: [GPL-3.0-only]}}", "GPL-3.0-only", "MIT", ReasonPolicyDeny},
}

const lenient = "sbom: {from: [a], matchesContent: true, tolerance: {missing: 1, extra: 1}}"

const accepting = "vulnerabilities: {from: [a], maxSeverity: medium, which: any, vex: [b]}"

// contentImage has an SBOM of two packages, of which the image has one, and
// another that the SBOM leaves out; and a scan that found a high severity, which
// VEX of b excuses, and a medium one.
func contentImage(t *testing.T) Image {
	t.Helper()
	img := found(attested(t, "a", predicate.TypeCycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
		{"type":"library","name":"good","version":"1","purl":"pkg:npm/good@1","licenses":[{"license":{"id":"MIT"}}]},
		{"type":"library","name":"extra","version":"1","purl":"pkg:npm/extra@1"}]}`),
		attested(t, "a", predicate.TypeVuln, scanOf(vulnerable("CVE-2026-1", "high", "pkg:npm/good@1"), vulnerable("CVE-2026-2", "medium", "pkg:npm/good@1"))),
		attested(t, "b", predicate.TypeOpenVEX, vexOf(vexAbout("CVE-2026-1", "not_affected", "pkg:npm/good@1"))))
	img.Target.Content = &Content{Packages: []predicate.Package{
		{Name: "image", Root: true}, {Name: "good", Version: "1", PURL: "pkg:npm/good@1"}, {Name: "missing", Version: "1", PURL: "pkg:npm/missing@1"},
	}}
	return img
}

// TestEveryContentFieldHasAnEffect is the part of TestEveryFieldHasAnEffect whose
// fields ask what an image contains.
func TestEveryContentFieldHasAnEffect(t *testing.T) {
	t.Parallel()
	known := paths(reflect.TypeFor[document](), "")
	for path, c := range contentCases {
		if !slices.Contains(known, path) {
			t.Errorf("PO-10 the case %s is about no field", path)
		}
		t.Run("PO-10 "+path, func(t *testing.T) {
			t.Parallel()
			img := contentImage(t)
			expect(t, parse(t, require(c.demands)).Decide(img, noon), Allow, "")
			expect(t, parse(t, require(replaceOnce(t, c.demands, c.from, c.to))).Decide(img, noon), Deny, c.reason)
		})
	}
}

// contentExample stands in docs/policy.md.
const contentExample = `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: acme-production}
trustRoots: {public: {sigstore: public-good}}
signers:
  release: {keys: [{file: a.pub}]}
  scanner:
    keyless: {trustRoot: public, issuer: https://token.actions.githubusercontent.com, github: {repository: acme/scans, workflow: .github/workflows/scan.yml}}
rules:
  - name: production
    images: [registry.acme.example/prod/**]
    platforms: all
    require:
      sbom:
        from: [release]
        minPackages: 10
        complete: ntia
        matchesContent: true
        tolerance: {missing: 0, extra: 2}
        deny: {packages: ["pkg:npm/event-stream@3.3.6"], licenses: [AGPL-3.0-only, "name:Oracle BCL"]}
      vulnerabilities: {from: [scanner], maxAge: 24h, maxSeverity: high, vex: [release]}
`

// TestContentExample: the example is a policy, and asks for what it says.
func TestContentExample(t *testing.T) {
	t.Parallel()
	plan, err := parse(t, contentExample).Plan("registry.acme.example/prod/app")
	if err != nil || !plan.Content || !plan.Wants(predicate.TypeVuln) || !plan.Wants(predicate.TypeOpenVEX) || !plan.Wants(predicate.TypeSPDX) {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
}
