package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// outcome is what is the same for all references to one digest.
type outcome struct {
	subject  digest.Digest // what was judged: the manifest of platform where one was chosen
	platform string
	decision policy.Decision
	unseen   []report.Unseen
	at       time.Time // that the decision is for
	message  string    // why an image is denied that has no platform to judge
	failure  error     // nothing was decided
	cached   bool
}

// clone returns an outcome that shares nothing that could be written to.
func (o outcome) clone() outcome {
	o.decision, o.unseen = o.decision.Clone(), slices.Clone(o.unseen)
	return o
}

// judging is the judging of one digest.
type judging struct {
	*call
	target   Target
	plan     policy.Plan
	subject  oci.Descriptor // what is judged
	index    *oci.Manifest  // the index that it was chosen from, or nil
	manifest *oci.Manifest  // the subject's own, once it was fetched
	checkers checkers
	budget   *evidence.Budget // of all digests that are looked at
	step     *step
}

// doing notes what is being done, for those who stop waiting.
func (j *judging) doing(what string) {
	if j.step != nil {
		j.step.set(what + " " + j.target.Reference.At(j.subject.Digest).String())
	}
}

// location names the repository or the layout.
func (j *judging) location() string {
	if j.target.Layout != "" {
		return j.target.Layout
	}
	return j.target.Reference.Name()
}

func (j *judging) verifySubject(d digest.Digest) verify.Subject {
	return verify.Subject{Repository: j.location(), Digest: d}
}

// decide looks, checks and lets the policy decide, in as many steps as it takes.
func (j *judging) decide(ctx context.Context, at time.Time) outcome {
	image := policy.Image{Name: j.target.Name, Target: policy.Part{Subject: j.verifySubject(j.subject.Digest)}}
	if j.index != nil {
		image.Target.Index = j.index.Digest
	}
	if len(j.plan.Roots) == 0 { // the rule wants nothing: unmatched, and the policy only warns
		return outcome{decision: j.policy.Decide(image, at)}
	}
	var err error
	if j.checkers, err = j.call.checkersOf(j.plan); err != nil {
		return outcome{decision: policy.Decision{Verdict: policy.Undetermined, Reason: verify.ReasonTrustRootInvalid, Rule: j.plan.Rule, Warnings: []string{err.Error()}}}
	}
	target := j.place(image.Target.Subject, j.options.Platform)
	if j.index != nil {
		target.part.Index = j.index.Digest
	}
	j.doing("looking at the referrers of")
	lookAt := func(p *place) { p.lookAtReferrers(ctx) }
	if len(j.plan.Summaries) > 0 {
		lookAt = func(p *place) { p.lookAtSummaries(ctx, j.plan.Summaries) }
	}
	places, err := j.firstLook(ctx, target, lookAt)
	if errors.Is(err, oci.ErrNotFound) && j.manifest == nil {
		return j.noImage()
	}
	if err != nil {
		// Without the list of platforms nothing may be allowed: what is proved
		// about the index alone must not stand for all.
		target.part.Findings = policy.Findings{Missing: append(target.part.Findings.Missing, missing([]error{err})...)}
	}
	settle := func() policy.Decision {
		image.Target, image.Platforms = target.part, nil
		// An index whose platforms could not be listed is not one without platforms.
		image.Index = err == nil && j.manifest != nil && j.manifest.IsIndex()
		for _, p := range places {
			image.Platforms = append(image.Platforms, p.part)
		}
		return j.policy.Decide(image, at)
	}
	decision := settle()
	all := append([]*place{target}, places...)
	if err == nil && len(j.plan.Summaries) > 0 && !decision.Summarised() {
		parallel(len(all), func(i int) { all[i].lookAtReferrers(ctx) })
		decision = settle()
	}
	if unmet := j.unmetPlaces(decision, all); len(unmet) > 0 && err == nil {
		j.doing("looking at the tags beside")
		parallel(len(unmet), func(i int) { unmet[i].lookAtTags(ctx) })
		decision = settle()
	}
	if j.options.Content != nil && open(decision) && j.lookInside(ctx, decision, all) {
		decision = settle()
	}
	if decision.Verdict == policy.Deny {
		j.doing("looking at the image")
		hints, err := j.lookAtImage(ctx, target, decision)
		if errors.Is(err, oci.ErrNotFound) && j.manifest == nil {
			return j.noImage()
		}
		if err != nil {
			hints = append(hints, "could not look whether the evidence stands on another digest: "+err.Error())
		}
		decision = settle()
		decision.Warnings = append(decision.Warnings, hints...)
	}
	decision.Warnings = append(decision.Warnings, otherNames(j.target.Name, all)...)
	if j.options.Judged != nil {
		j.options.Judged(image, decision)
	}
	return outcome{decision: decision, unseen: unseen(all)}
}

// noImage is the outcome when the registry has no such manifest.
func (j *judging) noImage() outcome {
	return outcome{failure: fmt.Errorf("looking for %s: %w", j.target.Reference.At(j.subject.Digest), oci.ErrNotFound)}
}

// firstLook looks at the target, and, where the plan asks for all platforms, at each
// platform. An error says that the platforms could not be listed.
func (j *judging) firstLook(ctx context.Context, target *place, lookAt func(*place)) ([]*place, error) {
	if j.plan.Platforms != policy.PlatformsAll {
		lookAt(target)
		return nil, nil
	}
	var places []*place
	var err error
	parallel(2, func(i int) {
		if i == 0 {
			lookAt(target)
			return
		}
		if err = j.fetchManifest(ctx); err != nil {
			return
		}
		var leaves []oci.Descriptor
		if leaves, err = j.leaves(ctx, j.manifest, 0); err != nil {
			return
		}
		for _, d := range leaves {
			places = append(places, j.place(j.verifySubject(d.Digest), d.Platform.String()))
		}
		parallel(len(places), func(i int) { lookAt(places[i]) })
	})
	if err == nil && j.manifest.IsIndex() {
		j.addUnsigned(j.manifest, target, places)
	}
	return places, err
}

// fetchManifest fetches the subject's own manifest, once.
func (j *judging) fetchManifest(ctx context.Context) error {
	if j.manifest != nil {
		return nil
	}
	m, err := j.target.Source.Manifest(ctx, j.target.Reference, j.subject)
	if err != nil {
		return err
	}
	j.manifest = m
	return nil
}

// addUnsigned reports BuildKit's attestations: those about a platform there, and
// all of them on the index itself when no platform is looked at.
func (j *judging) addUnsigned(index *oci.Manifest, target *place, places []*place) {
	add := func(p *place, about digest.Digest) {
		f := &p.part.Findings
		f.Rejected = append(f.Rejected, evidence.Unsigned(j.location(), index, about)...)
	}
	if len(places) == 0 {
		about := target.part.Subject.Digest
		if about == index.Digest {
			about = digest.Digest{}
		}
		add(target, about)
	}
	for _, p := range places {
		add(p, p.part.Subject.Digest)
	}
}

// unmetPlaces returns the digests that must be looked at further: those on which
// something is still wanted, or all where a later find can undo an earlier one.
func (j *judging) unmetPlaces(decision policy.Decision, all []*place) []*place {
	if j.plan.Everywhere && !decision.Summarised() {
		return all
	}
	open := make(map[digest.Digest]bool)
	for _, d := range decision.Demands {
		if d.Verdict != policy.Allow {
			open[d.Digest] = true
		}
	}
	var unmet []*place
	for _, p := range all {
		if open[p.part.Subject.Digest] {
			unmet = append(unmet, p)
		}
	}
	return unmet
}

// unseen lists what could not be looked at, each once.
func unseen(all []*place) []report.Unseen {
	var list []report.Unseen
	seen := make(map[report.Unseen]bool)
	for _, p := range all {
		for _, err := range p.part.Findings.Missing {
			u := report.Unseen{Reason: policy.ReasonUnreachable, Detail: err.Error()}
			var m *policy.Missing
			if errors.As(err, &m) {
				u.Reason = m.Reason
			}
			if !seen[u] {
				seen[u] = true
				list = append(list, u)
			}
		}
	}
	return list
}

// otherNames warns about signatures that were made for the same bytes under
// another name: a copy of image and signature is genuine, and the report says
// for which name it was signed.
func otherNames(name string, all []*place) []string {
	var warnings []string
	said := make(map[string]bool)
	for _, p := range all {
		for _, f := range p.part.Findings.Facts {
			if f.Reference == "" || said[f.Reference] {
				continue
			}
			said[f.Reference] = true
			if ref, err := oci.ParseReference(f.Reference); err != nil || ref.Name() != name {
				warnings = append(warnings, fmt.Sprintf("the signature by %s was made for the name %q; the bytes are the same", f.Signer, f.Reference))
			}
		}
	}
	return warnings
}
