package live

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust/tuf"
)

// Snapshot is what was in force at one load. It is immutable and safe for concurrent
// use.
type Snapshot struct {
	cluster    *part
	namespaces map[string]*part
	source     gate.Source
	loaded     time.Time
	now        func() time.Time
	maxAge     time.Duration
}

// part is one policy and the gate that judges under it.
type part struct {
	policy *policy.Policy
	gate   *gate.Gate
	trust  *tuf.State // that the policy rests on; nil where it does not
}

// Digest is that of the cluster policy.
func (s *Snapshot) Digest() digest.Digest { return s.cluster.policy.Digest() }

// Policy is the cluster policy.
func (s *Snapshot) Policy() *policy.Policy { return s.cluster.policy }

// Namespaces are the namespaces that have a policy of their own, in order.
func (s *Snapshot) Namespaces() []string { return sortedNames(s.namespaces) }

// Namespace is the policy of a namespace, or nil.
func (s *Snapshot) Namespace(name string) *policy.Policy {
	if one := s.namespaces[name]; one != nil {
		return one.policy
	}
	return nil
}

// Names are the policies that govern a namespace, by digest: the cluster's, and behind a
// space the namespace's own.
func (s *Snapshot) Names(namespace string) string {
	text := s.Digest().String()
	if own := s.Namespace(namespace); own != nil {
		text += " " + own.Digest().String()
	}
	return text
}

// Loaded is when the snapshot was loaded.
func (s *Snapshot) Loaded() time.Time { return s.loaded }

// Source is what images are looked up with, unless a target brings its own.
func (s *Snapshot) Source() gate.Source { return s.source }

// Target reads a reference to an image of the snapshot's source.
func (s *Snapshot) Target(text string) gate.Target { return s.cluster.gate.Target(text) }

// SetAge tells a report how old the trust state is that its certificates were proved
// with.
func (s *Snapshot) SetAge(r *report.Report) {
	for _, one := range s.parts() {
		if one.trust != nil {
			r.SetFetched(rootDigest(one.trust), one.trust.Fetched())
		}
	}
}

func (s *Snapshot) parts() []*part {
	all := []*part{s.cluster}
	for _, name := range s.Namespaces() {
		all = append(all, s.namespaces[name])
	}
	return all
}

// Asking says for whom images are judged. The zero value asks for the cluster policy
// alone.
type Asking struct {
	// Namespace whose own policy must allow the images too; "" is none.
	Namespace string
	// Platform, such as "linux/arm64", asks for that platform's manifest below an index.
	Platform string
}

// Judge judges images for somebody. The answers are in the order of the
// targets. Each is allowed only if the cluster policy and the namespace's policy, where
// there is one, both allow the same digest; of two refusals Deny counts before
// Undetermined. What the namespace policy said stands in the answer with its demands
// after those of the cluster policy.
func (s *Snapshot) Judge(ctx context.Context, asking Asking, targets []gate.Target) []*report.Image {
	images := s.judge(ctx, s.cluster, asking.Platform, targets)
	own := s.namespaces[asking.Namespace]
	if own == nil {
		return images
	}
	// The namespace policy judges the digest that the cluster policy judged: a tag that
	// moves in between cannot make two halves of an Allow out of two images.
	// What it denies by name it denies also where no digest is known.
	known := s.known(own, targets)
	var second []gate.Target
	var of []int
	for i, image := range images {
		switch {
		case image.Verdict == policy.Deny || targets[i].Err != nil:
			continue
		case known[i] != nil:
			images[i] = combine(image, known[i], asking.Namespace)
			continue
		case image.Digest.IsZero():
			continue
		}
		t := targets[i]
		t.Reference.Tag, t.Reference.Digest = "", image.Digest
		second, of = append(second, t), append(of, i)
	}
	if len(second) == 0 {
		return images
	}
	for n, more := range s.judge(ctx, own, "", second) {
		images[of[n]] = combine(images[of[n]], more, asking.Namespace)
	}
	return images
}

// judge judges under one policy, if what it rests on is not too old.
func (s *Snapshot) judge(ctx context.Context, one *part, platform string, targets []gate.Target) []*report.Image {
	if one.trust != nil {
		if err := one.trust.CheckAge(s.now(), s.maxAge); err != nil {
			return tooOld(targets, err)
		}
	}
	if platform == "" {
		return one.gate.JudgeTargets(ctx, targets)
	}
	return one.gate.On(platform).JudgeTargets(ctx, targets)
}

// known is what one policy says without a look; nil where it needs one.
func (s *Snapshot) known(one *part, targets []gate.Target) []*report.Image {
	if one.trust != nil {
		if err := one.trust.CheckAge(s.now(), s.maxAge); err != nil {
			return tooOld(targets, err)
		}
	}
	return one.gate.Known(targets)
}

// tooOld is the answer for all images when the trust state is.
func tooOld(targets []gate.Target, err error) []*report.Image {
	images := make([]*report.Image, len(targets))
	for i, t := range targets {
		images[i] = &report.Image{
			Image: t.Text, Name: t.Name, Digest: t.Reference.Digest,
			Decision: policy.Decision{Verdict: policy.Undetermined, Reason: verify.ReasonTrustRootExpired},
			Error:    fmt.Sprintf("the trust state: %v", err),
			Hint:     "run hallmark trust update, and give the server the new state",
		}
	}
	return images
}

// combine joins what two policies said about one digest: the worse verdict wins.
func combine(cluster, own *report.Image, namespace string) *report.Image {
	all := *cluster
	worse := cluster
	if severity(own) > severity(cluster) {
		worse = own
	}
	all.Verdict, all.Reason, all.Error, all.Hint = worse.Verdict, worse.Reason, worse.Error, worse.Hint
	all.Rule = cluster.Rule
	if own.Rule != "" && worse == own {
		all.Rule = namespace + "/" + own.Rule
	}
	all.Demands = slices.Concat(cluster.Demands, own.Demands)
	all.Warnings = slices.Clone(cluster.Warnings)
	for _, w := range own.Warnings {
		if !slices.Contains(all.Warnings, w) {
			all.Warnings = append(all.Warnings, w)
		}
	}
	all.Unseen = slices.Concat(cluster.Unseen, own.Unseen)
	all.Cached, all.Requests = cluster.Cached && own.Cached, cluster.Requests+own.Requests
	if all.Warned == nil {
		all.Warned = own.Warned
	}
	if all.Until.IsZero() || !own.Until.IsZero() && own.Until.Before(all.Until) {
		all.Until = own.Until
	}
	return &all
}

// severity orders verdicts: Deny is worse than Undetermined, and of that a registry that
// did not answer is the least, since a server may be told to let it pass.
func severity(image *report.Image) int {
	switch {
	case image.Verdict == policy.Allow:
		return 0
	case image.Verdict == policy.Deny:
		return 3
	case image.Reason == policy.ReasonUnreachable:
		return 1
	}
	return 2
}
