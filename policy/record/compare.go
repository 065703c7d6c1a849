package record

import (
	"context"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
)

// Outcome is what one policy says about an image.
type Outcome struct {
	Verdict policy.Verdict `json:"verdict"`
	Reason  verify.Reason  `json:"reason,omitempty"`
	Rule    string         `json:"rule,omitempty"`
}

// Change is what two policies say about one recorded image.
type Change struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest,omitzero"`
	Before Outcome       `json:"before"`
	After  Outcome       `json:"after"`
}

// Changed reports whether the verdict, its reason or the governing rule changed.
func (c Change) Changed() bool { return c.Before != c.After }

// Unknown reports whether either policy could not be judged by what was recorded.
func (c Change) Unknown() bool {
	return c.Before.Verdict == policy.Undetermined || c.After.Verdict == policy.Undetermined
}

// Compare judges every image of the record by two policies, at the same time.
// Options.Policy is not used.
func (r *Record) Compare(ctx context.Context, before, after *policy.Policy, o Options) ([]Change, error) {
	o.Policy = before
	first, err := r.Judge(ctx, o)
	if err != nil {
		return nil, err
	}
	o.Policy = after
	second, err := r.Judge(ctx, o)
	if err != nil {
		return nil, err
	}
	changes := make([]Change, len(first.Images))
	for i, a := range first.Images {
		b := second.Images[i]
		changes[i] = Change{
			Image: a.Image, Digest: a.Digest,
			Before: Outcome{a.Verdict, a.Reason, a.Rule}, After: Outcome{b.Verdict, b.Reason, b.Rule},
		}
	}
	return changes, nil
}
