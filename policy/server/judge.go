package server

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/live"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/telemetry"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// PullSecrets finds the credentials that an object's author named for its images. id is
// the same for the same credentials and for no others, so that clients and what they
// have learnt can be kept; "" says that there are none.
type PullSecrets interface {
	Keychain(ctx context.Context, asker admission.Asker) (keychain authn.Keychain, id string, err error)
}

// JudgeOptions say what a [Judge] judges with.
type JudgeOptions struct {
	// PullSecrets is nil where they are switched off: then only the server's own
	// credentials are used, whatever an object names.
	PullSecrets PullSecrets
	// Source makes a client for pull secrets.
	Source func(authn.Keychain) gate.Source
	// Metrics and Tracer are those of the server; nil counts nothing.
	Metrics *Metrics
	Tracer  *telemetry.Tracer
}

// Judge judges images under the policies in force; it is the [admission.Judge] of a
// server. Safe for concurrent use.
type Judge struct {
	live    *live.Live
	options JudgeOptions

	mu      sync.Mutex
	sources map[string]gate.Source
}

// maxSources bounds the clients for pull secrets; each keeps tokens and connections.
const maxSources = 64

// maxSpans is how many images of a request are judged at a time while it is traced.
const maxSpans = 16

// NewJudge returns a judge. Each call takes one snapshot of l and keeps to it.
func NewJudge(l *live.Live, o JudgeOptions) *Judge {
	return &Judge{live: l, options: o, sources: make(map[string]gate.Source)}
}

// Judge implements [admission.Judge].
func (j *Judge) Judge(ctx context.Context, asker admission.Asker, images []string) []*report.Image {
	snapshot := j.live.Current()
	source, err := j.source(ctx, asker)
	targets := make([]gate.Target, len(images))
	for i, image := range images {
		targets[i] = snapshot.Target(image)
		if source != nil {
			targets[i].Source = source
		}
	}
	answers := j.judge(ctx, snapshot, live.Asking{Namespace: asker.Namespace}, targets)
	if err == nil {
		return answers
	}
	// Without the named secrets some images could not be looked at. The reason is said
	// where it can be the cause.
	for i, answer := range answers {
		if answer.Verdict != policy.Allow && (answer.Reason == policy.ReasonUnauthorized || answer.Reason == policy.ReasonNoImage) {
			said := *answer
			said.Error = fmt.Sprintf("%s; the pull secrets could not be read: %v", said.Error, err)
			answers[i] = &said
		}
	}
	return answers
}

// judge judges targets under one snapshot, and counts.
func (j *Judge) judge(ctx context.Context, snapshot *live.Snapshot, asking live.Asking, targets []gate.Target) []*report.Image {
	var requests atomic.Int64
	ctx = oci.WithCounter(ctx, &requests)
	answers := j.traced(ctx, snapshot, asking, targets)
	if w := workOf(ctx); w != nil {
		w.add(snapshot, asking.Namespace, requests.Load())
	}
	if m := j.options.Metrics; m != nil {
		m.registry.Add(uint64(max(requests.Load(), 0)))
		for _, answer := range answers {
			m.decisions.Add(1, answer.Verdict.String(), string(answer.Reason))
			result := "miss"
			if answer.Cached {
				result = "hit"
			}
			m.cached.Add(1, result)
		}
	}
	return answers
}

// traced judges each image in a span of its own where there is a trace, and all in one
// call where there is none.
func (j *Judge) traced(ctx context.Context, snapshot *live.Snapshot, asking live.Asking, targets []gate.Target) []*report.Image {
	if !telemetry.Traced(ctx) {
		return snapshot.Judge(ctx, asking, targets)
	}
	answers := make([]*report.Image, len(targets))
	slots := make(chan struct{}, maxSpans)
	var wait sync.WaitGroup
	for i := range targets {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			ctx, span := j.options.Tracer.Start(ctx, "judge image", telemetry.Internal)
			defer span.End()
			answer := snapshot.Judge(ctx, asking, targets[i:i+1])[0]
			span.Text("hallmark.image", report.Plain(answer.Image))
			span.Text("hallmark.digest", text(answer.Digest))
			span.Text("hallmark.verdict", answer.Verdict.String())
			span.Text("hallmark.reason", string(answer.Reason))
			if answer.Verdict == policy.Undetermined {
				span.Fail(report.Plain(answer.Error))
			}
			answers[i] = answer
		})
	}
	wait.Wait()
	return answers
}

// source returns the client for an asker's pull secrets, or nil for the server's own.
func (j *Judge) source(ctx context.Context, asker admission.Asker) (gate.Source, error) {
	if j.options.PullSecrets == nil {
		return nil, nil //nolint:nilnil // the server's own
	}
	keychain, id, err := j.options.PullSecrets.Keychain(ctx, asker)
	if err != nil || id == "" {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if known := j.sources[id]; known != nil {
		return known, nil
	}
	if len(j.sources) >= maxSources {
		clear(j.sources)
	}
	made := j.options.Source(keychain)
	j.sources[id] = made
	return made, nil
}

// work is what was done for one request, for its log lines.
type work struct {
	mu       sync.Mutex
	policy   digest.Digest
	own      digest.Digest // of the namespace
	requests int64
}

type workKey struct{}

func withWork(ctx context.Context) (context.Context, *work) {
	w := &work{}
	return context.WithValue(ctx, workKey{}, w), w
}

func workOf(ctx context.Context) *work {
	w, _ := ctx.Value(workKey{}).(*work)
	return w
}

func (w *work) add(s *live.Snapshot, namespace string, requests int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.policy = s.Digest()
	if p := s.Namespace(namespace); p != nil {
		w.own = p.Digest()
	}
	w.requests += requests
}

// text is a digest, or nothing.
func text(d digest.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

var _ admission.Judge = (*Judge)(nil)
