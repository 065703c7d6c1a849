package predicate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest/strictjson"
)

// Sniff tells the type of a predicate from fields that only one kind of document
// has, and false where it has none of them. Field names count exactly as the
// specifications spell them. It is a help against mistakes, not a proof.
func Sniff(predicate []byte) (string, bool) {
	fields, text, err := topLevel(predicate)
	if err != nil {
		return "", false
	}
	return sniff(fields, text)
}

func sniff(fields map[string]json.RawMessage, text string) (string, bool) {
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
// cosign's custom type, may hold any JSON. Errors wrap [ErrContradiction], or
// [ErrMalformed] for what is empty, no JSON, or no unambiguous JSON.
func CheckType(uri string, predicate []byte) error {
	fields, text, err := topLevel(predicate)
	if err != nil {
		return err
	}
	if has(fields, "_type", "predicateType") {
		return fmt.Errorf("%w: it is a whole in-toto statement, not a predicate", ErrContradiction)
	}
	want := family(uri)
	if want == "" {
		return nil
	}
	found, known := sniff(fields, text)
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

// maxTopLevel bounds the top-level fields that are looked at; an SBOM has about
// a dozen.
const maxTopLevel = 1024

// topLevel returns the top-level fields of a JSON object by their exact names,
// or the text of a JSON string. They share the predicate's memory. A predicate
// that two parsers could read differently is refused.
func topLevel(predicate []byte) (map[string]json.RawMessage, string, error) {
	if len(bytes.TrimSpace(predicate)) == 0 {
		return nil, "", fmt.Errorf("%w: it is empty", ErrMalformed)
	}
	if err := strictjson.Check(predicate); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	list, err := strictjson.Object(predicate, maxTopLevel)
	if err != nil {
		return nil, textOf(predicate), nil // another kind of JSON value, or an object of no known kind
	}
	fields := make(map[string]json.RawMessage, len(list))
	for _, f := range list {
		fields[f.Key] = f.Value
	}
	return fields, "", nil
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
