package policy

import (
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Denial is the error of [Policy.Plan] for an image that needs no look at any
// evidence, because no rule governs it. Decision is what to report.
type Denial struct {
	Image    string
	Decision Decision
}

// Error says which image and why.
func (d *Denial) Error() string {
	text := fmt.Sprintf("planning the check of %q: %s", wording.Short(d.Image), d.Decision.Reason)
	for _, demand := range d.Decision.Demands {
		text += ": " + demand.Found
	}
	return text
}

// Plan says what evidence a decision about an image needs, at whatever time: where
// rules have dates, what any of those that match needs. image is its name without
// tag and digest, in any spelling. The error is a *[Denial]. The plan of an image
// that is unmatched, where the policy only warns, wants nothing.
func (p *Policy) Plan(image string) (Plan, error) {
	canonical, err := CanonicalName(image)
	if err != nil {
		return Plan{}, p.noName(image, err)
	}
	rules := p.plans(canonical)
	if len(rules) == 0 {
		if p.warn {
			return Plan{}, nil
		}
		return Plan{}, p.noMatch(image, canonical)
	}
	return mergedPlan(rules), nil
}

// find returns the rule of an image at a time, and the first instant at which it may
// be another; nil when the policy warns about the image.
func (p *Policy) find(image string, at time.Time) (r *rule, canonical string, until time.Time, denial *Denial) {
	canonical, err := CanonicalName(image)
	if err != nil {
		return nil, "", time.Time{}, p.noName(image, err)
	}
	if r, until = p.governs(canonical, at); r == nil && !p.warn {
		denial = p.noMatch(image, canonical)
	}
	return r, canonical, until, denial
}

func (p *Policy) noName(image string, err error) *Denial {
	return p.denial(image, Demand{Reason: ReasonReference, Found: err.Error(), Hint: "correct the name; names are lower case"})
}

func (p *Policy) noMatch(image, canonical string) *Denial {
	d := Demand{
		Reason: ReasonNoMatch,
		Found:  fmt.Sprintf("no rule of policy %q matches %s", p.name, canonical),
		Hint:   "add a rule whose `images` match the name, or correct the name",
	}
	if rules := p.plans(canonical); len(rules) > 0 {
		d.Found += fmt.Sprintf(" at this time; the rule %q has other dates", rules[0].name)
		d.Hint = "see `from` and `until` of the rule, or add one for this time"
	}
	return p.denial(image, d)
}

func (p *Policy) denial(image string, d Demand) *Denial {
	d.Name, d.Verdict, d.Wanted = "images", Deny, "a rule that governs the image"
	return &Denial{Image: image, Decision: Decision{Verdict: Deny, Reason: d.Reason, Demands: []Demand{d}}}
}

// Decide judges an image by the rule that governs it. It does no cryptography:
// the facts in img must come from package verify, checked with the plan's roots.
// The decision depends on img alone, not on the order of its findings, and
// evidence that does not count never changes the verdict. at is the time that the
// decision is for: ages, windows and dates are judged by it.
//
// Allow: every demand of the rule is met, on every digest that it applies to.
// Deny: some demand is not met, and every place was looked at. Undetermined: no
// demand is denied, but some could not be checked.
func (p *Policy) Decide(img Image, at time.Time) Decision {
	r, canonical, until, denial := p.find(img.Name, at)
	revoked := p.revokedImages(img)
	switch {
	case denial != nil:
		d := denial.Decision
		d.Demands[0].Digest, d.Until = img.Target.Subject.Digest, until
		return d
	case len(revoked) > 0:
		d := Decision{Verdict: Deny, Reason: ReasonImageRevoked, Demands: revoked, Until: until}
		if r != nil {
			d.Rule = r.name
		}
		return d
	case r == nil:
		return Decision{
			Verdict: Allow, Until: until, Warned: &Warned{Deny, ReasonNoMatch},
			Warnings: []string{fmt.Sprintf("no rule of policy %q governs %s: allowed unchecked, because the policy says `unmatched: warn`", p.name, img.Name)},
		}
	}
	decision := Decision{Rule: r.name}
	parts := []hearing{p.inForce(img.Target, at)}
	if r.platforms == PlatformsAll {
		for _, part := range img.Platforms {
			h := p.inForce(part, at)
			h.index = img.Target.Subject.Digest
			parts = append(parts, h)
		}
	}
	for i := range parts {
		parts[i].name = canonical
		parts[i].holder = i == 0 && len(parts) > 1 && img.Index
		if r.joins {
			parts[i].met = make(map[string][]met)
		}
	}
	summaries := r.summarised(parts)
	decision.Demands = allowed(summaries)
	for _, d := range r.demands {
		for i, part := range parts {
			if i < len(summaries) && summaries[i].Verdict == Allow {
				continue
			}
			outcome := d.judge(part)
			if ofPlatforms(outcome.Name) && part.holder {
				// An SBOM lists what is in an image. An index holds nothing but its
				// platforms, and each of those is asked for one of its own.
				continue
			}
			outcome.Digest, outcome.Platform = part.Subject.Digest, part.Platform
			decision.Demands = append(decision.Demands, outcome)
		}
	}
	decision.addRefused(summaries)
	if r.platforms == PlatformsAll && img.Index && len(img.Platforms) == 0 {
		decision.Demands = append(decision.Demands, Demand{
			Name: "platforms", Digest: img.Target.Subject.Digest, Verdict: Deny, Reason: ReasonNoPlatform,
			Wanted: "evidence on every platform of the index", Found: "an index without platforms",
			Hint: "push the platforms' images, or set `platforms: index`",
		})
	}
	decision.Warnings = append(decision.Warnings, r.anyone...)
	decision.nameRoots(p.roots)
	decision.except(r, canonical, img, at)
	decision.settle()
	if decision.Verdict != Allow {
		decision.Until = time.Time{}
		if r.warn {
			decision.warnOnly()
		}
	}
	decision.Until = earlier(decision.Until, until)
	return decision
}

// warnOnly allows what the rule would refuse, and says so.
func (d *Decision) warnOnly() {
	d.Warned = &Warned{d.Verdict, d.Reason}
	d.Warnings = append(d.Warnings, fmt.Sprintf("the rule %q only warns: without `mode: warn` this would be %s, %s", d.Rule, d.Verdict, d.Reason))
	d.Verdict, d.Reason = Allow, ""
}

// settle derives the verdict from the demands: a denial wins over what could
// not be checked, and no demand at all is a denial.
func (d *Decision) settle() {
	d.Verdict, d.Reason = Allow, ""
	if len(d.Demands) == 0 {
		d.Verdict, d.Reason = Deny, ReasonPolicyDeny
	}
	for _, demand := range d.Demands {
		if demand.Skipped != nil || demand.Alternative && demand.Verdict != Allow {
			continue // an exception makes up for it, or nobody asked for it
		}
		d.Until = earlier(d.Until, demand.Until)
		switch demand.Verdict {
		case Allow:
		case Deny:
			if d.Verdict != Deny {
				d.Verdict, d.Reason = Deny, demand.Reason
			}
		default:
			if d.Verdict == Allow {
				d.Verdict, d.Reason = Undetermined, demand.Reason
			}
		}
	}
}
