package policy

import (
	"encoding/json"
	"fmt"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/predicate"
)

// readPackages lists the packages of an SBOM statement.
func readPackages(st *attest.Statement) ([]listed, error) {
	var all []listed
	if st.PredicateType == predicate.TypeCycloneDX {
		var bom struct {
			Components []component `json:"components"`
		}
		if err := json.Unmarshal(st.Predicate, &bom); err != nil {
			return nil, fmt.Errorf("reading a CycloneDX SBOM: %w", err)
		}
		for _, c := range bom.Components {
			all = c.list(all)
		}
		return all, nil
	}
	var document struct {
		Packages []struct {
			Name         string `json:"name"`
			VersionInfo  string `json:"versionInfo"`
			ExternalRefs []struct {
				ReferenceType    string `json:"referenceType"`
				ReferenceLocator string `json:"referenceLocator"`
			} `json:"externalRefs"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(st.Predicate, &document); err != nil {
		return nil, fmt.Errorf("reading an SPDX SBOM: %w", err)
	}
	for _, p := range document.Packages {
		one := listed{name: p.Name, version: p.VersionInfo}
		for _, ref := range p.ExternalRefs {
			if ref.ReferenceType == "purl" {
				one.purl = ref.ReferenceLocator
			}
		}
		all = append(all, one)
	}
	return all, nil
}

type component struct {
	Name       string      `json:"name"`
	Version    string      `json:"version"`
	PURL       string      `json:"purl"`
	Components []component `json:"components"`
}

func (c component) list(all []listed) []listed {
	all = append(all, listed{c.PURL, c.Name, c.Version})
	for _, inner := range c.Components {
		all = inner.list(all)
	}
	return all
}
