package predicate_test

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/predicate"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"slsaprovenance1":                "https://slsa.dev/provenance/v1",
		"slsaprovenance02":               "https://slsa.dev/provenance/v0.2",
		"spdxjson":                       "https://spdx.dev/Document",
		"spdx":                           "https://spdx.dev/Document",
		"cyclonedx":                      "https://cyclonedx.org/bom",
		"vuln":                           "https://cosign.sigstore.dev/attestation/vuln/v1",
		"openvex":                        "https://openvex.dev/ns",
		"link":                           "https://in-toto.io/Link/v1",
		"test-result":                    "https://in-toto.io/attestation/test-result/v0.1",
		"vsa":                            "https://slsa.dev/verification_summary/v1",
		"custom":                         "https://cosign.sigstore.dev/attestation/v1",
		"https://cyclonedx.org/bom/v1.6": "https://cyclonedx.org/bom/v1.6",
		"https://slsa.dev/provenance/v2": "https://slsa.dev/provenance/v2",
		"urn:example:scan":               "urn:example:scan",
	} {
		if got, err := predicate.Resolve(name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for wrong, near := range map[string]string{
		"slsaprovenence1":                      `did you mean "slsaprovenance1"?`,
		"SPDX":                                 `did you mean "spdx"?`,
		"cyclondx":                             `did you mean "cyclonedx"?`,
		"https://slsa.dev/provenance/v1/":      `did you mean "https://slsa.dev/provenance/v1"?`,
		"http://cyclonedx.org/bom":             `did you mean "https://cyclonedx.org/bom"?`,
		"https://spdx.dev/document":            `did you mean "https://spdx.dev/Document"?`,
		"provenance-of-all-things":             "neither a URI nor one of slsaprovenance,",
		"":                                     "neither a URI",
		"https://a b":                          "neither a URI",
		"://x":                                 "neither a URI",
		"1a:b":                                 "neither a URI",
		"https://" + strings.Repeat("a", 2000): "neither a URI",
	} {
		got, err := predicate.Resolve(wrong)
		if !errors.Is(err, predicate.ErrUnknownType) || !strings.Contains(err.Error(), near) {
			t.Errorf("%q: %q, %v", wrong, got, err)
		}
	}
	all, err := predicate.ResolveAll("slsaprovenance")
	if err != nil || !slices.Equal(all, []string{predicate.TypeProvenanceV1, predicate.TypeProvenanceV02}) {
		t.Errorf("slsaprovenance stands for %q, %v", all, err)
	}
}

// documents has one small document of each kind.
var documents = map[string]string{
	predicate.TypeProvenanceV1:  github,
	predicate.TypeProvenanceV02: generator,
	predicate.TypeSPDX:          `{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT"}`,
	predicate.TypeCycloneDX:     `{"bomFormat": "CycloneDX", "specVersion": "1.6"}`,
	predicate.TypeOpenVEX:       `{"@context": "https://openvex.dev/ns/v0.2.0", "statements": []}`,
	predicate.TypeVSA:           `{"verifier": {"id": "v"}, "verificationResult": "PASSED", "resourceUri": "x"}`,
	predicate.TypeVuln:          `{"invocation": {}, "scanner": {"result": {}}, "metadata": {}}`,
	predicate.TypeLinkV1:        `{"name": "build", "command": [], "materials": {}, "products": {}}`,
	predicate.TypeTestResult:    `{"result": "PASSED", "configuration": []}`,
	predicate.TypeCustom:        `{"Data": "x", "Timestamp": ""}`,
}

func TestSniff(t *testing.T) {
	t.Parallel()
	for uri, document := range documents {
		if got, known := predicate.Sniff([]byte(document)); !known || got != uri {
			t.Errorf("%s: %q %v", uri, got, known)
		}
		upper := strings.NewReplacer(`"spdxVersion"`, `"SPDXVersion"`, `"bomFormat"`, `"BomFormat"`).Replace(document)
		if got, known := predicate.Sniff([]byte(upper)); upper != document && known {
			t.Errorf("another case: %q %v", got, known)
		}
	}
	if got, known := predicate.Sniff([]byte(`"SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0"`)); !known || got != predicate.TypeSPDX {
		t.Errorf("DS-12 SPDX tag-value text: %q %v", got, known)
	}
	for _, nothing := range []string{"", "{", "null", "7", "[]", `"text"`, `{"a": 1}`, `{"spdxVersion": 2}`} {
		if got, known := predicate.Sniff([]byte(nothing)); known {
			t.Errorf("DS-12 %s is %q", nothing, got)
		}
	}
}

func TestCheckType(t *testing.T) {
	t.Parallel()
	for uri := range documents {
		for kind, document := range documents {
			err := predicate.CheckType(uri, []byte(document))
			if fits := uri == kind || uri == predicate.TypeCustom; (err == nil) != fits {
				t.Errorf("%s under type %s: %v", kind, uri, err)
			}
		}
		if err := predicate.CheckType(uri, []byte(`{"a": 1}`)); (err == nil) != (uri == predicate.TypeCustom) {
			t.Errorf("an unknown document under type %s: %v", uri, err)
		}
		statement := `{"_type": "https://in-toto.io/Statement/v1", "predicateType": "x", "predicate": {}, "bomFormat": "CycloneDX", "spdxVersion": "SPDX-2.3"}`
		if err := predicate.CheckType(uri, []byte(statement)); !errors.Is(err, predicate.ErrContradiction) {
			t.Errorf("a whole statement under type %s: %v", uri, err)
		}
	}
	for _, uri := range []string{predicate.TypeSPDX, predicate.TypeCustom, "urn:example:x"} {
		for name, file := range map[string]string{"an empty file": " \n", "DS-12 SPDX tag-value": "SPDXVersion: SPDX-2.3\n", "DS-11 a key twice": `{"spdxVersion":"SPDX-2.3","a":{"b":1,"b":2}}`, "half a file": `{"spdxVersion":"SPDX-2.3"`} {
			if err := predicate.CheckType(uri, []byte(file)); !errors.Is(err, predicate.ErrMalformed) {
				t.Errorf("%s under type %s: %v", name, uri, err)
			}
			if _, err := predicate.ResolveFor(uri, []byte(file)); !errors.Is(err, predicate.ErrMalformed) {
				t.Errorf("%s under type %s: %v", name, uri, err)
			}
		}
	}
	for _, free := range []string{"https://example.com/any/v1", "https://slsa.dev/provenance/v2"} {
		if err := predicate.CheckType(free, []byte(documents[predicate.TypeSPDX])); err != nil {
			t.Errorf("%s: %v", free, err)
		}
	}
	if err := predicate.CheckType("https://cyclonedx.org/bom/v1.6", []byte(documents[predicate.TypeCycloneDX])); err != nil {
		t.Error(err)
	}
	got, err := predicate.ResolveFor("slsaprovenance", []byte(generator))
	if err != nil || got != predicate.TypeProvenanceV02 {
		t.Errorf("slsaprovenance for a v0.2 file: %q, %v", got, err)
	}
	if got, err := predicate.ResolveFor("slsaprovenance02", []byte(github)); !errors.Is(err, predicate.ErrContradiction) {
		t.Errorf("slsaprovenance02 for a v1 file: %q, %v", got, err)
	}
}

// TestLinksNoNetwork: judging a predicate needs no net/http.
func TestLinksNoNetwork(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		if dep == "net" || strings.HasPrefix(dep, "net/http") || strings.HasPrefix(dep, "crypto/tls") {
			t.Errorf("it links %s", dep)
		}
	}
}

func ExampleResolve() {
	uri, _ := predicate.Resolve("cyclonedx")
	fmt.Println(uri)
	_, err := predicate.Resolve("cyclondx")
	fmt.Println(err)
	// Output:
	// https://cyclonedx.org/bom
	// unknown predicate type: "cyclondx"; did you mean "cyclonedx"?
}

func ExampleSniff() {
	uri, known := predicate.Sniff([]byte(`{"bomFormat": "CycloneDX", "specVersion": "1.6"}`))
	fmt.Println(uri, known)
	// Output: https://cyclonedx.org/bom true
}
