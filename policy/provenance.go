package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// provenanceCondition is what the fields of a provenance demand say.
type provenanceCondition struct {
	known      builders // the policy's own
	builders   []string // empty: any
	level      int      // zero: any
	source     string   // a [predicate.Source]'s Repository; "": any
	ref        glob
	refIsOpen  bool     // no ref is wanted
	buildTypes []string // empty: any
	parameters *parameters
	only       bool // other parameters are refused
	materials  *materialsEntry
}

func (c *compiler) provenance(e *provenanceEntry) demand {
	from := c.from(&e.From)
	condition := provenanceCondition{
		known: c.builders, level: e.Level.value, refIsOpen: !e.Ref.written(),
		parameters: &e.Parameters, only: e.OnlyParameters.given, materials: e.Materials,
	}
	with := c.provenanceWho(e, &condition)
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
	with = append(with, c.provenanceHow(e, &condition)...)
	return &statementDemand{
		field:  "provenance",
		kind:   "SLSA provenance",
		with:   strings.Join(with, ", "),
		uris:   []string{predicate.TypeProvenanceV1, predicate.TypeProvenanceV02},
		from:   from,
		proves: condition.proves,
		hint:   "attach it with `hallmark attest provenance`",
		choice: c.choice(&e.Which, &e.MaxAge),
	}
}

// provenanceWho reads who must have built.
func (c *compiler) provenanceWho(e *provenanceEntry, condition *provenanceCondition) (with []string) {
	e.Builder = sortTexts(e.Builder)
	for _, builder := range e.Builder {
		if strings.Contains(builder.value, "*") {
			c.addf(builder.at, builder.path, "list each builder", "a builder is compared letter by letter and has no wildcard")
		}
		condition.builders = append(condition.builders, builder.value)
	}
	if len(condition.builders) > 0 {
		with = append(with, "made by "+strings.Join(condition.builders, " or "))
	}
	if e.Level.value > maxBuildLevel {
		c.addf(e.Level.at, e.Level.path, "SLSA's build levels end at 3", "the level is %d", e.Level.value)
	}
	if e.Level.value > 0 {
		with = append(with, fmt.Sprintf("by a builder of SLSA build level %d", e.Level.value))
	}
	return with
}

// provenanceHow reads how it must have been built.
func (c *compiler) provenanceHow(e *provenanceEntry, condition *provenanceCondition) (with []string) {
	e.BuildType = sortTexts(e.BuildType)
	for _, one := range e.BuildType {
		condition.buildTypes = append(condition.buildTypes, one.value)
	}
	if len(condition.buildTypes) > 0 {
		with = append(with, "of the build type "+strings.Join(condition.buildTypes, " or "))
	}
	for i := range e.Parameters.list {
		with = append(with, fmt.Sprintf("with %s %s", e.Parameters.list[i].path.value, &e.Parameters.list[i].want))
	}
	if condition.only {
		with = append(with, "with no other parameters")
	}
	if m := e.Materials; m != nil {
		if !m.Include.written() && !m.Exclude.written() {
			c.add(m.at, m.path, "list what must be there under `include`, and what must not under `exclude`", ErrEmpty)
		}
		with = append(with, "with the listed materials")
	}
	return with
}

// proves judges one provenance statement. A claim that is missing never passes.
func (p *provenanceCondition) proves(f verify.Fact) (verify.Reason, string) {
	claim, err := predicate.ReadProvenance(f.Statement.PredicateType, f.Statement.Predicate)
	if err != nil {
		return verify.ReasonStatementMalformed, err.Error()
	}
	if len(p.builders) > 0 && !slices.Contains(p.builders, claim.Builder) {
		return ReasonPolicyDeny, fmt.Sprintf("the builder is %q, not %s", wording.Short(claim.Builder), strings.Join(p.builders, " or "))
	}
	level, reason, detail := p.known.vouched(claim.Builder, f.Signer)
	if reason != "" {
		return reason, detail
	}
	if level < p.level {
		return ReasonPolicyDeny, fmt.Sprintf("the builder %q is of the SLSA build level %s, not %d", wording.Short(claim.Builder), levelText(level), p.level)
	}
	if p.source != "" && claim.Source != p.source {
		return ReasonPolicyDeny, fmt.Sprintf("the source is %s, not %s", stated(claim.Source, claim.SourceURI), p.source)
	}
	if !p.refIsOpen && !p.ref.match(claim.Ref) {
		return ReasonPolicyDeny, fmt.Sprintf("the ref is %s, not %s", stated(claim.Ref, ""), p.ref)
	}
	if len(p.buildTypes) > 0 && !slices.Contains(p.buildTypes, claim.BuildType) {
		return ReasonPolicyDeny, fmt.Sprintf("the build type is %q, not %s", wording.Short(claim.BuildType), strings.Join(p.buildTypes, " or "))
	}
	if reason, detail := p.parameters.refuse(claim.Parameters, p.only); reason != "" {
		return reason, detail
	}
	if reason, detail := p.materials.refuse(claim.Dependencies); reason != "" {
		return reason, detail
	}
	detail = "built by " + wording.Short(claim.Builder)
	if claim.Source != "" {
		detail += " from " + wording.Short(claim.Source)
	}
	if claim.Ref != "" {
		detail += " at " + wording.Short(claim.Ref)
	}
	return "", detail
}

func levelText(level int) string {
	if level == 0 {
		return "that nobody knows"
	}
	return strconv.Itoa(level)
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
