package admission

import (
	"fmt"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/workload"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// spot is one place of an object and what became of it.
type spot struct {
	place     workload.Place
	ref       oci.Reference
	refErr    error
	kept      bool // as it stood in the old object
	unchanged bool // kept, and not judged again
	exemption *Exemption
	verdict   policy.Verdict
	reason    verify.Reason
	why, hint string
	// result is the judge's answer; nil where it was not asked.
	result *report.Image
	// unsaid tells that the judge did not answer in time: what it would have denied by
	// name alone is not known.
	unsaid bool
}

// settled reports whether a place needs no judge.
func (s *spot) settled() bool {
	return s.unchanged || s.exemption != nil || s.reason != ""
}

func (s *spot) deny(reason verify.Reason, why, hint string) {
	s.verdict, s.reason, s.why, s.hint = policy.Deny, reason, why, hint
}

// name is what makes two places of an old and a new object the same one.
type placeName struct{ kind, name, image string }

func nameOf(p workload.Place) placeName {
	name := p.Name
	if name == "" {
		name = p.Pointer
	}
	return placeName{p.Kind, name, p.Image}
}

// spots turns places into what is still to be looked at.
func (r *Reviewer) spots(q *request, places, old []workload.Place) []spot {
	before := make(map[placeName]int, len(old))
	for _, p := range old {
		before[nameOf(p)]++
	}
	live, _ := r.exemptions(q)
	spots := make([]spot, len(places))
	for i, p := range places {
		s := &spots[i]
		s.place = p
		s.ref, s.refErr = oci.ParseReference(p.Image)
		if n := nameOf(p); before[n] > 0 {
			before[n]--
			s.kept = true
			s.unchanged = !r.options.VerifyUnchangedTags || (s.refErr == nil && !s.ref.Digest.IsZero())
		}
		if s.unchanged {
			s.verdict = policy.Allow
			continue
		}
		for _, e := range live {
			if e.takes(s.ref, s.refErr) {
				s.exemption, s.verdict = e, policy.Allow
				break
			}
		}
		if s.exemption == nil && s.refErr != nil {
			s.deny(policy.ReasonReference, s.refErr.Error(), "write registry/name:tag, or better name@sha256:…")
		}
	}
	return spots
}

// take notes the judge's answer. An answer to another question is none.
func (s *spot) take(image *report.Image) {
	if image == nil || image.Image != s.place.Image {
		s.deny(verify.ReasonInternal, "the judge gave no answer for this image", "this is a bug of Hallmark's; please report it")
		return
	}
	s.result = image
	s.verdict, s.reason = image.Verdict, image.Reason
	if s.verdict == policy.Allow {
		s.reason = ""
		return
	}
	s.why, s.hint = explain(image)
}

// explain finds the sentence that says why an image is not allowed.
func explain(image *report.Image) (why, hint string) {
	if image.Error != "" {
		return image.Error, image.Hint
	}
	for i := range image.Demands {
		if d := &image.Demands[i]; d.Verdict == image.Verdict && d.Skipped == nil {
			return fmt.Sprintf("%s: wanted %s; found %s", d.Name, d.Wanted, d.Found), d.Hint
		}
	}
	switch {
	case image.Reason == policy.ReasonNoMatch:
		return "no rule of the policy is about this image", "add a rule for it to the policy"
	case len(image.Unseen) > 0:
		return image.Unseen[0].Detail, image.Hint
	case len(image.Warnings) > 0:
		return image.Warnings[0], image.Hint
	}
	return "the policy does not allow it", image.Hint
}

// missed reports whether a place could not be looked at only because a registry did
// not answer: the one thing that [UnavailableAllow] is about.
func (s *spot) missed() bool {
	if s.verdict != policy.Undetermined || s.reason != policy.ReasonUnreachable || s.unsaid || s.result == nil {
		return false
	}
	for _, u := range s.result.Unseen {
		if u.Reason != policy.ReasonUnreachable {
			return false
		}
	}
	for i := range s.result.Demands {
		d := &s.result.Demands[i]
		if d.Skipped == nil && (d.Verdict == policy.Deny || d.Verdict == policy.Undetermined && d.Reason != policy.ReasonUnreachable) {
			return false // the registry is not all that was in the way
		}
	}
	return true
}
