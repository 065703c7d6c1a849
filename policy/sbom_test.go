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

// describing is a CycloneDX document about an image with one package.
func describing(d digest.Digest) string {
	return fmt.Sprintf(`{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"type":"container","name":"app","version":%q}},
		"components":[{"type":"library","name":"good","version":"1","purl":"pkg:npm/good@1"}]}`, d)
}

func TestSBOMRows(t *testing.T) {
	t.Parallel()
	another := digest.FromBytes([]byte("another"))
	for name, row := range map[string]struct {
		demand  string
		fact    verify.Fact
		verdict Verdict
		reason  verify.Reason
	}{
		"BM-01 no package at all": {sbomOf, attested(t, "a", predicate.TypeSPDX, spdx()), Deny, ReasonSBOMHollow},
		"BM-01 the image alone":   {sbomOf, attested(t, "a", predicate.TypeCycloneDX, strings.Replace(describing(imageDigest), `"components"`, `"services"`, 1)), Deny, ReasonSBOMHollow},
		"BM-01 fewer than wanted": {"sbom: {from: [a], minPackages: 2}", attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/good@1")), Deny, ReasonSBOMHollow},
		"BM-02 this image's":      {sbomOf, attested(t, "a", predicate.TypeCycloneDX, describing(imageDigest)), Allow, ""},
		"BM-02 another image's":   {sbomOf, attested(t, "a", predicate.TypeCycloneDX, describing(another)), Deny, ReasonSBOMOtherSubject},
		"BM-02 another image's, by an OCI URL": {sbomOf, attested(t, "a", predicate.TypeCycloneDX, strings.Replace(describing(imageDigest),
			`"version":"`+imageDigest.String(), `"purl":"pkg:oci/app@sha256%3A`+another.Hex(), 1)), Deny, ReasonSBOMOtherSubject},
		"BM-02 another image's, by SPDX": {sbomOf, attested(t, "a", predicate.TypeSPDX, strings.Replace(spdx("pkg:npm/root@1", "pkg:npm/good@1"), `"name":"p0"`,
			`"name":"p0","checksums":[{"algorithm":"SHA256","checksumValue":"`+another.Hex()+`"}]`, 1)), Allow, ""}, // described by nothing
		"BM-02 described in SPDX": {sbomOf, attested(t, "a", predicate.TypeSPDX, strings.NewReplacer(`"name":"p0"`,
			`"name":"p0","checksums":[{"algorithm":"SHA256","checksumValue":"`+another.Hex()+`"}]`, `"name":"x"`, `"documentDescribes":["SPDXRef-0"]`).Replace(spdx("pkg:npm/root@1", "pkg:npm/good@1"))), Deny, ReasonSBOMOtherSubject},
		"BM-05 SPDX under CycloneDX's type": {sbomOf, attested(t, "a", predicate.TypeCycloneDX, spdx("pkg:npm/good@1")), Deny, verify.ReasonStatementMalformed},
		"BM-05 a tag-value text":            {sbomOf, attested(t, "a", predicate.TypeSPDX, `"SPDXVersion: SPDX-2.3\nPackageName: good"`), Deny, verify.ReasonStatementMalformed},
		"BM-05 XML with an entity":          {sbomOf, attested(t, "a", predicate.TypeCycloneDX, `"<!DOCTYPE x [<!ENTITY y SYSTEM \"file:///etc/passwd\">]><bom>&y;</bom>"`), Deny, verify.ReasonStatementMalformed},
		"BM-05 another version":             {sbomOf, attested(t, "a", predicate.TypeCycloneDX, strings.Replace(describing(imageDigest), "1.6", "2.0", 1)), Deny, verify.ReasonStatementMalformed},
		"BM-11 two packages under one name": {sbomOf, attested(t, "a", predicate.TypeSPDX, strings.Replace(spdx("pkg:npm/good@1", "pkg:npm/b@1"), "SPDXRef-1", "SPDXRef-0", 1)), Deny, verify.ReasonStatementMalformed},
		"BM-11 a cycle":                     {sbomOf, attested(t, "a", predicate.TypeCycloneDX, strings.TrimSuffix(describing(imageDigest), "}")+`,"dependencies":[{"ref":"a","dependsOn":["b"]},{"ref":"b","dependsOn":["a"]}]}`), Allow, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, parse(t, require(row.demand)).Decide(found(row.fact), noon), row.verdict, row.reason)
		})
	}
	unsigned := found()
	unsigned.Target.Findings.Rejected = []*verify.Rejection{{Origin: verify.Origin{Place: "index", ClaimedType: predicate.TypeSPDX}, Reason: verify.ReasonUnsigned, Err: errors.New("no signature")}}
	t.Run("BM-03 an unsigned SBOM is no evidence", func(t *testing.T) {
		t.Parallel()
		expect(t, parse(t, require(sbomOf)).Decide(unsigned, noon), Deny, ReasonNoAttestation)
	})
}

// TestSBOMOfAnIndex: BM-09, with `platforms: all` each platform needs an SBOM of its
// own, which may name itself or the index that it was pulled by, and no other.
func TestSBOMOfAnIndex(t *testing.T) {
	t.Parallel()
	yaml := strings.Replace(require(sbomOf), "    require:", "    platforms: all\n    require:", 1)
	amd, arm := digest.FromBytes([]byte("amd64")), digest.FromBytes([]byte("arm64"))
	platform := func(name string, of digest.Digest, described digest.Digest) Part {
		f := attested(t, "a", predicate.TypeCycloneDX, describing(described))
		f.Subject.Digest = of
		return Part{Subject: f.Subject, Platform: name, Findings: Findings{Facts: []verify.Fact{f}}}
	}
	img := found(attested(t, "a", predicate.TypeCycloneDX, describing(imageDigest)))
	img.Index = true
	img.Platforms = []Part{platform("linux/amd64", amd, amd), platform("linux/arm64", arm, imageDigest)}
	expect(t, parse(t, yaml).Decide(img, noon), Allow, "")
	img.Platforms[1] = platform("linux/arm64", arm, amd)
	expect(t, parse(t, yaml).Decide(img, noon), Deny, ReasonSBOMOtherSubject)
	img.Platforms[1] = Part{Subject: verify.Subject{Digest: arm}, Platform: "linux/arm64"}
	expect(t, parse(t, yaml).Decide(img, noon), Deny, ReasonNoAttestation)
}

func TestDeniedLicenses(t *testing.T) {
	t.Parallel()
	body := func(license string) string {
		return strings.Replace(describing(imageDigest), `"purl"`, `"licenses":[`+license+`],"purl"`, 1)
	}
	for _, row := range []struct {
		denied, license string
		verdict         Verdict
	}{
		{"AGPL-3.0-only", `{"license":{"id":"AGPL-3.0-only"}}`, Deny},
		{"AGPL-3.0-only", `{"expression":"MIT OR AGPL-3.0-only"}`, Allow},
		{"AGPL-3.0-only", `{"expression":"MIT AND AGPL-3.0-or-later"}`, Deny},
		{"AGPL-3.0-only", `{"license":{"id":"MIT"}},{"license":{"id":"AGPL-3.0-only"}}`, Deny},
		{"AGPL-3.0-only", ``, Allow},
		{"NOASSERTION", ``, Deny},
		{"NOASSERTION", `{"license":{"id":"MIT"}}`, Allow},
		{`"name:Oracle BCL"`, `{"license":{"name":"oracle  bcl"}}`, Deny},
	} {
		d := parse(t, require("sbom: {from: [a], deny: {licenses: ["+row.denied+"]}}")).Decide(found(attested(t, "a", predicate.TypeCycloneDX, body(row.license))), noon)
		if d.Verdict != row.verdict {
			t.Errorf("%s and %s: %+v", row.denied, row.license, d)
		}
	}
	for _, bad := range []string{"{licenses: [AGPL-3.0-olny]}", "{licenses: []}", "{packages: [], licenses: [MIT]}", "{}"} {
		fault(t, require("sbom: {from: [a], deny: "+bad+"}"))
	}
	one := parse(t, require("sbom: {from: [a], deny: {licenses: [mit, agpl-3.0-ONLY]}}"))
	if other := parse(t, require("sbom: {from: [a], deny: {licenses: [AGPL-3.0-only, MIT]}}")); one.Digest() != other.Digest() {
		t.Error("the spelling of a license changes the policy's digest")
	}
}

// TestMatchesContent: BM-04, an SBOM that leaves out what is in the layers, or
// lists what is not, is refused with a list; what may differ is documented.
func TestMatchesContent(t *testing.T) {
	t.Parallel()
	p := parse(t, require("sbom: {from: [a], matchesContent: true}"))
	if plan, err := p.Plan(image); err != nil || !plan.Content {
		t.Errorf("the plan does not ask for the content: %+v, %v", plan, err)
	}
	if plan, err := parse(t, require(sbomOf)).Plan(image); err != nil || plan.Content {
		t.Errorf("the plan asks for the content: %+v, %v", plan, err)
	}
	for name, row := range map[string]struct {
		written, real []string
		detail        string // "" is allowed
	}{
		"the same":                         {[]string{"pkg:npm/a@1", "pkg:npm/%40x/b@2"}, []string{"pkg:npm/@x/b@2", "pkg:npm/a@1"}, ""},
		"twice in the image":               {[]string{"pkg:npm/a@1"}, []string{"pkg:npm/a@1", "pkg:npm/a@1"}, ""},
		"BM-04 one missing":                {[]string{"pkg:npm/a@1"}, []string{"pkg:npm/a@1", "pkg:npm/b@1"}, "missing in the SBOM: pkg:npm/b@1"},
		"one extra":                        {[]string{"pkg:npm/a@1", "pkg:npm/b@1"}, []string{"pkg:npm/a@1"}, "not in the image: pkg:npm/b@1"},
		"another version":                  {[]string{"pkg:npm/a@1"}, []string{"pkg:npm/a@2"}, "missing in the SBOM: pkg:npm/a@2; not in the image: pkg:npm/a@1"},
		"another type":                     {[]string{"pkg:npm/a@1"}, []string{"pkg:gem/a@1"}, "missing in the SBOM: pkg:gem/a@1"},
		"BM-04 many missing":               {[]string{"pkg:npm/a@1"}, []string{"pkg:npm/b1@1", "pkg:npm/b2@1", "pkg:npm/b3@1", "pkg:npm/b4@1", "pkg:npm/b5@1", "pkg:npm/b6@1"}, "pkg:npm/b5@1 and 1 more"},
		"other qualifiers":                 {[]string{"pkg:deb/debian/a@1?arch=amd64&upstream=x"}, []string{"pkg:deb/debian/a@1?arch=amd64&distro=debian-12"}, ""},
		"a longer release":                 {[]string{"pkg:deb/debian/a@1?distro=debian-12.5"}, []string{"pkg:deb/debian/a@1?distro=debian-12"}, ""},
		"another release":                  {[]string{"pkg:deb/debian/a@1?distro=debian-1"}, []string{"pkg:deb/debian/a@1?distro=debian-12"}, "missing"},
		"another architecture":             {[]string{"pkg:deb/debian/a@1?arch=arm64"}, []string{"pkg:deb/debian/a@1?arch=amd64"}, "missing"},
		"an epoch beside the version":      {[]string{"pkg:rpm/fedora/a@1-2?epoch=3"}, []string{"pkg:rpm/fedora/a@3:1-2"}, ""},
		"another epoch":                    {[]string{"pkg:rpm/fedora/a@1-2?epoch=4"}, []string{"pkg:rpm/fedora/a@3:1-2"}, "missing"},
		"Go's v":                           {[]string{"pkg:golang/stdlib@v1.26.0"}, []string{"pkg:golang/stdlib@1.26.0"}, ""},
		"no package URL, but the name":     {[]string{""}, []string{"pkg:npm/p0@1"}, ""},
		"no package URL, and another name": {[]string{""}, []string{"pkg:npm/b@1"}, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img := found(attested(t, "a", predicate.TypeSPDX, spdx(row.written...)))
			content := &Content{}
			for _, purl := range row.real {
				name, _, _ := strings.Cut(purl[strings.LastIndex(purl, "/")+1:], "@")
				content.Packages = append(content.Packages, predicate.Package{Name: name, Version: "1", PURL: purl})
			}
			expect(t, p.Decide(img, noon), Undetermined, ReasonContentUnchecked)
			img.Target.Content = &Content{Err: errors.New("the layer is gone")}
			expect(t, p.Decide(img, noon), Undetermined, ReasonContentUnchecked)
			img.Target.Content = content
			d := p.Decide(img, noon)
			if row.detail == "" {
				expect(t, d, Allow, "")
				return
			}
			expect(t, d, Deny, ReasonSBOMMismatch)
			if !strings.Contains(d.Demands[0].Found, row.detail) {
				t.Errorf("found %q, expected %q", d.Demands[0].Found, row.detail)
			}
		})
	}
	for _, bad := range []string{"tolerance: {missing: 1}", "matchesContent: true, tolerance: {}", "matchesContent: false", "matchesContent: true, tolerance: {missing: -1}"} {
		fault(t, require("sbom: {from: [a], "+bad+"}"))
	}
}

// TestEachSBOM: under `all`, one that fails whatever the image contains is enough
// to refuse it.
func TestEachSBOM(t *testing.T) {
	t.Parallel()
	p := parse(t, require("sbom: {from: [a], which: all, matchesContent: true, deny: {packages: ['pkg:npm/bad']}}"))
	good, bad := attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/good@1")), attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/bad@1", "pkg:npm/c@1"))
	expect(t, p.Decide(found(good, bad), noon), Deny, ReasonPolicyDeny)
	expect(t, p.Decide(found(good, good), noon), Undetermined, ReasonContentUnchecked)
}

// TestContentIsAskedLast: what is refused anyway needs no look into the layers, and
// what is refused is not "undetermined".
func TestContentIsAskedLast(t *testing.T) {
	t.Parallel()
	p := parse(t, require("sbom: {from: [a], matchesContent: true, deny: {packages: ['pkg:npm/bad']}}"))
	expect(t, p.Decide(found(attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/bad@1"))), noon), Deny, ReasonPolicyDeny)
	expect(t, p.Decide(found(attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/bad@1")), attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/good@1"))), noon), Undetermined, ReasonContentUnchecked)
}
