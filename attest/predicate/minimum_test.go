package predicate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/predicate"
)

const (
	minimumSPDX = `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","creationInfo":{"created":"2026-01-02T03:04:05Z","creators":["Tool: maker"]},
	"packages":[{"SPDXID":"SPDXRef-root","name":"image"},{"SPDXID":"SPDXRef-1","name":"left-pad","versionInfo":"1.3.0","supplier":"Organization: Acme",
	"externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:npm/left-pad@1.3.0"}]}],
	"relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES","relatedSpdxElement":"SPDXRef-root"},
	{"spdxElementId":"SPDXRef-root","relationshipType":"CONTAINS","relatedSpdxElement":"SPDXRef-1"}]}`

	minimumCycloneDX = `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"timestamp":"2026-01-02T03:04:05Z","authors":[{"name":"Acme"}],
	"component":{"bom-ref":"r","type":"container","name":"image"}},
	"components":[{"bom-ref":"1","type":"library","name":"left-pad","version":"1.3.0","supplier":{"name":"Acme"},"purl":"pkg:npm/left-pad@1.3.0"}],
	"dependencies":[{"ref":"r","dependsOn":["1"]}]}`
)

// TestMinimumElements: a complete document of each format, and twins of it in
// which exactly one element is missing.
func TestMinimumElements(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		uri, document, from, to, want string
	}{
		{predicate.TypeSPDX, minimumSPDX, "", "", ""},
		{predicate.TypeSPDX, minimumSPDX, "Organization: Acme", "Organization: ", "the supplier of left-pad"},
		{predicate.TypeSPDX, minimumSPDX, "Organization: Acme", "NOASSERTION", "the supplier of left-pad"},
		{predicate.TypeSPDX, minimumSPDX, `"versionInfo":"1.3.0",`, "", "the version of left-pad"},
		{predicate.TypeSPDX, minimumSPDX, `"purl"`, `"url"`, "the unique identifier of left-pad"},
		{predicate.TypeSPDX, minimumSPDX, `"SPDXRef-root","relationshipType":"CONTAINS"`, `"NONE","relationshipType":"CONTAINS"`, "the dependency relationship of left-pad"},
		{predicate.TypeSPDX, minimumSPDX, `"Tool: maker"`, `"Tool: "`, "the author of the SBOM"},
		{predicate.TypeSPDX, minimumSPDX, "2026-01-02T03:04:05Z", "yesterday", "the time at which the SBOM was made"},
		{predicate.TypeCycloneDX, minimumCycloneDX, "", "", ""},
		{predicate.TypeCycloneDX, minimumCycloneDX, `"supplier":{"name":"Acme"},`, "", "the supplier of left-pad"},
		{predicate.TypeCycloneDX, minimumCycloneDX, `"version":"1.3.0",`, "", "the version of left-pad"},
		{predicate.TypeCycloneDX, minimumCycloneDX, `"purl":"pkg:npm/left-pad@1.3.0"`, `"copyright":"Acme"`, "the unique identifier of left-pad"},
		{predicate.TypeCycloneDX, minimumCycloneDX, `"dependsOn":["1"]`, `"dependsOn":["r"]`, "the dependency relationship of left-pad"},
		{predicate.TypeCycloneDX, minimumCycloneDX, `"authors":[{"name":"Acme"}],`, "", "the author of the SBOM"},
		{predicate.TypeCycloneDX, minimumCycloneDX, `"authors":[{"name":"Acme"}]`, `"tools":[{"name":"maker"}]`, ""},
		{predicate.TypeCycloneDX, minimumCycloneDX, `"authors":[{"name":"Acme"}]`, `"tools":{"components":[{"type":"application","name":"maker"}]}`, ""},
		{predicate.TypeCycloneDX, minimumCycloneDX, `"timestamp":"2026-01-02T03:04:05Z",`, "", "the time at which the SBOM was made"},
	} {
		if !strings.Contains(row.document, row.from) {
			t.Fatalf("%q does not stand in the document", row.from)
		}
		got, err := predicate.ReadMinimum(row.uri, []byte(strings.Replace(row.document, row.from, row.to, 1)))
		if err != nil {
			t.Fatalf("%q: %v", row.to, err)
		}
		if diff := cmp.Diff(row.want, strings.Join(got.Missing(), "; ")); diff != "" {
			t.Errorf("%q for %q: %s", row.to, row.from, diff)
		}
	}
	if _, err := predicate.ReadMinimum(predicate.TypeSyft, []byte(syft)); !errors.Is(err, predicate.ErrUnknownType) {
		t.Errorf("syft's own format: %v", err)
	}
}

// FuzzReadMinimum: the two readers of one document list the same packages, and
// what cannot be read is refused by both.
func FuzzReadMinimum(f *testing.F) {
	for i, document := range []string{spdx, minimumSPDX, cycloneDX, minimumCycloneDX} {
		f.Add(i/2, []byte(document))
	}
	f.Fuzz(func(t *testing.T, kind int, document []byte) {
		uri := []string{predicate.TypeSPDX, predicate.TypeCycloneDX}[uint(kind)%2]
		bom, err := predicate.ReadSBOM(uri, document)
		minimum, minimumErr := predicate.ReadMinimum(uri, document)
		if err != nil {
			if minimumErr == nil {
				t.Fatalf("refused with %v, and read", err)
			}
			return
		}
		if minimumErr != nil {
			return // fields that only the minimum elements need are malformed
		}
		n := 0
		for _, p := range bom.Packages {
			if !p.Root {
				n++
			}
		}
		if n != len(minimum.Packages) {
			t.Fatalf("%d packages, and %d with elements", n, len(minimum.Packages))
		}
	})
}
