package policy

import (
	"time"
)

// hearing is what a demand is judged on: one digest's findings without those that
// count for nobody, at one time.
type hearing struct {
	Part
	at time.Time
	// ends are the first instants at which the facts, in their order, count no more;
	// zero is never.
	ends []time.Time
}

// end returns the first instant at which the fact at an index counts no more; zero
// is never.
func (h hearing) end(i int) time.Time {
	if i < len(h.ends) {
		return h.ends[i]
	}
	return time.Time{}
}

// earlier returns the first of two instants, of which zero is never.
func earlier(a, b time.Time) time.Time {
	switch {
	case a.IsZero(), !b.IsZero() && b.Before(a):
		return b
	}
	return a
}

// later returns the last of two instants, of which zero is never.
func later(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return a
	}
	return b
}
