package admission

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/workload"
	"github.com/hallmark-project/hallmark/verify"
)

// passing are subresources whose objects hold no image, and of no kind that is known:
// they say how many, where, or how it went. What a subresource of a known kind holds is
// compared like any update.
var passing = []string{"scale", "status", "binding", "eviction", "token", "resize", "log", "approval", "finalize"}

// Validate answers a review of a validating webhook. The answer is complete whatever
// the body holds, and comes before the context's deadline. Safe for concurrent use.
func (r *Reviewer) Validate(ctx context.Context, body []byte) Answer {
	return r.review(ctx, body, false)
}

// Mutate answers a review of a mutating webhook: as [Reviewer.Validate] does, and with
// a patch (RFC 6902) that adds to each reference the digest that was judged. What is
// not changed, exempt, or has a digest is left as it is.
func (r *Reviewer) Mutate(ctx context.Context, body []byte) Answer {
	return r.review(ctx, body, true)
}

func (r *Reviewer) review(ctx context.Context, body []byte, mutate bool) (a Answer) {
	var q request
	defer func() {
		if fault := recover(); fault != nil {
			a = r.refuse(&q, fmt.Errorf("%w: %v", errInternal, fault))
		}
	}()
	if len(body) > r.options.MaxBody {
		return unreadable(http.StatusRequestEntityTooLarge, fmt.Sprintf("reading an AdmissionReview: it has more than %d bytes", r.options.MaxBody),
			Entry{Verdict: policy.Deny, Reason: verify.ReasonLimitExceeded})
	}
	var err error
	if q, err = decodeRequest(body); err != nil {
		return r.refuse(&q, err)
	}
	if q.operation == "DELETE" || q.operation == "CONNECT" {
		return r.pass(&q)
	}
	if !r.options.Finder.Knows(q.group, q.kind) {
		if slices.Contains(passing, q.subResource) {
			return r.pass(&q)
		}
		return r.refuse(&q, fmt.Errorf("%w: %q of group %q", workload.ErrUnknownKind, wording.Short(q.kind), wording.Short(q.group)))
	}
	if q.same() && (q.subResource != "" || !r.options.VerifyUnchangedTags || deleted(q.old)) {
		return r.pass(&q) // what is deleted starts nothing, and must lose its finalizers
	}
	found, old, err := r.find(&q)
	if err != nil {
		return r.refuse(&q, err)
	}
	spots := r.spots(&q, found.Places, old)
	if open := count(spots, func(s *spot) bool { return !s.settled() }); open > maxImages {
		return r.refuse(&q, fmt.Errorf("%w: %d are to be verified, not at most %d", workload.ErrMany, open, maxImages))
	}
	asker := Asker{Namespace: q.namespace, PullSecrets: found.PullSecrets}
	if len(found.ServiceAccounts) > 0 {
		asker.ServiceAccount = found.ServiceAccounts[0]
	}
	r.judgeAll(ctx, asker, spots)
	if r.options.RequireDigest && !mutate {
		requireDigests(spots)
	}
	return r.decide(&q, spots, mutate)
}

// find returns the places of the new and the old object.
func (r *Reviewer) find(q *request) (found workload.Found, old []workload.Place, err error) {
	object, err := decodeObject(r.options.Finder, q, q.objectFields)
	if err != nil {
		return found, nil, err
	}
	if found, err = r.options.Finder.Find(object); err != nil || q.oldFields == nil {
		return found, nil, err
	}
	before, err := decodeObject(r.options.Finder, q, q.oldFields)
	if err != nil {
		return found, nil, err
	}
	if old, err = r.options.Finder.Places(before); err != nil {
		old = nil // it cannot be compared with
	}
	return found, old, nil
}

// requireDigests refuses what would be resolved anew by every node.
func requireDigests(spots []spot) {
	for i := range spots {
		s := &spots[i]
		if s.unchanged || s.exemption != nil || s.refErr != nil || !s.ref.Digest.IsZero() || s.verdict == policy.Deny {
			continue
		}
		hint := "write the image's digest behind it: name:tag@sha256:…"
		if s.verdict == policy.Allow && !s.result.Digest.IsZero() {
			hint = "write " + s.place.Image + "@" + s.result.Digest.String()
		}
		s.deny(policy.ReasonReference, "a tag alone is not allowed here, since it can be moved", hint)
	}
}

// decide turns what became of each place into the answer.
func (r *Reviewer) decide(q *request, spots []spot, mutate bool) Answer {
	e := q.entry()
	e.Verdict, e.Allowed = policy.Allow, true
	e.Images = make([]ImageEntry, len(spots))
	waved := 0
	for i := range spots {
		s := &spots[i]
		entry := ImageEntry{
			Place: s.place.Path, Kind: s.place.Kind, Image: s.place.Image, Unchanged: s.unchanged,
			Verdict: s.verdict, Reason: s.reason, Result: s.result,
		}
		if s.exemption != nil {
			entry.Exemption, e.Exemption = s.exemption.Name, s.exemption.Name
		}
		e.Images[i] = entry
		if s.verdict.Worse(e.Verdict) {
			e.Verdict, e.Reason = s.verdict, s.reason
		}
		if s.verdict != policy.Allow && r.options.Unavailable == UnavailableAllow && s.missed() {
			waved++
		}
	}
	refused := count(spots, func(s *spot) bool { return s.verdict != policy.Allow })
	e.Allowed = refused == waved
	out := response{UID: q.uid, Allowed: e.Allowed, Warnings: warnings(spots, e.Allowed), AuditAnnotations: r.audit(q, e.Verdict, spots)}
	if !e.Allowed {
		_, ended := r.exemptions(q)
		e.Message = message(spots, refused, ended)
		out.Status = forbidden(e.Message, causes(spots))
		return answer(out, e)
	}
	if mutate {
		patch, n, err := pin(spots)
		if err != nil {
			return r.refuse(q, fmt.Errorf("%w: %w", errInternal, err))
		}
		if e.Patches = n; n > 0 {
			out.Patch, out.PatchType = patch, "JSONPatch"
		}
	}
	return answer(out, e)
}

func count(spots []spot, is func(*spot) bool) (n int) {
	for i := range spots {
		if is(&spots[i]) {
			n++
		}
	}
	return n
}

func (q *request) entry() Entry {
	return Entry{
		UID: q.uid, Operation: q.operation, Group: q.group, Kind: q.kind, Namespace: q.namespace, Name: q.name,
		User: q.user, SubResource: q.subResource, DryRun: q.dryRun,
	}
}

// pass allows what holds no image to look at.
func (r *Reviewer) pass(q *request) Answer {
	e := q.entry()
	e.Allowed, e.Verdict = true, policy.Allow
	return answer(response{UID: q.uid, Allowed: true}, e)
}

var errInternal = errors.New("internal fault")

// refuse answers a review that cannot be decided.
func (r *Reviewer) refuse(q *request, err error) Answer {
	e := q.entry()
	e.Verdict, e.Reason = policy.Deny, reasonOf(err)
	if q.uid == "" {
		return unreadable(http.StatusBadRequest, "reading an AdmissionReview: "+err.Error(), e)
	}
	e.Message = refusal(e.Reason, err)
	return answer(response{UID: q.uid, Status: forbidden(e.Message, nil), AuditAnnotations: map[string]string{"verdict": policy.Deny.String()}}, e)
}

func reasonOf(err error) verify.Reason {
	switch {
	case errors.Is(err, workload.ErrMany), errors.Is(err, strictjson.ErrMany), errors.Is(err, strictjson.ErrDepth):
		return verify.ReasonLimitExceeded
	case errors.Is(err, workload.ErrUnknownKind):
		return ReasonUnknownKind
	case errors.Is(err, errInternal):
		return verify.ReasonInternal
	}
	return ReasonUnreadable
}

// Reasons that only a review gives.
const (
	ReasonUnknownKind verify.Reason = "KIND_UNKNOWN"     // no image path is known for the object's kind
	ReasonUnreadable  verify.Reason = "OBJECT_MALFORMED" // the review or its object is not built as its kind says
)
