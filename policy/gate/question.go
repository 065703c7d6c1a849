package gate

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// question is a target that the policy has a rule for.
type question struct {
	target Target
	plan   policy.Plan
}

// ask plans the judging of a target, or answers at once where the policy needs no
// look, or the source must not be asked.
func (c *call) ask(t Target) (question, *report.Image) {
	plan, err := c.policy.Plan(t.Name)
	if err != nil {
		var denial *policy.Denial
		if !errors.As(err, &denial) {
			return question{}, failed(t, err)
		}
		image := &report.Image{Image: t.Text, Name: t.Name, Digest: t.Reference.Digest, Decision: denial.Decision}
		if t.Name == LayoutName && len(image.Demands) > 0 {
			image.Demands[0].Hint = "say with --as which name the image has for the policy's rules"
		}
		return question{}, image
	}
	if err := admits(t); err != nil {
		answer := failed(t, err)
		answer.Rule = plan.Rule
		return question{}, answer
	}
	return question{t, plan}, nil
}

// judge answers for one target: plan, resolve, and then the digest.
func (c *call) judge(ctx context.Context, t Target) *report.Image {
	q, answer := c.ask(t)
	if answer != nil {
		return answer
	}
	var sent atomic.Int64
	ctx = oci.WithCounter(ctx, &sent)
	subject, err := c.resolve(ctx, t)
	if err != nil {
		answer = failed(t, err)
	} else {
		answer = q.report(subject.Digest, c.once(q, subject, func() outcome { return c.answer(ctx, q, subject) }).clone())
	}
	answer.Requests = int(sent.Load())
	return answer
}

// remembered answers a question from the cache alone; nil where it cannot.
func (c *call) remembered(q question) *report.Image {
	t := q.target
	if c.options.Cache == nil || t.Layout != "" {
		return nil
	}
	subject := t.Reference.Digest
	if subject.IsZero() {
		d, fresh := c.options.Cache.tag(tagKeyOf(t), c.options.Now)
		if !fresh {
			return nil
		}
		subject = d.Digest
	}
	key := c.flightKey(q, subject)
	c.options.Cache.mu.Lock()
	found, ok := c.options.Cache.find(key, c.options.Now)
	c.options.Cache.mu.Unlock()
	if !ok {
		return nil
	}
	return q.report(subject, found.clone())
}

// resolve returns what a target's reference names.
func (c *call) resolve(ctx context.Context, t Target) (oci.Descriptor, error) {
	cache := c.options.Cache
	if cache == nil || t.Layout != "" || !t.Reference.Digest.IsZero() {
		return t.Source.Resolve(ctx, t.Reference)
	}
	key, at := tagKeyOf(t), c.options.Now()
	if d, fresh := cache.tag(key, c.options.Now); fresh {
		return d, nil
	}
	d, err := t.Source.Resolve(ctx, t.Reference)
	if err == nil {
		cache.keepTag(key, d, at, c.options.Now)
	}
	return d, err
}

func tagKeyOf(t Target) tagKey {
	return tagKey{t.Source, t.Reference.Host, t.Reference.Repository, t.Reference.Tag}
}

// flightKey names a question about a digest.
func (c *call) flightKey(q question, subject digest.Digest) flightKey {
	key := flightKey{source: q.target.Source, decisionKey: decisionKey{
		name: q.target.Name, digest: subject, platform: c.options.Platform,
		policy: c.policy.Digest(), roots: rootsText(q.plan.Roots),
	}}
	if !q.target.Reference.Digest.IsZero() {
		key.tag = q.target.Reference.Tag // it is looked at for a warning
	}
	return key
}

// once runs decide for a digest unless this call has done so already.
func (c *call) once(q question, subject oci.Descriptor, decide func() outcome) outcome {
	key := digestKey{flightKey: c.flightKey(q, subject.Digest), repository: q.target.Reference.Name()}
	c.mu.Lock()
	run := c.digests[key]
	if run == nil {
		run = sync.OnceValue(decide)
		c.digests[key] = run
	}
	c.mu.Unlock()
	return run()
}

// answer judges a digest, or takes the answer that is kept, or that others wait for.
func (c *call) answer(ctx context.Context, q question, subject oci.Descriptor) outcome {
	cache := c.options.Cache
	if cache == nil || q.target.Layout != "" || len(q.plan.Roots) == 0 {
		return c.look(ctx, q, subject, nil)
	}
	key := c.flightKey(q, subject.Digest)
	return cache.join(ctx, key, terms{c.options.Timeout, c.options.Now}, func(ctx context.Context, s *step) outcome {
		o := c.look(ctx, q, subject, s)
		cache.keep(key, o, c.options.Now)
		return o
	})
}

// look judges a digest.
func (c *call) look(ctx context.Context, q question, subject oci.Descriptor, s *step) outcome {
	j := &judging{call: c, target: q.target, plan: q.plan, subject: subject, budget: evidence.NewBudget(c.pool()), step: s}
	defer j.budget.Release()
	at := c.options.Now()
	if wanted := c.options.Platform; wanted != "" {
		s.set("choosing the platform " + wanted)
		if err := j.choosePlatform(ctx, wanted); err != nil {
			o := j.noPlatform(err)
			o.subject, o.at = subject.Digest, at
			return o
		}
	}
	o := j.decide(ctx, at)
	o.subject, o.platform, o.at = j.subject.Digest, c.options.Platform, at
	return o
}

// pool is the memory that the gates of a cache share; nil is no bound but each image's.
func (c *call) pool() *evidence.Pool {
	if c.options.Cache == nil {
		return nil
	}
	return c.options.Cache.pool
}

// report is the answer for one target, whose reference names resolved.
func (q question) report(resolved digest.Digest, o outcome) *report.Image {
	t := q.target
	image := &report.Image{Image: t.Text, Name: t.Name}
	if o.failure != nil {
		image = failed(t, o.failure)
	} else {
		image.Decision, image.Unseen, image.Cached, image.Error = o.decision, o.unseen, o.cached, o.message
		if image.Verdict == policy.Undetermined || o.message != "" {
			image.Hint = hintFor(image.Reason)
		}
	}
	image.Digest, image.Platform = o.subject, o.platform
	if o.subject.IsZero() {
		image.Digest = resolved
	}
	if t.Reference.Digest.IsZero() {
		image.Tag = t.Reference.Tag
	}
	return image
}
