package predicate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/predicate"
)

const (
	sbomDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

	spdx = `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","creationInfo":{"created":"2026-01-02T03:04:05Z"},
	"packages":[
	 {"SPDXID":"SPDXRef-1","name":"left-pad","versionInfo":"1.3.0","licenseConcluded":"NOASSERTION","licenseDeclared":"MIT",
	  "externalRefs":[{"referenceCategory":"SECURITY","referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a"},
	   {"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:npm/left-pad@1.3.0"}]},
	 {"SPDXID":"SPDXRef-root","name":"image","checksums":[{"algorithm":"SHA256","checksumValue":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}]}],
	"relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES","relatedSpdxElement":"SPDXRef-root"},
	 {"spdxElementId":"SPDXRef-root","relationshipType":"CONTAINS","relatedSpdxElement":"SPDXRef-1"},
	 {"spdxElementId":"SPDXRef-1","relationshipType":"CONTAINS","relatedSpdxElement":"SPDXRef-root"}]}`

	cycloneDX = `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"timestamp":"2026-01-02T03:04:05Z",
	 "component":{"bom-ref":"r","type":"container","name":"image","version":"` + sbomDigest + `"}},
	"components":[{"bom-ref":"1","type":"library","group":"@acme","name":"left-pad","version":"1.3.0","purl":"pkg:npm/%40acme/left-pad@1.3.0",
	  "licenses":[{"license":{"id":"MIT"}},{"expression":"MIT OR Apache-2.0"}],
	  "components":[{"bom-ref":"2","type":"library","name":"inner","version":"2"}]},
	 {"bom-ref":"3","type":"file","name":"/etc/passwd"},{"bom-ref":"4","type":"operating-system","name":"debian"}],
	"dependencies":[{"ref":"1","dependsOn":["2"]},{"ref":"2","dependsOn":["1"]}]}`

	syft = `{"schema":{"version":"16.0.0"},"source":{"metadata":{"manifestDigest":"` + sbomDigest + `"}},
	"artifacts":[{"id":"1","name":"left-pad","version":"1.3.0","type":"npm","purl":"pkg:npm/left-pad@1.3.0","licenses":[{"value":"mit","spdxExpression":"MIT"}]},
	 {"id":"2","name":"thing","version":"","type":"binary","licenses":["BSD"]}]}`
)

func TestReadSBOM(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		uri, document string
		want          predicate.SBOM
	}{
		"SPDX": {predicate.TypeSPDX, spdx, predicate.SBOM{Format: "spdx", SpecVersion: "2.3", Created: created, Packages: []predicate.Package{
			{PURL: "pkg:npm/left-pad@1.3.0", Name: "left-pad", Version: "1.3.0", Type: "npm", Licenses: []string{"MIT"}},
			{Name: "image", Root: true},
		}}},
		"CycloneDX": {predicate.TypeCycloneDX, cycloneDX, predicate.SBOM{Format: "cyclonedx", SpecVersion: "1.6", Created: created, Packages: []predicate.Package{
			{Name: "image", Version: sbomDigest, Root: true},
			{PURL: "pkg:npm/%40acme/left-pad@1.3.0", Name: "@acme/left-pad", Version: "1.3.0", Type: "npm", Licenses: []string{"MIT", "MIT OR Apache-2.0"}},
			{Name: "inner", Version: "2"},
		}}},
		"syft": {predicate.TypeSyft, syft, predicate.SBOM{Format: "syft", SpecVersion: "16.0.0", Packages: []predicate.Package{
			{PURL: "pkg:npm/left-pad@1.3.0", Name: "left-pad", Version: "1.3.0", Type: "npm", Licenses: []string{"MIT"}},
			{Name: "thing", Type: "binary", Licenses: []string{"BSD"}},
		}}},
		"SPDX, versioned type": {predicate.TypeSPDX + "/v2.3", `{"spdxVersion":"SPDX-2.3"}`, predicate.SBOM{Format: "spdx", SpecVersion: "2.3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := predicate.ReadSBOM(test.uri, []byte(test.document))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(name, "versioned") && (len(got.Subjects) != 1 || got.Subjects[0].String() != sbomDigest) {
				t.Errorf("subjects: %v", got.Subjects)
			}
			got.Subjects = nil
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadSBOMRefuses(t *testing.T) {
	t.Parallel()
	edit := func(document, old, new string) string {
		if !strings.Contains(document, old) {
			panic("nothing to change: " + old)
		}
		return strings.ReplaceAll(document, old, new)
	}
	for name, test := range map[string]struct {
		uri, document string
		want          error
	}{
		"BM-05 SPDX under CycloneDX's type":      {predicate.TypeCycloneDX, spdx, predicate.ErrContradiction},
		"BM-05 CycloneDX under SPDX's type":      {predicate.TypeSPDX, cycloneDX, predicate.ErrContradiction},
		"BM-05 CycloneDX under syft's type":      {predicate.TypeSyft, cycloneDX, predicate.ErrMalformed},
		"BM-05 tag-value text":                   {predicate.TypeSPDX, `"SPDXVersion: SPDX-2.3"`, predicate.ErrMalformed},
		"BM-05 XML":                              {predicate.TypeCycloneDX, `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]>`, predicate.ErrMalformed},
		"BM-05 SPDX 3":                           {predicate.TypeSPDX, edit(spdx, "SPDX-2.3", "SPDX-3.0"), predicate.ErrMalformed},
		"BM-05 CycloneDX 2":                      {predicate.TypeCycloneDX, edit(cycloneDX, `"1.6"`, `"2.0"`), predicate.ErrMalformed},
		"BM-11 one SPDXID twice":                 {predicate.TypeSPDX, edit(spdx, "SPDXRef-root", "SPDXRef-1"), predicate.ErrMalformed},
		"BM-11 one bom-ref twice":                {predicate.TypeCycloneDX, edit(cycloneDX, `"bom-ref":"2"`, `"bom-ref":"1"`), predicate.ErrMalformed},
		"BM-11 one syft id twice":                {predicate.TypeSyft, edit(syft, `"id":"2"`, `"id":"1"`), predicate.ErrMalformed},
		"BM-11 nested too deeply":                {predicate.TypeCycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":` + strings.Repeat(`[{"name":"a","components":`, 5000) + "[]" + strings.Repeat("}]", 5000) + "}", attest.ErrLimit},
		"packages twice":                         {predicate.TypeSPDX, edit(spdx, `"SPDXID":"SPDXRef-DOCUMENT"`, `"packages":[]`), predicate.ErrMalformed},
		"a package without a name":               {predicate.TypeSPDX, edit(spdx, `"name":"left-pad"`, `"Name":"left-pad"`), predicate.ErrMalformed},
		"packages that are no list":              {predicate.TypeSPDX, `{"spdxVersion":"SPDX-2.3","packages":{}}`, predicate.ErrMalformed},
		"another type":                           {predicate.TypeProvenanceV1, spdx, predicate.ErrUnknownType},
		"a type that only starts like an SBOM's": {predicate.TypeSPDX + "Evil", spdx, predicate.ErrUnknownType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := predicate.ReadSBOM(test.uri, []byte(test.document))
			if !errors.Is(err, test.want) {
				t.Errorf("got %+v, %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestHollow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		uri, document string
		want          bool
	}{
		"BM-01 no packages":               {predicate.TypeSPDX, `{"spdxVersion":"SPDX-2.3","packages":[]}`, true},
		"BM-01 only the root, SPDX":       {predicate.TypeSPDX, `{"spdxVersion":"SPDX-2.3","documentDescribes":["SPDXRef-r"],"packages":[{"SPDXID":"SPDXRef-r","name":"image"}]}`, true},
		"BM-01 only the root, CycloneDX":  {predicate.TypeCycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"name":"image"}},"components":[]}`, true},
		"a file with a package URL":       {predicate.TypeCycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"file","name":"/a.jar","purl":"pkg:maven/a/a@1"}]}`, false},
		"BM-01 only files and the system": {predicate.TypeCycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"file","name":"/a"},{"type":"operating-system","name":"debian"}]}`, true},
		"BM-01 spelt otherwise":           {predicate.TypeCycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6","Components":[{"type":"library","name":"a"}]}`, true},
		"SPDX":                            {predicate.TypeSPDX, spdx, false},
		"two described packages":          {predicate.TypeSPDX, `{"spdxVersion":"SPDX-2.3","documentDescribes":["SPDXRef-a","SPDXRef-b"],"packages":[{"SPDXID":"SPDXRef-a","name":"a"},{"SPDXID":"SPDXRef-b","name":"b"}]}`, false},
		"CycloneDX":                       {predicate.TypeCycloneDX, cycloneDX, false},
		"syft":                            {predicate.TypeSyft, syft, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bom, err := predicate.ReadSBOM(test.uri, []byte(test.document))
			if err != nil {
				t.Fatal(err)
			}
			if bom.Hollow() != test.want {
				t.Errorf("hollow: %v, want %v: %+v", bom.Hollow(), test.want, bom)
			}
		})
	}
}

// TestManyRelationships: BM-11: a million of them cost time in proportion.
func TestManyRelationships(t *testing.T) {
	t.Parallel()
	one := `{"spdxElementId":"SPDXRef-a","relationshipType":"CONTAINS","relatedSpdxElement":"SPDXRef-a"}`
	document := `{"spdxVersion":"SPDX-2.3","packages":[{"SPDXID":"SPDXRef-a","name":"a"}],"relationships":[` + one + strings.Repeat(","+one, 1_000_000) + `]}`
	bom, err := predicate.ReadSBOM(predicate.TypeSPDX, []byte(document))
	if err != nil || len(bom.Packages) != 1 {
		t.Fatalf("%d packages, %v", len(bom.Packages), err)
	}
	many := `{"SPDXID":"SPDXRef-%d","name":"a"}`
	var list strings.Builder
	for i := range 250_001 {
		fmt.Fprintf(&list, many+",", i)
	}
	document = `{"spdxVersion":"SPDX-2.3","packages":[` + strings.TrimSuffix(list.String(), ",") + `]}`
	if _, err := predicate.ReadSBOM(predicate.TypeSPDX, []byte(document)); !errors.Is(err, attest.ErrLimit) {
		t.Errorf("more packages than the limit: %v", err)
	}
}

func FuzzReadSBOM(f *testing.F) {
	for i, document := range []string{spdx, cycloneDX, syft} {
		f.Add(i, []byte(document))
	}
	types := []string{predicate.TypeSPDX, predicate.TypeCycloneDX, predicate.TypeSyft}
	f.Fuzz(func(t *testing.T, kind int, document []byte) {
		uri := types[uint(kind)%3]
		bom, err := predicate.ReadSBOM(uri, document)
		if err != nil {
			return
		}
		again, err := predicate.ReadSBOM(uri, append([]byte(" "), document...))
		if err != nil || cmp.Diff(bom.Packages, again.Packages) != "" {
			t.Error("white space changes the answer")
		}
		for _, p := range bom.Packages {
			if p.Name == "" {
				t.Error("a package without a name")
			}
		}
	})
}

func ExampleReadSBOM() {
	bom, err := predicate.ReadSBOM(predicate.TypeSPDX, []byte(spdx))
	if err != nil || bom.Hollow() {
		return // nothing may be concluded from it
	}
	for _, p := range bom.Packages {
		if !p.Root {
			fmt.Println(p.PURL, p.Licenses)
		}
	}
	// Output: pkg:npm/left-pad@1.3.0 [MIT]
}
