package gate

import (
	"context"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/policy"
)

// maxElsewhere bounds the other digests that are looked at after a denial.
const maxElsewhere = 8

// lookAtImage looks at a denied image itself: whether it exists, whether it has
// unsigned attestations, and whether the evidence stands on another level. It
// returns what is worth a warning. Nothing that it finds can allow the image.
func (j *judging) lookAtImage(ctx context.Context, target *place, decision policy.Decision) ([]string, error) {
	if err := j.fetchManifest(ctx); err != nil {
		return nil, err
	}
	if j.plan.Platforms == policy.PlatformsAll && j.index == nil {
		return nil, nil // every level was looked at already
	}
	if j.manifest.IsIndex() {
		j.addUnsigned(j.manifest, target, nil)
		return j.standsBelow(ctx, decision)
	}
	if err := j.findIndex(ctx); err != nil {
		return nil, err
	}
	if j.index == nil {
		return nil, nil
	}
	j.addUnsigned(j.index, target, nil)
	return j.standsAbove(ctx, decision)
}

// findIndex looks for an index that holds the subject: the one that it was chosen
// from, or the one under the tag that was given beside the digest.
func (j *judging) findIndex(ctx context.Context) error {
	r := j.target.Reference
	if j.index != nil || r.Tag == "" || r.Digest.IsZero() {
		return nil
	}
	m, err := j.target.Source.TagManifest(ctx, r, r.Tag)
	if err != nil || !m.IsIndex() {
		return err
	}
	for _, d := range m.Manifests {
		if d.Digest == j.subject.Digest {
			j.index = m
			return nil
		}
	}
	return nil
}

// standsBelow looks for the missing evidence on the platforms of an index.
func (j *judging) standsBelow(ctx context.Context, decision policy.Decision) ([]string, error) {
	leaves, err := j.leaves(ctx, j.manifest, 0)
	if err != nil {
		return nil, err
	}
	if len(leaves) > maxElsewhere {
		leaves = leaves[:maxElsewhere]
	}
	places := make([]*place, len(leaves))
	parallel(len(leaves), func(i int) {
		places[i] = j.place(j.verifySubject(leaves[i].Digest), leaves[i].Platform.String())
		j.lookFor(ctx, places[i], decision)
	})
	var on []string
	for _, p := range places {
		if j.meets(p, decision) {
			on = append(on, strings.TrimSpace(p.part.Platform+" "+p.part.Subject.Digest.String()))
		}
	}
	if len(on) == 0 {
		return nil, nil
	}
	return []string{fmt.Sprintf("what is missing on the index %s stands on its platform manifest %s: sign the index too, or verify with --platform",
		j.subject.Digest, strings.Join(on, ", "))}, nil
}

// standsAbove looks for the missing evidence on the index above a platform.
func (j *judging) standsAbove(ctx context.Context, decision policy.Decision) ([]string, error) {
	p := j.place(j.verifySubject(j.index.Digest), "")
	j.lookFor(ctx, p, decision)
	if !j.meets(p, decision) {
		return nil, nil
	}
	name := "a platform"
	for _, d := range j.index.Manifests {
		if d.Digest == j.subject.Digest && d.Platform != nil {
			name = d.Platform.String()
		}
	}
	return []string{fmt.Sprintf("signed is the index %s, and what was verified is its %s manifest %s: verify the index, or sign its platforms too (`hallmark sign --recursive`)",
		j.index.Digest, name, j.subject.Digest)}, nil
}

// lookFor looks at a place for what the decision found missing.
func (j *judging) lookFor(ctx context.Context, p *place, decision policy.Decision) {
	p.lookAtReferrers(ctx)
	if !j.meets(p, decision) {
		p.lookAtTags(ctx)
	}
}

// meets reports whether a demand that is not met on the judged digest would be
// met on another.
func (j *judging) meets(p *place, decision policy.Decision) bool {
	other := j.policy.Decide(policy.Image{Name: j.target.Name, Target: p.part}, j.options.Now())
	for i, d := range decision.Demands {
		if d.Verdict != policy.Allow && i < len(other.Demands) && other.Demands[i].Name == d.Name && other.Demands[i].Verdict == policy.Allow {
			return true
		}
	}
	return false
}
