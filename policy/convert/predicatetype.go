package convert

import (
	"net/url"

	"github.com/hallmark-project/hallmark/attest/predicate"
)

// predicateType finds the URI behind what the sources call a predicate type: cosign's
// names, or the URI itself.
func predicateType(name string) (string, bool) {
	switch name {
	case "custom":
		return predicate.TypeCustom, true
	case "slsaprovenance", "slsaprovenance02":
		return predicate.TypeProvenanceV02, true
	case "slsaprovenance1":
		return predicate.TypeProvenanceV1, true
	case "spdx", "spdxjson":
		return predicate.TypeSPDX, true
	case "cyclonedx":
		return predicate.TypeCycloneDX, true
	case "link":
		return predicate.TypeLinkV1, true
	case "vuln":
		return predicate.TypeVuln, true
	case "openvex":
		return predicate.TypeOpenVEX, true
	}
	if u, err := url.Parse(name); err != nil || u.Scheme == "" {
		return "", false
	}
	if _, err := predicate.ResolveAll(name); err != nil {
		return "", false
	}
	return name, true
}
