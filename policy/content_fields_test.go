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
	"rules[].require.sbom.complete":          {sbomOf, "[a]", "[a], complete: ntia", ReasonSBOMIncomplete},
	"rules[].require.sbom.minPackages":       {"sbom: {from: [a], minPackages: 2}", "2", "3", ReasonSBOMHollow},
	"rules[].require.sbom.matchesContent":    {sbomOf, "[a]", "[a], matchesContent: true", ReasonSBOMMismatch},
	"rules[].require.sbom.tolerance":         {lenient, ", tolerance: {missing: 1, extra: 1}", "", ReasonSBOMMismatch},
	"rules[].require.sbom.tolerance.missing": {lenient, "missing: 1", "missing: 0", ReasonSBOMMismatch},
	"rules[].require.sbom.tolerance.extra":   {lenient, "extra: 1", "extra: 0", ReasonSBOMMismatch},
	"rules[].require.sbom.deny.licenses[]":   {"sbom: {from: [a], deny: {licenses: [GPL-3.0-only]}}", "GPL-3.0-only", "MIT", ReasonPolicyDeny},
}

const lenient = "sbom: {from: [a], matchesContent: true, tolerance: {missing: 1, extra: 1}}"

// contentImage has an SBOM of two packages, of which the image has one, and
// another that the SBOM leaves out.
func contentImage(t *testing.T) Image {
	t.Helper()
	img := found(attested(t, "a", predicate.TypeCycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
		{"type":"library","name":"good","version":"1","purl":"pkg:npm/good@1","licenses":[{"license":{"id":"MIT"}}]},
		{"type":"library","name":"extra","version":"1","purl":"pkg:npm/extra@1"}]}`))
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
