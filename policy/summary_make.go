package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// ErrNoSummary: a verification has no outcome that a summary could state. Look at the
// decision.
var ErrNoSummary = errors.New("nothing to summarise")

// DigestSummary is the summary of one digest of an image.
type DigestSummary struct {
	Digest   digest.Digest
	Platform string
	Summary  predicate.Summary
}

// Summarize judges an image as [Policy.Decide] does, and states the outcome for each
// digest that the rule wants evidence on: PASSED if the image is allowed, FAILED if it
// is denied. The caller adds the verifier's version and the address of the policy, and
// signs.
//
// The error wraps [ErrNoSummary] where the image could not be checked, where no rule
// governs it, where the policy only warns, and of a policy that accepts summaries:
// take its [Policy.Core].
func (p *Policy) Summarize(img Image, at time.Time) ([]DigestSummary, error) {
	refuse := func(why string) ([]DigestSummary, error) {
		return nil, fmt.Errorf("summarising the verification of %s: %w: %s", img.Name, ErrNoSummary, why)
	}
	if p.summaries {
		return refuse("the policy accepts summaries itself, and none may rest on another")
	}
	d := p.Decide(img, at)
	r, canonical, _, _ := p.find(img.Name, at)
	switch {
	case r == nil:
		return refuse("no rule governs the image")
	case d.Warned != nil:
		return refuse(fmt.Sprintf("it is allowed because the policy only warns: it would be %s, %s", d.Warned.Verdict, d.Warned.Reason))
	case d.Verdict == Undetermined:
		return refuse(fmt.Sprintf("it could not be checked (%s)", d.Reason))
	}
	result := predicate.SummaryFailed
	if d.Verdict == Allow {
		result = predicate.SummaryPassed
	}
	parts := []Part{img.Target}
	if r.platforms == PlatformsAll {
		parts = append(parts, img.Platforms...)
	}
	var all []DigestSummary
	for _, part := range parts {
		if slices.ContainsFunc(all, func(s DigestSummary) bool { return s.Digest == part.Subject.Digest }) {
			continue
		}
		s := predicate.Summary{
			Verifier: DefaultVerifier, TimeVerified: at.UTC().Truncate(time.Second), Resource: ResourceURI(canonical),
			Policy: p.digest, Result: result, SLSAVersion: "1.0", Rule: r.name, Roots: r.roots, Until: d.Until,
		}
		level := 0
		for _, f := range evidenceOf(part, d) {
			s.Inputs = append(s.Inputs, inputOf(canonical, f))
			level = max(level, p.builders.levelOf(f))
		}
		slices.SortFunc(s.Inputs, func(a, b predicate.SummaryInput) int {
			return strings.Compare(a.Digest.String()+a.URI, b.Digest.String()+b.URI)
		})
		s.Inputs = slices.Compact(s.Inputs)
		if result == predicate.SummaryFailed {
			level = 0
		}
		s.Levels = []string{buildLevel(level)}
		all = append(all, DigestSummary{part.Subject.Digest, part.Platform, s})
	}
	return all, nil
}

// evidenceOf are the facts about a part that met a demand.
func evidenceOf(part Part, d Decision) []verify.Fact {
	var all []verify.Fact
	for _, f := range part.Findings.Facts {
		own := attempt(f)
		if slices.ContainsFunc(d.Demands, func(demand Demand) bool {
			return demand.Digest == part.Subject.Digest && slices.ContainsFunc(demand.Tried, func(a Attempt) bool {
				return a.Accepted && a.Origin == own.Origin && a.Signer == own.Signer && a.Type == own.Type
			})
		}) {
			all = append(all, f)
		}
	}
	return all
}

// inputOf names a piece of evidence by its own digest, and by that of its manifest in
// the image's repository. Where it was found on this machine is nobody's business.
func inputOf(name string, f verify.Fact) predicate.SummaryInput {
	in := predicate.SummaryInput{URI: ResourceURI(name), Digest: f.Origin.Layer}
	if !f.Origin.Manifest.IsZero() {
		in.URI += "@" + f.Origin.Manifest.String()
		if in.Digest.IsZero() {
			in.Digest = f.Origin.Manifest
		}
	}
	return in
}

// levelOf is the SLSA build level that a fact proves: zero if it is no provenance; one
// for provenance by a builder that nobody knows.
func (all builders) levelOf(f verify.Fact) int {
	if f.Statement == nil {
		return 0
	}
	claim, err := predicate.ReadProvenance(f.Statement.PredicateType, f.Statement.Predicate)
	if err != nil {
		return 0
	}
	level, reason, _ := all.vouched(claim.Builder, f.Signer)
	if reason != "" {
		return 0
	}
	return max(level, 1)
}
