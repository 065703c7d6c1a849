package predicate

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Sniff tells the type of a predicate from fields that only one kind of document
// has, and false where it has none of them. Field names count exactly as the
// specifications spell them. It is a help against mistakes, not a proof.
func Sniff(predicate []byte) (string, bool) {
	fields, text := topLevel(predicate)
	if strings.HasPrefix(text, "SPDXVersion:") {
		return TypeSPDX, true // the tag-value form, which cosign stores as one text
	}
	switch {
	case strings.HasPrefix(textOf(fields["spdxVersion"]), "SPDX-"):
		return TypeSPDX, true
	case strings.HasPrefix(contextOf(fields["@context"]), "https://spdx.org/rdf/3"):
		return TypeSPDX + "/v3", true
	case textOf(fields["bomFormat"]) == "CycloneDX":
		return TypeCycloneDX, true
	case strings.HasPrefix(contextOf(fields["@context"]), TypeOpenVEX):
		return TypeOpenVEX, true
	case has(fields, "buildDefinition") || has(fields, "runDetails"):
		return TypeProvenanceV1, true
	case has(fields, "builder", "buildType"):
		return TypeProvenanceV02, true
	case has(fields, "verifier", "verificationResult"):
		return TypeVSA, true
	case has(fields, "scanner", "metadata", "invocation"):
		return TypeVuln, true
	case has(fields, "scanner", "metadata"):
		return TypeVulnsV01, true
	case has(fields, "result", "configuration"):
		return TypeTestResult, true
	case has(fields, "command", "materials", "products"):
		return TypeLinkV1, true
	case has(fields, "command", "materials", "byproducts"):
		return TypeLinkV03, true
	case has(fields, "Data", "Timestamp"):
		return TypeCustom, true
	}
	return "", false
}

// CheckType refuses a predicate that contradicts the given type: an SPDX
// document under CycloneDX's type, a v0.2 body under provenance v1, a whole
// statement where its predicate belongs. A type that Hallmark does not know, and
// cosign's custom type, may hold any JSON. Errors wrap [ErrContradiction].
func CheckType(uri string, predicate []byte) error {
	fields, _ := topLevel(predicate)
	if has(fields, "_type", "predicateType") {
		return fmt.Errorf("%w: it is a whole in-toto statement, not a predicate", ErrContradiction)
	}
	want := family(uri)
	if want == "" {
		return nil
	}
	found, known := Sniff(predicate)
	switch {
	case !known:
		return fmt.Errorf("%w: it has not the fields of %s", ErrContradiction, uri)
	case family(found) != want:
		return fmt.Errorf("%w: it is a document of type %s, not %s", ErrContradiction, found, uri)
	}
	return nil
}

// family names the kind of document that a type holds, versions aside where
// they share their form, and "" where any document may stand.
func family(uri string) string {
	for _, prefix := range []string{TypeProvenanceV1, TypeProvenanceV02, TypeVSA, TypeSPDX, TypeCycloneDX, TypeOpenVEX, TypeTestResult} {
		if uri == prefix || strings.HasPrefix(uri, prefix+"/") {
			return prefix
		}
	}
	switch uri {
	case TypeVuln, TypeVulnsV01, "https://in-toto.io/attestation/vulns/v0.2":
		return TypeVuln
	case TypeLinkV1, TypeLinkV03:
		return TypeLinkV1
	}
	return ""
}

// topLevel returns the top-level fields of a JSON object by their exact names,
// or the text of a JSON string.
func topLevel(predicate []byte) (map[string]json.RawMessage, string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(predicate, &fields) == nil {
		return fields, ""
	}
	return nil, textOf(predicate)
}

func has(fields map[string]json.RawMessage, names ...string) bool {
	for _, name := range names {
		if _, found := fields[name]; !found {
			return false
		}
	}
	return true
}

func textOf(raw json.RawMessage) string {
	var text string
	if len(raw) == 0 || json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// contextOf returns a JSON-LD context: a text, or the first text of a list.
func contextOf(raw json.RawMessage) string {
	if text := textOf(raw); text != "" {
		return text
	}
	var list []json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return ""
	}
	return textOf(list[0])
}
