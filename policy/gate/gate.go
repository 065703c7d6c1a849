// Package gate answers "may this image run here?" for every caller: it resolves
// a reference once, gathers the evidence that the policy's plan wants, checks it,
// and lets the policy decide.
//
//	g := gate.New(p, oci.NewClient(oci.Options{}), gate.Options{})
//	image := g.Judge(ctx, "registry.example/app:1.2")
//	if image.Verdict != policy.Allow { … }
//
// There is always an answer: an error, a panic or a deadline makes an image
// Undetermined, with a reason, and never allows it.
//
// # How far it looks
//
// Where the rule accepts a summary, first at the referrers that claim to be one: if they
// allow the image, nothing else can change that, and nothing else is fetched. Then at the
// referrers of the digest (and, under `platforms: all`, of each
// platform's manifest). Only if the policy does not allow the image with what was
// proved there, at cosign's tags; see package evidence. Only if it is still
// denied, at the image itself: whether it exists at all ([policy.ReasonNoImage]),
// whether BuildKit left unsigned attestations, and whether the evidence stands on
// the index or on a platform instead, which becomes a warning. What a later look
// finds never takes away an error of an earlier one. Layers are only read for a rule that
// compares an SBOM with them, by Options.Content, and only if nothing else refuses the image.
//
// # What could not be looked at
//
// A registry that is down, 401 and 403, and an image that does not exist make an
// image Undetermined, not Deny: nothing was found bad. So does a reference that
// cannot be read.
//
// # What is kept
//
// Without a [Cache] nothing is kept between two calls: each call asks the registry
// anew. Within one call each reference is resolved once and each digest is judged
// once. With one, decisions about digests are kept for as long as they hold, and callers
// who ask the same at the same time are answered together.
//
// Non-goals: printing, credentials.
package gate

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// defaultConcurrency is as many images as a client has connections to one host.
const defaultConcurrency = 16

// Options say how images are judged. The zero value judges what a reference
// resolves to, 16 images at a time, without a deadline.
type Options struct {
	// Platform, such as "linux/arm64", asks for the platform's manifest below an
	// index instead of the index.
	Platform string
	// Concurrency is how many images are judged at a time; zero is 16.
	Concurrency int
	// Timeout bounds the judging of one image; zero is no bound but the caller's. With a
	// Cache, a look goes on for this long even if its callers have left.
	Timeout time.Duration
	// Cache keeps decisions for later calls, of other gates too; nil keeps none.
	Cache *Cache
	// Content looks into images, for rules with `matchesContent`, once all else is
	// met; nil leaves those Undetermined.
	Content ContentFunc
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Judged is told of each digest that the policy has decided on, with all that was
	// found about it, before the answer is given; from several goroutines. A decision from
	// the cache is not told again. nil asks for nothing.
	Judged func(policy.Image, policy.Decision)
}

// Gate judges images under one policy. Safe for concurrent use.
type Gate struct {
	policy  *policy.Policy
	source  Source
	options Options
	*prepared
}

// New returns a gate that finds references in source, which is a registry client
// or a layout. Nothing is asked of it yet.
func New(p *policy.Policy, source Source, o Options) *Gate {
	if o.Concurrency < 1 {
		o.Concurrency = defaultConcurrency
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Gate{policy: p, source: source, options: o, prepared: &prepared{checkers: make(map[checkerKey]checker)}}
}

// On returns the same gate for another Options.Platform. The two share what was
// prepared, so that one can be made for each question.
func (g *Gate) On(platform string) *Gate {
	other := *g
	other.options.Platform = platform
	return &other
}

// Judge judges one image of a registry. The answer is never nil.
func (g *Gate) Judge(ctx context.Context, ref string) *report.Image {
	return g.JudgeAll(ctx, ref)[0]
}

// JudgeAll judges images of a registry in parallel. The answers are in the order
// of the references; none of them depends on another, or shares memory with it.
func (g *Gate) JudgeAll(ctx context.Context, refs ...string) []*report.Image {
	targets := make([]Target, len(refs))
	for i, ref := range refs {
		targets[i] = g.Target(ref)
	}
	return g.JudgeTargets(ctx, targets)
}

// JudgeTargets is [Gate.JudgeAll] for targets from anywhere.
//
// When ctx ends, all images that have no answer yet get one: that they could not be
// checked, and what was waited for. With a cache that is at once, without one as soon as
// the source returns.
func (g *Gate) JudgeTargets(ctx context.Context, targets []Target) []*report.Image {
	c := &call{Gate: g}
	images := make([]*report.Image, len(targets))
	var left []int
	for i, t := range targets {
		if images[i] = c.known(t, true); images[i] == nil {
			left = append(left, i)
		}
	}
	if len(left) == 0 {
		return images
	}
	c.targets, c.digests = make(map[targetKey]func() *report.Image), make(map[digestKey]func() outcome)
	slots := make(chan struct{}, g.options.Concurrency)
	var wait sync.WaitGroup
	for _, i := range left {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			images[i] = failed(targets[i], &lateError{step: "waiting for other images", cause: context.Cause(ctx)})
			continue
		}
		wait.Add(1)
		go func() {
			defer wait.Done()
			defer func() { <-slots }()
			images[i] = c.judgeOnce(ctx, targets[i])
		}()
	}
	wait.Wait()
	return images
}

// Known answers for targets as far as nothing has to be looked at for it: what the
// policy denies by its name alone, and what cannot be read. The others are nil.
func (g *Gate) Known(targets []Target) []*report.Image {
	c := &call{Gate: g}
	images := make([]*report.Image, len(targets))
	for i, t := range targets {
		images[i] = c.known(t, false)
	}
	return images
}

// known answers a target that needs no look, from the cache too if that is asked for;
// nil where it does. Nobody waits for such an answer, and no lack of time makes another
// one of it: "could not check" would be less than is known.
func (c *call) known(t Target, cached bool) (image *report.Image) {
	defer func() {
		if fault := recover(); fault != nil {
			image = internalFault(t, fault)
		}
	}()
	if t.Err != nil {
		return failed(t, t.Err)
	}
	q, answer := c.ask(t)
	if answer != nil || !cached {
		return answer
	}
	return c.remembered(q)
}

// call is one call of the gate: what it has resolved and judged so far. Nothing
// of it outlives the call.
type call struct {
	*Gate
	mu      sync.Mutex
	targets map[targetKey]func() *report.Image
	digests map[digestKey]func() outcome
}

// targetKey and digestKey are structs, so that no two keys can run together.
type targetKey struct {
	source    Source
	reference oci.Reference
	name      string
}

type digestKey struct {
	flightKey
	repository string
}

// judgeOnce judges a target, or takes the answer that the same target got in
// this call.
func (c *call) judgeOnce(ctx context.Context, t Target) (image *report.Image) {
	defer func() {
		if fault := recover(); fault != nil {
			image = internalFault(t, fault)
		}
	}()
	if t.Err != nil {
		return failed(t, t.Err)
	}
	key := targetKey{t.Source, t.Reference, t.Name}
	c.mu.Lock()
	judge, again := c.targets[key]
	if !again {
		judge = sync.OnceValue(func() *report.Image {
			if c.options.Timeout > 0 {
				limited, cancel := context.WithTimeout(ctx, c.options.Timeout)
				defer cancel()
				return c.judge(limited, t)
			}
			return c.judge(ctx, t)
		})
		c.targets[key] = judge
	}
	c.mu.Unlock()
	answer := *judge()
	if answer.Image = t.Text; again {
		answer.Decision, answer.Unseen, answer.Requests = answer.Clone(), slices.Clone(answer.Unseen), 0
	}
	return &answer
}

// internalFault is the answer for an image whose judging panicked.
func internalFault(t Target, fault any) *report.Image {
	return &report.Image{
		Image: t.Text, Name: t.Name, Digest: t.Reference.Digest,
		Decision: policy.Decision{Verdict: policy.Undetermined, Reason: verify.ReasonInternal},
		Error:    fmt.Sprintf("judging %s: internal fault: %v", t.Text, fault),
		Hint:     "this is a bug of Hallmark's; nothing was allowed. Please report it.",
	}
}
