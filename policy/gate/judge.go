package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// outcome is what is the same for all references to one digest.
type outcome struct {
	decision policy.Decision
	unseen   []report.Unseen
	failure  error // nothing was decided
}

// judge answers for one target: plan, resolve, and then the digest.
func (c *call) judge(ctx context.Context, t Target) *report.Image {
	image := &report.Image{Image: t.Text, Name: t.Name, Digest: t.Reference.Digest}
	plan, err := c.policy.Plan(t.Name)
	if err != nil {
		var denial *policy.Denial
		if !errors.As(err, &denial) {
			return failed(t, err)
		}
		image.Decision = denial.Decision
		if t.Name == LayoutName && len(image.Demands) > 0 {
			image.Demands[0].Hint = "say with --as which name the image has for the policy's rules"
		}
		return image
	}
	subject, err := t.Source.Resolve(ctx, t.Reference)
	if err != nil {
		return failed(t, err)
	}
	image.Digest = subject.Digest
	if t.Reference.Digest.IsZero() {
		image.Tag = t.Reference.Tag
	}
	j := &judging{call: c, target: t, plan: plan, subject: subject, budget: evidence.NewBudget()}
	if c.options.Platform != "" {
		if err := j.choosePlatform(ctx, c.options.Platform); err != nil {
			return j.noPlatform(image, err)
		}
		image.Digest, image.Platform = j.subject.Digest, c.options.Platform
	}
	result := c.once(j, func() outcome { return j.decide(ctx) })
	if result.failure != nil {
		answer := failed(t, result.failure)
		answer.Digest, answer.Tag, answer.Platform = image.Digest, image.Tag, image.Platform
		return answer
	}
	image.Decision, image.Unseen = result.decision, result.unseen
	if image.Verdict == policy.Undetermined {
		image.Hint = hintFor(image.Reason)
	}
	return image
}

// once runs decide for a digest unless this call has done so already.
func (c *call) once(j *judging, decide func() outcome) outcome {
	key := digestKey{
		source: j.target.Source, repository: j.target.Reference.Name(), name: j.target.Name,
		digest: j.subject.Digest.String(), platform: c.options.Platform,
	}
	if j.index != nil {
		key.index = j.index.Digest.String()
	}
	if !j.target.Reference.Digest.IsZero() {
		key.tag = j.target.Reference.Tag // it is looked at for a warning
	}
	c.mu.Lock()
	run := c.digests[key]
	if run == nil {
		run = sync.OnceValue(decide)
		c.digests[key] = run
	}
	c.mu.Unlock()
	return run()
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
func (j *judging) decide(ctx context.Context) outcome {
	image := policy.Image{Name: j.target.Name, Target: policy.Part{Subject: j.verifySubject(j.subject.Digest)}}
	if j.index != nil {
		image.Target.Index = j.index.Digest
	}
	at := j.options.Now()
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
	places, err := j.look(ctx, target)
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
		image.Index = j.manifest != nil && j.manifest.IsIndex()
		for _, p := range places {
			image.Platforms = append(image.Platforms, p.part)
		}
		return j.policy.Decide(image, at)
	}
	decision := settle()
	all := append([]*place{target}, places...)
	if unmet := unmetPlaces(j.plan, decision, all); len(unmet) > 0 && err == nil {
		parallel(len(unmet), func(i int) { unmet[i].lookAtTags(ctx) })
		decision = settle()
	}
	if j.options.Content != nil && open(decision) && j.lookInside(ctx, decision, all) {
		decision = settle()
	}
	if decision.Verdict == policy.Deny {
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

// look makes the first look: at the referrers of the target, and, where the plan
// asks for all platforms, at those of each platform. An error says that the
// platforms could not be listed.
func (j *judging) look(ctx context.Context, target *place) ([]*place, error) {
	if j.plan.Platforms != policy.PlatformsAll {
		target.lookAtReferrers(ctx)
		return nil, nil
	}
	var places []*place
	var err error
	parallel(2, func(i int) {
		if i == 0 {
			target.lookAtReferrers(ctx)
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
		parallel(len(places), func(i int) { places[i].lookAtReferrers(ctx) })
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
func unmetPlaces(plan policy.Plan, decision policy.Decision, all []*place) []*place {
	if plan.Everywhere {
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
