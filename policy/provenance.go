package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// provenanceCondition is what the fields of a provenance demand say.
type provenanceCondition struct {
	builders  []string // empty: any
	source    string   // a [predicate.Source]'s Repository; "": any
	ref       glob
	refIsOpen bool // no ref is wanted
}

func (c *compiler) provenance(e *provenanceEntry) demand {
	from := c.from(&e.From)
	e.Builder = sortTexts(e.Builder)
	condition := provenanceCondition{refIsOpen: !e.Ref.written()}
	var with []string
	for _, builder := range e.Builder {
		if strings.Contains(builder.value, "*") {
			c.addf(builder.at, builder.path, "list each builder", "a builder is compared letter by letter and has no wildcard")
		}
		condition.builders = append(condition.builders, builder.value)
	}
	if len(condition.builders) > 0 {
		with = append(with, "made by "+strings.Join(condition.builders, " or "))
	}
	if e.Source.written() {
		source, err := predicate.ParseSource(e.Source.value)
		switch {
		case err != nil:
			c.add(e.Source.at, e.Source.path, "write it like https://github.com/acme/app", err)
		case source.Ref != "":
			c.addf(e.Source.at, e.Source.path, "write the ref under `ref`", "the source has the ref %q", wording.Short(source.Ref))
		}
		condition.source = source.Repository
		e.Source.value = source.Repository
		with = append(with, "from "+condition.source)
	}
	if e.Ref.written() {
		ref, err := refPattern(e.Ref.value)
		if err != nil {
			c.add(e.Ref.at, e.Ref.path, "write it like refs/heads/main or refs/tags/v*", err)
		}
		condition.ref = ref
		with = append(with, "at "+e.Ref.value)
	}
	return &statementDemand{
		field:  "provenance",
		kind:   "SLSA provenance",
		with:   strings.Join(with, ", "),
		uris:   []string{predicate.TypeProvenanceV1, predicate.TypeProvenanceV02},
		from:   from,
		holds:  condition.holds,
		hint:   "attach it with `hallmark attest provenance`",
		choice: c.choice(&e.Which, &e.MaxAge),
	}
}

// holds judges one provenance statement. A claim that is missing never passes.
func (p *provenanceCondition) holds(st *attest.Statement) (verify.Reason, string) {
	claim, err := predicate.ReadProvenance(st.PredicateType, st.Predicate)
	if err != nil {
		return verify.ReasonStatementMalformed, err.Error()
	}
	if len(p.builders) > 0 && !slices.Contains(p.builders, claim.Builder) {
		return ReasonPolicyDeny, fmt.Sprintf("the builder is %q, not %s", wording.Short(claim.Builder), strings.Join(p.builders, " or "))
	}
	if p.source != "" && claim.Source != p.source {
		return ReasonPolicyDeny, fmt.Sprintf("the source is %s, not %s", stated(claim.Source, claim.SourceURI), p.source)
	}
	if !p.refIsOpen && !p.ref.match(claim.Ref) {
		return ReasonPolicyDeny, fmt.Sprintf("the ref is %s, not %s", stated(claim.Ref, ""), p.ref)
	}
	detail := "built by " + wording.Short(claim.Builder)
	if claim.Source != "" {
		detail += " from " + wording.Short(claim.Source)
	}
	if claim.Ref != "" {
		detail += " at " + wording.Short(claim.Ref)
	}
	return "", detail
}

func stated(value, raw string) string {
	switch {
	case value != "":
		return fmt.Sprintf("%q", wording.Short(value))
	case raw != "":
		return fmt.Sprintf("%q, which cannot be read", wording.Short(raw))
	}
	return "not stated"
}
