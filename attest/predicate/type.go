// Package predicate knows the predicates of in-toto statements: their types and
// short names, how to tell a file's own type, and typed views of what a policy
// asks about, such as [ReadProvenance].
//
//	uri, err := predicate.ResolveFor("slsaprovenance1", file) // refuses an SBOM
//	p, err := predicate.ReadProvenance(st.PredicateType, st.Predicate)
//	if err != nil { … }                       // not provenance, or malformed
//	if p.Source != "https://github.com/acme/app" { … }
//
// A predicate is the signer's word. Who the signer is, and whether it is to be
// believed, is not decided here. No network, no clock, no keys.
package predicate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Predicate types that Hallmark knows by a short name.
const (
	TypeProvenanceV1  = "https://slsa.dev/provenance/v1"
	TypeProvenanceV02 = "https://slsa.dev/provenance/v0.2"
	TypeVSA           = "https://slsa.dev/verification_summary/v1"
	TypeSPDX          = "https://spdx.dev/Document"
	TypeCycloneDX     = "https://cyclonedx.org/bom"
	TypeVuln          = "https://cosign.sigstore.dev/attestation/vuln/v1"
	TypeVulnsV01      = "https://in-toto.io/attestation/vulns/v0.1"
	TypeOpenVEX       = "https://openvex.dev/ns"
	TypeLinkV1        = "https://in-toto.io/Link/v1"
	TypeLinkV03       = "https://in-toto.io/attestation/link/v0.3"
	TypeTestResult    = "https://in-toto.io/attestation/test-result/v0.1"
	TypeCustom        = "https://cosign.sigstore.dev/attestation/v1"
)

// Errors of [Resolve], [ResolveFor] and the readers.
var (
	// ErrUnknownType: neither a short name nor a URI; say what was meant.
	ErrUnknownType = errors.New("unknown predicate type")
	// ErrContradiction: the file is another kind of document than its type says;
	// never attest it under that type.
	ErrContradiction = errors.New("predicate contradicts its type")
	// ErrMalformed: a field that the type requires is missing, or two parts of
	// the predicate disagree; nothing may be concluded from it.
	ErrMalformed = errors.New("malformed predicate")
)

// maxURI bounds a predicate type; the longest in use has about eighty bytes.
const maxURI = 1024

// Name is a short name of a predicate type, as the users of cosign know them.
type Name struct {
	Short string
	// URIs are the types that the name stands for; the first is what a new
	// attestation gets when the file does not decide.
	URIs []string
}

// Types lists the short names in the order of the documentation. The slice is
// the caller's own.
func Types() []Name {
	return []Name{
		{"slsaprovenance", []string{TypeProvenanceV1, TypeProvenanceV02}},
		{"slsaprovenance1", []string{TypeProvenanceV1}},
		{"slsaprovenance02", []string{TypeProvenanceV02}},
		{"spdx", []string{TypeSPDX, TypeSPDX + "/v2.3"}},
		{"spdxjson", []string{TypeSPDX, TypeSPDX + "/v2.3"}},
		{"cyclonedx", []string{TypeCycloneDX}},
		{"vuln", []string{TypeVuln, TypeVulnsV01}},
		{"openvex", []string{TypeOpenVEX, TypeOpenVEX + "/v0.2.0"}},
		{"link", []string{TypeLinkV1, TypeLinkV03}},
		{"test-result", []string{TypeTestResult}},
		{"vsa", []string{TypeVSA}},
		{"custom", []string{TypeCustom}},
	}
}

// Resolve returns the predicate type of a short name or of a URI. A short name
// of several types gives the first; see [ResolveAll] and [ResolveFor]. The error
// wraps [ErrUnknownType] and names the nearest known one.
func Resolve(nameOrURI string) (string, error) {
	all, err := ResolveAll(nameOrURI)
	if err != nil {
		return "", err
	}
	return all[0], nil
}

// ResolveAll returns every predicate type that a short name stands for, or the
// URI alone: what a search for "slsaprovenance" must look for. The error wraps
// [ErrUnknownType].
func ResolveAll(nameOrURI string) ([]string, error) {
	for _, name := range Types() {
		if name.Short == nameOrURI {
			return name.URIs, nil
		}
	}
	if known, near := nearURI(nameOrURI); near {
		return nil, fmt.Errorf("%w: %q; did you mean %q?", ErrUnknownType, wording.Short(nameOrURI), known)
	}
	if isURI(nameOrURI) {
		return []string{nameOrURI}, nil
	}
	if known, near := nearName(nameOrURI); near {
		return nil, fmt.Errorf("%w: %q; did you mean %q?", ErrUnknownType, wording.Short(nameOrURI), known)
	}
	var shorts []string
	for _, name := range Types() {
		shorts = append(shorts, name.Short)
	}
	return nil, fmt.Errorf("%w: %q is neither a URI nor one of %s", ErrUnknownType, wording.Short(nameOrURI), strings.Join(shorts, ", "))
}

// ResolveFor is [Resolve] for a predicate at hand: where the name stands for
// several types the predicate decides, and a predicate that is another kind of
// document is refused with [ErrContradiction], one that is no JSON with
// [ErrMalformed].
func ResolveFor(nameOrURI string, predicate []byte) (string, error) {
	all, err := ResolveAll(nameOrURI)
	if err != nil {
		return "", err
	}
	if len(all) > 1 {
		if found, known := Sniff(predicate); known && slices.Contains(all, found) {
			return found, nil
		}
	}
	if err := CheckType(all[0], predicate); err != nil {
		return "", err
	}
	return all[0], nil
}

// nearURI finds a known type that differs only in what people get wrong: case,
// a slash at the end, http for https.
func nearURI(text string) (string, bool) {
	plain := func(uri string) string {
		uri = strings.TrimRight(strings.ToLower(uri), "/")
		return strings.TrimPrefix(strings.Replace(uri, "http://", "https://", 1), "https://")
	}
	for _, name := range Types() {
		for _, uri := range name.URIs {
			if uri == text {
				return "", false
			}
			if plain(uri) == plain(text) {
				return uri, true
			}
		}
	}
	return "", false
}

// isURI accepts an absolute URI (RFC 3986): a scheme and something behind it.
func isURI(text string) bool {
	scheme, rest, found := strings.Cut(text, ":")
	if !found || rest == "" || rest == "//" || len(text) > maxURI {
		return false
	}
	for i, c := range []byte(scheme) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		other := c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'
		if !letter && (i == 0 || !other) {
			return false
		}
	}
	for _, c := range []byte(rest) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return false
		}
	}
	return scheme != ""
}

// nearName finds the short name that was probably meant.
func nearName(text string) (string, bool) {
	var names []string
	for _, name := range Types() {
		names = append(names, name.Short)
	}
	return wording.Nearest(text, names)
}
