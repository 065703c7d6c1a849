package gate

import (
	"context"
	"errors"
	"slices"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
)

// ContentFunc finds the packages in the layers of an image, as an SBOM that is made
// from it lists them. The image has the digest of subject and lies where target
// does; it is no index, or the function says so with an error. It is called for one
// digest at a time within one image, for several images at a time.
type ContentFunc func(ctx context.Context, target Target, subject verify.Subject) ([]predicate.Package, error)

var errNoContent = errors.New("an index has no content of its own; set `platforms: all`, or judge one platform")

// lookInside looks into the layers of the digests on which nothing but that is open,
// and reports whether there were any.
func (j *judging) lookInside(ctx context.Context, decision policy.Decision, all []*place) bool {
	looked := false
	for _, p := range all {
		if p.part.Content != nil || !wantsContent(decision, p) {
			continue
		}
		looked = true
		p.part.Content = &policy.Content{}
		if j.manifest != nil && j.manifest.IsIndex() && p.part.Subject.Digest == j.subject.Digest {
			p.part.Content.Err = errNoContent
			continue
		}
		p.part.Content.Packages, p.part.Content.Err = j.options.Content(ctx, j.target, p.part.Subject)
	}
	return looked
}

// open reports whether an image is neither allowed nor refused, or would be so if the
// rule did not only warn.
func open(d policy.Decision) bool {
	return d.Verdict == policy.Undetermined || d.Warned != nil && d.Warned.Verdict == policy.Undetermined
}

// wantsContent reports whether a demand on the place waits for its content.
func wantsContent(decision policy.Decision, p *place) bool {
	return slices.ContainsFunc(decision.Demands, func(d policy.Demand) bool {
		return d.Digest == p.part.Subject.Digest && d.Verdict == policy.Undetermined &&
			slices.ContainsFunc(d.Tried, func(a policy.Attempt) bool { return a.Reason == policy.ReasonContentUnchecked })
	})
}
