package policy

import (
	"cmp"
	"slices"
	"time"
)

// Governing says which rule governs an image, and why. It is for people: the decision
// itself is [Policy.Decide]'s.
type Governing struct {
	// Name is the canonical name that the patterns were compared with.
	Name string
	// Rule and Pattern are the rule and its pattern that is the most specific; both
	// are empty where no rule governs the image.
	Rule, Pattern string
	// Others are the patterns that match the name too, and do not govern it.
	Others []Candidate
}

// Candidate is a pattern that matches, and why it does not govern.
type Candidate struct{ Rule, Pattern, Why string }

// Why returns what governs an image at a time. image is its name without tag and
// digest, in any spelling; an error says that it cannot be read.
func (p *Policy) Why(image string, at time.Time) (Governing, error) {
	canonical, err := CanonicalName(image)
	if err != nil {
		return Governing{}, err
	}
	out := Governing{Name: canonical}
	if p.index == nil {
		return out, nil
	}
	var all []*ownPattern
	var most *ownPattern
	p.index.matching(canonical, func(one *ownPattern) {
		all = append(all, one)
		if one.rule.dates.hold(at) && (most == nil || one.moreSpecific(most.pattern)) {
			most = one
		}
	})
	if most != nil {
		out.Rule, out.Pattern = most.rule.name, most.String()
	}
	for _, one := range all {
		switch {
		case one == most:
		case !one.rule.dates.hold(at):
			out.Others = append(out.Others, Candidate{one.rule.name, one.String(), "the rule is not in force then"})
		default:
			out.Others = append(out.Others, Candidate{one.rule.name, one.String(), "it is less specific"})
		}
	}
	slices.SortFunc(out.Others, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Pattern, b.Pattern))
	})
	return out, nil
}
