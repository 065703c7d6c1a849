package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// sbomCondition is what the fields of an SBOM demand say.
type sbomCondition struct{ denied []deniedPackage }

func (c *compiler) sbom(e *sbomEntry) demand {
	from := c.from(&e.From)
	if len(e.Format) == 0 {
		e.Format = []text{{value: "cyclonedx"}, {value: "spdx"}}
	}
	e.Format = sortTexts(e.Format)
	var uris, formats, with []string
	for _, format := range e.Format {
		types, err := predicate.ResolveAll(format.value)
		if err != nil {
			c.add(format.at, format.path, "", err)
		}
		uris = append(uris, types...)
		formats = append(formats, format.value)
	}
	condition := sbomCondition{}
	if e.Deny != nil {
		e.Deny.Packages = sortTexts(e.Deny.Packages)
		for _, p := range e.Deny.Packages {
			denied, err := parseDenied(p.value)
			if err != nil {
				c.addf(p.at, p.path, "write it like pkg:npm/event-stream@3.3.6 or pkg:npm/event-stream@<4.0.0", "%q: %w", wording.Short(p.value), err)
			}
			condition.denied = append(condition.denied, denied)
		}
		with = append(with, "without "+plural(len(condition.denied), "denied package"))
	}
	return &statementDemand{
		field:  "sbom",
		kind:   "an SBOM (" + strings.Join(formats, " or ") + ")",
		with:   strings.Join(with, ", "),
		uris:   uris,
		from:   from,
		holds:  condition.holds,
		hint:   "make and attach one with `hallmark sbom --attest`",
		choice: c.choice(&e.Which, &e.MaxAge),
	}
}

// holds judges one SBOM. One that lists nothing but the image itself says
// nothing, so that it cannot say that a denied package is absent.
func (s *sbomCondition) holds(st *attest.Statement) (verify.Reason, string) {
	bom, err := predicate.ReadSBOM(st.PredicateType, st.Predicate)
	switch {
	case errors.Is(err, attest.ErrLimit):
		return verify.ReasonLimitExceeded, err.Error()
	case err != nil:
		return verify.ReasonStatementMalformed, err.Error()
	case bom.Hollow():
		return ReasonSBOMHollow, "the SBOM lists no package"
	}
	var found []string
	for _, p := range bom.Packages {
		if len(s.denied) == 0 {
			break
		}
		one := list(p.PURL, p.Name, p.Version)
		for _, d := range s.denied {
			if d.denies(one) {
				found = append(found, fmt.Sprintf("%s, denied by %q", one, wording.Short(d.text)))
			}
		}
	}
	if len(found) > 0 {
		slices.Sort(found)
		found = slices.Compact(found)
		const shown = 5
		more := ""
		if len(found) > shown {
			found, more = found[:shown], fmt.Sprintf("; and %d more", len(found)-shown)
		}
		return ReasonPolicyDeny, "it contains " + strings.Join(found, "; ") + more
	}
	return "", plural(len(bom.Packages), "package")
}
