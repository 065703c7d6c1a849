package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// dates are when a rule is there: from its first instant, until before its last.
// Zero is no bound.
type dates struct{ from, until time.Time }

func (d dates) unbounded() bool { return d.from.IsZero() && d.until.IsZero() }

func (d dates) hold(at time.Time) bool {
	return !at.Before(d.from) && (d.until.IsZero() || at.Before(d.until))
}

// meet reports whether both hold at some time.
func (d dates) meet(other dates) bool {
	return (d.until.IsZero() || other.from.Before(d.until)) && (other.until.IsZero() || d.from.Before(other.until))
}

// next returns the first bound after a time; zero is none.
func (d dates) next(at time.Time) time.Time {
	var first time.Time
	for _, bound := range []time.Time{d.from, d.until} {
		if bound.After(at) {
			first = earlier(first, bound)
		}
	}
	return first
}

// dates reads when a rule is there.
func (c *compiler) dates(entry *ruleEntry) dates {
	d := dates{entry.From.time, entry.Until.time}
	if !d.from.IsZero() && !d.until.IsZero() && !d.from.Before(d.until) {
		c.addf(entry.Until.at, entry.Until.path, "let it end after its beginning", "the rule would never be there")
	}
	return d
}

// governs returns the rule of a canonical name at a time, or nil, and the first
// instant at which another one may govern it; zero is never. [Parse] has made sure
// that the most specific pattern belongs to one rule at any time.
func (p *Policy) governs(canonical string, at time.Time) (governing *rule, until time.Time) {
	if p.index == nil {
		return nil, time.Time{}
	}
	var most *ownPattern
	p.index.matching(canonical, func(one *ownPattern) {
		until = earlier(until, one.rule.dates.next(at))
		if one.rule.dates.hold(at) && (most == nil || one.moreSpecific(most.pattern)) {
			most = one
		}
	})
	if most == nil {
		return nil, until
	}
	return most.rule, until
}

// plans returns the rules that govern a canonical name at some time, by name: those
// with dates, and of the others the most specific.
func (p *Policy) plans(canonical string) []*rule {
	if p.index == nil {
		return nil
	}
	var all []*rule
	var most *ownPattern
	p.index.matching(canonical, func(one *ownPattern) {
		switch {
		case !one.rule.dates.unbounded():
			all = append(all, one.rule)
		case most == nil || one.moreSpecific(most.pattern):
			most = one
		}
	})
	if most != nil {
		all = append(all, most.rule)
	}
	slices.SortFunc(all, func(a, b *rule) int { return cmp.Compare(a.name, b.name) })
	return slices.Compact(all)
}

// mergedPlan is the plan of several rules: all that each of them needs.
func mergedPlan(rules []*rule) Plan {
	if len(rules) == 1 {
		plan := rules[0].plan
		plan.PredicateTypes, plan.Roots = slices.Clone(plan.PredicateTypes), slices.Clone(plan.Roots)
		plan.Summaries = slices.Clone(plan.Summaries)
		return plan
	}
	var joint Plan
	var names []string
	for _, r := range rules {
		names = append(names, r.name)
		joint.Signatures = joint.Signatures || r.plan.Signatures
		joint.Everywhere = joint.Everywhere || r.plan.Everywhere
		joint.Content = joint.Content || r.plan.Content
		joint.Platforms = max(joint.Platforms, r.plan.Platforms)
		joint.PredicateTypes = append(joint.PredicateTypes, r.plan.PredicateTypes...)
		joint.Summaries = append(joint.Summaries, r.plan.Summaries...)
		for _, anchor := range r.plan.Roots {
			if !slices.ContainsFunc(joint.Roots, func(a Anchor) bool { return a.Root.Digest() == anchor.Root.Digest() }) {
				joint.Roots = append(joint.Roots, anchor)
			}
		}
	}
	slices.Sort(joint.PredicateTypes)
	joint.PredicateTypes = slices.Compact(joint.PredicateTypes)
	slices.Sort(joint.Summaries)
	joint.Summaries = slices.Compact(joint.Summaries)
	slices.SortStableFunc(joint.Roots, func(a, b Anchor) int { return cmp.Compare(a.Name, b.Name) })
	joint.Rule = strings.Join(names, ", ")
	return joint
}
