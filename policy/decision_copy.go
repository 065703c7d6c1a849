package policy

import "slices"

// Summarised reports whether the image is allowed by summaries alone: each of its
// digests has one that makes up for every demand. What else there is about the image
// cannot change such a decision, whether it was looked at or not.
func (d Decision) Summarised() bool {
	if d.Verdict != Allow || d.Warned != nil || len(d.Demands) == 0 {
		return false
	}
	return !slices.ContainsFunc(d.Demands, func(one Demand) bool { return !one.Alternative || one.Verdict != Allow })
}

// Clone returns a decision that shares no memory with d that could be written to.
func (d Decision) Clone() Decision {
	d.Demands = slices.Clone(d.Demands)
	for i := range d.Demands {
		one := &d.Demands[i]
		one.Skipped = clonePointer(one.Skipped)
		one.Tried = slices.Clone(one.Tried)
		for j := range one.Tried {
			a := &one.Tried[j]
			a.Checks, a.Times, a.Log = slices.Clone(a.Checks), slices.Clone(a.Times), slices.Clone(a.Log)
			a.Identity = clonePointer(a.Identity)
		}
	}
	d.Warnings = slices.Clone(d.Warnings)
	d.Warned = clonePointer(d.Warned)
	return d
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	own := *p
	return &own
}
